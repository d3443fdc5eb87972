//! A description of what a token may do, in plain words: "**deploy-bot** can **run** rivers in
//! *Workspace 1*, until 18 Aug 2027. It cannot change anything or manage tokens."
//!
//! The words come from the names of the scopes: the part after the last colon is the verb, the part
//! before it is the thing. If a catalogue names its scopes differently, the result is still a
//! sentence, only a stiffer one.

use domain::catalogue::{Catalogue, Risk, Scope, TESSERA_AUDIENCE};

use crate::forms::scope_tree::model::{Chosen, Marking};

/// A piece of a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Plain words.
    Text(String),
    /// An important word: the token's name, or a verb.
    Strong(String),
    /// The workspace's name.
    Em(String),
}

/// The subject of the sentences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// The token's name; empty until a name is typed.
    pub name: String,
    /// The workspace's display name.
    pub workspace: String,
    /// The address ranges from which the token may be used. An empty list means from anywhere.
    pub ranges: Vec<String>,
    /// The expiry as a phrase, such as `until 18 Aug 2027`; `None` if it is unknown.
    pub end: Option<String>,
}

/// The largest number of things that a phrase names before it only counts the rest.
const THINGS_MAX: usize = 6;

/// Builds the sentences about a token with the scopes `chosen` for `audiences`.
pub fn sentence(subject: &Subject, audiences: &[Catalogue], chosen: &Chosen) -> Vec<Part> {
    let mut granted = Vec::new();
    let mut denied = Vec::new();
    let mut manages_tokens = false;
    for catalogue in audiences {
        let marking = Marking::of(catalogue, chosen);
        let own = catalogue.audience.as_ref() == TESSERA_AUDIENCE;
        for scope in catalogue.scopes() {
            if marking.grants(&scope.name) {
                manages_tokens |= own && scope.risk != Risk::Read;
                granted.push(scope);
            } else if !own && scope.risk != Risk::Read {
                denied.push(scope);
            }
        }
    }
    let name = match subject.name.trim() {
        "" => "This token".to_owned(),
        name => name.to_owned(),
    };
    let mut parts = vec![Part::Strong(name)];
    if granted.is_empty() {
        parts.push(Part::Text(" can't do anything yet: no scopes are selected.".to_owned()));
        return parts;
    }
    parts.push(Part::Text(" can ".to_owned()));
    push_abilities(&mut parts, &granted);
    parts.push(Part::Text(" in ".to_owned()));
    parts.push(Part::Em(subject.workspace.clone()));
    if !subject.ranges.is_empty() {
        parts.push(Part::Text(format!(", from {}", listed(&subject.ranges, "and"))));
    }
    if let Some(end) = &subject.end {
        parts.push(Part::Text(format!(", {end}")));
    }
    let only_reads = granted.iter().all(|scope| scope.risk == Risk::Read);
    let mut limits = if only_reads {
        vec!["change anything".to_owned()]
    } else {
        phrases(&denied).iter().map(|phrase| phrase.text("or")).collect()
    };
    if !manages_tokens {
        limits.push("manage tokens".to_owned());
    }
    let limits = match limits.as_slice() {
        [] => ".".to_owned(),
        limits => format!(". It cannot {}.", listed(limits, "or")),
    };
    parts.push(Part::Text(limits));
    parts
}

/// Returns the same sentences as one line of text, for a screen reader's announcement or a title.
pub fn plain(parts: &[Part]) -> String {
    parts
        .iter()
        .map(|part| match part {
            Part::Text(text) | Part::Strong(text) | Part::Em(text) => text.as_str(),
        })
        .collect()
}

/// Verbs and the things that they apply to.
struct Phrase {
    verbs: Vec<String>,
    things: Vec<String>,
}

impl Phrase {
    fn things(&self, joint: &str) -> String {
        if self.things.len() <= THINGS_MAX {
            return listed(&self.things, joint);
        }
        let shown = THINGS_MAX - 1;
        format!("{} {joint} {} more", self.things[..shown].join(", "), self.things.len() - shown)
    }

    fn text(&self, joint: &str) -> String {
        format!("{} {}", listed(&self.verbs, joint), self.things(joint)).trim_end().to_owned()
    }
}

fn push_abilities(parts: &mut Vec<Part>, granted: &[&Scope]) {
    let phrases = phrases(granted);
    let last = phrases.len() - 1;
    for (index, phrase) in phrases.iter().enumerate() {
        if index > 0 {
            let joint = if index == last { " and " } else { ", " };
            parts.push(Part::Text(joint.to_owned()));
        }
        parts.push(Part::Strong(listed(&phrase.verbs, "and")));
        if !phrase.things.is_empty() {
            parts.push(Part::Text(format!(" {}", phrase.things("and"))));
        }
    }
}

