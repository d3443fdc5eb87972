//! Compares the search with a single statement that defines its meaning, on random logs.

use sqlx::{PgPool, Postgres, Transaction};
use time::{Duration, macros::datetime};

use super::*;

const START: OffsetDateTime = datetime!(2026-01-02 12:00 UTC);

/// Defines which tokens are exposed, in the plainest way: from each token to everyone who got its
/// secret. Takes time quadratic in the length of a chain.
const MEANING: &str = r"
WITH RECURSIVE acting AS (
    SELECT t.id, t.user_id, t.workspace_id, held.scopes, min(s.created_at) AS since,
           $7 OR u.instance_role IN ('owner', 'admin') AS for_managers
      FROM tokens t
      JOIN users u ON u.id = t.user_id
      JOIN token_secrets s ON s.token_id = t.id AND (s.current OR s.expires_at > $2)
      LEFT JOIN LATERAL (
               SELECT array_agg(scope) AS scopes
                 FROM audiences tessera
                 JOIN token_audiences ta ON ta.audience_id = tessera.id AND ta.token_id = t.id
                CROSS JOIN unnest(COALESCE(ta.scopes, t.scopes)) scope
                WHERE $6::text[] IS NOT NULL AND tessera.slug = 'tessera'
                  AND (scope = ANY($6) OR scope = 'verify' AND u.instance_role IN ('owner', 'admin'))
                  AND scope = ANY(t.scopes)
           ) held ON true
     WHERE t.deleted_at IS NULL AND u.deleted_at IS NULL
       AND ($1::uuid IS NULL OR t.user_id = $1)
       AND ($3::uuid IS NULL OR t.user_id <> $3)
       AND ($4::uuid IS NULL OR t.workspace_id = $4)
       AND ($5::uuid[] IS NULL OR t.id = ANY($5))
       AND (t.enabled OR NOT $9)
       AND CASE WHEN $6 IS NULL THEN $1 IS NOT NULL OR u.instance_role IN ('owner', 'admin')
                ELSE held.scopes IS NOT NULL END
     GROUP BY t.id, u.id, held.scopes
), trace (root, token, first, rotated) AS (
    SELECT a.id, a.id, COALESCE(m.id, 0), COALESCE(m.action = 'token.rotate', false)
      FROM acting a
      LEFT JOIN LATERAL (
               SELECT e.id, e.action FROM audit_events e
                WHERE e.subject_id = a.id AND e.at = a.since
                  AND e.action IN ('token.create', 'token.import', 'token.rotate')
                ORDER BY e.id LIMIT 1
           ) m ON true
    UNION
    SELECT c.root, e.actor_id, 0::bigint, false
      FROM trace c JOIN audit_events e ON e.subject_id = c.token AND e.id >= c.first
     WHERE e.actor_kind = 'token'
       AND e.action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal')
), holder (root, user_id, act) AS (
    SELECT c.root, e.actor_id, e.id
      FROM trace c JOIN audit_events e ON e.subject_id = c.token AND e.id >= c.first
     WHERE e.actor_kind = 'user'
       AND e.action IN ('token.create', 'token.import', 'token.rotate', 'token.reveal')
    UNION ALL
    SELECT c.root, u.id, e.id
      FROM trace c JOIN acting a ON a.id = c.root
      JOIN audit_events e ON e.subject_id = c.token AND e.id >= c.first
      JOIN users u ON u.email = e.before->>'user'
     WHERE e.action = 'token.update' AND (NOT c.rotated OR e.at > a.since + interval '1 hour')
    UNION ALL
    SELECT c.root, t.user_id, 9223372036854775807
      FROM trace c JOIN tokens t ON t.id = c.token WHERE c.token <> c.root
)
SELECT t.id, array_agg(DISTINCT h.email ORDER BY h.email)
  FROM acting a
  JOIN tokens t ON t.id = a.id
  JOIN holder ON holder.root = a.id
  JOIN users h ON h.id = holder.user_id
  LEFT JOIN memberships m ON m.workspace_id = a.workspace_id AND m.user_id = h.id
 WHERE ($3::uuid IS NULL OR h.id = $3)
   AND (h.acts_count_after >= holder.act OR $8 AND h.id = a.user_id
     OR h.id <> a.user_id AND NOT (
            h.enabled AND h.deleted_at IS NULL
            AND (h.instance_role IN ('owner', 'admin')
                 OR NOT a.for_managers AND COALESCE(m.role = 'admin', false) AND NOT EXISTS (
                        SELECT FROM unnest(a.scopes) AS wanted (scope)
                         WHERE m.grants IS NOT NULL AND NOT EXISTS (
                               SELECT FROM unnest(m.grants || m.audience_grants) AS pattern (whole)
                                CROSS JOIN LATERAL (SELECT regexp_replace(whole, '^tessera/', '') AS name) own
                                WHERE own.name IN ('*', wanted.scope)
                                   OR own.name LIKE '%:*' AND starts_with(wanted.scope, left(own.name, -1))
                         )
                 ))))
 GROUP BY t.id, t.workspace_id ORDER BY t.workspace_id, t.id";

