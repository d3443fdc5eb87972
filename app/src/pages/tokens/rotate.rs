//! The panel that rotates a token: it sets a new secret, and how long the older one still works.

use leptos::{either::Either, prelude::*};

use super::{
    list::use_list_version,
    one::{one_token, ways},
    place::Place,
};
use crate::{
    components::{
        live::use_announcer,
        panel::Panel,
        reveal::{Kind, Reveal},
    },
    fns::tokens_show::TokenDetail,
    forms::{EnhancedForm, FieldName, FormState, SubmitButton},
    posted::{Minted, Outcome, use_posted},
};

const FIELDS: &[FieldName] = &[FieldName::new("grace_s", "Old secret")];

/// The options for the older secret: the submitted value, the label and a note.
const GRACE: [(&str, &str, &str); 5] = [
    ("0", "Stops working now", "Requests that still use it are refused immediately."),
    ("3600", "Works for 1 hour", ""),
    ("86400", "Works for 24 hours", ""),
    ("604800", "Works for 7 days", ""),
    ("first-use", "Works until the new secret is first used", "For at most 7 days."),
];
const PRESET: &str = "86400";

/// The panel that rotates a token.
#[component]
pub fn TokenRotatePage() -> impl IntoView {
    one_token(true, |detail, place| view! { <Rotate detail place/> }.into_any())
}

#[component]
fn Rotate(detail: TokenDetail, place: Place) -> impl IntoView {
    let (paths, list) = ways(&detail, &place);
    let token = detail.token;
    let action = paths.action(token.id, "rotate");
    let state = FormState::new(&action);
    // Without scripts, the response to the post is this page with the new secret.
    let minted = RwSignal::new(use_posted().and_then(|posted| posted.minted.clone()));
    let kept = RwSignal::new(minted.with_untracked(Option::is_some));
    let version = use_list_version();
    let announcer = use_announcer();
    let on_done = Callback::new(move |outcome| {
        if let Outcome::Minted(new) = outcome {
            announcer.say("Token rotated. Copy the new secret now.");
            minted.set(Some(new));
            version.bump();
        }
    });
    let may_leave = Callback::new(move |()| {
        minted.with_untracked(Option::is_none)
            || kept.get_untracked()
            || window()
                .confirm_with_message(
                    "You won't be able to see this secret again. Leave without copying it?",
                )
                .unwrap_or(true)
    });
    let name = token.name.clone();
    let title = {
        let name = name.clone();
        Signal::derive(move || {
            if minted.with(Option::is_some) {
                "New secret".to_owned()
            } else {
                format!("Rotate “{name}”")
            }
        })
    };
    let close_href = list.clone();
    let body = move || match minted.get() {
        Some(minted) => Either::Left(reveal(minted, list.clone(), kept, may_leave)),
        None => Either::Right(view! {
            <RotateForm action=action.clone() state cancel_href=list.clone() version=token.version
                on_done/>
        }),
    };
    view! {
        <Panel title close_href size="panel-wide" may_close=may_leave>
            {body}
        </Panel>
    }
}

/// The form: the body and foot of the panel.
#[component]
fn RotateForm(
    action: String,
    state: FormState,
    cancel_href: String,
    version: i64,
    on_done: Callback<Outcome>,
) -> impl IntoView {
    view! {
        <EnhancedForm action class="panel-form" fields=FIELDS button="Rotate" state=state on_done>
            <input type="hidden" name="version" value=version.to_string()/>
            <div class="panel-body">
                <p>
                    "The token gets a new secret, and its lifetime starts again. Its name, scopes and \
                     other settings stay the same. The old secret can keep working for a while, so \
                     that you can update your programs."
                </p>
                <Grace state/>
                <label class="check-row">
                    <input class="checkbox" type="checkbox" name="children" value="true"
                        checked={state.value("children").is_some()}/>
                    <span>" Also disable the tokens created with it. Choose this if its secret may have leaked."</span>
                </label>
            </div>
            <footer class="panel-foot form-actions">
                <SubmitButton>
                    <span>{move || if state.is_pending() { "Rotating…" } else { "Rotate" }}</span>
                </SubmitButton>
                <a class="button" href=cancel_href>"Cancel"</a>
                <p class="panel-foot-note">"You'll see the new secret once, on the next screen."</p>
            </footer>
        </EnhancedForm>
    }
}

fn reveal(
    minted: Minted,
    done_href: String,
    kept: RwSignal<bool>,
    may_leave: Callback<(), bool>,
) -> impl IntoView {
    view! { <Reveal minted done_href kept may_leave kind=Kind::Rotated/> }
}

/// The choice of how long the older secret works.
#[component]
fn Grace(state: FormState) -> impl IntoView {
    let chosen = state.value("grace").unwrap_or_else(|| PRESET.to_owned());
    let radios = GRACE
        .into_iter()
        .map(|(value, label, note)| {
            let note =
                (!note.is_empty()).then(|| view! { <small class="choice-end">{note}</small> });
            view! {
                <label class="choice">
                    <input type="radio" name="grace" value=value checked={value == chosen}/>
                    <span>{label}{note}</span>
                </label>
            }
        })
        .collect_view();
    view! {
        <fieldset class="field" id="grace_s" tabindex="-1">
            <legend class="label">"Old secret"</legend>
            <div class="choices choices-wide">{radios}</div>
        </fieldset>
    }
}
