//! The same matrix with and without self-service: every operation on tokens × member × owner of the
//! token.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Caller, Holder, Row, TABLE, Victims, Who, changes, expected, of_revoking};
use crate::rest_support::{By, Instance, WORKSPACE};

/// Method and path of every operation on tokens. Then the status for members: with self-service for
/// their own token and for another user's token, and without self-service for their own.
type Cells = (&'static str, &'static str, char, char, char);

#[rustfmt::skip]
const SELF_SERVICE: [Cells; 17] = [
    //                                                    own others | off
    ("get",    "/api/v1/workspaces/{ws}/tokens",          'o', 'o',   'f'),
    ("post",   "/api/v1/workspaces/{ws}/tokens",          'o', 'o',   'f'),
    // Each item has its own status, which the test reads.
    ("post",   "/api/v1/workspaces/{ws}/tokens/bulk",     'o', 'o',   'f'),
    // For callers who manage all tokens of the workspace.
    ("post",   "/api/v1/workspaces/{ws}/tokens/import",   'f', 'f',   'f'),
    ("get",    "/api/v1/workspaces/{ws}/tokens/export",   'o', 'o',   'f'),
    // A caller who manages no tokens, or only other tokens, does not learn that this token exists.
    ("get",    "/api/v1/tokens/{id}",                     'o', 'n',   'n'),
    ("delete", "/api/v1/tokens/{id}",                     'o', 'n',   'n'),
    ("patch",  "/api/v1/tokens/{id}",                     'o', 'n',   'n'),
    ("post",   "/api/v1/tokens/{id}/enable",              'o', 'n',   'n'),
    ("post",   "/api/v1/tokens/{id}/disable",             'o', 'n',   'n'),
    ("post",   "/api/v1/tokens/{id}/expire",              'o', 'n',   'n'),
    ("post",   "/api/v1/tokens/{id}/rotate",              'o', 'n',   'n'),
    ("delete", "/api/v1/tokens/{id}/grace",               'o', 'n',   'n'),
    ("post",   "/api/v1/tokens/{id}/reveal",              'o', 'n',   'n'),
    ("post",   "/api/v1/tokens/{id}/clone",               'o', 'n',   'n'),
    ("get",    "/api/v1/tokens/{id}/usage",               'o', 'n',   'n'),
    ("post",   "/oauth2/revoke",                          'o', 'n',   'n'),
];

fn cells(row: &Row) -> Option<&'static Cells> {
    SELF_SERVICE.iter().find(|(method, path, ..)| (*method, *path) == (row.0, row.1))
}

/// Returns the required status of a cell. It differs from the usual one only for members and
/// members' tokens.
fn in_self_service(row: &Row, who: &Who, own: bool, on: bool) -> u16 {
    let Some((.., of_own, of_others, off)) = cells(row) else {
        return expected(row, who, true);
    };
    let letter = match (on, own) {
        (true, true) => of_own,
        (true, false) => of_others,
        (false, _) => off,
    };
    let (.., ok, _, scopes, _) = *row;
    let usually = match (who, letter) {
        (Who::Person("member" | "auditor", 3), 'o') => ok,
        (Who::Person("member" | "auditor", 3), 'n') => 404,
        (Who::Person("member" | "auditor", 3), _) => 403,
        (Who::Token(held, Holder::Member), letter) => {
            let holds = |scopes: &[&str]| held.iter().any(|held| scopes.contains(&held.as_str()));
            match letter {
                'o' if holds(scopes) => ok,
                // A token that the caller cannot see does not exist for it. A caller that sees no
                // tokens receives the missing scope instead.
                'n' if on && holds(super::READING_TOKENS) => 404,
                _ => 403,
            }
        }
        _ => expected(row, who, true),
    };
    of_revoking(row, who, usually)
}

