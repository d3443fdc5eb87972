//! The rate of lookups of unknown tokens is limited for each address, at every endpoint.

use std::{
    cell::Cell,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::rest_support::{By, Instance, OWNER, WORKSPACE, tokens_of};
use crate::support::{
    Answer, Request, Server,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD},
};
use domain::token_text;
use serde_json::{Value, json};

const FORWARD: &str = "/auth/forward?audience=default&scope=rivers:run";
/// Far more than the budget of twenty, and more than is refilled while the requests run.
const MANY: usize = 400;

/// An instance that looks up two unknown tokens per second, and twenty at once. `X-Forwarded-For`
/// sets the addresses.
fn start() -> Instance {
    let arguments = ["--api-rate-limit=0", "--unknown-token-rate=2", "--trusted-proxies=127.0.0.1"];
    let server =
        arguments.iter().fold(Server::builder(), |server, argument| server.argument(argument));
    Instance::of(server.start())
}

fn mint(instance: &Instance, name: &str) -> String {
    instance.mint(WORKSPACE, &json!({"name": name, "scopes": ["rivers:run"]}))
}

fn from(request: Request, address: &str) -> Request {
    request.header("x-forwarded-for", address)
}

fn forward(instance: &Instance, token: &str, address: &str) -> Answer {
    from(instance.server.request("GET", FORWARD).bearer(token), address).send()
}

/// A text with the form of a token that does not exist, different each time.
fn unknown() -> String {
    thread_local!(static NEXT: Cell<u64> = const { Cell::new(0) });
    let next = NEXT.replace(NEXT.get() + 1);
    token_text::compose("tsr", &format!("{next:030}"))
}

/// Presents unknown texts until the status differs from the first.
#[track_caller]
fn until_refused(present: impl Fn(&str) -> Answer) -> Answer {
    let first = present(&unknown()).status;
    for _ in 0..MANY {
        let answer = present(&unknown());
        if answer.status != first {
            return answer;
        }
    }
    panic!("{MANY} unknown texts were answered {first}");
}

#[track_caller]
fn is_refusal(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let wait = answer.header("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(wait.is_some_and(|wait| (1..=20).contains(&wait)), "{wait:?}");
}

#[test]
fn unknown_tokens_are_limited_by_address_on_every_surface() {
    let instance = start();
    let server = &instance.server;
    let ask = |method: &str, path: &str| {
        let (method, path) = (method.to_owned(), path.to_owned());
        move |token: &str, address: &str| {
            from(server.request(&method, &path).bearer(token), address).send()
        }
    };
    // Each endpoint has its own address, so that each must count by itself.
    let refused = until_refused(|token| ask("GET", FORWARD)(token, "192.0.2.1"));
    is_refusal(&refused, 429);
    assert_eq!(refused.header("x-tessera-code"), Some("RATE_LIMITED"));
    let nginx = format!("{FORWARD}&rate_limited=403");
    let refused = until_refused(|token| ask("GET", &nginx)(token, "192.0.2.2"));
    is_refusal(&refused, 403);
    assert_eq!(refused.header("x-tessera-code"), Some("RATE_LIMITED"));
    for (number, (method, path)) in [
        ("GET", "/api/v1/self".to_owned()),
        ("GET", tokens_of(WORKSPACE)),
        ("POST", "/api/v1/verify".to_owned()),
        ("POST", "/oauth2/introspect".to_owned()),
        ("GET", "/ws/accounts/workspace-1/credentials/tokens".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        let address = format!("192.0.2.1{number}");
        is_refusal(&until_refused(|token| ask(method, &path)(token, &address)), 429);
    }
    let revoke = |token: &str, address: &str| {
        from(server.request("POST", "/oauth2/revoke").form(&[("token", token)]), address).send()
    };
    is_refusal(&until_refused(|token| revoke(token, "192.0.2.20")), 429);

    // A caller that verifies tokens names the address, or counts itself.
    let verify = |token: &str, ip: Option<&str>| {
        let question = json!({"token": token, "ip": ip});
        from(instance.managing("POST", "/api/v1/verify").json(&question), "192.0.2.30").send()
    };
    is_refusal(&until_refused(|token| verify(token, Some("198.51.100.1"))), 429);
    assert_eq!(verify(&unknown(), Some("198.51.100.2")).expect(200).json()["code"], "NOT_FOUND");
    is_refusal(&until_refused(|token| verify(token, None)), 429);
    let introspect = |token: &str| {
        let request = instance.managing("POST", "/oauth2/introspect");
        from(request.form(&[("token", token)]), "192.0.2.31").send()
    };
    // The verifier's own budget is used up, at every endpoint.
    assert!((0..5).any(|_| introspect(&unknown()).status == 429));
    assert_eq!(forward(&instance, &unknown(), "192.0.2.30").status, 401);
}

#[test]
fn verifier_that_names_a_new_address_each_time_is_limited_itself() {
    let arguments = ["--api-rate-limit=0", "--unknown-token-rate=1"];
    let server =
        arguments.iter().fold(Server::builder(), |server, argument| server.argument(argument));
    let instance = Instance::of(server.start());
    let question = |number: usize| {
        let token = token_text::compose("tsr", &format!("{number:030}"));
        let ip = std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap());
        json!({"token": token, "ip": ip.to_string()})
    };
    // The batches keep the budget of fifty addresses used up. Fewer single requests than that pass.
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for batch in (0..1_000).take_while(|_| !is_over.load(Ordering::Relaxed)) {
                let items: Vec<Value> = (0..100).map(|item| question(batch * 100 + item)).collect();
                let body = json!({"items": items});
                instance.managing("POST", "/api/v1/verify/batch").json(&body).send().expect(200);
            }
        });
        let refused = (1_000_000..1_010_000).find_map(|number| {
            let request = instance.managing("POST", "/api/v1/verify").json(&question(number));
            let answer = request.send();
            (answer.status != 200).then_some(answer)
        });
        is_over.store(true, Ordering::Relaxed);
        is_refusal(&refused.expect("a refusal"), 429);
    });
    // Another verifier still gets answers about the same addresses.
    let other = instance
        .mint(WORKSPACE, &json!({"name": "other", "audiences": ["tessera"], "scopes": ["verify"]}));
    let request = instance.server.request("POST", "/api/v1/verify").bearer(&other);
    let answer = request.json(&question(2_000_000)).send().expect(200).json();
    assert_eq!(answer["code"], "NOT_FOUND");
}

