//! A database whose history changes, through a failover that lost commits or a restored backup. No
//! server answers with state that the database no longer holds.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::{sync::Arc, time::Duration};

use crate::support::{World, draft, slug, until};
use authority::{
    Actor, Authority, MintedToken, OpContext, PolicyLevel, Presented, ServiceError, Settings,
    Surface, TokenDraft, clock::SystemClock, entropy::SystemEntropy, keys::Keys,
};
use domain::{
    decision::{DecisionCode, Demand},
    ids::TokenId,
    policy::PolicyRules,
};
use secrecy::ExposeSecret as _;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

const STEP: Duration = Duration::from_millis(5);
/// Much longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// Simulates a history that lacks the last renewal of every server, and is otherwise complete.
const RENEWALS: &str = "UPDATE replicas SET renewals = renewals - 1";

struct Server {
    authority: Authority,
    follows: JoinHandle<()>,
}

impl Server {
    fn start(pool: &PgPool, keys: &str) -> Self {
        let options = pool.connect_options().as_ref().clone();
        let pool = PgPoolOptions::new().max_connections(3).connect_lazy_with(options);
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let keys = Keys::from_toml(keys).unwrap();
        let authority = Authority::new(pool, keys, clock, entropy, Settings::default());
        let follows = tokio::spawn(authority.clone().run_replica("test".into(), "0"));
        Self { authority, follows }
    }

    fn operator(&self) -> OpContext {
        self.authority.context(Actor::Operator, Surface::Cli, "test".into(), None)
    }

    async fn token(&self) -> MintedToken {
        let draft =
            TokenDraft { user: Some(crate::support::OWNER.to_owned()), ..draft(&["rivers:read"]) };
        let (tokens, workspace) = (self.authority.tokens(), slug("workspace-1"));
        tokens.create(&self.operator(), &workspace, draft).await.unwrap()
    }

    async fn decide(&self, text: &str) -> Result<DecisionCode, ServiceError> {
        let ctx = self.authority.context(Actor::Anonymous, Surface::Rest, "test".into(), None);
        let verification = self.authority.verification();
        Ok(verification.decide(&ctx, text, &Demand::default()).await?.code)
    }

    fn is_remembered(&self, text: &str) -> bool {
        let now = self.authority.now();
        let at = Presented { now, ip: None, agent: None, learned: false };
        let verification = self.authority.verification();
        verification.decide_remembered(text, &Demand::default(), at).is_some()
    }

    /// Verifies until the token is answered from memory.
    async fn remembers(&self, text: &str) {
        until("an answer from memory", async || {
            let is_remembered = self.is_remembered(text);
            if !is_remembered {
                self.decide(text).await.unwrap();
            }
            is_remembered
        })
        .await;
    }

    /// Verifies until the decision is `wanted`.
    async fn answers(&self, text: &str, wanted: DecisionCode) {
        let wait = async {
            while self.decide(text).await.ok() != Some(wanted) {
                sleep(STEP).await;
            }
        };
        assert!(timeout(LONG, wait).await.is_ok(), "{:?}", self.decide(text).await);
    }
}

async fn keys(pool: &PgPool) -> String {
    let keys = Keys::generate(&SystemEntropy);
    let text = keys.to_toml().expose_secret().to_owned();
    drop(World::with_keys(pool.clone(), keys).await);
    text
}

async fn execute(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(pool).await.unwrap();
}

/// Returns SQL that removes a token as if it had never been created.
fn without(token: TokenId) -> String {
    format!(
        "DELETE FROM usage_hours WHERE token_id = '{token}';
         DELETE FROM token_audiences WHERE token_id = '{token}';
         DELETE FROM token_secrets WHERE token_id = '{token}';
         DELETE FROM tokens WHERE id = '{token}';"
    )
}

