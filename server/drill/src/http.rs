//! A minimal HTTP/1.1 client on a persistent connection: one request at a time, bodies with a
//! length.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// More than any response here has.
const ANSWER_MAX: usize = 64 * 1024;

/// A connection to a replica.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A response in the connection's buffer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) head: &'a [u8],
    pub(crate) body: &'a [u8],
    /// Whether the server keeps the connection open.
    pub(crate) kept: bool,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4_096) })
    }

    /// Sends a request and reads its response. `patience` limits both together.
    pub(crate) async fn ask(
        &mut self,
        request: &[u8],
        patience: Duration,
    ) -> io::Result<Reply<'_>> {
        timeout(patience, self.exchange(request)).await?
    }

    async fn exchange(&mut self, request: &[u8]) -> io::Result<Reply<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(head) = head_length(&self.buffer) {
                break head;
            }
            self.read().await?;
        };
        let length = content_length(&self.buffer[..head])?;
        while self.buffer.len() < head + length {
            self.read().await?;
        }
        let (head, rest) = self.buffer.split_at(head);
        let kept =
            header(head, b"connection").is_none_or(|value| !value.eq_ignore_ascii_case(b"close"));
        Ok(Reply { status: status(head)?, head, body: &rest[..length], kept })
    }

    async fn read(&mut self) -> io::Result<()> {
        if self.buffer.len() > ANSWER_MAX {
            return Err(broken("the response is too long"));
        }
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

/// A response with its own memory.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reports whether the request succeeded.
    pub(crate) const fn is_done(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// Returns a string in the JSON body, by the names on its path.
    pub(crate) fn text(&self, path: &[&str]) -> Option<String> {
        let json: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let found = path.iter().try_fold(&json, |value, name| value.get(name))?;
        found.as_str().map(str::to_owned)
    }
}

/// Sends one request on a new connection.
pub(crate) async fn call(
    address: SocketAddr,
    request: &[u8],
    patience: Duration,
) -> io::Result<Answer> {
    timeout(patience, async {
        let mut connection = Connection::open(address).await?;
        let reply = connection.exchange(request).await?;
        Ok(Answer {
            status: reply.status,
            head: String::from_utf8_lossy(reply.head).into_owned(),
            body: reply.body.to_vec(),
        })
    })
    .await?
}

/// Returns a request. `headers` are whole lines, each with its line ending.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}{kind}content-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Returns the value of the first header with this name, which must be in lower case.
pub(crate) fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|byte| *byte == b'\n').skip(1).find_map(|line| {
        let (given, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        given.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// Returns the value of the first field `"code"` of a JSON text without spaces.
pub(crate) fn code(body: &[u8]) -> Option<&str> {
    const FIELD: &[u8] = b"\"code\":\"";
    let begin = body.windows(FIELD.len()).position(|window| window == FIELD)? + FIELD.len();
    let rest = &body[begin..];
    let end = rest.iter().position(|byte| *byte == b'"')?;
    std::str::from_utf8(&rest[..end]).ok()
}

fn head_length(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

fn content_length(head: &[u8]) -> io::Result<usize> {
    if header(head, b"transfer-encoding").is_some() {
        return Err(broken("the response has no length"));
    }
    let Some(value) = header(head, b"content-length") else { return Ok(0) };
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .filter(|length| *length <= ANSWER_MAX)
        .ok_or_else(|| broken("the response's length is invalid"))
}

fn status(head: &[u8]) -> io::Result<u16> {
    head.get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| broken("the response has no status"))
}

fn broken(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nX-Code: VALID\r\nContent-Length: 5\r\n\r\n";

    #[test]
    fn parts_of_a_response_are_found() {
        assert_eq!(head_length(HEAD), Some(HEAD.len()));
        assert_eq!(head_length(&HEAD[..HEAD.len() - 1]), None);
        assert_eq!(status(HEAD).unwrap(), 200);
        assert_eq!(content_length(HEAD).unwrap(), 5);
        assert_eq!(header(HEAD, b"x-code"), Some(&b"VALID"[..]));
        assert_eq!(header(HEAD, b"x-co"), None);
        assert!(status(b"HTTP/1.1").is_err());
        assert!(content_length(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n").is_err());
        assert!(content_length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn code_is_read_only_from_its_field() {
        assert_eq!(code(br#"{"valid":true,"code":"VALID","name":"x"}"#), Some("VALID"));
        assert_eq!(code(br#"{"valid":false}"#), None);
        assert_eq!(code(br#"{"code":"VA"#), None);
    }
}
