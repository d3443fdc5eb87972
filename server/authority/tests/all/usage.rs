//! Counts, last uses, and the filters that find unused tokens.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, demand, draft, slug};
use authority::{OpContext, ServiceError, TokenDraft};
use domain::{
    decision::{DecisionCode, Demand},
    ids::TokenId,
    token::TokenState,
    token_query::{TokenQuery, TokenSort},
};
use sqlx::{AssertSqlSafe, PgPool};
use time::{Duration, OffsetDateTime, macros::datetime};
use uuid::Uuid;

impl World {
    async fn present(&self, text: &str, scope: &str, agent: &str) -> DecisionCode {
        let mut ctx = self.anonymous();
        ctx.user_agent = Some(agent.into());
        let demand = Demand { ip: ctx.client_ip, ..demand("default", &[scope]) };
        self.authority.verification().decide(&ctx, text, &demand).await.unwrap().code
    }
}

#[sqlx::test(migrations = false)]
async fn uses_are_counted_per_hour_and_the_last_use_is_shown(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let (id, text) = (minted.token.id, minted.secret.expose());
    for _ in 0..3 {
        world.present(text, "rivers:read", "curl/8").await;
    }
    world.present(text, "rivers:run", "curl/8").await;
    world.authority.flush_usage().await;
    world.pass(Duration::hours(2));
    world.present(text, "rivers:read", &format!("new\0{}", "é".repeat(300))).await;
    world.authority.flush_usage().await;
    world.present(text, "rivers:read", "not recorded again within a minute").await;
    world.authority.flush_usage().await;

    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let usage = tokens.usage(&ada, id, 3).await.unwrap();
    assert_eq!((usage.allowed, usage.refused), (vec![3, 0, 2], vec![1, 0, 0]));
    assert_eq!(usage.from, crate::support::START);
    let last = usage.last.unwrap();
    assert_eq!(last.at, crate::support::START + Duration::hours(2));
    assert_eq!(last.ip, world.anonymous().client_ip);
    let agent = last.agent.unwrap();
    assert!(agent.starts_with("newé") && agent.len() == 255);
    assert_eq!(tokens.usage(&ada, id, 1).await.unwrap().allowed, [2]);
    for hours in [0, 721] {
        assert!(matches!(tokens.usage(&ada, id, hours).await, Err(ServiceError::Invalid(_))));
    }
    let stranger = world.person("stranger", None).await;
    assert_eq!(tokens.usage(&stranger, id, 3).await.unwrap_err().code().status(), 404);
    world.pass(Duration::days(91));
    world.authority.forget_ended().await.unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM usage_hours")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
}

#[sqlx::test(migrations = false)]
async fn uses_that_cannot_be_written_are_written_later(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    world.present(minted.secret.expose(), "rivers:read", "curl").await;
    world.execute("ALTER TABLE usage_hours RENAME TO away").await;
    world.authority.flush_usage().await;
    world.present(minted.secret.expose(), "rivers:read", "curl").await;
    world.execute("ALTER TABLE away RENAME TO usage_hours").await;
    // Half of a flush fails. The half that was written is not written again.
    world.execute("ALTER TABLE tokens RENAME COLUMN last_used_agent TO away").await;
    world.authority.flush_usage().await;
    world.execute("ALTER TABLE tokens RENAME COLUMN away TO last_used_agent").await;
    world.authority.flush_usage().await;
    let ada = world.owner().await;
    let usage = world.authority.tokens().usage(&ada, minted.token.id, 1).await.unwrap();
    assert_eq!(usage.allowed, [2]);
    let token = world.authority.tokens().show(&ada, minted.token.id).await.unwrap();
    assert!(token.last_used_at.is_some());
}

