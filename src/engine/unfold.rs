//! When a storm is over. It has subsided once nothing has joined it or ended in it for
//! `storm_quiet` and what still fires of it is fewer problems than make a storm (`storm_from`).
//! Those get incidents of their own, correlated among themselves, at most so many a minute; the
//! storm's ticket says where they went, and ends. What remains as large as a storm stays one
//! ticket: it is one problem of unknown impact, and a person looks at it.
//!
//! The engine holds no texts: it says which storm may be over, and gets the texts of what still
//! fires as an input.

use super::Engine;
use super::correlate::Judged;
use super::explain::event_of;
use super::incident::title_of;
use super::state::Wake;
use crate::limits;
use crate::model::alert::{Alert, AlertText};
use crate::model::event::Event;
use crate::model::incident::Ended;
use crate::model::input::{Message, Remains};
use crate::model::reason::Reason;
use crate::model::severity::Category;
use crate::model::{AlertId, IncidentId, Sym};
use crate::sla::CaseLog;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long until it is asked again, if no answer came.
const ASKED_AGAIN: Duration = Duration::from_secs(600);
/// How long until there is room for more tickets.
const MORE: Duration = Duration::from_secs(60);

/// One alert that remains.
struct Remaining {
    id: AlertId,
    event: Event,
    judged: Judged,
}

impl Engine {
    /// Something joined a storm, or ended in it: whether it is over is asked once it is quiet.
    pub(super) fn stir_storm(&mut self, id: IncidentId) {
        if self.is_storm(id) {
            let quiet = self.decisions.settings.storm_quiet;
            self.ask_storm_at(id, Some(quiet));
        }
    }

    /// A list of what fired at a first contact is none.
    fn is_storm(&self, id: IncidentId) -> bool {
        let entry = self.state.incidents.get(&id);
        entry.is_some_and(|i| i.storm && i.reason_word == Reason::Storm)
    }

    fn ask_storm_at(&mut self, id: IncidentId, after: Option<Duration>) {
        let new = after.map(|after| self.state.now.plus(after));
        let old = match new {
            Some(at) => self.state.storm_ends.insert(id, at),
            None => self.state.storm_ends.remove(&id),
        };
        if old != new {
            self.state.rewake(old, new, Wake::StormEnd(id));
            self.state.dirty.storm_ends.insert(id);
        }
    }

    /// Nothing has stirred for long enough: if little enough fires, its texts are asked for.
    pub(super) fn storm_may_end(&mut self, id: IncidentId) {
        let entry = self.state.incidents.get(&id).filter(|i| i.state.is_open());
        let left = entry.map_or(0, |i| i.active);
        if (1..=limits::STORM_REMAINS_MAX).contains(&left) {
            self.out.remains.insert(id);
            self.ask_storm_at(id, Some(ASKED_AGAIN));
        } else {
            self.ask_storm_at(id, None);
        }
    }

    /// The alerts of a storm, or of what is held, that still fire, with their texts.
    pub(super) fn apply_remains(&mut self, remains: &Remains) {
        let storm = self.state.survivor(remains.storm);
        let open = self.state.incidents.get(&storm);
        let Some(active) = open.filter(|i| i.state.is_open()).map(|i| i.active) else {
            return;
        };
        let belongs = |id: AlertId| {
            let alert = self.state.alerts.get(&id);
            alert.is_some_and(|a| {
                a.state.is_active() && a.incident.map(|i| self.state.survivor(i)) == Some(storm)
            })
        };
        let alerts = remains.alerts.iter();
        let mut left: Vec<Remaining> = alerts
            .filter(|(alert, _)| belongs(alert.id))
            .map(|(alert, text)| self.remaining(alert, text))
            .collect();
        if !self.is_storm(storm) {
            self.cover_held(storm, &remains.alerts);
            return;
        }
        if left.len() != active as usize {
            // Something has joined since: it is asked again once that is quiet.
            return;
        }
        let from = self.decisions.settings.storm_from.max(1) as usize;
        if self.problems(&left) >= from {
            self.ask_storm_at(storm, None);
            return;
        }
        // Causes before their effects.
        left.sort_by_key(|one| (!one.judged.whole_host, self.is_explained(one.id), one.id));
        self.unfold(storm, &left);
    }

    fn remaining(&self, alert: &Alert, text: &AlertText) -> Remaining {
        let event = event_of(alert, text);
        let message = Message {
            scope: text.scope.clone(),
            account: text.account.clone(),
            sensitive: text.sensitive,
            ..Message::new(&text.source, &text.sender, Vec::new())
        };
        let mut judged = self.judge(&message, &event);
        judged.sensitive |= text.sensitive;
        Remaining {
            id: alert.id,
            event,
            judged,
        }
    }

