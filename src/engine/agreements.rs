//! Under which terms a case stands, and what a change of them moves. An open case keeps the version
//! of the terms under which it was opened. An edited calendar counts at once, for clocks without a
//! verdict; what it moves is told, and a verdict that fell stays.

use super::Engine;
use crate::model::incident::Case;
use crate::model::input::Generation;
use crate::model::reason::Reason;
use crate::model::review::{Moved, NewTerms, Review};
use crate::model::{IncidentId, Time};
use crate::sla::agreement::{as_agreed, calendars, changed_calendars};
use crate::sla::log::{CaseDid, CaseEvent, CaseLog, SettledClock, SettledInterval, agreed};
use crate::sla::policy::ClockStart;
use crate::sla::{Calendar, ClockState, Contract, TargetName, View, evaluate};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most moved due instants and cases that a review lists by themselves.
const LISTED_MAX: usize = 50;

/// A contract's name and the version of its terms.
pub(super) type TermsKey = (String, String);
type Calendars = BTreeMap<String, Arc<Calendar>>;

/// A row's key of the rest: names hold no control characters.
pub(super) fn terms_key(contract: &str, version: &str) -> String {
    format!("{contract}\u{1f}{version}")
}

impl Engine {
    /// The terms that a case stands under; without a version of its own, those of now.
    pub(super) fn contract_of(&self, case: &Case<CaseLog>) -> Option<Arc<Contract>> {
        let now = self.decisions.sla.contracts.get(&case.contract);
        let Some(version) = agreed(&case.log) else {
            return now.cloned();
        };
        if let Some(now) = now.filter(|now| now.version == version) {
            return Some(now.clone());
        }
        let key = (case.contract.clone(), version.to_owned());
        self.earlier.get(&key).or(now).cloned()
    }

    /// The same with the calendars as they were, until the generation that changes them is applied:
    /// what falls due before it must not see them.
    pub(super) fn contract_in_force(&self, case: &Case<CaseLog>) -> Option<Arc<Contract>> {
        self.before(case).or_else(|| self.contract_of(case))
    }

    fn before(&self, case: &Case<CaseLog>) -> Option<Arc<Contract>> {
        if self.unreviewed.is_empty() {
            return None;
        }
        let key = (case.contract.clone(), agreed(&case.log)?.to_owned());
        self.unreviewed.get(&key).cloned()
    }

    /// The event with which a case keeps the terms of now; they are saved with the first such case.
    pub(super) fn agree(&mut self, contract: &Contract) -> CaseEvent {
        let key = (contract.name.clone(), contract.version.clone());
        if !self.state.terms.contains_key(&key) {
            let row = terms_key(&key.0, &key.1);
            self.save_thing("terms", row, &contract.terms);
            self.state.terms.insert(key, contract.terms.clone());
        }
        CaseEvent {
            at: self.state.now,
            what: CaseDid::Agreed {
                version: contract.version.clone(),
            },
        }
    }

    /// Earlier terms that cases still stand under, with the calendars of now; and all terms in use
    /// with the calendars as they were, if those were edited.
    pub(super) fn read_earlier_terms(&mut self) {
        let sla = &self.decisions.sla;
        let calendars_now = self.known_calendars();
        let is_now = |contract: &str, version: &str| {
            let now = sla.contracts.get(contract);
            now.is_some_and(|now| now.version == version)
        };
        let earlier = self.terms_in_use(&calendars_now, |contract, version| {
            !is_now(contract, version)
        });
        let changed = changed_calendars(&self.state.calendars, &sla.calendar_texts);
        let unreviewed = match changed.is_empty() {
            true => BTreeMap::new(),
            false => {
                let mut then = calendars(&self.state.calendars);
                then.insert("always".to_owned(), Arc::new(Calendar::Always));
                self.terms_in_use(&then, |_, _| true)
            }
        };
        self.earlier = earlier;
        self.unreviewed = unreviewed;
    }

    /// Calendars of now, and as they were last what is not configured any more.
    fn known_calendars(&self) -> Calendars {
        let now = &self.decisions.sla.calendars;
        if self
            .state
            .calendars
            .keys()
            .all(|name| now.contains_key(name))
        {
            return now.clone();
        }
        let mut known = calendars(&self.state.calendars);
        known.extend(now.clone());
        known
    }

