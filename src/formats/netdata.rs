//! Netdata: Cloud webhooks (alerts and reachability), and the agent's own posts in two spellings.
//! The agent builds JSON by pasting text, so quotes in it may be raw.

use super::draft::Draft;
use super::fields::{Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint};

/// Netdata Cloud and agent.
pub struct Netdata;

const STATES: [(&str, EventState); 4] = [
    ("undefined", EventState::Firing),
    ("uninitialized", EventState::Firing),
    ("removed", EventState::Resolved),
    ("info", EventState::Resolved),
];

impl Format for Netdata {
    fn name(&self) -> &'static str {
        "netdata"
    }

    fn about(&self) -> About {
        About {
            title: "Netdata (Cloud, agent)",
            says: "problem, escalation, no data, recovery, reachability, test",
            identity: "space, host, chart and alert",
            auth: "client certificate (`app.netdata.cloud`), basic, bearer, header, key in the URL; asks with `crc_token`",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"host":"alertbridge-test","alarm_id":1,"name":"test_alarm","chart":"test.chart","status":"WARNING","old_status":"CLEAR","info":"test"}"#,
            r#"{"host":"alertbridge-test","alarm_id":1,"name":"test_alarm","chart":"test.chart","status":"CLEAR","old_status":"WARNING","info":"test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let cloud = holds(request, &["alert", "chart", "severity", "space"])
            || holds(request, &["alert", "chart", "alert_url"])
            || holds(request, &["host", "status.reachable"]);
        let agent = request.path.ends_with("/integrations/webhooks/netdata")
            || holds(request, &["alarmId", "chart", "old_status"])
            || holds(request, &["alarm_id", "chart", "old_status"])
            || holds(request, &["host", "chart", "name", "non_clear_duration"]);
        if cloud || agent {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let event = if fields.has("status.reachable") || fields.has("status.text") {
            reachability(fields)
        } else if fields.has("old_status") || fields.has("name") {
            agent(fields)
        } else {
            cloud(fields)
        }?;
        let mut decoded = Decoded::one(event);
        decoded.problems.extend(body.repaired.map(str::to_owned));
        Ok(decoded)
    }
}

fn state_of(field: &str, word: Option<&str>) -> (EventState, bool, Option<String>) {
    let (state, odd) = words::judged_state(field, word, &STATES);
    let lower = word.unwrap_or("").to_lowercase();
    let no_data = matches!(lower.as_str(), "undefined" | "uninitialized");
    (state, no_data, odd)
}

fn judged(field: &str, word: Option<&str>) -> (SeverityHint, Option<String>) {
    let own = [
        ("clear", SeverityHint::Unknown),
        ("undefined", SeverityHint::Unknown),
        ("uninitialized", SeverityHint::Unknown),
        ("removed", SeverityHint::Unknown),
    ];
    words::judged_hint(field, word, &own)
}

fn cloud(fields: Fields) -> Result<Event, Undecodable> {
    let host = fields.text("host").or_else(|| {
        let message = fields.text("message")?;
        let (_, host) = message.rsplit_once(" on ")?;
        (!host.contains(' ')).then(|| host.to_owned())
    });
    let part = |name: &str| fields.word(name);
    let identity = match &host {
        Some(host) => Identity::object(&part("space"), host, &part("chart"), &part("alert")),
        None => fields
            .text("alert_url")
            .and_then(|url| Identity::key(url.rsplit('/').next().unwrap_or(""))),
    };
    let severity = fields.text("severity");
    let (state, _, odd) = state_of("severity", severity.as_deref());
    let (hint, odd_word) = judged("severity", severity.as_deref());
    let at = fields.time("date");
    let draft = Draft::new(
        state,
        identity,
        "`host` (or `alert_url`), `chart` and `alert`",
    )?
    .site(fields.text("space"))
    .host(host)
    .component(fields.text("chart"))
    .check(fields.text("alert"))
    .severity(severity, hint)
    .summary(fields.text("message"))
    .details(fields.text("info"))
    .label("context", fields.text("context"))
    .label("family", fields.text("family"))
    .label("class", fields.text("class"))
    .link(fields.text("alert_url"))
    .sent_at(at)
    .problem(odd)
    .problem(odd_word);
    let draft = if state == EventState::Resolved {
        draft.ends_at(at)
    } else {
        draft
    };
    Ok(draft.finish_with_signals())
}

fn reachability(fields: Fields) -> Result<Event, Undecodable> {
    let host = fields.word("host");
    let reachable = fields.flag("status.reachable");
    let (state, odd) = match reachable {
        Some(true) => (EventState::Resolved, None),
        Some(false) => (EventState::Firing, None),
        None => {
            let own = [
                ("reachable", EventState::Resolved),
                ("unreachable", EventState::Firing),
            ];
            words::judged_state("status.text", fields.text("status.text").as_deref(), &own)
        }
    };
    let hint = if state == EventState::Resolved {
        SeverityHint::Unknown
    } else {
        SeverityHint::Outage
    };
    let identity = Identity::object("", &host, "", "reachability");
    let draft = Draft::new(state, identity, "`host`")?
        .severity(fields.text("severity"), hint)
        .kind(ComponentKind::Device)
        .summary(fields.text("message"))
        .link(fields.text("url"))
        .problem(odd);
    Ok(draft.finish())
}

fn agent(fields: Fields) -> Result<Event, Undecodable> {
    let part = |name: &str| fields.word(name);
    let identity = Identity::object("", &part("host"), &part("chart"), &part("name"));
    let status = fields.text("status");
    let (state, no_data, odd) = state_of("status", status.as_deref());
    let (hint, odd_word) = judged("status", status.as_deref());
    let value = fields.first(&["value_string", "value"]);
    let units = fields.text("units").filter(|_| !fields.has("value_string"));
    let mut shown = format!("{} {}", part("status"), part("name"));
    if let Some(value) = value {
        shown.push_str(&format!(" = {value}{}", units.unwrap_or_default()));
    }
    let test = fields.word("name") == "test_alarm" && fields.word("chart") == "test.chart";
    let at = fields.time("when");
    let removed = status.as_deref() == Some("REMOVED");
    let draft = Draft::new(state, identity, "`host`, `chart` and `name`")?
        .dedup_key(fields.first(&["alarmId", "alarm_id"]))
        .severity(status, hint)
        .summary(format!("{shown} on {}", part("host")))
        .details(fields.text("info"))
        .label("family", fields.text("family"))
        .label("old_status", fields.text("old_status"))
        .label("no_data", no_data.then(|| "true".to_owned()))
        .label(
            "ended_by",
            removed.then(|| "removal of the alarm".to_owned()),
        )
        .link(fields.text("goto_url"))
        .sent_at(at)
        .test(test)
        .problem(odd)
        .problem(odd_word);
    let draft = match state {
        EventState::Resolved => draft.ends_at(at),
        _ => draft,
    };
    Ok(draft.finish_with_signals())
}
