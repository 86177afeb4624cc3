//! Signals: words by which senders without a field for it name the kind of a component, and what
//! the loss of such a component means. Data, not code: a row is words, kind and hint.

use crate::model::{ComponentKind, Event, SeverityHint};
use std::sync::LazyLock;

/// Words, the kind they name, and what losing one means if the sender does not say more.
const SIGNALS: &[(&[&str], ComponentKind, Option<SeverityHint>)] = &[
    (
        &[
            "psu",
            "power supply",
            "power-supply",
            "powersupply",
            "power_supply",
            "power supplies",
            "pem",
        ],
        ComponentKind::PowerSupply,
        Some(SeverityHint::Redundancy),
    ),
    (
        &["fan", "fan tray", "fans"],
        ComponentKind::Fan,
        Some(SeverityHint::Redundancy),
    ),
    (
        &["battery", "ups", "pdu", "generator"],
        ComponentKind::Power,
        Some(SeverityHint::Redundancy),
    ),
    (
        &[
            "raid",
            "array degraded",
            "degraded array",
            "zpool",
            "md array",
        ],
        ComponentKind::Array,
        Some(SeverityHint::Redundancy),
    ),
    (
        &["disk failed", "drive failed", "smart", "disk failure"],
        ComponentKind::Disk,
        Some(SeverityHint::Redundancy),
    ),
    (&["ssd"], ComponentKind::Disk, None),
    (
        &["bgp", "ospf", "isis", "bfd"],
        ComponentKind::Session,
        Some(SeverityHint::Redundancy),
    ),
    (
        &["mlag", "lacp", "lag member", "stacking"],
        ComponentKind::Link,
        Some(SeverityHint::Redundancy),
    ),
    (
        &["tunnel", "circuit", "lag", "port-channel", "bundle"],
        ComponentKind::Link,
        None,
    ),
    (
        &[
            "interface",
            "link down",
            "port down",
            "port status",
            "ifoperstatus",
            "operstate",
        ],
        ComponentKind::Interface,
        None,
    ),
    (
        &["temperature", "humidity", "cooling", "crac"],
        ComponentKind::Cooling,
        None,
    ),
    (
        &["certificate", "licence", "license"],
        ComponentKind::Certificate,
        None,
    ),
    (
        &[
            "host down",
            "device down",
            "node down",
            "unreachable",
            "icmp ping",
            "unavailable by icmp",
        ],
        ComponentKind::Device,
        Some(SeverityHint::Outage),
    ),
    (
        &[
            "cpu",
            "memory",
            "load average",
            "swap",
            "disk space",
            "filesystem",
        ],
        ComponentKind::Resource,
        None,
    ),
    (
        &[
            "vmnic",
            "path redundancy",
            "lost redundant",
            "lost network redundancy",
            "vsan disk",
        ],
        ComponentKind::Link,
        Some(SeverityHint::Redundancy),
    ),
    (
        &[
            "redundancy lost",
            "redundancy is lost",
            "not redundant",
            "no longer redundant",
        ],
        ComponentKind::Other,
        Some(SeverityHint::Redundancy),
    ),
    (&["backup", "replication"], ComponentKind::Job, None),
];

/// Names of checks that watch a spare part or a pair: while their host is up, a fault of one costs
/// redundancy. Only for monitors of hosts and services, whose checks have such names.
const SPARES: &[(&[&str], ComponentKind)] = &[
    (
        &["bond", "lag", "lacp", "multipath", "mlag"],
        ComponentKind::Link,
    ),
    (
        &[
            "ha",
            "cluster",
            "vrrp",
            "hsrp",
            "standby",
            "secondary",
            "failover",
        ],
        ComponentKind::Member,
    ),
    (&["power"], ComponentKind::PowerSupply),
];

/// Words for what works badly, whatever the severity word beside them.
const DEGRADATIONS: &[&str] = &[
    "over limit",
    "under limit",
    "over threshold",
    "above threshold",
    "exceeded",
    "utilisation",
    "utilization",
    "usage",
    "latency",
    "packet loss",
    "too long to poll",
    "rebooted",
    "errors rate",
    "snmp unreachable",
    "capacity",
];

/// Whether a text says that something works badly and no more than that.
pub fn says_degraded(text: &str) -> bool {
    let text = text.to_lowercase();
    let starts = word_starts(&text);
    DEGRADATIONS.iter().any(|word| has_word(&starts, word))
}

/// Whether the output of a check says that some, but not all, of several are left: `degraded`,
/// `not redundant`, `3 of 4`.
pub fn says_spare_lost(output: &str) -> bool {
    let output = output.to_lowercase();
    let words: Vec<&str> = output.split_whitespace().collect();
    let some = words.windows(3).any(|three| match three {
        [left, "of", all] => {
            let number = |word: &str| {
                let digits = word.trim_matches(|c: char| !c.is_ascii_digit());
                digits.parse::<u32>().ok()
            };
            matches!((number(left), number(all)), (Some(left), Some(all)) if 0 < left && left < all)
        }
        _ => false,
    });
    some || has_word(&word_starts(&output), "degraded") || output.contains("not redundant")
}

