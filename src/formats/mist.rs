//! Juniper Mist webhooks: topics `alarms`, `device-events` and `device-updowns`, in batches. A
//! recovery has an id of its own: site, device, kind of problem and the part that the text names
//! make the identity. Marvis' actions have an id that stays.

use super::codes::{self, MIST_ALARMS, MIST_EVENTS, Meaning};
use super::draft::Draft;
use super::fields::{Fields, mentions, mentions_any};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{Event, EventState, Identity, SeverityHint};

/// Mist.
pub struct Mist;

impl Format for Mist {
    fn name(&self) -> &'static str {
        "mist"
    }

    fn about(&self) -> About {
        About {
            title: "Juniper Mist",
            says: "problem, repeat, recovery, test",
            identity: "Marvis: alert id; else site, device, kind of problem, part",
            auth: "HMAC (X-Mist-Signature-v2, or SHA-1 in X-Mist-Signature), header",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"topic":"alarms","events":[{"type":"switch_down","severity":"warn","group":"infrastructure","site_id":"0","switches":["000000000000"],"hostnames":["alertbridge-test"]}]}"#,
            r#"{"topic":"alarms","events":[{"type":"switch_reconnected","severity":"info","group":"infrastructure","site_id":"0","switches":["000000000000"],"hostnames":["alertbridge-test"]}]}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let signed = request.header("x-mist-signature-v2").is_some();
        let body = mentions(request, &["\"topic\"", "\"events\""])
            && mentions_any(request, &["\"org_id\"", "\"site_id\""]);
        if signed || body {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let message = Fields::of(&body.value);
        let topic = message.word("topic");
        if topic == "ping" {
            return Ok(Decoded::ignored("a test of the webhook (topic ping)"));
        }
        let events = message.list("events");
        let members: Vec<Result<Event, Undecodable>> = match topic.as_str() {
            "alarms" => events.into_iter().map(alarm).collect(),
            "device-events" | "device-updowns" => {
                events.into_iter().filter_map(device_event).collect()
            }
            other => {
                return Ok(Decoded::ignored(format!(
                    "the topic `{other}` has no alerts"
                )));
            }
        };
        if members.is_empty() {
            return Ok(Decoded::ignored("events that say nothing of a problem"));
        }
        Decoded::from_members(members)
    }
}

fn alarm(alarm: Fields) -> Result<Event, Undecodable> {
    if alarm.word("group") == "marvis" {
        return marvis(alarm);
    }
    let kind = alarm.word("type");
    let meaning = codes::find_one(MIST_ALARMS, &kind);
    let mac = ["switches.0", "gateways.0", "aps.0", "macs.0", "mac"];
    let part = match meaning {
        Some(meaning) if meaning.whole => None,
        _ => alarm
            .text("port_ids.0")
            .or_else(|| part_of(&alarm.word("reasons.0"))),
    };
    let severity = alarm.text("severity");
    let told = told(meaning, &kind, severity.as_deref());
    let event = Told {
        // One node of a pair is not the pair.
        part: part.or_else(|| alarm.text("node")),
        hint: if alarm.has("node") {
            SeverityHint::Redundancy
        } else {
            told.hint
        },
        ..told
    };
    build(
        alarm,
        event,
        alarm.first(&mac),
        severity,
        alarm.text("hostnames.0"),
    )
}

fn marvis(alarm: Fields) -> Result<Event, Undecodable> {
    let id = alarm.first(&["alert_id", "id"]);
    let kind = alarm.word("type");
    let (state, problem) = match alarm.first(&["status", "details.status"]).as_deref() {
        Some("open") => (EventState::Firing, None),
        Some("resolved") => (EventState::Resolved, None),
        other => {
            let found = other.unwrap_or("");
            let problem = format!("the status `{found}` is not known: taken as open");
            (EventState::Firing, Some(problem))
        }
    };
    let meaning = codes::find_one(MIST_ALARMS, &kind);
    let severity = alarm.text("severity");
    let hint = meaning.map_or_else(|| level(severity.as_deref()), |meaning| meaning.hint);
    let name = alarm.text("impacted_entities.0.entity_name");
    let at = alarm.time("timestamp");
    let summary = [name.clone(), Some(kind.clone()), alarm.text("suggestion")];
    let summary: Vec<String> = summary.into_iter().flatten().collect();
    let mut draft = Draft::new(state, id.and_then(Identity::key), "`alert_id`")?
        .site(alarm.text("site_name"))
        .host(name)
        .component(alarm.first(&["port_ids.0", "impacted_entities.0.port_id"]))
        .check(Some(kind))
        .severity(severity, hint)
        .kind(meaning.map(|meaning| meaning.kind))
        .summary(summary.join(": "))
        .label_fields(alarm, &["org_id", "site_id", "category", "group"])
        .sent_at(at)
        .problem(problem);
    draft = match state {
        EventState::Resolved => draft.ends_at(at),
        _ => draft,
    };
    Ok(draft.finish())
}

