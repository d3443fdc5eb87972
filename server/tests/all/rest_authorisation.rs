//! The complete authorisation matrix: every caller × every operation × tenant.
//!
//! Callers are generated: each role on the instance with each role in the workspace, a token of
//! each scope of Tessera, and no caller. The required status of each cell follows from the table's
//! row. The test fails on an operation that is not in the table, and on a row without an operation
//! in the API.
#![allow(
    clippy::allow_attributes,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test that panics has failed"
)]

mod rest_matrix;

use std::collections::BTreeSet;

use crate::rest_support::{By, Instance, OTHER, OWNER, WORKSPACE, draft};
use crate::support::{Answer, server::ADMIN_EMAIL};
use serde_json::{Value, json};

/// Scopes that let a token see its workspace.
const SEEING: &[&str] = &[
    "tokens:read",
    "tokens:write",
    "tokens:reveal",
    "workspaces:read",
    "workspaces:write",
    "members:read",
    "members:write",
    "policy:write",
    "audit:read",
];
const READING_TOKENS: &[&str] = &["tokens:read", "tokens:write", "tokens:reveal"];
const WRITING_TOKENS: &[&str] = &["tokens:write"];
const READING_MEMBERS: &[&str] = &["members:read", "members:write"];
const WRITING_MEMBERS: &[&str] = &["members:write"];
const POLICY: &[&str] = &["policy:write"];
const WORKSPACE_WRITE: &[&str] = &["workspaces:write"];
const REVEAL: &[&str] = &["tokens:reveal"];
const AUDIT: &[&str] = &["audit:read"];
const VERIFY: &[&str] = &["verify"];
const NO_SCOPE: &[&str] = &[];
/// Any token, whatever its scopes.
const ANY: &[&str] = &["*"];

