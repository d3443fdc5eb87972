//! Two things measured in turns.

use std::{fs, io::Write, process::Command};

use crate::{
    Outcome,
    drive::{Histogram, Load, Requests},
    median::Spread,
    process::Cpu,
};

/// How long everything takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Rounds; each measures both sides once.
    pub(crate) rounds: u32,
    /// Seconds of one measurement; long enough for its throughput to settle.
    pub(crate) seconds: f64,
    /// Whether data are fewer, too: for trying out, not for figures.
    pub(crate) quick: bool,
}

/// What one measurement of a server gave.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Answers in a second.
    pub(crate) per_second: f64,
    /// CPU time for one answer, microseconds.
    pub(crate) cpu_us: f64,
    pub(crate) times: Histogram,
}

/// A server that is asked.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) url: &'a str,
    pub(crate) cpu: Cpu<'a>,
    pub(crate) requests: &'a Requests,
}

impl Settings {
    /// Those of figures to publish, or quick ones.
    pub(crate) const fn new(quick: bool) -> Self {
        if quick {
            Self { rounds: 3, seconds: 1.0, quick }
        } else {
            Self { rounds: 7, seconds: 3.0, quick }
        }
    }

    /// Fewer of something when it shall be quick.
    pub(crate) const fn count(self, full: u32) -> u32 {
        if self.quick { full / 10 } else { full }
    }

    /// Measures two things in turns A B B A, so that a machine that grows slower in between is unfair to
    /// nobody.
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

    /// Two servers in turns, after both have warmed up.
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
    /// Sends and counts.
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

/// Whether a line of a part is wanted: all are, unless `BENCH_ONLY` holds parts of names.
pub(crate) fn is_wanted(name: &str) -> bool {
    std::env::var("BENCH_ONLY").map_or(true, |only| only.split(',').any(|part| name.contains(part)))
}

/// The spread over the rounds of one side's figure over the other's.
pub(crate) fn ratio<A, B>(
    rounds: &[(A, B)],
    of_a: impl Fn(&A) -> f64,
    of_b: impl Fn(&B) -> f64,
) -> Spread {
    Spread::of(rounds.iter().map(|(a, b)| of_a(a) / of_b(b)).collect())
}

/// The spread of a figure of one side.
pub(crate) fn spread<T>(rounds: &[T], of: impl Fn(&T) -> f64) -> Spread {
    Spread::of(rounds.iter().map(of).collect())
}

/// What figures are worth: the machine, its load and the versions.
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
    writeln!(out, "Load     {} (of the last 1, 5 and 15 minutes, when it began)", load.join(", "))?;
    writeln!(
        out,
        "Versions {}; {}",
        version("pgbench", "--version"),
        version("rustc", "--version")
    )?;
    writeln!(
        out,
        "Figures  medians of {} rounds A B B A of {} s, least and most in brackets{}",
        settings.rounds,
        settings.seconds,
        if settings.quick { "; QUICK, NOT TO PUBLISH" } else { "" }
    )?;
    Ok(())
}

fn version(program: &str, option: &str) -> String {
    let output = Command::new(program).arg(option).output();
    output.map_or_else(
        |_| format!("no {program}"),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
