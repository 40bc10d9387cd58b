//! Catalogue queries that a connection plans once.
//!
//! Planning a join over the system catalogues costs the server several times what running it
//! costs, and a grant or a revoke asks a dozen of them. So each connection of the pool prepares
//! them when it is made (`PREPARE`), and work names them (`EXECUTE`) inside the texts that it
//! sends, which stay one round trip each.
//!
//! The plans are generic: every query finds rows by name or oid, through an index.

use super::{catalog, graveyard, groups, looks, principal, revoke, sessions};

/// A query with parameters `$1`, `$2` …
pub(super) struct Planned {
    /// Its name in the session.
    pub name: &'static str,
    /// The types of its parameters, such as `name[], oid`; empty without any.
    pub parameters: &'static str,
    /// What it asks.
    pub sql: String,
}

impl Planned {
    /// A query.
    pub(super) fn new(
        name: &'static str,
        parameters: &'static str,
        sql: impl Into<String>,
    ) -> Self {
        Self { name, parameters, sql: sql.into() }
    }

    fn prepare(&self) -> String {
        let Self { name, parameters, sql } = self;
        let parameters =
            if parameters.is_empty() { String::new() } else { format!("({parameters})") };
        format!("PREPARE {name}{parameters} AS {sql};")
    }
}

/// The target's time in milliseconds since 1970.
pub(super) const CLOCK: &str = "EXECUTE lk_clock;";

/// What a connection of the pool says first. `modern`: memberships have options (16 and later).
pub(super) fn prepare_all(modern: bool) -> String {
    let clock = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let all = [Planned::new("lk_clock", "", clock)]
        .into_iter()
        .chain(principal::planned(modern))
        .chain([groups::planned()])
        .chain(catalog::planned())
        .chain(sessions::planned())
        .chain(looks::planned())
        .chain(graveyard::planned())
        .chain(revoke::planned());
    let prepared: String = all.map(|query| query.prepare()).collect();
    format!("SET plan_cache_mode = force_generic_plan; {prepared}")
}
