//! `tessera admin create`: sets up an instance without a browser, and creates further
//! administrators.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
};

use authority::{NewAdmin, secret::Password};

use crate::{
    cli::{
        Failure,
        session::{self, Expect},
    },
    config::Config,
    output::remark,
};

/// The maximum number of bytes of a password. A longer file is the wrong file.
const LONGEST: u64 = 4096;

/// Arguments. They don't include the password, because other users can see a command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// E-mail address to sign in with
    #[arg(long)]
    email: String,
    // Not a documentation comment: rustdoc would read the brackets as a link.
    #[arg(long, help = "Name [default: the part of the address before the @]")]
    name: Option<String>,
    /// A file with the password on its first line [default: read from standard input or the
    /// terminal]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let password = password(arguments.password_file.as_deref())?;
    session::with(&config, Expect::Nothing, async |session| {
        let admin = NewAdmin { email: arguments.email, name: arguments.name, password };
        let user = session.authority.setup().create_admin(&session.context(), admin).await?;
        remark(&format!("Created administrator {} <{}>.", user.name, user.email));
        Ok(())
    })
    .await
}

/// Reads a password from a file or standard input, or asks for it twice on a terminal.
pub(in crate::cli) fn password(file: Option<&Path>) -> Result<Password, Failure> {
    if let Some(path) = file {
        let opened = fs::File::open(path).map_err(|error| {
            Failure::new(format_args!("cannot read {}: {error}", path.display()))
        })?;
        return first_line(opened);
    }
    if io::stdin().is_terminal() {
        let typed = rpassword::prompt_password("Password: ")?;
        let again = rpassword::prompt_password("Repeat password: ")?;
        if typed != again {
            return Err(Failure::new("the passwords do not match"));
        }
        return Ok(Password::new(typed));
    }
    first_line(io::stdin())
}

/// Reads the first line without its line ending, because editors and `echo` add one.
fn first_line(reader: impl io::Read) -> Result<Password, Failure> {
    let mut text = String::new();
    reader
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|error| Failure::new(format_args!("cannot read the password: {error}")))?;
    let line = text.split('\n').next().unwrap_or_default();
    let password = Password::new(line.strip_suffix('\r').unwrap_or(line).to_owned());
    if password.expose().is_empty() {
        return Err(Failure::new(
            "the password is missing: pass it on standard input or with --password-file",
        ));
    }
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_is_the_first_line_including_spaces() {
        let read =
            |text: &str| first_line(text.as_bytes()).map(|password| password.expose().to_owned());
        assert_eq!(read(" correct horse \r\nrest\n").unwrap(), " correct horse ");
        assert_eq!(read("x").unwrap(), "x");
        assert!(read("").is_err() && read("\n").is_err());
    }
}
