//! A target's admin secret, from where the server says it is: a file below the connector's
//! secret folder, a variable of its process, or sealed to it by the server. The server names;
//! `connector.toml` decides; no message ever carries a value.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::Path,
    sync::Arc,
};

use latchkey_domain::provisioning::TargetFault;
use latchkey_integrations::Target;
use latchkey_protocol::{IntegrationTarget, SecretSource, sealing::SecretValues};
use secrecy::SecretString;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    config::{ConnectorConfig, forbidden, plain_parts},
    keys::ConnectorKey,
};

/// What the name of every variable that may hold a secret begins with.
pub const ENVIRONMENT_PREFIX: &str = "LATCHKEY_SECRET_";

/// Larger secret files are refused.
const LARGEST_FILE: u64 = 64 * 1024;

/// Looks a variable up by name.
type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// The variables of a process.
#[derive(Clone)]
pub struct Variables(Arc<Lookup>);

impl std::fmt::Debug for Variables {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variables").finish_non_exhaustive()
    }
}

impl Variables {
    /// Those of this process.
    pub fn of_process() -> Self {
        Self(Arc::new(|name| std::env::var(name).ok()))
    }

    /// A fixed set.
    pub fn fixed<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let variables: BTreeMap<String, String> = variables
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self(Arc::new(move |name| variables.get(name).cloned()))
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.0)(name)
    }
}

/// Finds secrets within what the configuration allows.
#[derive(Debug, Clone)]
pub(crate) struct Secrets {
    pub(crate) config: Arc<ConnectorConfig>,
    pub(crate) key: Arc<ConnectorKey>,
    pub(crate) variables: Variables,
}

impl Secrets {
    /// The target with its secret opened.
    pub(crate) fn open(&self, target: &IntegrationTarget) -> Result<Target, TargetFault> {
        Ok(Target {
            installation_id: target.installation_id.clone(),
            integration_id: target.id.clone(),
            name: target.name.clone(),
            config: target.config.clone(),
            secret: self.find(&target.secret)?,
            connected_resource_types: target.connected_resource_types.clone(),
        })
    }

    fn find(&self, source: &SecretSource) -> Result<SecretValues, TargetFault> {
        match source {
            SecretSource::None => Ok(SecretValues::new()),
            SecretSource::Platform { sealed } => self.open_sealed(sealed),
            SecretSource::File { name } => self.read_file(name),
            SecretSource::Env { name } => self.read_variable(name),
        }
    }

    fn open_sealed(&self, sealed: &str) -> Result<SecretValues, TargetFault> {
        if !self.config.secrets_from_platform {
            return Err(forbidden(
                "the connector takes no secrets kept by the server: [secrets] platform is false \
                 in its connector.toml. Use a file, a variable or another store"
                    .to_owned(),
            ));
        }
        self.key.open_values(sealed).map_err(|_| {
            forbidden(
                "the secret was sealed to another connector process; it is sealed anew with the \
                 next delivery"
                    .to_owned(),
            )
        })
    }

    fn read_file(&self, name: &str) -> Result<SecretValues, TargetFault> {
        let Some(folder) = &self.config.secret_folder else {
            return Err(forbidden(
                "the connector may not read secret files: set [secrets] folder in its \
                 connector.toml"
                    .to_owned(),
            ));
        };
        let shown = name.escape_debug();
        if plain_parts(name).is_none() {
            return Err(forbidden(format!(
                "the secret file `{shown}` is refused: name it relative to the secret folder, \
                 without empty parts, `.`, `..`, `%` or backslashes"
            )));
        }
        let content = read_below(folder, name).map_err(|problem| {
            forbidden(format!("the secret file `{shown}` cannot be used: {problem}"))
        })?;
        parse_values(&content)
            .ok_or_else(|| forbidden(format!("the secret file `{shown}` {EXPECTED_FORM}")))
    }

    fn read_variable(&self, name: &str) -> Result<SecretValues, TargetFault> {
        if !self.config.secrets_from_environment {
            return Err(forbidden(
                "the connector may not read secrets from its environment: [secrets] env is false \
                 in its connector.toml"
                    .to_owned(),
            ));
        }
        let is_plain =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let shown = name.escape_debug();
        if !is_plain {
            return Err(forbidden(format!(
                "the variable `{shown}` is refused: a name is letters, digits and underscores, \
                 without the prefix {ENVIRONMENT_PREFIX}"
            )));
        }
        let value = self.variables.get(&format!("{ENVIRONMENT_PREFIX}{name}")).ok_or_else(|| {
            forbidden(format!(
                "the connector's environment has no variable {ENVIRONMENT_PREFIX}{shown}; set it \
                 and restart the connector"
            ))
        })?;
        let value = Zeroizing::new(value);
        parse_values(&value).ok_or_else(|| {
            forbidden(format!("the variable {ENVIRONMENT_PREFIX}{shown} {EXPECTED_FORM}"))
        })
    }
}

const EXPECTED_FORM: &str = "should hold a JSON object of texts, such as {\"username\": …, \"password\": …}, or lines \
     KEY=VALUE";

/// Reads a regular file that is below `folder` also after every symbolic link is followed.
fn read_below(folder: &Path, name: &str) -> Result<Zeroizing<String>, String> {
    let said = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        kind => kind.to_string(),
    };
    let folder = fs::canonicalize(folder)
        .map_err(|error| format!("the secret folder cannot be opened: {}", said(error)))?;
    let path = fs::canonicalize(folder.join(name)).map_err(said)?;
    if !path.starts_with(&folder) {
        return Err("it leads out of the secret folder".to_owned());
    }
    let file = File::open(&path).map_err(said)?;
    let found = file.metadata().map_err(said)?;
    if !found.is_file() {
        return Err("it is no regular file".to_owned());
    }
    if found.len() > LARGEST_FILE {
        return Err(format!("it is larger than {LARGEST_FILE} bytes"));
    }
    let mut content = Zeroizing::new(String::new());
    file.take(LARGEST_FILE).read_to_string(&mut content).map_err(said)?;
    Ok(content)
}

/// Reads a JSON object of texts, or lines `KEY=VALUE`. Of a line everything after the first `=`
/// is the value, as it stands; empty lines and lines that begin with `#` are skipped.
fn parse_values(content: &str) -> Option<SecretValues> {
    if content.trim_start().starts_with('{') {
        let Value::Object(members) = serde_json::from_str(content).ok()? else { return None };
        let text = |value: Value| match value {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        return members
            .into_iter()
            .map(|(key, value)| Some((key, SecretString::from(text(value)?))))
            .collect();
    }
    let mut values = SecretValues::new();
    for line in content.lines() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=')?;
        values.insert(key.trim().to_owned(), SecretString::from(value));
    }
    (!values.is_empty()).then_some(values)
}

#[cfg(test)]
mod tests;
