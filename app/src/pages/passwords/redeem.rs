//! The page that sets a password through a one-time link.

use domain::problem::ProblemCode;
use leptos::{either::EitherOf3, prelude::*};
use leptos_router::hooks::use_params_map;

use super::fields::{FIELDS, RULE, Username};
use crate::{
    components::problem::ProblemPage,
    fns::account::password_link,
    forms::{EnhancedForm, PasswordField, SubmitButton},
    pages::auth::{AuthCard, DeadLink},
};

/// The text of the page for a link that no longer works.
const DEAD: &str = "A password link works once, within 24 hours, and only until a newer link replaces it. Ask an instance administrator for a new one.";

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
    let lead =
        view! { "Set a new password for "<strong>{email.clone()}</strong>", then sign in with it." }
            .into_any();
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
