//! The wire shapes of integrations, v2: other names for the same things, and a secret reference
//! that is flat: its kind as `type` beside the members of that kind.

use std::{borrow::Cow, collections::BTreeMap};

use latchkey_app::{
    AppError, ErrorKind,
    integrations::{Format, IntegrationCommand, IntegrationView, SecretStoreInput},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    endpoints::integrations_v4::wire::SecretText, error::ApiError, time::EpochSeconds,
    words::LegacyIntegrationStatus,
};

/// Integration, v2 view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "IntegrationV2")]
pub struct Integration {
    /// Integration id.
    pub id: String,
    /// Unique display name.
    pub name: String,
    /// Integration type, such as `postgresql`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where it stands.
    pub status: LegacyIntegrationStatus,
    /// What the last discovery run had to say: a fault, or advice.
    pub details: Option<String>,
    /// Connector in charge.
    pub provisioner_id: Option<String>,
    /// Always empty.
    pub connection: Option<Map<String, Value>>,
    /// When a discovery run last ended well.
    pub last_sync_time: Option<EpochSeconds>,
    /// Settings of the type, as they were sent.
    pub metadata: Map<String, Value>,
    /// Where its secret is kept, where `metadata.secret_ref` does not say so; values are masked.
    pub secret_config: Option<SecretConfig>,
    /// Resource types in use.
    pub connected_resource_types: Vec<String>,
    /// The admin's note for people who connect.
    pub custom_access_details: Option<String>,
}

/// A secret kept by the server, masked.
#[derive(Debug, Serialize)]
pub struct SecretConfig {
    #[serde(rename = "type")]
    kind: &'static str,
    parameters: BTreeMap<String, String>,
}

/// Where the connector finds its credentials.
#[derive(Debug, Deserialize)]
pub struct SecretConfigInput {
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Of `APONO`: the values; the mask keeps the stored one.
    #[serde(default)]
    parameters: BTreeMap<String, SecretText>,
}

macro_rules! flat_secret {
    ($($name:ident),*) => {$(
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                "LegacySecretConfig".into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "type": "object",
                    "description": "Where the connector finds its credentials: the kind of store \
                                    beside the members of that kind. `APONO`, kept by the server, \
                                    has `parameters`: the values by name, masked in answers.",
                    "properties": {
                        "type": {"type": "string", "description": "Kind of store."},
                    },
                    "additionalProperties": true,
                })
            }
        }
    )*};
}
flat_secret!(SecretConfig, SecretConfigInput);

/// New integration, v2.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "IntegrationCreateV2")]
pub struct IntegrationCreate {
    /// Unique display name.
    pub name: String,
    /// Integration type, such as `postgresql`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Connector in charge.
    pub provisioner_id: Option<String>,
    /// Settings of the type. `secret_ref` = `file:NAME` or `env:NAME` names a secret on the
    /// connector's machine.
    pub metadata: Map<String, Value>,
    /// Where the secret is kept.
    pub secret_config: Option<SecretConfigInput>,
    /// Resource types to discover; all of the type when left out.
    pub connected_resource_types: Option<Vec<String>>,
    /// Note for people who connect; 400 characters at most.
    pub custom_access_details: Option<String>,
}

/// Replacement for an integration, v2; its type stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "IntegrationUpdateV2")]
pub struct IntegrationUpdate {
    /// Unique display name.
    pub name: String,
    /// Connector in charge; the one in charge stays when left out.
    pub provisioner_id: Option<String>,
    /// Settings of the type. `secret_ref` = `file:NAME` or `env:NAME` names a secret on the
    /// connector's machine.
    pub metadata: Map<String, Value>,
    /// Where the secret is kept; one kept by the server stays when left out.
    pub secret_config: Option<SecretConfigInput>,
    /// Resource types to discover; those in use stay when left out.
    pub connected_resource_types: Option<Vec<String>>,
    /// Note for people who connect; 400 characters at most.
    pub custom_access_details: Option<String>,
}

