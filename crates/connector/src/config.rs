//! `connector.toml`: what this connector may run and read, decided on its own machine. The
//! server sends names only; whatever a name is not allowed by this file is refused here, in
//! words, and nothing is opened or started to find out.

mod document;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use latchkey_domain::provisioning::{FaultClass, TargetFault};

use crate::ceilings::Ceilings;
use document::{Place, Section};

/// Secret stores outside of Latchkey that the file can speak of.
pub const STORES: &[&str] = &["aws", "azure", "gcp", "hashicorp_vault", "kubernetes"];

/// What a connector may run and read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectorConfig {
    /// Programs by name.
    pub programs: BTreeMap<String, PathBuf>,
    /// The folder that `file:NAME` is looked up below; `None` for no secret files.
    pub secret_folder: Option<PathBuf>,
    /// Whether `env:NAME` may be read.
    pub secrets_from_environment: bool,
    /// Whether secrets kept by the server (the store `apono`) are taken.
    pub secrets_from_platform: bool,
    /// What may be read from other secret stores; a store that is missing may not be read.
    pub stores: BTreeMap<String, StoreRules>,
    /// What may be granted at most.
    pub ceilings: Ceilings,
}

/// What may be read from one secret store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreRules {
    /// Paths below which secrets may be read, without a slash at either end.
    pub paths: Vec<String>,
}

/// What is wrong with `connector.toml`.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{path} cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the file system says.
        error: io::Error,
    },
    /// A line of it cannot be taken.
    #[error("connector.toml, line {line}: {message}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// What is wrong, and what to write instead.
        message: String,
    },
}

impl Default for ConnectorConfig {
    /// Without the file: no programs, no secret files, no stores but the environment and the
    /// server's own, no ceilings.
    fn default() -> Self {
        Self {
            programs: BTreeMap::new(),
            secret_folder: None,
            secrets_from_environment: true,
            secrets_from_platform: true,
            stores: BTreeMap::new(),
            ceilings: Ceilings::default(),
        }
    }
}

impl ConnectorConfig {
    /// Reads the file at `path`; without a file the defaults hold.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        match fs::read_to_string(path) {
            Ok(text) => Self::parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(ConfigError::Unreadable { path: path.to_owned(), error }),
        }
    }

    /// Reads the text of a `connector.toml`.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        document::sections(text, &["programs", "secrets", "stores", "ceilings"], |section| {
            match section.name() {
                "programs" => config.programs = programs(&section)?,
                "secrets" => config.take_secrets(&section)?,
                "stores" => config.stores = stores(&section)?,
                _ => config.ceilings = ceilings(&section)?,
            }
            Ok(())
        })?;
        Ok(config)
    }

    /// The program that `name` stands for.
    pub fn program(&self, name: &str) -> Result<&Path, TargetFault> {
        self.programs.get(name).map(PathBuf::as_path).ok_or_else(|| {
            forbidden(format!(
                "the connector may not run a program named `{}`; list it under [programs] in its \
                 connector.toml",
                name.escape_debug()
            ))
        })
    }

    /// Fails unless `path` may be read from the secret store `store`. Both are compared letter
    /// for letter, and a path only part by part: `team` does not allow `team-b`.
    pub fn check_store_path(&self, store: &str, path: &str) -> Result<(), TargetFault> {
        let parts = plain_parts(path).ok_or_else(|| {
            forbidden(format!(
                "the secret path `{}` is refused: write it plainly, without empty parts, `.`, \
                 `..`, `%` or backslashes",
                path.escape_debug()
            ))
        })?;
        let rules = self.stores.get(store);
        let is_below = |prefix: &String| {
            let prefix: Vec<&str> = prefix.split('/').collect();
            parts.len() > prefix.len() && parts.starts_with(&prefix)
        };
        if rules.is_some_and(|rules| rules.paths.iter().any(is_below)) {
            return Ok(());
        }
        Err(forbidden(format!(
            "the connector may not read `{}` from the secret store `{}`; list a path above it \
             under [stores.{}] in its connector.toml",
            path.escape_debug(),
            store.escape_debug(),
            store.escape_debug(),
        )))
    }

    fn take_secrets(&mut self, section: &Section<'_>) -> Result<(), ConfigError> {
        section.only(&["folder", "env", "platform"])?;
        if let Some((folder, place)) = section.text("folder")? {
            if !Path::new(folder).is_absolute() {
                return Err(place.error("`folder` must be an absolute path"));
            }
            self.secret_folder = Some(PathBuf::from(folder));
        }
        if let Some(allowed) = section.flag("env")? {
            self.secrets_from_environment = allowed;
        }
        if let Some(allowed) = section.flag("platform")? {
            self.secrets_from_platform = allowed;
        }
        Ok(())
    }
}

/// The parts of a relative path without any trick in it: none is empty, `.` or `..`, and nothing
/// in it could be decoded into something else on the way.
pub(crate) fn plain_parts(path: &str) -> Option<Vec<&str>> {
    let is_plain = |part: &&str| {
        !part.is_empty()
            && *part != "."
            && *part != ".."
            && !part.contains(|c: char| c == '\\' || c == '%' || c.is_control())
    };
    let parts: Vec<&str> = path.split('/').collect();
    parts.iter().all(is_plain).then_some(parts)
}

pub(crate) fn forbidden(message: String) -> TargetFault {
    TargetFault::new(FaultClass::Forbidden, message)
}

fn programs(section: &Section<'_>) -> Result<BTreeMap<String, PathBuf>, ConfigError> {
    let mut programs = BTreeMap::new();
    for name in section.keys() {
        let Some((path, place)) = section.text(name)? else { continue };
        if !Path::new(path).is_absolute() {
            return Err(place.error(&format!("the program `{name}` must be an absolute path")));
        }
        programs.insert(name.to_owned(), PathBuf::from(path));
    }
    Ok(programs)
}

fn stores(section: &Section<'_>) -> Result<BTreeMap<String, StoreRules>, ConfigError> {
    section.only(STORES)?;
    let mut stores = BTreeMap::new();
    for name in section.keys() {
        let store = section.section(name)?;
        store.only(&["paths"])?;
        let mut rules = StoreRules::default();
        for (path, place) in store.texts("paths")?.unwrap_or_default() {
            let path = path.strip_suffix('/').unwrap_or(path);
            if plain_parts(path).is_none() {
                return Err(place.error(
                    "a path is written without a slash at its beginning, empty parts, `.`, `..`, \
                     `%` or backslashes",
                ));
            }
            rules.paths.push(path.to_owned());
        }
        stores.insert(name.to_owned(), rules);
    }
    Ok(stores)
}

fn ceilings(section: &Section<'_>) -> Result<Ceilings, ConfigError> {
    section.only(&["integration_types", "permissions", "longest_grant"])?;
    let names = |key: &str| -> Result<Option<BTreeSet<String>>, ConfigError> {
        let texts = section.texts(key)?;
        Ok(texts.map(|texts| texts.into_iter().map(|(text, _)| text.to_owned()).collect()))
    };
    let longest_grant = match section.text("longest_grant")? {
        None => None,
        Some((text, place)) => Some(longest_grant(text, place)?),
    };
    Ok(Ceilings {
        integration_types: names("integration_types")?,
        permissions: names("permissions")?,
        longest_grant,
    })
}

fn longest_grant(text: &str, place: Place) -> Result<Duration, ConfigError> {
    text.parse::<SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| place.error("`longest_grant` is a time such as \"8h\" or \"30m\""))
}

#[cfg(test)]
mod tests;
