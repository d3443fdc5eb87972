//! The audit log on a real PostgreSQL: the check finds every kind of tampering, and reports
//! nothing else.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, draft, slug};
use authority::{AuditQuery, AuditScope, Damage, EXPORT_PAGE, KnownHead, ServiceError};
use domain::problem::ProblemCode;
use sqlx::PgPool;
use uuid::Uuid;

/// Fills the chain of "Workspace 1" with the rows of its creation and of eight tokens.
async fn busy(pool: PgPool) -> (World, Uuid) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    for _ in 0..8 {
        world.mint(&ada, "workspace-1", draft(&["rivers:read"])).await;
    }
    let chain = sqlx::query_scalar("SELECT id FROM workspaces").fetch_one(&world.pool).await;
    (world, chain.unwrap())
}

async fn damage(world: &World) -> Vec<Damage> {
    let reports = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    reports.into_iter().flat_map(|report| report.damage).collect()
}

async fn id_at(world: &World, chain: Uuid, seq: i64) -> i64 {
    sqlx::query_scalar("SELECT id FROM audit_events WHERE chain = $1 AND seq = $2")
        .bind(chain)
        .bind(seq)
        .fetch_one(&world.pool)
        .await
        .unwrap()
}

const OF_CHAIN: &str = "chain = (SELECT id FROM workspaces)";

impl World {
    /// Changes the log directly in the database. `{chain}` stands for a condition that selects the
    /// workspace's chain.
    async fn tamper(&self, sql: &str) {
        let sql = sql.replace("{chain}", OF_CHAIN);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&self.pool).await.unwrap();
    }
}

#[sqlx::test(migrations = false)]
async fn every_change_leaves_an_intact_chain(pool: PgPool) {
    let (world, chain) = busy(pool).await;
    let reports = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    assert_eq!(reports.len(), 2);
    assert!(reports.iter().all(|report| report.damage.is_empty()), "{reports:?}");
    let own = reports.iter().find(|report| report.chain == chain).unwrap();
    assert_eq!((own.rows, own.workspace.as_ref()), (9, Some(&slug("workspace-1"))));
    assert!(reports[0].workspace.is_none() && reports[0].rows >= 3);
    // Every kind of value: several kinds of JSON, an address, and names in other alphabets.
    let ada = world.owner().await;
    let named =
        authority::TokenDraft { name: "🚀 שלום \"x\"".into(), ..draft(&["rivers:read"]) };
    let minted = world.mint(&ada, "workspace-1", named).await;
    world.authority.tokens().delete(&ada, minted.token.id, None).await.unwrap();
    assert_eq!(damage(&world).await, []);
}

#[sqlx::test(migrations = false)]
async fn changed_row_is_found_in_every_column(pool: PgPool) {
    let (world, chain) = busy(pool).await;
    let id = id_at(&world, chain, 4).await;
    for change in [
        "at = at + interval '1 microsecond'",
        "actor_name = 'Eve'",
        "actor_id = gen_random_uuid()",
        "actor_kind = 'token'",
        "action = 'token.delete'",
        "subject_id = gen_random_uuid()",
        "subject_name = 'other'",
        "surface = 'console'",
        "client_ip = NULL",
        "request_id = 'other'",
        "workspace_id = NULL",
        "before = '{}'",
        "after = NULL",
        "after = after || '{\"name\": \"other\"}'",
        "after = after - 'scopes'",
        "mac = sha256('x')",
    ] {
        let keep = "CREATE TABLE kept AS SELECT * FROM audit_events WHERE {chain} AND seq = 4;";
        let back = "DELETE FROM audit_events WHERE id IN (SELECT id FROM kept);
                    INSERT INTO audit_events OVERRIDING SYSTEM VALUE SELECT * FROM kept; DROP TABLE kept;";
        world.tamper(keep).await;
        world
            .tamper(&format!("UPDATE audit_events SET {change} WHERE {{chain}} AND seq = 4"))
            .await;
        assert_eq!(damage(&world).await, [Damage::Changed { chain, seq: 4, id }], "{change}");
        world.tamper(back).await;
        assert_eq!(damage(&world).await, [], "{change} undone");
    }
}

#[sqlx::test(migrations = false)]
async fn deleted_row_is_reported_as_missing(pool: PgPool) {
    let (world, chain) = busy(pool).await;
    world.tamper("DELETE FROM audit_events WHERE {chain} AND seq IN (1, 5, 6)").await;
    let missing = |from, to| Damage::Missing { chain, from, to };
    assert_eq!(damage(&world).await, [missing(1, 1), missing(5, 6)]);
}