/// Writes uses of an existing token and of one that a failover has lost, at once. Returns the id of
/// the lost token, which the server still has cached.
async fn write_use_of_a_lost_token(world: &World) -> TokenId {
    let ghost = world.token("default", &["rivers:read"]).await;
    let living = world.token("default", &["rivers:read"]).await;
    for minted in [&ghost, &living] {
        world.present(minted.secret.expose(), "rivers:read", "curl").await;
    }
    for table in ["token_audiences", "token_secrets"] {
        let sql = format!("DELETE FROM {table} WHERE token_id = $1");
        let delete = sqlx::query(AssertSqlSafe(sql)).bind(ghost.token.id.0);
        delete.execute(&world.pool).await.unwrap();
    }
    let delete = sqlx::query("DELETE FROM tokens WHERE id = $1").bind(ghost.token.id.0);
    delete.execute(&world.pool).await.unwrap();
    world.authority.flush_usage().await;
    let ada = world.owner().await;
    let usage = world.authority.tokens().usage(&ada, living.token.id, 1).await.unwrap();
    assert_eq!((usage.allowed, usage.last.unwrap().at), (vec![1], crate::support::START));
    assert_eq!(
        world.authority.observe().usage_queue,
        0,
        "the lost token's use blocks other uses forever"
    );
    ghost.token.id
}

#[sqlx::test(migrations = false)]
async fn use_of_a_missing_token_does_not_block_other_uses(pool: PgPool) {
    let world = World::founded(pool).await;
    Box::pin(write_use_of_a_lost_token(&world)).await;
}

#[sqlx::test(migrations = false)]
async fn uses_are_written_only_for_existing_tokens(pool: PgPool) {
    let world = World::founded(pool).await;
    // Without the constraint, the row of every token in the statement would be written.
    world.execute("ALTER TABLE usage_hours DROP CONSTRAINT usage_hours_token_id_fkey").await;
    let ghost = Box::pin(write_use_of_a_lost_token(&world)).await;
    let rows = sqlx::query_scalar("SELECT count(*) FROM usage_hours WHERE token_id = $1");
    let rows: i64 = rows.bind(ghost.0).fetch_one(&world.pool).await.unwrap();
    assert_eq!(rows, 0);
}

#[sqlx::test(migrations = false)]
async fn use_rejected_by_the_database_does_not_block_other_uses(pool: PgPool) {
    let world = World::founded(pool).await;
    let (full, refused) = (
        world.token("default", &["rivers:read"]).await,
        world.token("default", &["rivers:read"]).await,
    );
    let living = world.token("default", &["rivers:read"]).await;
    for minted in [&full, &refused, &living] {
        world.present(minted.secret.expose(), "rivers:read", "curl").await;
    }
    world.authority.flush_usage().await;
    world.pass(Duration::minutes(10));
    // The count cannot grow any more.
    sqlx::query("UPDATE usage_hours SET allowed = $2 WHERE token_id = $1")
        .bind(full.token.id.0)
        .bind(i64::MAX)
        .execute(&world.pool)
        .await
        .unwrap();
    // Simulates a value that only one of the columns rejects.
    let id = refused.token.id;
    let sql = format!("ALTER TABLE tokens ADD CHECK (id <> '{id}' OR last_used_agent = 'curl')");
    sqlx::query(AssertSqlSafe(sql)).execute(&world.pool).await.unwrap();
    for minted in [&full, &refused, &living] {
        world.present(minted.secret.expose(), "rivers:read", "other").await;
    }
    world.authority.flush_usage().await;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let usage = tokens.usage(&ada, living.token.id, 1).await.unwrap();
    let later = crate::support::START + Duration::minutes(10);
    assert_eq!((usage.allowed, usage.last.unwrap().at), (vec![2], later));
    assert_eq!(tokens.usage(&ada, full.token.id, 1).await.unwrap().last.unwrap().at, later);
    let usage = tokens.usage(&ada, refused.token.id, 1).await.unwrap();
    assert_eq!((usage.allowed, usage.last.unwrap().at), (vec![2], crate::support::START));
    assert_eq!(world.authority.observe().usage_queue, 0);
}

async fn names(world: &World, ctx: &OpContext, query: TokenQuery) -> Vec<String> {
    let home = slug("workspace-1");
    let page = world.authority.tokens().list(ctx, &home, &query).await.unwrap();
    page.items.into_iter().map(|token| token.name).collect()
}

