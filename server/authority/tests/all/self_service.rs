//! Members who manage their own tokens, and what a membership grants.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, demand, draft, slug};
use authority::{
    BulkAction, Format, GrantsChange, MemberChange, OpContext, PolicyLevel, RotationDraft,
    ServiceError, TokenDraft, TokenPatch,
};
use domain::{
    access::TokenReach,
    decision::{DecisionCode, Demand},
    held::HeldScope,
    ids::UserId,
    policy::PolicyRules,
    problem::ProblemCode,
    token_query::TokenQuery,
};
use sqlx::PgPool;

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ProblemCode {
    outcome.unwrap_err().code()
}

fn id(ctx: &OpContext) -> UserId {
    match &ctx.actor {
        authority::Actor::User(visitor) => visitor.user.id,
        _ => panic!("no person"),
    }
}

async fn set_self_service(world: &World, on: bool) {
    let rules = PolicyRules { self_service: Some(on), ..PolicyRules::default() };
    let level = PolicyLevel::Workspace(slug("workspace-1"));
    world.authority.policies().change(&world.operator(), &level, rules, None).await.unwrap();
}

async fn names(world: &World, ctx: &OpContext) -> Vec<String> {
    let query = TokenQuery::default();
    let page = world.authority.tokens().list(ctx, &slug("workspace-1"), &query).await.unwrap();
    page.items.into_iter().map(|token| token.name).collect()
}

#[sqlx::test(migrations = false)]
async fn self_service_member_manages_only_their_own_tokens(pool: PgPool) {
    let world = World::founded(pool).await;
    let others = world.token("default", &["rivers:read"]).await.token;
    let member = world.person("member", Some(("workspace-1", "member"))).await;
    let tokens = world.authority.tokens();
    let home = slug("workspace-1");
    assert_eq!(code(tokens.list(&member, &home, &TokenQuery::default()).await).status(), 403);
    set_self_service(&world, true).await;
    assert_eq!(names(&world, &member).await, [""; 0]);
    let own = TokenDraft { name: "own".into(), ..draft(&["rivers:write"]) };
    let own = world.mint(&member, "workspace-1", own).await.token;
    assert_eq!(own.user.name, "member");
    assert_eq!(names(&world, &member).await, ["own"]);
    assert_eq!(tokens.show(&member, own.id).await.unwrap().id, own.id);
    assert_eq!(code(tokens.show(&member, others.id).await), ProblemCode::NotFound);
    assert_eq!(code(tokens.delete(&member, others.id, None).await), ProblemCode::NotFound);
    let for_ada =
        TokenDraft { user: Some(crate::support::OWNER.into()), ..draft(&["rivers:read"]) };
    assert_eq!(code(tokens.create(&member, &home, for_ada).await), ProblemCode::ValidationFailed);
    // The token's owner counts, not its creator.
    let given = TokenDraft { user: Some("member@example.com".into()), ..draft(&["rivers:read"]) };
    let given = world.mint(&world.owner().await, "workspace-1", given).await.token;
    tokens.delete(&member, given.id, None).await.unwrap();
    set_self_service(&world, false).await;
    assert_eq!(code(tokens.show(&member, own.id).await), ProblemCode::NotFound);
}

#[sqlx::test(migrations = false)]
async fn token_of_a_member_reaches_the_members_own_tokens(pool: PgPool) {
    let world = World::founded(pool).await;
    set_self_service(&world, true).await;
    let others = world.token("default", &["rivers:read"]).await.token;
    let member = world.person("member", Some(("workspace-1", "member"))).await;
    let tokens = world.authority.tokens();
    let managing = |scope: &str| TokenDraft {
        name: scope.into(),
        audiences: vec!["tessera".into(), "default".into()],
        ..draft(&[scope, "rivers:read"])
    };
    let reader = world.mint(&member, "workspace-1", managing("tokens:read")).await;
    let writer = world.mint(&member, "workspace-1", managing("tokens:write")).await;
    let reader_ctx = world.bearer(&reader).await;
    let mut seen = names(&world, &reader_ctx).await;
    seen.sort();
    assert_eq!(seen, ["tokens:read", "tokens:write"]);
    assert_eq!(code(tokens.show(&reader_ctx, others.id).await), ProblemCode::NotFound);
    assert_eq!(
        code(tokens.delete(&reader_ctx, writer.token.id, None).await),
        ProblemCode::InsufficientScope
    );
    let writer_ctx = world.bearer(&writer).await;
    let child = world.mint(&writer_ctx, "workspace-1", draft(&["rivers:read"])).await.token;
    assert_eq!(child.user.name, "member");
    tokens.delete(&writer_ctx, child.id, None).await.unwrap();
    assert_eq!(code(tokens.delete(&writer_ctx, others.id, None).await), ProblemCode::NotFound);
}

