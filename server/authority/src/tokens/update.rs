//! Change a token's record.

use std::collections::BTreeMap;

use domain::{
    access::Permission,
    audit_action::AuditAction,
    bounds::ends_later,
    expiry::{ExpiryChoice, ExpiryError},
    held::HeldScopes,
    ids::TokenId,
    names::{Description, TokenName},
    policy::Policy,
    problem::FieldError,
    rate_limit::{RateLimit, RateLimitError},
    tags::Tags,
    token::Token,
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::{
    Tokens,
    change::{changed, locked_for_more},
    children::{self, How},
    containment::{
        ender, may_lift, may_prolong, may_unbind, may_widen_by_token, note_bounds, stopped_by,
    },
    create::check_name,
    exposed::refuse_exposed,
    fields::{ip_allow, keep, not_before, rate_limit},
    reach::{holder, keep_holders},
    renewal::{NOT_RENEWABLE, could_outlast_caller, lowered},
    reveal::may_reveal,
    shrink::{shrunk, shrunk_by_name},
    switch::Switch,
    widening::{Grantor, Shortfall, widens},
};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    fallen_invitations::close_fallen_of_token,
    kernel::Subject,
    store::{
        catalogues::{self, StoredCatalogue},
        policies as levels, secrets_change,
        stops::{self, Stoppers},
        tokens_change::{self, Values},
        unread, workspaces,
    },
    transaction::Transaction,
};

/// A change of an optional value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// Keep the value.
    #[default]
    Keep,
    /// Remove the value.
    Remove,
    /// Set this value.
    Set(T),
}

/// The changes to a token, as a surface received them. `None` leaves a value as it is.
#[derive(Clone, Debug, Default)]
pub struct TokenPatch {
    /// The name.
    pub name: Option<String>,
    /// The purpose of the token.
    pub description: Option<String>,
    /// E-mail address or id of the new owner.
    pub user: Option<String>,
    /// Fewer scopes, in all of its audiences. The token must hold each of them, or one that
    /// implies it.
    pub scopes: Option<Vec<String>>,
    /// Fewer scopes, by audience. Omitted audiences are removed from the token.
    pub grants: Option<BTreeMap<String, Vec<String>>>,
    /// The expiry, as [`domain::expiry::parse`] read it.
    pub expiry: Option<Result<ExpiryChoice, ExpiryError>>,
    /// The moment from which the token is valid, RFC 3339.
    pub not_before: Edit<String>,
    /// Addresses or CIDR ranges from which the token may be used. Empty for anywhere.
    pub ip_allow: Option<Vec<String>>,
    /// The maximum rate of use, as [`RateLimit`] read it.
    pub rate_limit: Edit<Result<RateLimit, RateLimitError>>,
    /// All tags of the token.
    pub tags: Option<BTreeMap<String, String>>,
    /// Whether the token is enabled.
    pub enabled: Option<bool>,
}

/// The rules that a change is checked against.
struct Rules<'a> {
    policy: &'a Policy,
    catalogues: &'a [StoredCatalogue],
    /// When the current secret was created. Policy counts the lifetime from then.
    made_at: OffsetDateTime,
    now: OffsetDateTime,
}

