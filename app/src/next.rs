//! The path that the browser opens after signing in, restricted to paths of this server.

/// The longest accepted path, in bytes.
const MAX: usize = 2_000;

/// Returns `next` if it is a path on this server. Returns `None` for everything else, above all for
/// addresses of other servers, including the disguised forms that browsers accept.
pub fn local(next: &str) -> Option<&str> {
    let mut bytes = next.bytes();
    let rooted = bytes.next() == Some(b'/');
    // Browsers read `//host` and `/\host` as addresses of other servers.
    let second = bytes.next();
    let stays = !matches!(second, Some(b'/' | b'\\'));
    // Browsers drop tabs and line breaks before they parse a URL, and treat a backslash as a slash.
    let plain = next
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'"' && byte != b'<');
    (rooted && stays && plain && next.len() <= MAX).then_some(next)
}

/// Returns `next` if it is a path on this server, and the list of workspaces otherwise.
pub fn or_home(next: Option<&str>) -> &str {
    next.and_then(local).unwrap_or(HOME)
}

/// The page that opens after signing in if the request names no other.
pub const HOME: &str = "/workspaces";

/// Percent-encodes a text for use as the value of a query field. RFC 3986's unreserved characters
/// and `/` stay as they are.
pub fn escape(text: &str) -> String {
    use std::fmt::Write;

    text.bytes().fold(String::with_capacity(text.len()), |mut escaped, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
        escaped
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_of_this_server_is_kept() {
        for path in [
            "/",
            "/workspaces",
            "/workspaces/a/settings/tokens?q=x&state=active",
            "/a//b",
            "/a%20b#c",
        ] {
            assert_eq!(local(path), Some(path));
        }
    }

    #[test]
    fn address_of_another_server_is_not_kept() {
        for next in [
            "",
            "https://evil.example",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "javascript:alert(1)",
            " /workspaces",
            "workspaces",
            "/a b",
            "/é",
            "/a\r\nSet-Cookie: x=y",
        ] {
            assert_eq!(local(next), None, "{next:?}");
        }
        assert_eq!(local(&format!("/{}", "a".repeat(MAX))), None);
        assert_eq!(or_home(Some("//x")), HOME);
    }

    #[test]
    fn escaped_text_cannot_break_out_of_its_field() {
        assert_eq!(escape("/a?b=c&d=é#f"), "/a%3Fb%3Dc%26d%3D%C3%A9%23f");
    }
}
