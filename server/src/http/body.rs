//! Bodies: at most 64 KiB, 1 MiB where tokens are imported, and they must arrive in time.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};
use domain::problem::ProblemCode;
use http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use super::problem::ApiError;

/// Most bytes of a body. The longest list of scopes that the service takes fits well.
pub(crate) const LIMIT: usize = 64 * 1024;
/// Most bytes of a file of tokens to import.
const IMPORT_LIMIT: usize = 1024 * 1024;
/// The longest that a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest that a handler may take.
const HANDLER: Duration = Duration::from_secs(30);
/// What is read and thrown away of a body that is too large, so that its sender, who reads the
/// answer only after sending everything, gets to see the answer instead of a reset connection.
const DRAIN: usize = 16 * 1024 * 1024;

/// The body as it was received, for whoever needs its bytes beside what they mean. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Received(pub(crate) Bytes);

/// Most bytes of a body that is sent to this path.
fn limit(path: &str) -> usize {
    if path.ends_with("/tokens/import") { IMPORT_LIMIT } else { LIMIT }
}

/// Reads the body before the handler runs: no handler ever waits for a slow sender, and none can
/// forget the limit.
pub(crate) async fn receive(request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let limit = limit(parts.uri.path());
    match timeout(PATIENCE, read(&parts.headers, body, limit)).await {
        Ok(Ok(bytes)) => {
            parts.extensions.insert(Received(bytes.clone()));
            let request = Request::from_parts(parts, Body::from(bytes));
            match timeout(HANDLER, next.run(request)).await {
                Ok(response) => response,
                Err(_) => unavailable().into_response(),
            }
        }
        Ok(Err(error)) => error.into_response(),
        Err(_) => late().into_response(),
    }
}

async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        // Who asked first (RFC 9110 section 10.1.1) gets the answer instead of a go-ahead.
        if !headers.contains_key(header::EXPECT) {
            drain(body).await;
        }
        return Err(too_large(limit));
    }
    let mut body = body;
    match Limited::new(&mut body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            drain(body).await;
            Err(too_large(limit))
        }
        Err(_) => Err(ApiError::new(
            ProblemCode::MalformedRequest,
            "The request's body ended before it was complete.",
        )),
    }
}

async fn drain(mut body: Body) {
    let mut seen = 0;
    while seen < DRAIN
        && let Some(Ok(frame)) = body.frame().await
    {
        seen += frame.data_ref().map_or(0, Bytes::len);
    }
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        ProblemCode::PayloadTooLarge,
        format!("A request's body may have at most {limit} bytes."),
    )
}

fn late() -> ApiError {
    ApiError::new(
        ProblemCode::MalformedRequest,
        format!("The request's body did not arrive within {} seconds.", PATIENCE.as_secs()),
    )
}

fn unavailable() -> ApiError {
    ApiError::new(
        ProblemCode::Unavailable,
        format!(
            "There was no answer within {} seconds. Look whether the change was made before you try again.",
            HANDLER.as_secs()
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn status(headers: HeaderMap, body: Vec<u8>) -> Result<usize, u16> {
        read(&headers, Body::from(body), LIMIT)
            .await
            .map(|bytes| bytes.len())
            .map_err(|error| error.problem().status)
    }

    #[tokio::test]
    async fn body_at_the_limit_passes_and_one_byte_more_does_not() {
        assert_eq!(status(HeaderMap::new(), vec![b'x'; LIMIT]).await, Ok(LIMIT));
        assert_eq!(status(HeaderMap::new(), vec![b'x'; LIMIT + 1]).await, Err(413));
    }

    #[test]
    fn only_imports_may_be_large() {
        assert_eq!(limit("/api/v1/workspaces/w/tokens/import"), IMPORT_LIMIT);
        assert_eq!(limit("/api/v1/workspaces/w/tokens"), LIMIT);
    }

    #[tokio::test]
    async fn announced_length_is_enough_to_refuse() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, "65537".parse().unwrap());
        assert_eq!(status(headers, Vec::new()).await, Err(413));
    }

    #[tokio::test(start_paused = true)]
    async fn body_that_never_ends_is_given_up() {
        let endless =
            Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
        assert!(timeout(PATIENCE, read(&HeaderMap::new(), endless, LIMIT)).await.is_err());
    }
}
