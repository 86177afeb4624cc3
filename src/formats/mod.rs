//! Bytes → [`Decoded`]. Pure: no I/O, no clock, no state; formats know nothing of each other.
//!
//! A sender is one file here, one line in [`ALL`] and one folder of fixtures. Everything else
//! (route, configuration kind, detection, metric label, documentation row, fuzz target, golden
//! tests) follows from the registry line.

mod alertmanager;
mod aruba;
mod auvik;
mod azure;
mod betterstack;
pub mod body;
mod botkube;
mod centreon;
mod checkmk;
mod cloudevents;
mod cloudflare;
mod cloudvision;
mod codes;
mod datadog;
pub mod draft;
mod elastalert;
pub mod fields;
mod fortigate;
mod gcp;
mod grafana;
mod graylog;
mod healthchecks;
mod icinga2;
mod icinga_notifications;
mod kapacitor;
mod kibana;
mod librenms;
mod logicmonitor;
mod loginsight;
pub mod mail;
pub mod mapped;
mod meraki;
mod mist;
mod mon;
mod monit;
mod munin;
mod nagios;
mod native;
mod netdata;
mod newrelic;
mod notification;
mod nut;
mod observium;
mod ome;
mod oneview;
mod ontap;
mod opennms;
mod opmanager;
mod opsgenie;
mod pagerduty;
mod paloalto;
mod pingdom;
mod proxmox;
mod prtg;
mod redfish;
mod robusta;
mod sensu;
mod sentry;
pub mod signals;
mod site24x7;
mod snmptrap;
mod sns;
mod solarwinds;
mod splunk;
mod statuscake;
mod statuspage;
mod synology;
mod syslog;
mod truenas;
mod unifi;
mod uptimekuma;
mod uptimerobot;
pub mod view;
mod vrops;
mod whatsupgold;
pub mod words;
mod xymon;
mod zabbix;

use crate::limits::EVENTS_PER_MESSAGE_MAX;
pub use crate::model::notice::{
    Author, MaintenanceImpact, MaintenanceNotice, MaintenanceObject, MaintenanceStatus,
    MaintenanceWindow, Reply,
};
use crate::model::{Event, Time};
use serde::{Deserialize, Serialize};

/// The senders over HTTP, in the order of the documentation.
pub static ALL: &[&dyn Format] = &[
    &native::Native,
    &alertmanager::Alertmanager,
    &grafana::Grafana,
    &zabbix::Zabbix,
    &nagios::Nagios,
    &icinga2::Icinga2,
    &icinga_notifications::IcingaNotifications,
    &checkmk::Checkmk,
    &librenms::Librenms,
    &prtg::Prtg,
    &solarwinds::Solarwinds,
    &meraki::Meraki,
    &mist::Mist,
    &redfish::Redfish,
    &logicmonitor::Logicmonitor,
    &auvik::Auvik,
    &opmanager::Opmanager,
    &centreon::Centreon,
    &opennms::Opennms,
    &observium::Observium,
    &proxmox::Proxmox,
    &ontap::Ontap,
    &snmptrap::Snmptrap,
    &syslog::Syslog,
    &whatsupgold::Whatsupgold,
    &aruba::Aruba,
    &unifi::Unifi,
    &fortigate::Fortigate,
    &paloalto::Paloalto,
    &cloudvision::Cloudvision,
    &ome::Ome,
    &oneview::Oneview,
    &vrops::Vrops,
    &loginsight::Loginsight,
    &truenas::Truenas,
    &synology::Synology,
    &monit::Monit,
    &xymon::Xymon,
    &munin::Munin,
    &mon::Mon,
    &nut::Nut,
    &sns::Sns,
    &azure::Azure,
    &gcp::Gcp,
    &pagerduty::PagerDuty,
    &opsgenie::Opsgenie,
    &datadog::Datadog,
    &newrelic::NewRelic,
    &sentry::Sentry,
    &netdata::Netdata,
    &uptimekuma::UptimeKuma,
    &healthchecks::Healthchecks,
    &uptimerobot::UptimeRobot,
    &pingdom::Pingdom,
    &statuscake::StatusCake,
    &betterstack::BetterStack,
    &site24x7::Site24x7,
    &kibana::Kibana,
    &elastalert::ElastAlert,
    &graylog::Graylog,
    &splunk::Splunk,
    &kapacitor::Kapacitor,
    &sensu::Sensu,
    &robusta::Robusta,
    &botkube::Botkube,
    &cloudflare::Cloudflare,
    &statuspage::Statuspage,
    &cloudevents::CloudEvents,
];

/// The sender of that registry name.
pub fn by_name(name: &str) -> Option<&'static dyn Format> {
    ALL.iter().copied().find(|format| format.name() == name)
}

/// The sender that a message looks like. [`Detection::Certain`] beats [`Detection::Possible`];
/// among equals the first in [`ALL`] wins.
pub fn detect(request: &Request) -> Option<&'static dyn Format> {
    let mut possible = None;
    for format in ALL.iter().copied() {
        match format.detect(request) {
            Detection::Certain => return Some(format),
            Detection::Possible => possible = possible.or(Some(format)),
            Detection::No => {}
        }
    }
    possible
}

/// Decodes a message as that sender's, within the bounds of [`crate::limits`].
pub fn decode_as(name: &str, request: &Request) -> Result<Decoded, Undecodable> {
    let format = by_name(name).ok_or_else(|| {
        Undecodable::because(format!(
            "`{name}` is not a sender; `docs/senders.md` lists them"
        ))
    })?;
    decode(format, request)
}

