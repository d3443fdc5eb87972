//! Live regions: what happened, told to those who do not see it.
//!
//! Both regions are in the first HTML, because assistive technology only watches what it has met.
//! While a dialog is open everything outside of it is silent, so each dialog has a region of its
//! own that says the same.

use leptos::prelude::*;

/// Says things: a context of the whole console.
#[derive(Clone, Copy, Debug)]
pub struct Announcer {
    polite: RwSignal<String>,
    assertive: RwSignal<String>,
}

impl Announcer {
    /// An announcer that has said nothing.
    pub fn new() -> Self {
        Self { polite: RwSignal::new(String::new()), assertive: RwSignal::new(String::new()) }
    }

    /// Says it when the reader pauses.
    pub fn say(self, text: impl Into<String>) {
        self.polite.set(text.into());
    }

    /// Says it at once.
    pub fn interrupt(self, text: impl Into<String>) {
        self.assertive.set(text.into());
    }

    /// What is to be said when the reader pauses.
    pub fn polite(self) -> Signal<String> {
        self.polite.into()
    }
}

impl Default for Announcer {
    fn default() -> Self {
        Self::new()
    }
}

/// The console's announcer.
pub fn use_announcer() -> Announcer {
    use_context::<Announcer>().unwrap_or_default()
}

/// The two regions, last in the body.
#[component]
pub fn LiveRegions() -> impl IntoView {
    let announcer = use_announcer();
    view! {
        <div id="live-polite" class="visually-hidden" role="status">
            {move || announcer.polite.get()}
        </div>
        <div id="live-assertive" class="visually-hidden" role="alert">
            {move || announcer.assertive.get()}
        </div>
    }
}
