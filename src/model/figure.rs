//! Figures that must survive a restart: counters and histograms of contracts and of the
//! installation. The engine adds to them, the store keeps them, `/metrics` shows them.

use serde::{Deserialize, Serialize};

/// One kind of stored figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Tickets that exist in a tracker.
    TicketsCreated,
    /// Severities that changed.
    SeverityChanges,
    /// Incidents reopened.
    Reopens,
    /// Incidents merged into another.
    Merges,
    /// Incidents void.
    Voids,
    /// Incidents that began to flap.
    Flaps,
    /// Levels of escalation reached.
    Escalations,
    /// Targets missed, at the instant they were due.
    SlaBreaches,
    /// Verdicts, once per clock when a case is closed for good.
    SlaVerdicts,
    /// Update periods.
    SlaUpdates,
    /// Counted time against the target.
    SlaUsedRatio,
    /// Clock start to the first human answer.
    TimeToRespond,
    /// Clock start to the resolution, waits included.
    TimeToRestore,
    /// Time that did not count since it was the customer's turn.
    CustomerWaitSeconds,
    /// Verdicts that a late fact changed.
    SlaCorrections,
}

/// How a family is shown.
#[derive(Clone, Copy, Debug)]
pub struct FamilySpec {
    /// The name in `/metrics`.
    pub name: &'static str,
    /// What it means.
    pub help: &'static str,
    /// Names of its labels, in order.
    pub labels: &'static [&'static str],
    /// Upper bounds of its buckets in thousandths; empty: a counter.
    pub bounds: &'static [u64],
}

impl Family {
    /// All families, in the order of the documentation.
    pub const ALL: [Family; 15] = [
        Family::TicketsCreated,
        Family::SeverityChanges,
        Family::Reopens,
        Family::Merges,
        Family::Voids,
        Family::Flaps,
        Family::Escalations,
        Family::SlaBreaches,
        Family::SlaVerdicts,
        Family::SlaUpdates,
        Family::SlaUsedRatio,
        Family::TimeToRespond,
        Family::TimeToRestore,
        Family::CustomerWaitSeconds,
        Family::SlaCorrections,
    ];

    /// How it is shown.
    pub const fn spec(self) -> FamilySpec {
        match self {
            Family::TicketsCreated => spec(
                "alertbridge_tickets_created_total",
                "Tickets that exist in a tracker, by the source that asked and severity.",
                &["source", "sev"],
                &[],
            ),
            Family::SeverityChanges => spec(
                "alertbridge_severity_changes_total",
                "Changes of an incident's severity.",
                &["direction", "by"],
                &[],
            ),
            Family::Reopens => spec(
                "alertbridge_reopens_total",
                "Incidents reopened within their reopen window.",
                &[],
                &[],
            ),
            Family::Merges => spec(
                "alertbridge_merges_total",
                "Incidents that were found to be part of another.",
                &[],
                &[],
            ),
            Family::Voids => spec(
                "alertbridge_voids_total",
                "Incidents that do not count, by reason.",
                &["reason"],
                &[],
            ),
            Family::Flaps => spec(
                "alertbridge_flapping_total",
                "Incidents that began to change too often.",
                &[],
                &[],
            ),
            Family::Escalations => spec(
                "alertbridge_escalations_total",
                "Levels of escalation reached, by reason.",
                &["level", "reason"],
                &[],
            ),
            Family::SlaBreaches => spec(
                "alertbridge_sla_breaches_total",
                "Targets missed, at the instant they were due.",
                &["policy", "target", "sev"],
                &[],
            ),
            Family::SlaVerdicts => spec(
                "alertbridge_sla_verdicts_total",
                "Verdicts, once for each clock when its case is closed for good.",
                &["policy", "target", "sev", "outcome"],
                &[],
            ),
            Family::SlaUpdates => spec(
                "alertbridge_sla_updates_total",
                "Update periods, on time or late.",
                &["policy", "sev", "outcome"],
                &[],
            ),
            Family::SlaUsedRatio => spec(
                "alertbridge_sla_used_ratio",
                "Counted time against the target, when a case is closed for good.",
                &["policy", "target", "sev"],
                &[100, 250, 500, 750, 900, 1000, 1250, 1500, 2000, 3000, 5000],
            ),
            Family::TimeToRespond => spec(
                "alertbridge_time_to_respond_seconds",
                "Wall time from the clock's start to the first human answer.",
                &["policy", "sev"],
                &[
                    60_000, 120_000, 300_000, 600_000, 900_000, 1_200_000, 1_800_000, 3_600_000,
                    7_200_000, 14_400_000, 28_800_000, 86_400_000,
                ],
            ),
            Family::TimeToRestore => spec(
                "alertbridge_time_to_restore_seconds",
                "Wall time from the clock's start to the resolution, waits included.",
                &["policy", "sev"],
                &[
                    300_000,
                    900_000,
                    1_800_000,
                    3_600_000,
                    7_200_000,
                    14_400_000,
                    21_600_000,
                    28_800_000,
                    43_200_000,
                    86_400_000,
                    172_800_000,
                    259_200_000,
                    604_800_000,
                ],
            ),
            Family::CustomerWaitSeconds => spec(
                "alertbridge_customer_wait_seconds_total",
                "Waiting time that was taken out of restore targets.",
                &["sev"],
                &[],
            ),
            Family::SlaCorrections => spec(
                "alertbridge_sla_corrections_total",
                "Verdicts that a fact learned later changed.",
                &["kind"],
                &[],
            ),
        }
    }

