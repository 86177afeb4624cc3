//! Monitors that watch one element from different places vote. A lone word that fresh watchers
//! contradict is in doubt: its element counts as degraded at most, it is shown for triage at once,
//! and it becomes a false alarm, or a ticket after a few minutes. Once enough watchers agreed, the
//! problem was real: that they recover one after the other is no contradiction. A watcher known to
//! be silent has no vote, and a customer's report ends it.

use super::Engine;
use super::state::Wake;
use crate::inventory::Condition;
use crate::model::incident::{Effect, IncidentState};
use crate::model::reason::Reason;
use crate::model::{AlertId, IncidentId, Sym, Time};
use std::collections::BTreeSet;
use std::time::Duration;

/// The shortest time that is told apart.
const TICK: Duration = Duration::from_millis(1);

/// How the watchers of an element stand.
struct Vote {
    bad: BTreeSet<Sym>,
    up: Vec<Sym>,
    quorum: u32,
    /// From when on nobody who says up is fresh any more, if they all stay silent.
    lapses: Option<Time>,
}

impl Vote {
    fn is_contradicted(&self) -> bool {
        self.bad.len() < self.quorum as usize && !self.up.is_empty()
    }
}

impl Engine {
    fn vote_on(&self, element: Sym) -> Option<Vote> {
        let inventory = &self.decisions.inventory;
        let id = inventory.element(self.state.symbols.name(element))?;
        let watch = inventory.watch(id)?;
        let alerts = self.state.by_element.get(&element)?;
        let active = alerts.iter().filter_map(|id| self.state.alerts.get(id));
        let bad: BTreeSet<Sym> = active
            .filter(|alert| super::severity::condition(alert.hint, true) != Condition::Up)
            .map(|alert| alert.source)
            .collect();
        let fresh = self.decisions.settings.vote_fresh;
        let (mut up, mut lapses) = (Vec::new(), None);
        for name in &watch.watchers {
            let Some(source) = self.state.symbols.get(name) else {
                continue;
            };
            let Some(seen) = self.state.sources.get(&source) else {
                continue;
            };
            let is_fresh = seen.silent.is_none() && self.state.now.since(seen.last_at) <= fresh;
            if is_fresh && !bad.contains(&source) {
                up.push(source);
                lapses = lapses.max(Some(seen.last_at.plus(fresh).plus(TICK)));
            }
        }
        Some(Vote {
            up,
            quorum: watch.quorum,
            bad,
            lapses,
        })
    }

    /// Counts the votes on an element and marks its alerts; `true` if that changed.
    pub(super) fn review_vote(&mut self, element: Sym) -> bool {
        let Some(vote) = self.vote_on(element) else {
            return false;
        };
        let contradicted = vote.is_contradicted();
        let alerts: Vec<AlertId> = self
            .state
            .by_element
            .get(&element)
            .into_iter()
            .flatten()
            .copied()
            .collect();
        let mut confirmed = BTreeSet::new();
        let mut changed = false;
        for id in alerts {
            let Some(alert) = self.state.alerts.get(&id) else {
                continue;
            };
            let (incident, was_doubted) = (alert.incident, alert.doubted);
            let incident = incident.map(|i| self.state.survivor(i));
            let entry = incident.and_then(|i| self.state.incidents.get(&i));
            let stands =
                entry.is_some_and(|i| i.reported || i.state == IncidentState::Open && !was_doubted);
            let Some(alert) = self.state.alerts.get_mut(&id) else {
                continue;
            };
            let doubted = contradicted && !stands;
            if alert.doubted == doubted {
                continue;
            }
            if alert.doubted {
                confirmed.extend(incident);
            }
            alert.doubted = doubted;
            changed = true;
            self.state.dirty.alerts.insert(id);
        }
        if changed {
            self.refresh_health(element);
        }
        for incident in confirmed {
            let text = if vote.up.is_empty() && vote.bad.len() < vote.quorum as usize {
                "Nobody who is fresh contradicts it any more.".to_owned()
            } else {
                let (count, needed) = (vote.bad.len(), vote.quorum);
                format!("{count} watchers say so, {needed} needed.")
            };
            self.decide(incident, Reason::Confirmed, text);
        }
        changed
    }

