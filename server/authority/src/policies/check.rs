//! Checks whether rules can be set.

use domain::{policy::PolicyRules, problem::FieldError, token_text};

use crate::{ServiceError, patterns, work::Heavy};

/// Longest lifetime or grace that a rule may name: a hundred years, in seconds.
const SECONDS_MAX: i64 = 3_155_760_000;

/// Finds all mistakes in the rules.
///
/// # Errors
///
/// `Invalid` with the rules' names as fields.
pub(super) fn check(rules: &PolicyRules, heavy: &Heavy) -> Result<(), ServiceError> {
    let mut errors = Vec::new();
    let mut refuse = |field: &str, message: String| errors.push(FieldError::new(field, message));
    if rules.max_tokens.is_some_and(|count| count < 0) {
        refuse("max_tokens", "must not be negative".into());
    }
    for (field, seconds, least) in [
        ("default_ttl_s", rules.default_ttl_s, 1),
        ("max_ttl_s", rules.max_ttl_s, 1),
        ("max_grace_s", rules.max_grace_s, 0),
    ] {
        if seconds.is_some_and(|seconds| !(least..=SECONDS_MAX).contains(&seconds)) {
            refuse(field, format!("must be {least} to {SECONDS_MAX} seconds"));
        }
    }
    if let (Some(default), Some(longest)) = (rules.default_ttl_s, rules.max_ttl_s)
        && default > longest
    {
        refuse("default_ttl_s", "must not be longer than max_ttl_s".into());
    }
    if let Some(prefix) = &rules.prefix
        && !token_text::is_prefix(prefix)
    {
        refuse(
            "prefix",
            "must be 1 to 16 lowercase letters and digits, starting with a letter".into(),
        );
    }
    if let Some(pattern) = &rules.name_pattern
        && let Err(reason) = patterns::compile_new(pattern, heavy)
    {
        refuse("name_pattern", reason);
    }
    if errors.is_empty() { Ok(()) } else { Err(ServiceError::Invalid(errors)) }
}

#[cfg(test)]
mod tests {
    use domain::preset::Preset;

    use super::*;

    #[test]
    fn presets_can_be_set() {
        for preset in Preset::ALL {
            check(&preset.rules(), &Heavy::test()).unwrap();
        }
    }

    #[test]
    fn every_mistake_is_reported_together() {
        let rules = PolicyRules {
            max_tokens: Some(-1),
            default_ttl_s: Some(10),
            max_ttl_s: Some(5),
            max_grace_s: Some(i64::MAX),
            prefix: Some("Kri_".into()),
            name_pattern: Some("[".into()),
            ..PolicyRules::default()
        };
        let Err(ServiceError::Invalid(errors)) = check(&rules, &Heavy::test()) else {
            panic!("accepted")
        };
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(
            fields,
            ["max_tokens", "max_grace_s", "default_ttl_s", "prefix", "name_pattern"]
        );
    }
}
