//! The clock, as an argument.

use std::time::Duration;

use time::OffsetDateTime;

/// Tells the time. Tests bring their own.
pub trait Clock: Send + Sync {
    /// This moment, in UTC.
    fn now(&self) -> OffsetDateTime;

    /// The time since some moment of the past that stays the same. Never goes back, whatever is done
    /// to the machine's clock, and goes on while the machine sleeps.
    fn elapsed(&self) -> Duration;

    /// Whether this is the machine's clock. Where servers must agree, the database's clock counts instead.
    fn is_of_machine(&self) -> bool {
        false
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    fn is_of_machine(&self) -> bool {
        true
    }

    // std's `Instant` stands still while the machine sleeps: a lease would outlive its time.
    #[cfg(target_os = "linux")]
    fn elapsed(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn elapsed(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}
