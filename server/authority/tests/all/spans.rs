//! Spans: every operation has one, with its noun, its verb and its caller, and without secrets.
#![allow(
    clippy::allow_attributes,
    clippy::unwrap_used,
    missing_docs,
    reason = "a test that panics has failed"
)]

use std::{fs, path::Path, sync::Arc, time::Duration};

use crate::support::{
    OWNER, PASSWORD, World, demand, draft, slug,
    spans::{Collected, Fields},
    url,
};
use authority::{
    Actor, Authority, Presented, Settings, Surface, clock::SystemClock, entropy::SystemEntropy,
    keys::Keys, store,
};
use domain::decision::{DecisionCode, Demand};
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use tracing::Level;

/// The folders of services in `src`.
const NOUNS: &[&str] = &[
    "audit",
    "catalogues",
    "idempotency",
    "invitations",
    "passwords",
    "policies",
    "replicas",
    "sessions",
    "setup",
    "tokens",
    "transfer",
    "users",
    "verification",
    "workspaces",
];

/// Methods without an [`authority::OpContext`], which therefore name no caller, and the reason.
const WITHOUT_CALLER: &[(&str, &str)] = &[
    ("idempotency.keep", "the attempt names no caller; the request was authorised by `claim`"),
    ("idempotency.release", "the attempt names no caller; the request was authorised by `claim`"),
    ("verification.learn", "looks up facts before the caller is authenticated"),
];

/// An async method of a service, with the lines above it that are attributes.
struct Method {
    noun: &'static str,
    verb: String,
    /// Whether it belongs to the whole authority, which runs it in the background.
    is_background: bool,
    attributes: String,
}

fn methods() -> Vec<Method> {
    let mut methods = Vec::new();
    for noun in NOUNS {
        collect_folder(
            noun,
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(noun),
            &mut methods,
        );
    }
    methods
}

fn collect_folder(noun: &'static str, folder: &Path, methods: &mut Vec<Method>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_folder(noun, &path, methods);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            collect(noun, &fs::read_to_string(path).unwrap(), methods);
        }
    }
}

fn collect(noun: &'static str, text: &str, methods: &mut Vec<Method>) {
    let (mut implemented, mut attributes) = ("", String::new());
    for line in text.lines() {
        if line.starts_with("impl") {
            implemented = line;
        }
        if let Some(signature) = line.strip_prefix("    pub async fn ") {
            methods.push(Method {
                noun,
                verb: signature.split(['(', '<']).next().unwrap().to_owned(),
                is_background: implemented.starts_with("impl Authority"),
                attributes: std::mem::take(&mut attributes),
            });
        } else if line.trim_start().starts_with("///") || line.trim().is_empty() || line == "}" {
            attributes.clear();
        } else {
            attributes.push_str(line);
        }
    }
}

#[test]
fn every_method_of_a_service_has_a_span_with_its_noun_its_verb_and_its_caller() {
    let methods = methods();
    assert!(methods.len() > 100, "found only {} methods", methods.len());
    for Method { noun, verb, is_background, attributes } in methods {
        let name = format!("{noun}.{verb}");
        assert!(attributes.contains("#[tracing::instrument(skip_all,"), "{name} has no span");
        let noun = if is_background { "background" } else { noun };
        let named = format!("noun = \"{noun}\", verb = \"{verb}\"");
        assert!(attributes.contains(&named), "the span of {name} lacks {named}");
        let names_caller = attributes.contains("actor = %ctx.actor, request_id = ctx.request_id");
        let is_excepted = is_background || WITHOUT_CALLER.iter().any(|(known, _)| *known == name);
        assert_ne!(names_caller, is_excepted, "the caller of {name}");
    }
}

/// Returns the caller in the span of this operation.
fn actor<'a>(spans: &'a [Fields], noun: &str, verb: &str) -> &'a str {
    let is_wanted =
        |span: &&Fields| (span.get("noun"), span.get("verb")) == (Some(noun), Some(verb));
    let span = spans.iter().find(is_wanted);
    let span = span.unwrap_or_else(|| panic!("{noun}.{verb} has no span"));
    assert_eq!(span.get("request_id"), Some("test"), "{noun}.{verb}");
    span.get("actor").unwrap()
}

