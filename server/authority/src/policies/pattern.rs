//! Patterns of names: regular expressions that a whole name must match.
//!
//! They are the crate regex's: matching takes time in proportion to the name, whatever the pattern.

use domain::{policy::Policy, problem::FieldError};
use regex::{Regex, RegexBuilder};

/// Longest pattern, in characters.
pub(super) const PATTERN_MAX: usize = 200;
/// Most bytes of a compiled pattern: `(\w{100}){100}` is short and huge.
const SIZE_MAX: usize = 256 * 1024;

/// Compiles a pattern; what is wrong with it ends a sentence that begins with the field's name.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let length = pattern.chars().count();
    if length == 0 || length > PATTERN_MAX {
        return Err(format!("must have 1 to {PATTERN_MAX} characters"));
    }
    // Alone first: `a)|(b` is no pattern, though it is one between parentheses.
    let build = |text: &str| RegexBuilder::new(text).size_limit(SIZE_MAX).build();
    build(pattern).and_then(|_| build(&format!(r"\A(?:{pattern})\z"))).map_err(|error| {
        let reason = match error {
            regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
            // The last line of several names the mistake; the others draw an arrow to it.
            other => {
                let text = other.to_string();
                let line = text.lines().last().unwrap_or_default();
                line.trim_start_matches("error: ").to_owned()
            }
        };
        format!("is no regular expression that can be used: {reason}")
    })
}

/// Whether a name matches every pattern of a policy.
///
/// # Errors
/// The field `name`, with the pattern that it does not match.
pub(crate) fn check_name(policy: &Policy, name: &str) -> Result<(), FieldError> {
    for pattern in &policy.name_patterns {
        // What cannot be used was refused when it was set; should there be one, nothing matches it.
        if !compile(pattern).is_ok_and(|regex| regex.is_match(name)) {
            let message = format!("must match the pattern {pattern} of this workspace's policy");
            return Err(FieldError::new("name", message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_name_must_match() {
        let matches = |pattern: &str, name: &str| compile(pattern).unwrap().is_match(name);
        assert!(matches("ci|deploy", "deploy") && !matches("ci|deploy", "deployment"));
        assert!(!matches("a", "ba") && !matches("(?m)^a$", "b\na"));
        assert!(matches("[a-z]+-[0-9]{4}", "build-2026"));
    }

    #[test]
    fn unusable_pattern_says_why() {
        for (pattern, reason) in [
            ("", "must have 1 to 200 characters"),
            ("(", "is no regular expression that can be used: unclosed group"),
            ("a)|(b", "is no regular expression that can be used: unopened group"),
            (
                r"(\w{100}){100}",
                "is no regular expression that can be used: it is too large when compiled",
            ),
            (
                "(?=a)b",
                "is no regular expression that can be used: look-around, including look-ahead and look-behind, is not supported",
            ),
        ] {
            assert_eq!(compile(pattern).unwrap_err(), reason, "{pattern}");
        }
        assert!(compile(&"a".repeat(201)).is_err());
    }

    #[test]
    fn both_patterns_must_match() {
        let policy =
            Policy { name_patterns: vec!["a.*".into(), ".*z".into()], ..Policy::default() };
        assert!(check_name(&policy, "abcz").is_ok());
        assert!(check_name(&policy, "abc").is_err() && check_name(&policy, "xyz").is_err());
        let broken = Policy { name_patterns: vec!["(".into()], ..Policy::default() };
        assert!(check_name(&broken, "a").is_err(), "fails closed");
    }

    proptest! {
        #[test]
        fn compiling_any_text_never_panics(pattern in any::<String>(), name in any::<String>()) {
            if let Ok(regex) = compile(&pattern) {
                let _ = regex.is_match(&name);
            }
        }
    }
}
