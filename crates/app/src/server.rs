//! A server process among others over one database: taking over from the process it replaces,
//! and leaving nothing behind.

use crate::{App, error::AppError};

/// Takes back what `former`, a process that is known to be gone, still holds, so that its work
/// goes on now and not when its leases run out.
pub async fn take_over_from(app: &App, former: &str) -> Result<(), AppError> {
    release_all(app, former).await
}

/// Gives back what this process holds; called when it stops.
pub async fn leave(app: &App) -> Result<(), AppError> {
    release_all(app, &app.config().instance).await
}

async fn release_all(app: &App, owner: &str) -> Result<(), AppError> {
    app.store()
        .write(async |tx| {
            tx.release_job_leases(owner).await?;
            tx.release_outbox_leases(owner).await?;
            tx.release_leases_of(owner).await?;
            Ok(())
        })
        .await
}

/// Whether the database answers.
pub async fn check_database(app: &App) -> Result<(), AppError> {
    Ok(app.store().ping().await?)
}
