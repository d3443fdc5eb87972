//! The frame around pages of people who are not signed in.

use leptos::prelude::*;
use leptos_meta::Title;

use super::frame::BasicModeNote;
use crate::components::{flash::FlashMessage, heading::Heading, logo::Logo};

/// What every page begins with: how titles are written, and a way past the navigation.
#[component]
pub fn PageTop() -> impl IntoView {
    let title = |text: String| {
        if text.is_empty() { "Tessera".to_owned() } else { format!("{text} · Tessera") }
    };
    view! {
        <Title formatter=title/>
        <a class="skip-link" href="#main" rel="external">
            "Skip to content"
        </a>
    }
}

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
