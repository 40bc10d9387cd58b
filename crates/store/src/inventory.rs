//! What discovery found.
//!
//! A discovery run comes in pages. Only a run that reached its last page may call unseen
//! resources gone; a newer run makes an older one void, so that two that overlap cannot mix.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use latchkey_domain::{
    ids::{IntegrationId, PermissionId, ResourceId},
    inventory::{Permission, Resource, ResourceStatus, RiskLevel},
    provisioning::DiscoveredResource,
};

use crate::{
    error::Result,
    page::{PageQuery, TextMatch},
    tx::Tx,
};

/// One discovery run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SyncRunId(pub(crate) String);

impl fmt::Display for SyncRunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The discovery run that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncRun {
    /// Names the run.
    pub id: SyncRunId,
    /// How many pages have been recorded: the number of the next one.
    pub pages: u32,
    /// When it began.
    pub started_at: Timestamp,
}

/// What a finished run came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyncSummary {
    /// Resources seen by the run.
    pub found: u64,
    /// Resources that the run did not see any more.
    pub deleted: u64,
}

/// Which resources. Every part that is there must hold; empty lists hold for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResourceFilter {
    /// In any of these integrations.
    pub integration_ids: Vec<IntegrationId>,
    /// Of any of these types.
    pub resource_types: Vec<String>,
    /// Name.
    pub name: Option<TextMatch>,
    /// Native id, to the letter.
    pub source_id: Option<String>,
    /// Also those that are gone from the target.
    pub include_deleted: bool,
}

impl Tx {
    /// Begins a discovery run; one that was under way is void.
    pub async fn begin_sync(&mut self, integration: &IntegrationId) -> Result<SyncRunId> {
        unimplemented!()
    }
    /// The run that is under way.
    pub async fn find_sync(&mut self, integration: &IntegrationId) -> Result<Option<SyncRun>> {
        unimplemented!()
    }
    /// Records a page. [`StoreError::Conflict`] if the run is void.
    pub async fn record_found(
        &mut self,
        integration: &IntegrationId,
        run: &SyncRunId,
        found: &[DiscoveredResource],
    ) -> Result<()> {
        unimplemented!()
    }
    /// Ends a run after its last page: what it did not see is Deleted. [`StoreError::Conflict`] if the run is void.
    pub async fn finish_sync(
        &mut self,
        integration: &IntegrationId,
        run: &SyncRunId,
    ) -> Result<SyncSummary> {
        unimplemented!()
    }
    /// Makes the run under way void; nothing is called gone.
    pub async fn abandon_sync(&mut self, integration: &IntegrationId) -> Result<bool> {
        unimplemented!()
    }
    /// Makes these the integration's permissions.
    pub async fn put_permissions(
        &mut self,
        integration: &IntegrationId,
        permissions: &[Permission],
    ) -> Result<()> {
        unimplemented!()
    }
    /// The resource with this id, also when it is gone.
    pub async fn find_resource(&mut self, id: &ResourceId) -> Result<Option<Resource>> {
        unimplemented!()
    }
    /// The resources with these ids, in no order; unknown ids are left out.
    pub async fn find_resources(&mut self, ids: &[ResourceId]) -> Result<Vec<Resource>> {
        unimplemented!()
    }
    /// The permission with this id.
    pub async fn find_permission(&mut self, id: &PermissionId) -> Result<Option<Permission>> {
        unimplemented!()
    }
    /// The permissions with these ids, in no order; unknown ids are left out.
    pub async fn find_permissions(&mut self, ids: &[PermissionId]) -> Result<Vec<Permission>> {
        unimplemented!()
    }
    /// Permissions of an integration by type and name.
    pub async fn list_permissions(
        &mut self,
        integration: &IntegrationId,
        resource_type: Option<&str>,
    ) -> Result<Vec<Permission>> {
        unimplemented!()
    }
    /// Resources by filter, in the order of lists.
    pub async fn list_resources(
        &mut self,
        filter: &ResourceFilter,
        page: &PageQuery,
    ) -> Result<Vec<Resource>> {
        unimplemented!()
    }
    /// The resources of a type that are not gone.
    pub async fn resources_of(
        &mut self,
        integration: &IntegrationId,
        resource_type: &str,
    ) -> Result<Vec<Resource>> {
        unimplemented!()
    }
    /// The types of the resources that are not gone.
    pub async fn resource_types_of(&mut self, integration: &IntegrationId) -> Result<Vec<String>> {
        unimplemented!()
    }
    /// Replaces the tags that people set; false without such a resource.
    pub async fn set_user_tags(
        &mut self,
        id: &ResourceId,
        tags: &BTreeMap<String, String>,
    ) -> Result<bool> {
        unimplemented!()
    }
}
