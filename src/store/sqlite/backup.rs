//! Copies of a store, taken while it works, and the way back. The state is copied before the
//! journal and the journal before the desk, so that each copy holds all that the one before it
//! speaks of. A copy is whole once its manifest is there.

use super::super::StoreError;
use super::SqliteStore;
use super::connection::{ReadError, damaged, explain, open_writer, unavailable};
use super::lock::DirectoryLock;
use super::state::{SqliteState, StateOptions, position};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The files of a store, in the order in which they are copied.
pub(super) const FILES: [&str; 3] = ["state.db", "journal.db", "desk.db"];

const MANIFEST: &str = "manifest.json";
const PAGES_AT_ONCE: i32 = 4096;

/// The word under which the state remembers the installation's generation.
pub(super) const GENERATION: &str = "generation";
/// The word that holds delivery until the trackers were looked at after a restore.
pub(super) const RESTORED: &str = "restored_from";

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this file.
    pub version: u32,
    /// The generation of the installation it was taken from.
    pub generation: String,
    /// The engine's cursor in it.
    pub cursor: u64,
    /// Files, their sizes and checksums.
    pub files: Vec<ManifestFile>,
}

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// CRC-32 of its content.
    pub crc32: u32,
}

/// Copies what `from` reads at this moment. The one read transaction holds the moment still: the
/// copy would begin anew with each commit without it.
pub(super) fn copy_database(
    from: &Connection,
    path: &Path,
    target: &Path,
) -> Result<ManifestFile, StoreError> {
    if target.exists() {
        return Err(unavailable(target, &"a file of this name is there already"));
    }
    let at_source = |error: rusqlite::Error| explain(path, &error);
    let snapshot = from.unchecked_transaction().map_err(at_source)?;
    snapshot
        .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
        .map_err(at_source)?;
    {
        let mut to = Connection::open(target).map_err(|error| unavailable(target, &error))?;
        let backup = Backup::new(&snapshot, &mut to).map_err(at_source)?;
        while backup.step(PAGES_AT_ONCE).map_err(at_source)? != StepResult::Done {}
    }
    drop(snapshot);
    let file = File::open(target).map_err(|error| unavailable(target, &error))?;
    file.sync_all()
        .map_err(|error| unavailable(target, &error))?;
    describe(target)
}

fn describe(path: &Path) -> Result<ManifestFile, StoreError> {
    let failed = |error: std::io::Error| unavailable(path, &error);
    let mut hasher = crc32fast::Hasher::new();
    let mut file = File::open(path).map_err(failed)?;
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        let read = std::io::Read::read(&mut file, &mut buffer).map_err(failed)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
            break;
        };
        hasher.update(part);
        bytes += part.len() as u64;
    }
    Ok(ManifestFile {
        name: path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        bytes,
        crc32: hasher.finalize(),
    })
}

/// Copies a store that is in use into `target`, a folder that must be empty or missing.
pub fn backup(store: &SqliteStore, target: &Path) -> Result<Manifest, StoreError> {
    std::fs::create_dir_all(target).map_err(|error| unavailable(target, &error))?;
    let mut entries = std::fs::read_dir(target).map_err(|error| unavailable(target, &error))?;
    if entries.next().is_some() {
        return Err(unavailable(target, &"a backup goes into an empty folder"));
    }
    let [state, journal, desk] = FILES.map(|name| target.join(name));
    store.state.copy_to(&state)?;
    store.journal.copy_to(&journal)?;
    store.desk.copy_to(&desk)?;
    let manifest = Manifest {
        version: 1,
        generation: store.generation()?,
        cursor: cursor_of(&state)?,
        files: [&state, &journal, &desk]
            .into_iter()
            .map(|path| describe(path))
            .collect::<Result<Vec<_>, _>>()?,
    };
    let path = target.join(MANIFEST);
    let text = serde_json::to_vec_pretty(&manifest).map_err(|error| unavailable(&path, &error))?;
    std::fs::write(&path, text).map_err(|error| unavailable(&path, &error))?;
    for path in [path.as_path(), target] {
        sync(path)?;
    }
    Ok(manifest)
}

/// Brings a backup back into `dir`, which must hold no store, as a new generation. Delivery is
/// held until [`SqliteStore::release_delivery`].
pub fn restore(from: &Path, dir: &Path, generation: &str) -> Result<Manifest, StoreError> {
    let manifest = read_manifest(from)?;
    let _lock = DirectoryLock::acquire(dir)?;
    for name in FILES {
        let path = dir.join(name);
        if path.exists() || super::wal::log_of(&path).exists() {
            return Err(unavailable(
                &path,
                &"a store is there already; move it away first",
            ));
        }
    }
    let copies = FILES.map(|name| (from.join(name), dir.join(format!("{name}.restoring"))));
    for (source, copy) in &copies {
        std::fs::copy(source, copy).map_err(|error| unavailable(copy, &error))?;
        let found = describe(copy)?;
        let name = source.file_name().unwrap_or_default().to_string_lossy();
        let right = manifest.files.iter().any(|file| {
            file.name == name && (file.bytes, file.crc32) == (found.bytes, found.crc32)
        });
        if !right {
            return Err(damaged(
                source,
                "it is not the file that the manifest describes",
            ));
        }
        sync(copy)?;
    }
    for ((_, copy), name) in copies.iter().zip(FILES) {
        let path = dir.join(name);
        std::fs::rename(copy, &path).map_err(|error| unavailable(&path, &error))?;
    }
    sync(dir)?;
    let state = SqliteState::open(dir, StateOptions::default())?;
    state.set_word(RESTORED, &from.display().to_string())?;
    state.set_word(GENERATION, generation)?;
    Ok(manifest)
}

fn read_manifest(from: &Path) -> Result<Manifest, StoreError> {
    let path: PathBuf = from.join(MANIFEST);
    let text = std::fs::read(&path).map_err(|error| unavailable(&path, &error))?;
    serde_json::from_slice(&text).map_err(|error| {
        damaged(
            &path,
            format!("it is not the manifest of a backup: {error}"),
        )
    })
}

fn cursor_of(path: &Path) -> Result<u64, StoreError> {
    let sqlite = |error: rusqlite::Error| explain(path, &error);
    let copy = open_writer(path, Duration::from_secs(1)).map_err(sqlite)?;
    match position(&copy) {
        Ok((cursor, _)) => Ok(cursor),
        Err(ReadError::Sqlite(error)) => Err(sqlite(error)),
        Err(ReadError::Damaged(reason)) => Err(damaged(path, reason)),
        Err(ReadError::Store(error)) => Err(error),
    }
}

/// Makes a file or a folder's names durable.
pub(super) fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| unavailable(path, &error))
}
