//! Counts the responses of the managing API by status.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

/// The classes of status codes, from 100 to 599.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Responses of the managing API by the class of their status.
#[derive(Debug, Default)]
pub(crate) struct Traffic([AtomicU64; CLASSES.len()]);

impl Traffic {
    /// Returns each class with its number of responses.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CLASSES.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }

    fn add(&self, status: u16) {
        let class = usize::from(status / 100).checked_sub(1);
        if let Some(count) = class.and_then(|class| self.0.get(class)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Middleware that counts responses.
pub(crate) async fn count(
    State(traffic): State<Arc<Traffic>>,
    request: Request,
    next: Next,
) -> Response {
    let response = next.run(request).await;
    traffic.add(response.status().as_u16());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_counted_by_class() {
        let traffic = Traffic::default();
        for status in [200, 204, 404, 599, 100, 0, 99, 600, 999] {
            traffic.add(status);
        }
        let counts: Vec<u64> = traffic.counts().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 2, 0, 1, 1]);
    }
}
