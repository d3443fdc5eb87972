//! Tokens: create, list, show and delete, and the required permissions.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{World, demand, draft, slug};
use authority::{MintedToken, ServiceError, TokenDraft};
use domain::{
    decision::{DecisionCode, Demand},
    problem::ProblemCode,
    token::TokenState,
    token_query::{TokenQuery, TokenSort},
};
use futures::future::join_all;
use sqlx::PgPool;
use time::Duration;
use uuid::Uuid;

fn code<T: std::fmt::Debug>(outcome: Result<T, ServiceError>) -> ProblemCode {
    outcome.unwrap_err().code()
}

#[sqlx::test(migrations = false)]
async fn created_token_is_listed_shown_and_valid_until_deleted(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let MintedToken { token, secret, .. } = world.token("default", &["rivers:run"]).await;
    assert_eq!(token.state, TokenState::Active);
    assert_eq!(token.user.email, "ada@example.com");
    assert_eq!(token.created_by, Some(token.user.clone()));
    assert!(secret.expose().starts_with("tsr_"));
    assert_eq!(token.hint, format!("tsr_…{}", &secret.expose()[36..]));
    let tokens = world.authority.tokens();
    assert_eq!(tokens.show(&ada, token.id).await.unwrap(), token);
    let page = tokens.list(&ada, &slug("workspace-1"), &TokenQuery::default()).await.unwrap();
    assert_eq!(page.items, std::slice::from_ref(&token));
    assert_eq!(page.next, None);

    let run = demand("default", &["rivers:run"]);
    assert_eq!(world.decide(secret.expose(), &run).await, DecisionCode::Valid);
    tokens.delete(&ada, token.id, None).await.unwrap();
    assert_eq!(world.decide(secret.expose(), &run).await, DecisionCode::Revoked);
    assert_eq!(code(tokens.show(&ada, token.id).await), ProblemCode::NotFound);
    assert_eq!(code(tokens.delete(&ada, token.id, None).await), ProblemCode::NotFound);
    let page = tokens.list(&ada, &slug("workspace-1"), &TokenQuery::default()).await.unwrap();
    assert!(page.items.is_empty());
}

