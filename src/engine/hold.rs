//! How long an incident waits before a ticket opens. The hold belongs to the incident: it is durable
//! and visible, and a worsening ends it early.

use super::Engine;
use super::state::Wake;
use crate::model::event::{ComponentKind, SeverityHint};
use crate::model::incident::{Effect, IncidentState};
use crate::model::reason::{Outcome, Reason};
use crate::model::severity::{Basis, Severity};
use crate::model::{AlertId, IncidentId, Time};
use std::time::Duration;

/// Longest time that a contradicted word is held.
const VOTE_WAIT_MAX: Duration = Duration::from_secs(300);
const MINUTE: Duration = Duration::from_secs(60);

impl Engine {
    /// The first alert of an incident: a hold, or a ticket at once.
    pub(super) fn hold_or_release(
        &mut self,
        incident: IncidentId,
        id: AlertId,
        by_rule: Option<Duration>,
    ) -> Outcome {
        if let Some(doubt) = self.doubt_of(incident) {
            let wait = self.decisions.settings.vote_wait.min(VOTE_WAIT_MAX);
            let until = self.state.now.plus(wait);
            self.hold_until(incident, until);
            let text = format!("Unconfirmed: {doubt} Held until {until} for others to confirm it.");
            self.decide(incident, Reason::Unconfirmed, text);
            return Outcome::Held;
        }
        let parent = self.parent_wait(id);
        let hold = by_rule.unwrap_or_else(|| self.class_hold(incident, id).max(parent));
        if hold.is_zero() {
            self.release(incident);
            return Outcome::Opened;
        }
        let until = self.state.now.plus(hold);
        self.hold_until(incident, until);
        let text = format!("Held until {until} before a ticket opens.");
        self.decide(incident, Reason::Hold, text);
        Outcome::Held
    }

