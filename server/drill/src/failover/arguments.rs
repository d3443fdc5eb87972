//! The command line of `drill failover`.

use std::path::PathBuf;

use crate::Outcome;

pub(crate) const USAGE: &str = "\
usage: drill failover [OPTIONS]     run it with tools/drill.sh, which finds PostgreSQL's programs

  --binary FILE        the server [target/release/tessera]
  --only WORD          run only scenarios whose name contains this word; may be repeated
  --folder FOLDER      folder for the logs of a failure [target/drill]
  --control-history    servers do not check the history: must find violations (debug build)
  --control-lease      servers treat their lease as valid forever: must find violations (debug build)
";

/// The parsed command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) binary: PathBuf,
    pub(crate) only: Vec<String>,
    pub(crate) folder: PathBuf,
    pub(crate) control: Control,
}

/// The mechanism that the servers lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    None,
    /// They do not notice that the history has changed.
    History,
    /// Their leases do not expire.
    Lease,
}

impl Arguments {
    /// Parses the command line.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Outcome<Self> {
        let mut arguments = Self {
            binary: "target/release/tessera".into(),
            only: Vec::new(),
            folder: "target/drill".into(),
            control: Control::None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} requires a value"));
            match word.as_str() {
                "--control-history" => arguments.control = Control::History,
                "--control-lease" => arguments.control = Control::Lease,
                "--binary" => arguments.binary = value()?.into(),
                "--folder" => arguments.folder = value()?.into(),
                "--only" => arguments.only.push(value()?),
                _ => return Err(format!("{word}: unknown option").into()),
            }
        }
        Ok(arguments)
    }

    /// Reports whether to run this scenario.
    pub(crate) fn wants(&self, scenario: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| scenario.contains(word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_parsed_and_mistakes_are_reported() {
        let read = |line: &str| Arguments::read(line.split_whitespace().map(str::to_owned));
        let arguments = read("--binary x --only paused --control-history").unwrap();
        assert_eq!((arguments.control, arguments.binary.to_str()), (Control::History, Some("x")));
        assert!(arguments.wants("server paused") && !arguments.wants("synchronous standby"));
        assert!(read("").unwrap().wants("anything"));
        for line in ["--only", "--seed 1", "x"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
