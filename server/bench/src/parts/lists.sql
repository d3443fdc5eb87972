-- Fills a workspace with tokens: the slug and the number replace {workspace} and {count}.
--
-- A filter finds the same share in both workspaces (one in twenty), or thirty tokens in both, spread
-- over the whole: finding a few among many is what an index is for.
CREATE TEMPORARY TABLE drawn ON COMMIT DROP AS
SELECT i,
       i % ({count} / 30) = 7 AS rare,
       i / ({count} / 30) % 3 AS third,
       -- UUID version 7 of the creation time.
       (lpad(to_hex(floor(extract(epoch FROM made) * 1000)::bigint), 12, '0') || '7' || substr(md5('token' || i), 1, 3)
        || 'a' || substr(md5('{workspace}' || i), 1, 15))::uuid AS id,
       made
  FROM generate_series(1, {count}) AS i,
       LATERAL (SELECT now() - i * (interval '700 days' / {count}) AS made) AS moments;

-- Fifty tokens per user, except for one user with one in twenty of all, and one with thirty.
INSERT INTO users (id, kind, email, name, instance_role, created_at, updated_at)
SELECT gen_random_uuid(), 'service', who || '@{workspace}.example.com', initcap(who), 'member', now(), now()
  FROM (SELECT 'user-' || generate_series(0, {count} / 50) UNION ALL VALUES ('many'), ('few')) AS named (who);
INSERT INTO memberships (workspace_id, user_id, role, created_at)
SELECT w.id, u.id, 'member', now() FROM workspaces w, users u
 WHERE w.slug = '{workspace}' AND u.email LIKE '%@{workspace}.example.com';

INSERT INTO tokens (id, workspace_id, user_id, name, scopes, enabled, not_before, expires_at, hint,
                    last_used_at, last_used_ip, created_at, updated_at)
SELECT d.id, w.id, u.id,
       (ARRAY['deploy', 'nightly', 'gateway', 'report', 'import', 'sync'])[1 + i % 6] || '-' || substr(md5('name' || i), 1, 10)
           || CASE WHEN rare THEN '-needle' ELSE '' END,
       CASE WHEN rare THEN ARRAY['rivers:read', 'rivers:run']
            WHEN i % 20 = 3 THEN ARRAY['connections:read', 'rivers:read']
            ELSE ARRAY['rivers:read'] END,
       -- A third of the few each: disabled, scheduled, neither.
       NOT (rare AND third = 0),
       CASE WHEN rare AND third = 1 THEN now() + interval '1 day' END,
       CASE WHEN rare THEN now() + interval '36 hours'
            WHEN i % 10 = 1 THEN NULL
            WHEN i % 20 = 4 THEN least(made + interval '1 day', now() - interval '1 minute')
            ELSE now() + interval '3 days' + (i % 9973) * interval '1 hour' END,
       'tsr_…' || substr(md5('hint' || i), 1, 4),
       CASE WHEN rare THEN NULL ELSE greatest(made, now() - (i % 7919) * interval '5 minutes') END,
       CASE WHEN rare THEN NULL ELSE '192.0.2.1' END,
       made, made
  FROM drawn d
  JOIN workspaces w ON w.slug = '{workspace}'
  JOIN users u ON u.email = CASE WHEN rare THEN 'few' WHEN i % 20 = 5 THEN 'many' ELSE 'user-' || i % ({count} / 50 + 1) END
                            || '@{workspace}.example.com';

INSERT INTO token_audiences (token_id, audience_id, scopes)
SELECT d.id, a.id, t.scopes FROM drawn d JOIN tokens t ON t.id = d.id
  JOIN audiences a ON a.slug = CASE WHEN rare THEN 'billing' WHEN i % 20 = 3 THEN 'tessera' ELSE 'default' END;

INSERT INTO token_secrets (id, token_id, digest, pepper_version, created_at)
SELECT gen_random_uuid(), d.id, sha256(('{workspace}' || d.i)::bytea), 1, d.made FROM drawn d;
