//! Bad input over REST: a clear problem, and no partial writes.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

use crate::rest_support::{Instance, WORKSPACE, draft, fields, problem, tokens_of};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

/// Sends these bytes as a new token with this content type.
#[track_caller]
fn post(
    instance: &Instance,
    kind: Option<&str>,
    body: impl Into<Vec<u8>>,
) -> crate::support::Answer {
    let request = instance.managing("POST", &tokens_of(WORKSPACE)).body(body);
    match kind {
        Some(kind) => request.header("content-type", kind).send(),
        None => request.send(),
    }
}

#[track_caller]
fn count(instance: &Instance) -> usize {
    let list = instance.managing("GET", &tokens_of(WORKSPACE)).send().expect(200).json();
    list["items"].as_array().unwrap().len()
}

#[test]
fn body_that_is_not_json_is_malformed() {
    let instance = Instance::start();
    for body in
        ["", "{", "name=a", "{\"name\":\"a\",\"scopes\":[]} x", "{\"name\":\"\\ud800\"}", "nul"]
    {
        problem(&post(&instance, Some("application/json"), body), 400, "malformed_request");
    }
    let invalid_utf8 = b"{\"name\":\"\xff\"}".to_vec();
    problem(&post(&instance, Some("application/json"), invalid_utf8), 400, "malformed_request");
    let deep = format!("{{\"name\":{}", "[".repeat(60_000));
    let answer = post(&instance, Some("application/json"), deep);
    assert!(answer.status == 400 || answer.status == 422, "{}", answer.text());
    assert_eq!(count(&instance), 1);
}

#[test]
fn other_content_types_are_unsupported() {
    let instance = Instance::start();
    let body = draft("typed").to_string();
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "json", ""]
    {
        problem(&post(&instance, Some(kind), &*body), 415, "unsupported_media_type");
    }
    problem(&post(&instance, None, &*body), 415, "unsupported_media_type");
    assert_eq!(count(&instance), 1);
    post(&instance, Some("application/json; charset=utf-8"), &*body).expect(201);
}

#[test]
fn json_of_another_shape_names_the_field() {
    let instance = Instance::start();
    for (body, expected) in [
        ("{}", "name: is missing"),
        ("[]", "body: must be an object, not an array"),
        ("[\"a\",\"\",null,[],[\"rivers:run\"]]", "body: must be an object, not an array"),
        ("null", "body: must be an object, not null"),
        ("{\"name\":7}", "name: must be a string, not an integer"),
        ("{\"name\":null}", "name: must be a string, not null"),
        ("{\"name\":\"a\",\"scopes\":\"rivers:run\"}", "scopes: must be an array, not a string"),
        ("{\"name\":\"a\",\"scopes\":[1]}", "scopes[0]: must be a string, not an integer"),
        (
            "{\"name\":\"a\",\"expires_in_s\":1.5}",
            "expires_in_s: must be a whole number, not a number with a fraction",
        ),
        ("{\"name\":\"a\",\"name\":\"b\"}", "name: is given twice"),
    ] {
        let refused = post(&instance, Some("application/json"), body);
        let refused = problem(&refused, 422, "validation_failed");
        assert_eq!(fields(&refused), [expected], "{body}");
    }
    let unknown = post(&instance, Some("application/json"), "{\"name\":\"a\",\"recovrable\":true}");
    let unknown = problem(&unknown, 422, "validation_failed");
    assert!(fields(&unknown)[0].starts_with("recovrable: is not a known field"));
    assert_eq!(count(&instance), 1);
}

/// RFC 3339 allows the years 0 to 9999, and an offset can lead beyond them.
const BEYOND_THE_CALENDAR: [&str; 3] =
    ["0000-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59"];