#[sqlx::test(migrations = false)]
async fn truncated_tail_is_reported_and_the_next_change_does_not_hide_it(pool: PgPool) {
    let (world, chain) = busy(pool).await;
    world.tamper("DELETE FROM audit_events WHERE {chain} AND seq > 7").await;
    assert_eq!(damage(&world).await, [Damage::TailCut { chain, from: 8, to: 9 }]);
    // With a matching head, too.
    world
        .tamper(
            "UPDATE audit_heads h SET seq = e.seq, mac = e.mac FROM audit_events e
              WHERE h.chain = e.chain AND e.seq = 7 AND e.chain = (SELECT id FROM workspaces)",
        )
        .await;
    assert_eq!(damage(&world).await, [Damage::HeadChanged { chain }]);
    world.mint(&world.owner().await, "workspace-1", draft(&["rivers:read"])).await;
    assert_eq!(damage(&world).await, [Damage::Missing { chain, from: 8, to: 8 }]);
}

#[sqlx::test(migrations = false)]
async fn reordered_rows_are_found(pool: PgPool) {
    let (world, chain) = busy(pool).await;
    let (third, sixth) = (id_at(&world, chain, 3).await, id_at(&world, chain, 6).await);
    world
        .tamper(
            "UPDATE audit_events SET seq = 100 WHERE {chain} AND seq = 3;
             UPDATE audit_events SET seq = 3 WHERE {chain} AND seq = 6;
             UPDATE audit_events SET seq = 6 WHERE {chain} AND seq = 100;",
        )
        .await;
    let reordered = |seq, id| Damage::Reordered { chain, seq, id };
    assert_eq!(damage(&world).await, [reordered(3, sixth), reordered(6, third)]);
}

#[sqlx::test(migrations = false)]
async fn inserted_and_moved_rows_are_found(pool: PgPool) {
    let (world, chain) = busy(pool).await;
    world
        .tamper(
            "INSERT INTO audit_events (at, workspace_id, actor_kind, actor_name, action, subject_name,
                                       surface, request_id, chain, seq, mac, key_version)
             SELECT at, workspace_id, 'operator', actor_name, action, subject_name, surface, request_id,
                    chain, 10, mac, key_version
               FROM audit_events WHERE {chain} AND seq = 9",
        )
        .await;
    let id = id_at(&world, chain, 10).await;
    assert_eq!(damage(&world).await, [Damage::Inserted { chain, seq: 10, id }]);
    // A row of the workspace becomes one of the instance.
    world
        .tamper(
            "DELETE FROM audit_events WHERE {chain} AND seq = 10;
             UPDATE audit_events SET workspace_id = NULL, chain = '00000000-0000-0000-0000-000000000000',
                    seq = (SELECT seq + 1 FROM audit_heads WHERE chain = '00000000-0000-0000-0000-000000000000')
              WHERE {chain} AND seq = 9",
        )
        .await;
    let found = damage(&world).await;
    assert!(matches!(found[0], Damage::Inserted { chain, .. } if chain.is_nil()), "{found:?}");
    assert_eq!(found[1..], [Damage::TailCut { chain, from: 9, to: 9 }]);
}

#[sqlx::test(migrations = false)]
async fn row_removed_from_its_chain_is_found_even_after_a_restart(pool: PgPool) {
    let (world, chain) = busy(pool).await;
    let id = id_at(&world, chain, 9).await;
    world
        .tamper(
            "UPDATE audit_events SET chain = NULL, seq = NULL, mac = NULL, key_version = NULL
              WHERE {chain} AND seq = 9",
        )
        .await;
    world.authority.migrate().await.unwrap();
    let found = damage(&world).await;
    assert_eq!(found, [Damage::TailCut { chain, from: 9, to: 9 }, Damage::Unchained { id }]);
}

#[sqlx::test(migrations = false)]
async fn removed_or_changed_end_is_found_and_changes_continue(pool: PgPool) {
    let (world, chain) = busy(pool).await;
    let ada = world.owner().await;
    let again = async || drop(world.mint(&ada, "workspace-1", draft(&["rivers:read"])).await);
    world.tamper("CREATE TABLE kept AS SELECT * FROM audit_heads WHERE {chain}").await;
    world.tamper("DELETE FROM audit_heads WHERE {chain}").await;
    assert_eq!(damage(&world).await, [Damage::HeadMissing { chain }]);
    again().await;
    assert_eq!(damage(&world).await, [Damage::Missing { chain, from: 10, to: 10 }]);
    // A genuine head of an earlier time.
    world
        .tamper("DELETE FROM audit_heads WHERE {chain}; INSERT INTO audit_heads SELECT * FROM kept")
        .await;
    let old = Damage::HeadOld { chain, seq: 9, last: 11 };
    assert_eq!(damage(&world).await, [Damage::Missing { chain, from: 10, to: 10 }, old]);
    again().await;
    let missing = |place| Damage::Missing { chain, from: place, to: place };
    assert_eq!(damage(&world).await, [missing(10), missing(12)]);
    world.tamper("UPDATE audit_heads SET key_version = 7 WHERE {chain}").await;
    let unknown = Damage::UnknownKey { chain, version: 7, from: 0, to: 0 };
    assert_eq!(damage(&world).await, [missing(10), missing(12), unknown]);
}

