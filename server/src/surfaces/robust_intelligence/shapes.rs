//! Robust Intelligence's JSON, as its SDK reads and writes it.

use authority::Facts;
use authority::MintedToken;
use domain::{ids::WorkspaceId, token::Token};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, IntoDeserializer as _},
};
use time::{OffsetDateTime, macros::datetime};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The only supported limit.
pub(super) const EXPIRATION: &str = "LICENSE_LIMIT_EXPIRATION";
/// The latest date that clients in every time zone can read.
const NEVER: OffsetDateTime = datetime!(9999-12-30 00:00 UTC);

/// An ID.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = UUID)]
pub(super) struct Id {
    uuid: Uuid,
}

/// An ID in a request. An empty ID means none, because protocol buffers do not distinguish the two.
#[derive(Deserialize, ToSchema)]
#[schema(as = UUIDReference)]
pub(super) struct IdBody {
    /// The ID.
    #[serde(default, deserialize_with = "uuid")]
    #[schema(value_type = Option<Uuid>)]
    pub(super) uuid: Option<Uuid>,
}

fn uuid<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Uuid>, D::Error> {
    match Option::<String>::deserialize(reader)?.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => {
            Uuid::try_parse(text).map(Some).map_err(|_| D::Error::custom("must be a UUID"))
        }
    }
}

/// Deserializes from a string, because all query values are strings.
fn kind<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<TokenKind>, D::Error> {
    let text = Option::<String>::deserialize(reader)?;
    text.map(|text| TokenKind::deserialize(text.into_deserializer())).transpose()
}

/// A whole number, or a string that contains one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
#[schema(value_type = i64)]
pub(super) struct Whole(pub(super) i64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(i64),
            Text(String),
        }
        let number = match Either::deserialize(reader) {
            Ok(Either::Number(number)) => Some(number),
            Ok(Either::Text(text)) => text.parse().ok(),
            Err(_) => None,
        };
        number.map(Self).ok_or_else(|| D::Error::custom("must be a whole number"))
    }
}

/// The kind of a token's owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[schema(as = TokenType)]
pub(super) enum TokenKind {
    /// A user's token.
    #[default]
    #[serde(rename = "TOKEN_TYPE_UNSPECIFIED")]
    Unspecified,
    /// A user's token.
    #[serde(rename = "TOKEN_TYPE_USER")]
    User,
    /// A token of an agent inside the cluster. Tessera has no such tokens.
    #[serde(rename = "TOKEN_TYPE_INTERNAL_AGENT")]
    InternalAgent,
    /// A token of an agent outside the cluster. Tessera has no such tokens.
    #[serde(rename = "TOKEN_TYPE_EXTERNAL_AGENT")]
    ExternalAgent,
    /// A firewall's token. Tessera has no such tokens.
    #[serde(rename = "TOKEN_TYPE_FIREWALL_AGENT")]
    FirewallAgent,
}

impl TokenKind {
    /// Reports whether the token belongs to an agent instead of a user.
    pub(super) const fn is_of_an_agent(self) -> bool {
        !matches!(self, Self::Unspecified | Self::User)
    }
}

/// A token to create. Only the name is required.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"name": "ci", "tokenType": "TOKEN_TYPE_USER", "expiryDays": 180}))]
pub(super) struct NewToken {
    /// The token's name.
    #[schema(min_length = 1, max_length = 128)]
    pub(super) name: String,
    /// The token's workspace; if absent, that of the calling token.
    #[serde(default)]
    pub(super) workspace_id: Option<IdBody>,
    /// `TOKEN_TYPE_USER`.
    #[serde(default)]
    pub(super) token_type: Option<TokenKind>,
    /// Not used: Tessera has no agents.
    #[serde(default)]
    pub(super) agent_id: Option<IdBody>,
    /// Days until the token expires; if absent or 0, the policy decides.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub(super) expiry_days: Option<Whole>,
}

/// The tokens to list.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// The workspace; if absent, that of the calling token.
    #[serde(rename = "workspaceId.uuid", default, deserialize_with = "uuid")]
    #[param(rename = "workspaceId.uuid", value_type = Option<Uuid>)]
    pub(super) workspace_id: Option<Uuid>,
    /// The maximum number of tokens per page; if absent, 100. A page never has more than 200.
    #[serde(rename = "pageSize", default)]
    #[param(rename = "pageSize", value_type = Option<i64>)]
    pub(super) page_size: Option<Whole>,
    /// `nextPageToken` of the previous page.
    #[serde(rename = "pageToken", default)]
    #[param(rename = "pageToken")]
    pub(super) page_token: Option<String>,
    /// Only tokens of this type.
    #[serde(rename = "firstPageQuery.tokenType", default, deserialize_with = "kind")]
    #[param(rename = "firstPageQuery.tokenType", value_type = Option<TokenKind>)]
    pub(super) token_type: Option<TokenKind>,
}

/// A new token.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CreateAPITokenResponse)]
pub(super) struct CreatedBody {
    /// The token's ID.
    id: Id,
    /// The token's text, which is shown only once.
    full_api_token: String,
}

