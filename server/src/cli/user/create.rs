//! `tessera user create`: prints the new user's id.

use std::path::PathBuf;

use authority::NewUser;
use domain::roles::{InstanceRole, UserKind};

use super::super::{
    Failure, admin,
    output::{self, remark},
    session::{self, Expect},
};
use crate::config::Config;

/// Arguments. The password is none of them: other users can see a command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its e-mail address
    #[arg(long)]
    email: String,
    /// Its name [default: the part of the address before the @]
    #[arg(long)]
    name: Option<String>,
    /// What it is on the whole instance: owner, admin, auditor or member
    #[arg(long, default_value = "member")]
    role: InstanceRole,
    /// Make a service account, which never signs in
    #[arg(long, conflicts_with = "password_file")]
    service: bool,
    /// A file with the password on its first line [default: standard input, or asked for]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let (kind, password) = if arguments.service {
        (UserKind::Service, None)
    } else {
        (UserKind::Person, Some(admin::password(arguments.password_file.as_deref())?))
    };
    session::with(&config, Expect::Existing, async |session| {
        let new = NewUser {
            kind,
            email: arguments.email,
            name: arguments.name,
            instance_role: arguments.role,
            password,
        };
        let user = session.authority.users().create(&session.context(), new).await?;
        if arguments.json {
            output::json(&user)?;
        } else {
            output::line(&user.summary.id.to_string())?;
        }
        remark(&format!("Created {} <{}>.", user.summary.name, user.summary.email));
        Ok(())
    })
    .await
}
