//! Import and export of tokens.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use std::sync::Arc;

use crate::support::{World, demand, draft, slug};
use authority::{
    AuditQuery, AuditScope, Authority, EXPORT_PAGE, Format, ImportReport, OpContext, PolicyLevel,
    ROWS_MAX, ServiceError, Settings, TokenDraft, clock::SystemClock, entropy::SystemEntropy,
    keys::Keys,
};
use domain::{
    decision::{DecisionCode, Demand},
    names::Slug,
    policy::PolicyRules,
    token_query::TokenQuery,
};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use sqlx::{PgPool, postgres::PgPoolOptions};

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn line(secret: &str, name: &str, more: &str) -> String {
    format!(
        "{{\"digest\":\"{}\",\"name\":\"{name}\",\"scopes\":[\"rivers:run\"]{more}}}\n",
        sha256(secret)
    )
}

impl World {
    async fn import(&self, ctx: &OpContext, text: &str) -> Result<ImportReport, ServiceError> {
        let home: Slug = slug("workspace-1");
        self.authority.transfer().import(ctx, &home, Format::Jsonl, text.as_bytes(), false).await
    }

    async fn count(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM tokens").fetch_one(&self.pool).await.unwrap()
    }
}

fn mistakes(outcome: Result<ImportReport, ServiceError>) -> Vec<String> {
    let Err(ServiceError::Invalid(errors)) = outcome else { panic!("{outcome:?}") };
    errors.into_iter().map(|error| format!("{} {}", error.field, error.message)).collect()
}

#[sqlx::test(migrations = false)]
async fn imported_tokens_keep_working_with_their_secrets(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    world.person("bob", Some(("workspace-1", "member"))).await;
    let old = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
    let run = demand("default", &["rivers:run"]);
    assert_eq!(world.decide(old, &run).await, DecisionCode::Malformed);
    let csv = format!(
        "digest,name,owner,scopes,audiences,expires_at,description\r\n{},\"'=legacy\",bob@example.com,rivers:run rivers:read,default,30d,\"From there, to here\"\r\n",
        sha256(old)
    );
    let home = slug("workspace-1");
    let transfer = world.authority.transfer();
    let dry = transfer.import(&ada, &home, Format::Csv, csv.as_bytes(), true).await.unwrap();
    assert_eq!((dry.dry_run, dry.tokens.len(), dry.tokens[0].id), (true, 1, None));
    assert_eq!(world.count().await, 0);
    assert_eq!(world.decide(old, &run).await, DecisionCode::Malformed);
    let report = transfer.import(&ada, &home, Format::Csv, csv.as_bytes(), false).await.unwrap();
    assert_eq!(world.decide(old, &run).await, DecisionCode::Valid);
    assert_eq!(world.decide(&old[1..], &run).await, DecisionCode::Malformed, "another text");
    assert_eq!(
        world.decide(&sha256(old), &run).await,
        DecisionCode::Malformed,
        "the digest itself"
    );
    let id = report.tokens[0].id.unwrap();
    let token = world.authority.tokens().show(&ada, id).await.unwrap();
    assert_eq!((token.name.as_str(), token.user.name.as_str()), ("=legacy", "bob"));
    assert_eq!(token.hint, "imported");
    assert_eq!(token.scopes.len(), 2);
    let events = world.authority.audit().recent(&ada, &home, 1).await.unwrap();
    assert_eq!(
        (events[0].action.as_str(), events[0].subject.as_str()),
        ("token.import", "=legacy")
    );
    let reports = world.authority.audit().verify(&world.operator(), &[]).await.unwrap();
    assert!(reports.iter().all(|report| report.damage.is_empty()));
}

