//! The OpenAPI 3.1 document, generated from the routes themselves: a route cannot be mounted
//! without a description.

use std::sync::OnceLock;

use axum::{Router, body::Bytes, response::IntoResponse, routing::get};
use http::header;
use utoipa::{
    OpenApi,
    openapi::{
        Components, SecurityRequirement,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use super::{forward, oauth, rest};
use crate::state::AppState;

pub(crate) const PATH: &str = "/api/openapi.json";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tessera",
        description = "Tessera issues API tokens and decides, on every request, whether a token may do what its bearer wants to do.\n\nSend a token as `Authorization: Bearer TOKEN`, `Token: TOKEN` or `rime-api-key: TOKEN`. Managing tokens requires a token for the audience `tessera`. Every error is a problem (RFC 9457) with a stable `code`. Times are RFC 3339 in UTC. Unknown fields are rejected.",
    ),
    paths(forward::forward),
    components(schemas(rest::schema::ProblemBody, oauth::ErrorBody)),
    tags(
        (name = "Tokens", description = "Create, list, show, change, rotate and delete tokens."),
        (name = "Verification", description = "Check whether a token may do something."),
        (name = "OAuth", description = "The same for OAuth clients: introspection (RFC 7662) and revocation (RFC 7009). Requests are forms, and errors follow RFC 6749 section 5.2."),
        (name = "Workspaces", description = "The workspaces that tokens belong to."),
        (name = "Members", description = "The members of a workspace, and the scopes that they may put on tokens."),
        (name = "Invitations", description = "Your invitations to workspaces. For signed-in people; a token cannot accept an invitation."),
        (name = "Users", description = "The people and service accounts of the instance. Administrators of the instance manage them, signed in or on the command line; a token reaches only its own workspace."),
        (name = "Account", description = "Your own account. For signed-in people."),
        (name = "Sessions", description = "The sessions of signed-in people."),
        (name = "Policies", description = "The rules for tokens, of the instance and of each workspace, and presets that set all rules in one step."),
        (name = "Audiences", description = "The APIs that tokens can be created for."),
        (name = "Instance", description = "The database, and the running servers with their leases. For signed-in administrators of the instance."),
        (name = "Audit", description = "The audit log: who changed what, when and from where."),
    ),
)]
struct Document;

/// Returns the document.
pub(crate) fn document() -> utoipa::openapi::OpenApi {
    let (_, mut document): (Router<AppState>, _) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(rest::managing())
        .merge(rest::asking())
        .merge(oauth::operations())
        .split_for_parts();
    let components = document.components.get_or_insert_with(Components::new);
    components.responses.extend(
        rest::reusable_responses().into_iter().map(|(name, response)| (name, response.into())),
    );
    for (name, scheme) in security_schemes() {
        components.add_security_scheme(name, scheme);
    }
    components.add_security_scheme("basic", basic());
    document.security = Some(
        security_schemes()
            .iter()
            .map(|(name, _)| SecurityRequirement::new::<_, [String; 0], String>(*name, []))
            .collect(),
    );
    document
}

/// Returns a document as text, as it is served.
fn json(document: &utoipa::openapi::OpenApi) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(document)
}

/// Returns the route of the document.
pub(crate) fn router() -> Router<AppState> {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let own = async || serve(TEXT.get_or_init(|| text(&document())).clone());
    Router::new().route(PATH, get(own))
}

/// Returns a document as it is served.
pub(crate) fn text(document: &utoipa::openapi::OpenApi) -> Bytes {
    // The document has only text as map keys: serializing it cannot fail.
    json(document).unwrap_or_default().into()
}

/// Returns the response with a document.
pub(crate) fn serve(text: Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")], text)
}

/// Returns the security scheme that only the OAuth routes accept.
fn basic() -> SecurityScheme {
    SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Basic)
            .description(Some("Any name, and a token as the password (RFC 7617)"))
            .build(),
    )
}

