//! From which network address somebody calls, for the limits on tries.
//!
//! Invariant: what a header says of addresses counts only from a proxy that the configuration
//! names; whoever else sends one is taken by the address that connects.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::ConnectInfo,
    http::{HeaderName, request::Parts},
};
use latchkey_domain::network::Network;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of whoever calls; a word for those of whom none is known.
pub(crate) fn of_caller(parts: &Parts, proxies: &[Network]) -> String {
    let Some(ConnectInfo(peer)) = parts.extensions.get::<ConnectInfo<SocketAddr>>() else {
        return "unknown".to_owned();
    };
    let peer = peer.ip().to_canonical();
    let texts = parts.headers.get_all(FORWARDED_FOR).iter().filter_map(|text| text.to_str().ok());
    let said: Vec<&str> = texts.flat_map(|text| text.split(',')).map(str::trim).collect();
    first_stranger(peer, &said, proxies).to_string()
}

/// The last address on the way that is none of our proxies, or the last proxy that says anything
/// that can be read.
fn first_stranger(peer: IpAddr, said: &[&str], proxies: &[Network]) -> IpAddr {
    let is_proxy = |address: IpAddr| proxies.iter().any(|network| network.holds(address));
    let mut at = peer;
    for text in said.iter().rev() {
        if !is_proxy(at) {
            break;
        }
        let Ok(before) = text.parse::<IpAddr>() else { break };
        at = before.to_canonical();
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d06_what_a_header_says_counts_only_from_a_proxy_that_is_named() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let proxies: Vec<Network> = ["10.0.0.1", "10.9.0.0/16"].map(|n| n.parse().unwrap()).into();
        let found = |peer, said: &[&str]| first_stranger(ip(peer), said, &proxies);
        assert_eq!(found("203.0.113.9", &["198.51.100.7"]), ip("203.0.113.9"));
        assert_eq!(found("10.0.0.1", &["198.51.100.7"]), ip("198.51.100.7"));
        // Whatever a client wrote stands to the left of what proxies added.
        assert_eq!(found("10.0.0.1", &["1.2.3.4", "198.51.100.7"]), ip("198.51.100.7"));
        assert_eq!(found("10.0.0.1", &["198.51.100.7", "10.9.3.4"]), ip("198.51.100.7"));
        assert_eq!(found("10.0.0.1", &["nonsense"]), ip("10.0.0.1"));
        assert_eq!(found("10.0.0.1", &[]), ip("10.0.0.1"));
        assert_eq!(first_stranger(ip("10.0.0.1"), &["1.2.3.4"], &[]), ip("10.0.0.1"));
    }
}
