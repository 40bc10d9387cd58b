//! Activity: every request with its timeline, for the people with a role and for reports.
//!
//! Pages are pages of requests, and a request's rows are never parted, so a page may hold more
//! rows than its limit. A page costs the same few statements whatever it holds.

use std::collections::{BTreeMap, BTreeSet};

pub use latchkey_domain::activity::{
    ActivityDecider, ActivityDecision, ActivityField, ActivityFilter, ActivityPerson,
    ActivityResource, ActivityRow,
};
use latchkey_domain::{
    activity::GRANTEE_TYPE,
    ids::{BundleId, FlowId, IntegrationId, RequestId, UserId},
    people::User,
    policy::programs::ProgramAnswer,
    request::Approval,
};
use latchkey_store::{
    ActivityQuery, ActivityRequest, ActivityUnit, ActivityUnitQuery, PageKey, Tx,
};

use crate::{
    Actor, App, Operation, Page, PageRequest, error::AppError, outbound::host_of,
    requests::by_request,
};

/// One page of activity, in the order in which the requests were filed.
pub async fn list_activity(
    app: &App,
    actor: &Actor,
    filter: &ActivityFilter,
    page: &PageRequest,
) -> Result<Page<ActivityRow>, AppError> {
    actor.require(Operation::ReadActivity)?;
    app.store().read(async |tx: &mut Tx| activity_page(tx, filter, page).await).await
}

/// The same inside a transaction and without a caller: for what the server does by itself. Who
/// may have the rows is for the caller to settle.
pub(crate) async fn activity_page(
    tx: &mut Tx,
    filter: &ActivityFilter,
    page: &PageRequest,
) -> Result<Page<ActivityRow>, AppError> {
    let Some(query) = query(tx, filter).await? else {
        return Ok(Page { items: Vec::new(), next: None });
    };
    let found = tx.list_activity(&query, &page.query()).await?;
    let page = page.page(found, |request| PageKey::new(request.created_at, request.id.as_str()));
    let facts = Facts::read(tx, &page.items).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for request in &page.items {
        items.extend(facts.rows_of(request, &query.units)?);
    }
    Ok(Page { items, next: page.next })
}

/// The filter with people and numbers looked up; `None` where nothing can pass.
async fn query(tx: &mut Tx, filter: &ActivityFilter) -> Result<Option<ActivityQuery>, AppError> {
    let kinds = &filter.grantee_types;
    if !kinds.is_empty() && !kinds.iter().any(|kind| kind.eq_ignore_ascii_case(GRANTEE_TYPE)) {
        return Ok(None);
    }
    Ok(Some(ActivityQuery {
        from: filter.from,
        until: filter.until,
        request_ids: request_ids(tx, &filter.request_ids).await?,
        requestor_ids: people(tx, &filter.requestors).await?,
        grantee_ids: people(tx, &filter.grantees).await?,
        flow_ids: given(&filter.access_flow_ids),
        states: given(&filter.states),
        triggers: given(&filter.triggers),
        units: ActivityUnitQuery {
            integration_ids: given(&filter.integration_ids),
            resource_types: given(&filter.resource_types),
            resources: given(&filter.resources),
            permissions: given(&filter.permissions),
        },
    }))
}

fn given<T: Clone>(values: &[T]) -> Option<Vec<T>> {
    (!values.is_empty()).then(|| values.to_vec())
}

async fn people(tx: &mut Tx, texts: &[String]) -> Result<Option<Vec<UserId>>, AppError> {
    if texts.is_empty() {
        return Ok(None);
    }
    Ok(Some(tx.user_ids_named(texts).await?))
}

async fn request_ids(tx: &mut Tx, texts: &[String]) -> Result<Option<Vec<RequestId>>, AppError> {
    if texts.is_empty() {
        return Ok(None);
    }
    let ids: Vec<RequestId> = texts.iter().map(RequestId::new).collect();
    let numbers: Vec<i64> =
        texts.iter().filter_map(|text| crate::requests::number_of(text)).collect();
    let found = tx.request_ids_named(&ids, &numbers).await?;
    Ok(Some(found.into_iter().map(|(id, _)| id).collect()))
}

/// All that the rows of a page say beside what stands in the requests.
struct Facts {
    units: BTreeMap<RequestId, Vec<ActivityUnit>>,
    approvals: BTreeMap<RequestId, Vec<Approval>>,
    answers: BTreeMap<RequestId, Vec<ProgramAnswer>>,
    users: BTreeMap<UserId, User>,
    flows: BTreeMap<FlowId, String>,
    bundles: BTreeMap<BundleId, String>,
    integrations: BTreeMap<IntegrationId, String>,
}

impl Facts {
    async fn read(tx: &mut Tx, requests: &[ActivityRequest]) -> Result<Self, AppError> {
        let ids: Vec<RequestId> = requests.iter().map(|request| request.id.clone()).collect();
        let units = tx.activity_units(&ids).await?;
        let integrations: BTreeSet<IntegrationId> =
            units.iter().map(|unit| unit.integration_id.clone()).collect();
        let approvals = tx.approvals_of_requests(&ids).await?;
        let answers = tx.program_answers_of_requests(&ids).await?;
        let mut users: BTreeSet<UserId> =
            approvals.iter().map(|approval| approval.approver_id.clone()).collect();
        let (mut flows, mut bundles) = (BTreeSet::new(), BTreeSet::new());
        for request in requests {
            bundles.extend(request.bundle_id.clone());
            users.extend([request.requestor_id.clone(), request.grantee_id.clone()]);
            flows.insert(request.flow_id.clone());
        }
        let users = tx.find_users(&users.into_iter().collect::<Vec<_>>()).await?;
        Ok(Self {
            units: by_request(units, |unit| unit.request_id.clone()),
            approvals: by_request(approvals, |approval| approval.request_id.clone()),
            answers: by_request(answers, |answer| answer.request_id.clone()),
            users: users.into_iter().map(|user| (user.id.clone(), user)).collect(),
            flows: tx.flow_names(&flows.into_iter().collect::<Vec<_>>()).await?,
            bundles: tx.bundle_names(&bundles.into_iter().collect::<Vec<_>>()).await?,
            integrations: tx
                .integration_names(&integrations.into_iter().collect::<Vec<_>>())
                .await?,
        })
    }