    /// Terms that cases stand under, as far as they are wanted, read with these calendars.
    fn terms_in_use(
        &self,
        calendars: &Calendars,
        wanted: impl Fn(&str, &str) -> bool,
    ) -> BTreeMap<TermsKey, Arc<Contract>> {
        let contracts = &self.decisions.sla.contracts;
        let mut in_use = BTreeMap::new();
        for case in self.state.cases.values() {
            let Some(version) = agreed(&case.log) else {
                continue;
            };
            let key = (case.contract.clone(), version.to_owned());
            if !wanted(&case.contract, version) || in_use.contains_key(&key) {
                continue;
            }
            let now = contracts.get(&case.contract).map(Arc::as_ref);
            let terms = self.state.terms.get(&key);
            let read = terms.and_then(|terms| as_agreed(&key.0, version, terms, now, calendars));
            if let Some(read) = read {
                in_use.insert(key, Arc::new(read));
            }
        }
        in_use
    }

    /// A generation came into force: which terms are new, and which due instants moved.
    pub(super) fn review_agreements(&mut self, generation: &Generation) {
        let sla = self.decisions.sla.clone();
        let mut review = Review {
            digest: generation.digest.clone(),
            ..Review::default()
        };
        self.note_new_terms(&mut review);
        let changed = changed_calendars(&self.state.calendars, &sla.calendar_texts);
        if !changed.is_empty() {
            self.review_calendars(&changed, &mut review);
        }
        for (name, text) in &sla.calendar_texts {
            if self.state.calendars.get(name) != Some(text) {
                self.save_thing("calendar", name.clone(), text);
                self.state.calendars.insert(name.clone(), text.clone());
            }
        }
        self.save_thing("review", "latest".to_owned(), &review);
    }

    fn note_new_terms(&mut self, review: &mut Review) {
        let sla = self.decisions.sla.clone();
        for (name, contract) in &sla.contracts {
            let before = self.state.agreements.get(name).cloned();
            if before.as_ref() == Some(&contract.version) {
                continue;
            }
            self.save_thing("agreement", name.clone(), &contract.version);
            self.state
                .agreements
                .insert(name.clone(), contract.version.clone());
            let Some(before) = before else { continue };
            let open = self.state.cases.values().filter(|case| {
                let is_open = |i: &crate::model::incident::Incident| i.state.is_open();
                case.contract == *name
                    && agreed(&case.log).is_some_and(|version| version != contract.version)
                    && self
                        .state
                        .incidents
                        .get(&case.incident)
                        .is_some_and(is_open)
            });
            let kept: Vec<IncidentId> = open.map(|case| case.incident).collect();
            review.terms.push(NewTerms {
                contract: name.clone(),
                before,
                after: contract.version.clone(),
                kept_in_all: kept.len(),
                kept: kept.into_iter().take(LISTED_MAX).collect(),
            });
        }
    }

    fn review_calendars(&mut self, changed: &BTreeSet<String>, review: &mut Review) {
        let now = self.state.now.seconds();
        let keys: Vec<_> = self.state.cases.keys().cloned().collect();
        let mut touched = BTreeSet::new();
        for key in keys {
            let Some(case) = self.state.cases.get(&key) else {
                continue;
            };
            let Some(after) = self.contract_of(case) else {
                continue;
            };
            if after.calendars.is_disjoint(changed) {
                continue;
            }
            let Some(before) = self.before(case) else {
                continue;
            };
            let verdicts = kept_verdicts(&case.log, &before, &after, now);
            let moved = match (
                evaluate(&case.log, &before, now),
                evaluate(&case.log, &after, now),
            ) {
                (Some(before), Some(after)) => moved(&key, &before, &after),
                _ => Vec::new(),
            };
            for what in verdicts {
                self.log_case(&key, self.state.now, what);
            }
            for moved in moved {
                self.tell_moved(&moved);
                review.moved_in_all += 1;
                if review.moved.len() < LISTED_MAX {
                    review.moved.push(moved);
                }
            }
            touched.insert(key.0);
        }
        self.unreviewed.clear();
        for incident in touched {
            self.look_at_clocks(incident);
        }
    }

