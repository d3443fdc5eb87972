//! A multi-line text field.

use leptos::prelude::*;

use super::{Control, FieldFrame, Help};
use crate::components::panel::is_first_page;

/// A multi-line text field with label, help and error.
#[component]
pub fn TextArea(
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
    /// The number of visible lines.
    #[prop(default = 3)]
    rows: u8,
    /// Whether the label marks the field as optional.
    #[prop(optional)]
    optional: bool,
    /// Called with the typed text, once hydrated.
    #[prop(optional)]
    on_input: Option<Callback<String>>,
) -> impl IntoView {
    let control = Control::new(&name, &name, help.is_some());
    let Control { id, name, described_by, invalid, value: typed, .. } = control.clone();
    let text = typed.or(value).unwrap_or_default();
    view! {
        <FieldFrame control label help optional>
            <textarea
                class="input"
                id=id
                name=name
                rows=rows.to_string()
                aria-describedby=described_by
                aria-invalid=invalid
                on:input=move |event| {
                    if let Some(on_input) = on_input {
                        on_input.run(event_target_value(&event));
                    }
                }
                inner_html=content(&text, is_first_page())
            ></textarea>
        </FieldFrame>
    }
}

/// Returns the HTML between the tags of a `<textarea>` that holds `text`.
///
/// The view renderer does not escape a text area's children, so this function does. The HTML parser
/// drops a line break right after the opening tag, so a parsed page gets an extra one to drop. A
/// script that sets the content keeps the line break, so it needs none.
fn content(text: &str, is_parsed: bool) -> String {
    if text.is_empty() {
        return String::new();
    }
    let dropped = if is_parsed { "\n" } else { "" };
    format!("{dropped}{}", text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_break_out_of_its_text_area() {
        assert_eq!(
            content("</textarea><script>x</script> &amp;", true),
            "\n&lt;/textarea&gt;&lt;script&gt;x&lt;/script&gt; &amp;amp;"
        );
    }

    #[test]
    fn leading_line_break_is_kept() {
        assert_eq!(content("\nx", true), "\n\nx");
        assert_eq!(content("\nx", false), "\nx");
        assert_eq!(content("", true), "");
    }
}
