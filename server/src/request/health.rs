//! Which requests are health checks.

/// Whether this is the path of a health check.
pub(crate) fn is_check(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz")
}
