//! The way to a server over HTTPS. The connector dials out; nothing dials in. Plain HTTP is
//! spoken to this machine only, and then past every proxy, so that the token never travels in
//! the clear.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use async_trait::async_trait;
use latchkey_domain::ids::TaskId;
use latchkey_protocol::{
    Changes, Heartbeat, HeartbeatAnswer, LeaseAnswer, LeaseRequest, TaskResult,
};
use reqwest::{Client, StatusCode, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use url::{Host, Url};

use crate::link::{LinkError, ServerLink};

/// For an answer that needs no waiting: shorter than a lease, so that a lost heartbeat is
/// repeated in time.
const PROMPT: Duration = Duration::from_secs(5);

/// For the server's name to be resolved beside a heartbeat.
const LOOKUP: Duration = Duration::from_secs(1);

/// For a result, which may be long.
const RESULT: Duration = Duration::from_secs(30);

/// On top of what a request for work may wait at the server.
const SLACK: Duration = Duration::from_secs(15);

/// Longer answers of a server that refuses are cut in messages.
const LONGEST_MESSAGE: usize = 300;

/// Why an address cannot be a server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerAddressError {
    /// It is no URL of a server.
    #[error(
        "`{0}` is no server address; write it like https://latchkey.example.com or \
         http://127.0.0.1:8470"
    )]
    Malformed(String),
    /// Plain HTTP to another machine.
    #[error(
        "{0} would send the connector's token over the network in the clear; use https:// (plain \
         http:// is for this machine only, such as http://127.0.0.1:8470)"
    )]
    PlainHttp(String),
    /// TLS cannot be set up on this machine.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// A server that is reached over HTTP.
#[derive(Debug)]
pub struct HttpLink {
    client: Client,
    base: Url,
    token: SecretString,
}

impl HttpLink {
    /// A link to the server at `address` that shows `token`. The process must have installed a
    /// rustls crypto provider.
    pub fn new(address: &str, token: SecretString) -> Result<Self, ServerAddressError> {
        let base = check_address(address)?;
        let mut builder = Client::builder()
            .redirect(redirect::Policy::none())
            .connect_timeout(PROMPT)
            .tcp_keepalive(Duration::from_secs(15));
        if base.scheme() == "http" {
            tracing::warn!(
                server.address = %base,
                "The server is reached over plain HTTP, which is for this machine only."
            );
            let port = base.port_or_known_default().unwrap_or(80);
            let local = [
                SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port),
                SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), port),
            ];
            builder = builder.no_proxy().resolve_to_addrs("localhost", &local);
        }
        let client = builder.build().map_err(|error| ServerAddressError::Tls(error.to_string()))?;
        Ok(Self { client, base, token })
    }

    async fn post<B: Serialize + Sync>(
        &self,
        path: &[&str],
        body: &B,
        limit: Duration,
    ) -> Result<Vec<u8>, LinkError> {
        let mut url = self.base.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(["api", "connector", "v1"]).extend(path);
        }
        let sent = self
            .client
            .post(url)
            .timeout(limit)
            .bearer_auth(self.token.expose_secret())
            .json(body)
            .send()
            .await
            .map_err(|error| unreachable(&error))?;
        let status = sent.status();
        let content = sent.bytes().await.map_err(|error| unreachable(&error))?;
        if status.is_success() { Ok(content.into()) } else { Err(classify(status, &content)) }
    }
}

#[async_trait]
impl ServerLink for HttpLink {
    async fn heartbeat(&self, beat: &Heartbeat) -> Result<HeartbeatAnswer, LinkError> {
        read(&self.post(&["heartbeat"], beat, PROMPT).await?)
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<LeaseAnswer, LinkError> {
        let limit = Duration::from_millis(request.wait_ms).saturating_add(SLACK);
        read(&self.post(&["lease"], request, limit).await?)
    }

    async fn result(&self, task: &TaskId, result: &TaskResult) -> Result<(), LinkError> {
        self.post(&["tasks", task.as_str(), "result"], result, RESULT).await.map(|_| ())
    }

    async fn changes(&self, changes: &Changes) -> Result<(), LinkError> {
        self.post(&["changes"], changes, RESULT).await.map(|_| ())
    }

    async fn addresses(&self) -> Vec<SocketAddr> {
        let Some(host) = self.base.host_str() else { return Vec::new() };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = self.base.port_or_known_default().unwrap_or(443);
        // Behind a proxy the name may mean nothing here, and then no target can have it either.
        match tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host, port))).await {
            Ok(Ok(addresses)) => addresses.collect(),
            _ => Vec::new(),
        }
    }
}

fn check_address(address: &str) -> Result<Url, ServerAddressError> {
    let malformed = || {
        // What looks like a user's name and password is not repeated.
        let shown = address.rsplit('@').next().unwrap_or_default();
        ServerAddressError::Malformed(shown.escape_debug().to_string())
    };
    let url = Url::parse(address).map_err(|_| malformed())?;
    let is_plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_plain {
        return Err(malformed());
    }
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => Ok(url),
        ("http", Some(host)) if is_loopback(&host) => Ok(url),
        ("http", Some(_)) => Err(ServerAddressError::PlainHttp(url.to_string())),
        _ => Err(malformed()),
    }
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// The error body of the API, as far as it matters here.
#[derive(Deserialize)]
struct ErrorBody {
    message: String,
}

fn classify(status: StatusCode, content: &[u8]) -> LinkError {
    let body = serde_json::from_slice::<ErrorBody>(content).ok();
    let said_by_us = body.is_some();
    let said = body.map_or_else(
        || format!("HTTP {}", status.as_u16()),
        |body| body.message.chars().take(LONGEST_MESSAGE).collect(),
    );
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => LinkError::Unauthorized(said),
        StatusCode::CONFLICT | StatusCode::GONE => LinkError::Superseded,
        StatusCode::NOT_FOUND if said_by_us => LinkError::Superseded,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => LinkError::Unreachable(said),
        status if status.is_server_error() => LinkError::Unreachable(said),
        status if status.is_redirection() => LinkError::Refused(format!(
            "it answers with a redirect (HTTP {}); give --server the address it redirects to",
            status.as_u16()
        )),
        _ => LinkError::Refused(said),
    }
}

fn read<T: DeserializeOwned>(content: &[u8]) -> Result<T, LinkError> {
    serde_json::from_slice(content).map_err(|error| {
        LinkError::Refused(format!(
            "its answer is not of this protocol ({error}); is --server the address of a Latchkey \
             server, and no older than this connector?"
        ))
    })
}

/// What went wrong on the way, with its causes and without the address's query.
fn unreachable(error: &reqwest::Error) -> LinkError {
    let mut message = String::new();
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = cause {
        if !message.is_empty() {
            message.push_str(": ");
        }
        message.push_str(&error.to_string());
        cause = error.source();
    }
    LinkError::Unreachable(message)
}
