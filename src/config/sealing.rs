//! `[[sealing.key]]`: keys for what is sensitive, and what needs one.

use super::read::Problem;
use super::sections::ConfigFile;
use crate::store::sealing::{KEY_BYTES, Keyring, key_bytes};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// `[sealing]`.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct SealingSection {
    /// Keys; the one with the highest id seals, all of them open.
    pub key: Vec<KeySection>,
}

/// `[[sealing.key]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySection {
    /// From 1; stored with what it seals.
    pub id: u32,
    /// 32 random bytes, as 64 hexadecimal digits or in base64.
    #[serde(deserialize_with = "crate::secret::one")]
    pub key: SecretString,
}

/// The keys of a configuration, and whether what is marked sensitive has one.
pub(super) fn keyring(file: &ConfigFile, problems: &mut Vec<Problem>) -> Keyring {
    let mut keys = Vec::new();
    for section in &file.sealing.key {
        match key_bytes(section.key.expose_secret()) {
            Some(bytes) => keys.push((section.id, bytes)),
            None => problems.push(Problem::of(
                "sealing.key",
                format!(
                    "key {}: {KEY_BYTES} bytes were expected, as 64 hexadecimal digits or in \
                     base64; `openssl rand -hex {KEY_BYTES}` makes one",
                    section.id
                ),
            )),
        }
    }
    if keys.is_empty() {
        let sources = file.source.iter().filter(|s| s.sensitive);
        let rules = file.rule.iter().filter(|r| r.sensitive);
        let routes = file.route.iter().filter(|r| r.sensitive);
        let marked = sources
            .map(|s| format!("source `{}`", s.name))
            .chain(rules.map(|r| format!("rule `{}`", r.name)))
            .chain(routes.map(|r| format!("route `{}`", r.name)));
        for place in marked {
            let what = "sensitive = true needs a key to seal with: [[sealing.key]]";
            problems.push(Problem::of(place, what));
        }
    }
    Keyring::new(keys).unwrap_or_else(|what| {
        problems.push(Problem::of("sealing.key", what));
        Keyring::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sensitive_needs_a_key() {
        let text = "[[source]]\nname = \"hr\"\nkind = \"native\"\nsensitive = true\n\
                    [[rule]]\nname = \"pay\"\nmatch = [\"host=x\"]\nsensitive = true\n\
                    [[route]]\nname = \"closed\"\nsensitive = true\n";
        let file: ConfigFile = toml::from_str(text).unwrap();
        let mut problems = Vec::new();
        assert!(!keyring(&file, &mut problems).can_seal());
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].contains("source `hr`: sensitive = true needs a key"));
    }
}
