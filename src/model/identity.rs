//! Identity: what makes two events speak of the same alert.
//!
//! The *parts* are stored with the alert, together with the version of their encoding, so that a
//! later encoding can re-key open alerts. The key is a hash of the canonical, length-prefixed
//! encoding of the scope and the parts: two different sets of parts never share an encoding.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// Version of [`encode`]. Stored with each alert.
pub const ENCODING_VERSION: u8 = 1;

/// The parts by which a sender tells one problem from another, without the source's scope.
/// Volatile text (values, counters, times) never belongs here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Identity {
    /// The sender's own id of the problem, equal across problem, repeat and recovery.
    Key(String),
    /// The object that has the problem, for senders without an id of their own.
    Object {
        /// Site or tenant, if the sender names one.
        site: String,
        /// Host or device.
        host: String,
        /// Part of the host: interface, disk, power supply.
        component: String,
        /// What is checked.
        check: String,
    },
}

impl Identity {
    /// A key identity, if the text has a letter or a digit: what is left of a placeholder that was
    /// not filled in names nothing.
    pub fn key(text: impl AsRef<str>) -> Option<Identity> {
        let text = text.as_ref().trim();
        text.contains(char::is_alphanumeric)
            .then(|| Identity::Key(text.to_owned()))
    }

    /// An object identity. Needs a host with a letter or a digit, and a component or a check, as in
    /// the native event.
    pub fn object(site: &str, host: &str, component: &str, check: &str) -> Option<Identity> {
        let unseen = |c: char| c.is_whitespace() || c.is_control();
        let host = host.trim();
        let component = component.trim_matches(unseen);
        let check = check.trim_matches(unseen);
        if !host.contains(char::is_alphanumeric) || (component.is_empty() && check.is_empty()) {
            return None;
        }
        Some(Identity::Object {
            site: site.trim().to_owned(),
            host: host.to_owned(),
            component: component.to_owned(),
            check: check.to_owned(),
        })
    }

    /// Its texts: the key, or site, host, component and check, empty where there is none.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        let (parts, count) = match self {
            Identity::Key(key) => ([key.as_str(), "", "", ""], 1),
            Identity::Object {
                site,
                host,
                component,
                check,
            } => ([site.as_str(), host, component, check], 4),
        };
        parts.into_iter().take(count)
    }
}

/// For people: the parts joined by `|`. Not canonical; never hashed or compared.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Key(key) => f.write_str(key),
            Identity::Object {
                site,
                host,
                component,
                check,
            } => {
                if !site.is_empty() {
                    write!(f, "{site}|")?;
                }
                f.write_str(host)?;
                for part in [component, check] {
                    if !part.is_empty() {
                        write!(f, "|{part}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// The hash by which an alert is found: the first 16 bytes of SHA-256 over [`encode`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlertKey(pub [u8; 16]);

impl AlertKey {
    /// The key of `identity` as told by sources of `scope`.
    pub fn of(scope: &str, identity: &Identity) -> AlertKey {
        let digest = Sha256::digest(encode(scope, identity));
        let mut key = [0; 16];
        for (to, from) in key.iter_mut().zip(digest.iter()) {
            *to = *from;
        }
        AlertKey(key)
    }

    /// The key as 32 hexadecimal digits.
    pub fn hex(self) -> String {
        use fmt::Write;
        self.0
            .iter()
            .fold(String::with_capacity(32), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

/// SHA-256 over parts, each with its length before it: no two lists of parts share one.
pub fn hash_of_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// The first half of [`hash_of_parts`], as 32 hexadecimal digits.
pub fn short_hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    hash_of_parts(parts)
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl fmt::Debug for AlertKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

/// The canonical bytes: version, kind, then each part with its length in front.
pub fn encode(scope: &str, identity: &Identity) -> Vec<u8> {
    let text: usize = identity.parts().map(str::len).sum();
    let mut bytes = Vec::with_capacity(64 + scope.len() + text);
    bytes.push(ENCODING_VERSION);
    let mut part = |text: &str| {
        bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        bytes.extend_from_slice(text.as_bytes());
    };
    part(scope);
    part(match identity {
        Identity::Key(_) => "key",
        Identity::Object { .. } => "object",
    });
    identity.parts().for_each(part);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_that_differ_only_by_where_a_boundary_falls_have_different_keys() {
        let one = Identity::object("", "a", "bc", "").unwrap();
        let other = Identity::object("", "ab", "c", "").unwrap();
        assert_ne!(AlertKey::of("s", &one), AlertKey::of("s", &other));
        assert_ne!(AlertKey::of("s", &one), AlertKey::of("t", &one));
    }

    #[test]
    fn the_key_of_stored_alerts_does_not_drift() {
        let identity = Identity::key("problem-1").unwrap();
        assert_eq!(
            AlertKey::of("zabbix", &identity).hex(),
            "c9444cc969247a3cdf00440e96873bec"
        );
    }

    #[test]
    fn an_identity_is_never_empty() {
        assert_eq!(Identity::key("  "), None);
        assert_eq!(Identity::object("", "host", " ", ""), None);
        assert_eq!(Identity::object("", "", "psu", ""), None);
        assert_eq!(Identity::object("", "\u{0}\u{0}", "", "HOST"), None);
        assert_eq!(Identity::object("", "host", "\u{0}", ""), None);
        assert!(Identity::object("", "host", "/", "").is_some());
    }
}
