//! Ending access on time without being told: the markers say when, the target's own clock says
//! whether it is time. Any process of a connector can do it, also one that never saw the grant.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{
    future::BoxFuture,
    stream::{self, FuturesUnordered, StreamExt},
};
use jiff::Timestamp;
use latchkey_domain::provisioning::{FaultClass, TargetFault};
use tokio::sync::Semaphore;

use super::{
    Context,
    claims::Places,
    connection::{BEGIN_STATEMENTS, Connection, begin, flag, number, string, text},
    cut::{self, Cut},
    fault::Failure,
    marker::{MarkedClaim, Marker, PrincipalMarker, State, comment_sql},
    principal::{LOOK_STATEMENTS, Stop, Who, lock_sql, look, look_sql, timestamp},
    quote,
    revoke::{Begun, begin_end, finish, join_self},
    sessions,
    turns::Turn,
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
    /// Whether all of it is to go.
    is_whole: bool,
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
    let comment = comment_sql("oid");
    let answers = control
        .batch(
            context.work,
            &format!(
                "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint; \
                 SELECT rolname, oid, {comment}, rolcanlogin OR oid IN \
                 (SELECT usesysid FROM pg_stat_activity WHERE usesysid > 0) FROM pg_roles WHERE \
                 {PRINCIPAL_NAMES} AND strpos({comment}, {ours}) > 0 \
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
            context.oids.note(&context.target.integration_id, &who.principal, oid);
            all.push(Marked { who, oid, marker, awake, is_whole: false });
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
const AT_ONCE: usize = 12;

/// How many principals one sweep takes on, soonest end first; the rest is the next one's.
const MOST: usize = 500;

/// How long a sweep waits for tasks of this process: others may come to their end meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// Ends everything whose time has come; one that cannot be ended does not keep the others.
///
/// Logins are closed for all first; then each loses its sessions, and only then its objects and
/// its role: what takes long keeps nobody's access open. Principals that a task of this process
/// is working on come last: mostly there is nothing left to do then.
pub(super) async fn expire(context: &Context<'_>) -> Result<Vec<Expired>, TargetFault> {
    let mut tally = Tally::default();
    let mut mine = Vec::new();
    let mut busy = BTreeSet::new();
    for found in due(context).await? {
        let principal = found.who.principal.clone();
        match context.turns.take(&context.target.integration_id, &principal) {
            Some(turn) => mine.push((found, turn)),
            None => {
                busy.insert(principal);
            }
        }
    }
    expire_these(context, mine, &mut tally).await;
    if let Err(fault) = expire_busy(context, busy, &mut tally).await {
        tally.fault.get_or_insert(fault);
    }
    match tally.fault {
        Some(fault) if tally.expired.is_empty() => Err(fault),
        // What was done is told before what could not be done: the next sweep meets that again.
        _ => Ok(tally.expired),
    }
}

/// Waits a little for the tasks that have these principals, and looks again.
async fn expire_busy(
    context: &Context<'_>,
    busy: BTreeSet<String>,
    tally: &mut Tally,
) -> Result<(), TargetFault> {
    if busy.is_empty() {
        return Ok(());
    }
    let integration = &context.target.integration_id;
    let wait = async {
        let mut turns = BTreeMap::new();
        for principal in busy {
            let turn = context.turns.wait(integration, &principal, context.work).await?;
            turns.insert(principal, turn);
        }
        Ok::<_, Failure>(turns)
    };
    let Ok(turns) = tokio::time::timeout(PATIENCE, wait).await else {
        let message = "a task that ends access takes long; the next sweep looks at it again";
        return Err(TargetFault::new(FaultClass::Transient, message));
    };
    let mut turns = turns?;
    let mut left = Vec::new();
    for found in due(context).await? {
        if let Some(turn) = turns.remove(&found.who.principal) {
            left.push((found, turn));
        }
    }
    expire_these(context, left, tally).await;
    Ok(())
}

/// The principals at which something has come to its end, soonest end first.
async fn due(context: &Context<'_>) -> Result<Vec<Marked>, Failure> {
    let places = Places::open(context).await?;
    let (now, all) = marked(context, &places.control).await?;
    places.give_back(context);
    // Sweeps come often for as long as a marker asks for it, and once after that.
    let integration = &context.target.integration_id;
    context.restless.rest(integration);
    for until in all.iter().filter_map(|found| found.marker.cut_until) {
        let left = Duration::from_millis(u64::try_from(until - now).unwrap_or(0));
        context.restless.note(integration, context.work.clock.monotonic().saturating_add(left));
    }
    let mut due: Vec<Marked> = all.into_iter().filter(|found| is_due(found, now)).collect();
    due.sort_by_key(|found| found.marker.claims.iter().filter_map(|claim| claim.end).min());
    due.truncate(MOST);
    for found in &mut due {
        found.is_whole = is_at_its_end(Some(&found.marker), now);
    }
    Ok(due)
}

async fn expire_these(context: &Context<'_>, these: Vec<(Marked, Turn)>, tally: &mut Tally) {
    let (whole, part): (Vec<_>, Vec<_>) = these.into_iter().partition(|(found, _)| found.is_whole);
    let mut each: Vec<BoxFuture<'_, _>> = Vec::new();
    for (found, turn) in part {
        each.push(Box::pin(async move {
            let result = expire_part(context, &found).await;
            drop(turn);
            (found, result)
        }));
    }
    let mut parts = stream::iter(each).buffer_unordered(AT_ONCE);
    while let Some((found, result)) = parts.next().await {
        tally.take(&found, result);
    }
    expire_whole(context, whole, tally).await;
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
async fn expire_whole(context: &Context<'_>, whole: Vec<(Marked, Turn)>, tally: &mut Tally) {
    let mut each: Vec<BoxFuture<'_, _>> = Vec::new();
    for (found, turn) in whole {
        each.push(Box::pin(async move {
            let begun = begin_end(context, &found.who, None, &is_at_its_end).await;
            (found, turn, begun)
        }));
    }
    let mut beginnings = stream::iter(each).buffer_unordered(AT_ONCE);
    let mut closed = Vec::new();
    while let Some((found, turn, result)) = beginnings.next().await {
        match result {
            Ok(Some(Begun::Ending { oid, groups })) => closed.push((found, turn, oid, groups)),
            Ok(Some(Begun::Gone) | None) => {}
            Err(stop) => tally.take(&found, Err(stop)),
        }
    }
    drop(beginnings);
    if closed.is_empty() {
        return;
    }
    context.work.crash_point("pg.revoke.ending").await;
    let clearing = Semaphore::new(AT_ONCE);
    let mut rest = FuturesUnordered::new();
    for (found, turn, oid, groups) in closed {
        rest.push(finish_one(context, &clearing, found, turn, oid, groups));
    }
    while let Some((found, result)) = rest.next().await {
        match result {
            Err(failure) => tally.take(&found, Err(failure.into())),
            Ok(Over { at, left }) => {
                // No login and no session: access is over, whatever is left to clear away.
                tally.expired.push(found.expired(found.marker.claims.clone(), timestamp(at)));
                if let Some(failure) = left {
                    tally.take(&found, Err(failure.into()));
                }
            }
        }
    }
}

/// A principal whose access is over.
struct Over {
    /// Since when, in milliseconds since 1970 by the target's clock.
    at: i64,
    /// What kept its role or objects from being cleared away.
    left: Option<Failure>,
}

/// All looks for sessions are shared, so everybody waits for their own at once; clearing away
/// takes connections, so a few do that at a time.
async fn finish_one(
    context: &Context<'_>,
    clearing: &Semaphore,
    found: Marked,
    turn: Turn,
    oid: u32,
    groups: Vec<(u32, String)>,
) -> (Marked, Result<Over, Failure>) {
    let ended = match sessions::end_all(context, &found.who, oid).await {
        Ok(ended) => ended,
        Err(failure) => return (found, Err(failure)),
    };
    context.work.crash_point("pg.revoke.sessions_ended").await;
    let place = clearing.acquire().await;
    let left = finish(context, &found.who, oid, groups, ended.sessions).await.err();
    drop((place, turn));
    (found, Ok(Over { at: ended.at, left }))
}

/// Removes the claims of a principal that have ended, and leaves the others.
async fn expire_part(context: &Context<'_>, found: &Marked) -> Result<Option<Expired>, Stop> {
    let places = Places::open(context).await?;
    let control = &places.control;
    let work = context.work;
    let who = &found.who;
    let sql = begin(work)? + &lock_sql(&who.principal) + &look_sql(&who.principal)?;
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
    let is_kept = |role: u32| left.iter().any(|claim| claim.role == role);
    let mut sql = String::new();
    for (oid, membership) in &state.memberships {
        let ended = over.iter().any(|claim| claim.role == *oid);
        if ended && !is_kept(*oid) && membership.revocable {
            sql += &format!("REVOKE {} FROM {role};", quote::ident(&membership.name)?);
        }
    }
    if !sql.is_empty() && !state.reachable {
        sql += &join_self(control, &role);
    }
    // What is still there stays in the marker, so that the next sweep tries again.
    let answers = control.batch(work, &(sql + &look_sql(&who.principal)?)).await?;
    let from = answers.len().saturating_sub(LOOK_STATEMENTS);
    let after = look(answers.get(from..).unwrap_or_default())?.state;
    let after = after.map(|state| state.memberships).unwrap_or_default();
    let (stuck, gone): (Vec<_>, Vec<_>) =
        over.into_iter().partition(|claim| after.contains_key(&claim.role) && !is_kept(claim.role));
    let stays = stuck.iter().find_map(|claim| after.get(&claim.role));
    let stays = stays.map(|membership| membership.stays(&who.principal));
    let taken = after != state.memberships;
    if gone.is_empty() && !taken {
        control.batch(work, "ROLLBACK").await?;
        places.give_back(context);
        return stays.map_or(Ok(None), |fault| Err(fault.into()));
    }
    if let Some(fault) = stays {
        tracing::warn!(principal = %who.principal, error = %fault, "A claim could not be ended.");
    }
    let cut = if taken { Some(now + 2_000) } else { marker.cut };
    let claims = left.into_iter().chain(stuck).collect();
    let marker = PrincipalMarker { cut, claims, ..marker };
    let sql = format!("COMMENT ON ROLE {role} IS {}; COMMIT", context.comment(&marker)?);
    control.batch(work, &sql).await?;
    work.crash_point("pg.expire.committed").await;
    if taken {
        cut::end_and_note(context, control, who, state.oid, &marker, Cut::Now).await?;
    }
    places.give_back(context);
    Ok((!gone.is_empty()).then(|| found.expired(gone, timestamp(now))))
}
