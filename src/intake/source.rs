//! Sources: who may speak to the bridge, under which name, and how it proves it.
//!
//! Configuration gives a list of [`SourceConfig`]; the doors use the [`Sources`] made of it, which
//! is replaced as a whole at a reload. Invariant: a name and a key each lead to one source.

use crate::formats::Decoded;
use crate::formats::mapped::Mapping;
use crate::model::Message;
use crate::model::input::HEARTBEAT;
use crate::model::notice::Author;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// One configured source.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// The name: the path below `/hooks/`, the tag in `alerts+NAME@`, the metric label.
    pub name: String,
    /// The format that decodes it: `alertmanager`, `zabbix`, `native`, `mail`, ...
    pub kind: String,
    /// Proofs of who speaks; any one of them is enough, so that secrets can be rotated.
    #[serde(default)]
    pub credentials: Vec<Credential>,
    /// Address ranges the sender must come from. Empty: any.
    #[serde(default)]
    pub addresses: Vec<ipnet::IpNet>,
    /// Keys that lead to this source at the drop-in receivers: PagerDuty routing keys, Opsgenie
    /// API keys. They prove the sender as well.
    #[serde(default, deserialize_with = "crate::secret::many")]
    pub keys: Vec<SecretString>,
    /// Sources of one scope speak of the same alerts. Default: the source's name.
    #[serde(default)]
    pub identity_scope: Option<String>,
    /// The account whose elements alone this source may raise and clear.
    #[serde(default)]
    pub account: Option<String>,
    /// Most requests or mails a second, averaged; a burst of ten seconds' worth is free.
    #[serde(default)]
    pub rate: Option<u32>,
    /// Its share of the disk budget, percent.
    #[serde(default)]
    pub backlog_share_percent: Option<u8>,
    /// It is expected to speak at least this often; silence opens a ticket.
    #[serde(default, with = "crate::model::time::maybe_duration")]
    pub expect_every: Option<Duration>,
    /// Heartbeats that its senders ping at `/v2/heartbeats/NAME/ping`; silence opens a ticket.
    #[serde(default)]
    pub heartbeats: Vec<HeartbeatConfig>,
    /// The secret by which a challenge (`crc_token`) of the sender is answered.
    #[serde(default, deserialize_with = "crate::secret::maybe")]
    pub challenge: Option<SecretString>,
    /// What fires already at its first contact becomes one list, not one ticket each.
    #[serde(default)]
    pub baseline: bool,
    /// Content that must not leave the bridge.
    #[serde(default)]
    pub sensitive: bool,
    /// The monitor behind it that takes acknowledgements, if it does; the configuration reads it.
    #[serde(default)]
    pub acknowledge: Option<toml::Table>,
    /// The mapping that `kind` names, if it names one; the configuration fills it in.
    #[serde(skip)]
    pub mapping: Option<Arc<Mapping>>,
}

impl SourceConfig {
    /// A source of that name and kind with everything else at its default.
    pub fn new(name: impl Into<String>, kind: impl Into<String>) -> SourceConfig {
        SourceConfig {
            name: name.into(),
            kind: kind.into(),
            credentials: Vec::new(),
            addresses: Vec::new(),
            keys: Vec::new(),
            identity_scope: None,
            account: None,
            rate: None,
            backlog_share_percent: None,
            expect_every: None,
            heartbeats: Vec::new(),
            challenge: None,
            baseline: false,
            sensitive: false,
            acknowledge: None,
            mapping: None,
        }
    }
}

/// A heartbeat of a source.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatConfig {
    /// The name in the path.
    pub name: String,
    /// It is pinged at least this often.
    #[serde(with = "crate::model::time::duration")]
    pub every: Duration,
    /// Conditions of a dead-man alert of the source: as long as it fires that is a ping, and no
    /// problem. Empty: there is none.
    #[serde(default, rename = "match")]
    pub matchers: Vec<String>,
}

/// The name under which a heartbeat of a source is a source itself: it is listed, counted and
/// missed like one. No configured source has a slash in its name.
pub fn heartbeat_source(source: &str, heartbeat: &str) -> String {
    format!("{source}/{heartbeat}")
}

