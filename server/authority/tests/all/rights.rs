//! Rights that do not grow: edits that widen, bounds of tokens that tokens create, lifetimes of
//! rotations, stops by an administrator, and a policy that shows secrets only once.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, draft, slug};
use authority::{
    BulkAction, Edit, Format, GrantsChange, MemberChange, MintedToken, OpContext, PolicyLevel,
    Recoverable, RotationDraft, ServiceError, TokenDraft, TokenPatch,
};
use domain::{
    decision::{DecisionCode, Demand},
    expiry,
    ids::UserId,
    policy::{OnParentEnd, PolicyRules, Reveal},
    problem::ProblemCode,
    rate_limit::RateLimit,
    token::{Standing, Token},
};
use sqlx::PgPool;
use time::Duration;

const HOME: &str = "workspace-1";

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ProblemCode {
    outcome.unwrap_err().code()
}

fn fields<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> Vec<String> {
    let problem = outcome.unwrap_err().problem();
    assert_eq!(problem.code, ProblemCode::BoundExceeded);
    problem.errors.into_iter().map(|error| error.field).collect()
}

fn id(ctx: &OpContext) -> UserId {
    match &ctx.actor {
        authority::Actor::User(visitor) => visitor.user.id,
        _ => panic!("not a person"),
    }
}

async fn set(world: &World, rules: PolicyRules) {
    let level = PolicyLevel::Workspace(slug(HOME));
    world.authority.policies().change(&world.operator(), &level, rules, None).await.unwrap();
}

fn patch(change: impl FnOnce(&mut TokenPatch)) -> TokenPatch {
    let mut patch = TokenPatch::default();
    change(&mut patch);
    patch
}

fn prolong(text: &str) -> TokenPatch {
    patch(|patch| patch.expiry = Some(expiry::parse(text)))
}

/// Returns a draft that may manage tokens, for an hour, from one address, five times an hour.
fn narrow() -> TokenDraft {
    TokenDraft {
        audiences: vec!["tessera".into(), "default".into()],
        expiry: expiry::parse("1h"),
        ip_allow: vec!["192.0.2.0/24".into()],
        rate_limit: RateLimit::new(500, 3_600).map(Some),
        ..draft(&["tokens:write", "rivers:read"])
    }
}

/// Creates an administrator of the workspace who may put only these scopes on tokens.
async fn limited(world: &World, grants: &[&str]) -> OpContext {
    let lim = world.person("limited", Some((HOME, "admin"))).await;
    let grants = grants.iter().map(ToString::to_string).collect();
    let grants = GrantsChange::Patterns(grants);
    let change = MemberChange { grants, ..MemberChange::default() };
    let workspaces = world.authority.workspaces();
    workspaces.change_member(&world.operator(), &slug(HOME), id(&lim), change, None).await.unwrap();
    lim
}

#[sqlx::test(migrations = false)]
async fn editor_who_cannot_grant_the_scopes_of_a_token_can_only_narrow_it(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let lim = limited(&world, &["rivers:read", "tokens:read", "tokens:write"]).await;
    world.person("admin", Some((HOME, "admin"))).await;
    let strong = TokenDraft {
        user: Some("limited@example.com".into()),
        ip_allow: vec!["192.0.2.0/24".into()],
        rate_limit: RateLimit::new(5, 60).map(Some),
        not_before: Some("2026-01-05T00:00:00Z".into()),
        ..draft(&["users:write"])
    };
    let strong = world.mint(&ada, HOME, strong).await.token.id;
    let manager =
        TokenDraft { audiences: vec!["tessera".into()], ..draft(&["tokens:read", "tokens:write"]) };
    let manager = world.mint(&lim, HOME, manager).await;
    let manager = world.bearer(&manager).await;
    let tokens = world.authority.tokens();
    let wider = || {
        [
            patch(|patch| patch.user = Some("admin@example.com".into())),
            prolong("never"),
            patch(|patch| patch.ip_allow = Some(vec![])),
            patch(|patch| patch.ip_allow = Some(vec!["192.0.0.0/16".into()])),
            patch(|patch| patch.rate_limit = Edit::Remove),
            patch(|patch| patch.rate_limit = Edit::Set(RateLimit::new(6, 60))),
            patch(|patch| patch.not_before = Edit::Remove),
            patch(|patch| patch.not_before = Edit::Set("2026-01-04T00:00:00Z".into())),
        ]
    };
    for ctx in [&lim, &manager] {
        for (index, patch) in wider().into_iter().enumerate() {
            let refused = code(tokens.update(ctx, strong, None, patch).await);
            let field = matches!((index, &ctx.actor), (0, authority::Actor::User(_)));
            let wanted = if field { ProblemCode::ValidationFailed } else { ProblemCode::Forbidden };
            assert_eq!(refused, wanted, "{index}");
        }
        let narrower = patch(|patch| {
            patch.ip_allow = Some(vec!["192.0.2.7".into()]);
            patch.rate_limit = Edit::Set(RateLimit::new(4, 60));
            patch.expiry = Some(expiry::parse("30d"));
            patch.name = Some("narrower".into());
        });
        tokens.update(ctx, strong, None, narrower).await.unwrap();
        tokens.disable(ctx, strong, None).await.unwrap();
        assert_eq!(code(tokens.enable(ctx, strong, None).await), ProblemCode::Forbidden);
        let on = patch(|patch| patch.enabled = Some(true));
        assert_eq!(code(tokens.update(ctx, strong, None, on).await), ProblemCode::Forbidden);
        let many = tokens.bulk(ctx, &slug(HOME), BulkAction::Enable, &[strong]).await.unwrap();
        assert!(many[0].outcome.is_err());
        assert_eq!(
            code(tokens.rotate(ctx, strong, None, RotationDraft::default()).await),
            ProblemCode::Forbidden
        );
        assert!(tokens.clone_of(ctx, strong, None, "copy".into()).await.is_err());
    }
    let token = tokens.enable(&ada, strong, None).await.unwrap();
    tokens.update(&ada, strong, None, prolong("never")).await.unwrap();
    assert_eq!((token.enabled, token.disabled_by), (true, None));
}

