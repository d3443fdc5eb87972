//! The frame around pages of people who are not signed in.

use leptos::prelude::*;

use super::frame::BasicModeNote;
use crate::components::{flash::FlashMessage, heading::Heading, logo::Logo};

/// A card in the middle of the page.
#[component]
pub fn AuthCard(
    /// Its heading.
    title: &'static str,
    /// The line below the heading.
    #[prop(optional)]
    lead: Option<AnyView>,
    /// The line below the card.
    #[prop(optional)]
    foot: Option<AnyView>,
    /// What it holds.
    children: Children,
) -> impl IntoView {
    view! {
        <div class="auth">
            <header class="auth-brand">
                <span class="brand">
                    <Logo/>
                </span>
            </header>
            <main class="auth-card" id="main" tabindex="-1">
                <BasicModeNote/>
                <FlashMessage/>
                <Heading text=title/>
                {lead.map(|lead| view! { <p class="auth-lead">{lead}</p> })}
                {children()}
            </main>
            <footer class="auth-foot">{foot}</footer>
        </div>
    }
}
