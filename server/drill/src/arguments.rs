//! The command line of the drill.

use std::{path::PathBuf, time::Duration};

use crate::Outcome;

pub(crate) const USAGE: &str = "\
usage: drill [OPTIONS]        beside a PostgreSQL that DATABASE_URL names (tools/with-postgres.sh)

  --binary FILE           the server [target/release/tessera]
  --after-revoke NUMBER   verifications begun after a revoke's answer that are wanted [20000]
  --seconds NUMBER        go on for so long at least [0]
  --most-seconds NUMBER   give up after so long [3600]
  --seed NUMBER           of all choices [another one each time]
  --connections NUMBER    to each replica [12]
  --rate NUMBER           verifications a second at most, 0 for any number [0]
  --writers NUMBER        that make and revoke tokens at the same time [10]
  --living NUMBER         tokens that live at a time [300]
  --folder FOLDER         for the report of a failure [target/drill]
  --calm                  disturb nobody
  --namespaces            each replica in a network of its own, unplugged now and then (root, iproute2)
  --once                  ask for each revoke once, never again and never twice at a time
  --without-notify        replicas are deaf to notifications: must be clean, too (debug build)
  --control               replicas take their lease as valid for ever: must find violations (debug build)
  --control-stale         answers of replica A are kept for 300 ms before it: must find violations
";

/// The parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) binary: PathBuf,
    pub(crate) after_revoke: u64,
    pub(crate) least: Duration,
    pub(crate) most: Duration,
    pub(crate) seed: Option<u64>,
    pub(crate) connections: usize,
    pub(crate) rate: usize,
    pub(crate) writers: usize,
    pub(crate) living: usize,
    pub(crate) folder: PathBuf,
    pub(crate) once: bool,
    pub(crate) calm: bool,
    pub(crate) namespaces: bool,
    pub(crate) handicap: Handicap,
}

/// The mechanism that the servers lack, to see the effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handicap {
    None,
    /// They receive no notifications. These are only a hint, so nothing may become stale.
    Deaf,
    /// Their leases do not expire.
    EndlessLease,
    /// One of them is behind a cache that ignores revocations.
    StaleCache,
}

impl Default for Arguments {
    fn default() -> Self {
        Self {
            binary: "target/release/tessera".into(),
            after_revoke: 20_000,
            least: Duration::ZERO,
            most: Duration::from_hours(1),
            seed: None,
            connections: 12,
            rate: 0,
            writers: 10,
            living: 300,
            folder: "target/drill".into(),
            once: false,
            calm: false,
            namespaces: false,
            handicap: Handicap::None,
        }
    }
}

impl Arguments {
    /// Parses the command line.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--calm" => arguments.calm = true,
                "--namespaces" => arguments.namespaces = true,
                "--once" => arguments.once = true,
                "--without-notify" => arguments.handicap = Handicap::Deaf,
                "--control" => arguments.handicap = Handicap::EndlessLease,
                "--control-stale" => arguments.handicap = Handicap::StaleCache,
                _ => {
                    let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
                    arguments.set(&word, &value).map_err(|error| format!("{word}: {error}"))?;
                }
            }
        }
        if arguments.connections == 0 || arguments.writers == 0 || arguments.living == 0 {
            return Err("connections, writers and living tokens must be 1 at least".into());
        }
        Ok(arguments)
    }

    fn set(&mut self, name: &str, value: &str) -> Outcome<()> {
        match name {
            "--binary" => self.binary = value.into(),
            "--after-revoke" => self.after_revoke = value.parse()?,
            "--seconds" => self.least = Duration::from_secs(value.parse()?),
            "--most-seconds" => self.most = Duration::from_secs(value.parse()?),
            "--seed" => self.seed = Some(value.parse()?),
            "--connections" => self.connections = value.parse()?,
            "--rate" => self.rate = value.parse()?,
            "--writers" => self.writers = value.parse()?,
            "--living" => self.living = value.parse()?,
            "--folder" => self.folder = value.into(),
            _ => return Err("no such option".into()),
        }
        Ok(())
    }

    /// Reports whether this run is expected to find violations.
    pub(crate) const fn is_control(&self) -> bool {
        matches!(self.handicap, Handicap::EndlessLease | Handicap::StaleCache)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Outcome<Arguments> {
        Arguments::read(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read_and_mistakes_are_named() {
        let arguments = read("--seed 7 --control --rate 5000 --binary x").unwrap();
        assert_eq!((arguments.seed, arguments.rate), (Some(7), 5_000));
        assert!(arguments.is_control() && arguments.handicap == Handicap::EndlessLease);
        assert_eq!(read("").unwrap(), Arguments::default());
        for line in ["--seed", "--seed x", "--sed 1", "x", "--living 0"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
