//! Copies of a store, taken while it works, and the way back. The state is copied before the
//! journal and the journal before the desk, so that each copy holds all that the one before it
//! speaks of. A copy is whole once its manifest is there.

use super::super::StoreError;
use super::connection::{
    ReadError, damaged, explain, failed, open_reader, open_writer, set_word, unavailable, word,
};
use super::lock::DirectoryLock;
use super::state::position;
use crate::model::{IncidentId, Time};
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The files of a store, in the order in which they are copied.
pub(super) const FILES: [&str; 3] = ["state.db", "journal.db", "desk.db"];

const MANIFEST: &str = "manifest.json";
const MANIFEST_VERSION: u32 = 1;
const PAGES_AT_ONCE: i32 = 4096;

/// The word under which the state remembers the installation's generation.
pub(super) const GENERATION: &str = "generation";
/// The word that holds delivery until the trackers were looked at after a restore.
pub(super) const RESTORED: &str = "restored_from";
/// The word that says what a restore could not know. It stays.
pub(super) const LOST_TIME: &str = "lost_time";

/// After a restore or a recovery: what came between is not known here, but stands in the trackers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostTime {
    /// When the store was brought back. Tickets that were asked for before may have been made.
    pub until: Time,
    /// The generation whose tickets came between; empty: none did.
    pub generation: String,
    /// The last incident that is known of it.
    pub last_incident: IncidentId,
}

impl LostTime {
    /// Written into a store that begins anew now.
    pub(super) fn write(
        connection: &Connection,
        generation: String,
        last_incident: IncidentId,
    ) -> Result<(), ReadError> {
        let lost = LostTime {
            until: Time::from_timestamp(jiff::Timestamp::now()),
            generation,
            last_incident,
        };
        let text =
            serde_json::to_string(&lost).map_err(|error| ReadError::Damaged(error.to_string()))?;
        set_word(connection, LOST_TIME, &text)
    }

    pub(super) fn read(text: &str) -> Result<LostTime, StoreError> {
        serde_json::from_str(text).map_err(|error| StoreError::Unreadable {
            what: "what a restore could not know".to_owned(),
            reason: error.to_string(),
        })
    }
}

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

/// Copies a store, in use or not, into `target`, a folder that must be empty or missing, and reads
/// the whole copy back. The daemon need not be asked: the files are read as any reader would.
pub fn backup(dir: &Path, target: &Path) -> Result<Manifest, StoreError> {
    super::lock::make(target).map_err(|error| unavailable(target, &error))?;
    let mut entries = std::fs::read_dir(target).map_err(|error| unavailable(target, &error))?;
    if entries.next().is_some() {
        return Err(unavailable(target, &"a backup goes into an empty folder"));
    }
    for name in FILES {
        let source = dir.join(name);
        if !source.is_file() {
            return Err(unavailable(&source, &"there is no store here"));
        }
        let from = open_reader(&source).map_err(|error| explain(&source, &error))?;
        copy_database(&from, &source, &target.join(name))?;
    }
    if let Some(problem) = super::verify::verify(target)?.problems.into_iter().next() {
        return Err(damaged(
            dir,
            format!("the copy holds what was damaged before: {problem}"),
        ));
    }
    let state = target.join("state.db");
    let manifest = with_reader(&state, |connection| {
        Ok(Manifest {
            version: MANIFEST_VERSION,
            generation: word(connection, GENERATION)?.unwrap_or_default(),
            cursor: position(connection)?.0,
            files: Vec::new(),
        })
    })?;
    let files = FILES.map(|name| describe(&target.join(name)));
    let manifest = Manifest {
        files: files.into_iter().collect::<Result<Vec<_>, _>>()?,
        ..manifest
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
/// held until [`release_delivery`].
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
        super::acked::forget(&path)?;
    }
    let copy_of = |name: &str| dir.join(format!("{name}.restoring"));
    for name in FILES {
        copy_back(&manifest, &from.join(name), &copy_of(name), name)?;
    }
    // Before it is a store: one that came back without a new generation could adopt tickets.
    let state = copy_of("state.db");
    let marked = || -> Result<(), ReadError> {
        let mut connection = open_writer(&state, Duration::from_secs(1))?;
        let transaction = connection.transaction()?;
        let last: Option<i64> =
            transaction.query_row("SELECT max(id) FROM incidents", [], |row| row.get(0))?;
        let last = IncidentId(u64::try_from(last.unwrap_or_default()).unwrap_or_default());
        LostTime::write(&transaction, manifest.generation.clone(), last)?;
        set_word(&transaction, RESTORED, &from.display().to_string())?;
        set_word(&transaction, GENERATION, generation)?;
        transaction.commit()?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(())
    };
    marked().map_err(|error| failed(&state, error))?;
    sync(&state)?;
    // The state comes last: without it what is there is refused as incomplete.
    for name in FILES.into_iter().rev() {
        let path = dir.join(name);
        std::fs::rename(copy_of(name), &path).map_err(|error| unavailable(&path, &error))?;
    }
    sync(dir)?;
    Ok(manifest)
}

fn copy_back(
    manifest: &Manifest,
    source: &Path,
    copy: &Path,
    name: &str,
) -> Result<(), StoreError> {
    std::fs::copy(source, copy).map_err(|error| unavailable(copy, &error))?;
    let found = describe(copy)?;
    let right = manifest
        .files
        .iter()
        .any(|file| file.name == name && (file.bytes, file.crc32) == (found.bytes, found.crc32));
    if !right {
        return Err(damaged(
            source,
            "it is not the file that the manifest describes",
        ));
    }
    sync(copy)
}

/// The trackers were looked at after a restore or a recovery: delivery may go on. Also while a
/// daemon runs.
pub fn release_delivery(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join("state.db");
    if !path.is_file() {
        return Err(unavailable(&path, &"there is no store here"));
    }
    let release = || -> Result<(), ReadError> {
        let connection = open_writer(&path, Duration::from_secs(5))?;
        set_word(&connection, RESTORED, "")
    };
    release().map_err(|error| failed(&path, error))
}

/// Reads a file that someone may have in use.
pub(super) fn with_reader<T>(
    path: &Path,
    job: impl FnOnce(&Connection) -> Result<T, ReadError>,
) -> Result<T, StoreError> {
    let connection = open_reader(path).map_err(|error| explain(path, &error))?;
    job(&connection).map_err(|error| failed(path, error))
}

fn read_manifest(from: &Path) -> Result<Manifest, StoreError> {
    let path: PathBuf = from.join(MANIFEST);
    let text = std::fs::read(&path).map_err(|error| unavailable(&path, &error))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| {
        damaged(
            &path,
            format!("it is not the manifest of a backup: {error}"),
        )
    })?;
    if manifest.version > MANIFEST_VERSION {
        return Err(StoreError::Newer {
            file: path.display().to_string(),
            found: i64::from(manifest.version),
            known: i64::from(MANIFEST_VERSION),
        });
    }
    Ok(manifest)
}

/// Makes a file or a folder's names durable.
pub(super) fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| unavailable(path, &error))
}