    pub(super) fn hold_until(&mut self, incident: IncidentId, until: Time) {
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            let old = entry.held_until.replace(until);
            self.state.rewake(old, Some(until), Wake::Hold(incident));
        }
        self.state.touch_incident(incident);
    }

    /// An element with a declared parent waits for its parent to speak.
    fn parent_wait(&self, id: AlertId) -> Duration {
        let inventory = &self.decisions.inventory;
        let element = self.state.alerts.get(&id).map(|a| a.element);
        let element = element.and_then(|e| inventory.element(self.state.symbols.name(e)));
        if element.is_some_and(|element| inventory.has_declared_parent(element)) {
            self.decisions.settings.root_wait
        } else {
            Duration::ZERO
        }
    }

    /// The hold of a class: of what the inventory proves, else of what the sender says.
    fn class_hold(&self, incident: IncidentId, id: AlertId) -> Duration {
        let settings = &self.decisions.settings;
        let entry = self.state.incidents.get(&incident);
        if let Some(entry) = entry.filter(|i| i.basis == Basis::Inventory) {
            return match entry.periods.last().map(|period| period.effect) {
                Some(Effect::Down) => settings.hold_outage,
                Some(Effect::Degraded) => settings.hold_degradation,
                Some(Effect::AtRisk) => settings.hold_redundancy,
                Some(Effect::Unknown) | None => settings.hold_unknown,
            };
        }
        // What a person calls an outage is one.
        let by_person = entry.filter(|i| i.basis == Basis::Person);
        if by_person.is_some_and(|i| matches!(i.severity, Some(Severity::S1 | Severity::S2))) {
            return settings.hold_outage;
        }
        let alert = self.state.alerts.get(&id);
        let kind = alert.and_then(|a| a.kind);
        match (kind, alert.map_or(SeverityHint::Unknown, |a| a.hint)) {
            (Some(ComponentKind::Link | ComponentKind::Interface), SeverityHint::Outage) => {
                settings.hold_link
            }
            (_, SeverityHint::Outage) => settings.hold_outage,
            (_, SeverityHint::Degradation) => settings.hold_degradation,
            (_, SeverityHint::Redundancy) => settings.hold_redundancy,
            (_, SeverityHint::Unknown | SeverityHint::Info) => settings.hold_unknown,
        }
    }

    /// A held incident got worse: the hold of the worse class counts from now, if it ends sooner.
    pub(super) fn shorten_hold(&mut self, incident: IncidentId, id: AlertId) {
        let Some(entry) = self.state.incidents.get(&incident) else {
            return;
        };
        let Some(until) = entry.held_until else {
            return;
        };
        if entry.state != IncidentState::Held || entry.quiet_until.is_some() {
            return;
        }
        let sooner = self.state.now.plus(self.class_hold(incident, id));
        if sooner <= self.state.now {
            self.decide(
                incident,
                Reason::HoldPassed,
                "Worse than before: no longer held.",
            );
            self.release(incident);
        } else if sooner < until {
            self.hold_until(incident, sooner);
        }
    }

    /// Held anew, for what was quiet until now.
    pub(super) fn hold_anew(&mut self, incident: IncidentId, id: AlertId) {
        let hold = self.class_hold(incident, id);
        if hold.is_zero() {
            self.release(incident);
        } else {
            let until = self.state.now.plus(hold);
            self.hold_until(incident, until);
        }
    }

    /// The hold is over: still bad, so a ticket opens.
    pub(super) fn hold_passed(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let due = incident.held_until.is_some_and(|at| at <= self.state.now);
        if incident.state != IncidentState::Held || incident.quiet_until.is_some() || !due {
            return;
        }
        incident.held_until = None;
        self.review_votes(id);
        if self.begin_quiet(id).is_some() {
            return;
        }
        let text = match self.doubt_of(id) {
            Some(doubt) => format!("{doubt} It did not clear: somebody has to look."),
            None => "Still bad at the end of its hold.".to_owned(),
        };
        self.decide(id, Reason::HoldPassed, text);
        self.release(id);
        self.watch_doubt(id);
    }

    /// From held to open: now somebody has to act.
    pub(super) fn release(&mut self, id: IncidentId) {
        if self.over_rate(id) {
            return;
        }
        let now = self.state.now;
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        incident.state = IncidentState::Open;
        incident.released_at.get_or_insert(now);
        if let Some(at) = incident.held_until.take() {
            self.state.wakes.remove(&(at, Wake::Hold(id)));
        }
        if let Some(at) = incident.quiet_until.take() {
            self.state.wakes.remove(&(at, Wake::Quiet(id)));
        }
        incident.quiet_reason = None;
        self.state.touch_incident(id);
        self.want_tickets(id);
        let now = self.state.now;
        self.follow_cases(id, now);
        self.tell_staff_opened(id);
    }

    /// Proven severities stay single in a storm, at most so many a minute; an S1 never waits.
    fn over_rate(&mut self, id: IncidentId) -> bool {
        let cap = self.decisions.settings.storm_tickets_per_minute;
        let Some(entry) = self.state.incidents.get(&id) else {
            return false;
        };
        let waits = entry.state == IncidentState::Held
            && entry.basis == Basis::Inventory
            && entry.severity != Some(Severity::S1)
            && !entry.reported;
        if cap == 0 || !waits {
            return false;
        }
        if self.room_this_minute() {
            return false;
        }
        let (began, _) = self.state.scalars.tickets_minute;
        self.hold_until(id, began.plus(MINUTE));
        let text = format!("{cap} tickets were opened within a minute: this one waits.");
        self.decide(id, Reason::Storm, text);
        true
    }

    /// Counts one more ticket of those bounded a minute, if there is room for it.
    pub(super) fn room_this_minute(&mut self) -> bool {
        let cap = self.decisions.settings.storm_tickets_per_minute;
        let now = self.state.now;
        let (began, count) = self.state.scalars.tickets_minute;
        let fresh = now.since(began) >= MINUTE;
        let (began, count) = if fresh { (now, 0) } else { (began, count) };
        if cap > 0 && count >= cap {
            return false;
        }
        self.state.scalars.tickets_minute = (began, count + 1);
        self.state.dirty.scalars = true;
        true
    }
}
