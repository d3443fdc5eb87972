//! Tokens: make, list, show, delete.

mod create;
mod delete;
mod draft;
mod list;
mod show;
mod usage;

pub(crate) use self::{
    create::{check_names, check_room, holder, snapshot},
    draft::{CheckedDraft, Rules},
};
pub use draft::TokenDraft;

use domain::token::Token;

use crate::{authority::Inner, secret::TokenSecret};

/// Tokens.
#[derive(Clone, Copy)]
pub struct Tokens<'a> {
    pub(crate) inner: &'a Inner,
}

/// A new token with its secret, which leaves the server here and never again.
#[derive(Debug)]
pub struct MintedToken {
    /// The record.
    pub token: Token,
    /// The text that a caller presents.
    pub secret: TokenSecret,
}
