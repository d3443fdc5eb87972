//! The parts of a database URL that may be parsed and shown.
//!
//! A password that is not percent-encoded can end up in any part of a URL:
//! `postgres://u:12/secret@h/d` has the host `u` and the path `/secret@h/d`. Such a URL would
//! neither work nor be redacted, so [`check_text`] refuses it before it is parsed or shown.

use super::UrlError;

/// Parameters that hold a password.
const PASSWORDS: &[&str] = &["password", "sslpassword"];

/// Parameters whose values may be shown.
const SHOWN: &[&str] = &[
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "application_name",
    "target_session_attrs",
    "channel_binding",
];

/// The maximum length of a parameter name that an error quotes.
const NAME_MAX: usize = 40;

/// Returns whether a parameter of a database URL holds a password.
#[must_use]
pub fn is_password(parameter: &str) -> bool {
    PASSWORDS.contains(&parameter)
}

/// Returns whether the value of this parameter of a database URL may be shown and logged.
#[must_use]
pub fn shows_value(parameter: &str) -> bool {
    SHOWN.contains(&parameter)
}

/// Refuses a URL if an unencoded password may have shifted its parts.
pub(super) fn check_text(text: &str) -> Result<(), UrlError> {
    let text = text.trim_matches(|letter: char| letter <= ' ');
    let (scheme, rest) = text.split_once("://").ok_or(UrlError::Form)?;
    if !["postgres", "postgresql"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(UrlError::Form);
    }
    // The parser silently drops these.
    let is_dropped = |letter| matches!(letter, '\t' | '\n' | '\r');
    let after_host = rest.find(['/', '?', '#']).map_or("", |end| &rest[end..]);
    if rest.contains('#') || after_host.contains('@') || rest.contains(is_dropped) {
        return Err(UrlError::Unescaped);
    }
    // A parameter that follows any character other than the first `?` would become part of a name,
    // and so would a password after an encoded colon.
    let authority = &rest[..rest.len() - after_host.len()];
    let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
    let user = user.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let (path, query) = after_host.split_once('?').unwrap_or((after_host, ""));
    let path = path.to_ascii_lowercase();
    let signs = ["&", ";", "=", "%26", "%3b", "%3d", "%3f"];
    if user.contains("%3a") || query.contains(';') || signs.iter().any(|sign| path.contains(sign)) {
        return Err(UrlError::Unescaped);
    }
    Ok(())
}

/// Refuses a value that is shown if it looks as if it contained another parameter, or a password
/// after a colon.
pub(super) fn check_shown(parameter: &str, value: &str) -> Result<(), UrlError> {
    let has_parameter = shows_value(parameter) && value.contains(['&', ';', '=', '?']);
    if has_parameter || parameter == "user" && value.contains(':') {
        return Err(UrlError::Unescaped);
    }
    Ok(())
}

/// Returns a parameter's name as errors quote it. An unknown name may be part of a password, above
/// all in a URL that has a password parameter.
pub(super) fn quoted(name: &str, has_password: bool) -> String {
    let is_name = |name: &str| {
        (1..=NAME_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    if is_name(name) && !has_password { name.to_owned() } else { "***".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_broken_by_an_unencoded_password_is_refused() {
        for text in [
            "postgres://u:12/Geheim@127.0.0.1:1/d",
            "postgres://u:12#Geheim@127.0.0.1:1/d",
            "postgres://u:12?Geheim@127.0.0.1:1/d",
            "postgres://u:?Geheim@127.0.0.1:1/d",
            "postgres://u:12?host=Geheim@127.0.0.1:1/d",
            "postgres://u:p@h/d#Geheim",
            "postgres://u:Ge\theim@h/d",
            "postgres://u:Ge\nheim@h/d",
        ] {
            assert_eq!(check_text(text), Err(UrlError::Unescaped), "{text}");
        }
        for text in
            ["postgres:u:Geheim@h/d", "postgres:/u:Geheim@h/d", "postgres:/\t/u:p@h", "Geheim", ""]
        {
            assert_eq!(check_text(text), Err(UrlError::Form), "{text}");
        }
        for text in [
            "postgres://u@h/d&password=Geheim",
            "postgres://h/d;user=u;password=Geheim",
            "postgres://u@h/d?application_name=x;password=Geheim",
            "postgres://u@h/d?host=h;password=Geheim",
            "postgres://u@h/d%3Fpassword=Geheim",
            "postgres://u@h/d%3fpassword%3dGeheim",
            "postgres://u%3AGeheim@h/d",
        ] {
            assert_eq!(check_text(text), Err(UrlError::Unescaped), "{text}");
        }
        for (parameter, value) in [
            ("user", "u:Geheim"),
            ("application_name", "x&password=Geheim"),
            ("dbname", "d;Geheim"),
        ] {
            assert_eq!(check_shown(parameter, value), Err(UrlError::Unescaped), "{value}");
        }
        assert_eq!(check_shown("host", "::1"), Ok(()));
        assert_eq!(check_shown("password", "a;b=c:d&e"), Ok(()));
        for text in [
            "postgres://u:p@ss\\w,o:rd@h/d\n",
            "POSTGRESQL://u:%2F%3F%23%40@h/d?application_name=a%40b",
            "postgres:///d?host=/run/postgresql",
        ] {
            assert_eq!(check_text(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn only_text_that_looks_like_a_name_is_quoted_and_no_part_of_a_password() {
        assert_eq!(quoted("passwrod", false), "passwrod");
        for name in ["", "Geheim", "geheim1", "a@b", "a b", &"a".repeat(41)] {
            assert_eq!(quoted(name, false), "***", "{name}");
        }
        assert_eq!(quoted("geheim", true), "***");
    }
}