/// A random number generator with the same numbers in each run (`SplitMix64`).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((bits ^ (bits >> 31)) % limit as u64).unwrap()
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len())]
    }

    fn id(&mut self) -> Uuid {
        let half = |numbers: &mut Self| numbers.below(usize::MAX) as u64;
        Uuid::from_u64_pair(half(self), half(self))
    }

    fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    fn some<T: Copy>(&mut self, values: &[T], number: usize) -> Vec<T> {
        let number = self.below(number + 1);
        (0..number).map(|_| self.of(values)).collect()
    }
}

const SCOPES: [&str; 4] = ["tokens:write", "tokens:reveal", "members:write", "verify"];
const PATTERNS: [&str; 6] = [
    "*",
    "tokens:write",
    "tessera/tokens:*",
    "tessera/members:write",
    "rivers:*",
    "default/tokens:write",
];

struct Log {
    numbers: Numbers,
    users: Vec<Uuid>,
    tokens: Vec<Uuid>,
    workspaces: Vec<Uuid>,
    at: OffsetDateTime,
}

type Sql<'a> = Transaction<'a, Postgres>;

async fn audience(sql: &mut Sql<'_>, slug: &str) -> Uuid {
    let known: Option<Uuid> = sqlx::query_scalar("SELECT id FROM audiences WHERE slug = $1")
        .bind(slug)
        .fetch_optional(&mut **sql)
        .await
        .unwrap();
    if let Some(id) = known {
        return id;
    }
    sqlx::query_scalar(
        "INSERT INTO audiences (id, slug, name, created_at, updated_at)
         VALUES (gen_random_uuid(), $1, $1, now(), now()) RETURNING id",
    )
    .bind(slug)
    .fetch_one(&mut **sql)
    .await
    .unwrap()
}

impl Log {
    async fn random(
        sql: &mut Sql<'_>,
        seed: u64,
        (people, tokens, rows): (usize, usize, usize),
    ) -> Self {
        let mut log = Self {
            numbers: Numbers(seed),
            users: Vec::new(),
            tokens: Vec::new(),
            workspaces: Vec::new(),
            at: START,
        };
        for place in 0..2 {
            let id = log.numbers.id();
            log.workspaces.push(id);
            sqlx::query("INSERT INTO workspaces (id, slug, name, created_at, updated_at) VALUES ($1, $2, $2, $3, $3)")
                .bind(id)
                .bind(format!("place-{place}"))
                .bind(START)
                .execute(&mut **sql)
                .await
                .unwrap();
        }
        for person in 0..people {
            log.add_person(sql, person).await;
        }
        let tessera = audience(sql, "tessera").await;
        let other = audience(sql, "default").await;
        for token in 0..tokens {
            log.add_token(sql, token, (tessera, other)).await;
        }
        for _ in 0..rows {
            log.add_row(sql).await;
        }
        for user in log.users.clone() {
            if log.numbers.one_in(3) {
                sqlx::query(
                    "UPDATE users SET acts_count_after = (SELECT id FROM audit_events ORDER BY id OFFSET $2 LIMIT 1) WHERE id = $1",
                )
                .bind(user)
                .bind(i64::try_from(log.numbers.below(rows)).unwrap())
                .execute(&mut **sql)
                .await
                .unwrap();
            }
        }
        log
    }

