//! Claims of a grantee in an integration: which session carries them, and the task that brings
//! the target to what they say.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::{
    ids::{IntegrationId, RequestId, SessionId, UserId},
    integration::Integration,
    request::{AccessRequest, RequestUnit, UnitState},
    session::{AccessSession, CredentialsStatus, SessionState},
};
use latchkey_store::{NewTask, TaskKind, Tx};
use sha2::{Digest, Sha256};

use crate::{App, error::AppError};

/// Priority of work that ends access.
const ENDING: i32 = 100;
/// Priority of work that begins access.
const GRANTING: i32 = 50;

/// How far the clocks of server, connector and target may be apart without harm to a joiner.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_secs(2);

/// The letters of base 32 in lower case (RFC 4648), for principal names.
const BASE32: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Locks every (grantee, integration) pair that `units` touch, in id order. Must come before
/// the lock on the request itself.
pub(crate) async fn lock_claims_of(
    tx: &mut Tx,
    grantee: &UserId,
    units: &[RequestUnit],
) -> Result<(), AppError> {
    lock_claims(tx, units.iter().map(|unit| (&unit.integration_id, grantee))).await
}

/// Locks these (integration, grantee) pairs, in the same order.
pub(crate) async fn lock_claims<'a>(
    tx: &mut Tx,
    pairs: impl Iterator<Item = (&'a IntegrationId, &'a UserId)>,
) -> Result<(), AppError> {
    let pairs: BTreeSet<(&IntegrationId, &UserId)> = pairs.collect();
    for (integration, grantee) in pairs {
        tx.lock_grantee(integration, grantee).await?;
    }
    Ok(())
}

/// A request that is locked, with what it is about: first the (grantee, integration) pairs of its
/// claims, then the request; then both are read again. `None` without such a request.
///
/// The units are the same before and after, because a request never gets others; what may have
/// changed meanwhile is how they stand.
pub(crate) async fn lock_with_claims(
    tx: &mut Tx,
    id: &RequestId,
) -> Result<Option<(AccessRequest, Vec<RequestUnit>)>, AppError> {
    let Some(seen) = tx.find_request(id).await? else { return Ok(None) };
    let units = tx.units_of(id).await?;
    lock_claims_of(tx, &seen.grantee_id, &units).await?;
    let Some(request) = tx.lock_request(id).await? else { return Ok(None) };
    Ok(Some((request, tx.units_of(id).await?)))
}

/// The live session of `grantee` in `integration`, or a new one. The pair must be locked.
pub(crate) async fn join_or_open_session(
    tx: &mut Tx,
    app: &App,
    integration: &IntegrationId,
    grantee: &UserId,
    has_credentials: bool,
) -> Result<AccessSession, AppError> {
    if let Some(mut session) = tx.find_live_session(integration, grantee).await? {
        let units = tx.units_of_session(&session.id).await?;
        if takes_joiners(&units, tx.now()) {
            return Ok(session);
        }
        session.state = SessionState::Ending;
        let due = tx.now();
        desired_changed(tx, &mut session, &units, due).await?;
    }
    let generation = tx.next_generation(integration, grantee).await?;
    let now = tx.now();
    let id = SessionId::generate(now, app.rng());
    let session = AccessSession {
        principal: principal_name(&id, generation),
        id,
        integration_id: integration.clone(),
        grantee_id: grantee.clone(),
        generation,
        state: SessionState::Live,
        fence: 0,
        desired_version: 0,
        applied_version: 0,
        credentials_status: if has_credentials {
            CredentialsStatus::Resetting
        } else {
            CredentialsStatus::NotApplicable
        },
        can_reset_credentials: has_credentials,
        created_at: now,
        ended_at: None,
    };
    tx.insert_session(&session).await?;
    Ok(session)
}

/// Whether a session with these units lasts long enough to be joined. One whose last end is at
/// hand does not, even before its timer has run: the connector ends it by its own clock.
fn takes_joiners(units: &[RequestUnit], now: Timestamp) -> bool {
    units
        .iter()
        .filter(|unit| unit.state.is_desired())
        .any(|unit| unit.ends_at.is_none_or(|end| end.duration_since(now) > CLOCKS_DIFFER))
}

/// Notes that what `session` should hold has changed: bumps its desired version, closes it to
/// joiners when no claim wants anything any more, and queues the task that brings the target
/// there. `units` are all units of the session as they now stand.
pub(crate) async fn desired_changed(
    tx: &mut Tx,
    session: &mut AccessSession,
    units: &[RequestUnit],
    due: Timestamp,
) -> Result<(), AppError> {
    session.desired_version += 1;
    let still_wanted = units.iter().any(|unit| unit.state.is_desired());
    if session.state == SessionState::Live && !still_wanted {
        session.state = SessionState::Ending;
    }
    tx.update_session(session).await?;
    let integration = tx
        .find_integration(&session.integration_id)
        .await?
        .ok_or_else(|| AppError::internal("a session's integration is missing"))?;
    let urgent = units.iter().any(|unit| unit.state == UnitState::Ending);
    apply_task(tx, &integration, session, due, urgent).await
}

/// Queues the apply task of `session`; endings come before everything else that is due.
pub(crate) async fn apply_task(
    tx: &mut Tx,
    integration: &Integration,
    session: &AccessSession,
    due: Timestamp,
    urgent: bool,
) -> Result<(), AppError> {
    let Some(connector_id) = integration.connector_id.clone() else {
        return Err(AppError::internal("an integration with claims has no connector"));
    };
    tx.enqueue_task(&NewTask {
        integration_id: integration.id.clone(),
        connector_id,
        kind: TaskKind::Apply,
        session_id: Some(session.id.clone()),
        due,
        priority: if urgent { ENDING } else { GRANTING },
    })
    .await?;
    Ok(())
}

/// A principal's name: unique to session and generation, short enough for any target (31
/// characters at most), and without a trace of the person.
fn principal_name(session: &SessionId, generation: i64) -> String {
    let digest = Sha256::digest(session.as_str().as_bytes());
    let label: String = digest
        .iter()
        .take(16)
        .filter_map(|byte| BASE32.get(usize::from(byte & 31)))
        .map(|letter| char::from(*letter))
        .collect();
    format!("lk_u_{label}_{generation}")
}
