//! Invitations: an administrator of a workspace cannot make a person a member without their
//! consent, and cannot find out whether a person is a user of the instance.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{START, World, draft, rounds, slug};
use authority::{
    Actor, Added, GrantsChange, INVITATIONS_PER_HOUR, MemberChange, NewMember, NewUser,
    OPEN_INVITATIONS_MAX, OpContext, RotationDraft, ServiceError, TokenDraft, TokenPatch,
    UserChange,
};
use domain::{
    ids::{InvitationId, UserId},
    problem::ProblemCode,
    roles::{InstanceRole, UserKind, WorkspaceRole},
    workspace::Invitation,
};
use sqlx::PgPool;
use time::Duration;

const HOME: &str = "workspace-1";
const GRACE: &str = "grace@example.com";

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ProblemCode {
    outcome.unwrap_err().code()
}

fn id(ctx: &OpContext) -> UserId {
    match &ctx.actor {
        Actor::User(visitor) => visitor.user.id,
        _ => panic!("not a person"),
    }
}

fn member(user: &str) -> NewMember {
    NewMember { user: user.into(), role: WorkspaceRole::Member, grants: None }
}

/// A workspace with an administrator, Lea, and a person who is not a member of any
/// workspace, Grace.
struct Scene {
    world: World,
    lea: OpContext,
    grace: OpContext,
}

impl Scene {
    async fn new(pool: PgPool) -> Self {
        let world = World::founded(pool).await;
        let lea = world.person("lea", Some((HOME, "admin"))).await;
        let grace = world.person("grace", None).await;
        Self { world, lea, grace }
    }

    async fn add(&self, by: &OpContext, new: NewMember) -> Result<Added, ServiceError> {
        self.world.authority.workspaces().add_member(by, &slug(HOME), new).await
    }

    async fn invite(&self, by: &OpContext, new: NewMember) -> Invitation {
        match self.add(by, new).await.unwrap() {
            Added::Invited(invitation) => invitation,
            Added::Member(member) => panic!("{} was added without accepting", member.user.email),
        }
    }

    async fn accept(&self, by: &OpContext, id: InvitationId) -> Result<Invitation, ServiceError> {
        self.world.authority.invitations().accept(by, id).await
    }

    async fn own(&self, by: &OpContext) -> Vec<InvitationId> {
        let own = self.world.authority.invitations().own(by).await.unwrap();
        own.into_iter().map(|invitation| invitation.id).collect()
    }

    async fn listed(&self) -> Vec<InvitationId> {
        let invitations = self.world.authority.invitations();
        let listed = invitations.of_workspace(&self.lea, &slug(HOME)).await.unwrap();
        listed.into_iter().map(|invitation| invitation.id).collect()
    }

    async fn revoke(&self, id: InvitationId) -> Result<(), ServiceError> {
        self.world.authority.invitations().revoke(&self.lea, &slug(HOME), id).await
    }

    async fn is_member(&self, email: &str) -> bool {
        let workspaces = self.world.authority.workspaces();
        let members = workspaces.members(&self.world.operator(), &slug(HOME)).await.unwrap();
        members.iter().any(|member| member.user.email == email)
    }

    /// Checks whether Lea gets a token that acts as this user, for each way to name a user.
    async fn gets_token_of(&self, email: &str) -> bool {
        let tokens = self.world.authority.tokens();
        let wanted = TokenDraft { user: Some(email.into()), ..draft(&["rivers:read"]) };
        let made = tokens.create(&self.lea, &slug(HOME), wanted).await.is_ok();
        let own = self.world.mint(&self.lea, HOME, draft(&["rivers:read"])).await.token.id;
        let patch =
            authority::TokenPatch { user: Some(email.into()), ..authority::TokenPatch::default() };
        assert_eq!(tokens.update(&self.lea, own, None, patch).await.is_ok(), made);
        let row = format!(
            r#"{{"digest":"{}","name":"old","scopes":["rivers:run"],"owner":"{email}"}}"#,
            uuid::Uuid::from_u128(own.0.as_u128()).simple().to_string().repeat(2),
        );
        let transfer = self.world.authority.transfer();
        let (format, bytes) = (authority::Format::Jsonl, row.as_bytes());
        let imported = transfer.import(&self.lea, &slug(HOME), format, bytes, false).await;
        assert_eq!(imported.is_ok(), made, "{imported:?}");
        made
    }

