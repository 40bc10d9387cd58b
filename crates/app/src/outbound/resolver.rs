//! Names to addresses: looked up once by us, and then fixed for the connection.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use futures::{FutureExt, future::BoxFuture};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Looks names up.
pub trait Resolver: Send + Sync {
    /// Every address of the name.
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The machine's own resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        }
        .boxed()
    }
}

/// Answers every look-up of the HTTP client with the addresses that were checked, so that it
/// cannot come to another one.
#[derive(Debug)]
pub(super) struct Pinned(Vec<SocketAddr>);

impl Pinned {
    pub(super) fn to(addresses: Vec<SocketAddr>) -> Arc<Self> {
        Arc::new(Self(addresses))
    }
}

impl Resolve for Pinned {
    fn resolve(&self, _: Name) -> Resolving {
        let addresses: Addrs = Box::new(self.0.clone().into_iter());
        std::future::ready(Ok(addresses)).boxed()
    }
}