pub(crate) fn security_schemes() -> [(&'static str, SecurityScheme); 3] {
    let header = |name: &str, description: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, description)))
    };
    [
        (
            "bearer",
            SecurityScheme::Http(
                HttpBuilder::new()
                    .scheme(HttpAuthScheme::Bearer)
                    .description(Some("`Authorization: Bearer TOKEN` (RFC 6750)"))
                    .build(),
            ),
        ),
        ("token", header("Token", "Only the token")),
        ("rime-api-key", header("rime-api-key", "Only the token")),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn document_json() -> Value {
        serde_json::from_str(&json(&document()).unwrap()).unwrap()
    }

    #[test]
    fn document_is_openapi_3_1_and_lists_every_operation() {
        let document = document_json();
        assert_eq!(document["openapi"], "3.1.0");
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                operations.push(format!("{method} {path} {}", operation["operationId"]));
            }
        }
        operations.sort();
        insta::assert_snapshot!(operations.join("\n"), @r#"
        delete /api/v1/audiences/{slug} "deleteAudience"
        delete /api/v1/audiences/{slug}/scopes/{name} "deleteScope"
        delete /api/v1/self "deleteSelf"
        delete /api/v1/sessions "endSessions"
        delete /api/v1/sessions/{id} "endSession"
        delete /api/v1/tokens/{id} "deleteToken"
        delete /api/v1/tokens/{id}/grace "endGrace"
        delete /api/v1/users/{id} "removeUser"
        delete /api/v1/workspaces/{ws}/invitations/{id} "revokeInvitation"
        delete /api/v1/workspaces/{ws}/members/{user} "removeMember"
        get /api/v1/account "showAccount"
        get /api/v1/audiences "listAudiences"
        get /api/v1/audiences/{slug} "showAudience"
        get /api/v1/audiences/{slug}/scopes "listScopes"
        get /api/v1/audit "listAudit"
        get /api/v1/instance "showInstance"
        get /api/v1/invitations "listOwnInvitations"
        get /api/v1/policy "showInstancePolicy"
        get /api/v1/self "showSelf"
        get /api/v1/sessions "listSessions"
        get /api/v1/sessions/{id} "showSession"
        get /api/v1/tokens/{id} "showToken"
        get /api/v1/tokens/{id}/usage "showTokenUsage"
        get /api/v1/users "listUsers"
        get /api/v1/users/{id} "showUser"
        get /api/v1/workspaces "listWorkspaces"
        get /api/v1/workspaces/{ws} "showWorkspace"
        get /api/v1/workspaces/{ws}/audit "listWorkspaceAudit"
        get /api/v1/workspaces/{ws}/invitations "listInvitations"
        get /api/v1/workspaces/{ws}/members "listMembers"
        get /api/v1/workspaces/{ws}/members/{user} "showMember"
        get /api/v1/workspaces/{ws}/policy "showPolicy"
        get /api/v1/workspaces/{ws}/tokens "listTokens"
        get /api/v1/workspaces/{ws}/tokens/export "exportTokens"
        get /auth/forward "forward"
        patch /api/v1/audiences/{slug} "changeAudience"
        patch /api/v1/audiences/{slug}/scopes/{name} "changeScope"
        patch /api/v1/tokens/{id} "updateToken"
        patch /api/v1/users/{id} "changeUser"
        patch /api/v1/workspaces/{ws} "changeWorkspace"
        patch /api/v1/workspaces/{ws}/members/{user} "changeMember"
        post /api/v1/account/password "changePassword"
        post /api/v1/audiences "createAudience"
        post /api/v1/audiences/{slug}/scopes "addScope"
        post /api/v1/audiences/{slug}/scopes/{name}/retire "retireScope"
        post /api/v1/audiences/{slug}/scopes/{name}/unretire "unretireScope"
        post /api/v1/invitations/{id}/accept "acceptInvitation"
        post /api/v1/invitations/{id}/decline "declineInvitation"
        post /api/v1/policy/preset "applyInstancePreset"
        post /api/v1/policy/preview "previewInstancePolicy"
        post /api/v1/self/rotate "rotateSelf"
        post /api/v1/tokens/{id}/clone "cloneToken"
        post /api/v1/tokens/{id}/disable "disableToken"
        post /api/v1/tokens/{id}/enable "enableToken"
        post /api/v1/tokens/{id}/expire "expireToken"
        post /api/v1/tokens/{id}/reveal "revealToken"
        post /api/v1/tokens/{id}/rotate "rotateToken"
        post /api/v1/users "createUser"
        post /api/v1/users/{id}/password-reset "resetPassword"
        post /api/v1/verify "verify"
        post /api/v1/verify/batch "verifyMany"
        post /api/v1/workspaces "createWorkspace"
        post /api/v1/workspaces/{ws}/members "addMember"
        post /api/v1/workspaces/{ws}/policy/preset "applyPreset"
        post /api/v1/workspaces/{ws}/policy/preview "previewPolicy"
        post /api/v1/workspaces/{ws}/tokens "createToken"
        post /api/v1/workspaces/{ws}/tokens/bulk "bulkTokens"
        post /api/v1/workspaces/{ws}/tokens/import "importTokens"
        post /oauth2/introspect "introspect"
        post /oauth2/revoke "revoke"
        put /api/v1/audiences/{slug}/catalogue "loadCatalogue"
        put /api/v1/policy "changeInstancePolicy"
        put /api/v1/workspaces/{ws}/policy "changePolicy"
        "#);
    }

    #[test]
    fn every_reference_resolves() {
        let document = document_json();
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(references.len() > 20);
        for reference in references {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference} is missing");
        }
    }

    #[test]
    fn every_operation_has_a_tag_a_summary_and_errors() {
        let document = document_json();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = format!("{method} {path}");
                assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{name}");
                assert!(operation["summary"].is_string(), "{name}");
                assert!(operation["description"].is_string(), "{name}");
                for status in ["401", "403", "503"] {
                    assert!(!operation["responses"][status].is_null(), "{name} {status}");
                }
            }
        }
    }

    #[test]
    fn schemas_have_public_names() {
        let document = document_json();
        let names: Vec<_> =
            document["components"]["schemas"].as_object().unwrap().keys().cloned().collect();
        assert!(names.iter().all(|name| !name.ends_with("Body")), "{names:?}");
        for name in ["Token", "NewToken", "CreatedToken", "Problem", "Verification", "Audience"] {
            assert!(names.iter().any(|known| known == name), "{name} in {names:?}");
        }
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    references.push(reference.clone());
                }
                object.values().for_each(|value| collect(value, references));
            }
            Value::Array(array) => array.iter().for_each(|value| collect(value, references)),
            _ => {}
        }
    }
}
