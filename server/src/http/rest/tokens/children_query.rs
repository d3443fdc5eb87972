//! `?children=true`: whether a change to a token also applies to the tokens that it created.

use serde::Deserialize;
use utoipa::IntoParams;

/// Whether the change extends to children.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChildrenQuery {
    /// `true` to do the same with the tokens that it created, and with those that these created
    /// in turn, as far as the caller can reach them. Policy (`on_parent_end`) may require this in
    /// any case.
    #[param(value_type = Option<bool>)]
    pub(super) children: bool,
}

/// Whether a rotation disables children.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DisableChildrenQuery {
    /// `true` to disable the tokens that it created, and those that these created in turn, as far
    /// as the caller can reach them. They may have been created by an unauthorized holder of the
    /// old secret.
    #[param(value_type = Option<bool>)]
    pub(super) children: bool,
}

/// No parameters. An unknown parameter, such as `children`, is refused instead of ignored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoQuery {}
