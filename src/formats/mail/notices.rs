//! Words of maintenance notices: status and impact, in the languages that carriers write. Tested
//! in a fixed order, since "scheduled maintenance has been cancelled" holds two status words.

use crate::model::notice::{MaintenanceImpact, MaintenanceStatus};

const STATUSES: &[(MaintenanceStatus, &[&str])] = &[
    (
        MaintenanceStatus::Cancelled,
        &[
            "cancelled",
            "canceled",
            "cancellation",
            "withdrawn",
            "did not proceed",
            "was not completed",
            "not completed",
            "unsuccessful",
            "annulé",
            "annulée",
            "annulation",
            "abgesagt",
            "中止",
            "取消",
        ],
    ),
    (
        MaintenanceStatus::Rescheduled,
        &[
            "re-scheduled",
            "rescheduled",
            "reschedule",
            "postponed",
            "alternate night",
            "amended",
            "extension",
            "reporté",
            "reportée",
            "verschoben",
            "延期",
            "変更",
        ],
    ),
    (
        MaintenanceStatus::Completed,
        &[
            "completed",
            "complete",
            "completion",
            "closed",
            "finished",
            "terminé",
            "terminée",
            "terminés",
            "abgeschlossen",
            "beendet",
            "完了",
            "終了",
        ],
    ),
    (
        MaintenanceStatus::InProcess,
        &[
            "in-process",
            "in process",
            "in progress",
            "about to start",
            "commencing momentarily",
            "commenced",
            "begun",
            "has started",
            "started",
            "en cours",
            "begonnen",
            "開始",
        ],
    ),
    (
        MaintenanceStatus::Unknown,
        &["no-change", "reminder", "rappel", "erinnerung", "再送"],
    ),
    (
        MaintenanceStatus::Tentative,
        &["tentative", "provisional", "dry run", "provisoire"],
    ),
    (
        MaintenanceStatus::Confirmed,
        &[
            "confirmed",
            "confirmé",
            "confirmée",
            "planned",
            "scheduled",
            "notification",
            "new",
            "update",
            "updated",
            "correction",
            "modification",
            "programmé",
            "programmée",
            "programmés",
            "emergency",
            "urgent",
            "will be performing",
            "geplant",
            "bestätigt",
            "新規",
            "緊急",
            "お知らせ",
        ],
    ),
];

const IMPACTS: &[(MaintenanceImpact, &[&str])] = &[
    (
        MaintenanceImpact::NoImpact,
        &[
            "no-impact",
            "no impact",
            "no expected impact",
            "not service affecting",
            "non service affecting",
            "without impact",
            "sans impact",
            "keine auswirkung",
            "なし",
        ],
    ),
    (
        MaintenanceImpact::Degraded,
        &[
            "degraded",
            "degradation",
            "switch hit",
            "switch hits",
            "short hit",
            "short hits",
            "microcoupure",
            "microcoupures",
            "dégradation",
            "瞬断",
        ],
    ),
    (
        MaintenanceImpact::ReducedRedundancy,
        &[
            "reduced-redundancy",
            "reduced redundancy",
            "loss of redundancy",
            "re-routed",
            "rerouted",
            "redundancy",
            "冗長性低下",
            "冗長",
        ],
    ),
    (
        MaintenanceImpact::Outage,
        &[
            "outage",
            "hard down",
            "downtime",
            "coupure",
            "coupures",
            "interruption",
            "interruptions",
            "unavailable",
            "service affecting",
            "loss of service",
            "断",
            "unterbrechung",
        ],
    ),
];

/// The status that a text tells; `None` if it holds no known word. A reminder changes nothing and
/// gives [`MaintenanceStatus::Unknown`].
pub fn status(text: &str) -> Option<MaintenanceStatus> {
    first(text, STATUSES)
}

/// The impact that a text tells; `None` if it holds no known word.
pub fn impact(text: &str) -> Option<MaintenanceImpact> {
    first(text, IMPACTS)
}

fn first<T: Copy>(text: &str, table: &[(T, &[&str])]) -> Option<T> {
    let lower = text.to_lowercase();
    table
        .iter()
        .find(|(_, words)| words.iter().any(|word| has_word(&lower, word)))
        .map(|(found, _)| *found)
}

/// Whether a word stands by itself. East Asian words have no blanks around them.
fn has_word(text: &str, word: &str) -> bool {
    let latin = word.chars().all(|c| c.is_ascii() || c.is_lowercase());
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|t| t.chars().next());
        !latin
            || !(before.is_some_and(char::is_alphabetic) || after.is_some_and(char::is_alphabetic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_word_decides() {
        let cancelled = status("Scheduled maintenance has been CANCELLED");
        assert_eq!(cancelled, Some(MaintenanceStatus::Cancelled));
        assert_eq!(status("Re-scheduled"), Some(MaintenanceStatus::Rescheduled));
        assert_eq!(
            status("is about to START"),
            Some(MaintenanceStatus::InProcess)
        );
        assert_eq!(
            status("計画工事のお知らせ"),
            Some(MaintenanceStatus::Confirmed)
        );
        assert_eq!(status("newsletter"), None);
        assert_eq!(
            impact("No expected impact"),
            Some(MaintenanceImpact::NoImpact)
        );
        assert_eq!(impact("約15分間の通信断"), Some(MaintenanceImpact::Outage));
        assert_eq!(
            impact("50ms switch hits"),
            Some(MaintenanceImpact::Degraded)
        );
    }
}
