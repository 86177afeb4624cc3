//! UptimeRobot: JSON, a form or the query of a GET, all values texts. A variable that does not
//! apply stays as `*name*`. Certificate and domain notices are problems of their own.

use super::draft::Draft;
use super::fields::{Fields, holds, host_of_url};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint};

/// UptimeRobot.
pub struct UptimeRobot;

impl Format for UptimeRobot {
    fn name(&self) -> &'static str {
        "uptimerobot"
    }

    fn about(&self) -> About {
        About {
            title: "UptimeRobot",
            says: "problem, recovery, certificate or domain notice",
            identity: "`monitorID`; notices: `monitorID` and expiry",
            auth: "header, secret in the URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"monitorID":"alertbridge-test","monitorFriendlyName":"alertbridge-test","alertType":"1","alertDetails":"test"}"#,
            r#"{"monitorID":"alertbridge-test","monitorFriendlyName":"alertbridge-test","alertType":"2","alertDetails":"test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["monitorID", "alertType"])
            || holds(request, &["monitorFriendlyName", "alertType"])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let text = |name: &str| fields.text(name).filter(|value| !is_left(value));
        let kind = text("alertType");
        let id = text("monitorID");
        let (state, hint, odd) = match kind.as_deref() {
            Some("1") => (EventState::Firing, SeverityHint::Outage, None),
            Some("2") => (EventState::Resolved, SeverityHint::Unknown, None),
            Some("3") => (EventState::Firing, SeverityHint::Unknown, None),
            other => {
                let found = other.unwrap_or("");
                let odd = format!("alertType `{found}` is not known: taken as firing");
                (EventState::Firing, SeverityHint::Unknown, Some(odd))
            }
        };
        let expiry = kind.as_deref() == Some("3");
        let identity =
            id.and_then(|id| Identity::key(if expiry { format!("{id}/expiry") } else { id }));
        let name = text("monitorFriendlyName");
        let word = text("alertTypeFriendlyName");
        let summary = match (&name, &word) {
            (Some(name), Some(word)) => Some(format!("{name}: {word}")),
            (name, _) => name.clone(),
        };
        let url = text("monitorURL");
        let host = url
            .as_deref()
            .map(|url| host_of_url(url).unwrap_or_else(|| url.to_owned()));
        let at = text("alertDateTime").and_then(|at| super::fields::time(&at));
        let draft = Draft::new(state, identity, "`monitorID`")?
            .host(host)
            .check(name)
            .kind(expiry.then_some(ComponentKind::Certificate))
            .severity(word, hint)
            .summary(summary)
            .details(text("alertDetails"))
            .label("days_left", text("sslExpiryDaysLeft"))
            .link(url)
            .link(text("dashboardUrl"))
            .sent_at(at)
            .problem(odd);
        let draft = match state {
            EventState::Resolved => draft.ends_at(at),
            _ => draft.starts_at(at),
        };
        Ok(Decoded::one(draft.finish_with_signals()))
    }
}

/// `*sslExpiryDate*`: a variable that does not apply.
fn is_left(value: &str) -> bool {
    let inner = value
        .strip_prefix('*')
        .and_then(|rest| rest.strip_suffix('*'));
    inner.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphabetic()))
}
