//! How bad an incident is: from the inventory's graph where it proves an effect, else from rules
//! and the senders' words. A worsening counts at once; an improvement once it has held.

use super::state::Wake;
use super::tally::Worst;
use super::{Engine, Tally, next_period};
use crate::inventory::{Condition, Impact, Lives};
use crate::model::event::SeverityHint;
use crate::model::incident::{Effect, Incident};
use crate::model::reason::Reason;
use crate::model::severity::{Basis, Category, Severity};
use crate::model::{AlertId, AlertState, IncidentId, Sym, Time};

/// Most services and accounts named by an incident.
const NAMES_MAX: usize = 1000;

/// What the facts say about an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    severity: Severity,
    effect: Effect,
    basis: Basis,
    category: Category,
    needs_triage: bool,
    services: Vec<String>,
    accounts: Vec<String>,
    parties: u32,
    reason: String,
    next_failure: String,
}

impl Engine {
    /// The element's condition follows from its active alerts.
    pub(super) fn refresh_health(&mut self, element: Sym) {
        let inventory = self.decisions.inventory.clone();
        let Some(id) = inventory.element(self.state.symbols.name(element)) else {
            return;
        };
        let redundant_part = inventory.is_group_member(id);
        let worst = self
            .state
            .by_element
            .get(&element)
            .into_iter()
            .flatten()
            .filter_map(|id| self.state.alerts.get(id))
            .filter(|alert| alert.state.is_active())
            .map(|alert| match condition(alert.hint, redundant_part) {
                Condition::Down if alert.doubted => Condition::Degraded,
                condition => condition,
            })
            .max()
            .unwrap_or(Condition::Up);
        self.health_moved = self.health.set(&inventory, id, worst) > 0;
    }

    /// Whether the inventory knows a service that the alert's element hits now.
    pub(super) fn is_proven(&self, id: AlertId) -> bool {
        let inventory = &self.decisions.inventory;
        let element = self.state.alerts.get(&id).map(|a| a.element);
        let element = element.and_then(|e| inventory.element(self.state.symbols.name(e)));
        element.is_some_and(|element| self.health.hits_a_service(inventory, element))
    }

    /// What the elements of an incident do to services; `None`: the inventory knows none of them.
    pub(super) fn impact_of(&self, id: IncidentId) -> Option<Impact> {
        let inventory = &self.decisions.inventory;
        let elements: Vec<_> = self
            .tallies
            .get(&id)?
            .elements
            .keys()
            .filter_map(|sym| inventory.element(self.state.symbols.name(*sym)))
            .collect();
        if elements.is_empty() {
            return None;
        }
        let lives = Lives {
            now: self.state.now,
            healthy: Some(&self.state.healthy),
        };
        Some(self.health.impact(inventory, &elements, &lives))
    }

    fn finding(&self, id: IncidentId) -> Option<Finding> {
        let mut found = self.facts_of(id)?;
        // What comes and goes is an intermittent failure, not only lost redundancy.
        let flapping = self.state.incidents.get(&id).is_some_and(|i| i.flapping);
        if flapping && found.severity == Severity::S4 {
            found.severity = Severity::S3;
            found.effect = Effect::Degraded;
            found.reason.push_str(" It flaps: an intermittent failure.");
        }
        Some(found)
    }

    fn facts_of(&self, id: IncidentId) -> Option<Finding> {
        let by_rule = self.tallies.get(&id)?.worst();
        let doubt = self.doubt_of(id);
        let impact = self.impact_of(id);
        let known = impact.is_some();
        if let Some(impact) = impact
            && let Some(severity) = impact.severity
        {
            let mut services = impact.services;
            services.truncate(NAMES_MAX);
            let mut accounts = impact.accounts;
            accounts.truncate(NAMES_MAX);
            return Some(Finding {
                severity,
                effect: impact.effect,
                basis: Basis::Inventory,
                category: impact.category,
                needs_triage: doubt.is_some(),
                services,
                accounts,
                parties: impact.parties,
                reason: match doubt {
                    Some(doubt) => {
                        format!("Unconfirmed: {doubt} {}", impact.sentences.join(" "))
                    }
                    None => impact.sentences.join(" "),
                },
                next_failure: impact.next_failure,
            });
        }
        let Worst {
            hint,
            mut severity,
            by_rule,
        } = by_rule?;
        let mut effect = Tally::effect(hint);
        if doubt.is_some() {
            severity = severity.max(Severity::S3);
            if effect == Effect::Down {
                effect = Effect::Degraded;
            }
        }
        let said = match by_rule {
            true => format!("A rule says {severity}"),
            false => format!("The sender says {}", hint.word()),
        };
        let reason = if !known {
            format!("{said}; the impact is unknown.")
        } else {
            format!("{said}; no service is known to depend on it.")
        };
        Some(Finding {
            severity,
            effect,
            basis: Basis::Rule,
            category: Category::Incident,
            needs_triage: true,
            services: Vec::new(),
            accounts: Vec::new(),
            parties: 0,
            reason,
            next_failure: String::new(),
        })
    }

