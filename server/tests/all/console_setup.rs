//! The one-time link of a first start.

use crate::console_support::{Browser, assert_static, input_value, set_cookies};
use crate::support::Server;

const FORM: [(&str, &str); 5] = [
    ("name", "Ada"),
    ("email", "ada@example.com"),
    ("password", "violet kettle drums outside"),
    ("organisation", "Acme"),
    ("workspace_name", "Workspace 1"),
];

#[test]
fn setup_works_once_and_is_not_found_afterwards() {
    let server = Server::start();
    let link = format!("/setup/{}", server.setup_secret());
    let mut browser = Browser::new(&server);

    let welcome = browser.get("/sign-in").expect(200).text();
    assert!(welcome.contains("set up yet"));
    let page = browser.get(&link).expect(200).text();
    assert_eq!(input_value(&page, "workspace_name").as_deref(), Some("Workspace 1"));
    assert!(page.contains("At least 15 characters"));

    let answer = browser.post(&link, &FORM).expect(303);
    assert_eq!(answer.header("location"), Some("/workspaces"));
    let session = set_cookies(&answer).into_iter().find(|cookie| cookie.starts_with("tessera="));
    let session = session.expect("a session begins");
    for attribute in ["Path=/", "HttpOnly", "SameSite=Lax", "Max-Age="] {
        assert!(session.contains(attribute), "{session}");
    }
    assert!(!session.contains("Secure"), "{session}");

    let page = browser.get("/workspaces").expect(200).text();
    assert!(page.contains("Tessera is set up") && page.contains("Workspace 1"), "{page}");
    let again = browser.get("/workspaces").expect(200).text();
    assert!(!again.contains("Tessera is set up"), "the notice is shown once");

    let mut stranger = Browser::new(&server);
    let gone = stranger.get(&link).expect(404).text();
    assert!(gone.contains("This link doesn't work"), "{gone}");
    stranger.post(&link, &FORM).expect(404);
    assert_eq!(stranger.cookie("tessera"), None);
}

#[test]
fn wrong_link_is_not_found_and_sets_nothing_up() {
    let server = Server::start();
    let mut browser = Browser::new(&server);
    browser.get("/setup/wrong").expect(404);
    browser.get("/setup/%00%ff").expect(404);
    browser.post("/setup/wrong", &FORM).expect(404);
    assert!(browser.get("/sign-in").text().contains("set up yet"));
    browser.get(&format!("/setup/{}", server.setup_secret())).expect(200);
}

#[test]
fn refused_form_returns_escaped_input_and_errors_without_the_password() {
    let server = Server::start();
    let link = format!("/setup/{}", server.setup_secret());
    let mut browser = Browser::new(&server);
    let markup = "\"><script>alert(1)</script>";
    let answer = browser
        .post(
            &link,
            &[
                ("name", markup),
                ("email", "not an address"),
                ("password", "hunter2"),
                ("organisation", ""),
                ("workspace_name", "W"),
            ],
        )
        .expect(422);
    assert_static(&answer);
    let page = answer.text();
    assert_eq!(
        input_value(&page, "name").as_deref(),
        Some("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;")
    );
    assert!(!page.contains("<script>alert(1)"), "{page}");
    assert!(!page.contains("hunter2"), "{page}");
    assert!(page.contains("Enter the name of your organisation."));
    assert!(page.contains("aria-describedby=\"password-hint password-error\""));
    assert!(page.contains("Fix 3 fields to continue."), "{page}");
    assert_eq!(browser.cookie("tessera"), None);

    let mut hydrated = Browser::new(&server).asking_for_json();
    let problem = hydrated.post(&link, &[("email", "x")]).expect(422).json();
    assert_eq!(problem["code"], "validation_failed");
    assert!(problem["errors"].as_array().is_some_and(|errors| errors.len() >= 4), "{problem}");
}
