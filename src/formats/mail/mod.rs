//! Mails → [`super::Decoded`]. Pure. Mails that Nagios, Naemon and Icinga send by their stock
//! commands are read by their `Name: value` lines; what no format matches is undecodable and goes
//! to quarantine, where people see it.

use super::draft::Draft;
use super::{Decoded, Undecodable, signals};
use crate::limits::MAIL_TEXT_BYTES_MAX;
use crate::model::{Event, EventState, Identity, SeverityHint, Suppressed, Time, text};
use std::collections::BTreeMap;

/// Decodes one mail: the format that read it, and what it says.
pub fn decode_bytes(raw: &[u8], _received_at: Time) -> (String, Result<Decoded, Undecodable>) {
    let Some(mail) = mail_parser::MessageParser::default().parse(raw) else {
        let reason = "the bytes are no mail: no header could be read";
        return ("mail".to_owned(), Err(Undecodable::because(reason)));
    };
    let subject = mail.subject().unwrap_or("").to_owned();
    let body = mail.body_text(0).unwrap_or_default();
    let body = text::prefix(&body, MAIL_TEXT_BYTES_MAX);
    match notification(&subject, body) {
        Some(event) => {
            let decoded = event.map(|event| Decoded {
                events: vec![event],
                ..Decoded::default()
            });
            ("nagios".to_owned(), decoded)
        }
        None => {
            let reason = format!(
                "no mail format matches the mail `{}`",
                text::bounded(&subject, 120)
            );
            ("mail".to_owned(), Err(Undecodable::because(reason)))
        }
    }
}

/// A notification by `Name: value` lines; `None`: it is another mail.
fn notification(subject: &str, body: &str) -> Option<Result<Event, Undecodable>> {
    let mut fields: BTreeMap<String, &str> = BTreeMap::new();
    for line in body.lines() {
        if let Some((name, value)) = line.split_once(':') {
            fields
                .entry(name.trim().to_ascii_lowercase())
                .or_insert(value.trim());
        }
    }
    let kind = fields.get("notification type")?;
    let host = fields.get("host").copied().unwrap_or("");
    let service = fields.get("service").copied().unwrap_or("");
    let word = fields.get("state").copied().unwrap_or("");
    let (state, suppressed) = state_of(kind, word);
    let check = if service.is_empty() { "HOST" } else { service };
    let hint = match word {
        "DOWN" | "CRITICAL" => SeverityHint::Outage,
        "WARNING" | "UNREACHABLE" => SeverityHint::Degradation,
        _ => SeverityHint::Unknown,
    };
    let draft = Draft::new(state, Identity::object("", host, "", check), "`Host`").map(|draft| {
        draft
            .severity((!word.is_empty()).then(|| word.to_owned()), hint)
            .summary(subject.trim_matches(['*', ' ']).to_owned())
            .details(body.to_owned())
            .label("address", fields.get("address").map(|a| (*a).to_owned()))
            .suppressed(suppressed)
            .finish()
    });
    Some(draft.map(|mut event| {
        if service.is_empty() {
            event.component_kind = Some(crate::model::ComponentKind::Device);
        } else {
            signals::apply(&mut event);
        }
        event
    }))
}

fn state_of(kind: &str, word: &str) -> (EventState, Option<Suppressed>) {
    let kind = kind.to_ascii_uppercase();
    match kind.split_whitespace().next().unwrap_or("") {
        "RECOVERY" => (EventState::Resolved, None),
        "ACKNOWLEDGEMENT" => (EventState::Acknowledged, None),
        k if k.starts_with("FLAPPING") => (EventState::Info, Some(Suppressed::Flapping)),
        k if k.starts_with("DOWNTIME") => (EventState::Info, Some(Suppressed::Downtime)),
        "CUSTOM" => (EventState::Info, None),
        _ if word == "UNREACHABLE" => (EventState::Info, Some(Suppressed::Unreachable)),
        _ => (EventState::Firing, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(text: &str) -> Result<Decoded, Undecodable> {
        decode_bytes(text.as_bytes(), Time(0)).1
    }

    const MAIL: &str = "From: nagios@example.net\r\nSubject: ** PROBLEM Host Alert: core-1 is DOWN **\r\n\r\n***** Nagios *****\r\n\r\nNotification Type: PROBLEM\r\nHost: core-1\r\nState: DOWN\r\nAddress: 192.0.2.1\r\nInfo: CRITICAL - OK is inside BROKEN\r\n";

    #[test]
    fn problem_and_recovery_have_one_identity() {
        let problem = decode(MAIL).unwrap().events.remove(0);
        let recovery = MAIL.replace("PROBLEM", "RECOVERY").replace("DOWN", "UP");
        let recovery = decode(&recovery).unwrap().events.remove(0);
        assert_eq!(problem.state, EventState::Firing);
        assert_eq!(problem.severity_hint, SeverityHint::Outage);
        assert_eq!(recovery.state, EventState::Resolved);
        assert_eq!(problem.identity, recovery.identity);
    }

    #[test]
    fn another_mail_is_undecodable_with_a_reason() {
        let error = decode("Subject: lunch?\r\n\r\nAt noon.\r\n").unwrap_err();
        assert!(
            error
                .reason
                .contains("no mail format matches the mail `lunch?`")
        );
    }
}
