//! The scopes that a calling token holds.

use crate::kernel::AudienceRights;
use domain::{catalogue::ScopeName, names::AudienceSlug, scope_pattern::Steps};

/// The scopes that a calling token can pass on: those that it holds itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a>(pub(crate) &'a [AudienceRights]);

impl<'a> Held<'a> {
    /// Returns whether the calling token is meant for this audience.
    pub(crate) fn is_meant_for(self, audience: &AudienceSlug) -> bool {
        self.0.iter().any(|rights| rights.audience == *audience)
    }

    /// Returns whether the calling token holds this scope; also `false` if the steps don't suffice.
    pub(crate) fn covers_within(
        self,
        audience: &AudienceSlug,
        scope: &ScopeName,
        steps: &mut Steps,
    ) -> bool {
        let mut own = self.0.iter().filter(|rights| rights.audience == *audience);
        own.any(|rights| rights.grants_within(scope, steps))
    }

    /// Returns all pairs that the calling token may pass on.
    pub(crate) fn pairs(self) -> impl Iterator<Item = (&'a AudienceSlug, &'a ScopeName)> + Clone {
        self.0
            .iter()
            .flat_map(|rights| rights.granted.iter().map(move |scope| (&rights.audience, scope)))
    }
}
