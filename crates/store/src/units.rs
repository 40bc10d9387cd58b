//! The entitlements of requests; from Wanted to Ending they are the claims of a session.

use jiff::Timestamp;
use latchkey_domain::{
    ids::{IntegrationId, RequestId, SessionId},
    request::{RequestUnit, UnitState},
};

use crate::{error::Result, page::PageQuery, tx::Tx};

/// Which units of a request. Empty lists hold for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitFilter {
    /// In any of these integrations.
    pub integration_ids: Vec<IntegrationId>,
    /// Of any of these resource types.
    pub resource_types: Vec<String>,
    /// In any of these states.
    pub states: Vec<UnitState>,
}

impl Tx {
    /// The units of a request, in the order in which they were inserted.
    pub async fn units_of(&mut self, request: &RequestId) -> Result<Vec<RequestUnit>> {
        unimplemented!()
    }
    /// The units of several requests, each request's in the order of insertion.
    pub async fn units_of_requests(&mut self, requests: &[RequestId]) -> Result<Vec<RequestUnit>> {
        unimplemented!()
    }
    /// The units that a session carries or carried.
    pub async fn units_of_session(&mut self, session: &SessionId) -> Result<Vec<RequestUnit>> {
        unimplemented!()
    }
    /// Writes what may change: state, error, session, end.
    pub async fn update_unit(&mut self, unit: &RequestUnit) -> Result<()> {
        unimplemented!()
    }
    /// Units by filter. Their place in the list is (the request's creation time, the unit's id).
    pub async fn list_units(
        &mut self,
        request: &RequestId,
        filter: &UnitFilter,
        page: &PageQuery,
    ) -> Result<Vec<RequestUnit>> {
        unimplemented!()
    }
    /// How many claims (wanted, held, ending) an integration has.
    pub async fn live_claims_of_integration(&mut self, integration: &IntegrationId) -> Result<u64> {
        unimplemented!()
    }
    /// Wanted and held units whose end is at or before `until`, earliest first.
    pub async fn claims_due(&mut self, until: Timestamp, limit: u32) -> Result<Vec<RequestUnit>> {
        unimplemented!()
    }
}