#[sqlx::test(migrations = false)]
async fn filters_return_the_matching_tokens(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    world.person("bob", Some(("workspace-1", "member"))).await;
    let make = async |name: &str, user: Option<&str>, audience: &str, scope: &str, end: &str| {
        let draft = TokenDraft {
            name: name.into(),
            user: user.map(Into::into),
            audiences: vec![audience.into()],
            expiry: domain::expiry::parse(end),
            ..draft(&[scope])
        };
        world.mint(&ada, "workspace-1", draft).await
    };
    let old = make("old", None, "default", "rivers:read", "90d").await;
    let used = make("used", Some("bob@example.com"), "default", "rivers:run", "10d").await;
    make("never", None, "tessera", "verify", "80d").await;
    world.present(old.secret.expose(), "rivers:read", "").await;
    world.authority.flush_usage().await;
    world.pass(Duration::days(5));
    world.present(used.secret.expose(), "rivers:run", "").await;
    world.authority.flush_usage().await;
    let now = crate::support::START + Duration::days(5);
    let by_name = || TokenQuery { sort: TokenSort::Name, ..TokenQuery::default() };
    let of = |query| names(&world, &ada, query);
    assert_eq!(of(TokenQuery { never_used: true, ..by_name() }).await, ["never"]);
    assert_eq!(of(TokenQuery { unused_since: Some(now), ..by_name() }).await, ["never", "old"]);
    let first_use = Some(crate::support::START);
    assert_eq!(of(TokenQuery { unused_since: first_use, ..by_name() }).await, [""; 0]);
    let soon = Some(crate::support::START + Duration::days(10));
    assert_eq!(of(TokenQuery { expires_before: soon, ..by_name() }).await, [""; 0]);
    let soon = soon.map(|soon| soon + Duration::SECOND);
    assert_eq!(of(TokenQuery { expires_before: soon, ..by_name() }).await, ["used"]);
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(of(TokenQuery { owner: text(" Bob@example.com"), ..by_name() }).await, ["used"]);
    let id = used.token.user.id.to_string();
    assert_eq!(of(TokenQuery { owner: Some(id), ..by_name() }).await, ["used"]);
    assert_eq!(of(TokenQuery { owner: text("nobody@example.com"), ..by_name() }).await, [""; 0]);
    assert_eq!(of(TokenQuery { audience: text("tessera"), ..by_name() }).await, ["never"]);
    assert_eq!(of(TokenQuery { scope: text("rivers:run"), ..by_name() }).await, ["used"]);
    assert_eq!(of(TokenQuery { scope: text("rivers"), ..by_name() }).await, [""; 0]);
    // The longest unused come first, page by page.
    let mut query = TokenQuery { sort: TokenSort::LastUsed, limit: 1, ..TokenQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = world.authority.tokens().list(&ada, &slug("workspace-1"), &query).await.unwrap();
        seen.extend(page.items.into_iter().map(|token| token.name));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["never", "old", "used"]);
    let later = world.owner().await;
    world
        .mint(&later, "workspace-1", TokenDraft { name: "new".into(), ..draft(&["rivers:read"]) })
        .await;
    // Tokens that were created then or later could not have been used before.
    assert_eq!(of(TokenQuery { unused_since: Some(now), ..by_name() }).await, ["never", "old"]);
}

/// Returns the list's own statements, as sqlx checked them, with the order that distinguishes them.
fn statements() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../.sqlx");
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .map(|text| serde_json::from_str::<serde_json::Value>(&text).unwrap())
        .map(|query| query["query"].as_str().unwrap().to_owned())
        .filter(|query| query.contains("t.scopes @> ARRAY[$13]"))
        .collect()
}