    async fn actions(&self, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql).fetch_all(&self.world.pool).await.unwrap()
    }
}

#[sqlx::test(migrations = false)]
async fn person_is_a_member_and_owner_of_tokens_only_after_accepting(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let invitation = scene.invite(&scene.lea, member(" Grace@Example.com ")).await;
    assert_eq!((&*invitation.email, invitation.role), (GRACE, WorkspaceRole::Member));
    assert_eq!(invitation.expires_at, START + Duration::days(7));
    assert!(!scene.is_member(GRACE).await);
    assert!(!scene.gets_token_of(GRACE).await);
    assert_eq!(scene.own(&scene.grace).await, [invitation.id]);
    assert_eq!(scene.listed().await, [invitation.id]);

    let accepted = scene.accept(&scene.grace, invitation.id).await.unwrap();
    assert_eq!(accepted, invitation);
    assert!(scene.is_member(GRACE).await);
    assert!(scene.gets_token_of(GRACE).await);
    assert_eq!((scene.own(&scene.grace).await, scene.listed().await), (vec![], vec![]));
    assert_eq!(code(scene.accept(&scene.grace, invitation.id).await), ProblemCode::NotFound);
    assert_eq!(code(scene.revoke(invitation.id).await), ProblemCode::NotFound);
    assert_eq!(code(scene.add(&scene.lea, member(GRACE)).await), ProblemCode::AlreadyExists);
    let actions = scene
        .actions(
            "SELECT action || ' by ' || actor_name || ' of ' || subject_name FROM audit_events
              WHERE workspace_id IS NOT NULL AND action LIKE 'invitation.%' ORDER BY id",
        )
        .await;
    assert_eq!(
        actions,
        [
            "invitation.create by lea of grace@example.com",
            "invitation.accept by grace of grace@example.com"
        ]
    );
}

