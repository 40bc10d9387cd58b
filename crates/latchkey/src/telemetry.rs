//! Log lines on standard error, as text or JSON, and the recorder behind `/metrics`.
//!
//! Standard output belongs to answers; a script may read it without filtering.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{
    config::{Config, LogFormat, Settled},
    fault::Fault,
};

/// What is logged by commands that answer and end.
const QUIET: &str = "warn";

/// Starts the log of a process that stays.
pub fn start(settled: &Settled) -> Result<(), Fault> {
    let Config { log_format, log_filter, .. } = &settled.config;
    let filter = EnvFilter::try_new(log_filter).map_err(|error| {
        Fault::new(format!("log_filter cannot be read ({error}); use a level such as info"))
    })?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    let started = match log_format {
        LogFormat::Text => {
            registry.with(lines.with_ansi(std::io::stderr().is_terminal())).try_init()
        }
        LogFormat::Json => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    started.map_err(|error| Fault::new(format!("the log cannot be started: {error}")))?;
    warn_of_unknown_variables(settled);
    Ok(())
}

/// Starts the log of a command that answers and ends: warnings, unless the configuration asks
/// for something else.
pub fn start_quiet(settled: &Settled) -> Result<(), Fault> {
    let mut settled = settled.clone();
    if settled.config.log_filter == Config::default().log_filter {
        QUIET.clone_into(&mut settled.config.log_filter);
    }
    start(&settled)
}

fn warn_of_unknown_variables(settled: &Settled) {
    for name in &settled.unknown_variables {
        tracing::warn!(variable = name, "A variable with our prefix is not known and is ignored.");
    }
}

/// Installs the recorder of metrics.
pub fn record_metrics() -> Result<PrometheusHandle, Fault> {
    PrometheusBuilder::new()
        .install_recorder()
        .map_err(|error| Fault::new(format!("the metrics cannot be recorded: {error}")))
}

/// Starts a log of errors alone, for a command whose answer says everything itself.
pub fn start_silent() -> Result<(), Fault> {
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    tracing_subscriber::registry()
        .with(EnvFilter::new("error"))
        .with(lines)
        .try_init()
        .map_err(|error| Fault::new(format!("the log cannot be started: {error}")))
}
