//! Resolving, reopening and closing incidents. A blip within its hold is transient, planned work is
//! planned, and only what was never wrong is a false alarm.

use super::Engine;
use super::state::Wake;
use crate::model::alert::Weight;
use crate::model::figure::Family;
use crate::model::incident::{Ended, Incident, IncidentState};
use crate::model::reason::{Outcome, Reason};
use crate::model::severity::{Category, Severity};
use crate::model::{AlertId, IncidentId, Sym, Time};
use crate::sla::log::CaseDid;
use std::time::Duration;

/// Most elements asked for being the root.
const ROOTS_ASKED_MAX: usize = 1000;
/// With more alerts than this left, not every recovery is a look at the facts.
const STEPS_FROM: u32 = 64;

impl Engine {
    /// A member ended.
    pub(super) fn member_ended(
        &mut self,
        incident: IncidentId,
        id: AlertId,
        weight: Weight,
        ended: Time,
    ) -> Outcome {
        self.found_no_longer(incident);
        let element = self.state.alerts.get(&id).map_or(Sym(0), |a| a.element);
        let tally = self.tallies.entry(incident).or_default();
        tally.remove(weight);
        tally.remove_element(element);
        let Some(entry) = self.state.incidents.get_mut(&incident) else {
            return Outcome::Resolved;
        };
        entry.active = entry.active.saturating_sub(1);
        let (left, state) = (entry.active, entry.state);
        self.state.touch_incident(incident);
        self.stir_storm(incident);
        if !state.is_open() {
            return Outcome::Resolved;
        }
        if left > 0 {
            // A better state began when the sender says so, not when we were told.
            self.facts_since = Some(ended);
            self.one_member_less(incident, id, element, left);
            self.facts_since = None;
            self.review_maintenance_of(incident);
            return Outcome::Resolved;
        }
        self.last_member_less(incident, id, state, ended)
    }

    fn one_member_less(&mut self, incident: IncidentId, id: AlertId, element: Sym, left: u32) {
        let Some(entry) = self.state.incidents.get(&incident) else {
            return;
        };
        let cause_ended = element != Sym(0)
            && entry.root == element
            && !self.state.by_element.contains_key(&element);
        let only = self.tallies.get(&incident).map_or(0, |t| t.elements.len()) == 1;
        if only && entry.root == Sym(0) {
            self.choose_root(incident);
        } else if cause_ended {
            self.choose_root(incident);
            let text = format!("{id}, the cause, ended; {left} of its effects remain.");
            self.decide(incident, Reason::CauseEnded, text);
        }
        let Some(entry) = self.state.incidents.get(&incident) else {
            return;
        };
        if cause_ended {
            // Told.
        } else if entry_is_large(Some(entry)) && !(self.health_moved && is_a_step(left)) {
            return;
        } else if !entry_is_large(Some(entry)) {
            self.decide(
                incident,
                Reason::AlertResolved,
                format!("{id} ended; {left} left."),
            );
        }
        self.evaluate_for(incident, id);
    }

