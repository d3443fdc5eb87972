//! Invitations to workspaces.

use domain::{
    grants::GrantPattern,
    ids::{InvitationId, TokenId, UserId, WorkspaceId},
    names::Email,
    roles::{InstanceRole, WorkspaceRole},
    token::UserSummary,
    workspace::{Invitation, InvitingToken},
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, members, secrets::parse_all, tokens};
use crate::kernel::Tenant;

/// An invitation to insert.
pub(crate) struct NewInvitation<'a> {
    pub(crate) id: InvitationId,
    pub(crate) email: &'a Email,
    pub(crate) role: WorkspaceRole,
    pub(crate) grants: Option<&'a [GrantPattern]>,
    pub(crate) invited_by: UserId,
    pub(crate) token: Option<TokenId>,
    pub(crate) expires_at: OffsetDateTime,
}

/// An open invitation as its addressee sees it, with the current state of its inviter.
#[derive(Clone, Debug)]
pub(crate) struct Addressed {
    pub(crate) invitation: Invitation,
    pub(crate) workspace: WorkspaceId,
    pub(crate) inviter: Inviter,
}

/// The current state of an inviter in the workspace of the invitation.
#[derive(Clone, Debug)]
pub(crate) struct Inviter {
    /// `None` if the user is disabled or deleted.
    pub(crate) instance_role: Option<InstanceRole>,
    pub(crate) role: Option<WorkspaceRole>,
    pub(crate) grants: Option<Vec<GrantPattern>>,
    /// The token that sent the invitation; `None` if a person sent it.
    pub(crate) token: Option<TokenId>,
}

struct InvitationRow {
    id: Uuid,
    slug: String,
    workspace_name: String,
    email: String,
    role: String,
    grants: Option<Vec<String>>,
    inviter_id: Uuid,
    inviter_email: String,
    inviter_name: String,
    token_id: Option<Uuid>,
    token_name: Option<String>,
    maker_id: Option<Uuid>,
    maker_email: Option<String>,
    maker_name: Option<String>,
    created_at: OffsetDateTime,
    expires_at: OffsetDateTime,
}

impl TryFrom<InvitationRow> for Invitation {
    type Error = StoreError;

    fn try_from(row: InvitationRow) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::corrupt(column, row.id);
        let grants = row
            .grants
            .map(|texts| parse_all(&texts).ok_or_else(|| corrupt("invitations.grants")))
            .transpose()?;
        Ok(Self {
            id: row.id.into(),
            workspace: row.slug.parse().map_err(|_| corrupt("workspaces.slug"))?,
            workspace_name: row.workspace_name.parse().map_err(|_| corrupt("workspaces.name"))?,
            email: row.email,
            role: row.role.parse().map_err(|_| corrupt("invitations.role"))?,
            grants,
            invited_by: UserSummary {
                id: row.inviter_id.into(),
                email: row.inviter_email,
                name: row.inviter_name,
            },
            token: row.token_id.map(|id| InvitingToken {
                id: TokenId(id),
                name: row.token_name.unwrap_or_default(),
                made_by: tokens::summary(row.maker_id, row.maker_email, row.maker_name),
            }),
            created_at: row.created_at,
            expires_at: row.expires_at,
        })
    }
}

