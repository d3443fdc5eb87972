//! Turns the names of a document into names that catalogues accept.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    catalogue::{SCOPE_MAX, ScopeName},
    names::{DESCRIPTION_MAX, DISPLAY_NAME_MAX, Description, DisplayName},
};

/// Space to reserve in a name for `:write` and for the number that makes it unique.
const ROOM: usize = 16;
/// The maximum number of sentences in a description.
const SENTENCES_MAX: usize = 8;

/// Returns a part of a scope's name: lower-case letters, digits, `.` and `_` are kept, and every
/// run of other characters becomes one `-`. The result may be empty.
pub(super) fn part(text: &str) -> String {
    let mut part = String::new();
    for character in text.chars() {
        let character = character.to_ascii_lowercase();
        if character.is_ascii_lowercase()
            || character.is_ascii_digit()
            || matches!(character, '.' | '_')
        {
            part.push(character);
        } else if !part.is_empty() && !part.ends_with('-') {
            part.push('-');
        }
    }
    part.trim_end_matches('-').to_owned()
}

/// Returns the text as a scope: unchanged if it is a valid one, otherwise as parts joined by `:`.
pub(super) fn as_scope(text: &str) -> String {
    if let Ok(name) = text.parse::<ScopeName>() {
        return name.into();
    }
    let parts: Vec<_> = text.split(':').map(part).filter(|part| !part.is_empty()).collect();
    bounded(parts.join(":"), "scope")
}

/// Returns the text as the first part of a scope.
pub(super) fn as_part(text: &str) -> String {
    bounded(part(text), "general")
}

fn bounded(mut text: String, otherwise: &str) -> String {
    // The text is ASCII by now.
    text.truncate(SCOPE_MAX - ROOM);
    match text.trim_end_matches([':', '-']) {
        "" => otherwise.to_owned(),
        text => text.to_owned(),
    }
}

/// Assigns a unique name of this form to each text. A text that already has the form keeps it. Of
/// other texts with the same name, the first one in alphabetical order gets the name, and the next
/// ones get `-2`, `-3`. Neither the order of the document nor repeated texts matter. A URI in
/// another spelling is the same URI, so it gets no name.
pub(super) fn assign<'a>(
    texts: impl IntoIterator<Item = &'a str>,
    form: impl Fn(&str) -> String,
) -> BTreeMap<&'a str, String> {
    let texts: BTreeSet<&str> = texts.into_iter().collect();
    let (exact, others): (Vec<&str>, Vec<&str>) =
        texts.into_iter().partition(|text| form(text) == *text);
    let mut taken: BTreeSet<String> = exact.iter().map(|text| (*text).to_owned()).collect();
    let mut assigned: BTreeMap<&str, String> =
        exact.into_iter().map(|text| (text, text.to_owned())).collect();
    for text in others {
        let base = form(text);
        let mut name = base.clone();
        let mut number = 1_u32;
        while taken.contains(&name) && !base.contains("://") {
            number += 1;
            name = format!("{base}-{number}");
        }
        if taken.insert(name.clone()) {
            assigned.insert(text, name);
        }
    }
    assigned
}

/// Returns the text as a heading: one line of visible characters, cut to the maximum length of
/// a name.
pub(super) fn display_name(text: &str) -> Option<DisplayName> {
    let line = line(text);
    if line.is_empty() {
        return None;
    }
    line.parse().ok().or_else(|| cut(&line, DISPLAY_NAME_MAX).parse().ok())
}

/// Joins several texts to one description, each as a sentence, cut to the maximum length of
/// a description.
pub(super) fn description<'a>(texts: impl IntoIterator<Item = &'a str>) -> Description {
    let mut seen = BTreeSet::new();
    let mut text = String::new();
    let mut sentences = 0;
    for sentence in texts.into_iter().map(line).filter(|line| !line.is_empty()) {
        if !seen.insert(sentence.clone()) {
            continue;
        }
        if sentences == SENTENCES_MAX {
            text.push_str(" …");
            break;
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&sentence);
        if !sentence.ends_with(['.', '!', '?', '…']) {
            text.push('.');
        }
        sentences += 1;
    }
    text.parse().or_else(|_| cut(&text, DESCRIPTION_MAX).parse()).unwrap_or_default()
}

/// Returns the text on one line, without control characters and characters that change the
/// text direction.
fn line(text: &str) -> String {
    let visible = |character: &char| {
        character.is_whitespace()
            || !(character.is_control()
                || matches!(character, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}'))
    };
    let text: String = text.chars().filter(visible).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn cut(text: &str, max: usize) -> String {
    let mut cut: String = text.chars().take(max - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_made_canonical() {
        for (text, expected) in [
            ("rivers:read", "rivers:read"),
            ("write:pets", "write:pets"),
            ("Pet Store: Read All", "pet-store:read-all"),
            ("Größe", "gr-e"),
            ("https://api.example.com/auth/Drive", "https://api.example.com/auth/Drive"),
            ("::", "scope"),
            ("*", "scope"),
        ] {
            assert_eq!(assign([text], as_scope)[text], expected);
        }
    }

    #[test]
    fn similar_names_are_numbered_and_the_exact_name_is_kept() {
        let texts = ["Pets", "pets", "PETS", "pets-2", "pets "];
        let assigned = assign(texts, as_scope);
        let names: Vec<_> = assigned.iter().map(|(text, name)| format!("{text}={name}")).collect();
        assert_eq!(
            names,
            ["PETS=pets-3", "Pets=pets-4", "pets=pets", "pets =pets-5", "pets-2=pets-2"]
        );
        let mut backwards = texts;
        backwards.reverse();
        assert_eq!(assign(backwards, as_scope), assigned);
    }

    #[test]
    fn description_joins_sentences_and_is_bounded() {
        assert_eq!(
            description(["List pets", "", "Show\na pet.", "List pets"]).as_ref(),
            "List pets. Show a pet."
        );
        assert!(description(["x".repeat(5_000).as_str()]).as_ref().ends_with('…'));
        assert_eq!(display_name(" \u{202E}\n "), None);
        assert_eq!(display_name(&"x".repeat(500)).unwrap().as_ref().chars().count(), 100);
    }

    proptest! {
        #[test]
        fn every_text_gets_a_unique_name(texts in prop::collection::btree_set(any::<String>(), 0..20)) {
            let assigned = assign(texts.iter().map(String::as_str), as_scope);
            let names: BTreeSet<_> = assigned.values().collect();
            prop_assert_eq!(names.len(), texts.len());
            for name in names {
                prop_assert!(name.parse::<ScopeName>().is_ok(), "{name}");
            }
        }

        #[test]
        fn similar_texts_get_unique_names(texts in prop::collection::btree_set("[aA :-]{0,4}", 0..40)) {
            let assigned = assign(texts.iter().map(String::as_str), as_part);
            let names: BTreeSet<_> = assigned.values().collect();
            prop_assert_eq!(names.len(), texts.len());
            for name in names {
                prop_assert!(format!("{name}:write").parse::<ScopeName>().is_ok(), "{name}");
            }
        }
    }
}
