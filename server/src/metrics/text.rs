//! The Prometheus text format, version 0.0.4. A family consists of a help text, a type, and
//! samples.
//!
//! Tessera does not use a library for this: its numbers are plain atomics, and a library's recorder
//! would store each of them a second time to save these few lines.

use std::fmt::{Display, Write as _};

/// The type of a family.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Never decreases, and restarts at 0 with the process.
    Counter,
    /// Can increase and decrease.
    Gauge,
    /// Consists of `_bucket`, `_sum` and `_count`.
    Histogram,
}

/// A text under construction.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    /// Begins a family.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample to the latest family.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (number, (label, value)) in labels.iter().enumerate() {
            self.0.push(if number == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(value));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// Adds a family with one sample and no labels.
    pub(super) fn one(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// Returns the whole text.
    pub(super) fn finish(self) -> String {
        self.0
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Parses a label's value as the format specifies, starting after the opening quote.
    fn read_value(line: &str) -> Option<(String, &str)> {
        let mut value = String::new();
        let mut characters = line.char_indices();
        while let Some((place, character)) = characters.next() {
            match character {
                '"' => return Some((value, &line[place + 1..])),
                '\\' => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other @ ('\\' | '"') => other,
                    _ => return None,
                }),
                other => value.push(other),
            }
        }
        None
    }

    #[test]
    fn families_and_samples_follow_the_text_format() {
        let mut text = Text::default();
        text.family("a_total", Kind::Counter, "One \\ and\ntwo.");
        text.sample("a_total", &[("x", "1"), ("y", "")], 7);
        text.one("b", Kind::Gauge, "B.", 0.5);
        let expected = "# HELP a_total One \\\\ and\\ntwo.\n# TYPE a_total counter\n\
                        a_total{x=\"1\",y=\"\"} 7\n# HELP b B.\n# TYPE b gauge\nb 0.5\n";
        assert_eq!(text.finish(), expected);
    }

    proptest! {
        #[test]
        fn label_values_round_trip_on_one_line(value in any::<String>(), number: u64) {
            let mut text = Text::default();
            text.sample("n", &[("l", &value)], number);
            let text = text.finish();
            prop_assert_eq!(text.matches('\n').count(), 1);
            let (read, rest) = read_value(text.strip_prefix("n{l=\"").unwrap()).unwrap();
            prop_assert_eq!(read, value);
            prop_assert_eq!(rest, format!("}} {number}\n"));
        }
    }
}
