//! The router: every route, and what surrounds all of them.
//!
//! Whatever happens, the answer is JSON in the one failure shape: an unknown route, a wrong
//! method, a body that is too large, a handler that panics.

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    http::{StatusCode, header},
    middleware,
    response::IntoResponse,
    routing::get,
};
use latchkey_app::App;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{body, calls, cursor::CursorKey, docs_page, documentation, error::ApiError};

/// What handlers work with.
#[derive(Debug, Clone)]
pub struct ApiState {
    app: App,
    cursors: CursorKey,
}

impl ApiState {
    /// The state over an app. Cursors are signed with a key of its store's key ring.
    pub fn new(app: App) -> Self {
        let cursors = CursorKey::new(*app.store().keys().cursor_key());
        Self { app, cursors }
    }
}

impl FromRef<ApiState> for App {
    fn from_ref(state: &ApiState) -> Self {
        state.app.clone()
    }
}

impl FromRef<ApiState> for CursorKey {
    fn from_ref(state: &ApiState) -> Self {
        state.cursors.clone()
    }
}

/// Everything under `/api`, `/openapi.json`, and `/docs`. Any other path is answered with 404.
pub fn router(state: ApiState) -> Router {
    let (routes, _) = documentation::build();
    let app = state.app.clone();
    routes
        .route("/openapi.json", get(openapi))
        .merge(docs_page::routes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(body::LIMIT))
        .layer(CatchPanicLayer::custom(calls::panicked))
        .layer(middleware::from_fn_with_state(app, calls::observe))
        .with_state(state)
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], documentation::openapi_text())
}

async fn unknown_route() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "NotFound",
        "there is no such operation; GET /openapi.json lists all of them",
    )
}

async fn wrong_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "this path does not know that method; GET /openapi.json lists all operations",
    )
}
