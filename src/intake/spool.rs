//! The spool of `alertbridge notify`: what a sender's command had to say, on disk until the daemon
//! has it.
//!
//! One file an entry, sealed if the spool has a key; names sort by age. An entry is written under another name, synced, renamed,
//! and the directory synced. Invariant: after [`Spool::put`] returned, the entry survives a crash
//! of the machine; it is removed only when the daemon took or refused it.

use crate::store::sealing::Keyring;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Where it goes.
    pub url: String,
    /// The media type of the body.
    pub content_type: String,
    /// The body.
    pub body: String,
}

/// A directory of entries.
#[derive(Clone, Debug)]
pub struct Spool {
    dir: PathBuf,
    keys: Arc<Keyring>,
}

/// What stands before a sealed entry; an entry in the clear is JSON.
const SEALED: &[u8] = b"alertbridge-sealed-1\n";

/// The right to deliver; one process has it at a time.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Spool {
    /// Opens a spool; makes its directory, for the owner only, if there is none. With a key what is
    /// put into it is sealed.
    pub fn open(dir: &Path, keys: Keyring) -> io::Result<Spool> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        Ok(Spool {
            dir: dir.to_owned(),
            keys: Arc::new(keys),
        })
    }

    /// Keeps an entry. `at_ns` orders entries: the wall clock in nanoseconds.
    pub fn put(&self, entry: &Entry, at_ns: u128) -> io::Result<PathBuf> {
        let name = format!("{at_ns:026}-{}.json", std::process::id());
        let (new, path) = (self.dir.join(format!(".{name}")), self.dir.join(name));
        let mut file = File::options().write(true).create_new(true).open(&new)?;
        let written = serde_json::to_vec(entry)
            .map_err(io::Error::other)
            .and_then(|bytes| self.closed(bytes))
            .and_then(|bytes| file.write_all(&bytes))
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::rename(&new, &path));
        if let Err(error) = written {
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        self.sync()?;
        Ok(path)
    }

    /// The entries, oldest first.
    pub fn entries(&self) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.ends_with(".json") && !name.starts_with('.') {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    fn closed(&self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        if !self.keys.can_seal() {
            return Ok(bytes);
        }
        let (_, sealed) = self.keys.seal(SEALED, &bytes).map_err(io::Error::other)?;
        Ok([SEALED, &sealed].concat())
    }

    /// Reads an entry. One that is sealed with a key which is not there is
    /// [`io::ErrorKind::PermissionDenied`]: it waits until it is.
    pub fn read(&self, path: &Path) -> io::Result<Entry> {
        let bytes = fs::read(path)?;
        let bytes = match bytes.strip_prefix(SEALED) {
            None => bytes,
            Some(sealed) => self.keys.open(1, SEALED, sealed).map_err(|reason| {
                let what =
                    format!("it is sealed, and the key of the spool does not open it: {reason}");
                io::Error::new(io::ErrorKind::PermissionDenied, what)
            })?,
        };
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    }

    /// The daemon has it.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)?;
        self.sync()
    }

    /// The daemon will never take it, or it cannot be read: set aside for a person, with the
    /// reason beside it.
    pub fn set_aside(&self, path: &Path, reason: &str) -> io::Result<()> {
        let aside = self.dir.join("refused");
        fs::create_dir_all(&aside)?;
        let target = aside.join(path.file_name().unwrap_or_default());
        fs::write(target.with_extension("reason"), reason)?;
        fs::rename(path, target)?;
        self.sync()
    }

    /// The right to deliver, if no other process has it.
    pub fn turn(&self) -> io::Result<Option<Turn>> {
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(self.dir.join(".lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Turn { _lock: lock })),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(body: &str) -> Entry {
        Entry {
            url: "http://127.0.0.1/hooks/nagios".to_owned(),
            content_type: "application/json".to_owned(),
            body: body.to_owned(),
        }
    }

    #[test]
    fn entries_come_back_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), Keyring::default()).unwrap();
        spool.put(&entry("second"), 20).unwrap();
        spool.put(&entry("first"), 3).unwrap();
        fs::write(dir.path().join(".half.json"), "{").unwrap();
        let paths = spool.entries().unwrap();
        let bodies: Vec<_> = paths
            .iter()
            .map(|path| spool.read(path).unwrap().body)
            .collect();
        assert_eq!(bodies, ["first", "second"]);
        spool.remove(&paths[0]).unwrap();
        spool.set_aside(&paths[1], "no such source").unwrap();
        assert!(spool.entries().unwrap().is_empty());
        assert_eq!(fs::read_dir(dir.path().join("refused")).unwrap().count(), 2);
    }

    #[test]
    fn with_a_key_nothing_stands_in_the_clear_and_without_it_entries_wait() {
        let dir = tempfile::tempdir().unwrap();
        let key = |byte| Keyring::new([(1, vec![byte; 32])]).unwrap();
        let spool = Spool::open(dir.path(), key(7)).unwrap();
        let path = spool.put(&entry("zanzibar"), 1).unwrap();
        let stored = fs::read(&path).unwrap();
        assert!(!stored.windows(8).any(|part| part == b"zanzibar"));
        assert_eq!(spool.read(&path).unwrap().body, "zanzibar");
        for keys in [Keyring::default(), key(8)] {
            let other = Spool::open(dir.path(), keys).unwrap();
            let error = other.read(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        }
        // What was put there before there was a key is delivered as well.
        let plain = Spool::open(dir.path(), Keyring::default()).unwrap();
        let path = plain.put(&entry("before"), 2).unwrap();
        assert_eq!(spool.read(&path).unwrap().body, "before");
    }

    #[test]
    fn one_process_delivers_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path(), Keyring::default()).unwrap();
        let turn = spool.turn().unwrap();
        assert!(turn.is_some());
        assert!(spool.turn().unwrap().is_none());
        drop(turn);
        assert!(spool.turn().unwrap().is_some());
    }
}
