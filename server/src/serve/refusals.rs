//! Adds the reason to refusals of malformed HTTP requests.
//!
//! Requests that hyper cannot parse never reach a handler: hyper answers 400, 414 or 431 without a
//! body and closes the connection. This stream sits between hyper and the network and gives such a
//! response the body that every other refusal has, a problem document (RFC 9457). It recognises
//! these responses because they lack a request ID, which all of Tessera's own responses have.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use domain::problem::{Problem, ProblemCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::life::Life;

/// A connection on which every refusal has a reason.
#[derive(Debug)]
pub(super) struct WithReasons<S> {
    stream: S,
    life: Arc<Life>,
    /// The replacement of a bare refusal, until it is written.
    pending: Vec<u8>,
}

impl<S> WithReasons<S> {
    pub(super) const fn new(stream: S, life: Arc<Life>) -> Self {
        Self { stream, life, pending: Vec::new() }
    }
}

impl<S: AsyncWrite + Unpin> WithReasons<S> {
    fn poll_pending(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.pending.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.pending))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.pending.drain(..written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WithReasons<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithReasons<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.life.wrote();
        ready!(self.poll_pending(context))?;
        if let Some(answer) = with_reason(bytes) {
            // Takes hyper's bytes over: writes as much of the response as possible now, and the
            // rest when hyper flushes.
            self.pending = answer;
            if let Poll::Ready(Err(error)) = self.poll_pending(context) {
                return Poll::Ready(Err(error));
            }
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = slices {
            return self.poll_write(context, only);
        }
        self.life.wrote();
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pending(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Returns the complete response for a refusal without a body, or `None` for anything else.
fn with_reason(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_head = bytes.starts_with(b"HTTP/1.") && bytes.ends_with(b"\r\n\r\n");
    if !is_head || bytes.get(8..10) != Some(b" 4") {
        return None;
    }
    let head = std::str::from_utf8(bytes).ok()?;
    let lines = || head.trim_end().split("\r\n").skip(1);
    let bare = lines().any(|line| line.eq_ignore_ascii_case("content-length: 0"));
    let own = lines().any(|line| line.to_ascii_lowercase().starts_with("x-request-id:"));
    if !bare || own {
        return None;
    }
    let (code, detail) = match head.get(9..12)? {
        "414" => (ProblemCode::UriTooLong, "The URL of the request is too long."),
        "431" => (
            ProblemCode::HeadersTooLarge,
            "The request has more than 100 headers, or headers that are too long.",
        ),
        _ => (ProblemCode::MalformedRequest, "This is not a valid HTTP/1.1 request (RFC 9112)."),
    };
    let body = serde_json::to_string(&Problem::new(code, detail)).ok()?;
    let date = lines().find(|line| line.to_ascii_lowercase().starts_with("date:"));
    let date = date.map(|line| format!("{line}\r\n")).unwrap_or_default();
    let status = head.split("\r\n").next()?;
    let length = body.len();
    Some(
        format!(
            "{status}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n\
             cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\
             {date}\r\n{body}"
        )
        .into_bytes(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const BARE: &[u8] =
        b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\ndate: Sun\r\n\r\n";

    #[test]
    fn empty_refusal_gets_a_problem_body() {
        let answer = String::from_utf8(with_reason(BARE).unwrap()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
        assert!(head.contains("\r\ndate: Sun") && head.contains("\r\nconnection: close"), "{head}");
        let length = format!("content-length: {}", body.len());
        assert!(head.contains(&length), "{head}");
        let problem: Problem = serde_json::from_str(body).unwrap();
        assert_eq!((problem.code, problem.status), (ProblemCode::HeadersTooLarge, 431));
    }

    #[test]
    fn own_responses_and_other_bytes_pass_unchanged() {
        for bytes in [
            &b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nx-request-id: 1\r\n\r\n"[..],
            b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 3\r\n\r\nabc",
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 9\r\n\r\n",
            b"",
        ] {
            assert_eq!(with_reason(bytes), None, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[tokio::test]
    async fn problem_body_arrives_completely_through_a_small_buffer() {
        let (near, mut far) = duplex(7);
        let writer = tokio::spawn(async move {
            let mut stream = WithReasons::new(near, Arc::default());
            stream.write_all(BARE).await.unwrap();
            stream.shutdown().await.unwrap();
        });
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        writer.await.unwrap();
        assert_eq!(Some(all), with_reason(BARE));
    }

    proptest! {
        #[test]
        fn any_bytes_never_panic(bytes in any::<Vec<u8>>()) {
            let _ = with_reason(&bytes);
            let _ = with_reason(&[b"HTTP/1.1 4", &bytes[..], b"\r\n\r\n"].concat());
        }
    }
}
