//! Audit records: written in the transaction of what they tell about, never changed after.

use jiff::Timestamp;
use latchkey_domain::{
    audit::{AuditActor, AuditEvent},
    ids::{AuditId, UserId},
};
use serde_json::Value;

use crate::{
    audit_chain::Content,
    error::Result,
    page::{PageQuery, TextMatch},
    sql::{Row, Sql, json, micros, values},
    tx::Tx,
    wake::Wake,
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

const COLUMNS: &str = "a.id, a.sequence, a.at, a.actor, a.action, a.object_type, a.object_id, \
     a.detail";

fn read_record(row: &Row) -> Result<AuditRecord> {
    Ok(AuditRecord {
        id: AuditId::new(row.text("id")?),
        sequence: row.opt_int("sequence")?,
        at: row.time("at")?,
        actor: row.json("actor")?,
        action: row.text("action")?,
        object_type: row.text("object_type")?,
        object_id: row.text("object_id")?,
        detail: row.json("detail")?,
    })
}

impl Tx {
    /// Writes a record at the transaction's time, with the hash of its content. The chainer
    /// links it within a second.
    pub async fn append_audit(&mut self, event: &AuditEvent) -> Result<AuditId> {
        let id = AuditId::generate(self.now(), self.rng());
        let content = Content {
            id: id.as_str().to_owned(),
            at: micros(self.now()),
            actor: json(&event.actor)?,
            action: event.action.to_owned(),
            object_type: event.object_type.to_owned(),
            object_id: event.object_id.clone(),
            detail: json(&event.detail)?,
        };
        let hash = content.hash();
        let user = match &event.actor {
            AuditActor::User { user_id, .. } => Some(user_id.as_str()),
            _ => None,
        };
        let sql = Sql::with(
            "INSERT INTO audit_records (id, at, actor, user_id, action, object_type, object_id, \
             detail, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            values![
                content.id,
                content.at,
                content.actor,
                user,
                content.action,
                content.object_type,
                content.object_id,
                content.detail,
                hash,
            ],
        );
        self.exec(sql).await?;
        self.wake_after(Wake::Audit);
        Ok(id)
    }

    /// Records by filter. Their place in the list is (time, id).
    pub async fn list_audit(
        &mut self,
        filter: &AuditFilter,
        page: &PageQuery,
    ) -> Result<Vec<AuditRecord>> {
        let mut sql = Sql::new(&format!("SELECT {COLUMNS} FROM audit_records a WHERE TRUE"));
        sql.and_eq("a.user_id", filter.user.as_ref().map(UserId::as_str));
        sql.and_any_text("a.action", &filter.actions);
        sql.and_eq("a.object_type", filter.object_type.as_deref());
        sql.and_eq("a.object_id", filter.object_id.as_deref());
        if let Some(from) = filter.from {
            sql.push(" AND a.at >= ").bind(micros(from));
        }
        if let Some(until) = filter.until {
            sql.push(" AND a.at < ").bind(micros(until));
        }
        page.apply(&mut sql, "a.at", "a.id");
        self.rows(sql, read_record).await
    }

    /// The record with this id.
    pub async fn find_audit(&mut self, id: &AuditId) -> Result<Option<AuditRecord>> {
        let sql = format!("SELECT {COLUMNS} FROM audit_records a WHERE a.id = $1");
        self.row(Sql::with(&sql, values![id.as_str()])).await?.as_ref().map(read_record).transpose()
    }
}
