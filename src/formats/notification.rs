//! Notifications of the Nagios family: Nagios, Icinga 2, Checkmk and Centreon's engine say the
//! same things under slightly different names. Their senders name the prefix of their variables;
//! everything else about a notification is read here. Two notifications of one host, or of one
//! service on it, always have the same identity: problem ids come and go with the state.

use super::draft::Draft;
use super::fields::Fields;
use super::{Decoded, Undecodable, signals};
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint, Suppressed, Time};

/// What stands as check in the identity of a host, as in mails of the same monitors.
const HOST_CHECK: &str = "HOST";

/// The variables of one notification.
#[derive(Clone, Copy)]
pub(super) struct Notification<'a> {
    fields: Fields<'a>,
    prefix: &'static str,
}

/// What a notification says about its object.
pub(super) struct Told {
    /// Our state.
    pub state: EventState,
    /// Why it is a notice only.
    pub suppressed: Option<Suppressed>,
    /// What was odd.
    pub problem: Option<String>,
}

impl<'a> Notification<'a> {
    /// The variables, which may have the prefix (`NAGIOS_`, `NOTIFY_`).
    pub(super) fn new(fields: Fields<'a>, prefix: &'static str) -> Notification<'a> {
        Notification { fields, prefix }
    }

    /// The first of several names that has a value.
    pub(super) fn text(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| {
            self.fields
                .text(&format!("{}{name}", self.prefix))
                .or_else(|| self.fields.text(name))
        })
    }

    fn time(&self, names: &[&str]) -> Option<Time> {
        self.text(names).and_then(|text| instant(&text))
    }

    fn kind(&self) -> Option<String> {
        self.text(&["NOTIFICATIONTYPE", "notification_type", "type"])
    }

    fn host(&self) -> String {
        self.text(&["HOSTNAME", "host_name", "hostname", "host"])
            .unwrap_or_default()
    }

    fn service(&self) -> Option<String> {
        self.text(&[
            "SERVICEDESC",
            "SERVICENAME",
            "service_description",
            "service_name",
            "servicedesc",
            "service",
        ])
    }

    fn word(&self, service: bool) -> Option<String> {
        if service {
            self.text(&["SERVICESTATE", "service_state", "state"])
        } else {
            self.text(&["HOSTSTATE", "host_state", "state"])
        }
    }

    fn output(&self, service: bool) -> Option<String> {
        if service {
            self.text(&["SERVICEOUTPUT", "service_output", "output"])
        } else {
            self.text(&["HOSTOUTPUT", "host_output", "output"])
        }
    }

    fn long_output(&self) -> Option<String> {
        self.text(&[
            "LONGSERVICEOUTPUT",
            "LONGHOSTOUTPUT",
            "long_service_output",
            "long_output",
        ])
    }

    /// The macros of a test button, none of them filled in.
    fn unfilled(&self) -> bool {
        ["NOTIFICATIONTYPE", "notification_type", "type", "state"]
            .iter()
            .any(|name| {
                self.fields.unresolved(&format!("{}{name}", self.prefix))
                    || self.fields.unresolved(name)
            })
    }

    /// The notification as a message.
    pub(super) fn decoded(&self) -> Result<Decoded, Undecodable> {
        if self.unfilled() && self.host().is_empty() {
            return Ok(Decoded::ignored("a test: the macros are not resolved"));
        }
        self.event(None).map(|event| Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }

    /// The notification as an event, with another identity than that of host and service if the
    /// sender has one of its own.
    pub(super) fn event(&self, identity: Option<Identity>) -> Result<Event, Undecodable> {
        let (host, service) = (self.host(), self.service());
        let check = service.as_deref().unwrap_or(HOST_CHECK);
        let word = self.word(service.is_some());
        let kind = self.kind().unwrap_or_default();
        let told = self.told(&kind, word.as_deref());
        let identity = identity.or_else(|| Identity::object("", &host, "", check));
        let at = self.time(&["MICROTIME", "TIMET", "time", "timet", "LONGDATETIME"]);
        let mut draft = Draft::new(told.state, identity, "the host's name")?
            .host((!host.is_empty()).then(|| host.clone()))
            .check(Some(check.to_owned()))
            .severity(word.clone(), hint(service.is_some(), word.as_deref()))
            .summary(self.summary(&host, service.as_deref(), word.as_deref()))
            .details(self.details())
            .label(
                "address",
                self.text(&["HOSTADDRESS", "host_address", "address"]),
            )
            .label(
                "alias",
                self.text(&["HOSTALIAS", "HOSTDISPLAYNAME", "host_alias", "host_display"]),
            )
            .label("groups", self.text(&["HOSTGROUPNAMES", "groups"]))
            .label("notification", notice(&kind))
            .sent_at(at)
            .suppressed(told.suppressed)
            .problem(told.problem)
            .problem(odd_state(word.as_deref()))
            .test(self.unfilled() || self.says_test(&kind));
        let changed = self.changed(service.is_some());
        draft = match told.state {
            EventState::Firing | EventState::Acknowledged => draft.starts_at(changed),
            EventState::Resolved => draft.ends_at(at),
            EventState::Info => draft,
        };
        let mut event = finish(draft, service.is_some());
        let weak = matches!(
            event.severity.as_deref(),
            Some("WARNING" | "CRITICAL" | "WARN" | "CRIT")
        );
        let output = self.output(true).unwrap_or_default();
        if service.is_some() && weak && signals::says_spare_lost(&output) {
            event.severity_hint = SeverityHint::Redundancy;
        }
        Ok(event)
    }

    fn changed(&self, service: bool) -> Option<Time> {
        if service {
            self.time(&["LASTSERVICESTATECHANGE", "last_state_change"])
        } else {
            self.time(&["LASTHOSTSTATECHANGE", "last_state_change"])
        }
    }

    fn told(&self, kind: &str, word: Option<&str>) -> Told {
        let mut told = told(kind, word);
        let planned = ["SERVICEDOWNTIME", "HOSTDOWNTIME", "downtime"]
            .iter()
            .filter_map(|name| self.text(&[name]))
            .any(|depth| depth.parse::<u32>().is_ok_and(|depth| depth > 0));
        if told.state == EventState::Firing && told.suppressed.is_none() && planned {
            told.suppressed = Some(Suppressed::Downtime);
        }
        told
    }

    /// A custom notification whose comment says that it is a test.
    fn says_test(&self, kind: &str) -> bool {
        let comment = self.text(&["NOTIFICATIONCOMMENT", "comment"]);
        kind.to_ascii_uppercase().starts_with("CUSTOM")
            && comment.is_some_and(|text| {
                text.to_lowercase()
                    .split(|c: char| !c.is_alphanumeric())
                    .any(|word| word.starts_with("test"))
            })
    }

    fn summary(&self, host: &str, service: Option<&str>, word: Option<&str>) -> String {
        let mut text = match service {
            Some(service) => format!("{service} on {host}"),
            None => host.to_owned(),
        };
        if let Some(word) = word {
            text.push_str(" is ");
            text.push_str(word);
        }
        if let Some(output) = self.output(service.is_some()) {
            text.push_str(": ");
            text.push_str(output.lines().next().unwrap_or(""));
        }
        text
    }

    fn details(&self) -> String {
        let service = self.service().is_some();
        let mut parts = Vec::new();
        parts.extend(self.output(service));
        parts.extend(self.long_output());
        let author = self.text(&["NOTIFICATIONAUTHOR", "NOTIFICATIONAUTHORNAME", "author"]);
        let comment = self.text(&["NOTIFICATIONCOMMENT", "comment"]);
        match (author, comment) {
            (Some(author), Some(comment)) => parts.push(format!("{author}: {comment}")),
            (Some(one), None) | (None, Some(one)) => parts.push(one),
            (None, None) => {}
        }
        parts.join("\n")
    }
}

