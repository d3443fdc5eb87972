//! The reader's place in the list, as its URL describes it.
//!
//! Search, filter, order and page are part of the URL, so that a reload, a bookmark and the back
//! button show the same rows. The router decodes a query twice, which would break a search for
//! `%41`, so this module reads the raw query.

use domain::{
    ids::TokenId,
    token::TokenState,
    token_query::{TokenQuery, TokenSort},
};

/// A place in the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The search text.
    pub q: String,
    /// The state to which the list is filtered.
    pub state: Option<TokenState>,
    /// Whether only tokens that were never used are shown.
    pub never_used: bool,
    /// The order.
    pub sort: TokenSort,
    /// The cursor at which the page begins.
    pub cursor: Option<String>,
    /// The token that was just created. Its row is marked.
    pub created: Option<TokenId>,
}

impl Place {
    /// Parses a URL's query, with or without its question mark. Ignores unknown fields and values.
    pub fn read(query: &str) -> Self {
        let mut place = Self::default();
        for (name, value) in pairs(query) {
            match name.as_str() {
                "q" => value.trim().clone_into(&mut place.q),
                "state" => place.state = value.parse().ok(),
                "never_used" => place.never_used = value == "true",
                "sort" => place.sort = value.parse().unwrap_or_default(),
                "cursor" => place.cursor = Some(value).filter(|cursor| !cursor.is_empty()),
                "created" => place.created = value.parse().ok(),
                _ => {}
            }
        }
        place
    }

    /// Returns the query for the service.
    pub fn to_query(&self) -> TokenQuery {
        TokenQuery {
            state: self.state,
            q: self.q.clone(),
            never_used: self.never_used,
            sort: self.sort,
            cursor: self.cursor.clone(),
            ..TokenQuery::default()
        }
    }

    /// Returns the URL's query with its question mark. It is empty for the list's defaults.
    pub fn to_search(&self) -> String {
        let mut search = String::new();
        let mut push = |name: &str, value: &str| {
            search.push(if search.is_empty() { '?' } else { '&' });
            search.push_str(name);
            search.push('=');
            escape(value, &mut search);
        };
        if !self.q.is_empty() {
            push("q", &self.q);
        }
        if let Some(state) = self.state {
            push("state", state.as_str());
        }
        if self.never_used {
            push("never_used", "true");
        }
        if self.sort != TokenSort::default() {
            push("sort", self.sort.as_str());
        }
        if let Some(cursor) = &self.cursor {
            push("cursor", cursor);
        }
        if let Some(created) = self.created {
            push("created", &created.to_string());
        }
        search
    }

    /// Returns whether the search or a filter may hide rows.
    pub fn is_filtered(&self) -> bool {
        !self.q.is_empty() || self.state.is_some() || self.never_used
    }

    /// Returns the same search and order, from the first row on and without a marked row.
    #[must_use]
    pub fn from_start(&self) -> Self {
        Self { cursor: None, created: None, ..self.clone() }
    }
}

/// Parses the pairs of a query in `application/x-www-form-urlencoded` (WHATWG URL, section 5.1).
pub fn pairs(query: &str) -> impl Iterator<Item = (String, String)> {
    query.trim_start_matches('?').split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (unescape(name), unescape(value))
    })
}

/// Appends a value in the encoding of a query.
pub fn escape(text: &str, into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            into.push(char::from(byte));
        } else {
            into.push('%');
            into.push(char::from(DIGITS[usize::from(byte >> 4)]));
            into.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        plain.push(match (escaped, bytes[at]) {
            (None, b'+') => b' ',
            (Some(byte), _) | (None, byte) => byte,
        });
        at += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_survives_a_round_trip_through_its_url() {
        let place = Place {
            q: "50%41 & more + ü 🙂".into(),
            state: Some(TokenState::Expired),
            never_used: true,
            sort: TokenSort::Name,
            cursor: Some("a=b/c".into()),
            created: "019aa9b2-7c1e-7d5a-9f0e-4b1c2d3e4f50".parse().ok(),
        };
        assert_eq!(Place::read(&place.to_search()), place);
        assert_eq!(Place::default().to_search(), "");
    }

    #[test]
    fn form_query_of_a_browser_is_parsed() {
        let place = Place::read("?q=my+token&state=&sort=newest");
        assert_eq!(place, Place { q: "my token".into(), ..Place::default() });
    }

    #[test]
    fn invalid_query_falls_back_to_the_default_list() {
        for query in ["", "?", "state=nope&sort=nope&created=x&%", "&&=", "q=%zz%"] {
            let place = Place::read(query);
            assert_eq!(Place { q: String::new(), ..place }, Place::default(), "{query}");
        }
        assert_eq!(Place::read("q=%+1").q, "% 1");
    }

    #[test]
    fn repeated_names_are_all_read() {
        let scopes: Vec<_> = pairs("scope=a%3Ar&scope=b").map(|(_, value)| value).collect();
        assert_eq!(scopes, ["a:r", "b"]);
    }
}
