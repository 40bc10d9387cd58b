//! Access requests and the decisions about them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use latchkey_domain::{
    flow::FlowTrigger,
    ids::{ApprovalId, BundleId, FlowId, IntegrationId, RequestId, UserId},
    request::{AccessRequest, Approval, Decision, RequestState, RequestUnit},
};

use crate::{
    error::{Result, StoreError},
    page::PageQuery,
    sql::{CHUNK, Row, Sql, json, micros, opt_micros, values},
    tx::Tx,
    wake::Hint,
};

/// Which requests. Every part that is there must hold; empty lists hold for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestFilter {
    /// Asked by.
    pub requestor: Option<UserId>,
    /// For.
    pub grantee: Option<UserId>,
    /// Asked by or for.
    pub either: Option<UserId>,
    /// Asked for somebody else than the requestor (true), or for the requestor (false).
    pub delegated: Option<bool>,
    /// Approved or rejected by this person, at least once.
    pub decided_by: Option<UserId>,
    /// In any of these states.
    pub states: Vec<RequestState>,
    /// Governed by.
    pub flow: Option<FlowId>,
    /// Asked through.
    pub bundle: Option<BundleId>,
    /// With a unit in this integration.
    pub integration: Option<IntegrationId>,
    /// Asked for, or automatic.
    pub trigger: Option<FlowTrigger>,
    /// Filed at or after.
    pub created_from: Option<Timestamp>,
}

impl RequestFilter {
    /// Appends the conditions on `requests r`.
    pub(crate) fn apply(&self, sql: &mut Sql) {
        sql.and_eq("r.requestor_id", self.requestor.as_ref().map(UserId::as_str));
        sql.and_eq("r.grantee_id", self.grantee.as_ref().map(UserId::as_str));
        if let Some(user) = &self.either {
            sql.push(" AND (r.requestor_id = ").bind(user.as_str());
            sql.push(" OR r.grantee_id = ").bind(user.as_str()).push(")");
        }
        sql.push(match self.delegated {
            Some(true) => " AND r.requestor_id <> r.grantee_id",
            Some(false) => " AND r.requestor_id = r.grantee_id",
            None => "",
        });
        sql.and_in("r.state", self.states.iter().map(|state| state.as_str()));
        sql.and_eq("r.flow_id", self.flow.as_ref().map(FlowId::as_str));
        sql.and_eq("r.bundle_id", self.bundle.as_ref().map(BundleId::as_str));
        sql.and_eq("r.trigger_type", self.trigger.map(FlowTrigger::as_str));
        if let Some(integration) = &self.integration {
            sql.push(" AND EXISTS (SELECT n.id FROM request_units n WHERE n.request_id = r.id");
            sql.and_eq("n.integration_id", Some(integration.as_str())).push(")");
        }
        if let Some(user) = &self.decided_by {
            sql.push(" AND EXISTS (SELECT a.id FROM approvals a WHERE a.request_id = r.id");
            sql.and_eq("a.approver_id", Some(user.as_str())).push(")");
        }
        if let Some(from) = self.created_from {
            sql.push(" AND r.created_at >= ").bind(micros(from));
        }
    }
}

const COLUMNS: &str = "r.id, r.number, r.requestor_id, r.grantee_id, r.flow_id, r.flow_version, \
     r.flow_policy, r.bundle_id, r.state, r.state_reason, r.justification, r.duration_sec, \
     r.duration_was_asked, r.custom_fields, r.digest, r.created_at, r.decided_at, r.ends_at, \
     r.granted_at, r.grant_deadline, r.ended_at, r.revoke_requested_at, r.version, \
     r.asked_as_grantee, r.extending_to, r.extension_count, r.escalations, r.second_factor_at";

const APPROVAL_COLUMNS: &str = "id, request_id, approver_id, decision, reason, digest, forced, at";

/// States in which a decision or a second factor is awaited; see [`RequestState::is_open`].
const OPEN: &str = "('Initializing', 'PendingMFA', 'Pending')";

fn read_request(row: &Row) -> Result<AccessRequest> {
    Ok(AccessRequest {
        id: RequestId::new(row.text("id")?),
        number: row.int("number")?,
        requestor_id: UserId::new(row.text("requestor_id")?),
        grantee_id: UserId::new(row.text("grantee_id")?),
        asked_as_grantee: row.flag("asked_as_grantee")?,
        flow_id: FlowId::new(row.text("flow_id")?),
        flow_version: row.int("flow_version")?,
        flow_policy: row.json("flow_policy")?,
        bundle_id: row.opt_text("bundle_id")?.map(BundleId::new),
        state: row.word("state", RequestState::parse)?,
        state_reason: row.opt_text("state_reason")?,
        justification: row.opt_text("justification")?,
        duration_sec: row.opt_int("duration_sec")?,
        duration_was_asked: row.flag("duration_was_asked")?,
        custom_fields: row.json("custom_fields")?,
        digest: row.text("digest")?,
        escalations: row.json("escalations")?,
        created_at: row.time("created_at")?,
        decided_at: row.opt_time("decided_at")?,
        ends_at: row.opt_time("ends_at")?,
        extending_to: row.opt_time("extending_to")?,
        extension_count: u32::try_from(row.int("extension_count")?).map_err(StoreError::corrupt)?,
        granted_at: row.opt_time("granted_at")?,
        grant_deadline: row.opt_time("grant_deadline")?,
        ended_at: row.opt_time("ended_at")?,
        revoke_requested_at: row.opt_time("revoke_requested_at")?,
        second_factor_at: row.opt_time("second_factor_at")?,
        version: row.int("version")?,
    })
}

