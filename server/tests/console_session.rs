//! Signing in and out.

mod console_support;
mod support;

use console_support::{Browser, TOKENS, assert_static, input_value, set_cookies};
use support::{
    Server,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD},
};

fn server() -> Server {
    let server = Server::start();
    server.admin();
    server
}

#[test]
fn somebody_who_is_not_signed_in_is_led_to_sign_in_and_back() {
    let server = server();
    let mut browser = Browser::new(&server);
    assert_eq!(browser.get("/").expect(303).header("location"), Some("/workspaces"));
    assert_eq!(browser.get("/workspaces").expect(303).header("location"), Some("/sign-in"));
    let wanted = format!("{TOKENS}?q=a&state=active");
    let answer = browser.get(&wanted).expect(303);
    let sign_in = answer.header("location").unwrap().to_owned();
    assert_eq!(sign_in, format!("/sign-in?next={TOKENS}%3Fq%3Da%26state%3Dactive"));

    let page = browser.get(&sign_in).expect(200).text();
    let next = input_value(&page, "next").unwrap().replace("&amp;", "&");
    assert_eq!(next, wanted);
    let form = [("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD), ("next", &*next)];
    let answer = browser.post("/sign-in", &form).expect(303);
    assert_eq!(answer.header("location"), Some(&*wanted));
    browser.get(&wanted).expect(200);
    // Who is signed in has nothing to do there.
    assert_eq!(browser.get(&sign_in).expect(303).header("location"), Some(&*wanted));
}

#[test]
fn next_never_leads_to_another_server() {
    let server = server();
    for next in ["https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example"] {
        let mut browser = Browser::new(&server);
        let form = [("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD), ("next", next)];
        let answer = browser.post("/sign-in", &form).expect(303);
        assert_eq!(answer.header("location"), Some("/workspaces"), "{next}");
    }
    let page = Browser::new(&server).get("/sign-in?next=//evil.example").expect(200).text();
    assert_eq!(input_value(&page, "next").as_deref(), Some("/workspaces"));
}

#[test]
fn wrong_password_and_unknown_user_get_the_same_answer() {
    let server = server();
    let mut browser = Browser::new(&server);
    let wrong = browser.post("/sign-in", &[("email", ADMIN_EMAIL), ("password", "wrong")]);
    let unknown = browser.post("/sign-in", &[("email", "eve@example.com"), ("password", "wrong")]);
    for answer in [&wrong, &unknown] {
        assert_eq!(answer.status, 401);
        assert_static(answer);
        assert!(answer.text().contains("The e-mail address or the password is wrong."));
        assert!(!answer.text().contains("Your session has ended"));
    }
    assert_eq!(input_value(&wrong.text(), "email").as_deref(), Some(ADMIN_EMAIL));
    assert_eq!(input_value(&wrong.text(), "password"), None);
    assert_eq!(browser.cookie("tessera"), None);
}

#[test]
fn signing_in_replaces_the_session_and_signing_out_ends_it() {
    let server = server();
    let mut browser = Browser::signed_in(&server, ADMIN_EMAIL, ADMIN_PASSWORD);
    let first = browser.cookie("tessera").unwrap().to_owned();
    let form = [("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)];
    browser.post("/sign-in", &form).expect(303);
    let second = browser.cookie("tessera").unwrap().to_owned();
    assert_ne!(first, second);
    Browser::new(&server).with_cookie("tessera", &first).get("/workspaces").expect(303);
    browser.get("/workspaces").expect(200);

    let answer = browser.post("/sign-out", &[]).expect(303);
    assert_eq!(answer.header("location"), Some("/sign-in"));
    assert_eq!(browser.cookie("tessera"), None);
    assert!(browser.get("/sign-in").text().contains("You are signed out."));
    Browser::new(&server).with_cookie("tessera", &second).get("/workspaces").expect(303);
    browser.post("/sign-out", &[]).expect(303);
}

#[test]
fn session_of_an_https_instance_is_bound_to_its_host() {
    let server = Server::builder().env("TESSERA_PUBLIC_URL", "https://tessera.example").start();
    server.admin();
    let mut browser = Browser::new(&server);
    let form = [("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)];
    let answer = browser.post("/sign-in", &form).expect(303);
    let cookies = set_cookies(&answer);
    let session = cookies.iter().find(|cookie| cookie.starts_with("__Host-tessera="));
    let session = session.expect("the prefixed name");
    assert!(session.ends_with("; Secure") && session.contains("; Path=/; HttpOnly"), "{session}");
    assert!(!session.contains("Domain"), "{session}");
    browser.get("/workspaces").expect(200);
}

#[test]
fn hydrated_form_is_answered_in_json() {
    let server = server();
    let mut browser = Browser::new(&server).asking_for_json();
    let refused = browser.post("/sign-in", &[("email", ADMIN_EMAIL), ("password", "wrong")]);
    assert_eq!(refused.expect(401).json()["code"], "invalid_credentials");
    let form = [("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD), ("next", TOKENS)];
    let done = browser.post("/sign-in", &form).expect(200);
    assert_eq!(done.json(), serde_json::json!({"outcome": "redirect", "location": TOKENS}));
    assert!(browser.cookie("tessera").is_some());
}

#[test]
fn too_many_attempts_are_told_with_the_time_to_wait() {
    let server = server();
    let mut browser = Browser::new(&server);
    let form = [("email", ADMIN_EMAIL), ("password", "wrong")];
    let answer = (0..40)
        .map(|_| browser.post("/sign-in", &form))
        .find(|answer| answer.status == 429)
        .expect("attempts are limited");
    assert_static(&answer);
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0);
    assert!(answer.text().contains("Too many failed attempts"), "{}", answer.text());
    // The right password does not help now, and is not told apart.
    browser.post("/sign-in", &[("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)]).expect(429);
}

#[test]
fn theme_is_kept_in_a_cookie_and_in_the_first_byte_of_the_page() {
    let server = server();
    let mut browser = Browser::new(&server);
    let answer = browser.post("/theme", &[("theme", "dark"), ("next", "/sign-in")]).expect(303);
    assert_eq!(answer.header("location"), Some("/sign-in"));
    assert!(browser.get("/sign-in").text().contains("<html lang=\"en\" data-theme=\"dark\">"));
    browser.post("/theme", &[("theme", "pink")]).expect(422);
    assert!(browser.get("/sign-in").text().contains("data-theme=\"dark\""));
    let mut other = Browser::new(&server).with_cookie("theme", "\"><script>");
    assert!(other.get("/sign-in").text().contains("data-theme=\"system\""));
}
