//! The entitlements of requests; from Wanted to Ending they are the claims of a session.

use jiff::Timestamp;
use latchkey_domain::{
    ids::{IntegrationId, PermissionId, RequestId, ResourceId, SessionId, UnitId},
    request::{RequestUnit, UnitState},
};

use crate::{
    error::{Result, StoreError},
    page::PageQuery,
    sql::{CHUNK, Row, Sql, json, micros, opt_micros, values},
    tx::Tx,
};

/// How many units go into one statement.
const BATCH: usize = 200;

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

const COLUMNS: &str = "n.id, n.request_id, n.integration_id, n.resource_id, \
     n.resource_type, n.resource_source_id, n.resource_name, n.resource_path, \
     n.resource_context, n.permission_id, n.permission, n.state, n.error, n.session_id, n.ends_at, \
     n.extends_to";

fn read_unit(row: &Row) -> Result<RequestUnit> {
    Ok(RequestUnit {
        id: UnitId::new(row.text("id")?),
        request_id: RequestId::new(row.text("request_id")?),
        integration_id: IntegrationId::new(row.text("integration_id")?),
        resource_id: ResourceId::new(row.text("resource_id")?),
        resource_type: row.text("resource_type")?,
        resource_source_id: row.text("resource_source_id")?,
        resource_name: row.text("resource_name")?,
        resource_path: row.text("resource_path")?,
        resource_context: row.json("resource_context")?,
        permission_id: PermissionId::new(row.text("permission_id")?),
        permission: row.text("permission")?,
        state: row.word("state", UnitState::parse)?,
        error: row.opt_text("error")?,
        session_id: row.opt_text("session_id")?.map(SessionId::new),
        ends_at: row.opt_time("ends_at")?,
        extends_to: row.opt_time("extends_to")?,
    })
}

impl Tx {
    /// Adds the units of a request that was just inserted, in their order.
    pub(crate) async fn insert_units(
        &mut self,
        created_at: Timestamp,
        units: &[RequestUnit],
    ) -> Result<()> {
        for (first, batch) in units.chunks(BATCH).enumerate() {
            let mut sql = Sql::new(
                "INSERT INTO request_units (id, request_id, position, created_at, \
                 integration_id, resource_id, resource_type, resource_source_id, resource_name, \
                 resource_path, resource_context, permission_id, permission, state, error, \
                 session_id, ends_at, extends_to) VALUES ",
            );
            for (at, unit) in batch.iter().enumerate() {
                let position = i64::try_from(first * BATCH + at).map_err(StoreError::corrupt)?;
                sql.push(if at > 0 { ", " } else { "" });
                sql.list(values![
                    unit.id.as_str(),
                    unit.request_id.as_str(),
                    position,
                    micros(created_at),
                    unit.integration_id.as_str(),
                    unit.resource_id.as_str(),
                    unit.resource_type.as_str(),
                    unit.resource_source_id.as_str(),
                    unit.resource_name.as_str(),
                    unit.resource_path.as_str(),
                    json(&unit.resource_context)?,
                    unit.permission_id.as_str(),
                    unit.permission.as_str(),
                    unit.state.as_str(),
                    unit.error.as_deref(),
                    unit.session_id.as_ref().map(SessionId::as_str),
                    opt_micros(unit.ends_at),
                    opt_micros(unit.extends_to),
                ]);
            }
            self.exec(sql).await?;
        }
        Ok(())
    }

    /// The units of a request, in the order in which they were inserted.
    pub async fn units_of(&mut self, request: &RequestId) -> Result<Vec<RequestUnit>> {
        self.units_of_requests(std::slice::from_ref(request)).await
    }

    /// The units of several requests, each request's in the order of insertion.
    pub async fn units_of_requests(&mut self, requests: &[RequestId]) -> Result<Vec<RequestUnit>> {
        let mut found = Vec::new();
        for requests in requests.chunks(CHUNK) {
            let mut sql =
                Sql::new(&format!("SELECT {COLUMNS} FROM request_units n WHERE n.request_id IN "));
            sql.list(requests.iter().map(RequestId::as_str));
            sql.push(" ORDER BY n.request_id, n.position");
            found.extend(self.rows(sql, read_unit).await?);
        }
        Ok(found)
    }

    /// The units that a session carries or carried, oldest request first.
    pub async fn units_of_session(&mut self, session: &SessionId) -> Result<Vec<RequestUnit>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM request_units n WHERE n.session_id = $1 \
             ORDER BY n.created_at, n.request_id, n.position"
        );
        self.rows(Sql::with(&sql, values![session.as_str()]), read_unit).await
    }

    /// The units that several sessions carry or carried.
    pub async fn units_of_sessions(&mut self, sessions: &[SessionId]) -> Result<Vec<RequestUnit>> {
        let mut found = Vec::new();
        for sessions in sessions.chunks(CHUNK) {
            let mut sql =
                Sql::new(&format!("SELECT {COLUMNS} FROM request_units n WHERE n.session_id IN "));
            sql.list(sessions.iter().map(SessionId::as_str));
            sql.push(" ORDER BY n.created_at, n.request_id, n.position");
            found.extend(self.rows(sql, read_unit).await?);
        }
        Ok(found)
    }

    /// Writes what may change: state, error, session, end.
    pub async fn update_unit(&mut self, unit: &RequestUnit) -> Result<()> {
        let sql = Sql::with(
            "UPDATE request_units SET state = $2, error = $3, session_id = $4, ends_at = $5, \
             extends_to = $6 WHERE id = $1",
            values![
                unit.id.as_str(),
                unit.state.as_str(),
                unit.error.as_deref(),
                unit.session_id.as_ref().map(SessionId::as_str),
                opt_micros(unit.ends_at),
                opt_micros(unit.extends_to),
            ],
        );
        if self.exec(sql).await? == 0 {
            return Err(StoreError::corrupt(format!("unit {}", unit.id)));
        }
        Ok(())
    }

    /// Units by filter. Their place in the list is (the request's creation time, the unit's id).
    pub async fn list_units(
        &mut self,
        request: &RequestId,
        filter: &UnitFilter,
        page: &PageQuery,
    ) -> Result<Vec<RequestUnit>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM request_units n WHERE TRUE"));
        sql.and_eq("n.request_id", Some(request.as_str()));
        sql.and_in("n.integration_id", filter.integration_ids.iter().map(IntegrationId::as_str));
        sql.and_in("n.resource_type", filter.resource_types.iter().map(String::as_str));
        sql.and_in("n.state", filter.states.iter().map(|state| state.as_str()));
        page.apply(&mut sql, "n.created_at", "n.id");
        self.rows(sql, read_unit).await
    }

    /// How many claims (wanted, held, ending) an integration has.
    pub async fn live_claims_of_integration(&mut self, integration: &IntegrationId) -> Result<u64> {
        let sql = Sql::with(
            "SELECT COUNT(*) AS n FROM request_units WHERE integration_id = $1 \
             AND state IN ('wanted', 'held', 'ending')",
            values![integration.as_str()],
        );
        self.count(sql).await
    }
}
