//! Copies what is committed from a write-ahead log into its database, on a thread of its own, so
//! that no commit waits for it. SQLite begins a log anew only when all of it is copied; under load
//! more was written whenever a copy ends. Once the log is long, the writer therefore copies the
//! little that is left itself, between two commits.

use super::connection::{explain, locked, open_reader, unavailable};
use super::wal::log_of;
use crate::store::StoreError;
use rusqlite::Connection;
use rusqlite::hooks::Wal;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// When a log is copied, in its pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// So many that are not copied yet make a copy.
    pub(super) copy_pages: u32,
    /// So many that are not synced yet make a sync; 0: the writer syncs each commit.
    pub(super) sync_pages: u32,
    /// A log of so many is begun anew as soon as that costs little, one of twice as many at once.
    pub(super) log_pages: u32,
}

/// How long a copy that failed, or that a reader held back, is not tried again.
const PAUSE: Duration = Duration::from_millis(250);

/// The thread that copies the log of one database.
pub(super) struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    path: PathBuf,
    pace: Pace,
    log: Mutex<Log>,
    changed: Condvar,
    /// Held while someone copies: SQLite refuses the second one.
    copying: Mutex<()>,
}

/// The log as its writer left it. All counts are pages.
#[derive(Debug, Default)]
struct Log {
    /// In the log.
    pages: u32,
    /// Of them, in the database.
    copied: u32,
    /// Of them, known to be on the disk.
    synced: u32,
    /// How long it was when the writer last tried to begin it anew.
    tried: u32,
    stop: bool,
}

/// What the thread has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Copy,
    Sync,
    Stop,
}

/// Whether the writer ends the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    /// If nobody copies just now.
    IfFree,
    Now,
}

impl Log {
    /// The writer has committed; fewer pages than before: it began the log anew.
    fn grew(&mut self, pages: u32) {
        if pages < self.pages {
            *self = Log {
                stop: self.stop,
                ..Log::default()
            };
        }
        self.pages = pages;
    }

    /// A copy has reached so many pages, unless the log was begun anew since.
    fn copied(&mut self, pages: u32) {
        self.copied = self.copied.max(pages.min(self.pages));
        // A copy syncs the log first.
        self.synced = self.synced.max(self.copied);
    }

    /// The same of a sync.
    fn synced(&mut self, pages: u32) {
        self.synced = self.synced.max(pages.min(self.pages));
    }

    fn due(&self, pace: Pace) -> Option<Due> {
        if self.stop {
            Some(Due::Stop)
        } else if self.pages - self.copied >= pace.copy_pages {
            Some(Due::Copy)
        } else if pace.sync_pages > 0 && self.pages - self.synced >= pace.sync_pages {
            Some(Due::Sync)
        } else {
            None
        }
    }

    fn end(&self, pace: Pace) -> End {
        if self.pages < pace.log_pages || self.pages < self.tried + pace.copy_pages {
            End::NotYet
        } else if self.pages >= 2 * pace.log_pages {
            End::Now
        } else if self.pages - self.copied < pace.copy_pages {
            End::IfFree
        } else {
            End::NotYet
        }
    }
}

