//! Addresses: which ones the server may call when people tell it to, and the list by which an
//! Admin lets in others.
//!
//! Sources: the IANA special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its
//! updates), and the metadata addresses that the large clouds document.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// Why an address is not called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// It is in somebody's own network or on this machine. An Admin may list it, or a network
    /// that holds it.
    Private,
    /// It is where a cloud hands out credentials, it stands for another address, or it is no
    /// address of one machine in the internet. An Admin may list it alone, never with a network:
    /// nobody should let it in by accident.
    Special,
}

/// Whether an address is closed; `None` for an address of the public internet.
pub fn closed(address: IpAddr) -> Option<Closed> {
    match address {
        IpAddr::V4(address) => closed_v4(address),
        IpAddr::V6(address) => closed_v6(address),
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix: u8) -> Network {
    Network { base: IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix }
}

const PRIVATE_V4: &[Network] = &[
    v4(10, 0, 0, 0, 8),
    v4(172, 16, 0, 0, 12),
    v4(192, 168, 0, 0, 16),
    // Shared by customers of one carrier.
    v4(100, 64, 0, 0, 10),
    v4(127, 0, 0, 0, 8),
];

const SPECIAL_V4: &[Network] = &[
    // Metadata of Alibaba, Azure's own services, Oracle; most others are link-local.
    v4(100, 100, 100, 200, 32),
    v4(168, 63, 129, 16, 32),
    v4(192, 0, 0, 0, 24),
    v4(169, 254, 0, 0, 16),
    v4(0, 0, 0, 0, 8),
    // Documentation, the relay of 6to4, benchmarks.
    v4(192, 0, 2, 0, 24),
    v4(198, 51, 100, 0, 24),
    v4(203, 0, 113, 0, 24),
    v4(192, 88, 99, 0, 24),
    v4(198, 18, 0, 0, 15),
    // Multicast, reserved, broadcast.
    v4(224, 0, 0, 0, 4),
    v4(240, 0, 0, 0, 4),
];

fn closed_v4(address: Ipv4Addr) -> Option<Closed> {
    let address = IpAddr::V4(address);
    let is_in = |networks: &[Network]| networks.iter().any(|network| network.holds(address));
    if is_in(SPECIAL_V4) {
        return Some(Closed::Special);
    }
    is_in(PRIVATE_V4).then_some(Closed::Private)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Network {
    Network { base: IpAddr::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)), prefix }
}

/// Metadata addresses within private networks: Amazon's and Google's.
const METADATA_V6: &[Ipv6Addr] = &[
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// Where addresses of single machines in the internet are.
const GLOBAL_UNICAST: Network = v6(0x2000, 0, 0, 3);

/// Parts of it that are not: protocol assignments with Teredo, documentation, 6to4.
const NOT_GLOBAL: &[Network] =
    &[v6(0x2001, 0, 0, 23), v6(0x2001, 0xdb8, 0, 32), v6(0x2002, 0, 0, 16), v6(0x3fff, 0, 0, 20)];

const UNIQUE_LOCAL: Network = v6(0xfc00, 0, 0, 7);

fn closed_v6(address: Ipv6Addr) -> Option<Closed> {
    if METADATA_V6.contains(&address) {
        return Some(Closed::Special);
    }
    let whole = IpAddr::V6(address);
    if address == Ipv6Addr::LOCALHOST || UNIQUE_LOCAL.holds(whole) {
        return Some(Closed::Private);
    }
    // Everything outside is link-local, multicast, or stands for an IPv4 address: mapped,
    // compatible, translated (NAT64).
    let is_public = GLOBAL_UNICAST.holds(whole) && !NOT_GLOBAL.iter().any(|n| n.holds(whole));
    if is_public { None } else { Some(Closed::Special) }
}

/// Addresses that share their first bits; with all bits, one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix: u8,
}

/// A text that names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address or network; write 10.1.2.3, 10.1.0.0/16 or fd12::/32")]
pub struct NoNetwork(String);

