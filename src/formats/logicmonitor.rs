//! LogicMonitor, custom HTTP delivery: a template of ours or a widely used form, with the tokens
//! of an alert. The internal id stays through escalation, acknowledgement and clear.

use super::draft::Draft;
use super::fields::{Fields, mentions, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint};

/// LogicMonitor.
pub struct Logicmonitor;

impl Format for Logicmonitor {
    fn name(&self) -> &'static str {
        "logicmonitor"
    }

    fn about(&self) -> About {
        About {
            title: "LogicMonitor (custom HTTP delivery)",
            says: "problem, escalation, acknowledged, recovery, test",
            identity: "internal id; without one, alert id",
            auth: "basic, header, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"logicmonitor","alertid":"LMD0","internalid":"LMD0","alertstatus":"active","level":"warn","host":"alertbridge-test","datapoint":"test"}"#,
            r#"{"source":"logicmonitor","alertid":"LMD0","internalid":"LMD0","alertstatus":"clear","level":"warn","host":"alertbridge-test","datapoint":"test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if names_source(request, "logicmonitor")
            || mentions(request, &["alertstatus", "internalid"])
            || mentions(request, &["alertstatus=", "alertid=", "datasource="])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let id = fields.first(&["internalid", "alertid"]);
        let unfilled = fields.unresolved("alertstatus");
        if id.is_none() && unfilled {
            return Ok(Decoded::ignored("a test: the tokens are not resolved"));
        }
        let (state, problem) = state_of(&fields.word("alertstatus"));
        let level = fields.text("level");
        let collector = fields.word("alerttype") == "agentDownAlert";
        let check = check_of(fields);
        let host = fields.text("host");
        let mut draft = Draft::new(state, id.and_then(Identity::key), "`internalid`")?
            .site(fields.text("site"))
            .host(host)
            .component(fields.first(&["instance", "instancealias"]))
            .check(check)
            .severity(level.clone(), hint(level.as_deref(), collector))
            .summary(summary(fields, collector))
            .details(details(fields))
            .label("address", fields.first(&["hostips", "hostname"]))
            .label_fields(fields, &["group", "alerttype", "threshold", "collector"])
            .link(fields.first(&["url", "serviceurl", "hosturl"]))
            .problem(problem)
            .problem(unknown_level(level.as_deref()))
            .problem(body.repaired.map(str::to_owned))
            .test(unfilled || fields.word("alertstatus") == "test");
        if state != EventState::Resolved {
            draft = draft.starts_at(fields.time("startepoch"));
        }
        let mut event = draft.finish();
        if collector {
            event.component_kind = Some(ComponentKind::Application);
        } else {
            signals::apply(&mut event);
        }
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

fn state_of(word: &str) -> (EventState, Option<String>) {
    match word {
        "active" | "update" | "test" => (EventState::Firing, None),
        "ack" => (EventState::Acknowledged, None),
        "clear" => (EventState::Resolved, None),
        other => {
            let problem = format!("`alertstatus` is `{other}`, which is not known");
            (EventState::Firing, Some(problem))
        }
    }
}

/// A collector that is down is a fault of the monitoring, not an outage of its own.
fn hint(level: Option<&str>, collector: bool) -> SeverityHint {
    match level {
        Some("critical") if !collector => SeverityHint::Outage,
        Some("warn" | "warning" | "error" | "critical") => SeverityHint::Degradation,
        _ => SeverityHint::Unknown,
    }
}

fn unknown_level(level: Option<&str>) -> Option<String> {
    let known = matches!(
        level,
        None | Some("warn" | "warning" | "error" | "critical")
    );
    (!known).then(|| format!("the level `{}` is not known", level.unwrap_or("")))
}

fn check_of(fields: Fields) -> Option<String> {
    let source = fields.first(&["datasource", "eventsource", "batchdesc"]);
    let source = source.map(|source| source.trim_end_matches('-').to_owned());
    match (source, fields.text("datapoint")) {
        (Some(source), Some(point)) => Some(format!("{source} {point}")),
        (source, point) => source.or(point),
    }
}

fn summary(fields: Fields, collector: bool) -> String {
    let host = fields.word("host");
    if collector {
        return format!("The collector {host} is down");
    }
    let parts = [host, fields.word("instance"), fields.word("datapoint")];
    let parts: Vec<&str> = parts
        .iter()
        .map(String::as_str)
        .filter(|p| !p.is_empty())
        .collect();
    let value = fields.text("value").map(|value| {
        let threshold = fields.word("threshold");
        format!(" is {value} (threshold {threshold})")
    });
    format!("{}{}", parts.join(" "), value.unwrap_or_default())
}

fn details(fields: Fields) -> String {
    let paths = [
        "message",
        "dpdescription",
        "datapointdesc",
        "acker",
        "ackcomment",
    ];
    let parts: Vec<String> = paths.iter().filter_map(|path| fields.text(path)).collect();
    parts.join("\n")
}
