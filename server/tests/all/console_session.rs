//! Signing in and out.

use crate::console_support::{Browser, TOKENS, assert_static, input_value, set_cookies};
use crate::rest_support::Sql;
use crate::support::{
    Server,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD},
    wait::until,
};

fn server() -> Server {
    let server = Server::start();
    server.admin();
    server
}

#[test]
fn visitor_is_redirected_to_sign_in_and_back() {
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
    // The page redirects a person who is already signed in.
    assert_eq!(browser.get(&sign_in).expect(303).header("location"), Some(&*wanted));
}

#[test]
fn next_never_redirects_to_another_server() {
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
        assert!(answer.text().contains("The e-mail address or password is wrong."));
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
fn planted_cookie_with_other_bytes_does_not_sign_the_user_out() {
    let server = server();
    let session = Browser::signed_in(&server, ADMIN_EMAIL, ADMIN_PASSWORD);
    let session = session.cookie("tessera").unwrap();
    for line in [format!("x=é; tessera={session}"), format!("tessera={session}; tessera=é")] {
        server.request("GET", "/api/v1/account").header("cookie", &line).send().expect(200);
        server.request("GET", "/workspaces").header("cookie", &line).send().expect(200);
    }
}

#[test]
fn session_of_an_https_instance_is_bound_to_its_host() {
    let server = Server::builder()
        .env("TESSERA_PUBLIC_URL", "https://tessera.example")
        .env("TESSERA_ALLOWED_HOSTS", "127.0.0.1")
        .start();
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
fn hydrated_form_gets_a_json_response() {
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
fn too_many_attempts_are_refused_with_the_time_to_wait() {
    let server = server();
    let mut browser = Browser::new(&server);
    let form = [("email", ADMIN_EMAIL), ("password", "wrong")];
    for _ in 0..10 {
        browser.post("/sign-in", &form).expect(401);
    }
    // Independent of the time that hashing takes here.
    Sql::on(&server).run("UPDATE sign_in_attempts SET open_at = open_at + interval '10 minutes'");
    let answer = browser.post("/sign-in", &form).expect(429);
    assert_static(&answer);
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 1);
    assert!(answer.text().contains("Too many attempts. Try again in "), "{}", answer.text());
    // The right password does not help now, and the response does not differ.
    let right = [("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)];
    browser.post("/sign-in", &right).expect(429);
}

#[test]
fn browser_that_signed_in_before_is_not_locked_out_by_other_clients() {
    let server = server();
    let right = [("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)];
    let mut known = Browser::new(&server);
    let answer = known.post("/sign-in", &right).expect(303);
    let cookies = set_cookies(&answer);
    let kept = cookies.iter().find(|cookie| cookie.starts_with("tessera-known=")).unwrap();
    assert!(kept.ends_with("; Path=/; HttpOnly; SameSite=Lax; Max-Age=2592000"), "{kept}");
    // The cookie outlives the session, and does not sign the browser in.
    known.post("/sign-out", &[]).expect(303);
    known.get("/workspaces").expect(303);
    // Another browser at the same address has used up all attempts.
    let mut sql = Sql::on(&server);
    Browser::new(&server).post("/sign-in", &[("email", ADMIN_EMAIL), ("password", "x")]);
    sql.run("UPDATE sign_in_attempts SET open_at = open_at + interval '30 minutes'");
    Browser::new(&server).post("/sign-in", &right).expect(429);
    known.post("/sign-in", &right).expect(303);
    let proof = known.cookie("tessera-known").unwrap().to_owned();
    let log = server.stderr();
    assert!(!log.contains(&proof), "{log}");
    // Ending the sessions invalidates the cookie's proof.
    server.run(&["session", "end", "--user", ADMIN_EMAIL]).ok();
    sql.run("UPDATE sign_in_attempts SET open_at = now() + interval '30 minutes'");
    known.post("/sign-in", &right).expect(429);
}

#[test]
fn untrusted_proxy_is_named_by_the_log_and_the_doctor() {
    let server = Server::embedded();
    server.admin();
    let right = [("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)];
    let mut browser = Browser::new(&server);
    let doctor = || server.run(&["doctor"]).stdout;
    browser.post("/sign-in", &right).expect(303);
    assert!(!doctor().contains("trusted_proxies"), "{}", doctor());
    let request = browser
        .request("POST", "/sign-in")
        .header("origin", &server.url())
        .header("x-forwarded-for", "203.0.113.7")
        .form(&right);
    browser.send(request).expect(303);
    let report = doctor();
    assert!(report.contains("through 127.0.0.1, which is not in trusted_proxies"), "{report}");
    until("the log to name it", || {
        server.stderr().contains("add it to trusted_proxies").then_some(())
    });
    let trusting = server.cli(&["doctor"]).env("TESSERA_TRUSTED_PROXIES", "127.0.0.1").run().stdout;
    assert!(!trusting.contains("trusted_proxies"), "{trusting}");
    let again = Server::builder().data_dir(server.data_dir());
    let (_, _folder) = server.stop();
    let again = again.start();
    until("the next start to name it", || {
        again.stderr().contains("add it to trusted_proxies").then_some(())
    });
}

#[test]
fn theme_is_stored_in_a_cookie_and_set_when_the_page_is_rendered() {
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
