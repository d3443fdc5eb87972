//! Whether this instance still waits for its set-up.

use leptos::prelude::*;

use crate::problem::ConsoleError;

/// Whether this instance still waits for its set-up.
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

/// Whether this is the set-up link that was printed: it fails as not found otherwise, and once
/// the instance is set up.
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