impl From<MintedToken> for CreatedBody {
    fn from(minted: MintedToken) -> Self {
        let id = Id { uuid: minted.token.id.0 };
        Self { id, full_api_token: minted.secret.expose().to_owned() }
    }
}

/// A token without its text.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = APITokenInfo)]
pub(super) struct TokenInfo {
    /// The token's ID.
    id: Id,
    /// The token's name.
    name: String,
    /// The last four characters of the token's text.
    suffix: String,
    /// When the token was created.
    #[serde(with = "time::serde::rfc3339")]
    creation_time: OffsetDateTime,
    /// When the token expires; absent if it never does.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    expiration_time: Option<OffsetDateTime>,
    /// The token's workspace.
    workspace_id: Id,
    /// The user that the token acts as.
    user_id: String,
    /// `TOKEN_TYPE_USER`.
    token_type: TokenKind,
}

impl TokenInfo {
    /// Describes a token in this workspace.
    pub(super) fn of(token: Token, workspace: WorkspaceId) -> Self {
        let characters = token.hint.chars().count();
        Self {
            id: Id { uuid: token.id.0 },
            name: token.name,
            suffix: token.hint.chars().skip(characters.saturating_sub(4)).collect(),
            creation_time: token.created_at,
            expiration_time: token.expires_at,
            workspace_id: Id { uuid: workspace.0 },
            user_id: token.user.id.to_string(),
            token_type: TokenKind::User,
        }
    }
}

/// A page of tokens.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ListAPITokensResponse)]
pub(super) struct TokenListBody {
    /// The tokens.
    api_token_infos: Vec<TokenInfo>,
    /// The value of `pageToken` for the next page; empty on the last page.
    next_page_token: String,
    /// Whether there is a next page.
    has_more: bool,
}

impl TokenListBody {
    pub(super) fn new(api_token_infos: Vec<TokenInfo>, next: Option<String>) -> Self {
        let has_more = next.is_some();
        Self { api_token_infos, next_page_token: next.unwrap_or_default(), has_more }
    }
}

/// An empty body.
#[derive(Serialize, ToSchema)]
pub(super) struct Empty {}

/// The server's name and version.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = GetRIMEInfoResponse)]
pub(super) struct InfoBody {
    /// `Tessera` and its version, not a version of Robust Intelligence.
    cluster_info_version: String,
    /// The slug of the calling token's workspace.
    customer_name: String,
    /// The latest possible date, because there is no licence.
    #[serde(with = "time::serde::rfc3339")]
    expiration_time: OffsetDateTime,
    /// The same date.
    #[serde(with = "time::serde::rfc3339")]
    grace_period_end_time: OffsetDateTime,
}

impl InfoBody {
    /// Returns the response for the calling token.
    pub(super) fn to(facts: &Facts) -> Self {
        Self {
            cluster_info_version: concat!("Tessera ", env!("CARGO_PKG_VERSION")).to_owned(),
            customer_name: facts.surroundings.workspace.to_string(),
            expiration_time: NEVER,
            grace_period_end_time: NEVER,
        }
    }
}

/// A limit of a licence.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = GetLimitStatusResponse)]
pub(super) struct LimitBody {
    /// The limit and its status.
    limit_status: LimitDetail,
}

/// The status of a limit.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LimitDetail {
    /// The limit's name.
    limit: String,
    /// `STATUS_OK`.
    limit_status: String,
}

impl LimitBody {
    /// Returns the limit on expiry, which is never reached because there is no licence.
    pub(super) fn reached_never() -> Self {
        let (limit, limit_status) = (EXPIRATION.to_owned(), "STATUS_OK".to_owned());
        Self { limit_status: LimitDetail { limit, limit_status } }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn new(body: serde_json::Value) -> Result<NewToken, serde_json::Error> {
        serde_json::from_value(body)
    }

    #[test]
    fn only_the_name_is_required_and_unknown_fields_are_ignored() {
        let body = new(json!({"name": "ci", "else": [1]})).unwrap();
        assert!(body.workspace_id.is_none() && body.expiry_days.is_none());
        let body = new(json!({"name": "ci", "workspaceId": {"uuid": ""}, "expiryDays": "180"}));
        let body = body.unwrap();
        assert_eq!(body.workspace_id.unwrap().uuid, None);
        assert_eq!(body.expiry_days, Some(Whole(180)));
    }

    #[test]
    fn wrong_types_are_refused() {
        for body in [
            json!({}),
            json!({"name": 1}),
            json!({"name": "ci", "workspaceId": "x"}),
            json!({"name": "ci", "workspaceId": {"uuid": "x"}}),
            json!({"name": "ci", "tokenType": "TOKEN_TYPE_ROBOT"}),
            json!({"name": "ci", "expiryDays": 1.5}),
            json!({"name": "ci", "expiryDays": "soon"}),
            json!({"name": "ci", "expiryDays": true}),
        ] {
            assert!(new(body.clone()).is_err(), "{body}");
        }
    }

    proptest! {
        #[test]
        fn parsing_any_number_never_panics(text in any::<String>()) {
            let number = serde_json::from_value::<Whole>(json!(text));
            prop_assert_eq!(number.ok().map(|whole| whole.0), text.parse::<i64>().ok());
        }
    }
}