/// Creates 20,000 tokens in one workspace, of which each filter matches a few.
async fn crowd(world: &World) {
    world
        .execute(
            "INSERT INTO users (id, kind, email, name, instance_role, created_at, updated_at)
             SELECT gen_random_uuid(), 'service', 'bot' || n || '@example.com', 'Bot', 'member', now(), now()
               FROM generate_series(1, 200) n",
        )
        .await;
    world
        .execute(
            "INSERT INTO tokens (id, workspace_id, user_id, name, scopes, hint, last_used_at, expires_at,
                                 enabled, not_before, created_at, updated_at)
             SELECT gen_random_uuid(), w.id,
                    (SELECT id FROM users WHERE email = 'bot' || (n % 200 + 1) || '@example.com'), 'token ' || n,
                    ARRAY[CASE WHEN n % 4000 = 0 THEN 'rare:read' ELSE 'rivers:read' END], 'tsr_…0000',
                    CASE WHEN n % 2000 = 0 THEN NULL ELSE timestamptz '2026-01-01' + n * interval '1 second' END,
                    timestamptz '2027-01-01' + n * interval '1 minute',
                    n % 3000 <> 1, CASE WHEN n % 3000 = 2 THEN timestamptz '2026-06-01' END,
                    timestamptz '2025-01-01' + n * interval '1 second', now()
               FROM workspaces w, generate_series(1, 20000) n WHERE w.slug = 'workspace-1'",
        )
        .await;
    world
        .execute(
            "INSERT INTO token_audiences (token_id, audience_id)
             SELECT t.id, a.id FROM tokens t, audiences a
              WHERE a.slug = CASE WHEN t.scopes = '{rare:read}' THEN 'tessera' ELSE 'default' END",
        )
        .await;
    world.execute("ANALYZE").await;
}

/// Returns PostgreSQL's plan for one of the list's statements.
async fn plan(pool: &PgPool, statement: &str, query: &TokenQuery, owner: Option<Uuid>) -> String {
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("SET plan_cache_mode = force_custom_plan").execute(&mut *connection).await.unwrap();
    let workspace: Uuid =
        sqlx::query_scalar("SELECT id FROM workspaces WHERE slug = 'workspace-1'")
            .fetch_one(&mut *connection)
            .await
            .unwrap();
    let audience: Option<Uuid> = sqlx::query_scalar("SELECT id FROM audiences WHERE slug = $1")
        .bind(&query.audience)
        .fetch_optional(&mut *connection)
        .await
        .unwrap();
    let explained = sqlx::query_scalar::<_, String>(AssertSqlSafe(format!("EXPLAIN {statement}")))
        .bind(workspace)
        .bind(query.state.map_or("", TokenState::as_str))
        .bind(None::<String>)
        .bind(crate::support::START)
        .bind(26_i64);
    let explained = if statement.contains("lower($6::text)") {
        explained.bind(None::<String>)
    } else {
        explained.bind(None::<OffsetDateTime>)
    };
    explained
        .bind(None::<Uuid>)
        .bind(query.unused_since)
        .bind(query.never_used)
        .bind(query.expires_before)
        .bind(owner)
        .bind(audience)
        .bind(&query.scope)
        .bind(None::<Uuid>)
        .bind(None::<Vec<Uuid>>)
        .fetch_all(&mut *connection)
        .await
        .unwrap()
        .join("\n")
}

#[sqlx::test(migrations = false)]
async fn no_filter_and_no_order_reads_the_whole_table(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("other").await;
    crowd(&world).await;
    let bot: Uuid = sqlx::query_scalar("SELECT id FROM users WHERE email = 'bot7@example.com'")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    let none = TokenQuery::default;
    let early = Some(datetime!(2026-01-01 00:01 UTC));
    let ending = Some(datetime!(2027-01-01 00:30 UTC));
    // Rare tokens are found through the named index, without reading all others.
    let filters = [
        (none(), None, ""),
        (TokenQuery { unused_since: early, ..none() }, None, "tokens_by_use"),
        (TokenQuery { never_used: true, ..none() }, None, "tokens_by_use"),
        (TokenQuery { expires_before: ending, ..none() }, None, "tokens_by_end"),
        (none(), Some(bot), "tokens_by_user"),
        (
            TokenQuery { audience: Some("tessera".into()), ..none() },
            None,
            "token_audiences_by_audience",
        ),
        (TokenQuery { state: Some(TokenState::Disabled), ..none() }, None, "tokens_disabled"),
        (TokenQuery { state: Some(TokenState::Scheduled), ..none() }, None, "tokens_scheduled"),
        (TokenQuery { scope: Some("rare:read".into()), ..none() }, None, "tokens_by_scope"),
    ];
    let statements = statements();
    // With an audience and without, in every order.
    assert_eq!(statements.len(), 2 * TokenSort::ALL.len());
    for statement in &statements {
        let of_audience = !statement.contains("$12::uuid IS NULL");
        let filters = filters.iter().filter(|(query, ..)| query.audience.is_some() == of_audience);
        for (query, owner, index) in filters {
            let plan = plan(&world.pool, statement, query, *owner).await;
            let what = format!("{query:?} {owner:?} {statement}\n{plan}");
            for table in ["tokens", "token_audiences"] {
                assert!(!plan.contains(&format!("Seq Scan on {table}")), "{what}");
            }
            assert!(plan.contains(index), "{what}");
        }
    }
}

