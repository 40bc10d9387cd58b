//! Messages that go out after the transaction that caused them: at least once, in order of
//! their writing per claim.

use std::time::Duration;

use jiff::Timestamp;
use latchkey_domain::ids::JobId;
use serde_json::Value;

use crate::{
    error::Result,
    leases::Leased,
    sql::{Row, Sql, json, micros, values},
    tx::Tx,
    wake::Wake,
};

/// A message to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// Names the message.
    pub id: String,
    /// Which claim this is.
    pub lease: i64,
    /// What it is about, such as `request.state`.
    pub topic: String,
    /// What to say. Never a secret.
    pub payload: Value,
    /// When it was written.
    pub created_at: Timestamp,
    /// How often sending it has failed or was lost; 0 at first.
    pub attempts: i64,
}

const COLUMNS: &str = "outbox.id, outbox.lease, outbox.topic, outbox.payload, \
     outbox.created_at, outbox.attempts";

fn read_message(row: &Row) -> Result<OutboxMessage> {
    Ok(OutboxMessage {
        id: row.text("id")?,
        lease: row.int("lease")?,
        topic: row.text("topic")?,
        payload: row.json("payload")?,
        created_at: row.time("created_at")?,
        attempts: row.int("attempts")?,
    })
}

impl Tx {
    /// Adds a message, to be sent as soon as possible.
    pub async fn push_outbox(&mut self, topic: &'static str, payload: &Value) -> Result<()> {
        let id = JobId::generate(self.now(), self.rng());
        let sql = Sql::with(
            "INSERT INTO outbox (id, topic, payload, created_at, ready_at, lease, attempts) \
             VALUES ($1, $2, $3, $4, $4, 0, 0)",
            values![id.as_str(), topic, json(payload)?, micros(self.now())],
        );
        self.exec(sql).await?;
        self.wake_after(Wake::Outbox);
        Ok(())
    }

    /// Gives up to `max` messages, oldest first, to `owner`.
    pub async fn claim_outbox(
        &mut self,
        owner: &str,
        max: u32,
        lease: Duration,
    ) -> Result<Vec<OutboxMessage>> {
        self.end_impossible_leases(Leased::Outbox).await?;
        let sql = format!(
            "WITH picked AS MATERIALIZED (SELECT id FROM outbox \
             WHERE ready_at <= $1 \
             ORDER BY ready_at, id LIMIT $2{}) \
             UPDATE outbox SET \
             attempts = attempts + CASE WHEN owner IS NULL THEN 0 ELSE 1 END, \
             lease = lease + 1, owner = $3, ready_at = $4 \
             WHERE id IN (SELECT id FROM picked) RETURNING {COLUMNS}",
            self.skip_locked()
        );
        let sql = Sql::with(
            &sql,
            values![micros(self.now()), i64::from(max), owner, self.lease_end(lease),],
        );
        let mut messages = self.rows(sql, read_message).await?;
        messages
            .sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
        Ok(messages)
    }

    /// Forgets a message that was sent; false if the claim was lost.
    pub async fn finish_outbox(&mut self, message: &OutboxMessage) -> Result<bool> {
        let sql = "DELETE FROM outbox WHERE id = $1 AND lease = $2 AND owner IS NOT NULL";
        let sql = Sql::with(sql, values![message.id.as_str(), message.lease]);
        Ok(self.exec(sql).await? > 0)
    }

    /// Has a message sent again later; false if the claim was lost.
    pub async fn retry_outbox(
        &mut self,
        message: &OutboxMessage,
        at: Timestamp,
        error: &str,
    ) -> Result<bool> {
        let sql = Sql::with(
            "UPDATE outbox SET ready_at = $3, owner = NULL, attempts = attempts + 1, \
             last_error = $4 WHERE id = $1 AND lease = $2 AND owner IS NOT NULL",
            values![message.id.as_str(), message.lease, micros(at), error],
        );
        Ok(self.exec(sql).await? > 0)
    }

    /// How many messages wait.
    pub async fn count_outbox(&mut self) -> Result<u64> {
        self.count(Sql::new("SELECT COUNT(*) AS n FROM outbox")).await
    }
}
