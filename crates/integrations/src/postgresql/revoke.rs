//! Taking a principal away, in the order that leaves no gap: no new login, no open session, no
//! object, no role; then the proof.
//!
//! Every step may be the first one of a run, because an earlier run died: each looks at what is
//! there. Steps outside the maintenance database only remove, and only for a principal whose
//! committed marker says *ending*.

use std::time::Duration;

use latchkey_domain::provisioning::{FaultClass, Receipt, TargetFault};
use tokio_postgres::error::SqlState;

use super::{
    Context,
    connection::{BEGIN_STATEMENTS, Connection, begin, flag, number, string},
    fault::Failure,
    graveyard::{self, Kind},
    marker::{PrincipalMarker, State},
    principal::{
        LOOK_STATEMENTS, Look, Stop, Who, lock_sql, look, look_sql, nothing_left, timestamp,
    },
    quote,
    sessions::{self, Ended},
};

/// Whether a principal is still to be removed, asked under its lock: its marker and the
/// target's time, in milliseconds since 1970.
pub(super) type StillDue<'a> = &'a (dyn Fn(Option<&PrincipalMarker>, i64) -> bool + Sync);

/// Removes a principal. `fence` is that of the task, or `None` where the marker's own counts.
/// `None` where it turned out not to be due.
pub(super) async fn revoke(
    context: &Context<'_>,
    control: &Connection,
    who: &Who,
    fence: Option<i64>,
    still_due: StillDue<'_>,
) -> Result<Option<Receipt>, Stop> {
    let work = context.work;
    work.crash_point("pg.revoke.start").await;
    let Some(begun) = begin_end(context, control, who, fence, still_due).await? else {
        return Ok(None);
    };
    let Begun::Ending { oid, groups } = begun else {
        return Ok(Some(gone(context, control, who).await?));
    };
    work.crash_point("pg.revoke.ending").await;
    let ended = end_work(context, control, &[(who, oid)]).await?;
    if !ended.still_open.is_empty() {
        let message = format!("sessions of {} do not end; it is tried again", who.principal);
        return Err(TargetFault::new(FaultClass::Transient, message).into());
    }
    work.crash_point("pg.revoke.sessions_ended").await;
    Ok(Some(finish(context, control, who, oid, groups, ended.ended).await?))
}

/// Steps 3 to 5, once no login is possible and no session is open: objects, role, proof.
pub(super) async fn finish(
    context: &Context<'_>,
    control: &Connection,
    who: &Who,
    oid: u32,
    groups: Vec<(u32, String)>,
    ended: u32,
) -> Result<Receipt, Failure> {
    let work = context.work;
    let mut leftover =
        graveyard::empty(context, control, &who.principal, oid, Kind::Principal).await?;
    let mut notes = Vec::new();
    for (group, name) in groups {
        let moved = graveyard::empty(context, control, &name, group, Kind::Group).await?;
        notes.extend(moved.into_iter().map(|what| format!("{name} still owns {what}")));
    }
    work.crash_point("pg.revoke.emptied").await;

    if leftover.is_empty()
        && let Some(why) = drop_role(context, control, who, oid).await?
    {
        leftover.push(why);
    }
    work.crash_point("pg.revoke.dropped").await;
    let mut receipt = receipt(context, control, who, oid, ended).await?;
    receipt.leftover = leftover;
    receipt.notes.extend(notes);
    Ok(receipt)
}

/// How the end of a principal begins.
#[derive(Debug)]
pub(super) enum Begun {
    /// The role is marked and cannot log in; these groups own what their members made.
    Ending {
        /// The role.
        oid: u32,
        /// Groups, by oid and name.
        groups: Vec<(u32, String)>,
    },
    /// There is no role.
    Gone,
}

