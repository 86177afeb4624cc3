//! Checksums of rows. A body on disk is a version byte, a checksum over the row's name, its other
//! columns and the body, then the body as the engine encoded it, or sealed. A garbled row, or one
//! that landed in another place, is found when it is read.

use super::super::StoreError;
use super::super::sealing::Keyring;
use super::connection::ReadError;
use crc32fast::Hasher;
use rusqlite::Row;
use rusqlite::types::ValueRef;

const VERSION: u8 = 1;
/// The body is sealed: the id of the key stands before it.
const VERSION_SEALED: u8 = 2;
const HEAD_BYTES: usize = 5;

/// A column that is covered by its row's checksum.
#[derive(Clone, Copy, Debug)]
pub(super) enum Column<'a> {
    /// A number, or nothing.
    Number(Option<i64>),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Bytes(&'a [u8]),
}

impl From<i64> for Column<'_> {
    fn from(number: i64) -> Self {
        Column::Number(Some(number))
    }
}

impl From<bool> for Column<'_> {
    fn from(flag: bool) -> Self {
        Column::Number(Some(i64::from(flag)))
    }
}

impl<'a> From<&'a str> for Column<'a> {
    fn from(text: &'a str) -> Self {
        Column::Text(text)
    }
}

/// The checksum of a row of a table, as its columns are selected.
pub(super) fn sum_of(table: &str, columns: &[Column<'_>]) -> i64 {
    let mut hasher = Hasher::new();
    hasher.update(table.as_bytes());
    columns.iter().for_each(|column| add(&mut hasher, *column));
    i64::from(hasher.finalize())
}

/// Checks a row whose last column is its [`sum_of`] the others.
pub(super) fn check_row(table: &str, row: &Row<'_>) -> Result<(), ReadError> {
    let last = row.as_ref().column_count().saturating_sub(1);
    let mut hasher = Hasher::new();
    hasher.update(table.as_bytes());
    add_columns(&mut hasher, row, 0, last)?;
    if i64::from(hasher.finalize()) == row.get::<_, i64>(last)? {
        return Ok(());
    }
    let number = match row.get_ref(0)? {
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    };
    Err(ReadError::Damaged(format!(
        "the row of `{table}` for {number} does not match its checksum"
    )))
}

fn add(hasher: &mut Hasher, column: Column<'_>) {
    match column {
        Column::Number(None) => hasher.update(b"n"),
        Column::Number(Some(number)) => {
            hasher.update(b"i");
            hasher.update(&number.to_le_bytes());
        }
        Column::Text(text) => {
            hasher.update(b"t");
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        Column::Bytes(bytes) => {
            hasher.update(b"b");
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(bytes);
        }
    }
}

fn add_columns(
    hasher: &mut Hasher,
    row: &Row<'_>,
    from: usize,
    to: usize,
) -> Result<(), ReadError> {
    for index in from..to {
        let column = match row.get_ref(index)? {
            ValueRef::Null => Column::Number(None),
            ValueRef::Integer(number) => Column::Number(Some(number)),
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Column::Text(text),
                Err(error) => return Err(ReadError::Damaged(format!("a text is broken: {error}"))),
            },
            ValueRef::Blob(bytes) => Column::Bytes(bytes),
            ValueRef::Real(_) => {
                return Err(ReadError::Damaged("a number is no whole one".to_owned()));
            }
        };
        add(hasher, column);
    }
    Ok(())
}

/// Which row a body belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    /// The table.
    pub(super) table: &'static str,
    /// Its number, or 0.
    pub(super) number: i64,
    /// Its text key, or nothing.
    pub(super) key: &'a str,
}

