//! Create a token.
//!
//! Authorise → policy → scopes within the creator's → random secret → digest → one transaction of
//! {cap under a row lock, token, secret, audit row} → commit → the secret, once.

use domain::{
    access::Permission,
    grants::Rights,
    ids::{TokenId, UserId},
    names::{Email, Slug},
    problem::FieldError,
    roles::InstanceRole,
    token::{Token, UserSummary},
};
use sqlx::PgConnection;

use super::{
    MintedToken, TokenDraft, Tokens,
    draft::{CheckedDraft, Rules},
};
use crate::{
    OpContext, ServiceError,
    access::{self, Access},
    audit::{Change, record},
    context::Actor,
    secret::TokenSecret,
    store::{
        catalogues, policies, secrets,
        tokens::{self as store, NewToken},
        users::{self, User},
        workspaces,
    },
    workspaces::effective_policy,
};

impl Tokens<'_> {
    /// Creates a token in a workspace and gives its secret, this once.
    ///
    /// # Errors
    /// `Invalid` with the fields of [`TokenDraft`]; `AlreadyExists` when policy wants names to be
    /// unique; `TokenLimitReached`; `AlreadyCreated` when this form made its token before.
    pub async fn create(
        &self,
        ctx: &OpContext,
        workspace: &Slug,
        draft: TokenDraft,
    ) -> Result<MintedToken, ServiceError> {
        let mut transaction = self.inner.begin().await?;
        let access =
            access::authorise_tokens(&mut transaction, ctx, workspace, Permission::TokensWrite)
                .await?;
        let levels = policies::levels(&mut transaction, access.tenant()).await?;
        let policy = effective_policy(&levels);
        let catalogues = catalogues::all(&mut transaction).await?;
        let grantable = match &ctx.actor {
            Actor::Token(facts) => Some(facts.granted.as_slice()),
            _ => None,
        };
        // A token hands on what it holds; a person, what their membership grants.
        let rights = match grantable {
            Some(_) => Rights::All,
            None => access.rights(&catalogues),
        };
        let rules = Rules {
            policy: &policy,
            catalogues: &catalogues,
            grantable,
            rights: &rights,
            now: ctx.now,
        };
        let mut errors = Vec::new();
        let user =
            holder(&mut transaction, ctx, &access, draft.user.as_deref(), &mut errors).await?;
        let checked = draft.check(&rules, &mut errors);
        let (Some(user), Some(checked)) = (user, checked) else {
            return Err(ServiceError::Invalid(errors));
        };
        if let Some(key) = draft.creation_key
            && let Some(id) = store::by_creation_key(&mut transaction, access.tenant(), key).await?
        {
            return Err(ServiceError::AlreadyCreated(id));
        }
        check_caps(&mut transaction, &access, &levels).await?;
        if policy.unique_names {
            check_name(&mut transaction, &access, checked.name.as_ref()).await?;
        }
        let secret = TokenSecret::generate(&policy.prefix, self.inner.entropy.as_ref());
        let id = TokenId(self.inner.uuid(ctx.now));
        self.insert(&mut transaction, ctx, &access, &draft, &checked, (id, &user, &secret)).await?;
        let token = store::by_id(&mut transaction, access.tenant(), id, ctx.now)
            .await?
            .ok_or(ServiceError::NotFound("token"))?;
        let change = Change {
            workspace: Some(access.workspace.id),
            action: "token.create",
            subject_id: Some(id.0),
            subject_name: &token.name,
            before: None,
            after: Some(snapshot(&token)),
        };
        record(&mut transaction, ctx, change).await?;
        transaction.commit().await?;
        Ok(MintedToken { token, secret })
    }

    async fn insert(
        &self,
        connection: &mut PgConnection,
        ctx: &OpContext,
        access: &Access,
        draft: &TokenDraft,
        checked: &CheckedDraft,
        (id, user, secret): (TokenId, &UserSummary, &TokenSecret),
    ) -> Result<(), ServiceError> {
        let scopes: Vec<String> = checked.scopes.iter().map(ToString::to_string).collect();
        let ip_allow: Vec<String> = checked.ip_allow.iter().map(ToString::to_string).collect();
        let token = NewToken {
            id,
            user: user.id,
            created_by: ctx.user_id(),
            name: checked.name.as_ref(),
            description: checked.description.as_ref(),
            scopes: &scopes,
            not_before: checked.not_before,
            expires_at: checked.expires_at,
            ip_allow: &ip_allow,
            hint: &secret.hint(),
            creation_key: draft.creation_key,
        };
        store::insert(connection, access.tenant(), &token, ctx.now).await.map_err(|error| {
            // The same form twice at the same moment: the other one has the token.
            if error.violates("tokens_creation_key_unique") {
                ServiceError::AlreadyCreated(id)
            } else {
                error.into()
            }
        })?;
        store::insert_audiences(connection, id, &checked.audiences).await?;
        let digest = self.inner.keys.digest(secret.expose());
        secrets::insert(connection, self.inner.uuid(ctx.now), id, &digest, ctx.now).await?;
        Ok(())
    }
}

