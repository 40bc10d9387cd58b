//! Access requests and the decisions about them.

use jiff::Timestamp;
use latchkey_domain::{
    ids::{BundleId, FlowId, IntegrationId, RequestId, UserId},
    request::{AccessRequest, Approval, Decision, RequestState, RequestUnit},
};

use crate::{error::Result, page::PageQuery, tx::Tx};

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
    /// In any of these states.
    pub states: Vec<RequestState>,
    /// Governed by.
    pub flow: Option<FlowId>,
    /// Asked through.
    pub bundle: Option<BundleId>,
    /// With a unit in this integration.
    pub integration: Option<IntegrationId>,
    /// Filed at or after.
    pub created_from: Option<Timestamp>,
}

impl Tx {
    /// The next number; none is given twice, and rolled back ones are given again.
    pub async fn next_request_number(&mut self) -> Result<i64> {
        unimplemented!()
    }
    /// Adds a request with its units.
    pub async fn insert_request(
        &mut self,
        request: &AccessRequest,
        units: &[RequestUnit],
    ) -> Result<()> {
        unimplemented!()
    }
    /// The request with this id.
    pub async fn find_request(&mut self, id: &RequestId) -> Result<Option<AccessRequest>> {
        unimplemented!()
    }
    /// The request with this number.
    pub async fn find_request_by_number(&mut self, number: i64) -> Result<Option<AccessRequest>> {
        unimplemented!()
    }
    /// The requests with these ids, in no order; unknown ids are left out.
    pub async fn find_requests(&mut self, ids: &[RequestId]) -> Result<Vec<AccessRequest>> {
        unimplemented!()
    }
    /// The request, locked until the transaction ends.
    pub async fn lock_request(&mut self, id: &RequestId) -> Result<Option<AccessRequest>> {
        unimplemented!()
    }
    /// Writes what may change; raises version by one, in the argument too. [`StoreError::Conflict`] if the row's version is not the argument's.
    pub async fn update_request(&mut self, request: &mut AccessRequest) -> Result<()> {
        unimplemented!()
    }
    /// Requests by filter, in the order of lists.
    pub async fn list_requests(
        &mut self,
        filter: &RequestFilter,
        page: &PageQuery,
    ) -> Result<Vec<AccessRequest>> {
        unimplemented!()
    }
    /// Requests by or for a person that still wait for a decision or a second factor.
    pub async fn open_requests_of_user(&mut self, user: &UserId) -> Result<Vec<AccessRequest>> {
        unimplemented!()
    }
    /// Requests with a unit in an integration that still wait.
    pub async fn open_requests_of_integration(
        &mut self,
        integration: &IntegrationId,
    ) -> Result<Vec<AccessRequest>> {
        unimplemented!()
    }
    /// Requests for a person in any of these states.
    pub async fn requests_of_grantee(
        &mut self,
        user: &UserId,
        states: &[RequestState],
    ) -> Result<Vec<AccessRequest>> {
        unimplemented!()
    }
    /// Requests that a flow governs, in any of these states.
    pub async fn requests_of_flow(
        &mut self,
        flow: &FlowId,
        states: &[RequestState],
    ) -> Result<Vec<AccessRequest>> {
        unimplemented!()
    }
    /// Requests that wait for approvers, in the order of lists.
    pub async fn pending_requests(&mut self, page: &PageQuery) -> Result<Vec<AccessRequest>> {
        unimplemented!()
    }
    /// Adds a decision.
    pub async fn insert_approval(&mut self, approval: &Approval) -> Result<()> {
        unimplemented!()
    }
    /// The decisions about a request, oldest first.
    pub async fn approvals_of(&mut self, request: &RequestId) -> Result<Vec<Approval>> {
        unimplemented!()
    }
    /// The decisions about several requests, oldest first.
    pub async fn approvals_of_requests(&mut self, requests: &[RequestId]) -> Result<Vec<Approval>> {
        unimplemented!()
    }
}
