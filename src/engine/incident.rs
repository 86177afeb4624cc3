//! Opening incidents and joining them. `hold`, `flap`, `merge` and `ending` take it from there.

use super::Engine;
use super::correlate::Judged;
use crate::model::alert::Weight;
use crate::model::event::Event;
use crate::model::figure::Family;
use crate::model::incident::{Ended, Incident, IncidentState};
use crate::model::reason::{Outcome, Reason};
use crate::model::severity::{Basis, Category};
use crate::model::text::{bounded, one_line};
use crate::model::{AlertId, IncidentId, Sym};

/// Longest title, bytes.
const TITLE_BYTES_MAX: usize = 200;
/// Most sites and hosts named by an incident.
pub(super) const SITES_MAX: usize = 32;

impl Engine {
    /// Gives an alert that began to fire its incident.
    pub(super) fn attach(
        &mut self,
        id: AlertId,
        event: &Event,
        judged: &Judged,
        new: bool,
    ) -> Outcome {
        if let Some(outcome) = self.reattach(id).or_else(|| self.recurs(id)) {
            return outcome;
        }
        if self.attach_to_known(id, event, judged) {
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

    /// Joins an open incident that the alert belongs to, or whose cause it is; `false`: there is
    /// none.
    pub(super) fn attach_to_known(&mut self, id: AlertId, event: &Event, judged: &Judged) -> bool {
        if let Some((incident, reason)) = self.find_incident(id, judged) {
            self.mark_judged(incident, judged);
            self.tag_incident(incident, judged);
            self.remember_told(incident, judged);
            self.join(id, incident, reason);
            self.merge_explained(id, judged, incident);
            return true;
        }
        let Some(incident) = self.told_effect(id, judged) else {
            return false;
        };
        self.tag_incident(incident, judged);
        self.remember_told(incident, judged);
        self.join(id, incident, Reason::RootSpokeLater);
        let element = self.state.alerts.get(&id).map_or(Sym(0), |a| a.element);
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.root = element;
            if element == Sym(0)
                && let Some(host) = judged.host.filter(|_| entry.group.is_none())
            {
                entry.group = Some(host);
                self.state.by_group.insert(host, incident);
            }
            entry.title = bounded(&one_line(&title_of(event)), TITLE_BYTES_MAX);
        }
        self.merge_explained(id, judged, incident);
        self.sync_tickets(incident);
        true
    }

    /// The same trouble under a new number of its sender: it goes back to the incident it was in,
    /// and counts as a firing again, not as one more member.
    fn recurs(&mut self, id: AlertId) -> Option<Outcome> {
        let condition = self.state.alerts.get(&id).map(|a| a.condition)?;
        if condition == 0 {
            return None;
        }
        let before = self.state.by_condition.insert(condition, id)?;
        let incident = self.state.alerts.get(&before).and_then(|a| a.incident)?;
        let incident = self.state.survivor(incident);
        let live = self
            .state
            .incidents
            .get(&incident)
            .is_some_and(|i| i.state != IncidentState::Closed);
        if before == id || !live {
            return None;
        }
        if let Some(alert) = self.state.alerts.get_mut(&id) {
            alert.incident = Some(incident);
        }
        self.state.members.entry(incident).or_default().insert(id);
        self.state.dirty.alerts.insert(id);
        self.reattach(id)
    }

    /// An alert that fires again goes back to the incident it was in, while that is live.
    fn reattach(&mut self, id: AlertId) -> Option<Outcome> {
        let alert = self.state.alerts.get(&id)?;
        let incident = self.state.survivor(alert.incident?);
        let entry = self.state.incidents.get(&incident)?;
        if entry.state == IncidentState::Resolved
            && entry.basis == Basis::Rule
            && !self.is_proven(id)
            && !self.is_covered(id)
            && let Some(storm) = self.storm_of(id)
            && storm != incident
        {
            // What ended before the storm and fires again within it is part of it.
            self.merge(incident, storm, Reason::Storm);
            return Some(Outcome::StormFolded);
        }
        let entry = self.state.incidents.get(&incident)?;
        let again = entry.state == IncidentState::Resolved && entry.basis == Basis::Rule;
        let outcome = self.fires_again(id, incident);
        // Many that come back at once are a storm like many that are new.
        if again && !self.is_proven(id) && !self.is_covered(id) {
            self.watch_storm(id, incident);
        }
        outcome
    }

    fn fires_again(&mut self, id: AlertId, incident: IncidentId) -> Option<Outcome> {
        let alert = self.state.alerts.get(&id)?;
        let (weight, element) = (alert.weight(), alert.element);
        let entry = self.state.incidents.get(&incident)?;
        match entry.state {
            IncidentState::Closed => None,
            IncidentState::Resolved if entry.ended == Some(Ended::Transient) => {
                // A blip that comes back: the same incident, held anew.
                self.member_active(incident, weight, element);
                self.reopen(incident, Reason::AlertRefired, format!("{id} fires again."));
                Some(Outcome::Reopened)
            }
            IncidentState::Resolved => {
                self.member_active(incident, weight, element);
                self.reopen(incident, Reason::Reopened, format!("{id} fires again."));
                self.add_figure(Family::Reopens, &[], 1);
                Some(self.quiet_outcome(incident).unwrap_or(Outcome::Reopened))
            }
            IncidentState::Held | IncidentState::Open => {
                self.member_active(incident, weight, element);
                self.count_firing(incident);
                self.decide(incident, Reason::AlertRefired, format!("{id} fires again."));
                self.evaluate_for(incident, id);
                Some(Outcome::Reopened)
            }
        }
    }

    pub(super) fn member_active(&mut self, incident: IncidentId, weight: Weight, element: Sym) {
        let tally = self.tallies.entry(incident).or_default();
        tally.add(weight);
        tally.add_element(element);
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.active += 1;
        }
        self.state.touch_incident(incident);
        self.stir_storm(incident);
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
        // What its root has taken down already changes nothing further.
        if reason != Reason::ExplainedByRoot || self.health_moved {
            self.evaluate_for(incident, id);
        } else {
            self.review_quiet(incident, Some(id));
        }
        self.review_maintenance_of(incident);
    }

