//! The spool of `alertbridge notify`: what a sender's command had to say, on disk until the daemon
//! has it.
//!
//! One file an entry; names sort by age. An entry is written under another name, synced, renamed,
//! and the directory synced. Invariant: after [`Spool::put`] returned, the entry survives a crash
//! of the machine; it is removed only when the daemon took or refused it.

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

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
}

/// The right to deliver; one process has it at a time.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Spool {
    /// Opens a spool; makes its directory, for the owner only, if there is none.
    pub fn open(dir: &Path) -> io::Result<Spool> {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        Ok(Spool {
            dir: dir.to_owned(),
        })
    }

    /// Keeps an entry. `at_ns` orders entries: the wall clock in nanoseconds.
    pub fn put(&self, entry: &Entry, at_ns: u128) -> io::Result<PathBuf> {
        let name = format!("{at_ns:026}-{}.json", std::process::id());
        let (new, path) = (self.dir.join(format!(".{name}")), self.dir.join(name));
        let mut file = File::options().write(true).create_new(true).open(&new)?;
        let written = serde_json::to_vec(entry)
            .map_err(io::Error::other)
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

    /// Reads an entry.
    pub fn read(&self, path: &Path) -> io::Result<Entry> {
        serde_json::from_slice(&fs::read(path)?).map_err(io::Error::other)
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
        let spool = Spool::open(dir.path()).unwrap();
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
    fn one_process_delivers_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path()).unwrap();
        let turn = spool.turn().unwrap();
        assert!(turn.is_some());
        assert!(spool.turn().unwrap().is_none());
        drop(turn);
        assert!(spool.turn().unwrap().is_some());
    }
}
