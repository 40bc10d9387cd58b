//! `latchkey connector`, and the same agent inside the server as `local`.

use std::{path::PathBuf, process::ExitCode, sync::Arc};

use async_trait::async_trait;
use latchkey_connector::{
    Connector, ConnectorConfig, ConnectorHandle, ConnectorOptions, HttpLink, LinkStatus, ServerLink,
};
use latchkey_domain::{faults, ids::ConnectorId};
use latchkey_integrations::{CrashPoints, postgresql::PostgreSql};
use secrecy::SecretString;

use crate::{
    cli::ConnectorArgs,
    config::{self, Flags},
    fault::Fault,
    serve,
    surroundings::Surroundings,
    telemetry,
};

/// Decides on the connector's own machine what it may read and run.
const CONFIG: &str = "connector.toml";

/// Holds the connector's token.
const TOKEN: &str = "LATCHKEY_CONNECTOR_TOKEN";

/// Runs `latchkey connector` until a signal ends it.
pub(crate) async fn run(args: ConnectorArgs, at: Surroundings) -> Result<ExitCode, Fault> {
    let settled = config::settle(args.data.as_deref(), &Flags::default())?;
    telemetry::start(&settled)?;
    let token = std::env::var(TOKEN).ok().filter(|token| !token.trim().is_empty());
    let token = token.map(|token| SecretString::from(token.trim())).ok_or_else(|| {
        Fault::new(format!(
            "the variable {TOKEN} is not set; make a token with `latchkey admin connector-token \
             create --id {}` on the server's machine",
            args.id
        ))
    })?;
    let link = HttpLink::new(&args.server, token).map_err(|error| Fault::new(error.to_string()))?;
    let stop = serve::stop_at_signals()?;
    let id = ConnectorId::new(args.id);
    let agent = start(id.clone(), settled.data.clone(), Arc::new(link), &at)?;
    tokio::select! {
        status = agent.first_contact() => if let LinkStatus::Failing(error) = status {
            tracing::error!(connector.id = %id, error = %error,
                "The first call to the server failed; the connector keeps trying.");
        },
        () = stop.cancelled() => {}
    }
    stop.cancelled().await;
    tracing::info!(connector.id = %id, "The connector is stopping.");
    agent.stop().await;
    tracing::info!(connector.id = %id, "The connector has stopped.");
    Ok(ExitCode::SUCCESS)
}

/// Starts an agent over its own folder.
pub(crate) fn start(
    id: ConnectorId,
    folder: PathBuf,
    link: Arc<dyn ServerLink>,
    at: &Surroundings,
) -> Result<ConnectorHandle, Fault> {
    let file = folder.join(CONFIG);
    let rules = ConnectorConfig::load(&file)
        .map_err(|error| Fault::new(format!("{}: {error}", file.display())))?;
    let mut options =
        ConnectorOptions::new(id, folder, link, Arc::clone(&at.clock), Arc::clone(&at.rng));
    options.config = rules;
    options.integrations = vec![Arc::new(PostgreSql::new())];
    options.crash_points = Arc::new(Relay(Arc::clone(&at.crash_points)));
    env!("CARGO_PKG_VERSION").clone_into(&mut options.version);
    Connector::start(options).map_err(|error| Fault::new(error.to_string()))
}

/// Hands the connector's crash points to those of the process.
#[derive(Debug)]
struct Relay(Arc<dyn faults::CrashPoints>);

#[async_trait]
impl CrashPoints for Relay {
    async fn reached(&self, name: &'static str) {
        self.0.reached(name);
    }
}