    /// The rows of one request: one for each integration and resource type in which an
    /// entitlement passes the filter.
    fn rows_of(
        &self,
        request: &ActivityRequest,
        filter: &ActivityUnitQuery,
    ) -> Result<Vec<ActivityRow>, AppError> {
        let mut parts: Vec<Vec<&ActivityUnit>> = Vec::new();
        for unit in self.units.get(&request.id).into_iter().flatten() {
            let place = |part: &Vec<&ActivityUnit>| {
                part.first().is_some_and(|first| {
                    first.integration_id == unit.integration_id
                        && first.resource_type == unit.resource_type
                })
            };
            match parts.iter_mut().find(|part| place(part)) {
                Some(part) => part.push(unit),
                None => parts.push(vec![unit]),
            }
        }
        parts
            .iter()
            .filter(|part| part.iter().any(|unit| filter.passes(unit)))
            .map(|part| self.row(request, part))
            .collect()
    }

    fn row(
        &self,
        request: &ActivityRequest,
        part: &[&ActivityUnit],
    ) -> Result<ActivityRow, AppError> {
        let first = part.first().ok_or_else(|| AppError::internal("a row without a unit"))?;
        let mut permissions: Vec<String> = Vec::new();
        for unit in part {
            if !permissions.contains(&unit.permission) {
                permissions.push(unit.permission.clone());
            }
        }
        Ok(ActivityRow {
            request_id: request.id.clone(),
            number: request.number,
            requested_at: request.created_at,
            decided_at: request.decided_at,
            granted_at: request.granted_at,
            revoked_at: request.ended_at,
            requestor: self.person(&request.requestor_id)?,
            grantee: self.person(&request.grantee_id)?,
            integration_id: first.integration_id.clone(),
            integration: name_or_id(&self.integrations, &first.integration_id),
            resource_type: first.resource_type.clone(),
            resources: resources(request, part),
            permissions,
            decisions: self.decisions(&request.id)?,
            justification: request.justification.clone(),
            state: request.state,
            trigger: request.trigger,
            access_flow_id: request.flow_id.clone(),
            access_flow: name_or_id(&self.flows, &request.flow_id),
            bundle_id: request.bundle_id.clone(),
            bundle_name: request.bundle_id.as_ref().map(|id| name_or_id(&self.bundles, id)),
            extension_count: request.extension_count,
        })
    }

    /// What people and programs decided, oldest first.
    fn decisions(&self, request: &RequestId) -> Result<Vec<ActivityDecision>, AppError> {
        let by_people = self.approvals.get(request).into_iter().flatten();
        let by_people = by_people.map(|one| self.decision(one));
        let mut decisions = by_people.collect::<Result<Vec<_>, _>>()?;
        let by_programs = self.answers.get(request).into_iter().flatten();
        decisions.extend(by_programs.filter_map(|answer| {
            Some(ActivityDecision {
                by: ActivityDecider::Program { host: host_of(&answer.url) },
                decision: answer.decision?,
                reason: answer.reason.clone(),
                forced: false,
                at: answer.at,
            })
        }));
        decisions.sort_by_key(|decision| decision.at);
        Ok(decisions)
    }

    fn decision(&self, approval: &Approval) -> Result<ActivityDecision, AppError> {
        Ok(ActivityDecision {
            by: ActivityDecider::Person(self.person(&approval.approver_id)?),
            decision: approval.decision,
            reason: approval.reason.clone(),
            forced: approval.forced,
            at: approval.at,
        })
    }

    fn person(&self, id: &UserId) -> Result<ActivityPerson, AppError> {
        let user = self
            .users
            .get(id)
            .ok_or_else(|| AppError::internal(format!("user {id} is missing")))?;
        let (name, email) = (user.display_name(), user.email.clone());
        Ok(ActivityPerson { id: id.clone(), name, email })
    }
}

fn name_or_id<I: Ord + ToString>(names: &BTreeMap<I, String>, id: &I) -> String {
    names.get(id).cloned().unwrap_or_else(|| id.to_string())
}

/// The resources of a part, each once, with how their entitlements stand.
fn resources(request: &ActivityRequest, part: &[&ActivityUnit]) -> Vec<ActivityResource> {
    let mut places = BTreeMap::new();
    let mut resources: Vec<ActivityResource> = Vec::new();
    for unit in part {
        let place = *places.entry(&unit.resource_id).or_insert(resources.len());
        let status = unit.state.wire_word(request.state);
        match resources.get_mut(place) {
            Some(known) if known.statuses.contains(&status) => {}
            Some(known) => known.statuses.push(status),
            None => resources.push(ActivityResource {
                name: unit.resource_name.clone(),
                statuses: vec![status],
            }),
        }
    }
    resources
}
