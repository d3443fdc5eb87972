//! Refusals in the audit log: which requests were refused to whom, with a bounded number of rows.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{OWNER, World, password, slug, until};
use authority::{
    Actor, AuditQuery, AuditRecord, AuditScope, OpContext, Refusal, RefusalKind, ServiceError,
    SignIn, Surface,
};
use serde_json::json;
use sqlx::PgPool;
use time::Duration;

async fn rows(world: &World, action: &str) -> Vec<AuditRecord> {
    world.authority.write_refusals().await.unwrap();
    let query = AuditQuery { action: Some(action.into()), limit: 500, ..AuditQuery::default() };
    let scope = AuditScope::Instance;
    world.authority.audit().list(&world.operator(), &scope, &query).await.unwrap().items
}

fn from(world: &World, address: &str) -> OpContext {
    let address = Some(address.parse().unwrap());
    world.authority.context(Actor::Anonymous, Surface::Kriten, "test".into(), address)
}

async fn fail(world: &World, ctx: &OpContext, email: &str) -> ServiceError {
    let sign_in = SignIn {
        email: email.into(),
        password: password("wrong"),
        user_agent: None,
        known_browser: None,
    };
    world.authority.sessions().sign_in(ctx, sign_in).await.map(drop).unwrap_err()
}

fn refusal(kind: RefusalKind) -> Refusal {
    Refusal { kind, subject: "DELETE /x".into(), subject_id: None, detail: json!({}) }
}

#[sqlx::test(migrations = false)]
async fn failed_and_throttled_sign_ins_are_recorded_with_account_address_and_surface(pool: PgPool) {
    let world = World::founded(pool).await;
    let ctx = from(&world, "198.51.100.7");
    for email in [OWNER, " Nobody\u{202e}@example.com\n", "x".repeat(3_000).as_str()] {
        fail(&world, &ctx, email).await;
    }
    let failed = rows(&world, "session.sign_in_failed").await;
    let subjects: Vec<&str> = failed.iter().map(|row| row.subject_name.as_str()).collect();
    let long = format!("{}…", "x".repeat(254));
    assert_eq!(subjects, [long.as_str(), " Nobody\u{fffd}@example.com\u{fffd}", OWNER]);
    for row in &failed {
        assert_eq!(row.client_ip.as_deref(), Some("198.51.100.7"));
        assert_eq!((row.surface.as_str(), row.actor_kind.as_str()), ("kriten", "anonymous"));
    }
    assert!(failed[2].subject_id.is_some() && failed[0].subject_id.is_none());
    until("a refused attempt", async || {
        matches!(fail(&world, &ctx, OWNER).await, ServiceError::TooManyAttempts(_))
    })
    .await;
    let throttled = rows(&world, "session.sign_in_throttled").await;
    assert_eq!(throttled.len(), 1);
    assert_eq!(throttled[0].subject_name, OWNER);
    // The password appears nowhere.
    let found: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM audit_events WHERE audit_events::text LIKE '%wrong%'",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(found, 0);
    let reports = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    assert!(reports.iter().all(|report| report.damage.is_empty()), "{reports:?}");
}

