//! The set-up page, opened through the one-time link.

use domain::problem::ProblemCode;
use leptos::{either::EitherOf3, prelude::*};
use leptos_router::hooks::use_params_map;

use crate::{
    components::problem::ProblemPage,
    fns::setup::setup_link,
    forms::{EnhancedForm, Field, FieldName, PasswordField, SubmitButton},
    pages::auth::{AuthCard, DeadLink},
};

const FIELDS: &[FieldName] = &[
    FieldName::new("name", "Your name"),
    FieldName::new("email", "E-mail"),
    FieldName::new("password", "Password"),
    FieldName::new("organisation", "Organisation"),
    FieldName::new("workspace_name", "First workspace"),
];

/// The text of the page for a link that no longer works.
const DEAD: &str = "A set-up link works once, within 24 hours. If Tessera is already set up, sign in. Otherwise, restart the server to print a new link.";

/// The set-up form, if the one-time link works.
#[component]
pub fn SetupPage() -> impl IntoView {
    let secret = use_params_map().with_untracked(|params| params.get("secret")).unwrap_or_default();
    let action = StoredValue::new(format!("/setup/{secret}"));
    let link = Resource::new(|| (), move |()| setup_link(secret.clone()));
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                match link.await.map_err(|error| error.0) {
                    Ok(()) => EitherOf3::A(view! { <SetupForm action=action.get_value()/> }),
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
fn SetupForm(action: String) -> impl IntoView {
    let lead = "Takes about a minute. The link works until the instance is set up.".into_any();
    view! {
        <AuthCard title="Set up Tessera" lead>
            <EnhancedForm action fields=FIELDS button="Set up Tessera">
                <fieldset class="form-section">
                    <legend>"Your account"</legend>
                    <Field name="name" label="Your name" autocomplete="name" required=true/>
                    <Field
                        name="email"
                        label="E-mail"
                        kind="email"
                        help="You sign in with this address."
                        autocomplete="username"
                        required=true
                    />
                    <PasswordField
                        name="password"
                        label="Password"
                        help="At least 15 characters, such as four or more unrelated words."
                        autocomplete="new-password"
                    />
                </fieldset>
                <fieldset class="form-section">
                    <legend>"Your organisation"</legend>
                    <Field
                        name="organisation"
                        label="Organisation"
                        autocomplete="organization"
                        required=true
                    />
                    <Field
                        name="workspace_name"
                        label="First workspace"
                        value="Workspace 1"
                        help="A workspace has its own members and tokens. You can add more later."
                        autocomplete="off"
                        required=true
                    />
                </fieldset>
                <SubmitButton class="button button-primary button-block">
                    "Set up Tessera"
                </SubmitButton>
            </EnhancedForm>
        </AuthCard>
    }
}
