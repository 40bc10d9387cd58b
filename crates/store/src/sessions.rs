//! Access sessions: their generations, credentials, connection details and receipts.
//!
//! One live session per (grantee, integration) is kept by an index as well as by
//! [`Tx::lock_grantee`], which serialises everything that joins, leaves or makes one.

use jiff::Timestamp;
use latchkey_domain::{
    ids::{IntegrationId, ReceiptId, RequestId, SessionId, TaskId, UserId},
    provisioning::{AccessDetails, Receipt},
    session::{AccessSession, CredentialsStatus, SessionState},
};
use secrecy::{ExposeSecret, SecretString};

use crate::{error::Result, page::PageQuery, tx::Tx};

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

/// A login name and its password.
#[derive(Debug, Clone)]
pub struct StoredCredentials {
    /// The login name.
    pub username: String,
    /// The password.
    pub password: SecretString,
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

impl Tx {
    /// Locks the (grantee, integration) row until the transaction ends; made if there is none.
    pub async fn lock_grantee(
        &mut self,
        integration: &IntegrationId,
        grantee: &UserId,
    ) -> Result<()> {
        unimplemented!()
    }
    /// The next generation of a (grantee, integration), from 1; takes the same lock.
    pub async fn next_generation(
        &mut self,
        integration: &IntegrationId,
        grantee: &UserId,
    ) -> Result<i64> {
        unimplemented!()
    }
    /// The session that takes joiners.
    pub async fn find_live_session(
        &mut self,
        integration: &IntegrationId,
        grantee: &UserId,
    ) -> Result<Option<AccessSession>> {
        unimplemented!()
    }
    /// Adds a session; a second live one is a duplicate.
    pub async fn insert_session(&mut self, session: &AccessSession) -> Result<()> {
        unimplemented!()
    }
    /// The session with this id.
    pub async fn find_session(&mut self, id: &SessionId) -> Result<Option<AccessSession>> {
        unimplemented!()
    }
    /// The session with this principal in an integration.
    pub async fn find_session_by_principal(
        &mut self,
        integration: &IntegrationId,
        principal: &str,
    ) -> Result<Option<AccessSession>> {
        unimplemented!()
    }
    /// The session, locked until the transaction ends.
    pub async fn lock_session(&mut self, id: &SessionId) -> Result<Option<AccessSession>> {
        unimplemented!()
    }
    /// Writes what may change. Lock the row before reading what is written back.
    pub async fn update_session(&mut self, session: &AccessSession) -> Result<()> {
        unimplemented!()
    }
    /// Sessions by filter, in the order of lists.
    pub async fn list_sessions(
        &mut self,
        filter: &SessionFilter,
        page: &PageQuery,
    ) -> Result<Vec<AccessSession>> {
        unimplemented!()
    }
    /// The requests whose units a session carries or carried, oldest first.
    pub async fn request_ids_of_session(&mut self, id: &SessionId) -> Result<Vec<RequestId>> {
        unimplemented!()
    }
    /// Seals and keeps credentials, in place of any before.
    pub async fn put_credentials(
        &mut self,
        id: &SessionId,
        username: &str,
        password: &SecretString,
    ) -> Result<()> {
        unimplemented!()
    }
    /// Opens credentials.
    pub async fn find_credentials(&mut self, id: &SessionId) -> Result<Option<StoredCredentials>> {
        unimplemented!()
    }
    /// Whether credentials are kept.
    pub async fn has_credentials(&mut self, id: &SessionId) -> Result<bool> {
        unimplemented!()
    }
    /// Forgets credentials; false if there were none.
    pub async fn delete_credentials(&mut self, id: &SessionId) -> Result<bool> {
        unimplemented!()
    }
    /// Keeps how to connect, without secrets.
    pub async fn put_access_details(
        &mut self,
        id: &SessionId,
        details: &AccessDetails,
    ) -> Result<()> {
        unimplemented!()
    }
    /// How to connect.
    pub async fn find_access_details(&mut self, id: &SessionId) -> Result<Option<AccessDetails>> {
        unimplemented!()
    }
    /// Adds a receipt.
    pub async fn insert_receipt(&mut self, record: &ReceiptRecord) -> Result<()> {
        unimplemented!()
    }
    /// Receipts about a request, oldest first.
    pub async fn receipts_of_request(&mut self, id: &RequestId) -> Result<Vec<ReceiptRecord>> {
        unimplemented!()
    }
    /// Receipts of a session, oldest first.
    pub async fn receipts_of_session(&mut self, id: &SessionId) -> Result<Vec<ReceiptRecord>> {
        unimplemented!()
    }
}
