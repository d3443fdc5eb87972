//! HTTP/2 by hand (RFC 9113): frames as bytes, so that a test can break every rule.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use tokio::time::Instant;

use super::wait::PATIENCE;

/// Frame types (RFC 9113 section 6).
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
}

/// `END_STREAM`.
pub const END_STREAM: u8 = 1;
/// `END_HEADERS`.
pub const END_HEADERS: u8 = 4;
/// `ACK` of settings and pings.
pub const ACK: u8 = 1;

/// A received frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, or 0 for the connection.
    pub stream: u32,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A connection.
#[derive(Debug)]
pub struct Connection(TcpStream);

impl Connection {
    /// Connects and sends the preface with empty settings.
    #[track_caller]
    pub fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a time");
        let mut connection = Self(stream);
        connection.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        connection.send(&frame(kind::SETTINGS, 0, 0, &[]));
        connection
    }

    /// Sends bytes.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("the connection is open");
    }

    /// Reads the next frame. Returns `None` when the connection is closed.
    pub fn next(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).expect("24 bits")];
        self.0.read_exact(&mut payload).ok()?;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// Reads the next frame like `next`, but fails the test after the deadline. For loops that wait for
    /// a certain frame, because the server may send others without end.
    #[track_caller]
    pub fn next_before(&mut self, deadline: Instant) -> Option<Frame> {
        assert!(Instant::now() < deadline, "waited in vain for a frame");
        self.next()
    }

    /// Reads until a frame of this type that is not an `ACK`. Answers pings on the way.
    #[track_caller]
    pub fn wait_for(&mut self, wanted: u8) -> Frame {
        self.wait_for_any(&[wanted])
    }

    /// Reads until a frame of one of these types that is not an `ACK`. Answers pings on the way.
    #[track_caller]
    pub fn wait_for_any(&mut self, wanted: &[u8]) -> Frame {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let frame = self
                .next_before(deadline)
                .unwrap_or_else(|| panic!("the end before a frame {wanted:?}"));
            let is_ack = frame.flags & ACK != 0;
            if frame.kind == kind::PING && !is_ack {
                self.send(&self::frame(kind::PING, ACK, 0, &frame.payload));
            }
            let acknowledges = matches!(frame.kind, kind::PING | kind::SETTINGS) && is_ack;
            if wanted.contains(&frame.kind) && !acknowledges {
                return frame;
            }
        }
    }
}

/// The bytes of a frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// The headers of a request. Only the names in RFC 7541's static table are compressed.
pub fn request(method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    request_at("tessera.example", method, path, more)
}

/// The headers of a request to this host.
pub fn request_at(host: &str, method: &str, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    // :scheme http
    let mut block = vec![0x86];
    for (name, value) in [(1, host), (2, method), (4, path)] {
        block.push(name);
        literal(&mut block, value);
    }
    for (name, value) in more {
        block.push(0);
        literal(&mut block, name);
        literal(&mut block, value);
    }
    block
}

/// Adds a text without compression (RFC 7541 section 5.2).
pub fn literal(block: &mut Vec<u8>, text: &str) {
    // A length above 126 has a prefix and continues in groups of seven bits (RFC 7541 section 5.1).
    if text.len() < 127 {
        block.push(u8::try_from(text.len()).expect("checked"));
    } else {
        block.push(127);
        let mut rest = text.len() - 127;
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).expect("seven bits") | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).expect("seven bits"));
    }
    block.extend(text.bytes());
}
