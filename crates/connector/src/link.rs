//! The way to the server, free of any transport: the agent is the same in a process of its own
//! and inside the server.

use std::net::SocketAddr;

use async_trait::async_trait;
use latchkey_domain::ids::TaskId;
use latchkey_protocol::{
    Changes, Heartbeat, HeartbeatAnswer, LeaseAnswer, LeaseRequest, TaskResult,
};

/// What an agent asks of its server. See `latchkey_protocol` for what each call means.
#[async_trait]
pub trait ServerLink: Send + Sync + std::fmt::Debug {
    /// Says that the process is alive; renews the leases of its running deliveries.
    async fn heartbeat(&self, beat: &Heartbeat) -> Result<HeartbeatAnswer, LinkError>;

    /// Asks for work and waits for it up to `wait_ms`. Dropping the call gives the wait up.
    async fn lease(&self, request: &LeaseRequest) -> Result<LeaseAnswer, LinkError>;

    /// Hands over a result. Sending it again changes nothing.
    async fn result(&self, task: &TaskId, result: &TaskResult) -> Result<(), LinkError>;

    /// Says what changed in a target. Saying it again changes nothing.
    async fn changes(&self, changes: &Changes) -> Result<(), LinkError>;

    /// Where the calls go: addresses of the server, or of what stands before it.
    async fn addresses(&self) -> Vec<SocketAddr> {
        Vec::new()
    }
}

/// Why a call to the server came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No answer, or one that says to try again: a restart, a proxy, an overload.
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The token is unknown, revoked, or another connector's.
    #[error(
        "the server refused the connector's token: {0}. Make a new one with `latchkey admin \
         connector-token create --id ID` and pass it in LATCHKEY_CONNECTOR_TOKEN"
    )]
    Unauthorized(String),
    /// The task was delivered again since, or is gone: the result is of no use.
    #[error("the task was handed out again or is gone")]
    Superseded,
    /// The server understood and says no; the same call will be refused again.
    #[error("the server refused the call: {0}")]
    Refused(String),
}
