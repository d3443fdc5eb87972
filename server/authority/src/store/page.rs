//! Pages of lists: as many rows as were asked for, unless they are large. An answer is held in memory until its
//! caller has taken it, so a page ends early rather than growing beyond some size.

use std::pin::pin;

use futures::{Stream, TryStreamExt as _};
use serde_json::Value;

/// Bytes of rows after which a page ends. A larger row is a page by itself.
pub(crate) const PAGE_BYTES: usize = 1_000_000;

/// Reads the rows of a page, and returns whether there are more. A statement gives one row more than the limit.
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

/// Returns about how many bytes a value has in JSON.
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
    async fn page_ends_at_its_limit_or_when_it_is_large() {
        assert_eq!(lengths(&[1, 2], 2).await, (vec![1, 2], false));
        assert_eq!(lengths(&[1, 2, 3], 2).await, (vec![1, 2], true));
        assert_eq!(lengths(&[PAGE_BYTES - 1, 1, 1], 9).await, (vec![PAGE_BYTES - 1, 1], true));
        // No row is left out, however large.
        assert_eq!(lengths(&[PAGE_BYTES + 1], 9).await, (vec![PAGE_BYTES + 1], false));
        assert_eq!(lengths(&[PAGE_BYTES + 1, 1], 9).await, (vec![PAGE_BYTES + 1], true));
        assert_eq!(lengths(&[], 9).await, (vec![], false));
    }
}
