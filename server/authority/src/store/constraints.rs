//! Violates every constraint of the schema once. The database must refuse each statement and report
//! the constraint by the name that the code expects. The last test fails if a constraint is not
//! listed here.

use std::collections::BTreeSet;

use sqlx::{PgPool, query, query_scalar};

/// One row of each kind, with fixed ids.
const WORLD: &str = "
    INSERT INTO instance (name, key_check, created_at) VALUES ('Example', 'x', now());
    INSERT INTO setup_links (digest, expires_at) VALUES (sha256('a'), now());
    INSERT INTO users (id, kind, email, name, instance_role, created_at, updated_at)
        VALUES ('00000000-0000-0000-0000-000000000001', 'person', 'ada@example.com', 'Ada', 'owner', now(), now());
    INSERT INTO workspaces (id, slug, name, created_at, updated_at)
        VALUES ('00000000-0000-0000-0000-000000000002', 'workspace-1', 'Workspace 1', now(), now());
    INSERT INTO memberships (workspace_id, user_id, role, created_at)
        VALUES ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', 'admin', now());
    INSERT INTO policies (id, workspace_id, updated_at)
        VALUES (gen_random_uuid(), NULL, now()), (gen_random_uuid(), '00000000-0000-0000-0000-000000000002', now());
    INSERT INTO audiences (id, slug, name, created_at, updated_at)
        VALUES ('00000000-0000-0000-0000-000000000003', 'api', 'API', now(), now());
    INSERT INTO scopes (audience_id, name, risk, group_name, position)
        VALUES ('00000000-0000-0000-0000-000000000003', 'a:read', 'read', 'A', 0);
    INSERT INTO tokens (id, workspace_id, user_id, name, scopes, hint, creation_key, created_at, updated_at)
        VALUES ('00000000-0000-0000-0000-000000000004', '00000000-0000-0000-0000-000000000002',
                '00000000-0000-0000-0000-000000000001', 'ci', '{a:read}', 'tsr_…0000',
                '00000000-0000-0000-0000-000000000009', now(), now());
    INSERT INTO token_audiences (token_id, audience_id)
        VALUES ('00000000-0000-0000-0000-000000000004', '00000000-0000-0000-0000-000000000003');
    INSERT INTO token_secrets (id, token_id, digest, pepper_version, created_at)
        VALUES ('00000000-0000-0000-0000-000000000005', '00000000-0000-0000-0000-000000000004', sha256('s'), 1, now());
    INSERT INTO sessions (digest, user_id, created_at, last_seen_at, expires_at)
        VALUES (sha256('c'), '00000000-0000-0000-0000-000000000001', now(), now(), now() + interval '1 hour');
    INSERT INTO sign_in_throttles (key, failures, window_ends_at) VALUES ('k', 1, now());
    INSERT INTO sign_in_attempts (key, attempts, open_at, forget_at) VALUES (sha256('k'), 1, now(), now());
    INSERT INTO password_links (user_id, digest, expires_at)
        VALUES ('00000000-0000-0000-0000-000000000001', sha256('l'), now());
    INSERT INTO untrusted_proxies (address, seen_at) VALUES ('10.0.0.5', now());
    INSERT INTO sign_in_networks (user_id, network, seen_at)
        VALUES ('00000000-0000-0000-0000-000000000001', sha256('n'), now());
    INSERT INTO audit_events (at, actor_kind, actor_name, action, subject_name, surface, request_id)
        VALUES (now(), 'operator', 'command line', 'token.create', 'ci', 'cli', 'r');
    INSERT INTO revisions (at, kind, subject_id) VALUES (now(), 'token', gen_random_uuid());
    INSERT INTO audit_heads (chain, seq, mac, seal, key_version)
        VALUES ('00000000-0000-0000-0000-000000000000', 0, sha256('m'), sha256('s'), 1);
    INSERT INTO idempotency_keys (key, request, created_at, expires_at)
        VALUES (sha256('k'), sha256('r'), now(), now() + interval '1 day');
    INSERT INTO replicas (id, name, version, started_at, renewed_at, applied)
        VALUES (gen_random_uuid(), 'a', '1', now(), now(), 0);
    INSERT INTO unread_scopes (token_id, scope, reason, noted_at)
        VALUES ('00000000-0000-0000-0000-000000000004', 'a:read', 'undeclared', now());
    INSERT INTO usage_hours (token_id, hour) VALUES ('00000000-0000-0000-0000-000000000004', now());
    INSERT INTO invitations (id, workspace_id, email, role, invited_by, created_at, expires_at)
        VALUES ('00000000-0000-0000-0000-00000000000a', '00000000-0000-0000-0000-000000000002', 'b@x', 'member',
                '00000000-0000-0000-0000-000000000001', now(), now());
    INSERT INTO descendant_stops (id, workspace_id, token_id, action, by_policy, author, worked_until)
        VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000004',
                'disable', false, '{}', now());
    INSERT INTO tokens_with_unread_log (token_id) VALUES ('00000000-0000-0000-0000-000000000004');
    INSERT INTO secret_stops (id, known_to, author, worked_until)
        VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', '{}', now());
    INSERT INTO person_stops (id, giver, ended, ends_more, author, worked_until)
        VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000001', '{}', true, '{}', now());
    INSERT INTO import_collisions (id, workspace_id, at)
        VALUES (gen_random_uuid(), '00000000-0000-0000-0000-000000000002', now());
    INSERT INTO import_allowances (workspace_id, since, imported)
        VALUES ('00000000-0000-0000-0000-000000000002', now(), 1);
