//! Access sessions: their generations and receipts.
//!
//! One live session per (grantee, integration) is kept by an index as well as by
//! [`Tx::lock_grantee`], which serialises everything that joins, leaves or makes one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use latchkey_domain::{
    ids::{IntegrationId, ReceiptId, RequestId, SessionId, TaskId, UserId},
    provisioning::Receipt,
    session::{AccessSession, CredentialsStatus, SessionState},
};

use crate::{
    error::{Result, StoreError},
    page::PageQuery,
    sql::{CHUNK, Row, Sql, json, micros, opt_micros, values},
    tx::Tx,
};

/// Which sessions. Every part that is there must hold; empty lists hold for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// Whose.
    pub grantee: Option<UserId>,
    /// In any of these integrations.
    pub integration_ids: Vec<IntegrationId>,
    /// Carrying units of any of these requests.
    pub request_ids: Vec<RequestId>,
    /// In any of these states.
    pub states: Vec<SessionState>,
}

/// A receipt and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptRecord {
    /// Names the receipt.
    pub id: ReceiptId,
    /// The session.
    pub session_id: SessionId,
    /// The request whose end it proves, where it is about one.
    pub request_id: Option<RequestId>,
    /// The task that brought it.
    pub task_id: TaskId,
    /// The evidence.
    pub receipt: Receipt,
    /// The fence that was written with it.
    pub fence: i64,
    /// When the server took it.
    pub at: Timestamp,
}

const COLUMNS: &str = "s.id, s.integration_id, s.grantee_id, s.generation, s.principal, s.state, \
     s.fence, s.desired_version, s.applied_version, s.credentials_status, \
     s.can_reset_credentials, s.created_at, s.ended_at";

const RECEIPT_COLUMNS: &str = "id, session_id, request_id, task_id, receipt, fence, at";

fn read_session(row: &Row) -> Result<AccessSession> {
    Ok(AccessSession {
        id: SessionId::new(row.text("id")?),
        integration_id: IntegrationId::new(row.text("integration_id")?),
        grantee_id: UserId::new(row.text("grantee_id")?),
        generation: row.int("generation")?,
        principal: row.text("principal")?,
        state: row.word("state", SessionState::parse)?,
        fence: row.int("fence")?,
        desired_version: row.int("desired_version")?,
        applied_version: row.int("applied_version")?,
        credentials_status: row.word("credentials_status", CredentialsStatus::parse)?,
        can_reset_credentials: row.flag("can_reset_credentials")?,
        created_at: row.time("created_at")?,
        ended_at: row.opt_time("ended_at")?,
    })
}

fn read_receipt(row: &Row) -> Result<ReceiptRecord> {
    Ok(ReceiptRecord {
        id: ReceiptId::new(row.text("id")?),
        session_id: SessionId::new(row.text("session_id")?),
        request_id: row.opt_text("request_id")?.map(RequestId::new),
        task_id: TaskId::new(row.text("task_id")?),
        receipt: row.json("receipt")?,
        fence: row.int("fence")?,
        at: row.time("at")?,
    })
}

impl Tx {
    /// Locks the (grantee, integration) row until the transaction ends; made if there is none.
    pub async fn lock_grantee(
        &mut self,
        integration: &IntegrationId,
        grantee: &UserId,
    ) -> Result<()> {
        // An update that changes nothing takes the row's lock on PostgreSQL.
        self.touch_grantee(integration, grantee, 0).await.map(drop)
    }

    /// The next generation of a (grantee, integration), from 1; takes the same lock.
    pub async fn next_generation(
        &mut self,
        integration: &IntegrationId,
        grantee: &UserId,
    ) -> Result<i64> {
        self.touch_grantee(integration, grantee, 1).await
    }

