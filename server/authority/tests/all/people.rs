//! Users of the instance and members of workspaces: created, changed, disabled and removed.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{PASSWORD, World, draft, password, slug};
use authority::{
    Added, GrantsChange, MemberChange, NewMember, NewUser, OpContext, ServiceError, SignIn,
    TokenDraft, UserChange,
};
use domain::{
    decision::{DecisionCode, Demand},
    ids::UserId,
    problem::ProblemCode,
    roles::{InstanceRole, UserKind, WorkspaceRole},
    user::{User, UserQuery},
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

fn person(email: &str, role: InstanceRole) -> NewUser {
    NewUser {
        kind: UserKind::Person,
        email: email.into(),
        name: None,
        instance_role: role,
        password: Some(password(PASSWORD)),
    }
}

async fn made(world: &World, email: &str, role: InstanceRole) -> User {
    world.authority.users().create(&world.operator(), person(email, role)).await.unwrap()
}

fn enabled(on: bool) -> UserChange {
    UserChange { enabled: Some(on), ..UserChange::default() }
}

fn role(role: InstanceRole) -> UserChange {
    UserChange { instance_role: Some(role), ..UserChange::default() }
}

async fn join(world: &World, email: &str, role: WorkspaceRole) {
    let new = NewMember { user: email.into(), role, grants: None };
    let ctx = world.operator();
    world.authority.workspaces().add_member(&ctx, &slug("workspace-1"), new).await.unwrap();
}

/// Creates a token that acts as this user.
async fn token_of(world: &World, email: &str) -> authority::secret::TokenSecret {
    let draft = TokenDraft { user: Some(email.into()), ..draft(&["rivers:read"]) };
    world.mint(&world.operator(), "workspace-1", draft).await.secret
}

#[sqlx::test(migrations = false)]
async fn person_signs_in_and_service_account_never_does(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let users = world.authority.users();
    let grace =
        users.create(&ada, person(" Grace@Example.com ", InstanceRole::Member)).await.unwrap();
    assert_eq!(
        (grace.summary.email.as_str(), grace.summary.name.as_str()),
        ("grace@example.com", "Grace")
    );
    world.signed_in("grace@example.com").await;
    let bot = NewUser {
        kind: UserKind::Service,
        password: None,
        ..person("bot@example.com", InstanceRole::Member)
    };
    let bot = users.create(&ada, bot).await.unwrap();
    let sign_in = SignIn {
        email: "bot@example.com".into(),
        password: password(PASSWORD),
        user_agent: None,
        known_browser: None,
    };
    let outcome = world.authority.sessions().sign_in(&world.anonymous(), sign_in).await;
    assert_eq!(code(outcome), ProblemCode::InvalidCredentials);
    join(&world, "bot@example.com", WorkspaceRole::Member).await;
    let secret = token_of(&world, "bot@example.com").await;
    assert_eq!(world.decide(secret.expose(), &Demand::default()).await, DecisionCode::Valid);
    assert_eq!(users.show(&ada, bot.summary.id).await.unwrap().tokens, 1);
    assert_eq!(users.find(&ada, "BOT@example.com").await.unwrap().summary.id, bot.summary.id);

    assert_eq!(
        code(users.create(&ada, person("grace@example.com", InstanceRole::Member)).await),
        ProblemCode::AlreadyExists
    );
    for (new, field) in [
        (NewUser { password: None, ..person("a@x", InstanceRole::Member) }, "password"),
        (
            NewUser { password: Some(password("short")), ..person("a@x", InstanceRole::Member) },
            "password",
        ),
        (NewUser { kind: UserKind::Service, ..person("a@x", InstanceRole::Member) }, "password"),
        (
            NewUser {
                kind: UserKind::Service,
                password: None,
                ..person("a@x", InstanceRole::Owner)
            },
            "instance_role",
        ),
        (person("nobody", InstanceRole::Member), "email"),
    ] {
        let Err(ServiceError::Invalid(errors)) = users.create(&ada, new).await else {
            panic!("made")
        };
        assert_eq!(errors[0].field, field);
    }
}

#[sqlx::test(migrations = false)]
async fn disabled_user_is_signed_out_and_their_tokens_stop_immediately(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let grace = made(&world, "grace@example.com", InstanceRole::Member).await;
    join(&world, "grace@example.com", WorkspaceRole::Member).await;
    let secret = token_of(&world, "grace@example.com").await;
    let decide = async || world.decide(secret.expose(), &Demand::default()).await;
    let sign_in = SignIn {
        email: "grace@example.com".into(),
        password: password(PASSWORD),
        user_agent: None,
        known_browser: None,
    };
    let session =
        world.authority.sessions().sign_in(&world.anonymous(), sign_in).await.unwrap().secret;
    let users = world.authority.users();
    let changed = users.change(&ada, grace.summary.id, enabled(false), Some(1)).await.unwrap();
    assert_eq!((changed.stopped_tokens, changed.user.enabled, changed.user.version), (1, false, 2));
    assert_eq!(decide().await, DecisionCode::OwnerDisabled);
    let revisions: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM revisions WHERE kind = 'user' AND subject_id = $1",
    )
    .bind(grace.summary.id.0)
    .fetch_one(&world.pool)
    .await
    .unwrap();
    assert_eq!(revisions, 1);
    let outcome = users.change(&ada, grace.summary.id, enabled(true), Some(1)).await;
    assert_eq!(code(outcome), ProblemCode::PreconditionFailed);
    let changed = users.change(&ada, grace.summary.id, enabled(true), None).await.unwrap();
    assert_eq!(changed.stopped_tokens, 0);
    assert_eq!(decide().await, DecisionCode::Valid);
    // The session was deleted, and does not come back.
    let found = world.authority.sessions().resolve(&world.anonymous(), &session).await.unwrap();
    assert!(found.is_none());
}

