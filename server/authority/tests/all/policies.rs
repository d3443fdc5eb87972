//! Policies: shown with their sources, previewed and changed; presets; and their effect.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, draft, slug};
use authority::{PolicyLevel, ServiceError, TokenDraft};
use domain::{
    expiry,
    policy::{DAY_S, PolicyRules, Reveal},
    policy_view::{Misfit, Rule, Source},
    preset::Preset,
    problem::ProblemCode,
};
use sqlx::PgPool;
use time::Duration;

fn home() -> PolicyLevel {
    PolicyLevel::Workspace(slug("workspace-1"))
}

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ProblemCode {
    outcome.unwrap_err().code()
}

fn named(name: &str, ends: &str) -> TokenDraft {
    TokenDraft { name: name.into(), expiry: expiry::parse(ends), ..draft(&["rivers:read"]) }
}

#[sqlx::test(migrations = false)]
async fn changed_policy_shows_both_levels_and_where_each_rule_comes_from(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let policies = world.authority.policies();
    let before = policies.show(&ada, &home()).await.unwrap();
    assert_eq!((before.version, before.sources[&Rule::Prefix]), (0, Source::Default));
    let instance =
        PolicyRules { max_tokens: Some(9), prefix: Some("acme".into()), ..PolicyRules::default() };
    policies.change(&ada, &PolicyLevel::Instance, instance.clone(), Some(0)).await.unwrap();
    let own =
        PolicyRules { max_tokens: Some(99), unique_names: Some(true), ..PolicyRules::default() };
    let shown = policies.change(&ada, &home(), own.clone(), None).await.unwrap();
    assert_eq!(shown, policies.show(&ada, &home()).await.unwrap());
    assert_eq!((&shown.rules, &shown.instance, shown.version), (&own, &instance, 1));
    assert_eq!(shown.effective.max_tokens, Some(9));
    let source = |rule| shown.sources[&rule];
    assert_eq!(source(Rule::MaxTokens), Source::Instance);
    assert_eq!(source(Rule::UniqueNames), Source::Workspace);
    assert_eq!(source(Rule::SelfService), Source::Default);
    // The version that the caller saw is outdated.
    let outcome = policies.change(&ada, &home(), own.clone(), Some(0)).await;
    assert_eq!(code(outcome), ProblemCode::PreconditionFailed);
    let same = policies.change(&ada, &home(), own.clone(), Some(1)).await.unwrap();
    assert_eq!(same.version, 1, "nothing was changed");
    let other = PolicyRules { prefix: Some("b".into()), ..own };
    assert_eq!(policies.change(&ada, &home(), other, Some(1)).await.unwrap().version, 2);
    let events = world.authority.audit().recent(&ada, &slug("workspace-1"), 9).await.unwrap();
    assert_eq!(
        (events[0].action.as_str(), events[0].subject.as_str()),
        ("policy.change", "workspace-1")
    );
    let revisions: i64 =
        sqlx::query_scalar("SELECT count(*) FROM revisions WHERE kind = 'workspace'")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(revisions, 3);
}

#[sqlx::test(migrations = false)]
async fn of_two_concurrent_changes_from_one_version_one_succeeds(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let policies = world.authority.policies();
    for level in [home(), PolicyLevel::Instance] {
        let rules = PolicyRules { max_tokens: Some(9), ..PolicyRules::default() };
        let (one, two) = tokio::join!(
            policies.change(&ada, &level, rules.clone(), Some(0)),
            policies.change(&ada, &level, rules.clone(), Some(0)),
        );
        assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1);
        assert_eq!(policies.show(&ada, &level).await.unwrap().version, 1);
    }
}

#[sqlx::test(migrations = false)]
async fn policy_is_changed_only_by_permitted_callers(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("other").await;
    let policies = world.authority.policies();
    let rules = PolicyRules::default;
    for (name, membership, show, change) in [
        ("viewer", Some(("workspace-1", "viewer")), 200, 403),
        ("member", Some(("workspace-1", "member")), 200, 403),
        ("verifier", Some(("workspace-1", "verifier")), 200, 403),
        ("administrator", Some(("workspace-1", "admin")), 200, 200),
        ("neighbour-admin", Some(("other", "admin")), 404, 404),
    ] {
        let ctx = world.person(name, membership).await;
        let status =
            |code: Result<(), ServiceError>| code.err().map_or(200, |error| error.code().status());
        assert_eq!(status(policies.show(&ctx, &home()).await.map(drop)), show, "{name}");
        let outcome = policies.change(&ctx, &home(), rules(), None).await;
        assert_eq!(status(outcome.map(drop)), change, "{name}");
        let outcome = policies.preview(&ctx, &home(), &rules()).await;
        assert_eq!(status(outcome.map(drop)), change, "{name}");
        let outcome = policies.change(&ctx, &PolicyLevel::Instance, rules(), None).await;
        assert_eq!(status(outcome.map(drop)), 403, "{name}");
        assert_eq!(
            status(policies.show(&ctx, &PolicyLevel::Instance).await.map(drop)),
            403,
            "{name}"
        );
    }
    let token = world.token("tessera", &["policy:write"]).await;
    let ctx = world.bearer(&token).await;
    policies.change(&ctx, &home(), rules(), None).await.unwrap();
    let outcome = policies.change(&ctx, &PolicyLevel::Instance, rules(), None).await;
    assert_eq!(code(outcome), ProblemCode::Forbidden);
    let preview =
        policies.preview(&ctx, &home(), &Preset::RobustIntelligence.rules()).await.unwrap();
    assert!(preview.tokens.is_empty(), "callers who may not see tokens don't get their names");
}

