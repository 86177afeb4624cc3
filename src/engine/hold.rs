//! How long an incident waits before a ticket opens. The hold belongs to the incident: it is durable
//! and visible, and a worsening ends it early.

use super::Engine;
use super::correlate::Judged;
use super::state::Wake;
use crate::model::IncidentId;
use crate::model::event::{ComponentKind, SeverityHint};
use crate::model::incident::IncidentState;
use crate::model::reason::{Outcome, Reason};
use std::time::Duration;

impl Engine {
    pub(super) fn hold_or_release(&mut self, incident: IncidentId, judged: &Judged) -> Outcome {
        let hold = self.hold_of(judged);
        if hold.is_zero() {
            self.release(incident);
            return Outcome::Opened;
        }
        let until = self.state.now.plus(hold);
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.held_until = Some(until);
        }
        self.wake(until, Wake::Hold(incident));
        self.decide(
            incident,
            Reason::Hold,
            format!("Held until {until} before a ticket opens."),
        );
        Outcome::Held
    }

    pub(super) fn hold_of(&self, judged: &Judged) -> Duration {
        let settings = &self.decisions.settings;
        if let Some(hold) = judged.hold {
            return hold;
        }
        let by_class = match (judged.kind, judged.hint) {
            (Some(ComponentKind::Link | ComponentKind::Interface), SeverityHint::Outage) => {
                settings.hold_link
            }
            (_, SeverityHint::Outage) => settings.hold_outage,
            (_, SeverityHint::Degradation) => settings.hold_degradation,
            (_, SeverityHint::Redundancy) => settings.hold_redundancy,
            (_, SeverityHint::Unknown | SeverityHint::Info) => settings.hold_unknown,
        };
        let inventory = &self.decisions.inventory;
        let waits = inventory
            .element(&judged.element)
            .is_some_and(|element| inventory.has_declared_parent(element));
        if waits {
            by_class.max(settings.root_wait)
        } else {
            by_class
        }
    }

    /// The hold is over: still bad, so a ticket opens.
    pub(super) fn hold_passed(&mut self, id: IncidentId) {
        let held = self
            .state
            .incidents
            .get(&id)
            .is_some_and(|i| i.state == IncidentState::Held);
        if held {
            self.decide(id, Reason::HoldPassed, "Still bad at the end of its hold.");
            self.release(id);
        }
    }

    /// From held to open: now somebody has to act.
    pub(super) fn release(&mut self, id: IncidentId) {
        let now = self.state.now;
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        incident.state = IncidentState::Open;
        incident.released_at.get_or_insert(now);
        if let Some(at) = incident.held_until.take() {
            self.state.wakes.remove(&(at, Wake::Hold(id)));
        }
        self.state.touch_incident(id);
        self.want_tickets(id);
    }
}
