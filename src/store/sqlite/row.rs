//! A journal row as it lies on disk. Encoding, compressing and summing happen in the task of the
//! one who appends, so that the writer thread only hands bytes to SQLite. Each row carries a
//! checksum over all its columns and its place.

use super::super::{NewInput, StoreError};
use super::connection::{ReadError, from_sql, to_sql};
use crate::limits;
use crate::model::input::ENCODING_VERSION;
use crate::model::{Input, Sequenced, Time};
use bytes::Bytes;
use crc32fast::Hasher;
use rusqlite::{CachedStatement, Row, params};

/// Set in the version of a row whose payload is compressed.
const COMPRESSED: u8 = 0x80;
/// Payloads up to this size gain nothing, bytes.
const COMPRESSED_BYTES_MIN: usize = 1024;
/// Rows that are not sealed have key 0.
const KEY_NONE: i64 = 0;

/// An input ready to be written. It is bytes alone: the input itself is dropped where it was made,
/// so that its memory is used again at once by the thread that has it in its cache.
pub(super) struct NewRow {
    /// When the bridge accepted it.
    at: Time,
    kind: &'static str,
    /// Where it came from; empty: from the bridge itself.
    pub(super) source: String,
    version: u8,
    payload: Vec<u8>,
    sum: u32,
    raw: Option<NewRaw>,
}

/// A committed input as the tail keeps it.
#[derive(Clone)]
pub(super) struct CommittedRow {
    /// Its place.
    pub(super) seq: u64,
    at: Time,
    version: u8,
    payload: Bytes,
}

struct NewRaw {
    keep: bool,
    size: i64,
    body: Vec<u8>,
    sum: u32,
}

impl NewRow {
    /// Encodes an input and compresses its raw bytes.
    pub(super) fn encode(new: NewInput) -> Result<NewRow, StoreError> {
        let too_large = |what: &str, bytes: usize, most: usize| StoreError::Unreadable {
            what: format!("a new input of kind `{}`", new.input.kind()),
            reason: format!("its {what} has {bytes} bytes, {most} are allowed"),
        };
        let mut payload = Vec::with_capacity(512);
        payload =
            postcard::to_extend(&new.input, payload).map_err(|error| StoreError::Unreadable {
                what: format!("a new input of kind `{}`", new.input.kind()),
                reason: format!("it has no binary form: {error}"),
            })?;
        if payload.len() > limits::INPUT_BYTES_MAX {
            return Err(too_large("content", payload.len(), limits::INPUT_BYTES_MAX));
        }
        let version = if payload.len() < COMPRESSED_BYTES_MIN {
            ENCODING_VERSION
        } else {
            payload = lz4_flex::block::compress_prepend_size(&payload);
            ENCODING_VERSION | COMPRESSED
        };
        let raw = match new.raw {
            None => None,
            Some(bytes) if bytes.len() > limits::RAW_BYTES_MAX => {
                return Err(too_large("raw form", bytes.len(), limits::RAW_BYTES_MAX));
            }
            Some(bytes) => {
                let body = lz4_flex::block::compress(&bytes);
                let size = to_sql(bytes.len() as u64);
                // What waits in quarantine is read again when a person replays it.
                let keep = matches!(new.input, Input::Undecoded(_));
                let sum = sum_of_raw(new.at.0, keep, KEY_NONE, size, &body);
                Some(NewRaw {
                    keep,
                    size,
                    body,
                    sum,
                })
            }
        };
        let (kind, source) = (new.input.kind(), new.input.source().to_owned());
        let sum = sum_of(
            new.at.0,
            kind,
            i64::from(version),
            KEY_NONE,
            &source,
            &payload,
        );
        Ok(NewRow {
            at: new.at,
            kind,
            source,
            version,
            payload,
            sum,
            raw,
        })
    }

    /// Bytes that it takes on disk, without the overhead of a row.
    pub(super) fn bytes(&self) -> u64 {
        (self.payload.len() + self.raw.as_ref().map_or(0, |raw| raw.body.len())) as u64
    }

    /// Writes it at its place.
    pub(super) fn insert(
        &self,
        seq: u64,
        inputs: &mut CachedStatement<'_>,
        raws: &mut CachedStatement<'_>,
    ) -> rusqlite::Result<()> {
        let place = to_sql(seq);
        inputs.execute(params![
            place,
            self.at.0,
            self.kind,
            self.version,
            KEY_NONE,
            self.source,
            self.payload,
            with_place(self.sum, place),
        ])?;
        if let Some(raw) = &self.raw {
            raws.execute(params![
                place,
                self.at.0,
                raw.keep,
                KEY_NONE,
                raw.size,
                raw.body,
                with_place(raw.sum, place),
            ])?;
        }
        Ok(())
    }

    /// As the tail keeps it.
    pub(super) fn committed(self, seq: u64) -> CommittedRow {
        CommittedRow {
            seq,
            at: self.at,
            version: self.version,
            payload: Bytes::from(self.payload),
        }
    }
}

impl CommittedRow {
    /// Bytes that it takes in memory.
    pub(super) fn memory(&self) -> u64 {
        (self.payload.len() + size_of::<CommittedRow>()) as u64
    }

    /// The input in it.
    pub(super) fn read(&self) -> Result<Sequenced, StoreError> {
        let input = decode(&self.payload, self.version & COMPRESSED != 0).map_err(|reason| {
            StoreError::Unreadable {
                what: format!("the input at {}", self.seq),
                reason,
            }
        })?;
        Ok(Sequenced {
            seq: self.seq,
            at: self.at,
            input,
        })
    }
}

