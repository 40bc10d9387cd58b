//! Taking a principal away, in the order that leaves no gap: no new login, no open session, no
//! object, no role; then the proof.
//!
//! Every step may be the first one of a run, because an earlier run died: each looks at what is
//! there. Steps outside the maintenance database only remove, and only for a principal whose
//! committed marker says *ending*.

use latchkey_domain::provisioning::{FaultClass, Receipt, TargetFault};
use tokio_postgres::error::SqlState;

use super::{
    Context,
    catalog::GROUP_NAMES,
    claims::Places,
    connection::{BEGIN_STATEMENTS, Connection, Rows, begin, flag, number, string},
    fault::Failure,
    graveyard::{self, Kind},
    marker::{PrincipalMarker, State},
    planned::{CLOCK, Planned},
    principal::{
        LOOK_STATEMENTS, Look, Stop, Who, lock_sql, look, look_sql, nothing_left, timestamp,
    },
    quote, sessions,
};

/// Whether a principal is still to be removed, asked under its lock: its marker and the
/// target's time, in milliseconds since 1970.
pub(super) type StillDue<'a> = &'a (dyn Fn(Option<&PrincipalMarker>, i64) -> bool + Sync);

/// Removes a principal. `fence` is that of the task, or `None` where the marker's own counts.
/// `None` where it turned out not to be due.
///
/// It takes a connection for each step and gives it back: while sessions end, none is held.
pub(super) async fn revoke(
    context: &Context<'_>,
    who: &Who,
    fence: Option<i64>,
    still_due: StillDue<'_>,
) -> Result<Option<Receipt>, Stop> {
    let work = context.work;
    work.crash_point("pg.revoke.start").await;
    let Some(begun) = begin_end(context, who, fence, still_due).await? else {
        return Ok(None);
    };
    let Begun::Ending { oid, groups } = begun else {
        return Ok(Some(gone(context, who).await?));
    };
    work.crash_point("pg.revoke.ending").await;
    let ended = sessions::end_all(context, who, oid).await?;
    work.crash_point("pg.revoke.sessions_ended").await;
    Ok(Some(finish(context, who, oid, groups, ended.sessions).await?))
}

/// The queries of a revoke.
pub(super) fn planned() -> [Planned; 3] {
    let owning_groups = format!(
        "SELECT r.oid, r.rolname FROM pg_roles r WHERE r.oid = ANY ($1) AND {GROUP_NAMES} AND \
         EXISTS (SELECT FROM pg_shdepend s WHERE s.refclassid = 'pg_authid'::regclass AND \
         s.refobjid = r.oid AND s.deptype = 'o')"
    );
    let member_of = "SELECT coalesce(g.rolname, m.roleid::text) FROM pg_auth_members m LEFT JOIN \
         pg_roles g ON g.oid = m.roleid WHERE m.member = $1";
    [
        Planned::new("lk_owning_groups", "oid[]", owning_groups),
        Planned::new("lk_can_log_in", "oid", "SELECT rolcanlogin FROM pg_roles WHERE oid = $1"),
        Planned::new("lk_member_of", "oid", member_of),
    ]
}

/// Steps 3 to 5, once no login is possible and no session is open: objects, role, proof.
pub(super) async fn finish(
    context: &Context<'_>,
    who: &Who,
    oid: u32,
    groups: Vec<(u32, String)>,
    ended: u32,
) -> Result<Receipt, Failure> {
    let places = Places::open(context).await?;
    let control = &places.control;
    let last = Last { context, control, who, oid };
    // Most principals own nothing, which the look before the drop shows too.
    let mut outcome = if groups.is_empty() {
        last.drop_role(Owning::LookFirst).await?
    } else {
        Dropped::OwnsSomething
    };
    let mut leftover = Vec::new();
    let mut notes = Vec::new();
    if matches!(outcome, Dropped::OwnsSomething) {
        leftover = graveyard::empty(context, control, &who.principal, oid, Kind::Principal).await?;
        for (group, name) in groups {
            let moved = graveyard::empty(context, control, &name, group, Kind::Group).await?;
            notes.extend(moved.into_iter().map(|what| format!("{name} still owns {what}")));
        }
        if leftover.is_empty() {
            outcome = last.drop_role(Owning::Nothing).await?;
        }
    }
    let mut receipt = match outcome {
        Dropped::Gone(receipt) => receipt,
        Dropped::Kept(why) => {
            leftover.push(why);
            last.receipt().await?
        }
        Dropped::OwnsSomething | Dropped::NotOurs => last.receipt().await?,
    };
    places.give_back(context);
    receipt.sessions_ended += ended;
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
    who: &Who,
    fence: Option<i64>,
    still_due: StillDue<'_>,
) -> Result<Option<Begun>, Stop> {
    let places = Places::open(context).await?;
    let begun = close(context, &places.control, who, fence, still_due).await;
    // After a failure a transaction may be open.
    if matches!(begun, Ok(_) | Err(Stop::Fenced(_))) {
        places.give_back(context);
    }
    begun
}

