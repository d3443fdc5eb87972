//! Create a token.
//!
//! The steps: authorise the caller, apply policy, check that the scopes are within the creator's,
//! generate a random secret, compute its digest, and write the token, the secret and the audit row
//! in one transaction that checks the limits under a row lock. After the commit, the secret is
//! returned, once.

use std::sync::Arc;

use domain::{
    access::Permission,
    audit_action::AuditAction,
    ids::{SecretId, TokenId},
    names::{Slug, TOKEN_NAME_MAX, TokenName},
    policy::Policy,
    problem::FieldError,
    scope_pattern::Steps,
    token::UserSummary,
};
use sqlx::PgConnection;

use super::{
    MintedToken, TokenDraft, Tokens,
    change::snapshot,
    containment::{fix_bounds, stopped_by},
    draft::{CheckedDraft, Rules},
    grace::renewable,
    reach::{grantable, holder, keep_holders, rights},
    reveal::seal,
    widening::inherit,
};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    audit::record,
    kernel::{Actor, Change},
    secret::TokenSecret,
    store::{
        catalogues::{self, StoredCatalogue},
        names, policies,
        secrets::{self, NewSecret},
        tokens::{self as store, NewToken},
        wait_briefly, workspaces,
    },
    transaction::Transaction,
    work::{Heavy, Kind},
};

impl Tokens<'_> {
    /// Creates a token in a workspace and returns its secret, which is not shown again.
    ///
    /// # Errors
    /// `Invalid` with the fields of [`TokenDraft`]; `AlreadyExists` if policy requires unique names
    /// and this one is in use; `TokenLimitReached`; `AlreadyCreated` if this form already created
    /// its token.
    #[tracing::instrument(skip_all, fields(
        noun = "tokens", verb = "create",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn create(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        draft: TokenDraft,
    ) -> Result<MintedToken, ServiceError> {
        let (mut transaction, ctx) = self.inner.begin_for(ctx, &[]).await?;
        let ctx = &ctx;
        let access =
            access::authorise_tokens(&mut transaction, ctx, workspace, Permission::TokensWrite)
                .await?;
        // Boxed, because the future is large and would become part of every caller's future.
        let mint = self.mint(&mut transaction, ctx, &access, &draft, None);
        let minted = Box::pin(mint).await?;
        transaction.makes(minted.token.id);
        transaction.commit().await?;
        self.inner.cache.made();
        Ok(minted)
    }

    /// Creates a token for a caller who is already authorised. `origin` is the token that it is a
    /// copy of.
    pub(super) async fn mint(
        &self,
        connection: &mut Transaction<'_>,
        ctx: &OpContext,
        access: &Access,
        draft: &TokenDraft,
        origin: Option<TokenId>,
    ) -> Result<MintedToken, ServiceError> {
        let levels = policies::levels(connection, access.tenant()).await?;
        let policy = levels.in_force();
        let catalogues = catalogues::all(connection).await?;
        let mut errors = Vec::new();
        let user = holder(connection, ctx, access, draft.user.as_deref(), &mut errors).await?;
        if let Ok(name) = draft.name.parse::<TokenName>()
            && let Err(error) = self.check_pattern(access, &policy, &name).await?
        {
            errors.push(error);
        }
        // Check before locking any row of the workspace, because the check may wait in a queue.
        let (checked, mistakes) =
            self.check_draft(ctx, access, draft, policy.clone(), catalogues).await?;
        errors.extend(mistakes);
        let (Some(user), Some(mut checked), true) = (user, checked, errors.is_empty()) else {
            return Err(ServiceError::Invalid(errors));
        };
        inherit(ctx, draft, &mut checked).map_err(ServiceError::BoundExceeded)?;
        if draft.creation_key.is_some()
            && (policy.unique_names || levels.workspace.max_tokens.is_some())
        {
            // Wait for a request with the same form here. Otherwise, the checks below would count
            // its token, and refuse the name or the number of tokens.
            workspaces::lock(connection, access.tenant()).await?;
        }
        refuse_repeated(connection, access, draft).await?;
        check_room(connection, access, &levels, 1).await?;
        let id = TokenId(self.inner.uuid(ctx.now));
        if policy.unique_names && draft.number_name {
            checked.name = self.free_name(connection, access, &policy, (checked.name, id)).await?;
        } else if policy.unique_names {
            check_name(connection, access, checked.name.as_ref(), None).await?;
        }
        let secret = TokenSecret::generate(&policy.prefix, self.inner.entropy.as_ref());
        insert(connection, ctx, access, draft, &checked, (id, &user, &secret.hint())).await?;
        self.insert_secret(connection, ctx, access, (id, checked.recoverable), &secret).await?;
        let token = store::by_id(connection, access.tenant(), id, ctx.now)
            .await?
            .ok_or(ServiceError::NotFound("token"))?;
        let mut after = snapshot(&token);
        if let Some(origin) = origin {
            after["clone_of"] = origin.to_string().into();
        }
        let change = Change {
            workspace: Some(access.workspace.id),
            action: AuditAction::TokenCreate,
            subject_id: Some(id.0),
            subject_name: &token.name,
            before: None,
            after: Some(after),
        };
        record(connection, ctx, change).await?;
        keep_holders(connection, ctx, [user.id]).await?;
        keep_room(connection, &levels).await?;
        Ok(MintedToken { token, secret, children_pending: false })
    }

    /// Checks a draft and returns all mistakes.
    async fn check_draft(
        &self,
        ctx: &OpContext,
        access: &Access,
        draft: &TokenDraft,
        policy: Policy,
        catalogues: Vec<StoredCatalogue>,
    ) -> Result<(Option<CheckedDraft>, Vec<FieldError>), ServiceError> {
        let (ctx, draft, grants) = (ctx.clone(), draft.clone(), access.grants.clone());
        let check = move |steps: &mut Steps| {
            let rules = Rules {
                policy: &policy,
                catalogues: &catalogues,
                grantable: grantable(&ctx),
                rights: &rights(&ctx, &grants, &catalogues, steps),
                now: ctx.now,
            };
            let mut mistakes = Vec::new();
            let checked = draft.check(&rules, &mut mistakes, steps);
            (checked, mistakes)
        };
        self.inner.work.compare(access.workspace.id.0, check).await
    }

    /// Inserts a token's current secret: its digest and, if the token is recoverable, its text
    /// encrypted with the sealing key.
    pub(super) async fn insert_secret(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        access: &Access,
        (token, recoverable): (TokenId, bool),
        secret: &TokenSecret,
    ) -> Result<(), ServiceError> {
        let id = SecretId(self.inner.uuid(ctx.now));
        let sealed = if recoverable {
            let place = (access.workspace.id, token, id);
            Some(seal(self.inner, place, secret).map_err(ServiceError::internal)?)
        } else {
            None
        };
        let secret = NewSecret {
            id,
            digest: &self.inner.keys.digest(secret.expose()),
            hint: &secret.hint(),
            sealed: sealed.as_ref(),
        };
        secrets::insert(connection, token, &secret, ctx.now).await?;
        Ok(())
    }
}

