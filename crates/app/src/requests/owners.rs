//! Who owns what requests ask for, as resources and integrations stand now.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    flow::FlowPolicy,
    ids::{IntegrationId, RequestId, ResourceId},
    integration::Integration,
    inventory::Resource,
    policy::{approvals::asks_owners, owners::Owners},
    request::{AccessRequest, RequestUnit},
};
use latchkey_store::Tx;

use super::view::by_request;
use crate::error::AppError;

/// The owners of what several requests ask for; empty for those whose flow asks no owner.
#[derive(Debug, Default)]
pub(super) struct OwnersOf(BTreeMap<RequestId, Owners>);

impl OwnersOf {
    /// Reads them, in a few statements however many requests there are.
    pub(super) async fn read<'a>(
        tx: &mut Tx,
        requests: impl IntoIterator<Item = &'a AccessRequest>,
    ) -> Result<Self, AppError> {
        let asking = requests.into_iter().filter(|request| asks_owners(&request.flow_policy));
        let ids: Vec<RequestId> = asking.map(|request| request.id.clone()).collect();
        let units = tx.units_of_requests(&ids).await?;
        let known = Known::of(tx, &units).await?;
        let units = by_request(units, |unit| unit.request_id.clone());
        Ok(Self(units.into_iter().map(|(id, units)| (id, known.owners(&units))).collect()))
    }

    /// The owners of what one of them asks for.
    pub(super) fn get(&self, id: &RequestId) -> &Owners {
        self.0.get(id).unwrap_or(Owners::NONE)
    }
}

/// The owners of what one request asks for, if its flow asks owners.
pub(super) async fn owners_of(tx: &mut Tx, request: &AccessRequest) -> Result<Owners, AppError> {
    let mut read = OwnersOf::read(tx, [request]).await?;
    Ok(read.0.remove(&request.id).unwrap_or_default())
}

/// The owners of what these units are about, if any of the policies asks owners.
pub(super) async fn owners_of_units(
    tx: &mut Tx,
    policies: &[&FlowPolicy],
    units: &[RequestUnit],
) -> Result<Owners, AppError> {
    if !policies.iter().any(|policy| asks_owners(policy)) {
        return Ok(Owners::default());
    }
    Ok(Known::of(tx, units).await?.owners(units))
}

/// The owners of what these units are about, whoever asks them.
pub(super) async fn every_owner_of_units(
    tx: &mut Tx,
    units: &[RequestUnit],
) -> Result<Owners, AppError> {
    Ok(Known::of(tx, units).await?.owners(units))
}

/// The owners of these resources, if the policy asks owners.
pub(super) async fn owners_of_resources<'a>(
    tx: &mut Tx,
    policy: &FlowPolicy,
    resources: impl IntoIterator<Item = &'a Resource>,
) -> Result<Owners, AppError> {
    if !asks_owners(policy) {
        return Ok(Owners::default());
    }
    let resources: Vec<&Resource> = resources.into_iter().collect();
    let ids = resources.iter().map(|resource| &resource.integration_id);
    let integrations = integrations(tx, ids).await?;
    Ok(Owners::of(resources, &integrations))
}

/// Resources and integrations as they are now.
struct Known {
    resources: BTreeMap<ResourceId, Resource>,
    integrations: BTreeMap<IntegrationId, Integration>,
}

impl Known {
    async fn of(tx: &mut Tx, units: &[RequestUnit]) -> Result<Self, AppError> {
        let ids: BTreeSet<&ResourceId> = units.iter().map(|unit| &unit.resource_id).collect();
        let ids: Vec<ResourceId> = ids.into_iter().cloned().collect();
        let resources = tx.find_resources(&ids).await?;
        let resources = resources.into_iter().map(|resource| (resource.id.clone(), resource));
        Ok(Self {
            resources: resources.collect(),
            integrations: integrations(tx, units.iter().map(|unit| &unit.integration_id)).await?,
        })
    }

    fn owners(&self, units: &[RequestUnit]) -> Owners {
        let found = units.iter().filter_map(|unit| self.resources.get(&unit.resource_id));
        let mut owners = Owners::of(found, &self.integrations);
        for unit in units.iter().filter(|unit| !self.resources.contains_key(&unit.resource_id)) {
            owners.is_missing_for(&unit.resource_path);
        }
        owners
    }
}

async fn integrations<'a>(
    tx: &mut Tx,
    ids: impl Iterator<Item = &'a IntegrationId>,
) -> Result<BTreeMap<IntegrationId, Integration>, AppError> {
    let ids: BTreeSet<&IntegrationId> = ids.collect();
    let ids: Vec<IntegrationId> = ids.into_iter().cloned().collect();
    let found = tx.find_integrations(&ids).await?;
    Ok(found.into_iter().map(|one| (one.id.clone(), one)).collect())
}
