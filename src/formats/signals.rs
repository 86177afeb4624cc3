//! Signals: words by which senders without a field for it name the kind of a component, and what
//! the loss of such a component means. Data, not code: a row is words, kind and hint.

use crate::model::{ComponentKind, Event, SeverityHint};

/// Words, the kind they name, and what losing one means if the sender does not say more.
const SIGNALS: &[(&[&str], ComponentKind, Option<SeverityHint>)] = &[
    (
        &[
            "psu",
            "power supply",
            "power-supply",
            "powersupply",
            "power_supply",
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
        &["on battery", "ups", "pdu", "generator"],
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
        &["disk failed", "drive failed", "smart", "ssd"],
        ComponentKind::Disk,
        None,
    ),
    (&["bgp", "ospf", "isis"], ComponentKind::Session, None),
    (
        &["tunnel", "circuit", "lag", "port-channel", "bundle"],
        ComponentKind::Link,
        None,
    ),
    (
        &["interface", "link down", "port down", "ifoperstatus"],
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
    (&["backup", "replication"], ComponentKind::Job, None),
];

fn row(
    event: &Event,
) -> Option<&'static (&'static [&'static str], ComponentKind, Option<SeverityHint>)> {
    let mut text = event.summary.to_lowercase();
    for part in [&event.component, &event.check].into_iter().flatten() {
        text.push(' ');
        text.push_str(&part.to_lowercase());
    }
    let starts = word_starts(&text);
    SIGNALS
        .iter()
        .find(|(words, _, _)| words.iter().any(|word| has_word(&starts, word)))
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
    starts.iter().any(|text| {
        text.strip_prefix(word)
            .is_some_and(|rest| !rest.chars().next().is_some_and(char::is_alphabetic))
    })
}

/// Sets kind and hint from an event's words, where the sender's own fields do not say.
pub fn apply(event: &mut Event) {
    let Some((_, kind, hint)) = row(event) else {
        return;
    };
    event.component_kind.get_or_insert(*kind);
    // A failed spare part is a loss of redundancy, whatever the monitor's word for it.
    if let Some(hint) = hint
        && event.severity_hint != SeverityHint::Info
    {
        event.severity_hint = *hint;
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
