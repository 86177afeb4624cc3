//! Sealing of sensitive rows: AES-256-GCM with a key that the configuration gives and a random
//! nonce for each row. What is sealed names its key, so that keys can change: the newest seals, the
//! older ones still open. A row is bound to its place; it opens nowhere else.

use super::StoreError;
use arc_swap::ArcSwap;
use base64::Engine as _;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;

/// The keys in force, replaced at a reload.
pub type Keys = Arc<ArcSwap<Keyring>>;

/// Keys by their ids, from 1.
#[derive(Default)]
pub struct Keyring {
    keys: BTreeMap<u32, LessSafeKey>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("ids", &self.keys.keys())
            .finish()
    }
}

/// The bytes of a key as people write it: 64 hexadecimal digits, or base64.
pub fn key_bytes(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let hex = || {
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let (pairs, rest) = digits.as_deref()?.as_chunks::<2>();
        rest.is_empty()
            .then(|| pairs.iter().map(|[high, low]| high * 16 + low).collect())
    };
    let base64 = || base64::engine::general_purpose::STANDARD.decode(text).ok();
    let right = |bytes: &Vec<u8>| bytes.len() == KEY_BYTES;
    hex().filter(right).or_else(|| base64().filter(right))
}

impl Keyring {
    /// A ring with one key that nobody else ever has: what it seals ends with this process.
    pub fn ephemeral() -> Result<Keyring, String> {
        let mut bytes = vec![0; KEY_BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| "the system gives no random bytes".to_owned())?;
        Keyring::new([(1, bytes)])
    }

    /// A ring of these keys; an id of 0 and a wrong length are refused with a sentence.
    pub fn new(keys: impl IntoIterator<Item = (u32, Vec<u8>)>) -> Result<Keyring, String> {
        let mut ring = Keyring::default();
        for (id, bytes) in keys {
            if id == 0 {
                return Err("0 is no id of a key; they count from 1".to_owned());
            }
            let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| {
                format!(
                    "key {id} has {} bytes, {KEY_BYTES} were expected",
                    bytes.len()
                )
            })?;
            if ring.keys.insert(id, LessSafeKey::new(key)).is_some() {
                return Err(format!("key {id} is there twice"));
            }
        }
        Ok(ring)
    }

    /// Whether anything can be sealed.
    pub fn can_seal(&self) -> bool {
        !self.keys.is_empty()
    }

    /// The ids of the keys, lowest first.
    pub fn ids(&self) -> impl Iterator<Item = u32> + '_ {
        self.keys.keys().copied()
    }

    /// Seals with the newest key; gives its id, and nonce and ciphertext together.
    pub(crate) fn seal(&self, place: &[u8], plain: &[u8]) -> Result<(u32, Vec<u8>), StoreError> {
        let failed = |reason: &str| StoreError::Unavailable {
            what: "sealing of sensitive content".to_owned(),
            reason: reason.to_owned(),
        };
        let Some((id, key)) = self.keys.last_key_value() else {
            return Err(failed("there is no key: configure [[sealing.key]]"));
        };
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| failed("the system gives no random bytes"))?;
        let mut body = plain.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(place),
            &mut body,
        )
        .map_err(|_| failed("the cipher refused it"))?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut body);
        Ok((*id, sealed))
    }

    /// Opens what [`Keyring::seal`] made; the error is the reason.
    pub(crate) fn open(&self, id: u32, place: &[u8], sealed: &[u8]) -> Result<Vec<u8>, String> {
        let key = self
            .keys
            .get(&id)
            .ok_or_else(|| format!("it is sealed with key {id}, which [[sealing.key]] lacks"))?;
        let (nonce, body) = sealed
            .split_first_chunk::<NONCE_LEN>()
            .ok_or("it is cut off")?;
        let mut body = body.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let plain = key
            .open_in_place(nonce, Aad::from(place), &mut body)
            .map_err(|_| format!("key {id} does not open it"))?;
        Ok(plain.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ids: &[u8]) -> Keyring {
        let keys = ids.iter().map(|id| (u32::from(*id), vec![*id; KEY_BYTES]));
        Keyring::new(keys).unwrap()
    }

    #[test]
    fn the_newest_key_seals_and_the_older_ones_open() {
        let (id, old) = ring(&[1]).seal(b"place", b"secret").unwrap();
        assert_eq!(id, 1);
        let both = ring(&[1, 2]);
        let (id, new) = both.seal(b"place", b"secret").unwrap();
        assert_eq!(id, 2);
        assert_eq!(both.open(1, b"place", &old).unwrap(), b"secret");
        assert_eq!(both.open(2, b"place", &new).unwrap(), b"secret");
        assert!(!new.windows(6).any(|six| six == b"secret"));
        let gone = ring(&[2]).open(1, b"place", &old).unwrap_err();
        assert!(gone.contains("key 1, which"), "{gone}");
    }

    #[test]
    fn nothing_opens_elsewhere_changed_or_with_another_key() {
        let keys = ring(&[1]);
        let (id, mut sealed) = keys.seal(b"a", b"secret").unwrap();
        assert!(keys.open(id, b"b", &sealed).is_err());
        let other = Keyring::new([(1, vec![9; KEY_BYTES])]).unwrap();
        assert!(other.open(id, b"a", &sealed).is_err());
        let again = keys.seal(b"a", b"secret").unwrap().1;
        assert_ne!(sealed, again, "the same nonce twice");
        sealed[15] ^= 1;
        assert!(keys.open(id, b"a", &sealed).is_err());
        assert!(keys.open(id, b"a", b"short").is_err());
    }

    #[test]
    fn keys_are_hexadecimal_or_base64_and_have_their_length() {
        assert_eq!(key_bytes(&"0f".repeat(32)), Some(vec![15; 32]));
        let base64 = base64::engine::general_purpose::STANDARD.encode([7; 32]);
        assert_eq!(key_bytes(&format!("{base64}\n")), Some(vec![7; 32]));
        for wrong in ["", "00", &"0g".repeat(32), &"00".repeat(31)] {
            assert_eq!(key_bytes(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn bad_keys_are_refused_and_none_seals_nothing() {
        for (keys, why) in [
            (vec![(0, vec![0; 32])], "no id"),
            (vec![(1, vec![0; 31])], "31 bytes"),
            (vec![(1, vec![0; 32]), (1, vec![1; 32])], "twice"),
        ] {
            let error = Keyring::new(keys).err().unwrap();
            assert!(error.contains(why), "{error}");
        }
        let error = Keyring::default().seal(b"", b"x").unwrap_err().to_string();
        assert!(error.contains("[[sealing.key]]"), "{error}");
        assert!(!format!("{:?}", ring(&[7])).contains("7, 7"));
    }
}
