//! The sections of the configuration that belong to the daemon itself: doors, routes, tokens. The
//! others have their types in their rooms.

use super::pulled::NetboxSection;
use super::read::Problem;
pub use super::sealing::SealingSection;
pub use super::watch::WatchSection;
use crate::delivery::presentation::Original;
use crate::engine::{CameAndWent, CaseTickets, RecurringConfig, Reopen, Settings};
use crate::formats::mapped::MappingConfig;
use crate::intake::mailbox::MailboxConfig;
use crate::intake::redact::OwnPattern;
use crate::intake::senders::MailSection;
use crate::intake::source::SourceConfig;
use crate::intake::tls;
use crate::model::Severity;
use crate::model::command::Role;
use crate::notices::NoticesSection;
use crate::notices::pager::PagerSection;
use crate::notices::plan::section::{ContactSection, PartnerSection};
use crate::rules::Rule;
use crate::sla::section::{CalendarSection, ContractSection, PolicySection};
use crate::store::sqlite::Retention;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The whole configuration as written.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// The webhook door.
    pub http: DoorSection,
    /// The SMTP door.
    pub smtp: MailDoorSection,
    /// The LMTP door.
    pub lmtp: MailDoorSection,
    /// The operators' door.
    pub operators: OperatorsSection,
    /// Who may speak by mail.
    pub mail: MailSection,
    /// What is masked before it is stored, beside passwords, tokens and keys.
    pub redact: Vec<OwnPattern>,
    /// Mailboxes that the bridge reads itself.
    pub mailbox: Vec<MailboxConfig>,
    /// How long things are held and what counts as too much.
    pub engine: Settings,
    /// Who may speak.
    pub source: Vec<SourceConfig>,
    /// Mappings for senders that are not known, by name; a source's `kind` names one.
    pub mapping: BTreeMap<String, MappingConfig>,
    /// Ordered rules.
    pub rule: Vec<Rule>,
    /// Where tickets go.
    pub route: Vec<RouteSection>,
    /// Ticket systems beside the built-in desk, by name.
    pub tracker: BTreeMap<String, toml::Table>,
    /// Maintenance windows that come again.
    pub maintenance: Vec<RecurringConfig>,
    /// Inventory files (`.toml` or `.csv`), relative to this file.
    pub inventory: Vec<String>,
    /// Inventories that are pulled from NetBox, by name.
    pub netbox: BTreeMap<String, NetboxSection>,
    /// Files with mail templates of one's own, relative to this file.
    pub mail_templates: Vec<String>,
    /// Who is told, and by which server.
    pub notices: NoticesSection,
    /// Our own people, by name.
    pub contact: BTreeMap<String, ContactSection>,
    /// What calls them, by name.
    pub pager: BTreeMap<String, PagerSection>,
    /// What partners want, by their account.
    pub partner: BTreeMap<String, PartnerSection>,
    /// Keys for what is sensitive.
    pub sealing: SealingSection,
    /// Watching the bridge itself.
    pub watch: WatchSection,
    /// How many days things are kept.
    pub retention: Retention,
    /// Files with calendars, policies and contracts, relative to this file.
    pub sla: Vec<String>,
    /// When time counts.
    pub calendar: BTreeMap<String, CalendarSection>,
    /// Targets by severity.
    pub policy: BTreeMap<String, PolicySection>,
    /// Agreements.
    pub contract: BTreeMap<String, ContractSection>,
    /// The contract of accounts that have none of their own.
    pub default_contract: Option<String>,
}

impl ConfigFile {
    /// From the merged content of all files.
    pub fn deserialize_from(table: toml::Table) -> Result<ConfigFile, toml::de::Error> {
        ConfigFile::deserialize(table)
    }

    /// Names of the trackers that routes may name.
    pub fn tracker_names(&self) -> BTreeSet<String> {
        let mut names: BTreeSet<String> = self.tracker.keys().cloned().collect();
        names.insert("desk".to_owned());
        names
    }
}

/// `[http]`.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct DoorSection {
    /// Address and port; port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// Certificate and key.
    pub tls: Option<TlsSection>,
    /// Serve off loopback without TLS.
    pub plaintext: bool,
    /// Proxies that are believed when they name the client.
    pub trusted_proxies: Vec<ipnet::IpNet>,
}

/// `[smtp]`, `[lmtp]`.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct MailDoorSection {
    /// Address and port; port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// Certificate and key, for STARTTLS.
    pub tls: Option<TlsSection>,
    /// Serve off loopback without TLS.
    pub plaintext: bool,
    /// The name in greetings.
    pub hostname: Option<String>,
    /// Domains whose mail is taken; empty: any.
    pub domains: Vec<String>,
    /// The source of mail whose recipient names none that is known.
    pub default_source: Option<String>,
}

/// `tls = { ... }` of a door.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsSection {
    /// A PEM file with the certificate chain, relative to the configuration.
    pub certificate: PathBuf,
    /// The private key in PEM.
    #[serde(deserialize_with = "crate::secret::one")]
    pub key: SecretString,
    /// A PEM file with the roots of client certificates.
    #[serde(default)]
    pub client_roots: Option<PathBuf>,
}

