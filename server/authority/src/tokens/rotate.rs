//! Rotate a token: it gets a new secret, and the replaced secret still works for the
//! requested grace.

use std::time::Duration as Wait;

use domain::{
    access::Permission,
    audit_action::AuditAction,
    bounds::{earlier, ends_later},
    expiry::{ExpiryChoice, ExpiryError},
    ids::{TokenId, UserId},
    policy::Policy,
    problem::FieldError,
    rotation::{Before, Grace, Succession, renewed_end},
    token::Token,
};
use sqlx::PgConnection;
use time::{Duration, OffsetDateTime};
use tokio::time::timeout;

use super::{
    MintedToken, Tokens,
    change::{changed, locked, locked_to_rotate},
    children::{self, How},
    containment::{end_is_fixed, ender, may_lift, may_unbind, recorded, stopped_by},
    grace::refuse_superseded,
    lifting::Lifting,
    reach::may_hold_secret,
    renewal::{NOT_RENEWABLE, could_outlast_caller},
    widening::bounds,
};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    fallen_invitations::close_fallen_of_token,
    kernel::Actor,
    secret::TokenSecret,
    store::{
        policies,
        secrets_change::{self as secrets, WorkingSecret},
        stops, tokens_change,
    },
    transaction::Transaction,
};

/// The longest grace if policy sets none.
const LONGEST_GRACE: Duration = Duration::days(30);
/// How long a rotation waits for the descendants that it disables. It is shorter than the timeout
/// of a request.
const CHILDREN_WAIT: Wait = Wait::from_secs(20);

/// The settings of a rotation, as a surface received them.
#[derive(Clone, Debug, Default)]
pub struct RotationDraft {
    /// For how many seconds the replaced secret still works. If this and the next setting are
    /// missing, it stops working at once.
    pub grace_s: Option<i64>,
    /// Whether the replaced secret works until the new one is first used.
    pub until_first_use: bool,
    /// When the token expires after the rotation, as [`domain::expiry::parse`] read it. By default,
    /// the token gets the same lifetime again. A value that policy doesn't allow is adjusted to an
    /// allowed one.
    pub expiry: Option<Result<ExpiryChoice, ExpiryError>>,
    /// Whether to disable the token's descendants that the caller reaches.
    pub children: bool,
}

