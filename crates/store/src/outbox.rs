//! Messages that go out after the transaction that caused them: at least once, in order of
//! their writing per claim. What cannot be sent for too long is buried: kept for people to look
//! at, and sent by nobody.

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

/// A message that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message's id.
    pub id: String,
    /// What it was about.
    pub topic: String,
    /// What it was to say.
    pub payload: Value,
    /// When it was written.
    pub created_at: Timestamp,
    /// How often sending it failed.
    pub attempts: i64,
    /// Why it failed last.
    pub last_error: String,
    /// When it was given up.
    pub dead_at: Timestamp,
}

/// How the messages stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutboxStanding {
    /// How many wait to be sent.
    pub waiting: u64,
    /// How many of them have failed before.
    pub failing: u64,
    /// When the oldest of those was written.
    pub failing_since: Option<Timestamp>,
    /// Why the one that failed last did.
    pub last_error: Option<String>,
    /// How many were given up and are still kept.
    pub dead: u64,
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

    /// Prolongs a claim from now on; false if it was lost.
    pub async fn renew_outbox_lease(
        &mut self,
        message: &OutboxMessage,
        lease: Duration,
    ) -> Result<bool> {
        let sql = Sql::with(
            "UPDATE outbox SET ready_at = $3 WHERE id = $1 AND lease = $2 AND owner IS NOT NULL",
            values![message.id.as_str(), message.lease, self.lease_end(lease)],
        );
        Ok(self.exec(sql).await? > 0)
    }

    /// Gives a message up: nobody sends it any more. False if the claim was lost.
    pub async fn bury_outbox(&mut self, message: &OutboxMessage, error: &str) -> Result<bool> {
        if !self.finish_outbox(message).await? {
            return Ok(false);
        }
        let mut sql = Sql::new(
            "INSERT INTO dead_letters (id, topic, payload, created_at, attempts, last_error, \
             dead_at) VALUES ",
        );
        sql.list(values![
            message.id.as_str(),
            message.topic.as_str(),
            json(&message.payload)?,
            micros(message.created_at),
            message.attempts + 1,
            error,
            micros(self.now()),
        ]);
        self.exec(sql).await?;
        Ok(true)
    }

    /// Messages that were given up, the latest first.
    pub async fn dead_letters(&mut self, limit: u32) -> Result<Vec<DeadLetter>> {
        let sql = "SELECT id, topic, payload, created_at, attempts, last_error, dead_at \
             FROM dead_letters ORDER BY dead_at DESC, id DESC LIMIT $1";
        self.rows(Sql::with(sql, values![i64::from(limit)]), |row| {
            Ok(DeadLetter {
                id: row.text("id")?,
                topic: row.text("topic")?,
                payload: row.json("payload")?,
                created_at: row.time("created_at")?,
                attempts: row.int("attempts")?,
                last_error: row.text("last_error")?,
                dead_at: row.time("dead_at")?,
            })
        })
        .await
    }

    /// Forgets messages that were given up before this; returns how many.
    pub async fn prune_dead_letters(&mut self, before: Timestamp) -> Result<u64> {
        let sql = "DELETE FROM dead_letters WHERE dead_at < $1";
        self.exec(Sql::with(sql, values![micros(before)])).await
    }

    /// Takes back the claims of an owner that is gone: its messages are due now.
    pub async fn release_outbox_leases(&mut self, owner: &str) -> Result<u64> {
        let sql = Sql::with(
            "UPDATE outbox SET ready_at = $2, owner = NULL WHERE owner = $1",
            values![owner, micros(self.now())],
        );
        self.wake_after(Wake::Outbox);
        self.exec(sql).await
    }

    /// When the next message is due, or the next claim runs out.
    pub async fn next_outbox_at(&mut self) -> Result<Option<Timestamp>> {
        let row = self.row(Sql::new("SELECT MIN(ready_at) AS at FROM outbox")).await?;
        row.map_or(Ok(None), |row| row.opt_time("at"))
    }

    /// How the messages stand.
    pub async fn outbox_standing(&mut self) -> Result<OutboxStanding> {
        let sql = "SELECT COUNT(*) AS waiting, \
             COALESCE(SUM(CASE WHEN attempts > 0 THEN 1 ELSE 0 END), 0) AS failing, \
             MIN(CASE WHEN attempts > 0 THEN created_at END) AS failing_since FROM outbox";
        let Some(row) = self.row(Sql::new(sql)).await? else {
            return Ok(OutboxStanding::default());
        };
        let sql = "SELECT last_error FROM outbox WHERE last_error IS NOT NULL \
             ORDER BY ready_at DESC, id DESC LIMIT 1";
        let last = self.row(Sql::new(sql)).await?;
        Ok(OutboxStanding {
            waiting: row.count("waiting")?,
            failing: row.count("failing")?,
            failing_since: row.opt_time("failing_since")?,
            last_error: last.map(|row| row.text("last_error")).transpose()?,
            dead: self.count(Sql::new("SELECT COUNT(*) AS n FROM dead_letters")).await?,
        })
    }

    /// How many messages wait.
    pub async fn count_outbox(&mut self) -> Result<u64> {
        self.count(Sql::new("SELECT COUNT(*) AS n FROM outbox")).await
    }
}
