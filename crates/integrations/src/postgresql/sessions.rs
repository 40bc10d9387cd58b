//! Ending open sessions of a principal, and proving that none is left.
//!
//! Invariant: sessions are known by the role's oid, never by its name: after DROP ROLE the name
//! in `pg_stat_activity` is empty while the session lives on.

use std::{collections::BTreeSet, time::Duration};

use latchkey_domain::provisioning::{FaultClass, TargetFault};

use super::{
    Context,
    connection::{Connection, flag, number},
    cut::Cut,
    fault::Failure,
    looks::Prepared,
    planned::Planned,
    principal::Who,
    quote,
    settings::Endpoint,
};
use crate::Work;

/// Between two looks. A login passes its checks before it is listed, so one empty look proves
/// nothing.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// The first pause after a session was asked to end.
const FIRST_PAUSE: Duration = Duration::from_millis(5);

/// Most looks for sessions that do not end: half a minute of them.
const LOOKS: u32 = 300;

/// Most rounds of asking and waiting for a cut; each waits up to [`PATIENCE_MS`] for a session.
const ROUNDS: u32 = 30;

/// How long the server waits for one session to end.
const PATIENCE_MS: u32 = 5_000;

/// What came of ending the sessions of one role.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ended {
    /// How many were ended.
    pub sessions: u32,
    /// When the last look was, in milliseconds since 1970 by the primary's clock.
    pub at: i64,
}

/// Ends every session of a role that cannot log in any more, and what they prepared, on the
/// primary and then on every replica. No connection is held while it waits.
pub(super) async fn end_all(context: &Context<'_>, who: &Who, role: u32) -> Result<Ended, Failure> {
    let mut ended = end_at(context, who, role, &context.settings.primary).await?;
    for replica in &context.settings.replicas {
        ended.sessions += end_at(context, who, role, replica).await?.sessions;
        context.work.crash_point("pg.revoke.replica_clear").await;
    }
    Ok(ended)
}

/// Asks and looks until two looks in a row are empty.
async fn end_at(
    context: &Context<'_>,
    who: &Who,
    role: u32,
    endpoint: &Endpoint,
) -> Result<Ended, Failure> {
    let mut ended = BTreeSet::new();
    let mut was_empty = false;
    for round in 0..LOOKS {
        let sight = context.looks.ask(context, endpoint, role).await?;
        if sight.is_empty() && was_empty {
            let sessions = u32::try_from(ended.len()).unwrap_or(u32::MAX);
            return Ok(Ended { sessions, at: sight.now });
        }
        was_empty = sight.is_empty();
        for prepared in &sight.prepared {
            roll_back_prepared(context, who, prepared).await?;
        }
        // One that was asked to end is soon gone; one that is not is asked again.
        let pause = if was_empty { BETWEEN_LOOKS } else { BETWEEN_LOOKS.min(FIRST_PAUSE * round) };
        ended.extend(sight.sessions);
        tokio::time::sleep(pause.max(FIRST_PAUSE)).await;
    }
    let message = format!(
        "sessions of {} at {endpoint} do not end, or a replica lags behind; it is tried again",
        who.principal
    );
    Err(TargetFault::new(FaultClass::Transient, message).into())
}

/// Rolls back what the role prepared, as that role.
async fn roll_back_prepared(
    context: &Context<'_>,
    who: &Who,
    prepared: &Prepared,
) -> Result<(), Failure> {
    let work = context.work;
    work.check_lease()?;
    // This connection becomes the principal and is not used again.
    let connection = context.pool.take(&context.settings, &prepared.database, work).await?;
    connection.batch(work, &format!("SET ROLE {}", quote::ident(&who.principal)?)).await?;
    let sql = format!("ROLLBACK PREPARED {}", quote::literal(&prepared.gid)?);
    match connection.batch(work, &sql).await {
        Ok(_) => {}
        Err(failure) if failure.is_missing() => {}
        Err(failure) => {
            return Err(failure.explain("a prepared transaction could not be rolled back"));
        }
    }
    work.crash_point("pg.revoke.prepared_rolled_back").await;
    Ok(())
}

/// Ends the sessions of `oid` that are open now, or that began before an instant; answers how
/// many, and the instant in milliseconds since 1970.
pub(super) async fn end_cut(
    connection: &Connection,
    work: &Work,
    oid: u32,
    cut: Cut,
) -> Result<(u32, i64), Failure> {
    let cut = match cut {
        Cut::Before(millis) => millis,
        Cut::Now => {
            let now = "SELECT ceil(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
            let rows = connection.rows(work, now).await?;
            rows.first().and_then(|row| number(row, 0)).unwrap_or(i64::MAX / 2)
        }
    };
    let condition = format!("usesysid = {oid} AND backend_start <= to_timestamp({cut} / 1000.0)");
    let mut ended = 0;
    for _ in 0..ROUNDS {
        work.check_lease()?;
        let found = ask_to_end(connection, work, &condition).await?;
        ended += found;
        if found == 0 {
            return Ok((ended, cut));
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

/// The queries for open sessions. `pg_stat_activity` joins names to what this function says.
pub(super) fn planned() -> [Planned; 2] {
    const COUNT: &str = "SELECT count(*) FROM pg_stat_get_activity(NULL) WHERE usesysid";
    [
        Planned::new("lk_open_sessions", "oid", format!("{COUNT} = $1")),
        Planned::new(
            "lk_sessions_of",
            "name",
            format!("{COUNT} = (SELECT oid FROM pg_roles WHERE rolname = $1)"),
        ),
    ]
}

/// Counts the open sessions of `oid`.
pub(super) fn count_sql(oid: u32) -> String {
    format!("EXECUTE lk_open_sessions({oid})")
}

/// How many sessions of `oid` are open.
pub(super) async fn count(connection: &Connection, work: &Work, oid: u32) -> Result<u32, Failure> {
    let rows = connection.rows(work, &count_sql(oid)).await?;
    Ok(rows.first().and_then(|row| number(row, 0)).unwrap_or(0))
}

/// Processes of sessions whose role does not exist any more, begun since an instant in
/// milliseconds since 1970.
pub(super) async fn orphans(
    connection: &Connection,
    work: &Work,
    since: Option<i64>,
) -> Result<Vec<i32>, Failure> {
    // What the provisioner may not see of a session counts as recent.
    let recent = since.map_or(String::new(), |since| {
        format!("AND coalesce(backend_start >= to_timestamp({since} / 1000.0), true)")
    });
    let sql = format!(
        "SELECT pid FROM pg_stat_activity WHERE usesysid IS NOT NULL AND NOT EXISTS (SELECT FROM \
         pg_roles r WHERE r.oid = usesysid) {recent} ORDER BY pid"
    );
    let rows = connection.rows(work, &sql).await?;
    Ok(rows.iter().filter_map(|row| number(row, 0)).collect())
}

/// Ends sessions of `oid`, a role that does not exist any more.
pub(super) async fn end_orphans(
    connection: &Connection,
    work: &Work,
    oid: u32,
) -> Result<u32, Failure> {
    let orphan =
        format!("usesysid = {oid} AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.oid = usesysid)");
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