impl<'a> Place<'a> {
    /// A row with a number.
    pub(super) fn number(table: &'static str, number: i64) -> Place<'a> {
        Place {
            table,
            number,
            key: "",
        }
    }

    fn start(self) -> Hasher {
        let mut hasher = Hasher::new();
        hasher.update(self.table.as_bytes());
        hasher.update(&self.number.to_le_bytes());
        add(&mut hasher, Column::Text(self.key));
        hasher
    }

    /// What a sealed body is bound to.
    pub(super) fn bound(self) -> Vec<u8> {
        let Place { table, number, key } = self;
        format!("{table}\u{1f}{number}\u{1f}{key}").into_bytes()
    }

    /// The bytes for the disk; `columns` are the row's other columns.
    pub(super) fn seal(self, columns: &[Column<'_>], body: &[u8]) -> Vec<u8> {
        self.summed(VERSION, columns, body)
    }

    /// The same with the body sealed by a key.
    pub(super) fn lock(
        self,
        columns: &[Column<'_>],
        body: &[u8],
        keys: &Keyring,
    ) -> Result<Vec<u8>, StoreError> {
        let (key, sealed) = keys.seal(&self.bound(), body)?;
        let mut named = key.to_le_bytes().to_vec();
        named.extend_from_slice(&sealed);
        Ok(self.summed(VERSION_SEALED, columns, &named))
    }

    fn summed(self, version: u8, columns: &[Column<'_>], body: &[u8]) -> Vec<u8> {
        let mut hasher = self.start();
        columns.iter().for_each(|column| add(&mut hasher, *column));
        hasher.update(body);
        let mut summed = Vec::with_capacity(HEAD_BYTES + body.len());
        summed.push(version);
        summed.extend_from_slice(&hasher.finalize().to_le_bytes());
        summed.extend_from_slice(body);
        summed
    }

    /// The body in a column of a row, if it is the one that was written there; the columns after
    /// it, up to `end`, are those that it was sealed with.
    pub(super) fn open(
        self,
        row: &Row<'_>,
        column: usize,
        end: usize,
        keys: &Keyring,
    ) -> Result<Vec<u8>, ReadError> {
        let (version, body) = self.read(row, column, end)?;
        if version == VERSION {
            return Ok(body);
        }
        let unreadable = |reason: String| {
            let Place { table, number, key } = self;
            ReadError::Store(StoreError::Unreadable {
                what: format!("the row of `{table}` for {number} {key}"),
                reason,
            })
        };
        match body.split_first_chunk::<4>() {
            Some((key, sealed)) => keys
                .open(u32::from_le_bytes(*key), &self.bound(), sealed)
                .map_err(unreadable),
            None => Err(unreadable("it is cut off".to_owned())),
        }
    }

    /// Whether the body in a column of a row is the one that was written there, and not sealed.
    pub(super) fn is_plain(
        self,
        row: &Row<'_>,
        column: usize,
        end: usize,
    ) -> Result<bool, ReadError> {
        Ok(self.read(row, column, end)?.0 == VERSION)
    }

    fn read(self, row: &Row<'_>, column: usize, end: usize) -> Result<(u8, Vec<u8>), ReadError> {
        let mut hasher = self.start();
        add_columns(&mut hasher, row, column + 1, end)?;
        let sealed = row.get_ref(column)?;
        self.unsum(hasher, sealed.as_blob().map_err(rusqlite::Error::from)?)
    }

    fn unsum(self, mut hasher: Hasher, sealed: &[u8]) -> Result<(u8, Vec<u8>), ReadError> {
        let wrong = |what: &str| {
            let Place { table, number, key } = self;
            ReadError::Damaged(format!("the row of `{table}` for {number} {key} {what}"))
        };
        match sealed.split_first_chunk::<HEAD_BYTES>() {
            Some(([version @ (VERSION | VERSION_SEALED), sum @ ..], body)) => {
                hasher.update(body);
                if hasher.finalize().to_le_bytes() == *sum {
                    Ok((*version, body.to_vec()))
                } else {
                    Err(wrong("does not match its checksum"))
                }
            }
            Some(([version, ..], _)) => Err(wrong(&format!("has the unknown version {version}"))),
            None => Err(wrong("is cut off")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_flipped_bit_and_any_other_place_is_found(
            body in prop::collection::vec(any::<u8>(), 0..200), bit in any::<prop::sample::Index>(),
        ) {
            let place = Place::number("alerts", 7);
            let open = |place: Place<'_>, column: i64, sealed: &[u8]| {
                let mut hasher = place.start();
                add(&mut hasher, column.into());
                place.unsum(hasher, sealed).map(|(_, body)| body)
            };
            let mut sealed = place.seal(&[1.into()], &body);
            prop_assert_eq!(open(place, 1, &sealed).ok(), Some(body));
            prop_assert!(open(place, 0, &sealed).is_err());
            prop_assert!(open(Place::number("alerts", 8), 1, &sealed).is_err());
            prop_assert!(open(Place::number("tickets", 7), 1, &sealed).is_err());
            let bit = bit.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(open(place, 1, &sealed).is_err());
        }
    }
}
