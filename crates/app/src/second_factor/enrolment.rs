//! Getting a second factor, changing it and giving it up. Whoever has one must give it first.

use latchkey_domain::{
    ids::SecondFactorId,
    second_factor::{RECOVERY_CODES, SecondFactor},
};
use latchkey_identity::{
    accepted_step, generate_recovery_code, generate_totp_secret, totp_address, totp_secret_text,
};
use latchkey_store::Tx;
use secrecy::{SecretSlice, SecretString};
use serde_json::json;

use super::{demand_fresh, in_browser, lock_session, proof};
use crate::{Actor, App, Operation, error::AppError, notifications, trail::record};

/// What apps show as the place that a code is for.
const ISSUER: &str = "Latchkey";

/// A secret to put into an authenticator. It counts once a first code of it was right.
#[derive(Debug)]
pub struct NewFactor {
    /// The secret for typing, in base 32.
    pub secret: SecretString,
    /// The same for apps that read a picture: an `otpauth://` address.
    pub address: SecretString,
}

/// What came of confirming a new factor.
#[derive(Debug)]
pub enum Enrolled {
    /// It counts from now on. These stand in for it, once each; they are shown this once.
    Done(Vec<SecretString>),
    /// The code is not right.
    Wrong,
    /// Nobody looked: there were too many tries.
    TooManyTries,
    /// There is no new factor to confirm; begin again.
    NothingToConfirm,
}

/// What came of changing a factor.
#[derive(Debug)]
pub enum FactorChange<T> {
    /// It is done.
    Done(T),
    /// The caller has no second factor.
    NotEnrolled,
}

/// Makes a new secret for the caller, in place of one that was never confirmed. A factor that
/// counts goes on counting until the new one is confirmed.
///
/// # Errors
/// 403 `SecondFactorRequired` where the caller has one and did not give it within ten minutes.
pub async fn begin_enrolment(app: &App, actor: &Actor) -> Result<NewFactor, AppError> {
    actor.require(Operation::ManageOwnSecondFactor)?;
    let session = in_browser(actor)?;
    let secret = generate_totp_secret(app.rng());
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            let session = lock_session(tx, session).await?;
            let replaces = tx.find_factor(&actor.user.id).await?.is_some();
            if replaces {
                demand_fresh(&session, tx.now())?;
            }
            let factor = SecondFactor {
                id: SecondFactorId::generate(tx.now(), app.rng()),
                user_id: actor.user.id.clone(),
                created_at: tx.now(),
                confirmed_at: None,
                last_step: None,
            };
            tx.put_pending_factor(&factor, &secret).await?;
            let (id, detail) = (actor.user.id.as_str(), json!({ "replaces": replaces }));
            let action = "second_factor.enrolment_begun";
            record(tx, &actor.audit(), action, "user", id, detail).await
        })
        .await?;
    Ok(shown(actor, &secret))
}

/// The secret that the caller was shown and has not confirmed yet.
pub async fn pending_enrolment(app: &App, actor: &Actor) -> Result<Option<NewFactor>, AppError> {
    actor.require(Operation::ManageOwnSecondFactor)?;
    let session = in_browser(actor)?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<_, AppError> {
            let session = lock_session(tx, session).await?;
            if tx.find_factor(&actor.user.id).await?.is_some() {
                demand_fresh(&session, tx.now())?;
            }
            let pending = tx.lock_factor(&actor.user.id, false).await?;
            Ok(pending.map(|(_, secret)| shown(actor, &secret)))
        })
        .await
}

fn shown(actor: &Actor, secret: &SecretSlice<u8>) -> NewFactor {
    NewFactor {
        secret: totp_secret_text(secret),
        address: totp_address(secret, ISSUER, &actor.user.email),
    }
}

