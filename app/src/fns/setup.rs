//! The state of the instance's set-up.

use leptos::prelude::*;

use crate::problem::ConsoleError;

/// Returns whether this instance still waits for its set-up.
#[server(prefix = "/console/fn", endpoint = "setup/open", input = server_fn::codec::Json)]
pub async fn setup_is_open() -> Result<bool, ConsoleError> {
    use crate::request;

    let request = request::request();
    let context = request.context();
    request
        .authority
        .setup()
        .is_open(&context)
        .await
        .map_err(|error| request::failed(&request, &error))
}

/// Checks that this is the set-up link that the server printed. Fails with "not found" if it is
/// not, and after the set-up.
#[server(prefix = "/console/fn", endpoint = "setup/link", input = server_fn::codec::Json)]
pub async fn setup_link(secret: String) -> Result<(), ConsoleError> {
    use authority::secret::SetupSecret;

    use crate::request;

    request::link_was_not_refused()?;
    let request = request::request();
    let context = request.context();
    request
        .authority
        .setup()
        .check_link(&context, &SetupSecret::new(secret))
        .await
        .map_err(|error| request::failed(&request, &error))
}