#[test]
fn time_outside_the_calendar_is_refused_in_every_field() {
    let instance = Instance::start();
    let token = instance.minted(WORKSPACE, &draft("ci"));
    let path = format!("/api/v1/tokens/{}", token["token"]["id"].as_str().unwrap());
    for moment in BEYOND_THE_CALENDAR {
        for field in ["not_before", "expires_at"] {
            let mut body = draft("odd");
            body[field] = json!(moment);
            let refused = problem(&instance.create(&body), 422, "validation_failed");
            assert!(fields(&refused)[0].starts_with(field), "{refused}");
            let answer = instance.managing("PATCH", &path).json(&json!({field: moment})).send();
            assert_eq!(answer.status, 422, "{field} {moment}: {}", answer.text());
        }
        let cursor = json!({"s": "newest", "t": moment, "i": token["token"]["id"]});
        let cursor = URL_SAFE_NO_PAD.encode(cursor.to_string());
        for page in [
            format!("{}?cursor={cursor}", tokens_of(WORKSPACE)),
            format!("/v1/users/api-tokens?pageToken={cursor}"),
        ] {
            let answer = instance.managing("GET", &page).send();
            assert!((400..500).contains(&answer.status), "{page}: {}", answer.text());
        }
        let encoded = moment.replace('+', "%2B");
        for filter in ["unused_since", "expires_before"] {
            let page = format!("{}?{filter}={encoded}", tokens_of(WORKSPACE));
            let answer = instance.managing("GET", &page).send();
            assert!((400..500).contains(&answer.status), "{page}: {}", answer.text());
        }
    }
}

#[test]
fn old_record_with_a_time_outside_the_calendar_stays_readable() {
    let instance = Instance::start();
    let token = instance.minted(WORKSPACE, &draft("ancient"));
    let id = token["token"]["id"].as_str().unwrap().to_owned();
    instance.sql(&format!("UPDATE tokens SET not_before = '0002-01-01 BC' WHERE id = '{id}'"));
    let list = instance.managing("GET", &tokens_of(WORKSPACE)).send().expect(200).json();
    let found = list["items"].as_array().unwrap().iter().find(|item| item["id"] == *id);
    assert_eq!(found.unwrap()["not_before"], "0001-01-01T00:00:00Z", "{list}");
    let path = format!("/api/v1/tokens/{id}");
    instance.managing("GET", &path).send().expect(200);
    let export = format!("{}/export?format=jsonl", tokens_of(WORKSPACE));
    let export = instance.managing("GET", &export).send();
    assert!(export.expect(200).text().contains(&id));
    instance.managing("POST", &format!("{path}/disable")).send().expect(200);
}

#[test]
fn invalid_values_are_all_reported() {
    let instance = Instance::start();
    let refused = instance.create(&json!({
        "name": "x".repeat(10_000),
        "description": "a\u{0}b",
        "user": "nobody@example.com",
        "audiences": ["nowhere"],
        "scopes": ["rivers:fly"],
        "expires_at": "2001-01-01",
        "not_before": "tomorrow",
        "ip_allow": ["10.0.0.0/33"],
    }));
    let refused = problem(&refused, 422, "validation_failed");
    let mut named: Vec<&str> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    named.sort_unstable();
    let expected = [
        "audiences",
        "description",
        "expires_at",
        "ip_allow",
        "name",
        "not_before",
        "scopes",
        "user",
    ];
    assert_eq!(named, expected);
    assert_eq!(count(&instance), 1);
}

#[test]
fn names_are_checked_at_their_limits() {
    let instance = Instance::start();
    let name = |text: &str| instance.create(&json!({"name": text, "scopes": ["rivers:run"]}));
    for (text, expected) in [
        ("", "name: must not be empty"),
        ("   ", "name: must not be empty"),
        ("a\u{0}b", "name: must not contain the character U+0000"),
        ("a\nb", "name: must not contain the character U+000A"),
        ("a\u{202e}b", "name: must not contain the character U+202E"),
    ] {
        let refused = problem(&name(text), 422, "validation_failed");
        assert_eq!(fields(&refused), [expected], "{text:?}");
    }
    let long = "é".repeat(129);
    let refused = problem(&name(&long), 422, "validation_failed");
    assert_eq!(fields(&refused), ["name: must have at most 128 characters; this has 129"]);
    for text in [
        "שלום עולם 🚀",
        "👩‍👩‍👧",
        "<script>alert(1)</script>",
        "'; DROP TABLE tokens; --",
        "%s%n",
        &"é".repeat(128),
    ] {
        let created = name(text).expect(201).json();
        assert_eq!(created["token"]["name"], *text);
        let id = created["token"]["id"].as_str().unwrap();
        let shown = instance.managing("GET", &format!("/api/v1/tokens/{id}")).send().expect(200);
        assert_eq!(shown.json()["name"], *text);
        assert_eq!(shown.header("content-type"), Some("application/json"));
        assert_eq!(shown.header("x-content-type-options"), Some("nosniff"));
    }
}

