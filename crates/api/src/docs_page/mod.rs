//! `/docs`: the API for people to read, shown from `/openapi.json` by a small script of our own.
//!
//! Nothing comes from another host, and the policy that goes with the page lets nothing in: no
//! inline script or style, no frame, no form, no call but to this server. The page knows no token
//! and sends nothing.

use axum::{
    Router,
    http::{HeaderName, header},
    response::IntoResponse,
    routing::get,
};

use crate::ApiState;

const PAGE: &str = include_str!("index.html");
const STYLE: &str = include_str!("docs.css");
const SCRIPT: &str = include_str!("docs.js");

/// What the page may load and do.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page and its two files.
pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/docs", get(|| async { file("text/html; charset=utf-8", PAGE) }))
        .route("/docs/docs.css", get(|| async { file("text/css; charset=utf-8", STYLE) }))
        .route("/docs/docs.js", get(|| async { file("text/javascript; charset=utf-8", SCRIPT) }))
}

fn file(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 5] = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // It belongs to the running version.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e07_nothing_comes_from_elsewhere_and_no_text_becomes_markup() {
        for text in [PAGE, STYLE, SCRIPT] {
            assert!(!text.contains("http:") && !text.contains("https:") && !text.contains("//cdn"));
            assert!(!text.contains("@import") && !text.contains("url("));
        }
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "new Function",
            "setAttribute(\"on",
        ] {
            assert!(!SCRIPT.contains(way), "{way}");
        }
        for inline in ["<style", "style=", "onclick", "onload", "<script>"] {
            assert!(!PAGE.contains(inline), "{inline}");
        }
    }
}
