//! `?children=true`: whether a change of a token is made to the tokens that it made, too.

use serde::Deserialize;
use utoipa::IntoParams;

/// How far it reaches.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct ChildrenQuery {
    /// `true` to do the same with the tokens that it made, and with those that they made, as far as the
    /// caller reaches them. Policy (`on_parent_end`) may want that in any case.
    #[param(value_type = Option<bool>)]
    pub(super) children: bool,
}

/// The same for a rotation.
#[derive(Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(crate) struct DisableChildrenQuery {
    /// `true` to disable the tokens that it made, and those that they made, as far as the caller reaches them. Somebody
    /// who had the old secret may have made them.
    #[param(value_type = Option<bool>)]
    pub(super) children: bool,
}

/// No parameters: one that would be passed over, such as `children`, is refused instead.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoQuery {}
