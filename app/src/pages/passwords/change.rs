//! The page that changes the visitor's own password.

use leptos::prelude::*;

use super::fields::{FIELDS, RULE, Username};
use crate::{
    components::{
        heading::PageHead,
        icon::{Glyph, Icon},
        loaded::Loaded,
    },
    fns::account::{OwnAccount, load_account},
    forms::{EnhancedForm, PasswordField, SubmitButton},
};

const ACTION: &str = "/account/password";

/// The page that changes the visitor's own password.
#[component]
pub fn PasswordPage() -> impl IntoView {
    let account = Resource::new(|| (), |()| load_account());
    let view = |account: OwnAccount| view! { <ChangeForm account/> };
    view! { <Loaded resource=account view/> }
}

#[component]
fn ChangeForm(account: OwnAccount) -> impl IntoView {
    let warning = match &account {
        OwnAccount { must_change_password: true, .. } => {
            Some("An administrator chose your password. Choose a new one to continue.")
        }
        OwnAccount { password_is_weak: true, .. } => Some(
            "Your password is too short or too easy to guess. It still works, but choose a stronger one.",
        ),
        _ => None,
    };
    let warning = warning.map(|text| {
        view! {
            <div class="notice notice-warning" role="status">
                <Icon glyph=Glyph::Warning/>
                <p>{text}</p>
            </div>
        }
    });
    let lead =
        "Changing your password signs you out of your other sessions. You stay signed in here."
            .into_any();
    view! {
        <PageHead title="Password" lead/>
        // The outer box is as wide as the heading, so that the form aligns with it.
        <div><div class="password-form">
            {warning}
            <EnhancedForm action=ACTION fields=FIELDS button="Change password">
                <Username email=account.email/>
                <PasswordField
                    name="current_password"
                    label="Current password"
                    autocomplete="current-password"
                />
                <PasswordField
                    name="new_password"
                    label="New password"
                    help=RULE
                    autocomplete="new-password"
                />
                <SubmitButton>"Change password"</SubmitButton>
            </EnhancedForm>
        </div></div>
    }
}
