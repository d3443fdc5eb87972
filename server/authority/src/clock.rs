//! The clock, as an argument.

use std::time::Duration;

use time::OffsetDateTime;

/// A source of time. Tests supply their own.
pub trait Clock: Send + Sync {
    /// Returns the current time in UTC.
    fn now(&self) -> OffsetDateTime;

    /// Returns the time since a fixed moment in the past. Never goes back, even if the machine's
    /// clock is set, and advances while the machine sleeps.
    fn elapsed(&self) -> Duration;

    /// Returns whether this is the machine's clock. Where servers must agree, the database's clock
    /// is used instead.
    fn is_of_machine(&self) -> bool {
        false
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the machine's clock")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn is_of_machine(&self) -> bool {
        true
    }

    // std's `Instant` stops while the machine sleeps: a lease would outlive its time.
    #[cfg(target_os = "linux")]
    fn elapsed(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::disallowed_methods, reason = "the only place that reads the machine's clock")]
    fn elapsed(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}
