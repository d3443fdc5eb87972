//! The first steps in a workspace, shown until a token has been used.

use domain::workspace::TokenCounts;
use leptos::{either::Either, prelude::*};

use crate::components::icon::{Glyph, Icon};

/// The steps from an empty workspace to a call with a token.
#[component]
pub fn FirstSteps(
    /// The numbers of the workspace's tokens.
    counts: TokenCounts,
    /// The path of the list of tokens.
    tokens: String,
) -> impl IntoView {
    let has_token = counts.total > 0;
    let note = if has_token { "2 of 3" } else { "1 of 3" };
    view! {
        <section class="pane" aria-labelledby="steps-title">
            <header class="pane-head">
                <h2 id="steps-title">"First steps"</h2>
                <span class="pane-note">{note}</span>
            </header>
            <ol class="steps">
                <Step number=1 done=true title="Set up the workspace" href=None>
                    "Your workspace is ready."
                </Step>
                <Step number=2 done=has_token title="Add a token" href=Some(format!("{tokens}/new"))>
                    "Choose its scopes and expiry, then copy it. It is shown only once."
                </Step>
                <Step
                    number=3
                    done=false
                    title="Call your API with it"
                    href=Some("/api/docs".to_owned())
                    external=true
                >
                    "Your gateway checks every request with Tessera at "
                    <code>"/auth/forward"</code>
                    "."
                </Step>
            </ol>
        </section>
    }
}

#[component]
fn Step(
    number: u8,
    done: bool,
    title: &'static str,
    href: Option<String>,
    #[prop(optional)] external: bool,
    children: Children,
) -> impl IntoView {
    let mark = if done {
        Either::Left(view! { <Icon glyph=Glyph::Active/> })
    } else {
        Either::Right(view! { <span class="step-number" aria-hidden="true">{number}</span> })
    };
    let title = match href.filter(|_| !done) {
        Some(href) => {
            let rel = external.then_some("external");
            Either::Left(view! { <a href=href rel=rel>{title}</a> })
        }
        None => Either::Right(title),
    };
    view! {
        <li class="step" class:is-done=done>
            {mark}
            <div>
                <p class="step-title">
                    {title}
                    {done.then(|| view! { <span class="visually-hidden">" (done)"</span> })}
                </p>
                <p class="step-text">{children()}</p>
            </div>
        </li>
    }
}
