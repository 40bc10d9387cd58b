//! Named leases: work that one server at a time may do.

use std::time::Duration;

use crate::{
    error::Result,
    sql::{Sql, micros, values},
    tx::Tx,
};

/// The longest lease there is. Longer ones are cut to it, and one that seems to last longer was
/// taken before the clock was set back: it counts as run out.
const LONGEST: Duration = Duration::from_mins(15);

/// Tables whose rows are leased.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leased {
    Tasks,
    Jobs,
    Outbox,
}

impl Tx {
    /// The stored form of the end of a lease that begins now.
    pub(crate) fn lease_end(&self, lease: Duration) -> i64 {
        micros(self.now()).saturating_add(whole_micros(lease.min(LONGEST)))
    }

    /// No lease taken by this clock can end after this.
    pub(crate) fn lease_horizon(&self) -> i64 {
        self.lease_end(LONGEST)
    }

    /// Ends the leases of a table that seem to last longer than any lease does: they were taken
    /// before the clock was set back. A statement of its own, so that the search for work needs
    /// no second condition, and stops at the first rows of its index.
    pub(crate) async fn end_impossible_leases(&mut self, table: Leased) -> Result<()> {
        let (name, taken) = match table {
            Leased::Tasks => ("tasks", "state = 'leased'"),
            Leased::Jobs => ("jobs", "state = 'claimed'"),
            Leased::Outbox => ("outbox", "owner IS NOT NULL"),
        };
        let sql = format!("UPDATE {name} SET ready_at = $1 WHERE {taken} AND ready_at > $2");
        self.exec(Sql::with(&sql, values![micros(self.now()), self.lease_horizon()])).await?;
        Ok(())
    }

    /// Takes or prolongs a lease; false while somebody else holds it.
    pub async fn acquire_lease(&mut self, name: &str, owner: &str, ttl: Duration) -> Result<bool> {
        let sql = Sql::with(
            "INSERT INTO leases (name, owner, until) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until \
             WHERE leases.owner = excluded.owner OR leases.until <= $4 OR leases.until > $5",
            values![name, owner, self.lease_end(ttl), micros(self.now()), self.lease_horizon()],
        );
        Ok(self.exec(sql).await? > 0)
    }

    /// Gives a lease back; false if it was not held.
    pub async fn release_lease(&mut self, name: &str, owner: &str) -> Result<bool> {
        let sql = "DELETE FROM leases WHERE name = $1 AND owner = $2";
        Ok(self.exec(Sql::with(sql, values![name, owner])).await? > 0)
    }

    /// Gives back every lease of an owner that is gone; returns how many.
    pub async fn release_leases_of(&mut self, owner: &str) -> Result<u64> {
        self.exec(Sql::with("DELETE FROM leases WHERE owner = $1", values![owner])).await
    }
}

fn whole_micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
