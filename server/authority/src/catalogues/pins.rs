//! Keeps grants without an audience from growing into new audiences.
//!
//! Such a grant means the audiences that have matching scopes. If an audience gets scopes that the
//! grant would match, or loses all of them, the audiences that the grant meant before are first
//! written into it. `*` means every present and future scope.

use domain::{catalogue::ScopeName, grants::GrantPattern, names::AudienceSlug};
use serde_json::{Value, json};

use super::{arrangement::Arrangement, change::Open};
use crate::{
    ServiceError,
    kernel::Subject,
    store::{
        catalogues::{self, StoredCatalogue},
        invitations, members, wait_briefly,
    },
    transaction::Transaction,
};

/// The maximum number of memberships that an audit row names.
const NAMED_MAX: usize = 100;

/// The parts of a change of an audience that may affect the meaning of grants.
struct Pins<'a> {
    audience: &'a AudienceSlug,
    catalogues: Vec<StoredCatalogue>,
    after: Vec<&'a ScopeName>,
}

impl Open {
    /// Pins the grants whose meaning would change when this audience gets the scopes of `after`:
    /// writes the audiences that they mean now into them. Returns the changed grants for the audit
    /// log.
    pub(super) async fn pin_grants(
        &self,
        connection: &mut Transaction<'_>,
        after: &Arrangement,
    ) -> Result<Vec<Value>, ServiceError> {
        // The lock below makes changes of members in all workspaces queue behind this one.
        wait_briefly(connection).await?;
        members::lock_meaning(connection).await?;
        let active = after.scopes().iter().filter(|stored| stored.retired_at.is_none());
        let pins = Pins {
            audience: &self.audience.slug,
            catalogues: catalogues::all(connection).await?,
            after: active.map(|stored| &stored.scope.name).collect(),
        };
        let mut pinned = Vec::new();
        for member in members::flat_grants(connection).await? {
            let Some(grants) = pins.of(&member.grants) else { continue };
            connection.changes_membership_of(member.user, Some(member.workspace)).await?;
            members::set_grants(connection, member.workspace, member.user, &grants).await?;
            connection.narrows(Subject::Membership(member.user));
            pinned
                .push(json!({ "workspace": member.slug, "user": member.email, "grants": grants }));
        }
        for (id, grants) in invitations::with_grants(connection).await? {
            let Some(grants) = pins.of(&grants) else { continue };
            invitations::set_grants(connection, id, &grants).await?;
            pinned.push(json!({ "invitation": id, "grants": grants }));
        }
        let more = pinned.len().saturating_sub(NAMED_MAX);
        pinned.truncate(NAMED_MAX);
        if more > 0 {
            pinned.push(json!({ "more": more }));
        }
        Ok(pinned)
    }
}

impl Pins<'_> {
    /// Returns the grants with the audiences that they mean; `None` if their meaning
    /// doesn't change.
    fn of(&self, grants: &[GrantPattern]) -> Option<Vec<GrantPattern>> {
        let mut changes = false;
        let mut written = Vec::new();
        for pattern in grants {
            if let Some(pairs) = self.of_pattern(pattern) {
                changes = true;
                written.extend(pairs);
            } else {
                written.push(pattern.clone());
            }
        }
        written.sort();
        written.dedup();
        changes.then_some(written)
    }

    fn of_pattern(&self, pattern: &GrantPattern) -> Option<Vec<GrantPattern>> {
        if pattern.audience().is_some() || pattern.is_all() {
            return None;
        }
        let meant: Vec<&AudienceSlug> = self
            .catalogues
            .iter()
            .map(|stored| &stored.catalogue)
            .filter(|catalogue| pattern.means_some(catalogue.scopes().map(|scope| &scope.name)))
            .map(|catalogue| &catalogue.audience)
            .collect();
        let after = self.after.iter().copied();
        let changes = if meant.contains(&self.audience) {
            !pattern.means_some(after)
        } else {
            // A grant that matches no scopes yet stays open for the first audience that has them.
            !meant.is_empty() && pattern.may_mean_some(after)
        };
        changes.then(|| meant.into_iter().map(|audience| pattern.of_audience(audience)).collect())
    }
}