#[sqlx::test(migrations = false)]
async fn flood_leaves_a_limited_number_of_rows_and_a_row_with_the_count_of_the_rest(pool: PgPool) {
    let world = World::founded(pool).await;
    // One caller, then a thousand.
    for _ in 0..1_000 {
        world.authority.note_refusal(&from(&world, "198.51.100.7"), refusal(RefusalKind::Access));
    }
    assert_eq!(rows(&world, "access.refused").await.len(), 20);
    for number in 0..1_000 {
        let ctx = from(&world, &format!("10.0.{}.{}", number / 250, number % 250));
        world.authority.note_refusal(&ctx, refusal(RefusalKind::Access));
    }
    assert_eq!(rows(&world, "access.refused").await.len(), 100);
    // There is still room for refusals of another kind.
    world.authority.note_refusal(&from(&world, "10.0.9.9"), refusal(RefusalKind::Throttled));
    assert_eq!(rows(&world, "access.throttled").await.len(), 1);
    assert_eq!(rows(&world, "access.left_out").await.len(), 0, "not yet");

    world.pass(Duration::minutes(1));
    let left_out = rows(&world, "access.left_out").await;
    assert_eq!(left_out.len(), 1);
    assert_eq!(left_out[0].subject_name, "1900 refusals");
    assert_eq!(left_out[0].after.as_ref().unwrap()["left_out"], json!({"access.refused": 1_900}));
    assert_eq!(left_out[0].surface, "server");
    // After a pause there is room again, also for this caller.
    world.authority.note_refusal(&from(&world, "198.51.100.7"), refusal(RefusalKind::Access));
    assert_eq!(rows(&world, "access.refused").await.len(), 101);
    world.pass(Duration::minutes(1));
    assert_eq!(rows(&world, "access.left_out").await.len(), 1);
}

/// Returns a refusal of a route.
fn of_route(route: &str) -> Refusal {
    Refusal { subject: route.into(), ..refusal(RefusalKind::Access) }
}

#[sqlx::test(migrations = false)]
async fn strangers_take_no_room_from_authenticated_callers(pool: PgPool) {
    let world = World::founded(pool).await;
    let member = world.person("mia", None).await;
    // The log cannot be written meanwhile. Even so, anonymous callers cannot fill the queue of
    // authenticated ones.
    for kind in [RefusalKind::Access, RefusalKind::Credential, RefusalKind::Throttled] {
        for number in 0..300 {
            let ctx = from(&world, &format!("10.1.{}.{}", number / 250, number % 250));
            world.authority.note_refusal(&ctx, refusal(kind));
        }
    }
    for _ in 0..25 {
        world.authority.note_refusal(&member, of_route("POST /api/v1/users"));
    }
    world.authority.note_refusal(&member, of_route("DELETE /api/v1/tokens/{id}"));
    let refused = rows(&world, "access.refused").await;
    let of_member = refused.iter().filter(|row| row.actor_kind == "user").count();
    assert_eq!((refused.len(), of_member), (120, 20));

    // The summary for a known caller names it and the routes of its requests.
    world.pass(Duration::minutes(1));
    let left_out = rows(&world, "access.left_out").await;
    let own: Vec<_> = left_out.iter().filter(|row| row.actor_kind == "user").collect();
    assert_eq!((left_out.len(), own.len()), (2, 1), "{left_out:?}");
    let Actor::User(visitor) = &member.actor else { panic!() };
    assert_eq!(own[0].actor_id, Some(visitor.user.id.0));
    assert_eq!(own[0].subject_name, "6 refusals");
    let detail = own[0].after.as_ref().unwrap();
    assert_eq!(detail["left_out"], json!({"access.refused": 6}));
    assert_eq!(detail["routes"], json!({"POST /api/v1/users": 5, "DELETE /api/v1/tokens/{id}": 1}));
}

#[sqlx::test(migrations = false)]
async fn rows_about_omitted_refusals_are_limited_as_well(pool: PgPool) {
    let world = World::founded(pool).await;
    let people: Vec<OpContext> = {
        let mut people = Vec::new();
        for number in 0..25 {
            people.push(world.person(&format!("member{number}"), None).await);
        }
        people
    };
    for person in &people {
        for number in 0..40 {
            let route = format!("GET /route/{number}");
            world.authority.note_refusal(person, of_route(&route));
        }
    }
    // Each caller has a share of 10 rows. The first ten also use up the common reserve.
    let written = 25 * 10 + 100;
    assert_eq!(rows(&world, "access.refused").await.len(), written);
    world.pass(Duration::minutes(1));
    let left_out = rows(&world, "access.left_out").await;
    assert_eq!(left_out.len(), 21, "20 people, and all others in one row");
    let mut total = 0;
    for row in &left_out {
        let detail = row.after.as_ref().unwrap();
        total += detail["left_out"]["access.refused"].as_u64().unwrap();
        assert!(detail["routes"].as_object().is_none_or(|routes| routes.len() <= 11), "{detail}");
    }
    assert_eq!(total, (25 * 40 - written) as u64);
    // The last row names the callers that have no row of their own.
    let rest: Vec<_> =
        left_out.iter().filter_map(|row| row.after.as_ref()?.get("people")).collect();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].as_object().unwrap().len(), 5);
}