#[sqlx::test(migrations = false)]
async fn limited_editor_cannot_enable_a_token_that_acts_as_an_instance_administrator(pool: PgPool) {
    let world = World::founded(pool).await;
    let admin = world.person("admin", Some((HOME, "admin"))).await;
    let token = world.token("default", &["rivers:read"]).await.token.id;
    let tokens = world.authority.tokens();
    tokens.disable(&admin, token, None).await.unwrap();
    assert_eq!(code(tokens.enable(&admin, token, None).await), ProblemCode::Forbidden);
    tokens.enable(&world.owner().await, token, None).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn administrator_can_narrow_a_member_to_rights_that_they_could_not_give(pool: PgPool) {
    let world = World::founded(pool).await;
    let lim = limited(&world, &["rivers:*"]).await;
    let member = world.person("member", Some((HOME, "member"))).await;
    let workspaces = world.authority.workspaces();
    let home = slug(HOME);
    let change = |grants: &[&str]| {
        let grants = GrantsChange::Patterns(grants.iter().map(ToString::to_string).collect());
        let change = MemberChange { role: None, grants, ..MemberChange::default() };
        workspaces.change_member(&lim, &home, id(&member), change, None)
    };
    change(&["teams:read", "users:read"]).await.unwrap();
    change(&["teams:read"]).await.unwrap();
    assert_eq!(code(change(&["teams:*"]).await), ProblemCode::ValidationFailed);
    change(&["rivers:read"]).await.unwrap();
    assert_eq!(code(change(&["teams:read"]).await), ProblemCode::ValidationFailed);
}

#[sqlx::test(migrations = false)]
async fn token_creates_nothing_beyond_its_own_bounds(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let parent = world.mint(&ada, HOME, narrow()).await;
    let asks = world.bearer(&parent).await;
    let tokens = world.authority.tokens();
    let home = slug(HOME);
    let free = TokenDraft {
        expiry: expiry::parse("never"),
        ip_allow: vec!["0.0.0.0/0".into()],
        rate_limit: RateLimit::new(600, 60).map(Some),
        ..draft(&["rivers:read"])
    };
    let refused = fields(tokens.create(&asks, &home, free).await);
    assert_eq!(refused, ["expires_at", "ip_allow", "rate_limit"]);
    let child = world.mint(&asks, HOME, draft(&["rivers:read"])).await.token;
    let bounds = |token: &Token| (token.expires_at, token.ip_allow.clone(), token.rate_limit);
    assert_eq!(bounds(&child), bounds(&parent.token), "omitted values are the parent's");
    assert_eq!(child.parent, Some(parent.token.id));
    let endless = TokenDraft {
        name: "kri".into(),
        expiry: expiry::parse("never"),
        cut_end: true,
        ..draft(&["rivers:read"])
    };
    let cut = world.mint(&asks, HOME, endless).await.token;
    assert_eq!(cut.expires_at, parent.token.expires_at);
    // Neither the token, its child, a copy nor an imported token exceeds the token's bounds.
    for target in [parent.token.id, child.id] {
        let wider = patch(|patch| {
            patch.expiry = Some(expiry::parse("never"));
            patch.ip_allow = Some(vec![]);
            patch.rate_limit = Edit::Remove;
        });
        let refused = fields(tokens.update(&asks, target, None, wider).await);
        assert_eq!(refused, ["expires_at", "ip_allow", "rate_limit"]);
    }
    let open = TokenDraft { name: "open".into(), ..draft(&["rivers:read"]) };
    let open = world.mint(&ada, HOME, open).await.token;
    let copy = tokens.clone_of(&asks, open.id, None, "copy".into()).await.unwrap().token;
    assert_eq!(bounds(&copy), bounds(&parent.token));
    tokens.disable(&asks, open.id, None).await.unwrap();
    assert_eq!(fields(tokens.enable(&asks, open.id, None).await).len(), 3);
    let row = format!(r#"{{"digest":"{}","name":"in","scopes":["rivers:read"]}}"#, "ab".repeat(32));
    let transfer = world.authority.transfer();
    let report = transfer.import(&asks, &home, Format::Jsonl, row.as_bytes(), false).await.unwrap();
    let imported = tokens.show(&ada, report.tokens[0].id.unwrap()).await.unwrap();
    assert_eq!((bounds(&imported), imported.parent), (bounds(&parent.token), child.parent));
    // Tokens that a person, or a token without bounds, creates are not bound.
    let endless = TokenDraft { name: "endless".into(), expiry: expiry::parse("never"), ..narrow() };
    let endless = TokenDraft { ip_allow: vec![], rate_limit: Ok(None), ..endless };
    let endless = world.mint(&ada, HOME, endless).await;
    let wish = TokenDraft {
        name: "forever".into(),
        expiry: expiry::parse("never"),
        ..draft(&["rivers:read"])
    };
    let made = world.mint(&world.bearer(&endless).await, HOME, wish).await.token;
    assert_eq!(made.expires_at, None);
}

async fn family(world: &World) -> (MintedToken, MintedToken, MintedToken) {
    let draft = |name: &str| TokenDraft { name: name.into(), ..narrow() };
    let parent = world.mint(&world.owner().await, HOME, draft("parent")).await;
    let child = world.mint(&world.bearer(&parent).await, HOME, draft("child")).await;
    let grandchild = world.mint(&world.bearer(&child).await, HOME, draft("grandchild")).await;
    (parent, child, grandchild)
}

async fn decision(world: &World, minted: &MintedToken) -> DecisionCode {
    let demand = Demand { ip: Some("192.0.2.1".parse().unwrap()), ..Demand::default() };
    world.decide(minted.secret.expose(), &demand).await
}

#[sqlx::test(migrations = false)]
async fn children_are_stopped_with_their_parent_on_request_or_by_policy(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let (parent, child, grandchild) = family(&world).await;
    tokens.disable(&ada, parent.token.id, None).await.unwrap();
    assert_eq!(decision(&world, &child).await, DecisionCode::Valid, "kept by default");
    tokens.disable_with_children(&ada, parent.token.id, None, true).await.unwrap();
    for token in [&child, &grandchild] {
        assert_eq!(decision(&world, token).await, DecisionCode::Disabled);
    }
    tokens.delete_with_children(&ada, child.token.id, None, true).await.unwrap();
    assert_eq!(decision(&world, &grandchild).await, DecisionCode::Revoked);
    let (one, child, grandchild) = family(&world).await;
    let (two, other, _) = family(&world).await;
    let ids = [one.token.id, two.token.id];
    let many = async |action, children| {
        let outcomes = tokens.bulk_with_children(&ada, &slug(HOME), action, &ids, children).await;
        outcomes.map(|outcomes| outcomes.iter().all(|one| one.outcome.is_ok()))
    };
    assert!(many(BulkAction::Disable, false).await.unwrap());
    assert_eq!(decision(&world, &child).await, DecisionCode::Valid);
    assert!(many(BulkAction::Disable, true).await.unwrap());
    for token in [&child, &grandchild, &other] {
        assert_eq!(decision(&world, token).await, DecisionCode::Disabled);
    }
    assert_eq!(code(many(BulkAction::Enable, true).await), ProblemCode::ValidationFailed);
    assert!(many(BulkAction::Delete, true).await.unwrap());
    assert_eq!(decision(&world, &grandchild).await, DecisionCode::Revoked);
    let end = PolicyRules { on_parent_end: Some(OnParentEnd::End), ..PolicyRules::default() };
    set(&world, end).await;
    let (parent, child, grandchild) = family(&world).await;
    tokens.disable(&ada, parent.token.id, None).await.unwrap();
    assert_eq!(decision(&world, &grandchild).await, DecisionCode::Disabled);
    let (parent, ..) = (parent, child);
    tokens.delete(&ada, parent.token.id, None).await.unwrap();
    assert_eq!(decision(&world, &grandchild).await, DecisionCode::Revoked);
    let (parent, _, grandchild) = family(&world).await;
    tokens.delete_self(&world.bearer(&parent).await, None).await.unwrap();
    assert_eq!(decision(&world, &grandchild).await, DecisionCode::Revoked);
}

#[sqlx::test(migrations = false)]
async fn earlier_end_of_a_parent_also_ends_its_children_if_policy_says_so(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let show = async |minted: &MintedToken| {
        tokens.show(&world.owner().await, minted.token.id).await.unwrap().expires_at
    };
    let end_at = |end| patch(|patch| patch.expiry = Some(Ok(expiry::ExpiryChoice::Exactly(end))));
    let (past, soon) = (ada.now - Duration::days(400), ada.now + Duration::minutes(5));
    let (parent, child, _) = family(&world).await;
    tokens.update(&ada, parent.token.id, None, end_at(past)).await.unwrap();
    assert_eq!(decision(&world, &child).await, DecisionCode::Valid, "kept by default");

    let end = PolicyRules { on_parent_end: Some(OnParentEnd::End), ..PolicyRules::default() };
    set(&world, end).await;
    let (parent, child, grandchild) = family(&world).await;
    for token in [&child, &grandchild] {
        assert_eq!(decision(&world, token).await, DecisionCode::Valid);
    }
    tokens.update(&ada, parent.token.id, None, end_at(past)).await.unwrap();
    for token in [&child, &grandchild] {
        assert_eq!(decision(&world, token).await, DecisionCode::Expired);
    }

    let by_itself = async |parent: &MintedToken| {
        let soon = RotationDraft {
            expiry: Some(Ok(expiry::ExpiryChoice::At(soon))),
            ..RotationDraft::default()
        };
        tokens.rotate_self(&world.bearer(parent).await, None, soon).await.unwrap();
    };
    let by_person = async |parent: &MintedToken| {
        let soon = RotationDraft {
            expiry: Some(Ok(expiry::ExpiryChoice::At(soon))),
            ..RotationDraft::default()
        };
        tokens.rotate(&ada, parent.token.id, None, soon).await.unwrap();
    };
    let (edited, kept, first) = family(&world).await;
    tokens.update(&ada, edited.token.id, None, end_at(soon)).await.unwrap();
    let (itself, second, _) = family(&world).await;
    by_itself(&itself).await;
    let (rotated, third, _) = family(&world).await;
    by_person(&rotated).await;
    for token in [&kept, &first, &second, &third] {
        assert_eq!(show(token).await, Some(soon), "{}", token.token.name);
        assert_eq!(decision(&world, token).await, DecisionCode::Valid);
    }
    // A later expiry of the parent does not extend its children.
    tokens.update(&ada, edited.token.id, None, prolong("1h")).await.unwrap();
    assert_eq!(show(&kept).await, Some(soon));
    world.pass(Duration::minutes(5));
    for token in [&kept, &first, &second, &third] {
        assert_eq!(decision(&world, token).await, DecisionCode::Expired);
    }
}

#[sqlx::test(migrations = false)]
async fn self_rotation_keeps_the_lifetime_of_a_token(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let hour = TokenDraft { expiry: expiry::parse("1h"), ..draft(&["rivers:read"]) };
    let minted = world.mint(&ada, HOME, hour).await;
    let old_end = minted.token.expires_at.unwrap();
    world.pass(Duration::minutes(30));
    let wish = |text: &str| RotationDraft {
        grace_s: Some(30 * 86_400),
        expiry: Some(expiry::parse(text)),
        ..RotationDraft::default()
    };
    let asks = world.bearer(&minted).await;
    let once = tokens.rotate_self(&asks, None, wish("never")).await.unwrap();
    assert_eq!(once.token.expires_at, Some(old_end + Duration::minutes(30)));
    assert_eq!(once.token.grace_until, Some(old_end), "the old secret expires as before");
    // A shorter expiry that the token chose itself is not the lifetime that it was given.
    let asks = world.bearer(&once).await;
    let soon = RotationDraft {
        expiry: Some(Ok(expiry::ExpiryChoice::In(60))),
        ..RotationDraft::default()
    };
    let short = tokens.rotate_self(&asks, None, soon).await.unwrap();
    let asks = world.bearer(&short).await;
    let long = tokens.rotate_self(&asks, None, wish("9d")).await.unwrap();
    assert_eq!(long.token.expires_at, Some(old_end + Duration::minutes(30)));
    // A user who may set the lifetime gives it another one.
    let id = long.token.id;
    tokens.update(&world.owner().await, id, None, prolong("2h")).await.unwrap();
    let asks = world.bearer(&long).await;
    let longer = tokens.rotate_self(&asks, None, wish("never")).await.unwrap();
    assert_eq!(longer.token.expires_at, Some(old_end + Duration::minutes(90)));
    // A token that was created without an expiry keeps having none.
    let endless = TokenDraft { expiry: expiry::parse("never"), ..draft(&["rivers:read"]) };
    let endless = world.mint(&world.owner().await, HOME, endless).await;
    let asks = world.bearer(&endless).await;
    let endless = tokens.rotate_self(&asks, None, RotationDraft::default()).await.unwrap();
    assert_eq!(endless.token.expires_at, None);
}

#[sqlx::test(migrations = false)]
async fn policy_can_forbid_self_rotation(pool: PgPool) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    let minted = world.mint(&world.owner().await, HOME, narrow()).await;
    set(&world, PolicyRules { self_rotate: Some(false), ..PolicyRules::default() }).await;
    let asks = world.bearer(&minted).await;
    let draft = RotationDraft::default;
    assert_eq!(code(tokens.rotate_self(&asks, None, draft()).await), ProblemCode::Forbidden);
    let by_id = tokens.rotate(&asks, minted.token.id, None, draft()).await;
    assert_eq!(code(by_id), ProblemCode::Forbidden);
    tokens.rotate(&world.owner().await, minted.token.id, None, draft()).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn member_cannot_undo_what_an_administrator_stopped(pool: PgPool) {
    let world = World::founded(pool).await;
    set(&world, PolicyRules { self_service: Some(true), ..PolicyRules::default() }).await;
    let admin = world.person("admin", Some((HOME, "admin"))).await;
    let member = world.person("member", Some((HOME, "member"))).await;
    let tokens = world.authority.tokens();
    let manager = TokenDraft {
        name: "manager".into(),
        audiences: vec!["tessera".into(), "default".into()],
        ..draft(&["tokens:write", "rivers:read"])
    };
    let manager = world.bearer(&world.mint(&member, HOME, manager).await).await;
    let minted = world.mint(&member, HOME, draft(&["rivers:read"])).await;
    let id = minted.token.id;
    // They may undo their own stops.
    tokens.disable(&member, id, None).await.unwrap();
    tokens.enable(&member, id, None).await.unwrap();
    let undone = async |ctx: &OpContext| {
        let on = patch(|patch| patch.enabled = Some(true));
        let bulk = tokens.bulk(ctx, &slug(HOME), BulkAction::Enable, &[id]).await.unwrap();
        assert!(bulk[0].outcome.is_err() || tokens.show(ctx, id).await.unwrap().enabled);
        [
            code(tokens.update(ctx, id, None, on).await.and_then(|token| {
                if token.active { Ok(token) } else { Err(ServiceError::Forbidden("no effect")) }
            })),
            code(tokens.update(ctx, id, None, prolong("never")).await),
            code(tokens.rotate(ctx, id, None, RotationDraft::default()).await),
            code(tokens.clone_of(ctx, id, None, "copy".into()).await),
        ]
    };
    // A token that they disabled themselves counts as disabled by the administrator from then on.
    for first in [false, true] {
        if first {
            tokens.disable(&member, id, None).await.unwrap();
        }
        let stopped = tokens.disable(&admin, id, None).await.unwrap();
        let by = stopped.disabled_by.unwrap();
        assert_eq!(by.standing, Standing::Administrator);
        assert_eq!(by.user.unwrap().name, "admin");
        tokens.disable(&member, id, None).await.unwrap();
        for ctx in [&member, &manager] {
            assert_eq!(code(tokens.enable(ctx, id, None).await), ProblemCode::Forbidden);
            assert_eq!(undone(ctx).await, [ProblemCode::Forbidden; 4]);
        }
        tokens.enable(&admin, id, None).await.unwrap();
    }
    tokens.expire(&admin, id, None).await.unwrap();
    world.pass(Duration::seconds(1));
    let (admin, member) =
        (world.signed_in("admin@example.com").await, world.signed_in("member@example.com").await);
    assert_eq!(undone(&member).await, [ProblemCode::Forbidden; 4]);
    assert_eq!(decision(&world, &minted).await, DecisionCode::Expired);
    tokens.update(&admin, id, None, prolong("30d")).await.unwrap();
    assert_eq!(decision(&world, &minted).await, DecisionCode::Valid);
    // An earlier expiry that an administrator set is the administrator's.
    tokens.update(&admin, id, None, prolong("1d")).await.unwrap();
    let later = tokens.update(&member, id, None, prolong("2d")).await;
    assert_eq!(code(later), ProblemCode::Forbidden);
    let end = tokens.show(&admin, id).await.unwrap().expires_at;
    let manager = world.context(manager.actor.clone());
    let never = RotationDraft { expiry: Some(expiry::parse("never")), ..RotationDraft::default() };
    for ctx in [&member, &manager] {
        let rotated = tokens.rotate(ctx, id, None, never.clone()).await.unwrap().token;
        assert_eq!(
            rotated.expires_at, end,
            "neither a rotation nor a token of the member sets a later end"
        );
        assert_eq!(rotated.ended_by.unwrap().standing, Standing::Administrator);
    }
    // They cannot take over the expiry by setting an even earlier one either.
    tokens.update(&member, id, None, prolong("1h")).await.unwrap();
    tokens.expire(&member, id, None).await.unwrap();
    world.pass(Duration::seconds(1));
    let member = world.signed_in("member@example.com").await;
    assert_eq!(undone(&member).await, [ProblemCode::Forbidden; 4]);
    assert_eq!(undone(&manager).await, [ProblemCode::Forbidden; 4]);
}

#[sqlx::test(migrations = false)]
async fn token_keeps_the_end_that_an_administrator_set(pool: PgPool) {
    let world = World::founded(pool).await;
    let admin = world.person("admin", Some((HOME, "admin"))).await;
    let member = world.person("member", Some((HOME, "member"))).await;
    let tokens = world.authority.tokens();
    let days = TokenDraft {
        user: Some("member@example.com".into()),
        expiry: expiry::parse("90d"),
        ..draft(&["rivers:read"])
    };
    let minted = world.mint(&admin, HOME, days).await;
    assert_eq!(minted.token.user.id, id(&member));
    world.pass(Duration::days(30));
    let admin = world.signed_in("admin@example.com").await;
    let short = tokens.update(&admin, minted.token.id, None, prolong("1d")).await.unwrap();
    let asks = world.bearer(&minted).await;
    let rotated = tokens.rotate_self(&asks, None, RotationDraft::default()).await.unwrap();
    assert_eq!(rotated.token.expires_at, short.expires_at);
    // A request that was authenticated before the expiry does not revive the token.
    let asks = world.bearer(&rotated).await;
    let again = tokens.update(&admin, minted.token.id, None, prolong("9d")).await.unwrap();
    assert_eq!(again.ended_by, None);
    tokens.expire(&world.operator(), minted.token.id, None).await.unwrap();
    let late = tokens.rotate_self(&asks, None, RotationDraft::default()).await;
    assert_eq!(code(late), ProblemCode::Unauthenticated);
}

#[sqlx::test(migrations = false)]
async fn new_owner_cannot_undo_what_an_administrator_stopped_before(pool: PgPool) {
    let world = World::founded(pool).await;
    set(&world, PolicyRules { self_service: Some(true), ..PolicyRules::default() }).await;
    let admin = world.person("admin", Some((HOME, "admin"))).await;
    let member = world.person("member", Some((HOME, "member"))).await;
    let tokens = world.authority.tokens();
    let own = world.mint(&admin, HOME, draft(&["rivers:read"])).await.token;
    tokens.disable(&admin, own.id, None).await.unwrap();
    let handed = patch(|patch| patch.user = Some("member@example.com".into()));
    tokens.update(&admin, own.id, None, handed).await.unwrap();
    assert_eq!(code(tokens.enable(&member, own.id, None).await), ProblemCode::Forbidden);
    tokens.enable(&admin, own.id, None).await.unwrap();
    tokens.disable(&member, own.id, None).await.unwrap();
    tokens.enable(&member, own.id, None).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn taking_over_a_token_shows_no_secret_that_the_caller_could_not_get(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let recoverable = Some(Reveal::RecoverableAllowed);
    set(&world, PolicyRules { reveal: recoverable, ..PolicyRules::default() }).await;
    let lea = world.person("lea", Some((HOME, "admin"))).await;
    let kept = || TokenDraft { recoverable: Recoverable::Yes, ..draft(&["rivers:read"]) };
    let to = |email: &str| patch(|patch| patch.user = Some(email.into()));

    let of_ada = world.mint(&ada, HOME, kept()).await.token.id;
    assert_eq!(code(tokens.reveal(&lea, of_ada, None).await), ProblemCode::Forbidden);
    let taken = tokens.update(&lea, of_ada, None, to("lea@example.com")).await.unwrap();
    assert!(!taken.recoverable);
    assert_eq!(code(tokens.reveal(&lea, of_ada, None).await), ProblemCode::NotRecoverable);
    world.person("max", Some((HOME, "admin"))).await;
    tokens.update(&ada, of_ada, None, to("max@example.com")).await.unwrap();
    assert_eq!(code(tokens.reveal(&ada, of_ada, None).await), ProblemCode::NotRecoverable);

    // A token that may not show secrets cannot leave any for other callers either.
    let asks = TokenDraft {
        audiences: vec!["tessera".into(), "default".into()],
        ..draft(&["tokens:write", "rivers:read"])
    };
    let asks = world.bearer(&world.mint(&ada, HOME, asks).await).await;
    let of_ada = world.mint(&ada, HOME, kept()).await.token.id;
    tokens.update(&asks, of_ada, None, to("lea@example.com")).await.unwrap();
    assert_eq!(code(tokens.reveal(&lea, of_ada, None).await), ProblemCode::NotRecoverable);

    // A caller who may see the secret anyway hands it over unchanged.
    let of_ada = world.mint(&ada, HOME, kept()).await;
    tokens.update(&ada, of_ada.token.id, None, to("lea@example.com")).await.unwrap();
    let shown = tokens.reveal(&lea, of_ada.token.id, None).await.unwrap();
    assert_eq!(shown.secret.expose(), of_ada.secret.expose());
}

#[sqlx::test(migrations = false)]
async fn bound_token_gets_no_secret_of_a_less_bound_token(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let recoverable = Some(Reveal::RecoverableAllowed);
    set(&world, PolicyRules { reveal: recoverable, ..PolicyRules::default() }).await;
    let asks = TokenDraft {
        scopes: vec!["tokens:write".into(), "tokens:reveal".into(), "rivers:read".into()],
        ..narrow()
    };
    let asks = world.mint(&ada, HOME, asks).await;
    let end = asks.token.expires_at;
    let asks = world.bearer(&asks).await;
    let sibling = |name: &str| TokenDraft {
        name: name.into(),
        recoverable: Recoverable::Yes,
        expiry: expiry::parse("9d"),
        ip_allow: vec!["192.0.2.7".into()],
        rate_limit: RateLimit::new(5, 3_600).map(Some),
        ..draft(&["rivers:read"])
    };
    let free = TokenDraft { ip_allow: vec![], rate_limit: Ok(None), ..sibling("free") };
    let far = TokenDraft { ip_allow: vec!["192.0.0.0/16".into()], ..sibling("far") };
    let fast = TokenDraft { rate_limit: RateLimit::new(6, 1).map(Some), ..sibling("fast") };
    for (wider, beyond) in
        [(free, &["ip_allow", "rate_limit"][..]), (far, &["ip_allow"]), (fast, &["rate_limit"])]
    {
        let before = world.mint(&ada, HOME, wider).await.token;
        let rotated = tokens.rotate(&asks, before.id, None, RotationDraft::default()).await;
        assert_eq!(fields(rotated), beyond);
        let revealed = tokens.reveal(&asks, before.id, None).await;
        assert_eq!(revealed.as_ref().unwrap_err().problem().status, 422);
        assert_eq!(fields(revealed), beyond);
        assert_eq!(tokens.show(&ada, before.id).await.unwrap().version, before.version);
    }
    // A token with the same bounds may expire later. Its secret is not shown, and after a rotation
    // it expires no later than the requesting token.
    let within = world.mint(&ada, HOME, sibling("within")).await;
    assert_eq!(fields(tokens.reveal(&asks, within.token.id, None).await), ["expires_at"]);
    let never = RotationDraft { expiry: Some(expiry::parse("never")), ..RotationDraft::default() };
    let rotated = tokens.rotate(&asks, within.token.id, None, never).await.unwrap();
    assert_eq!(rotated.token.expires_at, end);
}

#[sqlx::test(migrations = false)]
async fn child_does_not_outlive_its_parent_by_rotating_itself(pool: PgPool) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    let (parent, child, _) = family(&world).await;
    let end = parent.token.expires_at.unwrap();
    let rotate = async |minted: &MintedToken| {
        let asks = world.bearer(minted).await;
        let never =
            RotationDraft { expiry: Some(expiry::parse("never")), ..RotationDraft::default() };
        tokens.rotate_self(&asks, None, never).await.unwrap()
    };
    world.pass(Duration::minutes(20));
    let child = rotate(&child).await;
    assert_eq!(child.token.expires_at, Some(end));
    // If the parent's expiry is extended, its child may renew itself for longer, too.
    tokens.update(&world.owner().await, parent.token.id, None, prolong("9d")).await.unwrap();
    let child = rotate(&child).await;
    assert_eq!(child.token.expires_at, Some(end + Duration::minutes(20)));
    // Once the parent is deleted, the child keeps its expiry.
    tokens.delete(&world.owner().await, parent.token.id, None).await.unwrap();
    world.pass(Duration::minutes(20));
    let child = rotate(&child).await;
    assert_eq!(child.token.expires_at, Some(end + Duration::minutes(20)));
    // Unless a person gives it another one.
    tokens.update(&world.owner().await, child.token.id, None, prolong("2d")).await.unwrap();
    assert_eq!(
        rotate(&child).await.token.expires_at,
        Some(world.owner().await.now + Duration::days(2))
    );
}

#[sqlx::test(migrations = false)]
async fn policy_of_showing_secrets_once_applies_to_existing_tokens(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let reveal = |reveal| PolicyRules { reveal: Some(reveal), ..PolicyRules::default() };
    set(&world, reveal(Reveal::RecoverableAllowed)).await;
    let wish = |name: &str| TokenDraft {
        name: name.into(),
        recoverable: Recoverable::Yes,
        ..draft(&["rivers:read"])
    };
    let kept = world.mint(&ada, HOME, wish("kept")).await.token;
    let rotated = world.mint(&ada, HOME, wish("rotated")).await.token;
    let shown = async |id| {
        let query = domain::token_query::TokenQuery::default();
        let page = tokens.list(&ada, &slug(HOME), &query).await.unwrap();
        let listed = page.items.into_iter().find(|token| token.id == id).unwrap().recoverable;
        assert_eq!(tokens.show(&ada, id).await.unwrap().recoverable, listed);
        listed
    };
    assert!(shown(kept.id).await);
    let instance = PolicyLevel::Instance;
    let policies = world.authority.policies();
    policies.change(&ada, &instance, reveal(Reveal::Once), None).await.unwrap();
    for id in [kept.id, rotated.id] {
        assert!(!shown(id).await);
        let refused = tokens.reveal(&ada, id, None).await;
        assert_eq!(code(refused), ProblemCode::RevealNotAllowed);
    }
    let draft = RotationDraft::default();
    assert!(!tokens.rotate(&ada, rotated.id, None, draft).await.unwrap().token.recoverable);
    assert_eq!(code(tokens.reveal(&ada, rotated.id, None).await), ProblemCode::NotRecoverable);
    let sealed: i64 =
        sqlx::query_scalar("SELECT count(*) FROM token_secrets WHERE sealed IS NOT NULL")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(sealed, 1, "ignored because nothing was rotated");
    policies.change(&ada, &instance, PolicyRules::default(), None).await.unwrap();
    assert!(shown(kept.id).await && !shown(rotated.id).await);
    tokens.reveal(&ada, kept.id, None).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn member_cannot_rotate_away_the_end_that_an_administrator_set(pool: PgPool) {
    let world = World::founded(pool).await;
    set(&world, PolicyRules { self_service: Some(true), ..PolicyRules::default() }).await;
    world.person("admin", Some((HOME, "admin"))).await;
    let member = world.person("member", Some((HOME, "member"))).await;
    let tokens = world.authority.tokens();
    let manager = TokenDraft {
        name: "manager".into(),
        audiences: vec!["tessera".into(), "default".into()],
        ..draft(&["tokens:write", "rivers:read"])
    };
    let manager = world.mint(&member, HOME, manager).await;
    let (one, two) = (
        world.mint(&member, HOME, draft(&["rivers:read"])).await,
        world.mint(&member, HOME, draft(&["rivers:read"])).await,
    );
    world.pass(Duration::days(60));
    let admin = world.signed_in("admin@example.com").await;
    let member = world.signed_in("member@example.com").await;
    let manager = world.bearer(&manager).await;
    let end = |seconds| patch(|patch| patch.expiry = Some(Ok(expiry::ExpiryChoice::In(seconds))));
    let soon = tokens.update(&admin, one.token.id, None, end(60)).await.unwrap().expires_at;
    let hour = tokens.update(&admin, two.token.id, None, end(3_600)).await.unwrap().expires_at;
    let later = || RotationDraft { expiry: Some(expiry::parse("50d")), ..RotationDraft::default() };
    for ctx in [&manager, &member] {
        for draft in [later(), RotationDraft::default()] {
            let rotated = tokens.rotate(ctx, one.token.id, None, draft).await.unwrap().token;
            assert_eq!(rotated.expires_at, soon);
            assert_eq!(rotated.ended_by.unwrap().standing, Standing::Administrator);
        }
    }
    let itself = world.bearer(&two).await;
    let rotated = tokens.rotate_self(&itself, None, RotationDraft::default()).await.unwrap();
    assert_eq!(rotated.token.expires_at, hour);
    let itself = world.bearer(&rotated).await;
    let rotated = tokens.rotate_self(&itself, None, later()).await.unwrap().token;
    assert_eq!(rotated.expires_at, hour);
    // A copy expires at the same time.
    let copy = tokens.clone_of(&member, two.token.id, None, "copy".into()).await.unwrap().token;
    assert_eq!(copy.expires_at, hour);
    let longer = tokens.update(&member, copy.id, None, prolong("50d")).await;
    assert_eq!(code(longer), ProblemCode::Forbidden);
}

#[sqlx::test(migrations = false)]
async fn member_cannot_undo_the_bounds_that_an_administrator_set(pool: PgPool) {
    let world = World::founded(pool).await;
    set(&world, PolicyRules { self_service: Some(true), ..PolicyRules::default() }).await;
    let admin = world.person("admin", Some((HOME, "admin"))).await;
    let member = world.person("member", Some((HOME, "member"))).await;
    let tokens = world.authority.tokens();
    let manager = TokenDraft {
        name: "manager".into(),
        audiences: vec!["tessera".into(), "default".into()],
        expiry: expiry::parse("never"),
        ..draft(&["tokens:write", "rivers:read"])
    };
    let manager = world.bearer(&world.mint(&member, HOME, manager).await).await;
    let start = "2026-01-20T00:00:00Z";
    let bind = || {
        patch(|patch| {
            patch.ip_allow = Some(vec!["10.0.0.0/8".into()]);
            patch.rate_limit = Edit::Set(RateLimit::new(5, 60));
            patch.not_before = Edit::Set(start.into());
        })
    };
    let addresses = |range: &str| {
        let ranges = if range.is_empty() { vec![] } else { vec![range.to_owned()] };
        patch(|patch| patch.ip_allow = Some(ranges))
    };
    let rate = |limit| patch(|patch| patch.rate_limit = Edit::Set(RateLimit::new(limit, 60)));
    let refused = async |id| {
        for ctx in [&member, &manager] {
            for wider in [
                addresses(""),
                addresses("10.0.0.0/7"),
                patch(|patch| patch.rate_limit = Edit::Remove),
                rate(6),
                patch(|patch| patch.not_before = Edit::Remove),
                patch(|patch| patch.not_before = Edit::Set("2026-01-19T00:00:00Z".into())),
            ] {
                assert_eq!(code(tokens.update(ctx, id, None, wider).await), ProblemCode::Forbidden);
            }
        }
    };
    let bound = world.mint(&member, HOME, draft(&["rivers:read"])).await.token.id;
    tokens.update(&admin, bound, None, bind()).await.unwrap();
    refused(bound).await;
    // Members may undo their own narrowing, up to the administrator's bounds.
    for own in [addresses("10.1.0.0/16"), addresses("10.0.0.0/8"), rate(4), rate(5)] {
        tokens.update(&member, bound, None, own).await.unwrap();
    }
    refused(bound).await;
    // The bounds also apply to a copy, to a token that is handed over, and to a token that an
    // administrator creates.
    let copy = tokens.clone_of(&member, bound, None, "copy".into()).await.unwrap().token.id;
    refused(copy).await;
    let own = world.mint(&admin, HOME, draft(&["rivers:read"])).await.token.id;
    tokens.update(&admin, own, None, bind()).await.unwrap();
    let handed = patch(|patch| patch.user = Some("member@example.com".into()));
    tokens.update(&admin, own, None, handed).await.unwrap();
    refused(own).await;
    let given = TokenDraft {
        user: Some("member@example.com".into()),
        ip_allow: vec!["10.0.0.0/8".into()],
        rate_limit: RateLimit::new(5, 60).map(Some),
        not_before: Some(start.into()),
        ..draft(&["rivers:read"])
    };
    refused(world.mint(&admin, HOME, given).await.token.id).await;
    // A token that expires before it starts loses its start time. It must not get a new
    // expiry instead.
    tokens.expire(&member, copy, None).await.unwrap();
    world.pass(Duration::seconds(1));
    let member = world.signed_in("member@example.com").await;
    let rotated = tokens.rotate(&member, copy, None, RotationDraft::default()).await;
    assert_eq!(code(rotated), ProblemCode::Forbidden);
    assert_eq!(
        code(tokens.update(&member, copy, None, prolong("30d")).await),
        ProblemCode::Forbidden
    );
    let again = tokens.clone_of(&member, copy, None, "again".into()).await;
    assert_eq!(code(again), ProblemCode::Forbidden);
    // After an administrator widens the bounds, the member may, too.
    let free = patch(|patch| {
        patch.ip_allow = Some(vec![]);
        patch.rate_limit = Edit::Set(RateLimit::new(9, 60));
        patch.not_before = Edit::Remove;
    });
    tokens.update(&admin, bound, None, free).await.unwrap();
    for own in [addresses("10.1.0.0/16"), addresses(""), rate(1), rate(9)] {
        tokens.update(&member, bound, None, own).await.unwrap();
    }
    assert_eq!(code(tokens.update(&member, bound, None, rate(10)).await), ProblemCode::Forbidden);
    let mine = world.mint(&member, HOME, draft(&["rivers:read"])).await.token.id;
    tokens.update(&member, mine, None, bind()).await.unwrap();
    for own in [addresses(""), patch(|patch| patch.not_before = Edit::Remove)] {
        tokens.update(&member, mine, None, own).await.unwrap();
    }
}

#[sqlx::test(migrations = false)]
async fn token_is_not_rotated_by_its_descendants(pool: PgPool) {
    let world = World::founded(pool).await;
    let tokens = world.authority.tokens();
    let (parent, child, grandchild) = family(&world).await;
    let rotate = async |by: &MintedToken, token: &MintedToken| {
        let draft = RotationDraft::default();
        tokens.rotate(&world.bearer(by).await, token.token.id, None, draft).await
    };
    for self_rotate in [true, false] {
        let rules = PolicyRules { self_rotate: Some(self_rotate), ..PolicyRules::default() };
        set(&world, rules).await;
        for by in [&child, &grandchild] {
            assert_eq!(code(rotate(by, &parent).await), ProblemCode::Forbidden);
        }
        assert_eq!(code(rotate(&grandchild, &child).await), ProblemCode::Forbidden);
    }
    rotate(&parent, &grandchild).await.unwrap();
}
