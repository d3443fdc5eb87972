//! The single rule for edits that widen: the editor must be able to grant everything that the token
//! can do afterwards. It applies to people and tokens, in the console and in every API. Edits that
//! only narrow need only the right to edit.
//!
//! What a token can do is determined by its scopes in its audiences, its owner and its bounds.

use domain::{
    bounds::{Bounds, earlier},
    expiry::ExpiryChoice,
    ids::WorkspaceId,
    problem::FieldError,
    scope_pattern::Steps,
    token::Token,
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{
    compare::Reach,
    draft::{CheckedDraft, TokenDraft},
    grace::name_bound,
    reach::may_act_as,
};
use crate::{
    OpContext, ServiceError,
    access::Access,
    kernel::{Actor, bounds_of_facts},
    store::users,
    transaction::Transaction,
};

/// The reason why an editor cannot grant what a token can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shortfall {
    /// A person may not put all of its scopes on tokens.
    Scopes,
    /// The calling token doesn't hold all of its scopes.
    HeldScopes,
    /// The calling token is not meant for all of its audiences.
    Audiences,
    /// It acts as an administrator of the instance, and the editor is not an administrator.
    Owner,
    /// Its scopes take too long to compare.
    TooLong,
    /// Its bounds are wider than those of the calling token.
    Bounds(Vec<FieldError>),
}

impl From<Shortfall> for ServiceError {
    fn from(shortfall: Shortfall) -> Self {
        Self::Forbidden(match shortfall {
            Shortfall::Scopes => "The token has scopes that you may not grant.",
            Shortfall::HeldScopes => "The token has scopes that the calling token doesn't hold.",
            Shortfall::Audiences => {
                "The token is meant for APIs that the calling token is not meant for."
            }
            Shortfall::Owner => {
                "The token acts as an instance administrator. Only another instance administrator can do this."
            }
            Shortfall::TooLong => {
                "The token's patterns take too long to compare with the scopes that you may grant. Ask a person who may grant all scopes, or remove some of the patterns."
            }
            Shortfall::Bounds(errors) => return Self::BoundExceeded(errors),
        })
    }
}

/// The rights of a caller to grant in a workspace.
pub(super) struct Grantor<'a> {
    ctx: &'a OpContext,
    workspace: WorkspaceId,
    reach: Reach,
}

impl<'a> Grantor<'a> {
    pub(super) async fn of(
        connection: &mut PgConnection,
        ctx: &'a OpContext,
        access: &Access,
    ) -> Result<Self, ServiceError> {
        let reach = Reach::of(connection, ctx, access).await?;
        Ok(Self { ctx, workspace: access.workspace.id, reach })
    }

    /// Checks whether the caller could have created this token, including its bounds.
    pub(super) async fn check(
        &self,
        transaction: &mut Transaction<'_>,
        token: &Token,
    ) -> Result<Result<(), Shortfall>, ServiceError> {
        self.check_by(transaction, token, Bounds::beyond).await
    }

    /// Checks whether the caller may hold the secret of this token. The rule is that of
    /// [`Self::check`], except that the token may expire later than the caller.
    pub(super) async fn check_secret(
        &self,
        transaction: &mut Transaction<'_>,
        token: &Token,
    ) -> Result<Result<(), Shortfall>, ServiceError> {
        self.check_by(transaction, token, Bounds::beyond_of_secret).await
    }

    async fn check_by(
        &self,
        transaction: &mut Transaction<'_>,
        token: &Token,
        beyond: fn(&Bounds, &Bounds) -> Vec<FieldError>,
    ) -> Result<Result<(), Shortfall>, ServiceError> {
        if let Err(shortfall) = self.check_unbound(transaction, token).await? {
            return Ok(Err(shortfall));
        }
        let beyond = bounds(self.ctx).map(|own| beyond(&bounds_of(token), &own));
        let mut beyond = beyond.unwrap_or_default();
        name_bound(self.ctx, &mut beyond);
        Ok(if beyond.is_empty() { Ok(()) } else { Err(Shortfall::Bounds(beyond)) })
    }

    async fn check_unbound(
        &self,
        transaction: &mut Transaction<'_>,
        token: &Token,
    ) -> Result<Result<(), Shortfall>, ServiceError> {
        let (reach, grants) = (self.reach.clone(), token.grants.clone());
        let compare = move |steps: &mut Steps| reach.shortfall(&grants, steps);
        if let Some(shortfall) = transaction.inner().work.compare(self.workspace.0, compare).await?
        {
            return Ok(Err(shortfall));
        }
        let user = users::by_id(transaction, token.user.id).await?;
        if user.is_none_or(|user| !may_act_as(self.ctx, &user)) {
            return Ok(Err(Shortfall::Owner));
        }
        Ok(Ok(()))
    }
}

/// Returns whether an edit lets a token do more than before: act as another user, or be used again,
/// longer, sooner, from more addresses or more often. Its audiences are never extended and its
/// scopes only shrink.
pub(super) fn widens(before: &Token, after: &Token, now: OffsetDateTime) -> bool {
    let sooner = before
        .not_before
        .is_some_and(|start| start > now && after.not_before.is_none_or(|earlier| earlier < start));
    before.user.id != after.user.id
        || (after.enabled && !before.enabled)
        || sooner
        || !bounds_of(after).is_within(&bounds_of(before))
}

/// Returns the bounds of the calling token, which limit all tokens that it creates and edits;
/// `None` for callers that are not tokens. A replaced secret grants nothing beyond its own expiry.
pub(crate) fn bounds(ctx: &OpContext) -> Option<Bounds> {
    match &ctx.actor {
        Actor::Token(facts) => Some(bounds_of_facts(facts)),
        Actor::Anonymous | Actor::Operator | Actor::User(_) | Actor::Restricted(_) => None,
    }
}

fn bounds_of(token: &Token) -> Bounds {
    Bounds {
        expires_at: token.expires_at,
        ip_allow: token.ip_allow.clone(),
        rate_limit: token.rate_limit,
    }
}

/// Gives a new token those bounds of the calling token that the draft omits, and refuses
/// wider ones. If the draft omits the expiry, the new token expires at the earlier of the default
/// and the calling token's expiry.
pub(crate) fn inherit(
    ctx: &OpContext,
    draft: &TokenDraft,
    checked: &mut CheckedDraft,
) -> Result<(), Vec<FieldError>> {
    let Some(own) = bounds(ctx) else { return Ok(()) };
    if draft.cut_end || matches!(draft.expiry, Ok(ExpiryChoice::Default)) {
        checked.expires_at = earlier(checked.expires_at, own.expires_at);
    }
    if checked.ip_allow.is_empty() {
        checked.ip_allow.clone_from(&own.ip_allow);
    }
    if checked.rate_limit.is_none() {
        checked.rate_limit = own.rate_limit;
    }
    let wanted = Bounds {
        expires_at: checked.expires_at,
        ip_allow: checked.ip_allow.clone(),
        rate_limit: checked.rate_limit,
    };
    let mut errors = wanted.beyond(&own);
    name_bound(ctx, &mut errors);
    if matches!((checked.not_before, checked.expires_at), (Some(start), Some(end)) if start >= end)
    {
        let message = "must be before the calling token expires";
        errors.push(FieldError::new("not_before", message));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
