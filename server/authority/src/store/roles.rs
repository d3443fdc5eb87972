//! The roles of the database: the owner of Tessera's tables, and the serving role.
//!
//! Invariants:
//! - Rights and owners are changed only on Tessera's own tables and their sequences, each by name.
//!   Everything else in the schema is not Tessera's.
//! - The serving role changes rows. It changes neither tables nor the list of migrations.
//!
//! A migration that creates a table adds its name to [`TABLES`], and one that creates a function to
//! [`FUNCTIONS`].

use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, migrate::MigrateError, postgres::PgConnectOptions,
};

use super::{DatabaseProblem, StoreError, connection, database, open_for_migrations, patience};
use crate::ServiceError;

/// Tessera's tables, except [`MIGRATIONS_TABLE`].
pub(super) const TABLES: &[&str] = &[
    "audiences",
    "audit_events",
    "audit_heads",
    "descendant_stops",
    "idempotency_keys",
    "import_allowances",
    "import_collisions",
    "instance",
    "invitations",
    "memberships",
    "password_links",
    "person_stops",
    "policies",
    "replicas",
    "revision_head",
    "revisions",
    "scopes",
    "secret_stops",
    "sessions",
    "setup_links",
    "sign_in_attempts",
    "sign_in_networks",
    "sign_in_throttles",
    "token_audiences",
    "token_secrets",
    "tokens",
    "tokens_with_unread_log",
    "unread_scopes",
    "untrusted_proxies",
    "usage_hours",
    "users",
    "workspaces",
];
/// Tessera's functions. The serving role needs `EXECUTE` on them even if an administrator of the
/// database has revoked it from `PUBLIC`: triggers call functions with the rights of the role that
/// writes the row.
const FUNCTIONS: &[&str] = &[
    "audit_reads_giver",
    "audit_reads_token_row",
    "held_scopes",
    "may_set_password",
    "moment_in_log",
    "read_giver",
    "read_token_row",
    "tokens_forget_name_key",
    "tokens_forget_stoppers",
];
/// The table of applied migrations. The serving role only reads it.
pub(super) const MIGRATIONS_TABLE: &str = "_sqlx_migrations";

/// Runs the migrations as the owner of the tables, and grants the role of `serving` the right to
/// read and write rows. The owner's role has no other use, so that the server itself can't change
/// its schema.
///
/// # Errors
/// `Unavailable` if the database cannot be reached; `Internal` with a [`DatabaseProblem`], or if a
/// URL is not usable.
pub async fn migrate_as_owner(owner: &str, serving: &str) -> Result<(), ServiceError> {
    let owner = connection::options(owner).map_err(ServiceError::internal)?;
    let serving = connection::options(serving).map_err(ServiceError::internal)?;
    let mut connection = open_for_migrations(&owner).await?;
    let outcome = bring_up(&mut connection, &owner, serving.get_username()).await;
    let outcome = match outcome {
        Err(error) if lacks_rights(&error) => match foreign_table(&mut connection).await {
            Ok(Some(problem)) => Err(problem.into()),
            _ => Err(error),
        },
        outcome => outcome,
    };
    let _ = connection.close().await;
    outcome
}

async fn bring_up(
    connection: &mut PgConnection,
    owner: &PgConnectOptions,
    serving: &str,
) -> Result<(), ServiceError> {
    if database::pending(connection).await? > 0 {
        database::migrate(owner).await?;
    }
    match grant(connection, owner, serving).await {
        // The serving role does not exist under this name. Waiting would not help.
        Err(error) if error.is_of_schema() => Err(ServiceError::internal(error)),
        granted => Ok(granted?),
    }
}

fn lacks_rights(error: &ServiceError) -> bool {
    match error {
        ServiceError::Unavailable(cause) => cause.is_of_rights(),
        ServiceError::Internal(cause) => matches!(
            cause.downcast_ref::<DatabaseProblem>(),
            Some(DatabaseProblem::MayNotMigrate { .. })
        ),
        _ => false,
    }
}

