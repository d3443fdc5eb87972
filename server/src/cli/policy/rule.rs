//! Rules on the command line: `RULE=VALUE` sets a rule, and `RULE=` leaves it to the level above.

use domain::{
    policy::{DAY_S, Policy, PolicyRules},
    policy_view::Rule,
};

/// A rule to set or to clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    rule: Rule,
    value: String,
}

impl std::str::FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) =
            text.split_once('=').ok_or("must be RULE=VALUE, or RULE= to clear the rule")?;
        let rule =
            Rule::ALL.iter().copied().find(|rule| rule.as_str() == name).ok_or_else(|| {
                let known: Vec<_> = Rule::ALL.iter().map(|rule| rule.as_str()).collect();
                format!("{name:?} is not a rule; the rules are {}", known.join(", "))
            })?;
        let assignment = Self { rule, value: value.to_owned() };
        // An unusable value is an error of the command line.
        assignment.apply(&mut PolicyRules::default())?;
        Ok(assignment)
    }
}

impl Assignment {
    /// Sets or clears the rule.
    pub(super) fn apply(&self, rules: &mut PolicyRules) -> Result<(), String> {
        let value = (!self.value.is_empty()).then_some(self.value.as_str());
        match self.rule {
            Rule::MaxTokens => rules.max_tokens = value.map(number).transpose()?,
            Rule::DefaultTtlS => rules.default_ttl_s = value.map(seconds).transpose()?,
            Rule::MaxTtlS => rules.max_ttl_s = value.map(seconds).transpose()?,
            Rule::MaxGraceS => rules.max_grace_s = value.map(seconds).transpose()?,
            Rule::AllowNever => rules.allow_never = value.map(flag).transpose()?,
            Rule::UniqueNames => rules.unique_names = value.map(flag).transpose()?,
            Rule::SelfService => rules.self_service = value.map(flag).transpose()?,
            Rule::SelfRotate => rules.self_rotate = value.map(flag).transpose()?,
            Rule::OnParentEnd => {
                rules.on_parent_end =
                    value.map(|text| text.parse().map_err(text_of)).transpose()?;
            }
            Rule::Prefix => rules.prefix = value.map(str::to_owned),
            Rule::NamePattern => rules.name_pattern = value.map(str::to_owned),
            Rule::Reveal => {
                rules.reveal = value.map(|text| text.parse().map_err(text_of)).transpose()?;
            }
            Rule::OnReuse => {
                rules.on_reuse = value.map(|text| text.parse().map_err(text_of)).transpose()?;
            }
        }
        Ok(())
    }
}

fn text_of(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{text:?} is not a whole number"))
}

fn flag(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("must be true or false, not {text:?}"))
}

/// Parses seconds, or days and hours such as `270d`, `12h`.
fn seconds(text: &str) -> Result<i64, String> {
    let (digits, unit) = match (text.strip_suffix('d'), text.strip_suffix('h')) {
        (Some(days), _) => (days, DAY_S),
        (_, Some(hours)) => (hours, 3_600),
        _ => (text, 1),
    };
    digits.parse::<i64>().ok().and_then(|count| count.checked_mul(unit)).ok_or_else(|| {
        format!("must be a number of seconds or a duration such as 270d or 12h, not {text:?}")
    })
}

/// Formats a rule in force for people.
pub(super) fn value_of(rule: Rule, policy: &Policy) -> String {
    let time = |seconds: Option<i64>, otherwise: &str| match seconds {
        None => otherwise.to_owned(),
        Some(seconds) if seconds > 0 && seconds % DAY_S == 0 => format!("{}d", seconds / DAY_S),
        Some(seconds) => format!("{seconds}s"),
    };
    match rule {
        Rule::MaxTokens => policy.max_tokens.map_or("no limit".into(), |count| count.to_string()),
        Rule::DefaultTtlS => time(policy.default_ttl_s, "never expires"),
        Rule::MaxTtlS => time(policy.max_ttl_s, "no limit"),
        Rule::MaxGraceS => time(policy.max_grace_s, "no limit"),
        Rule::AllowNever => policy.permits_never().to_string(),
        Rule::Reveal => policy.reveal.as_str().to_owned(),
        Rule::Prefix => policy.prefix.clone(),
        Rule::UniqueNames => policy.unique_names.to_string(),
        Rule::NamePattern if policy.name_patterns.is_empty() => "any".to_owned(),
        Rule::NamePattern => policy.name_patterns.join(" and "),
        Rule::SelfService => policy.self_service.to_string(),
        Rule::OnReuse => policy.on_reuse.as_str().to_owned(),
        Rule::SelfRotate => policy.self_rotate.to_string(),
        Rule::OnParentEnd => policy.on_parent_end.as_str().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(text: &str) -> Result<PolicyRules, String> {
        let mut rules = PolicyRules { max_tokens: Some(1), ..PolicyRules::default() };
        text.parse::<Assignment>()?.apply(&mut rules)?;
        Ok(rules)
    }

    #[test]
    fn rules_are_set_and_cleared() {
        assert_eq!(set("max_ttl_s=270d").unwrap().max_ttl_s, Some(270 * DAY_S));
        assert_eq!(set("max_grace_s=90").unwrap().max_grace_s, Some(90));
        assert_eq!(set("max_tokens=").unwrap().max_tokens, None);
        assert_eq!(set("name_pattern=a=b").unwrap().name_pattern.as_deref(), Some("a=b"));
        assert_eq!(set("self_service=true").unwrap().self_service, Some(true));
        for bad in ["", "max_tokens", "size=1", "max_tokens=x", "reveal=always", "allow_never=yes"]
        {
            assert!(set(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_any_text_never_panics(text in any::<String>(), value in any::<String>()) {
            let _ = set(&text);
            let _ = set(&format!("max_ttl_s={value}"));
        }
    }
}
