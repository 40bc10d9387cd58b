//! The two cookies: who has signed in, and which forms belong to a browser before that.

use axum::http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

use crate::site::Site;

/// What a cookie is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cookie {
    /// Names the browser session.
    Session,
    /// Binds forms to a browser in which nobody has signed in.
    Form,
}

impl Cookie {
    fn name(self, site: &Site) -> &'static str {
        match (self, site.is_loopback()) {
            (Self::Session, false) => "__Host-latchkey",
            (Self::Form, false) => "__Host-latchkey-form",
            (Self::Session, true) => "latchkey-loopback",
            (Self::Form, true) => "latchkey-loopback-form",
        }
    }

    /// What the browser shows. Two of one name count for nothing: which one is ours cannot be told.
    pub(crate) fn read(self, site: &Site, headers: &HeaderMap) -> Option<SecretString> {
        let name = self.name(site);
        let texts = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut found = texts.flat_map(|text| text.split(';')).filter_map(|pair| {
            let (key, value) = pair.trim_matches(' ').split_once('=')?;
            (key == name).then_some(value)
        });
        match (found.next(), found.next()) {
            (Some(value), None) => Some(SecretString::from(value)),
            _ => None,
        }
    }

    /// The header that has the browser show `value` from now on, until it is closed.
    pub(crate) fn set(self, site: &Site, value: &SecretString) -> Option<HeaderValue> {
        self.header(site, value.expose_secret(), "")
    }

    /// The header that has the browser forget it.
    pub(crate) fn forget(self, site: &Site) -> Option<HeaderValue> {
        self.header(site, "", "; Max-Age=0")
    }

    fn header(self, site: &Site, value: &str, more: &str) -> Option<HeaderValue> {
        let secure = if site.is_loopback() { "" } else { "; Secure" };
        let name = self.name(site);
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{more}");
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn site(url: Option<&str>) -> Site {
        Site::new(url, SocketAddr::from(([127, 0, 0, 1], 8470))).unwrap()
    }

    fn shown(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(text))])
    }

    #[test]
    fn d03_a_cookie_is_out_of_reach_of_scripts_other_hosts_and_other_sites() {
        let public = site(Some("https://latchkey.example.com"));
        let set = Cookie::Session.set(&public, &SecretString::from("abc")).unwrap();
        assert_eq!(set, "__Host-latchkey=abc; Path=/; HttpOnly; SameSite=Lax; Secure");
        let set = Cookie::Session.set(&site(None), &SecretString::from("abc")).unwrap();
        assert_eq!(set, "latchkey-loopback=abc; Path=/; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn d03_the_name_without_protection_counts_on_loopback_alone_and_two_of_a_name_never() {
        let public = site(Some("https://latchkey.example.com"));
        let read = |site: &Site, text| {
            Cookie::Session.read(site, &shown(text)).map(|found| found.expose_secret().to_owned())
        };
        assert_eq!(read(&public, "a=b; __Host-latchkey=abc; c=d").as_deref(), Some("abc"));
        assert_eq!(read(&public, "latchkey-loopback=abc; __Host-latchkeys=x"), None);
        assert_eq!(read(&site(None), "latchkey-loopback=abc").as_deref(), Some("abc"));
        assert_eq!(read(&public, "__Host-latchkey=abc; __Host-latchkey=def"), None);
    }
}
