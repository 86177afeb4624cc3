//! Bodies on disk: a version byte, a checksum over the row's name and the body, then the body as
//! the engine encoded it. A garbled body, or one that landed in another row, is found when read.

use super::connection::ReadError;
use crc32fast::Hasher;

const VERSION: u8 = 1;
const HEAD_BYTES: usize = 5;

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

    fn sum(self, body: &[u8]) -> [u8; 4] {
        let mut hasher = Hasher::new();
        hasher.update(self.table.as_bytes());
        hasher.update(&self.number.to_le_bytes());
        hasher.update(&(self.key.len() as u64).to_le_bytes());
        hasher.update(self.key.as_bytes());
        hasher.update(body);
        hasher.finalize().to_le_bytes()
    }

    /// The bytes for the disk.
    pub(super) fn seal(self, body: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::with_capacity(HEAD_BYTES + body.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.sum(body));
        sealed.extend_from_slice(body);
        sealed
    }

    /// The body, if it is the one that was written to this place.
    pub(super) fn open(self, sealed: &[u8]) -> Result<Vec<u8>, ReadError> {
        let wrong = |what: &str| {
            let Place { table, number, key } = self;
            ReadError::Damaged(format!("the row of `{table}` for {number} {key} {what}"))
        };
        match sealed.split_first_chunk::<HEAD_BYTES>() {
            Some(([VERSION, sum @ ..], body)) if *sum == self.sum(body) => Ok(body.to_vec()),
            Some(([VERSION, ..], _)) => Err(wrong("does not match its checksum")),
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
            let mut sealed = place.seal(&body);
            prop_assert_eq!(place.open(&sealed).ok(), Some(body));
            prop_assert!(Place::number("alerts", 8).open(&sealed).is_err());
            prop_assert!(Place::number("tickets", 7).open(&sealed).is_err());
            let bit = bit.index(sealed.len() * 8);
            sealed[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(place.open(&sealed).is_err());
        }
    }
}
