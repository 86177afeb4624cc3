//! `[watch]`: the bridge watches itself.

use super::read::Problem;
use super::sections::ConfigFile;
use crate::model::Time;
use crate::relay::{Relay, RelayConfig, RelayTls};
use lettre::message::Mailbox;
use secrecy::SecretString;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// `[watch]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchSection {
    /// A dead-man's switch that is called while all is well.
    pub ping_url: Option<url::Url>,
    /// How often; a minute unless said.
    #[serde(with = "crate::model::time::maybe_duration")]
    pub ping_every: Option<Duration>,
    /// How long the store or the engine may be in trouble before people are told.
    #[serde(with = "crate::model::time::duration")]
    pub after: Duration,
    /// How long something must be well again before its ticket is resolved.
    #[serde(with = "crate::model::time::duration")]
    pub clear_after: Duration,
    /// So many messages that go to quarantine within ten minutes are a trouble; 0: never.
    pub quarantine_growth: u64,
    /// Certificates and tokens that end within so many days are a trouble; 0: never.
    pub expiry_days: u32,
    /// Letters that need no store.
    pub mail: Option<WatchMailSection>,
}

impl Default for WatchSection {
    fn default() -> WatchSection {
        WatchSection {
            ping_url: None,
            ping_every: None,
            after: Duration::from_secs(30),
            clear_after: Duration::from_secs(300),
            quarantine_growth: 50,
            expiry_days: 21,
            mail: None,
        }
    }
}

/// `[watch.mail]`: who gets a letter when no ticket can be opened, and which server takes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchMailSection {
    /// Who reads it.
    pub to: Vec<String>,
    /// Who writes it.
    pub from: String,
    /// The mail server. Not the one that the bridge's own mail comes from, if there are two.
    pub host: String,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: RelayTls,
    /// A PEM file of a further certificate authority, relative to the configuration.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The login, if the server wants one.
    #[serde(default)]
    pub user: String,
    /// Its password.
    #[serde(default, deserialize_with = "crate::secret::maybe")]
    pub password: Option<SecretString>,
    /// How often one trouble is told while it lasts.
    #[serde(default = "hourly", with = "crate::model::time::duration")]
    pub every: Duration,
}

fn port() -> u16 {
    587
}

fn hourly() -> Duration {
    Duration::from_secs(3600)
}

/// `[watch.mail]`, ready to send.
pub struct WatchMail {
    /// The server.
    pub relay: Relay,
    /// Who writes.
    pub from: Mailbox,
    /// Who reads.
    pub to: Vec<Mailbox>,
    /// How often one trouble is told while it lasts.
    pub every: Duration,
}

/// Something that ends by itself at a known instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expiring {
    /// A word that stays the same when it is renewed.
    pub key: String,
    /// What it is, for people.
    pub what: String,
    /// When it ends.
    pub at: Time,
}

/// The direct way out, if one is configured.
pub(super) fn mail(
    file: &ConfigFile,
    folder: &Path,
    problems: &mut Vec<Problem>,
) -> Option<Arc<WatchMail>> {
    let section = file.watch.mail.as_ref()?;
    match build(section, folder) {
        Ok(mail) => Some(Arc::new(mail)),
        Err(what) => {
            problems.push(Problem::of("watch.mail", what));
            None
        }
    }
}

fn build(section: &WatchMailSection, folder: &Path) -> Result<WatchMail, String> {
    let mailbox = |key: &str, text: &str| -> Result<Mailbox, String> {
        text.parse()
            .map_err(|error| format!("{key}: `{text}` is no mail address: {error}"))
    };
    let from = mailbox("from", &section.from)?;
    let to: Result<Vec<Mailbox>, String> =
        section.to.iter().map(|text| mailbox("to", text)).collect();
    let to = to?;
    if to.is_empty() {
        return Err("to: at least one address was expected".to_owned());
    }
    let relay = Relay::new(RelayConfig {
        host: section.host.clone(),
        port: section.port,
        tls: section.tls,
        ca_file: section.ca_file.as_ref().map(|path| folder.join(path)),
        user: section.user.clone(),
        password: section.password.clone(),
        domain: from.email.domain().to_owned(),
    })?;
    Ok(WatchMail {
        relay,
        from,
        to,
        every: section.every,
    })
}

/// When the certificates of the doors end. What cannot be read is told by whoever serves with it.
pub(super) fn certificates(file: &ConfigFile, folder: &Path) -> Vec<Expiring> {
    let doors = [
        ("http", &file.http.tls),
        ("smtp", &file.smtp.tls),
        ("lmtp", &file.lmtp.tls),
        ("operators", &file.operators.tls),
    ];
    let mut found = Vec::new();
    for (door, tls) in doors {
        let Some(tls) = tls else { continue };
        let path = folder.join(&tls.certificate);
        let pem = std::fs::read(&path).unwrap_or_default();
        if let Some(at) = ends_at(&pem) {
            found.push(Expiring {
                key: format!("certificate/{door}"),
                what: format!("the certificate of door {door} ({})", path.display()),
                at,
            });
        }
    }
    found
}

/// When the first certificate of a chain ends.
fn ends_at(pem: &[u8]) -> Option<Time> {
    x509_parser::pem::Pem::iter_from_buffer(pem)
        .filter_map(Result::ok)
        .filter_map(|pem| {
            let certificate = pem.parse_x509().ok()?;
            Some(certificate.validity().not_after.timestamp())
        })
        .min()
        .map(Time::from_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_ends_with_its_first_certificate() {
        let certificate = |year: i32| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut wanted = rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            wanted.not_after = rcgen::date_time_ymd(year, 3, 1);
            wanted.self_signed(&key).unwrap().pem()
        };
        let chain = format!("{}{}", certificate(2041), certificate(2031));
        let expected = Time::parse_rfc3339("2031-03-01T00:00:00Z").unwrap();
        assert_eq!(ends_at(chain.as_bytes()), Some(expected));
        assert_eq!(ends_at(b"no certificate"), None);
    }

    #[test]
    fn addresses_are_checked_when_the_configuration_is() {
        let section = |to: &str| {
            let text = format!("to = [{to}]\nfrom = \"b@x.example\"\nhost = \"h\"\ntls = \"none\"");
            build(&toml::from_str(&text).unwrap(), Path::new("."))
        };
        assert!(section("\"noc@x.example\"").is_ok());
        let wrong = section("\"noc\"").err().unwrap();
        assert!(wrong.starts_with("to: `noc` is no mail address"), "{wrong}");
        assert!(section("").is_err());
    }
}
