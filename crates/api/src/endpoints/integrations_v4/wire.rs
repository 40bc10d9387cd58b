//! The wire shapes of integrations, v4.
//!
//! A secret comes in and never goes out: answers hold the mask in place of each value.

use std::collections::BTreeMap;

use latchkey_app::integrations::{
    self as app, IntegrationCommand, IntegrationView, SecretStoreInput,
};
use latchkey_domain::ids::IntegrationId;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{time::Timestamp, words::IntegrationStatus};

/// Integration, v4 view.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "IntegrationV4")]
pub struct Integration {
    /// Integration id.
    pub id: String,
    /// Unique display name.
    pub name: String,
    /// Integration type, such as `postgresql`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `RESOURCES` or `USER-INFORMATION`.
    pub category: String,
    /// Connector in charge.
    pub connector_id: Option<String>,
    /// Where it stands.
    pub status: IntegrationStatus,
    /// When a discovery run last ended well.
    pub last_sync_time: Option<Timestamp>,
    /// Settings of the type, as they were sent.
    #[serde(rename = "integration_config")]
    pub config: Map<String, Value>,
    /// Where its secret is kept, where that is one of these stores; values are masked.
    pub secret_store_config: Option<SecretStoreConfig>,
    /// Resource types to discover; null means all of the type.
    pub connected_resource_types: Option<Vec<String>>,
    /// The admin's note for people who connect.
    pub custom_access_details: Option<String>,
    /// Who owns its resources.
    pub owner: Option<Owner>,
    /// Which tag names a resource's owner.
    pub owners_mapping: Option<OwnersMapping>,
}

/// Where the connector finds its credentials; one member is filled.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct SecretStoreConfig {
    /// AWS Secrets Manager.
    pub aws: Option<AwsSecretRef>,
    /// Google Secret Manager.
    pub gcp: Option<GcpSecretRef>,
    /// A Kubernetes secret.
    pub kubernetes: Option<KubernetesSecretRef>,
    /// Azure Key Vault.
    pub azure: Option<AzureSecretRef>,
    /// `HashiCorp` Vault.
    pub hashicorp_vault: Option<HashicorpVaultSecretRef>,
    /// Kept by the server.
    pub apono: Option<PlatformSecret>,
}

/// Where the connector finds its credentials; fill exactly one member.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SecretStoreConfigInput {
    /// AWS Secrets Manager.
    pub aws: Option<AwsSecretRef>,
    /// Google Secret Manager.
    pub gcp: Option<GcpSecretRef>,
    /// A Kubernetes secret.
    pub kubernetes: Option<KubernetesSecretRef>,
    /// Azure Key Vault.
    pub azure: Option<AzureSecretRef>,
    /// `HashiCorp` Vault.
    pub hashicorp_vault: Option<HashicorpVaultSecretRef>,
    /// Kept by the server, sealed.
    pub apono: Option<PlatformSecretInput>,
}

/// Secret kept in AWS Secrets Manager.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AwsSecretRef {
    /// Region that holds the secret.
    pub region: String,
    /// Name or ARN of the secret.
    pub secret_id: String,
}

/// Secret kept in Google Secret Manager.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct GcpSecretRef {
    /// Project that holds the secret.
    pub project: String,
    /// Secret name or resource path.
    pub secret_id: String,
}

/// Secret kept in a cluster.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct KubernetesSecretRef {
    /// Namespace of the secret.
    pub namespace: String,
    /// Secret object name.
    pub name: String,
}

/// Secret kept in Azure Key Vault.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AzureSecretRef {
    /// Address of the key vault.
    pub vault_url: String,
    /// Secret name.
    pub name: String,
}

/// Secret kept in `HashiCorp` Vault.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct HashicorpVaultSecretRef {
    /// Mount of the engine.
    pub secret_engine: String,
    /// Path below the mount.
    pub path: String,
}

/// Secret kept by the server, masked.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlatformSecret {
    /// The names that are set, each with the mask as its value.
    pub parameters: BTreeMap<String, String>,
}

/// Secret to be kept by the server.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct PlatformSecretInput {
    /// The values; the mask keeps the stored one.
    #[schemars(with = "BTreeMap<String, String>")]
    pub parameters: BTreeMap<String, SecretText>,
}

/// A secret value as it comes in; cannot be printed.
#[derive(Debug)]
pub struct SecretText(SecretString);

impl SecretText {
    /// The value, still wrapped.
    pub(crate) fn into_secret(self) -> SecretString {
        self.0
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// Who owns everything in an integration.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Owner {
    /// Condition type, such as `user` or `group`.
    pub attribute_type: String,
    /// Source ids; e-mail addresses for users.
    pub attribute_value: Vec<String>,
    /// Id of the identity source.
    pub source_integration_id: Option<String>,
    /// Its name now.
    pub source_integration_name: Option<String>,
}

/// Who owns everything in an integration.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OwnerInput {
    /// Condition type, such as `user` or `group`.
    pub attribute_type: String,
    /// Source ids; e-mail addresses for users.
    pub attribute_value: Vec<String>,
    /// Id or name of the identity source.
    pub source_integration_reference: Option<String>,
}

/// Which tag names a resource's owner.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnersMapping {
    /// The tag's key.
    pub key_name: String,
    /// Condition type that the tag's value is looked up in.
    pub attribute_type: String,
    /// Id of the identity source.
    pub source_integration_id: Option<String>,
    /// Its name now.
    pub source_integration_name: Option<String>,
}

/// Which tag names a resource's owner.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct OwnersMappingInput {
    /// The tag's key.
    pub key_name: String,
    /// Condition type that the tag's value is looked up in.
    pub attribute_type: String,
    /// Id or name of the identity source.
    pub source_integration_reference: Option<String>,
}

