//! The query string.

use std::borrow::Cow;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use super::wording;
use crate::problem::ApiError;

/// The query, of exactly this shape. An empty text counts as absent; an empty number is invalid.
///
/// Rejects an invalid query with 422, naming the parameter.
pub(crate) struct ApiQuery<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let pairs = || form_urlencoded::parse(query.as_bytes());
    if pairs().any(|(_, value)| value.is_empty()) {
        read::<T>(pairs())?;
    }
    read(pairs().filter(|(_, value)| !value.is_empty()))
}

fn read<'a, T: DeserializeOwned>(
    pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
) -> Result<T, ApiError> {
    let reader = serde::de::value::MapDeserializer::<_, serde::de::value::Error>::new(
        pairs.map(|(name, value)| (name.into_owned(), Text(value.into_owned()))),
    );
    serde_path_to_error::deserialize(reader).map_err(|error| {
        let path = error.path().to_string();
        ApiError::invalid(vec![wording::field_error(&path, &error.into_inner().to_string())])
    })
}

/// A value of a query: text from which numbers and booleans are parsed on demand.
struct Text(String);

impl serde::de::IntoDeserializer<'_, serde::de::value::Error> for Text {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> serde::Deserializer<'de> for Text {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_string(self.0)
    }

    fn deserialize_option<V: serde::de::Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self)
    }

    fn deserialize_u16<V: serde::de::Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.0.parse() {
            Ok(number) => visitor.visit_u16(number),
            Err(_) => Err(serde::de::Error::custom("must be a whole number from 0 to 65535")),
        }
    }

    fn deserialize_bool<V: serde::de::Visitor<'de>>(
        self,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.0.as_str() {
            "true" => visitor.visit_bool(true),
            "false" => visitor.visit_bool(false),
            _ => Err(serde::de::Error::custom("must be true or false")),
        }
    }

    fn deserialize_newtype_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize, PartialEq, Eq)]
    #[serde(deny_unknown_fields, default)]
    struct Shape {
        q: String,
        limit: Option<u16>,
        all: bool,
        dry_run: bool,
    }

    fn refusal(query: &str) -> String {
        let error = parse::<Shape>(query).err().unwrap();
        let field = &error.problem().errors[0];
        format!("{} {}: {}", error.problem().status, field.field, field.message)
    }

    #[test]
    fn query_is_parsed_and_empty_texts_are_absent() {
        let shape: Shape = parse("q=a%20%2B+b&limit=7&all=true&dry_run=true").unwrap();
        let expected = Shape { q: "a + b".into(), limit: Some(7), all: true, dry_run: true };
        assert_eq!(shape, expected);
        assert_eq!(parse::<Shape>("").unwrap(), Shape::default());
        assert_eq!(parse::<Shape>("q=").unwrap(), Shape::default());
    }

    #[test]
    fn refusal_names_the_parameter() {
        assert_eq!(refusal("limit="), refusal("limit=x"));
        assert_eq!(refusal("q=&all="), refusal("all=yes"));
        assert_eq!(refusal("limit=x"), "422 limit: must be a whole number from 0 to 65535");
        assert_eq!(
            refusal("size=7"),
            "422 size: is not a known field; known fields are q, limit, all, dry_run"
        );
        assert_eq!(refusal("all=yes"), "422 all: must be true or false");
        assert_eq!(refusal("dry_run=1"), "422 dry_run: must be true or false");
        assert_eq!(refusal("q=a&q=b"), "422 q: is given twice");
    }

    proptest! {
        #[test]
        fn any_query_never_panics(query in any::<String>()) {
            let _ = parse::<Shape>(&query);
        }
    }
}
