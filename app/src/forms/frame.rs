//! The parts around a control: label, help, error, and their relations for assistive technology.

use leptos::{either::Either, prelude::*};

use super::FormState;
use crate::components::icon::{Glyph, Icon};

/// The attributes that connect a control with its label, help and error.
#[derive(Clone, Debug)]
pub struct Control {
    /// The control's `id`, which equals its name.
    pub id: String,
    /// The control's `name`.
    pub name: String,
    /// The name under which its errors are reported.
    pub field: String,
    /// The error, as a sentence.
    pub error: Signal<Option<String>>,
    /// `aria-describedby`: the help and, if there is one, the error.
    pub described_by: Signal<Option<String>>,
    /// `aria-invalid`: `true` while there is an error.
    pub invalid: Signal<Option<&'static str>>,
    /// The submitted value, if this page responds to a post.
    pub value: Option<String>,
}

impl Control {
    /// Creates the control called `name` of the surrounding form, whose errors are reported
    /// under `field`.
    pub fn new(name: &str, field: &str, has_help: bool) -> Self {
        let state = use_context::<FormState>();
        let error = Signal::derive({
            let field = field.to_owned();
            move || state.and_then(|state| state.error(&field))
        });
        let described_by = Signal::derive({
            let id = name.to_owned();
            move || match (has_help, error.with(Option::is_some)) {
                (true, true) => Some(format!("{id}-hint {id}-error")),
                (true, false) => Some(format!("{id}-hint")),
                (false, true) => Some(format!("{id}-error")),
                (false, false) => None,
            }
        });
        Self {
            value: state.and_then(|state| state.value(name)),
            id: name.to_owned(),
            name: name.to_owned(),
            field: field.to_owned(),
            error,
            described_by,
            invalid: Signal::derive(move || error.with(Option::is_some).then_some("true")),
        }
    }
}

/// An optional explanation of what to type into a field, and why.
#[derive(Clone, Debug, Default)]
pub struct Help(Option<String>);

impl Help {
    /// Returns whether there is a help text.
    pub const fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

impl From<&str> for Help {
    fn from(text: &str) -> Self {
        Self(Some(text.to_owned()))
    }
}

impl From<String> for Help {
    fn from(text: String) -> Self {
        Self(Some(text))
    }
}

impl From<Option<String>> for Help {
    fn from(text: Option<String>) -> Self {
        Self(text)
    }
}

/// Label, control, help and error of one field.
#[component]
pub fn FieldFrame(
    /// The control in the frame.
    control: Control,
    /// The label.
    #[prop(into)]
    label: String,
    /// The help text: what to type, and why.
    #[prop(optional, into)]
    help: Help,
    /// Whether the label marks the field as optional.
    #[prop(optional)]
    optional: bool,
    /// The control.
    children: Children,
) -> impl IntoView {
    let Control { id, error, .. } = control;
    let help =
        help.0.map(|text| view! { <p class="field-hint" id=format!("{id}-hint")>{text}</p> });
    view! {
        <div class="field" class:has-error=move || error.with(Option::is_some)>
            <label class="label" for=id.clone()>
                {label}
                {optional.then(|| view! { " "<span class="optional">"optional"</span> })}
            </label>
            {children()}
            {help}
            <FieldError id error/>
        </div>
    }
}

/// The error of the control with the id `id`.
#[component]
pub fn FieldError(
    /// The control's id.
    #[prop(into)]
    id: String,
    /// The error.
    error: Signal<Option<String>>,
) -> impl IntoView {
    let id = format!("{id}-error");
    move || match error.get() {
        Some(message) => Either::Left(view! {
            <p class="field-error" id=id.clone()>
                <Icon glyph=Glyph::Warning/>
                <span>{message}</span>
            </p>
        }),
        None => Either::Right(()),
    }
}
