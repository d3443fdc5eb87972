//! Surfaces: other products' APIs for clients that were written for them. Each product has one
//! adapter over the same services.
//!
//! An adapter only reads and writes that product's request and response formats: the service
//! decides what the caller may do, and the policy decides the properties of a token. Handlers
//! return errors like any other [`ApiError`]; [`speak`] converts them to the product's own
//! envelope, including errors of the layers in between (a body that is too large, an unsupported
//! method, a panic).
//!
//! To add a product, add a file with its routes and its envelope, a variant of [`Dialect`], one of
//! [`authority::Surface`], and a fixture of every format in `tests/`.
//!
//! [`ApiError`]: crate::problem::ApiError

mod caller;
mod devo;
mod kriten;
mod robust_intelligence;
mod words;

use authority::Surface;
use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn, from_fn_with_state},
    response::Response,
    routing::get,
};
use http::{HeaderName, HeaderValue};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::{
    OpenApi as _,
    openapi::{OpenApi, SecurityRequirement},
};
use utoipa_axum::router::OpenApiRouter;

use crate::{
    dialect::Dialect,
    http::{answer, body, holders, log, openapi, refusals},
    limits::{rate, strangers},
    problem::{self, Envelope},
    request::id::RequestId,
    state::AppState,
};

impl Dialect {
    /// Returns its OpenAPI 3.1 description.
    pub(crate) fn document(self) -> OpenApi {
        let head = match self {
            Self::Devo => devo::Document::openapi(),
            Self::Kriten => kriten::Document::openapi(),
            Self::RobustIntelligence => robust_intelligence::Document::openapi(),
        };
        let (_, mut document) =
            OpenApiRouter::with_openapi(head).merge(self.routes()).split_for_parts();
        let schemes = openapi::security_schemes();
        document.security = Some(
            schemes
                .iter()
                .map(|(name, _)| SecurityRequirement::new::<_, [String; 0], String>(*name, []))
                .collect(),
        );
        let components = document.components.get_or_insert_default();
        for (name, scheme) in schemes {
            components.add_security_scheme(name, scheme);
        }
        document
    }

    /// Returns its operations.
    fn routes(self) -> OpenApiRouter<AppState> {
        match self {
            Self::Devo => devo::routes(),
            Self::Kriten => kriten::routes(),
            Self::RobustIntelligence => robust_intelligence::routes(),
        }
    }

    /// Returns the paths that belong to it, whether or not it has an operation there.
    const fn area(self) -> &'static [&'static str] {
        match self {
            Self::Devo => &["/ws/{*rest}"],
            Self::Kriten => &["/api/v1/api_tokens/", "/api/v1/api_tokens/{id}/{*rest}"],
            Self::RobustIntelligence => &["/v1/{*rest}"],
        }
    }

    /// Returns the header of its responses that contains the request ID, in addition to Tessera's
    /// own.
    const fn request_id_header(self) -> Option<HeaderName> {
        match self {
            Self::Devo => Some(HeaderName::from_static("x-devo-cid")),
            Self::Kriten | Self::RobustIntelligence => None,
        }
    }

    /// Returns its name in audit rows.
    const fn surface(self) -> Surface {
        match self {
            Self::Devo => Surface::Devo,
            Self::Kriten => Surface::Kriten,
            Self::RobustIntelligence => Surface::RobustIntelligence,
        }
    }

    /// Returns the function that formats its errors.
    const fn envelope(self) -> Envelope {
        match self {
            Self::Devo => devo::envelope,
            Self::Kriten => kriten::envelope,
            Self::RobustIntelligence => robust_intelligence::envelope,
        }
    }
}

/// Returns the router of the enabled surfaces. The paths of a disabled surface return 404.
pub(crate) fn router(state: &AppState) -> Router<AppState> {
    state.config.surfaces.iter().fold(Router::new(), |router, dialect| {
        let (routes, _) = dialect.routes().split_for_parts();
        let routes = dialect
            .area()
            .iter()
            .fold(routes, |routes, path| routes.route(path, axum::routing::any(problem::not_found)))
            .method_not_allowed_fallback(problem::method_not_allowed);
        let dialect = *dialect;
        router.merge(
            routes
                .layer(from_fn_with_state(state.clone(), body::receive))
                .layer(from_fn_with_state(state.clone(), rate::count))
                .layer(from_fn_with_state((state.clone(), dialect.surface()), refusals::record))
                .layer(from_fn_with_state(state.clone(), holders::hold))
                .layer(from_fn_with_state(state.clone(), strangers::count))
                .layer(log::layer())
                .layer(CatchPanicLayer::custom(answer::panicked))
                .layer(from_fn(move |request, next| speak(dialect, request, next))),
        )
    })
}

/// Returns the routes of the documents of the enabled surfaces.
pub(crate) fn documents(enabled: &[Dialect]) -> Router<AppState> {
    enabled.iter().fold(Router::new(), |router, dialect| {
        let text = openapi::text(&dialect.document());
        router.route(&dialect.document_path(), get(async move || openapi::serve(text)))
    })
}

/// Makes errors use the dialect's envelope, and adds the request ID to every response in the
/// dialect's header.
async fn speak(dialect: Dialect, request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().map(|id| HeaderValue::try_from(id.as_str()));
    let mut response = next.run(request).await;
    response.extensions_mut().insert(dialect.envelope());
    if let (Some(name), Some(Ok(id))) = (dialect.request_id_header(), id) {
        response.headers_mut().insert(name, id);
    }
    response
}
