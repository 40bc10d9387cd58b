//! The one stylesheet of all pages.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

const STYLE: &str = include_str!("../assets/latchkey.css");

/// `/assets/latchkey.css`.
pub(crate) async fn stylesheet() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // It belongs to the running version.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, STYLE).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e07_nothing_in_the_stylesheet_comes_from_elsewhere() {
        for way in ["http:", "https:", "@import", "url(", "//"] {
            assert!(!STYLE.contains(way), "{way}");
        }
    }
}
