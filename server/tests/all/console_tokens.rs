//! Adding and deleting a token without scripts.

use crate::console_support::{Browser, TOKENS, assert_static, input_value};
use crate::rest_support::Instance;
use crate::support::server::{ADMIN_EMAIL, ADMIN_PASSWORD};
use serde_json::json;

const NEW: &str = "/workspaces/workspace-1/settings/tokens/new";

fn start() -> (Instance, Browser) {
    let instance = Instance::start();
    let browser = Browser::signed_in(&instance.server, ADMIN_EMAIL, ADMIN_PASSWORD);
    (instance, browser)
}

/// The secret that a page shows.
fn secret(page: &str) -> Option<String> {
    page.match_indices("tsr_").find_map(|(at, _)| {
        let text = page.get(at..at + 40)?;
        text[4..].bytes().all(|byte| byte.is_ascii_alphanumeric()).then(|| text.to_owned())
    })
}

#[test]
fn token_is_added_shown_once_used_and_deleted() {
    let (instance, mut browser) = start();
    let form = browser.get(NEW).expect(200).text();
    assert!(form.contains("rivers:run"));
    let key = input_value(&form, "creation_key").expect("a creation key");
    let fields = [
        ("creation_key", &*key),
        ("name", "deploy-bot"),
        ("description", "Runs rivers"),
        ("audience", "default"),
        ("scope", "rivers:run"),
        ("scope", "rivers:read"),
        ("expires", "30d"),
    ];
    let answer = browser.post(NEW, &fields).expect(200);
    assert_static(&answer);
    let secret = secret(&answer.text()).expect("the secret is shown");
    let verdict = instance.verify(&json!({"token": secret, "scopes": ["rivers:run"]}));
    assert_eq!(verdict["code"], "VALID");

    let again = browser.post(NEW, &fields).expect(409);
    assert_static(&again);
    assert!(!again.text().contains(&secret));
    assert!(again.text().contains("shown once"), "{}", again.text());

    let list = browser.get(TOKENS).expect(200).text();
    assert!(list.contains("deploy-bot") && !list.contains(&secret));
    let id = verdict["token_id"].as_str().unwrap();
    let view = browser.get(&format!("{TOKENS}/{id}")).expect(200).text();
    assert!(view.contains("rivers:run") && !view.contains(&secret));

    let delete = format!("{TOKENS}/{id}/delete");
    let question = browser.get(&delete).expect(200).text();
    assert!(question.contains("deploy-bot"), "{question}");
    let answer = browser.post(&delete, &[]).expect(303);
    assert_eq!(answer.header("location"), Some(TOKENS));
    let list = browser.get(TOKENS).expect(200).text();
    assert!(list.contains("“deploy-bot” was deleted"), "{list}");
    assert_eq!(instance.verify(&json!({"token": secret}))["valid"], false);
    browser.get(&format!("{TOKENS}/{id}")).expect(404);
    browser.post(&delete, &[]).expect(404);
    assert!(!instance.server.stderr().contains(&secret), "the log does not contain the secret");
}

#[test]
fn failed_form_keeps_its_input() {
    let (_instance, mut browser) = start();
    let answer = browser
        .post(
            NEW,
            &[
                ("name", ""),
                ("description", "</textarea><script>alert(1)</script>\n2nd line"),
                ("audience", "default"),
                ("scope", "rivers:run"),
                ("scope", "no:such"),
                ("expires", "date"),
                ("expires_date", "2001-01-01"),
                ("ip_allow", "10.0.0.0/8, nonsense"),
            ],
        )
        .expect(422);
    assert_static(&answer);
    let page = answer.text();
    assert!(!page.contains("<script>alert(1)"), "{page}");
    assert!(page.contains("&lt;/textarea&gt;&lt;script&gt;"), "{page}");
    assert_eq!(input_value(&page, "expires_date").as_deref(), Some("2001-01-01"));
    assert!(page.contains("10.0.0.0/8, nonsense"));
    assert!(page.contains("fields to continue."), "{page}");
    let ticked = page.split("<input").any(|input| {
        let tag = input.split('>').next().unwrap_or_default();
        tag.contains("value=\"default/rivers:run\"") && tag.contains("checked")
    });
    assert!(ticked, "the scope stays ticked");
}