/// Finds one of Tessera's tables that belongs to a role whose rights this role does not have.
async fn foreign_table(
    connection: &mut PgConnection,
) -> Result<Option<DatabaseProblem>, StoreError> {
    let found = sqlx::query!(
        r#"SELECT c.oid::regclass::text AS "name!", pg_get_userbyid(c.relowner)::text AS "owner!"
             FROM pg_class c
            WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
              AND c.relname = ANY($1) AND NOT pg_has_role(c.relowner, 'USAGE')
            ORDER BY c.relname LIMIT 1"#,
        &names()
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.map(|table| DatabaseProblem::NotOwner { table: table.name, owner: table.owner }))
}

/// Returns the names of all of Tessera's tables.
fn names() -> Vec<String> {
    TABLES.iter().copied().chain([MIGRATIONS_TABLE]).map(ToOwned::to_owned).collect()
}

/// Grants the serving role the rights that it lacks, on existing objects and on those that later
/// migrations create.
async fn grant(
    connection: &mut PgConnection,
    owner: &PgConnectOptions,
    role: &str,
) -> Result<(), StoreError> {
    if owner.get_username() == role {
        return Ok(());
    }
    let tables: Vec<String> = TABLES.iter().copied().map(ToOwned::to_owned).collect();
    let functions: Vec<String> = FUNCTIONS.iter().copied().map(ToOwned::to_owned).collect();
    let statements = sqlx::query_scalar!(
        r#"WITH serving AS (
               SELECT $1::text AS name, quote_ident($1) AS quoted, $1::text::name::text AS role
           ), tables AS (
               SELECT oid, relname, relacl FROM pg_class
                WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')
                  AND relname = ANY($2 || ARRAY[$3::text])
           )
           SELECT format('GRANT USAGE ON SCHEMA public TO %s', quoted) AS "sql!"
             FROM serving WHERE NOT has_schema_privilege(role, 'public', 'USAGE')
           UNION ALL
           SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %s TO %s', t.oid::regclass, quoted)
             FROM serving, tables t
            WHERE t.relname <> $3 AND NOT (has_table_privilege(role, t.oid, 'SELECT') AND has_table_privilege(role, t.oid, 'INSERT')
                   AND has_table_privilege(role, t.oid, 'UPDATE') AND has_table_privilege(role, t.oid, 'DELETE'))
           UNION ALL
           SELECT format('GRANT SELECT ON TABLE %s TO %s', t.oid::regclass, quoted)
             FROM serving, tables t WHERE t.relname = $3 AND NOT has_table_privilege(role, t.oid, 'SELECT')
           UNION ALL
           SELECT format('REVOKE INSERT, UPDATE, DELETE ON TABLE %s FROM %s', t.oid::regclass, quoted)
             FROM serving, tables t
            WHERE t.relname = $3 AND EXISTS (
                SELECT FROM aclexplode(t.relacl) a JOIN pg_roles r ON r.oid = a.grantee
                 WHERE r.rolname = role AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE'))
           UNION ALL
           SELECT format('GRANT USAGE, SELECT ON SEQUENCE %s TO %s', s.oid::regclass, quoted)
             FROM serving, tables t
             JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
                             AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
             JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
            WHERE NOT (has_sequence_privilege(role, s.oid, 'USAGE') AND has_sequence_privilege(role, s.oid, 'SELECT'))
           UNION ALL
           SELECT format('GRANT EXECUTE ON FUNCTION %s TO %s', f.oid::regprocedure, quoted)
             FROM serving, pg_proc f
            WHERE f.pronamespace = 'public'::regnamespace AND f.proname = ANY($4)
              AND NOT has_function_privilege(role, f.oid, 'EXECUTE')
           UNION ALL
           SELECT format('ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT %s TO %s', kind.rights, quoted)
             FROM serving, (VALUES ('r', 'SELECT, INSERT, UPDATE, DELETE ON TABLES'), ('S', 'USAGE, SELECT ON SEQUENCES')) AS kind (letter, rights)
            WHERE NOT EXISTS (
                SELECT FROM pg_default_acl d, aclexplode(d.defaclacl) a JOIN pg_roles r ON r.oid = a.grantee
                 WHERE d.defaclrole = current_user::regrole AND d.defaclnamespace = 'public'::regnamespace
                   AND d.defaclobjtype::text = kind.letter AND r.rolname = role)"#,
        role,
        &tables,
        MIGRATIONS_TABLE,
        &functions
    )
    .fetch_all(&mut *connection)
    .await?;
    sqlx::raw_sql(AssertSqlSafe(statements.join("; "))).execute(connection).await?;
    Ok(())
}

