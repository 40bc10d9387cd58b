//! What a server process is told at its start and keeps until it ends.

use std::net::SocketAddr;

/// A server's own facts. Anything people may change while it runs is a setting instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppConfig {
    /// Software version, shown beside the connectors' own.
    pub version: String,
    /// Whether a connector with the id `local` runs inside this server (or, for the command
    /// line, may be assumed to).
    pub local_connector: bool,
    /// Where this process listens, as connectors are told.
    pub listens: Vec<SocketAddr>,
    /// Names this server process as the owner of leases; new at each start.
    pub instance: String,
}

/// The id of the connector inside `latchkey serve`.
pub const LOCAL_CONNECTOR: &str = "local";