#[test]
fn hydrated_form_gets_the_token_or_the_problem_in_json() {
    let (instance, browser) = start();
    let mut browser = browser.asking_for_json();
    let answer = browser
        .post(
            NEW,
            &[
                ("name", "ci"),
                ("audience", "default"),
                ("scope", "rivers:run"),
                ("expires", "never"),
            ],
        )
        .expect(201);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let minted = answer.json();
    assert_eq!(minted["outcome"], "minted");
    assert_eq!(minted["token"]["name"], "ci");
    assert_eq!(minted["token"]["expires_at"], json!(null));
    let secret = minted["secret"].as_str().unwrap();
    assert_eq!(instance.verify(&json!({"token": secret}))["code"], "VALID");
    let problem = browser.post(NEW, &[("name", ""), ("scope", "rivers:run")]).expect(422).json();
    assert_eq!(problem["errors"][0]["field"], "name");
    let id = minted["token"]["id"].as_str().unwrap();
    let done = browser.post(&format!("{TOKENS}/{id}/delete"), &[]).expect(200).json();
    assert_eq!(done, json!({"outcome": "redirect", "location": TOKENS}));
}

#[test]
fn form_survives_a_session_that_ends_while_it_is_filled_in() {
    let (instance, mut browser) = start();
    let session = browser.cookie("tessera").unwrap().to_owned();
    browser.forget("tessera");
    let fields = [
        ("name", "kept & <b>bold</b>"),
        ("audience", "default"),
        ("scope", "rivers:run"),
        ("scope", "rivers:read"),
        ("expires", "7d"),
    ];
    let answer = browser.post(NEW, &fields).expect(401);
    assert_static(&answer);
    let page = answer.text();
    assert!(page.contains("Your session has ended"), "{page}");
    assert!(page.contains("target=\"_blank\""), "sign-in opens beside it");
    assert!(page.contains(&format!("action=\"{NEW}\"")));
    assert_eq!(input_value(&page, "name").as_deref(), Some("kept &amp; &lt;b&gt;bold&lt;/b&gt;"));
    assert_eq!(page.matches("name=\"scope\"").count(), 2);
    assert_eq!(
        instance.managing("GET", &crate::rest_support::tokens_of("workspace-1")).send().json()["items"]
            .as_array()
            .map(Vec::len),
        Some(1),
        "no token was created"
    );

    let mut hydrated = Browser::new(&instance.server).asking_for_json();
    assert_eq!(hydrated.post(NEW, &fields).expect(401).json()["code"], "unauthenticated");

    let mut browser = browser.with_cookie("tessera", &session);
    browser.post(NEW, &fields).expect(200);
}

#[test]
fn markup_in_a_token_is_text_on_every_page() {
    let (instance, mut browser) = start();
    let markup = "<img src=x onerror=alert(1)> \u{1F642} \"'`</script>";
    let minted = instance.minted(
        "workspace-1",
        &json!({"name": markup, "description": format!("</textarea>{markup}\n</title>"), "scopes": ["rivers:run"]}),
    );
    let id = minted["token"]["id"].as_str().unwrap();
    for path in [
        TOKENS.to_owned(),
        format!("{TOKENS}?q=%3Cimg"),
        format!("{TOKENS}/{id}"),
        format!("{TOKENS}/{id}/delete"),
        "/workspaces/workspace-1".to_owned(),
    ] {
        let page = browser.get(&path).expect(200).text();
        assert!(!page.contains("<img"), "{path}: {page}");
        assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;"), "{path}: {page}");
        // Only our own scripts have end tags.
        assert_eq!(page.matches("<script").count(), page.matches("</script>").count(), "{path}");
    }
    browser.post(&format!("{TOKENS}/{id}/delete"), &[]).expect(303);
    let page = browser.get(TOKENS).expect(200).text();
    assert!(!page.contains("<img") && page.contains("was deleted"), "{page}");
}

#[test]
fn token_of_another_workspace_has_a_different_path() {
    let (instance, mut browser) = start();
    let minted = instance.minted("other", &json!({"name": "x", "scopes": ["rivers:run"]}));
    let id = minted["token"]["id"].as_str().unwrap();
    browser.post(&format!("{TOKENS}/{id}/delete"), &[]).expect(404);
    browser.get(&format!("{TOKENS}/{id}")).expect(404);
    browser.post(&format!("{TOKENS}/not-an-id/delete"), &[]).expect(404);
    let secret = minted["secret"].as_str().unwrap();
    let owned = format!("/workspaces/other/settings/tokens/{id}/delete");
    assert_eq!(browser.get(&owned).status, 200);
    browser.post(&owned, &[]).expect(303);
    assert_eq!(instance.verify(&json!({"token": secret}))["valid"], false);
}
