//! The slowest requests that are allowed, one of each kind of work that takes long.

use std::fmt::Write as _;

use serde_json::json;

use crate::{
    Outcome,
    drive::{Order, Requests, exchange},
    fill::fill,
    rounds::Settings,
    tessera::{PASSWORD, PERSON, Tessera},
};

/// Tokens of the workspace that previews and exports go through.
const TOKENS: u32 = 20_000;
/// The slowest pattern that a policy takes: its compiled form fills the bound.
const PATTERN: &str = "(?:.{0,60}){4}";
const ROWS: usize = 1_000;
/// Under the longest body that is taken.
const BODY: usize = 60_000;
/// Tokens whose scopes are as many and as long as a token may have.
const WIDE: u32 = 200;
const SCOPES: usize = 1_000;
/// Questions about such tokens whose answers have nearly 1 MiB together.
const QUESTIONS: usize = 14;
const JSON: &str = "application/json";

/// A kind of slow request.
pub(super) struct Slow {
    pub(super) name: &'static str,
    pub(super) request: Vec<u8>,
}

/// Who sends requests, by a header.
struct Caller<'a> {
    tessera: &'a Tessera,
    header: (&'static str, String),
}

impl<'a> Caller<'a> {
    fn with_token(tessera: &'a Tessera, token: &str) -> Self {
        Self { tessera, header: ("Authorization", format!("Bearer {token}")) }
    }

    /// Signs in.
    fn signed_in(tessera: &'a Tessera) -> Outcome<Self> {
        let answer = exchange(&tessera.url, &sign_in()?)?;
        let head = String::from_utf8_lossy(&answer);
        let cookies = head.lines().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("set-cookie").then_some(())?;
            value.trim().split(';').next()
        });
        let cookies = cookies.collect::<Vec<_>>().join("; ");
        Ok(Self { tessera, header: ("Cookie", cookies) })
    }

    /// Returns a request, after one that was answered with this status.
    fn slow(
        &self,
        name: &'static str,
        status: u16,
        (method, path): (&str, &str),
        kind: &str,
        body: &str,
    ) -> Outcome<Slow> {
        let headers = [
            (self.header.0, self.header.1.as_str()),
            ("Content-Type", kind),
            ("Sec-Fetch-Site", "same-origin"),
            ("Connection", "close"),
        ];
        let request = Requests::new(method, path, &headers, body, Vec::new(), Order::Once)?;
        let request = request.first().to_vec();
        let answer = exchange(&self.tessera.url, &request)?;
        if !answer.starts_with(format!("HTTP/1.1 {status} ").as_bytes()) {
            let answer = String::from_utf8_lossy(&answer[..answer.len().min(1_000)]).into_owned();
            return Err(format!("unexpected response to {name}: {answer}").into());
        }
        Ok(Slow { name, request })
    }
}

/// Returns a request of each kind.
pub(super) fn requests(tessera: &Tessera, settings: Settings) -> Outcome<Vec<Slow>> {
    tessera.workspace("slow")?;
    let scopes = "tokens:read tokens:write policy:write audit:read rivers:run";
    let manager = tessera.token("slow", "tessera default", scopes)?;
    fill(tessera, "slow", settings.count(TOKENS))?;
    tessera.policy("slow", &format!("name_pattern={PATTERN}"))?;
    let manager = Caller::with_token(tessera, &manager);
    let preview = json!({ "name_pattern": PATTERN }).to_string();
    let draft = json!({ "name": "x", "scopes": vec!["rivers:fly"; BODY / 14] }).to_string();
    let import = "/api/v1/workspaces/slow/tokens/import?dry_run=true";
    let mut all = vec![
        manager.slow("import", 200, ("POST", import), "application/jsonl", &rows()?)?,
        manager.slow(
            "preview",
            200,
            ("POST", "/api/v1/workspaces/slow/policy/preview"),
            JSON,
            &preview,
        )?,
        manager.slow(
            "export",
            200,
            ("GET", "/api/v1/workspaces/slow/tokens/export?format=csv"),
            JSON,
            "",
        )?,
        manager.slow("list", 200, ("GET", "/api/v1/workspaces/slow/tokens?limit=200"), JSON, "")?,
        manager.slow("audit", 200, ("GET", "/api/v1/workspaces/slow/audit?limit=200"), JSON, "")?,
        manager.slow("create", 422, ("POST", "/api/v1/workspaces/slow/tokens"), JSON, &draft)?,
    ];
    all.extend(wide(tessera)?);
    all.extend(signed_in(tessera)?);
    all.push(Slow { name: "sign-in", request: sign_in()? });
    Ok(all)
}

