//! Named leases: work that one server at a time may do.

use std::time::Duration;

use crate::{
    error::Result,
    sql::{Sql, micros, values},
    tx::Tx,
};

impl Tx {
    /// Takes or prolongs a lease; false while somebody else holds it.
    pub async fn acquire_lease(&mut self, name: &str, owner: &str, ttl: Duration) -> Result<bool> {
        unimplemented!()
    }
    /// Gives a lease back; false if it was not held.
    pub async fn release_lease(&mut self, name: &str, owner: &str) -> Result<bool> {
        unimplemented!()
    }
    /// Gives back every lease of an owner that is gone.
    pub async fn release_leases_of(&mut self, owner: &str) -> Result<u64> {
        unimplemented!()
    }
}
