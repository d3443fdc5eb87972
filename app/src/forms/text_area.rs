//! A text field of several lines.

use leptos::prelude::*;

use super::{Control, FieldFrame, Help};
use crate::components::panel::is_first_page;

/// A text field of several lines with label, help and error.
#[component]
pub fn TextArea(
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
    /// How many lines it shows.
    #[prop(default = 3)]
    rows: u8,
    /// Whether the label says that it may stay empty.
    #[prop(optional)]
    optional: bool,
    /// Told what is typed, when hydrated.
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

/// The HTML between the tags of a `<textarea>` that holds `text`.
///
/// The view renderer does not escape a text area's children, so it is done here. The parser of a page
/// drops a line break right after the opening tag, so one is put there to be dropped; what a script
/// puts into a text area keeps it.
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
    fn text_cannot_leave_its_text_area() {
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
