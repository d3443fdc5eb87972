//! The replacement for a page that cannot be shown.

use domain::problem::{Problem, ProblemCode};
use leptos::prelude::*;
use leptos_router::hooks::use_location;

use super::heading::Heading;

/// A problem as a whole page: its description, the next step, and the request's id.
#[component]
pub fn ProblemPage(
    /// The problem.
    problem: Problem,
) -> impl IntoView {
    let Told { title, text, action } = tell(&problem);
    let location = use_location();
    let here = move || format!("{}{}", location.pathname.get(), query(&location.search.get()));
    let action = match action {
        Action::Workspaces => view! {
            <a class="button button-primary" href="/workspaces">"Go to workspaces"</a>
        }
        .into_any(),
        Action::Password => view! {
            <a class="button button-primary" rel="external" href="/account/password">
                "Change password"
            </a>
        }
        .into_any(),
        Action::SignIn => view! {
            <a
                class="button button-primary"
                rel="external"
                href=move || format!("/sign-in?next={}", crate::next::escape(&here()))
            >
                "Sign in"
            </a>
        }
        .into_any(),
        Action::Again => view! {
            <a class="button button-primary" rel="external" href=here>"Try again"</a>
        }
        .into_any(),
    };
    let id = problem.request_id.clone().map(|id| {
        view! { <p class="error-id">"Request ID: "<code>{id}</code></p> }
    });
    view! {
        <section class="error-page">
            <p class="error-code">{problem.status}</p>
            <Heading text=title/>
            <p class="error-text">{text}</p>
            <p class="error-actions">{action}</p>
            {id}
        </section>
    }
}

/// Advice for visitors without the required role.
const FORBIDDEN: &str =
    "Ask an administrator of this workspace to do it, or to give you the role you need.";

struct Told {
    title: String,
    text: String,
    action: Action,
}

enum Action {
    Workspaces,
    SignIn,
    Password,
    Again,
}

fn tell(problem: &Problem) -> Told {
    let (title, text, action) = match problem.code {
        ProblemCode::NotFound => (
            "Page not found",
            "Check the address. The page may have been deleted, or it may belong to a workspace \
             that you aren't a member of.",
            Action::Workspaces,
        ),
        ProblemCode::Unauthenticated => {
            ("Your session has ended", "Sign in to continue where you left off.", Action::SignIn)
        }
        ProblemCode::Unavailable => {
            ("Tessera is unavailable", "Nothing was changed. Try again in a moment.", Action::Again)
        }
        ProblemCode::PasswordChangeRequired => {
            (problem.title.as_str(), problem.detail.as_str(), Action::Password)
        }
        ProblemCode::Forbidden => {
            (problem.detail.trim_end_matches('.'), FORBIDDEN, Action::Workspaces)
        }
        code if code.status() < 500 && code != ProblemCode::TooManyAttempts => {
            (problem.title.as_str(), problem.detail.as_str(), Action::Workspaces)
        }
        _ => (problem.title.as_str(), problem.detail.as_str(), Action::Again),
    };
    Told { title: title.to_owned(), text: text.to_owned(), action }
}

fn query(search: &str) -> String {
    if search.is_empty() { String::new() } else { format!("?{search}") }
}
