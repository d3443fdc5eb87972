//! A token's status: text, icon and colour.

use domain::token::{Token, TokenState};
use leptos::prelude::*;
use time::{Duration, OffsetDateTime};

use crate::components::{
    icon::{Glyph, Icon},
    moment,
};

/// The time before its expiry from which a token's status warns about it.
const EXPIRING: Duration = Duration::days(14);

/// The status of a token at this moment.
#[component]
pub fn TokenStatus(
    /// The token.
    token: Token,
    /// The server's clock.
    now: OffsetDateTime,
) -> impl IntoView {
    let (class, glyph) = match (token.state, ends_soon(&token, now)) {
        (TokenState::Active, _) if token.grace_until.is_some() => {
            ("status status-rotating", Glyph::Rotate)
        }
        (TokenState::Active, true) => ("status status-expiring", Glyph::Warning),
        (TokenState::Active, false) => ("status status-active", Glyph::Active),
        (TokenState::Disabled, _) => ("status status-disabled", Glyph::Pause),
        (TokenState::Expired, _) => ("status status-expired", Glyph::Expired),
        (TokenState::Scheduled, _) => ("status status-scheduled", Glyph::Calendar),
    };
    view! { <span class=class><Icon glyph=glyph/>{text(&token, now)}</span> }
}

/// Returns the status in words.
fn text(token: &Token, now: OffsetDateTime) -> String {
    if let (TokenState::Active, Some(_)) = (token.state, token.grace_until) {
        return "Rotating".to_owned();
    }
    match (token.state, token.expires_at) {
        (TokenState::Active, Some(end)) if ends_soon(token, now) => {
            format!("Expiring {}", moment::relative(end, now))
        }
        (state, _) => label(state).to_owned(),
    }
}

/// Returns a state's display name.
pub(super) const fn label(state: TokenState) -> &'static str {
    match state {
        TokenState::Active => "Active",
        TokenState::Disabled => "Disabled",
        TokenState::Expired => "Expired",
        TokenState::Scheduled => "Scheduled",
    }
}

fn ends_soon(token: &Token, now: OffsetDateTime) -> bool {
    token.expires_at.is_some_and(|end| end - now < EXPIRING)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::pages::tokens::tests::token;

    const NOW: OffsetDateTime = datetime!(2026-11-22 02:46 UTC);

    #[test]
    fn active_token_says_when_it_expires_soon() {
        for (expires_at, expected) in [
            (None, "Active"),
            (Some(NOW + Duration::days(14)), "Active"),
            (Some(NOW + Duration::days(6)), "Expiring in 6 days"),
            (Some(NOW + Duration::minutes(5)), "Expiring in 5 minutes"),
        ] {
            assert_eq!(text(&Token { expires_at, ..token("ci") }, NOW), expected);
        }
    }

    #[test]
    fn active_token_with_two_secrets_is_rotating() {
        let two = Token { grace_until: Some(NOW), ..token("ci") };
        assert_eq!(text(&two, NOW), "Rotating");
        let expired = Token { state: TokenState::Expired, ..two };
        assert_eq!(text(&expired, NOW), "Expired");
    }

    #[test]
    fn disabled_token_that_expires_soon_is_shown_as_disabled() {
        let token = Token {
            state: TokenState::Disabled,
            expires_at: Some(NOW + Duration::days(1)),
            ..token("ci")
        };
        assert_eq!(text(&token, NOW), "Disabled");
    }
}