/// The same with the sender in hand.
pub fn decode(format: &dyn Format, request: &Request) -> Result<Decoded, Undecodable> {
    let decoded = format.decode(request);
    decoded
        .map(within_bounds)
        .map_err(|error| broken(request, error))
}

/// A decoded message cut to the bounds of [`crate::limits`].
fn within_bounds(mut decoded: Decoded) -> Decoded {
    let count = decoded.events.len();
    if count > EVENTS_PER_MESSAGE_MAX {
        decoded.events.truncate(EVENTS_PER_MESSAGE_MAX);
        decoded.problems.push(format!(
            "{count} events; the first {EVENTS_PER_MESSAGE_MAX} were taken: let the sender split its messages"
        ));
    }
    decoded.events.iter_mut().for_each(draft::bound);
    for notice in &mut decoded.maintenance {
        notice.leave_out_backward_windows();
        notice.summary = crate::model::text::one_line(&notice.summary);
    }
    decoded
}

/// A body that only looks like JSON or XML explains why nothing was found in it.
fn broken(request: &Request, mut error: Undecodable) -> Undecodable {
    if let Ok(body) = body::read(request)
        && let (body::Kind::Text, Some(why)) = (body.kind, body.repaired)
    {
        error.reason = format!("{why}: {}", error.reason);
    }
    error
}

/// One request as a door received it: authenticated, within limits, decompressed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// `GET`, `POST`, ...
    pub method: &'a str,
    /// The path as sent, without the query.
    pub path: &'a str,
    /// The query without `?`; empty if there is none.
    pub query: &'a str,
    /// Header names in lower case, values as text (not UTF-8: replaced).
    pub headers: &'a [(String, String)],
    /// The body, decompressed.
    pub body: &'a [u8],
    /// When the door accepted the request.
    pub received_at: Time,
}

impl<'a> Request<'a> {
    /// A body of which nothing else is known.
    pub fn bare(body: &'a [u8], received_at: Time) -> Request<'a> {
        Request {
            method: "POST",
            path: "/",
            query: "",
            headers: &[],
            body,
            received_at,
        }
    }

    /// The first header of that (lower case) name.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 is replaced.
    pub fn text(&self) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.body)
    }
}

/// How sure a format is that a message is its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detection {
    /// Not this sender.
    No,
    /// The shape fits, but another sender's may as well.
    Possible,
    /// A field, header or path that only this sender has.
    Certain,
}

/// One sender over HTTP.
pub trait Format: Sync {
    /// The registry name: the source kind, the default path below `/hooks/`, the metric label.
    fn name(&self) -> &'static str;

    /// What the documentation table says.
    fn about(&self) -> About;

    /// Whether a message is this sender's. Cheap; looks at markers, decodes nothing.
    fn detect(&self, request: &Request) -> Detection;

    /// A problem and its recovery as this sender sends them, marked as a test where the sender has
    /// such a mark, for `alertbridge test source`.
    fn test_messages(&self) -> Option<[&'static str; 2]> {
        None
    }

    /// The message in our words. An error means that nothing could be made of it.
    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable>;
}

/// The documentation row of a sender.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The product's name as people write it.
    pub title: &'static str,
    /// What it can say: `problem, repeat, acknowledged, recovery, test, ...`.
    pub says: &'static str,
    /// What its identity is made of.
    pub identity: &'static str,
    /// How it can authenticate.
    pub auth: &'static str,
}

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decoded {
    /// The events, in the order of the message.
    pub events: Vec<Event>,
    /// Maintenance notices.
    pub maintenance: Vec<MaintenanceNotice>,
    /// Words of people: replies to tickets, questions.
    pub replies: Vec<Reply>,
    /// Who wrote it; the door says it once it believes the author, a format never does.
    pub author: Option<Author>,
    /// A machine may answer it; the door says it of words whose author it believes.
    pub answerable: bool,
    /// Why a message that was understood says nothing (heartbeat, test ping, own mail, ...).
    pub ignored: Option<String>,
    /// What was odd about the message as a whole, and which parts could not be read.
    pub problems: Vec<String>,
}

impl Decoded {
    /// A message that was understood and says nothing of interest.
    pub fn ignored(reason: impl Into<String>) -> Decoded {
        Decoded {
            ignored: Some(reason.into()),
            ..Decoded::default()
        }
    }

    /// A message with one event.
    pub fn one(event: Event) -> Decoded {
        Decoded {
            events: vec![event],
            ..Decoded::default()
        }
    }

    /// From the members of a message, each judged by itself: those that could not be read become
    /// problems, and only if none could does the message fail.
    pub fn from_members(
        members: impl IntoIterator<Item = Result<Event, Undecodable>>,
    ) -> Result<Decoded, Undecodable> {
        let mut decoded = Decoded::default();
        let members = members.into_iter();
        // Events are large: room for one that is not needed costs more than the one that is.
        decoded.events.reserve_exact(members.size_hint().0);
        for (number, member) in members.enumerate() {
            match member {
                Ok(event) => decoded.events.push(event),
                Err(error) if decoded.problems.len() < 100 => {
                    decoded
                        .problems
                        .push(format!("member {}: {}", number + 1, error.reason))
                }
                Err(_) => {}
            }
        }
        match decoded.problems.first() {
            Some(first) if decoded.events.is_empty() => Err(Undecodable::because(first.clone())),
            _ => Ok(decoded),
        }
    }
}

/// A message from which no event with an identity could be made. It goes to quarantine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undecodable {
    /// A sentence that names the field, what was expected and what was found.
    pub reason: String,
}

impl Undecodable {
    /// From a sentence that names the field.
    pub fn because(reason: impl Into<String>) -> Undecodable {
        Undecodable {
            reason: reason.into(),
        }
    }
}
