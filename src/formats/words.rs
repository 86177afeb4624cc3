//! Words that many senders share: states and severities. A sender with words of its own keeps a
//! table of its own and falls back to this one.

use crate::model::{EventState, SeverityHint};

const STATES: &[(EventState, &[&str])] = &[
    (
        EventState::Firing,
        &[
            "problem",
            "open",
            "opened",
            "trigger",
            "triggered",
            "firing",
            "alerting",
            "alert",
            "down",
            "update",
            "updated",
            "active",
            "critical",
            "warning",
            "error",
            "failed",
            "failure",
            "create",
            "created",
            "new",
            "raised",
            "unknown",
            "major",
            "minor",
            "incident",
            "started",
            "begin",
            "in alarm",
            "no_data",
            "nodata",
        ],
    ),
    (
        EventState::Acknowledged,
        &[
            "acknowledge",
            "acknowledged",
            "acknowledgement",
            "ack",
            "acked",
        ],
    ),
    (
        EventState::Resolved,
        &[
            "recovery",
            "recovered",
            "recover",
            "ok",
            "resolve",
            "resolved",
            "clear",
            "cleared",
            "up",
            "close",
            "closed",
            "normal",
            "success",
            "fixed",
            "ended",
            "healthy",
            "inactive",
        ],
    ),
    (
        EventState::Info,
        &["info", "information", "informational", "notice", "custom"],
    ),
];

/// The state that a word stands for at most senders; `None` for a word that is not known.
pub fn state(word: &str) -> Option<EventState> {
    let word = word.trim().to_ascii_lowercase();
    STATES
        .iter()
        .find(|(_, words)| words.contains(&word.as_str()))
        .map(|(state, _)| *state)
}

/// What a severity word suggests at most senders. A high word suggests a degradation at least and
/// never proves an outage by itself: that takes a signal, or a sender whose words mean it.
pub fn hint(word: &str) -> SeverityHint {
    match word.trim().to_ascii_lowercase().as_str() {
        "disaster" | "emergency" | "emerg" | "fatal" | "outage" | "down" | "page" | "p1"
        | "sev1" | "critical" | "crit" | "blocker" => SeverityHint::Outage,
        "alert" | "high" | "major" | "error" | "err" | "average" | "serious" | "warning"
        | "warn" | "medium" | "minor" | "degraded" | "degradation" | "p2" | "p3" | "sev2"
        | "sev3" => SeverityHint::Degradation,
        "redundancy" | "redundant" => SeverityHint::Redundancy,
        "info" | "information" | "informational" | "notice" | "debug" | "low" | "none" | "ok"
        | "normal" | "p5" => SeverityHint::Info,
        _ => SeverityHint::Unknown,
    }
}

/// The sentence for an event whose severity word means nothing here; `None` for no word, and for
/// words that are known as a severity or a state.
pub fn unknown_severity(word: Option<&str>) -> Option<String> {
    let word = word?;
    let known = hint(word) != SeverityHint::Unknown || state(word).is_some();
    (!known).then(|| format!("the severity `{word}` is not known: nothing follows from it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_has_two_states() {
        let mut seen = std::collections::BTreeSet::new();
        for word in STATES.iter().flat_map(|(_, words)| *words) {
            assert!(seen.insert(word), "{word} stands in two rows");
        }
    }

    #[test]
    fn unknown_words_stay_unknown() {
        assert_eq!(state("frobnicated"), None);
        assert_eq!(hint("frobnicated"), SeverityHint::Unknown);
        assert_eq!(state(" Resolved "), Some(EventState::Resolved));
    }
}
