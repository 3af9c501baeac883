//! Which pages of other origins may use the HTTP port: none by default.

use axum::Router;
use axum::extract::Request;
use axum::http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use super::config::Cors;

/// Adds the CORS headers and answers preflights; changes nothing when no origin is allowed.
pub fn allow(routes: Router, cors: &Cors) -> Router {
    if cors.allowed_origins.is_empty() {
        return routes;
    }
    routes.layer(layer(cors)).layer(middleware::from_fn(preflight_has_no_content))
}

fn layer(cors: &Cors) -> CorsLayer {
    let origins = cors.allowed_origins.clone();
    let allowed = move |origin: &HeaderValue, _: &Parts| {
        let origin = origin.to_str().unwrap_or_default();
        origins.iter().any(|pattern| matches(pattern, origin))
    };
    let layer = CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::POST])
        .allow_headers(headers(cors));
    match cors.max_age {
        Some(age) => layer.max_age(age),
        None => layer,
    }
}

fn headers(cors: &Cors) -> AllowHeaders {
    if cors.allowed_headers.iter().any(|name| name == "*") {
        return AllowHeaders::mirror_request();
    }
    let own = [ACCEPT, CONTENT_TYPE, CONTENT_ENCODING, HeaderName::from_static("x-requested-with")];
    let more = cors.allowed_headers.iter().filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok());
    AllowHeaders::list(own.into_iter().chain(more))
}

/// One `*` in a pattern stands for any text.
fn matches(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(origin),
        Some((start, end)) => {
            origin.len() >= start.len() + end.len() && origin.starts_with(start) && origin.ends_with(end)
        }
    }
}

/// The layer answers a preflight with 200 and no body; 204 says the same and is what clients and tests expect.
async fn preflight_has_no_content(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS;
    let mut response = next.run(request).await;
    if preflight && response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NO_CONTENT;
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_does() {
        for (pattern, origin, expected) in [
            ("https://a.example", "https://a.example", true),
            ("https://a.example", "https://a.example.evil.test", false),
            ("https://*.example", "https://a.example", true),
            ("https://*.example", "https://.example.test", false),
            ("https://a*a", "https://a", false),
            ("*", "null", true),
        ] {
            assert_eq!(matches(pattern, origin), expected, "{pattern} {origin}");
        }
    }
}