#[sqlx::test(migrations = false)]
async fn removed_user_keeps_name_and_address_and_nothing_else(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let grace = made(&world, "grace@example.com", InstanceRole::Member).await;
    join(&world, "grace@example.com", WorkspaceRole::Admin).await;
    let secret = token_of(&world, "grace@example.com").await;
    let users = world.authority.users();
    let removed = users.remove(&ada, grace.summary.id, None).await.unwrap();
    assert_eq!(removed.stopped_tokens, 1);
    assert_eq!(
        world.decide(secret.expose(), &Demand::default()).await,
        DecisionCode::OwnerDisabled
    );
    assert_eq!(code(users.show(&ada, grace.summary.id).await), ProblemCode::NotFound);
    assert_eq!(code(users.remove(&ada, grace.summary.id, None).await), ProblemCode::NotFound);
    assert_eq!(
        code(users.change(&ada, grace.summary.id, enabled(true), None).await),
        ProblemCode::NotFound
    );
    let again = users.create(&ada, person("grace@example.com", InstanceRole::Member)).await;
    assert_eq!(code(again), ProblemCode::AlreadyExists);
    let new =
        NewMember { user: "grace@example.com".into(), role: WorkspaceRole::Member, grants: None };
    let outcome = world.authority.workspaces().add_member(&ada, &slug("workspace-1"), new).await;
    assert_eq!(code(outcome), ProblemCode::ValidationFailed);
    assert_eq!(
        world.authority.workspaces().members(&ada, &slug("workspace-1")).await.unwrap().len(),
        1
    );
    // The token waits for a new owner, still under the old owner's name.
    let query = domain::token_query::TokenQuery::default();
    let page = world.authority.tokens().list(&ada, &slug("workspace-1"), &query).await.unwrap();
    assert_eq!(page.items[0].user.email, "grace@example.com");
}

