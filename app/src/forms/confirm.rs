//! A confirmation before an action that cannot be undone.

use leptos::prelude::*;

use crate::{
    components::icon::{Glyph, Icon},
    forms::{EnhancedForm, SubmitButton},
    posted::Outcome,
};

/// The body and foot of a [`crate::components::panel::Panel`] that asks for confirmation. Cancel has the
/// initial focus.
#[component]
pub fn Confirm(
    /// The path to post to on confirmation.
    #[prop(into)]
    action: String,
    /// The target of Cancel.
    #[prop(into)]
    cancel_href: String,
    /// The text of the button that confirms.
    label: &'static str,
    /// The icon of that button.
    #[prop(default = Glyph::Trash)]
    glyph: Glyph,
    /// Called when the action succeeded.
    on_done: Callback<Outcome>,
    /// The text of the question.
    children: Children,
) -> impl IntoView {
    view! {
        <EnhancedForm action class="panel-form" button=label on_done>
            <div class="panel-body">{children()}</div>
            <footer class="panel-foot form-actions">
                <a class="button" href=cancel_href autofocus>
                    "Cancel"
                </a>
                <SubmitButton class="button button-danger">
                    <Icon glyph/>
                    <span>{label}</span>
                </SubmitButton>
            </footer>
        </EnhancedForm>
    }
}