async fn close(
    context: &Context<'_>,
    control: &Connection,
    who: &Who,
    fence: Option<i64>,
    still_due: StillDue<'_>,
) -> Result<Option<Begun>, Stop> {
    let work = context.work;
    let sql = begin(work)? + &lock_sql(&who.principal) + &look_sql(&who.principal)?;
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
        cut_until: None,
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
    // From 16 on nobody can become a group, so no group owns anything.
    let groups_own = !control.has_membership_options();
    if groups_own {
        let claimed = marker.claims.iter().map(|claim| claim.role);
        sql += &format!(
            "EXECUTE lk_owning_groups({})",
            quote::oid_array(claimed.chain(state.memberships.keys().copied()))
        );
    }
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
    let groups = answers
        .last()
        .filter(|_| groups_own)
        .into_iter()
        .flatten()
        .map(|row| (number(row, 0).unwrap_or(0), string(row, 1)))
        .collect();
    Ok(Some(Begun::Ending { oid: state.oid, groups }))
}

/// Makes the provisioner a member of a principal, which ending its sessions takes.
///
/// Not before that: a server works out anew what all the memberships of a role come to whenever
/// any membership changes, and with thousands of them that is what it would spend its time on.
pub(super) fn join_self(control: &Connection, role: &str) -> String {
    if control.has_membership_options() {
        format!("GRANT {role} TO CURRENT_USER WITH INHERIT TRUE, SET TRUE;")
    } else {
        format!("GRANT {role} TO CURRENT_USER;")
    }
}

/// What is known of a role's objects when it is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owning {
    /// Nothing: look first, under the same lock.
    LookFirst,
    /// They have just been moved.
    Nothing,
}

/// How a drop came out.
#[derive(Debug)]
enum Dropped {
    /// The role is gone; what was read back after it.
    Gone(Receipt),
    /// Something names the role: objects or rights are to be cleared away first.
    OwnsSomething,
    /// What kept it, for people.
    Kept(String),
    /// There is no such role any more, or somebody opened it again.
    NotOurs,
}

/// Steps 4 and 5 on one principal.
struct Last<'a> {
    context: &'a Context<'a>,
    control: &'a Connection,
    who: &'a Who,
    oid: u32,
}