/// Removes a token that both servers remember, together with the change `sign`.
async fn token_is_lost_with(pool: PgPool, sign: &str) {
    let keys = keys(&pool).await;
    let servers = [Server::start(&pool, &keys), Server::start(&pool, &keys)];
    let (lost, kept) = (servers[0].token().await, servers[0].token().await);
    // A revision that both servers have applied.
    let (tokens, operator) = (servers[0].authority.tokens(), servers[0].operator());
    tokens.disable(&operator, kept.token.id, None).await.unwrap();
    tokens.enable(&operator, kept.token.id, None).await.unwrap();
    for server in &servers {
        server.remembers(lost.secret.expose()).await;
        server.remembers(kept.secret.expose()).await;
    }
    execute(&pool, &format!("BEGIN; {} {sign}; COMMIT", without(lost.token.id))).await;
    for server in &servers {
        server.answers(lost.secret.expose(), DecisionCode::NotFound).await;
        server.answers(kept.secret.expose(), DecisionCode::Valid).await;
    }
}

#[sqlx::test(migrations = false)]
async fn lost_renewals_show_that_a_token_may_be_lost(pool: PgPool) {
    Box::pin(token_is_lost_with(pool, RENEWALS)).await;
}

/// The lost revision's id is assigned again, and further ones follow, so the last revision is not
/// before the one that was applied.
#[sqlx::test(migrations = false)]
async fn different_revision_shows_that_a_token_may_be_lost(pool: PgPool) {
    let sign =
        "UPDATE revisions SET nonce = gen_random_uuid() WHERE id = (SELECT max(id) FROM revisions);
                INSERT INTO revisions (at, kind, subject_id)
                SELECT now(), 'token', gen_random_uuid() FROM generate_series(1, 5)";
    Box::pin(token_is_lost_with(pool, sign)).await;
}

#[sqlx::test(migrations = false)]
async fn missing_revision_shows_that_a_token_may_be_lost(pool: PgPool) {
    let sign = "DELETE FROM revisions WHERE id = (SELECT max(id) FROM revisions);
                INSERT INTO revisions (at, kind, subject_id)
                SELECT now(), 'token', gen_random_uuid() FROM generate_series(1, 5)";
    Box::pin(token_is_lost_with(pool, sign)).await;
}

#[sqlx::test(migrations = false)]
async fn raised_epoch_shows_that_a_token_may_be_lost(pool: PgPool) {
    Box::pin(token_is_lost_with(pool, "UPDATE revision_head SET epoch = epoch + 1")).await;
}

#[sqlx::test(migrations = false)]
async fn missing_row_shows_that_a_token_may_be_lost(pool: PgPool) {
    Box::pin(token_is_lost_with(pool, "DELETE FROM replicas")).await;
}

#[sqlx::test(migrations = false)]
async fn broken_connection_shows_that_a_token_may_be_lost(pool: PgPool) {
    let sign = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
    Box::pin(token_is_lost_with(pool, sign)).await;
}

/// The history without the "enable" has the token disabled.
#[sqlx::test(migrations = false)]
async fn token_whose_enable_was_lost_is_disabled(pool: PgPool) {
    let keys = keys(&pool).await;
    let (a, b) = (Server::start(&pool, &keys), Server::start(&pool, &keys));
    let minted = b.token().await;
    let (id, text) = (minted.token.id, minted.secret.expose());
    b.authority.tokens().disable(&b.operator(), id, None).await.unwrap();
    b.authority.tokens().enable(&b.operator(), id, None).await.unwrap();
    a.remembers(text).await;
    b.remembers(text).await;
    execute(
        &pool,
        &format!(
            "BEGIN; UPDATE tokens SET enabled = false WHERE id = '{id}';
             UPDATE revisions SET nonce = gen_random_uuid(), subject_id = gen_random_uuid()
              WHERE id = (SELECT max(id) FROM revisions);
             INSERT INTO revisions (at, kind, subject_id)
             SELECT now(), 'token', gen_random_uuid() FROM generate_series(1, 5); COMMIT"
        ),
    )
    .await;
    a.answers(text, DecisionCode::Disabled).await;
    b.answers(text, DecisionCode::Disabled).await;
}

