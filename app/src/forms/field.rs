//! A text field.

use leptos::prelude::*;

use super::{Control, FieldFrame, Help};

/// A one-line text field with label, help and error.
#[component]
pub fn Field(
    /// Its name in the form, and its id.
    #[prop(into)]
    name: String,
    /// Its label.
    #[prop(into)]
    label: String,
    /// What to type, and why.
    #[prop(optional, into)]
    help: Help,
    /// What it holds before anybody typed.
    #[prop(optional, into)]
    value: Option<String>,
    /// The input's type; `text` when not told.
    #[prop(default = "text")]
    kind: &'static str,
    /// What a browser may fill in (HTML, section 4.10.18.7).
    #[prop(optional)]
    autocomplete: Option<&'static str>,
    /// Whether it must be filled in.
    #[prop(optional)]
    required: bool,
    /// Whether the label says that it may stay empty.
    #[prop(optional)]
    optional: bool,
    /// The name under which errors are told, where it is not its own.
    #[prop(optional, into)]
    field: Option<String>,
    /// Whether the page or the dialog starts with the cursor here.
    #[prop(optional)]
    autofocus: bool,
    /// An example of what to type.
    #[prop(optional)]
    placeholder: Option<&'static str>,
    /// Told what is typed, when hydrated.
    #[prop(optional)]
    on_input: Option<Callback<String>>,
) -> impl IntoView {
    let field = field.unwrap_or_else(|| name.clone());
    let control = Control::new(&name, &field, help.is_some());
    let Control { id, name, described_by, invalid, value: typed, .. } = control.clone();
    view! {
        <FieldFrame control label help optional>
            <input
                class="input"
                id=id
                name=name
                type=kind
                value=typed.or(value)
                autocomplete=autocomplete
                required=required
                autofocus=autofocus
                placeholder=placeholder
                aria-describedby=described_by
                aria-invalid=invalid
                on:input=move |event| {
                    if let Some(on_input) = on_input {
                        on_input.run(event_target_value(&event));
                    }
                }
            />
        </FieldFrame>
    }
}