    async fn add_person(&mut self, sql: &mut Sql<'_>, person: usize) {
        let id = self.numbers.id();
        self.users.push(id);
        let deleted = self.numbers.one_in(8);
        sqlx::query(
            "INSERT INTO users (id, kind, email, name, instance_role, enabled, deleted_at, created_at, updated_at)
             VALUES ($1, 'person', $2, $2, $3, $4, $5, $6, $6)",
        )
        .bind(id)
        .bind(format!("person-{person}@example.com"))
        .bind(self.numbers.of(&["owner", "admin", "auditor", "member", "member", "member"]))
        .bind(!deleted && !self.numbers.one_in(5))
        .bind(deleted.then_some(START))
        .bind(START)
        .execute(&mut **sql)
        .await
        .unwrap();
        for workspace in self.workspaces.clone() {
            if self.numbers.one_in(4) {
                continue;
            }
            let grants = self.numbers.one_in(2).then(|| self.numbers.some(&PATTERNS, 3));
            let more = self.numbers.one_in(2).then(|| self.numbers.some(&PATTERNS, 2));
            sqlx::query(
                "INSERT INTO memberships (workspace_id, user_id, role, grants, audience_grants, created_at)
                 VALUES ($1, $2, $3, $4, $5, $6)",
            )
            .bind(workspace)
            .bind(id)
            .bind(self.numbers.of(&["admin", "admin", "admin", "member", "viewer"]))
            .bind(&grants)
            .bind(&more)
            .bind(START)
            .execute(&mut **sql)
            .await
            .unwrap();
        }
    }

    async fn add_token(&mut self, sql: &mut Sql<'_>, token: usize, audiences: (Uuid, Uuid)) {
        let id = self.numbers.id();
        self.tokens.push(id);
        let deleted = self.numbers.one_in(6);
        let scopes = self.numbers.some(&SCOPES, 3);
        sqlx::query(
            "INSERT INTO tokens (id, workspace_id, user_id, name, scopes, enabled, deleted_at, hint, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, 'h', $8, $8)",
        )
        .bind(id)
        .bind(self.numbers.of(&self.workspaces.clone()))
        .bind(self.numbers.of(&self.users.clone()))
        .bind(format!("token-{token}"))
        .bind([&scopes[..], &["rivers:read"]].concat())
        .bind(!deleted && !self.numbers.one_in(5))
        .bind(deleted.then_some(START))
        .bind(START)
        .execute(&mut **sql)
        .await
        .unwrap();
        let audience = if self.numbers.one_in(6) { audiences.1 } else { audiences.0 };
        let own = self.numbers.one_in(2).then_some(&scopes);
        sqlx::query(
            "INSERT INTO token_audiences (token_id, audience_id, scopes) VALUES ($1, $2, $3)",
        )
        .bind(id)
        .bind(audience)
        .bind(own)
        .execute(&mut **sql)
        .await
        .unwrap();
        self.add_secret(sql, id).await;
    }

