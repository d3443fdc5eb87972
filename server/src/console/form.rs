//! The submitted fields: `application/x-www-form-urlencoded`, with fields that may repeat.

use domain::problem::{Problem, ProblemCode};
use http::{HeaderMap, header};

/// Reports whether the values of this field must never leave the request.
fn is_secret(name: &str) -> bool {
    name.ends_with("password")
}

/// The fields of a form in their original order.
#[derive(Clone, Default)]
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    /// Parses the body of a request.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Box<Problem>> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
        if !media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(Box::new(Problem::new(
                ProblemCode::UnsupportedMediaType,
                "Send the form as application/x-www-form-urlencoded.",
            )));
        }
        serde_urlencoded::from_bytes(body).map(Self).map_err(|_| {
            Box::new(Problem::new(
                ProblemCode::MalformedRequest,
                "Can't read the fields of the form.",
            ))
        })
    }

    /// Returns the first value of a field, or an empty string if there is none.
    pub(super) fn one(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// Returns the first value of a field as submitted, for a service that checks it.
    pub(super) fn text(&self, name: &str) -> String {
        self.one(name).to_owned()
    }

    /// Returns every value of a field that may repeat.
    pub(super) fn all<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Returns the items of a field that contains a list, separated by commas, white space or line
    /// breaks.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.all(name)
            .flat_map(|text| {
                text.split(|character: char| character == ',' || character.is_whitespace())
            })
            .filter(|part| !part.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// Returns the fields that may be shown again.
    pub(super) fn shown(self) -> Vec<(String, String)> {
        self.0.into_iter().filter(|(name, _)| !is_secret(name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(body: &[u8]) -> Result<Form, Box<Problem>> {
        let mut headers = HeaderMap::new();
        let value = "application/x-www-form-urlencoded; charset=UTF-8";
        headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
        Form::read(&headers, body)
    }

    #[test]
    fn repeated_field_keeps_its_values_in_order() {
        let form = read(b"scope=a%3Ab&name=x+y&scope=c&scope=").unwrap();
        assert_eq!(form.all("scope").collect::<Vec<_>>(), ["a:b", "c", ""]);
        assert_eq!(form.one("name"), "x y");
        assert_eq!(form.one("absent"), "");
    }

    #[test]
    fn list_is_split_at_commas_and_white_space() {
        let form = read(b"ip_allow=10.0.0.0%2F8%2C+192.0.2.1%0D%0A%0D%0A2001:db8::/32,,").unwrap();
        assert_eq!(form.list("ip_allow"), ["10.0.0.0/8", "192.0.2.1", "2001:db8::/32"]);
        assert!(form.list("absent").is_empty());
    }

    #[test]
    fn password_is_not_shown_again() {
        let shown =
            read(b"email=a%40b&password=hunter2&password=x&new_password=y").unwrap().shown();
        assert_eq!(shown, [("email".to_owned(), "a@b".to_owned())]);
    }

    #[test]
    fn other_content_types_are_refused() {
        for content_type in [
            None,
            Some("application/json"),
            Some("multipart/form-data; boundary=x"),
            Some("text/plain"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(content_type) = content_type {
                headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
            }
            let error = Form::read(&headers, b"a=b").err().unwrap();
            assert_eq!(error.code, ProblemCode::UnsupportedMediaType);
        }
    }

    proptest! {
        #[test]
        fn parsing_any_body_never_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(form) = read(&body) {
                let _ = (form.one("a").len(), form.list("a"), form.shown());
            }
        }

        #[test]
        fn encoded_values_round_trip(
            values in proptest::collection::vec(("[a-c]", any::<String>()), 0..8),
        ) {
            let body = serde_urlencoded::to_string(&values).unwrap();
            let form = read(body.as_bytes()).unwrap();
            for name in ["a", "b", "c"] {
                let typed: Vec<_> = values
                    .iter()
                    .filter(|(field, _)| field == name)
                    .map(|(_, value)| value.as_str())
                    .collect();
                prop_assert_eq!(form.all(name).collect::<Vec<_>>(), typed);
            }
        }
    }
}