    /// From when a case's clocks count, for contracts that do not wait for the ticket: the report,
    /// or for internal agreements the earliest start that an alert of it names.
    pub(super) fn clock_began(&self, id: IncidentId, contract: &Contract, reported: Time) -> Time {
        if contract.clock_start != ClockStart::AlertStarted {
            return reported;
        }
        let members = self.state.members.get(&id).into_iter().flatten();
        let alerts = members.filter_map(|member| self.state.alerts.get(member));
        let active = alerts.filter(|alert| alert.state.is_active());
        active
            .map(|alert| alert.fired_at)
            .min()
            .map_or(reported, |fired| fired.min(reported))
    }

    /// Its ticket exists in a tracker.
    pub(super) fn tell_ticketed(&mut self, id: IncidentId, contract: Option<&str>) {
        let known = |case: &Case<CaseLog>| {
            let mut events = case.log.iter();
            events.any(|event| event.what == CaseDid::Ticketed)
        };
        let now = self.state.now;
        for key in self.case_keys(id, contract) {
            if !self.state.cases.get(&key).is_some_and(known) {
                self.log_case(&key, now, CaseDid::Ticketed);
            }
        }
        self.look_at_clocks(id);
    }

    fn tell_moved(&mut self, moved: &Moved) {
        let text = format!(
            "{}: {} is due by {} and no longer by {}: a calendar was edited.",
            moved.contract,
            moved.target.replace('_', " "),
            moved.to,
            moved.from
        );
        self.decide(moved.incident, Reason::DueMoved, text);
    }
}

/// Due instants of clocks that run, where both views have one.
fn moved(key: &(IncidentId, String), before: &View, after: &View) -> Vec<Moved> {
    let entry = |target: TargetName, from: i64, to: i64| Moved {
        incident: key.0,
        contract: key.1.clone(),
        target: target.word().to_owned(),
        from: Time::from_seconds(from),
        to: Time::from_seconds(to),
    };
    let mut moved = Vec::new();
    for clock in before
        .clocks
        .iter()
        .filter(|c| c.state == ClockState::Running)
    {
        let now = after.clocks.iter().find(|other| {
            (other.target, other.period, other.cycle) == (clock.target, clock.period, clock.cycle)
        });
        if let (Some(from), Some(to)) = (clock.due, now.and_then(|now| now.due))
            && from != to
        {
            moved.push(entry(clock.target, from, to));
        }
    }
    if let (Some(ClockState::Running), Some(from), Some(to)) =
        (before.update.state, before.update.due, after.update.due)
        && from != to
    {
        moved.push(entry(TargetName::Update, from, to));
    }
    moved
}

/// Verdicts that would fall otherwise by the calendars of now: they stay as they fell.
fn kept_verdicts(log: &CaseLog, before: &Contract, after: &Contract, now: i64) -> Vec<CaseDid> {
    let mut kept = Vec::new();
    let Some(last) = evaluate(log, before, now) else {
        return kept;
    };
    let ends = last.cycles.iter().skip(1).map(|begin| begin - 1);
    for end in ends.chain([now]) {
        let views = (evaluate(log, before, end), evaluate(log, after, end));
        let (Some(then), Some(new)) = views else {
            continue;
        };
        for clock in &then.clocks {
            let verdict = matches!(clock.state, ClockState::Met | ClockState::Breached);
            let same = new.clocks.iter().any(|other| {
                (other.target, other.period) == (clock.target, clock.period)
                    && (other.state, other.due) == (clock.state, clock.due)
                    && (other.breached_at, other.counted) == (clock.breached_at, clock.counted)
            });
            if verdict && !same {
                kept.push(CaseDid::Settled(SettledClock {
                    target: clock.target.word().to_owned(),
                    cycle: u32::try_from(clock.cycle).unwrap_or(u32::MAX),
                    period: u32::try_from(clock.period).unwrap_or(u32::MAX),
                    severity: clock.severity,
                    due: clock.due.map(Time::from_seconds),
                    breached_at: clock.breached_at.map(Time::from_seconds),
                    counted: clock.counted,
                }));
            }
        }
        if end == now && then.update.intervals != new.update.intervals {
            let intervals = then.update.intervals.iter();
            let intervals = intervals.map(|interval| SettledInterval {
                from: Time::from_seconds(interval.from),
                due: Time::from_seconds(interval.due),
                to: interval.to.map(Time::from_seconds),
                promised: interval.promised,
                late: interval.late,
            });
            kept.push(CaseDid::UpdatesSettled {
                intervals: intervals.collect(),
            });
        }
    }
    kept
}
