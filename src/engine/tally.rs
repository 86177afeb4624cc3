//! What the members of an incident add up to. Derived, never saved.

use super::Tally;
use crate::model::Sym;
use crate::model::alert::Weight;
use crate::model::event::SeverityHint;
use crate::model::incident::Effect;
use crate::model::severity::Severity;

/// The place of a hint among counts.
fn slot(counts: &mut [u32; 5], hint: SeverityHint) -> &mut u32 {
    let [outage, degradation, redundancy, info, unknown] = counts;
    match hint {
        SeverityHint::Outage => outage,
        SeverityHint::Degradation => degradation,
        SeverityHint::Redundancy => redundancy,
        SeverityHint::Info => info,
        SeverityHint::Unknown => unknown,
    }
}

/// The worst hint among counts, and the severity that it means.
fn worst(counts: &[u32; 5]) -> Option<(SeverityHint, Severity)> {
    let [outage, degradation, redundancy, _, unknown] = *counts;
    if outage > 0 {
        Some((SeverityHint::Outage, Severity::S2))
    } else if degradation > 0 {
        Some((SeverityHint::Degradation, Severity::S3))
    } else if unknown > 0 {
        Some((SeverityHint::Unknown, Severity::S3))
    } else if redundancy > 0 {
        Some((SeverityHint::Redundancy, Severity::S4))
    } else {
        None
    }
}

/// What members say where the inventory proves nothing.
pub(super) struct Worst {
    /// The worst hint.
    pub hint: SeverityHint,
    /// The worst severity.
    pub severity: Severity,
    /// A rule says so.
    pub by_rule: bool,
}

impl Tally {
    fn counts(&mut self, weight: Weight) -> [&mut u32; 2] {
        let said = match weight.severity {
            None => slot(&mut self.plain, weight.hint),
            Some(severity) => {
                let [s1, s2, s3, s4, s5] = &mut self.ruled;
                match severity {
                    Severity::S1 => s1,
                    Severity::S2 => s2,
                    Severity::S3 => s3,
                    Severity::S4 => s4,
                    Severity::S5 => s5,
                }
            }
        };
        [slot(&mut self.hints, weight.hint), said]
    }

    pub(super) fn add(&mut self, weight: Weight) {
        for count in self.counts(weight) {
            *count += 1;
        }
    }

    pub(super) fn remove(&mut self, weight: Weight) {
        for count in self.counts(weight) {
            *count = count.saturating_sub(1);
        }
    }

    pub(super) fn change(&mut self, from: Weight, to: Weight) {
        self.remove(from);
        self.add(to);
    }

    pub(super) fn add_element(&mut self, element: Sym) {
        if element != Sym(0) {
            *self.elements.entry(element).or_insert(0) += 1;
        }
    }

    pub(super) fn remove_element(&mut self, element: Sym) {
        if let Some(count) = self.elements.get_mut(&element) {
            *count -= 1;
            if *count == 0 {
                self.elements.remove(&element);
            }
        }
    }

    /// What the active members say.
    pub(super) fn worst(&self) -> Option<Worst> {
        let (hint, _) = worst(&self.hints)?;
        let plain = worst(&self.plain).map(|(_, severity)| severity);
        let ruled = Severity::ALL.into_iter().zip(self.ruled);
        let ruled = ruled.filter(|(_, count)| *count > 0);
        let ruled = ruled.map(|(severity, _)| severity).next();
        let severity = plain.into_iter().chain(ruled).min()?;
        Some(Worst {
            hint,
            severity,
            by_rule: ruled == Some(severity) && plain != Some(severity),
        })
    }

    /// The effect that a hint stands for.
    pub(super) fn effect(hint: SeverityHint) -> Effect {
        match hint {
            SeverityHint::Outage => Effect::Down,
            SeverityHint::Degradation => Effect::Degraded,
            SeverityHint::Redundancy => Effect::AtRisk,
            SeverityHint::Info | SeverityHint::Unknown => Effect::Unknown,
        }
    }
}