/// Refuses a form that already created its token.
async fn refuse_repeated(
    connection: &mut PgConnection,
    access: &Access,
    draft: &TokenDraft,
) -> Result<(), ServiceError> {
    let Some(key) = draft.creation_key else { return Ok(()) };
    match store::by_creation_key(connection, access.tenant(), key).await? {
        Some(id) => Err(ServiceError::AlreadyCreated(id)),
        None => Ok(()),
    }
}

/// Inserts a token with its audiences.
async fn insert(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    draft: &TokenDraft,
    checked: &CheckedDraft,
    (id, user, hint): (TokenId, &UserSummary, &str),
) -> Result<(), ServiceError> {
    let scopes = checked.scopes();
    let ip_allow: Vec<String> = checked.ip_allow.iter().map(ToString::to_string).collect();
    let disabled = if draft.disabled {
        Some(stopped_by(connection, ctx, access, (id, user.id)).await?)
    } else {
        None
    };
    let token = NewToken {
        id,
        user: user.id,
        created_by: ctx.user_id(),
        name: checked.name.as_ref(),
        description: checked.description.as_ref(),
        scopes: &scopes,
        enabled: !draft.disabled,
        not_before: checked.not_before,
        expires_at: checked.expires_at,
        lifetime: renewable(ctx, checked.expires_at.map(|end| end - ctx.now)),
        ip_allow: &ip_allow,
        rate_limit: checked.rate_limit,
        hint,
        recoverable: checked.recoverable,
        tags: &serde_json::json!(checked.tags),
        creation_key: draft.creation_key,
        parent: parent(ctx),
        disabled,
    };
    if !store::insert(connection, access.tenant(), &token, ctx.now).await? {
        // The same form was submitted twice at the same moment, and the other request created
        // the token.
        refuse_repeated(connection, access, draft).await?;
        return Err(ServiceError::internal("the token with this creation key was not found"));
    }
    store::insert_audiences(connection, id, &checked.grants).await?;
    fix_bounds(connection, ctx, access, (id, user.id), checked).await
}

/// Returns the calling token, which is the parent of a token that it creates.
pub(crate) fn parent(ctx: &OpContext) -> Option<TokenId> {
    match &ctx.actor {
        Actor::Token(facts) => Some(facts.token_id),
        Actor::Anonymous | Actor::Operator | Actor::User(_) | Actor::Restricted(_) => None,
    }
}

/// Refuses tokens that would exceed a limit. The workspace's limit is exact because its row is
/// locked: of concurrent creations at the limit, only as many succeed as fit. [`keep_room`] does
/// the same for the limit of the instance.
pub(crate) async fn check_room(
    connection: &mut PgConnection,
    access: &Access,
    levels: &policies::Levels,
    tokens: usize,
) -> Result<(), ServiceError> {
    if levels.workspace.max_tokens.is_some() {
        workspaces::lock(connection, access.tenant()).await?;
    }
    has_room(connection, access, levels, tokens).await
}

