//! Robust Intelligence's JSON, as its SDK reads and writes it.

use authority::MintedToken;
use domain::{decision::Facts, ids::WorkspaceId, token::Token};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error as _, IntoDeserializer as _},
};
use time::{OffsetDateTime, macros::datetime};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The one limit that is asked for.
pub(super) const EXPIRATION: &str = "LICENSE_LIMIT_EXPIRATION";
/// As late as clients in every time zone can read.
const NEVER: OffsetDateTime = datetime!(9999-12-30 00:00 UTC);

/// An id.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = UUID)]
pub(super) struct Id {
    uuid: Uuid,
}

/// An id in a request: empty is none, as protocol buffers do not tell the two apart.
#[derive(Deserialize, ToSchema)]
#[schema(as = UUIDReference)]
pub(super) struct IdBody {
    /// The id.
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

/// A query has no values but texts.
fn kind<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<TokenKind>, D::Error> {
    let text = Option::<String>::deserialize(reader)?;
    text.map(|text| TokenKind::deserialize(text.into_deserializer())).transpose()
}

/// A whole number, or one as a text.
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

/// Whose a token is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[schema(as = TokenType)]
pub(super) enum TokenKind {
    /// A user's.
    #[default]
    #[serde(rename = "TOKEN_TYPE_UNSPECIFIED")]
    Unspecified,
    /// A user's.
    #[serde(rename = "TOKEN_TYPE_USER")]
    User,
    /// An agent's within the cluster. Tessera has none.
    #[serde(rename = "TOKEN_TYPE_INTERNAL_AGENT")]
    InternalAgent,
    /// An agent's outside of the cluster. Tessera has none.
    #[serde(rename = "TOKEN_TYPE_EXTERNAL_AGENT")]
    ExternalAgent,
    /// A firewall's. Tessera has none.
    #[serde(rename = "TOKEN_TYPE_FIREWALL_AGENT")]
    FirewallAgent,
}

impl TokenKind {
    /// Whether it is none of a user's.
    pub(super) const fn is_of_an_agent(self) -> bool {
        !matches!(self, Self::Unspecified | Self::User)
    }
}

/// What a new token shall be. Only the name is required.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"name": "ci", "tokenType": "TOKEN_TYPE_USER", "expiryDays": 180}))]
pub(super) struct NewToken {
    /// Its name.
    #[schema(min_length = 1, max_length = 128)]
    pub(super) name: String,
    /// The workspace that it belongs to; that of the token that asks when absent.
    #[serde(default)]
    pub(super) workspace_id: Option<IdBody>,
    /// `TOKEN_TYPE_USER`.
    #[serde(default)]
    pub(super) token_type: Option<TokenKind>,
    /// Not used: Tessera has no agents.
    #[serde(default)]
    pub(super) agent_id: Option<IdBody>,
    /// Days until it ends; when absent or 0, policy decides.
    #[serde(default)]
    #[schema(value_type = Option<i64>)]
    pub(super) expiry_days: Option<Whole>,
}

/// Which tokens, how many.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// The workspace; that of the token that asks when absent.
    #[serde(rename = "workspaceId.uuid", default, deserialize_with = "uuid")]
    #[param(rename = "workspaceId.uuid", value_type = Option<Uuid>)]
    pub(super) workspace_id: Option<Uuid>,
    /// Most tokens of a page, 100 when absent; a page never has more than 200.
    #[serde(rename = "pageSize", default)]
    #[param(rename = "pageSize", value_type = Option<i64>)]
    pub(super) page_size: Option<Whole>,
    /// `nextPageToken` of the page before.
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
    /// Its id.
    id: Id,
    /// Its text, this once.
    full_api_token: String,
}

impl From<MintedToken> for CreatedBody {
    fn from(minted: MintedToken) -> Self {
        let id = Id { uuid: minted.token.id.0 };
        Self { id, full_api_token: minted.secret.expose().to_owned() }
    }
}

/// A token. Never its text.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = APITokenInfo)]
pub(super) struct TokenInfo {
    /// Its id.
    id: Id,
    /// Its name.
    name: String,
    /// The last four characters of its text.
    suffix: String,
    /// When it was made.
    #[serde(with = "time::serde::rfc3339")]
    creation_time: OffsetDateTime,
    /// Its end; absent when it has none.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    expiration_time: Option<OffsetDateTime>,
    /// Its workspace.
    workspace_id: Id,
    /// The user that it acts as.
    user_id: String,
    /// `TOKEN_TYPE_USER`.
    token_type: TokenKind,
}

impl TokenInfo {
    /// Of a token in this workspace.
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
    /// What to send as `pageToken` for the next page; empty on the last one.
    next_page_token: String,
    /// Whether there is a next page.
    has_more: bool,
}

impl TokenListBody {
    /// A page.
    pub(super) fn new(api_token_infos: Vec<TokenInfo>, next: Option<String>) -> Self {
        let has_more = next.is_some();
        Self { api_token_infos, next_page_token: next.unwrap_or_default(), has_more }
    }
}

/// Nothing.
#[derive(Serialize, ToSchema)]
pub(super) struct Empty {}

/// What answers here.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = GetRIMEInfoResponse)]
pub(super) struct InfoBody {
    /// `Tessera` and its version: no version of Robust Intelligence's own.
    cluster_info_version: String,
    /// The slug of the workspace of the token that asks.
    customer_name: String,
    /// As late as can be: there is no licence.
    #[serde(with = "time::serde::rfc3339")]
    expiration_time: OffsetDateTime,
    /// The same.
    #[serde(with = "time::serde::rfc3339")]
    grace_period_end_time: OffsetDateTime,
}

impl InfoBody {
    /// For the token that asks.
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
    /// The limit.
    limit_status: LimitDetail,
}

/// The limit.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct LimitDetail {
    /// Which.
    limit: String,
    /// `STATUS_OK`.
    limit_status: String,
}

impl LimitBody {
    /// That of expiry: there is no licence that could end.
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
    fn name_alone_is_enough_and_what_is_not_known_is_ignored() {
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
        fn reading_any_number_never_panics(text in any::<String>()) {
            let number = serde_json::from_value::<Whole>(json!(text));
            prop_assert_eq!(number.ok().map(|whole| whole.0), text.parse::<i64>().ok());
        }
    }
}
