//! The console's small cookies: the theme, and the notice for the next page. `request::cookies` has
//! the session cookie.

use app::{
    notice::{self, Notice},
    theme::{self, Theme},
};
use http::{HeaderMap, HeaderValue};

use crate::request::cookies::pairs;

/// A year, in seconds. The theme is not a secret.
const YEAR_S: u32 = 31_536_000;
/// The longest time a redirect may take, in seconds.
const NOTICE_S: u32 = 60;

/// Returns the first value of a cookie.
fn read<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    pairs(headers).find_map(|(name, value)| (name == wanted).then_some(value))
}

/// Returns the theme that the browser has stored.
pub(super) fn theme(headers: &HeaderMap) -> Theme {
    read(headers, theme::COOKIE).and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// Returns the `Set-Cookie` value that stores a theme.
pub(super) fn keep_theme(theme: Theme, is_secure: bool) -> HeaderValue {
    cookie(theme::COOKIE, theme.as_str(), YEAR_S, is_secure)
}

/// Returns the notice that the previous page left.
pub(super) fn notice(headers: &HeaderMap) -> Option<Notice> {
    read(headers, notice::COOKIE).and_then(Notice::from_cookie)
}

/// Returns the `Set-Cookie` value with a notice for the next page.
pub(super) fn leave_notice(notice: &Notice, is_secure: bool) -> HeaderValue {
    cookie(notice::COOKIE, &notice.to_cookie(), NOTICE_S, is_secure)
}

/// Returns the `Set-Cookie` value that removes the notice after it was shown.
pub(super) fn clear_notice(is_secure: bool) -> HeaderValue {
    cookie(notice::COOKIE, "", 0, is_secure)
}

/// Returns a `Set-Cookie` value. `value` contains only letters, digits and hyphens: its callers
/// ensure this.
fn cookie(name: &str, value: &str, seconds: u32, is_secure: bool) -> HeaderValue {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use http::header;

    use super::*;

    fn headers(line: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        headers
    }

    #[test]
    fn invalid_theme_falls_back_to_system() {
        assert_eq!(theme(&headers("a=b; theme=dark")), Theme::Dark);
        assert_eq!(theme(&headers("a=é; theme=dark")), Theme::Dark);
        assert_eq!(theme(&headers("theme=\"><script>")), Theme::System);
        assert_eq!(theme(&HeaderMap::new()), Theme::System);
    }

    #[test]
    fn notice_round_trips_through_its_cookie() {
        let left = Notice::TokenDeleted { name: "a; Path=/x".into() };
        let value = leave_notice(&left, true);
        let value = value.to_str().unwrap();
        assert!(value.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=60; Secure"));
        let pair = value.split(';').next().unwrap();
        assert_eq!(notice(&headers(pair)), Some(left));
        assert_eq!(notice(&headers("notice=deadbeef")), None);
    }
}