impl Tokens<'_> {
    /// Gives a token a new secret, which is shown only once. An expired token works again; a
    /// disabled one stays disabled. The response waits for descendants that are to be disabled, but
    /// at most 20 seconds, because the new secret cannot be obtained again.
    ///
    /// If a token is rotated again before the new secret was used, it keeps the grace of its older
    /// secret, so a lost response doesn't lock out its clients.
    ///
    /// # Errors
    /// `Invalid` with the fields `grace_s` and `expires_at`; `Forbidden` if the token may do more
    /// than the caller, created the calling token, or rotates itself with a secret whose newer one
    /// was used; `BoundExceeded` if the calling token has fewer addresses or a lower rate limit;
    /// `PreconditionFailed` if the token is not in the version `expected`.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "rotate",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn rotate(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
        draft: RotationDraft,
    ) -> Result<MintedToken, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for_token(ctx, id).await?;
        let ctx = &ctx;
        let access =
            access::authorise_token(&mut transaction, ctx, id, Permission::TokensWrite).await?;
        let before = locked_to_rotate(&mut transaction, ctx, &access, id, expected).await?;
        may_lift(&mut transaction, ctx, &access, &before).await?;
        may_unbind(&mut transaction, ctx, &access, (&before, &before)).await?;
        may_hold_secret(&mut transaction, ctx, &access, &before).await?;
        let working = secrets::working(&mut transaction, id, ctx.now).await?;
        let by = match &ctx.actor {
            Actor::Token(facts) if facts.token_id == id => By::Itself,
            Actor::Token(_) => By::AnotherToken,
            _ => By::Person,
        };
        let minted =
            self.succeed(&mut transaction, ctx, &access, (&before, by), &working, &draft).await?;
        if draft.children {
            let reach = (access.tenant(), access.own);
            children::note(&mut transaction, ctx, reach, id, How::Disable).await?;
        }
        self.finish(transaction, minted).await
    }

    /// Rotates the calling token. Every token may rotate itself unless policy forbids it. The new
    /// end stays within the lifetime that a caller who may set it gave to the token. If another
    /// token created it, the new end is not later than that token's, and an earlier end that
    /// another caller set stays. The older secret may rotate only while the newer one is unused, so
    /// that a leaked old secret cannot take the token over.
    ///
    /// # Errors
    /// As [`Self::rotate`].
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "rotate_self",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn rotate_self(
        &self,
        ctx: &OpContext,
        expected: Option<i64>,
        draft: RotationDraft,
    ) -> Result<MintedToken, ServiceError> {
        let own = ctx.own_token().ok_or(ServiceError::Unauthenticated)?;
        let (mut transaction, ctx) = self.inner.begin_for_token(ctx, own).await?;
        let ctx = &ctx;
        let (access, facts) = access::authorise_self(&mut transaction, ctx).await?;
        let own = if draft.children {
            own_children(&mut transaction, ctx, facts.token_id).await?
        } else {
            None
        };
        transaction.rests_on_rules();
        let before = locked(&mut transaction, ctx, &access, facts.token_id, expected).await?;
        let working = secrets::working(&mut transaction, before.id, ctx.now).await?;
        let minted = self
            .succeed(&mut transaction, ctx, &access, (&before, By::Itself), &working, &draft)
            .await?;
        if draft.children {
            let reach = (access.tenant(), own);
            children::note(&mut transaction, ctx, reach, before.id, How::Disable).await?;
        }
        self.finish(transaction, minted).await
    }

    /// Commits a rotation and waits for the descendants that it disables. If they fail, the secret
    /// must still be returned.
    async fn finish(
        &self,
        transaction: Transaction<'_>,
        mut minted: MintedToken,
    ) -> Result<MintedToken, ServiceError> {
        let stops = transaction.commit_before_descendants().await?;
        self.inner.cache.made();
        let all = async {
            for stop in &stops {
                self.inner.stop_descendants(stop).await?;
            }
            Ok::<(), ServiceError>(())
        };
        minted.children_pending = !matches!(timeout(CHILDREN_WAIT, all).await, Ok(Ok(())));
        Ok(minted)
    }

    async fn succeed(
        &self,
        connection: &mut Transaction<'_>,
        ctx: &OpContext,
        access: &Access,
        (token, by): (&Token, By),
        working: &[WorkingSecret],
        draft: &RotationDraft,
    ) -> Result<MintedToken, ServiceError> {
        if by == By::Itself && !token.active {
            // It was stopped since it was authenticated, and must not work again.
            return Err(ServiceError::Unauthenticated);
        }
        if let (By::Itself, Actor::Token(facts)) = (by, &ctx.actor) {
            refuse_superseded(working, facts.secret.id)?;
        }
        let policy = policies::levels(connection, access.tenant()).await?.in_force();
        if by == By::Itself && !policy.self_rotate {
            return Err(ServiceError::Forbidden(
                "The policy of this workspace doesn't allow tokens to rotate themselves.",
            ));
        }
        let current = working.iter().find(|secret| secret.current);
        let current = current.ok_or_else(|| {
            ServiceError::internal(format!("token {} has no current secret", token.id))
        })?;
        let before = Before {
            made_at: current.created_at,
            used: current.used,
            older_works: working.iter().any(|secret| !secret.current),
            ends_at: token.expires_at,
        };
        let noted = tokens_change::lifetime(connection, access.tenant(), token.id).await?;
        let given = noted.or_else(|| before.lifetime());
        let stoppers = stops::stoppers(connection, access.tenant(), token.id).await?;
        let is_kept = match by {
            By::Person => false,
            // Keep an end that another caller set.
            By::Itself => token.ended_by.is_some() && stoppers.ended_by != Some(token.id),
            By::AnotherToken => Lifting::of(connection, ctx, access, token.id)
                .await?
                .is_some_and(|lifting| lifting.keeps_end(token)),
        };
        let fixed = is_kept || end_is_fixed(token) && access.own.is_some();
        let latest = match by {
            By::Person => None,
            By::Itself => {
                let tenant = access.tenant();
                let parent = tokens_change::end_of_parent(connection, tenant, token.id).await?;
                latest(token, given, parent, ctx.now)
            }
            By::AnotherToken => bounds(ctx).and_then(|bounds| bounds.expires_at),
        };
        let latest = if fixed { earlier(latest, token.expires_at) } else { latest };
        let (grace, ends_at) = draft.check((&before, latest), token, &policy, ctx.now)?;
        match grace.succession(&before, max_grace(&policy), ctx.now) {
            Succession::HandOver { ends_at, until_first_use } => {
                secrets::end_older(connection, token.id, ctx.now).await?;
                secrets::demote(connection, current.id, &token.hint, ends_at, until_first_use)
                    .await?;
            }
            Succession::Replace => {
                secrets::demote(connection, current.id, &token.hint, ctx.now, false).await?;
            }
        }
        if let Some(end) = ends_at {
            secrets::end_older(connection, token.id, end).await?;
        }
        let secret = TokenSecret::generate(&policy.prefix, self.inner.entropy.as_ref());
        self.insert_secret(connection, ctx, access, (token.id, token.recoverable), &secret).await?;
        let hint = secret.hint();
        // If policy shows secrets once, the token is no longer recoverable, so the new secret is
        // not kept.
        let shown = (hint.as_str(), token.recoverable);
        tokens_change::rotate(connection, access.tenant(), token.id, shown, ends_at, ctx.now)
            .await?;
        let kept = recorded(token.ended_by.as_ref(), stoppers.ended_by);
        let (lifetime, ended) = if fixed || by == By::Itself {
            (given, kept)
        } else {
            let ended = match draft.change_of(token.expires_at, ends_at, ctx.now) {
                EndChange::Kept => kept,
                EndChange::Later => None,
                EndChange::Earlier => {
                    let owner = (token.id, token.user.id);
                    let by = stopped_by(connection, ctx, access, owner).await?;
                    Some(ender(by, token, stoppers))
                }
            };
            (ends_at.map(|end| end - ctx.now), ended)
        };
        // The caller has the new secret, and could continue with it after its own end.
        let outlasts =
            by == By::AnotherToken && could_outlast_caller(connection, ctx, access, token).await?;
        let lifetime = if outlasts { Some(NOT_RENEWABLE) } else { lifetime };
        let lifetime = ends_at.and(lifetime);
        tokens_change::set_lifetime(connection, access.tenant(), token.id, lifetime, ended).await?;
        let before = token;
        let token = changed(connection, ctx, access, AuditAction::TokenRotate, before).await?;
        close_fallen_of_token(connection, ctx, access.tenant(), &token).await?;
        if let Some(end) = ends_at
            && ends_later(before.expires_at, ends_at)
        {
            let how = (How::EndBy(end), false);
            children::follow(connection, ctx, access, token.id, how).await?;
        }
        Ok(MintedToken { token, secret, children_pending: false })
    }
}