/// The user that the token will act as: enabled, and a member of the workspace or an administrator
/// of the instance. Only such an administrator makes tokens for another one: what the token may do
/// beyond the workspace must not exceed its maker.
async fn holder(
    connection: &mut PgConnection,
    ctx: &OpContext,
    access: &Access,
    wanted: Option<&str>,
    errors: &mut Vec<FieldError>,
) -> Result<Option<UserSummary>, ServiceError> {
    let user = match (wanted, ctx.user_id()) {
        (Some(text), _) => find(connection, text).await?,
        (None, Some(id)) => users::by_id(connection, id).await?,
        (None, None) => users::first_administrator(connection, access.workspace.id).await?,
    };
    let Some(user) = user.filter(|user| user.enabled) else {
        errors.push(FieldError::new(
            "user",
            "must be the e-mail address or id of a member of this workspace",
        ));
        return Ok(None);
    };
    let manages =
        |user: &User| matches!(user.instance_role, InstanceRole::Owner | InstanceRole::Admin);
    let member = workspaces::role(connection, access.tenant(), user.summary.id).await?.is_some();
    if !member && !manages(&user) {
        errors.push(FieldError::new(
            "user",
            "must be the e-mail address or id of a member of this workspace",
        ));
        return Ok(None);
    }
    let own = ctx.user_id() == Some(user.summary.id);
    if access.own.is_some() && !own {
        errors.push(FieldError::new("user", "must be yourself: members make their own tokens"));
        return Ok(None);
    }
    let equal = match &ctx.actor {
        Actor::Operator => true,
        Actor::User(visitor) => visitor.is_instance_admin(),
        Actor::Token(_) | Actor::Anonymous => false,
    };
    if manages(&user) && !own && !equal {
        errors.push(FieldError::new(
            "user",
            "is an administrator of the instance: only another one may do this",
        ));
        return Ok(None);
    }
    Ok(Some(user.summary))
}

async fn find(connection: &mut PgConnection, text: &str) -> Result<Option<User>, ServiceError> {
    if let Ok(id) = text.trim().parse::<UserId>() {
        return Ok(users::by_id(connection, id).await?);
    }
    match text.parse::<Email>() {
        Ok(email) => Ok(users::by_email(connection, &email).await?),
        Err(_) => Ok(None),
    }
}

/// Counts under a row lock in the creating transaction: of many creations at the limit, just as many
/// succeed as there is room for.
async fn check_caps(
    connection: &mut PgConnection,
    access: &Access,
    levels: &policies::Levels,
) -> Result<(), ServiceError> {
    if let Some(limit) = levels.instance.max_tokens {
        workspaces::lock_instance(connection).await?;
        if store::count(connection, None).await? >= limit {
            return Err(ServiceError::TokenLimitReached(limit));
        }
    }
    if let Some(limit) = levels.workspace.max_tokens {
        workspaces::lock(connection, access.tenant()).await?;
        if store::count(connection, Some(access.tenant())).await? >= limit {
            return Err(ServiceError::TokenLimitReached(limit));
        }
    }
    Ok(())
}

async fn check_name(
    connection: &mut PgConnection,
    access: &Access,
    name: &str,
) -> Result<(), ServiceError> {
    workspaces::lock(connection, access.tenant()).await?;
    if store::name_is_taken(connection, access.tenant(), name).await? {
        let error = FieldError::new("name", "is in use by another token of this workspace");
        return Err(ServiceError::AlreadyExists(error));
    }
    Ok(())
}

/// A token as an audit row keeps it.
pub(super) fn snapshot(token: &Token) -> serde_json::Value {
    serde_json::json!({
        "name": token.name,
        "user": token.user.email,
        "audiences": token.audiences,
        "scopes": token.scopes,
        "enabled": token.enabled,
        "not_before": token.not_before.map(|moment| moment.to_string()),
        "expires_at": token.expires_at.map(|moment| moment.to_string()),
        "ip_allow": token.ip_allow,
        "hint": token.hint,
    })
}
