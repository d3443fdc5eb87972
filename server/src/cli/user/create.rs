//! `tessera user create`: prints the new user's ID, or with `--link` only the link.

use std::path::PathBuf;

use authority::NewUser;
use domain::{
    roles::{InstanceRole, UserKind},
    user::User,
};
use serde::Serialize;

use crate::{
    cli::{
        Failure, admin,
        session::{self, Expect},
    },
    config::Config,
    http::password_link,
    output::{self, remark},
};

/// Arguments. They don't include the password, because other users can see a command line.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// E-mail address
    #[arg(long)]
    email: String,
    // Not a documentation comment: rustdoc would read the brackets as a link.
    #[arg(long, help = "Name [default: the part of the address before the @]")]
    name: Option<String>,
    /// Role on the whole instance: owner, admin, auditor or member
    #[arg(long, default_value = "member")]
    role: InstanceRole,
    /// Create a service account, which never signs in
    #[arg(long, conflicts_with = "password_file")]
    service: bool,
    /// Let the person choose a password with a one-time link, and print the link
    #[arg(long, conflicts_with_all = ["password_file", "service"])]
    link: bool,
    /// A file with the password on its first line [default: read from standard input or the
    /// terminal]; the person must change the password at the first sign-in
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The new user as JSON.
#[derive(Serialize)]
struct Created<'a> {
    #[serde(flatten)]
    user: &'a User,
    #[serde(skip_serializing_if = "Option::is_none")]
    password_link: Option<&'a str>,
}

pub(super) async fn run(arguments: Args, config: Config) -> Result<(), Failure> {
    let (kind, password) = if arguments.service {
        (UserKind::Service, None)
    } else if arguments.link {
        (UserKind::Person, None)
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
        let (users, context) = (session.authority.users(), session.context());
        let (user, link) = if arguments.link {
            let (user, link) = users.create_with_link(&context, new).await?;
            (user, Some(password_link(&link, &config)))
        } else {
            (users.create(&context, new).await?, None)
        };
        let created = Created { user: &user, password_link: link.as_deref() };
        match &link {
            _ if arguments.json => output::json(&created)?,
            Some(link) => output::line(link)?,
            None => output::line(&user.summary.id.to_string())?,
        }
        remark(&format!("Created {} <{}>.", user.summary.name, user.summary.email));
        match (user.kind, &link) {
            (UserKind::Service, _) => {}
            (_, Some(_)) => {
                remark("The link lets them choose a password. It works once, within 24 hours.");
            }
            (_, None) => remark("They must change the password when they first sign in."),
        }
        Ok(())
    })
    .await
}
