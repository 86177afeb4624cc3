//! Severity S1 to S5, what it rests on, and the category that is decided before it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad an incident is for customers. `S1` is the worst; the order is that of urgency, so
/// `S1 < S2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Severity {
    /// Outage of services of two or more parties.
    S1,
    /// Outage of services of one party.
    S2,
    /// Degraded or intermittent.
    S3,
    /// A redundant component failed; nothing is down.
    S4,
    /// False alarm.
    S5,
}

impl Severity {
    /// All severities, worst first.
    pub const ALL: [Severity; 5] = [
        Severity::S1,
        Severity::S2,
        Severity::S3,
        Severity::S4,
        Severity::S5,
    ];

    /// 1 to 5: the value of the metric label `sev`.
    pub const fn number(self) -> u8 {
        match self {
            Severity::S1 => 1,
            Severity::S2 => 2,
            Severity::S3 => 3,
            Severity::S4 => 4,
            Severity::S5 => 5,
        }
    }

    /// The number as text: the value of the metric label `sev`.
    pub const fn digit(self) -> &'static str {
        match self {
            Severity::S1 => "1",
            Severity::S2 => "2",
            Severity::S3 => "3",
            Severity::S4 => "4",
            Severity::S5 => "5",
        }
    }

    /// From 1 to 5.
    pub const fn from_number(number: u8) -> Option<Severity> {
        match number {
            1 => Some(Severity::S1),
            2 => Some(Severity::S2),
            3 => Some(Severity::S3),
            4 => Some(Severity::S4),
            5 => Some(Severity::S5),
            _ => None,
        }
    }

    /// Whether this is worse than `other`.
    pub fn is_worse_than(self, other: Severity) -> bool {
        self < other
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S{}", self.number())
    }
}

impl std::str::FromStr for Severity {
    type Err = String;

    /// Reads `S1` … `S5`, with or without the letter, in either case.
    fn from_str(text: &str) -> Result<Severity, String> {
        text.trim()
            .trim_start_matches(['S', 's'])
            .parse::<u8>()
            .ok()
            .and_then(Severity::from_number)
            .ok_or_else(|| format!("`{text}` is not a severity; expected S1 to S5"))
    }
}

/// What a severity rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The monitor's word and the operators' rules; the impact is unknown.
    Rule,
    /// The inventory's graph: proven.
    Inventory,
    /// A person set it; it stands until lifted or the facts get worse.
    Person,
}

/// Decided before severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// A service that was active before has stopped or become unusable.
    Incident,
    /// A service that is being set up.
    Provisioning,
    /// A person's question.
    Inquiry,
}

impl Category {
    /// The word used in the API, metrics and configuration.
    pub const fn word(self) -> &'static str {
        match self {
            Category::Incident => "incident",
            Category::Provisioning => "provisioning",
            Category::Inquiry => "inquiry",
        }
    }
}

impl Basis {
    /// The word used in the API and in texts.
    pub const fn word(self) -> &'static str {
        match self {
            Basis::Rule => "rule",
            Basis::Inventory => "inventory",
            Basis::Person => "person",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s1_is_worst_and_words_are_read() {
        assert!(Severity::S1.is_worse_than(Severity::S2));
        assert_eq!("s3".parse::<Severity>(), Ok(Severity::S3));
        assert_eq!("4".parse::<Severity>(), Ok(Severity::S4));
        assert!(
            "S6".parse::<Severity>()
                .unwrap_err()
                .contains("expected S1 to S5")
        );
    }
}
