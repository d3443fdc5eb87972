//! Secret stops: pending work to disable tokens whose secrets may be known to a user who lost
//! rights.

use domain::ids::{UserId, WorkspaceId};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{StoreError, secret_holders::Sought};
use crate::kernel::Author;

/// The scopes of `tessera` with which a person who knows a secret can return or obtain
/// other secrets.
pub(crate) const RETURNING: [&str; 3] = ["tokens:write", "tokens:reveal", "members:write"];

/// The tokens that a secret stop disables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// Tokens that act as other users, and whose secrets this user may know.
    KnownTo(UserId),
    /// Tokens that act as this administrator of the instance, and whose secrets other users may
    /// know.
    ActingAs(UserId),
}

/// A secret stop.
#[derive(Clone, Debug)]
pub(crate) struct SecretStop {
    pub(crate) id: Uuid,
    /// The workspace whose tokens are disabled, or `None` for all workspaces.
    pub(crate) workspace: Option<WorkspaceId>,
    pub(crate) of: Of,
    /// The user who disables the tokens.
    pub(crate) by: Option<UserId>,
    /// The author of the change, for the audit rows.
    pub(crate) author: Author,
}

impl SecretStop {
    /// Returns the search for the tokens that this stop disables.
    pub(crate) fn sought<'a>(&self, scopes: &'a [String]) -> Sought<'a> {
        let sought = Sought { workspace: self.workspace, enabled: true, ..Sought::default() };
        match self.of {
            Of::KnownTo(user) => Sought { known_to: Some(user), scopes: Some(scopes), ..sought },
            Of::ActingAs(user) => Sought { user: Some(user), for_managers: true, ..sought },
        }
    }
}

/// Returns [`RETURNING`] as a parameter of a query.
pub(crate) fn returning() -> Vec<String> {
    RETURNING.map(ToOwned::to_owned).to_vec()
}

struct Row {
    id: Uuid,
    workspace_id: Option<Uuid>,
    known_to: Option<Uuid>,
    acting_as: Option<Uuid>,
    stopped_by: Option<Uuid>,
    author: Json<Author>,
}

impl TryFrom<Row> for SecretStop {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let of = match (row.known_to, row.acting_as) {
            (Some(user), _) => Of::KnownTo(UserId(user)),
            (None, Some(user)) => Of::ActingAs(UserId(user)),
            (None, None) => return Err(StoreError::corrupt("secret_stops.known_to", row.id)),
        };
        Ok(Self {
            id: row.id,
            workspace: row.workspace_id.map(WorkspaceId),
            of,
            by: row.stopped_by.map(UserId),
            author: row.author.0,
        })
    }
}

/// Inserts a secret stop, claimed for 15 seconds. The server that inserts it begins the work within
/// this time.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    stop: &SecretStop,
) -> Result<(), StoreError> {
    let (known_to, acting_as) = match stop.of {
        Of::KnownTo(user) => (Some(user.0), None),
        Of::ActingAs(user) => (None, Some(user.0)),
    };
    sqlx::query!(
        "INSERT INTO secret_stops (id, workspace_id, known_to, acting_as, stopped_by, author, worked_until)
         VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + interval '15 seconds')",
        stop.id,
        stop.workspace.map(|workspace| workspace.0),
        known_to,
        acting_as,
        stop.by.map(|user| user.0),
        Json(&stop.author) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Claims a secret stop that no server works on, for 15 seconds. Skips stops of users whose
/// accounts [`super::person_stops`] has yet to examine.
pub(crate) async fn claim(connection: &mut PgConnection) -> Result<Option<SecretStop>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"UPDATE secret_stops SET worked_until = clock_timestamp() + interval '15 seconds'
            WHERE id = (SELECT id FROM secret_stops s WHERE worked_until <= clock_timestamp()
                           AND NOT EXISTS (SELECT FROM person_stops p
                                            WHERE COALESCE(s.known_to, s.acting_as) = ANY (p.giver || p.ended))
                         ORDER BY worked_until LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, workspace_id, known_to, acting_as, stopped_by, author AS "author: Json<Author>""#,
    )
    .fetch_optional(connection)
    .await?
    .map(SecretStop::try_from)
    .transpose()
}

/// Returns the secret stops that concern tokens of a workspace.
pub(crate) async fn in_workspace(
    connection: &mut PgConnection,
    workspace: WorkspaceId,
) -> Result<Vec<SecretStop>, StoreError> {
    sqlx::query_as!(
        Row,
        r#"SELECT id, workspace_id, known_to, acting_as, stopped_by, author AS "author: Json<Author>"
             FROM secret_stops WHERE workspace_id = $1 OR workspace_id IS NULL"#,
        workspace.0,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(SecretStop::try_from)
    .collect()
}

/// Extends the claim of a secret stop to 15 seconds from now.
pub(crate) async fn keep(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE secret_stops SET worked_until = clock_timestamp() + interval '15 seconds' WHERE id = $1",
        id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Lets any server continue with a secret stop in 30 seconds, so that stops that have waited longer
/// come first.
pub(crate) async fn release(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("UPDATE secret_stops SET worked_until = clock_timestamp() + interval '30 seconds' WHERE id = $1", id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes a secret stop, after all of its tokens were disabled.
pub(crate) async fn finish(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM secret_stops WHERE id = $1", id).execute(connection).await?;
    Ok(())
}