/// The change may have been made in the history that was lost.
#[sqlx::test(migrations = false)]
async fn change_that_is_lost_with_its_history_is_not_reported_as_successful(pool: PgPool) {
    let keys = keys(&pool).await;
    let server = Server::start(&pool, &keys);
    let (minted, other) = (server.token().await, server.token().await);
    let (id, text) = (minted.token.id, minted.secret.expose());
    server.remembers(other.secret.expose()).await;
    let mut lock = pool.begin().await.unwrap();
    let select = sqlx::query("SELECT FROM tokens WHERE id = $1 FOR UPDATE").bind(id.0);
    select.execute(&mut *lock).await.unwrap();
    let disabling = tokio::spawn({
        let (authority, ctx) = (server.authority.clone(), server.operator());
        async move { authority.tokens().disable(&ctx, id, None).await.map(drop) }
    });
    let waiting = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("the change to wait for the lock", async || {
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.unwrap() != 0
    })
    .await;
    execute(&pool, RENEWALS).await;
    until("the server to forget its tokens", async || !server.is_remembered(other.secret.expose()))
        .await;
    server.remembers(other.secret.expose()).await;
    lock.rollback().await.unwrap();
    let outcome = disabling.await.unwrap();
    assert!(matches!(outcome, Err(ServiceError::Unavailable(_))), "{outcome:?}");
    server.answers(text, DecisionCode::Valid).await;
    server.authority.tokens().disable(&server.operator(), id, None).await.unwrap();
    assert_eq!(server.decide(text).await.unwrap(), DecisionCode::Disabled);
}

/// A replaced primary can still be read but, with synchronous replication, not written.
#[sqlx::test(migrations = false)]
async fn read_only_database_is_not_trusted(pool: PgPool) {
    let keys = keys(&pool).await;
    let server = Server::start(&pool, &keys);
    let minted = server.token().await;
    let text = minted.secret.expose();
    server.remembers(text).await;
    let mut lock = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE replicas IN EXCLUSIVE MODE").execute(&mut *lock).await.unwrap();
    until("the server to forget its tokens", async || !server.is_remembered(text)).await;
    let refused = server.decide(text).await;
    assert!(matches!(refused, Err(ServiceError::Unavailable(_))), "{refused:?}");
    let operator = server.operator();
    let refused = server.authority.tokens().disable(&operator, minted.token.id, None).await;
    assert!(matches!(refused, Err(ServiceError::Unavailable(_))), "{refused:?}");
    lock.rollback().await.unwrap();
    server.answers(text, DecisionCode::Valid).await;
}

/// A process that shuts down returns its lease, and answers its remaining requests from
/// the database.
#[sqlx::test(migrations = false)]
async fn stopping_server_answers_from_the_database(pool: PgPool) {
    let keys = keys(&pool).await;
    let server = Server::start(&pool, &keys);
    let minted = server.token().await;
    server.remembers(minted.secret.expose()).await;
    server.follows.abort();
    server.authority.leave_replicas().await;
    execute(&pool, &without(minted.token.id)).await;
    server.answers(minted.secret.expose(), DecisionCode::NotFound).await;
}

/// If a request that changes nothing made the server read facts again, a caller could keep its
/// memory empty.
#[sqlx::test(migrations = false)]
async fn request_that_changes_nothing_keeps_current_entries_cached(pool: PgPool) {
    let keys = keys(&pool).await;
    let server = Server::start(&pool, &keys);
    let minted = server.token().await;
    let text = minted.secret.expose();
    let level = PolicyLevel::Workspace(slug("workspace-1"));
    // The lease may be lost on a busy machine, which empties the memory.
    for _ in 0..10 {
        server.remembers(text).await;
        let (policies, rules) = (server.authority.policies(), PolicyRules::default());
        policies.change(&server.operator(), &level, rules, None).await.unwrap();
        if server.authority.verification().remembers(text) {
            return;
        }
    }
    panic!("the token was forgotten");
}
