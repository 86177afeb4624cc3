//! What a new configuration did to agreements that are being kept: told at the reload, and stored.

use super::id::IncidentId;
use super::time::Time;
use serde::{Deserialize, Serialize};

/// What a generation changed for open cases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The generation.
    pub digest: String,
    /// Contracts whose terms are new.
    pub terms: Vec<NewTerms>,
    /// Due instants that moved; the first ones.
    pub moved: Vec<Moved>,
    /// How many moved in all.
    pub moved_in_all: usize,
}

/// A contract's terms are others than before; open cases keep theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTerms {
    /// The contract.
    pub contract: String,
    /// The version before.
    pub before: String,
    /// The version now.
    pub after: String,
    /// Incidents whose open cases keep earlier terms; the first ones.
    pub kept: Vec<IncidentId>,
    /// How many in all.
    pub kept_in_all: usize,
}

/// The due instant of a running clock moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The incident.
    pub incident: IncidentId,
    /// The contract.
    pub contract: String,
    /// The target.
    pub target: String,
    /// When it was due.
    pub from: Time,
    /// When it is due now.
    pub to: Time,
}

impl Review {
    /// For people, one thing a line.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for terms in &self.terms {
            let mut line = format!(
                "contract {}: terms {} → {}",
                terms.contract, terms.before, terms.after
            );
            if terms.kept_in_all > 0 {
                let listed: Vec<String> = terms.kept.iter().map(ToString::to_string).collect();
                let more = terms.kept_in_all - terms.kept.len();
                line.push_str(&format!(
                    "; {} open cases keep theirs: {}{}",
                    terms.kept_in_all,
                    listed.join(", "),
                    and_more(more)
                ));
            }
            lines.push(line);
        }
        if self.moved_in_all > 0 {
            lines.push(format!("due instants moved: {}", self.moved_in_all));
        }
        for moved in &self.moved {
            let seconds = moved.to.seconds() - moved.from.seconds();
            let sign = if seconds < 0 { '-' } else { '+' };
            let minutes = seconds.unsigned_abs().div_ceil(60);
            lines.push(format!(
                "{} {} {}: {} → {} ({sign}{}h{:02}m)",
                moved.incident,
                moved.contract,
                moved.target,
                moved.from,
                moved.to,
                minutes / 60,
                minutes % 60
            ));
        }
        if self.moved_in_all > self.moved.len() {
            lines.push(format!(
                "...{}",
                and_more(self.moved_in_all - self.moved.len())
            ));
        }
        lines
    }
}

fn and_more(count: usize) -> String {
    match count {
        0 => String::new(),
        count => format!(" and {count} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_says_from_and_to_and_how_many_more() {
        let moved = Moved {
            incident: IncidentId(7),
            contract: "acme".to_owned(),
            target: "restore".to_owned(),
            from: Time::from_seconds(1_780_358_400),
            to: Time::from_seconds(1_780_358_400 + 8 * 3600),
        };
        let review = Review {
            digest: "d".to_owned(),
            terms: vec![NewTerms {
                contract: "acme".to_owned(),
                before: "a".to_owned(),
                after: "b".to_owned(),
                kept: vec![IncidentId(7)],
                kept_in_all: 3,
            }],
            moved: vec![moved],
            moved_in_all: 2,
        };
        assert_eq!(
            review.lines(),
            [
                "contract acme: terms a → b; 3 open cases keep theirs: INC-7 and 2 more",
                "due instants moved: 2",
                "INC-7 acme restore: 2026-06-02T00:00:00Z → 2026-06-02T08:00:00Z (+8h00m)",
                "... and 1 more",
            ]
        );
        assert!(Review::default().lines().is_empty());
    }
}
