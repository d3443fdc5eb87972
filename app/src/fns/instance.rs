//! The data of the instance page.

use domain::replica::InstanceView;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::problem::ConsoleError;

/// The state of the running instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceState {
    /// The build, the database and the servers.
    pub view: InstanceView,
    /// The public URL of the instance.
    pub public_url: String,
}

/// Returns the data of the instance page. Callers who don't manage the instance get "not found", so
/// that they don't learn that the page exists.
#[server(prefix = "/console/fn", endpoint = "instance", input = server_fn::codec::Json)]
pub async fn load_instance() -> Result<InstanceState, ConsoleError> {
    use authority::ServiceError;
    use domain::problem::{Problem, ProblemCode};

    use crate::request;

    let (request, context) = request::signed_in()?;
    match request.authority.replicas().list(&context).await {
        Ok(view) => Ok(InstanceState { view, public_url: request.public_url.to_string() }),
        Err(error @ ServiceError::Forbidden(_)) => {
            request.refusal.note(error.code());
            Err(request::tell(Problem::new(ProblemCode::NotFound, "Page not found.")))
        }
        Err(error) => Err(request::failed(&request, &error)),
    }
}
