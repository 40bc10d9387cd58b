//! Integrations: configured target systems.
//!
//! Invariants: what is stored passed the catalogue's validation; a secret that the server keeps
//! is sealed in the transaction that stores its integration, and no view, audit record or error
//! ever holds it; whatever decides where that secret goes cannot change unless the secret is
//! sent again.

mod change;
mod owners;
mod removal;
mod secret;

use std::collections::BTreeMap;

use latchkey_catalog::{MASK, find_type};
use latchkey_domain::{
    ids::{ConnectorId, IntegrationId},
    integration::{Integration, IntegrationStatus, SecretStore},
};
use latchkey_store::{IntegrationFilter, PageKey, StoreError, TextMatch, Tx};
use secrecy::SecretString;
use serde_json::{Map, Value};

pub(crate) use change::{create, replace_if_different};
pub use change::{create_integration, refresh_integration, update_integration};
pub(crate) use removal::delete;
pub use removal::{Retired, delete_integration, retire_integration};

use crate::{
    App,
    actor::Actor,
    authorization::Operation,
    error::AppError,
    paging::{Page, PageRequest},
};

/// An integration with the names of what it refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntegrationView {
    /// The integration. Its secret is not part of it.
    pub integration: Integration,
    /// Name of the owner's identity source, where one was given.
    pub owner_source_name: Option<String>,
    /// Name of the owner mapping's identity source, where one was given.
    pub mapping_source_name: Option<String>,
}

impl IntegrationView {
    /// The parameters of a secret kept by the server, each with the mask in place of its value;
    /// `None` if the secret is kept elsewhere.
    pub fn masked_parameters(&self) -> Option<BTreeMap<&str, &'static str>> {
        match &self.integration.secret_store {
            Some(SecretStore::Platform { keys }) => {
                Some(keys.iter().map(|key| (key.as_str(), MASK)).collect())
            }
            _ => None,
        }
    }

    /// The resource types in use: those that were named, or all of the type.
    pub fn resource_types_in_use(&self) -> Vec<String> {
        if let Some(named) = &self.integration.connected_resource_types {
            return named.clone();
        }
        let kind = find_type(&self.integration.integration_type);
        let all = kind.into_iter().flat_map(|kind| kind.resource_types);
        all.map(|resource_type| resource_type.name.to_owned()).collect()
    }
}

/// Which format a command came in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// It can say everything: what is left out is cleared.
    #[default]
    Whole,
    /// The older one: on update, what it cannot say stays, and so do the list of resource types
    /// and a secret kept by the server where they are left out.
    Older,
    /// A document of policy as code: whole, but that a secret kept by the server stays where it
    /// is left out, because secrets do not belong into such documents.
    Document,
}

/// Everything that can be said about an integration, for creating and for replacing.
#[derive(Debug, Clone, Default)]
pub struct IntegrationCommand {
    /// Unique without letter case.
    pub name: String,
    /// The connector; on update `None` keeps the one in charge.
    pub connector_id: Option<String>,
    /// `integration_config` as sent.
    pub config: Map<String, Value>,
    /// `secret_store_config`: its members that are filled. `None` if it was left out or null.
    pub secret_stores: Option<Vec<SecretStoreInput>>,
    /// Resource types to discover; `None` for all.
    pub connected_resource_types: Option<Vec<String>>,
    /// Text of the admin's own; 400 characters at most.
    pub custom_access_details: Option<String>,
    /// Who owns its resources.
    pub owner: Option<OwnerInput>,
    /// Which tag names a resource's owner.
    pub owners_mapping: Option<OwnersMappingInput>,
    /// What leaving something out means.
    pub format: Format,
}

impl IntegrationCommand {
    /// The command with what its format leaves as it was. A secret that stays is like one whose
    /// mask was sent back: it stays only where it goes to the same place.
    fn completed(mut self, before: &Integration) -> Self {
        if self.format == Format::Whole {
            return self;
        }
        if self.format == Format::Older && self.connected_resource_types.is_none() {
            self.connected_resource_types.clone_from(&before.connected_resource_types);
        }
        let says_where = self.secret_stores.is_some()
            || self.config.get(secret::SECRET_REF).is_some_and(|value| !value.is_null());
        if let (false, Some(SecretStore::Platform { keys })) = (says_where, &before.secret_store) {
            let parameters = keys.iter().map(|key| (key.clone(), MASK.into())).collect();
            self.secret_stores = Some(vec![SecretStoreInput::Platform { parameters }]);
        }
        self
    }
}

