//! What a ticket remembers of its incident, so that a store that was lost can be rebuilt from the
//! tickets that are open: one word at the end of the ticket's text, with a checksum before its
//! content. No text of alerts stands in it, and in the ticket of a customer nothing of others.

use super::event::{ComponentKind, SeverityHint};
use super::identity::AlertKey;
use super::saved::{decode_body, encode_body};
use super::severity::{Basis, Category, Severity};
use super::ticket::{PersonChange, RemoteRef, TicketFields};
use super::time::Time;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What stands before the word.
const NAME: &str = "alertbridge-memory:";
/// Bytes of the checksum.
const CHECK: usize = 4;
/// Most alerts that a ticket remembers; further ones find their incident by what it is about.
pub const ALERTS_MAX: usize = 16;
/// Most of what else is listed.
pub const NAMES_MAX: usize = 8;

/// What a ticket remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketMemory {
    /// The beginning of the installation's generation: numbers are its own.
    pub generation: String,
    /// The incident's number.
    pub incident: u64,
    /// The route that asked for the ticket.
    pub route: String,
    /// Which life of the incident.
    pub cycle: u32,
    /// The contract, for the ticket of a case.
    pub contract: Option<String>,
    /// The incident's category when the ticket was opened.
    pub category: Category,
    /// Its severity then.
    pub severity: Option<Severity>,
    /// What that rested on.
    pub basis: Basis,
    /// The earliest evidence that we were told.
    pub opened_at: Time,
    /// Content that must not leave the bridge.
    pub sensitive: bool,
    /// What it is about; `None` in the ticket of a case.
    pub about: Option<About>,
}

/// By what alerts find their incident again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The source that opened it; empty: not to be told.
    pub source: String,
    /// The element that is the root; empty: none, or not to be told.
    pub root: String,
    /// What it was grouped by.
    pub group: Option<u64>,
    /// Group keys of its hosts.
    pub hosts: Vec<u64>,
    /// Accounts whose people reported it.
    pub reported_by: Vec<String>,
    /// Services that they named.
    pub services: Vec<String>,
    /// Its alerts.
    pub alerts: Vec<RememberedAlert>,
}

/// An alert, without its words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedAlert {
    /// The hash of its identity.
    pub key: AlertKey,
    /// Its source; empty: not to be told.
    pub source: String,
    /// The element it resolved to; empty: none, or not to be told.
    pub element: String,
    /// How bad it is by its sender and rules.
    pub hint: SeverityHint,
    /// The severity that a rule gave it.
    pub severity: Option<Severity>,
    /// Kind of the component.
    pub kind: Option<ComponentKind>,
}

/// An open ticket that carries a key of the bridge's, as its tracker holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundTicket {
    /// The tracker's configured name.
    pub tracker: String,
    /// Where it lives.
    pub remote: RemoteRef,
    /// The key in it.
    pub key: String,
    /// Our fields as they are now.
    pub fields: TicketFields,
    /// When it was made, by the tracker.
    pub created_at: Time,
    /// What it remembers; `None`: it was made before tickets remembered, or the line was taken out.
    pub memory: Option<TicketMemory>,
    /// What people did to it, oldest first; of their texts the promised time alone.
    pub history: Vec<PersonChange>,
}

impl TicketMemory {
    /// The line as it stands in a ticket; empty if it has no binary form.
    pub fn line(&self) -> String {
        let Ok(content) = encode_body(self) else {
            return String::new();
        };
        let mut bytes = checksum(&content);
        bytes.extend(content);
        format!("{NAME} {}", URL_SAFE_NO_PAD.encode(bytes))
    }

    /// The last such line of a text that is whole. Back-slashes that a markup put before a letter
    /// are not part of it.
    pub fn read(text: &str) -> Option<TicketMemory> {
        text.rmatch_indices(NAME).find_map(|(at, _)| {
            let after = text.get(at + NAME.len()..)?.trim_start();
            let word: String = after
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '\\'))
                .filter(|c| *c != '\\')
                .collect();
            let bytes = URL_SAFE_NO_PAD.decode(word).ok()?;
            let (check, content) = bytes.split_at_checked(CHECK)?;
            let sound = checksum(content) == check;
            sound.then(|| decode_body(content).ok()).flatten()
        })
    }
}

fn checksum(content: &[u8]) -> Vec<u8> {
    Sha256::digest(content)
        .iter()
        .take(CHECK)
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Identity;

    fn memory(alerts: usize) -> TicketMemory {
        let alert = |n: usize| RememberedAlert {
            key: AlertKey::of("mon", &Identity::Key(n.to_string())),
            source: "mon".to_owned(),
            element: format!("core-{n}/psu"),
            hint: SeverityHint::Outage,
            severity: None,
            kind: None,
        };
        TicketMemory {
            generation: "0123abcd".to_owned(),
            incident: 12,
            route: "ops".to_owned(),
            cycle: 1,
            contract: None,
            category: Category::Incident,
            severity: Some(Severity::S2),
            basis: Basis::Inventory,
            opened_at: Time::from_seconds(1_780_000_000),
            sensitive: false,
            about: Some(About {
                alerts: (0..alerts).map(alert).collect(),
                ..About::default()
            }),
        }
    }

    #[test]
    fn it_comes_back_out_of_what_trackers_make_of_a_text() {
        let kept = memory(3);
        let line = kept.line();
        for text in [
            line.clone(),
            format!("INC-12: core-1 is down\r\n\r\n{line}\r\n"),
            format!("<pre>\nx\n\n{line}\n</pre>\n\nab-0123"),
            format!(
                "x {} y",
                line.replace('_', "\\_")
                    .replace('-', "\\-")
                    .replace("alertbridge\\-memory", "alertbridge-memory")
            ),
            format!("> alertbridge-memory: AAAA\n{line}"),
            format!(
                "{line}\nalertbridge-memory: {}",
                line.get(NAME.len() + 1..line.len() - 3).unwrap()
            ),
        ] {
            assert_eq!(TicketMemory::read(&text).as_ref(), Some(&kept), "{text}");
        }
        assert_eq!(TicketMemory::read(""), None);
        assert_eq!(TicketMemory::read("alertbridge-memory: "), None);
        assert_eq!(TicketMemory::read("alertbridge-memory: QUJDREVGRw"), None);
    }

    #[test]
    fn a_line_stays_short() {
        assert!(memory(ALERTS_MAX).line().len() < 1200);
    }
}
