//! The message about the last action, for the page that a form leads to.

use leptos::prelude::*;

use crate::{notice::Notice, problem::ConsoleError};

/// Returns the message about the last action. Only the next page that the server renders has it.
#[server(prefix = "/console/fn", endpoint = "notice", input = server_fn::codec::Json)]
pub async fn load_notice() -> Result<Option<Notice>, ConsoleError> {
    Ok(use_context::<Notice>())
}
