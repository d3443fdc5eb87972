//! The values of the form for a new token, before and while the visitor fills it in:
//! pure functions.
//!
//! A draft has three possible sources, all of them pairs as a form submits them: a link that
//! prefills the form, a post that failed, and values typed before the page was hydrated.

use std::collections::BTreeSet;

use domain::{
    catalogue::{Catalogue, DEFAULT_AUDIENCE, ScopeName, TESSERA_AUDIENCE},
    held::{HeldScope, read_flat},
    names::AudienceSlug,
};

use crate::{
    fns::tokens_form::TokenForm,
    forms::{
        expiry::{Choice, preselected},
        scope_tree::model::Chosen,
    },
};

/// The values of the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
    /// The id of the owner, the user whom the token acts as.
    pub user: String,
    /// The audiences.
    pub audiences: BTreeSet<AudienceSlug>,
    /// The scopes.
    pub chosen: Chosen,
    /// The expiry.
    pub expiry: Choice,
    /// The address ranges, as typed.
    pub ip_allow: String,
    /// The rate limit, as typed.
    pub rate_limit: String,
    /// Scopes of the source that no catalogue declares, or that the visitor may not grant
    /// to tokens.
    pub unknown: Vec<String>,
}

/// The source of a draft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A link. The policy presets everything that it leaves out.
    Link,
    /// The form itself. A value that it leaves out was not chosen.
    Form,
}

impl Draft {
    /// Reads a draft from pairs of names and values.
    pub fn read<'a>(
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        source: Source,
        form: &TokenForm,
    ) -> Self {
        let mut draft = Self {
            name: String::new(),
            description: String::new(),
            user: form.visitor.user.id.to_string(),
            audiences: BTreeSet::new(),
            chosen: Chosen::default(),
            expiry: Choice {
                value: preselected(&form.overview.policy, form.now),
                date: String::new(),
            },
            ip_allow: String::new(),
            rate_limit: String::new(),
            unknown: Vec::new(),
        };
        // Names of scopes without an audience.
        let mut flat = Vec::new();
        for (name, value) in pairs {
            match name {
                "name" => value.clone_into(&mut draft.name),
                "description" => value.clone_into(&mut draft.description),
                "user" => draft.user = user(value, form).unwrap_or(draft.user),
                "expires" => value.clone_into(&mut draft.expiry.value),
                "expires_date" => value.clone_into(&mut draft.expiry.date),
                "ip_allow" => value.clone_into(&mut draft.ip_allow),
                "rate_limit" => value.clone_into(&mut draft.rate_limit),
                "audience" => draft.audiences.extend(
                    form.catalogues
                        .iter()
                        .map(|catalogue| &catalogue.audience)
                        .filter(|audience| audience.as_ref() == value)
                        .cloned(),
                ),
                "scope" => match (value.parse::<HeldScope>(), value.parse::<ScopeName>()) {
                    (Ok(pair), _) if offers(form, &pair.audience, &pair.scope) => {
                        draft.chosen.insert(pair.audience, pair.scope);
                    }
                    (_, Ok(scope)) => flat.push(scope),
                    _ => draft.unknown.push(value.to_owned()),
                },
                _ => {}
            }
        }
        draft.choose_flat(&flat, form);
        if source == Source::Link && draft.audiences.is_empty() {
            draft.audiences = fitting_audiences(&draft.chosen, form);
        }
        draft
    }
}

impl Draft {
    /// Chooses each scope in every audience of the draft that offers it, or in every audience that
    /// offers it if the draft has no audiences.
    fn choose_flat(&mut self, scopes: &[ScopeName], form: &TokenForm) {
        let audiences: Vec<AudienceSlug> = form
            .catalogues
            .iter()
            .map(|catalogue| &catalogue.audience)
            .filter(|audience| self.audiences.is_empty() || self.audiences.contains(*audience))
            .cloned()
            .collect();
        let read = read_flat(&audiences, scopes, |audience, scope| offers(form, audience, scope));
        for (audience, scope) in read.held.pairs() {
            self.chosen.insert(audience.clone(), scope.clone());
        }
        self.unknown.extend(read.undeclared.iter().map(ToString::to_string));
    }
}

/// Returns whether the form has a box for this scope that can be ticked.
fn offers(form: &TokenForm, audience: &AudienceSlug, scope: &ScopeName) -> bool {
    let known = form.catalogues.iter().filter(|catalogue| catalogue.audience == *audience);
    let pair = HeldScope { audience: audience.clone(), scope: scope.clone() };
    known.flat_map(Catalogue::scopes).any(|known| known.name == *scope)
        && !form.withheld.contains(&pair)
}

