//! Checks about people: passwords and addresses from version 0.1, and tokens that act as
//! administrators and whose secrets other people may know.

use authority::{AddressConflict, Authority, DoubtfulPassword, ExposedToken, PasswordDoubt};

use super::Finding;
use crate::{database::describe, runtime};

/// Reports passwords that other people may know, one line per user who needs a new link.
pub(super) async fn passwords(authority: &Authority) -> Vec<Finding> {
    const CHECK: &str = "passwords";
    let found = match authority.users().doubtful_passwords(&runtime::operator(authority)).await {
        Ok(found) => found,
        Err(error) => return vec![Finding::fail(CHECK, describe(&error))],
    };
    let given = found.iter().filter(|one| one.doubt == PasswordDoubt::Given).count();
    let mut findings: Vec<Finding> = found.iter().filter_map(|one| doubt(CHECK, one)).collect();
    let former: Vec<&str> = found
        .iter()
        .filter(|one| one.doubt == PasswordDoubt::OfMember)
        .map(|one| one.email.as_str())
        .collect();
    if !former.is_empty() {
        let detail = format!(
            "{}: an administrator who set this password, or created its link, has lost the right \
             to do so but may still know it; run tessera user reset-password EMAIL for each user",
            former.join(", ")
        );
        findings.push(Finding::warn(CHECK, detail));
    }
    if given > 0 {
        let detail =
            format!("{given} set by someone else; the users must change them at the next sign-in");
        findings.push(Finding::ok(CHECK, detail));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(CHECK, "all were chosen by their users"));
    }
    findings
}

fn doubt(check: &'static str, one: &DoubtfulPassword) -> Option<Finding> {
    let DoubtfulPassword { email, doubt } = one;
    let why = match doubt {
        PasswordDoubt::Given | PasswordDoubt::OfMember => return None,
        PasswordDoubt::OfManager => {
            "manages the instance, and an administrator who set this password, or created its \
             link, has lost the right to do so but may still know it"
        }
        PasswordDoubt::Unknown => "the audit log does not show who set the password",
        PasswordDoubt::Ended => {
            "the administrator who set the password has lost the right to do so, so it is not \
             accepted"
        }
    };
    let detail = format!("{email}: {why}; run tessera user reset-password {email}");
    Some(Finding::warn(check, detail))
}

/// Reports addresses of version 0.1 that look the same, one line for each but the first.
pub(super) async fn addresses(authority: &Authority) -> Vec<Finding> {
    const CHECK: &str = "addresses";
    match authority.users().address_conflicts(&runtime::operator(authority)).await {
        Ok(found) if found.is_empty() => vec![Finding::ok(CHECK, "no two look alike")],
        Ok(found) => {
            let line = |conflict: AddressConflict| {
                let AddressConflict { user, email, other } = conflict;
                let detail = format!(
                    "{} of user {user} looks like the address of user {other}: only its exact \
                     spelling finds the first user; create a new user for one of them and remove \
                     the old one by its ID",
                    email.escape_default()
                );
                Finding::warn(CHECK, detail)
            };
            found.into_iter().map(line).collect()
        }
        Err(error) => vec![Finding::fail(CHECK, describe(&error))],
    }
}

/// Reports tokens that act as administrators and whose secrets other people may know, one per line.
pub(super) async fn exposed_tokens(authority: &Authority) -> Vec<Finding> {
    const CHECK: &str = "token secrets";
    match authority.tokens().exposed(&runtime::operator(authority)).await {
        Ok(found) if found.is_empty() => {
            vec![Finding::ok(CHECK, "only administrators know those of administrators' tokens")]
        }
        Ok(found) => {
            let line = |exposed: ExposedToken| {
                let ExposedToken { token, name, workspace, user, holders, enabled, .. } = exposed;
                let state = if enabled { "" } else { " is disabled and" };
                let detail = format!(
                    "token {name} ({token}) in {workspace}{state} acts as {user}, who manages the \
                     instance, and other users may know its secret: {}; rotate it and revoke its \
                     old secrets, or delete it",
                    holders.join(", ")
                );
                Finding::warn(CHECK, detail)
            };
            found.into_iter().map(line).collect()
        }
        Err(error) => vec![Finding::fail(CHECK, describe(&error))],
    }
}
