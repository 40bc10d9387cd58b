//! Configuration: `DIR/latchkey.toml`, then variables `LATCHKEY_*`, then flags; the later wins.
//!
//! A key in the file that is not known is refused with its line and the nearest known key: a
//! misspelt setting must not silently mean its default. A variable that is not known is logged by
//! name and ignored, because the environment belongs to others too; its value is never logged.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use latchkey_domain::network::{Network, NoNetwork};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::fault::Fault;

/// The file in the data folder.
pub const FILE: &str = "latchkey.toml";

/// Where everything lives unless `--data` or `LATCHKEY_DATA` says otherwise.
const DEFAULT_DATA: &str = "./latchkey-data";

/// Variables with our prefix that are not configuration keys, but read elsewhere.
const OTHER_VARIABLES: &[&str] =
    &["LATCHKEY_DATA", "LATCHKEY_CONNECTOR_TOKEN", "LATCHKEY_MASTER_KEY_FILE"];

/// Variables with these prefixes are read elsewhere: secrets of targets, faults in tests.
const OTHER_PREFIXES: &[&str] = &["LATCHKEY_SECRET_", "LATCHKEY_FAULT_"];

/// What the file and the variables may say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The database; `None` for SQLite in the data folder.
    pub database: Option<String>,
    /// Whether the connector `local` runs inside the server on PostgreSQL too.
    pub local_connector: bool,
    /// `text` or `json`.
    pub log_format: LogFormat,
    /// Which log lines to write, such as `info` or `info,latchkey_store=debug`.
    pub log_filter: String,
    /// Whether `/metrics` answers although the listener is not on loopback.
    pub metrics_public: bool,
    /// Connections to a PostgreSQL database, at most.
    pub max_connections: u32,
    /// Where people reach this installation in a browser; mails hold no links without it.
    pub public_url: Option<String>,
    /// Proxies in front, whose `X-Forwarded-For` is believed: addresses and networks with commas
    /// between them.
    pub trusted_proxies: Option<String>,
    /// The sender of mails, such as `Latchkey <latchkey@example.com>`.
    pub mail_from: Option<String>,
    /// The mail server; nobody is mailed without one.
    pub smtp_host: Option<String>,
    /// Its port; the usual one of `smtp_tls` when left out.
    pub smtp_port: Option<u16>,
    /// How the connection to it is protected.
    pub smtp_tls: SmtpTls,
    /// Who to log in there as.
    pub smtp_user: Option<String>,
    /// With which password.
    pub smtp_password: Option<Hidden>,
    /// A file with a certificate authority to trust beside those of the machine.
    pub smtp_ca_file: Option<PathBuf>,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SmtpTls {
    /// TLS from the first byte.
    Tls,
    /// TLS after a greeting in the clear.
    Starttls,
    /// None.
    None,
}

/// A secret of the configuration: read, and never shown or written.
#[derive(Clone)]
pub struct Hidden(SecretString);

impl Hidden {
    /// The secret.
    pub fn secret(&self) -> &SecretString {
        &self.0
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

impl PartialEq for Hidden {
    fn eq(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

impl Eq for Hidden {}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|secret| Self(secret.into()))
    }
}

impl Serialize for Hidden {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(hidden)")
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8470)),
            database: None,
            local_connector: false,
            log_format: LogFormat::Text,
            log_filter: "info".to_owned(),
            metrics_public: false,
            max_connections: 16,
            public_url: None,
            trusted_proxies: None,
            mail_from: None,
            smtp_host: None,
            smtp_port: None,
            smtp_tls: SmtpTls::Starttls,
            smtp_user: None,
            smtp_password: None,
            smtp_ca_file: None,
        }
    }
}

/// What flags say; they win over everything else.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Flags {
    /// `--listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// `--database`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// `--local-connector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_connector: Option<bool>,
}

/// Everything a command needs to know about its surroundings.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The data folder.
    pub data: PathBuf,
    /// The configuration in force.
    pub config: Config,
    /// Variables with our prefix that nothing reads, by name.
    pub unknown_variables: Vec<String>,
}

/// Reads file and environment and lays the flags over them.
pub fn settle(data: Option<&Path>, flags: &Flags) -> Result<Settled, Fault> {
    let environment: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let data = data
        .map(Path::to_path_buf)
        .or_else(|| environment.get("LATCHKEY_DATA").map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(DEFAULT_DATA));
    let file = data.join(FILE);
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            return Err(Fault::new(format!("cannot read {}: {error}", file.display())));
        }
    };
    let config = merge(&file, &text, flags)?;
    let unknown_variables = unknown_variables(environment.keys().map(String::as_str));
    Ok(Settled { data, config, unknown_variables })
}

/// The proxies in front.
pub(crate) fn proxies(config: &Config) -> Result<Vec<Network>, Fault> {
    let texts = config.trusted_proxies.iter().flat_map(|text| text.split(','));
    let texts = texts.map(str::trim).filter(|text| !text.is_empty());
    let networks: Result<_, NoNetwork> = texts.map(str::parse).collect();
    networks.map_err(|error| Fault::new(format!("trusted_proxies: {error}")))
}

fn merge(file: &Path, text: &str, flags: &Flags) -> Result<Config, Fault> {
    refuse_unknown_keys(file, text)?;
    Figment::from(Serialized::defaults(Config::default()))
        .merge(Toml::string(text))
        .merge(
            Env::prefixed("LATCHKEY_").filter(|key| known_keys().iter().any(|k| key == k.as_str())),
        )
        .merge(Serialized::defaults(flags))
        .extract()
        .map_err(|error| Fault::new(explain(file, &error)))
}

