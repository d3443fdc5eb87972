//! Changes that an administrator made to a token with version 0.1 bind its owner: those before the
//! upgrade, and those by a server of 0.1 that still runs beside this version.

use authority::{Actor, Edit, OpContext, PolicyLevel, ServiceError, TokenPatch};
use domain::{
    expiry::ExpiryChoice, ids::TokenId, policy::PolicyRules, problem::ProblemCode,
    roles::InstanceRole, session::Visitor, token::Standing,
};
use sqlx::{AssertSqlSafe, PgPool};
use time::{OffsetDateTime, macros::datetime};

use super::{migrated, opened, restore};
use crate::support::{World, slug};

const NOON: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);
/// Timestamps as the log of 0.1 writes them.
const AT_9: &str = "2026-11-29 9:00:00.0 +00:00:00";
const AT_13: &str = "2026-11-28 13:00:00.0 +00:00:00";
const ADA: &str = "'user', (SELECT id FROM users WHERE email = 'ada@example.com'), 'Ada'";
const LINUS: &str = "'user', (SELECT id FROM users WHERE email = 'linus@example.com'), 'Linus'";
const MANAGER: &str = "'token', (SELECT id FROM tokens WHERE name = 'manager'), 'manager'";

/// Changes the token of Linus as a server of version 0.1 does: updates the row and inserts a row of
/// the log.
async fn act(pool: &PgPool, actor: &str, action: &str, set: &str, (was, is): (&str, &str)) {
    let same = r#"{"user": "linus@example.com", "expires_at": null, "ip_allow": [], "rate_limit": null, "not_before": null}"#;
    let script = format!(
        "UPDATE tokens SET version = version + 1, {set} WHERE name = 'of-linus';
         INSERT INTO audit_events (at, workspace_id, actor_kind, actor_id, actor_name, action, subject_id, subject_name,
                                   surface, request_id, before, after)
         SELECT now(), workspace_id, {actor}, '{action}', id, name, 'rest', 'r',
                '{same}'::jsonb || '{was}', '{same}'::jsonb || '{is}'
           FROM tokens WHERE name = 'of-linus'"
    );
    sqlx::raw_sql(AssertSqlSafe(script)).execute(pool).await.unwrap();
}

/// Gives the token of Linus an expiry, allowed addresses, a rate limit and a start time.
async fn bind(pool: &PgPool, actor: &str) {
    let set = "expires_at = '2026-11-29 09:00Z', ip_allow = '{10.0.0.0/8}', rate_limit = 5, rate_window_s = 3600, \
               not_before = '2026-11-28 13:00Z'";
    let is = format!(
        r#"{{"expires_at": "{AT_9}", "ip_allow": ["10.0.0.0/8"], "rate_limit": {{"limit": 5, "window_s": 3600}}, "not_before": "{AT_13}"}}"#
    );
    act(pool, actor, "token.update", set, ("{}", &is)).await;
}

async fn linus(world: &World) -> OpContext {
    let rules = PolicyRules { self_service: Some(true), ..PolicyRules::default() };
    let level = PolicyLevel::Workspace(slug("workspace-1"));
    world.authority.policies().change(&world.operator(), &level, rules, None).await.unwrap();
    let found = world.authority.users().find(&world.operator(), "linus@example.com").await.unwrap();
    world.context(Actor::User(Visitor { user: found.summary, instance_role: InstanceRole::Member }))
}