#[test]
fn unknown_scopes_are_refused() {
    let instance = Instance::start();
    for (scopes, expected) in [
        (json!([]), "scopes: must contain at least one scope"),
        (json!(["*"]), "scopes: has \"*\", which is not a scope of the chosen audiences"),
        (json!(["verify"]), "scopes: has \"verify\", which is not a scope of the chosen audiences"),
        (json!(["a\u{0}"]), "scopes: has \"a\\0\", which is not a scope of the chosen audiences"),
    ] {
        let refused = instance.create(&json!({"name": "a", "scopes": scopes}));
        assert_eq!(fields(&problem(&refused, 422, "validation_failed")), [expected]);
    }
}

#[test]
fn large_bodies_are_refused_with_a_response() {
    let instance = Instance::start();
    let ten_megabytes = vec![b'x'; 10_000_000];
    let refused = post(&instance, Some("application/json"), ten_megabytes.clone());
    problem(&refused, 413, "payload_too_large");
    let verify =
        instance.managing("POST", "/api/v1/verify").header("content-type", "application/json");
    problem(&verify.body(ten_megabytes.clone()).send(), 413, "payload_too_large");
    // Without a declared length.
    let mut chunked = Vec::new();
    for chunk in ten_megabytes.chunks(100_000) {
        chunked.extend(format!("{:x}\r\n", chunk.len()).bytes());
        chunked.extend(chunk);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let request =
        instance.managing("POST", &tokens_of(WORKSPACE)).header("content-type", "application/json");
    let refused = request.header("transfer-encoding", "chunked").body(chunked).send();
    problem(&refused, 413, "payload_too_large");
    // With `Expect: 100-continue`, a client receives the response before it sends anything.
    let asked =
        instance.managing("POST", &tokens_of(WORKSPACE)).header("content-type", "application/json");
    let refused =
        asked.header("expect", "100-continue").header("content-length", "10000000").send();
    problem(&refused, 413, "payload_too_large");
    assert_eq!(count(&instance), 1);
}

/// The request was refused, or the connection was closed before everything was sent.
fn is_refused(answer: std::io::Result<crate::support::Answer>) {
    if let Ok(answer) = answer {
        assert!(matches!(answer.status, 400..=499), "{} {:?}", answer.status, answer.text());
    }
}

#[test]
fn malformed_heads_are_refused_and_harmless() {
    let instance = Instance::start();
    let answer = instance.managing("GET", &format!("/api/v1/{}", "x".repeat(500_000))).try_send();
    is_refused(answer);
    let answer = instance
        .server
        .request("GET", "/healthz")
        .header("x-long", &"x".repeat(500_000))
        .try_send();
    is_refused(answer);
    instance.server.get("/healthz").expect(200);
}

#[test]
fn malformed_http_is_refused_with_a_reason() {
    let instance = Instance::start();
    let refused = instance.server.request("G(T", "/api/v1/self").send();
    problem(&refused, 400, "malformed_request");
    let crowded = (0..150)
        .fold(instance.server.request("GET", "/api/v1/self"), |request, number| {
            request.header(&format!("x-{number}"), "1")
        });
    problem(&crowded.send(), 431, "headers_too_large");
    instance.server.get("/healthz").expect(200);
}

#[test]
fn invalid_verification_requests_are_refused() {
    let instance = Instance::start();
    let ask = |question: &Value| instance.managing("POST", "/api/v1/verify").json(question).send();
    for (question, expected) in [
        (
            json!({"token": "x", "scope": ["a"]}),
            "scope: is not a known field; known fields are token, audience, scopes, ip, workspace",
        ),
        (json!({"audience": "default"}), "token: is missing"),
        (json!({"token": "x", "ip": "localhost"}), "ip: must be an IP address such as 192.0.2.1"),
        (json!({"token": "x", "scopes": "rivers:run"}), "scopes: must be an array, not a string"),
    ] {
        let refused = problem(&ask(&question), 422, "validation_failed");
        assert_eq!(fields(&refused), [expected], "{question}");
    }
    let refused =
        ask(&json!({"token": "x", "audience": "A B", "scopes": ["a", "*"], "workspace": "?"}));
    let refused = problem(&refused, 422, "validation_failed");
    let named: Vec<&str> = refused["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["field"].as_str().unwrap())
        .collect();
    assert_eq!(named, ["audience", "workspace", "scopes[1]"]);
}
