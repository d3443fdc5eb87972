//! Tokens: create, list, show, change, enable, disable, rotate, reveal, delete.
//!
//! Every change follows the steps of `change`: lock the row in the expected version, change it, and
//! write the revision and the audit row. `switch` takes these steps for the changes without a form.
//!
//! `delete` also revokes for REST, console and command line; `revoke` is RFC 7009. Importing and
//! exporting are in [`crate::transfer`].

mod bulk;
pub(crate) mod change;
pub(crate) mod children;
mod clone;
mod compare;
mod consequences;
mod containment;
mod create;
mod delete;
mod disable;
mod draft;
mod draft_grants;
mod enable;
mod end_grace;
mod expire;
mod exposed;
mod fields;
mod grace;
pub(crate) mod joining;
pub(crate) mod known;
mod lifting;
mod list;
mod offer;
mod portions;
mod reach;
mod renewal;
mod reveal;
mod revoke;
mod rotate;
mod show;
mod shrink;
mod switch;
mod unread;
mod update;
mod usage;
mod widening;

pub(crate) use self::{
    change::snapshot,
    compare::STEPS_MAX,
    containment::{disabler, fix_bounds},
    create::{check_names, check_room, has_room, keep_room, parent},
    draft::{CheckedDraft, Rules},
    exposed::{Acting, lock_acting},
    grace::{refuse_superseded, renewable},
    portions::By,
    reach::{grantable, holder, keep_holders, may_see_secret, rights},
    unread::read_before_change,
    widening::{bounds, inherit},
};
pub use bulk::{BULK_MAX, BulkAction, BulkOutcome};
pub use draft::{Recoverable, TokenDraft};
pub use known::KnownSecrets;
pub use rotate::RotationDraft;
pub use update::{Edit, TokenPatch};

use domain::token::Token;

use crate::{secret::TokenSecret, state::Inner};

/// The operations on tokens.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    pub(crate) inner: &'a Inner,
}

/// A token with its secret. The secret of a new token leaves the server only here, unless the token
/// is recoverable and revealed later.
#[derive(Debug)]
pub struct MintedToken {
    /// The token's record.
    pub token: Token,
    /// The secret that a caller presents.
    pub secret: TokenSecret,
    /// Whether descendants are still to be disabled after the token's rotation. Tessera continues
    /// to do that in the background.
    pub children_pending: bool,
}
