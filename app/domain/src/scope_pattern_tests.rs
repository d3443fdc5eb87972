//! Tests that compare the matcher, text by text, with a slow one that follows
//! the definition literally.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

/// The definition.
fn slow(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.first() {
        None => text.is_empty(),
        Some(b'*') => {
            let stars = pattern.iter().take_while(|byte| **byte == b'*').count();
            (0..=text.len())
                .take_while(|taken| stars > 1 || !text[..*taken].contains(&b'.'))
                .any(|taken| slow(&pattern[stars..], &text[taken..]))
        }
        Some(b'?') => {
            text.first().is_some_and(|byte| *byte != b'.') && slow(&pattern[1..], &text[1..])
        }
        Some(byte) => text.first() == Some(byte) && slow(&pattern[1..], &text[1..]),
    }
}

/// Returns all words of up to `length` of these letters.
fn words(letters: &str, length: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = 0;
    for _ in 0..length {
        let end = all.len();
        for index in last..end {
            for letter in letters.chars() {
                let word = format!("{}{letter}", all[index]);
                all.push(word);
            }
        }
        last = end;
    }
    all
}

/// Texts of two letters and the dot. `b` occurs in no pattern of the exhaustive test.
fn texts() -> &'static [String] {
    static TEXTS: OnceLock<Vec<String>> = OnceLock::new();
    TEXTS.get_or_init(|| words("ab.", 7))
}

/// Returns the texts that a pattern matches, as bits.
fn language(pattern: &str) -> Vec<u64> {
    let mut bits = vec![0; texts().len().div_ceil(64)];
    for (index, text) in texts().iter().enumerate() {
        if slow(pattern.as_bytes(), text.as_bytes()) {
            bits[index / 64] |= 1 << (index % 64);
        }
    }
    bits
}

fn within(inner: &[u64], outer: &[u64]) -> bool {
    inner.iter().zip(outer).all(|(inner, outer)| inner & !outer == 0)
}

#[test]
fn every_short_pattern_covers_exactly_the_patterns_that_it_includes() {
    let patterns = words("a.?*", 4);
    let languages: Vec<_> = patterns.iter().map(|pattern| language(pattern)).collect();
    for (held, outer) in patterns.iter().zip(&languages) {
        for (required, inner) in patterns.iter().zip(&languages) {
            assert_eq!(covers(held, required), within(inner, outer), "{held} ⊇ {required}");
        }
    }
}

#[test]
fn table_of_matches() {
    for (pattern, text, expected) in [
        ("table://my.app.test", "table://my.app.test", true),
        ("table://my.app.test", "table://my.app.tes", false),
        ("table://my.app.test", "table://my.app.testing", false),
        ("table://my.app.*", "table://my.app.test", true),
        ("table://my.app.*", "table://my.app.", true),
        ("table://my.app.*", "table://my.app", false),
        ("table://my.app.*", "table://my.app.test.sub", false),
        ("table://my.app.**", "table://my.app.test.sub", true),
        ("table://my.app.**", "table://my.apps", false),
        ("table://*.**", "table://my.app", true),
        ("table://*.**", "table://my", false),
        ("table://siem.logtrust.web.inf?", "table://siem.logtrust.web.info", true),
        ("table://siem.logtrust.web.inf?", "table://siem.logtrust.web.inf", false),
        ("table://firewall.fortinet.even?.user", "table://firewall.fortinet.event.user", true),
        ("table://a?b", "table://a.b", false),
        ("table://web.a*.error", "table://web.apache.error", true),
        ("table://web.a*.error", "table://web.apache.x.error", false),
        ("table://**", "level://admin", false),
        ("table://**.end", "table://a.end.b.end", true),
        ("table://a*b*c", "table://abbbc", true),
        ("table://a*b*c", "table://ab.c", false),
        ("", "", true),
        ("", "a", false),
        ("*", "", true),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        assert_eq!(covers(pattern, text), expected, "a text is a pattern: {pattern} {text}");
    }
}

#[test]
fn table_of_covering() {
    for (held, required, expected) in [
        ("table://**", "table://my.app.**", true),
        ("table://my.app.**", "table://**", false),
        ("table://my.app.**", "table://my.app.*", true),
        ("table://my.app.*", "table://my.app.**", false),
        ("table://my.app.*", "table://my.app.test?", true),
        ("table://my.app.t?", "table://my.app.t*", false),
        ("table://*.**", "table://**", false),
        ("table://**", "table://*.**", true),
        ("table://a", "table://a?", false),
        ("table://a", "table://a*", false),
        // Different spellings of the same pattern.
        ("table://?*", "table://*?", true),
        ("table://*?", "table://?*", true),
        ("table://**.**", "table://*.**", true),
        ("table://*.**", "table://**.**", true),
        ("table://*?**", "table://?**", true),
        // Patterns that match as a text but cover more.
        ("table://?", "table://*", false),
        ("table://?", "table://?", true),
        ("table://*", "table://**", false),
        ("table://??", "table://**", false),
        ("table://*a*", "table://**", false),
        // Covered only through several different paths in the held pattern.
        ("table://**a**", "table://*a*.**", true),
        ("table://**.a*.**", "table://x.a.*.y", true),
        ("table://**ab**", "table://a**b", false),
    ] {
        assert_eq!(covers(held, required), expected, "{held} ⊇ {required}");
    }
}

