//! Calls from the server to addresses that people wrote down: webhooks, and whatever else goes
//! out over HTTP because a setting says so.
//!
//! A server that calls what it is told to is a way into the network it stands in. So:
//! - every address that a name stands for is checked against [`latchkey_domain::network`] before
//!   anything is sent, and one that is closed refuses the whole call, unless an Admin lists it in
//!   the setting `outbound_allowed_addresses`;
//! - the connection goes to exactly the addresses that were checked: the client is handed them,
//!   and resolves nothing by itself, so a name that changes its mind changes nothing;
//! - no redirect is followed, no proxy of the environment is used, no name and password in a URL
//!   are sent;
//! - plain HTTP goes to listed addresses only;
//! - time and size are bounded.

mod resolver;

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use latchkey_domain::{
    network::{AllowList, Network},
    settings::SettingSpec,
};
use latchkey_store::Tx;
use reqwest::{Client, redirect};
use url::{Host, Url};

use resolver::Pinned;
pub use resolver::{Resolver, SystemResolver};

use crate::error::AppError;

/// The setting that holds the list.
pub const ALLOWED_ADDRESSES: &str = "outbound_allowed_addresses";

/// How much and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// From the look-up of the name to the last byte of the answer.
    pub time: Duration,
    /// Bytes of the answer's body.
    pub answer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(15), answer: 64 * 1024 }
    }
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundPost {
    /// Where to.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer. The texts name no query and no password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OutboundError {
    /// The URL cannot be called at all.
    #[error("{0}")]
    Url(String),
    /// The name means an address that is closed.
    #[error(
        "{host} is at {address}, which is not called; an Admin may list that address in the \
         setting {ALLOWED_ADDRESSES}"
    )]
    Closed {
        /// The host of the URL.
        host: String,
        /// The address.
        address: IpAddr,
    },
    /// Plain HTTP to an address that nobody listed.
    #[error(
        "plain http:// is for addresses that an Admin lists in the setting {ALLOWED_ADDRESSES}; \
         use https:// for {0}"
    )]
    Plain(String),
    /// The name means nothing now.
    #[error("{0} cannot be found: {1}")]
    NotFound(String, String),
    /// It answered with a redirect.
    #[error(
        "it answers with a redirect (HTTP {0}), which is not followed; write the final address"
    )]
    Redirect(u16),
    /// The answer is larger than allowed.
    #[error("its answer (HTTP {status}) is larger than {limit} bytes")]
    TooLarge {
        /// The answer's status.
        status: u16,
        /// How large it may be.
        limit: usize,
    },
    /// Nothing came in time, or the connection broke.
    #[error("it does not answer: {0}")]
    Unreachable(String),
}

/// Calls out. Cloning shares it.
#[derive(Clone)]
pub struct Outbound {
    resolver: Arc<dyn Resolver>,
    limits: Limits,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new(Arc::new(SystemResolver), Limits::default())
    }
}

impl Outbound {
    /// One that looks names up with `resolver`.
    pub fn new(resolver: Arc<dyn Resolver>, limits: Limits) -> Self {
        Self { resolver, limits }
    }

    /// Sends a POST and reads the answer, whatever its status.
    pub async fn post(
        &self,
        post: &OutboundPost,
        allowed: &AllowList,
    ) -> Result<OutboundAnswer, OutboundError> {
        let url = check_url(&post.url).map_err(OutboundError::Url)?;
        let called = tokio::time::timeout(self.limits.time, self.call(url, post, allowed));
        called.await.unwrap_or_else(|_| {
            let within = self.limits.time.as_secs();
            Err(OutboundError::Unreachable(format!("nothing came within {within} seconds")))
        })
    }

    async fn call(
        &self,
        url: Url,
        post: &OutboundPost,
        allowed: &AllowList,
    ) -> Result<OutboundAnswer, OutboundError> {
        let checked = self.checked_addresses(&url, allowed).await?;
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .pool_max_idle_per_host(0)
            .dns_resolver(Pinned::to(checked))
            .timeout(self.limits.time)
            .user_agent(concat!("Latchkey/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| unreachable(&error))?;
        let mut request = client.post(url).body(post.body.clone());
        for (name, value) in &post.headers {
            request = request.header(*name, value);
        }
        let mut answer = request.send().await.map_err(|error| unreachable(&error))?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(OutboundError::Redirect(status.as_u16()));
        }
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| unreachable(&error))? {
            if body.len() + piece.len() > self.limits.answer {
                let (status, limit) = (status.as_u16(), self.limits.answer);
                return Err(OutboundError::TooLarge { status, limit });
            }
            body.extend_from_slice(&piece);
        }
        Ok(OutboundAnswer { status: status.as_u16(), body })
    }

