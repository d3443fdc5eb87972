//! Forms that work as plain posts and get better when hydrated.
//!
//! - [`EnhancedForm`] is a `<form method="post">`. Hydrated it sends the same post by itself, keeps
//!   what was typed and shows what was wrong where it was wrong.
//! - [`Field`], [`PasswordField`] and [`TextArea`] are controls with label, help and error.
//!   [`FieldFrame`] gives any other control the same surroundings.
//! - On a page that answers a post, controls start with what was typed: see [`crate::posted`].

pub mod field;
pub mod form;
pub mod frame;
pub mod password;
#[cfg(feature = "hydrate")]
pub mod send;
pub mod state;
pub mod text_area;

pub use field::Field;
pub use form::{EnhancedForm, FieldName, FormSummary, SubmitButton};
pub use frame::{Control, FieldError, FieldFrame, Help};
pub use password::PasswordField;
#[cfg(feature = "hydrate")]
pub use send::{Sent, follow, send};
pub use state::FormState;
pub use text_area::TextArea;
