//! Structures within a body.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A structure that must be sent as an object. By default serde also accepts an array, with its
/// items in the order of the fields, and could read a value as another field than the one it was
/// meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        reader.deserialize_map(Fields(PhantomData)).map(Self)
    }
}

struct Fields<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::extract::parse_json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the fields matter")]
    struct Outer {
        items: Vec<Object<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the fields matter")]
    struct Inner {
        name: String,
    }

    #[test]
    fn only_objects_are_accepted_and_errors_name_their_path() {
        let fault = |text: &str| {
            let error = parse_json::<Outer>(text.as_bytes()).unwrap_err();
            let [fault] = &error.problem().errors[..] else { panic!("{error:?}") };
            format!("{} {}", fault.field, fault.message)
        };
        assert!(parse_json::<Outer>(b"{\"items\":[{\"name\":\"a\"}]}").is_ok());
        for (text, expected) in [
            ("{\"items\":[{\"name\":\"a\"},[\"b\"]]}", "items[1] must be an object, not an array"),
            ("{\"items\":[null]}", "items[0] must be an object, not null"),
            ("{\"items\":[\"a\"]}", "items[0] must be an object, not a string"),
            ("{\"items\":[{}]}", "items[0].name is missing"),
            ("{\"items\":[{\"name\":1}]}", "items[0].name must be a string, not an integer"),
            (
                "{\"items\":[{\"nome\":1}]}",
                "items[0].nome is not a known field; known fields are name",
            ),
        ] {
            assert_eq!(fault(text), expected, "{text}");
        }
    }
}
