//! Name patterns: regular expressions that a whole name must match.
//!
//! They are compiled by the crate regex, which matches in time proportional to the length of the
//! name and to the size of the compiled pattern. Both are bounded here. Compiling and matching are
//! heavy work ([`crate::work`]); a pattern is compiled once and cached ([`Patterns`]).

use std::sync::Arc;

use domain::{policy::Policy, problem::FieldError};
use quick_cache::sync::Cache;
use regex::{Regex, RegexBuilder};

use crate::work::Heavy;

/// The maximum length of a pattern, in characters.
pub(crate) const PATTERN_MAX: usize = 200;
/// The maximum size of a compiled pattern, in bytes. A pattern of this size takes about a
/// millisecond to match a name of 128 characters. `(\w{100}){100}` is short, but its compiled form
/// is huge.
const SIZE_MAX: usize = 256 * 1024;
/// The maximum number of classes, and operations on classes, in a pattern that ignores case. Each
/// of them can take milliseconds to compile, however small the result is.
const FOLDED_MAX: usize = 10;
/// Compiled patterns in the cache: some 150 MB, if each of them had the largest allowed size and
/// were used on all threads that match names.
const KEPT: usize = 64;
/// The maximum size of the matching state that a pattern caches on each thread, in bytes.
const REMEMBERED_MAX: usize = 512 * 1024;

/// Why a pattern cannot be used, as the end of a sentence that begins with the field's name.
type Unusable = String;

/// The compiled patterns in use.
pub(crate) struct Patterns(Cache<String, Result<Arc<Regex>, Unusable>>);

impl Default for Patterns {
    fn default() -> Self {
        Self(Cache::new(KEPT))
    }
}

impl Patterns {
    /// Returns the compiled pattern of a policy, from memory if it was used before.
    pub(crate) fn get(&self, pattern: &str, heavy: &Heavy) -> Result<Arc<Regex>, Unusable> {
        if let Some(known) = self.0.get(pattern) {
            return known;
        }
        let compiled = compile(pattern, heavy).map(Arc::new);
        self.0.insert(pattern.to_owned(), compiled.clone());
        compiled
    }

    /// Finds the first pattern of a policy that a name does not match.
    ///
    /// # Errors
    ///
    /// The field `name`, with the pattern.
    pub(crate) fn check_name(
        &self,
        policy: &Policy,
        name: &str,
        heavy: &Heavy,
    ) -> Result<(), FieldError> {
        for pattern in &policy.name_patterns {
            // Unusable patterns are refused when they are set. If one is found here, no name
            // matches it.
            if !self.get(pattern, heavy).is_ok_and(|regex| regex.is_match(name)) {
                let message =
                    format!("must match the pattern {pattern} of this workspace's policy");
                return Err(FieldError::new("name", message));
            }
        }
        Ok(())
    }
}

/// Compiles a pattern that is about to be set in a policy.
pub(crate) fn compile_new(pattern: &str, heavy: &Heavy) -> Result<Regex, Unusable> {
    // Parsed by itself first: `a)|(b` is not a pattern, although it becomes one between
    // parentheses.
    regex_syntax::ast::parse::Parser::new()
        .parse(pattern)
        .map_err(|error| unusable(last_line(&error.to_string())))?;
    if folded(pattern) > FOLDED_MAX {
        return Err(format!(
            "cannot be used as a regular expression: with (?i) it may have at most {FOLDED_MAX} classes such as \\w or [a-z]"
        ));
    }
    compile(pattern, heavy)
}

fn compile(pattern: &str, _: &Heavy) -> Result<Regex, Unusable> {
    let length = pattern.chars().count();
    if length == 0 || length > PATTERN_MAX {
        return Err(format!("must have 1 to {PATTERN_MAX} characters"));
    }
    let built = RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
        .size_limit(SIZE_MAX)
        .dfa_size_limit(REMEMBERED_MAX)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => unusable(
            "it is too large when compiled; use fewer repetitions, or [a-z] instead of \\w",
        ),
        other => unusable(last_line(&other.to_string())),
    })
}

fn unusable(reason: &str) -> Unusable {
    format!("cannot be used as a regular expression: {reason}")
}

