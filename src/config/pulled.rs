//! Inventories pulled from NetBox: the section, and the last good copy that is kept on disk. Who
//! asks NetBox, and when, is the daemon's business.

use super::read::Problem;
use super::{Config, inventory_digest};
use crate::intake::senders::{MailTrust, Senders};
use crate::inventory::{Inventory, InventoryFile, Netbox, Problem as Odd};
use crate::model::Time;
use crate::trackers::client::ConnectionConfig;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Pulls are this far apart unless said.
const EVERY: Duration = Duration::from_secs(15 * 60);
/// NetBox is not asked more often.
const EVERY_MIN: Duration = Duration::from_secs(1);
/// Version of the kept copy.
const VERSION: u32 = 1;

/// What was pulled, by the names of the sections.
pub type PulledByName = BTreeMap<String, Arc<Pulled>>;

/// `[netbox.NAME]`: an inventory that is pulled from NetBox's API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetboxSection {
    /// Address of the installation; `/api/` lies below it.
    pub url: Url,
    /// An API token that may read; of either version.
    #[serde(deserialize_with = "crate::secret::one")]
    pub token: SecretString,
    /// How often it is pulled; 15 min unless said.
    #[serde(default, with = "crate::model::time::maybe_duration")]
    pub every: Option<Duration>,
    /// Send the token without TLS to another machine.
    #[serde(default)]
    pub plaintext: bool,
    /// Proxy, certificate authorities, time for one call.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

impl NetboxSection {
    /// How often it is pulled.
    pub fn every(&self) -> Duration {
        self.every.unwrap_or(EVERY)
    }

    /// What only shows once a section was read.
    pub(super) fn check(name: &str, section: &NetboxSection, problems: &mut Vec<Problem>) {
        let mut tell = |key: &str, what: &str| {
            problems.push(Problem::of(format!("netbox.{name}.{key}"), what));
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(plain) {
            tell("", "a name is made of letters, digits, `-` and `_`");
        }
        let local = match section.url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        };
        if section.url.scheme() != "https" && !local && !section.plaintext {
            tell(
                "url",
                "the token would go without TLS; use https, or `plaintext = true` if the network \
                 is trusted",
            );
        }
        if section.every() < EVERY_MIN {
            tell("every", "at least a second was expected");
        }
    }
}

/// What NetBox said, and when.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Copy {
    version: u32,
    pulled_at: Time,
    netbox: Netbox,
}

/// A good answer of NetBox.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// When it was whole.
    pub pulled_at: Time,
    /// The inventory in it.
    pub entries: InventoryFile,
    /// What had to be left out of it.
    pub left_out: Vec<Odd>,
    /// Tells this inventory from another one.
    pub digest: String,
    netbox: Netbox,
}

impl Pulled {
    /// What an answer holds.
    pub fn new(netbox: Netbox, pulled_at: Time) -> Pulled {
        let (entries, left_out) = netbox.entries();
        Pulled {
            pulled_at,
            digest: inventory_digest(&entries),
            entries,
            left_out,
            netbox,
        }
    }

    fn path(dir: &Path, name: &str) -> PathBuf {
        dir.join(format!("netbox-{name}.json"))
    }

    /// The copy that is kept in a data directory, if there is one.
    pub fn kept(dir: &Path, name: &str) -> Result<Option<Pulled>, String> {
        let path = Pulled::path(dir, name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        };
        let wrong = |what: String| format!("{} is no copy of NetBox's: {what}", path.display());
        let copy: Copy =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        if copy.version != VERSION {
            return Err(wrong(format!("version {} is not known", copy.version)));
        }
        Ok(Some(Pulled::new(copy.netbox, copy.pulled_at)))
    }

    /// Keeps it in a data directory in place of the copy before: the whole of it, or not at all.
    pub fn keep(&self, dir: &Path, name: &str) -> std::io::Result<()> {
        let path = Pulled::path(dir, name);
        let partial = path.with_extension("partial");
        let copy = Copy {
            version: VERSION,
            pulled_at: self.pulled_at,
            netbox: self.netbox.clone(),
        };
        let file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&partial)?;
        let mut writer = std::io::BufWriter::new(file);
        serde_json::to_writer(&mut writer, &copy)?;
        writer.flush()?;
        writer.get_ref().sync_all()?;
        std::fs::rename(&partial, &path)?;
        std::fs::File::open(dir)?.sync_all()
    }
}

