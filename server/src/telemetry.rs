//! The log: text on a terminal, otherwise one JSON object per line. It goes to standard error, so
//! that standard output contains only the results of commands.
//!
//! Log lines contain no secrets: secrets have types with an opaque `Debug`, requests are logged by
//! route and never by address, and SQL statements are logged without values, and only if they are
//! slow.
//!
//! Lines show the spans that they belong to: that of the request, and those of the operations of
//! [`authority`], with noun, verb and caller. JSON shows the innermost span, so every span has the
//! request's id.

use std::{
    io::{self, IsTerminal as _},
    panic,
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use crate::config::LogFormat;

/// Libraries whose messages only help when debugging them. The operator's filter overrides these
/// levels.
const QUIET: [&str; 4] = ["sqlx=warn", "hyper=warn", "h2=warn", "rustls=warn"];

/// Starts the log. Panics are logged too, in the same format.
pub(crate) fn start(filter: &str, format: LogFormat) {
    let on_terminal = io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !on_terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let base = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(on_terminal && !json)
        // A closed standard error must not bring the server down.
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry().with(env_filter(filter));
    // This fails if a log was started already. That log is kept.
    let _ = if json {
        registry.with(base.json().flatten_event(true).with_span_list(false)).try_init()
    } else {
        registry.with(base.with_target(false)).try_init()
    };
    panic::set_hook(Box::new(|info| {
        let location = info.location().map(ToString::to_string).unwrap_or_default();
        let message = info.payload_as_str().unwrap_or("no message");
        tracing::error!(location, message, "panic");
    }));
}

fn env_filter(filter: &str) -> EnvFilter {
    let quiet = QUIET.into_iter().filter(|directive| {
        let library = directive.split('=').next().unwrap_or_default();
        !filter.split(',').any(|part| part.trim().starts_with(library))
    });
    let all = quiet.chain([filter]).collect::<Vec<_>>().join(",");
    EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse_lossy(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_log_only_warnings_unless_the_filter_names_them() {
        assert!(env_filter("debug").to_string().contains("sqlx=warn"));
        let named = env_filter("info,sqlx=debug").to_string();
        assert!(named.contains("sqlx=debug") && !named.contains("sqlx=warn"), "{named}");
    }
}