fn read_approval(row: &Row) -> Result<Approval> {
    Ok(Approval {
        id: ApprovalId::new(row.text("id")?),
        request_id: RequestId::new(row.text("request_id")?),
        approver_id: UserId::new(row.text("approver_id")?),
        decision: row.word("decision", read_decision)?,
        reason: row.opt_text("reason")?,
        digest: row.text("digest")?,
        forced: row.flag("forced")?,
        at: row.time("at")?,
    })
}

pub(crate) fn decision_word(decision: Decision) -> &'static str {
    match decision {
        Decision::Approved => "approved",
        Decision::Rejected => "rejected",
    }
}

pub(crate) fn read_decision(word: &str) -> Option<Decision> {
    [Decision::Approved, Decision::Rejected].into_iter().find(|one| decision_word(*one) == word)
}

impl Tx {
    /// The next number. None is given twice; one that was rolled back is given again.
    pub async fn next_request_number(&mut self) -> Result<i64> {
        let sql = "UPDATE counters SET value = value + 1 WHERE name = $1 RETURNING value AS n";
        match self.row(Sql::with(sql, values!["request"])).await? {
            Some(row) => row.int("n"),
            None => Err(StoreError::corrupt("the counter of request numbers")),
        }
    }

    /// Adds a request with its units.
    pub async fn insert_request(
        &mut self,
        request: &AccessRequest,
        units: &[RequestUnit],
    ) -> Result<()> {
        let mut sql = Sql::new(
            "INSERT INTO requests (id, number, requestor_id, grantee_id, flow_id, flow_version, \
             flow_policy, bundle_id, state, state_reason, justification, duration_sec, \
             duration_was_asked, custom_fields, digest, created_at, decided_at, ends_at, \
             granted_at, grant_deadline, ended_at, revoke_requested_at, version, trigger_type, \
             asked_as_grantee, extending_to, extension_count, escalations, places, \
             second_factor_at) VALUES ",
        );
        let places: BTreeSet<(&str, &str)> = units
            .iter()
            .map(|unit| (unit.integration_id.as_str(), unit.resource_type.as_str()))
            .collect();
        sql.list(values![
            request.id.as_str(),
            request.number,
            request.requestor_id.as_str(),
            request.grantee_id.as_str(),
            request.flow_id.as_str(),
            request.flow_version,
            json(&request.flow_policy)?,
            request.bundle_id.as_ref().map(BundleId::as_str),
            request.state.as_str(),
            request.state_reason.as_deref(),
            request.justification.as_deref(),
            request.duration_sec,
            request.duration_was_asked,
            json(&request.custom_fields)?,
            request.digest.as_str(),
            micros(request.created_at),
            opt_micros(request.decided_at),
            opt_micros(request.ends_at),
            opt_micros(request.granted_at),
            opt_micros(request.grant_deadline),
            opt_micros(request.ended_at),
            opt_micros(request.revoke_requested_at),
            request.version,
            request.flow_policy.trigger.as_str(),
            request.asked_as_grantee,
            opt_micros(request.extending_to),
            i64::from(request.extension_count),
            json(&request.escalations)?,
            json(&places)?,
            opt_micros(request.second_factor_at),
        ]);
        self.exec(sql).await?;
        self.insert_units(request.created_at, units).await
    }

    /// The request with this id.
    pub async fn find_request(&mut self, id: &RequestId) -> Result<Option<AccessRequest>> {
        Ok(self.find_requests(std::slice::from_ref(id)).await?.pop())
    }

    /// The request with this number.
    pub async fn find_request_by_number(&mut self, number: i64) -> Result<Option<AccessRequest>> {
        let sql = format!("SELECT {COLUMNS} FROM requests r WHERE r.number = $1");
        self.row(Sql::with(&sql, values![number])).await?.as_ref().map(read_request).transpose()
    }

