//! Proxmox VE, Backup Server and Mail Gateway notification webhooks, a body of ours. Nothing says
//! that a problem is over but the next success of the same job; mails of the system are told apart
//! by host, subject and device.

use super::draft::Draft;
use super::fields::{Fields, mentions, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals, words};
use crate::limits::SKELETON_BYTES_MAX;
use crate::model::{ComponentKind, EventState, Identity, SeverityHint, text};

/// Proxmox.
pub struct Proxmox;

impl Format for Proxmox {
    fn name(&self) -> &'static str {
        "proxmox"
    }

    fn about(&self) -> About {
        About {
            title: "Proxmox VE, Backup Server, Mail Gateway",
            says: "problem, success of the same job, test",
            identity: "type, host, job or datastore; system mail: host and subject",
            auth: "header, bearer",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"proxmox","title":"vzdump backup status (alertbridge-test): backup failed","message":"test","severity":"error","fields":{"type":"vzdump","hostname":"alertbridge-test"}}"#,
            r#"{"source":"proxmox","title":"vzdump backup status (alertbridge-test): backup successful","message":"test","severity":"info","fields":{"type":"vzdump","hostname":"alertbridge-test"}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let body = mentions(
            request,
            &["\"fields\"", "\"hostname\"", "\"severity\"", "\"title\""],
        );
        if names_source(request, "proxmox") {
            Detection::Certain
        } else if body {
            Detection::Possible
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let title = fields.word("title");
        let kind = fields.text("fields.type");
        let host = fields.text("fields.hostname");
        let test = title.to_lowercase().starts_with("test") || kind.as_deref() == Some("test");
        let severity = fields.text("severity");
        let (state, problem) = state_of(kind.as_deref(), severity.as_deref());
        let message = fields.text("message");
        let part = match kind.as_deref() {
            Some("system-mail") | None => Some(subject(&title, message.as_deref())),
            Some(_) => fields.first(&["fields.job-id", "fields.datastore", "fields.media-pool"]),
        };
        let key = host
            .as_ref()
            .filter(|_| kind.is_some() || !title.is_empty())
            .map(|host| {
                let kind = kind.as_deref().unwrap_or("");
                format!("{kind}/{host}/{}", part.as_deref().unwrap_or(""))
            });
        let at = fields.time("timestamp");
        let hint = hint(kind.as_deref(), severity.as_deref());
        let mut draft = Draft::new(
            state,
            key.and_then(Identity::key),
            "`fields.hostname` with `fields.type`",
        )?
        .host(host)
        .check(kind.clone())
        .severity(severity.clone(), hint)
        .kind(kind_of(kind.as_deref()))
        .summary((!title.is_empty()).then_some(title))
        .details(message)
        .label("job", fields.text("fields.job-id"))
        .label("datastore", fields.text("fields.datastore"))
        .sent_at(at)
        .problem(problem)
        .problem(words::unknown_severity(severity.as_deref()))
        .test(test);
        if state == EventState::Resolved {
            draft = draft.ends_at(at);
        }
        let mut event = draft.finish();
        if event.component_kind.is_none() {
            signals::apply(&mut event);
        }
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

/// A success of a job that fails at times is the recovery of its last failure.
fn state_of(kind: Option<&str>, severity: Option<&str>) -> (EventState, Option<String>) {
    let job = matches!(
        kind,
        Some("vzdump" | "sync" | "verification" | "gc" | "prune" | "tape-backup" | "replication")
    );
    match severity {
        Some("info") if job => (EventState::Resolved, None),
        Some("info" | "notice") => (EventState::Info, None),
        Some("warning" | "error" | "unknown") => (EventState::Firing, None),
        other => {
            let found = other.unwrap_or("");
            let problem = format!("the severity `{found}` is not Proxmox's: taken as a problem");
            (EventState::Firing, Some(problem))
        }
    }
}

fn hint(kind: Option<&str>, severity: Option<&str>) -> SeverityHint {
    match (kind, severity) {
        (Some("fencing"), Some("error")) => SeverityHint::Outage,
        (_, Some("error" | "warning")) => SeverityHint::Degradation,
        (_, Some("info" | "notice")) => SeverityHint::Info,
        _ => SeverityHint::Unknown,
    }
}

fn kind_of(kind: Option<&str>) -> Option<ComponentKind> {
    match kind? {
        "vzdump" | "sync" | "verification" | "gc" | "prune" | "tape-backup" | "tape-load"
        | "replication" => Some(ComponentKind::Job),
        "fencing" => Some(ComponentKind::Device),
        "acme" => Some(ComponentKind::Certificate),
        _ => None,
    }
}

/// A subject without its numbers, and the device that the text names.
fn subject(title: &str, message: Option<&str>) -> String {
    let skeleton: Vec<&str> = title
        .split_whitespace()
        .map(|word| {
            let number = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            let counts = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            if counts { "#" } else { word }
        })
        .collect();
    let device = message
        .and_then(|text| {
            text.split_whitespace()
                .find(|word| word.starts_with("/dev/"))
        })
        .map(|word| word.trim_end_matches([',', ':', '.']));
    let skeleton = text::bounded(&skeleton.join(" "), SKELETON_BYTES_MAX);
    match device {
        Some(device) => format!("{skeleton} {device}"),
        None => skeleton,
    }
}
