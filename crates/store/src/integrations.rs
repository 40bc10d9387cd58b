//! Configured target systems, and the secrets kept for them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use latchkey_domain::{
    ids::{ConnectorId, IntegrationId},
    integration::{Integration, IntegrationStatus},
};
use secrecy::SecretString;

use crate::{
    error::Result,
    page::{PageQuery, TextMatch},
    tx::Tx,
};

/// Secret values by parameter name.
pub type SecretValues = BTreeMap<String, SecretString>;

/// Which integrations. Every part that is there must hold; empty lists hold for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IntegrationFilter {
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

impl Tx {
    /// Adds an integration. A taken name is a duplicate.
    pub async fn insert_integration(&mut self, integration: &Integration) -> Result<()> {
        unimplemented!()
    }
    /// Writes everything but status, detail and last sync; raises version by one, in the argument too. [`StoreError::Conflict`] if the row's version is not the argument's.
    pub async fn update_integration(&mut self, integration: &mut Integration) -> Result<()> {
        unimplemented!()
    }
    /// The integration with this id.
    pub async fn find_integration(&mut self, id: &IntegrationId) -> Result<Option<Integration>> {
        unimplemented!()
    }
    /// The integration of this name, without letter case.
    pub async fn find_integration_by_name(&mut self, name: &str) -> Result<Option<Integration>> {
        unimplemented!()
    }
    /// Integrations by filter, in the order of lists.
    pub async fn list_integrations(
        &mut self,
        filter: &IntegrationFilter,
        page: &PageQuery,
    ) -> Result<Vec<Integration>> {
        unimplemented!()
    }
    /// The integrations with these ids, in no order; unknown ids are left out.
    pub async fn find_integrations(&mut self, ids: &[IntegrationId]) -> Result<Vec<Integration>> {
        unimplemented!()
    }
    /// Every integration the connector serves.
    pub async fn integrations_of_connector(
        &mut self,
        connector: &ConnectorId,
    ) -> Result<Vec<Integration>> {
        unimplemented!()
    }
    /// Deletes it with its inventory, secret and queued work; history (requests, sessions, receipts) stays.
    pub async fn delete_integration(&mut self, id: &IntegrationId) -> Result<bool> {
        unimplemented!()
    }
    /// Sets status and detail, and the last sync if one is given; does not raise the version.
    pub async fn set_integration_status(
        &mut self,
        id: &IntegrationId,
        status: IntegrationStatus,
        detail: Option<&str>,
        last_sync: Option<Timestamp>,
    ) -> Result<bool> {
        unimplemented!()
    }
    /// Seals and keeps the secret, in place of any before.
    pub async fn put_integration_secret(
        &mut self,
        id: &IntegrationId,
        secret: &SecretValues,
    ) -> Result<()> {
        unimplemented!()
    }
    /// Opens the secret.
    pub async fn find_integration_secret(
        &mut self,
        id: &IntegrationId,
    ) -> Result<Option<SecretValues>> {
        unimplemented!()
    }
    /// Forgets the secret; false if there was none.
    pub async fn delete_integration_secret(&mut self, id: &IntegrationId) -> Result<bool> {
        unimplemented!()
    }
}