    /// The family of that name.
    pub fn named(name: &str) -> Option<Family> {
        Family::ALL
            .into_iter()
            .find(|family| family.spec().name == name)
    }
}

const fn spec(
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
    bounds: &'static [u64],
) -> FamilySpec {
    FamilySpec {
        name,
        help,
        labels,
        bounds,
    }
}

/// The value of one series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stored {
    /// A counter.
    Count(u64),
    /// A histogram: observations at or below each bound and above the last, and their sum in
    /// thousandths.
    Spread {
        /// One for each bound, and one for what is above the last; not cumulative.
        counts: Vec<u64>,
        /// Sum in thousandths.
        sum: u64,
    },
}

impl Stored {
    /// Nothing yet.
    pub fn zero(family: Family) -> Stored {
        match family.spec().bounds.len() {
            0 => Stored::Count(0),
            bounds => Stored::Spread {
                counts: vec![0; bounds + 1],
                sum: 0,
            },
        }
    }

    /// Adds to a counter, or one observation (in thousandths) to a histogram.
    pub fn add(&mut self, family: Family, amount: u64) {
        match self {
            Stored::Count(count) => *count = count.saturating_add(amount),
            Stored::Spread { counts, sum } => {
                let bounds = family.spec().bounds;
                let slot = bounds.iter().position(|bound| amount <= *bound);
                if let Some(count) = counts.get_mut(slot.unwrap_or(bounds.len())) {
                    *count += 1;
                }
                *sum = sum.saturating_add(amount);
            }
        }
    }
}

/// The key of a series: the family's name and the label values, apart by a character that no
/// label holds.
pub fn series_key(family: Family, labels: &[&str]) -> String {
    let mut key = family.spec().name.to_owned();
    for label in labels {
        key.push('\u{1f}');
        key.extend(label.chars().filter(|c| !c.is_control()));
    }
    key
}

/// Family and label values of a key.
pub fn series_of(key: &str) -> Option<(Family, Vec<&str>)> {
    let mut parts = key.split('\u{1f}');
    let family = Family::named(parts.next()?)?;
    let labels: Vec<&str> = parts.collect();
    (labels.len() == family.spec().labels.len()).then_some((family, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_observation_on_a_bound_counts_below_it() {
        let mut stored = Stored::zero(Family::SlaUsedRatio);
        stored.add(Family::SlaUsedRatio, 1000);
        stored.add(Family::SlaUsedRatio, 9000);
        let Stored::Spread { counts, sum } = stored else {
            unreachable!("a histogram")
        };
        assert_eq!((counts[5], counts[11], sum), (1, 1, 10_000));
    }

    #[test]
    fn keys_are_read_back_and_counters_end_in_total() {
        for family in Family::ALL {
            let labels = vec!["x"; family.spec().labels.len()];
            let key = series_key(family, &labels);
            assert_eq!(series_of(&key), Some((family, labels)));
            let spec = family.spec();
            assert_eq!(spec.bounds.is_empty(), spec.name.ends_with("_total"));
        }
    }
}