/// Step 1: marker *ending*, no login, no password, no membership; committed together.
pub(super) async fn begin_end(
    context: &Context<'_>,
    control: &Connection,
    who: &Who,
    fence: Option<i64>,
    still_due: StillDue<'_>,
) -> Result<Option<Begun>, Stop> {
    let work = context.work;
    let sql = begin(work)? + &lock_sql(&who.principal) + &look_sql(control, &who.principal)?;
    let answers = control.batch(work, &sql).await?;
    let Look { now, state } = look(answers.get(BEGIN_STATEMENTS + 1..).unwrap_or_default())?;
    let Some(state) = state else {
        control.batch(work, "ROLLBACK").await?;
        return Ok(Some(Begun::Gone));
    };
    let own = state.own_marker(context.target, who);
    let seen = match &own {
        Ok(marker) => marker.map_or(0, |marker| marker.fence),
        Err(_) => 0,
    };
    let fenced = fence.is_some_and(|fence| seen > fence);
    if own.is_err() || fenced || !still_due(own.as_ref().ok().copied().flatten(), now) {
        control.batch(work, "ROLLBACK").await?;
        own?;
        return if fenced { Err(Stop::Fenced(seen)) } else { Ok(None) };
    }
    let mut marker = own?.cloned().unwrap_or_else(|| PrincipalMarker {
        installation: context.target.installation_id.clone(),
        integration: context.target.integration_id.clone(),
        session: who.session.clone(),
        generation: who.generation,
        fence: 0,
        state: State::Ending,
        created: now,
        cut: None,
        claims: Vec::new(),
    });
    marker.state = State::Ending;
    marker.fence = marker.fence.max(fence.unwrap_or(0));
    let role = quote::ident(&who.principal)?;
    let mut sql = format!(
        "COMMENT ON ROLE {role} IS {}; \
         ALTER ROLE {role} NOLOGIN PASSWORD NULL VALID UNTIL '-infinity';",
        context.comment(&marker)?
    );
    for membership in state.memberships.values().filter(|membership| membership.revocable) {
        sql += &format!("REVOKE {} FROM {role};", quote::ident(&membership.name)?);
    }
    if !state.reachable {
        sql += &join_self(control, &role);
    }
    sql += "COMMIT;";
    let claimed: Vec<u32> = marker
        .claims
        .iter()
        .map(|claim| claim.role)
        .chain(state.memberships.keys().copied())
        .collect();
    sql += &format!(
        "SELECT oid, rolname FROM pg_roles WHERE oid IN ({}) AND {} AND oid IN (SELECT refobjid \
         FROM pg_shdepend WHERE refclassid = 'pg_authid'::regclass AND deptype = 'o')",
        quote::oids(claimed),
        super::catalog::GROUP_NAMES
    );
    let answers = control.batch(work, &sql).await.map_err(|failure| {
        if failure.is_denied() {
            failure.explain(&format!(
                "the provisioner cannot change {} (on PostgreSQL 16 and later only the role that \
                 made it can: GRANT {role} TO the provisioner WITH ADMIN OPTION)",
                who.principal
            ))
        } else {
            failure
        }
    })?;
    // From 16 on nobody can become a group, so no group owns anything.
    let groups = if control.has_membership_options() {
        Vec::new()
    } else {
        answers
            .last()
            .into_iter()
            .flatten()
            .map(|row| (number(row, 0).unwrap_or(0), string(row, 1)))
            .collect()
    };
    Ok(Some(Begun::Ending { oid: state.oid, groups }))
}

/// Makes the provisioner a member of a principal, which ending its sessions takes.
pub(super) fn join_self(control: &Connection, role: &str) -> String {
    if control.has_membership_options() {
        format!("GRANT {role} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE;")
    } else {
        format!("GRANT {role} TO CURRENT_USER;")
    }
}

/// Step 2: prepared transactions and open sessions, on the primary and on every replica.
pub(super) async fn end_work(
    context: &Context<'_>,
    control: &Connection,
    principals: &[(&Who, u32)],
) -> Result<Ended, Failure> {
    let work = context.work;
    let oids: Vec<u32> = principals.iter().map(|(_, oid)| *oid).collect();
    roll_back_prepared(context, control, principals).await?;
    let mut ended = sessions::end_all(control, work, &oids).await?;
    // One that was prepared while its session was being ended.
    roll_back_prepared(context, control, principals).await?;
    for replica in &context.settings.replicas {
        let connection =
            context.pool.take_at(&context.settings, replica, &control.database, work).await?;
        wait_for_replay(&connection, work, &oids).await?;
        ended.add(sessions::end_all(&connection, work, &oids).await?);
        context.pool.give_back(connection, work);
        work.crash_point("pg.revoke.replica_clear").await;
    }
    Ok(ended)
}