    /// Another failed element stands for the incident: the one that no other explains.
    fn choose_root(&mut self, incident: IncidentId) {
        let inventory = &self.decisions.inventory;
        let Some(tally) = self.tallies.get(&incident) else {
            return;
        };
        let is_root = |sym: &&Sym| {
            let id = inventory.element(self.state.symbols.name(**sym));
            id.is_some_and(|id| self.health.roots_of(inventory, id).is_empty())
        };
        let mut roots = tally.elements.keys().take(ROOTS_ASKED_MAX).filter(is_root);
        // Several independent ones: none of them is the cause of the others.
        let root = match (roots.next(), roots.next()) {
            (Some(only), None) => *only,
            _ => Sym(0),
        };
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.root = root;
        }
    }

    fn last_member_less(
        &mut self,
        incident: IncidentId,
        id: AlertId,
        state: IncidentState,
        ended: Time,
    ) -> Outcome {
        let Some(entry) = self.state.incidents.get(&incident) else {
            return Outcome::Resolved;
        };
        let (quiet, flapping, told) = (
            entry.quiet_reason,
            entry.flapping,
            entry.released_at.is_some(),
        );
        let lasted = ended.since(entry.opened_at);
        let doubted = self.state.alerts.get(&id).is_some_and(|a| a.doubted);
        if doubted && !self.was_confirmed(incident) {
            self.add_figure(Family::Voids, &["false_alarm"], 1);
            let text =
                "Cleared without being confirmed: fresh watchers said all along that it works.";
            self.finish(incident, Ended::FalseAlarm, Reason::FalseAlarm, ended, text);
            return Outcome::Resolved;
        }
        if state == IncidentState::Held && !told && !flapping {
            let text = format!("All well after {lasted:?}, before a ticket was due.");
            let (how, reason, outcome) = match quiet {
                Some(Reason::Maintenance) => {
                    (Ended::Planned, Reason::AllResolved, Outcome::Resolved)
                }
                Some(_) => (
                    Ended::ResolvedByMonitoring,
                    Reason::AllResolved,
                    Outcome::Resolved,
                ),
                None => (Ended::Transient, Reason::ClearedInHold, Outcome::Transient),
            };
            if how == Ended::Transient {
                self.add_figure(Family::Voids, &["transient"], 1);
            }
            self.finish(incident, how, reason, ended, &text);
            return outcome;
        }
        self.resolve_or_wait(incident, ended);
        Outcome::Resolved
    }

    pub(super) fn resolve_or_wait(&mut self, id: IncidentId, ended: Time) {
        if self.state.incidents.get(&id).is_some_and(|i| i.flapping) {
            // Seen as well again only after a quiet time; the wake stands since the last firing.
            self.state.touch_incident(id);
            return;
        }
        self.finish(
            id,
            Ended::ResolvedByMonitoring,
            Reason::AllResolved,
            ended,
            "All alerts ended.",
        );
    }

    /// Ends an incident.
    pub(super) fn finish(
        &mut self,
        id: IncidentId,
        how: Ended,
        reason: Reason,
        at: Time,
        text: &str,
    ) {
        let window = self.decisions.settings.reopen_window;
        let now = self.state.now;
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        incident.state = IncidentState::Resolved;
        incident.ended = Some(how);
        incident.resolved_at = Some(at);
        incident.waiting = false;
        let lower_after = self.decisions.settings.lower_after;
        if let Some(since) = incident.improving_since.take() {
            self.state
                .wakes
                .remove(&(since.plus(lower_after), Wake::Lower(id)));
        }
        if let Some(period) = incident.periods.last_mut().filter(|p| p.until.is_none()) {
            period.until = Some(at.max(period.from));
        }
        incident.quiet_reason = None;
        if how == Ended::FalseAlarm {
            incident.severity = Some(Severity::S5);
        }
        let set_up =
            incident.category == Category::Provisioning && how == Ended::ResolvedByMonitoring;
        let services = if set_up {
            incident.services.clone()
        } else {
            Vec::new()
        };
        let last = incident.firings.last().copied().unwrap_or_default();
        if std::mem::take(&mut incident.flapping) {
            let quiet = self.decisions.settings.flap_quiet;
            self.state
                .wakes
                .remove(&(last.plus(quiet), Wake::FlapQuiet(id)));
        }
        self.state.reported.remove(&id);
        for service in services {
            self.save_thing("healthy", service.clone(), &true);
            self.state.healthy.insert(service);
        }
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        for (when, wake) in [
            (incident.held_until.take(), Wake::Hold(id)),
            (incident.quiet_until.take(), Wake::Quiet(id)),
        ] {
            if let Some(when) = when {
                self.state.wakes.remove(&(when, wake));
            }
        }
        let until = now.plus(window);
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.reopen_until = Some(until);
        }
        self.wake(until, Wake::Close(id));
        self.decide(id, reason, text);
        self.note_tickets(id, text, true);
        self.end_cases(id, how, at);
        self.tell_ended(id, how, at);
        self.sync_tickets(id);
    }

    /// Ends an incident of the bridge's own.
    pub(super) fn resolve_now(&mut self, id: IncidentId, reason: Reason, text: &str) {
        let now = self.state.now;
        if self.incident_state(id).is_some_and(IncidentState::is_open) {
            self.finish(id, Ended::ResolvedByMonitoring, reason, now, text);
        }
    }

    /// A resolved incident is open again.
    pub(super) fn reopen(&mut self, id: IncidentId, reason: Reason, text: String) {
        self.reopen_for(id, reason, text, None);
    }

    /// The same because of one contract's word: the cases of the others stay over.
    pub(super) fn reopen_for(
        &mut self,
        id: IncidentId,
        reason: Reason,
        text: String,
        contract: Option<&str>,
    ) {
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let untold = incident.released_at.is_none();
        let false_alarm = incident.ended == Some(Ended::FalseAlarm);
        incident.state = IncidentState::Held;
        if incident.reported {
            self.state.reported.insert(id);
        }
        incident.ended = None;
        incident.resolved_at = None;
        if false_alarm {
            // What was nothing is looked at anew.
            incident.severity = None;
        }
        if let Some(at) = incident.reopen_until.take() {
            self.state.wakes.remove(&(at, Wake::Close(id)));
        }
        self.count_firing(id);
        self.stir_storm(id);
        self.decide(id, reason, text.clone());
        let firing_during_gap = reason != Reason::Reopened;
        self.tell_cases(id, contract, &CaseDid::Reopened { firing_during_gap });
        self.evaluate(id);
        if self.begin_quiet(id).is_some() {
            return;
        }
        match self.active_member(id) {
            // What was told before and is contradicted now waits like a first word.
            Some(member) if untold || self.doubt_of(id).is_some() => {
                self.hold_or_release(id, member, None);
                self.release_flapping(id);
            }
            _ => {
                if let Some(incident) = self.state.incidents.get_mut(&id) {
                    incident.state = IncidentState::Open;
                }
                self.want_tickets(id);
                let now = self.state.now;
                self.follow_cases(id, now);
                self.tell_reopened(id, contract);
                if contract.is_none() {
                    self.note_reopened(id, &text);
                }
            }
        }
    }

    /// Flapping gets few comments: only the first reopenings are told in tickets.
    fn note_reopened(&mut self, id: IncidentId, text: &str) {
        if self.state.incidents.get(&id).is_none_or(|i| !i.flapping) {
            self.note_tickets(id, text, true);
        }
    }

    /// The reopen window is over: the incident leaves memory.
    pub(super) fn close(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        if incident.state != IncidentState::Resolved {
            return;
        }
        // A ticket that the tracker has not taken yet keeps the incident in memory.
        let waits = self
            .state
            .tickets_of
            .get(&id)
            .into_iter()
            .flatten()
            .any(|t| self.state.tickets.get(t).is_some_and(|t| t.has_work()));
        if waits {
            let again = self.state.now.plus(Duration::from_secs(600));
            if let Some(incident) = self.state.incidents.get_mut(&id) {
                incident.reopen_until = Some(again);
            }
            self.state.touch_incident(id);
            self.wake(again, Wake::Close(id));
            return;
        }
        incident.state = IncidentState::Closed;
        self.found_no_longer(id);
        self.close_cases(id);
        self.forget_mark(id);
        self.forget_unread(id);
        self.decide(id, Reason::ReopenWindowOver, "The reopen window is over.");
        self.state.dirty.closed.push(id);
        for alert in self.state.members.remove(&id).unwrap_or_default() {
            if self
                .state
                .alerts
                .get(&alert)
                .is_some_and(|a| !a.state.is_active())
            {
                self.forget_alert(alert);
            }
        }
        self.tallies.remove(&id);
        self.state.by_group.retain(|_, incident| *incident != id);
        self.state.by_host.retain(|_, incidents| {
            incidents.remove(&id);
            !incidents.is_empty()
        });
    }
}

/// While many alerts are left, the facts are looked at again in about sixteen steps for each half: each
/// look costs as much as there are elements, and nothing of so many gets better one by one.
fn is_a_step(left: u32) -> bool {
    left <= STEPS_FROM || left.is_multiple_of(left / 16)
}

fn entry_is_large(incident: Option<&Incident>) -> bool {
    incident.is_some_and(|i| i.storm || i.members > 200)
}
