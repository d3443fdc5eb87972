//! The common construction of parsed strings.

/// Implements the conversions of a newtype over `String`: `TryFrom<String>` and `FromStr`, which
/// call `$parse`, and `From` for `String`, `AsRef<str>` and `Display`. The type's serde attributes
/// `try_from` and `into` make serialization use them, too.
macro_rules! parsed_string {
    ($type:ident, $error:ty, $parse:path) => {
        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                $parse(&text).map(Self)
            }
        }

        impl std::str::FromStr for $type {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $parse(text).map(Self)
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.0
            }
        }

        impl AsRef<str> for $type {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $type {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(&self.0)
            }
        }
    };
}

pub(crate) use parsed_string;