/// Rows of an import.
fn rows() -> Outcome<String> {
    let mut rows = String::new();
    for row in 0..ROWS {
        writeln!(
            rows,
            r#"{{"digest":"{row:064x}","name":"{row:a>128}","scopes":["rivers:run"]}}"#
        )?;
    }
    Ok(rows)
}

/// Returns requests about tokens with as many scopes as there may be.
fn wide(tessera: &Tessera) -> Outcome<[Slow; 2]> {
    tessera.workspace("wide")?;
    let reader = tessera.token("wide", "tessera", "tokens:read")?;
    let verifier = tessera.token("wide", "tessera", "verify")?;
    let tokens = fill(tessera, "wide", WIDE)?;
    tessera.database()?.sql(&format!(
        "UPDATE token_audiences SET scopes = (
             SELECT array_agg(lpad(i::text, 5, '0') || ':' || repeat('s', 58) ORDER BY i)
               FROM generate_series(1, {SCOPES}) AS i
         )
         FROM tokens t JOIN workspaces w ON w.id = t.workspace_id AND w.slug = 'wide'
         WHERE t.id = token_id AND t.name = 'bench' AND token_audiences.scopes = ARRAY['rivers:run'];
         UPDATE tokens t SET scopes = a.scopes
           FROM token_audiences a, workspaces w
          WHERE a.token_id = t.id AND w.id = t.workspace_id AND w.slug = 'wide'
            AND array_length(a.scopes, 1) = {SCOPES};\n"
    ))?;
    let items: Vec<_> = tokens
        .iter()
        .take(QUESTIONS)
        .map(|token| json!({ "token": token, "audience": "default", "ip": "192.0.2.1" }))
        .collect();
    let items = json!({ "items": items }).to_string();
    Ok([
        Caller::with_token(tessera, &reader).slow(
            "rights",
            200,
            ("GET", "/api/v1/workspaces/wide/tokens?limit=200"),
            JSON,
            "",
        )?,
        Caller::with_token(tessera, &verifier).slow(
            "batch",
            200,
            ("POST", "/api/v1/verify/batch"),
            JSON,
            &items,
        )?,
    ])
}

/// Returns requests of a person who is signed in.
fn signed_in(tessera: &Tessera) -> Outcome<[Slow; 2]> {
    let person = Caller::signed_in(tessera)?;
    // Judged after the current one was checked, and refused.
    let passwords = json!({ "current_password": PASSWORD, "new_password": "password12345678" });
    let catalogue = "/api/v1/audiences/slow/catalogue?dry_run=true";
    Ok([
        person.slow("catalogue", 200, ("PUT", catalogue), "application/toml", &scopes()?)?,
        person.slow(
            "password",
            422,
            ("POST", "/api/v1/account/password"),
            JSON,
            &passwords.to_string(),
        )?,
    ])
}

/// Returns a catalogue in which each scope implies the one before.
fn scopes() -> Outcome<String> {
    let mut text =
        String::from("audience = \"slow\"\nname = \"Slow\"\n[[groups]]\nname = \"All\"\n");
    let mut number = 0;
    while text.len() < BODY - 200 {
        write!(text, "[[groups.scopes]]\nname = \"s{number}:read\"\ndescription = \"x\"\n")?;
        if number > 0 {
            writeln!(text, "implies = [\"s{}:read\"]", number - 1)?;
        }
        number += 1;
    }
    Ok(text)
}

fn sign_in() -> Outcome<Vec<u8>> {
    let form = [("email", PERSON), ("password", PASSWORD)];
    let form = form.map(|(name, value)| format!("{name}={}", value.replace(' ', "+"))).join("&");
    let headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Sec-Fetch-Site", "same-origin"),
        ("Connection", "close"),
    ];
    let request = Requests::new("POST", "/sign-in", &headers, &form, Vec::new(), Order::Once)?;
    Ok(request.first().to_vec())
}
