//! `latchkey serve`: the server process from start to stop.
//!
//! Order at the start: the listener answers `/healthz` at once; the database is opened and
//! upgraded; what the process's former instance held is taken back; the connector `local` is
//! registered; the loops run; then `/readyz` says 200. At the stop `/readyz` says no first, calls
//! are answered, the loops end, the head of the audit chain is signed, and leases are given back.

use std::{net::SocketAddr, process::ExitCode, sync::Arc};

use latchkey_app::{App, audit, connectors, jobs, notifications::Deliverer, server};
use latchkey_connector::ConnectorHandle;
use latchkey_web::{Site, WebState};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    agent,
    cli::ServeArgs,
    config::{self, Flags, Settled},
    fault::Fault,
    installation,
    listener::{self, Gate, Metrics},
    local_link::LocalLink,
    mail,
    slot::Slot,
    surroundings::Surroundings,
    telemetry,
};

/// Runs `latchkey serve` until a signal ends it.
pub(crate) async fn run(args: ServeArgs, at: Surroundings) -> Result<ExitCode, Fault> {
    let flags = Flags {
        listen: args.listen,
        database: args.store.database.clone(),
        local_connector: args.local_connector.then_some(true),
    };
    let mut settled = config::settle(args.store.data.as_deref(), &flags)?;
    telemetry::start(&settled)?;
    let metrics = telemetry::record_metrics()?;
    let socket = bind(settled.config.listen).await?;
    let address = socket
        .local_addr()
        .map_err(|error| Fault::new(format!("the listener has no address: {error}")))?;
    // The port may have been left to the system.
    settled.config.listen = address;
    let proxies = config::proxies(&settled.config)?;
    let site = Site::new(settled.config.public_url.as_deref(), address)
        .map_err(|error| Fault::new(error.to_string()))?;
    let shown = address.ip().is_loopback() || settled.config.metrics_public;
    let render: Metrics = Arc::new(move || {
        metrics.run_upkeep();
        metrics.render()
    });
    let gate = Gate::new(shown.then_some(render));
    let stop = stop_at_signals()?;

    let drained = stop.clone();
    let listening = tokio::spawn(listener::serve(socket, gate.clone(), drained.cancelled_owned()));
    let started = tokio::select! {
        started = start(&settled, &at) => started?,
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    let pages = WebState::new(started.app.clone(), site).behind(proxies);
    gate.open(started.app.clone(), pages, ready_check(&started.app, &started.loops));
    tracing::info!(listen.address = %address, data.folder = %settled.data.display(),
        database.kind = if started.app.store().is_postgres() { "postgresql" } else { "sqlite" },
        connector.local = started.local.is_some(), "The server is ready.");

    stop.cancelled().await;
    gate.stop();
    tracing::info!("The server is stopping.");
    match listening.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(error = %error, "The listener ended badly."),
        Err(error) => tracing::error!(error = %error, "The listener failed."),
    }
    started.stop().await;
    tracing::info!("The server has stopped.");
    Ok(ExitCode::SUCCESS)
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Fault> {
    TcpListener::bind(address).await.map_err(|error| {
        let advice = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another program listens there; stop it, or choose another address with --listen"
                    .to_owned()
            }
            std::io::ErrorKind::PermissionDenied => {
                "this user may not listen there; choose a port from 1024 with --listen".to_owned()
            }
            _ => format!("{error}; choose another address with --listen"),
        };
        Fault::new(format!("cannot listen on {address}: {advice}"))
    })
}

/// Cancelled by SIGTERM or SIGINT.
pub(crate) fn stop_at_signals() -> Result<CancellationToken, Fault> {
    let failed = |error| Fault::new(format!("cannot listen for signals: {error}"));
    let mut term = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(stop)
}

/// Runs something that has no end of its own until the server stops. It may be cut off wherever it
/// waits.
async fn until(stop: CancellationToken, endless: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = endless => {}
    }
}