#[sqlx::test(migrations = false)]
async fn last_owner_stays_when_two_are_removed_concurrently(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let users = world.authority.users();
    let last =
        async |outcome: Result<(), ServiceError>| assert_eq!(code(outcome), ProblemCode::LastOwner);
    last(users.change(&ada, id(&ada), enabled(false), None).await.map(drop)).await;
    last(users.change(&ada, id(&ada), role(InstanceRole::Admin), None).await.map(drop)).await;
    last(users.remove(&ada, id(&ada), None).await.map(drop)).await;
    let grace = made(&world, "grace@example.com", InstanceRole::Owner).await;
    // A disabled owner does not count as another owner.
    users.change(&ada, grace.summary.id, enabled(false), None).await.unwrap();
    last(users.change(&ada, id(&ada), enabled(false), None).await.map(drop)).await;
    users.change(&ada, grace.summary.id, enabled(true), None).await.unwrap();
    let operator = world.operator();
    for _ in 0..10 {
        let (one, two) = tokio::join!(
            users.change(&operator, id(&ada), role(InstanceRole::Admin), None),
            users.change(&operator, grace.summary.id, role(InstanceRole::Admin), None),
        );
        assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1);
        for user in [id(&ada), grace.summary.id] {
            users.change(&operator, user, role(InstanceRole::Owner), None).await.unwrap();
        }
    }
}

#[sqlx::test(migrations = false)]
async fn only_owners_create_and_change_owners(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    made(&world, "adam@example.com", InstanceRole::Admin).await;
    let admin = world.signed_in("adam@example.com").await;
    let users = world.authority.users();
    let forbidden =
        |outcome: Result<(), ServiceError>| assert_eq!(code(outcome), ProblemCode::Forbidden);
    forbidden(users.create(&admin, person("eve@example.com", InstanceRole::Owner)).await.map(drop));
    forbidden(users.change(&admin, id(&admin), role(InstanceRole::Owner), None).await.map(drop));
    forbidden(users.change(&admin, id(&ada), enabled(false), None).await.map(drop));
    let rename = UserChange { name: Some("Eve".into()), ..UserChange::default() };
    forbidden(users.change(&admin, id(&ada), rename, None).await.map(drop));
    forbidden(users.remove(&admin, id(&ada), None).await.map(drop));
    users.create(&admin, person("al@example.com", InstanceRole::Admin)).await.unwrap();
    users.create(&ada, person("grace@example.com", InstanceRole::Owner)).await.unwrap();
    // All other callers cannot list users at all, tokens included.
    let member = world.person("member", Some(("workspace-1", "admin"))).await;
    let bearer = world.bearer(&world.token("tessera", &["members:write"]).await).await;
    for ctx in [&member, &bearer] {
        forbidden(users.list(ctx, &UserQuery::default()).await.map(drop));
        forbidden(users.create(ctx, person("x@example.com", InstanceRole::Member)).await.map(drop));
        assert_eq!(code(users.show(ctx, id(&ada)).await), ProblemCode::NotFound);
        assert_eq!(
            code(users.change(ctx, id(&member), enabled(false), None).await),
            ProblemCode::NotFound
        );
        assert_eq!(code(users.remove(ctx, id(&member), None).await), ProblemCode::NotFound);
    }
    assert_eq!(
        code(users.list(&world.anonymous(), &UserQuery::default()).await),
        ProblemCode::Unauthenticated
    );
}