#[sqlx::test(migrations = false)]
async fn malformed_text_needs_no_query_until_there_are_imports(pool: PgPool) {
    let second =
        PgPoolOptions::new().connect_with((*pool.connect_options()).clone()).await.unwrap();
    let keys = Keys::generate(&SystemEntropy).to_toml();
    let keys = || Keys::from_toml(keys.expose_secret()).unwrap();
    let world = World::with_keys(pool, keys()).await;
    let ada = world.owner().await;
    let replica = || {
        let keys = keys();
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        Authority::new(second.clone(), keys, clock, entropy, Settings::default())
    };
    let (ignorant, learned) = (replica(), replica());
    world.import(&ada, &line("from elsewhere", "a", "")).await.unwrap();
    learned.migrate().await.unwrap();
    // No database from here on. Tokens that need no lookup are still answered, and others are not.
    for authority in [&ignorant, &learned, &world.authority] {
        authority.close().await;
    }
    second.close().await;
    let long = "x".repeat(2_000);
    for (authority, text, asks) in [
        (&ignorant, "no token", false),
        (&learned, "no token", true),
        (&world.authority, "no token", true),
        (&world.authority, "", false),
        (&world.authority, &long, false),
    ] {
        let ctx = world.anonymous();
        let outcome = authority.verification().decide(&ctx, text, &Demand::default()).await;
        match outcome {
            Ok(decision) => assert!(!asks && decision.code == DecisionCode::Malformed),
            Err(error) => assert!(asks && matches!(error, ServiceError::Unavailable(_))),
        }
    }
}

#[sqlx::test(migrations = false)]
async fn all_rows_become_tokens_or_none(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let text = [
        line("one", "fine", ""),
        line("two", "", ",\"owner\":\"nobody@example.com\",\"expires_at\":\"soon\""),
        line("one", "twice", ",\"audiences\":[\"nowhere\"]"),
        "{\"digest\":\"abc\",\"name\":\"short\",\"scopes\":[]}".into(),
    ]
    .concat();
    assert_eq!(
        mistakes(world.import(&ada, &text).await),
        [
            "rows[2].owner must be the e-mail address or id of a member of this workspace",
            "rows[2].name must not be empty",
            "rows[2].expires_at must be a number of days such as 30d, a date such as 2027-08-18, or never",
            "rows[3].audiences has \"nowhere\", which is not an audience of this instance",
            "rows[3].scopes has \"rivers:run\", which is not a scope of the chosen audiences",
            "rows[3].digest is the same as in an earlier row",
            "rows[4].digest must be a SHA-256 digest in 64 hexadecimal digits or in base64",
            "rows[4].scopes must contain at least one scope",
        ]
    );
    assert_eq!(world.count().await, 0);
    let many: String = (0..=ROWS_MAX).map(|number| line(&number.to_string(), "n", "")).collect();
    assert_eq!(
        mistakes(world.import(&ada, &many).await),
        ["rows must be at most 1000; there are 1001"]
    );
    let bad: String = (0..300).map(|_| "{\"digest\":\"x\",\"name\":\"n\"}\n").collect();
    let told = mistakes(world.import(&ada, &bad).await);
    assert_eq!(told.len(), 101);
    assert_eq!(told[100], "rows have 500 more errors");
}

#[sqlx::test(migrations = false)]
async fn digest_of_any_existing_or_deleted_token_is_refused(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("other").await;
    let ada = world.owner().await;
    let elsewhere = ["rows[1].digest belongs to a token of another workspace"];
    let own = world.mint(&ada, "other", draft(&["rivers:read"])).await;
    assert_eq!(mistakes(world.import(&ada, &line(own.secret.expose(), "x", "")).await), elsewhere);
    world.authority.tokens().delete(&ada, own.token.id, None).await.unwrap();
    assert_eq!(mistakes(world.import(&ada, &line(own.secret.expose(), "x", "")).await), elsewhere);
    let refused = ["rows[1].digest belongs to an existing or deleted token of this workspace"];
    let report = world.import(&ada, &line("from elsewhere", "x", "")).await.unwrap();
    assert_eq!(mistakes(world.import(&ada, &line("from elsewhere", "y", "")).await), refused);
    world.authority.tokens().delete(&ada, report.tokens[0].id.unwrap(), None).await.unwrap();
    assert_eq!(mistakes(world.import(&ada, &line("from elsewhere", "y", "")).await), refused);
    assert_eq!(world.decide("from elsewhere", &Demand::default()).await, DecisionCode::Revoked);
}

