//! stub until the real one is merged
use std::time::Duration;
#[derive(Debug, Default)]
pub struct Counters;
#[derive(Debug, Default)]
pub struct Snapshot {
    pub revocations: u64,
    pub revocation_p50: Option<Duration>,
    pub revocation_p99: Option<Duration>,
}
impl Counters {
    pub(crate) fn revoked(&self, _took: Duration) {}
    pub(crate) fn cache_hit(&self) {}
    pub(crate) fn cache_miss(&self) {}
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }
}
