//! A small HTTP/1.1 client: one request per connection, with everything under the test's control.

use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::Duration,
};

use serde_json::Value;

const PATIENCE: Duration = Duration::from_mins(1);

/// A builder for a request.
#[derive(Clone, Debug)]
pub struct Request {
    address: String,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers in the order of arrival, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A request to `address` (`127.0.0.1:3000`, or `unix:` and the path of a socket).
    pub fn new(address: &str, method: &str, path: &str) -> Self {
        Self {
            address: address.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// Adds a header. A name may repeat.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Presents a token.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sets the body to these bytes.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.body = bytes.into();
        self
    }

    /// Sets the body to JSON.
    #[must_use]
    pub fn json(self, value: &Value) -> Self {
        self.header("content-type", "application/json").body(value.to_string())
    }

    /// Sets the body to a form, as a browser does.
    #[must_use]
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = serde_urlencoded::to_string(fields).expect("pairs of text are a form");
        self.header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    /// Sends the request. Fails the test if there is no response.
    #[track_caller]
    pub fn send(self) -> Answer {
        let what = format!("{} {}", self.method, self.path);
        self.try_send().unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// Sends the request.
    pub fn try_send(self) -> io::Result<Answer> {
        if let Some(path) = self.address.strip_prefix("unix:") {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            return self.send_on(stream);
        }
        let stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        self.send_on(stream)
    }

    fn send_on(&self, mut stream: impl Read + Write) -> io::Result<Answer> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.path);
        let given =
            |wanted: &str| self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if !given("host") {
            let host = if self.address.starts_with("unix:") { "localhost" } else { &self.address };
            let _ = write!(head, "host: {host}\r\n");
        }
        let bodiless = self.body.is_empty() && matches!(self.method.as_str(), "GET" | "HEAD");
        if !bodiless && !given("content-length") && !given("transfer-encoding") {
            let _ = write!(head, "content-length: {}\r\n", self.body.len());
        }
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("connection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        // A server may answer and close before it has read a body that is too large.
        let _ = stream.write_all(&self.body);
        let mut bytes = Vec::new();
        match stream.read_to_end(&mut bytes) {
            Err(error) if bytes.is_empty() => return Err(error),
            _ => {}
        }
        parse(&bytes, self.method == "HEAD")
    }
}

impl Answer {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. Fails the test if it is not JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}: {}", self.status, self.text()))
    }

    /// Fails the test unless this is the status. Returns the response.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

fn parse(bytes: &[u8], headless: bool) -> io::Result<Answer> {
    let broken = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let end = end.ok_or_else(|| broken("the answer has no end of headers"))?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| broken("headers are not text"))?;
    let mut lines = head.split("\r\n");
    let status =
        lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let chunked =
        headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let rest = &bytes[end + 4..];
    let body = match (headless, chunked) {
        (true, _) => Vec::new(),
        (false, true) => {
            unchunk(rest).ok_or_else(|| broken("the answer ends in the middle of a chunk"))?
        }
        (false, false) => rest.to_vec(),
    };
    Ok(Answer { status: status.ok_or_else(|| broken("the answer has no status"))?, headers, body })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(line + 2..line + 2 + size)?);
        rest = rest.get(line + 2 + size + 2..)?;
    }
}
