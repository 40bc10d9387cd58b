//! Ending access on time without being told: the markers say when, the target's own clock says
//! whether it is time. Any process of a connector can do it, also one that never saw the grant.

use latchkey_domain::provisioning::TargetFault;

use super::{
    Context,
    claims::Places,
    connection::{BEGIN_STATEMENTS, Connection, begin, flag, number, string, text},
    cut::{self, Cut},
    fault::Failure,
    marker::{MarkedClaim, Marker, PrincipalMarker, State},
    principal::{Stop, Who, lock_sql, look, look_sql, timestamp},
    quote,
    revoke::revoke,
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

/// Ends everything whose time has come; one that cannot be ended does not keep the others.
pub(super) async fn expire(context: &Context<'_>) -> Result<Vec<Expired>, TargetFault> {
    let mut places = Places::open(context).await?;
    let (now, all) = marked(context, &places.control).await?;
    let mut expired = Vec::new();
    let mut fault = None;
    for found in all {
        // One that is asleep has no access: what it owns is the server's and reconcile's matter.
        let asleep = found.marker.state == State::Ending && !found.awake;
        let due = is_at_its_end(Some(&found.marker), now)
            || found.marker.claims.iter().any(|claim| is_over(claim, now))
            || found.marker.cut.is_some_and(|cut| cut < now);
        if asleep || !due {
            continue;
        }
        match expire_one(context, &places.control, &found, now).await {
            Ok(one) => expired.extend(one),
            Err(Stop::Fenced(_)) => {}
            Err(Stop::Failed(failure)) => {
                tracing::warn!(
                    principal = %found.who.principal,
                    error = %failure.fault.message,
                    "A claim could not be removed at its end; it is tried again."
                );
                fault.get_or_insert(failure.fault);
                // The connection may be inside a transaction: it is not used again.
                match Places::open(context).await {
                    Ok(fresh) => places = fresh,
                    Err(_) => return outcome(expired, fault),
                }
            }
        }
    }
    places.give_back(context);
    outcome(expired, fault)
}

/// What was done is told before what could not be done: the next sweep meets that again.
fn outcome(expired: Vec<Expired>, fault: Option<TargetFault>) -> Result<Vec<Expired>, TargetFault> {
    match fault {
        Some(fault) if expired.is_empty() => Err(fault),
        _ => Ok(expired),
    }
}

async fn expire_one(
    context: &Context<'_>,
    control: &Connection,
    found: &Marked,
    now: i64,
) -> Result<Option<Expired>, Stop> {
    let report = |claims: Vec<MarkedClaim>, at| Expired {
        session_id: found.who.session.clone(),
        principal: found.who.principal.clone(),
        units: claims.into_iter().map(|claim| claim.unit).collect(),
        removed_at: at,
    };
    if is_at_its_end(Some(&found.marker), now) {
        let receipt = revoke(context, control, &found.who, None, &is_at_its_end).await?;
        return Ok(receipt
            .filter(|receipt| !receipt.can_log_in && receipt.open_sessions == 0)
            .map(|receipt| report(found.marker.claims.clone(), receipt.observed_at)));
    }
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
    Ok(Some(report(over, timestamp(now))))
}
