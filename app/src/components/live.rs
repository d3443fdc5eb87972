//! Live regions, which announce events to users of screen readers.
//!
//! Both regions are in the first HTML, because assistive technology only watches regions that it
//! has already found. While a dialog is open, everything outside of it is silent, so each dialog
//! has its own region with the same text.

use leptos::prelude::*;

/// The announcer of texts to screen readers: a context of the whole console.
#[derive(Clone, Copy, Debug)]
pub struct Announcer {
    polite: RwSignal<String>,
    assertive: RwSignal<String>,
}

impl Announcer {
    /// Creates an announcer without a text.
    pub fn new() -> Self {
        Self { polite: RwSignal::new(String::new()), assertive: RwSignal::new(String::new()) }
    }

    /// Announces a text when the screen reader pauses.
    pub fn say(self, text: impl Into<String>) {
        self.polite.set(text.into());
    }

    /// Announces a text immediately.
    pub fn interrupt(self, text: impl Into<String>) {
        self.assertive.set(text.into());
    }

    /// Returns the text to announce when the screen reader pauses.
    pub fn polite(self) -> Signal<String> {
        self.polite.into()
    }
}

impl Default for Announcer {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the console's announcer.
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
