//! Real systems for tests and the demo.
//!
//! Tests talk to real servers, never to ones that happen to run on the machine: their
//! authentication is often off, so a wrong password or an expired role would go unnoticed. This
//! crate finds or installs a server, starts its own instance on a free loopback port with
//! authentication on, and stops it by pid.
//!
//! It is synchronous and uses the standard library, so that `xtask` can depend on it without
//! building the async stack.

mod folder;
mod install;
mod mail;
mod postgres;
mod process;
mod program;

pub use folder::sweep_abandoned;
pub use install::{
    find_program, install_debian_packages, install_python_package, node_project, python_environment,
};
pub use mail::{MailProtection, MailServer, TakenMail};
pub use postgres::{Durability, Postgres, PostgresVersion, psql_program, stop_kept};
pub use program::{LeftRunning, Program};

use std::time::Duration;

/// Looks at `condition` every 20 ms until it holds; `false` when it did not within `limit`.
pub fn wait_until(limit: Duration, condition: impl FnMut() -> bool) -> bool {
    process::wait_until(limit, condition)
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
