//! The labels of a form's fields, and the sentences of their errors.

/// A field's label in the error summary, and the control that the summary links to.
#[derive(Clone, Copy, Debug)]
pub struct FieldName {
    /// The name under which errors are reported.
    pub field: &'static str,
    /// The label.
    pub label: &'static str,
    /// The id of the control.
    pub id: &'static str,
}

impl FieldName {
    /// Creates the entry of a field whose control has the field's name as its id.
    pub const fn new(field: &'static str, label: &'static str) -> Self {
        Self { field, label, id: field }
    }

    /// Returns the entry with another control.
    #[must_use]
    pub const fn at(self, id: &'static str) -> Self {
        Self { id, ..self }
    }
}

/// Returns the error of a field as a sentence. The message is either the end of a sentence that
/// begins with the field's label, or begins with a capital letter and is a sentence of its own.
pub(super) fn sentence(fields: &[FieldName], field: &str, message: &str) -> String {
    let name = fields.iter().find(|name| name.field == field);
    let label = name.map_or_else(|| spoken(field), |name| name.label.to_owned());
    let text = if message == "must not be empty" {
        missing(field, &label)
    } else if field == "scopes" && message.contains("at least one scope") {
        "Select at least one scope.".to_owned()
    } else if message.starts_with(char::is_uppercase) {
        message.to_owned()
    } else {
        // Messages use the singular, because services don't know the labels.
        let rest = message.strip_prefix("has ").filter(|_| label.ends_with('s'));
        rest.map_or_else(|| format!("{label} {message}"), |rest| format!("{label} have {rest}"))
    };
    if text.ends_with('.') { text } else { text + "." }
}

/// Returns the request to fill in an empty field.
fn missing(field: &str, label: &str) -> String {
    match field {
        "name" => "Enter a name.".to_owned(),
        "email" | "user" => "Enter an e-mail address.".to_owned(),
        "organisation" => "Enter the name of your organisation.".to_owned(),
        "workspace_name" => "Enter a name for the workspace.".to_owned(),
        _ => format!("Enter a value for {label}."),
    }
}

/// Turns a field's name into a label, for fields without one: `expires_at` becomes "Expires at".
fn spoken(field: &str) -> String {
    let text = field.replace(['_', '.'], " ");
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + characters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: &[FieldName] =
        &[FieldName::new("name", "Name"), FieldName::new("scopes", "Scopes")];

    #[test]
    fn error_is_a_sentence() {
        for (field, message, text) in [
            ("name", "must not be empty", "Enter a name."),
            ("name", "must be shorter", "Name must be shorter."),
            ("name", "Choose another name.", "Choose another name."),
            ("scopes", "must name at least one scope", "Select at least one scope."),
            ("scopes", "has *, which is too much", "Scopes have *, which is too much."),
            ("rate_limit", "must not be empty", "Enter a value for Rate limit."),
        ] {
            assert_eq!(sentence(FIELDS, field, message), text);
        }
    }

    #[test]
    fn field_without_a_label_is_called_by_its_name() {
        assert_eq!(spoken("expires_at"), "Expires at");
        assert_eq!(spoken(""), "");
    }
}