/// Prepares the embedded database for two roles that are not superusers: `owner`, which owns the
/// tables and runs migrations, and `serving`. Changes the owner of the tables of version 0.1, which
/// ran as the superuser.
///
/// # Errors
/// `Unavailable` if the database cannot be reached.
pub async fn prepare_roles(
    superuser: &str,
    owner: &'static str,
    serving: &'static str,
) -> Result<(), ServiceError> {
    let options = connection::options(superuser).map_err(ServiceError::internal)?;
    let tables: Vec<String> = names().iter().map(|name| format!("'{name}'")).collect();
    let sql = PREPARE_ROLES
        .replace("{owner}", owner)
        .replace("{serving}", serving)
        .replace("{tables}", &tables.join(", "));
    let attempt = |mut connection: PgConnection| {
        let sql = sql.clone();
        async move {
            let prepared = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await;
            let _ = connection.close().await;
            Ok(prepared.map(drop)?)
        }
    };
    match patience::until_unlocked(&options, attempt).await {
        Err(MigrateError::Execute(error)) => Err(error.into()),
        outcome => outcome.map_err(ServiceError::internal),
    }
}

const PREPARE_ROLES: &str = "
DO $$
DECLARE object record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{owner}') THEN
        CREATE ROLE {owner} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{serving}') THEN
        CREATE ROLE {serving} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION;
    END IF;
    EXECUTE format('ALTER DATABASE %I OWNER TO {owner}', current_database());
    EXECUTE format('REVOKE CREATE, TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    ALTER SCHEMA public OWNER TO {owner};
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    -- Sequences of identity columns and indexes follow their tables.
    FOR object IN
        SELECT c.oid::regclass AS name FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
          AND c.relname IN ({tables}) AND c.relowner <> '{owner}'::regrole
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO {owner}', object.name);
    END LOOP;
    FOR object IN
        SELECT s.stxname AS name FROM pg_statistic_ext s JOIN pg_class c ON c.oid = s.stxrelid
        WHERE s.stxnamespace = 'public'::regnamespace AND c.relnamespace = s.stxnamespace
          AND c.relname IN ({tables}) AND s.stxowner <> '{owner}'::regrole
    LOOP
        EXECUTE format('ALTER STATISTICS public.%I OWNER TO {owner}', object.name);
    END LOOP;
END
$$";

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sqlx::PgPool;

    use super::*;

    #[sqlx::test(migrations = "./migrations")]
    async fn names_list_all_tables_and_functions_that_migrations_create(pool: PgPool) {
        let made: Vec<String> = sqlx::query_scalar(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        assert_eq!(made.into_iter().collect::<BTreeSet<_>>(), names().into_iter().collect());

        let made: Vec<String> = sqlx::query_scalar(
            "SELECT proname::text FROM pg_proc f WHERE pronamespace = 'public'::regnamespace
                AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = f.oid AND d.deptype = 'e')",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        let named = FUNCTIONS.iter().copied().map(ToOwned::to_owned);
        assert_eq!(made.into_iter().collect::<BTreeSet<_>>(), named.collect());
    }
}
