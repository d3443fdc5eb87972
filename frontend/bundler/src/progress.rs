//! The bundler's progress messages.

use std::{
    io::{self, Write as _},
    time::Instant,
};

/// A printer of lines on standard error. Each line states the time since the start.
pub(crate) struct Progress(Instant);

impl Progress {
    /// Starts the clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "a build tool times itself; nothing depends on it"
    )]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Prints a line about a part of the site.
    pub(crate) fn say(&self, part: &str, text: &str) {
        let seconds = self.0.elapsed().as_secs_f32();
        // A closed standard error must not stop the build.
        let _ = writeln!(io::stderr(), "{part:>10}  {text}  ({seconds:.1} s)");
    }
}