/// If a filter matches few tokens, they are found by its index and then sorted. If it matches many,
/// the index of the order is scanned. Both find the same tokens.
#[sqlx::test(migrations = false)]
async fn filter_returns_the_same_whether_few_or_many_tokens_match(pool: PgPool) {
    let world = World::founded(pool).await;
    crowd(&world).await;
    let owner = world.owner().await;
    let used = datetime!(2026-01-01 00:00 UTC);
    // In addition to the tokens that were never used, of which there are ten.
    for (seconds, found) in [(1, 10), (247, 256), (248, 257), (1_000, 1_009), (19_999, 19_999)] {
        let before = used + Duration::seconds(seconds);
        let query = TokenQuery { unused_since: Some(before), ..TokenQuery::default() };
        let page = world.authority.tokens().list(&owner, &slug("workspace-1"), &query).await;
        let names: Vec<String> =
            page.unwrap().items.iter().map(|token| token.name.clone()).collect();
        let expected: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM tokens WHERE COALESCE(last_used_at, '-infinity') < $1 AND created_at < $1
              ORDER BY created_at DESC, id DESC LIMIT $2",
        )
        .bind(before)
        .bind(i64::from(query.limit))
        .fetch_all(&world.pool)
        .await
        .unwrap();
        assert_eq!(names, expected, "{seconds}");
        let all: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM tokens WHERE COALESCE(last_used_at, '-infinity') < $1",
        )
        .bind(before)
        .fetch_one(&world.pool)
        .await
        .unwrap();
        assert_eq!(all, found, "{seconds}");
    }
    // A token that expires exactly now has expired, but does not expire before now.
    let ended = Some(datetime!(2027-01-01 00:01 UTC));
    let query = TokenQuery { expires_before: ended, ..TokenQuery::default() };
    let page = world.authority.tokens().list(&owner, &slug("workspace-1"), &query).await.unwrap();
    assert!(page.items.is_empty());
}

/// A search finds the same tokens with trigrams, if few tokens match, and by scanning, if many
/// match or the database has no trigrams.
#[sqlx::test(migrations = false)]
async fn search_returns_the_same_with_and_without_trigrams(pool: PgPool) {
    let world = World::founded(pool).await;
    crowd(&world).await;
    let owner = world.owner().await;
    for extension in [true, false] {
        if !extension {
            world.execute("DROP EXTENSION pg_trgm CASCADE").await;
        }
        for (q, found) in [
            ("TOKEN 1999", 11),
            ("oken", 20_000),
            ("bot17@", 100),
            ("o%en", 0),
            ("no such text", 0),
        ] {
            let query = TokenQuery { q: q.into(), limit: 200, ..TokenQuery::default() };
            let page = world.authority.tokens().list(&owner, &slug("workspace-1"), &query).await;
            let names: Vec<String> =
                page.unwrap().items.iter().map(|token| token.name.clone()).collect();
            let expected: Vec<String> = sqlx::query_scalar(
                "SELECT t.name FROM tokens t JOIN users u ON u.id = t.user_id
                  WHERE strpos(lower(concat_ws(chr(10), t.name, u.email)), lower($1)) > 0
                  ORDER BY t.created_at DESC, t.id DESC",
            )
            .bind(q)
            .fetch_all(&world.pool)
            .await
            .unwrap();
            assert_eq!(expected.len(), found, "{q}");
            assert_eq!(names, expected[..found.min(200)], "{q}, trigrams: {extension}");
        }
    }
}
