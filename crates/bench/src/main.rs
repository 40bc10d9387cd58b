//! Measurements of the released programs, started by `cargo xtask bench NAME`.
//!
//! Everything is measured from outside, as a user has it: the released server over HTTP, real
//! logins into a real PostgreSQL, rivals as their own programs on the same machine in the same
//! run. Nothing leaves the loopback interface, and every process that is started is stopped by
//! its pid. docs/benchmarks.md says what each figure means.

mod activity_report;
mod api;
mod grant;
mod http;
mod installation;
mod inventory;
mod load;
mod machine;
mod report;
mod run_options;
mod samples;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "latchkey-bench", about = "Measurements; run them by `cargo xtask bench NAME`")]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// From a request to a usable login and back to nothing, beside the same SQL sent by hand and
    /// `OpenBao`.
    Grant(grant::Options),
    /// Reads and writes over HTTP beside a bare handler on the same database.
    Api(api::Options),
    /// A CSV report of a million rows.
    ActivityReport(activity_report::Options),
    /// The in-memory index beside `PostgreSQL` and policy engines.
    Inventory(inventory::Options),
    /// The bare handler; started by `api`.
    #[command(hide = true)]
    Bare(api::BareOptions),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Fails only when a provider is there already, and then that one serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| {
            runtime.block_on(async {
                match arguments.benchmark {
                    Benchmark::Grant(options) => grant::run(options).await,
                    Benchmark::Api(options) => api::run(options).await,
                    Benchmark::ActivityReport(options) => activity_report::run(options).await,
                    Benchmark::Inventory(options) => inventory::run(options).await,
                    Benchmark::Bare(options) => api::serve_bare(options).await,
                }
            })
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
