//! Messages that go out after the transaction that caused them: at least once, in order of
//! their writing per claim.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::{error::Result, tx::Tx};

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

impl Tx {
    /// Adds a message, to be sent as soon as possible.
    pub async fn push_outbox(&mut self, topic: &'static str, payload: &Value) -> Result<()> {
        unimplemented!()
    }
    /// Gives up to `max` messages, oldest first, to `owner`.
    pub async fn claim_outbox(
        &mut self,
        owner: &str,
        max: u32,
        lease: Duration,
    ) -> Result<Vec<OutboxMessage>> {
        unimplemented!()
    }
    /// Forgets a message that was sent; false if the claim was lost.
    pub async fn finish_outbox(&mut self, message: &OutboxMessage) -> Result<bool> {
        unimplemented!()
    }
    /// Has a message sent again later; false if the claim was lost.
    pub async fn retry_outbox(
        &mut self,
        message: &OutboxMessage,
        at: Timestamp,
        error: &str,
    ) -> Result<bool> {
        unimplemented!()
    }
    /// How many messages wait.
    pub async fn count_outbox(&mut self) -> Result<u64> {
        unimplemented!()
    }
}