#[sqlx::test(migrations = false)]
async fn spans_name_operation_and_caller_and_contain_no_secret(pool: PgPool) {
    let (collected, _guard) = Collected::start();
    let world = World::founded(pool).await;
    let ada = world.owner().await;
    let minted = world.mint(&ada, "workspace-1", draft(&["rivers:read"])).await;
    let secret = minted.secret.expose().to_owned();
    let code = world.decide(&secret, &demand("default", &["rivers:read"])).await;
    assert_eq!(code, DecisionCode::Valid);
    let bearer = world.bearer(&minted).await;
    world.authority.tokens().show_self(&bearer).await.unwrap();
    world.authority.tokens().delete(&ada, minted.token.id, None).await.unwrap();

    let spans = collected.spans();
    let user = format!("user:{}", ada.actor.to_string().trim_start_matches("user:"));
    assert!(user.len() == "user:".len() + 36, "{user}");
    let token = format!("token:{}", minted.token.id.0);
    for (noun, verb, expected) in [
        ("setup", "create_admin", "operator"),
        ("sessions", "sign_in", "anonymous"),
        ("tokens", "create", &user),
        ("verification", "decide", "anonymous"),
        ("tokens", "show_self", &token),
        ("tokens", "delete", &user),
    ] {
        assert_eq!(actor(&spans, noun, verb), expected, "{noun}.{verb}");
    }
    let random = secret.rsplit('_').next().unwrap();
    for text in spans.iter().flat_map(|span| span.0.values()) {
        for private in [secret.as_str(), random, PASSWORD, OWNER, "Ada"] {
            assert!(!text.contains(private), "a span contains {private}: {text}");
        }
    }
}

/// Starts another server on the test's database, with the connections of a real one.
fn server(pool: &PgPool, keys: &str) -> Authority {
    Authority::new(
        store::connect(&url(pool), 4).unwrap(),
        Keys::from_toml(keys).unwrap(),
        Arc::new(SystemClock),
        Arc::new(SystemEntropy),
        Settings::default(),
    )
}

#[sqlx::test(migrations = false)]
async fn verification_from_memory_has_no_span(pool: PgPool) {
    let keys = Keys::generate(&SystemEntropy);
    let text = keys.to_toml().expose_secret().to_owned();
    let world = World::with_keys(pool.clone(), keys).await;
    let mut draft = draft(&["rivers:read"]);
    draft.user = Some(OWNER.into());
    let minted = world.mint(&world.operator(), "workspace-1", draft).await;
    let secret = minted.secret.expose();

    let server = server(&pool, &text);
    let follows = tokio::spawn(server.clone().run_replica("test".into(), "0"));
    let anonymous = server.context(Actor::Anonymous, Surface::Rest, "test".into(), None);
    let verification = server.verification();
    for round in 0.. {
        assert!(round < 1_000, "the token is not answered from memory");
        let at = Presented { now: server.now(), ip: None, agent: None, learned: false };
        let (collected, guard) = Collected::start();
        let answer = verification.decide_remembered(secret, &Demand::default(), at);
        drop(guard);
        if answer.is_some() {
            assert!(collected.spans().is_empty(), "{:?}", collected.spans());
            break;
        }
        verification.decide(&anonymous, secret, &Demand::default()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    follows.abort();
}

/// Simulates a slow statement by a lock that another session holds.
#[sqlx::test(migrations = false)]
async fn slow_statement_is_logged_once_with_its_operation_and_without_values(pool: PgPool) {
    let keys = Keys::generate(&SystemEntropy);
    let text = keys.to_toml().expose_secret().to_owned();
    let world = World::with_keys(pool.clone(), keys).await;
    let ada = world.owner().await;
    let minted = world.mint(&ada, "workspace-1", draft(&["rivers:read"])).await;
    let server = server(&pool, &text);

    let (collected, _guard) = Collected::start();
    let mut other = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE tokens IN ACCESS EXCLUSIVE MODE").execute(&mut *other).await.unwrap();
    let release = async {
        tokio::time::sleep(store::SLOW + Duration::from_millis(200)).await;
        other.commit().await.unwrap();
    };
    let (tokens, home) = (server.tokens(), slug("workspace-1"));
    let (shown, ()) = tokio::join!(tokens.show_number(&ada, &home, 1), release);
    assert_eq!(shown.unwrap().id, minted.token.id);

    let slow: Vec<_> =
        collected.lines().into_iter().filter(|line| line.level <= Level::WARN).collect();
    let [line] = slow.as_slice() else { panic!("{slow:?}") };
    let span = line.span.as_ref().unwrap();
    assert_eq!((line.level, line.target), (Level::WARN, "sqlx::query"));
    assert_eq!((span.get("noun"), span.get("verb")), (Some("tokens"), Some("show_number")));
    assert_eq!(span.get("actor"), Some(ada.actor.to_string().as_str()));
    assert!(line.fields.get("message").unwrap().contains("slow"), "{line:?}");
    assert!(line.fields.get("summary").unwrap().starts_with("SELECT"), "{line:?}");
    for value in ["workspace-1", &minted.token.id.0.to_string()] {
        assert!(line.fields.0.values().all(|text| !text.contains(value)), "{line:?}");
    }
}
