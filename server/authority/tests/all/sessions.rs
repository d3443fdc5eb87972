//! Signing in and out.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{OWNER, PASSWORD, World, password};
use authority::{Actor, AuditQuery, AuditScope, ServiceError, SignIn, SignedIn};
use domain::session::SessionQuery;
use serde_json::json;
use sqlx::PgPool;
use time::Duration;

async fn sign_in(world: &World, email: &str, text: &str) -> Result<SignedIn, ServiceError> {
    let sign_in = SignIn {
        email: email.into(),
        password: password(text),
        user_agent: None,
        known_browser: None,
    };
    world.authority.sessions().sign_in(&world.anonymous(), sign_in).await
}

async fn lives(world: &World, session: &SignedIn) -> bool {
    let found = world.authority.sessions().resolve(&world.anonymous(), &session.secret).await;
    found.unwrap().is_some()
}

#[sqlx::test(migrations = false)]
async fn correct_password_opens_a_session_until_sign_out(pool: PgPool) {
    let world = World::founded(pool).await;
    let session = sign_in(&world, " ADA@example.com ", PASSWORD).await.unwrap();
    let second = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    assert_ne!(session.secret.expose(), second.secret.expose());
    assert!(lives(&world, &session).await);
    world.authority.sessions().sign_out(&world.anonymous(), &session.secret).await.unwrap();
    assert!(!lives(&world, &session).await);
    assert!(lives(&world, &second).await);
}

#[sqlx::test(migrations = false)]
async fn sessions_of_a_person_are_limited_and_the_least_recently_used_ends(pool: PgPool) {
    let world = World::founded(pool).await;
    let unused = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    world.pass(Duration::minutes(2));
    sqlx::query(
        "INSERT INTO sessions (digest, user_id, created_at, last_seen_at, expires_at)
         SELECT sha256(number::text::bytea), id, $1, $1, $1 + interval '1 hour'
           FROM users, generate_series(1, 98) AS number WHERE email = $2",
    )
    .bind(world.anonymous().now - Duration::minutes(1))
    .bind(OWNER)
    .execute(&world.pool)
    .await
    .unwrap();
    let count = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM sessions").fetch_one(&world.pool).await.unwrap()
    };
    let hundredth = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    assert_eq!((count().await, lives(&world, &hundredth).await), (100, true));
    // It was opened first and used last.
    assert!(lives(&world, &unused).await);
    let next = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    assert_eq!(count().await, 100);
    for session in [&unused, &hundredth, &next] {
        assert!(lives(&world, session).await);
    }
    let query =
        AuditQuery { action: Some("session.end".into()), limit: 50, ..AuditQuery::default() };
    let audit = world.authority.audit();
    let rows = audit.list(&world.operator(), &AuditScope::Instance, &query).await.unwrap().items;
    assert_eq!(rows.len(), 1);
    assert_eq!((&*rows[0].actor_kind, &*rows[0].subject_name), ("user", OWNER));
    assert_eq!(rows[0].before, Some(json!({"sessions": 1})));
    assert_eq!(rows[0].after, Some(json!({"reason": "too many sessions", "limit": 100})));
}

#[sqlx::test(migrations = false)]
async fn people_see_and_end_their_own_sessions_and_administrators_all(pool: PgPool) {
    let world = World::founded(pool).await;
    let sessions = world.authority.sessions();
    let first = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    // Of two sessions with the same time, either may come first.
    world.pass(Duration::seconds(1));
    let second = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    let found = sessions.resolve(&world.anonymous(), &second.secret).await.unwrap().unwrap();
    let mut owner = world.context(Actor::User(second.visitor.clone()));
    owner.session = Some(found.id);
    let page = sessions.list(&owner, &SessionQuery::default()).await.unwrap();
    let marks: Vec<bool> = page.items.iter().map(|session| session.current).collect();
    assert_eq!((marks, page.next), (vec![true, false], None));
    let one = SessionQuery { limit: 1, ..SessionQuery::default() };
    let cursor = sessions.list(&owner, &one).await.unwrap().next;
    let rest = sessions.list(&owner, &SessionQuery { cursor, ..one }).await.unwrap();
    assert_eq!(rest.items[..], page.items[1..]);

    let member = world.person("eve", Some(("workspace-1", "member"))).await;
    let own = sessions.list(&member, &SessionQuery::default()).await.unwrap().items;
    assert!(own.iter().all(|session| session.user.email == "eve@example.com"), "{own:?}");
    for refused in [
        sessions.show(&member, found.id).await.map(drop),
        sessions.end(&member, found.id).await,
        sessions.end_all(&member, Some(OWNER)).await.map(drop),
    ] {
        assert!(matches!(refused, Err(ServiceError::NotFound(_))), "{refused:?}");
    }
    assert!(lives(&world, &first).await && lives(&world, &second).await);

    assert_eq!(
        sessions.end_all(&owner, None).await.unwrap(),
        1,
        "all except the caller's own session"
    );
    assert!(!lives(&world, &first).await && lives(&world, &second).await);
    sessions.end(&owner, found.id).await.unwrap();
    assert!(!lives(&world, &second).await);
    let again = sessions.end(&owner, found.id).await;
    assert!(matches!(again, Err(ServiceError::NotFound(_))));
}