/// Members and their tokens, and other callers to show that nothing changes for them.
fn callers(instance: &Instance) -> Vec<Caller> {
    let roles = [("member", 1, "verifier"), ("member", 2, "viewer"), ("member", 4, "admin")];
    let members = [("member", 3, "member"), ("auditor", 3, "member")];
    let mut callers: Vec<Caller> = roles
        .into_iter()
        .chain(members)
        .map(|(role, index, workspace)| {
            let name = format!("{role}-{workspace}");
            let by = instance.person(&name, role, Some(workspace));
            Caller { name, by, who: Who::Person(role, index) }
        })
        .collect();
    for scope in ["verify", "tokens:read", "tokens:write", "tokens:reveal"] {
        let body = json!({
            "name": scope, "user": email("member-member"), "audiences": ["tessera"], "scopes": [scope],
            "expires_at": "never",
        });
        callers.push(Caller {
            name: format!("member's token with {scope}"),
            by: By::Token(instance.mint(WORKSPACE, &body)),
            who: Who::Token(vec![scope.to_owned()], Holder::Member),
        });
    }
    callers
}

fn email(name: &str) -> String {
    format!("{name}@example.com")
}

fn set_self_service(instance: &Instance, on: bool) {
    instance.sql(&format!(
        "INSERT INTO policies (id, workspace_id, self_service, updated_at)
         SELECT gen_random_uuid(), id, {on}, now() FROM workspaces WHERE slug = '{WORKSPACE}'
             ON CONFLICT (workspace_id) DO UPDATE SET self_service = excluded.self_service"
    ));
}

#[test]
fn member_reaches_own_tokens_only_with_self_service() {
    let instance = Instance::start();
    let callers = callers(&instance);
    let (mut wrong, mut cells_seen) = (Vec::new(), 0);
    let mut victims: Option<Victims<'_>> = None;
    for on in [false, true] {
        set_self_service(&instance, on);
        for caller in &callers {
            let user = match &caller.who {
                Who::Token(..) => email("member-member"),
                _ => email(&caller.name),
            };
            let holders = [(WORKSPACE, user.clone()), (WORKSPACE, email("member-admin"))];
            let victims = match &mut victims {
                Some(victims) => {
                    victims.holders = holders;
                    victims.replace();
                    victims
                }
                none => none.insert(Victims::new(&instance, holders)),
            };
            let is_member = matches!(caller.who, Who::Person(_, 3) | Who::Token(_, Holder::Member));
            for row in &TABLE {
                let of_tokens = cells(row).is_some();
                // The table already covers members without self-service. This test adds the owner
                // of the token.
                if !(on || of_tokens && is_member) {
                    continue;
                }
                let sides: &[bool] = if of_tokens { &[true, false] } else { &[true] };
                for own in sides.iter().copied() {
                    cells_seen += 1;
                    let answer = victims.call(row, caller, own, cells_seen);
                    let expected = in_self_service(row, &caller.who, own, on);
                    let (method, template, ..) = row;
                    let cell = format!(
                        "{method} {template}, self-service {on}, own {own}, by {}",
                        caller.name
                    );
                    if answer.status != expected {
                        let text = answer.text();
                        wrong.push(format!(
                            "{cell}: {} instead of {expected}: {text}",
                            answer.status
                        ));
                    }
                    if answer.status >= 300 {
                        continue;
                    }
                    if is_member && *method == "get" && template.ends_with("/tokens") {
                        let page = answer.json();
                        let items = page["items"].as_array().unwrap();
                        if items.is_empty()
                            || items.iter().any(|item| item["user"]["email"] != user)
                        {
                            wrong.push(format!("{cell}: lists {page}"));
                        }
                    }
                    if is_member && template.ends_with("/bulk") {
                        let done = answer.json();
                        if done["items"][0]["status"] != if own { 200 } else { 404 } {
                            wrong.push(format!("{cell}: answers {done}"));
                        }
                    }
                    if template.contains("/policy") {
                        set_self_service(&instance, on);
                    }
                    if changes(row) {
                        victims.replace();
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {cells_seen} cells:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn self_service_table_lists_every_token_operation() {
    let operations = |rows: &mut dyn Iterator<Item = (&str, &str)>| -> BTreeSet<String> {
        rows.filter(|(_, path)| path.contains("tokens"))
            .map(|(method, path)| format!("{method} {path}"))
            .collect()
    };
    let tabled = operations(&mut TABLE.iter().map(|row| (row.0, row.1)));
    let listed = operations(&mut SELF_SERVICE.iter().map(|row| (row.0, row.1)));
    assert_eq!(listed, tabled);
}
