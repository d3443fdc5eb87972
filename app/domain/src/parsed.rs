//! The one way in for parsed strings.

/// Gives a newtype over `String` its conversions: `TryFrom<String>`, `FromStr`, `Deserialize`
/// (all three through `$parse`), `Display`, `AsRef<str>`, `Serialize`.
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
