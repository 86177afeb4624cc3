//! What the members of an incident add up to. Derived, never saved.

use super::Tally;
use crate::model::Sym;
use crate::model::event::SeverityHint;
use crate::model::incident::Effect;
use crate::model::severity::Severity;

impl Tally {
    fn slot(&mut self, hint: SeverityHint) -> &mut u32 {
        let [outage, degradation, redundancy, info, unknown] = &mut self.hints;
        match hint {
            SeverityHint::Outage => outage,
            SeverityHint::Degradation => degradation,
            SeverityHint::Redundancy => redundancy,
            SeverityHint::Info => info,
            SeverityHint::Unknown => unknown,
        }
    }

    pub(super) fn add_hint(&mut self, hint: SeverityHint) {
        *self.slot(hint) += 1;
    }

    pub(super) fn remove_hint(&mut self, hint: SeverityHint) {
        let slot = self.slot(hint);
        *slot = slot.saturating_sub(1);
    }

    pub(super) fn move_hint(&mut self, from: SeverityHint, to: SeverityHint) {
        self.remove_hint(from);
        self.add_hint(to);
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

    /// The worst hint of the active members.
    pub(super) fn worst(&self) -> Option<(SeverityHint, Severity)> {
        let [outage, degradation, redundancy, _, unknown] = self.hints;
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
