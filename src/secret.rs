//! Secrets come from files or systemd credentials, never from the configuration itself.
//!
//! A secret is written `{ file = "/etc/alertbridge/token" }` or `{ credential = "token" }`; the
//! latter is a file of that name in `$CREDENTIALS_DIRECTORY`. It is read when the configuration is
//! read, so that a reload brings a new one in force. Invariant: the value is never printed.

use secrecy::SecretString;
use serde::de::{Deserialize, Deserializer, Error};
use std::path::{Path, PathBuf};

/// Longest secret, bytes.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Where a secret is.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
enum Place {
    /// A file.
    File(PathBuf),
    /// A systemd credential.
    Credential(String),
}

fn read(place: &Place) -> Result<SecretString, String> {
    let path = match place {
        Place::File(path) => path.clone(),
        Place::Credential(name) => {
            if name.is_empty() || name.contains('/') {
                return Err(format!("`{name}` is no credential's name"));
            }
            let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
                format!(
                    "credential `{name}`: $CREDENTIALS_DIRECTORY is not set; use LoadCredential= \
                     in the unit, or `file`"
                )
            })?;
            Path::new(&folder).join(name)
        }
    };
    let shown = path.display();
    let unreadable = |error: std::io::Error| format!("the secret {shown} cannot be read: {error}");
    let size = std::fs::metadata(&path).map_err(unreadable)?.len();
    if size > SECRET_BYTES_MAX {
        return Err(format!(
            "the secret {shown} has {size} bytes; at most {SECRET_BYTES_MAX} are taken"
        ));
    }
    let text = std::fs::read_to_string(&path).map_err(unreadable)?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(format!("the secret {shown} is empty"));
    }
    Ok(text.into())
}

/// Reads one secret; for `#[serde(deserialize_with)]`.
pub fn one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    let place = Place::deserialize(deserializer).map_err(|_| {
        D::Error::custom(
            "a secret is written { file = \"PATH\" } or { credential = \"NAME\" }, never inline",
        )
    })?;
    read(&place).map_err(D::Error::custom)
}

/// Reads a secret that may be missing.
pub fn maybe<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    one(deserializer).map(Some)
}

/// Reads a list of secrets.
pub fn many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SecretString>, D::Error> {
    let places: Vec<Place> = Deserialize::deserialize(deserializer).map_err(|_| {
        D::Error::custom(
            "a list of { file = \"PATH\" } or { credential = \"NAME\" } was expected; secrets are \
             never inline",
        )
    })?;
    let read: Result<Vec<SecretString>, String> = places.iter().map(read).collect();
    read.map_err(D::Error::custom)
}

/// For tests: inline secrets of a text written to files, and the text with their places.
#[cfg(test)]
pub(crate) fn written(text: &str) -> String {
    let inline = regex::Regex::new("(token|password|value|secret)='([^']*)'").unwrap();
    let folder = tempfile::tempdir().unwrap().keep();
    let mut number = 0;
    inline
        .replace_all(text, |found: &regex::Captures| {
            number += 1;
            let path = folder.join(number.to_string());
            std::fs::write(&path, &found[2]).unwrap();
            format!("{}={{file={path:?}}}", &found[1])
        })
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[derive(Debug, serde::Deserialize)]
    struct Holder {
        #[serde(deserialize_with = "one")]
        token: SecretString,
    }

    #[test]
    fn a_secret_comes_from_a_file_and_never_from_the_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "hush\n").unwrap();
        let text = format!("token = {{ file = {path:?} }}");
        let holder: Holder = toml::from_str(&text).unwrap();
        assert_eq!(holder.token.expose_secret(), "hush");
        assert!(!format!("{holder:?}").contains("hush"));
        let inline = toml::from_str::<Holder>("token = \"hush\"").unwrap_err();
        assert!(inline.to_string().contains("never inline"), "{inline}");
        let gone = toml::from_str::<Holder>("token = { file = \"/nowhere/x\" }").unwrap_err();
        assert!(
            gone.to_string().contains("/nowhere/x cannot be read"),
            "{gone}"
        );
    }
}