#[sqlx::test(migrations = false)]
async fn unknown_key_is_reported_as_such(pool: PgPool) {
    let (world, chain) = busy(pool).await;
    world
        .tamper("UPDATE audit_events SET key_version = 7 WHERE {chain} AND seq IN (2, 3, 4)")
        .await;
    let unknown = Damage::UnknownKey { chain, version: 7, from: 2, to: 4 };
    assert_eq!(damage(&world).await, [unknown]);
}

#[sqlx::test(migrations = false)]
async fn restored_older_state_is_found_with_an_end_stored_elsewhere(pool: PgPool) {
    let (world, chain) = busy(pool).await;
    world.tamper("CREATE TABLE kept AS SELECT * FROM audit_heads WHERE {chain}").await;
    world.mint(&world.owner().await, "workspace-1", draft(&["rivers:read"])).await;
    let audit = world.authority.audit();
    let reports = audit.verify(&world.operator(), &[]).await.unwrap();
    let own = reports.iter().find(|report| report.chain == chain).unwrap();
    let known: KnownHead = own.head.as_ref().unwrap().parse().unwrap();
    let known = [known];
    let reports = audit.verify(&world.operator(), &known).await.unwrap();
    assert!(reports.iter().all(|report| report.damage.is_empty()));
    // The last row and its head are removed without a trace, so that the database by itself
    // looks intact.
    world
        .tamper(
            "DELETE FROM audit_events WHERE {chain} AND seq = 10; DELETE FROM audit_heads WHERE {chain};
             INSERT INTO audit_heads SELECT * FROM kept",
        )
        .await;
    assert_eq!(damage(&world).await, []);
    let reports = audit.verify(&world.operator(), &known).await.unwrap();
    let found: Vec<Damage> = reports.into_iter().flat_map(|report| report.damage).collect();
    assert_eq!(found, [Damage::Rewritten { chain, seq: 10 }]);
}

#[sqlx::test(migrations = false)]
async fn rows_from_before_the_chain_are_chained_once(pool: PgPool) {
    let (world, chain) = busy(pool).await;
    // The state that the first version left.
    world
        .tamper(
            "UPDATE audit_events SET chain = NULL, seq = NULL, mac = NULL, key_version = NULL;
             DELETE FROM audit_heads",
        )
        .await;
    // Two servers start at once.
    let (one, other) = tokio::join!(world.authority.migrate(), world.authority.migrate());
    one.unwrap();
    other.unwrap();
    assert_eq!(damage(&world).await, []);
    let reports = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    assert!(reports.iter().any(|report| report.chain == chain && report.rows == 9));
    // From now on, a row without a place in a chain counts as tampering.
    world
        .tamper(
            "INSERT INTO audit_events (at, actor_kind, actor_name, action, subject_name, surface, request_id)
             VALUES (now(), 'operator', 'command line', 'token.create', 'ci', 'cli', 'r')",
        )
        .await;
    world.authority.migrate().await.unwrap();
    assert!(matches!(damage(&world).await[..], [Damage::Unchained { .. }]));
}

#[sqlx::test(migrations = false)]
async fn concurrent_changes_form_one_chain(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("other").await;
    let ada = world.owner().await;
    world
        .execute(
            "INSERT INTO policies (id, workspace_id, max_tokens, unique_names, updated_at)
                   SELECT gen_random_uuid(), id, 1000, true, now() FROM workspaces",
        )
        .await;
    let attempts = (0..40).map(|number| {
        let (authority, ada) = (world.authority.clone(), ada.clone());
        tokio::spawn(async move {
            let draft =
                authority::TokenDraft { name: format!("t{number}"), ..draft(&["rivers:read"]) };
            let home = slug(if number % 2 == 0 { "workspace-1" } else { "other" });
            let minted = authority.tokens().create(&ada, &home, draft).await?;
            // A delete takes its locks in another order than a create under a token limit.
            authority.tokens().delete(&ada, minted.token.id, None).await
        })
    });
    for attempt in attempts.collect::<Vec<_>>() {
        attempt.await.unwrap().unwrap();
    }
    assert_eq!(damage(&world).await, []);
    let reports = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    let rows: u64 =
        reports.iter().filter(|report| report.workspace.is_some()).map(|report| report.rows).sum();
    assert_eq!(rows, 2 + 80);
}

