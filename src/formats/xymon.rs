//! Xymon: a `SCRIPT` of its alert module that posts host, test and colour. A recovery still has
//! the colour of the problem: `recovered` says what happened (1 over, 2 disabled).

use super::draft::Draft;
use super::fields::{Fields, mentions, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint, Suppressed};

/// Xymon.
pub struct Xymon;

impl Format for Xymon {
    fn name(&self) -> &'static str {
        "xymon"
    }

    fn about(&self) -> About {
        About {
            title: "Xymon (alert script)",
            says: "problem, repeat, disabled, recovery",
            identity: "host and test",
            auth: "header, basic, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            "host=alertbridge-test&svc=test&color=yellow&recovered=0",
            "host=alertbridge-test&svc=test&color=yellow&recovered=1",
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let script = mentions(request, &["svc=", "color=", "recovered="]);
        let environment = mentions(request, &["BBHOSTNAME", "BBSVCNAME"]);
        if script || environment || names_source(request, "xymon") {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let host = fields.first(&["host", "BBHOSTNAME"]).unwrap_or_default();
        let test = fields.first(&["svc", "BBSVCNAME"]).unwrap_or_default();
        let color = fields.first(&["color", "BBCOLORLEVEL"]);
        let (state, suppressed, problem) = state_of(fields, color.as_deref());
        let text = fields.first(&["alphamsg", "BBALPHAMSG"]);
        // The first line names host, test and colour; the next one says what is wrong.
        let line = text.as_deref().and_then(|text| {
            let mut lines = text.lines().filter(|line| !line.trim().is_empty());
            lines.nth(1).map(|line| line.trim().to_owned())
        });
        let link = text
            .as_deref()
            .and_then(|text| text.lines().find_map(|line| line.strip_prefix("See ")))
            .map(|link| link.trim().to_owned());
        let mut event = Draft::new(
            state,
            Identity::object("", &host, "", &test),
            "`host` with `svc`",
        )?
        .severity(color.clone(), hint(color.as_deref()))
        .summary(match line {
            Some(line) => format!("{test} on {host}: {line}"),
            None => format!("{test} on {host}"),
        })
        .details(text)
        .link(link)
        .suppressed(suppressed)
        .problem(problem)
        .finish();
        if test == "conn" {
            event.component_kind = Some(ComponentKind::Device);
        } else {
            signals::apply_check(&mut event);
        }
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

fn state_of(
    fields: Fields,
    color: Option<&str>,
) -> (EventState, Option<Suppressed>, Option<String>) {
    let disabled = Some(Suppressed::Downtime);
    match fields.first(&["recovered", "RECOVERED"]).as_deref() {
        Some("1") => return (EventState::Resolved, None, None),
        Some("2") => return (EventState::Info, disabled, None),
        _ => {}
    }
    match color {
        Some("green") => (EventState::Resolved, None, None),
        Some("blue") => (EventState::Info, disabled, None),
        Some("red" | "yellow" | "purple") => (EventState::Firing, None, None),
        other => {
            let found = other.unwrap_or("");
            let problem = format!("the colour `{found}` is not known: taken as a problem");
            (EventState::Firing, None, Some(problem))
        }
    }
}

/// Purple says that nothing was heard of the test: a fault of the monitoring first.
fn hint(color: Option<&str>) -> SeverityHint {
    match color {
        Some("red") => SeverityHint::Outage,
        Some("yellow") => SeverityHint::Degradation,
        _ => SeverityHint::Unknown,
    }
}