#[sqlx::test(migrations = false)]
async fn pages_hold_every_user_once(pool: PgPool) {
    let world = World::founded(pool).await;
    for index in 0..7 {
        world.person(&format!("person{index}"), None).await;
    }
    world.execute("UPDATE users SET enabled = false WHERE name = 'person1'").await;
    let ada = world.owner().await;
    let users = world.authority.users();
    let mut query = UserQuery { limit: 3, ..UserQuery::default() };
    let mut emails = Vec::new();
    loop {
        let page = users.list(&ada, &query).await.unwrap();
        emails.extend(page.items.into_iter().map(|user| user.summary.email));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(emails.len(), 8);
    assert!(emails.is_sorted());
    let found = async |query: UserQuery| users.list(&ada, &query).await.unwrap().items.len();
    assert_eq!(found(UserQuery { q: "PERSON".into(), ..UserQuery::default() }).await, 7);
    assert_eq!(found(UserQuery { enabled: Some(false), ..UserQuery::default() }).await, 1);
    assert_eq!(found(UserQuery { kind: Some(UserKind::Service), ..UserQuery::default() }).await, 0);
    for bad in [
        UserQuery { limit: 0, ..UserQuery::default() },
        UserQuery { cursor: Some("!".into()), ..UserQuery::default() },
        UserQuery { q: "\0".into(), ..UserQuery::default() },
    ] {
        assert_eq!(code(users.list(&ada, &bad).await), ProblemCode::ValidationFailed);
    }
}

#[sqlx::test(migrations = false)]
async fn member_is_added_changed_and_removed(pool: PgPool) {
    let world = World::founded(pool).await;
    made(&world, "grace@example.com", InstanceRole::Member).await;
    let admin = world.person("administrator", Some(("workspace-1", "admin"))).await;
    let home = slug("workspace-1");
    let workspaces = world.authority.workspaces();
    let new = |user: &str| NewMember {
        user: user.into(),
        role: WorkspaceRole::Member,
        grants: Some(vec!["rivers:*".into(), "rivers:*".into()]),
    };
    let ada = world.owner().await;
    let added = workspaces.add_member(&ada, &home, new("Grace@example.com")).await.unwrap();
    let Added::Member(member) = added else { panic!("invited") };
    assert_eq!(member.grants.as_ref().map(Vec::len), Some(1));
    assert_eq!(
        code(workspaces.add_member(&admin, &home, new("grace@example.com")).await),
        ProblemCode::AlreadyExists
    );
    assert_eq!(
        code(workspaces.add_member(&ada, &home, new("nobody@example.com")).await),
        ProblemCode::ValidationFailed
    );
    let bad = NewMember { grants: Some(vec!["riv*".into()]), ..new(crate::support::OWNER) };
    let Err(ServiceError::Invalid(errors)) = workspaces.add_member(&admin, &home, bad).await else {
        panic!("added")
    };
    assert_eq!(errors[0].field, "grants[0]");
    let user = member.user.id;
    let secret = token_of(&world, "grace@example.com").await;
    let change = MemberChange {
        role: Some(WorkspaceRole::Viewer),
        grants: GrantsChange::ByRole,
        ..MemberChange::default()
    };
    let changed = workspaces
        .change_member(&admin, &home, user, change.clone(), Some(1))
        .await
        .unwrap()
        .member;
    assert_eq!(
        (changed.role, &changed.grants, changed.version, changed.tokens),
        (WorkspaceRole::Viewer, &None, 2, 1)
    );
    let outcome = workspaces.change_member(&admin, &home, user, change, Some(1)).await;
    assert_eq!(code(outcome), ProblemCode::PreconditionFailed);
    let removed = workspaces.remove_member(&admin, &home, user, Some(2)).await.unwrap();
    assert_eq!(removed.stopped_tokens, 1);
    assert_eq!(
        world.decide(secret.expose(), &Demand::default()).await,
        DecisionCode::OwnerDisabled
    );
    assert_eq!(code(workspaces.member(&admin, &home, user).await), ProblemCode::NotFound);
    assert_eq!(
        code(workspaces.remove_member(&admin, &home, user, None).await),
        ProblemCode::NotFound
    );
    let actions: Vec<_> = world
        .authority
        .audit()
        .recent(&admin, &home, 4)
        .await
        .unwrap()
        .into_iter()
        .map(|event| event.action)
        .collect();
    assert_eq!(actions, ["member.remove", "member.change", "token.create", "member.add"]);
    let revisions: i64 =
        sqlx::query_scalar("SELECT count(*) FROM revisions WHERE kind = 'membership'")
            .fetch_one(&world.pool)
            .await
            .unwrap();
    assert_eq!(revisions, 3);
}

#[sqlx::test(migrations = false)]
async fn token_gives_members_no_more_rights_than_it_holds(pool: PgPool) {
    let world = World::founded(pool).await;
    made(&world, "grace@example.com", InstanceRole::Member).await;
    let home = slug("workspace-1");
    let workspaces = world.authority.workspaces();
    let narrow = world.bearer(&world.token("tessera", &["members:write"]).await).await;
    let new = |role, grants: Option<&[&str]>| NewMember {
        user: "grace@example.com".into(),
        role,
        grants: grants.map(|grants| grants.iter().map(ToString::to_string).collect()),
    };
    for (role, grants, field) in [
        (WorkspaceRole::Admin, Some(&[][..]), "role"),
        (WorkspaceRole::Viewer, Some(&[][..]), "role"),
        (WorkspaceRole::Member, Some(&["rivers:read"][..]), "role"),
        (WorkspaceRole::Verifier, None, "role"),
    ] {
        let Err(ServiceError::Invalid(errors)) =
            workspaces.add_member(&narrow, &home, new(role, grants)).await
        else {
            panic!("added")
        };
        assert_eq!(errors[0].field, field);
    }
    let wide = TokenDraft {
        audiences: vec!["tessera".into(), "default".into()],
        ..draft(&["members:write", "tokens:write", "verify", "rivers:read"])
    };
    let wide = world.bearer(&world.mint(&world.owner().await, "workspace-1", wide).await).await;
    for (role, grants) in
        [(WorkspaceRole::Member, None), (WorkspaceRole::Member, Some(&["rivers:*"][..]))]
    {
        let Err(ServiceError::Invalid(errors)) =
            workspaces.add_member(&wide, &home, new(role, grants)).await
        else {
            panic!("added")
        };
        assert_eq!(errors[0].field, "grants");
    }
    workspaces
        .add_member(&wide, &home, new(WorkspaceRole::Member, Some(&["default/rivers:read"])))
        .await
        .unwrap();
}

#[sqlx::test(migrations = false)]
async fn workspace_is_renamed_by_its_administrator(pool: PgPool) {
    let world = World::founded(pool).await;
    let admin = world.person("administrator", Some(("workspace-1", "admin"))).await;
    let home = slug("workspace-1");
    let workspaces = world.authority.workspaces();
    let renamed = workspaces.rename(&admin, &home, " Rivers ", Some(1)).await.unwrap().workspace;
    assert_eq!((renamed.name.as_ref(), renamed.version), ("Rivers", 2));
    assert_eq!(
        code(workspaces.rename(&admin, &home, "x", Some(1)).await),
        ProblemCode::PreconditionFailed
    );
    assert_eq!(
        code(workspaces.rename(&admin, &home, "", None).await),
        ProblemCode::ValidationFailed
    );
    let viewer = world.person("viewer", Some(("workspace-1", "viewer"))).await;
    assert_eq!(code(workspaces.rename(&viewer, &home, "x", None).await), ProblemCode::Forbidden);
}

#[sqlx::test(migrations = false)]
async fn list_of_workspaces_counts_the_tokens_of_each(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    for (workspace, tokens) in [("a", 2), ("b", 0), ("c", 1)] {
        world.workspace(workspace).await;
        for _ in 0..tokens {
            world.mint(&ada, workspace, draft(&["rivers:read"])).await;
        }
    }
    let cards = world.authority.workspaces().list(&ada).await.unwrap();
    let counts: Vec<_> =
        cards.iter().map(|card| (card.workspace.slug.as_ref(), card.counts.total)).collect();
    assert_eq!(counts, [("a", 2), ("b", 0), ("c", 1), ("workspace-1", 0)]);
    let member = world.person("member", Some(("a", "member"))).await;
    let cards = world.authority.workspaces().list(&member).await.unwrap();
    assert_eq!((cards.len(), cards[0].counts.total), (1, 0));
}
