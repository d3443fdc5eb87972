//! Person stops: pending work to check accounts again after their passwords were
//! expired (`users::second_look`).

use domain::ids::UserId;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::StoreError;
use crate::kernel::Author;

/// A person stop.
#[derive(Clone, Debug)]
pub(crate) struct PersonStop {
    pub(crate) id: Uuid,
    /// The person from whom the passwords descend.
    pub(crate) giver: UserId,
    /// The people whose passwords were expired.
    pub(crate) ended: Vec<UserId>,
    /// Whether to also expire the passwords of administrators that descend from the giver.
    pub(crate) ends_more: bool,
    /// The user who made the change.
    pub(crate) by: Option<UserId>,
    /// The author of the change, for the audit rows.
    pub(crate) author: Author,
}

fn uuids(people: &[UserId]) -> Vec<Uuid> {
    people.iter().map(|person| person.0).collect()
}

/// Inserts a person stop, claimed for 15 seconds. The server that inserts it begins the work within
/// this time.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    stop: &PersonStop,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO person_stops (id, giver, ended, ends_more, stopped_by, author, worked_until)
         VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp() + interval '15 seconds')",
        stop.id,
        stop.giver.0,
        &uuids(&stop.ended),
        stop.ends_more,
        stop.by.map(|user| user.0),
        Json(&stop.author) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Claims a person stop that no server works on, for 15 seconds.
pub(crate) async fn claim(connection: &mut PgConnection) -> Result<Option<PersonStop>, StoreError> {
    let row = sqlx::query!(
        r#"UPDATE person_stops SET worked_until = clock_timestamp() + interval '15 seconds'
            WHERE id = (SELECT id FROM person_stops WHERE worked_until <= clock_timestamp()
                         ORDER BY worked_until LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING id, giver, ended, ends_more, stopped_by, author AS "author: Json<Author>""#,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| PersonStop {
        id: row.id,
        giver: UserId(row.giver),
        ended: row.ended.into_iter().map(UserId).collect(),
        ends_more: row.ends_more,
        by: row.stopped_by.map(UserId),
        author: row.author.0,
    }))
}

/// Returns the people of a person stop, to whom another server may have added some, or `None`
/// if the stop is finished. The caller holds [`crate::store::locks::people`], under which person
/// stops change.
pub(crate) async fn ended(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<Vec<UserId>>, StoreError> {
    let ended = sqlx::query_scalar!("SELECT ended FROM person_stops WHERE id = $1", id)
        .fetch_optional(connection)
        .await?;
    Ok(ended.map(|people| people.into_iter().map(UserId).collect()))
}

/// Checks whether a person's password was expired and their account has yet to be checked again.
pub(crate) async fn concerns(
    connection: &mut PgConnection,
    person: UserId,
) -> Result<bool, StoreError> {
    let concerns = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM person_stops WHERE $1 = ANY (ended)) AS "concerns!""#,
        person.0,
    )
    .fetch_one(connection)
    .await?;
    Ok(concerns)
}

/// Adds people to a person stop, whose passwords were expired because of the people it already had.
/// Extends the claim to 15 seconds from now.
pub(crate) async fn add(
    connection: &mut PgConnection,
    id: Uuid,
    ended: &[UserId],
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE person_stops SET ended = ended || $2::uuid[],
                worked_until = clock_timestamp() + interval '15 seconds' WHERE id = $1",
        id,
        &uuids(ended),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps other servers from a person stop for 30 seconds: while its people are waited for, and after
/// a failure, so that the others come first.
pub(crate) async fn keep(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE person_stops SET worked_until = clock_timestamp() + interval '30 seconds' WHERE id = $1",
        id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes a person stop, after a check that found no more people.
pub(crate) async fn finish(connection: &mut PgConnection, id: Uuid) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM person_stops WHERE id = $1", id).execute(connection).await?;
    Ok(())
}
