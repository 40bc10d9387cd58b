//! Ending access on time without being told: the markers say when, the target's own clock says
//! whether it is time. Any process of a connector can do it, also one that never saw the grant.

use futures::{
    future::BoxFuture,
    stream::{self, StreamExt},
};
use jiff::Timestamp;
use latchkey_domain::provisioning::{FaultClass, TargetFault};

use super::{
    Context,
    claims::Places,
    connection::{BEGIN_STATEMENTS, Connection, begin, flag, number, string, text},
    cut::{self, Cut},
    fault::Failure,
    marker::{MarkedClaim, Marker, PrincipalMarker, State},
    principal::{Stop, Who, lock_sql, look, look_sql, timestamp},
    quote,
    revoke::{Begun, begin_end, end_work, finish},
    sessions::Ended,
};
use crate::Expired;

/// The condition for roles that are named like principals.
pub(super) const PRINCIPAL_NAMES: &str = "rolname >= 'lk_u_' AND rolname < 'lk_u`'";

/// Principals of this integration by their markers.
#[derive(Debug)]
pub(super) struct Marked {
    /// The role.
    pub who: Who,
    /// Its oid.
    pub oid: u32,
    /// Its marker.
    pub marker: PrincipalMarker,
    /// Whether it can log in or has open sessions.
    pub awake: bool,
}

impl Marked {
    fn expired(&self, claims: Vec<MarkedClaim>, removed_at: Timestamp) -> Expired {
        Expired {
            session_id: self.who.session.clone(),
            principal: self.who.principal.clone(),
            units: claims.into_iter().map(|claim| claim.unit).collect(),
            removed_at,
        }
    }
}

/// Reads the target's time (milliseconds since 1970) and every principal of this integration.
pub(super) async fn marked(
    context: &Context<'_>,
    control: &Connection,
) -> Result<(i64, Vec<Marked>), Failure> {
    let ours = quote::literal(context.target.integration_id.as_str())?;
    let answers = control
        .batch(
            context.work,
            &format!(
                "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint; \
                 SELECT rolname, oid, shobj_description(oid, 'pg_authid'), rolcanlogin OR oid IN \
                 (SELECT usesysid FROM pg_stat_activity WHERE usesysid > 0) FROM pg_roles WHERE \
                 {PRINCIPAL_NAMES} AND strpos(shobj_description(oid, 'pg_authid'), {ours}) > 0 \
                 ORDER BY oid"
            ),
        )
        .await?;
    let first = answers.first().and_then(|rows| rows.first());
    let now = first.and_then(|row| number(row, 0)).unwrap_or(0);
    let mut all = Vec::new();
    for row in answers.get(1).into_iter().flatten() {
        if let Some(Marker::Principal(marker)) = Marker::read(text(row, 2))
            && marker.is_of(context.target)
        {
            let who = Who {
                principal: string(row, 0),
                session: marker.session.clone(),
                generation: marker.generation,
            };
            let (oid, awake) = (number(row, 1).unwrap_or(0), flag(row, 3));
            all.push(Marked { who, oid, marker, awake });
        }
    }
    Ok((now, all))
}

/// Whether a claim's end has come.
fn is_over(claim: &MarkedClaim, now: i64) -> bool {
    claim.end.is_some_and(|end| end <= now)
}

/// Whether the whole principal is to go.
fn is_at_its_end(marker: Option<&PrincipalMarker>, now: i64) -> bool {
    marker.is_some_and(|marker| {
        marker.state == State::Ending || marker.claims.iter().all(|claim| is_over(claim, now))
    })
}

/// How many principals are worked on at once.
const AT_ONCE: usize = 4;

/// How many principals one sweep takes on, soonest end first; the rest is the next one's.
const MOST: usize = 500;

