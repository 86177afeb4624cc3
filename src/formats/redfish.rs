//! Redfish EventService of iDRAC, iLO, OpenBMC and any other BMC. Each record is judged by its
//! message key, whose registry version is ignored: severities of the registries say little about
//! redundancy. A clear names another key, so host, part and kind of problem make the identity.

use super::codes::{self, DMTF, IDRAC, ILO, Meaning, OPENBMC};
use super::draft::Draft;
use super::fields::{Fields, mentions, mentions_any};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint, Suppressed};

/// Redfish.
pub struct Redfish;

impl Format for Redfish {
    fn name(&self) -> &'static str {
        "redfish"
    }

    fn about(&self) -> About {
        About {
            title: "Redfish events (iDRAC, iLO, OpenBMC, DMTF)",
            says: "problem, repeat, recovery, test",
            identity: "host (Context or host name), part, kind of problem",
            auth: "header, basic, certificate",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r##"{"@odata.type":"#Event.v1_4_0.Event","Id":"1","Name":"Event Log","Context":"alertbridge:alertbridge-test","Events":[{"EventType":"Alert","MemberId":"0","MessageId":"OpenBMC.0.5.PowerSupplyFailed","MessageArgs":["PSU0"],"MessageSeverity":"Warning"}]}"##,
            r##"{"@odata.type":"#Event.v1_4_0.Event","Id":"1","Name":"Event Log","Context":"alertbridge:alertbridge-test","Events":[{"EventType":"Alert","MemberId":"0","MessageId":"OpenBMC.0.5.PowerSupplyRecovered","MessageArgs":["PSU0"],"MessageSeverity":"OK"}]}"##,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let typed = mentions_any(request, &["#Event.v", "#MetricReport.v", "#Event.Event"]);
        if typed && mentions(request, &["\"@odata.type\""])
            || mentions(request, &["\"MessageId\"", "\"Events\""])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let message = Fields::of(&body.value);
        if message.word("@odata.type").starts_with("#MetricReport") || message.has("MetricValues") {
            return Ok(Decoded::ignored("a metric report is no alert"));
        }
        let records = message.list("Events");
        if records.is_empty() {
            return Err(Undecodable::because("`Events` is missing or empty"));
        }
        let query = body::form(request.query);
        let target = Fields::of(&query).text("host");
        let mut members = Vec::new();
        for fields in records {
            members.extend(read(Record {
                target: target.as_deref(),
                message,
                fields,
            }));
        }
        if members.is_empty() {
            return Ok(Decoded::ignored(
                "heartbeats, audits and updates of resources are no alerts",
            ));
        }
        Decoded::from_members(members)
    }
}

/// One record, with what its message says for all.
#[derive(Clone, Copy)]
struct Record<'a> {
    /// The host that the destination's URL names (`?host=...`).
    target: Option<&'a str>,
    message: Fields<'a>,
    fields: Fields<'a>,
}

impl<'a> Record<'a> {
    /// Registry and key of the message id; old iDRACs send the key alone.
    fn code(self) -> (String, String) {
        let id = self.fields.word("MessageId");
        match (id.split_once('.'), id.rsplit_once('.')) {
            (Some((registry, _)), Some((_, key))) => (registry.to_owned(), key.to_owned()),
            _ => (String::new(), id),
        }
    }

    fn context(self) -> Option<String> {
        self.message
            .text("Context")
            .or_else(|| self.fields.text("Context"))
    }

    fn host_name(self) -> Option<String> {
        self.message
            .first(&["Oem.Dell.ServerHostname", "Oem.Hpe.ServerHostname"])
    }

    /// What tells this BMC from others: the URL or our own context first, they are always there.
    fn host_key(self) -> Option<String> {
        if let Some(target) = self.target {
            return Some(target.to_owned());
        }
        let context = self.context();
        let ours = context
            .as_deref()
            .and_then(|context| context.strip_prefix("alertbridge:"))
            .map(str::to_owned);
        ours.or_else(|| self.host_name()).or(context)
    }

    fn severity(self) -> Option<String> {
        self.fields.first(&["MessageSeverity", "Severity"])
    }

    fn origin(self) -> Option<String> {
        let object = self.fields.at("OriginOfCondition").text("@odata.id");
        object.or_else(|| {
            self.fields
                .first(&["OriginOfCondition", "Oem.Hpe.Resource"])
        })
    }

    /// The part: the member that the origin names, else the first argument with the origin.
    fn part(self) -> String {
        let origin = self.origin().unwrap_or_default();
        let mut segments = origin.trim_end_matches('/').rsplit('/');
        let last = segments.next().unwrap_or("").to_owned();
        // Dell's records name a supply by origin, by number or both.
        if let Some(number) = last.strip_prefix("PSU.Slot.") {
            return number.to_owned();
        }
        let is_member = segments.next().is_some_and(|name| name.ends_with('s'));
        if is_member && !matches!(last.as_str(), "" | "Power" | "Thermal") && !is_top(&origin) {
            return origin;
        }
        match self.fields.text("MessageArgs.0") {
            Some(first) if origin.is_empty() => first,
            Some(first) => format!("{origin}#{first}"),
            None => origin,
        }
    }
}

/// A whole system, chassis or manager: no part of one.
fn is_top(origin: &str) -> bool {
    origin.trim_end_matches('/').matches('/').count() <= 4
}

