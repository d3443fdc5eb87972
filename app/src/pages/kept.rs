//! What was typed into a form whose session had ended, for those without scripts.
//!
//! The form itself cannot be shown: what it offers is only for people who are signed in. So this
//! page holds the values, and sends them again once there is a session.

use leptos::prelude::*;

use super::auth::AuthCard;
use crate::{
    components::icon::{Glyph, Icon},
    pages::auth::PageTop,
    posted::use_posted,
};

/// What was typed into a form whose session had ended.
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
    let shown: Vec<_> = posted
        .values
        .iter()
        .filter(|(name, value)| name != "creation_key" && !value.is_empty())
        .map(|(name, value)| {
            view! {
                <div>
                    <dt>{name.replace('_', " ")}</dt>
                    <dd>{value.clone()}</dd>
                </div>
            }
        })
        .collect();
    view! {
        <PageTop/>
        <AuthCard title="Your session has ended">
            <div class="notice notice-warning" role="alert" tabindex="-1">
                <Icon glyph=Glyph::Lock/>
                <div>
                    <p>
                        "Nothing you typed is lost, and nothing was changed. Sign in in a new tab, come back to this page, then submit again."
                    </p>
                    <p class="notice-actions">
                        <a class="button button-small" href="/sign-in" target="_blank" rel="noopener">
                            "Sign in"
                            <span class="visually-hidden">" (opens a new tab)"</span>
                            " "
                            <Icon glyph=Glyph::External/>
                        </a>
                    </p>
                </div>
            </div>
            <form class="form" method="post" action=posted.path.clone()>
                {hidden}
                <dl class="facts">{shown}</dl>
                <button class="button button-primary button-block" type="submit">
                    "Submit again"
                </button>
            </form>
        </AuthCard>
    }
}
