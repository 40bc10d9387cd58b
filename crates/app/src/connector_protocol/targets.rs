//! A target system as a connector gets to know it.
//!
//! A secret kept here is sealed to each process once, and again only when it changes: sealing
//! costs, and a target that was sealed anew would look like one that changed.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use latchkey_domain::{
    ids::{ConnectorId, IntegrationId},
    integration::{Integration, IntegrationStatus, SecretStore},
};
use latchkey_protocol::{IntegrationTarget, SecretSource, sealing};
use latchkey_store::Tx;
use sha2::{Digest, Sha256};

use crate::{App, error::AppError};

/// Above this many, sealed secrets are forgotten and made anew when they are asked for.
const MOST_SEALED: usize = 4_096;

/// Secrets as they were sealed to processes. Nobody but the process can open one.
#[derive(Debug, Default)]
pub(crate) struct SealedSecrets(Mutex<HashMap<(IntegrationId, String), Sealed>>);

#[derive(Debug, Clone)]
struct Sealed {
    /// The secret as it lies in the database, which is another text after each change.
    at_rest: Option<String>,
    sealed: String,
}

impl SealedSecrets {
    fn find(&self, key: &(IntegrationId, String), at_rest: Option<&str>) -> Option<String> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(key).filter(|one| one.at_rest.as_deref() == at_rest).map(|one| one.sealed.clone())
    }

    fn keep(&self, key: (IntegrationId, String), sealed: Sealed) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_SEALED {
            all.clear();
        }
        all.insert(key, sealed);
    }
}

/// What a connector serves.
pub(super) struct Served {
    /// Names the targets, secrets included.
    pub version: String,
    /// The targets; `None` where the process knows this version.
    pub targets: Option<Vec<IntegrationTarget>>,
}

/// Everything the connector serves, so that each of its processes can end access there. `known`
/// is the version that the process has.
pub(super) async fn served_by(
    tx: &mut Tx,
    app: &App,
    connector: &ConnectorId,
    public_key: &str,
    known: Option<&str>,
) -> Result<Served, AppError> {
    let mut integrations = tx.integrations_of_connector(connector).await?;
    integrations.retain(|integration| integration.status != IntegrationStatus::Disabled);
    let mut hash = Sha256::new();
    hash.update(public_key.as_bytes());
    for integration in &integrations {
        let bare = bare(tx, integration);
        let described = serde_json::to_vec(&bare).map_err(AppError::internal)?;
        hash.update((described.len() as u64).to_be_bytes());
        hash.update(&described);
        if matches!(bare.secret, SecretSource::Platform { .. }) {
            let at_rest = tx.find_integration_secret_at_rest(&integration.id).await?;
            let at_rest = at_rest.unwrap_or_default();
            hash.update((at_rest.len() as u64).to_be_bytes());
            hash.update(at_rest);
        }
    }
    let version = hex::encode(hash.finalize());
    if known == Some(version.as_str()) {
        return Ok(Served { version, targets: None });
    }
    let mut targets = Vec::with_capacity(integrations.len());
    for integration in &integrations {
        targets.push(describe(tx, app, integration, public_key).await?);
    }
    Ok(Served { version, targets: Some(targets) })
}

/// Describes `integration` to the process that holds the private half of `public_key`: a secret
/// kept here is sealed to it.
pub(super) async fn describe(
    tx: &mut Tx,
    app: &App,
    integration: &Integration,
    public_key: &str,
) -> Result<IntegrationTarget, AppError> {
    let mut target = bare(tx, integration);
    if let SecretSource::Platform { sealed } = &mut target.secret {
        *sealed = seal(tx, app, &integration.id, public_key).await?;
    }
    Ok(target)
}

async fn seal(
    tx: &mut Tx,
    app: &App,
    id: &IntegrationId,
    public_key: &str,
) -> Result<String, AppError> {
    let at_rest = tx.find_integration_secret_at_rest(id).await?;
    let key = (id.clone(), public_key.to_owned());
    if let Some(sealed) = app.sealed_secrets().find(&key, at_rest.as_deref()) {
        return Ok(sealed);
    }
    let values = tx.find_integration_secret(id).await?.unwrap_or_default();
    let sealed = sealing::seal_values(public_key, &values)
        .map_err(|error| AppError::invalid("public_key", error.to_string()))?;
    app.sealed_secrets().keep(key, Sealed { at_rest, sealed: sealed.clone() });
    Ok(sealed)
}

/// The target without the values of a secret that is kept here.
fn bare(tx: &Tx, integration: &Integration) -> IntegrationTarget {
    let secret = match &integration.secret_store {
        None => SecretSource::None,
        Some(SecretStore::File { name }) => SecretSource::File { name: name.clone() },
        Some(SecretStore::Env { name }) => SecretSource::Env { name: name.clone() },
        Some(SecretStore::Platform { .. }) => SecretSource::Platform { sealed: String::new() },
    };
    IntegrationTarget {
        installation_id: tx.installation_id().clone(),
        id: integration.id.clone(),
        name: integration.name.clone(),
        integration_type: integration.integration_type.clone(),
        config: text_values(&integration.config),
        secret,
        connected_resource_types: integration.connected_resource_types.clone(),
    }
}

/// Configuration as text by key; what is not text is written as JSON.
fn text_values(config: &serde_json::Map<String, serde_json::Value>) -> BTreeMap<String, String> {
    config
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (key.clone(), text)
        })
        .collect()
}
