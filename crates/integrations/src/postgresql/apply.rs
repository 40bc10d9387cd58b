//! Making a principal hold exactly what is desired.
//!
//! One transaction, under the principal's lock and the groups' shared locks, compares the fence,
//! creates or changes the role, writes the marker, changes memberships, and reads it all back.
//! Groups that are missing or not exact are set up before it, in transactions of their own.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::{join, join_all};
use jiff::Timestamp;
use latchkey_domain::{
    Rng,
    provisioning::{
        ClaimOutcome, ClaimState, DesiredClaim, DesiredPrincipal, FaultClass, Receipt, TargetFault,
    },
};

use super::{
    Context,
    catalog::{self, Catalog, Scope},
    change::{Change, NewLogin},
    claims::{self, Asked, Catalogs, Places, Plan, Way},
    connection::{BEGIN_STATEMENTS, begin},
    fault::{Failure, refused},
    groups::{self, GroupState, STATE_STATEMENTS},
    marker::{PrincipalMarker, State},
    names,
    principal::{LOOK_STATEMENTS, Look, Stop, Who, lock_sql, look, look_sql},
    revoke::revoke,
    source::Source,
};
use crate::{Applied, ApplyError, Work};

/// How often groups are set up anew when somebody changes them meanwhile.
const GROUP_ROUNDS: u32 = 4;

/// How often a collision with another transaction is tried again.
const COLLISIONS: u32 = 40;

/// Applies a task; runs it again where another transaction was in the way or the connection was
/// lost, because applying twice is the same as once.
pub(super) async fn apply(
    context: &Context<'_>,
    desired: &DesiredPrincipal,
) -> Result<Applied, ApplyError> {
    let who = Who::of(desired).map_err(|failure| failure.fault)?;
    let mut collisions = 0;
    let mut lost: Option<Failure> = None;
    loop {
        context.work.check_lease()?;
        let stop = match once(context, &who, desired).await {
            Ok(applied) => return Ok(applied),
            Err(stop) => stop,
        };
        match stop {
            Stop::Fenced(fence) => return Err(ApplyError::Fenced { fence }),
            Stop::Failed(failure) if failure.connection_lost && lost.is_none() => {
                context.pool.forget_idle();
                lost = Some(failure);
            }
            Stop::Failed(failure)
                if failure.is_collision()
                    && collisions < COLLISIONS
                    && context.work.lease_left().is_some() =>
            {
                collisions += 1;
                tokio::time::sleep(pause(context.work, collisions)).await;
            }
            // What may have been committed stays in doubt until somebody has looked.
            Stop::Failed(failure) => {
                let doubt = lost.filter(|lost| lost.fault.class == FaultClass::Unknown);
                let failure = doubt.filter(|_| failure.connection_lost).unwrap_or(failure);
                return Err(ApplyError::Fault(failure.fault));
            }
        }
    }
}

/// 5 to 100 ms, so that two that met do not meet again.
fn pause(work: &Work, round: u32) -> Duration {
    let [random] = <dyn Rng>::bytes::<1>(work.rng.as_ref());
    Duration::from_millis((u64::from(random) * u64::from(round.min(10)) / 25).max(5))
}

async fn once(
    context: &Context<'_>,
    who: &Who,
    desired: &DesiredPrincipal,
) -> Result<Applied, Stop> {
    let server_now = context.work.server_now();
    let (live, over): (Vec<_>, Vec<_>) =
        desired.claims.iter().partition(|claim| claim.ends_at.is_none_or(|end| end > server_now));
    let over: Vec<&DesiredClaim> = over.into_iter().chain(&desired.removed).collect();
    if live.is_empty() {
        let receipt = revoke(context, who, Some(desired.fence), &|_, _| true).await?;
        let receipt = receipt.ok_or_else(|| refused("the principal was not removed"))?;
        return Ok(removed(&over, receipt));
    }
    grant(context, who, desired, &live, &over, server_now).await
}

/// What comes of a revoke: every claim is absent once access is gone.
pub(super) fn removed(claims: &[&DesiredClaim], receipt: Receipt) -> Applied {
    let gone = !receipt.can_log_in && receipt.open_sessions == 0 && receipt.holds.is_empty();
    let state = if gone { ClaimState::Absent } else { ClaimState::Unknown };
    let fault = (!gone).then(|| {
        let notes = receipt.notes.join("; ");
        let message = format!("access of {} is not proved to be gone: {notes}", receipt.principal);
        TargetFault::new(FaultClass::Transient, message)
    });
    let outcome = |claim: &&DesiredClaim| {
        let (unit_id, fault) = (claim.unit_id.clone(), fault.clone());
        ClaimOutcome { unit_id, state, fault }
    };
    let claims = claims.iter().map(outcome).collect();
    Applied { claims, receipt, credentials: None }
}