#[sqlx::test(migrations = false)]
async fn viewer_reads_all_tokens_and_members_and_changes_nothing(pool: PgPool) {
    let world = World::founded(pool).await;
    set_self_service(&world, true).await;
    let token = world.token("default", &["rivers:read"]).await.token;
    let viewer = world.person("viewer", Some(("workspace-1", "viewer"))).await;
    let home = slug("workspace-1");
    assert_eq!(names(&world, &viewer).await, ["ci"]);
    let tokens = world.authority.tokens();
    tokens.show(&viewer, token.id).await.unwrap();
    assert_eq!(code(tokens.delete(&viewer, token.id, None).await), ProblemCode::Forbidden);
    assert_eq!(
        code(tokens.create(&viewer, &home, draft(&["rivers:read"])).await),
        ProblemCode::Forbidden
    );
    let workspaces = world.authority.workspaces();
    assert_eq!(workspaces.members(&viewer, &home).await.unwrap().len(), 2);
    let change = MemberChange::default();
    let outcome = workspaces.change_member(&viewer, &home, id(&viewer), change, None).await;
    assert_eq!(code(outcome), ProblemCode::Forbidden);
}

#[sqlx::test(migrations = false)]
async fn token_can_use_only_scopes_that_its_user_may_grant_now(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let member = world.person("member", Some(("workspace-1", "member"))).await;
    let both = TokenDraft {
        user: Some("member@example.com".into()),
        ..draft(&["rivers:write", "teams:read"])
    };
    let secret = world.mint(&ada, "workspace-1", both).await.secret;
    let decide =
        async |scope: &str| world.decide(secret.expose(), &demand("default", &[scope])).await;
    let home = slug("workspace-1");
    let workspaces = world.authority.workspaces();
    let grant = async |patterns: Option<&[&str]>| {
        let grants = patterns.map_or(GrantsChange::ByRole, |texts| {
            GrantsChange::Patterns(texts.iter().map(ToString::to_string).collect())
        });
        let change = MemberChange { grants, role: None, ..MemberChange::default() };
        workspaces.change_member(&ada, &home, id(&member), change, None).await.unwrap();
    };
    let (valid, lacking) = (DecisionCode::Valid, DecisionCode::InsufficientScope);
    for scope in ["rivers:write", "rivers:read", "teams:read"] {
        assert_eq!(decide(scope).await, valid, "{scope}");
    }
    grant(Some(&["teams:*"])).await;
    assert_eq!(decide("rivers:write").await, lacking);
    assert_eq!(decide("rivers:read").await, lacking);
    assert_eq!(decide("teams:read").await, valid);
    grant(Some(&["rivers:read"])).await;
    assert_eq!(decide("rivers:write").await, lacking);
    assert_eq!(decide("rivers:read").await, valid, "only reading remains of writing");
    grant(Some(&[])).await;
    assert_eq!(decide("teams:read").await, lacking, "no pattern grants nothing");
    assert_eq!(world.decide(secret.expose(), &Demand::default()).await, valid);
    grant(None).await;
    assert_eq!(decide("rivers:write").await, valid);
    let change = MemberChange {
        role: Some(domain::roles::WorkspaceRole::Viewer),
        ..MemberChange::default()
    };
    workspaces.change_member(&ada, &home, id(&member), change, None).await.unwrap();
    assert_eq!(decide("rivers:write").await, lacking);
    assert_eq!(decide("rivers:read").await, valid, "viewers read");
    // The rights of a requesting token are limited, too.
    let asks = TokenDraft {
        user: Some("member@example.com".into()),
        audiences: vec!["tessera".into()],
        ..draft(&["tokens:write"])
    };
    let asking = world.bearer(&world.mint(&ada, "workspace-1", asks).await).await;
    assert_eq!(
        code(world.authority.tokens().create(&asking, &home, draft(&["rivers:read"])).await),
        ProblemCode::InsufficientScope
    );
}