/// A tenant who guesses the secrets of other tenants learns of only a few, and leaves rows in
/// the log.
#[sqlx::test(migrations = false)]
async fn import_reveals_little_about_secrets_of_other_workspaces(pool: PgPool) {
    let world = World::founded(pool).await;
    let other = world.workspace("other").await;
    let ada = world.owner().await;
    let theirs: String = (0..20)
        .map(|number| line(&format!("legacy-{number}"), &format!("n{number}"), ""))
        .collect();
    let transfer = world.authority.transfer();
    transfer.import(&ada, &other, Format::Jsonl, theirs.as_bytes(), false).await.unwrap();
    let guesser = world.person("eve", Some(("workspace-1", "admin"))).await;
    let home = slug("workspace-1");
    let guesses: String = (0..40)
        .map(|number| line(&format!("legacy-{number}"), &format!("g{number}"), ""))
        .collect();
    // This also applies to a dry run, and together with another mistake.
    let dry = transfer.import(&guesser, &home, Format::Jsonl, guesses.as_bytes(), true).await;
    assert_eq!(dry.unwrap().tokens.len(), 40);
    let wrong =
        format!("{{\"digest\":\"x\",\"name\":\"n\",\"scopes\":[\"rivers:run\"]}}\n{guesses}");
    assert_eq!(
        mistakes(world.import(&guesser, &wrong).await),
        ["rows[1].digest must be a SHA-256 digest in 64 hexadecimal digits or in base64"]
    );
    // A real import reports one of them.
    for known in 0..5 {
        let told = mistakes(world.import(&guesser, &guesses).await);
        assert_eq!(told, ["rows[1].digest belongs to a token of another workspace"], "{known}");
    }
    let fresh = line("nobody has this", "fresh", "");
    let refused = world.import(&guesser, &fresh).await;
    assert!(matches!(refused, Err(ServiceError::TooManyCollisions(86_401))), "{refused:?}");
    // The same person in another workspace, and another person in the same workspace.
    let third = world.workspace("third").await;
    world.join("eve@example.com", "third", "admin").await;
    for (ctx, workspace) in [(&guesser, &third), (&ada, &home)] {
        let refused = transfer.import(ctx, workspace, Format::Jsonl, fresh.as_bytes(), false).await;
        assert!(matches!(refused, Err(ServiceError::TooManyCollisions(_))), "{refused:?}");
    }
    assert_eq!(world.count().await, 20);
    let told: Vec<(String, i64)> = sqlx::query_as(
        "SELECT actor_name, count(*) FROM audit_events WHERE action = 'token.import_refused' GROUP BY 1",
    )
    .fetch_all(&world.pool)
    .await
    .unwrap();
    assert_eq!(told, [("eve".to_owned(), 5)]);
    world.pass(time::Duration::DAY + time::Duration::SECOND);
    let guesser = world.signed_in("eve@example.com").await;
    world.import(&guesser, &fresh).await.unwrap();
}

/// A token acts as a person, but another user may have created it.
#[sqlx::test(migrations = false)]
async fn import_by_a_token_does_not_use_up_the_budget_of_its_user(pool: PgPool) {
    let world = World::founded(pool).await;
    let [theirs, foreign] = [world.workspace("theirs").await, world.workspace("foreign").await];
    let ada = world.owner().await;
    let transfer = world.authority.transfer();
    let known = line("legacy", "known", "");
    transfer.import(&ada, &foreign, Format::Jsonl, known.as_bytes(), false).await.unwrap();
    let lea = world.person("lea", Some(("workspace-1", "admin"))).await;
    world.join("lea@example.com", "theirs", "admin").await;
    let wish = authority::TokenDraft {
        user: Some("lea@example.com".into()),
        audiences: vec!["tessera".into(), "default".into()],
        ..crate::support::draft(&["tokens:write", "rivers:run"])
    };
    let asks = world.bearer(&world.mint(&ada, "theirs", wish).await).await;
    for _ in 0..5 {
        let told = transfer.import(&asks, &theirs, Format::Jsonl, known.as_bytes(), false).await;
        assert_eq!(mistakes(told), ["rows[1].digest belongs to a token of another workspace"]);
    }
    let fresh = line("nobody has this", "fresh", "");
    let refused = transfer.import(&asks, &theirs, Format::Jsonl, fresh.as_bytes(), false).await;
    assert!(matches!(refused, Err(ServiceError::TooManyCollisions(_))), "{refused:?}");
    world.import(&lea, &fresh).await.unwrap();
}

