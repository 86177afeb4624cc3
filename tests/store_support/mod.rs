//! What the tests of the store share.
#![allow(dead_code)]

use alertbridge::model::{Event, EventState, Identity, Input, Message, Time};
use alertbridge::store::sqlite::{SqliteStore, StoreOptions};
use alertbridge::store::{Journal, NewInput, StoreError};
use std::path::{Path, PathBuf};
use std::process::Command;
use tokio::runtime::Runtime;

/// The verb that every message about damage names.
pub const VERB: &str = "alertbridge recover";

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

pub fn open(dir: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(dir, StoreOptions::default(), "generation-1")
}

/// A message of one event whose details have so many bytes that do not compress.
pub fn message(key: &str, bytes: usize) -> Input {
    let mut event = Event::new(
        EventState::Firing,
        Identity::key(key).unwrap(),
        format!("{key} is down"),
    );
    event.details = noise(bytes);
    Input::Message(Message::new("s", "native", vec![event]))
}

/// Text that no compressor makes small; the same for the same length.
pub fn noise(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ bytes as u64;
    (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'a' + (state % 26) as u8)
        })
        .collect()
}

pub fn new_input(at: Time, input: Input, raw: Option<Vec<u8>>) -> NewInput {
    NewInput { at, input, raw }
}

/// Appends one message; its place.
pub fn append(
    store: &SqliteStore,
    runtime: &Runtime,
    key: &str,
    bytes: usize,
) -> Result<u64, StoreError> {
    let input = new_input(
        Time(1_700_000_000_000),
        message(key, bytes),
        Some(key.as_bytes().to_vec()),
    );
    runtime
        .block_on(store.journal.append(vec![input], Vec::new()))
        .map(|places| places[0])
}

/// The key of each message in the journal, in order of places from 1.
pub fn keys(store: &SqliteStore) -> Result<Vec<String>, StoreError> {
    let mut keys = Vec::new();
    loop {
        let rows = store.journal.read(keys.len() as u64, 1000)?;
        if rows.is_empty() {
            return Ok(keys);
        }
        for row in rows {
            assert_eq!(row.seq, keys.len() as u64 + 1, "places have no gaps");
            keys.push(match row.input {
                Input::Message(message) => message.events[0]
                    .summary
                    .trim_end_matches(" is down")
                    .to_owned(),
                other => other.kind().to_owned(),
            });
        }
    }
}

/// Copies the files of a store, its locks' index left out, as a copy of a disk would.
pub fn copy_store(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if entry.file_type().unwrap().is_file() && !name.to_string_lossy().ends_with("-shm") {
            std::fs::copy(entry.path(), to.join(name)).unwrap();
        }
    }
}

/// A file system of its own, unmounted at the end.
pub struct Mount {
    pub dir: tempfile::TempDir,
    pub path: PathBuf,
}

impl Mount {
    /// A small disk in memory; without the right to mount one, says so and gives nothing.
    pub fn tmpfs(test: &str, size: &str) -> Option<Mount> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(&path)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Mount { dir, path }),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                eprintln!("NOT RUN: {test}: no tmpfs can be mounted here: {why}");
                None
            }
            Err(error) => {
                eprintln!("NOT RUN: {test}: no `mount`: {error}");
                None
            }
        }
    }

    /// Mounts it again with other options.
    pub fn remount(&self, options: &str) -> bool {
        Command::new("mount")
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.path)
            .status()
            .is_ok_and(|status| status.success())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

pub mod daemon;
