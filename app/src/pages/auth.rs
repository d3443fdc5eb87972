//! The frame around pages for visitors who are not signed in.

use leptos::prelude::*;
use leptos_meta::Title;

use super::frame::BasicModeNote;
use crate::components::{flash::FlashMessage, heading::Heading, logo::Logo};

/// The beginning of every page: the format of its title, and a link that skips the navigation.
#[component]
pub fn PageTop() -> impl IntoView {
    view! {
        <Title formatter=document_title/>
        <a class="skip-link" href="#main" rel="external">
            "Skip to content"
        </a>
    }
}

/// Returns the document's title for a page's heading.
fn document_title(heading: String) -> String {
    if heading.is_empty() { "Tessera".to_owned() } else { format!("{} · Tessera", inert(heading)) }
}

/// Escapes a title. The renderer writes the title between its tags unescaped, and names in it must
/// not close them.
#[cfg(feature = "ssr")]
fn inert(text: String) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Returns the text unchanged, because the browser sets the title as text.
#[cfg(not(feature = "ssr"))]
fn inert(text: String) -> String {
    text
}

/// A card in the middle of the page.
#[component]
pub fn AuthCard(
    /// The heading.
    title: &'static str,
    /// The line below the heading.
    #[prop(optional)]
    lead: Option<AnyView>,
    /// The line below the card.
    #[prop(optional)]
    foot: Option<AnyView>,
    /// The content.
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

/// The page for a link that was used, was replaced, has expired, or never existed.
#[component]
pub fn DeadLink(
    /// The lifetime of such links, and how to get a new one.
    why: &'static str,
) -> impl IntoView {
    view! {
        <AuthCard title="This link doesn't work">
            <p>{why}</p>
            <p>
                <a class="button button-primary button-block" href="/sign-in" rel="external">
                    "Go to sign in"
                </a>
            </p>
        </AuthCard>
    }
}

#[cfg(all(test, feature = "ssr"))]
mod tests {
    use super::*;

    #[test]
    fn heading_cannot_close_the_title_element() {
        assert_eq!(
            document_title("</title><script>&".to_owned()),
            "&lt;/title&gt;&lt;script&gt;&amp; · Tessera"
        );
        assert_eq!(document_title(String::new()), "Tessera");
    }
}