#[sqlx::test(migrations = false)]
async fn only_owners_end_the_sessions_of_an_owner(pool: PgPool) {
    let world = World::founded(pool).await;
    let sessions = world.authority.sessions();
    for name in ["adam", "bo"] {
        world.person(name, None).await;
        world
            .execute("UPDATE users SET instance_role = 'admin' WHERE name IN ('adam', 'bo')")
            .await;
    }
    let adam = world.signed_in("adam@example.com").await;
    let owner = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    let of_owner = SessionQuery { user: Some(OWNER.into()), ..SessionQuery::default() };
    let id = sessions.list(&adam, &of_owner).await.unwrap().items[0].id;
    let known = "SELECT browser_generation FROM users WHERE email = 'ada@example.com'";
    let before: i64 = sqlx::query_scalar(known).fetch_one(&world.pool).await.unwrap();
    for refused in
        [sessions.end(&adam, id).await, sessions.end_all(&adam, Some(OWNER)).await.map(drop)]
    {
        assert!(matches!(refused, Err(ServiceError::Forbidden(_))), "{refused:?}");
    }
    assert!(lives(&world, &owner).await);
    let after: i64 = sqlx::query_scalar(known).fetch_one(&world.pool).await.unwrap();
    assert_eq!(before, after, "browsers stay known");
    // First another user's sessions, then their own.
    let bo = sign_in(&world, "bo@example.com", PASSWORD).await.unwrap();
    sessions.end_all(&adam, Some("bo@example.com")).await.unwrap();
    assert!(!lives(&world, &bo).await);
    sessions.end_all(&adam, None).await.unwrap();
    sessions.end_all(&world.operator(), Some(OWNER)).await.unwrap();
    assert!(!lives(&world, &owner).await, "the command line ends all");
}

#[sqlx::test(migrations = false)]
async fn unknown_user_wrong_password_and_disabled_user_get_the_same_response(pool: PgPool) {
    let world = World::founded(pool).await;
    let mut answers = Vec::new();
    for (email, text) in
        [("nobody@example.com", PASSWORD), (OWNER, "wrong password here"), ("no address", PASSWORD)]
    {
        answers.push(sign_in(&world, email, text).await.unwrap_err().problem());
    }
    world.execute("UPDATE users SET enabled = false").await;
    answers.push(sign_in(&world, OWNER, PASSWORD).await.unwrap_err().problem());
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    assert_eq!(answers[0].code.as_str(), "invalid_credentials");
}

#[sqlx::test(migrations = false)]
async fn idle_session_ends_and_used_one_ends_at_its_absolute_limit(pool: PgPool) {
    let world = World::founded(pool).await;
    let idle = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    let used = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    world.pass(Duration::minutes(90));
    assert!(lives(&world, &used).await);
    world.pass(Duration::minutes(30));
    assert!(!lives(&world, &idle).await);
    for _ in 0..10 {
        assert!(lives(&world, &used).await);
        world.pass(Duration::hours(1));
    }
    assert!(!lives(&world, &used).await);
}

#[sqlx::test(migrations = false)]
async fn disabling_a_user_ends_their_sessions(pool: PgPool) {
    let world = World::founded(pool).await;
    let session = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    world.execute("UPDATE users SET enabled = false").await;
    assert!(!lives(&world, &session).await);
}

#[sqlx::test(migrations = false)]
async fn database_does_not_store_the_session_secret(pool: PgPool) {
    let world = World::founded(pool).await;
    let session = sign_in(&world, OWNER, PASSWORD).await.unwrap();
    let stored: Vec<u8> = sqlx::query_scalar("SELECT digest FROM sessions LIMIT 1")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_ne!(stored, session.secret.expose().as_bytes());
    assert_eq!(stored.len(), 32);
}
