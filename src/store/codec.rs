//! How values become bytes: one version byte, then postcard. Engine, API and delivery use it for
//! the bodies that the store keeps without looking into them. A value of an unknown version is
//! refused, never guessed at.

use super::StoreError;
use crate::model::saved::{decode_body, encode_body};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value as bytes. Only values that postcard has no form for (maps or sequences of unknown
/// length) fail; our types have none.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, StoreError> {
    encode_body(value).map_err(|error| StoreError::Unreadable {
        what: format!("a new {}", std::any::type_name::<T>()),
        reason: format!("it has no binary form: {error}"),
    })
}

/// A value from bytes that [`encode`] made.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, StoreError> {
    decode_body(bytes).map_err(|reason| StoreError::Unreadable {
        what: format!("a stored {}", std::any::type_name::<T>()),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_versions_leftovers_and_nothing_are_refused() {
        let mut bytes = encode(&(7_u64, "x")).unwrap();
        assert_eq!(decode::<(u64, String)>(&bytes).unwrap(), (7, "x".into()));
        bytes.push(0);
        assert!(
            decode::<(u64, String)>(&bytes)
                .unwrap_err()
                .to_string()
                .contains("1 bytes are left over")
        );
        bytes[0] = 9;
        assert!(
            decode::<(u64, String)>(&bytes)
                .unwrap_err()
                .to_string()
                .contains("encoding version 9")
        );
        assert!(decode::<u64>(&[]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode::<Vec<(String, Option<u32>)>>(&bytes);
        }

        #[test]
        fn values_come_back(value in prop::collection::vec((any::<String>(), any::<Option<i64>>()), 0..9)) {
            prop_assert_eq!(decode::<Vec<(String, Option<i64>)>>(&encode(&value).unwrap()).unwrap(), value);
        }
    }
}