    /// Membership and tallies, without a word.
    pub(super) fn enter(&mut self, id: AlertId, incident: IncidentId) {
        let Some(alert) = self.state.alerts.get_mut(&id) else {
            return;
        };
        alert.incident = Some(incident);
        let (weight, element, site) = (alert.weight(), alert.element, alert.site);
        let sensitive = alert.sensitive;
        self.state.dirty.alerts.insert(id);
        let members = self.state.members.entry(incident).or_default();
        members.insert(id);
        let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
        self.member_active(incident, weight, element);
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.members = count;
            entry.sensitive |= sensitive;
            if site != Sym(0) && !entry.sites.contains(&site) && entry.sites.len() < SITES_MAX {
                entry.sites.push(site);
            }
        }
    }

    fn open_for(&mut self, id: AlertId, event: &Event, judged: &Judged) -> Outcome {
        let source = self.state.alerts.get(&id).map_or(Sym(0), |a| a.source);
        let proven = self.is_proven(id);
        // What is planned or silenced is no part of a storm.
        let covered = self.is_covered(id);
        if !proven
            && !covered
            && let Some(storm) = self.storm_of(id)
        {
            self.enter(id, storm);
            self.remember_told(storm, judged);
            self.state.touch_incident(storm);
            return Outcome::StormFolded;
        }
        if !proven
            && !covered
            && let Some(list) = self.baseline_of(id)
        {
            self.enter(id, list);
            self.state.touch_incident(list);
            return Outcome::Grouped;
        }
        let title = title_of(event);
        let incident = self.new_incident(&title, source, Category::Incident);
        self.index_incident(incident, id, judged);
        self.enter(id, incident);
        self.count_firing(incident);
        self.evaluate_facts(incident);
        self.mark_by_route(incident);
        let why = if judged.how.is_empty() {
            format!("{id}: {title}")
        } else {
            format!("{id}: {title} ({})", judged.how)
        };
        self.decide(incident, Reason::FirstAlert, why);
        self.merge_explained(id, judged, incident);
        if self.begin_quiet(incident).is_some() {
            return self.quiet_outcome(incident).unwrap_or(Outcome::Held);
        }
        let outcome = self.hold_or_release(incident, id, judged.hold);
        if !proven {
            self.watch_storm(id, incident);
        }
        outcome
    }

    /// The outcome of an event whose incident is quiet.
    fn quiet_outcome(&self, incident: IncidentId) -> Option<Outcome> {
        match self.state.incidents.get(&incident)?.quiet_reason? {
            Reason::Maintenance => Some(Outcome::SuppressedMaintenance),
            _ => Some(Outcome::SuppressedSilence),
        }
    }

    /// Gives an incident the tags that rules gave to an alert of it.
    pub(super) fn tag_incident(&mut self, incident: IncidentId, judged: &Judged) {
        let incident = self.state.survivor(incident);
        let Some(entry) = self.state.incidents.get_mut(&incident) else {
            return;
        };
        if entry.tag(&judged.tags) {
            // A ticket that is there already has not got them in its text.
            let text = format!("Tags: {}.", entry.tags.join(", "));
            self.state.touch_incident(incident);
            self.note_tickets(incident, &text, false);
        }
    }

    /// Remembers by what later alerts find this incident.
    pub(super) fn index_incident(&mut self, incident: IncidentId, id: AlertId, judged: &Judged) {
        let element = self.state.alerts.get(&id).map_or(Sym(0), |a| a.element);
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.root = element;
            entry.tag(&judged.tags);
            entry.sensitive = judged.sensitive;
            if element == Sym(0) {
                entry.group = judged.group.or(judged.host.filter(|_| judged.whole_host));
            }
            if let Some(route) = &judged.route {
                entry.routes.push(route.clone());
            }
        }
        self.mark_judged(incident, judged);
        self.remember_told(incident, judged);
        if element != Sym(0) {
            return;
        }
        if let Some(group) = self.state.incidents.get(&incident).and_then(|i| i.group) {
            self.state.by_group.insert(group, incident);
        }
        if let Some(host) = judged.host {
            self.state.by_host.entry(host).or_default().insert(incident);
            if let Some(entry) = self.state.incidents.get_mut(&incident)
                && entry.hosts.len() < SITES_MAX
            {
                entry.hosts.push(host);
            }
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
            topic: String::new(),
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
            cycle: super::ticketing::FIRST_CYCLE,
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
            hosts: Vec::new(),
            reported_by: Vec::new(),
            tags: Vec::new(),
            told: Vec::new(),
        };
        self.state.incidents.insert(id, incident);
        self.state.dirty.incidents.insert(id);
        id
    }
}

/// One line: host, component and what the sender says.
pub(super) fn title_of(event: &Event) -> String {
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
