//! What was just done, for the page that a form led to.

use leptos::prelude::*;

use crate::{notice::Notice, problem::ConsoleError};

/// What was just done: only the page that the server renders next knows it.
#[server(prefix = "/console/fn", endpoint = "notice", input = server_fn::codec::Json)]
pub async fn load_notice() -> Result<Option<Notice>, ConsoleError> {
    Ok(use_context::<Notice>())
}
