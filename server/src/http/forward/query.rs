//! The query of `/auth/forward`, in which a gateway states its requirements.

use domain::{
    decision::{DEMANDED_MAX, Demand},
    problem::ProblemCode,
};
use http::StatusCode;
use url::form_urlencoded;

use crate::problem::ApiError;

/// The requirements of a gateway.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) demand: Demand,
    /// The status for a token beyond its rate limit.
    pub(crate) rate_limited: StatusCode,
}

/// Parses the query. Refuses unknown parameters and parameters without a value: a misspelt check
/// must not become a check that always passes.
pub(crate) fn asked(query: &str) -> Result<Asked, ApiError> {
    let mut demand = Demand::default();
    let mut rate_limited = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let refuse = |why: &str| {
            ApiError::new(
                ProblemCode::MalformedRequest,
                format!("The query parameter {name} {why}."),
            )
        };
        match name.as_ref() {
            "audience" if demand.audience.is_none() => {
                demand.audience = Some(value.parse().map_err(|error| refuse(&format!("{error}")))?);
            }
            "workspace" if demand.workspace.is_none() => {
                demand.workspace =
                    Some(value.parse().map_err(|error| refuse(&format!("{error}")))?);
            }
            "scope" => {
                let before = demand.scopes.len();
                for scope in value.split_ascii_whitespace() {
                    if demand.scopes.len() == DEMANDED_MAX {
                        return Err(ApiError::new(
                            ProblemCode::MalformedRequest,
                            format!(
                                "The query parameter scope names more than {DEMANDED_MAX} scopes."
                            ),
                        ));
                    }
                    demand.scopes.push(scope.parse().map_err(|error| refuse(&format!("{error}")))?);
                }
                if demand.scopes.len() == before {
                    return Err(refuse("must not be empty"));
                }
            }
            "rate_limited" if rate_limited.is_none() => {
                rate_limited = Some(match value.as_ref() {
                    "403" => StatusCode::FORBIDDEN,
                    "429" => StatusCode::TOO_MANY_REQUESTS,
                    _ => return Err(refuse("must be 403 or 429")),
                });
            }
            "audience" | "workspace" | "rate_limited" => return Err(refuse("is given twice")),
            _ => {
                return Err(ApiError::new(
                    ProblemCode::MalformedRequest,
                    "The query contains a parameter other than audience, scope, workspace and \
                     rate_limited.",
                ));
            }
        }
    }
    let rate_limited = rate_limited.unwrap_or(StatusCode::TOO_MANY_REQUESTS);
    Ok(Asked { demand, rate_limited })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scopes(query: &str) -> Vec<String> {
        asked(query).unwrap().demand.scopes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn scopes_may_be_repeated_or_separated_by_spaces() {
        assert_eq!(scopes("scope=a&scope=b:c"), ["a", "b:c"]);
        assert_eq!(scopes("scope=a%20b%3Ac+d"), ["a", "b:c", "d"]);
        let Asked { demand, rate_limited } =
            asked("audience=default&workspace=child%40parent").unwrap();
        assert_eq!(rate_limited, 429);
        assert_eq!(asked("rate_limited=403").unwrap().rate_limited, 403);
        assert_eq!(asked("rate_limited=429").unwrap().rate_limited, 429);
        assert_eq!(demand.audience.unwrap().as_ref(), "default");
        assert_eq!(demand.workspace.unwrap().as_ref(), "child@parent");
        assert!(demand.scopes.is_empty());
    }

    #[test]
    fn unknown_and_invalid_parameters_are_refused() {
        for query in [
            "scope=",
            "scope=+",
            "scope",
            "audience=",
            "audience=A",
            "scope=A",
            "scopes=a",
            "x",
            "audience=a&audience=a",
            "workspace=",
            "scope=a%00",
            "scope=%FF",
            "rate_limited=",
            "rate_limited=200",
            "rate_limited=403&rate_limited=403",
        ] {
            let error = asked(query).unwrap_err();
            assert_eq!(error.problem().status, 400, "{query}");
        }
    }

    #[test]
    fn number_of_scopes_is_limited() {
        let query = |count: usize| format!("scope=a&scope={}", vec!["table://b"; count].join("+"));
        assert_eq!(scopes(&query(DEMANDED_MAX - 1)).len(), DEMANDED_MAX);
        let problem = asked(&query(DEMANDED_MAX)).unwrap_err().problem().clone();
        assert_eq!(problem.status, 400);
        assert!(problem.detail.contains("more than 64 scopes"), "{}", problem.detail);
    }

    proptest! {
        #[test]
        fn any_query_never_panics(query in any::<String>()) {
            let _ = asked(&query);
        }
    }
}