fn read(record: Record) -> Vec<Result<Event, Undecodable>> {
    let (registry, key) = record.code();
    let severity = record.severity();
    let test = key == "TestMessage"
        || key == "SubmitTestEvent"
        || record.fields.word("EventId") == "TestEventId";
    let meanings = meanings(&registry, &key);
    let quiet = matches!(severity.as_deref(), Some("OK" | "Informational") | None);
    if !test && (is_noise(record, &registry, &key) || (meanings.is_empty() && quiet)) {
        return Vec::new();
    }
    if test || meanings.is_empty() {
        let state = if quiet {
            EventState::Info
        } else {
            EventState::Firing
        };
        return vec![event(record, &key, None, state, test)];
    }
    meanings
        .into_iter()
        .map(|meaning| {
            let state = if meaning.clears {
                EventState::Resolved
            } else {
                EventState::Firing
            };
            event(record, &key, Some(meaning), state, false)
        })
        .collect()
}

fn meanings(registry: &str, key: &str) -> Vec<Meaning> {
    let own = match registry.to_ascii_lowercase().as_str() {
        "openbmc" => OPENBMC,
        "iloevents" | "hpeevents" | "ilo" => ILO,
        "idrac" | "" => IDRAC,
        _ => DMTF,
    };
    let found = codes::find(own, key);
    if found.is_empty() {
        return codes::find(DMTF, key);
    }
    found
}

fn is_noise(record: Record, registry: &str, key: &str) -> bool {
    const REGISTRIES: [&str; 8] = [
        "TaskEvent",
        "Update",
        "Base",
        "License",
        "JobService",
        "SessionEvent",
        "HeartbeatEvent",
        "Heartbeat",
    ];
    let kind = record.fields.word("EventType");
    REGISTRIES.contains(&registry)
        || key.starts_with("USR")
        || matches!(
            key,
            "ResourceUpdated" | "ResourceChanged" | "ResourceCreated" | "RedfishServiceFunctional"
        )
        || kind == "ResourceUpdated"
}

fn event(
    record: Record,
    key: &str,
    meaning: Option<Meaning>,
    state: EventState,
    test: bool,
) -> Result<Event, Undecodable> {
    let host = record.host_key();
    let family = meaning.map_or(key, |meaning| meaning.family);
    let whole = meaning.is_some_and(|meaning| meaning.whole);
    let part = if whole { String::new() } else { record.part() };
    let prefix = host.clone().unwrap_or_default();
    let identity = (!family.is_empty())
        .then(|| format!("{prefix}/{family}/{part}"))
        .and_then(Identity::key);
    let severity = record.severity();
    let at = record.fields.time("EventTimestamp");
    let nameless = host.is_none().then(|| {
        "nothing names the BMC: give its subscription a Context, or `?host=NAME` in the destination"
            .to_owned()
    });
    let swapped = key.ends_with("Removed") && severity.as_deref() == Some("OK");
    let args: Vec<String> = record
        .fields
        .list("MessageArgs")
        .into_iter()
        .filter_map(Fields::as_text)
        .collect();
    let message = record.fields.text("Message");
    let text = message
        .clone()
        .unwrap_or_else(|| format!("{key} {}", args.join(" ")));
    let name = record.host_name().or(host);
    let summary = match &name {
        Some(name) => format!("{name}: {text}"),
        None => text,
    };
    let mut draft = Draft::new(state, identity, "`MessageId`")?
        .dedup_key(record.fields.text("EventId"))
        .host(name)
        .component(component(&part, &args))
        .check((!key.is_empty()).then(|| key.to_owned()))
        .severity(severity.clone(), hint(meaning, severity.as_deref()))
        .kind(meaning.map(|meaning| meaning.kind).or_else(|| kind_of(key)))
        .summary(summary)
        .details(record.fields.text("Resolution"))
        .label(
            "event_group",
            record.fields.text("EventGroupId").filter(|id| id != "0"),
        )
        .label("origin", record.origin())
        .sent_at(at)
        .problem(nameless)
        .problem(words::unknown_severity(severity.as_deref()))
        .suppressed(swapped.then_some(Suppressed::Downtime))
        .test(test);
    draft = match state {
        EventState::Resolved => draft.ends_at(at),
        EventState::Firing => draft.starts_at(at),
        _ => draft,
    };
    Ok(draft.finish())
}

/// The part in words: the member's name, else the first argument.
fn component(part: &str, args: &[String]) -> Option<String> {
    let last = part.rsplit(['/', '#']).next().unwrap_or("");
    if !last.is_empty() {
        return Some(last.to_owned());
    }
    args.first().cloned()
}

fn hint(meaning: Option<Meaning>, severity: Option<&str>) -> SeverityHint {
    match (meaning, severity) {
        (Some(meaning), _) => meaning.hint,
        (None, Some("Critical" | "Warning")) => SeverityHint::Degradation,
        (None, Some("OK" | "Informational")) => SeverityHint::Info,
        _ => SeverityHint::Unknown,
    }
}

/// The kind by the first letters of an EEMI id.
fn kind_of(key: &str) -> Option<ComponentKind> {
    const KINDS: [(&str, ComponentKind); 8] = [
        ("PSU", ComponentKind::PowerSupply),
        ("FAN", ComponentKind::Fan),
        ("PDR", ComponentKind::Disk),
        ("VDR", ComponentKind::Array),
        ("TMP", ComponentKind::Cooling),
        ("MEM", ComponentKind::Resource),
        ("CPU", ComponentKind::Resource),
        ("CTL", ComponentKind::Controller),
    ];
    KINDS
        .iter()
        .find(|(start, _)| {
            key.strip_prefix(start)
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
        })
        .map(|(_, kind)| *kind)
}
