//! Creation of tokens, against the same inserts with pgbench; both durable.

use std::io::Write;

use crate::{
    Outcome,
    database::{AS_MANY, Database, Postgres},
    drive::{Order, Requests},
    process::{Cpu, DRIVER, SERVERS, pin},
    rounds::{Settings, Side, ratio, spread},
    tessera::Tessera,
};

const CONNECTIONS: [usize; 2] = [8, 32];
/// The rows that `create` writes in one transaction: the token, its audience, its secret, and the
/// audit row after the locked head of its chain. {after} is the audit row's description of the
/// token.
const INSERTS: &str = include_str!("create.sql");

/// Prints the ratios.
pub(crate) fn print(settings: Settings, out: &mut impl Write) -> Outcome<()> {
    let postgres = Postgres::start()?;
    let [many, number] = AS_MANY;
    let url = postgres.url();
    let arguments = ["--database-url", &url, many, number];
    let tessera = Tessera::start(&arguments)?;
    let database = postgres.database()?;
    if database.sql("SHOW fsync; SHOW synchronous_commit")? != "on\non\n" {
        return Err("the database does not use fsync and synchronous_commit".into());
    }
    // In a separate workspace, because creations in one workspace wait for the head of its chain.
    tessera.workspace("inserts")?;
    tessera.token("inserts", "default", "rivers:run")?;
    let caller =
        tessera.token("workspace-1", "tessera default", "tokens:write tokens:read rivers:run")?;
    let body = serde_json::json!({ "name": "bench", "scopes": ["rivers:run"] });
    let requests = Requests::new(
        "POST",
        "/api/v1/workspaces/workspace-1/tokens",
        &[("Authorization", &format!("Bearer {caller}")), ("Content-Type", "application/json")],
        &body.to_string(),
        Vec::new(),
        Order::Once,
    )?;
    let side = Side { url: &tessera.url, cpu: Cpu::Process(tessera.pid), requests: &requests };
    side.measure(1, 0.2, None)?;
    let inserts = inserts(&database)?;

    writeln!(
        out,
        "POST /api/v1/workspaces/{{ws}}/tokens (token, secret, audit row; fsync on) against"
    )?;
    writeln!(out, "pgbench with the same inserts in one transaction")?;
    for (layout, core) in [
        (
            "the database on one core, its clients (ours with the driver; pgbench) on the other",
            DRIVER,
        ),
        ("our server on the database's core, the driver on the other", SERVERS),
    ] {
        pin(tessera.pid, core)?;
        pin(database.pid, SERVERS)?;
        writeln!(out)?;
        writeln!(out, "  {layout}")?;
        for connections in CONNECTIONS {
            side.measure(connections, 1.0, None)?;
            database.pgbench(&inserts, connections, 1.0)?;
            let rounds = settings.alternate(
                || side.measure(connections, settings.seconds, None),
                || database.pgbench(&inserts, connections, settings.seconds),
            )?;
            let throughput = ratio(&rounds, |ours| ours.per_second, |pgbench| pgbench.per_second);
            let ours = spread(&rounds, |(ours, _)| ours.per_second).median();
            let theirs = spread(&rounds, |(_, pgbench)| pgbench.per_second).median();
            writeln!(
                out,
                "  {connections:>4} connections  {throughput}   ours {ours:.0}, its {theirs:.0} a second"
            )?;
        }
    }
    check(&database, out)
}

/// Returns the script, with the audit row's description after a creation over REST.
fn inserts(database: &Database) -> Outcome<String> {
    let after = database.sql(
        "SELECT after FROM audit_events WHERE action = 'token.create' AND actor_kind = 'token' ORDER BY id DESC LIMIT 1",
    )?;
    let ids = database.sql(
        "SELECT w.id, u.id, a.id FROM workspaces w, users u, audiences a
          WHERE w.slug = 'inserts' AND u.email = 'bench@example.com' AND a.slug = 'default'",
    )?;
    let ids: Vec<&str> = ids.trim().split('|').collect();
    let [workspace, user, audience] = ids[..] else {
        return Err("the workspace is missing".into());
    };
    Ok(INSERTS
        .replace("{workspace}", workspace)
        .replace("{user}", user)
        .replace("{audience}", audience)
        .replace("{after}", &quoted(after.trim())))
}

/// Quotes JSON for SQL. No colon may precede a name, because pgbench would take it for a variable.
fn quoted(json: &str) -> String {
    let mut text = String::new();
    let mut characters =
        json.replace('\'', "''").chars().collect::<Vec<_>>().into_iter().peekable();
    while let Some(character) = characters.next() {
        let is_variable =
            character == ':' && characters.peek().is_some_and(|next| next.is_alphanumeric());
        if is_variable {
            text.push_str("\\u003a");
        } else {
            text.push(character);
        }
    }
    text
}

/// Checks that both sides have written the same number of rows of each kind.
fn check(database: &Database, out: &mut impl Write) -> Outcome<()> {
    let odd = database.sql(
        "SELECT count(*) FROM tokens t
          WHERE NOT EXISTS (SELECT FROM token_secrets s WHERE s.token_id = t.id)
             OR NOT EXISTS (SELECT FROM token_audiences a WHERE a.token_id = t.id)
             OR NOT EXISTS (SELECT FROM audit_events e WHERE e.subject_id = t.id)",
    )?;
    if odd.trim() == "0" {
        writeln!(
            out,
            "  every token of both sides has its audience, its secret and its audit row"
        )?;
        Ok(())
    } else {
        Err(format!("{} tokens lack their audience, secret or audit row", odd.trim()).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_json_is_equivalent_and_names_no_variable() {
        assert_eq!(quoted(r#"{"at": "13:50", "n'": 1}"#), r#"{"at": "13\u003a50", "n''": 1}"#);
    }
}
