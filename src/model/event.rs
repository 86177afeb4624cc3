//! The one shape that every sender's message is decoded into.

use super::identity::Identity;
use super::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One observation by a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What the sender says about the problem.
    pub state: EventState,
    /// What makes two events speak of the same alert, within the source's scope.
    pub identity: Identity,
    /// The sender's own id of the problem, as sent.
    pub dedup_key: Option<String>,
    /// The sender's severity word, as sent.
    pub severity: Option<String>,
    /// What the word and the known signals of this sender suggest. Never an S number.
    pub severity_hint: SeverityHint,
    /// One line for people.
    pub summary: String,
    /// Longer text for people.
    pub details: String,
    /// Site, data centre, tenant or organisation.
    pub site: Option<String>,
    /// Host or device.
    pub host: Option<String>,
    /// Part of the host: interface, disk, power supply.
    pub component: Option<String>,
    /// Kind of the component, if the sender's signals tell.
    pub component_kind: Option<ComponentKind>,
    /// What is checked.
    pub check: Option<String>,
    /// A service id of the inventory; never a sender's own word for a service check.
    pub service: Option<String>,
    /// Everything else that the sender names, by name.
    pub labels: BTreeMap<String, String>,
    /// Links back to the sender.
    pub links: Vec<String>,
    /// When the problem began, by the sender's clock.
    pub starts_at: Option<Time>,
    /// When the event expires if it is not repeated (future), or when the problem ended.
    pub ends_at: Option<Time>,
    /// When the sender made this event, or its sequence number as milliseconds; orders the events
    /// of one alert when they arrive out of order.
    pub sent_at: Option<Time>,
    /// What stays the same when the sender numbers the same trouble anew, if it does: the trigger
    /// behind its problem ids.
    pub condition: Option<String>,
    /// A notice about monitoring itself: neither opens nor closes anything.
    pub suppressed: Option<Suppressed>,
    /// The sender's test button.
    pub test: bool,
    /// What was odd about this event: unknown words, unresolved macros, wrong types.
    pub problems: Vec<String>,
}

impl Event {
    /// An event with an identity, a state and a summary; everything else absent.
    pub fn new(state: EventState, identity: Identity, summary: impl Into<String>) -> Event {
        Event {
            state,
            identity,
            dedup_key: None,
            severity: None,
            severity_hint: SeverityHint::Unknown,
            summary: summary.into(),
            details: String::new(),
            site: None,
            host: None,
            component: None,
            component_kind: None,
            check: None,
            service: None,
            labels: BTreeMap::new(),
            links: Vec::new(),
            starts_at: None,
            ends_at: None,
            sent_at: None,
            condition: None,
            suppressed: None,
            test: false,
            problems: Vec::new(),
        }
    }
}

/// What a sender says about a problem, in our words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// Problem, open, trigger, firing, down, update.
    Firing,
    /// A person acknowledged it at the sender.
    Acknowledged,
    /// Recovery, ok, resolve, clear, up.
    Resolved,
    /// Flapping, downtime or unreachable notices, and other words about monitoring itself.
    Info,
}

impl EventState {
    /// The word used in the API and the native event.
    pub const fn word(self) -> &'static str {
        match self {
            EventState::Firing => "firing",
            EventState::Acknowledged => "acknowledged",
            EventState::Resolved => "resolved",
            EventState::Info => "info",
        }
    }
}

/// What the sender's word and signals suggest about the effect.
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum SeverityHint {
    /// Something does not work.
    Outage,
    /// Something works badly.
    Degradation,
    /// A redundant part failed; the whole still works.
    Redundancy,
    /// For information.
    Info,
    /// The sender does not say, or says a word that is not known.
    #[default]
    Unknown,
}

impl SeverityHint {
    /// The word used in the API and in rules.
    pub const fn word(self) -> &'static str {
        match self {
            SeverityHint::Outage => "outage",
            SeverityHint::Degradation => "degradation",
            SeverityHint::Redundancy => "redundancy",
            SeverityHint::Info => "info",
            SeverityHint::Unknown => "unknown",
        }
    }
}

/// Why a notice neither opens nor closes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Suppressed {
    /// The monitor says that the object flaps.
    Flapping,
    /// A maintenance window at the monitor.
    Downtime,
    /// The monitor cannot reach the object because of something in between.
    Unreachable,
}

impl Suppressed {
    /// The word used in the API and the native event.
    pub const fn word(self) -> &'static str {
        match self {
            Suppressed::Flapping => "flapping",
            Suppressed::Downtime => "downtime",
            Suppressed::Unreachable => "unreachable",
        }
    }
}

/// What kind of thing failed, if the sender's signals tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentKind {
    /// A whole host, switch, router or other device.
    Device,
    /// Network interface or port.
    Interface,
    /// Link, circuit, tunnel or transport path.
    Link,
    /// Routing session (BGP, OSPF, ...).
    Session,
    /// Power supply unit.
    PowerSupply,
    /// Power feed, UPS, PDU or generator.
    Power,
    /// Fan or fan tray.
    Fan,
    /// Cooling unit, temperature, humidity.
    Cooling,
    /// Disk or SSD.
    Disk,
    /// RAID array, pool or volume.
    Array,
    /// Controller, supervisor, management module.
    Controller,
    /// Member of a stack, chassis or cluster.
    Member,
    /// CPU, memory, load or another resource of a host.
    Resource,
    /// Certificate or licence.
    Certificate,
    /// Software process, application or website.
    Application,
    /// Backup or replication job.
    Job,
    /// Something else that the sender names.
    Other,
}

impl ComponentKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [ComponentKind; 17] = [
        ComponentKind::Device,
        ComponentKind::Interface,
        ComponentKind::Link,
        ComponentKind::Session,
        ComponentKind::PowerSupply,
        ComponentKind::Power,
        ComponentKind::Fan,
        ComponentKind::Cooling,
        ComponentKind::Disk,
        ComponentKind::Array,
        ComponentKind::Controller,
        ComponentKind::Member,
        ComponentKind::Resource,
        ComponentKind::Certificate,
        ComponentKind::Application,
        ComponentKind::Job,
        ComponentKind::Other,
    ];

    /// The word used in the API, in rules and in the inventory.
    pub const fn word(self) -> &'static str {
        match self {
            ComponentKind::Device => "device",
            ComponentKind::Interface => "interface",
            ComponentKind::Link => "link",
            ComponentKind::Session => "session",
            ComponentKind::PowerSupply => "power_supply",
            ComponentKind::Power => "power",
            ComponentKind::Fan => "fan",
            ComponentKind::Cooling => "cooling",
            ComponentKind::Disk => "disk",
            ComponentKind::Array => "array",
            ComponentKind::Controller => "controller",
            ComponentKind::Member => "member",
            ComponentKind::Resource => "resource",
            ComponentKind::Certificate => "certificate",
            ComponentKind::Application => "application",
            ComponentKind::Job => "job",
            ComponentKind::Other => "other",
        }
    }
}
