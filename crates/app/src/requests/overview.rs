//! Requests as their parties' lists show them: with names, without the story of how they were
//! decided and given.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{
    ids::{IntegrationId, RequestId, UserId},
    people::User,
    request::AccessRequest,
};
use latchkey_store::Tx;

use super::view::{RequestView, distinct};
use crate::{Actor, error::AppError};

/// A request with the names that a list shows.
#[derive(Debug, Clone)]
pub struct RequestOverview {
    /// The request.
    pub request: AccessRequest,
    /// Its parts, by integration.
    pub parts: BTreeMap<IntegrationId, RequestPart>,
    /// Who asked.
    pub requestor: User,
    /// Who is to have access.
    pub grantee: User,
    /// The name of the bundle it was asked through; what it was called last once it is deleted.
    pub bundle_name: Option<String>,
}

/// The part of a request that lives in one integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestPart {
    /// The integration's name.
    pub integration_name: String,
    /// Types of the resources that were asked for in it.
    pub resource_types: BTreeSet<String>,
}

impl From<RequestView> for RequestOverview {
    fn from(view: RequestView) -> Self {
        let parts = view.integrations.iter().map(|(id, name)| {
            let units = view.units.iter().filter(|unit| unit.integration_id == *id);
            let part = RequestPart {
                integration_name: name.clone(),
                resource_types: units.map(|unit| unit.resource_type.clone()).collect(),
            };
            (id.clone(), part)
        });
        Self {
            parts: parts.collect(),
            request: view.request,
            requestor: view.requestor,
            grantee: view.grantee,
            bundle_name: view.bundle_name,
        }
    }
}

/// Reads what lists show of these requests, in a few statements however many they are. Keeps
/// their order. The caller is known already.
pub(super) async fn overviews(
    tx: &mut Tx,
    actor: &Actor,
    requests: Vec<AccessRequest>,
) -> Result<Vec<RequestOverview>, AppError> {
    let ids: Vec<RequestId> = requests.iter().map(|request| request.id.clone()).collect();
    let mut parts: BTreeMap<RequestId, BTreeMap<IntegrationId, RequestPart>> = BTreeMap::new();
    for place in tx.places_of_requests(&ids).await? {
        let of_request = parts.entry(place.request_id).or_default();
        let part = of_request.entry(place.integration_id).or_insert_with(|| RequestPart {
            integration_name: place.integration_name,
            resource_types: BTreeSet::new(),
        });
        part.resource_types.insert(place.resource_type);
    }
    let people = requests.iter().flat_map(|one| [&one.requestor_id, &one.grantee_id]);
    let others = distinct(people.filter(|id| **id != actor.user.id));
    let mut users: BTreeMap<UserId, User> = BTreeMap::new();
    if !others.is_empty() {
        users.extend(tx.find_users(&others).await?.into_iter().map(|user| (user.id.clone(), user)));
    }
    let user = |id: &UserId| {
        let caller = (*id == actor.user.id).then_some(&actor.user);
        let found = caller.or_else(|| users.get(id)).cloned();
        found.ok_or_else(|| AppError::internal(format!("user {id} is missing")))
    };
    let bundles = distinct(requests.iter().filter_map(|one| one.bundle_id.as_ref()));
    let bundles = tx.bundle_names(&bundles).await?;
    let overview = |request: AccessRequest| {
        Ok(RequestOverview {
            parts: parts.remove(&request.id).unwrap_or_default(),
            requestor: user(&request.requestor_id)?,
            grantee: user(&request.grantee_id)?,
            bundle_name: request.bundle_id.as_ref().and_then(|id| bundles.get(id).cloned()),
            request,
        })
    };
    requests.into_iter().map(overview).collect()
}