#[sqlx::test(migrations = false)]
async fn only_administrators_reach_tokens_and_non_members_do_not_find_them(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("other").await;
    let token = world.token("default", &["rivers:read"]).await.token;
    let tokens = world.authority.tokens();
    let home = slug("workspace-1");
    for (name, membership, list, show, delete) in [
        ("member", Some(("workspace-1", "member")), 403, 404, 404),
        ("verifier", Some(("workspace-1", "verifier")), 403, 404, 404),
        ("stranger", None, 404, 404, 404),
        ("neighbour-admin", Some(("other", "admin")), 404, 404, 404),
    ] {
        let ctx = world.person(name, membership).await;
        assert_eq!(
            code(tokens.list(&ctx, &home, &TokenQuery::default()).await).status(),
            list,
            "{name}"
        );
        assert_eq!(
            code(tokens.create(&ctx, &home, draft(&["rivers:read"])).await).status(),
            list,
            "{name}"
        );
        assert_eq!(code(tokens.show(&ctx, token.id).await).status(), show, "{name}");
        assert_eq!(code(tokens.delete(&ctx, token.id, None).await).status(), delete, "{name}");
    }
    let nobody = world.anonymous();
    assert_eq!(code(tokens.show(&nobody, token.id).await).status(), 401);
    assert_eq!(code(tokens.create(&nobody, &home, draft(&["rivers:read"])).await).status(), 401);
    let admin = world.person("administrator", Some(("workspace-1", "admin"))).await;
    tokens.show(&admin, token.id).await.unwrap();
    tokens.delete(&admin, token.id, None).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn managing_token_needs_its_scope_and_reaches_only_its_own_workspace(pool: PgPool) {
    let world = World::founded(pool).await;
    world.workspace("other").await;
    let tokens = world.authority.tokens();
    let (home, other) = (slug("workspace-1"), slug("other"));
    let plain = world.token("default", &["rivers:write"]).await;
    let ctx = world.bearer(&plain).await;
    assert_eq!(
        code(tokens.list(&ctx, &home, &TokenQuery::default()).await),
        ProblemCode::InsufficientScope
    );
    let reader = world.token("tessera", &["tokens:read"]).await;
    let ctx = world.bearer(&reader).await;
    assert_eq!(tokens.list(&ctx, &home, &TokenQuery::default()).await.unwrap().items.len(), 2);
    assert_eq!(
        code(tokens.list(&ctx, &other, &TokenQuery::default()).await),
        ProblemCode::NotFound
    );
    assert_eq!(
        code(tokens.delete(&ctx, plain.token.id, None).await),
        ProblemCode::InsufficientScope
    );
    assert_eq!(tokens.show_self(&ctx).await.unwrap().id, reader.token.id);
    // When its owner loses the role, the token loses its rights, whatever its scopes.
    let admin = world.person("administrator", Some(("workspace-1", "admin"))).await;
    let draft = TokenDraft { audiences: vec!["tessera".into()], ..draft(&["tokens:read"]) };
    let minted = world.mint(&admin, "workspace-1", draft).await;
    let ctx = world.bearer(&minted).await;
    tokens.list(&ctx, &home, &TokenQuery::default()).await.unwrap();
    world.execute("UPDATE memberships SET role = 'member' WHERE role = 'admin' AND user_id IN (SELECT id FROM users WHERE name = 'administrator')").await;
    assert_eq!(code(tokens.list(&ctx, &home, &TokenQuery::default()).await).status(), 403);
}

#[sqlx::test(migrations = false)]
async fn token_never_creates_a_token_with_more_scopes_than_it_holds(pool: PgPool) {
    let world = World::founded(pool).await;
    let all = TokenDraft {
        audiences: vec!["default".into(), "tessera".into()],
        ..draft(&["tokens:write", "rivers:write"])
    };
    let ada = world.owner().await;
    let minter = world.mint(&ada, "workspace-1", all).await;
    let ctx = world.bearer(&minter).await;
    let home = slug("workspace-1");
    let tokens = world.authority.tokens();
    let child = tokens.create(&ctx, &home, draft(&["rivers:read"])).await.unwrap();
    assert_eq!(child.token.user.email, "ada@example.com");
    let wider = tokens.create(&ctx, &home, draft(&["rivers:run"])).await;
    assert_eq!(code(wider), ProblemCode::ValidationFailed);
}

#[sqlx::test(migrations = false)]
async fn workspace_administrator_cannot_make_a_token_act_as_an_instance_owner(pool: PgPool) {
    let world = World::founded(pool).await;
    let admin = world.person("administrator", Some(("workspace-1", "admin"))).await;
    let draft = TokenDraft { user: Some(crate::support::OWNER.into()), ..draft(&["rivers:read"]) };
    let outcome = world.authority.tokens().create(&admin, &slug("workspace-1"), draft).await;
    let Err(ServiceError::Invalid(errors)) = outcome else { panic!("made") };
    assert_eq!(errors[0].field, "user");
}

#[sqlx::test(migrations = false)]
async fn token_acts_only_as_a_member(pool: PgPool) {
    let world = World::founded(pool).await;
    world.person("member", Some(("workspace-1", "member"))).await;
    world.person("stranger", None).await;
    let ada = world.owner().await;
    let for_user = |user: &str| TokenDraft { user: Some(user.into()), ..draft(&["rivers:read"]) };
    let minted = world.mint(&ada, "workspace-1", for_user("member@example.com")).await;
    assert_eq!(minted.token.user.name, "member");
    assert_eq!(minted.token.created_by.unwrap().name, "Ada");
    for user in ["stranger@example.com", "nobody@example.com", "x", "", "\0"] {
        let outcome =
            world.authority.tokens().create(&ada, &slug("workspace-1"), for_user(user)).await;
        assert_eq!(code(outcome), ProblemCode::ValidationFailed, "{user}");
    }
    let run = Demand::default();
    assert_eq!(world.decide(minted.secret.expose(), &run).await, DecisionCode::Valid);
    world.execute("DELETE FROM memberships WHERE role = 'member'").await;
    assert_eq!(world.decide(minted.secret.expose(), &run).await, DecisionCode::OwnerDisabled);
}

#[sqlx::test(migrations = false)]
async fn same_form_sent_twice_creates_one_token(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let draft = TokenDraft { creation_key: Some(Uuid::from_u128(7)), ..draft(&["rivers:read"]) };
    let home = slug("workspace-1");
    let tokens = world.authority.tokens();
    let (one, two) = tokio::join!(
        tokens.create(&ada, &home, draft.clone()),
        tokens.create(&ada, &home, draft.clone())
    );
    assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1);
    let made = one.or(two).unwrap().token.id;
    match tokens.create(&ada, &home, draft).await {
        Err(ServiceError::AlreadyCreated(id)) => assert_eq!(id, made),
        other => panic!("{other:?}"),
    }
}

