//! One server process per slot of a data folder.
//!
//! A slot is a file that its process holds locked and that names the process. Whoever gets the
//! lock knows that the process named there is gone, so its leases can be taken back at once
//! instead of waiting for them to run out. Servers over PostgreSQL may share a folder, each with a
//! slot of its own; over SQLite there is one.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use latchkey_domain::Rng;

use crate::fault::Fault;

/// Servers that may share a data folder.
const SLOTS: usize = 64;

/// A slot, held until it is dropped or the process ends.
#[derive(Debug)]
pub(crate) struct Slot {
    /// Names this process as the owner of leases.
    pub(crate) instance: String,
    /// The process that held the slot before.
    pub(crate) former: Option<String>,
    /// The lock lasts as long as the open file.
    _file: File,
}

impl Slot {
    /// Takes the first free slot of `folder`; the first or none where servers cannot share.
    pub(crate) fn take(folder: &Path, may_share: bool, rng: &dyn Rng) -> Result<Self, Fault> {
        for number in 0..if may_share { SLOTS } else { 1 } {
            let path = folder.join(format!("server-{number}.lock"));
            let failed = |error| Fault::new(format!("cannot use {}: {error}", path.display()));
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(&path)
                .map_err(failed)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            let mut former = String::new();
            file.read_to_string(&mut former).map_err(failed)?;
            let instance = format!("server-{:016x}", u64::from_be_bytes(rng.bytes()));
            file.set_len(0)
                .and_then(|()| file.rewind())
                .and_then(|()| writeln!(file, "{instance}"))
                .and_then(|()| file.sync_all())
                .map_err(failed)?;
            let former = Some(former.trim().to_owned()).filter(|former| !former.is_empty());
            return Ok(Self { instance, former, _file: file });
        }
        Err(Fault::new(format!(
            "another `latchkey serve` uses the data folder {}; stop it, or choose another folder \
             with --data",
            folder.display()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::OsRng;

    #[test]
    fn a_slot_is_free_again_when_its_process_is_gone_and_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = Slot::take(folder.path(), false, &OsRng).unwrap();
        assert_eq!(first.former, None);
        let refused = Slot::take(folder.path(), false, &OsRng).unwrap_err();
        assert!(refused.to_string().contains("another `latchkey serve`"));
        let second = Slot::take(folder.path(), true, &OsRng).unwrap();
        assert_eq!(second.former, None);
        let instance = first.instance.clone();
        drop(first);
        let third = Slot::take(folder.path(), true, &OsRng).unwrap();
        assert_eq!(third.former, Some(instance));
    }
}
