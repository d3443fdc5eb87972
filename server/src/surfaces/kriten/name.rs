//! Names for tokens that are created without one.

use domain::names::{Description, TOKEN_NAME_MAX};

/// The name of a token without a description.
const NAMELESS: &str = "API token";

/// Returns the first non-blank line of the description, cut to the maximum length of a name. An
/// invalid description is not used for the name, so that the error is reported only for the
/// description.
pub(super) fn of(description: &str) -> String {
    if description.parse::<Description>().is_err() {
        return NAMELESS.to_owned();
    }
    let line = description.lines().map(str::trim).find(|line| !line.is_empty());
    let name: String = line
        .unwrap_or(NAMELESS)
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .take(TOKEN_NAME_MAX)
        .collect();
    name.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use domain::names::TokenName;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn name_is_the_first_nonblank_line() {
        assert_eq!(of(""), "API token");
        assert_eq!(of(" \n\n"), "API token");
        assert_eq!(of("My personal API Token"), "My personal API Token");
        assert_eq!(of("\n  deploys:\tnightly \r\nand more"), "deploys: nightly");
        assert_eq!(of(&"é".repeat(129)), "é".repeat(128));
        assert_eq!(of("a\0b"), "API token");
    }

    proptest! {
        #[test]
        fn name_of_any_description_is_valid(text in any::<String>()) {
            prop_assert!(of(&text).parse::<TokenName>().is_ok());
        }
    }
}