/// Adds what the words of the check say about the kind of thing that failed.
pub(super) fn finish(draft: Draft, service: bool) -> Event {
    if !service {
        return draft.kind(ComponentKind::Device).finish();
    }
    let mut event = draft.finish();
    signals::apply_check(&mut event);
    // UNKNOWN says that the check itself failed: nothing is known about the part it watches.
    if matches!(event.severity.as_deref(), Some("UNKNOWN" | "UNKN")) {
        event.severity_hint = SeverityHint::Unknown;
    }
    event
}

/// The state by notification type and, where the type does not say, by the object's state.
pub(super) fn told(kind: &str, word: Option<&str>) -> Told {
    let says = |state, suppressed, problem| Told {
        state,
        suppressed,
        problem,
    };
    let word = word.unwrap_or("").to_ascii_uppercase();
    let well = matches!(word.as_str(), "OK" | "UP" | "PENDING");
    let kind = kind.to_ascii_uppercase();
    // A suffix is legal: `ACKNOWLEDGEMENT (STICKY)`.
    match kind.split([' ', '(']).next().unwrap_or("") {
        "RECOVERY" => says(EventState::Resolved, None, None),
        "ACKNOWLEDGEMENT" => says(EventState::Acknowledged, None, None),
        kind if kind.starts_with("FLAPPING") => {
            says(EventState::Info, Some(Suppressed::Flapping), None)
        }
        kind if kind.starts_with("DOWNTIME") => {
            says(EventState::Info, Some(Suppressed::Downtime), None)
        }
        "CUSTOM" | "ALERTHANDLER" => says(EventState::Info, None, None),
        _ if matches!(word.as_str(), "UNREACHABLE" | "UNRE") => {
            says(EventState::Info, Some(Suppressed::Unreachable), None)
        }
        "PROBLEM" if well => {
            let problem = format!("a problem is told and the state is `{word}`: taken as a notice");
            says(EventState::Info, None, Some(problem))
        }
        "PROBLEM" => says(EventState::Firing, None, None),
        other => {
            let state = if well {
                EventState::Resolved
            } else {
                EventState::Firing
            };
            let problem = if other.is_empty() {
                "the notification type is missing: the state decides".to_owned()
            } else {
                format!("the notification type `{other}` is not known: the state decides")
            };
            says(state, None, Some(problem))
        }
    }
}

