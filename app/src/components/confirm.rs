//! A question before something that cannot be undone.

use leptos::prelude::*;

use crate::{
    components::icon::{Glyph, Icon},
    forms::{EnhancedForm, SubmitButton},
    posted::Outcome,
};

/// The body and foot of a [`super::panel::Panel`] that asks. The first focus is on Cancel.
#[component]
pub fn Confirm(
    /// The path to post to when the answer is yes.
    #[prop(into)]
    action: String,
    /// Where Cancel leads.
    #[prop(into)]
    cancel_href: String,
    /// What the dangerous button says.
    label: &'static str,
    /// The icon of that button.
    #[prop(default = Glyph::Trash)]
    glyph: Glyph,
    /// What to do when it was done.
    on_done: Callback<Outcome>,
    /// What it is about.
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