impl Tokens<'_> {
    /// Changes a token's record. If the patch changes nothing, nothing is written. If policy asks
    /// for it, an earlier end also limits the ends of the token's descendants.
    ///
    /// # Errors
    /// `Invalid` with the fields of [`TokenPatch`], and for a user as whom the token could do more
    /// than a person who may know its secret could grant; `Forbidden` if the change widens the
    /// token to more than the caller may grant, or if an administrator stopped or bound it and the
    /// caller is not an administrator; `BoundExceeded` if it exceeds the bounds of the calling
    /// token; `AlreadyExists` if policy requires unique names and this one is in use;
    /// `PreconditionFailed` if the token is not in the version `expected`.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "update",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn update(
        &self,
        ctx: &OpContext,
        id: TokenId,
        expected: Option<i64>,
        patch: TokenPatch,
    ) -> Result<Token, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for_token(ctx, id).await?;
        let ctx = &ctx;
        let access =
            access::authorise_token(&mut transaction, ctx, id, Permission::TokensWrite).await?;
        let policy = levels::levels(&mut transaction, access.tenant()).await?.in_force();
        // Check before locking anything, because the check may wait in a queue.
        let pattern = match patch.name.as_ref().map(|text| text.parse::<TokenName>()) {
            Some(Ok(name)) => self.check_pattern(&access, &policy, &name).await?,
            _ => Ok(()),
        };
        let names = policy.unique_names && patch.name.is_some();
        if names {
            // Lock the workspace before the token, as everywhere: two orders could deadlock.
            workspaces::lock(&mut transaction, access.tenant()).await?;
        }
        let before = locked_for_more(&mut transaction, ctx, &access, id, expected).await?;
        let is_new = patch.name.as_ref().is_some_and(|name| name.trim() != before.name);
        let errors = pattern.err().filter(|_| is_new).into_iter().collect();
        let made_at = made_at(&mut transaction, ctx, &before).await?;
        let rules = (&before, &policy, made_at);
        let after = check(&mut transaction, ctx, &access, rules, &patch, errors).await?;
        let mut token = before.clone();
        if after == before {
            transaction.already_so(Subject::Token(id));
        } else {
            if names && after.name != before.name {
                check_name(&mut transaction, &access, &after.name, Some(id)).await?;
            }
            // Read the authors of the stops first: a new end clears the record for the present one.
            let stoppers = stops::stoppers(&mut transaction, access.tenant(), id).await?;
            let scopes = (after.grants != before.grants).then_some(&after.grants);
            // If the caller may not see the secret in use, stop keeping it: the new owner could
            // reveal it.
            let keeps = after.user.id == before.user.id
                || may_reveal(&mut transaction, ctx, &access, &before).await?;
            write(&mut transaction, ctx, &access, (&after, scopes)).await?;
            if !keeps {
                secrets_change::keep_no_more(&mut transaction, id).await?;
            }
            note_end(&mut transaction, ctx, &access, (&before, &after), (made_at, stoppers))
                .await?;
            note_bounds(&mut transaction, ctx, &access, (&before, &after)).await?;
            token =
                changed(&mut transaction, ctx, &access, AuditAction::TokenUpdate, &before).await?;
            if let Some(end) = after.expires_at
                && ends_later(before.expires_at, after.expires_at)
            {
                let how = (How::EndBy(end), false);
                children::follow(&mut transaction, ctx, &access, id, how).await?;
            }
            close_fallen_of_token(&mut transaction, ctx, access.tenant(), &token).await?;
        }
        if patch.scopes.is_some() || patch.grants.is_some() {
            unread::forget(&mut transaction, id).await?;
        }
        if let Some(enabled) = patch.enabled {
            // Audited as its own action, whatever else changes with it.
            let switch = if enabled { Switch::Enable } else { Switch::Disable };
            token = switch.apply(&mut transaction, ctx, &access, (id, None), false).await?;
        }
        if after.user.id != before.user.id {
            keep_holders(&mut transaction, ctx, [after.user.id]).await?;
            refuse_exposed(&mut transaction, ctx, &access, (id, after.user.id)).await?;
        }
        transaction.commit().await?;
        Ok(token)
    }
}

async fn check(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    (before, policy, made_at): (&Token, &Policy, OffsetDateTime),
    patch: &TokenPatch,
    mut errors: Vec<FieldError>,
) -> Result<Token, ServiceError> {
    let catalogues = catalogues::all(transaction).await?;
    let rules = Rules { policy, catalogues: &catalogues, made_at, now: ctx.now };
    let mut after = patch.apply(before, &rules, &mut errors);
    if let Some(text) = &patch.user
        && let Some(user) = holder(transaction, ctx, access, Some(text), &mut errors).await?
    {
        after.user = user;
    }
    if !errors.is_empty() {
        return Err(ServiceError::Invalid(errors));
    }
    may_widen(transaction, ctx, access, (before, &after), patch.enabled).await?;
    Ok(after)
}

/// Refuses a change that widens the token if the caller may not grant what the token could then do.
async fn may_widen(
    transaction: &mut Transaction<'_>,
    ctx: &OpContext,
    access: &Access,
    (before, after): (&Token, &Token),
    enabled: Option<bool>,
) -> Result<(), ServiceError> {
    let after = Token { enabled: enabled.unwrap_or(after.enabled), ..after.clone() };
    if !widens(before, &after, ctx.now) {
        return Ok(());
    }
    may_lift(transaction, ctx, access, before).await?;
    may_widen_by_token(transaction, ctx, access, (before, &after)).await?;
    may_unbind(transaction, ctx, access, (before, &after)).await?;
    if ends_later(after.expires_at, before.expires_at) {
        may_prolong(access, before)?;
    }
    let grantor = Grantor::of(transaction, ctx, access).await?;
    match grantor.check(transaction, &after).await? {
        Err(Shortfall::Scopes) if after.user.id != before.user.id => {
            let message = "cannot be changed: the token has scopes that you may not grant";
            Err(ServiceError::invalid("user", message))
        }
        outcome => Ok(outcome?),
    }
}

/// Returns when the current secret was created. Lifetimes count from then.
async fn made_at(
    connection: &mut PgConnection,
    ctx: &OpContext,
    token: &Token,
) -> Result<OffsetDateTime, ServiceError> {
    let working = secrets_change::working(connection, token.id, ctx.now).await?;
    let made_at = working.iter().find(|secret| secret.current).map(|secret| secret.created_at);
    Ok(made_at.unwrap_or(token.created_at))
}

