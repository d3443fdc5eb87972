//! Measures two things alternately.

use std::{fs, io::Write, process::Command};

use crate::{
    Outcome,
    drive::{Histogram, Load, Requests},
    median::Spread,
    process::Cpu,
};

/// The duration and size of the measurements.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// The number of rounds. Each round measures both sides once.
    pub(crate) rounds: u32,
    /// The seconds of one measurement, which are long enough for throughput to settle.
    pub(crate) seconds: f64,
    /// Whether to use less data, too: for trying out, not for published figures.
    pub(crate) quick: bool,
}

/// The result of one measurement of a server.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Responses per second.
    pub(crate) per_second: f64,
    /// CPU time per response, in microseconds.
    pub(crate) cpu_us: f64,
    pub(crate) times: Histogram,
}

/// A server under load.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) url: &'a str,
    pub(crate) cpu: Cpu<'a>,
    pub(crate) requests: &'a Requests,
}

impl Settings {
    /// Returns the settings for published figures, or quick ones.
    pub(crate) const fn new(quick: bool) -> Self {
        if quick {
            Self { rounds: 3, seconds: 1.0, quick }
        } else {
            Self { rounds: 7, seconds: 3.0, quick }
        }
    }

    /// Returns a tenth of `full` for a quick run, otherwise `full`.
    pub(crate) const fn count(self, full: u32) -> u32 {
        if self.quick { full / 10 } else { full }
    }

    /// Measures two things in the order A B B A, so that a machine that slows down during a run
    /// affects both equally.
    pub(crate) fn alternate<A, B>(
        self,
        mut a: impl FnMut() -> Outcome<A>,
        mut b: impl FnMut() -> Outcome<B>,
    ) -> Outcome<Vec<(A, B)>> {
        let mut rounds = Vec::new();
        for round in 0..self.rounds {
            rounds.push(if round % 2 == 0 {
                let first = a()?;
                (first, b()?)
            } else {
                let first = b()?;
                (a()?, first)
            });
        }
        Ok(rounds)
    }

    /// Measures two servers alternately, after both have warmed up.
    pub(crate) fn compare(
        self,
        sides: [Side<'_>; 2],
        connections: usize,
        rate: Option<f64>,
    ) -> Outcome<Vec<(Reading, Reading)>> {
        let [a, b] = sides;
        for side in sides {
            side.measure(connections, 1.0, rate)?;
        }
        self.alternate(
            || a.measure(connections, self.seconds, rate),
            || b.measure(connections, self.seconds, rate),
        )
    }
}

impl Side<'_> {
    /// Sends requests and counts responses.
    pub(crate) fn measure(
        &self,
        connections: usize,
        seconds: f64,
        rate: Option<f64>,
    ) -> Outcome<Reading> {
        let load = Load { url: self.url, requests: self.requests, connections, seconds, rate };
        let before = self.cpu.seconds()?;
        let report = load.run()?;
        let cpu = self.cpu.seconds()? - before;
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let answers = report.answers as f64;
        Ok(Reading {
            per_second: report.per_second,
            cpu_us: cpu * 1e6 / answers,
            times: report.times,
        })
    }
}

/// Reports whether to run a line of a part. `BENCH_ONLY` may contain parts of the names to run.
pub(crate) fn is_wanted(name: &str) -> bool {
    std::env::var("BENCH_ONLY").map_or(true, |only| only.split(',').any(|part| name.contains(part)))
}

/// Returns the spread over the rounds of the ratio of both sides.
pub(crate) fn ratio<A, B>(
    rounds: &[(A, B)],
    of_a: impl Fn(&A) -> f64,
    of_b: impl Fn(&B) -> f64,
) -> Spread {
    Spread::of(rounds.iter().map(|(a, b)| of_a(a) / of_b(b)).collect())
}

/// Returns the spread of a figure of one side.
pub(crate) fn spread<T>(rounds: &[T], of: impl Fn(&T) -> f64) -> Spread {
    Spread::of(rounds.iter().map(of).collect())
}

/// Prints the context of the figures: the machine, its load and the versions.
pub(crate) fn print_machine(settings: Settings, out: &mut impl Write) -> Outcome<()> {
    let of = |path: &str, name: &str| {
        fs::read_to_string(path)
            .unwrap_or_default()
            .lines()
            .find_map(|line| {
                line.strip_prefix(name)?.split_once(':').map(|(_, value)| value.trim().to_owned())
            })
            .unwrap_or_else(|| "unknown".to_owned())
    };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<_> = load.split_whitespace().take(3).collect();
    let cores = fs::read_to_string("/proc/cpuinfo")?.matches("processor\t").count();
    writeln!(out, "Machine  {cores} cores of {}", of("/proc/cpuinfo", "model name"))?;
    writeln!(
        out,
        "         {} of memory, Linux {}",
        of("/proc/meminfo", "MemTotal"),
        version("uname", "-r")
    )?;
    writeln!(
        out,
        "Load     {} (over the last 1, 5 and 15 minutes, at the start)",
        load.join(", ")
    )?;
    writeln!(
        out,
        "Versions {}; {}",
        version("pgbench", "--version"),
        version("rustc", "--version")
    )?;
    writeln!(
        out,
        "Figures  medians of {} rounds A B B A of {} s, minimum and maximum in brackets{}",
        settings.rounds,
        settings.seconds,
        if settings.quick { "; QUICK, DO NOT PUBLISH" } else { "" }
    )?;
    Ok(())
}

fn version(program: &str, option: &str) -> String {
    let output = Command::new(program).arg(option).output();
    output.map_or_else(
        |_| format!("{program} not found"),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
