//! Ending open sessions of a principal, and proving that none is left.
//!
//! Invariant: sessions are known by the role's oid, never by its name: after DROP ROLE the name
//! in `pg_stat_activity` is empty while the session lives on.

use std::{collections::BTreeSet, time::Duration};

use latchkey_domain::provisioning::{FaultClass, TargetFault};

use super::{
    connection::{Connection, flag, number, string},
    cut::Cut,
    fault::Failure,
    quote,
};
use crate::Work;

/// Between two looks. A login passes its checks before it is listed, so one empty look proves
/// nothing.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Most rounds of asking and looking; each waits up to [`PATIENCE_MS`] for a session.
const ROUNDS: u32 = 30;

/// How long the server waits for one session to end.
const PATIENCE_MS: u32 = 5_000;

/// Ends every session of these roles and looks until two looks in a row are empty.
pub(super) async fn end_all(
    connection: &Connection,
    work: &Work,
    roles: &[u32],
) -> Result<Ended, Failure> {
    let condition = format!("usesysid IN ({})", quote::oids(roles.iter().copied()));
    let mut ended = 0;
    let mut empty_looks = 0;
    for _ in 0..ROUNDS {
        work.check_lease()?;
        let found = ask_to_end(connection, work, &condition).await?;
        ended += found;
        if found > 0 {
            empty_looks = 0;
            continue;
        }
        empty_looks += 1;
        if empty_looks == 2 {
            return Ok(Ended { ended, still_open: BTreeSet::new() });
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    let sql = format!("SELECT DISTINCT usesysid FROM pg_stat_activity WHERE {condition}");
    let rows = connection.rows(work, &sql).await?;
    let still_open = rows.iter().filter_map(|row| number(row, 0)).collect();
    Ok(Ended { ended, still_open })
}

/// What came of ending sessions.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// How many were ended.
    pub ended: u32,
    /// Roles of which a session does not end.
    pub still_open: BTreeSet<u32>,
}

impl Ended {
    /// Takes in what came of another server.
    pub(super) fn add(&mut self, other: Self) {
        self.ended += other.ended;
        self.still_open.extend(other.still_open);
    }
}

/// Ends the sessions of `oid` that are open now, or that began before an instant.
pub(super) async fn end_cut(
    connection: &Connection,
    work: &Work,
    oid: u32,
    cut: Cut,
) -> Result<u32, Failure> {
    let cut = match cut {
        Cut::Before(millis) => format!("to_timestamp({millis} / 1000.0)"),
        Cut::Now => {
            let now = "SELECT extract(epoch FROM clock_timestamp())";
            let rows = connection.rows(work, now).await?;
            format!("to_timestamp({})", rows.first().map(|row| string(row, 0)).unwrap_or_default())
        }
    };
    let condition = format!("usesysid = {oid} AND backend_start <= {cut}");
    let mut ended = 0;
    for _ in 0..ROUNDS {
        work.check_lease()?;
        let found = ask_to_end(connection, work, &condition).await?;
        ended += found;
        if found == 0 {
            return Ok(ended);
        }
    }
    Err(TargetFault::new(
        FaultClass::Transient,
        format!("sessions of the role with oid {oid} do not end; it is tried again"),
    )
    .into())
}

/// Asks all at once, then waits for each; answers how many there were.
async fn ask_to_end(connection: &Connection, work: &Work, condition: &str) -> Result<u32, Failure> {
    let condition = format!("{condition} AND pid <> pg_backend_pid()");
    let rows = connection
        .rows(
            work,
            &format!(
                "SELECT count(*), count(*) FILTER (WHERE pg_terminate_backend(pid)) \
                 FROM pg_stat_activity WHERE {condition}"
            ),
        )
        .await?;
    let found = rows.first().and_then(|row| number(row, 0)).unwrap_or(0);
    if found > 0 {
        let patience =
            u128::from(PATIENCE_MS).min(work.lease_left().unwrap_or_default().as_millis()).max(1);
        connection
            .rows(
                work,
                &format!(
                    "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, {patience})) \
                     FROM pg_stat_activity WHERE {condition}"
                ),
            )
            .await?;
    }
    Ok(found)
}

/// How many sessions of `oid` are open.
pub(super) async fn count(connection: &Connection, work: &Work, oid: u32) -> Result<u32, Failure> {
    let rows = connection
        .rows(work, &format!("SELECT count(*) FROM pg_stat_activity WHERE usesysid = {oid}"))
        .await?;
    Ok(rows.first().and_then(|row| number(row, 0)).unwrap_or(0))
}

/// Ends sessions whose role does not exist any more: those of `oid`, or, where it is not known
/// which role it was, all of them.
pub(super) async fn end_orphans(
    connection: &Connection,
    work: &Work,
    oid: Option<u32>,
) -> Result<u32, Failure> {
    let whose =
        oid.map_or_else(|| "usesysid IS NOT NULL".to_owned(), |oid| format!("usesysid = {oid}"));
    let orphan = format!("{whose} AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = usesysid)");
    let rows = connection
        .rows(
            work,
            &format!(
                "SELECT count(*), bool_or(pg_has_role('pg_signal_backend', 'USAGE')) \
                 FROM pg_stat_activity WHERE {orphan}"
            ),
        )
        .await?;
    let found: u32 = rows.first().and_then(|row| number(row, 0)).unwrap_or(0);
    if found == 0 {
        return Ok(0);
    }
    if !rows.first().is_some_and(|row| flag(row, 1)) {
        return Err(TargetFault::new(
            FaultClass::Refused,
            format!(
                "{found} sessions belong to a role that somebody dropped; to end them the \
                 provisioner needs pg_signal_backend: run GRANT pg_signal_backend TO the \
                 provisioner, or end them yourself (pg_stat_activity, rows without usename)"
            ),
        )
        .into());
    }
    ask_to_end(connection, work, &orphan).await
}