/// Says which key of which source is wrong, and never its value: it may be a URL with a password.
fn explain(file: &Path, error: &figment::Error) -> String {
    let key = error.path.join(".");
    let source = match error.metadata.as_ref().map(|metadata| metadata.name.as_ref()) {
        Some(name) if name.contains("environment") => {
            format!("the variable LATCHKEY_{}", key.to_uppercase())
        }
        _ => format!("{key} in {}", file.display()),
    };
    format!("{source} has a value of the wrong kind; it takes {}", expectation(&key))
}

fn expectation(key: &str) -> &'static str {
    match key {
        "listen" => "an address and port, such as 127.0.0.1:8470",
        "database" => "a URL, such as postgres://user:password@host/database",
        "local_connector" | "metrics_public" => "true or false",
        "log_format" => "text or json",
        "log_filter" => "a level or a filter, such as info",
        "max_connections" => "a number from 1",
        "smtp_port" => "a port from 1 to 65535",
        "smtp_tls" => "tls, starttls or none",
        "trusted_proxies" => "addresses and networks, such as \"10.0.0.1, 10.9.0.0/16\"",
        "public_url" | "mail_from" | "smtp_host" | "smtp_user" | "smtp_password"
        | "smtp_ca_file" => "text",
        _ => "another value",
    }
}

fn refuse_unknown_keys(file: &Path, text: &str) -> Result<(), Fault> {
    let table = toml::de::DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        Fault::new(format!("{} line {line}: {}", file.display(), error.message()))
    })?;
    let known = known_keys();
    for key in table.get_ref().keys() {
        let name = key.get_ref().as_ref();
        if known.iter().any(|known| known == name) {
            continue;
        }
        let line = line_of(text, key.span().start);
        let advice = nearest(name, &known).map_or_else(
            || format!("known keys are {}", known.join(", ")),
            |near| format!("did you mean {near:?}?"),
        );
        return Err(Fault::new(format!(
            "{} line {line}: unknown key {name:?}; {advice}",
            file.display()
        )));
    }
    Ok(())
}

fn known_keys() -> Vec<String> {
    match serde_json::to_value(Config::default()) {
        Ok(serde_json::Value::Object(members)) => members.into_iter().map(|(key, _)| key).collect(),
        _ => Vec::new(),
    }
}

fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a str> {
    known
        .iter()
        .map(|key| (strsim::jaro_winkler(&name.to_lowercase(), key), key.as_str()))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, key)| key)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

fn unknown_variables<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let known: Vec<String> =
        known_keys().iter().map(|key| format!("LATCHKEY_{}", key.to_uppercase())).collect();
    names
        .filter(|name| name.starts_with("LATCHKEY_"))
        .filter(|name| !OTHER_VARIABLES.contains(name))
        .filter(|name| !OTHER_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !known.iter().any(|known| known == name))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, String> {
        merge(Path::new("latchkey.toml"), text, &Flags::default()).map_err(|f| f.to_string())
    }

    #[test]
    fn the_file_changes_the_defaults_and_flags_change_the_file() {
        let text = "listen = \"0.0.0.0:9000\"\nlog_format = \"json\"\n";
        assert_eq!(read(text).unwrap().listen.port(), 9000);
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let flags = Flags { listen: Some(listen), ..Flags::default() };
        let config = merge(Path::new(FILE), text, &flags).unwrap();
        assert_eq!((config.listen, config.log_format), (listen, LogFormat::Json));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_key() {
        let error = read("listen = \"127.0.0.1:1\"\n\nlog_fromat = \"json\"\n").unwrap_err();
        assert_eq!(
            error,
            "latchkey.toml line 3: unknown key \"log_fromat\"; did you mean \"log_format\"?"
        );
        let error = read("colour = 1\n").unwrap_err();
        assert!(error.contains("line 1") && error.contains("known keys are listen"), "{error}");
    }

    #[test]
    fn d06_proxies_are_named_one_by_one_or_by_network() {
        let read = |text: &str| proxies(&read(text).unwrap()).map(|found| found.len());
        assert_eq!(read("").unwrap(), 0);
        assert_eq!(read("trusted_proxies = \"10.0.0.1, 10.9.0.0/16\"").unwrap(), 2);
        assert!(
            read("trusted_proxies = \"*\"").unwrap_err().to_string().contains("trusted_proxies")
        );
    }

    #[test]
    fn a_table_is_an_unknown_key_too() {
        let error = read("[databse]\nurl = \"x\"\n").unwrap_err();
        assert!(error.contains("did you mean \"database\""), "{error}");
    }

    #[test]
    fn a_broken_file_names_the_line() {
        assert!(read("listen = 1\nlisten\n").unwrap_err().contains("line 2"));
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_named_without_being_shown() {
        let error = read("database = [\"postgres://u:hunter2@h/d\"]\n").unwrap_err();
        assert!(error.contains("database in latchkey.toml"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn a_password_is_read_and_never_shown() {
        let config = read("smtp_host = \"mail\"\nsmtp_password = \"hunter2\"\n").unwrap();
        let password = config.smtp_password.clone().unwrap();
        assert_eq!(password.secret().expose_secret(), "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(!serde_json::to_string(&config).unwrap().contains("hunter2"));
        let error = read("smtp_password = [\"hunter2\"]\n").unwrap_err();
        assert!(error.contains("smtp_password") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn unknown_variables_are_named_and_others_left_alone() {
        let names = ["PATH", "LATCHKEY_LISTEN", "LATCHKEY_LISTNE", "LATCHKEY_SECRET_SHOP"];
        assert_eq!(unknown_variables(names.into_iter()), ["LATCHKEY_LISTNE"]);
    }
}