/// One way to prove who speaks. Secrets are resolved by the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Credential {
    /// `Authorization: Bearer TOKEN` (also `Token` or no scheme at all).
    Bearer {
        /// The token.
        #[serde(deserialize_with = "crate::secret::one")]
        token: SecretString,
    },
    /// `Authorization: Basic`.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        #[serde(deserialize_with = "crate::secret::one")]
        password: SecretString,
    },
    /// A header that carries a secret.
    Header {
        /// The header's name.
        name: String,
        /// Its value.
        #[serde(deserialize_with = "crate::secret::one")]
        value: SecretString,
    },
    /// A query parameter that carries a secret, for senders that can set nothing but the URL.
    Query {
        /// The parameter's name.
        name: String,
        /// Its value.
        #[serde(deserialize_with = "crate::secret::one")]
        value: SecretString,
    },
    /// A signature over the body.
    Hmac {
        /// The header that carries the signature.
        header: String,
        /// The shared secret.
        #[serde(deserialize_with = "crate::secret::one")]
        secret: SecretString,
        /// The hash.
        #[serde(default)]
        algorithm: HmacAlgorithm,
        /// How the signature is written.
        #[serde(default)]
        encoding: HmacEncoding,
        /// What stands before it, such as `sha256=` or `v1=`.
        #[serde(default)]
        prefix: String,
        /// A header with the time of signing (Unix seconds), signed in front of the body.
        #[serde(default)]
        timestamp_header: Option<String>,
        /// What stands between that time and the body.
        #[serde(default = "colon")]
        timestamp_separator: String,
        /// Headers whose values are signed behind the body, in this order.
        #[serde(default)]
        appended_headers: Vec<String>,
    },
    /// A field of the body (JSON at its top level, or a form) that carries a secret, for senders
    /// that can set no header.
    Body {
        /// The field's name.
        name: String,
        /// Its value.
        #[serde(deserialize_with = "crate::secret::one")]
        value: SecretString,
    },
    /// The signature of AWS SNS. A subscription to one of the topics is confirmed.
    Sns(super::sns::Expected),
    /// A client certificate that one of the door's `client_roots` signed: this very one, or any
    /// with a name. Without either it proves nothing.
    ClientCertificate {
        /// The SHA-256 of its DER bytes in hexadecimal digits; colons and case do not matter.
        #[serde(default)]
        sha256: Option<String>,
        /// The common name of its subject, or one of its DNS names, for those that are renewed.
        #[serde(default)]
        name: Option<String>,
    },
}

fn colon() -> String {
    ":".to_owned()
}

/// The hash of a signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HmacAlgorithm {
    /// HMAC-SHA-1, which some senders still use.
    Sha1,
    /// HMAC-SHA-256.
    #[default]
    Sha256,
}

/// How a signature is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HmacEncoding {
    /// Hexadecimal digits.
    #[default]
    Hex,
    /// Base64.
    Base64,
}

/// A source as the doors use it.
#[derive(Debug)]
pub struct Source {
    /// Its configuration.
    pub config: SourceConfig,
    /// The scope of its identities.
    pub scope: String,
    /// The name, shared.
    pub name: Arc<str>,
    /// Its place in the table, a key for the rate limiter.
    pub index: u64,
    /// The shortest time between two requests, if limited.
    pub pace: Option<Duration>,
}

impl Source {
    /// The scope of an author's identities: authors of different accounts may use the same names,
    /// and one must not clear what is another's.
    pub fn scope_of(&self, author: Option<&Author>) -> Cow<'_, str> {
        match author.and_then(|author| author.account.as_ref()) {
            Some(account) if self.config.account.is_none() => {
                Cow::Owned(format!("{}/{account}", self.scope))
            }
            _ => Cow::Borrowed(&self.scope),
        }
    }

    /// What a decoded message of this source says, for the journal.
    pub fn message(&self, sender: String, decoded: Decoded) -> Message {
        let own = self.config.account.clone();
        let asked = decoded.author.as_ref().and_then(|a| a.asked.as_ref());
        let sensitive = self.config.sensitive || asked.is_some_and(|asked| asked.sensitive);
        Message {
            source: self.config.name.clone(),
            scope: self.scope_of(decoded.author.as_ref()).into_owned(),
            sender,
            account: own.or_else(|| decoded.author.as_ref()?.account.clone()),
            author: decoded.author,
            events: decoded.events,
            maintenance: decoded.maintenance,
            replies: decoded.replies,
            ignored: decoded.ignored,
            problems: decoded.problems,
            replay_of: None,
            sensitive,
            answerable: decoded.answerable,
        }
    }

    /// Whether anything has to be proven.
    pub fn has_credentials(&self) -> bool {
        !self.config.credentials.is_empty() || !self.config.keys.is_empty()
    }
}

/// Two configured sources claim the same word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceClash {
    /// The same name twice.
    #[error("two sources have the name `{0}`; give each its own")]
    Name(String),
    /// The same heartbeat twice.
    #[error("source `{0}` has two heartbeats of the name `{1}`; give each its own")]
    Heartbeat(String, String),
    /// The same key twice.
    #[error("sources `{0}` and `{1}` have the same key; a key must lead to one source")]
    Key(String, String),
}

/// All sources, by name and by key.
#[derive(Debug, Default)]
pub struct Sources {
    by_name: HashMap<String, Arc<Source>>,
    by_key: HashMap<[u8; 32], Arc<Source>>,
}

