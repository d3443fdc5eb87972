//! The invitations of the person who is signed in.

use domain::workspace::Invitation;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::problem::ConsoleError;

/// The invitations of the person who is signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnInvitations {
    /// Those that can be accepted, the newest first.
    pub invitations: Vec<Invitation>,
    /// The server's clock.
    #[serde(with = "time::serde::rfc3339")]
    pub now: OffsetDateTime,
}

/// The invitations of the person who is signed in.
#[server(prefix = "/console/fn", endpoint = "invitations", input = server_fn::codec::Json)]
pub async fn load_invitations() -> Result<OwnInvitations, ConsoleError> {
    use crate::request;

    let (request, context) = request::signed_in()?;
    let invitations = request
        .authority
        .invitations()
        .own(&context)
        .await
        .map_err(|error| request::failed(&request, &error))?;
    Ok(OwnInvitations { invitations, now: context.now })
}
