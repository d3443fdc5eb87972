//! Detects the HTTP version of a connection from its first bytes.
//!
//! A client that speaks HTTP/2 without TLS by prior knowledge begins with a text that no HTTP/1.1
//! request can begin with (RFC 9113 section 3.4). At most these 24 bytes are read to detect it, and
//! then replayed, so that the connection is served from its beginning.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.1, or not HTTP at all.
    One,
    /// HTTP/2 with prior knowledge.
    Two,
}

/// A connection whose first bytes were already read.
#[derive(Debug)]
pub(super) struct Seen<S> {
    stream: S,
    bytes: [u8; PREFACE.len()],
    given: usize,
    read: usize,
}

/// Reads as few bytes as determine the version. A peer that sends nothing more is left to HTTP/1.1.
pub(super) async fn look<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<(Version, Seen<S>)> {
    let mut bytes = [0; PREFACE.len()];
    let mut read = 0;
    let version = loop {
        let more = stream.read(&mut bytes[read..]).await?;
        read += more;
        if more == 0 || !PREFACE.starts_with(&bytes[..read]) {
            break Version::One;
        }
        if read == PREFACE.len() {
            break Version::Two;
        }
    };
    Ok((version, Seen { stream, bytes, given: 0, read }))
}

impl<S: AsyncRead + Unpin> AsyncRead for Seen<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.given == self.read {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = buffer.remaining().min(self.read - self.given);
        buffer.put_slice(&self.bytes[self.given..self.given + length]);
        self.given += length;
        if buffer.remaining() > 0 {
            // This is usually the rest of the first request, so one read suffices instead of two.
            // An error reappears at the next read.
            let _ = Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Seen<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    /// Returns the version and the bytes that a server reads when bytes arrive in pieces of this
    /// size.
    fn seen(bytes: &[u8], piece: usize) -> (Version, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = duplex(piece);
            let sent = bytes.to_owned();
            let writer = async move {
                far.write_all(&sent).await.unwrap();
                drop(far);
            };
            let reader = async {
                let (version, mut stream) = look(near).await.unwrap();
                let mut read = Vec::new();
                stream.read_to_end(&mut read).await.unwrap();
                (version, read)
            };
            tokio::join!(writer, reader).1
        })
    }

    #[test]
    fn only_the_complete_preface_is_http_2() {
        for piece in [1, 5, 24, 100] {
            let (version, _) = seen(&[PREFACE, &b"rest"[..]].concat(), piece);
            assert_eq!(version, Version::Two);
            for other in
                [&b""[..], b"P", b"POST / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"]
            {
                assert_eq!(seen(other, piece).0, Version::One);
            }
        }
    }

    proptest! {
        #[test]
        fn detection_loses_no_bytes(
            begin in 0..=PREFACE.len(),
            rest in proptest::collection::vec(any::<u8>(), 0..200),
            piece in 1..64_usize,
        ) {
            let bytes = [&PREFACE[..begin], &rest].concat();
            let (version, read) = seen(&bytes, piece);
            prop_assert_eq!(version == Version::Two, bytes.starts_with(PREFACE));
            prop_assert_eq!(read, bytes);
        }
    }
}
