//! A target system as a connector gets to know it.

use std::collections::BTreeMap;

use latchkey_domain::integration::{Integration, SecretStore};
use latchkey_protocol::{IntegrationTarget, SecretSource, sealing};
use latchkey_store::Tx;

use crate::error::AppError;

/// Describes `integration` to the process that holds the private half of `public_key`: a secret
/// kept here is sealed to it.
pub(super) async fn describe(
    tx: &mut Tx,
    integration: &Integration,
    public_key: &str,
) -> Result<IntegrationTarget, AppError> {
    let secret = match &integration.secret_store {
        None => SecretSource::None,
        Some(SecretStore::File { name }) => SecretSource::File { name: name.clone() },
        Some(SecretStore::Env { name }) => SecretSource::Env { name: name.clone() },
        Some(SecretStore::Platform { .. }) => {
            let values = tx.find_integration_secret(&integration.id).await?.unwrap_or_default();
            let sealed = sealing::seal_values(public_key, &values)
                .map_err(|error| AppError::invalid("public_key", error.to_string()))?;
            SecretSource::Platform { sealed }
        }
    };
    Ok(IntegrationTarget {
        installation_id: tx.installation_id().clone(),
        id: integration.id.clone(),
        name: integration.name.clone(),
        integration_type: integration.integration_type.clone(),
        config: text_values(&integration.config),
        secret,
        connected_resource_types: integration.connected_resource_types.clone(),
    })
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