/// Ends everything whose time has come; one that cannot be ended does not keep the others.
///
/// Logins are closed for all first, then sessions are ended for all together, and only then
/// objects and roles are cleared away: what takes long keeps nobody's access open.
pub(super) async fn expire(context: &Context<'_>) -> Result<Vec<Expired>, TargetFault> {
    let places = Places::open(context).await?;
    let (now, all) = marked(context, &places.control).await?;
    places.give_back(context);
    let mut due: Vec<Marked> = all.into_iter().filter(|found| is_due(found, now)).collect();
    due.sort_by_key(|found| found.marker.claims.iter().filter_map(|claim| claim.end).min());
    due.truncate(MOST);
    let (whole, part): (Vec<_>, Vec<_>) =
        due.into_iter().partition(|found| is_at_its_end(Some(&found.marker), now));

    let mut tally = Tally::default();
    let mut each: Vec<BoxFuture<'_, _>> = Vec::new();
    for found in &part {
        each.push(Box::pin(async move { (found, expire_part(context, found).await) }));
    }
    let mut parts = stream::iter(each).buffer_unordered(AT_ONCE);
    while let Some((found, result)) = parts.next().await {
        tally.take(found, result);
    }
    expire_whole(context, &whole, &mut tally).await;
    match tally.fault {
        Some(fault) if tally.expired.is_empty() => Err(fault),
        // What was done is told before what could not be done: the next sweep meets that again.
        _ => Ok(tally.expired),
    }
}

fn is_due(found: &Marked, now: i64) -> bool {
    let marker = &found.marker;
    // One that is asleep has no access: what it owns is the server's and reconcile's matter.
    let asleep = marker.state == State::Ending && !found.awake;
    let over = is_at_its_end(Some(marker), now)
        || marker.claims.iter().any(|claim| is_over(claim, now))
        || marker.cut.is_some();
    over && !asleep
}

/// What came of a sweep so far.
#[derive(Default)]
struct Tally {
    expired: Vec<Expired>,
    fault: Option<TargetFault>,
}

impl Tally {
    fn take(&mut self, found: &Marked, result: Result<Option<Expired>, Stop>) {
        match result {
            Ok(one) => self.expired.extend(one),
            Err(Stop::Fenced(_)) => {}
            Err(Stop::Failed(failure)) => {
                tracing::warn!(
                    principal = %found.who.principal,
                    error = %failure.fault.message,
                    "Access could not be ended in time; it is tried again."
                );
                self.fault.get_or_insert(failure.fault);
            }
        }
    }
}

/// Takes whole principals away.
async fn expire_whole(context: &Context<'_>, whole: &[Marked], tally: &mut Tally) {
    let mut each: Vec<BoxFuture<'_, _>> = Vec::new();
    for found in whole {
        each.push(Box::pin(async move { (found, begin_one(context, found).await) }));
    }
    let mut beginnings = stream::iter(each).buffer_unordered(AT_ONCE);
    let mut closed = Vec::new();
    while let Some((found, result)) = beginnings.next().await {
        match result {
            Ok(Some(Begun::Ending { oid, groups })) => closed.push((found, oid, groups)),
            Ok(Some(Begun::Gone) | None) => {}
            Err(stop) => tally.take(found, Err(stop)),
        }
    }
    let Some(&(first, _, _)) = closed.first() else { return };
    context.work.crash_point("pg.revoke.ending").await;
    let mut roles: Vec<(&Who, u32)> = Vec::new();
    for (found, oid, _) in &closed {
        roles.push((&found.who, *oid));
    }
    let (ended, now) = match end_sessions(context, &roles).await {
        Ok(done) => done,
        Err(failure) => return tally.take(first, Err(failure.into())),
    };
    context.work.crash_point("pg.revoke.sessions_ended").await;
    let mut each: Vec<BoxFuture<'_, _>> = Vec::new();
    for (found, oid, groups) in closed {
        if !ended.still_open.contains(&oid) {
            each.push(Box::pin(
                async move { (found, finish_one(context, found, oid, groups).await) },
            ));
        }
    }
    let mut finish = stream::iter(each).buffer_unordered(AT_ONCE);
    while let Some((found, result)) = finish.next().await {
        // No login and no session: access is over, whatever is left to clear away.
        let at = timestamp(now);
        tally.expired.push(found.expired(found.marker.claims.clone(), at));
        if let Err(failure) = result {
            tally.take(found, Err(failure.into()));
        }
    }
    if !ended.still_open.is_empty() {
        let message = format!("sessions of {} principals do not end", ended.still_open.len());
        tally.take(first, Err(TargetFault::new(FaultClass::Transient, message).into()));
    }
}