    /// Looks at the facts again after an alert of it changed: a held incident that got worse is
    /// held for less, and what is quiet may be no longer.
    pub(super) fn evaluate_for(&mut self, id: IncidentId, because: AlertId) {
        let before = self.state.incidents.get(&id).and_then(|i| i.severity);
        self.evaluate(id);
        let after = self.state.incidents.get(&id).and_then(|i| i.severity);
        if let (Some(before), Some(after)) = (before, after)
            && after.is_worse_than(before)
        {
            self.shorten_hold(id, because);
        }
        self.release_flapping(id);
        self.review_quiet(id, Some(because));
    }

    /// Looks at the facts again and follows them.
    pub(super) fn evaluate(&mut self, id: IncidentId) {
        let before = self.state.incidents.get(&id).and_then(|i| i.severity);
        self.evaluate_facts(id);
        let after = self.state.incidents.get(&id).and_then(|i| i.severity);
        if before != after
            && let (Some(before), Some(after)) = (before, after)
        {
            let up = after.is_worse_than(before);
            let reason = self
                .state
                .incidents
                .get(&id)
                .map_or(String::new(), |i| i.reason.clone());
            let word = if up {
                Reason::Worsened
            } else {
                Reason::Improved
            };
            let text = format!("{before} → {after}: {reason}");
            self.decide(id, word, text.clone());
            self.count_severity_change(up, false);
            self.note_tickets(id, &text, false);
            if up {
                self.give_if_urgent(id);
                self.want_further(id);
            }
        }
        self.sync_tickets(id);
    }

    /// The facts, without a word: severity, basis, names.
    pub(super) fn evaluate_facts(&mut self, id: IncidentId) {
        if self.state.incidents.get(&id).is_some_and(|i| i.storm) {
            return;
        }
        let Some(found) = self.finding(id) else {
            return;
        };
        let now = self.state.now;
        let lower_after = self.decisions.settings.lower_after;
        let as_found = self.stands_as_found(id);
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let current = incident.severity;
        let person_stands = incident.person_severity.is_some_and(|set| {
            let facts = incident.person_facts.unwrap_or(set);
            !found.severity.is_worse_than(facts) || !found.severity.is_worse_than(set)
        });
        if person_stands {
            // How bad it is stands; what is hit follows the facts.
            name_hit(incident, &found);
            self.state.touch_incident(id);
            self.follow_cases(id, now);
            return;
        }
        // Not all of its alerts are known any more: better is what a recovery or a person says.
        let no_worse = current.is_some_and(|current| !found.severity.is_worse_than(current));
        if no_worse && as_found {
            if found.parties > 0 {
                name_hit(incident, &found);
            }
            self.state.touch_incident(id);
            self.follow_cases(id, now);
            return;
        }
        incident.person_severity = None;
        // What was over and came back is judged anew.
        let runs = incident.periods.last().is_none_or(|p| p.until.is_none());
        if let Some(current) = current
            && runs
            && current.is_worse_than(found.severity)
            && !(incident.basis == Basis::Rule && found.basis == Basis::Inventory)
        {
            // Better than before: it must hold first.
            if incident.improving_since.is_none() {
                let began = incident.periods.last().map_or(now, |period| period.from);
                let since = self.facts_since.unwrap_or(now).max(began).min(now);
                incident.improving_since = Some(since);
                self.wake(since.plus(lower_after), Wake::Lower(id));
                self.state.touch_incident(id);
            }
            self.name_newly_hit(id, found.services);
            return;
        }
        let (opened_at, improving) = (incident.opened_at, incident.improving_since.take());
        if let Some(since) = improving {
            self.state
                .wakes
                .remove(&(since.plus(lower_after), Wake::Lower(id)));
        }
        let from = if current.is_none() { opened_at } else { now };
        self.follow(id, found, from);
    }

