//! The bounds of a token, as its facts state them.

use crate::kernel::Facts;
use domain::bounds::{Bounds, earlier};

/// Returns the bounds of a token and of the secret that it presents.
pub(crate) fn bounds_of_facts(facts: &Facts) -> Bounds {
    Bounds {
        expires_at: earlier(facts.expires_at, facts.secret.expires_at),
        ip_allow: facts.ip_allow.clone(),
        rate_limit: facts.rate_limit,
    }
}