/// Words, kind and hint of a row.
type Signal = (&'static [&'static str], ComponentKind, Option<SeverityHint>);

fn row(event: &Event) -> Option<&'static Signal> {
    let mut text = event.summary.to_lowercase();
    for part in [&event.component, &event.check].into_iter().flatten() {
        text.push(' ');
        text.push_str(&part.to_lowercase());
    }
    // A host may be called `ups-1`; that says nothing about what failed on it.
    if let Some(host) = event.host.as_deref().filter(|host| host.len() > 1) {
        text = text.replace(&host.to_lowercase(), " ");
    }
    by_words(&text)
}

/// The words of all signals, each with the place of its row, by their first letter: each message is
/// looked through for all of them.
static BY_FIRST: LazyLock<Vec<Vec<(&str, usize)>>> = LazyLock::new(|| {
    let mut letters = vec![Vec::new(); 256];
    for (row, (words, _, _)) in SIGNALS.iter().enumerate() {
        for word in *words {
            let first = word
                .bytes()
                .next()
                .and_then(|b| letters.get_mut(usize::from(b)));
            if let Some(letter) = first {
                letter.push((*word, row));
            }
        }
    }
    letters
});

/// The first row that has a word in the text.
fn by_words(text: &str) -> Option<&'static Signal> {
    let of_letter = |start: &&str| {
        let first = start.bytes().next()?;
        BY_FIRST.get(usize::from(first))
    };
    word_starts(text)
        .iter()
        .filter_map(|start| {
            let found = of_letter(start)?
                .iter()
                .find(|(word, _)| begins(start, word))?;
            Some(found.1)
        })
        .min()
        .and_then(|row| SIGNALS.get(row))
}

/// The kind that a text's words name, and what the loss of such a thing means.
pub fn of_text(text: &str) -> Option<(ComponentKind, Option<SeverityHint>)> {
    by_words(&text.to_lowercase()).map(|(_, kind, hint)| (*kind, *hint))
}

/// The same as [`apply`] for a check of a host: its name counts before its output, and names of
/// spares count too.
pub fn apply_check(event: &mut Event) {
    let check = event.check.as_deref().unwrap_or("").to_lowercase();
    let starts = word_starts(&check);
    let spare = SPARES
        .iter()
        .find(|(words, _)| words.iter().any(|word| has_word(&starts, word)));
    match (by_words(&check), spare) {
        (Some((_, kind, hint)), _) => set(event, *kind, *hint),
        (None, Some((_, kind))) => set(event, *kind, Some(SeverityHint::Redundancy)),
        (None, None) => apply(event),
    }
}

fn set(event: &mut Event, kind: ComponentKind, hint: Option<SeverityHint>) {
    event.component_kind.get_or_insert(kind);
    // A failed spare part is a loss of redundancy, whatever the monitor's word for it.
    if let Some(hint) = hint
        && event.severity_hint != SeverityHint::Info
    {
        event.severity_hint = hint;
    }
}

/// What follows each place where a word may begin. Looked for once: there are many signals.
fn word_starts(text: &str) -> Vec<&str> {
    let mut in_word = false;
    let mut starts = Vec::with_capacity(16);
    for (at, c) in text.char_indices() {
        let letter = c.is_alphabetic();
        if letter && !in_word {
            starts.extend(text.get(at..));
        }
        in_word = letter;
    }
    starts
}

/// Whether a word stands in a text by itself: `psu1` holds `psu`, `capsule` does not.
fn has_word(starts: &[&str], word: &str) -> bool {
    starts.iter().any(|text| begins(text, word))
}

fn begins(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|rest| !rest.chars().next().is_some_and(char::is_alphabetic))
}

/// Sets kind and hint from an event's words, where the sender's own fields do not say.
pub fn apply(event: &mut Event) {
    if let Some((_, kind, hint)) = row(event) {
        set(event, *kind, *hint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventState, Identity};

    fn event(summary: &str) -> Event {
        let mut event = Event::new(EventState::Firing, Identity::key("k").unwrap(), summary);
        event.severity_hint = SeverityHint::Outage;
        apply(&mut event);
        event
    }

    #[test]
    fn some_of_several_is_a_loss_of_redundancy_and_all_of_them_is_not() {
        assert!(says_spare_lost("WARNING - 2 of 4 members are up"));
        assert!(says_spare_lost("RAID 6 is degraded(!)"));
        assert!(!says_spare_lost("3 of 3 nodes are down"));
        assert!(!says_spare_lost("0 of 3 nodes are up"));
        assert!(!says_spare_lost("out of memory"));
    }

    #[test]
    fn a_failed_supply_is_a_loss_of_redundancy_and_words_stand_alone() {
        let psu = event("PSU 2 failed");
        assert_eq!(psu.severity_hint, SeverityHint::Redundancy);
        assert_eq!(psu.component_kind, Some(ComponentKind::PowerSupply));
        assert_eq!(event("Capsule failed").component_kind, None);
        assert_eq!(event("Fantastic site").severity_hint, SeverityHint::Outage);
        assert_eq!(
            event("psu1@core-1 lost").severity_hint,
            SeverityHint::Redundancy
        );
    }
}