/// Lets the new factor count, if the code is one of its.
///
/// # Errors
/// 403 `SecondFactorRequired` where it takes the place of one that was not given within ten
/// minutes.
pub async fn confirm_enrolment(
    app: &App,
    actor: &Actor,
    code: &SecretString,
) -> Result<Enrolled, AppError> {
    actor.require(Operation::ManageOwnSecondFactor)?;
    let session = in_browser(actor)?;
    let user = &actor.user.id;
    app.store()
        .write(async |tx: &mut Tx| -> Result<Enrolled, AppError> {
            let session = lock_session(tx, session).await?;
            let replaces = tx.find_factor(user).await?.is_some();
            if replaces {
                demand_fresh(&session, tx.now())?;
            }
            if !proof::take_try(tx, app, actor).await? {
                return Ok(Enrolled::TooManyTries);
            }
            let Some((factor, secret)) = tx.lock_factor(user, false).await? else {
                return Ok(Enrolled::NothingToConfirm);
            };
            let Some(step) = accepted_step(&secret, code, tx.now(), factor.last_step) else {
                proof::refuse(tx, actor, "first_code").await?;
                return Ok(Enrolled::Wrong);
            };
            tx.use_step(&factor.id, step).await?;
            tx.confirm_factor(&factor).await?;
            let codes = put_recovery_codes(tx, app, actor).await?;
            proof::forget_tries(tx, app, actor).await?;
            let detail = json!({ "replaces": replaces });
            let (action, id) = ("second_factor.enrolled", user.as_str());
            record(tx, &actor.audit(), action, "user", id, detail).await?;
            let news = notifications::FactorNews::Enrolled;
            notifications::queue_factor_news(tx, user, news).await?;
            Ok(Enrolled::Done(codes))
        })
        .await
}

/// Makes new recovery codes; the ones before stop working.
///
/// # Errors
/// 403 `SecondFactorRequired` where the second factor was not given within ten minutes.
pub async fn renew_recovery_codes(
    app: &App,
    actor: &Actor,
) -> Result<FactorChange<Vec<SecretString>>, AppError> {
    actor.require(Operation::ManageOwnSecondFactor)?;
    let session = in_browser(actor)?;
    app.store()
        .write(async |tx: &mut Tx| -> Result<_, AppError> {
            let session = lock_session(tx, session).await?;
            if tx.find_factor(&actor.user.id).await?.is_none() {
                return Ok(FactorChange::NotEnrolled);
            }
            demand_fresh(&session, tx.now())?;
            let codes = put_recovery_codes(tx, app, actor).await?;
            let (action, id) = ("second_factor.recovery_codes_renewed", actor.user.id.as_str());
            record(tx, &actor.audit(), action, "user", id, json!({})).await?;
            Ok(FactorChange::Done(codes))
        })
        .await
}

/// Gives the second factor up, with its recovery codes. Requests that wait for one go on waiting.
///
/// # Errors
/// 403 `SecondFactorRequired` where it was not given within ten minutes.
pub async fn remove_second_factor(app: &App, actor: &Actor) -> Result<FactorChange<()>, AppError> {
    actor.require(Operation::ManageOwnSecondFactor)?;
    let session = in_browser(actor)?;
    let user = &actor.user.id;
    app.store()
        .write(async |tx: &mut Tx| -> Result<_, AppError> {
            let session = lock_session(tx, session).await?;
            if tx.find_factor(user).await?.is_none() {
                return Ok(FactorChange::NotEnrolled);
            }
            demand_fresh(&session, tx.now())?;
            tx.delete_factors_of(user).await?;
            tx.forget_second_factor_of_sessions(user).await?;
            record(tx, &actor.audit(), "second_factor.removed", "user", user.as_str(), json!({}))
                .await?;
            let news = notifications::FactorNews::Removed;
            notifications::queue_factor_news(tx, user, news).await?;
            Ok(FactorChange::Done(()))
        })
        .await
}

async fn put_recovery_codes(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
) -> Result<Vec<SecretString>, AppError> {
    let codes: Vec<SecretString> =
        (0..RECOVERY_CODES).map(|_| generate_recovery_code(app.rng())).collect();
    let hashes: Vec<String> =
        codes.iter().map(|code| proof::recovery_hash(app, actor, code)).collect();
    tx.put_recovery_codes(&actor.user.id, &hashes).await?;
    Ok(codes)
}