/// New integration, v4.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "IntegrationCreateV4")]
pub struct IntegrationCreate {
    /// Integration type, such as `postgresql`.
    #[serde(rename = "type")]
    pub integration_type: String,
    /// Unique display name.
    pub name: String,
    /// Connector in charge.
    pub connector_id: Option<String>,
    /// Settings of the type. `secret_ref` = `file:NAME` or `env:NAME` names a secret on the
    /// connector's machine.
    pub integration_config: Map<String, Value>,
    /// Where the secret is kept.
    pub secret_store_config: Option<SecretStoreConfigInput>,
    /// Resource types to discover; all of the type when left out.
    pub connected_resource_types: Option<Vec<String>>,
    /// Note for people who connect; 400 characters at most.
    #[schemars(length(max = 400))]
    pub custom_access_details: Option<String>,
    /// Who owns its resources. Only Admins may set it.
    pub owner: Option<OwnerInput>,
    /// Which tag names a resource's owner; needs `owner`. Only Admins may set it.
    pub owners_mapping: Option<OwnersMappingInput>,
}

/// Replacement for an integration, v4; its type stays.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "IntegrationUpdateV4")]
pub struct IntegrationUpdate {
    /// Unique display name.
    pub name: String,
    /// Connector in charge; on replacement the one in charge stays when left out.
    pub connector_id: Option<String>,
    /// Settings of the type. `secret_ref` = `file:NAME` or `env:NAME` names a secret on the
    /// connector's machine.
    pub integration_config: Map<String, Value>,
    /// Where the secret is kept.
    pub secret_store_config: Option<SecretStoreConfigInput>,
    /// Resource types to discover; all of the type when left out.
    pub connected_resource_types: Option<Vec<String>>,
    /// Note for people who connect; 400 characters at most.
    #[schemars(length(max = 400))]
    pub custom_access_details: Option<String>,
    /// Who owns its resources. Only Admins may set it.
    pub owner: Option<OwnerInput>,
    /// Which tag names a resource's owner; needs `owner`. Only Admins may set it.
    pub owners_mapping: Option<OwnersMappingInput>,
}

impl From<IntegrationView> for Integration {
    fn from(view: IntegrationView) -> Self {
        let masked = view.masked_parameters().map(|parameters| PlatformSecret {
            parameters: parameters
                .into_iter()
                .map(|(name, mask)| (name.to_owned(), mask.to_owned()))
                .collect(),
        });
        let integration = view.integration;
        let text = |id: Option<IntegrationId>| id.map(String::from);
        Self {
            id: integration.id.into(),
            name: integration.name,
            kind: integration.integration_type,
            category: integration.category,
            connector_id: integration.connector_id.map(Into::into),
            status: integration.status.into(),
            last_sync_time: integration.last_sync_at.map(Into::into),
            config: integration.config,
            secret_store_config: masked
                .map(|apono| SecretStoreConfig { apono: Some(apono), ..Default::default() }),
            connected_resource_types: integration.connected_resource_types,
            custom_access_details: integration.custom_access_details,
            owner: integration.owner.map(|owner| Owner {
                attribute_type: owner.attribute_type,
                attribute_value: owner.attribute_value,
                source_integration_id: text(owner.source_integration_id),
                source_integration_name: view.owner_source_name,
            }),
            owners_mapping: integration.owners_mapping.map(|mapping| OwnersMapping {
                key_name: mapping.key_name,
                attribute_type: mapping.attribute_type,
                source_integration_id: text(mapping.source_integration_id),
                source_integration_name: view.mapping_source_name,
            }),
        }
    }
}

impl From<IntegrationUpdate> for IntegrationCommand {
    fn from(input: IntegrationUpdate) -> Self {
        Self {
            name: input.name,
            connector_id: input.connector_id,
            config: input.integration_config,
            secret_stores: input.secret_store_config.map(SecretStoreConfigInput::filled),
            connected_resource_types: input.connected_resource_types,
            custom_access_details: input.custom_access_details,
            owner: input.owner.map(|owner| app::OwnerInput {
                attribute_type: owner.attribute_type,
                attribute_value: owner.attribute_value,
                source_integration_reference: owner.source_integration_reference,
            }),
            owners_mapping: input.owners_mapping.map(|mapping| app::OwnersMappingInput {
                key_name: mapping.key_name,
                attribute_type: mapping.attribute_type,
                source_integration_reference: mapping.source_integration_reference,
            }),
            format: app::Format::Whole,
        }
    }
}

impl From<IntegrationCreate> for IntegrationCommand {
    fn from(input: IntegrationCreate) -> Self {
        Self::from(IntegrationUpdate {
            name: input.name,
            connector_id: input.connector_id,
            integration_config: input.integration_config,
            secret_store_config: input.secret_store_config,
            connected_resource_types: input.connected_resource_types,
            custom_access_details: input.custom_access_details,
            owner: input.owner,
            owners_mapping: input.owners_mapping,
        })
    }
}

impl SecretStoreConfigInput {
    /// The members that are filled.
    fn filled(self) -> Vec<SecretStoreInput> {
        let other = |is_filled: bool, key| is_filled.then_some(SecretStoreInput::Other(key));
        let platform = self.apono.map(|secret| SecretStoreInput::Platform {
            parameters: secret
                .parameters
                .into_iter()
                .map(|(name, value)| (name, value.into_secret()))
                .collect(),
        });
        let filled = [
            other(self.aws.is_some(), "aws"),
            other(self.gcp.is_some(), "gcp"),
            other(self.kubernetes.is_some(), "kubernetes"),
            other(self.azure.is_some(), "azure"),
            other(self.hashicorp_vault.is_some(), "hashicorp_vault"),
            platform,
        ];
        filled.into_iter().flatten().collect()
    }
}
