//! A password field.

use leptos::prelude::*;

use super::{Control, FieldFrame, Help};

/// A password field that can show the typed text. Pasting and password managers work. The server
/// never sends the typed text back.
#[component]
pub fn PasswordField(
    /// The name in the form, which is also the id.
    #[prop(into)]
    name: String,
    /// The label.
    #[prop(into)]
    label: String,
    /// The help text: what to type, and why.
    #[prop(optional, into)]
    help: Help,
    /// `current-password` or `new-password`.
    autocomplete: &'static str,
) -> impl IntoView {
    let control = Control::new(&name, &name, help.is_some());
    let Control { id, name, described_by, invalid, .. } = control.clone();
    let shown = RwSignal::new(false);
    // The button needs a script, so it is hidden until one runs: the hydrated console, or the small
    // script of a page that responds to a post.
    let ready = RwSignal::new(false);
    Effect::new(move |_| ready.set(true));
    let target = format!("#{id}");
    view! {
        <FieldFrame control label help>
            <div class="input-row">
                <input
                    class="input"
                    id=id
                    name=name
                    type=move || if shown.get() { "text" } else { "password" }
                    autocomplete=autocomplete
                    autocapitalize="none"
                    spellcheck="false"
                    required
                    aria-describedby=described_by
                    aria-invalid=invalid
                />
                <button
                    type="button"
                    class="button"
                    hidden=move || !ready.get()
                    aria-pressed=move || if shown.get() { "true" } else { "false" }
                    data-shows=target
                    on:click=move |_| shown.update(|shown| *shown = !*shown)
                >
                    "Show"
                    <span class="visually-hidden">" password"</span>
                </button>
            </div>
        </FieldFrame>
    }
}
