//! A one-line text field.

use leptos::prelude::*;

use super::{Control, FieldFrame, Help};

/// A one-line text field with label, help and error.
#[component]
pub fn Field(
    /// The name in the form, which is also the id.
    #[prop(into)]
    name: String,
    /// The label.
    #[prop(into)]
    label: String,
    /// The help text: what to type, and why.
    #[prop(optional, into)]
    help: Help,
    /// The initial value.
    #[prop(optional, into)]
    value: Option<String>,
    /// The type of the input; `text` by default.
    #[prop(default = "text")]
    kind: &'static str,
    /// The autofill hint (HTML, section 4.10.18.7).
    #[prop(optional)]
    autocomplete: Option<&'static str>,
    /// Whether a value is required.
    #[prop(optional)]
    required: bool,
    /// Whether the label marks the field as optional.
    #[prop(optional)]
    optional: bool,
    /// The name under which errors are reported, if it differs from the field's name.
    #[prop(optional, into)]
    field: Option<String>,
    /// Whether the field has the initial focus of the page or dialog.
    #[prop(optional)]
    autofocus: bool,
    /// An example value.
    #[prop(optional)]
    placeholder: Option<&'static str>,
    /// Called with the typed text, once hydrated.
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