#[sqlx::test(migrations = false)]
async fn form_sent_many_times_at_once_names_the_token_that_it_created(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let home = slug("workspace-1");
    let tokens = world.authority.tokens();
    // Policies under which creations lock other rows first.
    let policies = [
        "SELECT 1",
        "INSERT INTO policies (id, workspace_id, max_tokens, updated_at)
         SELECT gen_random_uuid(), id, 1000, now() FROM workspaces",
        "UPDATE policies SET max_tokens = NULL, unique_names = true WHERE workspace_id IS NOT NULL",
    ];
    for (round, policy) in policies.into_iter().enumerate() {
        world.execute(policy).await;
        let creation_key = Some(Uuid::from_u128(u128::try_from(round).unwrap()));
        let name = format!("round {round}");
        let draft = TokenDraft { name, creation_key, ..draft(&["rivers:read"]) };
        let attempts = (0..8).map(|_| tokens.create(&ada, &home, draft.clone()));
        let (made, refused): (Vec<_>, Vec<_>) =
            join_all(attempts).await.into_iter().partition(Result::is_ok);
        let [Ok(made)] = made.as_slice() else { panic!("{policy:?} made {}", made.len()) };
        for refusal in refused {
            match refusal {
                Err(ServiceError::AlreadyCreated(id)) => {
                    assert_eq!(id, made.token.id, "{policy:?}");
                }
                other => panic!("{policy:?}: {other:?}"),
            }
        }
    }
}

#[sqlx::test(migrations = false)]
async fn policy_bounds_lifetime_prefix_and_names(pool: PgPool) {
    let world = World::founded(pool).await;
    world
        .execute(
            "INSERT INTO policies (id, workspace_id, max_ttl_s, allow_never, prefix, unique_names, updated_at)
             SELECT gen_random_uuid(), id, 864000, false, 'acme', true, now() FROM workspaces",
        )
        .await;
    let ada = world.owner().await;
    let minted = world.mint(&ada, "workspace-1", draft(&["rivers:read"])).await;
    assert!(minted.secret.expose().starts_with("acme_"));
    assert_eq!(minted.token.expires_at, Some(crate::support::START + Duration::days(10)));
    let tokens = world.authority.tokens();
    let same = TokenDraft { name: "CI".into(), ..draft(&["rivers:read"]) };
    assert_eq!(
        code(tokens.create(&ada, &slug("workspace-1"), same).await),
        ProblemCode::AlreadyExists
    );
    let late = TokenDraft {
        name: "late".into(),
        expiry: domain::expiry::parse("never"),
        ..draft(&["rivers:read"])
    };
    assert_eq!(
        code(tokens.create(&ada, &slug("workspace-1"), late).await),
        ProblemCode::ValidationFailed
    );
}