impl Checkpointer {
    /// Starts the thread for a database.
    pub(super) fn start(path: &Path, pace: Pace, name: &str) -> Result<Checkpointer, StoreError> {
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            pace,
            log: Mutex::default(),
            changed: Condvar::new(),
            copying: Mutex::new(()),
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || for_thread.run())
            .map_err(|error| unavailable(path, &error))?;
        Ok(Checkpointer {
            shared,
            thread: Some(thread),
        })
    }

    /// From now on this connection, the file's only writer, copies nothing at its commits.
    pub(super) fn follow(&self, writer: &mut Connection) -> rusqlite::Result<()> {
        let shared = Arc::clone(&self.shared);
        writer.wal_hook(Some(move |_: &mut Wal, pages| {
            let mut log = locked(&shared.log);
            log.grew(u32::try_from(pages).unwrap_or(0));
            if log.due(shared.pace).is_some() {
                shared.changed.notify_one();
            }
            Ok(())
        }))
    }

    /// Called by the writer between two commits: lets the next one begin the log anew if it is
    /// long and nearly copied, or much too long.
    pub(super) fn shorten(&self, writer: &Connection) {
        let end = locked(&self.shared.log).end(self.shared.pace);
        let copying = match end {
            End::NotYet => return,
            End::IfFree => match self.shared.copying.try_lock() {
                Ok(copying) => copying,
                Err(_) => return,
            },
            End::Now => self.alone(),
        };
        let copied = copy(writer);
        drop(copying);
        let mut log = locked(&self.shared.log);
        log.tried = log.pages;
        // What is in the way here is in the thread's way as well, and it says so.
        if let Ok(pages) = copied {
            log.copied(pages);
        }
    }

    /// Copies what is committed, at once, on a connection of the caller's. A reader may hold a
    /// part of it back.
    pub(super) fn copy_now(&self, connection: &Connection) -> rusqlite::Result<()> {
        let _copying = self.alone();
        copy(connection).map(|_| ())
    }

    /// While the guard lives the thread copies nothing. SQLite does not wait for the second who
    /// wants to copy: it is told that the file is busy.
    pub(super) fn alone(&self) -> MutexGuard<'_, ()> {
        locked(&self.shared.copying)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        locked(&self.shared.log).stop = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing to add.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut connection = None;
        let mut pause = false;
        let mut failed = false;
        loop {
            let (due, pages) = self.wait(pause);
            let done = {
                let _copying = locked(&self.copying);
                match due {
                    Due::Stop => return,
                    Due::Copy => self.copy(&mut connection),
                    Due::Sync => self.sync(pages),
                }
            };
            pause = !matches!(done, Ok(reached) if reached >= pages);
            if let Err(error) = &done
                && !failed
            {
                tracing::warn!(error = %error, "log_not_copied");
            }
            failed = done.is_err();
        }
    }

    /// What is due, and the pages of the log now.
    fn wait(&self, pause: bool) -> (Due, u32) {
        let mut log = locked(&self.log);
        if pause {
            log = self
                .changed
                .wait_timeout_while(log, PAUSE, |log| !log.stop)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        loop {
            if let Some(due) = log.due(self.pace) {
                return (due, log.pages);
            }
            log = self
                .changed
                .wait(log)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Copies; gives how far it came.
    fn copy(&self, connection: &mut Option<Connection>) -> Result<u32, StoreError> {
        let failed = |error: rusqlite::Error| explain(&self.path, &error);
        let ready = match connection.take() {
            Some(ready) => ready,
            // Not the one that makes a file which is missing.
            None => open_reader(&self.path).map_err(failed)?,
        };
        let reached = copy(&ready).map_err(failed)?;
        *connection = Some(ready);
        locked(&self.log).copied(reached);
        Ok(reached)
    }

    /// Syncs what the writer left to the system: a copy that finds all of it unsynced keeps the
    /// disk from everyone else.
    fn sync(&self, pages: u32) -> Result<u32, StoreError> {
        let path = log_of(&self.path);
        File::open(&path)
            .and_then(|file| file.sync_data())
            .map_err(|error| unavailable(&path, &error))?;
        locked(&self.log).synced(pages);
        Ok(pages)
    }
}

/// Copies what no reader needs to find in the log; gives how many of its pages are copied, 0 if
/// somebody else, another process, copies just now.
fn copy(connection: &Connection) -> rusqlite::Result<u32> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok(u32::try_from(row.get::<_, i64>(2)?).unwrap_or(0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    const PACE: Pace = Pace {
        copy_pages: 10,
        sync_pages: 4,
        log_pages: 40,
    };

    #[test]
    fn a_copy_a_sync_and_the_end_of_a_log_are_due_by_its_pages() {
        let mut log = Log::default();
        log.grew(3);
        assert_eq!(log.due(PACE), None);
        log.grew(4);
        assert_eq!(log.due(PACE), Some(Due::Sync));
        log.synced(4);
        assert_eq!(log.due(PACE), None);
        log.grew(10);
        assert_eq!(log.due(PACE), Some(Due::Copy));
        log.grew(12);
        log.copied(11);
        assert_eq!((log.due(PACE), log.synced), (None, 11));
        log.stop = true;
        assert_eq!(log.due(PACE), Some(Due::Stop));

        let mut log = Log::default();
        log.grew(39);
        log.copied(35);
        assert_eq!(log.end(PACE), End::NotYet);
        log.grew(45);
        // Too much is left for the writer.
        assert_eq!(log.end(PACE), End::NotYet);
        log.copied(36);
        assert_eq!(log.end(PACE), End::IfFree);
        log.tried = 45;
        log.grew(54);
        log.copied(54);
        assert_eq!(log.end(PACE), End::NotYet);
        log.grew(55);
        assert_eq!(log.end(PACE), End::IfFree);
        log.grew(80);
        assert_eq!(log.end(PACE), End::Now);
    }

    #[test]
    fn what_was_said_of_a_log_does_not_hold_for_the_next_one() {
        let mut log = Log::default();
        log.grew(50);
        log.copied(50);
        log.tried = 50;
        log.grew(3);
        assert_eq!((log.copied, log.synced, log.tried), (0, 0, 0));
        // A copy of the old log that is reported late.
        log.copied(50);
        assert_eq!(log.copied, 3);
        log.grew(13);
        assert_eq!(log.due(PACE), Some(Due::Copy));
    }

    fn writer(path: &Path) -> (Connection, Checkpointer) {
        let busy = Duration::from_secs(1);
        let mut writer = super::super::connection::open_writer(path, busy).unwrap();
        writer.execute_batch("CREATE TABLE t (a)").unwrap();
        let checkpointer = Checkpointer::start(path, PACE, "copy").unwrap();
        checkpointer.follow(&mut writer).unwrap();
        (writer, checkpointer)
    }

    /// One commit of a page of its own.
    fn commit(writer: &Connection, checkpointer: &Checkpointer) {
        commit_alone(writer);
        checkpointer.shorten(writer);
    }

    fn commit_alone(writer: &Connection) {
        let page = vec![7_u8; 5000];
        writer.execute("INSERT INTO t VALUES (?1)", [page]).unwrap();
    }

    fn pages_of(path: &Path) -> u64 {
        let bytes = std::fs::metadata(path).unwrap().len();
        bytes / u64::from(super::super::connection::PAGE_BYTES)
    }

    #[test]
    fn the_log_stays_short_while_the_writer_never_rests() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let (writer, checkpointer) = writer(&path);
        for _ in 0..1000 {
            commit(&writer, &checkpointer);
        }
        let log = pages_of(&log_of(&path));
        assert!(log < 2 * 40 + 10, "{log} pages");
        let copied = pages_of(&path);
        assert!(copied > 1000 - 2 * 40, "{copied} pages");
        drop(checkpointer);
        let rows: i64 = writer
            .query_row("SELECT count(*) FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(rows, 1000);
    }

    #[test]
    fn what_a_reader_holds_back_is_copied_when_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let (writer, checkpointer) = writer(&path);
        commit(&writer, &checkpointer);
        let reader = open_reader(&path).unwrap();
        let snapshot = reader.unchecked_transaction().unwrap();
        let count = "SELECT count(*) FROM t";
        let rows: i64 = snapshot.query_row(count, [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1);
        for _ in 0..200 {
            commit(&writer, &checkpointer);
        }
        assert!(pages_of(&path) < 10);
        drop(snapshot);
        // Nobody commits any more: the thread comes back by itself.
        let until = Instant::now() + Duration::from_secs(20);
        while pages_of(&path) < 200 {
            assert!(Instant::now() < until, "{} pages", pages_of(&path));
            std::thread::sleep(Duration::from_millis(20));
        }
        for _ in 0..2 {
            commit(&writer, &checkpointer);
        }
        assert!(locked(&checkpointer.shared.log).pages < 40);
    }

    #[test]
    fn a_missing_file_is_not_made_and_ends_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (path, missing) = (dir.path().join("t.db"), dir.path().join("missing.db"));
        let (mut writer, _) = writer(&path);
        let pace = Pace {
            sync_pages: 0,
            ..PACE
        };
        let checkpointer = Checkpointer::start(&missing, pace, "copy").unwrap();
        checkpointer.follow(&mut writer).unwrap();
        for _ in 0..20 {
            commit(&writer, &checkpointer);
        }
        std::thread::sleep(Duration::from_millis(100));
        assert!(!missing.exists());
        drop(checkpointer);
        commit_alone(&writer);
    }
}
