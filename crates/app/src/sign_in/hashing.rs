//! Hashing of passwords away from the threads that serve calls, and only so many at once: each
//! takes 19 MiB for some ten milliseconds.

use latchkey_identity::{PasswordError, hash_password, verify_password};
use secrecy::SecretString;
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{App, error::AppError};

/// How many passwords are hashed at once.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// What to store of a password; 400 for one that is too short or too long.
pub(super) async fn hashed(app: &App, password: &SecretString) -> Result<SecretString, AppError> {
    let _turn = AT_ONCE.acquire().await.map_err(AppError::internal)?;
    let (app, password) = (app.clone(), password.clone());
    let hash = spawn_blocking(move || hash_password(app.rng(), &password))
        .await
        .map_err(AppError::internal)?;
    hash.map_err(|error| match error {
        PasswordError::TooShort | PasswordError::TooLong => {
            AppError::invalid("password", error.to_string())
        }
        PasswordError::NotHashed => AppError::internal(error),
    })
}

/// Whether it is the password; no, after the same work, where there is none.
pub(super) async fn is_right(
    password: &SecretString,
    stored: Option<SecretString>,
) -> Result<bool, AppError> {
    let _turn = AT_ONCE.acquire().await.map_err(AppError::internal)?;
    let password = password.clone();
    spawn_blocking(move || verify_password(&password, stored.as_ref()))
        .await
        .map_err(AppError::internal)
}