async fn begin_one(context: &Context<'_>, found: &Marked) -> Result<Option<Begun>, Stop> {
    let places = Places::open(context).await?;
    let begun = begin_end(context, &places.control, &found.who, None, &is_at_its_end).await?;
    places.give_back(context);
    Ok(begun)
}

async fn end_sessions(
    context: &Context<'_>,
    closed: &[(&Who, u32)],
) -> Result<(Ended, i64), Failure> {
    let places = Places::open(context).await?;
    let ended = end_work(context, &places.control, closed).await?;
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let rows = places.control.rows(context.work, sql).await?;
    places.give_back(context);
    Ok((ended, rows.first().and_then(|row| number(row, 0)).unwrap_or(0)))
}

async fn finish_one(
    context: &Context<'_>,
    found: &Marked,
    oid: u32,
    groups: Vec<(u32, String)>,
) -> Result<(), Failure> {
    let places = Places::open(context).await?;
    finish(context, &places.control, &found.who, oid, groups, 0).await?;
    places.give_back(context);
    Ok(())
}

/// Removes the claims of a principal that have ended, and leaves the others.
async fn expire_part(context: &Context<'_>, found: &Marked) -> Result<Option<Expired>, Stop> {
    let places = Places::open(context).await?;
    let control = &places.control;
    let work = context.work;
    let who = &found.who;
    let sql = begin(work)? + &lock_sql(&who.principal) + &look_sql(control, &who.principal)?;
    let answers = control.batch(work, &sql).await?;
    let seen = look(answers.get(BEGIN_STATEMENTS + 1..).unwrap_or_default())?;
    let now = seen.now;
    let state = seen.state.filter(|state| state.oid == found.oid);
    let marker = match &state {
        Some(state) => state.own_marker(context.target, who).ok().flatten().cloned(),
        None => None,
    };
    let (Some(state), Some(marker)) = (state, marker) else {
        control.batch(work, "ROLLBACK").await?;
        places.give_back(context);
        return Ok(None);
    };
    let (over, left): (Vec<_>, Vec<_>) =
        marker.claims.iter().cloned().partition(|claim| is_over(claim, now));
    if marker.state == State::Ending || left.is_empty() || over.is_empty() {
        control.batch(work, "ROLLBACK").await?;
        if let (State::Live, true, Some(cut)) = (marker.state, over.is_empty(), marker.cut) {
            let cut = Cut::Before(cut);
            cut::end_and_note(context, control, who, state.oid, &marker, cut).await?;
        }
        places.give_back(context);
        // Everything came to its end meanwhile: the next sweep takes it away.
        return Ok(None);
    }
    let role = quote::ident(&who.principal)?;
    let mut sql = String::new();
    let mut taken = false;
    for (oid, membership) in &state.memberships {
        let ended = over.iter().any(|claim| claim.role == *oid);
        let kept = left.iter().any(|claim| claim.role == *oid);
        if ended && !kept {
            sql += &format!("REVOKE {} FROM {role};", quote::ident(&membership.name)?);
            taken = true;
        }
    }
    let cut = if taken { Some(now + 2_000) } else { marker.cut };
    let marker = PrincipalMarker { claims: left, cut, ..marker };
    sql += &format!("COMMENT ON ROLE {role} IS {}; COMMIT", context.comment(&marker)?);
    control.batch(work, &sql).await?;
    work.crash_point("pg.expire.committed").await;
    if taken {
        cut::end_and_note(context, control, who, state.oid, &marker, Cut::Now).await?;
    }
    places.give_back(context);
    Ok(Some(found.expired(over, timestamp(now))))
}
