//! The console's static files as `frontend/bundler` wrote them to `target/site`: style sheet,
//! scripts, WebAssembly, favicon. A release binary embeds them; a debug binary reads them from the
//! folder.
//!
//! Invariants:
//! - The bundler creates the compressed forms of each file. The server compresses nothing.
//! - The content behind a hashed name never changes, so browsers cache it forever. Browsers
//!   revalidate all other files and get 304 while the content is the same.
//!
//! To add a file, put it into `public/`. It is served under its own name.

mod encoding;

use axum::{
    Router,
    body::Body,
    extract::Path,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use domain::problem::ProblemCode;
use rust_embed::{EmbeddedFile, RustEmbed};
use serde::Deserialize;

use self::encoding::Encoding;
use crate::problem::{self, ApiError};

/// The number of digits in the hash of a hashed name, as the bundler writes them.
const HASH_DIGITS: usize = 16;

#[derive(RustEmbed)]
#[folder = "../target/site"]
struct Site;

/// Returns the URL paths of the console's files, or `None` if the site was not built.
pub(crate) fn manifest() -> Option<app::assets::Assets> {
    manifest_of::<Site>()
}

/// Returns the router for `GET` and `HEAD` of `/assets/…` and of everything in `public/`.
pub(crate) fn router() -> Router {
    routes::<Site>()
}

/// The content of `manifest.json`.
#[derive(Deserialize)]
struct Manifest {
    css: String,
    js: String,
    wasm: String,
    loader: String,
}

fn manifest_of<Files: RustEmbed>() -> Option<app::assets::Assets> {
    let file = Files::get("manifest.json")?;
    let Manifest { css, js, wasm, loader } = serde_json::from_slice(&file.data).ok()?;
    Some(app::assets::Assets {
        css: css.into(),
        js: js.into(),
        wasm: wasm.into(),
        loader: loader.into(),
    })
}

fn routes<Files: RustEmbed + 'static>() -> Router {
    let hashed = get(|Path(path): Path<String>, headers: HeaderMap| async move {
        answer::<Files>(&format!("assets/{path}"), &headers)
    });
    let mut router = Router::new().route("/assets/{*path}", hashed);
    for path in Files::iter().filter(|path| is_public(path) && !path.starts_with("assets/")) {
        let address = format!("/{path}");
        let file = get(async move |headers: HeaderMap| answer::<Files>(&path, &headers));
        router = router.route(&address, file);
    }
    router.method_not_allowed_fallback(problem::method_not_allowed)
}

fn answer<Files: RustEmbed>(path: &str, headers: &HeaderMap) -> Response {
    let file = if is_public(path) { Files::get(path) } else { None };
    let Some(plain) = file else {
        return ApiError::new(ProblemCode::NotFound, "The file does not exist.").into_response();
    };

    let compressed: Vec<(Encoding, EmbeddedFile)> = Encoding::COMPRESSED
        .into_iter()
        .filter_map(|encoding| {
            let file = Files::get(&format!("{path}.{}", encoding.ending()))?;
            Some((encoding, file))
        })
        .collect();
    let available: Vec<Encoding> = compressed.iter().map(|(encoding, _)| *encoding).collect();
    let encoding = encoding::choose(headers, &available);
    let tag = entity_tag(&plain, encoding);
    let file = compressed
        .into_iter()
        .find_map(|(candidate, file)| (candidate == encoding).then_some(file))
        .unwrap_or(plain);

    let unchanged = is_unchanged(headers, &tag);
    let mut response =
        if unchanged { Response::new(Body::empty()) } else { Response::new(file.data.into()) };
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let answer = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.insert(header::ETAG, tag);
    }
    let cache =
        if is_hashed(path) { "public, max-age=31536000, immutable" } else { "public, no-cache" };
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    answer.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !available.is_empty() {
        answer.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if !unchanged {
        answer.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
        if let Some(name) = encoding.name() {
            answer.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
        }
    }
    response
}

/// Reports whether a file is served under this name. The manifest and the compressed forms are not.
fn is_public(path: &str) -> bool {
    let escapes = path.split('/').any(|part| part == "." || part == ".." || part.contains('\\'));
    let compressed = [".br", ".gz"].iter().any(|ending| path.strip_suffix(ending).is_some());
    let internal = path == "manifest.json" || compressed;
    !escapes && !internal && !path.contains(['{', '}'])
}

/// Reports whether a name contains the hash of its content: `assets/NAME-0123456789abcdef.ending`.
fn is_hashed(path: &str) -> bool {
    path.starts_with("assets/")
        && path.rsplit_once('.').and_then(|(stem, _)| stem.rsplit_once('-')).is_some_and(
            |(_, hash)| {
                hash.len() == HASH_DIGITS && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            },
        )
}

/// Returns a strong entity tag (RFC 9110 section 8.8.3). Each encoding has its own tag, because the
/// bytes differ.
fn entity_tag(plain: &EmbeddedFile, encoding: Encoding) -> String {
    let hash = u128::from_be_bytes(*plain.metadata.sha256_hash().first_chunk().unwrap_or(&[0; 16]));
    match encoding.name() {
        Some(name) => format!("\"{hash:032x}-{name}\""),
        None => format!("\"{hash:032x}\""),
    }
}

/// Reports whether the client already has this content (RFC 9110 section 13.1.2).
fn is_unchanged(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "css" => "text/css; charset=utf-8",
        "html" => "text/html; charset=utf-8",
        "ico" => "image/x-icon",
        "jpg" | "jpeg" => "image/jpeg",
        "js" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "png" => "image/png",
        "svg" => "image/svg+xml",
        "txt" => "text/plain; charset=utf-8",
        "wasm" => "application/wasm",
        "webmanifest" => "application/manifest+json",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests;