    /// The requests with these ids, in no order; unknown ids are left out.
    pub async fn find_requests(&mut self, ids: &[RequestId]) -> Result<Vec<AccessRequest>> {
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM requests r WHERE r.id IN "));
            sql.list(ids.iter().map(RequestId::as_str));
            found.extend(self.rows(sql, read_request).await?);
        }
        Ok(found)
    }

    /// The request, locked until the transaction ends.
    pub async fn lock_request(&mut self, id: &RequestId) -> Result<Option<AccessRequest>> {
        let sql = format!("SELECT {COLUMNS} FROM requests r WHERE r.id = $1{}", self.for_update());
        self.row(Sql::with(&sql, values![id.as_str()]))
            .await?
            .as_ref()
            .map(read_request)
            .transpose()
    }

    /// Writes what may change. Raises the version by one, in the argument too;
    /// [`StoreError::Conflict`] if the row's version is not the argument's.
    pub async fn update_request(&mut self, request: &mut AccessRequest) -> Result<()> {
        let sql = Sql::with(
            "UPDATE requests SET version = version + 1, state = $3, state_reason = $4, \
             duration_sec = $5, digest = $6, decided_at = $7, ends_at = $8, granted_at = $9, \
             grant_deadline = $10, ended_at = $11, revoke_requested_at = $12, \
             extending_to = $13, extension_count = $14, escalations = $15, \
             second_factor_at = $16 \
             WHERE id = $1 AND version = $2",
            values![
                request.id.as_str(),
                request.version,
                request.state.as_str(),
                request.state_reason.as_deref(),
                request.duration_sec,
                request.digest.as_str(),
                opt_micros(request.decided_at),
                opt_micros(request.ends_at),
                opt_micros(request.granted_at),
                opt_micros(request.grant_deadline),
                opt_micros(request.ended_at),
                opt_micros(request.revoke_requested_at),
                opt_micros(request.extending_to),
                i64::from(request.extension_count),
                json(&request.escalations)?,
                opt_micros(request.second_factor_at),
            ],
        );
        if self.exec(sql).await? == 0 {
            return Err(StoreError::Conflict { what: "the access request" });
        }
        request.version += 1;
        self.tell_after(Hint::Request(request.id.clone()));
        Ok(())
    }

    /// Requests by filter, in the order of lists.
    pub async fn list_requests(
        &mut self,
        filter: &RequestFilter,
        page: &PageQuery,
    ) -> Result<Vec<AccessRequest>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM requests r WHERE TRUE"));
        filter.apply(&mut sql);
        page.apply(&mut sql, "r.created_at", "r.id");
        self.rows(sql, read_request).await
    }

    /// Requests with a unit in an integration that still wait, oldest first.
    pub async fn open_requests_of_integration(
        &mut self,
        integration: &IntegrationId,
    ) -> Result<Vec<AccessRequest>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM requests r WHERE r.state IN {OPEN} AND EXISTS (SELECT n.id \
             FROM request_units n WHERE n.request_id = r.id AND n.integration_id = $1) \
             ORDER BY r.created_at, r.id"
        );
        self.rows(Sql::with(&sql, values![integration.as_str()]), read_request).await
    }

    /// Requests that a flow governs, in any of these states, oldest first.
    pub async fn requests_of_flow(
        &mut self,
        flow: &FlowId,
        states: &[RequestState],
    ) -> Result<Vec<AccessRequest>> {
        let flow = Some(flow.clone());
        let filter = RequestFilter { flow, states: states.to_vec(), ..Default::default() };
        self.list_requests(&filter, &PageQuery::all()).await
    }

    /// The flows that govern any request of this trigger in any of these states.
    pub async fn flows_of_requests(
        &mut self,
        trigger: FlowTrigger,
        states: &[RequestState],
    ) -> Result<Vec<FlowId>> {
        let filter =
            RequestFilter { trigger: Some(trigger), states: states.to_vec(), ..Default::default() };
        let mut sql = Sql::new("SELECT DISTINCT r.flow_id FROM requests r WHERE TRUE");
        filter.apply(&mut sql);
        self.rows(sql, |row| Ok(FlowId::new(row.text("flow_id")?))).await
    }

    /// Requests that wait for approvers, in the order of lists.
    pub async fn pending_requests(&mut self, page: &PageQuery) -> Result<Vec<AccessRequest>> {
        let filter = RequestFilter { states: vec![RequestState::Pending], ..Default::default() };
        self.list_requests(&filter, page).await
    }

    /// Adds a decision.
    pub async fn insert_approval(&mut self, approval: &Approval) -> Result<()> {
        let mut sql = Sql::new(&format!("INSERT INTO approvals ({APPROVAL_COLUMNS}) VALUES "));
        sql.list(values![
            approval.id.as_str(),
            approval.request_id.as_str(),
            approval.approver_id.as_str(),
            decision_word(approval.decision),
            approval.reason.as_deref(),
            approval.digest.as_str(),
            approval.forced,
            micros(approval.at),
        ]);
        self.exec(sql).await?;
        Ok(())
    }

    /// The decisions about a request, oldest first.
    pub async fn approvals_of(&mut self, request: &RequestId) -> Result<Vec<Approval>> {
        self.approvals_of_requests(std::slice::from_ref(request)).await
    }

    /// The decisions about several requests, each request's oldest first.
    pub async fn approvals_of_requests(&mut self, requests: &[RequestId]) -> Result<Vec<Approval>> {
        let mut found = Vec::new();
        for requests in requests.chunks(CHUNK) {
            let mut sql =
                Sql::new(&format!("SELECT {APPROVAL_COLUMNS} FROM approvals WHERE request_id IN "));
            sql.list(requests.iter().map(RequestId::as_str));
            sql.push(" ORDER BY request_id, at, id");
            found.extend(self.rows(sql, read_approval).await?);
        }
        Ok(found)
    }
}
