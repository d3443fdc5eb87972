//! Finds the end of a response (RFC 9112 section 6).

/// The layout of the last response. Most responses of a run have the same layout, so it is tried
/// first.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layout {
    head: usize,
    /// The total length, or 0 if the head contains no length.
    whole: usize,
    /// The position of the value of `Content-Length`.
    length: (usize, usize),
    value: usize,
    /// Whether the server closes the connection after this response.
    pub(crate) is_last: bool,
}

impl Layout {
    /// Reports whether `bytes` contain a complete response.
    pub(crate) fn is_whole(&mut self, bytes: &[u8]) -> bool {
        if self.whole != 0
            && bytes.len() == self.whole
            && bytes[..self.head].ends_with(b"\r\n\r\n")
            && number(&bytes[self.length.0..self.length.1]) == Some(self.value)
        {
            return true;
        }
        *self = Self::default();
        let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
        else {
            return false;
        };
        self.head = head;
        self.is_last = field(&bytes[..head], b"connection:")
            .is_some_and(|(from, to)| bytes[from..to].eq_ignore_ascii_case(b"close"));
        if let Some((from, to)) = field(&bytes[..head], b"content-length:") {
            let Some(value) = number(&bytes[from..to]) else { return false };
            self.length = (from, to);
            self.value = value;
            self.whole = head + value;
            return bytes.len() >= self.whole;
        }
        // Chunks end with an empty one. A response without chunks and length has no body.
        field(&bytes[..head], b"transfer-encoding:").is_none() || bytes.ends_with(b"\r\n0\r\n\r\n")
    }
}

/// Returns the position of a field's value in a head, without surrounding white space.
pub(crate) fn field(head: &[u8], name: &[u8]) -> Option<(usize, usize)> {
    let mut from = 0;
    for line in head.split(|byte| *byte == b'\n') {
        if line.len() >= name.len() && line[..name.len()].eq_ignore_ascii_case(name) {
            let value = &line[name.len()..];
            let begin = value.iter().position(|byte| !byte.is_ascii_whitespace())?;
            let end = value.iter().rposition(|byte| !byte.is_ascii_whitespace())? + 1;
            return Some((from + name.len() + begin, from + name.len() + end));
        }
        from += line.len() + 1;
    }
    None
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn response_is_complete_only_with_its_last_byte() {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX: y\r\n\r\nabc"[..],
            b"HTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        ] {
            let mut layout = Layout::default();
            for end in 0..answer.len() {
                assert!(!layout.is_whole(&answer[..end]), "{end}");
            }
            assert!(layout.is_whole(answer));
            assert!(layout.is_whole(answer), "the second response with this layout");
        }
    }

    #[test]
    fn cached_layout_does_not_hide_a_different_length() {
        let mut layout = Layout::default();
        assert!(layout.is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"));
        assert!(!layout.is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc"));
        assert!(layout.is_whole(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabcde"));
    }
}