impl RotationDraft {
    /// Returns how the caller changes the end of a token. A caller who names no end doesn't change
    /// it, unless the token has expired and works again. Moments less than a minute apart count as
    /// the same, because both may mean "in an hour".
    fn change_of(
        &self,
        before: Option<OffsetDateTime>,
        after: Option<OffsetDateTime>,
        now: OffsetDateTime,
    ) -> EndChange {
        let is_over = |end: Option<OffsetDateTime>| end.is_some_and(|end| end <= now);
        let is_named = !matches!(self.expiry, None | Some(Ok(ExpiryChoice::Default)));
        let is_same = match (before, after) {
            (Some(before), Some(after)) => (after - before).abs() < Duration::MINUTE,
            (before, after) => before == after,
        };
        if is_over(before) && !is_over(after) {
            EndChange::Later
        } else if !is_named || is_same {
            EndChange::Kept
        } else if ends_later(after, before) {
            EndChange::Later
        } else {
            EndChange::Earlier
        }
    }

    fn check(
        &self,
        (before, latest): (&Before, Option<OffsetDateTime>),
        token: &Token,
        policy: &Policy,
        now: OffsetDateTime,
    ) -> Result<(Grace, Option<OffsetDateTime>), ServiceError> {
        let mut errors = Vec::new();
        if self.grace_s.is_some_and(|seconds| seconds < 0) {
            errors.push(FieldError::new("grace_s", "must be 0 or more seconds"));
        }
        let choice = self.expiry.clone().unwrap_or(Ok(ExpiryChoice::Default));
        let ends_at = choice
            .and_then(|choice| renewed_end(choice, before, policy, now))
            .map(|end| earlier(end, latest));
        match &ends_at {
            Ok(Some(end)) if token.not_before.is_some_and(|start| start >= *end) => {
                errors.push(FieldError::new("expires_at", "must be after the start of the token"));
            }
            Ok(_) => {}
            Err(error) => errors.push(FieldError::new("expires_at", error)),
        }
        match ends_at {
            Ok(ends_at) if errors.is_empty() => {
                let grace = Grace { seconds: self.grace_s, until_first_use: self.until_first_use };
                Ok((grace, ends_at))
            }
            _ => Err(ServiceError::Invalid(errors)),
        }
    }
}

/// The effect of a rotation on a token's end, for the record of who set that end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EndChange {
    /// The caller chose no other end.
    Kept,
    Later,
    Earlier,
}

/// The kind of caller that rotates a token, as far as it affects the token's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// A person or the command line, who may set the end.
    Person,
    /// The token itself. The end stays within the lifetime that the token was given, and within the
    /// end of the token that created it.
    Itself,
    /// A token that manages tokens. What it grants ends no later than it does.
    AnotherToken,
}

/// Returns the latest end of a token that rotates itself: after the lifetime that it was given, but
/// no later than the end of the token that created it, if that one has an end. Its present end
/// remains allowed. `None` means never, for tokens without an end.
fn latest(
    token: &Token,
    given: Option<Duration>,
    parent: Option<OffsetDateTime>,
    now: OffsetDateTime,
) -> Option<OffsetDateTime> {
    let end = token.expires_at?;
    let renewed = given.and_then(|given| now.checked_add(given)).unwrap_or(end).max(end);
    Some(parent.map_or(renewed, |parent| renewed.min(parent.max(end))))
}

/// Returns the only user whose tokens a token that rotates itself may disable; `None` if it may
/// disable those of all users.
async fn own_children(
    connection: &mut PgConnection,
    ctx: &OpContext,
    id: TokenId,
) -> Result<Option<UserId>, ServiceError> {
    match access::authorise_token(connection, ctx, id, Permission::TokensWrite).await {
        Ok(access) => Ok(access.own),
        Err(
            ServiceError::Forbidden(_)
            | ServiceError::InsufficientScope(_)
            | ServiceError::NotFound(_),
        ) => Ok(ctx.user_id()),
        Err(error) => Err(error),
    }
}

/// Returns the longest grace under a policy.
fn max_grace(policy: &Policy) -> Duration {
    policy.max_grace_s.map_or(LONGEST_GRACE, Duration::seconds).min(LONGEST_GRACE)
}
