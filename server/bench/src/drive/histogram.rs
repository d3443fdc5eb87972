//! Durations, counted in buckets that are at most 1.6 % wide.

/// The number of buckets for each power of two.
const FINE: u64 = 64;

/// The number of durations in each bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// Records a duration in nanoseconds.
    pub(crate) fn record(&mut self, nanoseconds: u64) {
        let bucket = bucket(nanoseconds);
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.total += 1;
    }

    /// Returns the number of recorded durations.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// Returns the duration, in microseconds, that this share of all durations does not exceed, or
    /// NaN if there are none.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of a run of seconds, far below 2^52"
    )]
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        let wanted = (self.total as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted && seen > 0 {
                return middle(bucket as u64) / 1e3;
            }
        }
        f64::NAN
    }
}

fn bucket(value: u64) -> usize {
    let bucket = if value < FINE {
        value
    } else {
        let shift = u64::from(value.ilog2() - FINE.ilog2());
        (shift + 1) * FINE + (value >> shift) - FINE
    };
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// Returns the middle of a bucket.
#[expect(clippy::cast_precision_loss, reason = "52 bits are enough for a time")]
fn middle(bucket: u64) -> f64 {
    if bucket < FINE {
        return bucket as f64;
    }
    let shift = bucket / FINE - 1;
    let low = (FINE + bucket % FINE) << shift;
    low as f64 + (1_u64 << shift) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_bounds_are_close_to_its_times() {
        for value in [0, 1, 63, 64, 65, 127, 128, 1_000, 123_456, 987_654_321] {
            let found = middle(bucket(value) as u64);
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let value = value as f64;
            assert!((found - value).abs() <= value / 60.0 + 0.5, "{value}: {found}");
        }
    }

    #[test]
    fn percentiles_match_the_recorded_times() {
        let mut histogram = Histogram::default();
        assert!(histogram.percentile(0.5).is_nan());
        for value in 1..=1_000_u64 {
            histogram.record(value * 1_000);
        }
        assert_eq!(histogram.total(), 1_000);
        for (share, wanted) in [(0.5, 500.0), (0.99, 990.0), (0.999, 999.0)] {
            let found = histogram.percentile(share);
            assert!((found - wanted).abs() < wanted / 50.0, "{share}: {found}");
        }
    }
}