#[test]
fn creating_verifiers_renews_no_budget_for_unknown_tokens() {
    let arguments = ["--api-rate-limit=0", "--unknown-token-rate=1"];
    let server =
        arguments.iter().fold(Server::builder(), |server, argument| server.argument(argument));
    let instance = Instance::of(server.start());
    let began = tokio::time::Instant::now();
    let looked_up: u64 = (0..8_u32)
        .map(|index| {
            let wish = json!({"name": format!("v{index}"), "grants": {"tessera": ["verify"]}});
            let verifier = By::Token(instance.mint(WORKSPACE, &wish));
            let address = |item| std::net::Ipv4Addr::from_bits(index * 100 + item).to_string();
            let items: Vec<Value> =
                (0..100).map(|item| json!({"token": unknown(), "ip": address(item)})).collect();
            let request = instance.request(&verifier, "POST", "/api/v1/verify/batch");
            let answers = request.json(&json!({"items": items})).send().expect(200).json();
            let items = answers["items"].as_array().unwrap();
            items.iter().filter(|item| item["code"] == "NOT_FOUND").map(|_| 1).sum::<u64>()
        })
        .sum();
    // The budget of the workspace and its refill, including the workspace's share.
    assert!(looked_up >= 50, "{looked_up}");
    assert!(looked_up <= 52 + 56 * (began.elapsed().as_secs() + 1), "{looked_up}");
}

#[test]
fn batch_still_verifies_known_tokens_when_unknown_tokens_are_limited() {
    let instance = start();
    let known = mint(&instance, "known");
    assert_eq!(instance.verify(&json!({"token": known}))["code"], "VALID");
    let mut items: Vec<Value> = (0..99).map(|_| json!({"token": unknown()})).collect();
    items.push(json!({"token": known}));
    let answer = instance.managing("POST", "/api/v1/verify/batch").json(&json!({"items": items}));
    let answers = answer.send().expect(200).json();
    let count = |code: &str| {
        let items = answers["items"].as_array().unwrap();
        items.iter().filter(|item| item["code"] == code).count()
    };
    assert_eq!(count("VALID"), 1);
    // Items of a batch count at once: the budget, the share, and the refill.
    assert!((20..60).contains(&count("NOT_FOUND")), "{answers}");
    assert_eq!(count("NOT_FOUND") + count("RATE_LIMITED"), 99);
}

