//! A separate database for a test, in the PostgreSQL of the test run that `DATABASE_URL` names (see
//! `tools/with-postgres.sh`). It has the two roles of `docs/operating.md`: the owner migrates, and
//! the server serves.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};

/// Creates both roles, in whichever test comes first.
const ROLES: &str = "
    SELECT pg_advisory_xact_lock(7301);
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tessera_owner') THEN
            CREATE ROLE tessera_owner LOGIN;
            CREATE ROLE tessera_server LOGIN;
        END IF;
    END $$;";

/// A database, which is dropped together with this value.
#[derive(Debug)]
pub struct Database {
    name: String,
}

impl Database {
    /// Creates a database: a copy of the migrated template of `tools/with-postgres.sh` if there is
    /// one, otherwise an empty database.
    #[track_caller]
    pub fn create() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let template = std::env::var("TESSERA_TEST_TEMPLATE");
        let template = template.as_deref().unwrap_or("template0");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tessera_test_{}_{number}", std::process::id());
        administer(&[
            ROLES,
            // A killed test may have left one behind.
            &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            &format!(
                "CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE {template} OWNER tessera_owner"
            ),
            &format!(
                "REVOKE ALL ON DATABASE {name} FROM PUBLIC;
                 GRANT CONNECT ON DATABASE {name} TO tessera_server"
            ),
        ])
        .expect("the PostgreSQL of the test run answers");
        Self { name }
    }

    /// Its URL for the superuser.
    pub fn url(&self) -> String {
        self.url_of(None)
    }

    /// The settings of a server that uses it.
    pub fn environment(&self) -> [(String, String); 2] {
        [
            ("TESSERA_DATABASE_URL".into(), self.url_of(Some("tessera_server"))),
            ("TESSERA_MIGRATION_DATABASE_URL".into(), self.url_of(Some("tessera_owner"))),
        ]
    }

    /// The URL of the test run with this database's name, and another role.
    fn url_of(&self, role: Option<&str>) -> String {
        let url = run_url();
        let (base, parameters) = url.split_once('?').unwrap_or((&url, ""));
        let (place, _) = base.rsplit_once('/').expect("the URL names a database");
        let (scheme, authority) = place.split_once("://").expect("the URL has a scheme");
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let user = role.unwrap_or(user);
        format!("{scheme}://{user}@{host}/{}?{parameters}", self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The whole PostgreSQL is removed soon.
        let _ = administer(&[&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)]);
    }
}

/// Runs statements as the superuser of the test run.
fn administer(statements: &[&str]) -> Result<(), sqlx::Error> {
    let options: PgConnectOptions = run_url().parse()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connection = PgConnection::connect_with(&options).await?;
        for statement in statements {
            sqlx::raw_sql(AssertSqlSafe(*statement)).execute(&mut connection).await?;
        }
        connection.close().await
    })
}

/// The URL of the PostgreSQL of the test run.
fn run_url() -> String {
    std::env::var("DATABASE_URL").expect(
        "DATABASE_URL names a PostgreSQL for tests: run them by tools/with-postgres.sh cargo nextest run",
    )
}
