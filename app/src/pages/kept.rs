//! The values of a form that was submitted after its session had expired, for visitors
//! without scripts.
//!
//! The form itself cannot be shown, because its options are only for signed-in users. So this page
//! keeps the values and submits them again once there is a session.

use leptos::prelude::*;
use uuid::Uuid;

use super::auth::{AuthCard, PageTop};
use crate::{
    components::icon::{Glyph, Icon},
    posted::use_posted,
};

/// The values of a form that was submitted after its session had expired.
#[component]
pub fn KeptPage() -> impl IntoView {
    let posted = use_posted().unwrap_or_default();
    let hidden: Vec<_> = posted
        .values
        .iter()
        .map(|(name, value)| {
            view! { <input type="hidden" name=name.clone() value=value.clone()/> }
        })
        .collect();
    let facts: Vec<_> = readable(&posted.values)
        .into_iter()
        .map(|(name, value)| {
            view! {
                <div>
                    <dt>{name}</dt>
                    <dd>{value}</dd>
                </div>
            }
        })
        .collect();
    let lead = "Nothing you typed is lost, and nothing was changed.".into_any();
    view! {
        <PageTop/>
        <AuthCard title="Your session has ended" lead>
            <form class="form" method="post" action=posted.path.clone()>
                <div class="notice notice-warning" role="alert" tabindex="-1">
                    <Icon glyph=Glyph::Lock/>
                    <div>
                        <p>"Sign in using a new tab, come back to this page, then submit again."</p>
                        <p class="notice-actions">
                            <a
                                class="button button-small"
                                href="/sign-in"
                                target="_blank"
                                rel="noopener"
                            >
                                "Sign in"
                                <span class="visually-hidden">" (opens a new tab)"</span>
                                " "
                                <Icon glyph=Glyph::External/>
                            </a>
                        </p>
                    </div>
                </div>
                {hidden}
                <dl class="facts">{facts}</dl>
                <button class="button button-primary button-block" type="submit">
                    "Submit again"
                </button>
            </form>
        </AuthCard>
    }
}

/// Returns the values that a person would recognise. Names read like labels, repeated values are
/// joined, and empty values and ids are left out.
fn readable(values: &[(String, String)]) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    for (name, value) in values {
        if value.trim().is_empty() || Uuid::try_parse(value).is_ok() {
            continue;
        }
        let label = label(name);
        match facts.iter_mut().find(|(known, _)| *known == label) {
            Some((_, values)) => {
                values.push_str(", ");
                values.push_str(value);
            }
            None => facts.push((label, value.clone())),
        }
    }
    facts
}

/// Turns a field's name into a label.
fn label(name: &str) -> String {
    let name = match name {
        "scope" => "scopes",
        "audience" => "APIs",
        "user" => "e-mail address",
        "expires" => "expiry",
        "expires_date" => "last day",
        "ip_allow" => "allowed addresses",
        "grace" => "old secret",
        name => name,
    };
    let text = name.replace('_', " ");
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + characters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_field_is_shown_once_and_ids_are_not_shown() {
        let values = [
            ("creation_key", "0193a5b0-0000-7000-8000-000000000000"),
            ("name", "ci"),
            ("description", " "),
            ("scope", "a:b"),
            ("scope", "c:d"),
            ("ip_allow", "10.0.0.0/8"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let facts = readable(&values);
        let lines: Vec<_> = facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        assert_eq!(lines, ["Name: ci", "Scopes: a:b, c:d", "Allowed addresses: 10.0.0.0/8"]);
    }
}
