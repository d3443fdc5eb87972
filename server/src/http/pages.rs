//! Responses that are streamed page by page while they are read from the database.

use authority::{Holder, ServiceError};
use axum::{
    Json,
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use domain::token::{Page, Token};
use futures::stream;
use http::{HeaderValue, header};
use serde::Serialize;

/// Returns a body that starts with `beginning` and ends with `close`. `page` returns the text in
/// between, from a cursor on. A failure partway aborts the transfer, so that the client cannot
/// mistake a partial response for a complete one.
pub(crate) fn body<F>(
    beginning: String,
    next: Option<String>,
    close: &'static str,
    page: impl Fn(String) -> F + Send + 'static,
) -> Body
where
    F: Future<Output = Result<(String, Option<String>), ServiceError>> + Send + 'static,
{
    enum Part {
        Text(String, Option<String>),
        Page(String),
        Close,
        End,
    }
    // All pages count for the holder of the first one.
    let holder = Holder::current();
    let page = move |cursor| holder.clone().scope(page(cursor));
    let pages =
        stream::try_unfold((Part::Text(beginning, next), page), async move |(part, page)| {
            let (text, next) = match part {
                Part::Text(text, next) => (text, next),
                Part::Page(cursor) => {
                    page(cursor).await.inspect_err(|error| error.log("page of a long response"))?
                }
                Part::Close => {
                    return Ok(Some((Bytes::from_static(close.as_bytes()), (Part::End, page))));
                }
                Part::End => return Ok(None),
            };
            let following = match next {
                Some(cursor) => Part::Page(cursor),
                None if close.is_empty() => Part::End,
                None => Part::Close,
            };
            Ok::<_, ServiceError>(Some((Bytes::from(text), (following, page))))
        });
    Body::from_stream(pages)
}

/// Returns a JSON array of all tokens of a list, in the shape of `T`. `page` returns the pages
/// after the first.
pub(crate) fn list<T, F>(
    first: Page<Token>,
    page: impl Fn(String) -> F + Send + 'static,
) -> Response
where
    T: From<Token> + Serialize,
    F: Future<Output = Result<Page<Token>, ServiceError>> + Send + 'static,
{
    let Some(next) = first.next else {
        let items: Vec<T> = first.items.into_iter().map(Into::into).collect();
        return Json(items).into_response();
    };
    let beginning = match items::<T>(first.items) {
        Ok(items) => format!("[{items}"),
        Err(error) => return crate::problem::ApiError::from(error).into_response(),
    };
    let pages = body(beginning, Some(next), "]", move |cursor| {
        let page = page(cursor);
        async move {
            let page = page.await?;
            let items = items::<T>(page.items)?;
            let text = if items.is_empty() { items } else { format!(",{items}") };
            Ok((text, page.next))
        }
    });
    let mut response = Response::new(pages);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Returns the items of an array, without its brackets.
fn items<T: From<Token> + Serialize>(tokens: Vec<Token>) -> Result<String, ServiceError> {
    let items: Vec<T> = tokens.into_iter().map(Into::into).collect();
    let text = serde_json::to_string(&items).map_err(ServiceError::internal)?;
    Ok(text[1..text.len() - 1].to_owned())
}
