//! Names that must be unique by policy are compared in the same way in databases of every locale.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use crate::support::{World, draft, slug};
use authority::{ServiceError, TokenDraft, TokenPatch};
use domain::problem::ProblemCode;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, PgPool, postgres::PgPoolOptions};

const UNIQUE: &str =
    "INSERT INTO policies (id, unique_names, updated_at) VALUES (gen_random_uuid(), true, now())";

fn named(name: &str) -> TokenDraft {
    TokenDraft { name: name.into(), ..draft(&["rivers:read"]) }
}

/// Checks whether a token of this name can be created.
async fn is_free(world: &World, name: &str) -> bool {
    let draft = TokenDraft { user: Some(crate::support::OWNER.into()), ..named(name) };
    let (tokens, home) = (world.authority.tokens(), slug("workspace-1"));
    match tokens.create(&world.operator(), &home, draft).await {
        Ok(_) => true,
        Err(ServiceError::AlreadyExists(_)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

async fn names_are_compared_without_regard_to_case(pool: PgPool) {
    let world = World::founded(pool).await;
    world.execute(UNIQUE).await;
    for (first, second) in
        [("Ärger", "äRGER"), ("TITLE", "title"), ("straße", "STRASSE"), ("Ключ", "КЛЮЧ")]
    {
        assert!(is_free(&world, first).await && !is_free(&world, second).await, "{first}");
    }
    assert!(is_free(&world, "arger").await);

    // A rename compares names, too, and frees the old name.
    let (tokens, operator) = (world.authority.tokens(), world.operator());
    let draft = TokenDraft { user: Some(crate::support::OWNER.into()), ..named("Öl") };
    let oil = tokens.create(&operator, &slug("workspace-1"), draft).await.unwrap().token.id;
    let to = |name: &str| TokenPatch { name: Some(name.into()), ..TokenPatch::default() };
    let refused = tokens.update(&operator, oil, None, to("ÄRGER")).await.unwrap_err();
    assert_eq!(refused.code(), ProblemCode::AlreadyExists);
    tokens.update(&operator, oil, None, to("Wasser")).await.unwrap();
    assert!(is_free(&world, "ÖL").await && !is_free(&world, "WASSER").await);

    // A server of version 0.1 renames a token without writing its name key.
    world.execute("UPDATE tokens SET name = 'Übung' WHERE name = 'Wasser'").await;
    assert!(is_free(&world, "wasser").await && !is_free(&world, "übung").await);
    world.authority.fold_names().await.unwrap();
    let left = "SELECT count(*) FROM tokens WHERE name_key IS NULL AND deleted_at IS NULL";
    assert_eq!(sqlx::query_scalar::<_, i64>(left).fetch_one(&world.pool).await.unwrap(), 0);
    assert!(!is_free(&world, "ÜBUNG").await);
}

#[sqlx::test(migrations = false)]
async fn unique_names_are_folded_in_a_database_that_folds_only_ascii(pool: PgPool) {
    let ascii = "SELECT lower('Ä') = 'Ä'";
    assert!(sqlx::query_scalar::<_, bool>(ascii).fetch_one(&pool).await.unwrap(), "locale C");
    names_are_compared_without_regard_to_case(pool).await;
}

#[sqlx::test(migrations = false)]
async fn unique_names_are_folded_in_a_turkish_database(pool: PgPool) {
    let own = pool.connect_options().get_database().unwrap().to_owned();
    // PostgreSQL would truncate a longer name to that of the original database.
    let name = format!("turkish_{}", &own[own.len() - 40..]);
    let mut connection = pool.acquire().await.unwrap();
    // Left over from a failed run.
    let drop = format!("DROP DATABASE IF EXISTS \"{name}\"");
    sqlx::raw_sql(AssertSqlSafe(drop.clone())).execute(&mut *connection).await.unwrap();
    let create = format!(
        "CREATE DATABASE \"{name}\" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'tr'"
    );
    if let Err(error) = sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await {
        // PostgreSQL is older than version 15, or built without ICU.
        assert!(
            error.to_string().contains("ICU") || error.to_string().contains("provider"),
            "{error}"
        );
        return;
    }
    let options = pool.connect_options().as_ref().clone().database(&name);
    let turkish = PgPoolOptions::new().max_connections(3).connect_lazy_with(options.clone());
    let mut first = PgConnection::connect_with(&options).await.unwrap();
    let dotless = "SELECT lower('TITLE') = 'tıtle'";
    assert!(sqlx::query_scalar::<_, bool>(dotless).fetch_one(&mut first).await.unwrap());
    first.close().await.unwrap();
    names_are_compared_without_regard_to_case(turkish.clone()).await;
    turkish.close().await;
    sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *connection).await.unwrap();
}
