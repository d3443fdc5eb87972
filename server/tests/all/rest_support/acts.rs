//! Actions on tokens over REST.

use serde_json::{Value, json};

use super::{By, Instance, OWNER, WORKSPACE, tokens_of};
use crate::support::Answer;

/// The administrator of the instance.
pub fn owner() -> By {
    By::Session(OWNER.to_owned())
}

/// The sender with a minted token.
pub fn by(minted: &Value) -> By {
    By::Token(secret(minted).to_owned())
}

/// The secret of a minted token.
pub fn secret(minted: &Value) -> &str {
    minted["secret"].as_str().unwrap()
}

/// Sends a request, with a body unless it is null.
pub fn call(instance: &Instance, by: &By, method: &str, path: &str, body: &Value) -> Answer {
    let request = instance.request(by, method, path);
    if body.is_null() { request.send() } else { request.json(body).send() }
}

/// The path of an operation on a token.
pub fn rest(minted: &Value, operation: &str) -> String {
    format!("/api/v1/tokens/{}{operation}", minted["token"]["id"].as_str().unwrap())
}

/// Runs an operation on a token over REST.
pub fn act(
    instance: &Instance,
    by: &By,
    minted: &Value,
    (operation, body): (&str, Value),
) -> Answer {
    let method = if operation.is_empty() { "PATCH" } else { "POST" };
    call(instance, by, method, &rest(minted, operation), &body)
}

/// Returns a token's record without its uses.
pub fn shown(instance: &Instance, minted: &Value) -> Value {
    let shown = call(instance, &owner(), "GET", &rest(minted, ""), &Value::Null).expect(200);
    let mut shown = shown.json();
    shown.as_object_mut().unwrap().retain(|field, _| !field.starts_with("last_used"));
    shown
}

/// Creates a token that manages tokens. If a token creates it, it expires with that token.
#[track_caller]
pub fn manager(instance: &Instance, by: &By, name: &str) -> Value {
    let mut body = json!({
        "name": name, "audiences": ["tessera", "default"],
        "scopes": ["tokens:write", "tokens:reveal", "rivers:read"],
    });
    if let By::Session(_) = by {
        body["expires_at"] = json!("30d");
    }
    call(instance, by, "POST", &tokens_of(WORKSPACE), &body).expect(201).json()
}
