//! Opening, joining, merging, resolving and closing incidents.

use super::correlate::Judged;
use super::state::Wake;
use super::{Engine, Tally};
use crate::model::event::{ComponentKind, Event, SeverityHint};
use crate::model::figure::Family;
use crate::model::incident::{Effect, Ended, Incident, IncidentState};
use crate::model::reason::{Outcome, Reason};
use crate::model::severity::{Basis, Category, Severity};
use crate::model::text::{bounded, one_line};
use crate::model::{AlertId, IncidentId, Sym, Time};
use std::time::Duration;

/// Longest title, bytes.
const TITLE_BYTES_MAX: usize = 200;
/// Most sites named by an incident.
const SITES_MAX: usize = 32;
/// Most firings remembered for flapping.
const FIRINGS_MAX: usize = 32;

impl Engine {
    /// Gives an alert that began to fire its incident.
    pub(super) fn attach(
        &mut self,
        id: AlertId,
        event: &Event,
        judged: &Judged,
        new: bool,
    ) -> Outcome {
        if let Some(outcome) = self.reattach(id) {
            return outcome;
        }
        if let Some((incident, reason)) = self.find_incident(id, judged) {
            self.join(id, incident, reason);
            self.merge_explained(id, judged, incident);
            return if new {
                Outcome::Grouped
            } else {
                Outcome::Reopened
            };
        }
        let outcome = self.open_for(id, event, judged);
        if !new && outcome == Outcome::Opened {
            Outcome::Reopened
        } else {
            outcome
        }
    }

    /// An alert that fires again goes back to the incident it was in, while that is live.
    fn reattach(&mut self, id: AlertId) -> Option<Outcome> {
        let alert = self.state.alerts.get(&id)?;
        let incident = self.state.survivor(alert.incident?);
        let entry = self.state.incidents.get(&incident)?;
        let (hint, element) = (alert.hint, alert.element);
        match entry.state {
            IncidentState::Closed => None,
            IncidentState::Resolved if entry.ended == Some(Ended::Transient) => {
                // A blip that comes back: the same incident, held anew.
                self.member_active(incident, hint, element);
                self.reopen(incident, Reason::AlertRefired, format!("{id} fires again."));
                Some(Outcome::Reopened)
            }
            IncidentState::Resolved => {
                self.member_active(incident, hint, element);
                self.reopen(incident, Reason::Reopened, format!("{id} fires again."));
                self.add_figure(Family::Reopens, &[], 1);
                Some(Outcome::Reopened)
            }
            IncidentState::Held | IncidentState::Open => {
                self.member_active(incident, hint, element);
                self.count_firing(incident);
                self.decide(incident, Reason::AlertRefired, format!("{id} fires again."));
                self.evaluate(incident);
                Some(Outcome::Reopened)
            }
        }
    }