/// Waits until a replica knows that the roles cannot log in: before that a login could follow.
async fn wait_for_replay(
    replica: &Connection,
    work: &crate::Work,
    oids: &[u32],
) -> Result<(), Failure> {
    let sql = format!(
        "SELECT count(*) FROM pg_roles WHERE rolcanlogin AND oid IN ({})",
        quote::oids(oids.iter().copied())
    );
    for _ in 0..600 {
        work.check_lease()?;
        let rows = replica.rows(work, &sql).await?;
        if rows.first().and_then(|row| number::<u32>(row, 0)) == Some(0) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Err(TargetFault::new(FaultClass::Transient, "a replica lags behind; it is tried again").into())
}

async fn roll_back_prepared(
    context: &Context<'_>,
    control: &Connection,
    principals: &[(&Who, u32)],
) -> Result<(), Failure> {
    let work = context.work;
    let names = quote::name_literals(principals.iter().map(|(who, _)| who.principal.as_str()))?;
    let sql =
        format!("SELECT gid, database, owner FROM pg_prepared_xacts WHERE owner IN ({names})");
    for row in control.rows(work, &sql).await? {
        work.check_lease()?;
        let (gid, database) = (string(&row, 0), string(&row, 1));
        // This connection becomes the principal and is not used again.
        let connection = context.pool.take(&context.settings, &database, work).await?;
        connection.batch(work, &format!("SET ROLE {}", quote::ident(&string(&row, 2))?)).await?;
        let sql = format!("ROLLBACK PREPARED {}", quote::literal(&gid)?);
        match connection.batch(work, &sql).await {
            Ok(_) => {}
            Err(failure) if failure.is_missing() => {}
            Err(failure) => {
                return Err(failure.explain("a prepared transaction could not be rolled back"));
            }
        }
        work.crash_point("pg.revoke.prepared_rolled_back").await;
    }
    Ok(())
}

/// Step 4: looks again by oid and drops the role; answers what kept it, for people.
async fn drop_role(
    context: &Context<'_>,
    control: &Connection,
    who: &Who,
    oid: u32,
) -> Result<Option<String>, Failure> {
    let work = context.work;
    let sql = begin(work)?
        + &lock_sql(&who.principal)
        + &look_sql(control, &who.principal)?
        + &format!("SELECT count(*) FROM pg_stat_activity WHERE usesysid = {oid}");
    let answers = control.batch(work, &sql).await?;
    let seen = look(answers.get(BEGIN_STATEMENTS + 1..).unwrap_or_default())?;
    let open: u32 = answers
        .get(BEGIN_STATEMENTS + 1 + LOOK_STATEMENTS)
        .and_then(|rows| rows.first())
        .and_then(|row| number(row, 0))
        .unwrap_or(1);
    let ours = seen.state.as_ref().is_some_and(|state| state.oid == oid && !state.can_log_in);
    if !ours || open > 0 {
        control.batch(work, "ROLLBACK").await?;
        if ours {
            let message = "a session was opened while the principal was being removed; it is \
                           tried again";
            return Err(TargetFault::new(FaultClass::Transient, message).into());
        }
        return Ok(None);
    }
    let role = quote::ident(&who.principal)?;
    match control.batch(work, &format!("DROP ROLE {role}; COMMIT")).await {
        Ok(_) => Ok(None),
        Err(failure) if failure.is_missing() => {
            control.batch(work, "ROLLBACK").await?;
            Ok(None)
        }
        Err(failure) if failure.code == Some(SqlState::DEPENDENT_OBJECTS_STILL_EXIST) => {
            control.batch(work, "ROLLBACK").await?;
            Ok(Some(failure.fault.message))
        }
        Err(failure) => Err(failure),
    }
}

/// Step 5: the read-back, by oid.
async fn receipt(
    context: &Context<'_>,
    control: &Connection,
    who: &Who,
    oid: u32,
    ended: u32,
) -> Result<Receipt, Failure> {
    let work = context.work;
    let sql = format!(
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint; \
         SELECT rolcanlogin FROM pg_roles WHERE oid = {oid}; \
         SELECT coalesce(g.rolname, m.roleid::text) FROM pg_auth_members m LEFT JOIN pg_roles g \
           ON g.oid = m.roleid WHERE m.member = {oid}"
    );
    let answers = control.batch(work, &sql).await?;
    let first = |index: usize| answers.get(index).and_then(|rows| rows.first());
    let now = first(0).and_then(|row| number(row, 0)).unwrap_or(0);
    let role = first(1);
    let mut open = sessions::count(control, work, oid).await?;
    if open > 0 && role.is_none() {
        sessions::end_orphans(control, work, Some(oid)).await?;
        open = sessions::count(control, work, oid).await?;
    }
    let holds = answers.get(2).into_iter().flatten();
    Ok(Receipt {
        principal: who.principal.clone(),
        observed_at: timestamp(now),
        principal_exists: role.is_some(),
        can_log_in: role.is_some_and(|row| flag(row, 0)),
        open_sessions: open,
        sessions_ended: ended,
        holds: holds.map(|row| format!("member of {}", string(row, 0))).collect(),
        leftover: Vec::new(),
        notes: vec![format!("read back by oid {oid}")],
    })
}

/// The receipt where there was no role to begin with.
async fn gone(context: &Context<'_>, control: &Connection, who: &Who) -> Result<Receipt, Failure> {
    let work = context.work;
    // Its oid went with the role, so its sessions cannot be told from those of others.
    let ended = sessions::end_orphans(control, work, None).await?;
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let rows = control.rows(work, sql).await?;
    let now = rows.first().and_then(|row| number(row, 0)).unwrap_or(0);
    Ok(Receipt { sessions_ended: ended, ..nothing_left(who, now) })
}
