//! Keeping what a decision rests on as it is until the transaction ends.
//!
//! Whoever files a request *holds* the people, the flow and the integrations it rests on; many
//! may hold them at a time. Whoever takes one of them away *locks* it first, which waits for the
//! holders, and only then looks for what hangs on it. So no request slips in between the look
//! and the removal. On SQLite there is one writer, and nothing to wait for.

use latchkey_domain::ids::{FlowId, IntegrationId, UserId};

use crate::{
    error::Result,
    sql::{Sql, values},
    tx::Tx,
};

impl Tx {
    /// Holds these people; false if one of them is not there or not active. `ids` are distinct.
    pub async fn hold_active_users(&mut self, ids: &[UserId]) -> Result<bool> {
        let mut sql = Sql::new("SELECT u.id FROM users u WHERE u.status = 'active' AND u.id IN ");
        sql.list(ids.iter().map(UserId::as_str)).push(self.lock_clause(" FOR SHARE"));
        Ok(self.rows(sql, |_| Ok(())).await?.len() == ids.len())
    }

    /// Holds a flow in this version; false if it is gone or has changed.
    pub async fn hold_flow(&mut self, id: &FlowId, version: i64) -> Result<bool> {
        let text = format!(
            "SELECT f.id FROM access_flows f WHERE f.id = $1 AND f.version = $2{}",
            self.lock_clause(" FOR SHARE")
        );
        Ok(self.row(Sql::with(&text, values![id.as_str(), version])).await?.is_some())
    }

    /// Holds these integrations; false if one of them is gone. Their status may change meanwhile.
    /// `ids` are distinct.
    pub async fn hold_integrations(&mut self, ids: &[IntegrationId]) -> Result<bool> {
        let mut sql = Sql::new("SELECT i.id FROM integrations i WHERE i.id IN ");
        sql.list(ids.iter().map(IntegrationId::as_str)).push(self.lock_clause(" FOR KEY SHARE"));
        Ok(self.rows(sql, |_| Ok(())).await?.len() == ids.len())
    }

    /// Locks a flow, which waits for its holders; false without such a flow.
    pub async fn lock_flow(&mut self, id: &FlowId) -> Result<bool> {
        let text = format!("SELECT f.id FROM access_flows f WHERE f.id = $1{}", self.for_update());
        Ok(self.row(Sql::with(&text, values![id.as_str()])).await?.is_some())
    }

    /// Locks an integration, which waits for its holders; false without such an integration.
    pub async fn lock_integration(&mut self, id: &IntegrationId) -> Result<bool> {
        let text = format!("SELECT i.id FROM integrations i WHERE i.id = $1{}", self.for_update());
        Ok(self.row(Sql::with(&text, values![id.as_str()])).await?.is_some())
    }

    /// `clause` where writers work side by side; empty on SQLite, which has one writer.
    fn lock_clause(&self, clause: &'static str) -> &'static str {
        if self.for_update().is_empty() { "" } else { clause }
    }
}