    /// While an improvement waits, what is hit anew is named at once, and its contracts have cases.
    fn name_newly_hit(&mut self, id: IncidentId, hit: Vec<String>) {
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let before = incident.services.len();
        for service in hit {
            if before < NAMES_MAX && !incident.services.contains(&service) {
                incident.services.push(service);
            }
        }
        if incident.services.len() > before {
            incident.services_hit = u32::try_from(incident.services.len()).unwrap_or(u32::MAX);
            let now = self.state.now;
            self.state.touch_incident(id);
            self.follow_cases(id, now);
        }
    }

    fn follow(&mut self, id: IncidentId, found: Finding, from: Time) {
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        incident.severity = Some(found.severity);
        incident.basis = found.basis;
        incident.category = found.category;
        incident.needs_triage =
            found.needs_triage && incident.acknowledged_at.is_none() && incident.owner.is_empty();
        name_hit(incident, &found);
        incident.reason = found.reason;
        incident.reason_word = if found.basis == Basis::Inventory {
            Reason::Impact
        } else {
            Reason::RuleSeverity
        };
        next_period(&mut incident.periods, found.effect, found.severity, from);
        self.state.touch_incident(id);
        self.follow_cases(id, from);
    }

    /// An improvement may have held for long enough.
    pub(super) fn lower(&mut self, id: IncidentId, _at: Time) {
        let lower_after = self.decisions.settings.lower_after;
        let now = self.state.now;
        let Some(since) = self
            .state
            .incidents
            .get(&id)
            .and_then(|i| i.improving_since)
        else {
            return;
        };
        if now.since(since) < lower_after {
            return;
        }
        let found = self.finding(id);
        self.state.touch_incident(id);
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let before = incident.severity;
        incident.improving_since = None;
        // Nothing is active any more: how it ends is decided elsewhere.
        let Some(found) = found else {
            return;
        };
        let severity = found.severity;
        self.follow(id, found, since);
        if let Some(before) = before {
            let text = format!("{before} → {severity}: better since {since}.");
            self.decide(id, Reason::Improved, text.clone());
            self.count_severity_change(false, false);
            self.note_tickets(id, &text, false);
        }
        self.sync_tickets(id);
    }

    /// Health as the active alerts say it; for loading and new inventories.
    pub(super) fn rebuild_health(&mut self) {
        self.health = crate::inventory::Health::new(&self.decisions.inventory);
        self.state.by_element.clear();
        for alert in self.state.alerts.values() {
            if alert.element != Sym(0) && alert.state != AlertState::Resolved {
                self.state
                    .by_element
                    .entry(alert.element)
                    .or_default()
                    .insert(alert.id);
            }
        }
        let elements: Vec<Sym> = self.state.by_element.keys().copied().collect();
        for element in elements {
            self.refresh_health(element);
        }
    }
}

/// Services and accounts that are hit, and what the next failure would cause.
fn name_hit(incident: &mut Incident, found: &Finding) {
    incident.services_hit = u32::try_from(found.services.len()).unwrap_or(u32::MAX);
    incident.parties_hit = found.parties;
    incident.services.clone_from(&found.services);
    incident.accounts.clone_from(&found.accounts);
    incident.next_failure.clone_from(&found.next_failure);
}

/// What an alert's hint means for its element. A failed part of a redundant group is down itself;
/// that the group still works is the group's arithmetic.
pub(super) fn condition(hint: SeverityHint, redundant_part: bool) -> Condition {
    match hint {
        SeverityHint::Outage => Condition::Down,
        SeverityHint::Redundancy if redundant_part => Condition::Down,
        SeverityHint::Redundancy => Condition::AtRisk,
        SeverityHint::Degradation | SeverityHint::Unknown => Condition::Degraded,
        SeverityHint::Info => Condition::Up,
    }
}
