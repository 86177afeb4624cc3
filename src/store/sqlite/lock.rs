//! One process uses a data directory. The lock is the kernel's: it ends with the process, however
//! that ends, so a left-over lock file never stands in the way.

use super::super::StoreError;
use super::connection::unavailable;
use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Held for as long as the data directory is in use.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Makes the directory if it is missing and takes its lock, or says who has it.
    pub fn acquire(dir: &Path) -> Result<DirectoryLock, StoreError> {
        make(dir).map_err(|error| unavailable(dir, &error))?;
        let path = dir.join("lock");
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| unavailable(&path, &error))?;
        DirectoryLock::of(file, dir, &path)
    }

    /// Takes the lock of a directory that someone may have used, or gives up.
    pub(super) fn acquire_if_there(dir: &Path) -> Option<DirectoryLock> {
        let path = dir.join("lock");
        let file = OpenOptions::new().write(true).open(&path).ok()?;
        DirectoryLock::of(file, dir, &path).ok()
    }

    fn of(file: File, dir: &Path, path: &Path) -> Result<DirectoryLock, StoreError> {
        match file.try_lock() {
            Ok(()) => Ok(DirectoryLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Locked {
                dir: dir.display().to_string(),
            }),
            Err(TryLockError::Error(error)) => Err(unavailable(path, &error)),
        }
    }
}

/// Makes a directory that only its owner reads, and makes its name durable.
pub(super) fn make(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
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
