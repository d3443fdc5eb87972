//! Lists of tokens: a page among a million tokens against the same page among a thousand.
//!
//! Both workspaces are in one database and are filled in the same way (`lists.sql`). The comparison
//! covers whole requests on one connection, sent alternately. A figure is the median over rounds of
//! the ratio of both medians.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write},
    net::TcpStream,
    time::Duration,
};

use crate::{Outcome, database::Database, drive::now, median::Spread, tessera::Tessera};

const ROUNDS: u32 = 7;
/// Requests to each workspace per round.
const REQUESTS: u32 = 10;
/// Slower requests are sent once per round, and only three times in all.
const SLOW: Duration = Duration::from_millis(200);
/// The maximum cost of a page among a million, relative to one among a thousand.
const GOAL: f64 = 1.2;
const SMALL: (&str, u32) = ("small", 1_000);
const LARGE: (&str, u32) = ("large", 1_000_000);
const FILL: &str = include_str!("lists.sql");

/// The lists by name, with their queries. `{w}` is the workspace, and `{middle}` is the cursor of
/// its middle page. The other names are moments.
const KINDS: [(&str, &str); 43] = [
    ("newest", "sort=newest"),
    ("newest, middle", "sort=newest&cursor={middle}"),
    ("oldest", "sort=oldest"),
    ("oldest, middle", "sort=oldest&cursor={middle}"),
    ("name", "sort=name"),
    ("name, middle", "sort=name&cursor={middle}"),
    ("expires", "sort=expires"),
    ("expires, middle", "sort=expires&cursor={middle}"),
    ("last used", "sort=last_used"),
    ("last used, middle", "sort=last_used&cursor={middle}"),
    ("200 rows", "limit=200"),
    ("active", "state=active"),
    ("active, by expiry", "state=active&sort=expires"),
    ("expired, one in 20", "state=expired"),
    ("expired, by name", "state=expired&sort=name"),
    ("disabled, 10", "state=disabled"),
    ("disabled, by name", "state=disabled&sort=name"),
    ("scheduled, 10", "state=scheduled"),
    ("q in one of 6", "q=deploy"),
    ("q in one of 6, by name", "q=deploy&sort=name"),
    ("q in 30", "q=needle"),
    ("q in none", "q=nothing+of+that+name"),
    ("owner of one in 20", "owner=many@{w}.example.com"),
    ("owner of 50", "owner=user-3@{w}.example.com"),
    ("owner of 30, by name", "owner=few@{w}.example.com&sort=name"),
    ("owner unknown", "owner=nobody@example.com"),
    ("audience of most", "audience=default"),
    ("audience of one in 20", "audience=tessera"),
    ("audience of 30", "audience=billing"),
    ("audience of 30, by name", "audience=billing&sort=name"),
    ("audience unknown", "audience=unknown"),
    ("scope of all", "scope=rivers:read"),
    ("scope of one in 20", "scope=connections:read"),
    ("scope of 30", "scope=rivers:run"),
    ("scope of 30, by name", "scope=rivers:run&sort=name"),
    ("scope of none", "scope=teams:write"),
    ("unused since, half", "unused_since={two_weeks_ago}"),
    ("unused since, 30", "unused_since={long_ago}"),
    ("never used, 30", "never_used=true"),
    ("expiring, half", "expires_before={in_half_a_year}&sort=expires"),
    ("expiring or expired", "expires_before={in_two_days}"),
    ("expiring, 10", "expires_before={in_two_days}&state=active&sort=expires"),
    ("expiring, 10, newest", "expires_before={in_two_days}&state=active"),
];

