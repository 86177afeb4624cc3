//! A request in the first lines of a person's mail:
//!
//! ```text
//! Service: internet-fra
//! Type: outage
//! Reported-At: 2026-03-01T09:30:00+01:00
//! Sensitive: yes
//! ```
//!
//! `Account` is needed only by those who speak for several. Lines end the request at the first
//! one that is none of these.

use crate::model::notice::Asked;
use crate::model::text::bounded;
use crate::model::{RequestKind, Time};

/// Longest value that is taken.
const VALUE_BYTES_MAX: usize = 200;

/// What the text asks for; `None` if its first lines are no request.
pub(super) fn read(text: &str) -> Option<Asked> {
    let mut asked = Asked::inquiry();
    let mut found = false;
    for line in text.lines().map(str::trim).skip_while(|l| l.is_empty()) {
        let Some((name, value)) = line.split_once([':', '：']) else {
            break;
        };
        let value = bounded(value.trim(), VALUE_BYTES_MAX);
        match name.trim().to_lowercase().replace(['_', ' '], "-").as_str() {
            "service" => asked.service = (!value.is_empty()).then_some(value),
            "account" => asked.account = (!value.is_empty()).then_some(value),
            "type" => asked.kind = kind(&value, &mut asked.problems),
            "reported-at" => asked.reported_at = instant(&value, &mut asked.problems),
            "sensitive" => asked.sensitive = sensitive(&value),
            _ => break,
        }
        found = true;
    }
    found.then_some(asked)
}

fn kind(value: &str, problems: &mut Vec<String>) -> RequestKind {
    match value.to_lowercase().as_str() {
        "outage" => RequestKind::Outage,
        "degradation" => RequestKind::Degradation,
        "provisioning" => RequestKind::Provisioning,
        "inquiry" | "question" => RequestKind::Inquiry,
        other => {
            problems.push(format!(
                "type `{other}` is not known (outage, degradation, provisioning, inquiry); taken \
                 as an inquiry"
            ));
            RequestKind::Inquiry
        }
    }
}

fn instant(value: &str, problems: &mut Vec<String>) -> Option<Time> {
    let read = Time::parse_rfc3339(value);
    if read.is_none() {
        problems.push(format!(
            "reported-at `{value}` is no time with its offset, like 2026-03-01T09:30:00+01:00; \
             the mail's arrival counts"
        ));
    }
    read
}

/// Anything but a clear no keeps the content inside.
fn sensitive(value: &str) -> bool {
    !matches!(value.to_lowercase().as_str(), "no" | "false" | "0" | "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_from_the_first_lines_only() {
        let asked = read(
            "\nService: inet-fra\nType: Outage\nReported at: 2026-03-01T09:30:00+01:00\n\
             Sensitive: yes\n\nHello,\nType: inquiry\n",
        )
        .unwrap();
        assert_eq!(asked.service.as_deref(), Some("inet-fra"));
        assert_eq!(asked.kind, RequestKind::Outage);
        assert_eq!(
            asked.reported_at,
            Time::parse_rfc3339("2026-03-01T08:30:00Z")
        );
        assert!(asked.sensitive && asked.problems.is_empty());
        assert_eq!(read("Hello,\nService: x\n"), None);
        assert_eq!(read("Note: service is down\n"), None);
    }

    #[test]
    fn what_is_not_understood_is_said_and_costs_no_request() {
        let asked = read("Type: broken\nReported-At: yesterday\nSensitive: maybe\n").unwrap();
        assert_eq!(asked.kind, RequestKind::Inquiry);
        assert_eq!(asked.problems.len(), 2);
        assert!(asked.sensitive);
    }
}