#[sqlx::test(migrations = false)]
async fn preview_counts_violating_tokens_and_changes_nothing(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("other").await;
    let ada = world.owner().await;
    for (name, ends) in [("ci", "7d"), ("CI", "never"), ("build-1", "365d"), ("build-2", "1h")] {
        world.mint(&ada, "workspace-1", named(name, ends)).await;
    }
    world.mint(&ada, "other", named("ci", "never")).await;
    world.execute("UPDATE tokens SET recoverable = true WHERE name = 'build-1'").await;
    // An expired token never conflicts with a policy.
    world.pass(Duration::hours(2));
    let ada = world.owner().await;
    let rules = PolicyRules {
        max_tokens: Some(1),
        max_ttl_s: Some(30 * DAY_S),
        unique_names: Some(true),
        name_pattern: Some("[a-z-]+[0-9]?".into()),
        reveal: Some(Reveal::Once),
        prefix: Some("acme".into()),
        ..PolicyRules::default()
    };
    let policies = world.authority.policies();
    let preview = policies.preview(&ada, &home(), &rules).await.unwrap();
    let count = |misfit| preview.misfits[&misfit];
    assert_eq!(count(Misfit::NoEnd), 1);
    assert_eq!(count(Misfit::TooLong), 1);
    assert_eq!(count(Misfit::NameRepeats), 2);
    assert_eq!(count(Misfit::NameUnmatched), 1);
    assert_eq!(count(Misfit::Recoverable), 1);
    assert_eq!((preview.unfit, preview.above_cap, preview.tokens.len()), (3, 3, 3));
    let of = |name: &str| preview.tokens.iter().find(|token| token.name == name).unwrap();
    assert_eq!(of("ci").reasons, [Misfit::NameRepeats]);
    assert_eq!(of("build-1").reasons, [Misfit::TooLong, Misfit::Recoverable]);
    assert!(
        preview.changed.contains(&Rule::Prefix) && !preview.changed.contains(&Rule::SelfService)
    );
    assert_eq!(preview.before, policies.show(&ada, &home()).await.unwrap().effective);
    assert_eq!(policies.show(&ada, &home()).await.unwrap().version, 0);
    let everywhere = policies.preview(&ada, &PolicyLevel::Instance, &rules).await.unwrap();
    assert_eq!((everywhere.misfits[&Misfit::NoEnd], everywhere.above_cap), (2, 4));
    assert_eq!(everywhere.misfits[&Misfit::NameRepeats], 2, "names repeat only within a workspace");

    // Applying the policy leaves every token unchanged.
    let all = "SELECT string_agg(t::text, ';' ORDER BY id) FROM tokens t";
    let tokens: String = sqlx::query_scalar(all).fetch_one(&world.pool).await.unwrap();
    policies.change(&ada, &PolicyLevel::Instance, rules, None).await.unwrap();
    let after: String = sqlx::query_scalar(all).fetch_one(&world.pool).await.unwrap();
    assert_eq!(tokens, after);
}

#[sqlx::test(migrations = false)]
async fn preview_names_fifty_and_counts_all(pool: PgPool) {
    let world = World::founded(pool).await;
    world.token("default", &["rivers:read"]).await;
    world
        .execute(
            "INSERT INTO tokens (id, workspace_id, user_id, name, scopes, hint, created_at, updated_at)
             SELECT gen_random_uuid(), workspace_id, user_id, 'n' || i, scopes, hint, created_at, updated_at
               FROM tokens, generate_series(1, 5100) AS i",
        )
        .await;
    let ada = world.owner().await;
    let rules = PolicyRules { allow_never: Some(false), ..PolicyRules::default() };
    let preview = world.authority.policies().preview(&ada, &home(), &rules).await.unwrap();
    assert_eq!((preview.unfit, preview.tokens.len()), (5_100, 50));
}

#[sqlx::test(migrations = false)]
async fn unusable_rules_are_refused_with_their_reasons(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let rules = PolicyRules {
        name_pattern: Some("(".into()),
        prefix: Some("A".into()),
        ..PolicyRules::default()
    };
    let policies = world.authority.policies();
    for outcome in [
        policies.change(&ada, &home(), rules.clone(), None).await.map(drop),
        policies.preview(&ada, &home(), &rules).await.map(drop),
    ] {
        let Err(ServiceError::Invalid(errors)) = outcome else { panic!("accepted") };
        assert_eq!(errors[1].field, "name_pattern");
        assert!(errors[1].message.ends_with("unclosed group"), "{}", errors[1].message);
    }
}