    /// The failed element that explains an alert's, else its own; none: it has none.
    fn cause_of(&self, id: AlertId) -> Option<Sym> {
        let element = self.state.alerts.get(&id)?.element;
        let inventory = &self.decisions.inventory;
        let known = inventory.element(self.state.symbols.name(element))?;
        let root = self.health.roots_of(inventory, known).into_iter().next();
        let root = root.and_then(|root| self.state.symbols.get(inventory.element_name(root)));
        Some(root.unwrap_or(element))
    }

    fn is_explained(&self, id: AlertId) -> bool {
        let element = self.state.alerts.get(&id).map(|a| a.element);
        self.cause_of(id)
            .is_some_and(|cause| Some(cause) != element)
    }

    /// How many problems the alerts are, as far as one can tell without opening them.
    fn problems(&self, left: &[Remaining]) -> usize {
        let whole: BTreeSet<u64> = left
            .iter()
            .filter(|one| one.judged.whole_host)
            .filter_map(|one| one.judged.host)
            .collect();
        let problem = |one: &Remaining| match (self.cause_of(one.id), one.judged.group) {
            (Some(cause), _) => (0, u64::from(cause.0)),
            (None, Some(group)) => (1, group),
            (None, None) => match one.judged.host.filter(|host| whole.contains(host)) {
                Some(host) => (2, host),
                None => (3, one.id.0),
            },
        };
        left.iter().map(problem).collect::<BTreeSet<_>>().len()
    }

    fn unfold(&mut self, storm: IncidentId, left: &[Remaining]) {
        for one in left {
            self.take_out(one.id, storm);
            // What was grouped before the storm is looked for no more in it.
            if let Some(group) = one.judged.group
                && self.open_group(group) == Some(storm)
            {
                self.state.by_group.remove(&group);
            }
        }
        let mut told = Vec::new();
        let mut waits = Vec::new();
        for one in left {
            if self.attach_to_known(one.id, &one.event, &one.judged) {
                // Into what was unfolded before it.
            } else if self.room_this_minute() {
                self.open_out_of(storm, one);
            } else {
                waits.push(one.id);
                continue;
            }
            let into = self.state.alerts.get(&one.id).and_then(|a| a.incident);
            if let Some(into) = into.map(|into| self.state.survivor(into)) {
                told.push(format!("{} is {into} now", one.id));
            }
        }
        let text = format!("Still firing: {}.", told.join(", "));
        if waits.is_empty() {
            let text = format!("The storm is over. {text}");
            let now = self.state.now;
            let how = Ended::ResolvedByMonitoring;
            self.finish(storm, how, Reason::Unfolded, now, &text);
            self.ask_storm_at(storm, None);
            return;
        }
        for id in waits {
            self.enter(id, storm);
        }
        self.decide(storm, Reason::Unfolded, text.clone());
        self.note_tickets(storm, &text, true);
        self.ask_storm_at(storm, Some(MORE));
    }

    /// An incident of its own for what was part of a storm: told already, so it is not held, and
    /// its clock begins when we were told of it.
    fn open_out_of(&mut self, storm: IncidentId, one: &Remaining) {
        let alert = self.state.alerts.get(&one.id);
        let (source, since) = alert.map_or((Sym(0), self.state.now), |a| {
            (a.source, a.fired_at.max(a.first_seen))
        });
        let title = title_of(&one.event);
        let incident = self.new_incident(&title, source, Category::Incident);
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.opened_at = entry.opened_at.min(since);
        }
        self.index_incident(incident, one.id, &one.judged);
        self.enter(one.id, incident);
        self.count_firing(incident);
        self.evaluate_facts(incident);
        let text = format!("{}: {title} (still fires after the storm {storm})", one.id);
        self.decide(incident, Reason::Unfolded, text);
        self.merge_explained(one.id, &one.judged, incident);
        if self.begin_quiet(incident).is_none() {
            self.hold_or_release(incident, one.id, Some(Duration::ZERO));
            self.answered_before(storm, incident);
        }
    }
    /// What was answered on a storm was answered on what comes out of it, from the time on at which
    /// that began.
    pub(super) fn answered_before(&mut self, storm: IncidentId, id: IncidentId) {
        let since = self.state.incidents.get(&id).map(|i| i.opened_at);
        for key in self.case_keys(storm, None) {
            let (Some(before), Some(since)) = (self.state.cases.get(&key), since) else {
                continue;
            };
            let words: CaseLog = before
                .log
                .iter()
                .filter(|event| event.at >= since && event.what.is_of_people())
                .cloned()
                .collect();
            let own = (id, key.1);
            if let Some(case) = self.state.cases.get_mut(&own) {
                case.log.extend(words);
                self.state.dirty.cases.insert(own);
            }
        }
        self.look_at_clocks(id);
    }
}
