//! The parts that the forms for a new password share.

use leptos::prelude::*;

use crate::forms::FieldName;

pub(super) const FIELDS: &[FieldName] = &[
    FieldName::new("current_password", "Current password"),
    FieldName::new("new_password", "New password"),
];
pub(super) const RULE: &str = "At least 15 characters, such as four or more unrelated words.";

/// A hidden field from which password managers learn whose password it is.
#[component]
pub fn Username(
    /// The e-mail address of the person.
    email: String,
) -> impl IntoView {
    view! { <input type="text" name="username" autocomplete="username" value=email readonly hidden/> }
}
