//! mon: an alert script that posts its arguments, its `MON_*` variables and the monitor's text. A
//! service of a group fails as a whole; which hosts of it failed may change from repeat to repeat.

use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{EventState, Identity, SeverityHint};

/// mon.
pub struct Mon;

impl Format for Mon {
    fn name(&self) -> &'static str {
        "mon"
    }

    fn about(&self) -> About {
        About {
            title: "mon (alert script)",
            says: "problem, repeat, recovery",
            identity: "group and service",
            auth: "header, basic, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            "MON_ALERTTYPE=failure\nMON_GROUP=alertbridge-test\nMON_SERVICE=test\n",
            "MON_ALERTTYPE=up\nMON_GROUP=alertbridge-test\nMON_SERVICE=test\n",
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(request, &["MON_ALERTTYPE", "MON_SERVICE", "MON_GROUP"]) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let text = request.text();
        let first = text.trim_start().chars().next();
        let tree = if matches!(first, Some('{')) {
            body::read(request)?.value
        } else {
            body::env(&variables(&text))
        };
        let fields = Fields::of(&tree);
        let word = fields.word("MON_ALERTTYPE");
        let (state, problem) = match word.as_str() {
            "failure" | "trap" | "traptimeout" => (EventState::Firing, None),
            "up" => (EventState::Resolved, None),
            "startup" | "ack" | "disable" => (EventState::Info, None),
            other => {
                let problem = format!("`MON_ALERTTYPE` is `{other}`, which is not known");
                (EventState::Firing, Some(problem))
            }
        };
        let hint = match problem {
            None => SeverityHint::Outage,
            Some(_) => SeverityHint::Unknown,
        };
        let (group, service) = (fields.word("MON_GROUP"), fields.word("MON_SERVICE"));
        let failed = fields.text("MON_LAST_SUMMARY");
        let at = match state {
            EventState::Resolved => None,
            _ => fields.time("MON_LAST_FAILURE"),
        };
        let details = text
            .split_once("\n\n")
            .map(|(_, details)| details.trim().to_owned());
        let summary = match &failed {
            Some(failed) => format!("{service} of {group}: {failed}"),
            None => format!("{service} of {group}"),
        };
        // The summary names the hosts that failed; the group stands for them in the identity.
        let host = failed.filter(|failed| !failed.contains(char::is_whitespace));
        let identity = Identity::object("", &group, "", &service);
        let draft = Draft::new(state, identity, "`MON_GROUP` with `MON_SERVICE`")?
            .host(host)
            .severity((!word.is_empty()).then_some(word), hint)
            .summary(summary)
            .details(details)
            .label("group", Some(group))
            .sent_at(at)
            .problem(problem);
        let draft = match state {
            EventState::Firing => draft.starts_at(fields.time("MON_FIRST_FAILURE")),
            _ => draft,
        };
        let mut event = draft.finish();
        signals::apply_check(&mut event);
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

/// The lines of variables: after the arguments, before the blank line.
fn variables(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .take_while(|line| !line.trim().is_empty())
        .filter(|line| line.starts_with("MON_"))
        .collect();
    lines.join("\n")
}
