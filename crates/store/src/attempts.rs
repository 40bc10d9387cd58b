//! How often something was tried, counted in the database, so that every server counts together.
//!
//! Invariant: a try is counted before what is tried is looked at, so that tries side by side are
//! counted like tries one after the other.

use jiff::SignedDuration;
use latchkey_domain::sign_in::TryLimit;

use crate::{
    error::{Result, StoreError},
    sql::{Sql, micros, values},
    tx::Tx,
};

/// How many rows of windows that are over go at once.
const SWEEP: u32 = 100;

impl Tx {
    /// Counts one more try; false if there have been too many. `subject` is a keyed hash of what
    /// is tried.
    pub async fn take_try(&mut self, limit: TryLimit, subject: &str) -> Result<bool> {
        let now = self.now();
        let over = now
            .saturating_sub(SignedDuration::from_secs(limit.window_sec))
            .map_err(StoreError::corrupt)?;
        let sql = Sql::with(
            "INSERT INTO attempts (kind, subject, window_at, tries) VALUES ($1, $2, $3, 1) \
             ON CONFLICT (kind, subject) DO UPDATE SET \
             tries = CASE WHEN attempts.window_at <= $4 THEN 1 ELSE attempts.tries + 1 END, \
             window_at = CASE WHEN attempts.window_at <= $4 THEN excluded.window_at \
             ELSE attempts.window_at END \
             RETURNING tries AS n",
            values![limit.kind, subject, micros(now), micros(over)],
        );
        Ok(self.count(sql).await? <= u64::from(limit.most))
    }

    /// Forgets the tries: the last one was right.
    pub async fn forget_tries(&mut self, limit: TryLimit, subject: &str) -> Result<()> {
        let sql = "DELETE FROM attempts WHERE kind = $1 AND subject = $2";
        self.exec(Sql::with(sql, values![limit.kind, subject])).await?;
        Ok(())
    }

    /// Takes one try back: it was right, and others may share the subject.
    pub async fn give_try_back(&mut self, limit: TryLimit, subject: &str) -> Result<()> {
        let sql = "UPDATE attempts SET tries = tries - 1 \
                   WHERE kind = $1 AND subject = $2 AND tries > 0";
        self.exec(Sql::with(sql, values![limit.kind, subject])).await?;
        Ok(())
    }

    /// Forgets some of the tries whose window began more than `window_sec` seconds ago. Rows that
    /// somebody else works on are left alone.
    pub async fn sweep_tries(&mut self, window_sec: i64) -> Result<()> {
        let over = self
            .now()
            .saturating_sub(SignedDuration::from_secs(window_sec))
            .map_err(StoreError::corrupt)?;
        let sql = format!(
            "DELETE FROM attempts WHERE (kind, subject) IN (SELECT a.kind, a.subject \
             FROM attempts a WHERE a.window_at <= $1 LIMIT {SWEEP}{})",
            self.skip_locked()
        );
        self.exec(Sql::with(&sql, values![micros(over)])).await?;
        Ok(())
    }
}