#[sqlx::test(migrations = false)]
async fn callers_put_only_grantable_scopes_on_tokens(pool: PgPool) {
    let world = World::founded(pool).await;
    set_self_service(&world, true).await;
    let ada = world.owner().await;
    let home = slug("workspace-1");
    let member = world.person("member", Some(("workspace-1", "member"))).await;
    let admin = world.person("administrator", Some(("workspace-1", "admin"))).await;
    for ctx in [&member, &admin] {
        let grants = GrantsChange::Patterns(vec!["rivers:write".into()]);
        let change = MemberChange { grants, role: None, ..MemberChange::default() };
        world
            .authority
            .workspaces()
            .change_member(&ada, &home, id(ctx), change, None)
            .await
            .unwrap();
        let tokens = world.authority.tokens();
        tokens.create(ctx, &home, draft(&["rivers:write", "rivers:read"])).await.unwrap();
        let outcome = tokens.create(ctx, &home, draft(&["rivers:run"])).await;
        let Err(ServiceError::Invalid(errors)) = outcome else { panic!("made") };
        assert_eq!(errors[0].message, "has rivers:run, which you may not grant");
    }
    // They cannot grant it to other members or to themselves either.
    let workspaces = world.authority.workspaces();
    for (who, grants) in [
        (&member, GrantsChange::ByRole),
        (&admin, GrantsChange::ByRole),
        (&admin, GrantsChange::Patterns(vec!["*".into()])),
    ] {
        let change = MemberChange { grants, role: None, ..MemberChange::default() };
        let outcome = workspaces.change_member(&admin, &home, id(who), change, None).await;
        let Err(ServiceError::Invalid(errors)) = outcome else { panic!("changed") };
        assert_eq!(errors[0].field, "grants");
    }
}