/// `[operators]`.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct OperatorsSection {
    /// Address and port; port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// Certificate and key.
    pub tls: Option<TlsSection>,
    /// Serve off loopback without TLS.
    pub plaintext: bool,
    /// Names by which the door is called, beside its addresses and `localhost`.
    pub hosts: Vec<String>,
    /// Where people reach the board, for links in tickets.
    pub url: Option<url::Url>,
    /// Who may do what over TCP.
    pub token: Vec<TokenSection>,
    /// How many of the clocks that are due soonest `/metrics` shows by themselves, each with the number
    /// of its incident; 0 to 20.
    pub soonest_clocks: usize,
}

/// `[[operators.token]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSection {
    /// Who it is, for the journal.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The token.
    #[serde(deserialize_with = "crate::secret::one")]
    pub token: SecretString,
    /// May see sensitive content; an administrator may anyhow.
    #[serde(default)]
    pub sensitive: bool,
}

/// `[[route]]`.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct RouteSection {
    /// Its name.
    pub name: String,
    /// Conditions, of which all must hold.
    #[serde(rename = "match")]
    pub matchers: Vec<String>,
    /// Severities that it takes; empty: all.
    pub severities: Vec<Severity>,
    /// The tracker; the desk unless said.
    pub tracker: Option<String>,
    /// Where inside the tracker.
    pub queue: String,
    /// Decide and explain, but write only to the desk.
    pub shadow: bool,
    /// Also try the routes that follow.
    #[serde(rename = "continue")]
    pub further: bool,
    /// The route that takes an S1 or S2 while the tracker is down.
    pub fallback: String,
    /// Label or field names by which alerts without a known element are grouped.
    pub group_by: Vec<String>,
    /// What becomes of a ticket whose problem comes back: `always`, `never`, `new_and_link` or
    /// `{ within = "2h" }`.
    pub reopen: Reopen,
    /// What becomes of a problem that ended before its tracker took the ticket: `nothing` or
    /// `closed_ticket`.
    pub came_and_went: CameAndWent,
    /// Which cases get a ticket of their own that the customer sees: `never`, `on_report`,
    /// `always`.
    pub case_tickets: CaseTickets,
    /// The tracker of those tickets; the route's unless said.
    pub case_tracker: String,
    /// Where inside that tracker.
    pub case_queue: String,
    /// What goes through it must not leave the bridge.
    pub sensitive: bool,
    /// Whether the alert goes with the ticket as it was received: `no`, `link`, `attach`.
    pub original: Original,
    /// A template of the requestor, as `noc+{{ account }}@example.net`; the tracker's default
    /// unless said.
    pub requestor: String,
    /// A template of the type of ticket, in the tracker's words; its default unless said.
    #[serde(rename = "type")]
    pub kind: String,
    /// Templates of who is told of changes: a name or address each.
    pub watchers: Vec<String>,
    /// Templates of custom fields, by the tracker's name of each.
    pub fields: BTreeMap<String, String>,
    /// A template of the subject; the incident's title unless said.
    pub subject: String,
    /// A template of the text; the shipped one of the language unless said.
    pub body: String,
    /// A file with that template, beside the configuration.
    pub body_file: String,
    /// The language of its tickets: `en`, `ja` or `fr`.
    pub language: String,
}

/// TLS of the doors that have it, ready for handshakes.
#[derive(Clone, Default)]
pub struct DoorsTls {
    /// Of the webhook door.
    pub http: Option<rustls::ServerConfig>,
    /// Of the SMTP door.
    pub smtp: Option<rustls::ServerConfig>,
    /// Of the LMTP door.
    pub lmtp: Option<rustls::ServerConfig>,
    /// Of the operators' door.
    pub operators: Option<rustls::ServerConfig>,
}

impl DoorsTls {
    /// Reads the files that the sections name.
    pub(super) fn read(file: &ConfigFile, folder: &Path, problems: &mut Vec<Problem>) -> DoorsTls {
        let mut one = |name: &str, section: &Option<TlsSection>| {
            let section = section.as_ref()?;
            match section.read(folder) {
                Ok(tls) => Some(tls),
                Err(what) => {
                    problems.push(Problem::of(format!("{name}.tls"), what));
                    None
                }
            }
        };
        DoorsTls {
            http: one("http", &file.http.tls),
            smtp: one("smtp", &file.smtp.tls),
            lmtp: one("lmtp", &file.lmtp.tls),
            operators: one("operators", &file.operators.tls),
        }
    }
}

impl TlsSection {
    fn read(&self, folder: &Path) -> Result<rustls::ServerConfig, String> {
        let pem = |path: &PathBuf| {
            let path = folder.join(path);
            std::fs::read(&path)
                .map_err(|error| format!("{} cannot be read: {error}", path.display()))
        };
        let certificate = pem(&self.certificate)?;
        let roots = self.client_roots.as_ref().map(pem).transpose()?;
        let key = self.key.expose_secret().as_bytes();
        tls::server_config(&certificate, key, roots.as_deref()).map_err(|error| error.to_string())
    }
}
