//! A figure over several rounds.

/// Median, minimum and maximum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// Returns the spread of at least one value.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        Self {
            median: at(values.len() / 2),
            least: at(0),
            most: at(values.len().saturating_sub(1)),
        }
    }

    /// Returns the median.
    pub(crate) const fn median(&self) -> f64 {
        self.median
    }

    /// Formats the spread with another unit than "times", and this many decimal places.
    pub(crate) fn with(&self, unit: &str, digits: usize) -> String {
        let Self { median, least, most } = self;
        format!("{median:.digits$} {unit} [{least:.digits$}, {most:.digits$}]")
    }
}

impl std::fmt::Display for Spread {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:.3} × [{:.3}, {:.3}]", self.median, self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_value() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]).to_string(), "2.000 × [1.000, 3.000]");
    }
}
