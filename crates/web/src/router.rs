//! The pages and their paths.

use std::any::Any;

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use latchkey_app::App;
use latchkey_domain::network::Network;
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    account, assets, link,
    page::{Frame, go_to, refusal},
    sign_in,
    site::Site,
    step_up,
};

/// The largest form that is read, in bytes.
const LARGEST_FORM: usize = 16 * 1024;

/// What pages work with.
#[derive(Debug, Clone)]
pub struct WebState {
    pub(crate) app: App,
    pub(crate) site: Site,
    pub(crate) proxies: Vec<Network>,
}

impl WebState {
    /// The state over an app whose pages people reach at `site`.
    pub fn new(app: App, site: Site) -> Self {
        Self { app, site, proxies: Vec::new() }
    }

    /// The same behind these proxies, whose `X-Forwarded-For` is believed.
    #[must_use]
    pub fn behind(self, proxies: Vec<Network>) -> Self {
        Self { proxies, ..self }
    }
}

impl FromRef<WebState> for App {
    fn from_ref(state: &WebState) -> Self {
        state.app.clone()
    }
}

/// Every page. Other paths are for whoever adds a fallback.
pub fn router(state: WebState) -> Router {
    Router::new()
        .route("/", get(|| async { go_to("/me") }))
        .route("/sign-in", get(sign_in::show).post(sign_in::take))
        .route("/sign-in/link/{token}", get(link::show).post(link::take))
        .route("/sign-out", post(sign_in::leave))
        .route("/me", get(account::show))
        .route("/me/second-factor", post(account::begin))
        .route("/me/second-factor/confirm", post(account::confirm))
        .route("/me/second-factor/remove", post(account::remove))
        .route("/me/recovery-codes", post(account::renew_codes))
        .route("/account/step-up", get(step_up::show).post(step_up::take))
        .route("/assets/latchkey.css", get(assets::stylesheet))
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(CatchPanicLayer::custom(failed))
        .with_state(state)
}

async fn wrong_method() -> Response {
    let text = "This page is not for that. Go back and try again.";
    refusal(&Frame::default(), StatusCode::METHOD_NOT_ALLOWED, "Not this way", text)
}

/// The answer in place of a page that panicked.
fn failed(cause: Box<dyn Any + Send>) -> Response {
    let text = cause
        .downcast::<String>()
        .map(|text| *text)
        .or_else(|cause| cause.downcast::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_default();
    tracing::error!(error.cause = %text, "A page failed by a defect of ours.");
    let text = "Something went wrong here; the server's log has the cause.";
    refusal(&Frame::default(), StatusCode::INTERNAL_SERVER_ERROR, "That did not work", text)
}