    /// Counts the votes on every element of an incident.
    pub(super) fn review_votes(&mut self, id: IncidentId) {
        if !self.decisions.inventory.has_watches() {
            return;
        }
        let elements: Vec<Sym> = self
            .tallies
            .get(&id)
            .map_or(Vec::new(), |tally| tally.elements.keys().copied().collect());
        let mut changed = false;
        for element in elements {
            changed |= self.review_vote(element);
        }
        if changed {
            self.evaluate(id);
        }
    }

    /// Why an incident is in doubt: every active alert of it is.
    pub(super) fn doubt_of(&self, id: IncidentId) -> Option<String> {
        if !self.decisions.inventory.has_watches() {
            return None;
        }
        let members = self.state.members.get(&id)?;
        let mut active = members
            .iter()
            .filter_map(|id| self.state.alerts.get(id))
            .filter(|alert| alert.state.is_active())
            .peekable();
        let first = active.peek()?.element;
        if !active.all(|alert| alert.doubted) {
            return None;
        }
        let vote = self.vote_on(first)?;
        let names = |sources: &mut dyn Iterator<Item = &Sym>| {
            let names: Vec<&str> = sources.map(|s| self.state.symbols.name(*s)).collect();
            names.join(", ")
        };
        Some(format!(
            "{} says down, {} (fresh) says up; {} needed.",
            names(&mut vote.bad.iter()),
            names(&mut vote.up.iter()),
            vote.quorum
        ))
    }

    /// Whether it was more than a lone contradicted word at some time.
    pub(super) fn was_confirmed(&self, id: IncidentId) -> bool {
        let members = self.state.members.get(&id).into_iter().flatten();
        let mut alerts = members.filter_map(|id| self.state.alerts.get(id));
        let entry = self.state.incidents.get(&id);
        let was_down = entry.is_some_and(|i| i.periods.iter().any(|p| p.effect == Effect::Down));
        was_down || alerts.any(|alert| !alert.doubted)
    }

    /// A ticket that opened in doubt: once those who contradict have been silent for too long,
    /// their word is none, and the facts are looked at again.
    pub(super) fn watch_doubt(&mut self, id: IncidentId) {
        let open = self.incident_state(id) == Some(IncidentState::Open);
        let doubted = open && self.doubt_of(id).is_some();
        let elements = self.tallies.get(&id).filter(|_| doubted);
        let lapses = elements.and_then(|tally| {
            let votes = tally.elements.keys().filter_map(|e| self.vote_on(*e));
            votes.filter_map(|vote| vote.lapses).min()
        });
        self.set_doubt_wake(id, lapses);
    }

    fn set_doubt_wake(&mut self, id: IncidentId, at: Option<Time>) {
        let old = match at {
            Some(at) => self.state.doubts.insert(id, at),
            None => self.state.doubts.remove(&id),
        };
        if old == at {
            return;
        }
        self.state.rewake(old, at, Wake::Doubt(id));
        let key = format!("{:010}", id.0);
        match at {
            Some(at) => self.save_thing("doubt", key, &at),
            None => self.drop_thing("doubt", key),
        }
    }

    /// Those who contradict may be fresh no longer.
    pub(super) fn doubt_due(&mut self, id: IncidentId) {
        self.set_doubt_wake(id, None);
        if self.incident_state(id) == Some(IncidentState::Open) {
            self.review_votes(id);
            self.watch_doubt(id);
        }
    }

    /// A watcher fell silent: its word counts no longer.
    pub(super) fn review_doubts(&mut self) {
        let ids: Vec<IncidentId> = self.state.doubts.keys().copied().collect();
        for id in ids {
            self.doubt_due(id);
        }
    }
}
