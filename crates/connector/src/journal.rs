//! The lease journal: what this process gave and when it ends, on the connector's own disk.
//!
//! A grant starts only after its claims and ends are on disk; a receipt that shows a claim gone
//! clears it. So after any crash, and with no server in reach, the process still knows what it
//! has to end. The journal holds ids, names of principals and times; never a secret.

mod file;
mod ledger;
mod record;

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use jiff::Timestamp;
use latchkey_domain::{
    clock::Clock,
    ids::{IntegrationId, SessionId, UnitId},
    provisioning::ExpiredClaim,
};
use tokio::sync::{mpsc, oneshot};

pub use ledger::{Ends, Entry, Ledger};
pub use record::{Holder, JournalClaim, Record, Replay, UnknownVersion, replay};

use crate::folder::{Folder, FolderError};
use file::{Append, Writer};

/// The journal could not be written; no grant may start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the lease journal cannot be written: {0}")]
pub struct JournalError(String);

impl JournalError {
    fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    ledger: Arc<Mutex<Ledger>>,
    /// Records that were sent and are not in the ledger yet.
    pending: Arc<AtomicUsize>,
    queue: Mutex<Option<mpsc::UnboundedSender<Append>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Journal {
    /// Opens the journal of `folder`, replays it, and starts its writer.
    pub(crate) fn open(folder: Arc<Folder>, clock: Arc<dyn Clock>) -> Result<Self, FolderError> {
        let path = folder.file(file::FILE);
        let pending = Arc::new(AtomicUsize::new(0));
        let (writer, ledger) = Writer::open(folder, clock, Arc::clone(&pending))?;
        let (queue, appends) = mpsc::unbounded_channel();
        let writer = std::thread::Builder::new()
            .name("lease-journal".to_owned())
            .spawn(move || writer.run(appends))
            .map_err(|error| FolderError::Io { path, error })?;
        Ok(Self {
            ledger,
            pending,
            queue: Mutex::new(Some(queue)),
            writer: Mutex::new(Some(writer)),
        })
    }

    /// Journals claims before they are granted; returns once they are on disk.
    pub(crate) async fn lease(
        &self,
        holder: &Holder,
        session: &SessionId,
        fence: i64,
        claims: Vec<JournalClaim>,
    ) -> Result<(), JournalError> {
        let is_settled = self.pending.load(Ordering::SeqCst) == 0;
        if claims.is_empty() || (is_settled && self.ledger().covers(holder, &claims)) {
            return Ok(());
        }
        let record =
            Record::Leased { holder: holder.clone(), session: session.clone(), fence, claims };
        self.write(record).await
    }

    /// Clears claims that a receipt shows gone, or that need no watching; all of the holder's
    /// with `None`. Not waited for: a claim that stays after a crash is looked at again.
    pub(crate) fn settle(&self, holder: &Holder, units: Option<Vec<UnitId>>) {
        if !self.ledger().entries().contains_key(holder)
            || units.as_ref().is_some_and(Vec::is_empty)
        {
            return;
        }
        self.send(Record::Settled { holder: holder.clone(), units, ended_by: None }, None);
    }

    /// Clears ended claims that a sweep of the target did not find.
    pub(crate) fn settle_ended(&self, holder: &Holder, units: Vec<UnitId>, ended_by: Timestamp) {
        let record = Record::Settled {
            holder: holder.clone(),
            units: Some(units),
            ended_by: Some(ended_by),
        };
        self.send(record, None);
    }

    /// Notes claims that the connector ended by itself; returns once they are on disk.
    pub(crate) async fn expired(
        &self,
        holder: &Holder,
        claims: Vec<ExpiredClaim>,
        ended_by: Timestamp,
    ) -> Result<(), JournalError> {
        self.write(Record::Expired { holder: holder.clone(), claims, ended_by }).await
    }

    /// What the connector ended of a principal and has not told.
    pub(crate) fn untold(&self, holder: &Holder) -> Vec<ExpiredClaim> {
        self.ledger().untold(holder).to_vec()
    }

    /// The server was told of these.
    pub(crate) async fn told(
        &self,
        holder: &Holder,
        claims: &[ExpiredClaim],
    ) -> Result<(), JournalError> {
        if claims.is_empty() {
            return Ok(());
        }
        let units = claims.iter().map(|claim| claim.unit_id.clone()).collect();
        self.write(Record::Reported { holder: holder.clone(), units }).await
    }

    /// Clears claims without an end: nothing has to be done about them here, and the server,
    /// which has just been reached, knows them.
    pub(crate) fn settle_endless(&self) {
        let endless: Vec<(Holder, Vec<UnitId>)> = self
            .ledger()
            .entries()
            .iter()
            .map(|(holder, entry)| {
                let endless = entry.claims.iter().filter(|(_, end)| end.is_none());
                (holder.clone(), endless.map(|(unit, _)| unit.clone()).collect())
            })
            .collect();
        for (holder, units) in endless {
            self.settle(&holder, Some(units));
        }
    }

    /// How the ends in an integration lie around `now`, on the server's clock.
    pub(crate) fn ends(&self, integration: &IntegrationId, now: Timestamp) -> Ends {
        self.ledger().ends(integration, now)
    }

    /// Claims of an integration that ended by `now`.
    pub(crate) fn ended(
        &self,
        integration: &IntegrationId,
        now: Timestamp,
    ) -> Vec<(Holder, UnitId)> {
        self.ledger().ended(integration, now)
    }

    /// Integrations that have a claim with an end.
    pub(crate) fn watched(&self) -> BTreeSet<IntegrationId> {
        self.ledger().watched().cloned().collect()
    }

    /// Whether anything of the integration is open.
    pub(crate) fn is_open(&self, integration: &IntegrationId) -> bool {
        self.ledger().is_open(integration)
    }

    /// Every claim that a principal may hold.
    pub(crate) fn units_of(&self, holder: &Holder) -> Vec<UnitId> {
        let ledger = self.ledger();
        let entry = ledger.entries().get(holder);
        entry.map(|entry| entry.claims.keys().cloned().collect()).unwrap_or_default()
    }

    /// How many principals may hold something.
    pub(crate) fn open_leases(&self) -> usize {
        self.ledger().entries().len()
    }

    /// Waits until everything noted is on disk and ends the writer.
    pub(crate) async fn close(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        }
    }

    async fn write(&self, record: Record) -> Result<(), JournalError> {
        let (written, wait) = oneshot::channel();
        self.send(record, Some(written));
        wait.await.unwrap_or_else(|_| Err(JournalError::new("the connector is stopping")))
    }

    fn send(&self, record: Record, written: Option<oneshot::Sender<Result<(), JournalError>>>) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queue.as_ref() {
            self.pending.fetch_add(1, Ordering::SeqCst);
            let _ = queue.send(Append { records: vec![record], written });
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
