//! Texts of the desk on the disk. With a key all of them are sealed, whatever they are about: what
//! people write may repeat what is sensitive, and a ticket may turn out to be so later. A sealed
//! text is bound to its row and column; one that was written before there was a key stays readable.

use super::super::StoreError;
use super::super::sealing::Keyring;
use super::connection::ReadError;
use super::seal::Place;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Stands before what is not the text itself: no text of people begins with it, and one that does is
/// marked.
const MARK: char = '\u{1e}';
const PLAIN: &str = "plain:";
const SEALED: &str = "sealed:";

/// A text as it is stored; the column's name is the key of its place.
pub(super) fn closed(place: Place<'_>, text: &str, keys: &Keyring) -> Result<String, StoreError> {
    if text.is_empty() {
        return Ok(String::new());
    }
    if keys.can_seal() {
        let (id, sealed) = keys.seal(&place.bound(), text.as_bytes())?;
        return Ok(format!("{MARK}{SEALED}{id}:{}", STANDARD.encode(sealed)));
    }
    Ok(if text.starts_with(MARK) {
        format!("{MARK}{PLAIN}{text}")
    } else {
        text.to_owned()
    })
}

/// The text of what [`closed`] made.
pub(super) fn opened(place: Place<'_>, stored: &str, keys: &Keyring) -> Result<String, ReadError> {
    let Some(marked) = stored.strip_prefix(MARK) else {
        return Ok(stored.to_owned());
    };
    if let Some(text) = marked.strip_prefix(PLAIN) {
        return Ok(text.to_owned());
    }
    let unreadable = |reason: String| {
        let Place { table, number, key } = place;
        ReadError::Store(StoreError::Unreadable {
            what: format!("the {key} of the row of `{table}` for {number}"),
            reason,
        })
    };
    let parts = marked
        .strip_prefix(SEALED)
        .and_then(|it| it.split_once(':'));
    let parts =
        parts.and_then(|(id, sealed)| Some((id.parse().ok()?, STANDARD.decode(sealed).ok()?)));
    let Some((id, sealed)) = parts else {
        return Err(unreadable("it is neither a text nor sealed".to_owned()));
    };
    let bytes = keys.open(id, &place.bound(), &sealed).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|_| unreadable("it is no text".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sealing::KEY_BYTES;

    fn place(column: &'static str) -> Place<'static> {
        Place {
            table: "tickets",
            number: 7,
            key: column,
        }
    }

    #[test]
    fn texts_come_back_sealed_or_not_and_open_nowhere_else() {
        let none = Keyring::default();
        let keys = Keyring::new([(1, vec![1; KEY_BYTES])]).unwrap();
        for text in ["", "core-1 is down", "\u{1e}sealed:1:AAAA", "日本語"] {
            for ring in [&none, &keys] {
                let stored = closed(place("body"), text, ring).unwrap();
                assert_eq!(opened(place("body"), &stored, ring).ok().unwrap(), text);
                // What was written before there was a key is read with one.
                let before = closed(place("body"), text, &none).unwrap();
                assert_eq!(opened(place("body"), &before, ring).ok().unwrap(), text);
            }
        }
        let stored = closed(place("body"), "zanzibar", &keys).unwrap();
        assert!(!stored.contains("zanzibar"));
        assert!(opened(place("subject"), &stored, &keys).is_err());
        assert!(opened(place("body"), &stored, &none).is_err());
        assert!(opened(place("body"), "\u{1e}sealed:x", &keys).is_err());
    }
}