/// What the first round trip of the transaction saw.
pub(super) struct Seen {
    /// The principal.
    pub look: Look,
    /// The groups of every claim, by name.
    pub groups: BTreeMap<String, GroupState>,
    /// The roles that claims name, by name.
    pub roles: BTreeMap<String, claims::GrantableRole>,
}

async fn grant(
    context: &Context<'_>,
    who: &Who,
    desired: &DesiredPrincipal,
    live: &[&DesiredClaim],
    over: &[&DesiredClaim],
    server_now: Timestamp,
) -> Result<Applied, Stop> {
    let work = context.work;
    work.crash_point("pg.apply.start").await;
    let mut places = Places::open(context).await?;
    // Not before there is a connection: that bounds how many are computed at once.
    let mut login = desired.issue_credentials.then(|| NewLogin::begin(work));
    let asked = Asked::read(context, live.iter().copied());
    let mut failed: BTreeMap<String, Failure> = BTreeMap::new();
    for _ in 0..GROUP_ROUNDS {
        let guessed = look_by_guess(context, &mut places, who, &asked).await?;
        let (mut plans, seen) = if let Some(found) = guessed {
            found
        } else {
            let catalogs = asked.catalogs(context, &mut places).await;
            let plans = asked.plans(context, &catalogs);
            let names = group_names(&plans);
            let (seen, _) = lock_and_look(context, &places, who, &asked, &names, None).await?;
            (plans, seen)
        };
        for plan in &mut plans {
            if let Some(failure) = failed.get(plan.claim.unit_id.as_str()) {
                plan.way = Err(failure.clone());
            }
        }
        let own = match check_owner(context, who, desired, &seen.look) {
            Ok(own) => own,
            Err(stop) => {
                places.control.batch(work, "ROLLBACK").await?;
                places.give_back(context);
                return Err(stop);
            }
        };
        judge_roles(context, &mut plans, &seen);
        if set_up(context, &mut places, &mut plans, &seen, &mut failed).await? {
            continue;
        }
        let change = Change { context, who, desired, over, server_now, own };
        return change.carry_out(places, plans, seen, login.take()).await;
    }
    Err(refused(
        "the groups of this right keep changing under Latchkey's hands: look who does that",
    )
    .into())
}

fn group_names(plans: &[Plan<'_>]) -> BTreeSet<String> {
    let groups = plans.iter().filter_map(|plan| match &plan.way {
        Ok(Way::Groups(specs)) => Some(specs.iter().map(|spec| spec.name.clone())),
        _ => None,
    });
    groups.flatten().collect()
}

/// Where all groups can be guessed, the catalogue is read under their locks in the round trip
/// that takes these. `None` where they cannot, or the guess was wrong.
async fn look_by_guess<'a>(
    context: &Context<'_>,
    places: &mut Places,
    who: &Who,
    asked: &Asked<'a>,
) -> Result<Option<(Vec<Plan<'a>>, Seen)>, Failure> {
    let guess = context.ways.guess(&context.target.integration_id, asked.by_group());
    let Some(names) = guess else { return Ok(None) };
    let here = places.control.database.clone();
    let mut catalogs = Catalogs::new();
    for database in asked.scopes.keys().filter(|database| **database != here) {
        if let Err(failure) = places.to(context, database).await {
            catalogs.insert(database.clone(), Err(failure));
        }
    }
    let elsewhere = asked.scopes.iter().filter(|(database, _)| **database != here);
    let elsewhere = elsewhere.filter(|(database, _)| !catalogs.contains_key(*database));
    let elsewhere = join_all(elsewhere.map(async |(database, scope)| {
        let read = Catalog::read(places.opened(database), context.work, scope).await;
        (database.clone(), read)
    }));
    let scope = asked.scopes.get(&here);
    let looked = lock_and_look(context, places, who, asked, &names, scope);
    let (looked, read) = join(looked, elsewhere).await;
    let (seen, catalog) = match looked {
        Ok(found) => found,
        Err(failure) if failure.connection_lost || failure.is_collision() => return Err(failure),
        // The careful way says claim by claim what is wrong.
        Err(_) => {
            places.control.batch(context.work, "ROLLBACK").await?;
            return Ok(None);
        }
    };
    catalogs.extend(read);
    catalogs.extend(catalog.map(|catalog| (here, catalog)));
    let plans = asked.plans(context, &catalogs);
    if group_names(&plans).is_subset(&names) {
        return Ok(Some((plans, seen)));
    }
    places.control.batch(context.work, "ROLLBACK").await?;
    Ok(None)
}