#[sqlx::test(migrations = false)]
async fn names_must_match_both_patterns(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let pattern =
        |text: &str| PolicyRules { name_pattern: Some(text.into()), ..PolicyRules::default() };
    let policies = world.authority.policies();
    policies.change(&ada, &PolicyLevel::Instance, pattern("[a-z-]+"), None).await.unwrap();
    policies.change(&ada, &home(), pattern("ci-.+"), None).await.unwrap();
    world.mint(&ada, "workspace-1", named("ci-build", "7d")).await;
    for name in ["build", "ci-1"] {
        let outcome =
            world.authority.tokens().create(&ada, &slug("workspace-1"), named(name, "7d")).await;
        let Err(ServiceError::Invalid(errors)) = outcome else { panic!("made {name}") };
        assert_eq!(errors[0].field, "name");
    }
}

#[sqlx::test(migrations = false)]
async fn preset_is_applied_in_one_step_with_its_audiences(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let policies = world.authority.policies();
    let admin = world.person("administrator", Some(("workspace-1", "admin"))).await;
    let outcome = policies.apply_preset(&admin, &home(), Preset::Devo, None).await;
    assert_eq!(code(outcome), ProblemCode::Forbidden, "audiences are the instance's");
    let preview = policies.preview_preset(&ada, &home(), Preset::Devo).await.unwrap();
    assert_eq!(preview.audiences.len(), 5);
    let shown = policies.apply_preset(&ada, &home(), Preset::Devo, Some(0)).await.unwrap();
    assert_eq!(shown.rules.preset, Some(Preset::Devo));
    assert_eq!(shown.effective.reveal, Reveal::RecoverableAllowed);
    let known = world.authority.catalogues().list(&ada).await.unwrap();
    for audience in Preset::Devo.audiences() {
        assert!(known.iter().any(|catalogue| catalogue.audience.as_ref() == audience.slug));
    }
    // Apply it again, as a caller who could not have created the audiences.
    policies.apply_preset(&admin, &home(), Preset::Devo, Some(1)).await.unwrap();
    assert!(
        policies.preview_preset(&ada, &home(), Preset::Devo).await.unwrap().audiences.is_empty()
    );
    let devo =
        TokenDraft { audiences: vec!["apiv2".into()], ..draft(&["table://*.**", "level://admin"]) };
    world.mint(&ada, "workspace-1", devo).await;
    let standard = policies.apply_preset(&ada, &home(), Preset::Standard, None).await.unwrap();
    assert_eq!(standard.effective, domain::policy::Policy::default());
}

#[sqlx::test(migrations = false)]
async fn robust_intelligence_has_two_hundred_tokens_of_270_days(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("other").await;
    let ada = world.owner().await;
    let preset = Preset::RobustIntelligence;
    world
        .authority
        .policies()
        .apply_preset(&ada, &PolicyLevel::Instance, preset, None)
        .await
        .unwrap();
    let made = world.mint(&ada, "workspace-1", draft(&["rivers:read"])).await.token;
    assert_eq!(made.expires_at, Some(crate::support::START + Duration::days(270)));
    for ends in ["never", "271d"] {
        let outcome = world.authority.tokens().create(&ada, &slug("other"), named("x", ends)).await;
        assert_eq!(code(outcome), ProblemCode::ValidationFailed);
    }
    world
        .execute(
            "INSERT INTO tokens (id, workspace_id, user_id, name, scopes, hint, created_at, updated_at)
             SELECT gen_random_uuid(), workspace_id, user_id, 'n' || i, scopes, hint, created_at, updated_at
               FROM tokens, generate_series(1, 198) AS i",
        )
        .await;
    world.mint(&ada, "other", draft(&["rivers:read"])).await;
    let outcome =
        world.authority.tokens().create(&ada, &slug("other"), draft(&["rivers:read"])).await;
    assert!(matches!(outcome, Err(ServiceError::TokenLimitReached(200))));
    let quota =
        world.authority.workspaces().show(&ada, &slug("other")).await.unwrap().quota.unwrap();
    assert_eq!((quota.used, quota.limit), (200, 200));
}

#[sqlx::test(migrations = false)]
async fn quota_is_the_lower_limit(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    world.token("default", &["rivers:read"]).await;
    let (policies, workspaces) = (world.authority.policies(), world.authority.workspaces());
    let home_slug = slug("workspace-1");
    let quota = async || workspaces.show(&ada, &home_slug).await.unwrap().quota;
    assert_eq!(quota().await, None);
    let cap = |max: i64| PolicyRules { max_tokens: Some(max), ..PolicyRules::default() };
    policies.change(&ada, &home(), cap(10), None).await.unwrap();
    assert_eq!(quota().await.map(|quota| (quota.used, quota.limit)), Some((1, 10)));
    world.workspace("other").await;
    world.mint(&ada, "other", draft(&["rivers:read"])).await;
    policies.change(&ada, &PolicyLevel::Instance, cap(5), None).await.unwrap();
    assert_eq!(quota().await.map(|quota| (quota.used, quota.limit)), Some((2, 5)));
    let member = world.person("member", Some(("workspace-1", "member"))).await;
    assert_eq!(workspaces.show(&member, &home_slug).await.unwrap().quota, None);
}
