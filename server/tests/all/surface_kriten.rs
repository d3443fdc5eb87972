//! Kriten's API for tokens, as its clients call it.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{By, Instance, OTHER, OWNER, WORKSPACE, draft, problem};
use crate::support::{
    Answer, Request, Server,
    server::{ADMIN_EMAIL, ADMIN_PASSWORD},
};
use serde_json::{Value, json};

const TOKENS: &str = "/api/v1/api_tokens";
const ZERO: &str = "0001-01-01T00:00:00Z";
const FORBIDDEN: &str = "unauthorized - user cannot access resource";

/// An instance whose workspace has the preset Kriten.
struct Kriten(Instance);

impl std::ops::Deref for Kriten {
    type Target = Instance;

    fn deref(&self) -> &Instance {
        &self.0
    }
}

impl Kriten {
    #[track_caller]
    fn start() -> Self {
        let instance = Instance::start();
        instance.server.run(&["preset", "apply", "kriten", "--workspace", WORKSPACE, "--yes"]).ok();
        Self(instance)
    }

    /// A request with the header `Token`.
    fn by(&self, key: &str, method: &str, path: &str) -> Request {
        self.server.request(method, path).header("Token", key)
    }

    #[track_caller]
    fn login(&self, email: &str, password: &str) -> Answer {
        let body = json!({"username": email, "password": password, "provider": "local"});
        self.server.request("POST", "/api/v1/login").json(&body).send()
    }

    /// The administrator's `Bearer` credential.
    #[track_caller]
    fn session(&self) -> String {
        let answer = self.login(ADMIN_EMAIL, ADMIN_PASSWORD).expect(200).json();
        answer["token"].as_str().unwrap().to_owned()
    }

    /// A member of the workspace: returns their `Bearer` credential.
    #[track_caller]
    fn member(&self, name: &str, role: Option<&str>) -> String {
        self.person(name, "member", role);
        let secret = format!("{name:A<43}");
        self.sql(&format!(
            "INSERT INTO sessions (digest, user_id, created_at, last_seen_at, expires_at)
             SELECT sha256('{secret}'), id, now(), now(), now() + interval '1 hour'
               FROM users WHERE email = '{name}@example.com'"
        ));
        secret
    }

    /// Creates a token for the person with this session.
    #[track_caller]
    fn make(&self, session: &str, body: &Value) -> Value {
        let request = self.server.request("POST", TOKENS).bearer(session);
        request.json(body).send().expect(200).json()
    }
}

/// Fails the test unless the response is Kriten's error. Returns the message.
#[track_caller]
fn error(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
    body["error"].as_str().unwrap().to_owned()
}

