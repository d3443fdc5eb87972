//! The secrets of tokens. `facts` reads them for verification, and `secrets_change` changes them.

use domain::{
    ids::{SecretId, TokenId},
    rate_limit::RateLimit,
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use super::StoreError;
use crate::keys::{Digest, Sealed};

/// A secret to insert.
pub(crate) struct NewSecret<'a> {
    pub(crate) id: SecretId,
    pub(crate) digest: &'a Digest,
    pub(crate) hint: &'a str,
    /// The secret's text, encrypted with the sealing key, if the token is recoverable.
    pub(crate) sealed: Option<&'a Sealed>,
}

/// Inserts a token's current secret.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    token: TokenId,
    secret: &NewSecret<'_>,
    now: OffsetDateTime,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO token_secrets (id, token_id, digest, pepper_version, hint, sealed, seal_key_version, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        secret.id.0,
        token.0,
        &secret.digest.bytes[..],
        secret.digest.pepper_version,
        secret.hint,
        secret.sealed.map(|sealed| &sealed.bytes[..]),
        secret.sealed.map(|sealed| sealed.key_version),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Parses a rate limit from its two columns. The schema requires both of them or neither.
pub(super) fn rate_limit(
    limit: Option<i32>,
    window_s: Option<i32>,
) -> Result<Option<RateLimit>, ()> {
    let limit = limit.zip(window_s);
    limit
        .map(|(limit, window_s)| RateLimit::new(limit.into(), window_s.into()))
        .transpose()
        .map_err(drop)
}

/// Returns the values of a rate limit's two columns.
pub(super) fn columns_of(rate_limit: Option<RateLimit>) -> (Option<i32>, Option<i32>) {
    // The bounds of a rate limit fit the column's type, so the fallback is never used.
    let column = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    (rate_limit.map(|rate| column(rate.limit())), rate_limit.map(|rate| column(rate.window_s())))
}

pub(super) fn parse_all<T: std::str::FromStr>(texts: &[String]) -> Option<Vec<T>> {
    texts.iter().map(|text| text.parse().ok()).collect()
}