    /// Every address of the URL's host, each of which may be called.
    async fn checked_addresses(
        &self,
        url: &Url,
        allowed: &AllowList,
    ) -> Result<Vec<SocketAddr>, OutboundError> {
        let no_host = || OutboundError::Url("the address has no host".to_owned());
        let host = url.host_str().ok_or_else(no_host)?.to_owned();
        let addresses = match url.host().ok_or_else(no_host)? {
            Host::Ipv4(address) => vec![IpAddr::V4(address)],
            Host::Ipv6(address) => vec![IpAddr::V6(address)],
            Host::Domain(name) => self
                .resolver
                .resolve(name.to_owned())
                .await
                .map_err(|error| OutboundError::NotFound(host.clone(), error.to_string()))?,
        };
        if addresses.is_empty() {
            return Err(OutboundError::NotFound(host, "it has no address".to_owned()));
        }
        for address in &addresses {
            if !allowed.opens(*address) {
                return Err(OutboundError::Closed { host, address: *address });
            }
            if url.scheme() == "http" && !allowed.lists(*address) {
                return Err(OutboundError::Plain(host));
            }
        }
        let port = url.port_or_known_default().unwrap_or(443);
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }
}

/// Reads an address to call. The error says what is wrong with it, and repeats nothing of it.
pub fn check_url(text: &str) -> Result<Url, String> {
    if text.len() > 2000 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err("is no address; write https://hooks.example.com/latchkey".to_owned());
    }
    let url = Url::parse(text)
        .map_err(|_| "is no address; write https://hooks.example.com/latchkey".to_owned())?;
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        return Err("must begin with https:// and name a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user name or a password".to_owned());
    }
    Ok(url)
}

/// The host of an address, for people to see: its path and query may be secret. Empty where there
/// is none.
pub fn host_of(text: &str) -> String {
    let url = Url::parse(text).ok();
    url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
}

/// Says what is wrong with an address as it is written, before anything is called: beside what
/// [`check_url`] finds, an address in numbers that is closed, and plain HTTP where it cannot go.
/// What a name stands for is asked when it is called, and so is all of this once more.
pub(crate) fn check_callable(text: &str, allowed: &AllowList) -> Result<(), String> {
    let url = check_url(text)?;
    let number = match url.host() {
        Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
        Some(Host::Domain(_)) | None => None,
    };
    if number.is_some_and(|address| !allowed.opens(address)) {
        return Err(format!(
            "stands for an address that is not called; an Admin may list it in the setting \
             {ALLOWED_ADDRESSES}"
        ));
    }
    let may_be_listed = number.map_or(!allowed.is_empty(), |address| allowed.lists(address));
    if url.scheme() == "http" && !may_be_listed {
        return Err(format!(
            "must begin with https://; plain http:// is for addresses that an Admin lists in the \
             setting {ALLOWED_ADDRESSES}"
        ));
    }
    Ok(())
}

/// The list that Admins have set.
pub(crate) async fn allow_list(tx: &mut Tx) -> Result<AllowList, AppError> {
    let spec = SettingSpec::get(ALLOWED_ADDRESSES).map_err(AppError::internal)?;
    let value = tx.setting(spec).await?;
    let entries = value.as_array().into_iter().flatten();
    let networks = entries.filter_map(|entry| entry.as_str()?.parse::<Network>().ok());
    Ok(AllowList::new(networks.collect()))
}

/// What went wrong on the way, with its causes and without the address.
fn unreachable(error: &reqwest::Error) -> OutboundError {
    let mut words = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words.push(error.to_string());
        cause = error.source();
    }
    if error.is_timeout() {
        words.push("it took too long".to_owned());
    }
    if words.is_empty() {
        words.push("the connection broke".to_owned());
    }
    OutboundError::Unreachable(words.join(": "))
}
