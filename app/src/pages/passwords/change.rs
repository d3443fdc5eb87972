//! The two pages as the server renders them.

use domain::problem::ProblemCode;
use leptos::{either::EitherOf3, prelude::*};
use leptos_router::hooks::use_params_map;

use crate::{
    components::{
        heading::PageHead,
        icon::{Glyph, Icon},
        loaded::Loaded,
        problem::ProblemPage,
    },
    fns::account::{OwnAccount, load_account, password_link},
    forms::{EnhancedForm, FieldName, PasswordField, SubmitButton},
    pages::auth::{AuthCard, DeadLink},
};

const ACTION: &str = "/account/password";
const FIELDS: &[FieldName] = &[
    FieldName::new("current_password", "Current password"),
    FieldName::new("new_password", "New password"),
];
const RULE: &str = "At least 15 characters, such as four or more unrelated words.";

/// The text of the page for a link that no longer works.
const DEAD: &str = "A link to choose a password works once and for 24 hours, and a newer link replaces it. Ask an administrator of this instance for a new one.";

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
            "Your password is too short or too easy to guess for a new one. It still works; please choose a better one.",
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
    let lead = "When you change it, your other sessions end. You stay signed in here.".into_any();
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

/// A hidden field from which password managers learn whose password it is.
#[component]
fn Username(email: String) -> impl IntoView {
    view! { <input type="text" name="username" autocomplete="username" value=email readonly hidden/> }
}

/// The page that sets a password through a one-time link, if the link works.
#[component]
pub fn ResetPasswordPage() -> impl IntoView {
    let secret = use_params_map().with_untracked(|params| params.get("secret")).unwrap_or_default();
    let action = StoredValue::new(format!("/reset-password/{secret}"));
    let link = Resource::new(|| (), move |()| password_link(secret.clone()));
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                match link.await.map_err(|error| error.0) {
                    Ok(email) => {
                        EitherOf3::A(view! { <ResetForm action=action.get_value() email/> })
                    }
                    Err(problem) if problem.code == ProblemCode::NotFound => {
                        EitherOf3::B(view! { <DeadLink why=DEAD/> })
                    }
                    Err(problem) => EitherOf3::C(view! {
                        <main class="main" id="main" tabindex="-1">
                            <ProblemPage problem/>
                        </main>
                    }),
                }
            })}
        </Suspense>
    }
}

#[component]
fn ResetForm(action: String, email: String) -> impl IntoView {
    let lead = view! { "For "<strong>{email.clone()}</strong>". Afterwards, sign in with the new password." }.into_any();
    view! {
        <AuthCard title="Choose your password" lead>
            <EnhancedForm action fields=FIELDS button="Set password">
                <Username email/>
                <PasswordField
                    name="new_password"
                    label="New password"
                    help=RULE
                    autocomplete="new-password"
                />
                <SubmitButton class="button button-primary button-block">"Set password"</SubmitButton>
            </EnhancedForm>
        </AuthCard>
    }
}
