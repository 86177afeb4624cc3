//! When the cause speaks later than its effects, incidents become one. The earliest start stays.

use super::Engine;
use super::correlate::Judged;
use super::incident::SITES_MAX;
use super::state::Wake;
use crate::model::figure::Family;
use crate::model::incident::{Ended, IncidentState};
use crate::model::reason::Reason;
use crate::model::severity::Basis;
use crate::model::{AlertId, IncidentId, Time};

impl Engine {
    /// The alert is a root: incidents of alerts that it explains become part of its own. From a
    /// storm only the explained alerts come.
    pub(super) fn merge_explained(&mut self, id: AlertId, judged: &Judged, incident: IncidentId) {
        let mut moved = 0_u32;
        for alert in self.explained_by(id, judged) {
            let Some(other) = self.state.alerts.get(&alert).and_then(|a| a.incident) else {
                continue;
            };
            let other = self.state.survivor(other);
            let open = self
                .incident_state(other)
                .is_some_and(IncidentState::is_open);
            if other == incident || !open {
                continue;
            }
            if self.state.incidents.get(&other).is_some_and(|i| i.storm) {
                self.move_member(alert, other, incident);
                moved += 1;
            } else {
                self.absorb(other, incident, Reason::RootSpokeLater);
                moved += 1;
            }
        }
        if moved > 0 {
            self.evaluate_for(incident, id);
        }
    }

    /// The oldest open ticket among what the alert explains: its cause joins it, so that no second
    /// ticket is asked for and none is closed.
    pub(super) fn told_effect(&self, id: AlertId, judged: &Judged) -> Option<IncidentId> {
        let explained = self.explained_by(id, judged);
        let incidents = explained.iter().filter_map(|alert| {
            let incident = self.state.survivor(self.state.alerts.get(alert)?.incident?);
            let entry = self.state.incidents.get(&incident)?;
            (entry.state == IncidentState::Open && !entry.storm).then_some(incident)
        });
        incidents.min()
    }

    /// Takes an active alert out of a storm, into the incident whose root explains it.
    fn move_member(&mut self, id: AlertId, from: IncidentId, into: IncidentId) {
        let left = self.take_out(id, from);
        self.enter(id, into);
        if left == 0 {
            self.absorb(from, into, Reason::RootSpokeLater);
        }
    }

    /// Takes an active alert out of a storm; how many active ones are left.
    pub(super) fn take_out(&mut self, id: AlertId, storm: IncidentId) -> u32 {
        let Some(alert) = self.state.alerts.get_mut(&id) else {
            return 0;
        };
        alert.incident = None;
        let (weight, element) = (alert.weight(), alert.element);
        self.state.dirty.alerts.insert(id);
        let tally = self.tallies.entry(storm).or_default();
        tally.remove(weight);
        tally.remove_element(element);
        let members = self.state.members.entry(storm).or_default();
        members.remove(&id);
        let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let mut left = 0;
        if let Some(entry) = self.state.incidents.get_mut(&storm) {
            entry.active = entry.active.saturating_sub(1);
            entry.members = count;
            left = entry.active;
        }
        self.state.touch_incident(storm);
        self.stir_storm(storm);
        left
    }

    /// Makes one incident part of another, and looks at the facts of the whole.
    pub(super) fn merge(&mut self, from: IncidentId, into: IncidentId, reason: Reason) {
        self.absorb(from, into, reason);
        self.evaluate(into);
    }

