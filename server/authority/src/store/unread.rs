//! Tokens whose scopes a 0.1 server wrote without the audience of each scope, and the scopes that
//! could not be assigned to an audience.

use domain::{
    catalogue::ScopeName,
    ids::{AudienceId, TokenId},
    names::Slug,
};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{StoreError, secrets::parse_all};

/// A token whose scopes are to be assigned.
pub(crate) struct Unread {
    pub(crate) token: TokenId,
    pub(crate) scopes: Vec<ScopeName>,
    pub(crate) audiences: Vec<AudienceId>,
    pub(crate) deleted: bool,
}

/// Why a scope that a 0.1 server wrote is not held as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Both `tessera` and another audience of the token declare it. It is held only in the
    /// other audience.
    Ambiguous,
    /// None of the token's audiences declares it. It is not held.
    Undeclared,
}

impl Doubt {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ambiguous => "ambiguous",
            Self::Undeclared => "undeclared",
        }
    }
}

/// A scope that could not be assigned to an audience without doubt.
#[derive(Clone, Debug)]
pub struct UnreadScope {
    /// The token.
    pub token: TokenId,
    /// The token's name.
    pub name: String,
    /// The token's workspace.
    pub workspace: Slug,
    /// The scope.
    pub scope: String,
    /// Why it is in doubt.
    pub doubt: Doubt,
}

/// Returns up to `limit` tokens whose scopes are not assigned yet.
pub(crate) async fn some(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<Unread>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT t.id, t.scopes, t.deleted_at IS NOT NULL AS "deleted!",
                  ARRAY(SELECT ta.audience_id FROM token_audiences ta WHERE ta.token_id = t.id) AS "audiences!"
             FROM tokens t
            WHERE t.id IN (SELECT token_id FROM token_audiences WHERE scopes IS NULL LIMIT $1)"#,
        limit,
    )
    .fetch_all(connection)
    .await?;
    let unread = rows.into_iter().map(|row| {
        Ok(Unread {
            token: TokenId(row.id),
            scopes: parse_all(&row.scopes)
                .ok_or_else(|| StoreError::corrupt("tokens.scopes", row.id))?,
            audiences: row.audiences.into_iter().map(AudienceId).collect(),
            deleted: row.deleted,
        })
    });
    unread.collect()
}

/// Writes the scopes that tokens hold in their audiences, unless they were written in the meantime.
pub(crate) async fn write(
    connection: &mut PgConnection,
    held: &[(TokenId, AudienceId, String)],
) -> Result<(), StoreError> {
    let tokens: Vec<Uuid> = held.iter().map(|(token, _, _)| token.0).collect();
    let audiences: Vec<Uuid> = held.iter().map(|(_, audience, _)| audience.0).collect();
    let scopes: Vec<String> = held.iter().map(|(_, _, scopes)| scopes.clone()).collect();
    sqlx::query!(
        "UPDATE token_audiences ta SET scopes = string_to_array(r.scopes, ' ')
           FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS r (token_id, audience_id, scopes)
          WHERE ta.token_id = r.token_id AND ta.audience_id = r.audience_id AND ta.scopes IS NULL",
        &tokens,
        &audiences,
        &scopes,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Records the scopes that are in doubt.
pub(crate) async fn note(
    connection: &mut PgConnection,
    doubts: &[(TokenId, String, Doubt)],
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    let tokens: Vec<Uuid> = doubts.iter().map(|(token, _, _)| token.0).collect();
    let scopes: Vec<String> = doubts.iter().map(|(_, scope, _)| scope.clone()).collect();
    let reasons: Vec<String> =
        doubts.iter().map(|(_, _, doubt)| doubt.as_str().to_owned()).collect();
    sqlx::query!(
        "INSERT INTO unread_scopes (token_id, scope, reason, noted_at)
         SELECT token_id, scope, reason, $4
           FROM unnest($1::uuid[], $2::text[], $3::text[]) AS d (token_id, scope, reason)
         ON CONFLICT DO NOTHING",
        &tokens,
        &scopes,
        &reasons,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the doubts about a token, because a user has decided which scopes it holds.
pub(crate) async fn forget(
    connection: &mut PgConnection,
    token: TokenId,
) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM unread_scopes WHERE token_id = $1", token.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// Returns all doubts about undeleted tokens, ordered by workspace and token, for users who manage
/// the instance.
pub(crate) async fn doubts(connection: &mut PgConnection) -> Result<Vec<UnreadScope>, StoreError> {
    let rows = sqlx::query!(
        "SELECT d.token_id, d.scope, d.reason, t.name, w.slug
           FROM unread_scopes d
           JOIN tokens t ON t.id = d.token_id AND t.deleted_at IS NULL
           JOIN workspaces w ON w.id = t.workspace_id
          ORDER BY w.slug, lower(t.name), t.id, d.scope",
    )
    .fetch_all(connection)
    .await?;
    let doubts = rows.into_iter().map(|row| {
        Ok(UnreadScope {
            token: TokenId(row.token_id),
            name: row.name,
            workspace: row
                .slug
                .parse()
                .map_err(|_| StoreError::corrupt("workspaces.slug", row.token_id))?,
            scope: row.scope,
            doubt: match row.reason.as_str() {
                "ambiguous" => Doubt::Ambiguous,
                "undeclared" => Doubt::Undeclared,
                _ => return Err(StoreError::corrupt("unread_scopes.reason", row.token_id)),
            },
        })
    });
    doubts.collect()
}
