//! Monitors that watch one element from different places vote. A lone word that fresh watchers
//! contradict is in doubt: its element counts as degraded at most, it is shown for triage at once,
//! and it becomes a false alarm, or a ticket after a few minutes. A customer's report ends the vote.

use super::Engine;
use crate::inventory::Condition;
use crate::model::reason::Reason;
use crate::model::{AlertId, IncidentId, Sym};
use std::collections::BTreeSet;

/// How the watchers of an element stand.
struct Vote {
    down: BTreeSet<Sym>,
    up: Vec<Sym>,
    quorum: u32,
}

impl Vote {
    fn is_contradicted(&self) -> bool {
        self.down.len() < self.quorum as usize && !self.up.is_empty()
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
            .filter(|alert| super::severity::condition(alert.hint, true) == Condition::Down)
            .map(|alert| alert.source)
            .collect();
        let fresh = self.decisions.settings.vote_fresh;
        let up = watch.watchers.iter().filter_map(|name| {
            let source = self.state.symbols.get(name)?;
            let seen = self.state.sources.get(&source)?;
            let says_up = self.state.now.since(seen.last_at) <= fresh && !bad.contains(&source);
            says_up.then_some(source)
        });
        Some(Vote {
            up: up.collect(),
            quorum: watch.quorum,
            down: bad,
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
            let Some(alert) = self.state.alerts.get_mut(&id) else {
                continue;
            };
            let incident = alert.incident.map(|i| self.state.survivor(i));
            let reported = incident
                .and_then(|i| self.state.incidents.get(&i))
                .is_some_and(|i| i.reported);
            let Some(alert) = self.state.alerts.get_mut(&id) else {
                continue;
            };
            let doubted = contradicted && !reported;
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
            let text = format!(
                "{} watchers say so, {} needed.",
                vote.down.len(),
                vote.quorum
            );
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
            names(&mut vote.down.iter()),
            names(&mut vote.up.iter()),
            vote.quorum
        ))
    }
}
