//! How far a file's writes were acknowledged, kept beside it. A write-ahead log cannot tell a torn
//! last commit, which nobody was told about, from damage to one that was acknowledged; this mark
//! can. It is written after the sync of a commit and before anyone hears of it, and is not synced
//! itself: it survives the process, and after a power cut it may only be behind, never ahead.

use super::connection::{damaged, unavailable};
use crate::store::StoreError;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const BYTES: usize = 12;

/// The mark of one database file.
pub(super) struct Acked {
    file: File,
}

impl Acked {
    /// Opens the mark of a database whose newest write is `last`; refuses a database that ends
    /// before what was acknowledged. `what` are its numbered writes, in plural.
    pub(super) fn open(database: &Path, last: u64, what: &str) -> Result<Acked, StoreError> {
        let path = path_of(database);
        if let Some(acked) = read(&path).filter(|acked| *acked > last) {
            return Err(damaged(
                database,
                format!("it ends at {last}, but {what} up to {acked} were acknowledged"),
            ));
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| unavailable(&path, &error))?;
        let acked = Acked { file };
        acked.raise(last);
        Ok(acked)
    }

    /// Everything up to `last` is on disk and may be acknowledged.
    pub(super) fn raise(&self, last: u64) {
        // A mark that cannot be written is one that detects less; the commit itself is safe.
        let _ = self.file.write_all_at(&encode(last), 0);
    }
}

/// The file with the mark of a database.
pub(super) fn path_of(database: &Path) -> PathBuf {
    database.with_extension("acked")
}

/// The mark, if there is a whole one.
pub(super) fn read(path: &Path) -> Option<u64> {
    let bytes: [u8; BYTES] = std::fs::read(path).ok()?.try_into().ok()?;
    let (value, _) = bytes.split_first_chunk::<8>()?;
    let last = u64::from_le_bytes(*value);
    (encode(last) == bytes).then_some(last)
}

/// Forgets the mark of a database that is not there any more.
pub(super) fn forget(database: &Path) -> Result<(), StoreError> {
    let path = path_of(database);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(unavailable(&path, &error))
        }
        _ => Ok(()),
    }
}

fn encode(last: u64) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let value = last.to_le_bytes();
    let sum = crc32fast::hash(&value).to_be_bytes();
    for (to, from) in bytes.iter_mut().zip(value.into_iter().chain(sum)) {
        *to = from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_ends_too_early_is_refused_and_a_torn_mark_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("journal.db");
        let acked = Acked::open(&database, 5, "inputs").unwrap();
        acked.raise(7);
        let refused = Acked::open(&database, 6, "inputs").err().unwrap();
        assert!(
            refused
                .to_string()
                .contains("ends at 6, but inputs up to 7 were acknowledged"),
            "{refused}"
        );
        assert_eq!(read(&path_of(&database)), Some(7));
        std::fs::write(path_of(&database), b"123456789012").unwrap();
        assert_eq!(read(&path_of(&database)), None);
        Acked::open(&database, 6, "inputs").unwrap();
        forget(&database).unwrap();
        forget(&database).unwrap();
        assert_eq!(read(&path_of(&database)), None);
    }
}