    fn member_active(&mut self, incident: IncidentId, hint: SeverityHint, element: Sym) {
        let tally = self.tallies.entry(incident).or_default();
        tally.add_hint(hint);
        tally.add_element(element);
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.active += 1;
        }
        self.state.touch_incident(incident);
    }

    /// Adds an active alert to an open incident.
    pub(super) fn join(&mut self, id: AlertId, incident: IncidentId, reason: Reason) {
        self.enter(id, incident);
        self.count_firing(incident);
        let many = self
            .state
            .incidents
            .get(&incident)
            .is_some_and(|i| i.members > 20);
        if many {
            self.state.touch_incident(incident);
        } else {
            let text = format!("{id} joined: {}.", reason.word().replace('_', " "));
            self.decide(incident, reason, text);
        }
        self.evaluate(incident);
    }

    /// Membership and tallies, without a word.
    pub(super) fn enter(&mut self, id: AlertId, incident: IncidentId) {
        let Some(alert) = self.state.alerts.get_mut(&id) else {
            return;
        };
        alert.incident = Some(incident);
        let (hint, element, site) = (alert.hint, alert.element, alert.site);
        self.state.dirty.alerts.insert(id);
        let members = self.state.members.entry(incident).or_default();
        members.insert(id);
        let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
        self.member_active(incident, hint, element);
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.members = count;
            if site != Sym(0) && !entry.sites.contains(&site) && entry.sites.len() < SITES_MAX {
                entry.sites.push(site);
            }
        }
    }

    /// The alert is a root: incidents that it explains become part of its own.
    fn merge_explained(&mut self, id: AlertId, judged: &Judged, incident: IncidentId) {
        for other in self.explained_by(id, judged) {
            let other = self.state.survivor(other);
            if other != incident {
                self.merge(other, incident, Reason::RootSpokeLater);
            }
        }
    }

    fn open_for(&mut self, id: AlertId, event: &Event, judged: &Judged) -> Outcome {
        let source = self.state.alerts.get(&id).map_or(Sym(0), |a| a.source);
        if judged.element.is_empty()
            && let Some(storm) = self.storm_of(id)
        {
            self.enter(id, storm);
            self.state.touch_incident(storm);
            return Outcome::StormFolded;
        }
        let title = title_of(event);
        let incident = self.new_incident(&title, source, Category::Incident);
        self.index_incident(incident, id, judged);
        self.enter(id, incident);
        self.count_firing(incident);
        self.evaluate_facts(incident);
        let why = if judged.how.is_empty() {
            format!("{id}: {title}")
        } else {
            format!("{id}: {title} ({})", judged.how)
        };
        self.decide(incident, Reason::FirstAlert, why);
        if let Some((until, reason, text)) = self.quiet_for(id, event, judged, incident) {
            self.hold_quiet(incident, until, reason, text);
            return if reason == Reason::Maintenance {
                Outcome::SuppressedMaintenance
            } else {
                Outcome::SuppressedSilence
            };
        }
        self.merge_explained(id, judged, incident);
        let outcome = self.hold_or_release(incident, judged);
        if judged.element.is_empty() {
            self.watch_storm(id, incident);
        }
        outcome
    }

    /// Remembers by what later alerts find this incident.
    fn index_incident(&mut self, incident: IncidentId, id: AlertId, judged: &Judged) {
        let element = self.state.alerts.get(&id).map_or(Sym(0), |a| a.element);
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.root = element;
            entry.sensitive = judged.sensitive;
            if element == Sym(0) {
                entry.group = judged.group.or(judged.host.filter(|_| judged.whole_host));
            }
            if let Some(route) = &judged.route {
                entry.routes.push(route.clone());
            }
        }
        if element != Sym(0) {
            return;
        }
        if let Some(group) = self.state.incidents.get(&incident).and_then(|i| i.group) {
            self.state.by_group.insert(group, incident);
        }
        if let Some(host) = judged.host {
            self.state.by_host.entry(host).or_default().insert(incident);
        }
    }

    fn hold_or_release(&mut self, incident: IncidentId, judged: &Judged) -> Outcome {
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

    fn hold_of(&self, judged: &Judged) -> Duration {
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

    /// A new incident without members.
    pub(super) fn new_incident(
        &mut self,
        title: &str,
        source: Sym,
        category: Category,
    ) -> IncidentId {
        self.state.scalars.next_incident += 1;
        self.state.dirty.scalars = true;
        let id = IncidentId(self.state.scalars.next_incident);
        let now = self.state.now;
        let incident = Incident {
            id,
            state: IncidentState::Held,
            category,
            severity: None,
            basis: Basis::Rule,
            person_severity: None,
            needs_triage: false,
            title: bounded(&one_line(title), TITLE_BYTES_MAX),
            reason: String::new(),
            reason_word: Reason::FirstAlert,
            root: Sym(0),
            source,
            sites: Vec::new(),
            services: Vec::new(),
            accounts: Vec::new(),
            services_hit: 0,
            parties_hit: 0,
            group: None,
            storm: false,
            routes: Vec::new(),
            opened_at: now,
            released_at: None,
            held_until: None,
            resolved_at: None,
            reopen_until: None,
            cycle: 1,
            merged_into: None,
            ended: None,
            flapping: false,
            firings: Vec::new(),
            members: 0,
            active: 0,
            owner: String::new(),
            acknowledged_at: None,
            answered_at: None,
            waiting: false,
            reported: false,
            escalation: 1,
            quiet_until: None,
            quiet_reason: None,
            periods: Vec::new(),
            next_failure: String::new(),
            sensitive: false,
            improving_since: None,
            person_facts: None,
            changed_at: now,
        };
        self.state.incidents.insert(id, incident);
        self.state.dirty.incidents.insert(id);
        id
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

    fn resolve_or_wait(&mut self, id: IncidentId, ended: Time) {
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

    /// A flapping incident has been quiet for long enough.
    pub(super) fn flap_quiet(&mut self, id: IncidentId) {
        let quiet = self.decisions.settings.flap_quiet;
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let last = incident.firings.last().copied().unwrap_or_default();
        if !incident.flapping || self.state.now.since(last) < quiet {
            return;
        }
        incident.flapping = false;
        let (active, open) = (incident.active, incident.state.is_open());
        self.decide(
            id,
            Reason::FlappingEnded,
            "Quiet for long enough: no longer flapping.",
        );
        if active == 0 && open {
            let now = self.state.now;
            self.finish(
                id,
                Ended::ResolvedByMonitoring,
                Reason::AllResolved,
                now,
                "All alerts ended.",
            );
        } else {
            self.evaluate(id);
        }
    }

    /// Counts a firing, and notices flapping.
    pub(super) fn count_firing(&mut self, id: IncidentId) {
        let settings = &self.decisions.settings;
        let (from, window) = (settings.flap_firings, settings.flap_window);
        let now = self.state.now;
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        incident.firings.push(now);
        if incident.firings.len() > FIRINGS_MAX {
            incident.firings.remove(0);
        }
        // Members that join for the first time are not flapping; refirings of few members are.
        let recent = incident
            .firings
            .iter()
            .filter(|at| now.since(**at) <= window)
            .count();
        let refirings = recent.saturating_sub(incident.members as usize);
        if !incident.flapping && refirings >= from as usize {
            incident.flapping = true;
            let text = format!("{refirings} firings again within {window:?}: flapping.");
            self.decide(id, Reason::Flapping, text);
        }
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

    /// Makes one incident part of another. The earliest start stays.
    pub(super) fn merge(&mut self, from: IncidentId, into: IncidentId, reason: Reason) {
        let now = self.state.now;
        let members = self.state.members.remove(&from).unwrap_or_default();
        let Some(gone) = self.state.incidents.get_mut(&from) else {
            return;
        };
        gone.state = IncidentState::Resolved;
        gone.ended = Some(Ended::Merged);
        gone.merged_into = Some(into);
        gone.resolved_at = Some(now);
        gone.active = 0;
        let (opened_at, sites) = (gone.opened_at, gone.sites.clone());
        let held = gone.held_until.take();
        if let Some(at) = held {
            self.state.wakes.remove(&(at, Wake::Hold(from)));
        }
        self.tallies.remove(&from);
        for id in members {
            if let Some(alert) = self.state.alerts.get_mut(&id) {
                alert.incident = Some(into);
                let (active, hint, element) = (alert.state.is_active(), alert.hint, alert.element);
                self.state.dirty.alerts.insert(id);
                self.state.members.entry(into).or_default().insert(id);
                if active {
                    self.member_active(into, hint, element);
                }
            }
        }
        let count = self.state.members.get(&into).map_or(0, |m| m.len());
        if let Some(entry) = self.state.incidents.get_mut(&into) {
            entry.members = u32::try_from(count).unwrap_or(u32::MAX);
            entry.opened_at = entry.opened_at.min(opened_at);
            for site in sites {
                if !entry.sites.contains(&site) && entry.sites.len() < SITES_MAX {
                    entry.sites.push(site);
                }
            }
        }
        let until = now.plus(self.decisions.settings.reopen_window);
        self.wake(until, Wake::Close(from));
        self.add_figure(Family::Merges, &[], 1);
        self.decide(from, Reason::Merged, format!("Part of {into}."));
        self.decide(into, reason, format!("{from} is part of this problem."));
        self.sync_tickets(from);
        self.note_tickets(from, &format!("This is part of {into}."), true);
        self.evaluate(into);
    }
}

fn entry_is_large(incident: Option<&Incident>) -> bool {
    incident.is_some_and(|i| i.storm || i.members > 200)
}

/// One line: host, component and what the sender says.
fn title_of(event: &Event) -> String {
    let mut title = String::new();
    for part in [&event.host, &event.component].into_iter().flatten() {
        if !part.is_empty() && !event.summary.contains(part.as_str()) {
            title.push_str(part);
            title.push(' ');
        }
    }
    if !title.is_empty() {
        title = format!("{}: ", title.trim_end());
    }
    title.push_str(&event.summary);
    title
}

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
