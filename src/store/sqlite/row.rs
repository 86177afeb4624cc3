//! A journal row as it lies on disk. Encoding, compressing and summing happen in the task of the
//! one who appends, so that the writer thread only hands bytes to SQLite. Each row carries a
//! checksum over all its columns and its place.

use super::super::sealing::Keyring;
use super::super::{NewInput, StoreError};
use super::connection::{ReadError, from_sql, to_sql};
use crate::limits;
use crate::model::input::ENCODING_VERSION;
use crate::model::{Input, Sequenced, Time};
use bytes::Bytes;
use crc32fast::Hasher;
use rusqlite::{CachedStatement, Connection, Row, params};

/// Set in the version of a row whose payload is compressed.
const COMPRESSED: u8 = 0x80;
/// Zeros that stand in for the fields which inputs of older versions did not have.
const SINCE_OLDER: [u8; 16] = [0; 16];
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
    /// The key that its payload and raw bytes are sealed with, or none.
    key: i64,
    version: u8,
    payload: Vec<u8>,
    sum: u32,
    raw: Option<NewRaw>,
}

/// A committed input as the tail keeps it: sealed where it is sealed on disk.
#[derive(Clone)]
pub(super) struct CommittedRow {
    /// Its place.
    pub(super) seq: u64,
    at: Time,
    kind: &'static str,
    key: i64,
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
    pub(super) fn encode(new: NewInput, keys: &Keyring) -> Result<NewRow, StoreError> {
        let too_large = |what: &str, bytes: usize, most: usize| StoreError::Unreadable {
            what: format!("a new input of kind `{}`", new.input.kind()),
            reason: format!("its {what} has {bytes} bytes, {most} are allowed"),
        };
        let mut payload = Vec::with_capacity(1024);
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
        let kind = new.input.kind();
        let sealed = new.input.is_sensitive() || (keys.can_seal() && may_tell(&new.input));
        let mut key = KEY_NONE;
        if sealed {
            (key, payload) = sealed_payload(keys, new.at.0, kind, version, &payload)?;
        }
        let raw = match new.raw {
            None => None,
            Some(bytes) if bytes.len() > limits::RAW_BYTES_MAX => {
                return Err(too_large("raw form", bytes.len(), limits::RAW_BYTES_MAX));
            }
            Some(bytes) => {
                let size = to_sql(bytes.len() as u64);
                let mut body = squeezed(bytes);
                if sealed {
                    body = sealed_raw(keys, new.at.0, size, &body)?.1;
                }
                // What waits in quarantine is read again when a person replays it.
                let keep = matches!(new.input, Input::Undecoded(_));
                let sum = sum_of_raw(new.at.0, keep, key, size, &body);
                Some(NewRaw {
                    keep,
                    size,
                    body,
                    sum,
                })
            }
        };
        let source = new.input.source().to_owned();
        let sum = sum_of(new.at.0, kind, i64::from(version), key, &source, &payload);
        Ok(NewRow {
            at: new.at,
            kind,
            source,
            key,
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
            self.key,
            self.source,
            self.payload,
            with_place(self.sum, place),
        ])?;
        if let Some(raw) = &self.raw {
            raws.execute(params![
                place,
                self.at.0,
                raw.keep,
                self.key,
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
            kind: self.kind,
            key: self.key,
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
    pub(super) fn read(&self, keys: &Keyring) -> Result<Sequenced, StoreError> {
        let version = i64::from(self.version);
        let place = (self.at.0, self.kind, version);
        let input = decode(place, self.key, &self.payload, keys).map_err(|reason| {
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

/// The input that a payload encodes, or why there is none. What is sealed is bound to the time, the
/// kind and the version of its row.
fn decode(
    (at, kind, version): (i64, &str, i64),
    key: i64,
    payload: &[u8],
    keys: &Keyring,
) -> Result<Input, String> {
    let opened;
    let payload = if key == KEY_NONE {
        payload
    } else {
        opened = keys.open(key_id(key), &bound_input(at, kind, version), payload)?;
        &opened
    };
    let plain;
    let payload = if version & i64::from(COMPRESSED) != 0 {
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
    let read = if encoding_of(version) == i64::from(ENCODING_VERSION) {
        postcard::from_bytes(payload)
    } else {
        postcard::from_bytes(&[payload, &SINCE_OLDER].concat())
    };
    read.map_err(|error| error.to_string())
}

/// The version of a row's encoding, without the mark of compression.
fn encoding_of(version: i64) -> i64 {
    version & !i64::from(COMPRESSED)
}

/// Inputs that may repeat words of a sensitive one, which cannot be told from the input alone. They
/// are few, so they are sealed wherever there is a key.
fn may_tell(input: &Input) -> bool {
    matches!(
        input,
        Input::Command { .. } | Input::Person(_) | Input::Seen(_)
    )
}

fn key_id(key: i64) -> u32 {
    u32::try_from(key).unwrap_or(0)
}

/// What a sealed payload is bound to. Its place is not known yet when it is sealed.
fn bound_input(at: i64, kind: &str, version: i64) -> Vec<u8> {
    format!("input\u{1f}{at}\u{1f}{kind}\u{1f}{version}").into_bytes()
}

fn bound_raw(at: i64, size: i64) -> Vec<u8> {
    format!("raw\u{1f}{at}\u{1f}{size}").into_bytes()
}

fn sealed_payload(
    keys: &Keyring,
    at: i64,
    kind: &str,
    version: u8,
    payload: &[u8],
) -> Result<(i64, Vec<u8>), StoreError> {
    let bound = bound_input(at, kind, i64::from(version));
    let (key, sealed) = keys.seal(&bound, payload)?;
    Ok((i64::from(key), sealed))
}

fn sealed_raw(
    keys: &Keyring,
    at: i64,
    size: i64,
    body: &[u8],
) -> Result<(i64, Vec<u8>), StoreError> {
    let (key, sealed) = keys.seal(&bound_raw(at, size), body)?;
    Ok((i64::from(key), sealed))
}

/// Seals a row that was written in the clear, with its raw bytes. A row that is sealed already, or
/// not there any more, stays as it is.
pub(super) fn seal_row(connection: &Connection, seq: u64, keys: &Keyring) -> Result<(), ReadError> {
    let place = to_sql(seq);
    let columns = "SELECT seq, at, kind, version, key_id, source, payload, crc FROM inputs \
                   WHERE seq = ?1 AND key_id = 0";
    let mut statement = connection.prepare_cached(columns)?;
    let mut rows = statement.query([place])?;
    if let Some(row) = rows.next()? {
        check_input(row)?;
        let (at, kind, version): (i64, String, u8) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let (source, payload): (String, Vec<u8>) = (row.get(5)?, row.get(6)?);
        let (key, payload) = sealed_payload(keys, at, &kind, version, &payload)?;
        let sum = sum_of(at, &kind, i64::from(version), key, &source, &payload);
        connection
            .prepare_cached("UPDATE inputs SET key_id = ?2, payload = ?3, crc = ?4 WHERE seq = ?1")?
            .execute(params![place, key, payload, with_place(sum, place)])?;
    }
    let columns = format!("{SELECT_RAW} WHERE seq = ?1 AND key_id = 0");
    let mut statement = connection.prepare_cached(&columns)?;
    let mut rows = statement.query([place])?;
    if let Some(row) = rows.next()? {
        check_raw(seq, row)?;
        let (at, keep, size): (i64, bool, i64) = (row.get(0)?, row.get(1)?, row.get(3)?);
        let body: Vec<u8> = row.get(4)?;
        let (key, body) = sealed_raw(keys, at, size, &body)?;
        let sum = sum_of_raw(at, keep, key, size, &body);
        connection
            .prepare_cached("UPDATE raw SET key_id = ?2, body = ?3, crc = ?4 WHERE seq = ?1")?
            .execute(params![place, key, body, with_place(sum, place)])?;
    }
    Ok(())
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
pub(super) fn read_input(row: &Row<'_>, keys: &Keyring) -> Result<Sequenced, ReadError> {
    let CheckedRow { seq, .. } = check_input(row)?;
    let unreadable = |reason: String| {
        ReadError::Store(StoreError::Unreadable {
            what: format!("the input at {seq}"),
            reason,
        })
    };
    let version: i64 = row.get(3)?;
    if !(1..=i64::from(ENCODING_VERSION)).contains(&encoding_of(version)) {
        return Err(unreadable(format!(
            "it has encoding version {}, this program knows up to {ENCODING_VERSION}",
            encoding_of(version)
        )));
    }
    let kind = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
    let payload = row.get_ref(6)?.as_blob().map_err(rusqlite::Error::from)?;
    let place = (row.get(1)?, kind, version);
    let input = decode(place, row.get(4)?, payload, keys).map_err(unreadable)?;
    Ok(Sequenced {
        seq,
        at: Time(row.get(1)?),
        input,
    })
}

/// Checks the columns of [`SELECT_RAW`] of the raw bytes at `seq` without opening them.
pub(super) fn check_raw(seq: u64, row: &Row<'_>) -> Result<(), ReadError> {
    let (key, size): (i64, i64) = (row.get(2)?, row.get(3)?);
    let body = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
    let sum = sum_of_raw(row.get(0)?, row.get(1)?, key, size, body);
    if i64::from(with_place(sum, to_sql(seq))) != row.get::<_, i64>(5)? {
        return Err(ReadError::Damaged(format!(
            "the raw bytes of the input at {seq} do not match their checksum"
        )));
    }
    Ok(())
}

/// Reads the columns of [`SELECT_RAW`] of the raw bytes at `seq`.
pub(super) fn read_raw(seq: u64, row: &Row<'_>, keys: &Keyring) -> Result<Vec<u8>, ReadError> {
    check_raw(seq, row)?;
    let (key, size): (i64, i64) = (row.get(2)?, row.get(3)?);
    let mut body = row.get_ref(4)?.as_blob().map_err(rusqlite::Error::from)?;
    let unreadable = |reason: String| {
        ReadError::Store(StoreError::Unreadable {
            what: format!("the raw bytes of the input at {seq}"),
            reason,
        })
    };
    let opened;
    if key != KEY_NONE {
        let bound = bound_raw(row.get(0)?, size);
        opened = keys.open(key_id(key), &bound, body).map_err(unreadable)?;
        body = &opened;
    }
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > limits::RAW_BYTES_MAX {
        return Err(unreadable(format!("they claim to be {size} bytes long")));
    }
    if body.len() == size {
        return Ok(body.to_vec());
    }
    lz4_flex::block::decompress(body, size).map_err(|error| unreadable(error.to_string()))
}

/// Raw bytes as they are stored: smaller, or as they are. What has the size of the original is the
/// original.
fn squeezed(bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() < COMPRESSED_BYTES_MIN {
        return bytes;
    }
    let squeezed = lz4_flex::block::compress(&bytes);
    if squeezed.len() < bytes.len() {
        squeezed
    } else {
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Message;

    #[test]
    fn an_input_of_the_first_version_is_read_as_if_zeros_followed() {
        let input = Input::Message(Message::new("mail", "person", Vec::new()));
        let mut payload = postcard::to_stdvec(&input).unwrap();
        // The first version knew nothing of what may be answered.
        assert_eq!(payload.pop(), Some(0));
        let keys = Keyring::default();
        let read =
            |version, payload: &[u8]| decode((0, "message", version), KEY_NONE, payload, &keys);
        assert_eq!(read(1, &payload), Ok(input));
        assert!(read(i64::from(ENCODING_VERSION), &payload).is_err());
    }
}
