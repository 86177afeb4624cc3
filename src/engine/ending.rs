//! Resolving, reopening and closing incidents. A blip within its hold is transient, planned work is
//! planned, and only what was never wrong is a false alarm.

use super::Engine;
use super::state::Wake;
use crate::model::event::SeverityHint;
use crate::model::incident::{Ended, Incident, IncidentState};
use crate::model::reason::{Outcome, Reason};
use crate::model::severity::Severity;
use crate::model::{AlertId, IncidentId, Sym, Time};
use std::time::Duration;

impl Engine {
    /// A member ended.
    pub(super) fn member_ended(
        &mut self,
        incident: IncidentId,
        id: AlertId,
        hint: SeverityHint,
        ended: Time,
    ) -> Outcome {
        let element = self.state.alerts.get(&id).map_or(Sym(0), |a| a.element);
        let tally = self.tallies.entry(incident).or_default();
        tally.remove_hint(hint);
        tally.remove_element(element);
        let Some(entry) = self.state.incidents.get_mut(&incident) else {
            return Outcome::Resolved;
        };
        entry.active = entry.active.saturating_sub(1);
        let (left, state) = (entry.active, entry.state);
        let quiet = entry.quiet_until.is_some();
        self.state.touch_incident(incident);
        if !state.is_open() {
            return Outcome::Resolved;
        }
        if left > 0 {
            if !entry_is_large(self.state.incidents.get(&incident)) {
                self.decide(
                    incident,
                    Reason::AlertResolved,
                    format!("{id} ended; {left} left."),
                );
                self.evaluate(incident);
            }
            return Outcome::Resolved;
        }
        if state == IncidentState::Held {
            let (how, reason) = if quiet {
                (Ended::Planned, Reason::AllResolved)
            } else {
                (Ended::Transient, Reason::ClearedInHold)
            };
            let lasted = self
                .state
                .incidents
                .get(&incident)
                .map(|i| ended.since(i.opened_at));
            let text = format!(
                "All well after {:?}, before a ticket was due.",
                lasted.unwrap_or_default()
            );
            self.finish(incident, how, reason, ended, &text);
            return if quiet {
                Outcome::Resolved
            } else {
                Outcome::Transient
            };
        }
        self.resolve_or_wait(incident, ended);
        Outcome::Resolved
    }

    pub(super) fn resolve_or_wait(&mut self, id: IncidentId, ended: Time) {
        let quiet = self.decisions.settings.flap_quiet;
        if self.state.incidents.get(&id).is_some_and(|i| i.flapping) {
            let until = self.state.now.plus(quiet);
            self.wake(until, Wake::FlapQuiet(id));
            self.decide(
                id,
                Reason::Flapping,
                format!("All well; flapping, so quiet until {until}."),
            );
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
        if how == Ended::FalseAlarm {
            incident.severity = Some(Severity::S5);
        }
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
        self.sync_tickets(id);
        self.note_tickets(id, text, true);
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
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let blip = incident.ended == Some(Ended::Transient);
        incident.state = if blip {
            IncidentState::Held
        } else {
            IncidentState::Open
        };
        incident.ended = None;
        incident.resolved_at = None;
        if let Some(at) = incident.reopen_until.take() {
            self.state.wakes.remove(&(at, Wake::Close(id)));
        }
        self.count_firing(id);
        self.decide(id, reason, text.clone());
        self.evaluate(id);
        if blip {
            let until = self
                .state
                .now
                .plus(self.decisions.settings.hold_degradation);
            if let Some(incident) = self.state.incidents.get_mut(&id) {
                incident.held_until = Some(until);
            }
            self.wake(until, Wake::Hold(id));
        } else {
            self.want_tickets(id);
            self.note_tickets(id, &text, true);
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
            self.wake(again, Wake::Close(id));
            return;
        }
        incident.state = IncidentState::Closed;
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

fn entry_is_large(incident: Option<&Incident>) -> bool {
    incident.is_some_and(|i| i.storm || i.members > 200)
}