/// One device event; `None` for those that say nothing of a problem.
fn device_event(event: Fields) -> Option<Result<Event, Undecodable>> {
    let kind = event.word("type");
    let bare = ["SW_", "AP_", "GW_", "ME_"]
        .iter()
        .find_map(|prefix| kind.strip_prefix(prefix))
        .unwrap_or(&kind);
    let meaning = codes::find_one(MIST_EVENTS, bare);
    let severity = event.text("ev_type");
    if meaning.is_none() && severity.as_deref() != Some("warn") {
        return None;
    }
    let part = match meaning {
        Some(meaning) if meaning.whole => None,
        _ => event
            .text("port_id")
            .or_else(|| part_of(&event.word("text"))),
    };
    let told = Told {
        part,
        ..told(meaning, &kind, severity.as_deref())
    };
    let mac = event.first(&["mac", "ap"]);
    let host = event.first(&["device_name", "ap_name"]);
    Some(build(event, told, mac, severity, host))
}

/// What an alarm or event says.
struct Told {
    state: EventState,
    family: String,
    part: Option<String>,
    kind: Option<crate::model::ComponentKind>,
    hint: SeverityHint,
    meaning: Option<Meaning>,
}

fn told(meaning: Option<Meaning>, code: &str, severity: Option<&str>) -> Told {
    let state = match meaning {
        Some(meaning) if meaning.clears => EventState::Resolved,
        Some(_) => EventState::Firing,
        None if matches!(severity, Some("info" | "notice" | "success")) => EventState::Info,
        None => EventState::Firing,
    };
    Told {
        state,
        family: meaning.map_or(code, |meaning| meaning.family).to_owned(),
        part: None,
        kind: meaning.map(|meaning| meaning.kind),
        hint: meaning.map_or_else(|| level(severity), |meaning| meaning.hint),
        meaning,
    }
}

fn level(word: Option<&str>) -> SeverityHint {
    match word {
        Some("warn" | "critical") => SeverityHint::Degradation,
        Some("info" | "notice" | "success") => SeverityHint::Info,
        _ => SeverityHint::Unknown,
    }
}

fn build(
    fields: Fields,
    told: Told,
    mac: Option<String>,
    severity: Option<String>,
    host: Option<String>,
) -> Result<Event, Undecodable> {
    let site = fields.word("site_id");
    let identity = mac
        .as_ref()
        .filter(|_| !told.family.is_empty())
        .and_then(|mac| {
            let part = told.part.as_deref().unwrap_or("");
            Identity::key(format!("{site}/{mac}/{}/{part}", told.family))
        });
    let at = fields.time("timestamp");
    let kind = fields.text("type");
    let named = host.clone().or_else(|| mac.clone()).unwrap_or_default();
    let text = fields.first(&["text", "reasons.0", "reason"]);
    let summary = [Some(named), kind.clone(), text.clone()];
    let summary: Vec<String> = summary.into_iter().flatten().collect();
    let known = matches!(severity.as_deref(), Some("success" | "warn") | None);
    let unnamed = codes::unnamed(told.meaning, told.part.as_deref());
    let problem = words::unknown_severity(severity.as_deref()).filter(|_| !known);
    let mut draft = Draft::new(told.state, identity, "the device's MAC with `type`")?
        .dedup_key(fields.text("id"))
        .site(fields.text("site_name"))
        .host(host)
        .component(told.part)
        .check(kind)
        .severity(severity, told.hint)
        .kind(told.kind)
        .summary(summary.join(": "))
        .details(text)
        .label("mac", mac)
        .label_fields(fields, &["org_id", "site_id", "model", "device_type"])
        .sent_at(at)
        .problem(problem)
        .problem(unnamed);
    if told.state == EventState::Resolved {
        draft = draft.ends_at(at);
    }
    Ok(draft.finish())
}

/// The part that a text names: a port, a slot with its supply or fan, or a neighbour's address.
fn part_of(text: &str) -> Option<String> {
    let words: Vec<&str> = text
        .split([' ', ',', '(', ')'])
        .map(|word| word.trim_end_matches([':', '.']))
        .filter(|word| !word.is_empty())
        .collect();
    let is_port = |word: &&&str| {
        let digits = word.contains('/') && word.ends_with(|c: char| c.is_ascii_digit());
        digits && word.starts_with(|c: char| c.is_ascii_alphabetic())
    };
    let address = |word: &&&str| word.parse::<std::net::IpAddr>().is_ok();
    if let Some(word) = words.iter().find(is_port).or(words.iter().find(address)) {
        return Some((*word).to_owned());
    }
    let mut named = Vec::new();
    for pair in words.windows(2) {
        if let [name, number] = pair
            && number.bytes().all(|b| b.is_ascii_digit())
            && ["FPC", "PEM", "PSU", "FAN", "TRAY"].contains(&name.to_ascii_uppercase().as_str())
        {
            named.push(format!("{} {number}", name.to_ascii_uppercase()));
        }
    }
    (!named.is_empty()).then(|| named.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_is_the_same_in_problem_and_recovery() {
        let part = Some("FPC 0 PEM 1".to_owned());
        assert_eq!(part_of("FPC 0 PEM 1 Not Powered"), part);
        assert_eq!(part_of("FPC 0 PEM 1 Not Powered cleared"), part);
        assert_eq!(
            part_of("xe-0/2/0: lacp current while timer expired").as_deref(),
            Some("xe-0/2/0")
        );
        assert_eq!(
            part_of("neighbor 203.0.113.9 (AS 64510) down").as_deref(),
            Some("203.0.113.9")
        );
        assert_eq!(part_of("something else"), None);
    }
}