/// Records the lifetime that follows from a new end, and who set an earlier end. An earlier end
/// never makes the lifetime longer. If a calling token with an end widens a token that it did not
/// create, that token cannot renew its end itself.
async fn note_end(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    (before, after): (&Token, &Token),
    (made_at, stoppers): (OffsetDateTime, Stoppers),
) -> Result<(), ServiceError> {
    let tenant = access.tenant();
    let outlasts = widens(before, after, ctx.now)
        && could_outlast_caller(connection, ctx, access, before).await?;
    if before.expires_at == after.expires_at {
        if outlasts {
            tokens_change::renew_no_more(connection, tenant, after.id).await?;
        }
        return Ok(());
    }
    let later = ends_later(after.expires_at, before.expires_at);
    let ended = if later {
        None
    } else {
        let by = stopped_by(connection, ctx, access, (before.id, before.user.id)).await?;
        Some(ender(by, before, stoppers))
    };
    let since_made = |end: Option<OffsetDateTime>| end.map(|end| end - made_at);
    let given = since_made(after.expires_at);
    let lifetime = if outlasts {
        given.map(|_| NOT_RENEWABLE)
    } else if later {
        given
    } else {
        let noted = tokens_change::lifetime(connection, tenant, after.id).await?;
        lowered(noted.or_else(|| since_made(before.expires_at)), given)
    };
    tokens_change::set_lifetime(connection, tenant, after.id, lifetime, ended).await?;
    Ok(())
}

pub(super) async fn write(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    (token, grants): (&Token, Option<&HeldScopes>),
) -> Result<(), ServiceError> {
    let flat = |grants: &HeldScopes| -> Vec<String> {
        grants.scopes().into_iter().map(ToString::to_string).collect()
    };
    let scopes = grants.map(flat);
    let ip_allow: Vec<String> = token.ip_allow.iter().map(ToString::to_string).collect();
    let values = Values {
        user: token.user.id,
        name: &token.name,
        description: token.description.as_ref(),
        scopes: scopes.as_deref(),
        not_before: token.not_before,
        expires_at: token.expires_at,
        ip_allow: &ip_allow,
        rate_limit: token.rate_limit,
        tags: &serde_json::json!(token.tags),
    };
    tokens_change::update(connection, access.tenant(), token.id, &values, ctx.now).await?;
    if let Some(grants) = grants {
        tokens_change::set_grants(connection, token.id, grants).await?;
    }
    if let Some(end) = token.expires_at {
        // A later change of the token's end must not revive a secret that expires with it now.
        secrets_change::end_older(connection, token.id, end).await?;
    }
    Ok(())
}

impl TokenPatch {
    /// Returns the changed token. Reports all mistakes, not only the first.
    fn apply(&self, before: &Token, rules: &Rules<'_>, errors: &mut Vec<FieldError>) -> Token {
        let mut after = before.clone();
        if let Some(text) = &self.name
            && let Some(name) = keep(text.parse::<TokenName>(), "name", errors)
        {
            after.name = name.into();
        }
        if let Some(text) = &self.description
            && let Some(description) = keep(text.parse::<Description>(), "description", errors)
        {
            after.description = description;
        }
        match (&self.scopes, &self.grants) {
            (Some(_), Some(_)) => {
                errors.push(FieldError::new("grants", "cannot be combined with scopes"));
            }
            (Some(texts), None) => {
                after.set_grants(shrunk_by_name(before, texts, rules.catalogues, errors));
            }
            (None, Some(grants)) => {
                after.set_grants(shrunk(before, grants, rules.catalogues, errors));
            }
            (None, None) => {}
        }
        if let Some(choice) = &self.expiry {
            let end = choice
                .clone()
                .and_then(|choice| choice.resolve_since(rules.policy, rules.now, rules.made_at));
            if let Some(end) = keep(end, "expires_at", errors) {
                after.expires_at = end;
            }
        }
        match &self.not_before {
            Edit::Set(text) => {
                after.not_before = not_before(Some(text), after.expires_at, errors);
            }
            Edit::Remove => after.not_before = None,
            Edit::Keep if starts_late(&after) => {
                errors.push(FieldError::new("expires_at", "must be after the start of the token"));
            }
            Edit::Keep => {}
        }
        if let Some(texts) = &self.ip_allow {
            after.ip_allow = ip_allow(texts, errors);
        }
        match self.rate_limit {
            Edit::Set(limit) => after.rate_limit = rate_limit(limit, errors),
            Edit::Remove => after.rate_limit = None,
            Edit::Keep => {}
        }
        if let Some(pairs) = &self.tags
            && let Some(tags) = keep(Tags::try_from(pairs.clone()), "tags", errors)
        {
            after.tags = tags;
        }
        after
    }
}

fn starts_late(token: &Token) -> bool {
    matches!((token.not_before, token.expires_at), (Some(start), Some(end)) if start >= end)
}