impl From<IntegrationView> for Integration {
    fn from(view: IntegrationView) -> Self {
        let secret_config = view.masked_parameters().map(|parameters| SecretConfig {
            kind: "APONO",
            parameters: parameters
                .into_iter()
                .map(|(name, mask)| (name.to_owned(), mask.to_owned()))
                .collect(),
        });
        let connected_resource_types = view.resource_types_in_use();
        let integration = view.integration;
        Self {
            id: integration.id.into(),
            name: integration.name,
            kind: integration.integration_type,
            status: integration.status.into(),
            details: integration.status_detail,
            provisioner_id: integration.connector_id.map(Into::into),
            connection: Some(Map::new()),
            last_sync_time: integration.last_sync_at.map(Into::into),
            metadata: integration.config,
            secret_config,
            connected_resource_types,
            custom_access_details: integration.custom_access_details,
        }
    }
}

impl IntegrationCreate {
    /// The type, and all the rest as a command.
    pub(super) fn command(self) -> Result<(String, IntegrationCommand), ApiError> {
        let update = IntegrationUpdate {
            name: self.name,
            provisioner_id: self.provisioner_id,
            metadata: self.metadata,
            secret_config: self.secret_config,
            connected_resource_types: self.connected_resource_types,
            custom_access_details: self.custom_access_details,
        };
        Ok((self.kind, update.command()?))
    }
}

impl IntegrationUpdate {
    pub(super) fn command(self) -> Result<IntegrationCommand, ApiError> {
        let store = self.secret_config.map(SecretConfigInput::store).transpose()?;
        Ok(IntegrationCommand {
            name: self.name,
            connector_id: self.provisioner_id,
            config: self.metadata,
            secret_stores: store.map(|store| vec![store]),
            connected_resource_types: self.connected_resource_types,
            custom_access_details: self.custom_access_details,
            owner: None,
            owners_mapping: None,
            format: Format::Older,
        })
    }
}

/// The kinds of stores, and what v4 calls them.
const STORES: [(&str, &str); 6] = [
    ("APONO", "apono"),
    ("AWS", "aws"),
    ("GCP", "gcp"),
    ("AZURE", "azure"),
    ("KUBERNETES", "kubernetes"),
    ("HASHICORP_VAULT", "hashicorp_vault"),
];

impl SecretConfigInput {
    fn store(self) -> Result<SecretStoreInput, ApiError> {
        let field = "secret_config.type";
        let kind = self.kind.ok_or_else(|| ApiError::field(field, "is required"))?;
        match STORES.iter().find(|(word, _)| word.eq_ignore_ascii_case(&kind)) {
            Some((_, "apono")) => {
                let parameters = self.parameters.into_iter();
                let parameters =
                    parameters.map(|(name, value)| (name, value.into_secret())).collect();
                Ok(SecretStoreInput::Platform { parameters })
            }
            Some((_, store)) => Ok(SecretStoreInput::Other(store)),
            None => {
                let words = STORES.map(|(word, _)| word).join(", ");
                Err(ApiError::field(field, format!("is not known; use one of {words}")))
            }
        }
    }
}

/// The refusal in the words of this version.
pub(super) fn in_older_words(mut error: AppError) -> AppError {
    if error.kind != ErrorKind::Invalid {
        return error;
    }
    let translated = |text: &str| {
        let text = STORES.iter().fold(text.to_owned(), |text, (_, store)| {
            let member = if *store == "apono" { "" } else { ".type" };
            text.replace(&format!("secret_store_config.{store}"), &format!("secret_config{member}"))
        });
        text.replace("secret_store_config", "secret_config")
            .replace("integration_config", "metadata")
            .replace("connector_id", "provisioner_id")
    };
    error.message = translated(&error.message);
    for field in &mut error.errors {
        field.field = translated(&field.field);
        field.message = translated(&field.message);
    }
    error
}
