//! Looking at a code that somebody typed.

use latchkey_domain::sign_in::CODE_TRIES;
use latchkey_identity::{Purpose, accepted_step, is_recovery_code, opaque_hash};
use latchkey_store::Tx;
use secrecy::SecretString;
use serde_json::json;

use crate::{Actor, App, authenticate::token_key, error::AppError, notifications, trail::record};

/// What somebody gives as their second factor.
#[derive(Debug, Clone)]
pub enum Proof {
    /// The code that their authenticator shows.
    Code(SecretString),
    /// One of the codes that they wrote down.
    RecoveryCode(SecretString),
}

impl Proof {
    /// The word for audit records.
    fn kind(&self) -> &'static str {
        match self {
            Self::Code(_) => "code",
            Self::RecoveryCode(_) => "recovery_code",
        }
    }
}

/// What was found out about a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Checked {
    /// It is right, and used up with this transaction.
    Right,
    /// It is not, or was used before.
    Wrong,
    /// Nobody looked: there were too many tries.
    TooManyTries,
    /// The person has no second factor.
    NotEnrolled,
}

/// Counts a try of the caller's; false after too many.
pub(super) async fn take_try(tx: &mut Tx, app: &App, actor: &Actor) -> Result<bool, AppError> {
    let may = tx.take_try(CODE_TRIES, &subject(app, actor)).await?;
    if !may {
        tracing::warn!(user.id = %actor.user.id,
            "Somebody has tried too many codes of a second factor; further ones wait.");
    }
    Ok(may)
}

/// Forgets the caller's tries, after one that was right.
pub(super) async fn forget_tries(tx: &mut Tx, app: &App, actor: &Actor) -> Result<(), AppError> {
    Ok(tx.forget_tries(CODE_TRIES, &subject(app, actor)).await?)
}

fn subject(app: &App, actor: &Actor) -> String {
    let id = SecretString::from(actor.user.id.as_str());
    opaque_hash(&token_key(app), Purpose::Tried, CODE_TRIES.kind, &id)
}

/// Checks a proof of the caller's. The transaction must be committed whatever comes of it, so that
/// the try counts.
pub(super) async fn check(
    tx: &mut Tx,
    app: &App,
    actor: &Actor,
    proof: &Proof,
) -> Result<Checked, AppError> {
    let user = &actor.user.id;
    if !take_try(tx, app, actor).await? {
        return Ok(Checked::TooManyTries);
    }
    let Some((factor, secret)) = tx.lock_factor(user, true).await? else {
        return Ok(Checked::NotEnrolled);
    };
    let is_right = match proof {
        Proof::Code(code) => match accepted_step(&secret, code, tx.now(), factor.last_step) {
            Some(step) => tx.use_step(&factor.id, step).await?,
            None => false,
        },
        Proof::RecoveryCode(code) => {
            let hash = recovery_hash(app, actor, code);
            is_recovery_code(code) && tx.use_recovery_code(user, &hash).await?
        }
    };
    if !is_right {
        refuse(tx, actor, proof.kind()).await?;
        return Ok(Checked::Wrong);
    }
    forget_tries(tx, app, actor).await?;
    if let Proof::RecoveryCode(_) = proof {
        let left = tx.count_recovery_codes(user).await?;
        let (action, detail) = ("second_factor.recovery_code_used", json!({ "left": left }));
        record(tx, &actor.audit(), action, "user", user.as_str(), detail).await?;
        let news = notifications::FactorNews::RecoveryCodeUsed;
        notifications::queue_factor_news(tx, user, news).await?;
    }
    Ok(Checked::Right)
}

/// Puts a wrong code on record, without the code.
pub(super) async fn refuse(tx: &mut Tx, actor: &Actor, kind: &str) -> Result<(), AppError> {
    let id = actor.user.id.as_str();
    let detail = json!({ "kind": kind });
    record(tx, &actor.audit(), "second_factor.failed", "user", id, detail).await
}

/// What is kept of a recovery code.
pub(super) fn recovery_hash(app: &App, actor: &Actor, code: &SecretString) -> String {
    opaque_hash(&token_key(app), Purpose::RecoveryCode, actor.user.id.as_str(), code)
}
