//! Upgrades from version 0.1: released migrations stay as they are, servers of 0.1 can run beside
//! the current schema, and the data of 0.1 migrates with its tokens and audit chains intact.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

mod locks;
mod stops;

use std::{collections::BTreeMap, fs, path::PathBuf};

use crate::support::{PASSWORD, World, drop_tables, password, slug};
use authority::{
    DoubtfulPassword, NewUser, PasswordDoubt, ServiceError, SignIn, SignedIn, UserChange,
    keys::Keys,
};
use domain::{
    decision::{DecisionCode, Demand},
    ids::{TokenId, UserId},
    problem::ProblemCode,
    roles::{InstanceRole, UserKind},
    token::Standing,
};
use serde_json::Value;
use sqlx::{
    AssertSqlSafe, Column as _, Either, Executor as _, PgPool, SqlSafeStr as _, TypeInfo as _,
    migrate::Migrator,
};
use time::macros::datetime;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/0.1").join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(fixture(name)).unwrap()
}

/// Builds the database of a version 0.1 instance.
async fn restore(pool: &PgPool) {
    drop_tables(pool).await;
    Migrator::new(fixture("migrations")).await.unwrap().run(pool).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(read("data.sql"))).execute(pool).await.unwrap();
}

/// Builds the same database, migrated to this version and opened with its own keys.
async fn migrated(pool: PgPool) -> World {
    restore(&pool).await;
    let keys = Keys::from_toml(&read("keys.toml")).unwrap();
    World::restored(pool, keys, datetime!(2026-11-28 12:00 UTC)).await
}

#[test]
fn released_migrations_are_unchanged() {
    let present = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for entry in fs::read_dir(fixture("migrations")).unwrap() {
        let released = entry.unwrap().path();
        let now = present.join(released.file_name().unwrap());
        assert_eq!(
            fs::read(&now).unwrap(),
            fs::read(&released).unwrap(),
            "{} was released and must not change: add a migration instead",
            now.display()
        );
    }
}

