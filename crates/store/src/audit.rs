//! Audit records: written in the transaction of what they tell about, never changed after.

use jiff::Timestamp;
use latchkey_domain::{
    audit::{AuditActor, AuditEvent},
    ids::{AuditId, UserId},
};
use serde_json::Value;

use crate::{
    error::Result,
    page::{PageQuery, TextMatch},
    tx::Tx,
};

/// A stored audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRecord {
    /// Names the record.
    pub id: AuditId,
    /// Its place in the chain; `None` until the chainer has linked it, within a second.
    pub sequence: Option<i64>,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: AuditActor,
    /// What.
    pub action: String,
    /// The kind of the thing it was done to.
    pub object_type: String,
    /// Its id.
    pub object_id: String,
    /// Further facts.
    pub detail: Value,
}

/// Which records. Every part that is there must hold; empty lists hold for all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// By this person.
    pub user: Option<UserId>,
    /// What was done: any of these.
    pub actions: Vec<TextMatch>,
    /// To a thing of this kind.
    pub object_type: Option<String>,
    /// To the thing with this id.
    pub object_id: Option<String>,
    /// At or after.
    pub from: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

impl Tx {
    /// Writes a record at the transaction's time, with the hash of its content.
    pub async fn append_audit(&mut self, event: &AuditEvent) -> Result<AuditId> {
        unimplemented!()
    }
    /// Records by filter. Their place in the list is (time, id).
    pub async fn list_audit(
        &mut self,
        filter: &AuditFilter,
        page: &PageQuery,
    ) -> Result<Vec<AuditRecord>> {
        unimplemented!()
    }
    /// The record with this id.
    pub async fn find_audit(&mut self, id: &AuditId) -> Result<Option<AuditRecord>> {
        unimplemented!()
    }
}
