//! A field for a password.

use leptos::prelude::*;

use super::{Control, FieldFrame, Help};

/// A password field that can show what was typed. Pasting and password managers work; what was
/// typed is never sent back.
#[component]
pub fn PasswordField(
    /// Its name in the form, and its id.
    #[prop(into)]
    name: String,
    /// Its label.
    #[prop(into)]
    label: String,
    /// What to type, and why.
    #[prop(optional, into)]
    help: Help,
    /// `current-password` or `new-password`.
    autocomplete: &'static str,
) -> impl IntoView {
    let control = Control::new(&name, &name, help.is_some());
    let Control { id, name, described_by, invalid, .. } = control.clone();
    let shown = RwSignal::new(false);
    // Useless without a script: hidden until there is one, either ours or the small one of pages
    // that answer a post.
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