/// Returns the rows of a person or a token.
fn of<'a>(rows: &'a [AuditRecord], ctx: &OpContext) -> Vec<&'a AuditRecord> {
    let id = match &ctx.actor {
        Actor::User(visitor) => visitor.user.id.0,
        Actor::Token(facts) => facts.token_id.0,
        _ => panic!("this caller has no rows of its own"),
    };
    rows.iter().filter(|row| row.actor_id == Some(id)).collect()
}

#[sqlx::test(migrations = false)]
async fn tenant_takes_no_room_from_other_tenants_or_from_people(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("second").await;
    // An administrator creates 28 tokens that act as four members.
    let tokens = {
        let mut tokens = Vec::new();
        for member in ["max", "may", "mia", "moe"] {
            let ctx = world.person(member, Some(("workspace-1", "admin"))).await;
            for _ in 0..7 {
                let read = authority::TokenDraft {
                    audiences: vec!["tessera".into()],
                    ..crate::support::draft(&["tokens:read"])
                };
                let minted = world.mint(&ctx, "workspace-1", read).await;
                tokens.push(world.bearer(&minted).await);
            }
        }
        tokens
    };
    for token in tokens.iter().cycle().take(28 * 30) {
        world.authority.note_refusal(token, of_route("GET /api/v1/workspaces/{ws}/tokens"));
    }
    let admin = world.person("admin", Some(("second", "admin"))).await;
    let auditor = world.person("auditor", Some(("second", "viewer"))).await;
    let other = {
        let read = authority::TokenDraft {
            audiences: vec!["tessera".into()],
            ..crate::support::draft(&["tokens:read"])
        };
        world.bearer(&world.mint(&world.owner().await, "second", read).await).await
    };
    for caller in [&admin, &auditor, &other] {
        for _ in 0..5 {
            world.authority.note_refusal(caller, of_route("POST /api/v1/users"));
        }
    }
    let refused = rows(&world, "access.refused").await;
    assert_eq!((of(&refused, &admin).len(), of(&refused, &auditor).len()), (5, 5));
    let log = async |workspace: &str, action: &str| {
        let query = AuditQuery { action: Some(action.into()), limit: 500, ..AuditQuery::default() };
        let scope = AuditScope::Workspace(slug(workspace));
        world.authority.audit().list(&world.operator(), &scope, &query).await.unwrap().items
    };
    assert_eq!(of(&log("second", "access.refused").await, &other).len(), 5);
    assert_eq!(log("workspace-1", "access.refused").await.len(), 4 * 10 + 100);

    // Omitted refusals of tokens are summarized in one row for each person, in the workspace's log.
    world.pass(Duration::minutes(1));
    world.authority.write_refusals().await.unwrap();
    let left_out = log("workspace-1", "access.left_out").await;
    assert_eq!(left_out.len(), 4);
    let mut total = 0;
    for row in &left_out {
        let detail = row.after.as_ref().unwrap();
        total += detail["left_out"]["access.refused"].as_u64().unwrap();
        assert_eq!(detail["tokens"].as_object().unwrap().len(), 7, "{detail}");
    }
    assert_eq!(total, 28 * 30 - 140);
    assert_eq!(rows(&world, "access.left_out").await.len(), 4, "no other tenant lost a row");
}

