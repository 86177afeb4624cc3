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
        "info" | "information" | "informational" | "notice" | "notification" | "debug"
        | "debugging" | "low" | "none" | "ok" | "normal" | "p5" => SeverityHint::Info,
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

/// The state for a sender's word: by the sender's own table (lower case), else by the common one.
/// A word that is not known, or a missing one, is firing, with a sentence for the event's problems.
pub fn judged_state(
    field: &str,
    word: Option<&str>,
    own: &[(&str, EventState)],
) -> (EventState, Option<String>) {
    let Some(word) = word else {
        let odd = format!("`{field}` is missing: taken as firing");
        return (EventState::Firing, Some(odd));
    };
    let lower = word.trim().to_lowercase();
    let known = own.iter().find(|(name, _)| *name == lower);
    match known.map(|(_, state)| *state).or_else(|| state(&lower)) {
        Some(state) => (state, None),
        None => {
            let odd = format!("{field} `{word}` is not known: taken as firing");
            (EventState::Firing, Some(odd))
        }
    }
}

/// The hint for a sender's severity word: by the sender's own table (lower case), else by the
/// common one. A word that is not known gives a sentence for the event's problems; a missing word,
/// or the word of a state, is nothing odd.
pub fn judged_hint(
    field: &str,
    word: Option<&str>,
    own: &[(&str, SeverityHint)],
) -> (SeverityHint, Option<String>) {
    let Some(word) = word else {
        return (SeverityHint::Unknown, None);
    };
    let lower = word.trim().to_lowercase();
    if let Some((_, hint)) = own.iter().find(|(name, _)| *name == lower) {
        return (*hint, None);
    }
    match hint(&lower) {
        SeverityHint::Unknown if state(&lower).is_some() => (SeverityHint::Unknown, None),
        SeverityHint::Unknown => {
            let odd = format!("{field} `{word}` is not known: nothing is concluded from it");
            (SeverityHint::Unknown, Some(odd))
        }
        hint => (hint, None),
    }
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
    fn a_word_that_is_not_known_is_firing_and_said() {
        let own = [("gone", EventState::Resolved)];
        assert_eq!(
            judged_state("state", Some("Gone"), &own),
            (EventState::Resolved, None)
        );
        let (state, odd) = judged_state("state", Some("frobnicated"), &own);
        assert_eq!(state, EventState::Firing);
        assert!(odd.unwrap().contains("`frobnicated`"));
        let (hint, odd) = judged_hint("severity", Some("frobnicated"), &[]);
        assert_eq!(hint, SeverityHint::Unknown);
        assert!(odd.unwrap().contains("severity `frobnicated`"));
        assert_eq!(
            judged_hint("severity", None, &[]),
            (SeverityHint::Unknown, None)
        );
    }

    #[test]
    fn unknown_words_stay_unknown() {
        assert_eq!(state("frobnicated"), None);
        assert_eq!(hint("frobnicated"), SeverityHint::Unknown);
        assert_eq!(state(" Resolved "), Some(EventState::Resolved));
    }
}
