//! The cursors of lists. A cursor names the last row of a page, and the next page begins after it.
//! Rows that are inserted meanwhile neither repeat nor hide others.

use std::str::FromStr;

use domain::{problem::FieldError, token::Page};

/// Parses the cursor of a request. Without one, the list begins with its first row.
///
/// # Errors
/// A mistake in the field `cursor`.
pub(crate) fn position<T: FromStr>(cursor: Option<&str>) -> Result<Option<T>, FieldError> {
    let message = "must be the `next` value of a page of this list";
    cursor.map(str::parse).transpose().map_err(|_| FieldError::new("cursor", message))
}

/// Returns a page of `limit` rows. `rows` has one row more if there is a next page, whose cursor is
/// that of the last row of this one.
pub(crate) fn page<T>(mut rows: Vec<T>, limit: u16, cursor: impl FnOnce(&T) -> String) -> Page<T> {
    let has_more = rows.len() > usize::from(limit);
    rows.truncate(usize::from(limit));
    let next = rows.last().filter(|_| has_more).map(cursor);
    Page { items: rows, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_read_or_named() {
        assert_eq!(position::<i64>(None), Ok(None));
        assert_eq!(position(Some("7")), Ok(Some(7)));
        for text in ["", "x", "7 "] {
            assert_eq!(position::<i64>(Some(text)).unwrap_err().field, "cursor", "{text}");
        }
    }

    #[test]
    fn page_has_a_next_one_if_a_row_is_left_over() {
        let of = |rows: &[i32], limit| {
            let page = page(rows.to_vec(), limit, ToString::to_string);
            (page.items, page.next)
        };
        assert_eq!(of(&[3, 2, 1], 2), (vec![3, 2], Some("2".into())));
        assert_eq!(of(&[3, 2], 2), (vec![3, 2], None));
        assert_eq!(of(&[], 2), (vec![], None));
    }
}
