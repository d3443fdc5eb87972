//! First start, by link and by command line.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use crate::support::{OWNER, PASSWORD, World, password};
use authority::{NewAdmin, ServiceError, SetupForm, secret::SetupSecret};
use sqlx::PgPool;
use time::Duration;

fn form() -> SetupForm {
    SetupForm {
        organisation: "Example".into(),
        email: OWNER.into(),
        name: "Ada".into(),
        password: password(PASSWORD),
        workspace_name: "Workspace 1".into(),
        user_agent: Some("test".into()),
    }
}

#[sqlx::test(migrations = false)]
async fn setup_link_sets_up_the_instance_once(pool: PgPool) {
    let world = World::empty(pool).await;
    let setup = world.authority.setup();
    let link = setup.issue_link(&world.operator()).await.unwrap().unwrap();
    assert!(setup.is_open(&world.anonymous()).await.unwrap());
    setup.check_link(&world.anonymous(), &link).await.unwrap();
    let signed_in = setup.complete(&world.anonymous(), &link, form()).await.unwrap();
    assert!(signed_in.visitor.is_instance_admin());
    let found = world.authority.sessions().resolve(&world.anonymous(), &signed_in.secret).await;
    assert_eq!(found.unwrap().unwrap().visitor.user.email, OWNER);
    assert!(matches!(
        setup.complete(&world.anonymous(), &link, form()).await,
        Err(ServiceError::NotFound(_))
    ));
    assert!(setup.issue_link(&world.operator()).await.unwrap().is_none());
    let cards = world.authority.workspaces().list(&world.owner().await).await.unwrap();
    assert_eq!(cards[0].workspace.slug.as_ref(), "workspace-1");
    let slug = &cards[0].workspace.slug;
    let events = world.authority.audit().recent(&world.owner().await, slug, 10).await.unwrap();
    assert_eq!((events[0].actor.as_str(), events[0].action.as_str()), ("Ada", "workspace.create"));
}

#[sqlx::test(migrations = false)]
async fn expired_replaced_or_guessed_setup_link_is_refused(pool: PgPool) {
    let world = World::empty(pool).await;
    let setup = world.authority.setup();
    let first = setup.issue_link(&world.operator()).await.unwrap().unwrap();
    let second = setup.issue_link(&world.operator()).await.unwrap().unwrap();
    let gone = async |link: &SetupSecret| {
        matches!(setup.check_link(&world.anonymous(), link).await, Err(ServiceError::NotFound(_)))
    };
    assert!(gone(&first).await);
    assert!(gone(&SetupSecret::new("guess".into())).await);
    assert!(!gone(&second).await);
    world.pass(Duration::hours(24));
    assert!(gone(&second).await);
}

#[sqlx::test(migrations = false)]
async fn invalid_setup_reports_each_field_and_creates_nothing(pool: PgPool) {
    let world = World::empty(pool).await;
    let setup = world.authority.setup();
    let link = setup.issue_link(&world.operator()).await.unwrap().unwrap();
    let bad = SetupForm {
        organisation: String::new(),
        email: "ada".into(),
        name: "x\0".into(),
        password: password("short"),
        workspace_name: " ".into(),
        user_agent: None,
    };
    let Err(ServiceError::Invalid(errors)) = setup.complete(&world.anonymous(), &link, bad).await
    else {
        panic!("accepted");
    };
    let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["organisation", "email", "name", "workspace_name", "password"]);
    assert!(setup.is_open(&world.anonymous()).await.unwrap());
}

#[sqlx::test(migrations = false)]
async fn two_concurrent_setups_create_one_instance(pool: PgPool) {
    let world = World::empty(pool).await;
    let setup = world.authority.setup();
    let link = setup.issue_link(&world.operator()).await.unwrap().unwrap();
    let ctx = world.anonymous();
    let (one, two) =
        tokio::join!(setup.complete(&ctx, &link, form()), setup.complete(&ctx, &link, form()));
    assert_eq!(u8::from(one.is_ok()) + u8::from(two.is_ok()), 1);
    let users: i64 =
        sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(&world.pool).await.unwrap();
    assert_eq!(users, 1);
}

#[sqlx::test(migrations = false)]
async fn command_line_creates_the_owner_then_further_administrators(pool: PgPool) {
    let world = World::founded(pool).await;
    let setup = world.authority.setup();
    let admin =
        |email: &str| NewAdmin { email: email.into(), name: None, password: password(PASSWORD) };
    setup.create_admin(&world.operator(), admin("grace@example.com")).await.unwrap();
    let grace = world.signed_in("grace@example.com").await;
    assert_eq!(world.authority.workspaces().list(&grace).await.unwrap().len(), 1);
    assert!(matches!(
        setup.create_admin(&world.operator(), admin(OWNER)).await,
        Err(ServiceError::AlreadyExists(_))
    ));
    assert!(matches!(
        setup.create_admin(&world.owner().await, admin("eve@example.com")).await,
        Err(ServiceError::Forbidden(_))
    ));
    assert!(matches!(
        setup.create_admin(&world.anonymous(), admin("eve@example.com")).await,
        Err(ServiceError::Unauthenticated)
    ));
}

#[sqlx::test(migrations = false)]
async fn other_keys_are_refused_once_the_instance_is_set_up(pool: PgPool) {
    // A second world generates its own keys for the same database.
    let other = World::empty(pool.clone()).await;
    other.authority.check_keys().await.unwrap();
    let world = World::founded(pool).await;
    world.authority.check_keys().await.unwrap();
    assert!(other.authority.check_keys().await.is_err());
    assert!(other.authority.migrate().await.is_err());
    // A server that started before the setup, with other keys, must not receive any requests.
    world.authority.ready().await.unwrap();
    assert!(other.authority.ready().await.is_err());
}