    /// Gives a token a new secret. The previous one keeps working for a while.
    async fn add_secret(&mut self, sql: &mut Sql<'_>, token: Uuid) {
        let end =
            self.at + self.numbers.of(&[Duration::ZERO, Duration::hours(2), Duration::days(9)]);
        sqlx::query("UPDATE token_secrets SET current = false, expires_at = $2 WHERE token_id = $1 AND current")
            .bind(token)
            .bind(end)
            .execute(&mut **sql)
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO token_secrets (id, token_id, digest, pepper_version, created_at)
             VALUES (gen_random_uuid(), $1, sha256(gen_random_uuid()::text::bytea), 1, $2)",
        )
        .bind(token)
        .bind(self.at)
        .execute(&mut **sql)
        .await
        .unwrap();
    }

    async fn add_row(&mut self, sql: &mut Sql<'_>) {
        self.at += self.numbers.of(&[Duration::ZERO, Duration::minutes(7), Duration::minutes(50)]);
        let token = self.numbers.of(&self.tokens.clone());
        let action = self.numbers.of(&[
            "token.create",
            "token.import",
            "token.rotate",
            "token.rotate",
            "token.reveal",
            "token.update",
            "token.update",
            "token.disable",
        ]);
        let (kind, actor) = match self.numbers.below(9) {
            0 => ("operator", None),
            1..=3 => ("user", Some(self.numbers.of(&self.users.clone()))),
            4 => ("token", Some(token)),
            _ => ("token", Some(self.numbers.of(&self.tokens.clone()))),
        };
        let person = self.numbers.below(self.users.len() + 1);
        let before = (action == "token.update" && !self.numbers.one_in(9))
            .then(|| serde_json::json!({ "user": format!("person-{person}@example.com") }));
        sqlx::query(
            "INSERT INTO audit_events (at, workspace_id, actor_kind, actor_id, actor_name, action, subject_id, subject_name,
                                       surface, request_id, before, after)
             VALUES ($1, NULL, $2, $3, 'a', $4, $5, 't', 'rest', 'r', $6, '{\"grants\": {}}')",
        )
        .bind(self.at)
        .bind(kind)
        .bind(actor)
        .bind(action)
        .bind(token)
        .bind(before)
        .execute(&mut **sql)
        .await
        .unwrap();
        if action == "token.rotate" {
            self.add_secret(sql, token).await;
        }
    }

    /// Returns searches of all kinds that the services run.
    fn searches(&self) -> Vec<Sought<'_>> {
        let scopes: &'static [String] =
            Box::leak(SCOPES[..3].iter().map(ToString::to_string).collect());
        let few = &scopes[1..2];
        let mut all = vec![Sought::default()];
        for user in self.users.iter().copied().map(UserId) {
            let acting = Sought { user: Some(user), ..Sought::default() };
            let known = Sought { known_to: Some(user), scopes: Some(scopes), ..Sought::default() };
            let ids = Some(&self.tokens[..self.tokens.len() / 2]);
            let workspace = self.workspaces.first().copied().map(WorkspaceId);
            all.extend([
                Sought { for_managers: true, enabled: true, ..acting },
                Sought { for_managers: true, is_doubted: true, ..acting },
                Sought { workspace, scopes: Some(few), enabled: true, ..acting },
                Sought { workspace, scopes: Some(scopes), is_doubted: true, ..acting },
                Sought { ids, scopes: Some(scopes), ..acting },
                Sought { ids, ..acting },
                Sought { enabled: true, ..known },
                Sought { workspace, ..known },
                Sought { ids, enabled: true, ..known },
                Sought { scopes: Some(few), ..known },
                Sought { scopes: None, ..known },
            ]);
        }
        all
    }
}

async fn meaning(
    sql: &mut Sql<'_>,
    sought: &Sought<'_>,
    now: OffsetDateTime,
) -> Vec<(Uuid, Vec<String>)> {
    sqlx::query_as(MEANING)
        .bind(sought.user.map(|user| user.0))
        .bind(now)
        .bind(sought.known_to.map(|user| user.0))
        .bind(sought.workspace.map(|workspace| workspace.0))
        .bind(sought.ids)
        .bind(sought.scopes)
        .bind(sought.for_managers)
        .bind(sought.is_doubted)
        .bind(sought.enabled)
        .fetch_all(&mut **sql)
        .await
        .unwrap()
}