    async fn touch_grantee(
        &mut self,
        integration: &IntegrationId,
        grantee: &UserId,
        step: i64,
    ) -> Result<i64> {
        let sql = Sql::with(
            "INSERT INTO grantee_locks (integration_id, grantee_id, generation) \
             VALUES ($1, $2, $3) ON CONFLICT (integration_id, grantee_id) DO UPDATE SET \
             generation = grantee_locks.generation + excluded.generation \
             RETURNING generation AS n",
            values![integration.as_str(), grantee.as_str(), step],
        );
        self.number(sql).await
    }

    /// The session that takes joiners.
    pub async fn find_live_session(
        &mut self,
        integration: &IntegrationId,
        grantee: &UserId,
    ) -> Result<Option<AccessSession>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM access_sessions s WHERE s.integration_id = $1 \
             AND s.grantee_id = $2 AND s.state = 'live'"
        );
        let sql = Sql::with(&sql, values![integration.as_str(), grantee.as_str()]);
        self.row(sql).await?.as_ref().map(read_session).transpose()
    }

    /// Adds a session; a second live one is a duplicate.
    pub async fn insert_session(&mut self, session: &AccessSession) -> Result<()> {
        let mut sql = Sql::new(
            "INSERT INTO access_sessions (id, integration_id, grantee_id, generation, principal, \
             state, fence, desired_version, applied_version, credentials_status, \
             can_reset_credentials, created_at, ended_at) VALUES ",
        );
        sql.list(values![
            session.id.as_str(),
            session.integration_id.as_str(),
            session.grantee_id.as_str(),
            session.generation,
            session.principal.as_str(),
            session.state.as_str(),
            session.fence,
            session.desired_version,
            session.applied_version,
            session.credentials_status.as_str(),
            session.can_reset_credentials,
            micros(session.created_at),
            opt_micros(session.ended_at),
        ]);
        self.exec(sql).await?;
        Ok(())
    }

    /// The session with this id.
    pub async fn find_session(&mut self, id: &SessionId) -> Result<Option<AccessSession>> {
        let sql = format!("SELECT {COLUMNS} FROM access_sessions s WHERE s.id = $1");
        self.row(Sql::with(&sql, values![id.as_str()]))
            .await?
            .as_ref()
            .map(read_session)
            .transpose()
    }

    /// The session, locked until the transaction ends.
    pub async fn lock_session(&mut self, id: &SessionId) -> Result<Option<AccessSession>> {
        let sql =
            format!("SELECT {COLUMNS} FROM access_sessions s WHERE s.id = $1{}", self.for_update());
        self.row(Sql::with(&sql, values![id.as_str()]))
            .await?
            .as_ref()
            .map(read_session)
            .transpose()
    }

    /// Writes what may change. Lock the row before reading what is written back. A fence or
    /// version lower than the stored one is refused: both only grow.
    pub async fn update_session(&mut self, session: &AccessSession) -> Result<()> {
        let sql = Sql::with(
            "UPDATE access_sessions SET state = $2, fence = $3, desired_version = $4, \
             applied_version = $5, credentials_status = $6, can_reset_credentials = $7, \
             ended_at = $8 WHERE id = $1 AND fence <= $3 AND desired_version <= $4",
            values![
                session.id.as_str(),
                session.state.as_str(),
                session.fence,
                session.desired_version,
                session.applied_version,
                session.credentials_status.as_str(),
                session.can_reset_credentials,
                opt_micros(session.ended_at),
            ],
        );
        if self.exec(sql).await? == 0 {
            return Err(StoreError::Conflict { what: "the access session" });
        }
        Ok(())
    }

    /// Sessions by filter, in the order of lists.
    pub async fn list_sessions(
        &mut self,
        filter: &SessionFilter,
        page: &PageQuery,
    ) -> Result<Vec<AccessSession>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM access_sessions s WHERE TRUE"));
        sql.and_eq("s.grantee_id", filter.grantee.as_ref().map(UserId::as_str));
        sql.and_in("s.integration_id", filter.integration_ids.iter().map(IntegrationId::as_str));
        sql.and_in("s.state", filter.states.iter().map(|state| state.as_str()));
        if !filter.request_ids.is_empty() {
            sql.push(" AND s.id IN (SELECT n.session_id FROM request_units n WHERE TRUE");
            sql.and_in("n.request_id", filter.request_ids.iter().map(RequestId::as_str));
            sql.push(" AND n.session_id IS NOT NULL)");
        }
        page.apply(&mut sql, "s.created_at", "s.id");
        self.rows(sql, read_session).await
    }

    /// The requests whose units these sessions carry or carried, each session's oldest first.
    pub async fn request_ids_of_sessions(
        &mut self,
        ids: &[SessionId],
    ) -> Result<BTreeMap<SessionId, Vec<RequestId>>> {
        let mut found: BTreeMap<SessionId, Vec<RequestId>> = BTreeMap::new();
        for ids in ids.chunks(CHUNK) {
            let mut sql = Sql::new(
                "SELECT DISTINCT session_id, created_at, request_id FROM request_units \
                 WHERE session_id IN ",
            );
            sql.list(ids.iter().map(SessionId::as_str));
            sql.push(" ORDER BY created_at, request_id");
            let read = |row: &Row| {
                Ok((
                    SessionId::new(row.text("session_id")?),
                    RequestId::new(row.text("request_id")?),
                ))
            };
            for (session, request) in self.rows(sql, read).await? {
                found.entry(session).or_default().push(request);
            }
        }
        Ok(found)
    }

    /// Adds a receipt.
    pub async fn insert_receipt(&mut self, record: &ReceiptRecord) -> Result<()> {
        let mut sql = Sql::new(&format!("INSERT INTO receipts ({RECEIPT_COLUMNS}) VALUES "));
        sql.list(values![
            record.id.as_str(),
            record.session_id.as_str(),
            record.request_id.as_ref().map(RequestId::as_str),
            record.task_id.as_str(),
            json(&record.receipt)?,
            record.fence,
            micros(record.at),
        ]);
        self.exec(sql).await?;
        Ok(())
    }

    /// Receipts about several requests, each request's oldest first.
    pub async fn receipts_of_requests(&mut self, ids: &[RequestId]) -> Result<Vec<ReceiptRecord>> {
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut sql =
                Sql::new(&format!("SELECT {RECEIPT_COLUMNS} FROM receipts WHERE request_id IN "));
            sql.list(ids.iter().map(RequestId::as_str));
            sql.push(" ORDER BY request_id, at, id");
            found.extend(self.rows(sql, read_receipt).await?);
        }
        Ok(found)
    }

    /// Receipts about a request by pages. Their place in the list is (when they were taken, id).
    pub async fn list_receipts(
        &mut self,
        request: &RequestId,
        page: &PageQuery,
    ) -> Result<Vec<ReceiptRecord>> {
        let mut sql = Sql::new(&format!("SELECT {RECEIPT_COLUMNS} FROM receipts WHERE TRUE"));
        sql.and_eq("request_id", Some(request.as_str()));
        page.apply(&mut sql, "at", "id");
        self.rows(sql, read_receipt).await
    }

    /// The sessions with these ids, in no order; unknown ids are left out.
    pub async fn find_sessions(&mut self, ids: &[SessionId]) -> Result<Vec<AccessSession>> {
        let mut found = Vec::new();
        for ids in ids.chunks(CHUNK) {
            let mut sql =
                Sql::new(&format!("SELECT {COLUMNS} FROM access_sessions s WHERE s.id IN "));
            sql.list(ids.iter().map(SessionId::as_str));
            found.extend(self.rows(sql, read_session).await?);
        }
        Ok(found)
    }

    /// Receipts of a session, oldest first.
    pub async fn receipts_of_session(&mut self, id: &SessionId) -> Result<Vec<ReceiptRecord>> {
        let sql =
            format!("SELECT {RECEIPT_COLUMNS} FROM receipts WHERE session_id = $1 ORDER BY at, id");
        self.rows(Sql::with(&sql, values![id.as_str()]), read_receipt).await
    }
}