async fn of_linus(world: &World) -> TokenId {
    let id: uuid::Uuid = sqlx::query_scalar("SELECT id FROM tokens WHERE name = 'of-linus'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    id.into()
}

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> Option<ProblemCode> {
    outcome.err().map(|error| error.code())
}

fn until(end: OffsetDateTime) -> TokenPatch {
    TokenPatch { expiry: Some(Ok(ExpiryChoice::At(end))), ..TokenPatch::default() }
}

/// Changes that widen each bound of [`bind`].
fn wider() -> [TokenPatch; 4] {
    [
        until(datetime!(2027-06-01 0:00 UTC)),
        TokenPatch { ip_allow: Some(Vec::new()), ..TokenPatch::default() },
        TokenPatch { rate_limit: Edit::Remove, ..TokenPatch::default() },
        TokenPatch { not_before: Edit::Remove, ..TokenPatch::default() },
    ]
}

async fn assert_bound(world: &World, is_bound: bool) {
    let (linus, id) = (linus(world).await, of_linus(world).await);
    let tokens = world.authority.tokens();
    let expected = is_bound.then_some(ProblemCode::Forbidden);
    for patch in wider() {
        let outcome = tokens.update(&linus, id, None, patch.clone()).await;
        assert_eq!(code(outcome), expected, "{patch:?}");
    }
    // An administrator may make all of these changes.
    for patch in wider() {
        tokens.update(&world.operator(), id, None, patch).await.unwrap();
    }
}

#[sqlx::test(migrations = false)]
async fn bounds_that_an_administrator_set_bind_the_owner_after_the_upgrade(pool: PgPool) {
    restore(&pool).await;
    bind(&pool, ADA).await;
    // The owner's own earlier expiry does not replace the administrator's.
    let (was, is) =
        (format!(r#"{{"expires_at": "{AT_9}"}}"#), format!(r#"{{"expires_at": "{AT_13}"}}"#));
    act(&pool, LINUS, "token.update", "name = name", (&was, &is)).await;
    let world = opened(pool).await;
    let token = world.authority.tokens().show(&world.operator(), of_linus(&world).await).await;
    let ended = token.unwrap().ended_by.unwrap();
    assert_eq!(
        (ended.user.unwrap().name.as_str(), ended.standing),
        ("Ada", Standing::Administrator)
    );
    assert_bound(&world, true).await;
}

#[sqlx::test(migrations = false)]
async fn bounds_set_by_the_owner_do_not_bind_after_the_upgrade(pool: PgPool) {
    restore(&pool).await;
    bind(&pool, LINUS).await;
    assert_bound(&opened(pool).await, false).await;
}

#[sqlx::test(migrations = false)]
async fn end_that_was_extended_before_the_upgrade_has_no_author(pool: PgPool) {
    restore(&pool).await;
    bind(&pool, ADA).await;
    let (was, is) =
        (format!(r#"{{"expires_at": "{AT_13}"}}"#), format!(r#"{{"expires_at": "{AT_9}"}}"#));
    act(&pool, LINUS, "token.update", "name = name", (&was, &is)).await;
    let world = opened(pool).await;
    let (linus, id) = (linus(&world).await, of_linus(&world).await);
    let later = until(datetime!(2027-06-01 0:00 UTC));
    world.authority.tokens().update(&linus, id, None, later).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn bounds_set_by_a_concurrent_0_1_server_bind_the_owner(pool: PgPool) {
    let world = migrated(pool).await;
    bind(&world.pool, ADA).await;
    assert_bound(&world, true).await;
}

#[sqlx::test(migrations = false)]
async fn bounds_set_by_the_owner_on_a_concurrent_0_1_server_do_not_bind(pool: PgPool) {
    let world = migrated(pool).await;
    bind(&world.pool, LINUS).await;
    assert_bound(&world, false).await;
}

#[sqlx::test(migrations = false)]
async fn end_set_by_the_operator_stays_when_the_owner_sets_an_earlier_one_on_a_0_1_server(
    pool: PgPool,
) {
    let world = migrated(pool).await;
    let id = of_linus(&world).await;
    let end = until(datetime!(2026-11-30 12:00 UTC));
    world.authority.tokens().update(&world.operator(), id, None, end).await.unwrap();
    let (was, is) = (
        r#"{"expires_at": "2026-11-30 12:00:00.0 +00:00:00"}"#,
        format!(r#"{{"expires_at": "{AT_9}"}}"#),
    );
    act(&world.pool, LINUS, "token.update", "expires_at = '2026-11-29 09:00Z'", (was, &is)).await;
    let later = until(datetime!(2027-06-01 0:00 UTC));
    let outcome = world.authority.tokens().update(&linus(&world).await, id, None, later).await;
    assert_eq!(code(outcome), Some(ProblemCode::Forbidden));
}

#[sqlx::test(migrations = false)]
async fn token_stopped_on_a_concurrent_0_1_server_is_not_started_by_its_owner(pool: PgPool) {
    let world = migrated(pool).await;
    let (linus, id) = (linus(&world).await, of_linus(&world).await);
    let tokens = world.authority.tokens();
    let off = ("{}", r#"{"enabled": false}"#);
    act(&world.pool, ADA, "token.disable", "enabled = false", off).await;
    assert_eq!(code(tokens.enable(&linus, id, None).await), Some(ProblemCode::Forbidden));

    act(&world.pool, ADA, "token.enable", "enabled = true", ("{}", "{}")).await;
    assert_eq!(tokens.show(&linus, id).await.unwrap().disabled_by, None);
    act(&world.pool, LINUS, "token.disable", "enabled = false", off).await;
    tokens.enable(&linus, id, None).await.unwrap();

    let is = r#"{"expires_at": "2026-11-28 11:00:00.0 +00:00:00"}"#;
    act(&world.pool, ADA, "token.expire", "expires_at = '2026-11-28 11:00Z'", ("{}", is)).await;
    let later = until(NOON + time::Duration::HOUR);
    let outcome = tokens.update(&linus, id, None, later).await;
    assert_eq!(code(outcome), Some(ProblemCode::Forbidden));
}

#[sqlx::test(migrations = false)]
async fn token_created_by_a_token_on_a_concurrent_0_1_server_is_its_child(pool: PgPool) {
    let world = migrated(pool).await;
    let (operator, id) = (world.operator(), of_linus(&world).await);
    assert_eq!(world.authority.tokens().show(&operator, id).await.unwrap().parent, None);
    let bounded = r#"{"ip_allow": ["10.0.0.0/8"]}"#;
    act(&world.pool, MANAGER, "token.create", "ip_allow = '{10.0.0.0/8}'", ("{}", bounded)).await;
    let child = world.authority.tokens().show(&operator, id).await.unwrap();
    let manager: uuid::Uuid = sqlx::query_scalar("SELECT id FROM tokens WHERE name = 'manager'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(child.parent, Some(manager.into()));
    let anywhere = TokenPatch { ip_allow: Some(Vec::new()), ..TokenPatch::default() };
    let outcome = world.authority.tokens().update(&linus(&world).await, id, None, anywhere).await;
    assert_eq!(code(outcome), Some(ProblemCode::Forbidden));
}

/// A timestamp that PostgreSQL cannot parse does not fail the write of a server of 0.1.
#[sqlx::test(migrations = false)]
async fn unreadable_row_is_written_anyway(pool: PgPool) {
    let world = migrated(pool).await;
    let is = r#"{"expires_at": "+12345-01-01 0:00:00.0 +00:00:00", "not_before": "soon", "ip_allow": 7}"#;
    act(&world.pool, ADA, "token.update", "name = name", ("{}", is)).await;
    let token = world.authority.tokens().show(&world.operator(), of_linus(&world).await).await;
    assert_eq!(token.unwrap().ended_by, None);
}