impl Network {
    /// Whether the address is one of these. One of the other family never is.
    pub fn holds(&self, address: IpAddr) -> bool {
        let (base, address, bits) = match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                (u128::from(base.to_bits()), u128::from(address.to_bits()), 32)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
            _ => return false,
        };
        let rest = u32::from(bits - self.prefix.min(bits));
        let differing = base ^ address;
        differing.checked_shr(rest).unwrap_or(0) == 0
    }

    /// Whether it is one address.
    pub fn is_one_address(&self) -> bool {
        self.prefix == if self.base.is_ipv4() { 32 } else { 128 }
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let wrong = || NoNetwork(text.to_owned());
        let (base, prefix) = match text.split_once('/') {
            Some((base, prefix)) => (base, Some(prefix)),
            None => (text, None),
        };
        let base: IpAddr = base.parse().map_err(|_| wrong())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| wrong())?
            }
            Some(_) => return Err(wrong()),
        };
        if prefix > most {
            return Err(wrong());
        }
        Ok(Self { base, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.prefix)
    }
}

/// What an Admin lets in beside the public internet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(Vec<Network>);

impl AllowList {
    /// A list of these.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Whether nothing is listed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an Admin has listed the address, in the way that its kind asks for.
    pub fn lists(&self, address: IpAddr) -> bool {
        let needs_its_own_entry = closed(address) == Some(Closed::Special);
        self.0
            .iter()
            .filter(|network| !needs_its_own_entry || network.is_one_address())
            .any(|network| network.holds(address))
    }

    /// Whether the address may be called.
    pub fn opens(&self, address: IpAddr) -> bool {
        closed(address).is_none() || self.lists(address)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn list(entries: &[&str]) -> AllowList {
        AllowList::new(entries.iter().map(|entry| entry.parse().unwrap()).collect())
    }

    #[test]
    fn e01_only_addresses_of_the_public_internet_are_open() {
        for open in [
            "1.1.1.1",
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "192.167.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00:1450::1",
        ] {
            assert_eq!(closed(address(open)), None, "{open}");
        }
        for private in [
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "fc00::1",
            "fd12:3456::1",
        ] {
            assert_eq!(closed(address(private)), Some(Closed::Private), "{private}");
        }
        for special in [
            "0.0.0.0",
            "169.254.169.254",
            "169.254.1.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "::",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            // Each of these stands for an address of IPv4.
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::a00:1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "2001:0:4136:e378::1",
            "2001:db8::1",
            "100::1",
            "5f00::1",
            "3fff::1",
        ] {
            assert_eq!(closed(address(special)), Some(Closed::Special), "{special}");
        }
    }

    #[test]
    fn e01_a_network_lets_in_private_addresses_and_never_special_ones() {
        let wide = list(&["0.0.0.0/0", "::/0"]);
        assert!(wide.opens(address("10.1.2.3")) && wide.opens(address("::1")));
        for special in ["169.254.169.254", "fe80::1", "::ffff:10.0.0.1", "fd00:ec2::254"] {
            assert!(!wide.opens(address(special)), "{special}");
        }
        assert!(list(&["169.254.169.254"]).opens(address("169.254.169.254")));
        assert!(!list(&["10.1.0.0/16"]).opens(address("10.2.0.1")));
        assert!(!list(&["127.0.0.1"]).opens(address("::ffff:127.0.0.1")));
    }

    #[test]
    fn networks_are_read_as_they_are_written() {
        for text in [
            "",
            "x",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0/8",
            "::/129",
            "10.0.0.0/+8",
            "example.com",
            "0x7f.1",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text:?}");
        }
        assert_eq!("10.0.0.1".parse::<Network>().unwrap().to_string(), "10.0.0.1/32");
    }

    proptest! {
        #[test]
        fn a_network_holds_what_shares_its_first_bits(base: u32, other: u32, prefix in 0u8..=32) {
            let network = Network { base: IpAddr::V4(base.into()), prefix };
            let mask = u32::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0);
            prop_assert_eq!(
                network.holds(IpAddr::V4(other.into())),
                base & mask == other & mask
            );
        }

        #[test]
        fn e01_no_form_of_a_closed_ipv4_address_is_open(bits: u32) {
            let v4 = Ipv4Addr::from(bits);
            let [a, b, c, d] = v4.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            for form in [
                v4.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, 0, 0, 0, 0, 1),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
            ] {
                prop_assert!(closed(IpAddr::V6(form)).is_some(), "{form}");
            }
        }
    }
}