/// Collects the verbs of each thing, then merges things that have the same verbs.
fn phrases(scopes: &[&Scope]) -> Vec<Phrase> {
    let mut by_thing: Vec<(String, Vec<String>)> = Vec::new();
    for scope in scopes {
        let (verb, thing) = words(scope.name.as_ref());
        match by_thing.iter_mut().find(|(known, _)| *known == thing) {
            Some((_, verbs)) if verbs.contains(&verb) => {}
            Some((_, verbs)) => verbs.push(verb),
            None => by_thing.push((thing, vec![verb])),
        }
    }
    let mut phrases: Vec<Phrase> = Vec::new();
    for (thing, verbs) in by_thing {
        let things = if thing.is_empty() { vec![] } else { vec![thing] };
        match phrases
            .iter_mut()
            .find(|phrase| phrase.verbs == verbs && phrase.things.is_empty() == things.is_empty())
        {
            Some(phrase) => phrase.things.extend(things),
            None => phrases.push(Phrase { verbs, things }),
        }
    }
    phrases
}

/// Splits a name: `rivers:run` becomes "run" and "rivers". A name without a colon is only a verb.
fn words(name: &str) -> (String, String) {
    let (thing, verb) = name.rsplit_once(':').unwrap_or(("", name));
    let spoken = |text: &str| text.replace([':', '-', '_', '.'], " ");
    let verb = match verb {
        "write" => "change".to_owned(),
        verb => spoken(verb),
    };
    (verb, spoken(thing))
}

/// Joins words: "a", "a and b", "a, b and c".
fn listed(words: &[String], joint: &str) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [first @ .., last] => format!("{} {joint} {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forms::scope_tree::model::tests::{catalogue, chosen};

    fn text(names: &[&str]) -> String {
        let subject = Subject {
            name: "deploy-bot".into(),
            workspace: "Workspace 1".into(),
            ranges: vec![],
            end: Some("until 18 Aug 2027".into()),
        };
        plain(&sentence(&subject, &[catalogue()], &chosen(names)))
    }

    #[test]
    fn token_without_scope_can_do_nothing_yet() {
        assert_eq!(text(&[]), "deploy-bot can't do anything yet: no scopes are selected.");
    }

    #[test]
    fn read_only_token_cannot_change_anything() {
        assert_eq!(
            text(&["rivers:read", "teams:read"]),
            "deploy-bot can read rivers and teams in Workspace 1, until 18 Aug 2027. \
             It cannot change anything or manage tokens."
        );
    }

    #[test]
    fn summary_names_what_the_token_cannot_do() {
        assert_eq!(
            text(&["rivers:run", "teams:read"]),
            "deploy-bot can run rivers and read teams in Workspace 1, until 18 Aug 2027. \
             It cannot change rivers or teams or manage tokens."
        );
    }

    #[test]
    fn implied_scope_is_described_like_a_chosen_one() {
        assert_eq!(
            text(&["rivers:write", "rivers:run", "teams:write"]),
            "deploy-bot can read, change and run rivers and read and change teams in Workspace 1, \
             until 18 Aug 2027. It cannot manage tokens."
        );
    }

    #[test]
    fn summary_mentions_ranges_and_replaces_a_missing_name() {
        let subject = Subject {
            name: " ".into(),
            workspace: "W".into(),
            ranges: vec!["10.0.0.0/8".into(), "::1/128".into()],
            end: None,
        };
        let parts = sentence(&subject, &[catalogue()], &chosen(&["rivers:run"]));
        assert!(
            plain(&parts)
                .starts_with("This token can run rivers in W, from 10.0.0.0/8 and ::1/128.")
        );
        assert_eq!(parts[2], Part::Strong("run".into()));
    }

    #[test]
    fn long_list_is_shortened_to_a_count() {
        let things = ["a", "b", "c", "d", "e", "f", "g", "h"].map(str::to_owned).to_vec();
        let phrase = Phrase { verbs: vec!["read".into()], things };
        assert_eq!(phrase.text("and"), "read a, b, c, d, e and 3 more");
    }

    #[test]
    fn scope_is_split_into_verb_and_thing() {
        assert_eq!(words("verify"), ("verify".into(), String::new()));
        assert_eq!(words("data:river-runs:write"), ("change".into(), "data river runs".into()));
    }
}