/// A server whose loops run.
struct Started {
    app: App,
    local: Option<ConnectorHandle>,
    loops: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    /// Held until the process ends.
    slot: Slot,
}

async fn start(settled: &Settled, at: &Surroundings) -> Result<Started, Fault> {
    let notifications = mail::notifications(&settled.config)?;
    installation::make_folder(&settled.data)?;
    let database = installation::database(settled)?;
    let may_share = matches!(database, latchkey_store::DatabaseUrl::Postgres(_));
    let slot = Slot::take(&settled.data, may_share, at.rng.as_ref())?;
    let store = installation::store(settled, at).await?;
    let app = installation::app(store, &settled.config, at, slot.instance.clone());
    app.set_crash_points(at.crash_points.clone());
    let failed = |what: &str, error: &latchkey_app::AppError| {
        Fault::new(format!("{what}: {}", error.message))
    };
    if let Some(former) = &slot.former {
        server::take_over_from(&app, former)
            .await
            .map_err(|error| failed("cannot take over from the former process", &error))?;
    }
    let stop = CancellationToken::new();
    let mut loops = Vec::new();
    let (jobs_app, jobs_stop) = (app.clone(), stop.clone());
    loops.push(tokio::spawn(async move {
        jobs::run_jobs_until(&jobs_app, jobs_stop.cancelled()).await;
    }));
    let (clock, clock_app) = (at.shared_clock.clone(), app.clone());
    let following = async move { clock.keep_following(clock_app.store()).await };
    loops.push(tokio::spawn(until(stop.clone(), following)));
    let (audit_app, audit_stop) = (app.clone(), stop.clone());
    loops.push(tokio::spawn(async move {
        audit::keep_until(&audit_app, audit_stop.cancelled()).await;
    }));
    let index = latchkey_app::keep_index_current(app.clone());
    loops.push(tokio::spawn(until(stop.clone(), index)));
    let automatic = latchkey_app::keep_automatic_access(app.clone());
    loops.push(tokio::spawn(until(stop.clone(), automatic)));
    if notifications.mailer.is_none() {
        tracing::info!("No mail server is configured (smtp_host): people are told by no mail.");
    }
    let (deliverer, deliver_stop) = (Deliverer::new(app.clone(), notifications), stop.clone());
    loops.push(tokio::spawn(async move {
        deliverer.deliver_until(deliver_stop.cancelled()).await;
    }));
    let local = if app.config().local_connector {
        let id = connectors::register_local_connector(&app)
            .await
            .map_err(|error| failed("cannot register the connector `local`", &error))?;
        let folder = settled.data.join("connector-local");
        let link = Arc::new(LocalLink::new(app.clone(), id.clone()));
        Some(agent::start(id, folder, link, at)?)
    } else {
        None
    };
    Ok(Started { app, local, loops, stop, slot })
}

impl Started {
    async fn stop(self) {
        if let Some(local) = self.local {
            local.stop().await;
        }
        self.stop.cancel();
        for ended in self.loops {
            if let Err(error) = ended.await {
                tracing::error!(error = %error, "A loop of the server failed.");
            }
        }
        if let Err(error) = server::leave(&self.app).await {
            tracing::error!(error = ?error.source,
                "Leases could not be given back; they run out by themselves within 10 s.");
        }
        drop(self.slot);
    }
}

/// Ready while the database answers and the loops run: a server whose timers have stopped must
/// get no more work.
fn ready_check(app: &App, loops: &[JoinHandle<()>]) -> listener::ReadyCheck {
    let app = app.clone();
    let loops: Vec<_> = loops.iter().map(JoinHandle::abort_handle).collect();
    Arc::new(move || {
        let app = app.clone();
        let is_broken = loops.iter().any(tokio::task::AbortHandle::is_finished);
        Box::pin(async move {
            if is_broken {
                return Err("a loop of the server has failed; restart it".to_owned());
            }
            server::check_database(&app)
                .await
                .map_err(|error| format!("the database does not answer: {}", error.message))
        })
    })
}