/// Begins the transaction, takes the locks of the principal and of these groups, and looks;
/// reads what `scope` covers here too. The transaction stays open.
async fn lock_and_look(
    context: &Context<'_>,
    places: &Places,
    who: &Who,
    asked: &Asked<'_>,
    names: &BTreeSet<String>,
    scope: Option<&Scope>,
) -> Result<(Seen, Option<Result<Catalog, Failure>>), Failure> {
    let control = &places.control;
    let mut sql = begin(context.work)? + &lock_sql(&who.principal);
    for name in names {
        sql += &format!("SELECT pg_advisory_xact_lock_shared({});", names::lock_key(name));
    }
    sql += &look_sql(&who.principal)?;
    sql += &groups::state_sql(names.iter().map(String::as_str))?;
    let roles = asked.roles();
    if !roles.is_empty() {
        sql += &claims::roles_sql(control, Some(&roles))?;
    }
    if let Some(scope) = scope {
        sql += &catalog::statements(scope)?;
    }
    let answers = control.batch(context.work, &sql).await?;
    let answers = answers.get(BEGIN_STATEMENTS + 1 + names.len()..).unwrap_or_default();
    let rest = answers.get(LOOK_STATEMENTS..).unwrap_or_default();
    let groups = groups::states(rest);
    let mut rest = rest.get(STATE_STATEMENTS..).unwrap_or_default();
    let mut found = BTreeMap::new();
    if !roles.is_empty() {
        found = rest.first().map(claims::roles).unwrap_or_default();
        rest = rest.get(1..).unwrap_or_default();
    }
    let seen = Seen { look: look(answers)?, groups, roles: found };
    Ok((seen, scope.map(|_| Catalog::of(rest))))
}

/// The principal's marker, if it is ours and this task may change it.
fn check_owner(
    context: &Context<'_>,
    who: &Who,
    desired: &DesiredPrincipal,
    look: &Look,
) -> Result<Option<PrincipalMarker>, Stop> {
    let Some(state) = &look.state else { return Ok(None) };
    let Some(marker) = state.own_marker(context.target, who)? else {
        return Err(refused(format!(
            "a role named {} exists that bears no mark of Latchkey: nothing is given to it",
            who.principal
        ))
        .into());
    };
    if marker.fence > desired.fence {
        return Err(Stop::Fenced(marker.fence));
    }
    if marker.state == State::Ending {
        return Err(refused(format!(
            "the end of {} has begun, and names are never used again: ask anew",
            who.principal
        ))
        .into());
    }
    if state.privileged {
        return Err(refused(format!(
            "somebody gave {} an attribute that no principal has (SUPERUSER, CREATEROLE, \
             CREATEDB, REPLICATION or BYPASSRLS): take it away",
            who.principal
        ))
        .into());
    }
    Ok(Some(marker.clone()))
}

/// Refuses roles that nobody may get.
fn judge_roles(context: &Context<'_>, plans: &mut [Plan<'_>], seen: &Seen) {
    for plan in plans {
        let Ok(Way::Role(name)) = &plan.way else { continue };
        let verdict = match seen.roles.get(name) {
            None => Err(refused(format!("the role {name} does not exist any more"))),
            Some(role) => match &role.forbidden {
                Some(why) => Err(refused(format!("membership of {name} is not given: {why}"))),
                None => claims::compare_oid(context, plan.claim, Some(role.oid)),
            },
        };
        if let Err(failure) = verdict {
            plan.way = Err(failure);
        }
    }
}

/// Sets up groups that are not exact. `true` if something was done, after which everything is
/// looked at again; the transaction is then over.
async fn set_up(
    context: &Context<'_>,
    places: &mut Places,
    plans: &mut [Plan<'_>],
    seen: &Seen,
    failed: &mut BTreeMap<String, Failure>,
) -> Result<bool, Failure> {
    let work = context.work;
    let mut rolled_back = false;
    for plan in plans {
        let Ok(Way::Groups(specs)) = &plan.way else { continue };
        let repairs: Result<Vec<_>, Failure> = specs
            .iter()
            .map(|spec| Ok((spec, groups::repair(spec, seen.groups.get(&spec.name))?)))
            .collect();
        let repairs = match repairs {
            Ok(repairs) => repairs,
            Err(failure) => {
                plan.way = Err(failure);
                continue;
            }
        };
        plan.left_out = repairs.iter().flat_map(|(_, repair)| repair.left_out.clone()).collect();
        let repairs: Vec<_> =
            repairs.into_iter().filter(|(_, repair)| !repair.is_empty()).collect();
        if repairs.is_empty() {
            continue;
        }
        if !rolled_back {
            places.control.batch(work, "ROLLBACK").await?;
            rolled_back = true;
        }
        let source = Source::parse(&plan.claim.source_id)?;
        let database = source.database().unwrap_or_default();
        let objects = places.opened(database);
        if let Err(failure) = groups::establish(&places.control, objects, work, &repairs).await {
            if failure.is_collision() || failure.connection_lost {
                return Err(failure);
            }
            failed.insert(plan.claim.unit_id.to_string(), failure);
            places.control.batch(work, "ROLLBACK").await?;
        }
    }
    Ok(rolled_back)
}