";

/// Constraints, each with a statement that violates it. Foreign keys are included.
const VIOLATIONS: &[(&str, &str)] = &[
    (
        "instance_pkey",
        "INSERT INTO instance (name, key_check, created_at) VALUES ('b', 'x', now())",
    ),
    ("instance_is_one", "UPDATE instance SET singleton = false"),
    ("instance_name_present", "UPDATE instance SET name = ''"),
    (
        "setup_links_pkey",
        "INSERT INTO setup_links (digest, expires_at) VALUES (sha256('b'), now())",
    ),
    ("revision_head_pkey", "INSERT INTO revision_head DEFAULT VALUES"),
    ("revision_head_is_one", "UPDATE revision_head SET singleton = false"),
    (
        "replicas_pkey",
        "INSERT INTO replicas (id, name, version, started_at, renewed_at, applied)
         SELECT id, name, version, started_at, renewed_at, applied FROM replicas",
    ),
    ("setup_link_is_one", "UPDATE setup_links SET singleton = false"),
    ("setup_digest_length", "UPDATE setup_links SET digest = 'short'"),
    (
        "users_pkey",
        "INSERT INTO users SELECT id, kind, 'b@x', name, NULL, 'member', true, now(), now() FROM users",
    ),
    ("users_kind_known", "UPDATE users SET kind = 'robot'"),
    ("users_email_lower", "UPDATE users SET email = 'Ada@example.com'"),
    (
        "users_email_unique",
        "INSERT INTO users SELECT gen_random_uuid(), kind, email, name, NULL, 'member', true, now(), now() FROM users",
    ),
    (
        "users_email_key_unique",
        "INSERT INTO users (id, kind, email, name, instance_role, created_at, updated_at, email_key)
         SELECT gen_random_uuid(), 'person', n || '@x', 'B', 'member', now(), now(), 'b@x' FROM generate_series(1, 2) n",
    ),
    ("users_name_present", "UPDATE users SET name = ''"),
    ("users_role_known", "UPDATE users SET instance_role = 'root'"),
    ("users_service_never_signs_in", "UPDATE users SET kind = 'service', password_hash = 'x'"),
    ("users_deleted_are_disabled", "UPDATE users SET deleted_at = now()"),
    (
        "workspaces_pkey",
        "INSERT INTO workspaces SELECT id, 'b', name, now(), now() FROM workspaces",
    ),
    ("workspaces_slug_form", "UPDATE workspaces SET slug = 'Workspace 1'"),
    (
        "workspaces_slug_unique",
        "INSERT INTO workspaces SELECT gen_random_uuid(), slug, name, now(), now() FROM workspaces",
    ),
    ("workspaces_name_present", "UPDATE workspaces SET name = ''"),
    ("memberships_pkey", "INSERT INTO memberships SELECT * FROM memberships"),
    ("memberships_workspace_id_fkey", "UPDATE memberships SET workspace_id = gen_random_uuid()"),
    ("memberships_user_id_fkey", "UPDATE memberships SET user_id = gen_random_uuid()"),
    ("memberships_role_known", "UPDATE memberships SET role = 'king'"),
    ("invitations_pkey", "INSERT INTO invitations SELECT * FROM invitations"),
    ("invitations_workspace_id_fkey", "UPDATE invitations SET workspace_id = gen_random_uuid()"),
    ("invitations_invited_by_fkey", "UPDATE invitations SET invited_by = gen_random_uuid()"),
    ("invitations_token_id_fkey", "UPDATE invitations SET token_id = gen_random_uuid()"),
    ("invitations_email_present", "UPDATE invitations SET email = ''"),
    ("invitations_role_known", "UPDATE invitations SET role = 'king'"),
    (
        "invitations_one_open",
        "INSERT INTO invitations (id, workspace_id, email, role, invited_by, created_at, expires_at)
         SELECT gen_random_uuid(), workspace_id, email, role, invited_by, now(), now() FROM invitations",
    ),
    ("policies_pkey", "UPDATE policies SET id = '00000000-0000-0000-0000-000000000007'"),
    (
        "policies_workspace_id_fkey",
        "UPDATE policies SET workspace_id = gen_random_uuid() WHERE workspace_id IS NOT NULL",
    ),
    (
        "policies_one_per_workspace",
        "INSERT INTO policies (id, workspace_id, updated_at) SELECT gen_random_uuid(), id, now() FROM workspaces",
    ),
    (
        "policies_one_for_instance",
        "INSERT INTO policies (id, updated_at) VALUES (gen_random_uuid(), now())",
    ),
    ("policies_max_tokens_sane", "UPDATE policies SET max_tokens = -1"),
    ("policies_default_ttl_positive", "UPDATE policies SET default_ttl_s = 0"),
    ("policies_max_ttl_positive", "UPDATE policies SET max_ttl_s = 0"),
    ("policies_prefix_form", "UPDATE policies SET prefix = 'A_'"),
    ("policies_reveal_known", "UPDATE policies SET reveal = 'always'"),
    ("policies_name_pattern_length", "UPDATE policies SET name_pattern = ''"),
    ("policies_max_grace_sane", "UPDATE policies SET max_grace_s = -1"),
    ("policies_on_parent_end_known", "UPDATE policies SET on_parent_end = 'ask'"),
    ("policies_on_reuse_known", "UPDATE policies SET on_reuse = 'ignore'"),
    (
        "audiences_pkey",
        "INSERT INTO audiences SELECT id, 'b', name, '', now(), now() FROM audiences",
    ),
    ("audiences_slug_form", "UPDATE audiences SET slug = 'A'"),
    (
        "audiences_slug_unique",
        "INSERT INTO audiences SELECT gen_random_uuid(), slug, name, '', now(), now() FROM audiences",
    ),
    ("audiences_name_present", "UPDATE audiences SET name = ''"),
    ("scopes_pkey", "INSERT INTO scopes SELECT * FROM scopes"),
    ("scopes_audience_id_fkey", "UPDATE scopes SET audience_id = gen_random_uuid()"),
    ("scopes_name_form", "UPDATE scopes SET name = 'a b'"),
    ("scopes_risk_known", "UPDATE scopes SET risk = 'none'"),
    ("scopes_group_present", "UPDATE scopes SET group_name = ''"),
    (
        "tokens_pkey",
        "INSERT INTO tokens (id, workspace_id, user_id, name, scopes, hint, created_at, updated_at) SELECT id, workspace_id, user_id, name, scopes, hint, now(), now() FROM tokens",
    ),
    (
        "tokens_num_unique",
        "INSERT INTO tokens (id, num, workspace_id, user_id, name, scopes, hint, created_at, updated_at) OVERRIDING SYSTEM VALUE SELECT gen_random_uuid(), num, workspace_id, user_id, name, scopes, hint, now(), now() FROM tokens",
    ),
    (
        "tokens_creation_key_unique",
        "INSERT INTO tokens (id, workspace_id, user_id, name, scopes, hint, creation_key, created_at, updated_at) SELECT gen_random_uuid(), workspace_id, user_id, name, scopes, hint, creation_key, now(), now() FROM tokens",
    ),
    ("tokens_workspace_id_fkey", "UPDATE tokens SET workspace_id = gen_random_uuid()"),
    ("tokens_user_id_fkey", "UPDATE tokens SET user_id = gen_random_uuid()"),
    ("tokens_created_by_fkey", "UPDATE tokens SET created_by = gen_random_uuid()"),
    ("tokens_parent_id_fkey", "UPDATE tokens SET parent_id = gen_random_uuid()"),
    ("tokens_disabled_by_fkey", "UPDATE tokens SET disabled_by = gen_random_uuid()"),
    ("tokens_ended_by_fkey", "UPDATE tokens SET ended_by = gen_random_uuid()"),
    ("tokens_disabled_as_known", "UPDATE tokens SET disabled_as = 'guest'"),
    ("tokens_ended_as_known", "UPDATE tokens SET ended_as = 'guest'"),
    ("tokens_lifetime_positive", "UPDATE tokens SET lifetime_us = 0"),
    ("tokens_name_length", "UPDATE tokens SET name = repeat('x', 129)"),
    ("tokens_description_length", "UPDATE tokens SET description = repeat('x', 1001)"),
    ("tokens_hint_present", "UPDATE tokens SET hint = ''"),
    ("tokens_begin_before_end", "UPDATE tokens SET not_before = now(), expires_at = now()"),
    ("tokens_deleted_are_disabled", "UPDATE tokens SET deleted_at = now()"),
    ("tokens_rate_limit_whole", "UPDATE tokens SET rate_limit = 1"),
    ("tokens_rate_limit_sane", "UPDATE tokens SET rate_limit = 0, rate_window_s = 1"),
    ("tokens_rate_window_sane", "UPDATE tokens SET rate_limit = 1, rate_window_s = 86401"),
    ("tokens_tags_are_an_object", "UPDATE tokens SET tags = '[]'"),
    ("token_audiences_pkey", "INSERT INTO token_audiences SELECT * FROM token_audiences"),
    ("token_audiences_token_id_fkey", "UPDATE token_audiences SET token_id = gen_random_uuid()"),
    (
        "token_audiences_audience_id_fkey",
        "UPDATE token_audiences SET audience_id = gen_random_uuid()",
    ),
    (
        "token_secrets_pkey",
        "INSERT INTO token_secrets SELECT id, token_id, sha256('t'), 1, false, now(), now() FROM token_secrets",
    ),
    ("token_secrets_token_id_fkey", "UPDATE token_secrets SET token_id = gen_random_uuid()"),
    ("token_secrets_digest_length", "UPDATE token_secrets SET digest = 'short'"),
    (
        "token_secrets_digest_unique",
        "INSERT INTO token_secrets SELECT gen_random_uuid(), token_id, digest, 1, false, now(), now() FROM token_secrets",
    ),
    ("token_secrets_pepper_positive", "UPDATE token_secrets SET pepper_version = 0"),
    ("token_secrets_older_ends", "UPDATE token_secrets SET current = false"),
    (
        "token_secrets_one_current",
        "INSERT INTO token_secrets SELECT gen_random_uuid(), token_id, sha256('t'), 1, true, now(), NULL FROM token_secrets",
    ),
    ("token_secrets_origin_known", "UPDATE token_secrets SET origin = 'found'"),
    ("token_secrets_seal_has_key", "UPDATE token_secrets SET sealed = 'x'"),
    ("token_secrets_only_older_end_early", "UPDATE token_secrets SET ends_on_first_use = true"),
    (
        "sessions_id_unique",
        "INSERT INTO sessions (digest, user_id, created_at, last_seen_at, expires_at, id)
         SELECT sha256('d'), user_id, created_at, last_seen_at, expires_at, id FROM sessions",
    ),
    ("sessions_pkey", "INSERT INTO sessions SELECT * FROM sessions"),
    ("sessions_user_id_fkey", "UPDATE sessions SET user_id = gen_random_uuid()"),
    ("sessions_digest_length", "UPDATE sessions SET digest = 'short'"),
    ("sessions_end_after_begin", "UPDATE sessions SET expires_at = created_at"),
    ("sign_in_throttles_pkey", "INSERT INTO sign_in_throttles SELECT * FROM sign_in_throttles"),
    ("sign_in_failures_positive", "UPDATE sign_in_throttles SET failures = 0"),
    (
        "audit_events_pkey",
        "INSERT INTO audit_events OVERRIDING SYSTEM VALUE SELECT * FROM audit_events",
    ),
    ("audit_events_workspace_id_fkey", "UPDATE audit_events SET workspace_id = gen_random_uuid()"),
    (
        "sign_in_attempts_pkey",
        "INSERT INTO sign_in_attempts (key, attempts, open_at, forget_at) VALUES (sha256('k'), 1, now(), now())",
    ),
    ("sign_in_attempts_key_length", "UPDATE sign_in_attempts SET key = 'k'"),
    ("sign_in_attempts_sane", "UPDATE sign_in_attempts SET attempts = -1"),
    ("password_links_pkey", "INSERT INTO password_links SELECT * FROM password_links"),
    ("password_links_user_id_fkey", "UPDATE password_links SET user_id = gen_random_uuid()"),
    ("password_links_issued_by_fkey", "UPDATE password_links SET issued_by = gen_random_uuid()"),
    ("users_password_set_by_fkey", "UPDATE users SET password_set_by = gen_random_uuid()"),
    ("password_links_digest_length", "UPDATE password_links SET digest = 'short'"),
    (
        "password_links_digest_unique",
        "INSERT INTO password_links SELECT '00000000-0000-0000-0000-00000000000b', digest, NULL, expires_at FROM password_links",
    ),
    (
        "untrusted_proxies_pkey",
        "INSERT INTO untrusted_proxies (address, seen_at) VALUES ('10.0.0.5', now())",
    ),
    ("sign_in_networks_pkey", "INSERT INTO sign_in_networks SELECT * FROM sign_in_networks"),
    ("sign_in_networks_user_id_fkey", "UPDATE sign_in_networks SET user_id = gen_random_uuid()"),
    ("sign_in_networks_network_length", "UPDATE sign_in_networks SET network = 'short'"),
    ("untrusted_proxies_address_length", "UPDATE untrusted_proxies SET address = ''"),
    ("audit_actor_known", "UPDATE audit_events SET actor_kind = 'ghost'"),
    ("audit_actor_has_id", "UPDATE audit_events SET actor_kind = 'user'"),
    ("audit_action_form", "UPDATE audit_events SET action = 'Delete!'"),
    (
        "audit_seq_positive",
        "UPDATE audit_events SET chain = gen_random_uuid(), seq = 0, mac = sha256('m'), key_version = 1",
    ),
    (
        "audit_mac_length",
        "UPDATE audit_events SET chain = gen_random_uuid(), seq = 1, mac = 'short', key_version = 1",
    ),
    ("audit_chained_whole", "UPDATE audit_events SET seq = 1"),
    (
        "audit_seq_unique",
        "INSERT INTO audit_events (at, actor_kind, actor_name, action, subject_name, surface, request_id, chain, seq, mac, key_version) SELECT now(), 'operator', 'command line', 'token.create', 'ci', 'cli', 'r', '00000000-0000-0000-0000-000000000000', 1, sha256('m'), 1 FROM generate_series(1, 2)",
    ),
    ("audit_heads_pkey", "INSERT INTO audit_heads SELECT * FROM audit_heads"),
    ("audit_head_seq_positive", "UPDATE audit_heads SET seq = -1"),
    ("audit_head_mac_length", "UPDATE audit_heads SET mac = 'short'"),
    ("audit_head_seal_length", "UPDATE audit_heads SET seal = 'short'"),
    ("revisions_pkey", "INSERT INTO revisions OVERRIDING SYSTEM VALUE SELECT * FROM revisions"),
    ("revisions_kind_known", "UPDATE revisions SET kind = 'weather'"),
    ("idempotency_keys_pkey", "INSERT INTO idempotency_keys SELECT * FROM idempotency_keys"),
    ("idempotency_key_length", "UPDATE idempotency_keys SET key = 'short'"),
    ("idempotency_request_length", "UPDATE idempotency_keys SET request = 'short'"),
    ("idempotency_caller_length", "UPDATE idempotency_keys SET caller = 'short'"),
    ("idempotency_reply_whole", "UPDATE idempotency_keys SET status = 201"),
    ("unread_scopes_pkey", "INSERT INTO unread_scopes SELECT * FROM unread_scopes"),
    ("unread_scopes_token_id_fkey", "UPDATE unread_scopes SET token_id = gen_random_uuid()"),
    ("unread_scopes_reason_known", "UPDATE unread_scopes SET reason = 'none'"),
    (
        "tokens_with_unread_log_pkey",
        "INSERT INTO tokens_with_unread_log SELECT * FROM tokens_with_unread_log",
    ),
    ("secret_stops_pkey", "INSERT INTO secret_stops SELECT * FROM secret_stops"),
    ("person_stops_pkey", "INSERT INTO person_stops SELECT * FROM person_stops"),
    ("secret_stops_one_person", "UPDATE secret_stops SET acting_as = known_to"),
    ("descendant_stops_pkey", "INSERT INTO descendant_stops SELECT * FROM descendant_stops"),
    ("descendant_stops_token_id_fkey", "UPDATE descendant_stops SET token_id = gen_random_uuid()"),
    ("descendant_stops_action_known", "UPDATE descendant_stops SET action = 'tickle'"),
    ("descendant_stops_end_by_has_end", "UPDATE descendant_stops SET ends_at = now()"),
    ("import_allowances_pkey", "INSERT INTO import_allowances SELECT * FROM import_allowances"),
    (
        "import_allowances_workspace_id_fkey",
        "UPDATE import_allowances SET workspace_id = gen_random_uuid()",
    ),
    ("import_allowances_positive", "UPDATE import_allowances SET imported = 0"),
    ("import_collisions_pkey", "INSERT INTO import_collisions SELECT * FROM import_collisions"),
    (
        "import_collisions_workspace_id_fkey",
        "UPDATE import_collisions SET workspace_id = gen_random_uuid()",
    ),
    ("usage_hours_pkey", "INSERT INTO usage_hours SELECT * FROM usage_hours"),
    ("usage_hours_token_id_fkey", "UPDATE usage_hours SET token_id = gen_random_uuid()"),
    ("usage_allowed_sane", "UPDATE usage_hours SET allowed = -1"),
    ("usage_refused_sane", "UPDATE usage_hours SET refused = -1"),
];

#[sqlx::test(migrations = "./migrations")]
async fn every_constraint_refuses_what_it_forbids(pool: PgPool) {
    sqlx::raw_sql(WORLD).execute(&pool).await.unwrap();
    for (constraint, statement) in VIOLATIONS {
        let error =
            query(sqlx::AssertSqlSafe(*statement)).execute(&pool).await.expect_err(constraint);
        let database = error.as_database_error().expect(constraint);
        assert_eq!(database.constraint(), Some(*constraint), "{statement}: {database}");
    }
}

#[sqlx::test(migrations = "./migrations")]
async fn every_constraint_is_listed(pool: PgPool) {
    let stated: Vec<String> = query_scalar(
        "SELECT conname::text FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
          WHERE t.relnamespace = 'public'::regnamespace AND contype IN ('c', 'u', 'p', 'f')
            AND t.relname <> '_sqlx_migrations'
         UNION
         SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
          WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace
            AND c.relname <> '_sqlx_migrations_pkey'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    let listed: BTreeSet<_> = VIOLATIONS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stated.into_iter().collect::<BTreeSet<_>>(), listed);
}
