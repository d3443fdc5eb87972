//! The settings of a server.

use time::Duration;

/// The settings that an operator may change.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A session expires when it has not been used for this long.
    pub session_idle: Duration,
    /// A session expires after this long, used or not.
    pub session_absolute: Duration,
    /// The maximum number of tokens whose facts are cached.
    pub cached_tokens: usize,
    /// How many unknown tokens are looked up per second for one address, with bursts of ten times
    /// as many. The same applies to unknown sessions. 0 means no limit.
    pub unknown_token_rate: u32,
    /// How many successful sign-ins a person may make from one address in a burst, followed by one
    /// per second. Each server counts separately.
    pub right_sign_ins: u32,
    /// The host of the server's public address; empty if it is not configured. It is easy to guess
    /// in a password.
    pub public_host: String,
    /// How long verifications may still be answered from memory when the database is away and the
    /// lease has expired. Tokens that were revoked on another server may be accepted during this
    /// time.
    pub stale_grace: std::time::Duration,
    /// The mechanisms that a drill switches off, to check that their absence is noticed.
    pub drill: Drill,
}

/// Mechanisms that drills can switch off.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drill {
    /// The lease counts as valid forever.
    pub without_lease: bool,
    /// Notifications are ignored.
    pub without_notify: bool,
    /// Changes of the database's history are not detected.
    pub without_history: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            session_idle: Duration::hours(2),
            session_absolute: Duration::hours(12),
            cached_tokens: 100_000,
            unknown_token_rate: 100,
            right_sign_ins: 100,
            public_host: String::new(),
            stale_grace: std::time::Duration::ZERO,
            drill: Drill::default(),
        }
    }
}
