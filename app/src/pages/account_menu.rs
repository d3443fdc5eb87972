//! The account menu: theme, password and sign out.

use domain::session::Visitor;
use leptos::prelude::*;
use leptos_router::hooks::use_location;

use super::sidebar::initials;
use crate::{
    components::icon::{Glyph, Icon},
    forms::EnhancedForm,
    theme::{Theme, use_theme},
};

/// The account menu.
#[component]
pub fn AccountMenu(
    /// The signed-in user.
    visitor: Visitor,
) -> impl IntoView {
    let name = visitor.user.name;
    view! {
        <details class="menu account-menu">
            <summary class="avatar-button" aria-label=format!("Account: {name}")>
                <span class="avatar" aria-hidden="true">{initials(&name)}</span>
            </summary>
            <div class="menu-list menu-end">
                <p class="menu-title">
                    <strong>{name}</strong>
                    <span>{visitor.user.email}</span>
                </p>
                <ThemeForm/>
                <a class="menu-item" href="/account/password" rel="external">
                    <Icon glyph=Glyph::Lock/>
                    <span>"Change password"</span>
                </a>
                <form method="post" action="/sign-out">
                    <button class="menu-item">
                        <Icon glyph=Glyph::SignOut/>
                        <span>"Sign out"</span>
                    </button>
                </form>
            </div>
        </details>
    }
}

/// The choice of the theme. Once hydrated, the theme changes immediately; otherwise the same page
/// is loaded again.
#[component]
fn ThemeForm() -> impl IntoView {
    let theme = RwSignal::new(use_theme());
    let location = use_location();
    let here = move || {
        let search = location.search.get();
        let mark = if search.is_empty() { "" } else { "?" };
        format!("{}{mark}{search}", location.pathname.get())
    };
    let buttons: Vec<_> = Theme::ALL
        .into_iter()
        .map(|choice| {
            view! {
                <button
                    name="theme"
                    value=choice.as_str()
                    aria-pressed=move || if theme.get() == choice { "true" } else { "false" }
                    on:click=move |_| show(theme, choice)
                >
                    {choice.label()}
                </button>
            }
        })
        .collect();
    view! {
        <EnhancedForm action="/theme" class="theme-form" on_done=Callback::new(|_| ())>
            <input type="hidden" name="next" value=here/>
            <fieldset class="segmented">
                <legend class="menu-label">"Theme"</legend>
                {buttons}
            </fieldset>
        </EnhancedForm>
    }
}

#[cfg(feature = "hydrate")]
fn show(theme: RwSignal<Theme>, choice: Theme) {
    theme.set(choice);
    if let Some(html) = document().document_element() {
        let _ = html.set_attribute("data-theme", choice.as_str());
    }
}

#[cfg(not(feature = "hydrate"))]
fn show(_theme: RwSignal<Theme>, _choice: Theme) {}
