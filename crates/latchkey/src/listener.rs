//! The listener of a server process: `/healthz`, `/readyz` and `/metrics` from its first moment,
//! API and pages once the database is open, until the last call is answered.
//!
//! A process is healthy as soon as it answers. It is ready when work sent to it gets done: a load
//! balancer asks `/readyz`, and a server that stops says no there first.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use latchkey_api::ApiState;
use latchkey_app::App;
use latchkey_web::WebState;
use serde_json::json;
use tokio::net::TcpListener;
use tower::ServiceExt;

/// How long calls that are being answered may take after the stop. Long polls are cut: a
/// connector asks again, and finds the next server.
const DRAIN: Duration = Duration::from_secs(5);

/// Renders the metrics in the text format of Prometheus.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Says whether the process is ready now, or why it is not.
pub type ReadyCheck =
    Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send + Sync>;

/// What the listener serves at this moment. Cloning shares it.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    api: OnceLock<(Router, ReadyCheck)>,
    stopping: AtomicBool,
    metrics: Option<Metrics>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("open", &self.0.api.get().is_some()).finish_non_exhaustive()
    }
}

impl Gate {
    /// A closed gate. Without `metrics`, `/metrics` is not there.
    pub fn new(metrics: Option<Metrics>) -> Self {
        Self(Arc::new(Inner { api: OnceLock::new(), stopping: AtomicBool::new(false), metrics }))
    }

    /// Serves the API and the pages from now on.
    pub fn open(&self, app: App, pages: WebState, ready: ReadyCheck) {
        let pages = latchkey_web::router(pages);
        let router = pages.fallback_service(latchkey_api::router(ApiState::new(app)));
        // A gate that is open stays as it is.
        let _ = self.0.api.set((router, ready));
    }

    /// Answers that the process is not ready from now on.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::SeqCst);
    }
}

/// Serves until `stop` is ready, then answers what is under way, for five seconds at most.
pub async fn serve(
    listener: TcpListener,
    gate: Gate,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let mut routes = Router::new().route("/healthz", get(healthy)).route("/readyz", get(is_ready));
    if gate.0.metrics.is_some() {
        routes = routes.route("/metrics", get(metrics));
    }
    let service = routes.fallback(api).with_state(gate);
    let (stopped, mut drain) = tokio::sync::watch::channel(false);
    let service = service.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
        stop.await;
        stopped.send_replace(true);
    });
    tokio::select! {
        ended = serving => ended,
        () = async {
            if drain.wait_for(|stopped| *stopped).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(DRAIN).await;
        } => Ok(()),
    }
}

async fn healthy() -> impl IntoResponse {
    Json(json!({ "status": "ok" }))
}

async fn is_ready(State(gate): State<Gate>) -> Response {
    let why_not = match gate.0.api.get() {
        _ if gate.0.stopping.load(Ordering::SeqCst) => "the server is stopping".to_owned(),
        None => "the server is starting: it opens or upgrades its database".to_owned(),
        Some((_, ready)) => match ready().await {
            Ok(()) => return Json(json!({ "status": "ready" })).into_response(),
            Err(why_not) => why_not,
        },
    };
    let body = Json(json!({ "status": "not ready", "reason": why_not }));
    (StatusCode::SERVICE_UNAVAILABLE, body).into_response()
}

async fn metrics(State(gate): State<Gate>) -> impl IntoResponse {
    let text = gate.0.metrics.as_ref().map(|render| render()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn api(State(gate): State<Gate>, request: Request) -> Response {
    let Some((router, _)) = gate.0.api.get() else {
        let message = "the server is starting; try again in a moment";
        let body = json!({
            "status": "503",
            "code": latchkey_app::error::codes::UNAVAILABLE,
            "message": message,
        });
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    };
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