#[test]
fn valid_tokens_pass_in_any_number_and_from_any_address() {
    let instance = start();
    let imported = json!({"digest": "ab".repeat(32), "name": "old", "scopes": ["rivers:run"]});
    let owner = By::Session(OWNER.to_owned());
    instance
        .request(&owner, "POST", &format!("{}/import", tokens_of(WORKSPACE)))
        .header("content-type", "application/jsonl")
        .body(imported.to_string())
        .send()
        .expect(201);
    let gateway = "192.0.2.1";
    // Twice the budget of tokens that are not cached.
    for number in 0..40 {
        let token = mint(&instance, &format!("token {number}"));
        forward(&instance, &token, gateway).expect(200);
    }
    let kept = mint(&instance, "kept");
    forward(&instance, &kept, gateway).expect(200);
    let fresh = mint(&instance, "fresh");
    // Guesses at an imported secret, which may have any form.
    let guess = |text: &str| forward(&instance, &format!("guess-{text}"), gateway);
    is_refusal(&until_refused(guess), 429);
    for _ in 0..MANY / 10 {
        guess(&unknown());
        assert_eq!(forward(&instance, &kept, gateway).status, 200, "it is in memory");
    }
    // This token is not cached. It has a share that guesses do not use up.
    assert_eq!(forward(&instance, &fresh, gateway).status, 200);
    // Another address has another budget. The IPv6 addresses of one subscriber share one.
    assert_eq!(forward(&instance, &unknown(), "192.0.2.2").status, 401);
    is_refusal(&until_refused(|token| forward(&instance, token, "2001:db8::1")), 429);
    let neighbour = |token: &str| forward(&instance, token, "2001:db8::2");
    assert!((0..5).any(|_| neighbour(&unknown()).status == 429));
    assert_eq!(forward(&instance, &unknown(), "2001:db8:0:1::1").status, 401);
}

/// A cookie of no session, different each time.
fn unknown_cookie() -> String {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&unknown().as_bytes()[20..28]);
    bytes[8..32].copy_from_slice(&unknown().as_bytes()[10..34]);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[test]
fn unknown_sessions_are_limited_by_address_on_every_surface() {
    let instance = start();
    let server = &instance.server;
    let account = |cookie: &str, address: &str| {
        let request = server.request("GET", "/api/v1/account");
        from(request.header("cookie", &format!("tessera={cookie}")), address).send()
    };
    // This session is not cached yet.
    let late = instance.person("late", "member", None);
    let By::Session(late) = late else { panic!() };
    account(OWNER, "192.0.2.1").expect(200);
    is_refusal(&until_refused(|_| account(&unknown_cookie(), "192.0.2.1")), 429);
    // Known sessions are found, whatever other clients at their address present.
    for _ in 0..30 {
        account(OWNER, "192.0.2.1").expect(200);
        account(&unknown_cookie(), "192.0.2.1");
    }
    account(&late, "192.0.2.2").expect(200);
    account(&late, "192.0.2.1").expect(200);
    account(&unknown_cookie(), "192.0.2.3").expect(401);

    // A browser with an expired session is redirected to the page to sign in, before and after the
    // limit, and can sign in there.
    let page = |path: &str| {
        let request = server.request("GET", path).header("accept", "text/html");
        let cookie = format!("tessera={}", unknown_cookie());
        from(request.header("cookie", &cookie), "192.0.2.4").send()
    };
    let is_led_to_sign_in = || {
        assert_eq!(page("/workspaces").expect(303).header("location"), Some("/sign-in"));
        page("/sign-in").expect(200);
    };
    is_led_to_sign_in();
    is_refusal(&until_refused(|_| account(&unknown_cookie(), "192.0.2.4")), 429);
    is_led_to_sign_in();
    let form = [("email", ADMIN_EMAIL), ("password", ADMIN_PASSWORD)];
    let sign_in = server.request("POST", "/sign-in").form(&form).header("origin", &server.url());
    let sign_in = sign_in.header("cookie", &format!("tessera={}", unknown_cookie()));
    let signed_in = from(sign_in, "192.0.2.4").send().expect(303);
    let mut cookies = signed_in.headers.iter().filter(|(name, _)| name == "set-cookie");
    let session = cookies.find_map(|(_, value)| value.strip_prefix("tessera=")).unwrap();
    account(session.split(';').next().unwrap(), "192.0.2.4").expect(200);

    // Signing out with an unknown cookie queries the database, too.
    let sign_out = |cookie: &str| {
        let request = server.request("POST", "/sign-out").form(&[]).header("origin", &server.url());
        from(request.header("cookie", &format!("tessera={cookie}")), "192.0.2.5").send()
    };
    is_refusal(&until_refused(|_| sign_out(&unknown_cookie())), 429);
    sign_out(OWNER).expect(303);
    account(OWNER, "192.0.2.6").expect(401);
    // A bearer credential of Kriten may be a session.
    let tokens = |text: &str| {
        from(server.request("GET", "/api/v1/api_tokens").bearer(text), "192.0.2.7").send()
    };
    is_refusal(&until_refused(|_| tokens(&unknown_cookie())), 429);
}