/// Fills two workspaces and prints a line for each kind of list.
pub(crate) fn print(out: &mut impl Write) -> Outcome<()> {
    let tessera = Tessera::start(&[])?;
    let database = tessera.database()?;
    database.sql(
        "INSERT INTO audiences (id, slug, name, created_at, updated_at)
         VALUES (gen_random_uuid(), 'billing', 'Billing', now(), now())",
    )?;
    let mut tokens = Vec::new();
    for (workspace, count) in [SMALL, LARGE] {
        tessera.workspace(workspace)?;
        let fill = FILL.replace("{workspace}", workspace).replace("{count}", &count.to_string());
        database.sql(&format!("BEGIN;{fill};COMMIT;"))?;
        tokens.push(tessera.token(workspace, "tessera", "tokens:read")?);
    }
    database.sql("VACUUM ANALYZE")?;
    writeln!(
        out,
        "GET /api/v1/workspaces/{{ws}}/tokens with {} tokens against {}",
        LARGE.1, SMALL.1
    )?;
    writeln!(
        out,
        "  time per request; medians of {ROUNDS} rounds, minimum and maximum in brackets"
    )?;
    writeln!(out)?;
    let mut connection = Connection::open(&tessera.url)?;
    let mut beyond = 0;
    for (name, query) in KINDS {
        let paths = [(SMALL.0, SMALL.1), (LARGE.0, LARGE.1)]
            .map(|(workspace, count)| path(&database, query, workspace, count));
        let [small, large] = paths;
        let lists = [(small?, &tokens[0]), (large?, &tokens[1])];
        let mut slowest = Duration::ZERO;
        for _ in 0..3 {
            for (path, token) in &lists {
                slowest = connection.get(path, token)?;
            }
        }
        let (rounds, requests) = if slowest > SLOW { (3, 1) } else { (ROUNDS, REQUESTS) };
        let mut ratios = Vec::new();
        for _ in 0..rounds {
            let mut times = [Vec::new(), Vec::new()];
            for request in 0..requests {
                // In the order A B B A.
                for side in if request % 2 == 0 { [0, 1] } else { [1, 0] } {
                    let (path, token) = &lists[side];
                    times[side].push(connection.get(path, token)?.as_secs_f64());
                }
            }
            let [small, large] = times.map(|times| Spread::of(times).median());
            ratios.push(large / small);
        }
        let ratio = Spread::of(ratios);
        let verdict = if ratio.median() > GOAL { "  beyond the goal" } else { "" };
        beyond += u32::from(ratio.median() > GOAL);
        writeln!(out, "  {name:<26} {ratio}{verdict}")?;
    }
    writeln!(out)?;
    writeln!(out, "  {beyond} of {} kinds are beyond {GOAL} ×", KINDS.len())?;
    Ok(())
}

/// Returns the path of a list, with the values for this workspace and hour.
fn path(database: &Database, query: &str, workspace: &str, count: u32) -> Outcome<String> {
    let mut path =
        format!("/api/v1/workspaces/{workspace}/tokens?{query}").replace("{w}", workspace);
    if path.contains("{middle}") {
        let sort = query.trim_start_matches("sort=").split('&').next().unwrap_or_default();
        let begin = database.sql(&middle(workspace, sort, count / 2))?;
        path = path.replace("{middle}", begin.trim());
    }
    for (name, days) in
        [("two_weeks_ago", -14), ("long_ago", -300), ("in_half_a_year", 180), ("in_two_days", 2)]
    {
        let name = format!("{{{name}}}");
        if path.contains(&name) {
            let day = format!("SELECT (now() AT TIME ZONE 'UTC')::date + {days}");
            path = path.replace(&name, database.sql(&day)?.trim());
        }
    }
    Ok(path)
}

/// Returns a query for the cursor of the middle page. `store/tokens_list.rs` defines its format.
fn middle(workspace: &str, sort: &str, rows: u32) -> String {
    let (field, column, order) = match sort {
        "name" => ("n", "name", "lower(name), id"),
        "expires" => ("t", "expires_at", "COALESCE(expires_at, 'infinity'), id"),
        "last_used" => ("t", "last_used_at", "COALESCE(last_used_at, '-infinity'), id"),
        "oldest" => ("t", "created_at", "created_at, id"),
        _ => ("t", "created_at", "created_at DESC, id DESC"),
    };
    let key = if field == "t" {
        format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    } else {
        column.to_owned()
    };
    format!(
        "SELECT translate(encode(convert_to(json_strip_nulls(
                    json_build_object('s', '{sort}', '{field}', {key}, 'i', id))::text, 'UTF8'), 'base64'),
                E'+/=\\n', '-_')
           FROM tokens
          WHERE workspace_id = (SELECT id FROM workspaces WHERE slug = '{workspace}') AND deleted_at IS NULL
          ORDER BY {order} LIMIT 1 OFFSET {rows}"
    )
}

/// A persistent connection.
struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(url: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(url.trim_start_matches("http://"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Returns the time from the request to the last byte of its response, which must be 200.
    fn get(&mut self, path: &str, token: &str) -> Outcome<Duration> {
        let begin = now();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err("the server closed the connection".into());
            }
        }
        let length = head
            .lines()
            .find_map(|line| {
                line.to_ascii_lowercase().strip_prefix("content-length:").map(str::to_owned)
            })
            .ok_or("a response has no length")?;
        let mut body = vec![0; length.trim().parse()?];
        self.stream.read_exact(&mut body)?;
        let time = begin.elapsed();
        if head.starts_with("HTTP/1.1 200") {
            Ok(time)
        } else {
            Err(format!("{path}: {head}{}", String::from_utf8_lossy(&body)).into())
        }
    }
}
