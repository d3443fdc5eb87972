//! The form itself, the summary of a failed attempt, and the submit button.

use domain::problem::{Problem, ProblemCode};
use leptos::{context::Provider, either::EitherOf3, prelude::*};

use super::{
    FormState,
    field_name::{FieldName, sentence},
};
use crate::{
    components::icon::{Glyph, Icon},
    posted::Outcome,
};

/// A `<form method="post">` that sends itself by script once hydrated.
///
/// It provides its controls with their [`FormState`] and shows above them why the last
/// attempt failed.
#[component]
pub fn EnhancedForm(
    /// The path to post to: the page's own path, so that the page can respond to the post.
    #[prop(into)]
    action: String,
    /// The classes.
    #[prop(default = "form")]
    class: &'static str,
    /// The fields' labels, for the error summary.
    #[prop(default = &[])]
    fields: &'static [FieldName],
    /// The text of the button, for "then press … again".
    #[prop(default = "the button")]
    button: &'static str,
    /// The form's state, if code outside the form needs it too.
    #[prop(optional)]
    state: Option<FormState>,
    /// Called after a successful attempt. By default the browser follows the redirect of
    /// the response.
    #[prop(optional)]
    on_done: Option<Callback<Outcome>>,
    /// Whether a [`FormSummary`] among the children replaces the form's own summary.
    #[prop(optional)]
    own_summary: bool,
    /// The controls.
    children: Children,
) -> impl IntoView {
    let state = state.unwrap_or_else(|| FormState::new(&action));
    state.label(fields);
    let names = FormNames { fields, button };
    let summary = (!own_summary).then_some(());
    #[cfg(feature = "hydrate")]
    let on_submit = super::send::on_submit(
        action.clone(),
        state,
        on_done.unwrap_or_else(|| Callback::new(super::send::follow)),
    );
    #[cfg(not(feature = "hydrate"))]
    let on_submit = {
        let _ = on_done;
        |_: leptos::ev::SubmitEvent| {}
    };
    view! {
        <form
            class=class
            method="post"
            action=action
            novalidate
            aria-busy=move || state.is_pending().then_some("true")
            on:submit=on_submit
        >
            <Provider value=state>
                <Provider value=names>
                    {summary.map(|()| view! { <FormSummary/> })}
                    {children()}
                </Provider>
            </Provider>
        </form>
    }
}

/// The data that the summary takes from its form.
#[derive(Clone, Copy, Debug)]
struct FormNames {
    fields: &'static [FieldName],
    button: &'static str,
}

/// The reason why the last attempt of the surrounding form failed, with links to the fields at
/// fault. If the session has expired, it offers to sign in again.
#[component]
pub fn FormSummary() -> impl IntoView {
    let state = use_context::<FormState>();
    let names = use_context::<FormNames>().unwrap_or(FormNames { fields: &[], button: "" });
    move || match state.and_then(FormState::problem) {
        None => EitherOf3::A(()),
        Some(problem) if problem.code == ProblemCode::Unauthenticated => {
            EitherOf3::B(session_ended(names.button))
        }
        Some(problem) => EitherOf3::C(summary(problem, names.fields)),
    }
}

fn session_ended(button: &'static str) -> impl IntoView {
    view! {
        <div class="notice notice-warning" role="alert" tabindex="-1">
            <Icon glyph=Glyph::Lock/>
            <div>
                <h2>"Your session has ended"</h2>
                <p>
                    "Nothing you typed is lost. Sign in using a new tab, come back here, then press "
                    {button}" again."
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
    }
}

fn summary(problem: Problem, fields: &'static [FieldName]) -> impl IntoView {
    let lines: Vec<_> = problem
        .errors
        .iter()
        .map(|error| {
            let name = fields.iter().find(|name| name.field == error.field);
            let href = format!("#{}", name.map_or(error.field.as_str(), |name| name.id));
            let text = sentence(fields, &error.field, &error.message);
            view! { <li><a href=href rel="external">{text}</a></li> }
        })
        .collect();
    let body = if lines.is_empty() {
        let retry = problem.retry_after_s.map(|seconds| format!(" {}", try_again(seconds)));
        view! { <p>{problem.detail}{retry}</p> }.into_any()
    } else {
        let heading = match lines.len() {
            1 => "Fix 1 field to continue.".to_owned(),
            count => format!("Fix {count} fields to continue."),
        };
        view! { <div><h2>{heading}</h2><ul>{lines}</ul></div> }.into_any()
    };
    view! {
        <div class="notice notice-danger error-summary" role="alert" tabindex="-1">
            <Icon glyph=Glyph::Warning/>
            {body}
        </div>
    }
}

/// Returns the sentence that states when to try again.
fn try_again(seconds: u64) -> String {
    match seconds {
        0..=1 => "Try again in a second.".to_owned(),
        2..=90 => format!("Try again in {seconds} seconds."),
        _ => format!("Try again in {} minutes.", seconds.div_ceil(60)),
    }
}

/// The submit button of the surrounding form. It is busy while an attempt is in progress.
#[component]
pub fn SubmitButton(
    /// The classes.
    #[prop(default = "button button-primary")]
    class: &'static str,
    /// The content.
    children: Children,
) -> impl IntoView {
    let state = use_context::<FormState>();
    let busy = move || state.is_some_and(FormState::is_pending).then_some("true");
    view! {
        <button class=class type="submit" aria-busy=busy aria-disabled=busy>
            {children()}
        </button>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_time_is_shown_in_the_unit_that_fits() {
        assert_eq!(try_again(1), "Try again in a second.");
        assert_eq!(try_again(30), "Try again in 30 seconds.");
        assert_eq!(try_again(91), "Try again in 2 minutes.");
    }
}
