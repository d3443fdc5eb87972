//! The hint that `trusted_proxies` may be missing a proxy.
//!
//! Behind an untrusted proxy, all people share one address and its limit of sign-in attempts. A
//! sign-in through such a proxy is recorded. The log shows this at once and at every start, and
//! `tessera doctor` shows it whenever it runs.

use std::{net::IpAddr, sync::Once};

use authority::{OpContext, Sessions};

/// Records that a person signed in through this peer. A failure to record it does not fail
/// the sign-in.
pub(crate) async fn note(sessions: Sessions<'_>, context: &OpContext, peer: Option<IpAddr>) {
    static WARNED: Once = Once::new();
    let Some(peer) = peer else { return };
    WARNED.call_once(|| warn(&peer.to_string()));
    if let Err(error) = sessions.note_untrusted_proxy(context, peer).await {
        error.log(&context.request_id);
    }
}

/// Writes the hint to the log.
pub(crate) fn warn(proxy: &str) {
    tracing::warn!(
        proxy,
        "a sign-in request from this address had another address in X-Forwarded-For. If it is your \
         reverse proxy, add it to trusted_proxies; otherwise all people behind it share one limit \
         on sign-in attempts. If it is not your proxy, change nothing: clients can send this \
         header themselves"
    );
}

/// Returns the hint for people.
pub(crate) fn advice(proxies: &[String]) -> String {
    format!(
        "sign-ins arrive through {}, which is not in trusted_proxies. If it is your reverse proxy, \
         add it to trusted_proxies; otherwise all people behind it share one limit on sign-in \
         attempts. If it is not your proxy, change nothing: clients can send X-Forwarded-For \
         themselves",
        proxies.join(", ")
    )
}
