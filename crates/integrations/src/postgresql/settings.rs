//! An integration's configuration, read once: where to connect, as whom, and what to find.

use std::net::IpAddr;

use latchkey_domain::provisioning::{FaultClass, TargetFault};
use secrecy::SecretString;

use super::tags::TagRules;
use crate::Target;

/// How TLS is used; the words of libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum TlsMode {
    /// Never.
    Disable,
    /// If the server offers it; not proven who answers.
    Prefer,
    /// Always; not proven who answers.
    Require,
    /// Always, and the server's name is proven by its certificate.
    VerifyFull,
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Endpoint {
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => write!(f, "[{address}]:{}", self.port),
            _ => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// Everything an operation needs to know of the integration.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// The primary.
    pub primary: Endpoint,
    /// The database in which roles are managed.
    pub dbname: String,
    /// TLS.
    pub tls: TlsMode,
    /// Authorities to trust, PEM; the public ones if absent.
    pub root_certificates: Option<String>,
    /// The role set right after connecting.
    pub role: Option<String>,
    /// Databases to manage; all if absent.
    pub databases: Option<Vec<String>>,
    /// Further servers on which sessions may be open.
    pub replicas: Vec<Endpoint>,
    /// Whether a rebuilt table is the table that was approved.
    pub follow_names: bool,
    /// Tags by path.
    pub tags: TagRules,
    /// The provisioner's login.
    pub username: String,
    /// Its password.
    pub password: SecretString,
}

impl Settings {
    /// Reads the configuration; what is missing or wrong is refused in words.
    pub(super) fn read(target: &Target) -> Result<Self, TargetFault> {
        let refused = |message: String| TargetFault::new(FaultClass::Refused, message);
        let get = |key: &str| target.config.get(key).map(String::as_str).filter(|v| !v.is_empty());
        let host = get("hostname")
            .ok_or_else(|| refused("the configuration names no hostname".to_owned()))?;
        let port = match get("port") {
            None => 5432,
            Some(text) => text
                .parse()
                .map_err(|_| refused(format!("port {text:?} is not a number from 1 to 65535")))?,
        };
        let tls = match get("sslmode").unwrap_or("prefer") {
            "disable" => TlsMode::Disable,
            "prefer" => TlsMode::Prefer,
            "require" => TlsMode::Require,
            "verify-full" => TlsMode::VerifyFull,
            other => {
                return Err(refused(format!(
                    "sslmode {other:?} is none of disable, prefer, require, verify-full"
                )));
            }
        };
        let secret = |key: &str| {
            target.secret.get(key).ok_or_else(|| {
                TargetFault::new(FaultClass::Forbidden, format!("the secret has no {key}"))
            })
        };
        let list = |key: &str| -> Option<Vec<String>> {
            get(key).map(|text| {
                text.split(',')
                    .map(|name| name.trim().to_owned())
                    .filter(|name| !name.is_empty())
                    .collect()
            })
        };
        let replicas = list("replicas")
            .unwrap_or_default()
            .iter()
            .map(|entry| {
                endpoint(entry)
                    .ok_or_else(|| refused(format!("replicas: {entry:?} is not host:port")))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            primary: Endpoint { host: host.to_owned(), port },
            dbname: get("dbname").unwrap_or("postgres").to_owned(),
            tls,
            root_certificates: get("sslrootcert").map(str::to_owned),
            role: get("role").map(str::to_owned),
            databases: list("databases"),
            replicas,
            follow_names: get("follow_names") == Some("true"),
            tags: TagRules::read(get("tags"))?,
            username: secrecy::ExposeSecret::expose_secret(secret("username")?).to_owned(),
            password: secret("password")?.clone(),
        })
    }

    /// Whether a database is among those to manage.
    pub(super) fn manages(&self, database: &str) -> bool {
        self.databases.as_ref().is_none_or(|names| names.iter().any(|name| name == database))
    }
}

fn endpoint(entry: &str) -> Option<Endpoint> {
    let (host, port) = if let Some(rest) = entry.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        (host, port.strip_prefix(':').unwrap_or(""))
    } else {
        entry.split_once(':').unwrap_or((entry, ""))
    };
    let port = if port.is_empty() { 5432 } else { port.parse().ok()? };
    (!host.is_empty()).then(|| Endpoint { host: host.to_owned(), port })
}
