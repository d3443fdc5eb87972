//! The requests of a run: one request, with a different token each time.

use std::{cell::Cell, fmt::Write as _};

use crate::Outcome;

/// The placeholder for the token in a request.
pub(crate) const TOKEN: &str = "{token}";

/// The order of the tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Random, with repetition.
    Random,
    /// In sequence, so that no token repeats before all were sent.
    Once,
}

/// A request and the tokens to insert into it.
pub(crate) struct Requests {
    /// The request with its first token.
    bytes: Vec<u8>,
    place: usize,
    tokens: Vec<String>,
    order: Order,
    state: Cell<u64>,
}

impl Requests {
    /// Creates requests from a path, headers or body that contain `{token}`. All tokens must have
    /// the same length, so that all requests have.
    pub(crate) fn new(
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
        tokens: Vec<String>,
        order: Order,
    ) -> Outcome<Self> {
        let first = tokens.first().cloned().unwrap_or_default();
        if tokens.iter().any(|token| token.len() != first.len()) {
            return Err("all tokens must have the same length".into());
        }
        let body_length = body.replace(TOKEN, &first).len();
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            write!(text, "{name}: {value}\r\n")?;
        }
        if method != "GET" {
            write!(text, "Content-Length: {body_length}\r\n")?;
        }
        text += "\r\n";
        text += body;
        let place = text.find(TOKEN).unwrap_or_default();
        if text.matches(TOKEN).count() != usize::from(!tokens.is_empty()) {
            return Err("a request must have exactly one place for its token".into());
        }
        let bytes = text.replace(TOKEN, &first).into_bytes();
        let state = match order {
            Order::Random => 0x9E37_79B9_7F4A_7C15,
            Order::Once => 0,
        };
        Ok(Self { bytes, place, tokens, order, state: Cell::new(state) })
    }

    /// Returns the request with its first token.
    pub(crate) fn first(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the request with another text in the token's place.
    pub(crate) fn with(&self, token: &str) -> Outcome<Vec<u8>> {
        let mut bytes = self.bytes.clone();
        bytes
            .get_mut(self.place..self.place + token.len())
            .filter(|_| self.tokens.first().is_some_and(|first| first.len() == token.len()))
            .ok_or("the token has a different length")?
            .copy_from_slice(token.as_bytes());
        Ok(bytes)
    }

    /// Reports whether a token was sent twice although each should be sent only once.
    pub(crate) fn is_repeated(&self) -> bool {
        matches!(self.order, Order::Once) && self.state.get() > self.tokens.len() as u64
    }

    /// Turns a request into the next one.
    pub(crate) fn advance(&self, request: &mut [u8]) {
        if self.tokens.is_empty() {
            return;
        }
        let number = match self.order {
            Order::Random => random(&self.state),
            Order::Once => {
                let number = self.state.get();
                self.state.set(number.wrapping_add(1));
                number
            }
        };
        let index = number % self.tokens.len() as u64;
        let token = &self.tokens[usize::try_from(index).unwrap_or_default()];
        request[self.place..self.place + token.len()].copy_from_slice(token.as_bytes());
    }
}

/// Returns the next number of Marsaglia's xorshift. The order need not be secret.
pub(crate) fn random(state: &Cell<u64>) -> u64 {
    let mut x = state.get();
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    state.set(x);
    // The low bits of the state are the weaker ones.
    x.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_states_its_length_and_uses_each_token_in_turn() {
        let tokens = vec!["aa".to_owned(), "bb".to_owned()];
        let body = "{\"t\":\"{token}\"}";
        let requests =
            Requests::new("POST", "/v", &[("A", "b")], body, tokens, Order::Once).unwrap();
        let mut request = requests.first().to_vec();
        let text = |request: &[u8]| String::from_utf8(request.to_vec()).unwrap();
        assert_eq!(
            text(&request),
            "POST /v HTTP/1.1\r\nHost: localhost\r\nA: b\r\nContent-Length: 10\r\n\r\n{\"t\":\"aa\"}"
        );
        let seen: Vec<_> = (0..2)
            .map(|_| {
                requests.advance(&mut request);
                text(&request).contains("aa")
            })
            .collect();
        assert_ne!(seen[0], seen[1]);
        assert!(text(&requests.with("zz").unwrap()).ends_with("{\"t\":\"zz\"}"));
        assert!(requests.with("longer").is_err());
    }
}
