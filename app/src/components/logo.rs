//! The logo: a tessera made of smaller ones.

use leptos::prelude::*;

/// The logo with the name beside it.
#[component]
pub fn Logo() -> impl IntoView {
    view! {
        <svg class="logo" viewBox="0 0 24 24" aria-hidden="true">
            <rect class="logo-a" x="2" y="2" width="12.5" height="6" rx="1.25"/>
            <rect class="logo-gold" x="16" y="2" width="6" height="6" rx="1.25"/>
            <rect class="logo-b" x="2" y="9.5" width="5" height="12.5" rx="1.25"/>
            <rect class="logo-a" x="8.5" y="9.5" width="6" height="12.5" rx="1.25"/>
            <rect class="logo-c" x="16" y="9.5" width="6" height="6" rx="1.25"/>
            <rect class="logo-b" x="16" y="17" width="6" height="5" rx="1.25"/>
        </svg>
        <span class="brand-name">"Tessera"</span>
    }
}
