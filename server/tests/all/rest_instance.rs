//! The running instance as administrators see it: over REST, in the console, on the command line.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{By, Instance, OWNER, problem};
use crate::support::wait::until;
use serde_json::Value;

/// Waits until the server has reported and has a lease.
fn live(instance: &Instance, owner: &By) -> Value {
    until("a lease", || {
        let shown = instance.request(owner, "GET", "/api/v1/instance").send().expect(200).json();
        (shown["replicas"][0]["state"] == "live").then_some(shown)
    })
}

#[test]
fn administrators_see_every_server_and_other_callers_get_404() {
    let instance = Instance::start();
    let owner = By::Session(OWNER.to_owned());
    let shown = live(&instance, &owner);
    assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(shown["public_url"], instance.server.url());
    assert!(shown["database_version"].as_str().unwrap().starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(shown["replicas"].as_array().unwrap().len(), 1);
    let own = &shown["replicas"][0];
    assert_eq!((&own["own"], &own["version"]), (&true.into(), &shown["version"]));
    assert!(own["applied"].is_i64() && own["behind"].is_i64(), "{own}");

    // Two other replicas: one that is silent, and one that died long ago.
    instance.sql(
        "INSERT INTO replicas (id, name, version, started_at, renewed_at, applied, revocations,
                               revocation_p50_us, revocation_p99_us)
         VALUES (gen_random_uuid(), 'quiet <b>', '0.0.9', now(), now() - interval '1 hour', 0, 3, 412, 12900)",
    );
    let page = |by: &By, path: &str| {
        instance.request(by, "GET", path).header("accept", "text/html").send()
    };
    let html = page(&owner, "/instance").expect(200).text();
    for text in
        ["Instance", "quiet &lt;b&gt;", "0.0.9", "0.4 ms / 13 ms", "This server", "PostgreSQL"]
    {
        assert!(html.contains(text), "{text} in {html}");
    }
    assert!(page(&owner, "/workspaces/workspace-1").text().contains("href=\"/instance\""));

    for (name, role) in [("max", "member"), ("aud", "auditor")] {
        let person = instance.person(name, role, Some("admin"));
        let answer = instance.request(&person, "GET", "/api/v1/instance").send();
        problem(&answer, 403, "forbidden");
        let html = page(&person, "/instance").expect(404).text();
        assert!(html.contains("Page not found") && !html.contains("PostgreSQL"), "{html}");
        assert!(
            !page(&person, "/workspaces/workspace-1").expect(200).text().contains("\"/instance\"")
        );
        let function = instance
            .request(&person, "POST", "/console/fn/instance")
            .header("content-type", "application/json")
            .body("{}");
        function.send().expect(404);
    }
    let admin = instance.person("adm", "admin", None);
    page(&admin, "/instance").expect(200);
    let manager = By::Token(instance.manager.clone());
    problem(&instance.request(&manager, "GET", "/api/v1/instance").send(), 403, "forbidden");
    assert_eq!(page(&By::Nobody, "/instance").status, 303);

    let text = instance.server.run(&["instance", "show"]).ok();
    assert!(text.contains("PostgreSQL") && text.contains("quiet <b>"), "{text}");
    let json = instance.server.run(&["instance", "show", "--json"]).ok();
    let shown: Value = serde_json::from_str(&json).unwrap();
    let quiet = shown["replicas"].as_array().unwrap().iter().find(|one| one["name"] == "quiet <b>");
    assert_eq!(quiet.map(|one| (&one["live"], &one["own"])), Some((&false.into(), &false.into())));
}