/// Concurrent imports run one after another, and together learn no more than successive ones.
#[sqlx::test(migrations = false)]
async fn concurrent_imports_reveal_no_more_than_sequential_ones(pool: PgPool) {
    let world = World::founded(pool).await;
    let other = world.workspace("other").await;
    let ada = world.owner().await;
    let theirs = line("legacy", "theirs", "");
    let transfer = world.authority.transfer();
    transfer.import(&ada, &other, Format::Jsonl, theirs.as_bytes(), false).await.unwrap();
    let eve = world.person("eve", Some(("workspace-1", "admin"))).await;
    let guesses = (0..12).map(|_| {
        let (authority, eve) = (world.authority.clone(), eve.clone());
        tokio::spawn(async move {
            let (transfer, home) = (authority.transfer(), slug("workspace-1"));
            let text = line("legacy", "guess", "");
            transfer.import(&eve, &home, Format::Jsonl, text.as_bytes(), false).await
        })
    });
    let mut told = 0;
    for guess in guesses.collect::<Vec<_>>() {
        match guess.await.unwrap() {
            Err(ServiceError::Invalid(_)) => told += 1,
            other => assert!(matches!(other, Err(ServiceError::TooManyCollisions(_))), "{other:?}"),
        }
    }
    assert_eq!(told, 5);
}

/// An import that creates nothing looks up its rows like a verifier, within the same limit.
#[sqlx::test(migrations = false)]
async fn rows_that_are_not_imported_count_as_unknown_tokens(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let home = slug("workspace-1");
    let text: String = (0..ROWS_MAX).map(|number| line(&format!("s{number}"), "n", "")).collect();
    let transfer = world.authority.transfer();
    let dry = async || transfer.import(&ada, &home, Format::Jsonl, text.as_bytes(), true).await;
    assert!(dry().await.is_ok());
    let refused = dry().await;
    assert!(matches!(refused, Err(ServiceError::TooManyUnknown(_))), "{refused:?}");
    world.pass(time::Duration::seconds(30));
    // Imported rows use up nothing.
    for number in 0..2 {
        let text: String = (0..600).map(|row| line(&format!("{number}-{row}"), "n", "")).collect();
        world.import(&ada, &text).await.unwrap();
    }
    assert!(dry().await.is_ok());
}

/// A user creates many tokens, and imports with one after another.
#[sqlx::test(migrations = false)]
async fn all_importers_into_a_workspace_share_one_budget(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let eve = world.person("eve", Some(("workspace-1", "admin"))).await;
    let other = world.workspace("other").await;
    let home = slug("workspace-1");
    let text: String = (0..ROWS_MAX).map(|number| line(&format!("s{number}"), "n", "")).collect();
    let transfer = world.authority.transfer();
    let dry =
        async |by, into| transfer.import(by, into, Format::Jsonl, text.as_bytes(), true).await;
    assert!(dry(&eve, &home).await.is_ok());
    let refused = dry(&ada, &home).await;
    assert!(matches!(refused, Err(ServiceError::TooManyUnknown(_))), "{refused:?}");
    // The refused import used up nothing of the caller's own budget.
    assert!(dry(&ada, &other).await.is_ok());
    // The command line imports without a limit, and uses up nothing of other budgets.
    let operator = world.operator();
    for number in 0..2 {
        let text: String = (0..600).map(|row| line(&format!("{number}-{row}"), "n", "")).collect();
        transfer.import(&operator, &home, Format::Jsonl, text.as_bytes(), false).await.unwrap();
    }
    let counted: i64 = sqlx::query_scalar("SELECT count(*) FROM import_allowances")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(counted, 0);
}

