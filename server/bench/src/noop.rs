//! The no-op server: an axum handler that reads the request's body, as Tessera must, and returns
//! fixed bytes.

use std::io::Write as _;

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue},
    response::Response,
};
use serde_json::{Value, json};

use crate::{
    Outcome,
    drive::{exchange, field},
    process::{Running, SERVERS, on_core},
};

/// The running server.
pub(crate) struct Noop {
    #[expect(dead_code, reason = "stopped when dropped")]
    running: Running,
    pub(crate) url: String,
    pub(crate) pid: u32,
}

impl Noop {
    /// Starts a server that answers every request with what `url` returns for `request`: the same
    /// headers, and the same number of bytes.
    pub(crate) fn like(url: &str, request: &[u8]) -> Outcome<Self> {
        let model = exchange(url, request)?;
        let mut headers = headers(&model)?;
        let mut body = body(&model)?.to_owned();
        let noop = Self::start(SERVERS, &[], &headers, &body)?;
        let sent = exchange(&noop.url, request)?.len();
        if sent == model.len() {
            return Ok(noop);
        }
        drop(noop);
        // The servers' own headers differ, for example one sends a date and the other does not. The
        // body compensates for the difference, or the longest header if there is no body.
        let longest = headers.iter_mut().map(|(_, value)| value).max_by_key(|value| value.len());
        let text = match longest {
            Some(value) if body.is_empty() => value,
            _ => &mut body,
        };
        if sent < model.len() {
            text.extend(std::iter::repeat_n('0', model.len() - sent));
        } else {
            text.truncate(text.len().saturating_sub(sent - model.len()));
        }
        let noop = Self::start(SERVERS, &[], &headers, &body)?;
        let sent = exchange(&noop.url, request)?.len();
        if sent == model.len() {
            Ok(noop)
        } else {
            Err(format!("{sent} bytes instead of {}", model.len()).into())
        }
    }

    /// Starts a server that returns these bytes.
    pub(crate) fn start(
        core: u8,
        runner: &[&str],
        headers: &[(String, String)],
        body: &str,
    ) -> Outcome<Self> {
        let own = std::env::current_exe()?;
        let mut command = match runner.split_first() {
            None => on_core(core, own),
            Some((runner, options)) => {
                let mut command = on_core(core, runner);
                command.args(options).arg(own);
                command
            }
        };
        command.arg("noop").arg(json!({ "headers": headers, "body": body }).to_string());
        let (running, url) = Running::listening(command)?;
        Ok(Self { pid: running.pid, running, url })
    }
}

/// Returns the headers of a response, without those that a server adds by itself.
pub(crate) fn headers(answer: &[u8]) -> Outcome<Vec<(String, String)>> {
    let head = std::str::from_utf8(&answer[..head_length(answer)?])?;
    Ok(head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .filter(|(name, _)| !["date", "content-length", "connection"].contains(&name.as_str()))
        .collect())
}

/// Returns the body of a response with a `Content-Length`.
pub(crate) fn body(answer: &[u8]) -> Outcome<&str> {
    let head = head_length(answer)?;
    if field(&answer[..head], b"content-length:").is_none() && answer.len() > head {
        return Err("a response has no length".into());
    }
    Ok(std::str::from_utf8(&answer[head..])?)
}

fn head_length(answer: &[u8]) -> Outcome<usize> {
    let end =
        answer.windows(4).position(|four| four == b"\r\n\r\n").ok_or("a response is incomplete")?;
    Ok(end + 4)
}

/// Prints its address and serves until killed.
pub(crate) fn serve(answer: &str) -> Outcome<()> {
    let answer: Value = serde_json::from_str(answer)?;
    let body = Bytes::from(answer["body"].as_str().unwrap_or_default().to_owned());
    let mut headers = HeaderMap::new();
    for (name, value) in serde_json::from_value::<Vec<(String, String)>>(answer["headers"].clone())?
    {
        headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
    }
    let handler = move |_body: Bytes| {
        let (headers, body) = (headers.clone(), body.clone());
        // Returning `(headers, body)` would add a type.
        async move {
            let mut response = Response::new(Body::from(body));
            *response.headers_mut() = headers;
            response
        }
    };
    let router = Router::new().fallback(handler);
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?.block_on(
        async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            writeln!(std::io::stdout(), "http://{address}")?;
            axum::serve(listener, router).await?;
            Ok(())
        },
    )
}
