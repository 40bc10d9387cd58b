//! Where people reach this installation in a browser, and what follows for forms and cookies.
//!
//! Over `https://` cookies have the prefix `__Host-`, so that no other host, no path and no plain
//! connection can set or see them. Not every browser keeps such a cookie for a page that came over
//! `http://` from this machine itself. So there, and nowhere else, cookies have another name and
//! go without `Secure`: whenever `public_url` is not set, or names a loopback address. A form is
//! then taken from loopback addresses alone, so nobody signs in that way over a network, whatever
//! stands between.

use std::net::SocketAddr;

use url::{Host, Url};

/// Why a public address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("public_url is no address; write it like https://latchkey.example.com")]
pub struct SiteError;

/// Where people reach this installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    origins: Vec<String>,
    is_loopback: bool,
}

impl Site {
    /// The site at `public_url`; on loopback at the port of `listen` where there is none.
    pub fn new(public_url: Option<&str>, listen: SocketAddr) -> Result<Self, SiteError> {
        let public = match public_url {
            None => None,
            Some(text) => Some(Url::parse(text).map_err(|_| SiteError)?),
        };
        if let Some(url) = &public
            && !is_loopback(url)
        {
            if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
                return Err(SiteError);
            }
            let origins = vec![url.origin().ascii_serialization()];
            return Ok(Self { origins, is_loopback: false });
        }
        let port = listen.port();
        let own = ["127.0.0.1", "localhost", "[::1]"].map(|host| format!("http://{host}:{port}"));
        let mut origins = own.to_vec();
        origins.extend(public.map(|url| url.origin().ascii_serialization()));
        Ok(Self { origins, is_loopback: true })
    }

    /// Whether a form from a page of this origin counts.
    pub(crate) fn is_own(&self, origin: &str) -> bool {
        self.origins.iter().any(|own| own == origin)
    }

    /// Where people should open pages, for those who opened them elsewhere.
    pub(crate) fn address(&self) -> &str {
        self.origins.first().map(String::as_str).unwrap_or_default()
    }

    /// Whether cookies go without `Secure`, because the browser is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        self.is_loopback
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(url: Option<&str>) -> Site {
        Site::new(url, SocketAddr::from(([127, 0, 0, 1], 8470))).unwrap()
    }

    #[test]
    fn d03_only_pages_of_the_public_address_count_and_their_cookies_are_secure() {
        let site = site(Some("https://latchkey.example.com/"));
        assert!(!site.is_loopback());
        assert!(site.is_own("https://latchkey.example.com"));
        for other in [
            "http://latchkey.example.com",
            "https://latchkey.example.com:8443",
            "https://latchkey.example.com.evil.example",
            "https://evil.example",
            "http://127.0.0.1:8470",
            "null",
            "",
        ] {
            assert!(!site.is_own(other), "{other}");
        }
        assert!(!self::site(Some("http://latchkey.example.com")).is_loopback());
    }

    #[test]
    fn d03_without_a_public_address_only_pages_of_this_machine_count() {
        for site in [site(None), site(Some("http://localhost:8470"))] {
            assert!(site.is_loopback());
            for own in ["http://127.0.0.1:8470", "http://localhost:8470", "http://[::1]:8470"] {
                assert!(site.is_own(own), "{own}");
            }
            for other in ["http://latchkey.example.com", "http://10.0.0.1:8470", "null"] {
                assert!(!site.is_own(other), "{other}");
            }
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let listen = SocketAddr::from(([127, 0, 0, 1], 8470));
        for text in ["x", "mailto:ada@example.com", "file:///etc"] {
            assert_eq!(Site::new(Some(text), listen), Err(SiteError), "{text}");
        }
    }
}
