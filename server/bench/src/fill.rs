//! Creates hundreds of thousands of tokens with known secrets, written with SQL in the same form as
//! Tessera writes them.

use std::{
    cell::Cell,
    fmt::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::token_text::{ALPHABET, RANDOM_LENGTH, compose, hint};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::{
    Outcome,
    drive::random,
    tessera::{PERSON, Tessera},
};

/// Keeps two calls of a run from generating the same secrets.
static CALLS: AtomicU64 = AtomicU64::new(0);

/// Creates `count` tokens of one workspace, audience and scope, and returns their secrets.
pub(crate) fn fill(tessera: &Tessera, workspace: &str, count: u32) -> Outcome<Vec<String>> {
    let database = tessera.database()?;
    let key = STANDARD.decode(tessera.pepper()?)?;
    let call = CALLS.fetch_add(1, Ordering::Relaxed);
    let seed = u64::from(std::process::id()) | call << 32;
    let state = Cell::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut secrets = Vec::new();
    let mut script = String::from(
        "BEGIN;
         CREATE TEMPORARY TABLE drawn (i int, hint text, digest bytea) ON COMMIT DROP;
         COPY drawn FROM STDIN;\n",
    );
    for number in 0..count {
        let characters: String = (0..RANDOM_LENGTH)
            .map(|_| char::from(ALPHABET[usize::try_from(random(&state) % 62).unwrap_or_default()]))
            .collect();
        let secret = compose("tsr", &characters);
        // As in server/authority/src/keys: HMAC-SHA-256(pepper, SHA-256(secret)).
        let mut mac = Hmac::<Sha256>::new_from_slice(&key)?;
        mac.update(&Sha256::digest(&secret));
        let digest = hex::encode(mac.finalize().into_bytes());
        writeln!(script, "{number}\t{}\t\\\\x{digest}", hint(&secret))?;
        secrets.push(secret);
    }
    write!(
        script,
        "\\.
         ALTER TABLE drawn ADD COLUMN id uuid;
         UPDATE drawn SET id = (lpad(to_hex(floor(extract(epoch FROM now()) * 1000)::bigint), 12, '0')
             || '7' || substr(md5(digest::text), 1, 3) || 'a' || substr(md5(digest::text), 4, 15))::uuid;
         INSERT INTO tokens (id, workspace_id, user_id, name, scopes, hint, created_at, updated_at)
         SELECT d.id, w.id, u.id, 'bench', ARRAY['rivers:run'], d.hint, now(), now()
           FROM drawn d
           JOIN workspaces w ON w.slug = '{workspace}'
           JOIN users u ON u.email = '{PERSON}';
         INSERT INTO token_audiences (token_id, audience_id, scopes)
         SELECT d.id, a.id, ARRAY['rivers:run'] FROM drawn d JOIN audiences a ON a.slug = 'default';
         INSERT INTO token_secrets (id, token_id, digest, pepper_version, hint, created_at)
         SELECT gen_random_uuid(), d.id, d.digest, 1, d.hint, now() FROM drawn d;
         COMMIT;
         VACUUM ANALYZE tokens, token_audiences, token_secrets;
         CHECKPOINT;\n"
    )?;
    database.sql(&script)?;
    Ok(secrets)
}