#[sqlx::test(migrations = "./migrations")]
async fn search_returns_the_same_tokens_as_the_plain_statement(pool: PgPool) {
    let seeds =
        std::env::var("TESSERA_RACE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(30);
    let mut found = 0;
    for seed in 0..seeds {
        let mut sql = pool.begin().await.unwrap();
        let rows = 12 + usize::try_from(seed % 40).unwrap();
        // With few people, a secret often has only one person who may know it.
        let people = [1, 2, 4, 3][usize::try_from(seed % 4).unwrap()];
        let log = Log::random(&mut sql, seed, (people, 7, rows)).await;
        for sought in log.searches() {
            let now = log.at + Duration::hours(1);
            let expected = meaning(&mut sql, &sought, now).await;
            let mut portions = in_portions(&mut sql, None, &sought, now, 3).await.unwrap();
            portions.sort_unstable_by_key(|(_, token)| token.0);
            let tokens = with_holders(&mut sql, None, &sought, now, usize::MAX).await.unwrap();
            let tokens: Vec<_> =
                tokens.into_iter().map(|token| (token.token.0, token.holders)).collect();
            assert_eq!(tokens, expected, "seed {seed}: {sought:?}");
            let mut whole: Vec<_> = tokens.iter().map(|(token, _)| *token).collect();
            whole.sort_unstable();
            let portions: Vec<_> = portions.into_iter().map(|(_, token)| token.0).collect();
            assert_eq!(portions, whole, "seed {seed}: {sought:?}");
            found += tokens.len();
        }
        sql.rollback().await.unwrap();
    }
    assert!(found as u64 > 10 * seeds, "the logs expose only {found} tokens");
}

/// Creates a chain in which each token created the next. The first person created the first token,
/// and all tokens act as the second person.
async fn chain(sql: &mut Sql<'_>, length: i32) -> (UserId, UserId, WorkspaceId) {
    let log = Log::random(sql, 1, (0, 0, 0)).await;
    let (maker, user) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let workspace = log.workspaces[0];
    sqlx::query(
        "INSERT INTO users (id, kind, email, name, instance_role, created_at, updated_at)
         VALUES ($1, 'person', 'm@example.com', 'm', 'member', now(), now()), ($2, 'person', 'u@example.com', 'u', 'member', now(), now())",
    )
    .bind(maker)
    .bind(user)
    .execute(&mut **sql)
    .await
    .unwrap();
    let tessera = audience(sql, "tessera").await;
    let mut numbers = Numbers(7);
    let ids: Vec<Uuid> = (0..length).map(|_| numbers.id()).collect();
    let statements = [
        "INSERT INTO tokens (id, workspace_id, user_id, name, scopes, hint, created_at, updated_at)
         SELECT id, $2, $4, 'n', '{tokens:write}', 'h', $5, $5 FROM unnest($1) AS made (id), (SELECT $3, $6) AS unused",
        "INSERT INTO token_audiences (token_id, audience_id)
         SELECT id, $6 FROM unnest($1) AS made (id), (SELECT $2, $3, $4, $5) AS unused",
        "INSERT INTO token_secrets (id, token_id, digest, pepper_version, created_at)
         SELECT gen_random_uuid(), id, sha256(id::text::bytea), 1, $5 FROM unnest($1) AS made (id), (SELECT $2, $3, $4, $6) AS unused",
        "INSERT INTO audit_events (at, workspace_id, actor_kind, actor_id, actor_name, action, subject_id, subject_name,
                                   surface, request_id, after)
         SELECT $5, $2, CASE nr WHEN 1 THEN 'user' ELSE 'token' END, CASE nr WHEN 1 THEN $3 ELSE ($1::uuid[])[nr - 1] END,
                'a', 'token.create', id, 't', 'rest', 'r', '{\"grants\": {}}'
           FROM unnest($1) WITH ORDINALITY AS made (id, nr), (SELECT $4, $6) AS unused",
    ];
    for statement in statements {
        sqlx::query(statement)
            .bind(&ids)
            .bind(workspace)
            .bind(maker)
            .bind(user)
            .bind(START)
            .bind(tessera)
            .execute(&mut **sql)
            .await
            .unwrap();
    }
    (UserId(maker), UserId(user), WorkspaceId(workspace))
}

async fn rows_read(sql: &mut Sql<'_>) -> i64 {
    sqlx::query_scalar(
        "SELECT sum(COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0))::bigint FROM pg_stat_xact_user_tables",
    )
    .fetch_one(&mut **sql)
    .await
    .unwrap()
}

