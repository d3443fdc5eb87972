//! Tests of the router with a small folder, so that they don't need a built site.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use rust_embed::RustEmbed;
use tower::ServiceExt as _;

use super::{is_hashed, manifest_of, routes};

const STYLE: &str = "/assets/main-0123456789abcdef.css";

#[derive(RustEmbed)]
#[folder = "src/assets/fixture"]
struct Fixture;

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(method: Method, path: &str, headers: &[(header::HeaderName, &str)]) -> Answer {
    let router: Router = routes::<Fixture>();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

async fn get(path: &str, headers: &[(header::HeaderName, &str)]) -> Answer {
    ask(Method::GET, path, headers).await
}

#[tokio::test]
async fn hashed_file_is_cached_forever() {
    let answer = get(STYLE, &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header(header::CONTENT_TYPE), "text/css; charset=utf-8");
    assert_eq!(answer.header(header::CACHE_CONTROL), "public, max-age=31536000, immutable");
    assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    assert_eq!(answer.header(header::VARY), "accept-encoding");
    assert_eq!(answer.body.trim(), "a{color:red}");
}

#[tokio::test]
async fn compressed_variant_is_sent_if_accepted() {
    let brotli = get(STYLE, &[(header::ACCEPT_ENCODING, "gzip, br")]).await;
    assert_eq!(brotli.header(header::CONTENT_ENCODING), "br");
    assert_eq!(brotli.header(header::CONTENT_TYPE), "text/css; charset=utf-8");
    assert_eq!(brotli.body.trim(), "stands for brotli");

    let gzip = get(STYLE, &[(header::ACCEPT_ENCODING, "gzip")]).await;
    assert_eq!(gzip.header(header::CONTENT_ENCODING), "gzip");
    assert_ne!(gzip.header(header::ETAG), brotli.header(header::ETAG));

    let plain = get(STYLE, &[]).await;
    assert_eq!(plain.header(header::CONTENT_ENCODING), "");
}

#[tokio::test]
async fn unhashed_file_is_revalidated() {
    let first = get("/robots.txt", &[]).await;
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(first.header(header::CACHE_CONTROL), "public, no-cache");
    assert_eq!(first.header(header::VARY), "");

    let tag = first.header(header::ETAG);
    let weak = format!("\"other\", W/{tag}");
    for known in [tag, &weak, "*"] {
        let again = get("/robots.txt", &[(header::IF_NONE_MATCH, known)]).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{known}");
        assert_eq!(again.header(header::ETAG), tag);
        assert_eq!(again.body, "");
    }
    let other = get("/robots.txt", &[(header::IF_NONE_MATCH, "\"other\"")]).await;
    assert_eq!(other.status, StatusCode::OK);
}

#[tokio::test]
async fn head_request_returns_the_length_without_content() {
    let answer = ask(Method::HEAD, "/robots.txt", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header(header::CONTENT_LENGTH), "26");
    assert_eq!(answer.body, "");
}

#[tokio::test]
async fn unknown_and_internal_files_are_not_found() {
    for path in [
        "/assets/absent.js",
        "/assets/../manifest.json",
        "/assets/%2e%2e/manifest.json",
        "/assets/main-0123456789abcdef.css.br",
        "/assets/main-0123456789abcdef.css.gz",
        "/assets/",
        "/manifest.json",
    ] {
        assert_eq!(get(path, &[]).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let answer = get("/assets/absent.js", &[]).await;
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/problem+json");
    assert!(answer.body.contains("\"code\":\"not_found\""), "{}", answer.body);
}

#[tokio::test]
async fn other_methods_are_refused() {
    let answer = ask(Method::POST, STYLE, &[]).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header(header::ALLOW), "GET,HEAD");
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/problem+json");
}

#[test]
fn manifest_names_the_files_of_a_page() {
    let assets = manifest_of::<Fixture>().unwrap();
    assert_eq!(&*assets.css, STYLE);
    assert_eq!(&*assets.loader, "/assets/loader-0123456789abcdef.js");
}

#[test]
fn hashed_names_are_recognised() {
    assert!(is_hashed("assets/main-0123456789abcdef.css"));
    assert!(!is_hashed("assets/snippets/crate-0123456789abcdef/inline0.js"));
    assert!(!is_hashed("assets/main.css"));
    assert!(!is_hashed("favicon-0123456789abcdef.svg"));
}