impl Sources {
    /// The table of configured sources. `defaults` are names and kinds of sources that exist
    /// unless one of that name is configured: each format under its own name, `prometheus` for
    /// the bare Alertmanager path. They have no credentials and are believed on loopback only.
    pub fn new<'a>(
        configured: Vec<SourceConfig>,
        defaults: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Sources, SourceClash> {
        let mut all: BTreeMap<String, SourceConfig> = BTreeMap::new();
        for source in configured {
            let name = source.name.clone();
            if all.insert(name.clone(), source).is_some() {
                return Err(SourceClash::Name(name));
            }
        }
        for (name, kind) in defaults {
            all.entry(name.to_owned())
                .or_insert_with(|| SourceConfig::new(name, kind));
        }
        let mut sources = Sources::default();
        for (index, (name, config)) in (0u64..).zip(all) {
            let source = Arc::new(Source {
                scope: config.identity_scope.clone().unwrap_or(name.clone()),
                name: Arc::from(name.as_str()),
                index,
                pace: config
                    .rate
                    .filter(|rate| *rate > 0)
                    .map(|rate| Duration::from_secs(1) / rate),
                config,
            });
            for key in &source.config.keys {
                let other = sources.by_key.insert(digest(key), source.clone());
                if let Some(other) = other {
                    return Err(SourceClash::Key(other.name.to_string(), name));
                }
            }
            for heartbeat in &source.config.heartbeats {
                let beating = Arc::new(heartbeat_of(&source, heartbeat));
                let name = beating.config.name.clone();
                if sources.by_name.insert(name, beating).is_some() {
                    return Err(SourceClash::Heartbeat(
                        source.config.name.clone(),
                        heartbeat.name.clone(),
                    ));
                }
            }
            sources.by_name.insert(name, source);
        }
        Ok(sources)
    }

    /// The source of that name.
    pub fn named(&self, name: &str) -> Option<&Arc<Source>> {
        self.by_name.get(name)
    }

    /// The source that a key of a drop-in receiver leads to. Compares digests, so that the time
    /// it takes says nothing about the keys.
    pub fn keyed(&self, key: &str) -> Option<&Arc<Source>> {
        let digest: [u8; 32] = Sha256::digest(key.as_bytes()).into();
        self.by_key.get(&digest)
    }

    /// Every source, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.by_name.values()
    }
}

/// A heartbeat as a source. Who may ping it is proven as the source that it belongs to.
fn heartbeat_of(source: &Source, heartbeat: &HeartbeatConfig) -> Source {
    let name = heartbeat_source(&source.config.name, &heartbeat.name);
    let config = SourceConfig {
        account: source.config.account.clone(),
        backlog_share_percent: source.config.backlog_share_percent,
        sensitive: source.config.sensitive,
        expect_every: Some(heartbeat.every),
        ..SourceConfig::new(name.clone(), HEARTBEAT)
    };
    Source {
        scope: name.clone(),
        name: Arc::from(name.as_str()),
        index: source.index,
        pace: None,
        config,
    }
}

fn digest(key: &SecretString) -> [u8; 32] {
    Sha256::digest(key.expose_secret().as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_source_of_its_own_name() {
        let sources = Sources::new(
            vec![],
            [("zabbix", "zabbix"), ("prometheus", "alertmanager")],
        )
        .unwrap();
        assert_eq!(sources.named("zabbix").unwrap().config.kind, "zabbix");
        assert_eq!(sources.named("zabbix").unwrap().scope, "zabbix");
        assert_eq!(
            sources.named("prometheus").unwrap().config.kind,
            "alertmanager"
        );
        assert!(sources.named("nagios").is_none());
    }

    #[test]
    fn a_key_leads_to_one_source() {
        let mut one = SourceConfig::new("one", "pagerduty_v2");
        one.keys.push("k1".into());
        let mut two = SourceConfig::new("two", "pagerduty_v2");
        two.keys.push("k1".into());
        let sources = Sources::new(vec![one.clone()], []).unwrap();
        assert_eq!(&*sources.keyed("k1").unwrap().name, "one");
        assert!(sources.keyed("k2").is_none());
        assert_eq!(
            Sources::new(vec![one, two], []).unwrap_err().to_string(),
            "sources `one` and `two` have the same key; a key must lead to one source"
        );
    }

    #[test]
    fn unknown_keys_are_errors_and_secrets_are_not_printed() {
        let text = crate::secret::written(
            "name='z'\nkind='zabbix'\n[[credentials]]\ntype='bearer'\ntoken='hush'",
        );
        let config: SourceConfig = toml::from_str(&text).unwrap();
        assert!(!format!("{config:?}").contains("hush"));
        assert!(toml::from_str::<SourceConfig>("name='z'\nkind='z'\nkid=1").is_err());
    }
}
