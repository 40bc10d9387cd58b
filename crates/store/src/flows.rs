//! Access flows, and an index of what each of them names.

use latchkey_domain::{
    flow::{AccessFlow, Condition, FlowPolicy, FlowTarget},
    ids::{FlowId, GroupId, IntegrationId},
};

use crate::{error::Result, page::PageQuery, tx::Tx};

impl Tx {
    /// Adds a flow. A taken name is a duplicate.
    pub async fn insert_flow(&mut self, flow: &AccessFlow) -> Result<()> {
        unimplemented!()
    }
    /// Writes a flow; raises version by one, in the argument too. [`StoreError::Conflict`] if the row's version is not the argument's.
    pub async fn update_flow(&mut self, flow: &mut AccessFlow) -> Result<()> {
        unimplemented!()
    }
    /// The flow with this id.
    pub async fn find_flow(&mut self, id: &FlowId) -> Result<Option<AccessFlow>> {
        unimplemented!()
    }
    /// The flow of this name, without letter case.
    pub async fn find_flow_by_name(&mut self, name: &str) -> Result<Option<AccessFlow>> {
        unimplemented!()
    }
    /// The flows with these ids, in no order; unknown ids are left out.
    pub async fn find_flows(&mut self, ids: &[FlowId]) -> Result<Vec<AccessFlow>> {
        unimplemented!()
    }
    /// Flows in the order of lists.
    pub async fn list_flows(&mut self, page: &PageQuery) -> Result<Vec<AccessFlow>> {
        unimplemented!()
    }
    /// Deletes a flow; requests keep what it said. False without such a flow.
    pub async fn delete_flow(&mut self, id: &FlowId) -> Result<bool> {
        unimplemented!()
    }
    /// The flows new requests may use, oldest first.
    pub async fn active_flows(&mut self) -> Result<Vec<AccessFlow>> {
        unimplemented!()
    }
    /// Flows that name the integration as target, or as source of a condition.
    pub async fn flows_using_integration(&mut self, id: &IntegrationId) -> Result<Vec<AccessFlow>> {
        unimplemented!()
    }
    /// Flows with a condition on the group.
    pub async fn flows_using_group(&mut self, id: &GroupId) -> Result<Vec<AccessFlow>> {
        unimplemented!()
    }
}