#[test]
fn hard_patterns_finish_soon_and_overlong_patterns_match_nothing() {
    let long = |part: &str| format!("a://{}", part.repeat(500 / part.len()));
    let texts = ["a", "ab", "a.", ".", "aab.", "aaaaaaaaab"].map(long);
    let patterns =
        ["*a", "**a", "*?", "?*", "**?", "**.*a", "*a?", "**a?", "*a.**", "**a????????", "?"]
            .map(long);
    for pattern in &patterns {
        for text in &texts {
            let _ = matches(pattern, text);
        }
        for required in &patterns {
            let _ = covers(pattern, required);
        }
        assert!(covers(pattern, pattern), "{pattern}");
    }
    let machine = format!("a://**b{}", "?".repeat(200));
    assert!(!covers(&machine, "a://**b**b**b**b**b**b**"));
    assert!(!matches(&format!("a://{}", "*".repeat(600)), "a://a"));
    assert!(!covers(&"a".repeat(600), &"a".repeat(600)));
}

fn patterns(length: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![3 => Just("a"), 2 => Just("."), 2 => Just("?"), 2 => Just("*"), 2 => Just("**")],
        0..=length,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn longer_patterns_cover_exactly_the_patterns_that_they_include(held in patterns(7), required in patterns(5)) {
        // The texts are too short to distinguish some long patterns; then only one direction holds.
        let included = within(&language(&required), &language(&held));
        let covered = covers(&held, &required);
        if covered {
            prop_assert!(included, "{held} ⊇ {required}");
        } else if held.len() < 5 {
            prop_assert!(!included, "{held} ⊇ {required}");
        }
    }

    #[test]
    fn narrowed_pattern_is_covered(held in patterns(12), choices in prop::collection::vec(0..4_usize, 40)) {
        // Replaces every wildcard by something that it matches, in many ways.
        let mut narrower = String::new();
        let mut choices = choices.into_iter().cycle();
        let mut rest = held.as_str();
        while let Some(first) = rest.chars().next() {
            let wildcard = ["**", "*", "?"].into_iter().find(|wildcard| rest.starts_with(wildcard));
            let choice = choices.next().unwrap_or_default();
            match wildcard {
                Some("**") => narrower.push_str(["**", "b.?", "*", ""][choice]),
                Some("*") => narrower.push_str(["*", "b", "?", ""][choice]),
                Some("?") => narrower.push_str(["?", "b", "a", "?"][choice]),
                _ => narrower.push(first),
            }
            rest = &rest[wildcard.map_or(1, str::len)..];
        }
        prop_assert!(covers(&held, &narrower), "{held} ⊇ {narrower}");
    }

    #[test]
    fn matching_follows_the_definition(pattern in patterns(10), text in "[ab.]{0,12}") {
        prop_assert_eq!(matches(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        prop_assert_eq!(covers(&pattern, &text), matches(&pattern, &text));
    }

    #[test]
    fn covering_is_transitive(a in patterns(6), b in patterns(6), c in patterns(6)) {
        if covers(&a, &b) && covers(&b, &c) {
            prop_assert!(covers(&a, &c), "{a} ⊇ {b} ⊇ {c}");
        }
    }

    /// However hard the patterns are, a comparison takes a step for every position that it
    /// examines, and finds no more with fewer steps.
    #[test]
    fn comparison_counts_its_steps(held in patterns(60), required in patterns(60)) {
        let (before, mut steps) = (looked_at(), Steps::new(COVERS_STEPS));
        let covered = covers_within(&held, &required, &mut steps);
        let taken = COVERS_STEPS - steps.left();
        let looked = looked_at() - before;
        prop_assert!(looked <= u64::from(taken), "{looked} > {taken}: {held} ⊇ {required}");
        prop_assert_eq!(covers(&held, &required), covered);
        for fewer in [0, taken / 2, taken - 1] {
            prop_assert!(!covers_within(&held, &required, &mut Steps::new(fewer)));
        }
    }

    #[test]
    fn any_texts_never_panic(held in any::<String>(), required in any::<String>()) {
        let _ = matches(&held, &required);
        let _ = covers(&held, &required);
        prop_assert!(held.len() > URI_MAX || covers(&held, &held));
    }
}
