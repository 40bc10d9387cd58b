//! The second factor of people: codes of an authenticator, and recovery codes in its place.
//!
//! Invariants: a proof is given in a browser session and counts there alone, for its age and for
//! the requests that the page named; no token ever gives one or profits from one. A time step and
//! a recovery code are used once, in the transaction that does what they prove. Tries are counted
//! in the database before they are looked at. No code and no secret is in a record or a log line.

mod by_token;
mod enrolment;
mod proof;
mod reset;
mod step_up;

use jiff::Timestamp;
use latchkey_domain::{second_factor::is_fresh, settings::SettingSpec, sign_in::WebSession};
use latchkey_store::Tx;

pub use by_token::{PassedMfa, has_second_factor, pass_by_token};
pub use enrolment::{
    Enrolled, FactorChange, NewFactor, begin_enrolment, confirm_enrolment, pending_enrolment,
    remove_second_factor, renew_recovery_codes,
};
pub use proof::Proof;
pub use reset::reset_second_factor;
pub use step_up::{StepUp, StepUpView, pass_step_up, show_step_up};

use crate::{
    Actor, App, Operation,
    error::{AppError, codes},
};

/// How long after a proof its person may change or remove the second factor, in seconds.
const CHANGE_AGE_SEC: i64 = 600;

/// How the caller stands with their second factor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondFactorView {
    /// Since when there is one that counts; `None` without.
    pub since: Option<Timestamp>,
    /// How many recovery codes are left.
    pub recovery_codes: u64,
    /// Whether it was given in this browser session lately enough to change it.
    pub may_change: bool,
}

/// How the caller stands with their second factor.
pub async fn second_factor(app: &App, actor: &Actor) -> Result<SecondFactorView, AppError> {
    actor.require(Operation::ReadOwnSecondFactor)?;
    app.store()
        .read(async |tx: &mut Tx| -> Result<_, AppError> {
            let factor = tx.find_factor(&actor.user.id).await?;
            let given = actor.web_session.as_ref().and_then(|session| session.second_factor_at);
            Ok(SecondFactorView {
                since: factor.and_then(|factor| factor.confirmed_at),
                recovery_codes: tx.count_recovery_codes(&actor.user.id).await?,
                may_change: is_fresh(given, CHANGE_AGE_SEC, tx.now()),
            })
        })
        .await
}

/// The browser session of the caller; 403 for a token, which has no part in second factors.
fn in_browser(actor: &Actor) -> Result<&WebSession, AppError> {
    actor.web_session.as_ref().ok_or_else(|| {
        AppError::forbidden(codes::FORBIDDEN, "this needs a person in a browser, not a token")
    })
}

/// The session as it is now, locked; 401 if it has ended meanwhile.
async fn lock_session(tx: &mut Tx, session: &WebSession) -> Result<WebSession, AppError> {
    tx.lock_web_session(&session.id).await?.ok_or_else(AppError::unauthorized)
}

/// Refuses unless the second factor was given in the session a moment ago.
fn demand_fresh(session: &WebSession, now: Timestamp) -> Result<(), AppError> {
    if is_fresh(session.second_factor_at, CHANGE_AGE_SEC, now) {
        return Ok(());
    }
    Err(AppError::forbidden(
        codes::SECOND_FACTOR_REQUIRED,
        "give your second factor first, then change it within ten minutes",
    ))
}

/// When the second factor was given that covers what the caller files now: in the same browser
/// session, and not longer ago than the setting says. `None` for a token, always.
pub(crate) async fn covering_factor(
    tx: &mut Tx,
    actor: &Actor,
) -> Result<Option<Timestamp>, AppError> {
    let Some(session) = &actor.web_session else { return Ok(None) };
    let session = lock_session(tx, session).await?;
    let age = age_sec(tx).await?;
    Ok(session.second_factor_at.filter(|given| is_fresh(Some(*given), age, tx.now())))
}

/// For how many seconds a proof covers later requests.
async fn age_sec(tx: &mut Tx) -> Result<i64, AppError> {
    let spec = SettingSpec::get("second_factor_age_sec").map_err(AppError::internal)?;
    tx.setting(spec)
        .await?
        .as_i64()
        .ok_or_else(|| AppError::internal("setting second_factor_age_sec is not a number"))
}