/// Returns a list's rows, and checks their count in the header.
#[track_caller]
fn rows(answer: Answer) -> Vec<Value> {
    let answer = answer.expect(200);
    let rows = answer.json().as_array().unwrap().clone();
    assert_eq!(answer.header("content-range"), Some(&*rows.len().to_string()));
    assert!(rows.iter().all(|row| row.get("key").is_none()), "{rows:?}");
    rows
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Replaces the values that differ every time with placeholders.
fn shape(mut value: Value, owner: &Value) -> Value {
    assert_eq!(value["owner"], *owner);
    for (field, placeholder) in
        [("id", "[id]"), ("owner", "[owner]"), ("created_at", "[now]"), ("updated_at", "[now]")]
    {
        let text = text(&value[field]);
        let fits = if field.ends_with("_at") {
            text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T'
        } else {
            text.len() == 36
        };
        assert!(fits, "{field} is {text}");
        value[field] = placeholder.into();
    }
    if let Some(key) = value.get_mut("key") {
        let random = key.as_str().unwrap().strip_prefix("kri_").expect("the workspace's prefix");
        assert!(random.len() == 36 && random.chars().all(|c| c.is_ascii_alphanumeric()));
        *key = "[key]".into();
    }
    value
}

#[test]
fn documented_request_creates_an_expired_token_whose_expiry_can_be_changed() {
    let kriten = Kriten::start();
    let answer = kriten.login(ADMIN_EMAIL, ADMIN_PASSWORD).expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.header("set-cookie").is_none());
    let body = answer.json();
    assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["token"]);
    let session = text(&body["token"]);

    let request = "{\n    \"description\": \"My persional API Token\",\n    \"enabled\": true,\n    \
                   \"expires\": \"2024-09-13T13:54:06Z\"\n}";
    let answer = kriten.server.request("POST", TOKENS).bearer(session).body(request).send();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let created = answer.expect(200).json();
    let own = kriten.managing("GET", "/api/v1/self").send().expect(200).json();
    let owner = &own["user"]["id"];
    insta::assert_json_snapshot!(shape(created.clone(), owner), @r#"
    {
      "created_at": "[now]",
      "description": "My persional API Token",
      "enabled": true,
      "expires": "2024-09-13T13:54:06Z",
      "id": "[id]",
      "key": "[key]",
      "owner": "[owner]",
      "updated_at": "[now]"
    }
    "#);
    let (key, path) = (text(&created["key"]), format!("{TOKENS}/{}", text(&created["id"])));
    assert_eq!(error(&kriten.by(key, "GET", TOKENS).send(), 401), "token expired");
    assert_eq!(kriten.verify(&json!({"token": key}))["code"], "EXPIRED");

    let with = |method: &str, path: &str| kriten.server.request(method, path).bearer(session);
    let mut shown = created.clone();
    shown.as_object_mut().unwrap().remove("key");
    assert_eq!(with("GET", &path).send().expect(200).json(), shown);
    let list = rows(with("GET", TOKENS).send());
    assert!(list.contains(&shown), "{list:?}");

    // PATCH changes only the named fields.
    let patched = with("PATCH", &path).json(&json!({"expires": ZERO})).send().expect(200).json();
    insta::assert_json_snapshot!(shape(patched, owner), @r#"
    {
      "created_at": "[now]",
      "description": "My persional API Token",
      "enabled": true,
      "expires": "0001-01-01T00:00:00Z",
      "id": "[id]",
      "owner": "[owner]",
      "updated_at": "[now]"
    }
    "#);
    let by_itself = rows(kriten.by(key, "GET", TOKENS).send());
    assert!(by_itself.iter().any(|row| row["id"] == created["id"]));

    // It is the same token everywhere.
    let rest = kriten.request(&By::Token(key.to_owned()), "GET", "/api/v1/self").send();
    let rest = rest.expect(200).json();
    assert_eq!(rest["id"], created["id"]);
    assert_eq!(rest["name"], "My persional API Token");
    assert_eq!(rest["expires_at"], Value::Null);
    assert_eq!(rest["audiences"], json!(["default", "tessera"]));

    let change = json!({"enabled": false, "description": "Off", "owner": "somebody", "key": "x"});
    let changed = with("PUT", &path).json(&change).send().expect(200).json();
    assert_eq!((&changed["enabled"], &changed["description"]), (&json!(false), &json!("Off")));
    assert_eq!((&changed["owner"], &changed["expires"]), (owner, &json!(ZERO)));
    assert_eq!(error(&kriten.by(key, "GET", TOKENS).send(), 401), "token not enabled");
    let change = json!({"enabled": null, "expires": null, "description": null});
    assert_eq!(with("PATCH", &path).json(&change).send().expect(200).json(), changed);
    with("PATCH", &path).json(&json!({"enabled": true})).send().expect(200);
    kriten.by(key, "GET", TOKENS).send().expect(200);

    let deleted = with("DELETE", &path).send().expect(200);
    assert_eq!(deleted.json(), json!({"msg": "apiToken deleted successfully"}));
    assert_eq!(error(&kriten.by(key, "GET", TOKENS).send(), 401), "invalid token");
    for method in ["GET", "PATCH", "PUT", "DELETE"] {
        error(&with(method, &path).json(&json!({})).send(), 404);
    }
    assert!(!with("GET", TOKENS).send().text().contains(key));
    assert!(!kriten.server.stderr().contains(key));

    // Every change is in the audit log under this surface's name.
    let audit = format!("/api/v1/workspaces/{WORKSPACE}/audit");
    let audit = kriten.request(&By::Session(OWNER.to_owned()), "GET", &audit).send().expect(200);
    assert!(!audit.text().contains(key));
    let actions: Vec<_> = audit.json()["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["surface"] == "kriten")
        .map(|row| text(&row["action"]).to_owned())
        .collect();
    assert_eq!(
        actions,
        [
            "token.delete",
            "token.enable",
            "token.disable",
            "token.update",
            "token.update",
            "token.create"
        ]
    );
    let audit = kriten.request(&By::Session(OWNER.to_owned()), "GET", "/api/v1/audit").send();
    let audit = audit.expect(200).json();
    let rows = audit["items"].as_array().unwrap();
    let by_kriten = |row: &Value| row["surface"] == "kriten" && row["action"] == "session.sign_in";
    assert!(rows.iter().any(by_kriten), "{rows:?}");
}

#[test]
fn every_field_is_optional_and_a_token_can_be_created_disabled() {
    let kriten = Kriten::start();
    let session = kriten.session();
    let make = |body: Value| kriten.make(&session, &body);
    for body in [
        json!({}),
        json!({"expires": null, "enabled": null, "description": null}),
        json!({"expires": ZERO}),
        json!({"expires": "0000-01-01T00:00:00Z", "id": 7, "owner": [], "created_at": "x"}),
        json!({"expires": "0000-01-01"}),
    ] {
        let created = make(body.clone());
        assert_eq!(created["expires"], ZERO, "{body}");
        assert_eq!((&created["enabled"], &created["description"]), (&json!(true), &json!("")));
        kriten.by(text(&created["key"]), "GET", TOKENS).send().expect(200);
    }
    let off = make(json!({"enabled": false, "expires": "2099-08-18T14:00:00.25+02:00"}));
    assert_eq!(off["expires"], "2099-08-18T12:00:00.25Z");
    assert_eq!(off["enabled"], false);
    let refused = kriten.by(text(&off["key"]), "GET", TOKENS).send();
    assert_eq!(error(&refused, 401), "token not enabled");
    let off = format!("{TOKENS}/{}", text(&off["id"]));
    let past = json!({"expires": "2001-01-01T00:00:00Z", "enabled": true});
    let past = kriten.server.request("PATCH", &off).bearer(&session).json(&past).send();
    assert_eq!(past.expect(200).json()["expires"], "2001-01-01T00:00:00Z");

    // PUT creates a token, too. curl declares a form by default.
    let put = kriten.server.request("PUT", TOKENS).bearer(&session);
    let put = put.header("content-type", "application/x-www-form-urlencoded");
    let put = put.body("{\"description\": \"\u{1f680} שלום\\nsecond line\"}").send().expect(200);
    let put = put.json();
    assert_eq!(put["description"], "\u{1f680} שלום\nsecond line");
    let key = By::Token(text(&put["key"]).to_owned());
    let rest = kriten.request(&key, "GET", "/api/v1/self").send().expect(200).json();
    assert_eq!(rest["name"], "\u{1f680} שלום");

    // If the policy requires unique names, they get numbers.
    let rules = ["policy", "set", "--workspace", WORKSPACE, "unique_names=true"];
    kriten.server.run(&rules).ok();
    let name = |body: Value| {
        let key = By::Token(text(&make(body)["key"]).to_owned());
        let rest = kriten.request(&key, "GET", "/api/v1/self").send().expect(200).json();
        text(&rest["name"]).to_owned()
    };
    assert_eq!(name(json!({"description": "deploys"})), "deploys");
    assert_eq!(name(json!({"description": "Deploys\nagain"})), "Deploys 2");
    assert_eq!(name(json!({})), "API token 2");

    // The policy applies here as everywhere.
    let rules = ["policy", "set", "--workspace", WORKSPACE, "allow_never=false", "max_ttl_s=30d"];
    kriten.server.run(&rules).ok();
    for (body, expected) in [
        (json!({}), "expires must be set: tokens of this workspace must expire"),
        (json!({"expires": "2099-01-01T00:00:00Z"}), "expires must not be later than "),
    ] {
        let answer = kriten.server.request("POST", TOKENS).bearer(&session).json(&body).send();
        assert!(error(&answer, 400).starts_with(expected), "{}", answer.text());
    }
}

#[test]
fn token_wins_over_a_session_and_two_tokens_are_refused() {
    let kriten = Kriten::start();
    let session = kriten.session();
    let created = kriten.make(&session, &json!({"description": "one"}));
    let (one, two) = (text(&created["key"]), kriten.manager.clone());
    let get = || kriten.server.request("GET", TOKENS);
    assert_eq!(error(&get().send(), 401), "please authenticate.");
    assert_eq!(error(&get().header("token", "").send(), 401), "please authenticate.");
    assert_eq!(
        error(&get().header("authorization", "Basic YTpi").send(), 401),
        "please authenticate."
    );
    for answer in [
        get().bearer(&session).send(),
        get().bearer(one).send(),
        get().header("token", one).send(),
        get().header("rime-api-key", one).send(),
        get().header("token", one).bearer(&session).send(),
        get().header("token", one).bearer(one).send(),
    ] {
        answer.expect(200);
    }
    // The token decides: a good session does not compensate for a bad token, and a bad session does
    // not matter.
    assert_eq!(
        error(&get().header("token", "kri_x").bearer(&session).send(), 401),
        "invalid token"
    );
    get().header("token", one).bearer(&"A".repeat(43)).send().expect(200);
    for answer in [
        get().header("token", one).bearer(&two).send(),
        get().header("token", one).header("token", &two).send(),
        get().header("token", one).header("rime-api-key", &two).send(),
    ] {
        assert_eq!(
            error(&answer, 400),
            "The request contains two different tokens. Send only one."
        );
    }
    let mistyped = format!("{}{}", &one[..39], if one.ends_with('a') { 'b' } else { 'a' });
    for bad in ["XYZ", "kri_", &mistyped, &"A".repeat(43), "a b"] {
        assert_eq!(error(&get().header("token", bad).send(), 401), "invalid token", "{bad}");
        assert_eq!(error(&get().bearer(bad).send(), 401), "invalid token", "{bad}");
    }
    // A session is not a token, and a cookie is ignored.
    assert_eq!(error(&get().header("token", &session).send(), 401), "invalid token");
    let cookie = format!("tessera={session}; token={session}");
    let cookie = get().header("cookie", &cookie).header("origin", &kriten.server.url()).send();
    assert_eq!(error(&cookie, 401), "please authenticate.");

    let mut bound = draft("bound");
    bound["ip_allow"] = json!(["203.0.113.0/24"]);
    let bound = kriten.mint(WORKSPACE, &bound);
    assert_eq!(error(&kriten.by(&bound, "GET", TOKENS).send(), 403), FORBIDDEN);

    // An unusable body without a credential is refused because of the credential.
    let nobody = kriten.server.request("POST", TOKENS).body("{").send();
    assert_eq!(error(&nobody, 401), "please authenticate.");
}

#[test]
fn login_accepts_only_local_accounts_and_counts_attempts() {
    let kriten = Kriten::start();
    let login = |body: &Value| kriten.server.request("POST", "/api/v1/login").json(body).send();
    for body in [
        json!({}),
        json!({"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}),
        json!({"username": ADMIN_EMAIL, "provider": "local"}),
        json!({"username": "", "password": ADMIN_PASSWORD, "provider": "local"}),
        json!({"username": 5, "password": ADMIN_PASSWORD, "provider": "local"}),
        json!([]),
        json!(null),
    ] {
        assert_eq!(error(&login(&body), 400), "invalid login payload", "{body}");
    }
    for body in ["", "{", "username=a"] {
        let answer = kriten.server.request("POST", "/api/v1/login").body(body).send();
        assert_eq!(error(&answer, 400), "invalid login payload", "{body}");
    }
    let other = json!({"username": ADMIN_EMAIL, "password": "x", "provider": "active_directory"});
    assert_eq!(error(&login(&other), 400), "invalid authentication provider");
    let huge = kriten.server.request("POST", "/api/v1/login").body("x".repeat(70_000)).send();
    error(&huge, 413);
    error(&kriten.server.get("/api/v1/login"), 405);

    for (email, password) in [
        (ADMIN_EMAIL, "wrong"),
        ("nobody@example.com", ADMIN_PASSWORD),
        ("\u{0}", ADMIN_PASSWORD),
        ("שלום", "\u{0}"),
    ] {
        assert_eq!(error(&kriten.login(email, password), 401), "invalid credentials", "{email:?}");
    }
    // As in the console, and counted together with it.
    for _ in 0..9 {
        let form = [("email", ADMIN_EMAIL), ("password", "wrong")];
        let request = kriten.server.request("POST", "/sign-in").form(&form);
        request.header("origin", &kriten.server.url()).send();
    }
    let stopped = kriten.login(ADMIN_EMAIL, ADMIN_PASSWORD);
    error(&stopped, 429);
    assert!(stopped.header("retry-after").is_some());
    let log = kriten.server.stderr();
    assert!(!log.contains(ADMIN_PASSWORD) && !log.contains("wrong"));
}

#[test]
fn members_see_only_their_own_tokens_and_cannot_grant_more_than_they_hold() {
    let kriten = Kriten::start();
    let owner = kriten.session();
    let grace = kriten.member("grace", Some("member"));
    let viewer = kriten.member("viewer", Some("viewer"));
    let stranger = kriten.member("stranger", None);
    let theirs = kriten.make(&owner, &json!({"description": "the owner's"}));
    let own = kriten.make(&grace, &json!({"description": "grace's"}));
    let key = text(&own["key"]);
    let get = |session: &str, path: &str| kriten.server.request("GET", path).bearer(session).send();
    let all = format!("{TOKENS}/all");

    for list in [get(&grace, TOKENS), kriten.by(key, "GET", TOKENS).send()] {
        let list = rows(list);
        assert_eq!((list.len(), &list[0]["id"]), (1, &own["id"]));
    }
    assert_eq!(rows(get(&grace, &all)), [json!(null); 0]);
    assert_eq!(rows(kriten.by(key, "GET", &all).send()), [json!(null); 0]);
    assert_eq!(rows(get(&stranger, &all)), [json!(null); 0]);
    // The manager's, the owner's and grace's.
    assert_eq!(rows(get(&owner, &all)).len(), 3);
    assert_eq!(rows(get(&viewer, &all)).len(), 3);
    assert_eq!(rows(get(&owner, TOKENS)).len(), 2);

    let others = format!("{TOKENS}/{}", text(&theirs["id"]));
    for method in ["GET", "PATCH", "PUT", "DELETE"] {
        for session in [&grace, &stranger] {
            let answer = kriten.server.request(method, &others).bearer(session);
            error(&answer.json(&json!({})).send(), 404);
        }
    }
    let post = |session: &str| kriten.server.request("POST", TOKENS).bearer(session).body("{}");
    for session in [&viewer, &stranger] {
        assert_eq!(error(&post(session).send(), 403), FORBIDDEN);
    }
    assert_eq!(error(&get(&stranger, TOKENS), 403), FORBIDDEN);

    // For a token of this workspace, another workspace's token does not exist.
    let foreign = kriten.minted(OTHER, &draft("foreign"));
    let foreign = format!("{TOKENS}/{}", text(&foreign["token"]["id"]));
    error(&kriten.by(text(&theirs["key"]), "GET", &foreign).send(), 404);
    error(&get(&grace, &foreign), 404);

    // A token creates no token that has more than itself, neither scopes nor audiences.
    let caller = json!({"name": "caller", "audiences": ["tessera"], "scopes": ["tokens:write"]});
    let caller = kriten.mint(WORKSPACE, &caller);
    let made = kriten.by(&caller, "POST", TOKENS).body("{}").send().expect(200).json();
    let made = By::Token(text(&made["key"]).to_owned());
    let made = kriten.request(&made, "GET", "/api/v1/self").send().expect(200).json();
    assert_eq!(made["audiences"], json!(["tessera"]));
    // It also has the implied scopes.
    assert_eq!(made["scopes"], json!(["tokens:read", "tokens:write"]));
    let caller = json!({"name": "reads", "audiences": ["tessera"], "scopes": ["tokens:read"]});
    let caller = kriten.mint(WORKSPACE, &caller);
    assert_eq!(error(&kriten.by(&caller, "POST", TOKENS).body("{}").send(), 403), FORBIDDEN);

    // If a member's grants shrink, their new tokens have less.
    kriten.sql(
        "UPDATE memberships SET grants = '{rivers:*}'
          WHERE user_id = (SELECT id FROM users WHERE email = 'grace@example.com')",
    );
    let narrow = kriten.make(&grace, &json!({}));
    let path = format!("/api/v1/tokens/{}", text(&narrow["id"]));
    let narrow = kriten.request(&By::Session(OWNER.to_owned()), "GET", &path).send();
    assert_eq!(
        narrow.expect(200).json()["scopes"],
        json!(["rivers:read", "rivers:run", "rivers:write"])
    );

    // Without self-service, members manage no tokens.
    kriten.server.run(&["policy", "set", "--workspace", WORKSPACE, "self_service=false"]).ok();
    for answer in [get(&grace, TOKENS), post(&grace).send()] {
        assert_eq!(error(&answer, 403), FORBIDDEN);
    }
    assert_eq!(rows(get(&grace, &all)), [json!(null); 0]);
}

#[test]
fn bad_input_is_refused_in_kritens_words_on_every_endpoint() {
    let kriten = Kriten::start();
    let session = kriten.session();
    let created = kriten.make(&session, &json!({"description": "victim"}));
    let path = format!("{TOKENS}/{}", text(&created["id"]));
    let with = |method: &str, path: &str| kriten.server.request(method, path).bearer(&session);
    for (method, path) in [("POST", TOKENS), ("PUT", TOKENS), ("PATCH", &*path), ("PUT", &*path)] {
        for (body, expected) in [
            ("", "The body is incomplete JSON."),
            ("{", "The body is incomplete JSON."),
            ("name=a", "The body is not valid JSON: error at line 1, column 2."),
            ("[]", "body must be an object, not an array"),
            ("null", "body must be an object, not null"),
            ("\"x\"", "body must be an object, not a string"),
            ("{\"description\":5}", "description must be a string, not an integer"),
            (
                "{\"description\":\"a\\u0000b\"}",
                "description must not contain the character U+0000",
            ),
            ("{\"enabled\":\"true\"}", "enabled must be a boolean, not a string"),
            ("{\"enabled\":1}", "enabled must be a boolean, not an integer"),
            ("{\"expires\":0}", "expires must be a string, not an integer"),
            ("{\"expires\":\"\"}", "expires must be a time such as 2027-08-18T12:00:00Z"),
            ("{\"expires\":\"soon\"}", "expires must be a time such as 2027-08-18T12:00:00Z"),
            (
                "{\"expires\":\"9999-12-31T23:59:59-01:00\"}",
                "expires must be a time such as 2027-08-18T12:00:00Z",
            ),
            ("{\"enabled\":true,\"enabled\":false}", "enabled is given twice"),
        ] {
            let answer = with(method, path).body(body).send();
            assert_eq!(error(&answer, 400), expected, "{method} {path} {body}");
        }
        let long = json!({"description": "é".repeat(1_001)});
        assert_eq!(
            error(&with(method, path).json(&long).send(), 400),
            "description must have at most 1000 characters; this has 1001"
        );
        error(&with(method, path).body(b"{\"description\":\"\xff\"}".to_vec()).send(), 400);
        error(&with(method, path).body("[".repeat(60_000)).send(), 400);
        error(
            &with(method, path).body(format!("{{\"x\":\"{}\"}}", "x".repeat(70_000))).send(),
            413,
        );
    }
    let unknown = format!("{TOKENS}/00000000-0000-7000-8000-000000000000");
    for path in
        [&*unknown, &format!("{TOKENS}/7"), &format!("{TOKENS}/%00"), &format!("{TOKENS}/%ff")]
    {
        for method in ["GET", "PATCH", "PUT", "DELETE"] {
            let answer = with(method, path).json(&json!({})).send();
            error(&answer, 404);
        }
    }
    for (method, path) in [
        ("DELETE", TOKENS),
        ("PATCH", TOKENS),
        ("POST", &*path),
        ("POST", "/api/v1/api_tokens/all"),
    ] {
        let answer = with(method, path).json(&json!({})).send();
        error(&answer, 405);
        assert!(
            answer.header("allow").is_some_and(|allow| allow.contains("GET")),
            "{method} {path}"
        );
    }
    for path in [format!("{path}/more"), format!("{TOKENS}/")] {
        error(&with("GET", &path).send(), 404);
    }
    // None of these requests wrote anything.
    let list = rows(with("GET", TOKENS).send());
    let victim = list.iter().find(|row| row["id"] == created["id"]).unwrap();
    assert_eq!(victim["updated_at"], created["updated_at"]);
    assert_eq!(list.len(), 2, "the manager's and the victim");
}

#[test]
fn surface_that_is_off_is_404() {
    let on = Server::start();
    let operations = operations(&on.get("/api/openapi/kriten.json").expect(200).json());
    insta::assert_snapshot!(operations.join("\n"), @r#"
    delete /api/v1/api_tokens/{id} deleteApiToken
    get /api/v1/api_tokens listApiTokens
    get /api/v1/api_tokens/all listAllApiTokens
    get /api/v1/api_tokens/{id} getApiToken
    patch /api/v1/api_tokens/{id} updateApiToken
    post /api/v1/api_tokens createApiToken
    post /api/v1/login login
    put /api/v1/api_tokens putApiToken
    put /api/v1/api_tokens/{id} replaceApiToken
    "#);
    drop(on);
    let instance = Instance::of(
        Server::builder()
            .env("TESSERA_SURFACES", "devo,robust-intelligence")
            .argument("--api-rate-limit")
            .argument("0")
            .start(),
    );
    for (method, path) in [
        ("GET", TOKENS),
        ("POST", TOKENS),
        ("GET", "/api/v1/api_tokens/all"),
        ("POST", "/api/v1/login"),
        ("GET", "/api/openapi/kriten.json"),
    ] {
        problem(&instance.managing(method, path).json(&json!({})).send(), 404, "not_found");
    }
}

fn operations(document: &Value) -> Vec<String> {
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push(format!("{method} {path} {}", text(&operation["operationId"])));
        }
    }
    operations.sort();
    operations
}

#[test]
fn login_refuses_requests_that_another_site_can_make_a_browser_send() {
    let kriten = Kriten::start();
    let body = json!({"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD, "provider": "local"});
    let login = |headers: &[(&str, &str)]| {
        let request = kriten.server.request("POST", "/api/v1/login").body(body.to_string());
        headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    };
    let own = kriten.server.url();
    for kind in ["text/plain", "text/plain;charset=UTF-8", "multipart/form-data; boundary=x", "x"] {
        error(&login(&[("content-type", kind)]), 415);
    }
    // curl sends a form, or a body without a type. From a page, these come with its origin.
    for kind in ["application/x-www-form-urlencoded", "application/json; charset=utf-8"] {
        for sender in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            error(&login(&[("content-type", kind), sender]), 403);
        }
        login(&[("content-type", kind)]).expect(200);
        login(&[("content-type", kind), ("origin", &own)]).expect(200);
        login(&[("content-type", kind), ("sec-fetch-site", "same-origin")]).expect(200);
    }
    error(&login(&[("origin", "https://evil.example")]), 403);
    login(&[]).expect(200);
    // A page whose own name resolves to this server has the same origin (DNS rebinding).
    let json = ("content-type", "application/json");
    for sender in [("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")] {
        let refused = error(&login(&[json, ("host", "evil.example"), sender]), 400);
        assert!(refused.contains("allowed_hosts"), "{refused}");
    }
    login(&[json, ("host", "kriten.internal")]).expect(200);
    // Programs may use any name for the server. Node's fetch sends this header.
    login(&[json, ("host", "kriten.internal"), ("sec-fetch-mode", "cors")]).expect(200);
}
