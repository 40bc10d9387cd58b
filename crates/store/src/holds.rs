//! Keeping what a decision rests on as it is until the transaction ends.
//!
//! Whoever files a request *holds* the people, the flow and the integrations it rests on; many
//! may hold them at a time. Whoever saves a flow or a bundle holds what it names. Whoever takes
//! one of them away *locks* it first, which waits for the holders, and only then looks for what
//! hangs on it. So nothing slips in between the look and the removal. On SQLite there is one
//! writer, and nothing to wait for.

use latchkey_domain::ids::{AccessScopeId, BundleId, FlowId, IntegrationId, UserId};

use crate::{
    error::Result,
    sql::{CHUNK, Sql, values},
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
        let ids: Vec<&str> = ids.iter().map(IntegrationId::as_str).collect();
        self.hold("integrations", &ids).await
    }

    /// Holds these bundles; false if one of them is gone. They may change meanwhile. `ids` are
    /// distinct.
    pub async fn hold_bundles(&mut self, ids: &[BundleId]) -> Result<bool> {
        let ids: Vec<&str> = ids.iter().map(BundleId::as_str).collect();
        self.hold("bundles", &ids).await
    }

    /// Holds these access scopes; false if one of them is gone. They may change meanwhile. `ids`
    /// are distinct.
    pub async fn hold_access_scopes(&mut self, ids: &[AccessScopeId]) -> Result<bool> {
        let ids: Vec<&str> = ids.iter().map(AccessScopeId::as_str).collect();
        self.hold("access_scopes", &ids).await
    }

    /// Keeps rows from being deleted; false if one of them is gone.
    async fn hold(&mut self, table: &'static str, ids: &[&str]) -> Result<bool> {
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new(&format!("SELECT t.id FROM {table} t WHERE t.id IN "));
            sql.list(ids.iter().copied()).push(self.lock_clause(" FOR KEY SHARE"));
            if self.rows(sql, |_| Ok(())).await?.len() < ids.len() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Locks a flow, which waits for its holders; false without such a flow.
    pub async fn lock_flow(&mut self, id: &FlowId) -> Result<bool> {
        self.lock("access_flows", id.as_str()).await
    }

    /// Locks an integration, which waits for its holders; false without such an integration.
    pub async fn lock_integration(&mut self, id: &IntegrationId) -> Result<bool> {
        self.lock("integrations", id.as_str()).await
    }

    /// Locks a bundle, which waits for its holders; false without such a bundle.
    pub async fn lock_bundle(&mut self, id: &BundleId) -> Result<bool> {
        self.lock("bundles", id.as_str()).await
    }

    /// Locks an access scope, which waits for its holders; false without such a scope.
    pub async fn lock_access_scope(&mut self, id: &AccessScopeId) -> Result<bool> {
        self.lock("access_scopes", id.as_str()).await
    }

    async fn lock(&mut self, table: &'static str, id: &str) -> Result<bool> {
        let text = format!("SELECT t.id FROM {table} t WHERE t.id = $1{}", self.for_update());
        Ok(self.row(Sql::with(&text, values![id])).await?.is_some())
    }

    /// `clause` where writers work side by side; empty on SQLite, which has one writer.
    fn lock_clause(&self, clause: &'static str) -> &'static str {
        if self.for_update().is_empty() { "" } else { clause }
    }
}
