//! Sends the same requests over HTTP/2 (RFC 9113), one after the other on one connection.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use super::{PATIENCE, Requests, address, now};
use crate::Outcome;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;
/// `:status: 200` of the static table (RFC 7541 appendix A).
const OK: u8 = 0x88;

/// Sends requests for the given time, and returns the number of responses. Every response must be a
/// success.
pub(crate) fn run(url: &str, requests: &Requests, seconds: f64) -> Outcome<u64> {
    let mut connection = Connection::open(url)?;
    let mut request = requests.first().to_vec();
    let head =
        request.windows(4).position(|four| four == b"\r\n\r\n").ok_or("the request has no head")?;
    let block = block(std::str::from_utf8(&request[..head])?)?;
    let end = now() + Duration::from_secs_f64(seconds);
    let (mut answers, mut stream) = (0, 1);
    while now() < end {
        requests.advance(&mut request);
        connection.ask(stream, &block, &request[head + 4..])?;
        answers += 1;
        stream += 2;
    }
    Ok(answers)
}

struct Connection(TcpStream);

impl Connection {
    fn open(url: &str) -> Outcome<Self> {
        let mut stream = TcpStream::connect(address(url))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut begin = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        frame(&mut begin, SETTINGS, 0, 0, &[])?;
        // A connection window that no run exhausts.
        frame(&mut begin, WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes())?;
        stream.write_all(&begin)?;
        Ok(Self(stream))
    }

    fn ask(&mut self, stream: u32, block: &[u8], body: &[u8]) -> Outcome<()> {
        let mut frames = Vec::with_capacity(block.len() + body.len() + 18);
        frame(&mut frames, HEADERS, END_HEADERS, stream, block)?;
        frame(&mut frames, DATA, END_STREAM, stream, body)?;
        self.0.write_all(&frames)?;
        loop {
            let mut head = [0; 9];
            self.0.read_exact(&mut head)?;
            let [a, b, c, kind, flags, of @ ..] = head;
            let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c]))?];
            self.0.read_exact(&mut payload)?;
            match kind {
                SETTINGS | PING if flags & ACK == 0 => {
                    let payload = if kind == PING { &*payload } else { &[] };
                    let mut answer = Vec::new();
                    frame(&mut answer, kind, ACK, 0, payload)?;
                    self.0.write_all(&answer)?;
                }
                HEADERS if payload.first() != Some(&OK) => {
                    return Err("the server refused a stream".into());
                }
                SETTINGS | PING | WINDOW_UPDATE | HEADERS | DATA => {}
                _ => return Err(format!("unexpected frame of type {kind}").into()),
            }
            let is_answer = matches!(kind, HEADERS | DATA) && u32::from_be_bytes(of) == stream;
            if is_answer && flags & END_STREAM != 0 {
                return Ok(());
            }
        }
    }
}

/// Converts the head of an HTTP/1.1 request to HTTP/2, without compression.
fn block(head: &str) -> Outcome<Vec<u8>> {
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut block = Vec::new();
    for (name, value) in [(":method", method), (":scheme", "http"), (":path", path)] {
        literal(&mut block, name, value)?;
    }
    let fields: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
    for is_host in [true, false] {
        for (name, value) in &fields {
            let name = name.to_ascii_lowercase();
            if (name == "host") == is_host {
                literal(&mut block, if is_host { ":authority" } else { &name }, value)?;
            }
        }
    }
    Ok(block)
}

fn literal(block: &mut Vec<u8>, name: &str, value: &str) -> Outcome<()> {
    block.push(0);
    for text in [name, value] {
        // Longer texts would need a length of several bytes (RFC 7541 section 5.1).
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 127);
        block.push(length.ok_or("a header is too long")?);
        block.extend(text.bytes());
    }
    Ok(())
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Outcome<()> {
    let [_, length @ ..] = u32::try_from(payload.len())?.to_be_bytes();
    bytes.extend(length);
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_of_http_1_becomes_a_block_that_begins_with_pseudo_headers() {
        let block = block("POST /v HTTP/1.1\r\nA: b\r\nHost: localhost").unwrap();
        let mut wanted = Vec::new();
        for (name, value) in [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/v"),
            (":authority", "localhost"),
            ("a", "b"),
        ] {
            literal(&mut wanted, name, value).unwrap();
        }
        assert_eq!(block, wanted);
        assert!(literal(&mut wanted, "a", &"x".repeat(127)).is_err());
    }
}
