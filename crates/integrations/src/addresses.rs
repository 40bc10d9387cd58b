//! Which addresses a connector never speaks to. Targets may be private or loopback; link-local
//! and metadata addresses they never are, nor where Latchkey itself listens: an integration made
//! for that address would have the connector carry words to its own server.
//!
//! A module resolves a name once, has each address checked, and connects to the one that was
//! checked.

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
};

use latchkey_domain::provisioning::{FaultClass, TargetFault};

/// Where Latchkey listens, as far as a connector knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnAddresses(Arc<Vec<SocketAddr>>);

impl OwnAddresses {
    /// These addresses. An unspecified one (`0.0.0.0`, `::`) stands for all of this machine.
    pub fn new(addresses: Vec<SocketAddr>) -> Self {
        Self(Arc::new(addresses))
    }

    /// Whether Latchkey listens at `address`.
    pub fn contain(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        self.0.iter().filter(|own| own.port() == address.port()).any(|own| {
            let own = own.ip().to_canonical();
            own == ip || (own.is_unspecified() && is_of_this_machine(ip))
        })
    }
}

/// Whether packets to `ip` stay on this machine: only then can a socket have it as its own.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok()
}

/// Refuses an address that no target may have. `place` is the target's, for people.
pub fn check(address: SocketAddr, own: &OwnAddresses, place: &str) -> Result<(), TargetFault> {
    let refused = |message| Err(TargetFault::new(FaultClass::Refused, message));
    if is_forbidden(address.ip()) {
        return refused(format!(
            "{place} is a link-local, metadata or unusable address: Latchkey never connects there"
        ));
    }
    if own.contain(address) {
        return refused(format!(
            "{place} is where Latchkey itself listens ({address}): it is no target"
        ));
    }
    Ok(())
}

fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_link_local() || v4.is_unspecified() || v4.is_multicast() || v4.is_broadcast()
        }
        IpAddr::V6(v6) => {
            v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(own: &[&str], address: &str) -> bool {
        let own = OwnAddresses::new(own.iter().map(|text| text.parse().unwrap()).collect());
        check(address.parse().unwrap(), &own, "the target").is_err()
    }

    #[test]
    fn e01_metadata_and_link_local_addresses_are_never_spoken_to() {
        for address in [
            "169.254.169.254:80",
            "[::ffff:169.254.169.254]:80",
            "[fe80::1]:5432",
            "0.0.0.0:5432",
            "[fd00:ec2::254]:80",
        ] {
            assert!(is_refused(&[], address), "{address}");
        }
        for address in ["127.0.0.1:5432", "10.0.0.1:5432", "[::1]:5432", "192.0.2.1:5432"] {
            assert!(!is_refused(&[], address), "{address}");
        }
    }

    #[test]
    fn e01_where_latchkey_listens_is_no_target() {
        let own = ["10.0.0.1:8470", "127.0.0.1:8470"];
        for address in ["10.0.0.1:8470", "[::ffff:10.0.0.1]:8470", "127.0.0.1:8470"] {
            assert!(is_refused(&own, address), "{address}");
        }
        for address in ["10.0.0.1:5432", "10.0.0.2:8470", "127.0.0.1:5432"] {
            assert!(!is_refused(&own, address), "{address}");
        }
        // All addresses of this machine, by whatever name.
        for own in ["0.0.0.0:8470", "[::]:8470"] {
            for address in ["127.0.0.1:8470", "127.0.0.9:8470", "[::1]:8470"] {
                assert!(is_refused(&[own], address), "{address}");
            }
            assert!(!is_refused(&[own], "192.0.2.1:8470"));
            assert!(!is_refused(&[own], "127.0.0.1:5432"));
        }
    }
}
