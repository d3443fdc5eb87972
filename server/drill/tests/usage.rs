//! Tests of the built program's command line.

use std::{
    io,
    process::{Command, Output},
};

fn drill(arguments: &[&str]) -> io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_drill")).args(arguments).env_remove("DATABASE_URL").output()
}

#[test]
fn help_succeeds_and_a_mistake_or_a_missing_database_fails() {
    let help = drill(&["--help"]).unwrap();
    assert!(help.status.success() && String::from_utf8_lossy(&help.stdout).contains("--seed"));
    for (arguments, reason) in [(&["--sead", "1"][..], "--sead"), (&[], "DATABASE_URL is missing")]
    {
        let failed = drill(arguments).unwrap();
        assert_eq!(failed.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&failed.stdout).contains(reason), "{failed:?}");
    }
}
