//! The sign-in page.

use leptos::{either::Either, prelude::*};
use leptos_router::hooks::use_query_map;

use crate::{
    fns::setup::setup_is_open,
    forms::{EnhancedForm, Field, FieldName, FormState, PasswordField, SubmitButton},
    next,
    pages::auth::AuthCard,
};

const FIELDS: &[FieldName] =
    &[FieldName::new("email", "E-mail"), FieldName::new("password", "Password")];

/// The sign-in page. After signing in, it opens `next` if that is a path of this server.
#[component]
pub fn SignInPage() -> impl IntoView {
    let open = Resource::new(|| (), |()| setup_is_open());
    view! {
        <Suspense>
            {move || Suspend::new(async move {
                match open.await {
                    Ok(true) => Either::Left(view! { <NotSetUp/> }),
                    Ok(false) | Err(_) => Either::Right(view! { <SignInForm/> }),
                }
            })}
        </Suspense>
    }
}

#[component]
fn SignInForm() -> impl IntoView {
    let query = use_query_map();
    let state = FormState::new("/sign-in");
    let wanted = state.value("next").or_else(|| query.with_untracked(|query| query.get("next")));
    let next = next::or_home(wanted.as_deref()).to_owned();
    let foot = "No account? Ask an instance administrator to create one.".into_any();
    view! {
        <AuthCard title="Sign in" foot>
            <EnhancedForm action="/sign-in" fields=FIELDS button="Sign in" state>
                <input type="hidden" name="next" value=next/>
                <Field
                    name="email"
                    label="E-mail"
                    kind="email"
                    autocomplete="username"
                    required=true
                />
                <PasswordField name="password" label="Password" autocomplete="current-password"/>
                <SubmitButton class="button button-primary button-block">"Sign in"</SubmitButton>
            </EnhancedForm>
        </AuthCard>
    }
}

/// The replacement for the sign-in form while the instance is not set up and has no users.
#[component]
fn NotSetUp() -> impl IntoView {
    let lead = "This instance isn't set up yet.".into_any();
    view! {
        <AuthCard title="Welcome to Tessera" lead>
            <p>
                "Open the set-up link that the server printed when it started. It is valid for 24 hours. Restart the server to print a new one."
            </p>
            <p>
                "Don't have the link? On the server, run "
                <code>"tessera admin create --email you@example.org"</code>" instead."
            </p>
        </AuthCard>
    }
}
