//! Sends a form from the browser: the same post as without scripts, with the response in JSON.

use domain::problem::{Problem, ProblemCode};
use gloo_net::http::Request;
use leptos::{ev::SubmitEvent, prelude::*, task::spawn_local};
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{FormData, HtmlElement, HtmlFormElement, UrlSearchParams};

use super::FormState;
use crate::{posted::Outcome, problem::ConsoleError};

/// The result of a post.
pub type Sent = Result<Outcome, Problem>;

/// Posts a form's values to `action`.
pub async fn send(action: &str, values: String) -> Sent {
    let unreachable = || ConsoleError::unreachable().0;
    let answer = Request::post(action)
        .header("Accept", "application/json")
        .header("Content-Type", "application/x-www-form-urlencoded;charset=UTF-8")
        .body(values)
        .map_err(|_| unreachable())?
        .send()
        .await
        .map_err(|_| unreachable())?;
    if answer.ok() {
        answer.json::<Outcome>().await.map_err(|_| unreachable())
    } else {
        Err(answer.json::<Problem>().await.unwrap_or_else(|_| stranger(answer.status())))
    }
}

/// Returns the problem for a response that came from an intermediary, not from Tessera.
fn stranger(status: u16) -> Problem {
    if status == 413 {
        return Problem::new(
            ProblemCode::PayloadTooLarge,
            "The form is too large for the server. Shorten it, then try again.",
        );
    }
    Problem::new(
        ProblemCode::Unavailable,
        format!(
            "The server returned status {status}. Check whether your change was saved before you \
             try again."
        ),
    )
}

/// Returns the submit handler of a form. It sends the form, then shows the error or continues
/// with `on_done`.
pub(super) fn on_submit(
    action: String,
    state: FormState,
    on_done: Callback<Outcome>,
) -> impl Fn(SubmitEvent) {
    move |event| {
        event.prevent_default();
        let Some(form) = event.target().and_then(|target| target.dyn_into().ok()) else { return };
        let form: HtmlFormElement = form;
        let Some(values) = values(&form, &event) else { return };
        if !state.begin() {
            return;
        }
        let action = action.clone();
        spawn_local(async move {
            match send(&action, values).await {
                Ok(outcome) => {
                    state.finish(None);
                    on_done.run(outcome);
                }
                Err(problem) => {
                    state.finish(Some(problem));
                    request_animation_frame(move || focus_error(&form));
                }
            }
        });
    }
}

/// Returns a form's values, including the value of the button that was pressed.
fn values(form: &HtmlFormElement, event: &SubmitEvent) -> Option<String> {
    let data = FormData::new_with_form(form).ok()?;
    let values = UrlSearchParams::new_with_str_sequence_sequence(data.as_ref()).ok()?;
    if let Some(button) = event.submitter()
        && let Some(name) = button.get_attribute("name")
    {
        values.append(&name, &button.get_attribute("value").unwrap_or_default());
    }
    values.to_string().as_string()
}

/// Moves the focus to the error, so that screen readers read it and the visitor can correct
/// it directly.
fn focus_error(form: &HtmlFormElement) {
    for selector in [".notice[role=alert]", "[aria-invalid=true]"] {
        if let Ok(Some(element)) = form.query_selector(selector)
            && let Ok(element) = element.dyn_into::<HtmlElement>()
        {
            let _: Result<(), JsValue> = element.focus();
            return;
        }
    }
}

/// Follows the redirect of a response with a full page load, because the signed-in user may
/// have changed.
pub fn follow(outcome: Outcome) {
    if let Outcome::Redirect { location } = outcome {
        let _ = window().location().assign(&location);
    }
}
