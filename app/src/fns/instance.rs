//! What the instance's page shows.

use domain::replica::InstanceView;
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::problem::ConsoleError;

/// The instance as it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceState {
    /// The build, the database and the servers.
    pub view: InstanceView,
    /// The address under which people reach it.
    pub public_url: String,
}

/// What the instance's page shows. Who does not manage the instance does not learn that there is such
/// a page.
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
            Err(request::tell(Problem::new(ProblemCode::NotFound, "There is no such page.")))
        }
        Err(error) => Err(request::failed(&request, &error)),
    }
}
