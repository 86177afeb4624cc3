//! StatusCake: forms, a GET or JSON. Spelling of names and words varies; there is no id but in
//! some accounts, and no time. `Token` is a secret and stays out of the event.

use super::draft::{Draft, key_of};
use super::fields::{Fields, host_of_url, lower_names};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{EventState, Identity, SeverityHint};

/// StatusCake.
pub struct StatusCake;

impl Format for StatusCake {
    fn name(&self) -> &'static str {
        "statuscake"
    }

    fn about(&self) -> About {
        About {
            title: "StatusCake",
            says: "problem, recovery",
            identity: "`TestID`, else `Name` and `URL`",
            auth: "`Token` in the form, secret in the URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"Name":"alertbridge-test","URL":"https://alertbridge-test.invalid/","Status":"Down","StatusCode":"0","Checkrate":"60"}"#,
            r#"{"Name":"alertbridge-test","URL":"https://alertbridge-test.invalid/","Status":"Up","StatusCode":"0","Checkrate":"60"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let Ok(body) = body::read(request) else {
            return Detection::No;
        };
        let value = lower_names(body.value);
        let fields = Fields::of(&value);
        let has = |names: &[&str]| names.iter().all(|name| fields.has(name));
        if has(&["status", "statuscode", "checkrate"]) {
            Detection::Certain
        } else if has(&["status", "statuscode", "url", "name"]) {
            Detection::Possible
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let value = lower_names(body::read(request)?.value);
        let fields = Fields::of(&value);
        let text = |name: &str| fields.text(name).filter(|value| !value.starts_with('|'));
        let (name, url) = (text("name"), text("url"));
        let identity = match (text("testid"), &name, &url) {
            (Some(id), ..) => Identity::key(id),
            (None, Some(name), Some(url)) => key_of(&[name, url]),
            _ => None,
        };
        let word = text("status");
        let (state, odd) = words::judged_state("Status", word.as_deref(), &[]);
        let hint = match state {
            EventState::Firing if odd.is_none() => SeverityHint::Outage,
            _ => SeverityHint::Unknown,
        };
        let code = text("statuscode");
        let summary = match (&name, &word) {
            (Some(name), Some(word)) => Some(format!("{name} is {word}")),
            (name, _) => name.clone(),
        };
        let details = code.as_deref().map(|code| match code {
            "0" => "no answer in time".to_owned(),
            code => format!("status code {code}"),
        });
        let draft = Draft::new(state, identity, "`TestID`, or `Name` and `URL`")?
            .host(url.as_deref().and_then(host_of_url))
            .check(name)
            .severity(word, hint)
            .summary(summary)
            .details(details)
            .label("ip", text("ip"))
            .label("tags", text("tags"))
            .label("method", text("method"))
            .link(url)
            .problem(odd);
        Ok(Decoded::one(draft.finish_with_signals()))
    }
}
