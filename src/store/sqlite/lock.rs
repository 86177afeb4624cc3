//! One process uses a data directory. The lock is the kernel's: it ends with the process, however
//! that ends, so a left-over lock file never stands in the way.

use super::super::StoreError;
use super::connection::unavailable;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

/// Held for as long as the data directory is in use.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Makes the directory if it is missing and takes its lock, or says who has it.
    pub fn acquire(dir: &Path) -> Result<DirectoryLock, StoreError> {
        std::fs::create_dir_all(dir).map_err(|error| unavailable(dir, &error))?;
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| unavailable(&path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(DirectoryLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
                dir: dir.display().to_string(),
            }),
            Err(TryLockError::Error(error)) => Err(unavailable(&path, &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirectoryLock::acquire(dir.path()).unwrap();
        let refused = DirectoryLock::acquire(dir.path()).unwrap_err();
        assert!(refused.to_string().contains("in use by another process"));
        drop(first);
        DirectoryLock::acquire(dir.path()).unwrap();
    }
}