/// The copies of the configured inventories in a data directory, and what is wrong with others.
pub fn kept_copies(config: &Config, dir: &Path) -> (PulledByName, Vec<String>) {
    let mut copies = PulledByName::new();
    let mut problems = Vec::new();
    for name in config.file.netbox.keys() {
        match Pulled::kept(dir, name) {
            Ok(Some(pulled)) => {
                copies.insert(name.clone(), Arc::new(pulled));
            }
            Ok(None) => problems.push(format!("netbox.{name} was not pulled yet")),
            Err(what) => problems.push(what),
        }
    }
    (copies, problems)
}

impl Config {
    /// Decides by what was pulled as well. Without `[netbox]` nothing changes.
    pub fn take_in(&mut self, pulled: &PulledByName) -> Result<(), Vec<Problem>> {
        if self.file.netbox.is_empty() {
            return Ok(());
        }
        let mut parts = InventoryFile::clone(&self.inventory_parts);
        let mut digest = inventory_digest(&parts);
        let configured = self.file.netbox.keys();
        let configured = configured.filter_map(|name| Some((name, pulled.get(name)?)));
        let mut pulls = Vec::new();
        for (name, pulled) in configured {
            parts.extend(pulled.entries.clone());
            digest.push_str(&pulled.digest);
            pulls.push((format!("netbox.{name}"), pulled.pulled_at));
        }
        let built = Inventory::build(parts).map_err(|found| {
            let told = found.iter();
            told.map(|problem| Problem::of("inventory", problem.to_string()))
                .collect::<Vec<Problem>>()
        })?;
        let contacts = Senders::new(&self.file.mail, built.mail_contacts());
        let senders = contacts.map_err(|found| {
            let told = found.into_iter();
            told.map(|what| Problem::of("mail", what))
                .collect::<Vec<Problem>>()
        })?;
        self.trust = Arc::new(MailTrust {
            senders,
            ..MailTrust::clone(&self.trust)
        });
        self.decisions.inventory = Arc::new(built);
        self.inventory_digest = digest;
        self.inventory_pulls = pulls;
        Ok(())
    }

    /// How old the inventory is, for people; empty: there is none.
    pub fn inventory_age(&self, now: Time) -> String {
        if self.decisions.inventory.is_empty() {
            return String::new();
        }
        let parts = self.inventory_files.iter().chain(&self.inventory_pulls);
        let Some((name, at)) = parts.min_by_key(|(_, at)| *at) else {
            return String::new();
        };
        let more = self.inventory_files.len() + self.inventory_pulls.len() - 1;
        let others = match more {
            0 => String::new(),
            more => format!("; {more} newer part(s)"),
        };
        format!("{name} of {at}, {} old{others}", age(now.since(*at)))
    }
}

fn age(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match (minutes / (24 * 60), minutes / 60, minutes) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, _) => format!("{hours} h"),
        (days, ..) => format!("{days} d"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::NetboxList;

    #[test]
    fn a_kept_copy_comes_back_and_a_broken_one_is_told() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Pulled::kept(dir.path(), "dc").unwrap().is_none());
        let mut netbox = Netbox::default();
        let page = br#"{"count":1,"next":null,"results":[{"id":1,"name":"sw-1"}]}"#;
        netbox.take_page(NetboxList::Devices, page).unwrap();
        let pulled = Pulled::new(netbox, Time(7));
        pulled.keep(dir.path(), "dc").unwrap();
        let back = Pulled::kept(dir.path(), "dc").unwrap().unwrap();
        assert_eq!((back.pulled_at, &back.digest), (Time(7), &pulled.digest));
        assert_eq!(back.entries.element.len(), 1);
        std::fs::write(dir.path().join("netbox-dc.json"), "{").unwrap();
        let told = Pulled::kept(dir.path(), "dc").unwrap_err();
        assert!(told.contains("is no copy of NetBox's"), "{told}");
    }
}
