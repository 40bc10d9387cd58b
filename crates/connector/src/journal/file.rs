//! The journal's file, written by one thread. Records that wait for the disk share one write
//! and one sync, and enter the ledger after it. Records that nobody waits for only clear
//! something: lost in a crash, they leave a claim to be looked at again.

use std::{
    fs::{self, File},
    io::{Seek, SeekFrom, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::{SignedDuration, Timestamp};
use latchkey_domain::clock::Clock;
use tokio::sync::{mpsc, oneshot};

use super::{
    JournalError,
    ledger::Ledger,
    record::{HEADER, Record, replay},
};
use crate::folder::{Folder, FolderError, private};

/// File name in the data folder.
pub(super) const FILE: &str = "journal.log";

/// Where a damaged journal is kept for a person to look at.
const DAMAGED_FILE: &str = "journal.damaged";

/// A journal shorter than this is never compacted.
const WORTH_COMPACTING: u64 = 256 * 1024;

/// How long the connector waits for an occasion to tell the server what it ended. The server's
/// own task for that end may have gone to another process, and then there is none.
const TELL_WITHIN: SignedDuration = SignedDuration::from_hours(24);

/// Records for the writer, and who waits for them to be on disk.
pub(super) struct Append {
    pub(super) records: Vec<Record>,
    pub(super) written: Option<oneshot::Sender<Result<(), JournalError>>>,
}

pub(super) struct Writer {
    folder: Arc<Folder>,
    clock: Arc<dyn Clock>,
    ledger: Arc<Mutex<Ledger>>,
    pending: Arc<AtomicUsize>,
    file: File,
    /// Length up to the last synced record; what follows is cut off before the next write.
    length: u64,
    /// Length right after the last compaction.
    compacted: u64,
}

impl Writer {
    /// Opens the folder's journal, replays it, cuts off a torn tail, and writes it anew in its
    /// shortest form.
    pub(super) fn open(
        folder: Arc<Folder>,
        clock: Arc<dyn Clock>,
        pending: Arc<AtomicUsize>,
    ) -> Result<(Self, Arc<Mutex<Ledger>>), FolderError> {
        let content = folder.read(FILE)?.unwrap_or_default();
        let replayed = replay(&content).map_err(|error| FolderError::Damaged {
            path: folder.file(FILE),
            message: error.to_string(),
        })?;
        if replayed.damaged > 0 {
            let kept = folder.file(DAMAGED_FILE);
            fs::copy(folder.file(FILE), &kept)
                .map_err(|error| FolderError::Io { path: kept.clone(), error })?;
            tracing::error!(
                journal.damaged_lines = replayed.damaged,
                journal.kept_as = %kept.display(),
                "The lease journal was damaged. Whole records were kept; the markers in the \
                 targets are swept for the rest."
            );
        }
        let mut ledger = Ledger::default();
        for record in &replayed.records {
            ledger.enter(record);
        }
        let (file, length) = write_anew(&folder, &ledger, clock.now())?;
        let ledger = Arc::new(Mutex::new(ledger));
        let writer = Self {
            folder,
            clock,
            ledger: Arc::clone(&ledger),
            pending,
            file,
            length,
            compacted: length,
        };
        Ok((writer, ledger))
    }

    /// Writes what comes, until every sender is gone.
    pub(super) fn run(mut self, mut queue: mpsc::UnboundedReceiver<Append>) {
        while let Some(first) = queue.blocking_recv() {
            let mut batch = vec![first];
            while let Ok(next) = queue.try_recv() {
                batch.push(next);
            }
            let written = self.write(&batch);
            if let Err(error) = &written {
                tracing::error!(error = %error, "The lease journal could not be written.");
            }
            self.pending.fetch_sub(batch.len(), Ordering::SeqCst);
            for append in batch {
                if let Some(waiting) = append.written {
                    let _ = waiting.send(written.clone());
                }
            }
            self.compact_if_long();
        }
        let _ = self.file.sync_data();
    }

    fn write(&mut self, batch: &[Append]) -> Result<(), JournalError> {
        let mut lines = String::new();
        for record in batch.iter().flat_map(|append| &append.records) {
            lines.push_str(&record.to_line().map_err(JournalError::new)?);
        }
        let is_waited_for = batch.iter().any(|append| append.written.is_some());
        let append = |file: &mut File, length: u64| -> std::io::Result<()> {
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length))?;
            file.write_all(lines.as_bytes())?;
            if is_waited_for { file.sync_data() } else { Ok(()) }
        };
        append(&mut self.file, self.length).map_err(JournalError::new)?;
        self.length += lines.len() as u64;
        let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        for record in batch.iter().flat_map(|append| &append.records) {
            ledger.enter(record);
        }
        Ok(())
    }

    fn compact_if_long(&mut self) {
        if self.length < WORTH_COMPACTING || self.length < self.compacted.saturating_mul(2) {
            return;
        }
        let ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match write_anew(&self.folder, &ledger, self.clock.now()) {
            Ok((file, length)) => {
                self.file = file;
                self.length = length;
                self.compacted = length;
            }
            Err(error) => {
                self.compacted = self.length;
                tracing::warn!(error = %error, "The lease journal could not be shortened.");
            }
        }
    }
}

/// Puts the shortest journal that comes to `ledger` in place and opens it at its end.
fn write_anew(
    folder: &Folder,
    ledger: &Ledger,
    now: Timestamp,
) -> Result<(File, u64), FolderError> {
    let failed = |error| FolderError::Io { path: folder.file(FILE), error };
    let told_since = now.saturating_sub(TELL_WITHIN).unwrap_or(Timestamp::MIN);
    let mut content = HEADER.to_owned();
    for record in ledger.to_records(told_since) {
        content.push_str(&record.to_line().map_err(|error| failed(error.into()))?);
    }
    folder.replace(FILE, content.as_bytes())?;
    let file = private().open(folder.file(FILE)).map_err(failed)?;
    Ok((file, content.len() as u64))
}