#[sqlx::test(migrations = false)]
async fn change_without_its_row_does_not_happen(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    world
        .execute("ALTER TABLE audit_heads ADD CONSTRAINT full_disk CHECK (seq < 2) NOT VALID")
        .await;
    let home = slug("workspace-1");
    let outcome = world.authority.tokens().create(&ada, &home, draft(&["rivers:read"])).await;
    assert!(matches!(outcome, Err(ServiceError::Internal(_))));
    let tokens: i64 =
        sqlx::query_scalar("SELECT count(*) FROM tokens").fetch_one(&world.pool).await.unwrap();
    assert_eq!(tokens, 0);
}

#[sqlx::test(migrations = false)]
async fn log_is_read_by_permitted_callers_with_filters_and_pages(pool: PgPool) {
    let (world, _) = busy(pool).await;
    world.workspace("other").await;
    let audit = world.authority.audit();
    let home = AuditScope::Workspace(slug("workspace-1"));
    let all = AuditQuery { limit: EXPORT_PAGE, ..AuditQuery::default() };
    for (name, membership, own, instance) in [
        ("admin-here", Some(("workspace-1", "admin")), Ok(()), Err(403)),
        ("viewer-here", Some(("workspace-1", "viewer")), Err(403), Err(403)),
        ("stranger", None, Err(404), Err(403)),
    ] {
        let ctx = world.person(name, membership).await;
        let status = |outcome: Result<_, ServiceError>| {
            outcome.map(|_: authority::AuditPage| ()).map_err(|error| error.code().status())
        };
        assert_eq!(status(audit.list(&ctx, &home, &all).await), own, "{name}");
        assert_eq!(status(audit.list(&ctx, &AuditScope::Instance, &all).await), instance, "{name}");
        assert_eq!(audit.verify(&ctx, &[]).await.unwrap_err().code(), ProblemCode::Forbidden);
    }
    // A token with the required scope reads the log of its own workspace.
    let reader = world.bearer(&world.token("tessera", &["audit:read"]).await).await;
    assert_eq!(audit.list(&reader, &home, &all).await.unwrap().items.len(), 10);
    let elsewhere = AuditScope::Workspace(slug("other"));
    let code = async |scope| audit.list(&reader, scope, &all).await.unwrap_err().code();
    assert_eq!(code(&elsewhere).await, ProblemCode::NotFound);
    assert_eq!(code(&AuditScope::Instance).await, ProblemCode::Forbidden);
    let other = world.bearer(&world.token("tessera", &["tokens:write"]).await).await;
    let refused = audit.list(&other, &home, &all).await.unwrap_err().code();
    assert_eq!(refused, ProblemCode::InsufficientScope);
    world.execute("UPDATE users SET instance_role = 'auditor' WHERE name = 'stranger'").await;
    let auditor = world.signed_in("stranger@example.com").await;
    let everything = audit.list(&auditor, &AuditScope::Instance, &all).await.unwrap().items;
    assert!(everything.iter().any(|row| row.workspace.is_none()));
    assert!(everything.iter().any(|row| row.workspace.as_deref() == Some("other")));

    let mut query = AuditQuery { limit: 4, action: Some("token".into()), ..AuditQuery::default() };
    let mut seen = Vec::new();
    loop {
        let page = audit.list(&auditor, &home, &query).await.unwrap();
        seen.extend(page.items.iter().map(|row| row.id));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 10);
    assert!(seen.is_sorted_by(|one, other| one > other));
    let count = async |query: AuditQuery| {
        let query = AuditQuery { limit: 100, ..query };
        audit.list(&auditor, &home, &query).await.unwrap().items.len()
    };
    let subject = everything.iter().find(|row| row.action == "token.create").unwrap();
    let text = |text: &str| Some(text.to_owned());
    let none = AuditQuery::default;
    assert_eq!(count(AuditQuery { action: text("token.create"), ..none() }).await, 10);
    assert_eq!(count(AuditQuery { action: text("token.cre"), ..none() }).await, 0);
    assert_eq!(count(AuditQuery { actor: text("ADA"), ..none() }).await, 10);
    assert_eq!(
        count(AuditQuery { actor: subject.actor_id.map(|id| id.to_string()), ..none() }).await,
        10
    );
    assert_eq!(
        count(AuditQuery { subject: subject.subject_id.map(|id| id.to_string()), ..none() }).await,
        1
    );
    assert_eq!(count(AuditQuery { subject: text("%"), ..none() }).await, 0);
    assert_eq!(count(AuditQuery { since: Some(crate::support::START), ..none() }).await, 11);
    assert_eq!(count(AuditQuery { until: Some(crate::support::START), ..none() }).await, 0);
    let bad = AuditQuery { cursor: text("x"), limit: 1, ..none() };
    assert!(matches!(audit.list(&auditor, &home, &bad).await, Err(ServiceError::Invalid(_))));
}