/// Guesses at the secrets of other workspaces that match none are imported. They must not be
/// free forever.
#[sqlx::test(migrations = false)]
async fn imported_rows_count_as_unknown_tokens_beyond_the_allowance_of_a_day(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let import = async |part: &str| {
        let row = |row: usize| line(&format!("{part}-{row}"), &format!("{part}-{row}"), "");
        let text: String = (0..600).map(row).collect();
        world.import(&ada, &text).await
    };
    // The migration of a company, except its last 1,200 tokens.
    import("first").await.unwrap();
    let imported: i64 = sqlx::query_scalar(
        "UPDATE import_allowances SET imported = imported + 18200 RETURNING imported",
    )
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(imported, 18_800);
    // The first two imports use up the 1,200 rows that are still free. Then all rows count, against
    // a budget of 1,000.
    for part in ["a", "b", "c", "d"] {
        import(part).await.unwrap();
    }
    let refused = import("e").await;
    assert!(matches!(refused, Err(ServiceError::TooManyUnknown(_))), "{refused:?}");
    // Imports continue at the rate of unknown tokens.
    world.pass(time::Duration::seconds(30));
    import("e").await.unwrap();
    // The next day has its own allowance.
    world.pass(time::Duration::days(1));
    let ada = world.owner().await;
    let text: String =
        (0..600).map(|row| line(&format!("f{row}"), &format!("f{row}"), "")).collect();
    world.import(&ada, &text).await.unwrap();
    let imported: i64 = sqlx::query_scalar("SELECT imported FROM import_allowances")
        .fetch_one(&world.pool)
        .await
        .unwrap();
    assert_eq!(imported, 600);
}

#[sqlx::test(migrations = false)]
async fn policy_applies_to_imports(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    world.token("default", &["rivers:read"]).await;
    world
        .execute(
            "INSERT INTO policies (id, workspace_id, max_tokens, max_ttl_s, allow_never, unique_names, updated_at)
             SELECT gen_random_uuid(), id, 3, 864000, false, true, now() FROM workspaces",
        )
        .await;
    let three: String = ["a", "b", "c"].map(|name| line(name, name, "")).concat();
    let outcome = world.import(&ada, &three).await;
    assert!(matches!(outcome, Err(ServiceError::TokenLimitReached(3))), "{outcome:?}");
    let taken = [line("a", "CI", ""), line("b", "b", ",\"expires_at\":\"never\"")].concat();
    assert_eq!(
        mistakes(world.import(&ada, &taken).await),
        [
            "rows[1].name is in use by another token of this workspace",
            "rows[2].expires_at must be set: tokens of this workspace must expire",
        ]
    );
    let twins = [line("a", "same", ""), line("b", "Same ", "")].concat();
    assert_eq!(
        mistakes(world.import(&ada, &twins).await),
        ["rows[2].name is in use by another token of this workspace"]
    );
    world.import(&ada, &[line("a", "a", ""), line("b", "b", "")].concat()).await.unwrap();
    assert_eq!(world.count().await, 3);
}

#[sqlx::test(migrations = false)]
async fn import_needs_the_right_and_grants_no_more_than_its_caller_has(pool: PgPool) {
    let world = World::founded(pool).await;
    let text = line("a", "a", "");
    for (name, membership, status) in
        [("viewer", Some(("workspace-1", "viewer")), 403), ("stranger", None, 404)]
    {
        let ctx = world.person(name, membership).await;
        assert_eq!(world.import(&ctx, &text).await.unwrap_err().code().status(), status, "{name}");
    }
    let all = TokenDraft {
        audiences: vec!["default".into(), "tessera".into()],
        ..draft(&["tokens:write", "rivers:read"])
    };
    let minter = world.mint(&world.owner().await, "workspace-1", all).await;
    let ctx = world.bearer(&minter).await;
    assert_eq!(
        mistakes(world.import(&ctx, &text).await),
        ["rows[1].scopes has rivers:run, which the calling token does not hold"]
    );
}

#[sqlx::test(migrations = false)]
async fn thousand_rows_are_imported_at_once(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let text: String = (0..ROWS_MAX)
        .map(|number| line(&format!("s{number}"), &format!("n{number}"), ""))
        .collect();
    let report = world.import(&ada, &text).await.unwrap();
    assert_eq!(report.tokens.len(), ROWS_MAX);
    assert_eq!(world.decide("s999", &Demand::default()).await, DecisionCode::Valid);
}