/// Returns the last line of an error message, which names the mistake; the lines before it draw an
/// arrow to it.
fn last_line(text: &str) -> &str {
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches("error: ")
}

/// Returns how many classes and operations on classes a pattern has if it ignores case, otherwise
/// 0. Also counts text that only looks like a class.
fn folded(pattern: &str) -> usize {
    let ignores_case = pattern.split("(?").skip(1).any(|flags| {
        let flags = flags.split([')', ':']).next().unwrap_or_default();
        flags.chars().all(|c| c.is_ascii_alphabetic() || c == '-') && flags.contains('i')
    });
    if !ignores_case {
        return 0;
    }
    let classes = ["[", "\\w", "\\W", "\\d", "\\D", "\\s", "\\S", "\\p", "\\P", "&&", "--", "~~"];
    classes.iter().map(|class| pattern.matches(class).count()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAVY: Heavy = Heavy::test();

    #[test]
    fn whole_name_must_match() {
        let matches =
            |pattern: &str, name: &str| compile_new(pattern, &HEAVY).unwrap().is_match(name);
        assert!(matches("ci|deploy", "deploy") && !matches("ci|deploy", "deployment"));
        assert!(!matches("a", "ba") && !matches("(?m)^a$", "b\na"));
        assert!(matches("[a-z]+-[0-9]{4}", "build-2026"));
    }

    #[test]
    fn unusable_pattern_is_refused_with_the_reason() {
        for (pattern, reason) in [
            ("", "must have 1 to 200 characters"),
            ("(", "cannot be used as a regular expression: unclosed group"),
            ("a)|(b", "cannot be used as a regular expression: unopened group"),
            (
                r"(\w{100}){100}",
                "cannot be used as a regular expression: it is too large when compiled; use fewer repetitions, or [a-z] instead of \\w",
            ),
            (
                "(?=a)b",
                "cannot be used as a regular expression: look-around, including look-ahead and look-behind, is not supported",
            ),
        ] {
            assert_eq!(compile_new(pattern, &HEAVY).unwrap_err(), reason, "{pattern}");
        }
        assert!(compile_new(&"a".repeat(201), &HEAVY).is_err());
    }

    #[test]
    fn pattern_that_takes_long_to_compile_or_to_match_is_refused() {
        let class = r"[\w&&\w&&a]";
        let slow_to_compile = format!("(?i)(?:{}|.*)", class.repeat(14));
        let reason = compile_new(&slow_to_compile, &HEAVY).unwrap_err();
        assert!(reason.contains("at most 10 classes"), "{reason}");
        assert!(compile_new(r"(?i)[\w\W]{2}", &HEAVY).is_ok());
        // Each name would take several milliseconds.
        for slow_to_match in [r"(\w{0,60}){0,3}.*", r"(?:.{0,99}){9}"] {
            let reason = compile_new(slow_to_match, &HEAVY).unwrap_err();
            assert!(reason.contains("too large when compiled"), "{reason}");
        }
        for usual in [r"[a-z0-9-]{3,63}", r"(?i)[a-z][a-z0-9-]{0,62}", r"\w+( \w+)*", ".{1,128}"] {
            assert!(compile_new(usual, &HEAVY).is_ok(), "{usual}");
        }
    }

    #[test]
    fn pattern_accepted_by_an_earlier_version_still_works_and_is_compiled_once() {
        let patterns = Patterns::default();
        let stored = r"(?i)[\w\W][\w\W][\w\W][\w\W]";
        assert!(compile_new(stored, &HEAVY).is_err());
        let first = patterns.get(stored, &HEAVY).unwrap();
        let second = patterns.get(stored, &HEAVY).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn number_of_compiled_patterns_is_bounded() {
        let patterns = Patterns::default();
        for number in 0..2 * KEPT {
            patterns.get(&format!("ci-{number}"), &HEAVY).unwrap();
        }
        assert!(patterns.0.len() <= KEPT);
    }

    #[test]
    fn both_patterns_must_match() {
        let patterns = Patterns::default();
        let check_name = |policy: &Policy, name: &str| patterns.check_name(policy, name, &HEAVY);
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
            if let Ok(regex) = compile_new(&pattern, &HEAVY) {
                let _ = regex.is_match(&name);
            }
        }
    }
}
