//! What happens around every call: its id, its span and log line, its metrics, and its end when
//! a handler panics.
//!
//! Invariant: no header, query, body or path parameter reaches the log, so that no secret and no
//! person's address does. The id is ours, never the caller's: nobody can forge a line.

use std::any::Any;

use axum::{
    extract::{MatchedPath, Request, State},
    http::HeaderValue,
    middleware::Next,
    response::{IntoResponse, Response},
};
use latchkey_app::App;
use tracing::Instrument;

use crate::error::ApiError;

/// The header that names a call in its answer.
pub const REQUEST_ID: &str = "x-request-id";

tokio::task_local! {
    static CURRENT: String;
}

/// The id of the call that is being served; empty outside of one.
pub(crate) fn current_id() -> String {
    CURRENT.try_with(Clone::clone).unwrap_or_default()
}

/// Serves a call under an id of its own.
pub(crate) async fn observe(State(app): State<App>, request: Request, next: Next) -> Response {
    let id = new_id(&app);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = route.unwrap_or("none").to_owned();
    let span = tracing::info_span!(
        "call", request.id = %id, http.method = %method, http.route = %route
    );
    let started = app.clock().monotonic();
    let mut response = CURRENT.scope(id.clone(), next.run(request)).instrument(span.clone()).await;
    let took = app.clock().monotonic().saturating_sub(started);
    let status = response.status().as_u16();
    span.in_scope(|| {
        tracing::debug!(
            http.status = status,
            duration.ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            "Answered a call"
        );
    });
    let labels = [("method", method.to_string()), ("route", route), ("status", status.to_string())];
    metrics::counter!("latchkey_http_requests_total", &labels).increment(1);
    metrics::histogram!("latchkey_http_request_seconds", &labels).record(took.as_secs_f64());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The answer in place of a handler that panicked.
pub(crate) fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let text = match cause.downcast::<String>() {
        Ok(text) => *text,
        Err(cause) => cause.downcast_ref::<&str>().copied().unwrap_or("no text").to_owned(),
    };
    tracing::error!(request.id = %current_id(), panic = %text, "A handler panicked");
    ApiError::internal().into_response()
}

fn new_id(app: &App) -> String {
    format!("{:016x}", u64::from_be_bytes(app.rng().bytes()))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_answered_in_the_one_shape_without_its_text() {
        let served = async { panicked(Box::new("the canary")) };
        let response = CURRENT.scope("0123abcd".to_owned(), served).await;
        assert_eq!(response.status(), 500);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let text = std::str::from_utf8(&body).unwrap();
        assert!(text.contains("InternalServerError") && text.contains("0123abcd"), "{text}");
        assert!(!text.contains("canary"), "{text}");
    }
}