#[sqlx::test(migrations = false)]
async fn workspace_does_not_learn_which_addresses_are_users(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let ada = scene.world.owner().await;
    let bot = NewUser {
        kind: UserKind::Service,
        email: "bot@example.com".into(),
        name: None,
        instance_role: InstanceRole::Member,
        password: None,
    };
    scene.world.authority.users().create(&ada, bot).await.unwrap();
    let gone = scene.world.person("gone", None).await;
    scene.world.authority.users().remove(&ada, id(&gone), None).await.unwrap();
    let mut answers = Vec::new();
    for user in [GRACE, "bot@example.com", "gone@example.com", "nobody@example.com"] {
        let invitation = scene.invite(&scene.lea, member(user)).await;
        let text = format!("{invitation:?}");
        answers.push(text.replace(&invitation.id.to_string(), "id").replace(user, "address"));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // Accepting ids would reveal whether such a user exists.
    for user in [id(&scene.grace).to_string(), UserId(uuid::Uuid::from_u128(7)).to_string()] {
        let Err(ServiceError::Invalid(errors)) = scene.add(&scene.lea, member(&user)).await else {
            panic!("{user} was accepted");
        };
        assert!(errors[0].message.starts_with("must be an e-mail address"), "{errors:?}");
    }
    // A person who declined looks the same as an address without an account.
    let before = scene.listed().await;
    let [own] = scene.own(&scene.grace).await[..] else { panic!("not one") };
    scene.world.authority.invitations().decline(&scene.grace, own).await.unwrap();
    assert_eq!(scene.listed().await, before);
    assert!(scene.own(&scene.grace).await.is_empty());
    assert_eq!(code(scene.accept(&scene.grace, own).await), ProblemCode::NotFound);
    let decline = "SELECT COALESCE(workspace_id::text, 'instance') FROM audit_events
                    WHERE action = 'invitation.decline'";
    assert_eq!(scene.actions(decline).await, ["instance"]);
    // Creating tokens must not reveal who administers the instance either.
    let message = async |user: &str| {
        let wanted = TokenDraft { user: Some(user.into()), ..draft(&["rivers:read"]) };
        let tokens = scene.world.authority.tokens();
        match tokens.create(&scene.lea, &slug(HOME), wanted).await {
            Err(ServiceError::Invalid(errors)) => errors[0].message.clone(),
            other => panic!("{other:?}"),
        }
    };
    scene.world.execute("DELETE FROM memberships WHERE user_id IN (SELECT id FROM users WHERE email = 'ada@example.com')").await;
    assert_eq!(message(crate::support::OWNER).await, message("nobody@example.com").await);
}

#[sqlx::test(migrations = false)]
async fn only_the_signed_in_addressee_answers(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let world = &scene.world;
    let invitation = scene.invite(&scene.lea, member(GRACE)).await.id;
    // A token of Grace's in another workspace.
    world.workspace("hers").await;
    world.join(GRACE, "hers", "admin").await;
    let scopes = TokenDraft { audiences: vec!["tessera".into()], ..draft(&["members:write"]) };
    let token = world.bearer(&world.mint(&scene.grace, "hers", scopes).await).await;
    let invitations = world.authority.invitations();
    for (ctx, expected) in [
        (&scene.lea, ProblemCode::NotFound),
        (&world.owner().await, ProblemCode::NotFound),
        (&token, ProblemCode::Forbidden),
        (&world.operator(), ProblemCode::Forbidden),
        (&world.anonymous(), ProblemCode::Unauthenticated),
    ] {
        assert_eq!(code(invitations.accept(ctx, invitation).await), expected);
        assert_eq!(code(invitations.decline(ctx, invitation).await), expected);
    }
    assert_eq!(code(invitations.own(&token).await), ProblemCode::Forbidden);
    assert!(scene.own(&scene.lea).await.is_empty());
    // Invitations of one workspace cannot be reached from another.
    let other = invitations.revoke(&scene.grace, &slug("hers"), invitation).await;
    assert_eq!(code(other), ProblemCode::NotFound);
    let hidden = invitations.of_workspace(&scene.grace, &slug(HOME)).await;
    assert_eq!(code(hidden), ProblemCode::NotFound);
    let viewer = world.person("viewer", Some((HOME, "viewer"))).await;
    assert_eq!(code(invitations.of_workspace(&viewer, &slug(HOME)).await), ProblemCode::Forbidden);
    assert_eq!(scene.own(&scene.grace).await, [invitation]);
    assert!(!scene.is_member(GRACE).await);
}

/// Checks that Grace can neither see nor accept an invalidated invitation, even after the cause
/// was undone.
async fn falls(scene: &Scene, invitation: InvitationId, why: &str) {
    assert!(scene.own(&scene.grace).await.is_empty(), "{why}");
    let outcome = scene.accept(&scene.grace, invitation).await;
    assert_eq!(code(outcome), ProblemCode::NotFound, "{why}");
}

#[sqlx::test(migrations = false)]
async fn invitation_that_its_sender_may_no_longer_send_stays_closed(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let world = &scene.world;
    let (ada, home) = (world.owner().await, slug(HOME));
    world.person("max", Some((HOME, "admin"))).await;
    let (workspaces, users) = (world.authority.workspaces(), world.authority.users());
    let role = |role, grants| MemberChange { role: Some(role), grants, ..MemberChange::default() };
    let narrow = GrantsChange::Patterns(vec!["rivers:*".into()]);
    let by_role = || role(WorkspaceRole::Admin, GrantsChange::ByRole);
    let enabled = |on| UserChange { enabled: Some(on), ..UserChange::default() };
    for (name, change, undo) in [
        ("viewer", Ok(role(WorkspaceRole::Viewer, GrantsChange::Keep)), Ok(by_role())),
        ("narrow", Ok(role(WorkspaceRole::Admin, narrow)), Ok(by_role())),
        ("disabled", Err(enabled(false)), Err(enabled(true))),
    ] {
        let inviter = world.person(name, Some((HOME, "admin"))).await;
        let wide = NewMember {
            grants: Some(vec!["rivers:*".into(), "connections:read".into()]),
            ..member(GRACE)
        };
        let invitation = scene.invite(&inviter, wide).await.id;
        assert_eq!(scene.own(&scene.grace).await, [invitation], "{name}");
        let apply = async |change: Result<MemberChange, UserChange>| match change {
            Ok(change) => {
                workspaces.change_member(&ada, &home, id(&inviter), change, None).await.unwrap();
            }
            Err(change) => {
                users.change(&ada, id(&inviter), change, None).await.unwrap();
            }
        };
        apply(change).await;
        falls(&scene, invitation, name).await;
        apply(undo).await;
        falls(&scene, invitation, name).await;
        assert!(!scene.listed().await.contains(&invitation), "{name}");
        let counted: i64 = sqlx::query_scalar(
            "SELECT (after->'closed_invitations')::bigint FROM audit_events
              WHERE action IN ('member.change', 'user.change') AND subject_id = $1 ORDER BY seq DESC OFFSET 1 LIMIT 1",
        )
        .bind(id(&inviter).0)
        .fetch_one(&world.pool)
        .await
        .unwrap();
        assert_eq!(counted, 1, "{name}");
    }
    // Lea is removed from the workspace, and joins it again.
    let invitation = scene.invite(&scene.lea, member(GRACE)).await.id;
    workspaces.remove_member(&ada, &home, id(&scene.lea), None).await.unwrap();
    world.join("lea@example.com", HOME, "admin").await;
    falls(&scene, invitation, "removed").await;
    // Changes that take no right that the invitation needs leave it open.
    let invitation = scene.invite(&scene.lea, member(GRACE)).await.id;
    let name = UserChange { name: Some("Lea L.".into()), ..UserChange::default() };
    users.change(&ada, id(&scene.lea), name, None).await.unwrap();
    let all = GrantsChange::Patterns(vec!["*".into()]);
    let change = role(WorkspaceRole::Admin, all);
    workspaces.change_member(&ada, &home, id(&scene.lea), change, None).await.unwrap();
    scene.accept(&scene.grace, invitation).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn invitation_of_a_token_closes_with_the_person_who_created_the_token(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let world = &scene.world;
    let (ada, home) = (world.owner().await, slug(HOME));
    let max = world.person("max", Some((HOME, "admin"))).await;
    let workspaces = world.authority.workspaces();
    for (maker, changed) in [(&scene.lea, &scene.lea), (&scene.lea, &max)] {
        // The token acts as Max, and its child invites.
        let wanted = TokenDraft {
            audiences: vec!["tessera".into(), "default".into()],
            user: Some("max@example.com".into()),
            ..draft(&["members:write", "tokens:write", "rivers:read"])
        };
        let token = world.mint(maker, HOME, wanted.clone()).await;
        let child = world.mint(&world.bearer(&token).await, HOME, wanted).await;
        let new = NewMember { grants: Some(vec!["default/rivers:read".into()]), ..member(GRACE) };
        let invitation = scene.invite(&world.bearer(&child).await, new).await.id;
        assert_eq!(scene.own(&scene.grace).await, [invitation]);
        let name = format!("{:?}", id(changed));
        workspaces.remove_member(&ada, &home, id(changed), None).await.unwrap();
        falls(&scene, invitation, &name).await;
        let email = if id(changed) == id(&max) { "max@example.com" } else { "lea@example.com" };
        world.join(email, HOME, "admin").await;
        falls(&scene, invitation, &name).await;
    }
    // An administrator of the instance without a membership.
    let role = |role| UserChange { instance_role: Some(role), ..UserChange::default() };
    let users = world.authority.users();
    let noor = id(&world.person("noor", None).await);
    users.change(&ada, noor, role(InstanceRole::Admin), None).await.unwrap();
    let wanted = TokenDraft {
        audiences: vec!["tessera".into(), "default".into()],
        ..draft(&["members:write", "tokens:write", "rivers:read"])
    };
    let token = world.mint(&world.signed_in("noor@example.com").await, HOME, wanted).await;
    let new = NewMember { grants: Some(vec!["default/rivers:read".into()]), ..member(GRACE) };
    let invitation = scene.invite(&world.bearer(&token).await, new).await.id;
    assert_eq!(scene.own(&scene.grace).await, [invitation]);
    users.change(&ada, noor, role(InstanceRole::Member), None).await.unwrap();
    falls(&scene, invitation, "demoted").await;
    users.change(&ada, noor, role(InstanceRole::Admin), None).await.unwrap();
    falls(&scene, invitation, "raised again").await;
}

#[sqlx::test(migrations = false)]
async fn token_invites_regardless_of_its_user_and_its_invitation_expires_with_it(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let world = &scene.world;
    // Ada owns the instance. A member of the workspace holds a token that acts as her.
    let ada = world.owner().await;
    let minted = async || {
        let expiry = Ok(domain::expiry::ExpiryChoice::In(3_600));
        let wanted = TokenDraft {
            audiences: vec!["tessera".into(), "default".into()],
            expiry,
            ..draft(&["members:write", "tokens:write", "rivers:read"])
        };
        world.mint(&ada, HOME, wanted).await
    };
    let invited = async |token: &authority::MintedToken| {
        let bearer = world.bearer(token).await;
        let new = NewMember { grants: Some(vec!["default/rivers:read".into()]), ..member(GRACE) };
        scene.invite(&bearer, new).await
    };
    let token = minted().await;
    let invitation = invited(&token).await;
    assert_eq!(invitation.expires_at, START + Duration::hours(1));
    assert_eq!(invitation.invited_by.email, crate::support::OWNER);
    let tokens = world.authority.tokens();
    let later = TokenPatch {
        expiry: Some(Ok(domain::expiry::ExpiryChoice::In(3_600))),
        ..TokenPatch::default()
    };
    tokens.disable(&ada, token.token.id, None).await.unwrap();
    falls(&scene, invitation.id, "disabled").await;
    tokens.enable(&ada, token.token.id, None).await.unwrap();
    falls(&scene, invitation.id, "enabled again").await;
    let invitation = invited(&token).await;
    tokens.expire(&ada, token.token.id, None).await.unwrap();
    tokens.update(&ada, token.token.id, None, later.clone()).await.unwrap();
    falls(&scene, invitation.id, "ended and prolonged").await;
    let invitation = invited(&token).await;
    let soon = TokenPatch {
        expiry: Some(Ok(domain::expiry::ExpiryChoice::In(60))),
        ..TokenPatch::default()
    };
    tokens.update(&ada, token.token.id, None, soon).await.unwrap();
    let [shown] = &scene.own(&scene.grace).await[..] else { panic!("not open") };
    assert_eq!(shown, &invitation.id);
    tokens.update(&ada, token.token.id, None, later).await.unwrap();
    let until = world.authority.invitations().own(&scene.grace).await.unwrap()[0].expires_at;
    assert_eq!(until, START + Duration::seconds(60), "as it was when the token had that end");
    tokens.delete(&ada, token.token.id, None).await.unwrap();
    assert_eq!(code(scene.accept(&scene.grace, invitation.id).await), ProblemCode::NotFound);
    let token = minted().await;
    let invitation = invited(&token).await;
    tokens.expire(&ada, token.token.id, None).await.unwrap();
    assert_eq!(code(scene.accept(&scene.grace, invitation.id).await), ProblemCode::NotFound);
    let invitation = invited(&minted().await).await;
    scene.accept(&scene.grace, invitation.id).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn invitation_of_a_token_stays_open_while_the_token_may_send_it(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let world = &scene.world;
    let ada = world.owner().await;
    let tokens = world.authority.tokens();
    let invited = async || {
        let wanted = TokenDraft {
            audiences: vec!["tessera".into(), "default".into()],
            ..draft(&["members:write", "tokens:write", "rivers:read"])
        };
        let token = world.mint(&ada, HOME, wanted).await;
        let new = NewMember { grants: Some(vec!["default/rivers:read".into()]), ..member(GRACE) };
        let invitation = scene.invite(&world.bearer(&token).await, new).await;
        assert_eq!(scene.own(&scene.grace).await, [invitation.id]);
        (token.token.id, invitation.id)
    };
    let falls = async |invitation, why: &str| {
        assert!(scene.own(&scene.grace).await.is_empty(), "{why}");
        let outcome = scene.accept(&scene.grace, invitation).await;
        assert_eq!(code(outcome), ProblemCode::NotFound, "{why}");
    };
    for (own, rivers, why) in [
        (&["tokens:write"][..], &["rivers:read"][..], "the token may not invite any more"),
        (&["members:write"], &["rivers:read"], "the role may do more than the token"),
        (&["members:write", "tokens:write"], &[], "the grants go beyond the token's"),
    ] {
        let (token, invitation) = invited().await;
        let scopes = own.iter().chain(rivers).map(|scope| (*scope).to_owned()).collect();
        let fewer = TokenPatch { scopes: Some(scopes), ..TokenPatch::default() };
        tokens.update(&ada, token, None, fewer).await.unwrap();
        falls(invitation, why).await;
    }
    let (token, invitation) = invited().await;
    let other = TokenPatch { user: Some("lea@example.com".into()), ..TokenPatch::default() };
    tokens.update(&ada, token, None, other).await.unwrap();
    falls(invitation, "the token acts as another user").await;
    let (token, invitation) = invited().await;
    world.pass(Duration::seconds(1));
    let ada = world.owner().await;
    tokens.rotate(&ada, token, None, RotationDraft::default()).await.unwrap();
    falls(invitation, "the token has another secret").await;
}

#[sqlx::test(migrations = false)]
async fn newer_invitation_replaces_the_older_one_and_old_ones_expire(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let first = scene.invite(&scene.lea, member(GRACE)).await.id;
    let admin = NewMember { role: WorkspaceRole::Admin, ..member(GRACE) };
    let second = scene.invite(&scene.lea, admin).await.id;
    assert_eq!((scene.listed().await, scene.own(&scene.grace).await), (vec![second], vec![second]));
    // Grace accepts exactly what she saw, or nothing.
    assert_eq!(code(scene.accept(&scene.grace, first).await), ProblemCode::NotFound);
    assert_eq!(code(scene.revoke(first).await), ProblemCode::NotFound);
    scene.revoke(second).await.unwrap();
    assert_eq!(code(scene.accept(&scene.grace, second).await), ProblemCode::NotFound);
    let third = scene.invite(&scene.lea, member(GRACE)).await.id;
    scene.world.pass(Duration::days(7));
    let later = |ctx: &OpContext| scene.world.context(ctx.actor.clone());
    let (lea, grace) = (later(&scene.lea), later(&scene.grace));
    assert!(scene.own(&grace).await.is_empty());
    assert_eq!(code(scene.accept(&grace, third).await), ProblemCode::NotFound);
    let fourth = scene.invite(&lea, member(GRACE)).await.id;
    // An administrator of the instance adds members at once, so there is nothing left to accept.
    let ada = scene.world.owner().await;
    assert!(matches!(scene.add(&ada, member(GRACE)).await.unwrap(), Added::Member(_)));
    assert_eq!(code(scene.accept(&grace, fourth).await), ProblemCode::NotFound);
    assert_eq!(scene.own(&grace).await, []);
}

#[sqlx::test(migrations = false)]
async fn invitations_are_limited(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let address = |number: i64| member(&format!("person-{number}@example.com"));
    for number in 0..INVITATIONS_PER_HOUR {
        let invitation = scene.invite(&scene.lea, address(number)).await;
        if number == 0 {
            // Revoked invitations count as well.
            scene.revoke(invitation.id).await.unwrap();
        }
    }
    let refused = scene.add(&scene.lea, address(200)).await.unwrap_err().problem();
    assert_eq!((refused.code, refused.retry_after_s), (ProblemCode::RateLimited, Some(3_601)));
    assert_eq!(
        refused.detail,
        "You sent 50 invitations within an hour, which is the limit for one person. Try again in 61 minutes."
    );
    scene.world.pass(Duration::hours(1));
    let lea = scene.world.context(scene.lea.actor.clone());
    let other = scene.world.person("mia", Some((HOME, "admin"))).await;
    scene.invite(&lea, address(0)).await;
    for number in INVITATIONS_PER_HOUR..OPEN_INVITATIONS_MAX {
        scene.invite(&other, address(number)).await;
    }
    let refused = scene.add(&lea, address(200)).await;
    assert_eq!(code(refused), ProblemCode::InvitationLimitReached);
    // Renewing an invitation does not count again.
    scene.invite(&lea, address(7)).await;
}

#[sqlx::test(migrations = false)]
async fn races_leave_one_membership_and_one_answer(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let ada = scene.world.owner().await;
    for round in 0..rounds(6) {
        scene.world.execute("DELETE FROM invitations").await;
        let invitation = scene.invite(&scene.lea, member(GRACE)).await.id;
        let accept = || scene.accept(&scene.grace, invitation);
        match round % 3 {
            0 => {
                let (one, two, three) = tokio::join!(accept(), accept(), accept());
                let outcomes = [one, two, three];
                let done = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
                assert_eq!(done, 1, "{outcomes:?}");
                for outcome in outcomes.into_iter().filter(Result::is_err) {
                    assert_eq!(code(outcome), ProblemCode::NotFound);
                }
            }
            1 => {
                let (accepted, revoked) = tokio::join!(accept(), scene.revoke(invitation));
                assert_ne!(accepted.is_ok(), revoked.is_ok(), "{accepted:?} {revoked:?}");
                assert_eq!(scene.is_member(GRACE).await, accepted.is_ok());
            }
            _ => {
                let (accepted, added) = tokio::join!(accept(), scene.add(&ada, member(GRACE)));
                assert_ne!(accepted.is_ok(), added.is_ok(), "{accepted:?} {added:?}");
                assert!(scene.is_member(GRACE).await);
            }
        }
        let workspaces = scene.world.authority.workspaces();
        let grace = id(&scene.grace);
        match workspaces.remove_member(&ada, &slug(HOME), grace, None).await {
            Ok(_) => {}
            Err(error) => assert_eq!((error.code(), round % 3), (ProblemCode::NotFound, 1)),
        }
    }
}

#[sqlx::test(migrations = false)]
async fn invitation_of_a_token_that_is_bound_to_addresses_reaches_the_person(pool: PgPool) {
    let scene = Scene::new(pool).await;
    let world = &scene.world;
    let wanted = TokenDraft {
        audiences: vec!["tessera".into()],
        ip_allow: vec!["192.0.2.0/24".into()],
        ..draft(&["members:write", "tokens:write"])
    };
    let token = world.mint(&world.owner().await, HOME, wanted).await;
    let new = NewMember { grants: Some(Vec::new()), ..member(GRACE) };
    let invitation = scene.invite(&world.bearer(&token).await, new).await;
    assert_eq!(scene.own(&scene.grace).await, [invitation.id]);
    scene.accept(&scene.grace, invitation.id).await.unwrap();
}
