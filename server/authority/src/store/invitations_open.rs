//! Open invitations, with the facts that decide whether they are still valid. Invitations that are
//! no longer valid are closed.

use domain::{
    grants::GrantPattern,
    ids::{InvitationId, TokenId, UserId},
    roles::{InstanceRole, WorkspaceRole},
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, invitations::Inviter, members, secrets::parse_all};
use crate::kernel::Tenant;

/// The sender whose invitations are checked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sender {
    /// A person: the invitations that they sent, those sent by tokens that act as them, and those
    /// sent by tokens that descend from theirs.
    Person(UserId),
    /// A token.
    Token(TokenId),
}

/// An open invitation, with the current state of its sender.
#[derive(Clone, Debug)]
pub(crate) struct OpenInvitation {
    pub(crate) id: InvitationId,
    pub(crate) role: WorkspaceRole,
    pub(crate) grants: Option<Vec<GrantPattern>>,
    /// The person who sent it, or on whose behalf a token sent it.
    pub(crate) invited_by: UserId,
    pub(crate) created_at: OffsetDateTime,
    /// The current state of the person whose invitations are checked. For a token, that of the
    /// person on whose behalf it sent the invitation.
    pub(crate) inviter: Inviter,
    /// Whether that person created the token that sent it, or the first of that token's ancestors.
    pub(crate) is_maker: bool,
}

/// Locks the open invitations of a sender, in one workspace or in all, including declined ones. It
/// never waits: an invitation that another transaction is changing is left out, and
/// [`crate::access::still_stands`] checks it when the addressee accepts it.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    sender: Sender,
    tenant: Option<Tenant>,
    now: OffsetDateTime,
) -> Result<Vec<OpenInvitation>, StoreError> {
    let (user, token) = match sender {
        Sender::Person(user) => (Some(user.0), None),
        Sender::Token(token) => (None, Some(token.0)),
    };
    let rows = sqlx::query!(
        r#"SELECT i.id, i.role, i.grants, i.invited_by, i.created_at, i.token_id,
                  COALESCE(maker.id = $1, false) AS "is_maker!",
                  CASE WHEN u.enabled AND u.deleted_at IS NULL THEN u.instance_role END AS instance_role,
                  m.role AS "inviter_role?", m.grants AS "inviter_grants?",
                  m.audience_grants AS "inviter_audience_grants?"
             FROM invitations i
             JOIN users u ON u.id = COALESCE($1, i.invited_by)
             LEFT JOIN memberships m ON m.workspace_id = i.workspace_id AND m.user_id = u.id
             LEFT JOIN tokens t ON t.id = i.token_id AND $1 IS NOT NULL
             -- The person who created the first ancestor of the token. After 200 generations, the decision is left to
             -- `still_stands`, so that long chains of tokens cannot delay changes to users.
             LEFT JOIN LATERAL (
                 WITH RECURSIVE up AS (
                     SELECT t.parent_id, t.created_by, 1 AS generation
                     UNION ALL
                     SELECT p.parent_id, p.created_by, up.generation + 1
                       FROM up JOIN tokens p ON p.id = up.parent_id WHERE up.generation < 200
                 )
                 SELECT created_by AS id FROM up WHERE parent_id IS NULL) maker ON t.id IS NOT NULL
            WHERE i.accepted_at IS NULL AND i.revoked_at IS NULL AND i.expires_at > $4
              AND ($3::uuid IS NULL OR i.workspace_id = $3)
              AND CASE WHEN $2::uuid IS NULL THEN i.invited_by = $1 OR maker.id = $1 ELSE i.token_id = $2 END
            ORDER BY i.id FOR NO KEY UPDATE OF i SKIP LOCKED"#,
        user,
        token,
        tenant.map(|tenant| tenant.id().0),
        now,
    )
    .fetch_all(connection)
    .await?;
    let open = rows.into_iter().map(|row| {
        let corrupt = |column| StoreError::corrupt(column, row.id);
        Ok(OpenInvitation {
            id: row.id.into(),
            role: row.role.parse().map_err(|_| corrupt("invitations.role"))?,
            grants: row
                .grants
                .map(|texts| parse_all(&texts).ok_or_else(|| corrupt("invitations.grants")))
                .transpose()?,
            invited_by: UserId(row.invited_by),
            created_at: row.created_at,
            inviter: Inviter {
                instance_role: row
                    .instance_role
                    .map(|role: String| role.parse::<InstanceRole>())
                    .transpose()
                    .map_err(|_| corrupt("users.instance_role"))?,
                role: row
                    .inviter_role
                    .map(|role: String| role.parse::<WorkspaceRole>())
                    .transpose()
                    .map_err(|_| corrupt("memberships.role"))?,
                grants: members::parse_grants(
                    row.inviter_grants.as_deref(),
                    row.inviter_audience_grants.as_deref(),
                    row.invited_by,
                )?,
                token: row.token_id.map(TokenId),
            },
            is_maker: row.is_maker,
        })
    });
    open.collect()
}

/// Closes these invitations. The caller has locked them.
pub(crate) async fn close(
    connection: &mut PgConnection,
    ids: &[InvitationId],
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    sqlx::query!("UPDATE invitations SET revoked_at = $2 WHERE id = ANY($1)", &ids, now)
        .execute(connection)
        .await?;
    Ok(())
}

/// Makes the open invitations that these tokens sent expire at `end` at the latest. The tokens are
/// not valid after that time.
pub(crate) async fn end_of_tokens(
    connection: &mut PgConnection,
    tenant: Tenant,
    tokens: &[Uuid],
    end: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE invitations SET expires_at = $3
          WHERE id IN (SELECT id FROM invitations
                        WHERE workspace_id = $1 AND token_id = ANY($2) AND expires_at > $3
                          AND accepted_at IS NULL AND revoked_at IS NULL
                        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)",
        tenant.id().0,
        tokens,
        end,
    )
    .execute(connection)
    .await?;
    Ok(())
}