#[sqlx::test(migrations = "./migrations")]
async fn search_reads_each_token_of_a_chain_once(pool: PgPool) {
    const LENGTH: i32 = 400;
    let mut sql = pool.begin().await.unwrap();
    let (maker, user, workspace) = chain(&mut sql, LENGTH).await;
    let scopes = ["tokens:write".to_owned()];
    let sought = Sought { scopes: Some(&scopes), enabled: true, ..Sought::default() };
    for sought in [
        Sought { known_to: Some(maker), ..sought },
        Sought { user: Some(user), workspace: Some(workspace), ..sought },
    ] {
        let before = rows_read(&mut sql).await;
        let found = exposed(&mut sql, None, &sought, START).await.unwrap();
        let read = rows_read(&mut sql).await - before;
        assert_eq!(found.len(), usize::try_from(LENGTH).unwrap());
        assert!(read < 40 * i64::from(LENGTH), "{read} rows");
    }
}

#[sqlx::test(migrations = "./migrations")]
#[ignore = "a measurement; run it by name with --no-capture"]
async fn time_of_the_search(pool: PgPool) {
    for length in [1_000, 5_000, 100_000] {
        let mut sql = pool.begin().await.unwrap();
        let (maker, user, workspace) = chain(&mut sql, length).await;
        sqlx::raw_sql("ANALYZE; SET LOCAL jit = off").execute(&mut *sql).await.unwrap();
        let scopes = ["tokens:write".to_owned()];
        let sought = Sought { scopes: Some(&scopes), enabled: true, ..Sought::default() };
        for sought in [
            Sought { known_to: Some(maker), ..sought },
            Sought { user: Some(user), workspace: Some(workspace), ..sought },
            Sought { known_to: Some(user), ..sought },
        ] {
            let clock = tokio::time::Instant::now();
            let found = exposed(&mut sql, None, &sought, START).await.unwrap().len();
            let new = clock.elapsed();
            let clock = tokio::time::Instant::now();
            let old = if length > 5_000 {
                None
            } else {
                Some(meaning(&mut sql, &sought, START).await.len())
            };
            let old = old.map(|old| (old, clock.elapsed()));
            eprintln!("{length}: {found} in {new:?}; the plain statement {old:?}: {sought:?}");
        }
        sql.rollback().await.unwrap();
    }
}

/// A token may write a long log about itself. The query for its lineage must not read those rows.
#[sqlx::test(migrations = "./migrations")]
async fn lineage_reads_no_rows_of_changes(pool: PgPool) {
    const CHANGES: i64 = 3_000;
    let mut sql = pool.begin().await.unwrap();
    let (_, _, workspace) = chain(&mut sql, 2).await;
    let [asks, other]: [Uuid; 2] =
        sqlx::query_scalar::<_, Uuid>("SELECT subject_id FROM audit_events ORDER BY id DESC")
            .fetch_all(&mut *sql)
            .await
            .unwrap()
            .try_into()
            .unwrap();
    sqlx::query(
        "INSERT INTO audit_events (at, workspace_id, actor_kind, actor_id, actor_name, action, subject_id, subject_name, surface,
                                   request_id, before, after)
         SELECT $4, $2, 'token', $1, 'a', 'token.update', $1, 't', 'rest', 'r', '{}', '{\"grants\": {}}'
           FROM generate_series(1, $3)",
    )
    .bind(asks)
    .bind(workspace.0)
    .bind(CHANGES)
    .bind(START)
    .execute(&mut *sql)
    .await
    .unwrap();
    let before = rows_read(&mut sql).await;
    let tenant = crate::kernel::Tenant::of_stopped_token(workspace);
    let found =
        crate::store::stops::lineage(&mut sql, tenant, (TokenId(asks), TokenId(other)), START)
            .await
            .unwrap();
    assert!(found.knows_secret);
    let read = rows_read(&mut sql).await - before;
    assert!(read < CHANGES / 10, "{read} rows");
}