/// Refuses the tokens that this transaction created if they exceed the limit of the instance. All
/// tenants that create tokens share the lock, so it is taken immediately before the commit and
/// times out quickly.
pub(crate) async fn keep_room(
    connection: &mut PgConnection,
    levels: &policies::Levels,
) -> Result<(), ServiceError> {
    let Some(limit) = levels.instance.max_tokens else { return Ok(()) };
    wait_briefly(connection).await?;
    workspaces::lock_instance(connection).await?;
    if store::count(connection, None).await? > limit {
        return Err(ServiceError::TokenLimitReached(limit));
    }
    Ok(())
}

/// Checks the limits as [`check_room`] does, but without locks, for tokens that will not be kept.
pub(crate) async fn has_room(
    connection: &mut PgConnection,
    access: &Access,
    levels: &policies::Levels,
    tokens: usize,
) -> Result<(), ServiceError> {
    let tokens = i64::try_from(tokens).unwrap_or(i64::MAX);
    if let Some(limit) = levels.instance.max_tokens
        && store::count(connection, None).await?.saturating_add(tokens) > limit
    {
        return Err(ServiceError::TokenLimitReached(limit));
    }
    if let Some(limit) = levels.workspace.max_tokens
        && store::count(connection, Some(access.tenant())).await?.saturating_add(tokens) > limit
    {
        return Err(ServiceError::TokenLimitReached(limit));
    }
    Ok(())
}

/// Returns the positions of the names that are in use or repeat an earlier one.
pub(crate) async fn check_names(
    connection: &mut PgConnection,
    access: &Access,
    names: &[&str],
) -> Result<Vec<usize>, ServiceError> {
    workspaces::lock(connection, access.tenant()).await?;
    // A repeated name counts as in use from its first position on.
    let mut used = names::taken(connection, access.tenant(), names, None).await?;
    let keys = names.iter().map(|name| names::fold(name)).enumerate();
    Ok(keys.filter_map(|(place, key)| (!used.insert(key)).then_some(place)).collect())
}

/// The highest number appended to a name. After it, the token's own id is appended, so that only a
/// few names are tried, however many are in use.
const NUMBERS: u32 = 9;

impl Tokens<'_> {
    /// Returns the name or, if another token of the workspace has it, the first free variant of it.
    async fn free_name(
        &self,
        connection: &mut PgConnection,
        access: &Access,
        policy: &Policy,
        (name, id): (TokenName, TokenId),
    ) -> Result<TokenName, ServiceError> {
        let wrong = |error| ServiceError::Invalid(vec![error]);
        workspaces::lock(connection, access.tenant()).await?;
        for number in 1..=NUMBERS {
            let candidate = if number == 1 { name.clone() } else { with_end(&name, &number)? };
            if !store::name_is_taken(connection, access.tenant(), candidate.as_ref(), None).await? {
                self.check_pattern(access, policy, &candidate).await?.map_err(wrong)?;
                return Ok(candidate);
            }
        }
        let name = with_end(&name, &id.0.simple())?;
        check_name(connection, access, name.as_ref(), None).await?;
        self.check_pattern(access, policy, &name).await?.map_err(wrong)?;
        Ok(name)
    }

    /// Checks a name against the patterns of the workspace's policy.
    pub(super) async fn check_pattern(
        &self,
        access: &Access,
        policy: &Policy,
        name: &TokenName,
    ) -> Result<Result<(), FieldError>, ServiceError> {
        if policy.name_patterns.is_empty() {
            return Ok(Ok(()));
        }
        let (patterns, policy, name) =
            (Arc::clone(&self.inner.patterns), policy.clone(), name.to_string());
        let check = move |heavy: &Heavy| patterns.check_name(&policy, &name, heavy);
        self.inner.work.run(Kind::Name, access.workspace.id.0, check).await
    }
}

/// Appends a suffix to a name and shortens the name so that the result is valid.
fn with_end(name: &TokenName, end: &dyn std::fmt::Display) -> Result<TokenName, ServiceError> {
    let end = format!(" {end}");
    let room = TOKEN_NAME_MAX.saturating_sub(end.chars().count());
    let name: String = name.as_ref().chars().take(room).collect();
    format!("{}{end}", name.trim_end()).parse().map_err(ServiceError::internal)
}

/// Refuses a name that another token of the workspace has. Locks the workspace's row.
pub(super) async fn check_name(
    connection: &mut PgConnection,
    access: &Access,
    name: &str,
    except: Option<TokenId>,
) -> Result<(), ServiceError> {
    workspaces::lock(connection, access.tenant()).await?;
    if store::name_is_taken(connection, access.tenant(), name, except).await? {
        let error = FieldError::new("name", "is in use by another token of this workspace");
        return Err(ServiceError::AlreadyExists(error));
    }
    Ok(())
}
