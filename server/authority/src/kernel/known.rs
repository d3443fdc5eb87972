//! A token in the cache.

use std::{
    any::Any,
    ops::Deref,
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use crate::kernel::Facts;

use crate::kernel::Noted;

/// Facts, their rendered form and the uses since the last flush. They are stored together so that a
/// verification reads from few places in memory.
pub struct Known {
    facts: Facts,
    serial: u64,
    noted: Noted,
    rendered: OnceLock<Box<dyn Any + Send + Sync>>,
    followed: AtomicBool,
}

impl Known {
    pub(crate) fn new(facts: Facts) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        Self {
            facts,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            noted: Noted::default(),
            rendered: OnceLock::new(),
            followed: AtomicBool::new(false),
        }
    }

    /// Returns what `render` produces from the facts; `render` is called only once. Returns `None`
    /// if the type differs from that of the first call.
    pub fn rendered<T: Any + Send + Sync>(&self, render: impl FnOnce(&Facts) -> T) -> Option<&T> {
        self.rendered.get_or_init(|| Box::new(render(&self.facts))).downcast_ref()
    }

    /// Returns the number that distinguishes this entry from all others of this process, including
    /// others of the same token.
    pub(crate) const fn serial(&self) -> u64 {
        self.serial
    }

    /// Returns whether the entry is so large that nothing should hold it longer than needed.
    pub(crate) fn is_heavy(&self) -> bool {
        self.facts.surroundings.counted.bytes() > 0
    }

    /// Returns whether a change of the token's owner or workspace has invalidated the entry.
    pub(crate) fn is_invalidated(&self) -> bool {
        self.facts.surroundings.validity.has_ended()
    }

    /// Returns whether the consequences of a decision based on these facts were written.
    pub(crate) fn is_followed(&self) -> bool {
        self.followed.load(Ordering::Acquire)
    }

    pub(crate) fn set_followed(&self) {
        self.followed.store(true, Ordering::Release);
    }

    pub(crate) const fn noted(&self) -> &Noted {
        &self.noted
    }
}

impl Deref for Known {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Known").field(&self.facts).finish()
    }
}

#[cfg(test)]
pub(crate) fn of(token: u128) -> std::sync::Arc<Known> {
    std::sync::Arc::new(Known::new(facts(token, 7)))
}

#[cfg(test)]
pub(crate) fn facts(token: u128, user: u128) -> Facts {
    use crate::kernel::{Counted, Rendered, SecretFacts, Surroundings, Validity, Verifies};
    use domain::{
        ids::{SecretId, TokenId, UserId, WorkspaceId},
        token::UserSummary,
    };
    use uuid::Uuid;

    let surroundings = Surroundings {
        workspace_id: WorkspaceId(Uuid::from_u128(3)),
        workspace: "workspace-1".parse().unwrap(),
        user: UserSummary {
            id: UserId(Uuid::from_u128(user)),
            email: "a@x".into(),
            name: "A".into(),
        },
        user_active: true,
        rights: [].into(),
        verifies: Verifies::Nobody,
        rendered: Rendered::default(),
        counted: Counted::default(),
        validity: Validity::default(),
    };
    Facts {
        token_id: TokenId(Uuid::from_u128(token)),
        name: String::new(),
        surroundings: surroundings.into(),
        enabled: true,
        deleted: false,
        not_before: None,
        expires_at: None,
        ended: false,
        secret: SecretFacts {
            id: SecretId(Uuid::nil()),
            current: true,
            awaited: false,
            reused: false,
            created_at: time::OffsetDateTime::UNIX_EPOCH,
            expires_at: None,
            ended: false,
        },
        ip_allow: Vec::new(),
        rate_limit: None,
    }
}
