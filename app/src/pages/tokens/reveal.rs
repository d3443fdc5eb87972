//! The panel that shows the secret of a recoverable token again. The audit log records who
//! requested it.

use leptos::{either::Either, prelude::*};

use super::{
    one::{one_token, ways},
    place::Place,
};
use crate::{
    components::{
        icon::Glyph,
        panel::Panel,
        reveal::{Kind, Reveal},
    },
    fns::tokens_show::TokenDetail,
    forms::confirm::Confirm,
    posted::{Outcome, use_posted},
};

/// The panel that shows a secret again.
#[component]
pub fn TokenRevealPage() -> impl IntoView {
    one_token(true, |detail, place| view! { <Question detail place/> }.into_any())
}

#[component]
fn Question(detail: TokenDetail, place: Place) -> impl IntoView {
    let (paths, list) = ways(&detail, &place);
    let token = detail.token;
    let action = paths.action(token.id, "reveal");
    let shown = RwSignal::new(use_posted().and_then(|posted| posted.minted.clone()));
    let on_done = Callback::new(move |outcome| {
        if let Outcome::Minted(minted) = outcome {
            shown.set(Some(minted));
        }
    });
    let title = {
        let name = token.name.clone();
        Signal::derive(move || {
            if shown.with(Option::is_some) {
                name.clone()
            } else {
                format!("Show the secret of “{name}”?")
            }
        })
    };
    let close_href = list.clone();
    let body = move || match shown.get() {
        Some(minted) => Either::Left(view! {
            <Reveal minted done_href=list.clone() kept=RwSignal::new(true)
                may_leave=Callback::new(|()| true) kind=Kind::Shown/>
        }),
        None => Either::Right(view! {
            <Confirm action=action.clone() cancel_href=list.clone() label="Show secret"
                glyph=Glyph::Eye on_done>
                <p>
                    "Anyone who has the secret can use the token. The audit log will record that you viewed it."
                </p>
            </Confirm>
        }),
    };
    view! {
        <Panel title close_href size="panel-wide">
            {body}
        </Panel>
    }
}