/// Servers of version 0.1 keep running while others are upgraded, so each of their queries must
/// still be valid, with the same parameters and columns.
#[sqlx::test(migrations = false)]
async fn queries_of_0_1_are_valid_on_the_current_schema(pool: PgPool) {
    let world = World::empty(pool).await;
    let mut connection = world.pool.acquire().await.unwrap();
    let mut seen = 0;
    for entry in fs::read_dir(fixture("queries")).unwrap() {
        let file = fs::read_to_string(entry.unwrap().path()).unwrap();
        let recorded: Value = serde_json::from_str(&file).unwrap();
        let query = recorded["query"].as_str().unwrap().to_owned();
        let described = (&mut *connection)
            .describe(AssertSqlSafe(query.clone()).into_sql_str())
            .await
            .unwrap_or_else(|error| panic!("{error}:\n{query}"));
        let columns: Vec<String> =
            described.columns().iter().map(|column| column.name().to_owned()).collect();
        let expected: Vec<String> = recorded["describe"]["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|column| column["name"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(columns, expected, "{query}");
        if let Some(Either::Left(parameters)) = described.parameters() {
            let types: Vec<String> =
                parameters.iter().map(|kind| kind.name().to_lowercase()).collect();
            let expected = recorded["describe"]["parameters"]["Left"].as_array().unwrap();
            assert_eq!(types.len(), expected.len(), "{query}");
        }
        seen += 1;
    }
    assert!(seen > 100, "{seen} queries");
}

#[sqlx::test(migrations = false)]
async fn tokens_of_0_1_decide_as_before(pool: PgPool) {
    let world = migrated(pool).await;
    let secrets: BTreeMap<String, String> = toml::from_str(&read("secrets.toml")).unwrap();
    for (name, secret) in &secrets {
        let expected = match name.as_str() {
            "disabled" => DecisionCode::Disabled,
            "expired" => DecisionCode::Expired,
            // A deleted token is a tombstone.
            "deleted" => DecisionCode::Revoked,
            "bounded" => DecisionCode::IpDenied,
            _ => DecisionCode::Valid,
        };
        assert_eq!(world.decide(secret, &Demand::default()).await, expected, "{name}");
    }
}

#[sqlx::test(migrations = false)]
async fn audit_chains_of_0_1_are_whole_after_the_migration(pool: PgPool) {
    let world = migrated(pool).await;
    let chains = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    assert_eq!(chains.len(), 3);
    for chain in chains {
        assert!(chain.damage.is_empty(), "{chain:?}");
    }
}

/// The audit log of version 0.1 shows who created and who stopped its tokens.
#[sqlx::test(migrations = false)]
async fn makers_and_stops_of_0_1_are_read_from_its_audit_log(pool: PgPool) {
    restore(&pool).await;
    // After the rows of the log, an operator disabled a token, and Linus's token expired one. Each
    // of two tokens created one, and the second creator was deleted since.
    for script in [
        "INSERT INTO audit_events (at, workspace_id, actor_kind, actor_name, action, subject_id, subject_name, surface, request_id, chain, seq, mac, key_version)
         SELECT at + interval '1 s', workspace_id, 'operator', 'command line', action, subject_id, subject_name, 'cli', request_id, chain, seq + 1000, mac, key_version
           FROM audit_events WHERE action = 'token.disable'",
        "INSERT INTO audit_events (at, workspace_id, actor_kind, actor_id, actor_name, action, subject_id, subject_name, surface, request_id, chain, seq, mac, key_version)
         SELECT a.at, a.workspace_id, 'token', t.id, t.name, a.action, a.subject_id, a.subject_name, 'rest', a.request_id, a.chain, a.seq + 1001, a.mac, a.key_version
           FROM audit_events a, tokens t WHERE a.action = 'token.expire' AND t.name = 'of-linus'",
        "INSERT INTO audit_events (at, workspace_id, actor_kind, actor_id, actor_name, action, subject_id, subject_name, surface, request_id, chain, seq, mac, key_version)
         SELECT a.at, a.workspace_id, 'token', p.id, p.name, a.action, a.subject_id, a.subject_name, 'rest', a.request_id, a.chain, a.seq + 1002, a.mac, a.key_version
           FROM audit_events a JOIN tokens t ON t.id = a.subject_id
           JOIN tokens p ON p.name = CASE t.name WHEN 'plain' THEN 'manager' WHEN 'pattern' THEN 'deleted' END
          WHERE a.action = 'token.create'",
    ] {
        sqlx::raw_sql(AssertSqlSafe(script)).execute(&pool).await.unwrap();
    }
    let keys = Keys::from_toml(&read("keys.toml")).unwrap();
    let world = World::restored(pool, keys, datetime!(2026-11-28 12:00 UTC)).await;
    let id = async |name: &str| -> TokenId {
        let id = sqlx::query_scalar("SELECT id FROM tokens WHERE name = $1").bind(name);
        let id: uuid::Uuid = id.fetch_one(&world.pool).await.unwrap();
        id.into()
    };
    let token = async |name: &str| {
        let id = id(name).await;
        world.authority.tokens().show(&world.operator(), id).await.unwrap()
    };
    let disabled = token("disabled").await.disabled_by.unwrap();
    assert_eq!((disabled.user, disabled.standing), (None, Standing::Administrator));
    let ended = token("expired").await.ended_by.unwrap();
    assert_eq!(ended.standing, Standing::Administrator);
    assert_eq!(ended.user.unwrap().id, token("of-linus").await.user.id);
    for name in ["plain", "manager", "rotating"] {
        let token = token(name).await;
        assert_eq!((token.disabled_by, token.ended_by), (None, None), "{name}");
    }
    assert_eq!(token("plain").await.parent, Some(id("manager").await));
    assert_eq!(token("pattern").await.parent, Some(id("deleted").await));
    assert_eq!(token("manager").await.parent, None);
    // They were created without bounds, so the expiry of their parents does not bind them.
    let bound: i64 = sqlx::query_scalar("SELECT count(*) FROM tokens WHERE within_parent")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(bound, 0);
}

/// A person of version 0.1, who signs in with the tests' password. `$MAKER` is the actor of the
/// audit row: a kind, an id and a name.
const PERSON: &str = "
    INSERT INTO users (id, kind, email, name, password_hash, instance_role, created_at, updated_at)
    SELECT '$ID', 'person', '$EMAIL', 'P', '$HASH', '$ROLE', now(), now();
    INSERT INTO audit_events (at, actor_kind, actor_id, actor_name, action, subject_id, subject_name, surface, request_id, after)
    SELECT now(), $MAKER, 'user.create', '$ID', '$EMAIL', 'rest', 'r', $AFTER;";
const EVE: &str = "00000000-0000-0000-0000-0000000000e1";
const NELL: &str = "00000000-0000-0000-0000-0000000000e2";
const ZOE: &str = "00000000-0000-0000-0000-0000000000e3";
const KIM: &str = "00000000-0000-0000-0000-0000000000e4";
const NOBODY: &str = "00000000-0000-0000-0000-0000000000e5";
const OPERATOR: &str = "'operator', NULL, 'command line'";

fn hash() -> String {
    use argon2::PasswordHasher as _;
    let hash: argon2::password_hash::phc::PasswordHash = argon2::Argon2::default()
        .hash_password_with_salt(PASSWORD.as_bytes(), b"0123456789abcdef")
        .unwrap();
    hash.to_string()
}

/// Inserts a person as a server of version 0.1 does.
async fn insert(pool: &PgPool, (id, email, role): (&str, &str, &str), maker: &str, after: &str) {
    let script = PERSON
        .replace("$ID", id)
        .replace("$EMAIL", email)
        .replace("$ROLE", role)
        .replace("$HASH", &hash())
        .replace("$MAKER", maker)
        .replace("$AFTER", after);
    sqlx::raw_sql(AssertSqlSafe(script)).execute(pool).await.unwrap();
}

fn by_user(id: &str) -> String {
    format!("'user', '{id}', 'U'")
}

async fn opened(pool: PgPool) -> World {
    let keys = Keys::from_toml(&read("keys.toml")).unwrap();
    World::restored(pool, keys, datetime!(2026-11-28 12:00 UTC)).await
}

async fn sign_in(world: &World, email: &str) -> Result<SignedIn, ServiceError> {
    let sign_in = SignIn {
        email: email.into(),
        password: password(PASSWORD),
        user_agent: None,
        known_browser: None,
    };
    world.authority.sessions().sign_in(&world.anonymous(), sign_in).await
}

async fn doubts(world: &World) -> Vec<(String, PasswordDoubt)> {
    let found = world.authority.users().doubtful_passwords(&world.operator()).await.unwrap();
    found.into_iter().map(|DoubtfulPassword { email, doubt }| (email, doubt)).collect()
}

/// Version 0.1 could not change passwords, so the creator of an account knows its password.
#[sqlx::test(migrations = false)]
async fn passwords_of_0_1_chosen_by_another_person_must_be_changed(pool: PgPool) {
    restore(&pool).await;
    let full = r#"'{"email": "x"}'"#;
    insert(&pool, (EVE, "eve@example.com", "admin"), OPERATOR, "'{\"instance_role\": \"admin\"}'")
        .await;
    insert(&pool, (NELL, "nell@example.com", "member"), &by_user(EVE), full).await;
    insert(&pool, (ZOE, "zoe@example.com", "member"), OPERATOR, full).await;
    insert(&pool, (KIM, "kim@example.com", "owner"), &by_user(KIM), "NULL").await;
    insert(&pool, (NOBODY, "old@example.com", "member"), OPERATOR, full).await;
    sqlx::query("DELETE FROM audit_events WHERE subject_name = 'old@example.com'")
        .execute(&pool)
        .await
        .unwrap();
    let world = opened(pool).await;
    for (email, must_change) in [
        ("eve@example.com", false),
        ("kim@example.com", false),
        ("nell@example.com", true),
        ("zoe@example.com", true),
        ("old@example.com", false),
    ] {
        let session = sign_in(&world, email).await.unwrap();
        assert_eq!(session.must_change_password, must_change, "{email}");
    }
    let known = |email: &str, doubt| (email.to_owned(), doubt);
    let found = doubts(&world).await;
    for expected in [
        known("nell@example.com", PasswordDoubt::Given),
        known("old@example.com", PasswordDoubt::Unknown),
        // Ada's fixture created her with the command line.
        known("grace@example.com", PasswordDoubt::Given),
    ] {
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
    assert!(!found.iter().any(|(email, _)| email.starts_with("eve") || email.starts_with("ada")));

    // Eve chose Nell's password, and may not set an owner's.
    let change = UserChange { instance_role: Some(InstanceRole::Owner), ..UserChange::default() };
    let nell: UserId = NELL.parse().unwrap();
    let changed =
        world.authority.users().change(&world.operator(), nell, change, None).await.unwrap();
    assert!(changed.password_ended);
    assert_eq!(
        sign_in(&world, "nell@example.com").await.unwrap_err().code(),
        ProblemCode::InvalidCredentials
    );
}

#[sqlx::test(migrations = false)]
async fn password_of_0_1_expires_with_the_right_of_the_administrator_who_chose_it(pool: PgPool) {
    restore(&pool).await;
    insert(&pool, (EVE, "eve@example.com", "member"), OPERATOR, "NULL").await;
    insert(&pool, (NELL, "nell@example.com", "member"), &by_user(EVE), r#"'{"email": "x"}'"#).await;
    let world = opened(pool).await;
    assert!(sign_in(&world, "nell@example.com").await.is_err());
    let ended = ("nell@example.com".to_owned(), PasswordDoubt::Ended);
    assert!(doubts(&world).await.contains(&ended));
}

#[sqlx::test(migrations = false)]
async fn password_set_by_a_concurrent_0_1_server_must_be_changed(pool: PgPool) {
    let world = migrated(pool).await;
    let full = r#"'{"email": "x"}'"#;
    insert(&world.pool, (EVE, "eve@example.com", "admin"), OPERATOR, "NULL").await;
    insert(&world.pool, (NELL, "nell@example.com", "member"), &by_user(EVE), full).await;
    assert!(!sign_in(&world, "eve@example.com").await.unwrap().must_change_password);
    assert!(sign_in(&world, "nell@example.com").await.unwrap().must_change_password);
    let maker: Option<uuid::Uuid> =
        sqlx::query_scalar("SELECT password_set_by FROM users WHERE email = 'nell@example.com'")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(maker.map(|maker| maker.to_string()).as_deref(), Some(EVE));
}

fn person(email: &str) -> NewUser {
    NewUser {
        kind: UserKind::Person,
        email: email.into(),
        name: None,
        instance_role: InstanceRole::Member,
        password: Some(password(PASSWORD)),
    }
}

/// Version 0.1 only converted addresses to lower case.
#[sqlx::test(migrations = false)]
async fn addresses_of_0_1_in_another_form_are_found_and_stay_unique(pool: PgPool) {
    restore(&pool).await;
    insert(&pool, (ZOE, "zoe\u{301}@example.com", "owner"), OPERATOR, "NULL").await;
    insert(&pool, (KIM, "kim\u{200b}@example.com", "member"), OPERATOR, "NULL").await;
    let world = opened(pool).await;
    let users = world.authority.users();
    for (id, spellings) in [
        (ZOE, ["zoe\u{301}@example.com", "zo\u{e9}@example.com", "ZO\u{c9}@Example.com"]),
        (KIM, ["kim\u{200b}@example.com", "kim@example.com", " Kim@example.com"]),
    ] {
        for spelling in spellings {
            assert_eq!(sign_in(&world, spelling).await.unwrap().visitor.user.id.to_string(), id);
            let found = users.find(&world.operator(), spelling).await.unwrap();
            assert_eq!(found.summary.id.to_string(), id, "{spelling:?}");
        }
        let again = users.create(&world.operator(), person(spellings[1])).await;
        assert_eq!(again.unwrap_err().code(), ProblemCode::AlreadyExists);
    }
    assert!(users.address_conflicts(&world.operator()).await.unwrap().is_empty());
    // The same character at another position makes a different text, which matches no account and
    // gets no separate count of guesses.
    assert!(sign_in(&world, "k\u{200b}im@example.com").await.is_err());

    // An invitation reaches the person. Users who manage the instance need none.
    world
        .execute("UPDATE users SET instance_role = 'member' WHERE email = 'ada@example.com'")
        .await;
    let ada = world.authority.users().find(&world.operator(), "ada@example.com").await.unwrap();
    let ada = world.context(authority::Actor::User(domain::session::Visitor {
        user: ada.summary,
        instance_role: InstanceRole::Member,
    }));
    let new = authority::NewMember {
        user: "zo\u{e9}@example.com".into(),
        role: domain::roles::WorkspaceRole::Member,
        grants: None,
    };
    let home = slug("workspace-1");
    world.authority.workspaces().add_member(&ada, &home, new.clone()).await.unwrap();
    let zoe = sign_in(&world, "zoe\u{301}@example.com").await.unwrap().visitor;
    let zoe = world.context(authority::Actor::User(zoe));
    let invitations = world.authority.invitations();
    let open = invitations.own(&zoe).await.unwrap();
    assert_eq!(open.len(), 1);
    invitations.accept(&zoe, open[0].id).await.unwrap();
    let again = world.authority.workspaces().add_member(&ada, &home, new).await;
    assert_eq!(again.unwrap_err().code(), ProblemCode::AlreadyExists);
}

#[sqlx::test(migrations = false)]
async fn addresses_of_0_1_that_look_the_same_are_found_by_exact_spelling_and_reported(
    pool: PgPool,
) {
    restore(&pool).await;
    insert(&pool, (ZOE, "zoe\u{301}@example.com", "owner"), OPERATOR, "NULL").await;
    insert(&pool, (KIM, "zo\u{e9}@example.com", "member"), OPERATOR, "NULL").await;
    let world = opened(pool).await;
    // A server of 0.1 inserts another one. This server notices it when it next creates a user.
    insert(&world.pool, (EVE, "zoe\u{301}\u{200b}@example.com", "member"), OPERATOR, "NULL").await;
    let users = world.authority.users();
    users.create(&world.operator(), person("new@example.com")).await.unwrap();
    for (id, spelling) in [
        (ZOE, "zoe\u{301}@example.com"),
        (KIM, "zo\u{e9}@example.com"),
        (EVE, "zoe\u{301}\u{200b}@example.com"),
    ] {
        assert_eq!(sign_in(&world, spelling).await.unwrap().visitor.user.id.to_string(), id);
    }
    let conflicts = users.address_conflicts(&world.operator()).await.unwrap();
    let named: Vec<(String, String)> = conflicts
        .into_iter()
        .map(|conflict| (conflict.user.to_string(), conflict.other.to_string()))
        .collect();
    let expected = [ZOE, EVE].map(|one| (one.to_owned(), KIM.to_owned()));
    assert_eq!(named.iter().collect::<std::collections::BTreeSet<_>>(), expected.iter().collect());
}
