//! Forms that work as plain posts and improve when hydrated.
//!
//! - [`EnhancedForm`] is a `<form method="post">`. Once hydrated, it sends the same post by script,
//!   keeps the typed values, and shows each error at its field.
//! - [`Field`], [`PasswordField`] and [`TextArea`] are controls with label, help and error.
//!   [`FieldFrame`] adds the same parts to any other control.
//! - [`expiry`] and [`scope_tree`] are controls with a state of their own, [`summary`] says what a
//!   form for a token would create, and [`confirm`] asks before an action.
//! - On a page that responds to a post, controls start with the submitted values:
//!   see [`crate::posted`].

pub mod confirm;
pub mod expiry;
pub mod field;
pub mod field_name;
pub mod form;
pub mod frame;
pub mod password;
pub mod scope_tree;
#[cfg(feature = "hydrate")]
pub mod send;
pub mod state;
pub mod summary;
pub mod text_area;

pub use field::Field;
pub use field_name::FieldName;
pub use form::{EnhancedForm, FormSummary, SubmitButton};
pub use frame::{Control, FieldError, FieldFrame, Help};
pub use password::PasswordField;
#[cfg(feature = "hydrate")]
pub use send::{Sent, follow, send};
pub use state::FormState;
pub use text_area::TextArea;
