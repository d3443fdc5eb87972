//! Pages of lists. A page has as many rows as the caller requested, or fewer if the rows are large.
//! The server holds a response in memory until its caller has received it, so the size of a page is
//! limited too.

use std::pin::pin;

use futures::{Stream, TryStreamExt as _};
use serde_json::Value;

/// The maximum size of a page in bytes. A larger row is a page by itself.
pub(crate) const PAGE_BYTES: usize = 1_000_000;

/// Reads the rows of a page, and returns them and whether more rows follow.
///
/// The statement must return up to one row more than `limit`.
pub(super) async fn read<T>(
    rows: impl Stream<Item = Result<T, sqlx::Error>>,
    limit: usize,
    size: impl Fn(&T) -> usize,
) -> Result<(Vec<T>, bool), sqlx::Error> {
    let mut rows = pin!(rows);
    let (mut page, mut bytes) = (Vec::new(), 0);
    while let Some(row) = rows.try_next().await? {
        bytes += size(&row);
        if page.len() == limit || (!page.is_empty() && bytes > PAGE_BYTES) {
            return Ok((page, true));
        }
        page.push(row);
    }
    Ok((page, false))
}

/// Returns the approximate size of a value in JSON, in bytes.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => 3 + text.len(),
        Value::Array(items) => 2 + items.iter().map(size).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields.iter().map(|(name, value)| 4 + name.len() + size(value)).sum::<usize>()
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    async fn lengths(rows: &[usize], limit: usize) -> (Vec<usize>, bool) {
        let rows = stream::iter(rows.iter().map(|size| Ok(*size)));
        read(rows, limit, |size| *size).await.unwrap()
    }

    #[tokio::test]
    async fn page_ends_at_its_limit_of_rows_or_bytes() {
        assert_eq!(lengths(&[1, 2], 2).await, (vec![1, 2], false));
        assert_eq!(lengths(&[1, 2, 3], 2).await, (vec![1, 2], true));
        assert_eq!(lengths(&[PAGE_BYTES - 1, 1, 1], 9).await, (vec![PAGE_BYTES - 1, 1], true));
        // Even the largest row is returned.
        assert_eq!(lengths(&[PAGE_BYTES + 1], 9).await, (vec![PAGE_BYTES + 1], false));
        assert_eq!(lengths(&[PAGE_BYTES + 1, 1], 9).await, (vec![PAGE_BYTES + 1], true));
        assert_eq!(lengths(&[], 9).await, (vec![], false));
    }
}