    /// Makes one incident part of another. The earliest start stays.
    fn absorb(&mut self, from: IncidentId, into: IncidentId, reason: Reason) {
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
        let (reported, hosts) = (gone.reported, gone.hosts.clone());
        let reported_by = std::mem::take(&mut gone.reported_by);
        let (sensitive, tags) = (gone.sensitive, gone.tags.clone());
        let lower_after = self.decisions.settings.lower_after;
        let wakes = [
            (gone.held_until.take(), Wake::Hold(from)),
            (gone.quiet_until.take(), Wake::Quiet(from)),
            (
                gone.improving_since.take().map(|at| at.plus(lower_after)),
                Wake::Lower(from),
            ),
        ];
        gone.quiet_reason = None;
        let flapped = std::mem::take(&mut gone.flapping);
        let last = gone.firings.last().copied().filter(|_| flapped);
        for (at, wake) in wakes {
            self.state.rewake(at, None, wake);
        }
        let flap_quiet = self.decisions.settings.flap_quiet;
        let settles = last.map(|at| at.plus(flap_quiet));
        self.state.rewake(settles, None, Wake::FlapQuiet(from));
        self.state.reported.remove(&from);
        self.tallies.remove(&from);
        for id in members {
            if let Some(alert) = self.state.alerts.get_mut(&id) {
                alert.incident = Some(into);
                let (active, weight) = (alert.state.is_active(), alert.weight());
                let element = alert.element;
                self.state.dirty.alerts.insert(id);
                self.state.members.entry(into).or_default().insert(id);
                if active {
                    self.member_active(into, weight, element);
                }
            }
        }
        let count = self.state.members.get(&into).map_or(0, |m| m.len());
        if let Some(entry) = self.state.incidents.get_mut(&into) {
            entry.members = u32::try_from(count).unwrap_or(u32::MAX);
            entry.opened_at = entry.opened_at.min(opened_at);
            entry.reported |= reported;
            entry.sensitive |= sensitive;
            entry.tag(&tags);
            for account in reported_by {
                entry.reported_by_account(&account);
            }
            if entry.reported {
                self.state.reported.insert(into);
            }
            for host in hosts {
                if !entry.hosts.contains(&host) && entry.hosts.len() < SITES_MAX {
                    entry.hosts.push(host);
                    self.state.by_host.entry(host).or_default().insert(into);
                }
            }
            for site in sites {
                if !entry.sites.contains(&site) && entry.sites.len() < SITES_MAX {
                    entry.sites.push(site);
                }
            }
        }
        let until = now.plus(self.decisions.settings.reopen_window);
        let gone = self.state.incidents.get_mut(&from);
        let before = gone.and_then(|gone| gone.reopen_until.replace(until));
        self.state.rewake(before, Some(until), Wake::Close(from));
        if reason != Reason::Storm {
            self.keep_acts_of(from, into);
        }
        self.add_figure(Family::Merges, &[], 1);
        self.note_merged(from, into);
        self.merge_cases(from, into);
        self.decide(from, Reason::Merged, format!("Part of {into}."));
        self.decide(into, reason, format!("{from} is part of this problem."));
        self.sync_tickets(from);
    }

    /// Each ticket of a part names the one that goes on in its place, if that exists.
    fn note_merged(&mut self, from: IncidentId, into: IncidentId) {
        let goes_on = self.current_tickets(into);
        for id in self.current_tickets(from) {
            let Some(part) = self.state.tickets.get(&id) else {
                continue;
            };
            if part.alert.is_some() || self.is_replaced(part) {
                continue;
            }
            let same = goes_on.iter().find_map(|other| {
                let other = self.state.tickets.get(other)?;
                let same = (&other.route, &other.contract, &other.tracker)
                    == (&part.route, &part.contract, &part.tracker);
                other.remote.as_ref().filter(|_| same)
            });
            let text = match same {
                Some(remote) if remote.url.is_empty() => {
                    format!("This is part of {into}: see ticket {}.", remote.key)
                }
                Some(remote) => format!(
                    "This is part of {into}: see ticket {} ({}).",
                    remote.key, remote.url
                ),
                None => format!("This is part of {into}."),
            };
            self.note_ticket(id, &text, true);
        }
    }

    /// What people did about a part holds for the whole: who is on it, that the customer was
    /// answered, and a severity worse than what the facts say. A storm is not seen because one of
    /// its alerts was.
    fn keep_acts_of(&mut self, from: IncidentId, into: IncidentId) {
        let Some(gone) = self.state.incidents.get(&from).cloned() else {
            return;
        };
        let Some(entry) = self.state.incidents.get_mut(&into) else {
            return;
        };
        let earliest = |one: Option<Time>, other: Option<Time>| match (one, other) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        entry.acknowledged_at = earliest(entry.acknowledged_at, gone.acknowledged_at);
        entry.answered_at = earliest(entry.answered_at, gone.answered_at);
        if entry.owner.is_empty() {
            entry.owner = gone.owner;
        }
        if entry.acknowledged_at.is_some() || !entry.owner.is_empty() {
            entry.needs_triage = false;
        }
        let Some(set) = gone.person_severity else {
            return;
        };
        let worse = entry.severity.is_none_or(|now| set.is_worse_than(now));
        if worse && entry.person_severity.is_none() {
            entry.person_severity = Some(set);
            entry.person_facts = entry.severity.or(gone.person_facts);
            entry.severity = Some(set);
            entry.basis = Basis::Person;
            if let Some(period) = entry.periods.last_mut().filter(|p| p.until.is_none()) {
                period.severity = set;
            }
        }
    }
}