/// Finds a user by id or email address, among those that the form offers. Returns the user's id.
fn user(told: &str, form: &TokenForm) -> Option<String> {
    let members = form.members.iter().map(|member| &member.user);
    members
        .chain([&form.visitor.user])
        .find(|user| user.id.to_string() == told || user.email == told)
        .map(|user| user.id.to_string())
}

/// Returns the audiences of the scopes. Without scopes, returns the default audience, or the first
/// audience that is not Tessera's own.
fn fitting_audiences(chosen: &Chosen, form: &TokenForm) -> BTreeSet<AudienceSlug> {
    let fitting: BTreeSet<_> = form
        .catalogues
        .iter()
        .filter(|catalogue| chosen.of(&catalogue.audience).is_some())
        .map(|catalogue| catalogue.audience.clone())
        .collect();
    if !fitting.is_empty() {
        return fitting;
    }
    let audiences = || form.catalogues.iter().map(|catalogue| &catalogue.audience);
    audiences()
        .find(|audience| audience.as_ref() == DEFAULT_AUDIENCE)
        .or_else(|| audiences().find(|audience| audience.as_ref() != TESSERA_AUDIENCE))
        .cloned()
        .into_iter()
        .collect()
}

/// Splits a text into address ranges, which are separated by commas, semicolons or white space.
pub fn ranges(text: &str) -> Vec<String> {
    text.split([',', ';', ' ', '\n', '\r', '\t'])
        .filter(|range| !range.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use domain::policy::Policy;

    use super::*;
    use crate::{
        forms::scope_tree::model::tests::{catalogue, chosen},
        pages::tokens::tests::form,
    };

    fn draft(pairs: &[(&str, &str)], source: Source) -> Draft {
        Draft::read(pairs.iter().copied(), source, &form(Policy::default()))
    }

    fn audiences(draft: &Draft) -> Vec<&str> {
        draft.audiences.iter().map(AsRef::as_ref).collect()
    }

    #[test]
    fn empty_link_uses_the_defaults_of_the_policy() {
        let draft = draft(&[], Source::Link);
        assert_eq!(draft.expiry.value, "90d");
        assert_eq!(audiences(&draft), ["default"]);
        assert_eq!(draft.user, form(Policy::default()).visitor.user.id.to_string());
    }

    #[test]
    fn link_with_scopes_selects_their_audience() {
        let draft =
            draft(&[("name", "ci"), ("scope", "rivers:run"), ("scope", "boats:run")], Source::Link);
        assert_eq!(draft.name, "ci");
        assert_eq!(draft.chosen, chosen(&["rivers:run"]));
        assert_eq!(draft.unknown, ["boats:run"]);
        assert_eq!(audiences(&draft), [catalogue().audience.as_ref()]);
    }

    #[test]
    fn link_does_not_select_a_withheld_scope() {
        let mut form = form(Policy::default());
        form.withheld = ["default/rivers:write".parse().unwrap()].into();
        let pairs = [("scope", "rivers:write"), ("scope", "rivers:run")];
        let draft = Draft::read(pairs, Source::Link, &form);
        assert_eq!(draft.chosen, chosen(&["rivers:run"]));
        assert_eq!(draft.unknown, ["rivers:write"]);
    }

    #[test]
    fn pair_is_selected_only_in_its_audience() {
        let mut form = form(Policy::default());
        let mut vault = catalogue();
        vault.audience = "vault".parse().unwrap();
        form.catalogues.push(vault);
        let read = |pairs: &[(&'static str, &'static str)]| {
            Draft::read(pairs.iter().copied(), Source::Link, &form).chosen
        };
        let pair = read(&[("scope", "vault/rivers:run")]);
        assert_eq!(serde_json::json!(pair), serde_json::json!({"vault": ["rivers:run"]}));
        let both = read(&[("scope", "rivers:run")]);
        let everywhere = serde_json::json!({"default": ["rivers:run"], "vault": ["rivers:run"]});
        assert_eq!(serde_json::json!(both), everywhere);
        assert_eq!(read(&[("audience", "vault"), ("scope", "rivers:run")]), pair);
    }

    #[test]
    fn form_without_an_audience_has_none() {
        assert!(draft(&[("name", "ci")], Source::Form).audiences.is_empty());
    }

    #[test]
    fn member_is_found_by_address_and_other_people_are_not() {
        let form = form(Policy::default());
        let bot = form.members[0].user.clone();
        assert_eq!(draft(&[("user", &bot.email)], Source::Link).user, bot.id.to_string());
        let me = form.visitor.user.id.to_string();
        assert_eq!(draft(&[("user", "x@example.org")], Source::Link).user, me);
    }

    #[test]
    fn ranges_are_separated_by_commas_or_space() {
        assert_eq!(ranges("10.0.0.0/8, ::1\n192.0.2.1 ,"), ["10.0.0.0/8", "::1", "192.0.2.1"]);
        assert!(ranges(" ,\n").is_empty());
    }
}