impl Last<'_> {
    /// Step 4: looks again by oid, drops the role and reads back.
    async fn drop_role(&self, owning: Owning) -> Result<Dropped, Failure> {
        let Self { context, control, who, oid } = *self;
        let work = context.work;
        let sql = begin(work)?
            + &lock_sql(&who.principal)
            + &look_sql(&who.principal)?
            + &format!("{}; {}", sessions::count_sql(oid), graveyard::places_sql(oid));
        let answers = control.batch(work, &sql).await?;
        let seen = look(answers.get(BEGIN_STATEMENTS + 1..).unwrap_or_default())?;
        let rest = answers.get(BEGIN_STATEMENTS + 1 + LOOK_STATEMENTS..).unwrap_or_default();
        let open: u32 =
            rest.first().and_then(|rows| rows.first()).and_then(|row| number(row, 0)).unwrap_or(1);
        let names_it = rest.get(1).is_none_or(|rows| !rows.is_empty());
        let ours = seen.state.as_ref().is_some_and(|state| state.oid == oid && !state.can_log_in);
        if ours && open == 0 && owning == Owning::LookFirst && names_it {
            control.batch(work, "ROLLBACK").await?;
            return Ok(Dropped::OwnsSomething);
        }
        work.crash_point("pg.revoke.emptied").await;
        if !ours || open > 0 {
            control.batch(work, "ROLLBACK").await?;
            if ours {
                let message = "a session was opened while the principal was being removed; it is \
                               tried again";
                return Err(TargetFault::new(FaultClass::Transient, message).into());
            }
            return Ok(Dropped::NotOurs);
        }
        work.check_lease()?;
        let role = quote::ident(&who.principal)?;
        let sql = format!("DROP ROLE {role}; COMMIT; {}", self.receipt_sql());
        let dropped = control.batch(work, &sql).await;
        work.crash_point("pg.revoke.dropped").await;
        match dropped {
            Ok(answers) => {
                Ok(Dropped::Gone(self.read_receipt(answers.get(2..).unwrap_or_default()).await?))
            }
            Err(failure) if failure.is_missing() => {
                control.batch(work, "ROLLBACK").await?;
                Ok(Dropped::NotOurs)
            }
            Err(failure) if failure.code == Some(SqlState::DEPENDENT_OBJECTS_STILL_EXIST) => {
                control.batch(work, "ROLLBACK").await?;
                Ok(match owning {
                    Owning::LookFirst => Dropped::OwnsSomething,
                    Owning::Nothing => Dropped::Kept(failure.fault.message),
                })
            }
            Err(failure) => Err(failure),
        }
    }

    /// Step 5: the read-back, by oid.
    async fn receipt(&self) -> Result<Receipt, Failure> {
        let answers = self.control.batch(self.context.work, &self.receipt_sql()).await?;
        self.read_receipt(&answers).await
    }

    fn receipt_sql(&self) -> String {
        let oid = self.oid;
        format!(
            "{CLOCK} EXECUTE lk_can_log_in({oid}); EXECUTE lk_member_of({oid}); {}",
            sessions::count_sql(oid)
        )
    }

    async fn read_receipt(&self, answers: &[Rows]) -> Result<Receipt, Failure> {
        let Self { context, control, who, oid } = *self;
        let first = |index: usize| answers.get(index).and_then(|rows| rows.first());
        let now = first(0).and_then(|row| number(row, 0)).unwrap_or(0);
        let role = first(1);
        // What was not answered is not proved.
        let mut open = first(3).and_then(|row| number(row, 0)).unwrap_or(1);
        let mut ended = 0;
        if open > 0 && role.is_none() {
            ended = sessions::end_orphans(control, context.work, oid).await?;
            open = sessions::count(control, context.work, oid).await?;
        }
        if role.is_none() && open == 0 {
            context.oids.forget(&context.target.integration_id, &who.principal);
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
}

/// A session is older than its principal's by more than two clocks can differ: it is not its.
const CLOCKS_DIFFER_MS: i64 = 5 * 60 * 1000;

/// The receipt where there was no role to begin with.
///
/// Its oid went with the role, unless this process remembers it. Where nobody knows it, sessions
/// of dropped roles that may be its own are told and left to people: they may be another's.
async fn gone(context: &Context<'_>, who: &Who) -> Result<Receipt, Failure> {
    let work = context.work;
    let places = Places::open(context).await?;
    let control = &places.control;
    let integration = &context.target.integration_id;
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let rows = control.rows(work, sql).await?;
    let now = rows.first().and_then(|row| number(row, 0)).unwrap_or(0);
    let mut receipt = nothing_left(who, now);
    if let Some(oid) = context.oids.find(integration, &who.principal) {
        receipt.sessions_ended = sessions::end_orphans(control, work, oid).await?;
        receipt.open_sessions = sessions::count(control, work, oid).await?;
        receipt.notes.push(format!("read back by oid {oid}, which the role had"));
    } else {
        let since = born(who).map(|born| born.saturating_sub(CLOCKS_DIFFER_MS));
        let strays = sessions::orphans(control, work, since).await?;
        receipt.open_sessions = u32::try_from(strays.len()).unwrap_or(u32::MAX);
        if !strays.is_empty() {
            receipt.notes.push(format!(
                "somebody dropped the role, and sessions of dropped roles are open that may be \
                 its own: look at them and end them, as in SELECT pg_terminate_backend(pid) FROM \
                 pg_stat_activity WHERE pid IN ({})",
                strays.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            ));
        }
    }
    if receipt.open_sessions == 0 {
        context.oids.forget(integration, &who.principal);
    }
    places.give_back(context);
    Ok(receipt)
}

/// When the session was made, in milliseconds since 1970 by the server's clock: its id says so
/// (RFC 9562, version 7).
fn born(who: &Who) -> Option<i64> {
    let digits: String = who.session.as_str().chars().filter(|c| *c != '-').collect();
    let is_dated = digits.get(12..13) == Some("7");
    digits.get(..12).filter(|_| is_dated).and_then(|time| i64::from_str_radix(time, 16).ok())
}