/// Inserts an invitation. `invitations_one_open` refuses a second open invitation of an address to
/// the same workspace.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    tenant: Tenant,
    new: &NewInvitation<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let grants: Option<Vec<String>> =
        new.grants.map(|patterns| patterns.iter().map(ToString::to_string).collect());
    sqlx::query!(
        "INSERT INTO invitations
                (id, workspace_id, email, role, grants, invited_by, token_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        new.id.0,
        tenant.id().0,
        new.email.as_ref(),
        new.role.as_str(),
        grants.as_deref(),
        new.invited_by.0,
        new.token.map(|token| token.0),
        now,
        new.expires_at,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Closes the open invitation of an address. Returns its id unless it had expired.
pub(crate) async fn close(
    connection: &mut PgConnection,
    tenant: Tenant,
    email: &str,
    now: OffsetDateTime,
) -> Result<Option<InvitationId>, StoreError> {
    let closed = sqlx::query!(
        "UPDATE invitations SET revoked_at = $3
          WHERE workspace_id = $1 AND email IN ($2, (SELECT email_key FROM users WHERE email = $2))
            AND accepted_at IS NULL AND revoked_at IS NULL
          RETURNING id, expires_at",
        tenant.id().0,
        email,
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(closed.filter(|closed| closed.expires_at > now).map(|closed| closed.id.into()))
}

/// Deletes the workspace's invitations that were created before `moment`. They expired long ago.
pub(crate) async fn remove_before(
    connection: &mut PgConnection,
    tenant: Tenant,
    moment: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM invitations WHERE workspace_id = $1 AND created_at < $2",
        tenant.id().0,
        moment,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Counts the unexpired invitations of a workspace, including declined ones.
pub(crate) async fn count(
    connection: &mut PgConnection,
    tenant: Tenant,
    now: OffsetDateTime,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM invitations
            WHERE workspace_id = $1 AND accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $2"#,
        tenant.id().0,
        now,
    )
    .fetch_one(connection)
    .await?)
}

/// Counts the invitations that the tokens of a workspace sent after `since`, and returns when the
/// first of them was sent.
pub(crate) async fn sent_by_tokens_since(
    connection: &mut PgConnection,
    tenant: Tenant,
    since: OffsetDateTime,
) -> Result<(i64, Option<OffsetDateTime>), StoreError> {
    let sent = sqlx::query!(
        r#"SELECT count(*) AS "count!", min(created_at) AS first
             FROM invitations WHERE workspace_id = $1 AND token_id IS NOT NULL AND created_at > $2"#,
        tenant.id().0,
        since,
    )
    .fetch_one(connection)
    .await?;
    Ok((sent.count, sent.first))
}

/// Counts the invitations that a person sent after `since`, without those sent by tokens. Also
/// returns when the first of them was sent.
pub(crate) async fn sent_since(
    connection: &mut PgConnection,
    inviter: UserId,
    since: OffsetDateTime,
) -> Result<(i64, Option<OffsetDateTime>), StoreError> {
    let sent = sqlx::query!(
        r#"SELECT count(*) AS "count!", min(created_at) AS first
             FROM invitations WHERE invited_by = $1 AND token_id IS NULL AND created_at > $2"#,
        inviter.0,
        since,
    )
    .fetch_one(connection)
    .await?;
    Ok((sent.count, sent.first))
}

/// Returns the unexpired invitations of a workspace, including declined ones, the newest first.
/// With `id`, returns only that invitation.
pub(crate) async fn of_workspace(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: Option<InvitationId>,
    now: OffsetDateTime,
) -> Result<Vec<Invitation>, StoreError> {
    sqlx::query_as!(
        InvitationRow,
        r#"SELECT i.id, w.slug, w.name AS workspace_name, i.email, i.role, i.grants,
                  u.id AS inviter_id, u.email AS inviter_email, u.name AS inviter_name,
                  i.token_id, t.name AS "token_name?",
                  maker.id AS "maker_id?", maker.email AS "maker_email?", maker.name AS "maker_name?",
                  i.created_at, i.expires_at
             FROM invitations i
             JOIN workspaces w ON w.id = i.workspace_id
             JOIN users u ON u.id = i.invited_by
             LEFT JOIN tokens t ON t.id = i.token_id
             LEFT JOIN users maker ON maker.id = (
                 WITH RECURSIVE up AS (
                     SELECT t.parent_id, t.created_by
                     UNION ALL
                     SELECT p.parent_id, p.created_by FROM up JOIN tokens p ON p.id = up.parent_id
                 )
                 SELECT created_by FROM up WHERE parent_id IS NULL)
            WHERE i.workspace_id = $1 AND ($2::uuid IS NULL OR i.id = $2)
              AND i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > $3
            ORDER BY i.created_at DESC, i.id DESC"#,
        tenant.id().0,
        id.map(|id| id.0),
        now,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Invitation::try_from)
    .collect()
}

/// Returns the open invitations of an address, the newest first. With `id`, returns only that
/// invitation. The caller leaves out those whose inviter may no longer invite.
pub(crate) async fn addressed_to(
    connection: &mut PgConnection,
    email: &str,
    id: Option<InvitationId>,
    now: OffsetDateTime,
) -> Result<Vec<Addressed>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT i.id, i.workspace_id, w.slug, w.name AS workspace_name, i.email, i.role, i.grants,
                  u.id AS inviter_id, u.email AS inviter_email, u.name AS inviter_name,
                  i.created_at, i.expires_at,
                  CASE WHEN u.enabled THEN u.instance_role END AS instance_role,
                  m.role AS "inviter_role?", m.grants AS "inviter_grants?",
                  m.audience_grants AS "inviter_audience_grants?",
                  i.token_id, t.name AS "token_name?",
                  maker.id AS "maker_id?", maker.email AS "maker_email?", maker.name AS "maker_name?"
             FROM invitations i
             JOIN workspaces w ON w.id = i.workspace_id
             JOIN users u ON u.id = i.invited_by
             LEFT JOIN tokens t ON t.id = i.token_id
             -- The person who created the first ancestor of the token.
             LEFT JOIN users maker ON maker.id = (
                 WITH RECURSIVE up AS (
                     SELECT t.parent_id, t.created_by
                     UNION ALL
                     SELECT p.parent_id, p.created_by FROM up JOIN tokens p ON p.id = up.parent_id
                 )
                 SELECT created_by FROM up WHERE parent_id IS NULL)
             LEFT JOIN memberships m ON m.workspace_id = i.workspace_id AND m.user_id = u.id
            WHERE i.email = COALESCE((SELECT email_key FROM users WHERE email = $1), $1) AND ($2::uuid IS NULL OR i.id = $2)
              AND i.accepted_at IS NULL AND i.declined_at IS NULL AND i.revoked_at IS NULL
              AND i.expires_at > $3
            ORDER BY i.created_at DESC, i.id DESC"#,
        email,
        id.map(|id| id.0),
        now,
    )
    .fetch_all(connection)
    .await?;
    let addressed = rows.into_iter().map(|row| {
        let corrupt = |column| StoreError::corrupt(column, row.id);
        let inviter = Inviter {
            instance_role: row
                .instance_role
                .map(|role| role.parse().map_err(|_| corrupt("users.instance_role")))
                .transpose()?,
            role: row
                .inviter_role
                .map(|role| role.parse().map_err(|_| corrupt("memberships.role")))
                .transpose()?,
            grants: members::parse_grants(
                row.inviter_grants.as_deref(),
                row.inviter_audience_grants.as_deref(),
                row.inviter_id,
            )?,
            token: row.token_id.map(TokenId),
        };
        let invitation = InvitationRow {
            id: row.id,
            slug: row.slug,
            workspace_name: row.workspace_name,
            email: row.email,
            role: row.role,
            grants: row.grants,
            inviter_id: row.inviter_id,
            inviter_email: row.inviter_email,
            inviter_name: row.inviter_name,
            token_id: row.token_id,
            token_name: row.token_name,
            maker_id: row.maker_id,
            maker_email: row.maker_email,
            maker_name: row.maker_name,
            created_at: row.created_at,
            expires_at: row.expires_at,
        };
        Ok(Addressed {
            invitation: invitation.try_into()?,
            workspace: row.workspace_id.into(),
            inviter,
        })
    });
    addressed.collect()
}

