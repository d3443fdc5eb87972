//! The command line of the drill.

use std::{path::PathBuf, time::Duration};

use crate::Outcome;

pub(crate) const USAGE: &str = "\
usage: drill [OPTIONS]        with the PostgreSQL in DATABASE_URL (see tools/with-postgres.sh)

  --binary FILE           the server [target/release/tessera]
  --after-revoke NUMBER   required verifications that begin after a revocation's response [20000]
  --seconds NUMBER        run for at least this long [0]
  --most-seconds NUMBER   give up after this long [3600]
  --seed NUMBER           seed of all random choices [different each time]
  --connections NUMBER    connections to each replica [12]
  --rate NUMBER           maximum verifications per second, 0 for no limit [0]
  --writers NUMBER        concurrent writers that create and revoke tokens [10]
  --living NUMBER         tokens that exist at a time [300]
  --folder FOLDER         folder for the report of a failure [target/drill]
  --calm                  disturb no replica
  --namespaces            give each replica its own network, unplugged now and then (root, iproute2)
  --once                  send each revocation once, without retries and concurrent duplicates
  --without-notify        replicas ignore notifications: must find no violations either (debug build)
  --control               replicas treat their lease as valid forever: must find violations (debug build)
  --control-stale         a cache in front of replica A keeps responses for 300 ms: must find violations
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
                    let value = words.next().ok_or_else(|| format!("{word} requires a value"))?;
                    arguments.set(&word, &value).map_err(|error| format!("{word}: {error}"))?;
                }
            }
        }
        if arguments.connections == 0 || arguments.writers == 0 || arguments.living == 0 {
            return Err("connections, writers and living tokens must be at least 1".into());
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
            _ => return Err("unknown option".into()),
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
    fn options_are_parsed_and_mistakes_are_reported() {
        let arguments = read("--seed 7 --control --rate 5000 --binary x").unwrap();
        assert_eq!((arguments.seed, arguments.rate), (Some(7), 5_000));
        assert!(arguments.is_control() && arguments.handicap == Handicap::EndlessLease);
        assert_eq!(read("").unwrap(), Arguments::default());
        for line in ["--seed", "--seed x", "--sed 1", "x", "--living 0"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
