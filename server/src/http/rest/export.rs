//! Export files, streamed from the database page by page.

use authority::{Format, ServiceError};
use axum::response::Response;
use domain::problem::FieldError;
use http::{HeaderMap, HeaderValue, header};

use crate::{http::pages, problem::ApiError};

/// Returns the file format that the caller wants, or `None` for pages of JSON. The query takes
/// precedence over the header.
pub(super) fn format(headers: &HeaderMap, query: Option<&str>) -> Result<Option<Format>, ApiError> {
    match query {
        Some("json") => return Ok(None),
        Some(text) => {
            let wrong = |_| {
                let message = "must be json, csv or jsonl";
                ApiError::invalid(vec![FieldError::new("format", message)])
            };
            return text.parse().map(Some).map_err(wrong);
        }
        None => {}
    }
    let accepts = |kind: &str| {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|range| {
            range.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(kind)
        })
    };
    if accepts("application/json") {
        Ok(None)
    } else if accepts("text/csv") {
        Ok(Some(Format::Csv))
    } else if ["application/jsonl", "application/x-ndjson"].iter().any(|kind| accepts(kind)) {
        Ok(Some(Format::Jsonl))
    } else {
        Ok(None)
    }
}

/// Returns a file that starts with `beginning` and continues with the pages that `page` returns
/// from cursor `next` on. A failure partway aborts the transfer, so that the client cannot mistake
/// a partial file for a complete one.
pub(super) fn file<F>(
    format: Format,
    name: &str,
    beginning: String,
    next: Option<String>,
    page: impl Fn(String) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = Result<(String, Option<String>), ServiceError>> + Send + 'static,
{
    let mut response = Response::new(pages::body(beginning, next, "", page));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    // Slugs are visible ASCII without quotes.
    let disposition = format!("attachment; filename=\"{name}.{}\"", format.extension());
    if let Ok(value) = HeaderValue::try_from(disposition) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(accept: &str, query: Option<&str>) -> Option<Format> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, accept.parse().unwrap());
        format(&headers, query).unwrap()
    }

    #[test]
    fn format_follows_accept_and_defaults_to_json() {
        assert_eq!(wanted("*/*", None), None);
        assert_eq!(wanted("text/csv", None), Some(Format::Csv));
        assert_eq!(wanted("Text/CSV;q=0.9, text/plain", None), Some(Format::Csv));
        assert_eq!(wanted("application/json, text/csv", None), None);
        assert_eq!(wanted("application/x-ndjson", None), Some(Format::Jsonl));
        assert_eq!(wanted("text/csv", Some("jsonl")), Some(Format::Jsonl));
        assert_eq!(wanted("text/csv", Some("json")), None);
        assert!(format(&HeaderMap::new(), Some("xml")).is_err());
    }
}