/// Marks an open invitation as accepted. Returns `false` if it is no longer open.
pub(crate) async fn accept(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: InvitationId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "UPDATE invitations SET accepted_at = $3
          WHERE workspace_id = $1 AND id = $2 AND accepted_at IS NULL AND declined_at IS NULL
            AND revoked_at IS NULL AND expires_at > $3",
        tenant.id().0,
        id.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}

/// Marks an open invitation as declined. Returns `false` if it is no longer open.
pub(crate) async fn decline(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: InvitationId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "UPDATE invitations SET declined_at = $3
          WHERE workspace_id = $1 AND id = $2 AND accepted_at IS NULL AND declined_at IS NULL
            AND revoked_at IS NULL",
        tenant.id().0,
        id.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}

/// Marks an invitation as revoked, even if it was declined. Returns `false` if it is closed.
pub(crate) async fn revoke(
    connection: &mut PgConnection,
    tenant: Tenant,
    id: InvitationId,
    now: OffsetDateTime,
) -> Result<bool, StoreError> {
    let outcome = sqlx::query!(
        "UPDATE invitations SET revoked_at = $3
          WHERE workspace_id = $1 AND id = $2 AND accepted_at IS NULL AND revoked_at IS NULL",
        tenant.id().0,
        id.0,
        now,
    )
    .execute(connection)
    .await?;
    Ok(outcome.rows_affected() == 1)
}

/// Locks the invitations with grants that can still be accepted.
pub(crate) async fn with_grants(
    connection: &mut PgConnection,
) -> Result<Vec<(InvitationId, Vec<GrantPattern>)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, grants AS "grants!" FROM invitations
            WHERE grants <> '{}' AND accepted_at IS NULL AND declined_at IS NULL AND revoked_at IS NULL
            ORDER BY id FOR NO KEY UPDATE"#
    )
    .fetch_all(connection)
    .await?;
    let read = rows.into_iter().map(|row| {
        let grants = parse_all(&row.grants);
        Ok((
            row.id.into(),
            grants.ok_or_else(|| StoreError::corrupt("invitations.grants", row.id))?,
        ))
    });
    read.collect()
}

/// Replaces the grants of an invitation with equivalent ones.
pub(crate) async fn set_grants(
    connection: &mut PgConnection,
    id: InvitationId,
    grants: &[GrantPattern],
) -> Result<(), StoreError> {
    let grants: Vec<String> = grants.iter().map(ToString::to_string).collect();
    sqlx::query!("UPDATE invitations SET grants = $2 WHERE id = $1", id.0, &grants)
        .execute(connection)
        .await?;
    Ok(())
}
