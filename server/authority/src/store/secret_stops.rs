//! Notes that tokens are to be disabled whose secrets somebody may know who lost rights.

use domain::ids::{UserId, WorkspaceId};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::StoreError;
use crate::audit::Author;

/// The tokens that a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Of {
    /// Tokens whose secrets this person may know, and that act as others.
    KnownTo(UserId),
    /// Tokens that act as this administrator of the instance, and whose secrets others may know.
    ActingAs(UserId),
}

/// A note.
#[derive(Clone, Debug)]
pub(crate) struct SecretStop {
    pub(crate) id: Uuid,
    /// The workspace whose tokens are disabled; `None` is all workspaces.
    pub(crate) workspace: Option<WorkspaceId>,
    pub(crate) of: Of,
    /// The user who disables them.
    pub(crate) by: Option<UserId>,
    /// The author of the change, for the audit rows.
    pub(crate) author: Author,
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

/// Notes that tokens are to be disabled. The server that notes it begins within some seconds.
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

/// Takes a note that no server works on, for some seconds. Notes of people come later whose accounts are still to be looked
/// at ([`super::person_stops`]).
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

/// Returns the notes that concern tokens of a workspace.
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

/// Keeps other servers from taking a note, for some seconds more.
pub(crate) async fn keep(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE secret_stops SET worked_until = clock_timestamp() + interval '15 seconds' WHERE id = $1",
        id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Lets any server go on with a note, after those that wait for longer.
pub(crate) async fn release(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("UPDATE secret_stops SET worked_until = clock_timestamp() + interval '30 seconds' WHERE id = $1", id)
        .execute(connection)
        .await?;
    Ok(())
}

/// Removes a note: none of its tokens is left to be disabled.
pub(crate) async fn finish(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM secret_stops WHERE id = $1", id).execute(connection).await?;
    Ok(())
}
