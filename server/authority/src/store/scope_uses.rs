//! The tokens of all workspaces that use the scopes of an audience, for users who manage
//! the instance.

use domain::{
    catalogue::{ScopeName, ScopeUses, TokenUse},
    ids::AudienceId,
};
use sqlx::PgConnection;

use super::{StoreError, secrets::parse_all};

/// The maximum number of tokens that are listed by name.
const NAMED_MAX: i64 = 50;

/// Returns the scopes that undeleted tokens hold in this audience: those among `scopes` and, with
/// `uris`, all that are URIs.
pub(crate) async fn held(
    connection: &mut PgConnection,
    audience: AudienceId,
    scopes: &[String],
    uris: bool,
) -> Result<Vec<ScopeName>, StoreError> {
    let held = sqlx::query_scalar!(
        r#"SELECT DISTINCT held AS "held!"
             FROM token_audiences ta
             JOIN tokens t ON t.id = ta.token_id AND t.deleted_at IS NULL
             CROSS JOIN LATERAL unnest(CASE WHEN ta.scopes IS NOT NULL
                            -- <@ takes time proportional to the product of both lengths.
                            AND CASE WHEN cardinality(ta.scopes)::bigint * cardinality(t.scopes) <= 10000
                                     THEN ta.scopes <@ t.scopes
                                     ELSE NOT EXISTS (SELECT unnest(ta.scopes) EXCEPT SELECT unnest(t.scopes)) END
                       THEN ta.scopes
                                            ELSE held_scopes(ta.scopes, t.scopes, t.id, ta.audience_id) END) AS held
            WHERE ta.audience_id = $1 AND (held = ANY($2) OR ($3 AND held LIKE '%://%'))
            ORDER BY 1"#,
        audience.0,
        scopes,
        uris,
    )
    .fetch_all(connection)
    .await?;
    parse_all(&held).ok_or_else(|| StoreError::corrupt("tokens.scopes", audience.0))
}

/// Returns the undeleted tokens that hold any of these scopes in this audience.
pub(crate) async fn holders(
    connection: &mut PgConnection,
    audience: AudienceId,
    scopes: &[String],
) -> Result<ScopeUses, StoreError> {
    if scopes.is_empty() {
        return Ok(ScopeUses::default());
    }
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
             FROM token_audiences ta
             JOIN tokens t ON t.id = ta.token_id AND t.deleted_at IS NULL
            WHERE ta.audience_id = $1 AND t.scopes && $2
              AND CASE WHEN ta.scopes IS NOT NULL
                            -- <@ takes time proportional to the product of both lengths.
                            AND CASE WHEN cardinality(ta.scopes)::bigint * cardinality(t.scopes) <= 10000
                                     THEN ta.scopes <@ t.scopes
                                     ELSE NOT EXISTS (SELECT unnest(ta.scopes) EXCEPT SELECT unnest(t.scopes)) END
                       THEN ta.scopes
                       ELSE held_scopes(ta.scopes, t.scopes, t.id, ta.audience_id) END && $2"#,
        audience.0,
        scopes,
    )
    .fetch_one(&mut *connection)
    .await?;
    let rows = sqlx::query!(
        "SELECT t.id, t.name, w.slug, u.email
           FROM token_audiences ta
           JOIN tokens t ON t.id = ta.token_id AND t.deleted_at IS NULL
           JOIN workspaces w ON w.id = t.workspace_id
           JOIN users u ON u.id = t.user_id
          WHERE ta.audience_id = $1 AND t.scopes && $2
            AND CASE WHEN ta.scopes IS NOT NULL
                            -- <@ takes time proportional to the product of both lengths.
                            AND CASE WHEN cardinality(ta.scopes)::bigint * cardinality(t.scopes) <= 10000
                                     THEN ta.scopes <@ t.scopes
                                     ELSE NOT EXISTS (SELECT unnest(ta.scopes) EXCEPT SELECT unnest(t.scopes)) END
                       THEN ta.scopes
                     ELSE held_scopes(ta.scopes, t.scopes, t.id, ta.audience_id) END && $2
          ORDER BY t.created_at DESC, t.id DESC LIMIT $3",
        audience.0,
        scopes,
        NAMED_MAX,
    )
    .fetch_all(connection)
    .await?;
    let tokens = rows
        .into_iter()
        .map(|row| {
            Ok(TokenUse {
                id: row.id.into(),
                name: row.name,
                workspace: row
                    .slug
                    .parse()
                    .map_err(|_| StoreError::corrupt("workspaces.slug", row.id))?,
                user: row.email,
            })
        })
        .collect::<Result<_, StoreError>>()?;
    Ok(ScopeUses { count, tokens })
}

/// Returns how many undeleted tokens have this audience.
pub(crate) async fn tokens_of_audience(
    connection: &mut PgConnection,
    audience: AudienceId,
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
             FROM token_audiences ta
             JOIN tokens t ON t.id = ta.token_id AND t.deleted_at IS NULL
            WHERE ta.audience_id = $1"#,
        audience.0,
    )
    .fetch_one(connection)
    .await?)
}
