//! A request with the names that people and wire formats show.

use std::collections::BTreeMap;

use latchkey_domain::{
    ids::IntegrationId,
    people::User,
    provisioning::Receipt,
    request::{AccessRequest, Approval, RequestUnit},
};
use latchkey_store::Tx;

use crate::error::AppError;

/// A request with everything its wire forms need.
#[derive(Debug, Clone)]
pub struct RequestView {
    /// The request.
    pub request: AccessRequest,
    /// Its units, in the order in which they were asked for.
    pub units: Vec<RequestUnit>,
    /// Who asked.
    pub requestor: User,
    /// Who is to have access.
    pub grantee: User,
    /// The governing flow's name, or its id once it is deleted.
    pub flow_name: String,
    /// The name of the bundle it was asked through; what it was called last once it is deleted.
    pub bundle_name: Option<String>,
    /// Names of the integrations of its units.
    pub integrations: BTreeMap<IntegrationId, String>,
    /// Decisions so far, oldest first.
    pub approvals: Vec<Approval>,
    /// People who may decide now; filled while the request is pending.
    pub asked_approvers: Vec<User>,
    /// Whether the caller is one of them.
    pub can_decide: bool,
    /// Evidence read back from targets, oldest first.
    pub receipts: Vec<Receipt>,
}

/// A unit with the name of its integration.
#[derive(Debug, Clone)]
pub struct UnitView {
    /// The unit.
    pub unit: RequestUnit,
    /// The integration's name.
    pub integration_name: String,
    /// The word on the wire for how it stands.
    pub status: &'static str,
}

/// Reads what belongs to `request`.
pub(super) async fn view(tx: &mut Tx, request: AccessRequest) -> Result<RequestView, AppError> {
    let units = tx.units_of(&request.id).await?;
    let requestor = person(tx, &request.requestor_id).await?;
    let grantee = if request.grantee_id == request.requestor_id {
        requestor.clone()
    } else {
        person(tx, &request.grantee_id).await?
    };
    let mut integrations = BTreeMap::new();
    for unit in &units {
        if !integrations.contains_key(&unit.integration_id) {
            let found = tx.find_integration(&unit.integration_id).await?;
            let name = found.map_or_else(|| unit.integration_id.to_string(), |found| found.name);
            integrations.insert(unit.integration_id.clone(), name);
        }
    }
    let flow_name = tx
        .find_flow(&request.flow_id)
        .await?
        .map_or_else(|| request.flow_id.to_string(), |flow| flow.name);
    let bundle = request.bundle_id.iter().cloned().collect::<Vec<_>>();
    let bundle_name = tx.bundle_names(&bundle).await?.into_values().next();
    let approvals = tx.approvals_of(&request.id).await?;
    let receipts = tx
        .receipts_of_request(&request.id)
        .await?
        .into_iter()
        .map(|record| record.receipt)
        .collect();
    Ok(RequestView {
        request,
        units,
        requestor,
        grantee,
        flow_name,
        bundle_name,
        integrations,
        approvals,
        asked_approvers: Vec::new(),
        can_decide: false,
        receipts,
    })
}

async fn person(tx: &mut Tx, id: &latchkey_domain::ids::UserId) -> Result<User, AppError> {
    tx.find_user(id).await?.ok_or_else(|| AppError::internal(format!("user {id} is missing")))
}
