//! The audit trail after its records are written: linking them in order, signing the head of the
//! chain, and checking the whole.
//!
//! A transaction writes its record with the record's own hash; one chainer at a time, under a
//! lease, links records and never renumbers. Any server can take over when the chainer is gone.

use std::{future::Future, time::Duration};

use latchkey_domain::ids::AuditId;
use latchkey_store::{
    AUDIT_CHAINER_LEASE, AuditFilter, AuditHead, AuditReport, PageQuery, Tx, VerifyOptions, Wake,
};

use crate::{App, error::AppError};

/// How often records are linked when nothing wakes the chainer.
const LINK_EVERY: Duration = Duration::from_secs(1);

/// How long the chainer waits for more records once it is woken: many commits share one link.
const GATHER: Duration = Duration::from_millis(250);

/// How long a process that ends waits for another that holds the chainer's lease: longer than the
/// lease of one that is gone.
const SETTLE_LIMIT: Duration = Duration::from_secs(15);

/// How often the head is signed while the chain grows.
const SIGN_EVERY: Duration = Duration::from_mins(1);

/// Links every record that is there, unless another process holds the chainer's lease: that one
/// links them within a second.
pub async fn link_all(app: &App) -> Result<(), AppError> {
    while app.store().link_audit(&app.config().instance).await? > 0 {}
    Ok(())
}

/// For a process that is about to end: has every record linked that is there now, by itself or by
/// whoever holds the chainer's lease, signs the head, and gives the lease back.
pub async fn settle(app: &App) -> Result<(), AppError> {
    let newest = newest_records(app, 1).await?.pop();
    let give_up = app.clock().monotonic() + SETTLE_LIMIT;
    loop {
        link_all(app).await?;
        let Some((newest, _)) = &newest else { break };
        let seen = newest_records(app, 200).await?;
        if seen.iter().any(|(id, is_linked)| id == newest && *is_linked) {
            break;
        }
        if app.clock().monotonic() >= give_up {
            tracing::warn!("Audit records are not linked yet; the next server does it.");
            break;
        }
        tokio::time::sleep(GATHER).await;
    }
    app.store().sign_audit_head().await?;
    let owner = &app.config().instance;
    app.store()
        .write(async |tx: &mut Tx| -> Result<(), AppError> {
            tx.release_lease(AUDIT_CHAINER_LEASE, owner).await?;
            Ok(())
        })
        .await
}

/// The newest records, and whether each is linked.
async fn newest_records(app: &App, limit: u32) -> Result<Vec<(AuditId, bool)>, AppError> {
    let page = PageQuery { after: None, limit, newest_first: true };
    let records = app
        .store()
        .read(async |tx: &mut Tx| tx.list_audit(&AuditFilter::default(), &page).await)
        .await?;
    Ok(records.into_iter().map(|record| (record.id, record.sequence.is_some())).collect())
}

/// Links records as they come and signs the head every minute, until `stop` is ready; then links
/// what is left and signs once more.
pub async fn keep_until(app: &App, stop: impl Future<Output = ()>) {
    tokio::pin!(stop);
    let mut signed_at = None;
    let mut records = app.store().wake().waiter(Wake::Audit);
    loop {
        if let Err(error) = link_and_sign(app, &mut signed_at).await {
            tracing::error!(error = ?error.source, "Audit records could not be linked; trying again.");
        }
        tokio::select! {
            () = &mut stop => break,
            () = async {
                if records.wait(LINK_EVERY).await {
                    tokio::time::sleep(GATHER).await;
                }
            } => {}
        }
    }
    if let Err(error) = settle(app).await {
        tracing::error!(error = ?error.source,
            "The head of the audit chain could not be signed at the stop; the next start does it.");
    }
}

async fn link_and_sign(app: &App, signed_at: &mut Option<Duration>) -> Result<(), AppError> {
    link_all(app).await?;
    let now = app.clock().monotonic();
    if signed_at.is_none_or(|at| now.saturating_sub(at) >= SIGN_EVERY) {
        app.store().sign_audit_head().await?;
        *signed_at = Some(now);
    }
    Ok(())
}

/// Computes the whole chain again and compares it with what is stored, with every signed head,
/// and with the heads that connectors have kept.
pub async fn verify(app: &App) -> Result<AuditReport, AppError> {
    Ok(app.store().verify_audit(&VerifyOptions::default()).await?)
}

/// The newest signed head of the chain; `None` before the first signature.
pub async fn signed_head(app: &App) -> Result<Option<AuditHead>, AppError> {
    Ok(app.store().audit_head().await?)
}