#[sqlx::test(migrations = false)]
async fn many_people_do_not_hide_the_attempts_of_another(pool: PgPool) {
    let world = World::founded(pool).await;
    for number in 0..25 {
        let person = world.person(&format!("member{number}"), None).await;
        for _ in 0..40 {
            world.authority.note_refusal(&person, of_route("GET /api/v1/users"));
        }
    }
    let last = world.person("x", None).await;
    for _ in 0..12 {
        world.authority.note_refusal(&last, of_route("POST /api/v1/users"));
    }
    assert_eq!(of(&rows(&world, "access.refused").await, &last).len(), 10);
    world.pass(Duration::minutes(1));
    // Those with the fewest rows come first.
    let left_out = rows(&world, "access.left_out").await;
    assert_eq!(of(&left_out, &last).len(), 1);
    assert_eq!(of(&left_out, &last)[0].subject_name, "2 refusals");
}

#[sqlx::test(migrations = false)]
async fn person_gets_no_more_rows_by_creating_tokens(pool: PgPool) {
    let world = World::founded(pool).await;
    for _ in 0..5 {
        let minted = world.token("tessera", &["tokens:read"]).await;
        let bearer = world.bearer(&minted).await;
        for _ in 0..20 {
            world.authority.note_refusal(&bearer, refusal(RefusalKind::Access));
        }
    }
    world.authority.write_refusals().await.unwrap();
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit_events WHERE action = 'access.refused'")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(count, 40);
}

#[sqlx::test(migrations = false)]
async fn guesses_at_one_account_share_its_room_across_addresses(pool: PgPool) {
    let world = World::founded(pool).await;
    for number in 0..50 {
        let ctx = from(&world, &format!("198.51.100.{number}"));
        let refusal = Refusal { subject: OWNER.into(), ..refusal(RefusalKind::SignIn) };
        world.authority.note_refusal(&ctx, refusal);
    }
    assert_eq!(rows(&world, "session.sign_in_failed").await.len(), 20);
}

#[sqlx::test(migrations = false)]
async fn refusing_never_waits_for_the_end_of_the_chain(pool: PgPool) {
    let world = World::founded(pool).await;
    let mut change = world.pool.begin().await.unwrap();
    sqlx::query("SELECT * FROM audit_heads FOR UPDATE").execute(&mut *change).await.unwrap();
    // Both requests return although a change holds every chain.
    let error = fail(&world, &from(&world, "198.51.100.7"), OWNER).await;
    assert!(matches!(error, ServiceError::InvalidCredentials));
    world.authority.note_refusal(&world.anonymous(), refusal(RefusalKind::Access));
    change.rollback().await.unwrap();
    assert_eq!(rows(&world, "access.refused").await.len(), 1);
}

#[sqlx::test(migrations = false)]
async fn refusal_of_a_token_is_in_the_log_of_its_workspace(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("tessera", &["tokens:read"]).await;
    let bearer = world.bearer(&minted).await;
    world.authority.note_refusal(&bearer, refusal(RefusalKind::Access));
    world.authority.note_refusal(&world.anonymous(), refusal(RefusalKind::Access));
    world.authority.write_refusals().await.unwrap();
    let query =
        AuditQuery { action: Some("access.refused".into()), limit: 50, ..AuditQuery::default() };
    let scope = AuditScope::Workspace(slug("workspace-1"));
    let page = world.authority.audit().list(&world.operator(), &scope, &query).await.unwrap();
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].actor_id, Some(minted.token.id.0));
}

#[sqlx::test(migrations = false)]
async fn refusals_wait_while_the_log_cannot_be_written(pool: PgPool) {
    let world = World::founded(pool).await;
    world.authority.note_refusal(&world.anonymous(), refusal(RefusalKind::Access));
    world.execute("ALTER TABLE audit_events RENAME TO elsewhere").await;
    assert!(world.authority.write_refusals().await.is_err());
    world.execute("ALTER TABLE elsewhere RENAME TO audit_events").await;
    assert_eq!(rows(&world, "access.refused").await.len(), 1);
}