/// The input that a payload encodes, or why there is none.
fn decode(payload: &[u8], compressed: bool) -> Result<Input, String> {
    let plain;
    let payload = if compressed {
        let (size, body) =
            lz4_flex::block::uncompressed_size(payload).map_err(|error| error.to_string())?;
        if size > limits::INPUT_BYTES_MAX {
            return Err(format!("it claims to be {size} bytes long"));
        }
        plain = lz4_flex::block::decompress(body, size).map_err(|error| error.to_string())?;
        &plain
    } else {
        payload
    };
    postcard::from_bytes(payload).map_err(|error| error.to_string())
}

/// The statement for [`NewRow::insert`]'s inputs.
pub(super) const INSERT_INPUT: &str = "INSERT INTO inputs \
    (seq, at, kind, version, key_id, source, payload, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
/// The statement for [`NewRow::insert`]'s raw bytes.
pub(super) const INSERT_RAW: &str =
    "INSERT INTO raw (seq, at, keep, key_id, size, body, crc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
/// The columns that [`read_raw`] takes, in its order.
pub(super) const SELECT_RAW: &str = "SELECT at, keep, key_id, size, body, crc FROM raw";
/// The columns that [`read_input`] takes, in its order.
pub(super) const SELECT_INPUTS: &str = "SELECT seq, at, kind, version, key_id, source, payload, crc \
    FROM inputs WHERE seq > ?1 ORDER BY seq LIMIT ?2";

fn sum_of(at: i64, kind: &str, version: i64, key: i64, source: &str, payload: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&at.to_le_bytes());
    hasher.update(&version.to_le_bytes());
    hasher.update(&key.to_le_bytes());
    hasher.update(&(kind.len() as u64).to_le_bytes());
    hasher.update(kind.as_bytes());
    hasher.update(&(source.len() as u64).to_le_bytes());
    hasher.update(source.as_bytes());
    hasher.update(payload);
    hasher.finalize()
}

fn sum_of_raw(at: i64, keep: bool, key: i64, size: i64, body: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(&at.to_le_bytes());
    hasher.update(&[u8::from(keep)]);
    hasher.update(&key.to_le_bytes());
    hasher.update(&size.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// The sum goes on over the row's place, which only the writer knows.
fn with_place(sum: u32, seq: i64) -> u32 {
    let mut hasher = Hasher::new_with_initial(sum);
    hasher.update(&seq.to_le_bytes());
    hasher.finalize()
}

/// A row's place, its source and its bytes, once its sum was found right.
pub(super) struct CheckedRow {
    /// Its place.
    pub(super) seq: u64,
    /// Where it came from; empty: from the bridge itself.
    pub(super) source: String,
    /// Bytes of its payload.
    pub(super) bytes: u64,
}

/// Checks a row's sum without decoding it.
pub(super) fn check_input(row: &Row<'_>) -> Result<CheckedRow, ReadError> {
    let place: i64 = row.get(0)?;
    let kind = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
    let source = row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?;
    let payload = row.get_ref(6)?.as_blob().map_err(rusqlite::Error::from)?;
    let sum = sum_of(row.get(1)?, kind, row.get(3)?, row.get(4)?, source, payload);
    if i64::from(with_place(sum, place)) != row.get::<_, i64>(7)? {
        return Err(ReadError::Damaged(format!(
            "the input at {place} does not match its checksum"
        )));
    }
    Ok(CheckedRow {
        seq: from_sql(place),
        source: source.to_owned(),
        bytes: payload.len() as u64,
    })
}

/// Reads a row, or says what is wrong with it.
pub(super) fn read_input(row: &Row<'_>) -> Result<Sequenced, ReadError> {
    let CheckedRow { seq, .. } = check_input(row)?;
    let unreadable = |reason: String| {
        ReadError::Store(StoreError::Unreadable {
            what: format!("the input at {seq}"),
            reason,
        })
    };
    let version: i64 = row.get(3)?;
    let compressed = version & i64::from(COMPRESSED) != 0;
    if version & !i64::from(COMPRESSED) != i64::from(ENCODING_VERSION) {
        return Err(unreadable(format!(
            "it has encoding version {version}, this program knows {ENCODING_VERSION}"
        )));
    }
    let key: i64 = row.get(4)?;
    if key != KEY_NONE {
        return Err(unreadable(format!(
            "it is sealed with key {key}, which is not here"
        )));
    }
    let payload = row.get_ref(6)?.as_blob().map_err(rusqlite::Error::from)?;
    let input = decode(payload, compressed).map_err(unreadable)?;
    Ok(Sequenced {
        seq,
        at: Time(row.get(1)?),
        input,
    })
}

/// Reads the columns of [`SELECT_RAW`] of the raw bytes at `seq`.
pub(super) fn read_raw(seq: u64, row: &Row<'_>) -> Result<Vec<u8>, ReadError> {
    let (key, size): (i64, i64) = (row.get(2)?, row.get(3)?);
    let body = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
    let sum = sum_of_raw(row.get(0)?, row.get(1)?, key, size, body);
    if i64::from(with_place(sum, to_sql(seq))) != row.get::<_, i64>(5)? {
        return Err(ReadError::Damaged(format!(
            "the raw bytes of the input at {seq} do not match their checksum"
        )));
    }
    let unreadable = |reason: String| {
        ReadError::Store(StoreError::Unreadable {
            what: format!("the raw bytes of the input at {seq}"),
            reason,
        })
    };
    if key != KEY_NONE {
        return Err(unreadable(format!(
            "they are sealed with key {key}, which is not here"
        )));
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > limits::RAW_BYTES_MAX {
        return Err(unreadable(format!("they claim to be {size} bytes long")));
    }
    lz4_flex::block::decompress(body, size).map_err(|error| unreadable(error.to_string()))
}