/// Method, path, status if allowed, people, tokens.
///
/// People: the result for a member of the instance whose role in the workspace is none, verifier,
/// viewer, member or admin; then the result for an auditor of the instance without a role in the
/// workspace. `o` is allowed, `f` 403, `n` 404, `u` 401. Owners and admins of the instance may do
/// everything that people may. Tokens: the scopes that allow the operation; `u` and `n` in the last
/// column are the result for other tokens instead of 403.
type Row = (&'static str, &'static str, u16, &'static str, &'static [&'static str], char);

#[rustfmt::skip]
const TABLE: [Row; 73] = [
    //                                                             none verifier viewer member admin | auditor
    ("get",    "/api/v1/audiences",                           200, "ooooo|o", ANY,             'f'),
    ("get",    "/api/v1/self",                                200, "uuuuu|u", ANY,             'f'),
    ("get",    "/auth/forward",                               200, "uuuuu|u", ANY,             'f'),
    ("post",   "/api/v1/verify",                              200, "foffo|f", VERIFY,          'f'),
    ("post",   "/api/v1/verify/batch",                        200, "foffo|f", VERIFY,          'f'),
    ("post",   "/oauth2/introspect",                          200, "uuuuu|u", VERIFY,          'f'),
    // As DELETE for other tokens, but see `of_revoking`.
    ("post",   "/oauth2/revoke",                              200, "nnfno|n", WRITING_TOKENS,  'f'),
    ("get",    "/api/v1/workspaces",                          200, "ooooo|o", ANY,             'f'),
    ("post",   "/api/v1/workspaces",                          201, "fffff|f", NO_SCOPE,        'f'),
    ("get",    "/api/v1/workspaces/{ws}",                     200, "noooo|o", SEEING,          'f'),
    ("patch",  "/api/v1/workspaces/{ws}",                     200, "nfffo|f", WORKSPACE_WRITE, 'f'),
    ("get",    "/api/v1/workspaces/{ws}/tokens",              200, "nfofo|f", READING_TOKENS,  'f'),
    ("post",   "/api/v1/workspaces/{ws}/tokens",              201, "nfffo|f", WRITING_TOKENS,  'f'),
    ("get",    "/api/v1/tokens/{id}",                         200, "nnono|n", READING_TOKENS,  'f'),
    ("delete", "/api/v1/tokens/{id}",                         204, "nnfno|n", WRITING_TOKENS,  'f'),
    ("patch",  "/api/v1/tokens/{id}",                         200, "nnfno|n", WRITING_TOKENS,  'f'),
    ("post",   "/api/v1/tokens/{id}/enable",                  200, "nnfno|n", WRITING_TOKENS,  'f'),
    ("post",   "/api/v1/tokens/{id}/disable",                 200, "nnfno|n", WRITING_TOKENS,  'f'),
    ("post",   "/api/v1/tokens/{id}/expire",                  200, "nnfno|n", WRITING_TOKENS,  'f'),
    ("post",   "/api/v1/tokens/{id}/rotate",                  201, "nnfno|n", WRITING_TOKENS,  'f'),
    ("delete", "/api/v1/tokens/{id}/grace",                   200, "nnfno|n", WRITING_TOKENS,  'f'),
    // The victim's secret was not kept: callers who may see it get 409.
    ("post",   "/api/v1/tokens/{id}/reveal",                  409, "nnfno|n", REVEAL,          'f'),
    ("post",   "/api/v1/tokens/{id}/clone",                   201, "nnfno|n", WRITING_TOKENS,  'f'),
    ("get",    "/api/v1/tokens/{id}/usage",                   200, "nnono|n", READING_TOKENS,  'f'),
    ("post",   "/api/v1/workspaces/{ws}/tokens/bulk",         200, "nfffo|f", WRITING_TOKENS,  'f'),
    ("post",   "/api/v1/workspaces/{ws}/tokens/import",       201, "nfffo|f", WRITING_TOKENS,  'f'),
    ("get",    "/api/v1/workspaces/{ws}/tokens/export",       200, "nfofo|f", READING_TOKENS,  'f'),
    ("get",    "/api/v1/workspaces/{ws}/audit",               200, "nfffo|o", AUDIT,           'f'),
    ("get",    "/api/v1/audit",                               200, "fffff|o", NO_SCOPE,        'f'),
    ("get",    "/api/v1/instance",                            200, "fffff|f", NO_SCOPE,        'f'),
    ("post",   "/api/v1/audiences",                           201, "fffff|f", NO_SCOPE,        'f'),
    ("get",    "/api/v1/audiences/{slug}",                    200, "ooooo|o", ANY,             'f'),
    ("patch",  "/api/v1/audiences/{slug}",                    200, "fffff|f", NO_SCOPE,        'f'),
    ("delete", "/api/v1/audiences/{slug}",                    204, "fffff|f", NO_SCOPE,        'f'),
    ("put",    "/api/v1/audiences/{slug}/catalogue",          200, "fffff|f", NO_SCOPE,        'f'),
    ("get",    "/api/v1/audiences/{slug}/scopes",             200, "ooooo|o", ANY,             'f'),
    ("post",   "/api/v1/audiences/{slug}/scopes",             201, "fffff|f", NO_SCOPE,        'f'),
    ("patch",  "/api/v1/audiences/{slug}/scopes/{name}",      200, "fffff|f", NO_SCOPE,        'f'),
    ("delete", "/api/v1/audiences/{slug}/scopes/{name}",      204, "fffff|f", NO_SCOPE,        'f'),
    ("post",   "/api/v1/audiences/{slug}/scopes/{name}/retire",   200, "fffff|f", NO_SCOPE,    'f'),
    ("post",   "/api/v1/audiences/{slug}/scopes/{name}/unretire", 200, "fffff|f", NO_SCOPE,    'f'),
    ("get",    "/api/v1/workspaces/{ws}/members",             200, "nfofo|f", READING_MEMBERS, 'f'),
    // But see `of_inviting`.
    ("post",   "/api/v1/workspaces/{ws}/members",             201, "nfffo|f", WRITING_MEMBERS, 'f'),
    ("get",    "/api/v1/workspaces/{ws}/members/{user}",      200, "nfofo|f", READING_MEMBERS, 'f'),
    ("patch",  "/api/v1/workspaces/{ws}/members/{user}",      200, "nfffo|f", WRITING_MEMBERS, 'f'),
    ("delete", "/api/v1/workspaces/{ws}/members/{user}",      200, "nfffo|f", WRITING_MEMBERS, 'f'),
    ("get",    "/api/v1/workspaces/{ws}/invitations",         200, "nfffo|f", WRITING_MEMBERS, 'f'),
    ("delete", "/api/v1/workspaces/{ws}/invitations/{id}",    204, "nfffo|f", WRITING_MEMBERS, 'f'),
    // A person's own invitations: `Victims::invitations` creates one for each caller.
    ("get",    "/api/v1/invitations",                         200, "ooooo|o", NO_SCOPE,        'f'),
    ("post",   "/api/v1/invitations/{id}/accept",             200, "ooooo|o", NO_SCOPE,        'f'),
    ("post",   "/api/v1/invitations/{id}/decline",            204, "ooooo|o", NO_SCOPE,        'f'),
    ("get",    "/api/v1/workspaces/{ws}/policy",              200, "noooo|o", SEEING,          'f'),
    ("put",    "/api/v1/workspaces/{ws}/policy",              200, "nfffo|f", POLICY,          'f'),
    ("post",   "/api/v1/workspaces/{ws}/policy/preview",      200, "nfffo|f", POLICY,          'f'),
    ("post",   "/api/v1/workspaces/{ws}/policy/preset",       200, "nfffo|f", POLICY,          'f'),
    ("get",    "/api/v1/policy",                              200, "fffff|f", NO_SCOPE,        'f'),
    ("put",    "/api/v1/policy",                              200, "fffff|f", NO_SCOPE,        'f'),
    ("post",   "/api/v1/policy/preview",                      200, "fffff|f", NO_SCOPE,        'f'),
    ("post",   "/api/v1/policy/preset",                       200, "fffff|f", NO_SCOPE,        'f'),
    ("get",    "/api/v1/users",                               200, "fffff|f", NO_SCOPE,        'f'),
    ("post",   "/api/v1/users",                               201, "fffff|f", NO_SCOPE,        'f'),
    ("get",    "/api/v1/users/{id}",                          200, "nnnnn|n", NO_SCOPE,        'n'),
    ("patch",  "/api/v1/users/{id}",                          200, "nnnnn|n", NO_SCOPE,        'n'),
    ("delete", "/api/v1/users/{id}",                          200, "nnnnn|n", NO_SCOPE,        'n'),
    ("post",   "/api/v1/users/{id}/password-reset",           201, "nnnnn|n", NO_SCOPE,        'n'),
    ("get",    "/api/v1/account",                             200, "ooooo|o", NO_SCOPE,        'f'),
    // These people have no password: those who may change theirs get 422.
    ("post",   "/api/v1/account/password",                    422, "ooooo|o", NO_SCOPE,        'f'),
    ("get",    "/api/v1/sessions",                            200, "ooooo|o", NO_SCOPE,        'f'),
    ("delete", "/api/v1/sessions",                            200, "ooooo|o", NO_SCOPE,        'f'),
    ("get",    "/api/v1/sessions/{id}",                       200, "nnnnn|n", NO_SCOPE,        'f'),
    ("delete", "/api/v1/sessions/{id}",                       204, "nnnnn|n", NO_SCOPE,        'f'),
    // These rows must be last, because they replace and remove the callers' own tokens.
    ("post",   "/api/v1/self/rotate",                         201, "uuuuu|u", ANY,             'f'),
    ("delete", "/api/v1/self",                                204, "uuuuu|u", ANY,             'f'),
];

/// Its form contains a token, so its sender has the token.
const REVOKE: &str = "/oauth2/revoke";
const SESSION: &str = "01980000-0000-7000-8000-000000000001";
/// Invitations to the callers' own workspace, to the other one, and to the caller.
const INVITATIONS: [&str; 3] = [
    "01980000-0000-7000-8000-000000000002",
    "01980000-0000-7000-8000-000000000003",
    "01980000-0000-7000-8000-000000000004",
];
const INSTANCE_ROLES: [&str; 4] = ["owner", "admin", "auditor", "member"];
const WORKSPACE_ROLES: [&str; 5] = ["none", "verifier", "viewer", "member", "admin"];

/// A caller and its properties.
struct Caller {
    name: String,
    by: By,
    who: Who,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Holder {
    Owner,
    Viewer,
    Member,
}

enum Who {
    Nobody,
    /// A role on the instance, and the index of the role in the workspace.
    Person(&'static str, usize),
    /// An owner of the instance whose password was set by another person.
    Restricted,
    /// A token of `WORKSPACE` with these scopes, which acts as an owner of the instance, a viewer
    /// or a member.
    Token(Vec<String>, Holder),
}

fn callers(instance: &Instance) -> Vec<Caller> {
    let mut callers = vec![Caller { name: "nobody".into(), by: By::Nobody, who: Who::Nobody }];
    for role in INSTANCE_ROLES {
        for (index, workspace) in WORKSPACE_ROLES.iter().enumerate() {
            let name = format!("{role}-{workspace}");
            let membership = (index > 0).then_some(*workspace);
            let by = instance.person(&name, role, membership);
            callers.push(Caller { name, by, who: Who::Person(role, index) });
        }
    }
    let by = instance.person("restricted", "owner", Some("admin"));
    instance.sql("UPDATE users SET must_change_password = true WHERE name = 'restricted'");
    callers.push(Caller { name: "restricted".into(), by, who: Who::Restricted });
    let mut token = |name: &str, body: &Value, holder| {
        let by = By::Token(instance.mint(WORKSPACE, body));
        let scopes = body["scopes"].as_array().unwrap().iter();
        let scopes = scopes.map(|scope| scope.as_str().unwrap().to_owned()).collect();
        callers.push(Caller {
            name: format!("token with {name}"),
            by,
            who: Who::Token(scopes, holder),
        });
    };
    token("no scope of tessera", &draft("plain"), Holder::Owner);
    for scope in scopes_of_tessera(instance) {
        // A token with an expiry sees no secret that expires later.
        let body = json!({
            "name": scope, "audiences": ["tessera"], "scopes": [scope], "expires_at": "never",
        });
        token(&scope, &body, Holder::Owner);
    }
    // Its scopes exceed its user's rights: only the intersection counts.
    let body = json!({
        "name": "v", "user": "member-viewer@example.com", "audiences": ["tessera"],
        "scopes": ["tokens:write", "members:write", "policy:write", "verify", "workspaces:write"],
    });
    token("many scopes, of a viewer", &body, Holder::Viewer);
    callers
}

fn scopes_of_tessera(instance: &Instance) -> Vec<String> {
    let audiences = instance.managing("GET", "/api/v1/audiences").send().expect(200).json();
    let items = audiences["items"].as_array().unwrap();
    let tessera = items.iter().find(|audience| audience["name"] == "Tessera").unwrap();
    let groups = tessera["groups"].as_array().unwrap().iter();
    groups
        .flat_map(|group| group["scopes"].as_array().unwrap())
        .map(|scope| scope["name"].as_str().unwrap().to_owned())
        .collect()
}

/// Reports whether the workspace of the operation matters.
fn is_of_workspace(path: &str) -> bool {
    path.contains("{ws}") || path.contains("tokens/{id}") || path == REVOKE
}

/// Returns the required status of a cell.
fn expected(row: &Row, who: &Who, own: bool) -> u16 {
    of_revoking(
        row,
        who,
        of_inviting(row, who, of_ending(row, who, usually_expected(row, who, own))),
    )
}

/// The session in the table is an owner's, so only owners may end it.
fn of_ending((method, path, ..): &Row, who: &Who, usually: u16) -> u16 {
    let ends = *method == "delete" && *path == "/api/v1/sessions/{id}";
    if ends && matches!(who, Who::Person("admin", _)) { 403 } else { usually }
}

/// Administrators of the instance add members immediately; other callers invite.
fn of_inviting((method, path, ..): &Row, who: &Who, usually: u16) -> u16 {
    let invites = !matches!(who, Who::Person("owner" | "admin", _));
    if usually == 201 && *method == "post" && path.ends_with("/members") && invites {
        return 202;
    }
    usually
}

/// The sender may revoke the token in the form, and sessions are ignored. Another token's sender
/// learns nothing about a token that it may not see.
fn of_revoking((_, path, ok, ..): &Row, who: &Who, usually: u16) -> u16 {
    match who {
        _ if *path != REVOKE => usually,
        Who::Nobody | Who::Person(..) | Who::Restricted => *ok,
        Who::Token(..) if usually == 404 => *ok,
        Who::Token(..) => usually,
    }
}

fn usually_expected(row: &Row, who: &Who, own: bool) -> u16 {
    let (method, path, ok, people, scopes, other_tokens) = row;
    let status = |letter: char| match letter {
        'o' => *ok,
        'f' => 403,
        'n' => 404,
        'u' => 401,
        other => panic!("{other} in the row of {path}"),
    };
    let of_workspace = is_of_workspace(path);
    let (by_role, auditor) = people.split_once('|').unwrap();
    match who {
        Who::Nobody => 401,
        Who::Restricted if people.contains('u') => 401,
        Who::Restricted if path.starts_with("/api/v1/account") => *ok,
        Who::Restricted => 403,
        Who::Person("owner" | "admin", _) => {
            if people.contains('u') {
                401
            } else {
                *ok
            }
        }
        Who::Person(role, index) => {
            // A role in one workspace gives no role in the other.
            let index = if of_workspace && !own { 0 } else { *index };
            let by_role = by_role.chars().nth(index).unwrap();
            let letters = match *role {
                "auditor" => vec![by_role, auditor.chars().next().unwrap()],
                _ => vec![by_role],
            };
            // The role that allows more counts.
            status(*letters.iter().min_by_key(|letter| "ofnu".find(**letter)).unwrap())
        }
        Who::Token(..) if of_workspace && !own => 404,
        Who::Token(..) if *scopes == ANY => *ok,
        Who::Token(held, holder) => {
            let role_may = |index| by_role.chars().nth(index) == Some('o');
            let holder_may = match holder {
                Holder::Owner => true,
                Holder::Viewer => role_may(2),
                Holder::Member => role_may(3),
            };
            let holds = held.iter().any(|scope| scopes.contains(&scope.as_str()));
            if !holds || !holder_may {
                return status(*other_tokens);
            }
            // A token with only this scope has none that it could grant to a member.
            let gives = *method == "post" && path.ends_with("/members");
            if gives { 422 } else { *ok }
        }
    }
}

/// The objects to read, change and delete, in both workspaces.
struct Victims<'a> {
    instance: &'a Instance,
    subject: String,
    number: usize,
    /// Workspace and user of the token on the callers' own side and on the other side.
    holders: [(&'static str, String); 2],
    token: [String; 2],
    /// The secrets of these tokens.
    secret: [String; 2],
    user: String,
    person: String,
    member: String,
}

impl<'a> Victims<'a> {
    fn new(instance: &'a Instance, holders: [(&'static str, String); 2]) -> Self {
        let subject = instance.mint(WORKSPACE, &draft("subject"));
        let mut victims = Self {
            instance,
            subject,
            number: 0,
            holders,
            token: Default::default(),
            secret: Default::default(),
            user: String::new(),
            person: String::new(),
            member: String::new(),
        };
        let body = json!({"email": "person@example.com"});
        let made = victims.owner("POST", "/api/v1/users").json(&body).send().expect(201).json();
        made["id"].as_str().unwrap().clone_into(&mut victims.person);
        victims.replace();
        victims
    }

    /// Creates new victims after a call that changed something.
    fn replace(&mut self) {
        self.number += 1;
        // Nothing about the token exceeds the rights of a workspace's administrator, or of a token
        // that writes tokens.
        let token = |(workspace, user): &(&str, String)| {
            let body = json!({
                "name": "victim", "user": user, "audiences": ["tessera"], "scopes": ["tokens:read"],
            });
            let minted = self.instance.minted(workspace, &body);
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&minted["token"]["id"]), text(&minted["secret"]))
        };
        let [own, other] = self.holders.each_ref().map(token);
        self.token = [own.0, other.0];
        self.secret = [own.1, other.1];
        self.audience();
        self.user = self.service_account("user");
        self.member = self.service_account("member");
        for workspace in [WORKSPACE, OTHER] {
            self.owner("POST", &format!("/api/v1/workspaces/{workspace}/members"))
                .json(&json!({"user": self.member, "role": "viewer"}))
                .send()
                .expect(201);
        }
    }

    fn owner(&self, method: &str, path: &str) -> crate::support::Request {
        self.instance.request(&By::Session(OWNER.to_owned()), method, path)
    }

    fn new_email(&self) -> String {
        format!("user-{}@example.com", self.number)
    }

    fn service_account(&self, name: &str) -> String {
        let email = format!("{name}-{}@example.com", self.number);
        let body = json!({"kind": "service", "email": email});
        let made = self.owner("POST", "/api/v1/users").json(&body).send().expect(201).json();
        made["id"].as_str().unwrap().to_owned()
    }

    /// Creates an unused audience with a scope, or without one if the operation is about the
    /// audience itself: an audience with scopes cannot be deleted.
    fn audience(&self) {
        self.instance.sql(
            "DELETE FROM scopes WHERE audience_id IN (SELECT id FROM audiences WHERE slug IN ('mine', 'new'));
             DELETE FROM audiences WHERE slug IN ('mine', 'new');
             INSERT INTO audiences (id, slug, name, created_at, updated_at)
             VALUES (gen_random_uuid(), 'mine', 'Mine', now(), now());",
        );
    }

    fn scope(&self) {
        self.instance.sql(
            "INSERT INTO scopes (audience_id, name, risk, group_name, position)
             SELECT id, 'table://my.**', 'read', 'Tables', 0 FROM audiences WHERE slug = 'mine'",
        );
    }

    /// Creates a session that belongs to no caller.
    fn session(&self) {
        self.instance.sql(&format!(
            "INSERT INTO sessions (id, digest, user_id, created_at, last_seen_at, expires_at)
             SELECT '{SESSION}', sha256('victim'), id, now(), now(), now() + interval '1 hour'
               FROM users WHERE email = '{ADMIN_EMAIL}'
             ON CONFLICT DO NOTHING",
        ));
    }

    /// Creates an invitation of another person to each of the workspaces, and one of the caller to
    /// a workspace that they are not in.
    fn invitations(&self, caller: &Caller) {
        let email = match &caller.who {
            Who::Person(..) => format!("{}@example.com", caller.name),
            _ => "somebody@example.com".to_owned(),
        };
        let [own, other, addressed] = INVITATIONS;
        self.instance.sql(&format!(
            "INSERT INTO workspaces (id, slug, name, created_at, updated_at)
             VALUES (gen_random_uuid(), 'inviting', 'Inviting', now(), now()) ON CONFLICT DO NOTHING;
             DELETE FROM memberships WHERE workspace_id IN (SELECT id FROM workspaces WHERE slug = 'inviting');
             DELETE FROM invitations;
             INSERT INTO invitations (id, workspace_id, email, role, invited_by, created_at, expires_at)
             SELECT i.id::uuid, w.id, i.email, 'member', u.id, now(), now() + interval '1 hour'
               FROM (VALUES ('{own}', '{WORKSPACE}', 'somebody@example.com'),
                            ('{other}', '{OTHER}', 'somebody@example.com'),
                            ('{addressed}', 'inviting', '{email}')) i (id, slug, email)
               JOIN workspaces w ON w.slug = i.slug, users u
              WHERE u.email = '{ADMIN_EMAIL}';",
        ));
    }

    fn path(&self, template: &str, own: bool) -> String {
        let side = usize::from(!own);
        let id = if template.ends_with("/password-reset") {
            &self.person
        } else if template.contains("/users/") {
            &self.user
        } else if template.contains("{ws}/invitations/") {
            INVITATIONS[side]
        } else if template.contains("/invitations/") {
            INVITATIONS[2]
        } else if template.contains("/sessions/") {
            SESSION
        } else {
            &self.token[side]
        };
        template
            .replace("{ws}", self.holders[side].0)
            .replace("{id}", id)
            .replace("{user}", &self.member)
            .replace("{slug}", "mine")
            .replace("{name}", "table%3A%2F%2Fmy.%2A%2A")
    }

    /// Returns a valid body, if the caller may send it.
    fn body(&self, method: &str, template: &str, own: bool) -> Option<Value> {
        let number = self.number;
        if template.starts_with("/api/v1/audiences") {
            return match (method, template.rsplit('/').next().unwrap()) {
                ("post", "audiences") => Some(json!({"audience": "new", "name": "New"})),
                ("post", "scopes") => Some(json!({"name": "level://*", "group": "Levels"})),
                ("post", "retire") => Some(json!({})),
                ("patch", _) => Some(json!({"description": "Other."})),
                ("put", _) => Some(json!({"audience": "mine", "name": "Mine"})),
                _ => None,
            };
        }
        Some(match (method, template.rsplit('/').next().unwrap()) {
            // The scopes that a writing token has itself.
            ("post", "tokens") => {
                json!({"name": "new", "audiences": ["tessera"], "scopes": ["tokens:read"]})
            }
            ("post", "verify") => json!({"token": self.subject}),
            ("post", "batch") => json!({"items": [{"token": self.subject}]}),
            ("post", "bulk") => {
                json!({"action": "disable", "ids": [self.token[usize::from(!own)]]})
            }
            ("post", "clone") => json!({"name": "copy"}),
            // A later request presents the old secret again.
            ("post", "rotate") => json!({"grace_s": 3_600}),
            ("patch", "{id}") if template.contains("/tokens/") => json!({"name": "changed"}),
            ("post", "workspaces") => {
                json!({"name": format!("W {number}"), "slug": format!("w-{number}")})
            }
            ("post", "users") => {
                json!({"kind": "service", "email": format!("new-{number}@example.com")})
            }
            ("post", "password") => json!({
                "current_password": "violet kettle drums outside",
                "new_password": "tr0mbone ladder mist drums",
            }),
            ("post", "members") => json!({"user": self.new_email(), "role": "member"}),
            ("post", "preset") => json!({"preset": "standard", "apply": true}),
            ("patch", "{ws}") => json!({"name": "Renamed"}),
            ("put" | "patch", _) | ("post", "preview") => json!({}),
            _ => return None,
        })
    }

    /// Sends the request of a caller, about the caller's own workspace or token or about the other
    /// side. Each call has a unique number.
    fn call(&self, row: &Row, caller: &Caller, own: bool, number: usize) -> Answer {
        let (method, template, ..) = row;
        if template.contains("{slug}") {
            self.audience();
            if template.contains("{name}") {
                self.scope();
            }
        }
        if template.contains("/sessions/") {
            self.session();
        }
        if template.contains("/invitations") {
            self.invitations(caller);
        }
        let path = self.path(template, own);
        let request = self.instance.request(&caller.by, &method.to_uppercase(), &path);
        if template.ends_with("/import") {
            // A digest that was not imported yet.
            let digest = format!("{number:064x}");
            let row = json!({"digest": digest, "name": "foreign", "audiences": ["tessera"], "scopes": ["tokens:read"]});
            return request
                .header("content-type", "application/jsonl")
                .body(row.to_string())
                .send();
        }
        if template.starts_with("/oauth2/") {
            let revoked = &self.secret[usize::from(!own)];
            let token = if *template == REVOKE { revoked } else { &self.subject };
            return request.form(&[("token", token)]).send();
        }
        match self.body(method, template, own) {
            Some(body) => request.json(&body).send(),
            None => request.send(),
        }
    }
}

/// Reports whether the operation changes its subject if it succeeds.
fn changes((method, template, ..): &Row) -> bool {
    let makes = template.ends_with('s') && !template.ends_with("tokens");
    let ends = ["expire", "disable", "bulk", "rotate", "revoke"];
    // Each call has new invitations.
    if template.contains("/invitations") {
        return false;
    }
    *method == "delete"
        || (*method == "post" && (makes || ends.iter().any(|end| template.ends_with(end))))
}

#[test]
fn every_caller_may_do_exactly_what_the_table_says() {
    let instance = Instance::start();
    let callers = callers(&instance);
    assert_eq!(callers.len(), 1 + 20 + 1 + scopes_of_tessera(&instance).len() + 2);
    let holders = [(WORKSPACE, "member-admin@example.com".into()), (OTHER, ADMIN_EMAIL.into())];
    let mut victims = Victims::new(&instance, holders);
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for row in &TABLE {
        let (method, template, ..) = row;
        for caller in &callers {
            let tenants: &[bool] = if is_of_workspace(template) { &[true, false] } else { &[true] };
            for own in tenants.iter().copied() {
                let answer = victims.call(row, caller, own, cells);
                cells += 1;
                let expected = expected(row, &caller.who, own);
                if answer.status != expected {
                    let tenant = if own { "own" } else { "other" };
                    let (name, status) = (&caller.name, answer.status);
                    let text = answer.text();
                    wrong.push(format!(
                        "{method} {template} of the {tenant} workspace by {name}: {status} instead of {expected}: {text}"
                    ));
                }
                if answer.status < 300 && changes(row) {
                    victims.replace();
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn table_openapi_document_and_routes_agree() {
    let server = crate::support::Server::start();
    let document = server.get("/api/openapi.json").expect(200).json();
    let documented: BTreeSet<(String, String)> = operations(&document).into_iter().collect();
    let tabled: BTreeSet<(String, String)> =
        TABLE.iter().map(|(method, path, ..)| ((*method).to_owned(), (*path).to_owned())).collect();
    assert_eq!(documented, tabled);
    // The routes: each path has exactly the documented methods.
    for path in documented.iter().map(|(_, path)| path).collect::<BTreeSet<_>>() {
        if path == "/auth/forward" {
            continue;
        }
        let real = path
            .replace("{ws}", WORKSPACE)
            .replace("{id}", "x")
            .replace("{user}", "x")
            .replace("{slug}", "default")
            .replace("{name}", "rivers:run");
        let answer = server.request("TRACE", &real).send().expect(405);
        let allowed: BTreeSet<String> = answer
            .header("allow")
            .unwrap()
            .split(',')
            .filter(|method| *method != "HEAD")
            .map(str::to_lowercase)
            .collect();
        let expected: BTreeSet<String> = documented
            .iter()
            .filter(|(_, documented)| documented == path)
            .map(|(method, _)| method.clone())
            .collect();
        assert_eq!(allowed, expected, "{path}");
    }
}

fn operations(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone()))
        })
        .collect()
}
