//! Requests as their parties' lists show them: with names, without the story of how they were
//! decided and given.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_domain::{ids::UserId, people::User};
use latchkey_store::Tx;
pub use latchkey_store::{ListedRequest, RequestPart};

use super::view::{RequestView, distinct};
use crate::{Actor, error::AppError};

/// A request with the names that a list shows.
#[derive(Debug, Clone)]
pub struct RequestOverview {
    /// The request.
    pub request: ListedRequest,
    /// Who asked.
    pub requestor: User,
    /// Who is to have access.
    pub grantee: User,
    /// The name of the bundle it was asked through; what it was called last once it is deleted.
    pub bundle_name: Option<String>,
}

impl From<RequestView> for RequestOverview {
    fn from(view: RequestView) -> Self {
        let parts = view.integrations.iter().map(|(id, name)| {
            let units = view.units.iter().filter(|unit| unit.integration_id == *id);
            let resource_types: BTreeSet<String> =
                units.map(|unit| unit.resource_type.clone()).collect();
            (id.clone(), RequestPart { integration_name: name.clone(), resource_types })
        });
        let request = view.request;
        Self {
            request: ListedRequest {
                parts: parts.collect(),
                id: request.id,
                requestor_id: request.requestor_id,
                grantee_id: request.grantee_id,
                bundle_id: request.bundle_id,
                state: request.state,
                justification: request.justification,
                duration_sec: request.duration_sec,
                custom_fields: request.custom_fields,
                created_at: request.created_at,
                ended_at: request.ended_at,
            },
            requestor: view.requestor,
            grantee: view.grantee,
            bundle_name: view.bundle_name,
        }
    }
}

/// Adds the names. The caller is known already.
pub(super) async fn overviews(
    tx: &mut Tx,
    actor: &Actor,
    requests: Vec<ListedRequest>,
) -> Result<Vec<RequestOverview>, AppError> {
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
    let overview = |request: ListedRequest| {
        Ok(RequestOverview {
            requestor: user(&request.requestor_id)?,
            grantee: user(&request.grantee_id)?,
            bundle_name: request.bundle_id.as_ref().and_then(|id| bundles.get(id).cloned()),
            request,
        })
    };
    requests.into_iter().map(overview).collect()
}
