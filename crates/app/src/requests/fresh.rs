//! A request as it comes into being, whoever files it: frozen as it is asked, stored with its
//! number, and on record.
//!
//! Invariant: a request that exists has a digest of what it asks, and a record that it was made.

use std::collections::BTreeMap;

use jiff::Timestamp;
use latchkey_domain::{
    audit::AuditActor,
    flow::{AccessFlow, FlowPolicy},
    ids::{BundleId, RequestId, UnitId, UserId},
    inventory::Entitlement,
    policy::{automatic::is_automatic, digest::request_digest, selection::is_break_glass},
    request::{AccessRequest, RequestState, RequestUnit, UnitState},
};
use latchkey_store::Tx;
use serde_json::json;

use crate::{App, error::AppError, trail::record};

/// What one new request asks, and for whom.
pub(super) struct Fresh<'a> {
    pub(super) requestor: &'a UserId,
    pub(super) grantee: &'a UserId,
    /// Whether somebody else filed it in the grantee's name.
    pub(super) as_grantee: bool,
    /// The flow that governs it.
    pub(super) flow: &'a AccessFlow,
    /// What of the flow's policy holds for it.
    pub(super) policy: FlowPolicy,
    pub(super) bundle: Option<&'a BundleId>,
    pub(super) justification: Option<String>,
    pub(super) duration_sec: Option<i64>,
    pub(super) duration_was_asked: bool,
    pub(super) custom_fields: BTreeMap<String, String>,
}

impl Fresh<'_> {
    /// The request for these entitlements, as they are now. It has no number until it is stored.
    pub(super) fn draft<'e>(
        self,
        app: &App,
        now: Timestamp,
        entitlements: impl IntoIterator<Item = &'e Entitlement>,
    ) -> (AccessRequest, Vec<RequestUnit>) {
        let id = RequestId::generate(now, app.rng());
        let units: Vec<RequestUnit> =
            entitlements.into_iter().map(|one| unit(app, now, &id, one)).collect();
        let mut request = AccessRequest {
            id,
            number: 0,
            requestor_id: self.requestor.clone(),
            grantee_id: self.grantee.clone(),
            asked_as_grantee: self.as_grantee,
            flow_id: self.flow.id.clone(),
            flow_version: self.flow.version,
            flow_policy: self.policy,
            bundle_id: self.bundle.cloned(),
            state: RequestState::Initializing,
            state_reason: None,
            justification: self.justification,
            duration_sec: self.duration_sec,
            duration_was_asked: self.duration_was_asked,
            custom_fields: self.custom_fields,
            digest: String::new(),
            escalations: Vec::new(),
            created_at: now,
            decided_at: None,
            ends_at: None,
            extending_to: None,
            extension_count: 0,
            granted_at: None,
            grant_deadline: None,
            ended_at: None,
            revoke_requested_at: None,
            second_factor_at: None,
            version: 1,
        };
        request.digest = request_digest(&request, &units);
        (request, units)
    }
}

/// Numbers and stores a new request, and records it. `again` is the one that it repeats.
pub(super) async fn insert(
    tx: &mut Tx,
    actor: &AuditActor,
    request: &mut AccessRequest,
    units: &[RequestUnit],
    again: Option<&RequestId>,
) -> Result<(), AppError> {
    request.number = tx.next_request_number().await?;
    tx.insert_request(request, units).await?;
    let told = json!({
        "number": request.number,
        "grantee_id": request.grantee_id,
        "asked_as_grantee": request.asked_as_grantee,
        "automatic": is_automatic(&request.flow_policy),
        "break_glass": is_break_glass(&request.flow_policy),
        "flow_id": request.flow_id,
        "flow_version": request.flow_version,
        "bundle_id": request.bundle_id,
        "duration_sec": request.duration_sec,
        "justification": request.justification,
        "digest": request.digest,
        "again": again,
        "entitlements": units
            .iter()
            .map(|unit| json!([unit.integration_id, unit.resource_path, unit.permission]))
            .collect::<Vec<_>>(),
    });
    let id = request.id.to_string();
    record(tx, actor, "access_request.created", "access_request", &id, told).await
}

/// The unit of a request for one entitlement, as it is now.
fn unit(app: &App, now: Timestamp, request: &RequestId, asked: &Entitlement) -> RequestUnit {
    let Entitlement { resource, permission } = asked;
    RequestUnit {
        id: UnitId::generate(now, app.rng()),
        request_id: request.clone(),
        integration_id: resource.integration_id.clone(),
        resource_id: resource.id.clone(),
        resource_type: resource.resource_type.clone(),
        resource_source_id: resource.source_id.clone(),
        resource_name: resource.name.clone(),
        resource_path: resource.path.clone(),
        resource_context: resource.context.clone(),
        permission_id: permission.id.clone(),
        permission: permission.name.clone(),
        state: UnitState::Idle,
        error: None,
        session_id: None,
        ends_at: None,
        extends_to: None,
    }
}