#[sqlx::test(migrations = false)]
async fn pages_hold_every_token_once_in_every_order(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    for (index, name) in ["b", "A", "c", "a", "100%"].iter().enumerate() {
        world.pass(Duration::seconds(1));
        let expiry = if index % 2 == 0 {
            domain::expiry::parse("never")
        } else {
            domain::expiry::parse("7d")
        };
        let ctx = world.context(ada.actor.clone());
        let draft = TokenDraft { name: (*name).into(), expiry, ..draft(&["rivers:read"]) };
        world.mint(&ctx, "workspace-1", draft).await;
    }
    let tokens = world.authority.tokens();
    for (sort, expected) in [
        (TokenSort::Newest, ["100%", "a", "c", "A", "b"]),
        (TokenSort::Oldest, ["b", "A", "c", "a", "100%"]),
        (TokenSort::Name, ["100%", "A", "a", "b", "c"]),
        (TokenSort::Expires, ["A", "a", "b", "c", "100%"]),
    ] {
        let mut query = TokenQuery { sort, limit: 2, ..TokenQuery::default() };
        let mut names = Vec::new();
        loop {
            let page = tokens.list(&ada, &slug("workspace-1"), &query).await.unwrap();
            names.extend(page.items.into_iter().map(|token| token.name));
            match page.next {
                Some(next) => query.cursor = Some(next),
                None => break,
            }
        }
        assert_eq!(names, expected, "{sort:?}");
    }
    let found = async |q: &str, state: Option<TokenState>| {
        let query = TokenQuery { q: q.into(), state, ..TokenQuery::default() };
        tokens.list(&ada, &slug("workspace-1"), &query).await.unwrap().items.len()
    };
    assert_eq!(found("100%", None).await, 1);
    assert_eq!(found("%", None).await, 1);
    assert_eq!(found("a", Some(TokenState::Active)).await, 5, "Ada's own name has an a");
    assert_eq!(found("tsr_", Some(TokenState::Expired)).await, 0);
    let bad = TokenQuery { cursor: Some("nonsense".into()), ..TokenQuery::default() };
    assert_eq!(
        code(tokens.list(&ada, &slug("workspace-1"), &bad).await),
        ProblemCode::ValidationFailed
    );
}

#[sqlx::test(migrations = false)]
async fn change_without_its_audit_row_does_not_happen(pool: PgPool) {
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let minted = world.token("default", &["rivers:read"]).await;
    let events = world.authority.audit().recent(&ada, &slug("workspace-1"), 10).await.unwrap();
    assert_eq!(events[0].action, "token.create");
    assert_eq!((events[0].actor.as_str(), events[0].subject.as_str()), ("Ada", "ci"));
    world
        .execute("ALTER TABLE audit_events ADD CONSTRAINT audit_full CHECK (false) NOT VALID")
        .await;
    let tokens = world.authority.tokens();
    assert_eq!(code(tokens.delete(&ada, minted.token.id, None).await), ProblemCode::Internal);
    assert_eq!(
        code(tokens.create(&ada, &slug("workspace-1"), draft(&["rivers:read"])).await),
        ProblemCode::Internal
    );
    assert_eq!(world.decide(minted.secret.expose(), &Demand::default()).await, DecisionCode::Valid);
    let page = tokens.list(&ada, &slug("workspace-1"), &TokenQuery::default()).await.unwrap();
    assert_eq!(page.items.len(), 1);
}

#[sqlx::test(migrations = false)]
async fn stored_data_never_contains_the_secret(pool: PgPool) {
    let world = World::founded(pool).await;
    let minted = world.token("default", &["rivers:read"]).await;
    let random = &minted.secret.expose()[4..36];
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&world.pool)
            .await
            .unwrap();
    assert!(tables.len() > 10);
    for table in tables {
        let sql = format!("SELECT count(*) FROM {table} t WHERE t::text LIKE '%' || $1 || '%'");
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind(random)
            .fetch_one(&world.pool)
            .await
            .unwrap();
        assert_eq!(found, 0, "{table}");
    }
}
