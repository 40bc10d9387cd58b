//! Bringing a principal to its desired state.

use std::collections::BTreeSet;

use latchkey_domain::{
    ids::UnitId,
    provisioning::{ClaimOutcome, ClaimState, DesiredPrincipal, FaultClass, TargetFault},
};
use latchkey_integrations::{self as integrations, ApplyError, GeneratedCredentials, Integration};
use latchkey_protocol::{
    Applied, Outcome, Task,
    sealing::{Credentials, seal_credentials},
};
use secrecy::ExposeSecret;

use super::{Done, Telling, within_lease};
use crate::{
    agent::Agent,
    ceilings::Allowed,
    crash,
    journal::{Holder, JournalClaim},
    leases::Held,
};

pub(super) async fn apply(
    agent: &Agent,
    task: &Task,
    integration: &dyn Integration,
    asked: &DesiredPrincipal,
    held: &Held,
) -> Result<Done, TargetFault> {
    let holder =
        Holder { integration: task.integration.id.clone(), principal: asked.principal.clone() };
    let wait = async { Ok::<_, TargetFault>(agent.principals.acquire(&holder).await) };
    let turn = within_lease(agent, held, wait).await?;

    let ceilings = &agent.secrets.config.ceilings;
    let server_now = agent.server_clock.now();
    let allowed = ceilings.limit(integration.integration_type(), asked, server_now);
    let target = agent.secrets.open(&task.integration)?;
    journal_claims(agent, task, &holder, &allowed.desired).await?;
    agent.crash_points.reached(crash::JOURNALED).await;

    let work = agent.work(held.end.clone());
    work.check_lease()?;
    let run = integration.apply(&target, &work, &allowed.desired);
    let applied = match within_lease(agent, held, run).await {
        Ok(applied) => applied,
        Err(ApplyError::Fenced { fence }) => return Ok(Outcome::Fenced { fence }.into()),
        Err(ApplyError::Fault(fault)) => return Err(fault),
    };
    agent.crash_points.reached(crash::APPLIED).await;

    let claims = outcomes(asked, &allowed, &applied);
    settle(agent, &holder, &allowed.desired, &claims, applied.receipt.principal_exists);
    agent.crash_points.reached(crash::SETTLED).await;

    let credentials = match &applied.credentials {
        None => None,
        Some(made) => Some(seal(agent, made)?),
    };
    let access_details = (!allowed.desired.claims.is_empty())
        .then(|| integration.access_details(&target, &asked.principal, &allowed.desired.claims));
    let claims_to_tell = agent.journal.untold(&holder);
    let is_present = |unit: &UnitId| {
        claims.iter().any(|claim| claim.unit_id == *unit && claim.state == ClaimState::Present)
    };
    let extended = allowed.extended.iter().filter(|later| is_present(&later.unit_id));
    let outcome = Outcome::Applied(Applied {
        fence: asked.fence,
        extended: extended.cloned().collect(),
        claims,
        receipt: applied.receipt,
        expired_by_connector: claims_to_tell.clone(),
        credentials,
        access_details,
    });
    let telling = Telling { holder, claims: claims_to_tell, _turn: turn };
    Ok(Done { outcome: Some(outcome), telling: Some(telling), seen: None })
}

/// Puts on disk what is about to be granted, and how to get at it again.
async fn journal_claims(
    agent: &Agent,
    task: &Task,
    holder: &Holder,
    desired: &DesiredPrincipal,
) -> Result<(), TargetFault> {
    if desired.claims.is_empty() {
        return Ok(());
    }
    let claims = desired
        .claims
        .iter()
        .map(|claim| JournalClaim { unit: claim.unit_id.clone(), ends_at: claim.ends_at })
        .collect();
    let failed = |error: String| {
        TargetFault::new(
            FaultClass::Transient,
            format!("nothing is granted while the connector cannot note its end: {error}"),
        )
    };
    agent.targets.learn(&task.integration).await.map_err(|error| failed(error.to_string()))?;
    agent
        .journal
        .lease(holder, &desired.session_id, desired.fence, claims)
        .await
        .map_err(|error| failed(error.to_string()))
}

/// An outcome for every claim that was asked about. What the module did not answer is unknown;
/// what the ceilings refused says why.
fn outcomes(
    asked: &DesiredPrincipal,
    allowed: &Allowed,
    applied: &integrations::Applied,
) -> Vec<ClaimOutcome> {
    asked
        .claims
        .iter()
        .chain(&asked.removed)
        .map(|claim| {
            let read = applied.claims.iter().find(|read| read.unit_id == claim.unit_id);
            let refused = allowed.refused.iter().find(|(unit, _)| *unit == claim.unit_id);
            ClaimOutcome {
                unit_id: claim.unit_id.clone(),
                state: read.map_or(ClaimState::Unknown, |read| read.state),
                fault: refused
                    .map(|(_, fault)| fault.clone())
                    .or_else(|| read.and_then(|read| read.fault.clone())),
            }
        })
        .collect()
}

/// Clears what the read-back shows gone, and what has no end to watch. A claim whose outcome is
/// not known stays.
fn settle(
    agent: &Agent,
    holder: &Holder,
    desired: &DesiredPrincipal,
    claims: &[ClaimOutcome],
    principal_exists: bool,
) {
    if !principal_exists {
        agent.journal.settle(holder, None);
        return;
    }
    let absent: BTreeSet<&UnitId> = claims
        .iter()
        .filter(|claim| claim.state == ClaimState::Absent)
        .map(|claim| &claim.unit_id)
        .collect();
    let watched: BTreeSet<&UnitId> = desired
        .claims
        .iter()
        .chain(&desired.removed)
        .filter(|claim| claim.ends_at.is_some() && !absent.contains(&claim.unit_id))
        .map(|claim| &claim.unit_id)
        .collect();
    let units = agent.journal.units_of(holder);
    let gone = units.into_iter().filter(|unit| !watched.contains(unit)).collect();
    agent.journal.settle(holder, Some(gone));
}

fn seal(agent: &Agent, made: &GeneratedCredentials) -> Result<String, TargetFault> {
    let credentials = Credentials {
        username: made.username.clone(),
        password: made.password.expose_secret().to_owned(),
    };
    let fault = |error: String| {
        let message = format!("the new credentials could not be sealed for the server: {error}");
        TargetFault::new(FaultClass::Transient, message)
    };
    let key = agent.server_key().ok_or_else(|| fault("its key is not known yet".to_owned()))?;
    seal_credentials(&key, &credentials).map_err(|error| fault(error.to_string()))
}