/// One filled member of `secret_store_config`.
#[derive(Debug, Clone)]
pub enum SecretStoreInput {
    /// `apono`: kept by the server. A value may be the mask, which keeps the stored one.
    Platform {
        /// The values by parameter name.
        parameters: BTreeMap<String, SecretString>,
    },
    /// Another store of the wire format, by its key.
    Other(&'static str),
}

/// The owner as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnerInput {
    /// Condition type, such as `user`.
    pub attribute_type: String,
    /// Source ids, or addresses for users.
    pub attribute_value: Vec<String>,
    /// Id or name of the identity source.
    pub source_integration_reference: Option<String>,
}

/// The owner mapping as sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnersMappingInput {
    /// The tag's key.
    pub key_name: String,
    /// Condition type of the tag's value.
    pub attribute_type: String,
    /// Id or name of the identity source.
    pub source_integration_reference: Option<String>,
}

/// Which integrations to list. Parts that are there must all hold; empty lists hold for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntegrationsQuery {
    /// Any of these categories.
    pub categories: Vec<String>,
    /// Served by any of these connectors.
    pub connector_ids: Vec<ConnectorId>,
    /// Name.
    pub name: Option<TextMatch>,
    /// Any of these.
    pub statuses: Vec<IntegrationStatus>,
    /// Any of these types.
    pub types: Vec<TextMatch>,
}

/// Lists integrations in order of creation.
pub async fn list_integrations(
    app: &App,
    actor: &Actor,
    query: IntegrationsQuery,
    page: &PageRequest,
) -> Result<Page<IntegrationView>, AppError> {
    actor.require(Operation::ReadIntegrations)?;
    let filter = IntegrationFilter {
        categories: query.categories,
        connector_ids: query.connector_ids,
        name: query.name,
        statuses: query.statuses,
        types: query.types,
    };
    app.store()
        .read(async |tx| {
            let rows = tx.list_integrations(&filter, &page.query()).await?;
            let page = page.page(rows, |row| PageKey::new(row.created_at, row.id.as_str()));
            let mut items = Vec::with_capacity(page.items.len());
            for integration in page.items {
                items.push(view(tx, integration).await?);
            }
            Ok(Page { items, next: page.next })
        })
        .await
}

/// Reads one integration.
pub async fn get_integration(
    app: &App,
    actor: &Actor,
    id: &IntegrationId,
) -> Result<IntegrationView, AppError> {
    actor.require(Operation::ReadIntegrations)?;
    app.store()
        .read(async |tx| {
            let integration = tx.find_integration(id).await?.ok_or_else(AppError::not_found)?;
            Ok(view(tx, integration).await?)
        })
        .await
}

/// The integration with this id, or else with this name.
pub(crate) async fn find_by_reference(
    tx: &mut Tx,
    reference: &str,
) -> Result<Option<Integration>, StoreError> {
    if let Some(integration) = tx.find_integration(&IntegrationId::new(reference)).await? {
        return Ok(Some(integration));
    }
    tx.find_integration_by_name(reference).await
}

/// The identity source that `reference` names by id or name; 400 about `field` if none does.
pub(crate) async fn identity_source(
    tx: &mut Tx,
    field: &str,
    reference: Option<&str>,
) -> Result<Option<IntegrationId>, AppError> {
    let Some(reference) = reference else { return Ok(None) };
    match find_by_reference(tx, reference).await? {
        Some(source) if source.category == "USER-INFORMATION" => Ok(Some(source.id)),
        _ => Err(AppError::invalid(field, "names no identity source by id or name")),
    }
}

/// An integration with its names.
pub(crate) async fn view(
    tx: &mut Tx,
    integration: Integration,
) -> Result<IntegrationView, StoreError> {
    let owner = integration.owner.as_ref().and_then(|owner| owner.source_integration_id.clone());
    let mapping = integration
        .owners_mapping
        .as_ref()
        .and_then(|mapping| mapping.source_integration_id.clone());
    Ok(IntegrationView {
        owner_source_name: name_of(tx, owner).await?,
        mapping_source_name: name_of(tx, mapping).await?,
        integration,
    })
}

async fn name_of(tx: &mut Tx, id: Option<IntegrationId>) -> Result<Option<String>, StoreError> {
    let Some(id) = id else { return Ok(None) };
    Ok(tx.find_integration(&id).await?.map(|integration| integration.name))
}