/// A verifier of another tenant must not find out what secrets a tenant has imported, neither from
/// the answer nor from the budget.
#[test]
fn import_of_another_workspaces_secret_is_treated_like_any_guess() {
    let instance = start();
    let owner = By::Session(OWNER.to_owned());
    // SHA-256 of "acme-1234".
    let digest = "4d80f2452497a716448d777b015166262c71f7013d03f7f7e0e508bbd6ae1cfa";
    let imported = json!({"digest": digest, "name": "old", "scopes": ["rivers:run"]});
    instance
        .request(&owner, "POST", &format!("{}/import", tokens_of(WORKSPACE)))
        .header("content-type", "application/jsonl")
        .body(imported.to_string())
        .send()
        .expect(201);
    let ours = instance.verify(&json!({"token": "acme-1234"}));
    assert_eq!(ours["code"], "VALID", "{ours}");

    let others = json!({"slug": "others", "name": "Others"});
    instance.request(&owner, "POST", "/api/v1/workspaces").json(&others).send().expect(201);
    let eve = instance.person("eve", "member", None);
    instance.sql(
        "INSERT INTO memberships (workspace_id, user_id, role, created_at)
         SELECT w.id, u.id, 'admin', now() FROM workspaces w, users u
          WHERE w.slug = 'others' AND u.name = 'eve'",
    );
    let draft = json!({"name": "verifier", "grants": {"tessera": ["verify"]}});
    let minted = instance.request(&eve, "POST", &tokens_of("others")).json(&draft).send();
    let verifier = By::Token(minted.expect(201).json()["secret"].as_str().unwrap().to_owned());
    let ask = |path: &str, body: &Value| {
        from(instance.request(&verifier, "POST", path).json(body), "192.0.2.40").send()
    };
    let code = |text: &str| {
        let one = ask("/api/v1/verify", &json!({"token": text, "ip": "198.51.100.9"}));
        let batch = json!({"items": [{"token": text, "ip": "198.51.100.9"}]});
        let many = ask("/api/v1/verify/batch", &batch).expect(200).json();
        (one.expect(200).json()["code"].clone(), many["items"][0]["code"].clone())
    };
    assert_eq!(code("acme-1234"), code("acme-1235"));
    // The same text repeatedly: each question counts, whether the text is cached or known here or
    // not.
    let refused = |text: &str, ip: &str| {
        let items = vec![json!({"token": text, "ip": ip}); 100];
        let answers = ask("/api/v1/verify/batch", &json!({"items": items})).expect(200).json();
        let items = answers["items"].as_array().unwrap();
        items.iter().filter(|item| item["code"] == "RATE_LIMITED").count()
    };
    let (known, unknown) =
        (refused("acme-1234", "198.51.100.10"), refused("acme-1236", "198.51.100.11"));
    assert!(known > 50 && unknown > 50, "{known} {unknown}");
    for text in ["acme-1234", "acme-1237"] {
        let introspect = || {
            let request = instance.request(&verifier, "POST", "/oauth2/introspect");
            from(request.form(&[("token", text)]), "192.0.2.41").send().status
        };
        assert!((0..MANY).any(|_| introspect() == 429), "{text} is introspected however often");
    }
    // Tokens of Tessera's form, which cannot be guessed, cost nothing: a gateway may query several
    // workspaces in turn.
    let ours = mint(&instance, "ours");
    let asked = (0..MANY).map(|_| {
        let question = json!({"token": ours, "ip": "198.51.100.12"});
        ask("/api/v1/verify", &question).expect(200).json()["code"].clone()
    });
    assert!(asked.into_iter().all(|code| code == "NOT_FOUND"));
}