/// What a state of a host or service means. UNKNOWN is a fault of the monitoring first.
pub(super) fn hint(service: bool, word: Option<&str>) -> SeverityHint {
    match (service, word.unwrap_or("").to_ascii_uppercase().as_str()) {
        (false, "DOWN") | (true, "CRITICAL" | "CRIT") => SeverityHint::Outage,
        (_, "UNREACHABLE" | "UNRE" | "WARNING" | "WARN") => SeverityHint::Degradation,
        _ => SeverityHint::Unknown,
    }
}

/// States of hosts and services, and their short forms.
const STATES: [&str; 12] = [
    "OK",
    "UP",
    "PENDING",
    "PEND",
    "DOWN",
    "UNREACHABLE",
    "UNRE",
    "UNREACH",
    "WARNING",
    "WARN",
    "CRITICAL",
    "CRIT",
];

/// A sentence about a state that no version of these systems knows.
fn odd_state(word: Option<&str>) -> Option<String> {
    let word = word?;
    let upper = word.to_ascii_uppercase();
    let known = STATES.contains(&upper.as_str()) || upper.starts_with("UNKN");
    (!known).then(|| format!("the state `{word}` is not known: nothing is concluded from it"))
}

/// The type of a notice that neither opens nor closes, for those who tell start from end.
fn notice(kind: &str) -> Option<String> {
    let kind = kind.to_ascii_uppercase();
    ["FLAPPING", "DOWNTIME", "CUSTOM"]
        .iter()
        .any(|start| kind.starts_with(start))
        .then_some(kind)
}

/// An instant, also with a blank before the offset: `2026-05-12 03:14:07 +0000`.
fn instant(text: &str) -> Option<Time> {
    super::fields::time(text).or_else(|| {
        let (time, offset) = text.rsplit_once(' ')?;
        offset
            .starts_with(['+', '-'])
            .then(|| super::fields::time(&format!("{time}{offset}")))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_beat_states_and_suffixes_are_legal() {
        let state = |kind, word| told(kind, Some(word)).state;
        assert_eq!(state("PROBLEM", "CRITICAL"), EventState::Firing);
        assert_eq!(state("RECOVERY", "OK"), EventState::Resolved);
        assert_eq!(
            state("ACKNOWLEDGEMENT (STICKY)", "WARNING"),
            EventState::Acknowledged
        );
        assert_eq!(state("FLAPPINGEND", "OK"), EventState::Info);
        assert_eq!(
            told("PROBLEM", Some("UNREACHABLE")).suppressed,
            Some(Suppressed::Unreachable)
        );
        assert!(told("PROBLEM", Some("UP")).problem.is_some());
        assert!(told("SOMETHING", Some("OK")).problem.is_some());
    }

    #[test]
    fn instants_with_a_blank_before_the_offset_are_read() {
        assert_eq!(
            instant("2026-05-12 03:14:07 +0000"),
            Some(Time(1_778_555_647_000))
        );
        assert_eq!(instant("05-12-2026 03:14:00"), None);
    }
}