/// A dry run must not keep other callers from creating tokens.
#[sqlx::test(migrations = false)]
async fn dry_run_does_not_wait_for_the_lock_of_the_token_limit(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let home = slug("workspace-1");
    for level in [PolicyLevel::Instance, PolicyLevel::Workspace(home.clone())] {
        let cap = PolicyRules { max_tokens: Some(1), ..PolicyRules::default() };
        world.authority.policies().change(&ada, &level, cap, None).await.unwrap();
    }
    let mut other = world.pool.begin().await.unwrap();
    for row in [
        "SELECT FROM instance FOR NO KEY UPDATE",
        "SELECT FROM workspaces FOR NO KEY UPDATE",
        "SELECT FROM audit_heads FOR UPDATE",
    ] {
        sqlx::query(row).execute(&mut *other).await.unwrap();
    }
    let attempt = async |text: &str| {
        let transfer = world.authority.transfer();
        transfer.import(&ada, &home, Format::Jsonl, text.as_bytes(), true).await
    };
    assert!(attempt(&line("a", "a", "")).await.is_ok());
    let two = [line("a", "a", ""), line("b", "b", "")].concat();
    let refused = attempt(&two).await;
    assert!(matches!(refused, Err(ServiceError::TokenLimitReached(1))), "{refused:?}");
}

/// Pages of large rows are shorter. Following `next` returns every row once.
#[sqlx::test(migrations = false)]
async fn page_of_large_rows_is_short_and_all_pages_are_complete(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let home = slug("workspace-1");
    let count = 40;
    for number in 0..count {
        let tags = (0..32).map(|key| (format!("k{key}"), "😀".repeat(256))).collect();
        let large = TokenDraft { name: format!("n{number}"), tags, ..draft(&["rivers:read"]) };
        world.mint(&ada, "workspace-1", large).await;
    }
    let mut names = std::collections::BTreeSet::new();
    let (mut query, mut pages) = (TokenQuery { limit: 200, ..TokenQuery::default() }, 0);
    loop {
        let page = world.authority.tokens().list(&ada, &home, &query).await.unwrap();
        pages += 1;
        assert!((1..count).contains(&page.items.len()), "{}", page.items.len());
        names.extend(page.items.into_iter().map(|token| token.name));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    assert_eq!((pages, names.len()), (2, count));
    let mut ids = Vec::new();
    let mut rows = AuditQuery { limit: EXPORT_PAGE, ..AuditQuery::default() };
    let scope = AuditScope::Workspace(home);
    loop {
        let page = world.authority.audit().list(&ada, &scope, &rows).await.unwrap();
        assert!(page.items.len() < count, "{}", page.items.len());
        ids.extend(page.items.into_iter().map(|row| row.id));
        rows.cursor = page.next;
        if rows.cursor.is_none() {
            break;
        }
    }
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM audit_events WHERE workspace_id IS NOT NULL")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(i64::try_from(ids.len()).unwrap(), rows);
    assert!(ids.is_sorted_by(|newer, older| newer > older));
}

#[sqlx::test(migrations = false)]
async fn export_has_no_digest_and_no_secret(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let named = TokenDraft { name: "=HYPERLINK(\"x\")".into(), ..draft(&["rivers:read"]) };
    let minted = world.mint(&ada, "workspace-1", named).await;
    world.import(&ada, &line("from elsewhere", "imported", "")).await.unwrap();
    let page = world
        .authority
        .tokens()
        .list(&ada, &slug("workspace-1"), &TokenQuery::default())
        .await
        .unwrap();
    let transfer = world.authority.transfer();
    for format in [Format::Csv, Format::Jsonl] {
        let lines = transfer.write_tokens(&ada, format, page.items.clone()).await.unwrap();
        let text = format.token_heading() + &lines;
        assert!(text.contains("HYPERLINK") && text.contains("imported"));
        assert!(
            !text.contains(minted.secret.expose()) && !text.contains(&sha256("from elsewhere"))
        );
    }
    let csv = transfer.write_tokens(&ada, Format::Csv, page.items).await.unwrap();
    assert!(csv.contains(",\"'=HYPERLINK(\"\"x\"\")\","));
}
