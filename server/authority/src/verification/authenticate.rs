//! Authenticates a caller of Tessera's API by the token that it presents.

use domain::decision::{DecisionCode, Demand};

use super::{Decision, Verification};
use crate::{Actor, Holder, OpContext, ServiceError};

/// Why a credential is not accepted.
#[derive(Debug)]
pub enum Rejection {
    /// The token is not accepted, as this decision says.
    Refused(Decision),
    /// The lookup failed.
    Failed(ServiceError),
}

impl From<ServiceError> for Rejection {
    fn from(error: ServiceError) -> Self {
        Self::Failed(error)
    }
}

impl Verification<'_> {
    /// Returns the actor that a presented token stands for. The audience is not checked here: every
    /// token may see itself, and everything else needs scopes of the audience `tessera`, which the
    /// services check.
    #[tracing::instrument(skip_all, fields(
        noun = "verification", verb = "authenticate",
        actor = %ctx.actor, request_id = ctx.request_id,
    ))]
    pub async fn authenticate(&self, ctx: &OpContext, presented: &str) -> Result<Actor, Rejection> {
        let demand = Demand { ip: ctx.client_ip, ..Demand::default() };
        // Only a valid token gets its own share of the connections, so that it does not wait behind
        // unauthenticated callers.
        let decision = Holder::default().scope(self.presented(ctx, presented, &demand)).await?;
        match decision {
            Decision { code: DecisionCode::Valid, facts: Some(facts), .. } => {
                Ok(Actor::Token(facts))
            }
            refused => Err(Rejection::Refused(refused)),
        }
    }
}