#[sqlx::test(migrations = false)]
async fn callers_never_get_the_secret_of_a_token_that_they_could_not_create(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let home = slug("workspace-1");
    let admin = world.person("administrator", Some(("workspace-1", "admin"))).await;
    world.person("member", Some(("workspace-1", "member"))).await;
    let change = MemberChange {
        grants: GrantsChange::Patterns(vec!["rivers:*".into()]),
        role: None,
        ..MemberChange::default()
    };
    let workspaces = world.authority.workspaces();
    workspaces.change_member(&ada, &home, id(&admin), change, None).await.unwrap();
    let tokens = world.authority.tokens();
    let owned =
        |scopes: &[&str]| TokenDraft { user: Some("member@example.com".into()), ..draft(scopes) };
    let within = world.mint(&ada, "workspace-1", owned(&["rivers:run"])).await.token;
    let beyond = world.mint(&ada, "workspace-1", owned(&["teams:read"])).await.token;
    let rotation = RotationDraft::default;
    tokens.rotate(&admin, within.id, None, rotation()).await.unwrap();
    let refused = tokens.rotate(&admin, beyond.id, None, rotation()).await;
    assert_eq!(code(refused), ProblemCode::Forbidden);
    let mine =
        || TokenPatch { user: Some("administrator@example.com".into()), ..Default::default() };
    tokens.update(&admin, within.id, None, mine()).await.unwrap();
    let refused = tokens.update(&admin, beyond.id, None, mine()).await.unwrap_err();
    assert_eq!(refused.problem().errors[0].field, "user");
    // An administrator may still make changes that give themselves nothing.
    tokens.disable(&admin, beyond.id, None).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn new_name_must_match_the_pattern_and_an_old_one_may_stay(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let token = world.token("default", &["rivers:read"]).await.token;
    let rules = PolicyRules { name_pattern: Some("svc-.*".into()), ..PolicyRules::default() };
    let level = PolicyLevel::Workspace(slug("workspace-1"));
    world.authority.policies().change(&world.operator(), &level, rules, None).await.unwrap();
    let tokens = world.authority.tokens();
    let rename = |name: &str| TokenPatch { name: Some(name.into()), ..Default::default() };
    let refused = tokens.update(&ada, token.id, None, rename("other")).await.unwrap_err();
    assert_eq!(refused.problem().errors[0].field, "name");
    tokens.update(&ada, token.id, None, rename(&token.name)).await.unwrap();
    let renamed = tokens.update(&ada, token.id, None, rename("svc-ci")).await.unwrap();
    assert_eq!(renamed.name, "svc-ci");
}

#[sqlx::test(migrations = false)]
async fn bulk_changes_and_exports_reach_only_a_members_own_tokens(pool: PgPool) {
    let world = World::founded(pool).await;
    let others = world.token("default", &["rivers:read"]).await;
    let member = world.person("member", Some(("workspace-1", "member"))).await;
    let home = slug("workspace-1");
    let tokens = world.authority.tokens();
    let delete = BulkAction::Delete;
    let refused = tokens.bulk(&member, &home, delete, &[others.token.id]).await;
    assert_eq!(code(refused), ProblemCode::Forbidden, "no self-service");
    set_self_service(&world, true).await;
    let own = TokenDraft { name: "own".into(), ..draft(&["rivers:write"]) };
    let own = world.mint(&member, "workspace-1", own).await.token;
    let unknown = own.user.id.0.into();
    for action in [BulkAction::Disable, BulkAction::Enable, BulkAction::Expire, delete] {
        let ids = [others.token.id, own.id, unknown];
        let outcomes = tokens.bulk(&member, &home, action, &ids).await.unwrap();
        let [theirs, own, unknown] = outcomes.try_into().unwrap();
        // A token of another user cannot be told apart from one that does not exist.
        let [theirs, unknown] = [theirs, unknown].map(|item| item.outcome.unwrap_err().problem());
        assert_eq!(theirs, unknown, "{action:?}");
        assert_eq!(theirs.code, ProblemCode::NotFound);
        own.outcome.unwrap();
        let demand = demand("default", &["rivers:read"]);
        assert_eq!(world.decide(others.secret.expose(), &demand).await, DecisionCode::Valid);
    }
    let mine = TokenDraft { name: "mine".into(), ..draft(&["rivers:read"]) };
    world.mint(&member, "workspace-1", mine).await;
    let page = tokens.list(&member, &home, &TokenQuery::default()).await.unwrap();
    let transfer = world.authority.transfer();
    let file = transfer.write_tokens(&member, Format::Csv, page.items).await.unwrap();
    assert_eq!(file.lines().count(), 1);
    assert!(file.contains("mine") && !file.contains(&others.token.id.to_string()), "{file}");
}

#[sqlx::test(migrations = false)]
async fn reach_is_reported_and_counts_cover_only_reachable_tokens(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    world.token("default", &["rivers:read"]).await;
    let member = world.person("member", Some(("workspace-1", "member"))).await;
    let viewer = world.person("viewer", Some(("workspace-1", "viewer"))).await;
    let verifier = world.person("verifier", Some(("workspace-1", "verifier"))).await;
    let home = slug("workspace-1");
    let limit = async |self_service| {
        let rules = PolicyRules {
            max_tokens: Some(5),
            self_service: Some(self_service),
            ..PolicyRules::default()
        };
        let level = PolicyLevel::Workspace(home.clone());
        world.authority.policies().change(&ada, &level, rules, None).await.unwrap();
    };
    limit(false).await;
    let sees = async |ctx: &OpContext| {
        let overview = world.authority.workspaces().show(ctx, &home).await.unwrap();
        let cards = world.authority.workspaces().list(ctx).await.unwrap();
        assert_eq!((cards[0].reach, cards[0].counts), (overview.reach, overview.counts));
        (overview.reach, overview.counts.total, overview.quota.map(|quota| quota.used))
    };
    assert_eq!(sees(&ada).await, (TokenReach::All, 1, Some(1)));
    assert_eq!(sees(&viewer).await, (TokenReach::Read, 1, Some(1)));
    for ctx in [&member, &verifier] {
        assert_eq!(sees(ctx).await, (TokenReach::None, 0, None));
    }
    limit(true).await;
    assert_eq!(sees(&member).await, (TokenReach::Own, 0, None));
    assert_eq!(sees(&verifier).await, (TokenReach::None, 0, None));
    for name in ["a", "b"] {
        let own = TokenDraft { name: name.into(), ..draft(&["rivers:read"]) };
        world.mint(&member, "workspace-1", own).await;
    }
    assert_eq!(sees(&member).await, (TokenReach::Own, 2, None));
    assert_eq!(sees(&ada).await.1, 3);
}

#[sqlx::test(migrations = false)]
async fn form_reports_what_creating_would_refuse(pool: PgPool) {
    let world = World::founded(pool).await;
    set_self_service(&world, true).await;
    let ada = world.owner().await;
    let member = world.person("member", Some(("workspace-1", "member"))).await;
    let viewer = world.person("viewer", Some(("workspace-1", "viewer"))).await;
    let home = slug("workspace-1");
    let tokens = world.authority.tokens();
    assert_eq!(code(tokens.withheld(&viewer, &home).await), ProblemCode::Forbidden);
    assert!(tokens.withheld(&ada, &home).await.unwrap().is_empty());
    assert!(tokens.withheld(&member, &home).await.unwrap().is_empty());
    let grants = GrantsChange::Patterns(vec!["rivers:write".into(), "teams:*".into()]);
    let change = MemberChange { grants, role: None, ..MemberChange::default() };
    let workspaces = world.authority.workspaces();
    workspaces.change_member(&ada, &home, id(&member), change, None).await.unwrap();
    let withheld = tokens.withheld(&member, &home).await.unwrap();
    for catalogue in world.authority.catalogues().list(&member).await.unwrap() {
        for scope in catalogue.scopes() {
            let draft = TokenDraft {
                name: scope.name.to_string(),
                audiences: vec![catalogue.audience.to_string()],
                ..draft(&[scope.name.as_ref()])
            };
            let refused = tokens.create(&member, &home, draft).await.is_err();
            let pair: HeldScope = format!("{}/{}", catalogue.audience, scope.name).parse().unwrap();
            assert_eq!(withheld.contains(&pair), refused, "{pair}");
        }
    }
    let offered = |pair: &str| !withheld.contains(&pair.parse().unwrap());
    assert!(offered("default/rivers:write") && offered("default/rivers:read"));
    assert!(!offered("default/rivers:run"));
}
