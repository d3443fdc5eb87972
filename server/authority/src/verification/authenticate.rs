//! A presented token as the caller's own credential at Tessera's API.

use domain::decision::{DecisionCode, Demand};

use super::{Decision, Verification};
use crate::{Actor, Holder, OpContext, ServiceError};

/// Why a credential is not accepted.
#[derive(Debug)]
pub enum Rejection {
    /// The token is not accepted, as this decision says.
    Refused(Decision),
    /// It could not be found out.
    Failed(ServiceError),
}

impl From<ServiceError> for Rejection {
    fn from(error: ServiceError) -> Self {
        Self::Failed(error)
    }
}

impl Verification<'_> {
    /// The actor that a presented token is. Its audience is not asked for here: every token may see
    /// itself, and everything else needs scopes of the audience `tessera`, which the services check.
    pub async fn authenticate(&self, ctx: &OpContext, presented: &str) -> Result<Actor, Rejection> {
        let demand = Demand { ip: ctx.client_ip, ..Demand::default() };
        // Only what is a token gets as far as a connection of its own: it does not wait behind strangers.
        let decision = Holder::default().scope(self.presented(ctx, presented, &demand)).await?;
        match decision {
            Decision { code: DecisionCode::Valid, facts: Some(facts), .. } => {
                Ok(Actor::Token(facts))
            }
            refused => Err(Rejection::Refused(refused)),
        }
    }
}
