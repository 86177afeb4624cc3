//! What a contract's month needs beside the logs of its cases: what became of its alerts, verdicts
//! that were found or taken back late, and the figures of cases that are closed for good.

use super::Engine;
use super::quiet::SERVED_WALK_MAX;
use super::state::Wake;
use crate::model::figure::Family;
use crate::model::input::Message;
use crate::model::reason::Outcome;
use crate::model::{AlertId, AlertKey, Event, IncidentId, Time};
use crate::sla::log::CaseDid;
use crate::sla::report::{AlertCounts, CorrectionKind, Month, StoredCorrection};
use crate::sla::{ClockState, Contract, Moment, Stage, TargetName, View, evaluate};
use jiff::tz::TimeZoneDatabase;
use std::collections::BTreeSet;

/// Months of alert counts that are kept for each contract: as long as timelines are by default.
const MONTHS_MAX: usize = 26;
/// A breach that is recorded so many seconds after its due instant was found late.
const FOUND_LATE_AFTER: i64 = 60;

/// What was told of a breach's due instant begins so.
pub(super) const DUE: &str = "due/";

/// The row of a contract's month: names hold no control characters.
pub(super) fn month_key(contract: &str, month: &str) -> String {
    format!("{contract}\u{1f}{month}")
}

impl Engine {
    /// The key by which an event is counted for contracts; none where there are none.
    pub(super) fn counted_key(&self, message: &Message, event: &Event) -> Option<AlertKey> {
        self.has_contracts()
            .then(|| AlertKey::of(&message.scope, &event.identity))
    }

    /// Counts an event for the contracts that its incident concerns. `before` is the alert that had the
    /// key before the event, which may have been its last.
    pub(super) fn count_for_contracts(
        &mut self,
        key: AlertKey,
        before: Option<AlertId>,
        outcome: Outcome,
    ) {
        let Some(id) = self.state.by_key.get(&key).copied().or(before) else {
            return;
        };
        let suppressed = matches!(
            outcome,
            Outcome::SuppressedMaintenance | Outcome::SuppressedSilence
        );
        let counts = AlertCounts {
            received: 1,
            deduplicated: u64::from(outcome == Outcome::Deduplicated),
            suppressed: u64::from(suppressed),
        };
        self.add_alerts(id, counts);
    }

    /// Counts repeats that cost no row of the journal.
    pub(super) fn count_repeats(&mut self, id: AlertId, count: u64) {
        if !self.has_contracts() {
            return;
        }
        let repeats = AlertCounts {
            received: count,
            deduplicated: count,
            suppressed: 0,
        };
        self.add_alerts(id, repeats);
    }

    fn add_alerts(&mut self, id: AlertId, more: AlertCounts) {
        for contract in self.contracts_of_alert(id) {
            self.add_to_month(&contract, more);
        }
    }

    /// By the cases of its incident; else by what the incident concerns; else, when that is over, by
    /// whom its element serves.
    fn contracts_of_alert(&self, id: AlertId) -> BTreeSet<String> {
        let forgotten = || self.state.dirty.forgotten.get(&id);
        let Some(alert) = self.state.alerts.get(&id).or_else(forgotten) else {
            return BTreeSet::new();
        };
        let incident = alert.incident.map(|incident| self.state.survivor(incident));
        if let Some(incident) = incident {
            let cases = self.case_keys(incident, None).into_iter();
            let mut contracts: BTreeSet<String> = cases.map(|(_, contract)| contract).collect();
            if contracts.is_empty() {
                let concerned = self.concerned(incident).into_iter();
                contracts.extend(concerned.map(|(contract, _)| contract.name.clone()));
            }
            if !contracts.is_empty() {
                return contracts;
            }
        }
        let inventory = &self.decisions.inventory;
        let Some(element) = inventory.element(self.state.symbols.name(alert.element)) else {
            return BTreeSet::new();
        };
        let (_, accounts) = inventory.served_by(element, SERVED_WALK_MAX);
        let sla = &self.decisions.sla;
        let contracts = accounts
            .into_iter()
            .flat_map(|account| sla.contracts_of(account));
        contracts.map(|contract| contract.name.clone()).collect()
    }

    fn add_to_month(&mut self, contract: &str, more: AlertCounts) {
        let Some(month) = self.month_of(contract, self.state.now.seconds()) else {
            return;
        };
        let key = (contract.to_owned(), month);
        if !self.state.month_alerts.contains_key(&key) {
            self.forget_months(contract);
        }
        let counts = self.state.month_alerts.entry(key.clone()).or_default();
        counts.received += more.received;
        counts.deduplicated += more.deduplicated;
        counts.suppressed += more.suppressed;
        let counts = *counts;
        self.save_thing("month_alerts", month_key(&key.0, &key.1), &counts);
    }

    /// Room for one month more.
    fn forget_months(&mut self, contract: &str) {
        let first = (contract.to_owned(), String::new());
        let months: Vec<_> = self
            .state
            .month_alerts
            .range(first..)
            .map(|(key, _)| key)
            .take_while(|(name, _)| name == contract)
            .cloned()
            .collect();
        let most = MONTHS_MAX - 1;
        for key in months.iter().take(months.len().saturating_sub(most)) {
            self.state.month_alerts.remove(key);
            self.drop_thing("month_alerts", month_key(&key.0, &key.1));
        }
    }

    /// The month of an instant in the contract's zone; the last one is kept, since it is asked for
    /// each event.
    fn month_of(&mut self, contract: &str, at: i64) -> Option<String> {
        if let Some(month) = self.months.get(contract).filter(|month| month.has(at)) {
            return Some(month.name.clone());
        }
        let tz = &self.decisions.sla.contracts.get(contract)?.tz;
        let zone = TimeZoneDatabase::bundled().get(tz).ok()?;
        let month = Month::of(at, zone)?;
        let name = month.name.clone();
        self.months.insert(contract.to_owned(), month);
        Some(name)
    }

    /// A breach that is recorded long after its due instant is a correction: a report may have been
    /// made without it.
    pub(super) fn note_found_late(&mut self, key: &(IncidentId, String), moment: &Moment) {
        let late = self.recorded_at().seconds().saturating_sub(moment.at);
        if late <= FOUND_LATE_AFTER || moment.stage != Stage::Breached {
            return;
        }
        let due = Time::from_seconds(moment.at);
        self.correct(key, CorrectionKind::FoundLate, &moment.key(), due);
    }

    /// Keeps and counts a correction; `word` is the key of the breach.
    pub(super) fn correct(
        &mut self,
        key: &(IncidentId, String),
        kind: CorrectionKind,
        word: &str,
        due: Time,
    ) {
        let mut parts = word.split('/');
        let target = parts.next().unwrap_or_default().to_owned();
        let mut number = || parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let correction = StoredCorrection {
            incident: key.0,
            contract: key.1.clone(),
            target,
            cycle: number(),
            period: number(),
            kind,
            due,
            at: self.recorded_at(),
        };
        self.add_figure(Family::SlaCorrections, &[kind.word()], 1);
        let row = format!(
            "{}\u{1f}{:020}\u{1f}{}/{word}",
            key.1, correction.at.0, key.0
        );
        self.save_thing("correction", row, &correction);
    }

    /// When a breach that was told had been due.
    pub(super) fn told_due(&self, key: &(IncidentId, String), word: &str) -> Time {
        let told = self.state.cases.get(key).map(|case| case.told.as_slice());
        let start = format!("{DUE}{word}/");
        let due = told
            .unwrap_or_default()
            .iter()
            .find_map(|told| told.strip_prefix(&start)?.parse().ok());
        due.map_or(self.state.now, Time::from_seconds)
    }

    /// The incident is over for good: the figures of its cases are counted, once.
    pub(super) fn close_cases(&mut self, id: IncidentId) {
        for key in self.case_keys(id, None) {
            self.log_case(&key, self.state.now, CaseDid::Closed);
            if let Some((contract, view)) = self.view_of(&key) {
                // Earlier cycles are seen as they stood at their end.
                for next in view.cycles.iter().skip(1) {
                    let log = self.state.cases.get(&key).map(|case| case.log.as_slice());
                    if let Some(earlier) = evaluate(log.unwrap_or_default(), &contract, next - 1) {
                        self.count_case(&contract, &earlier);
                    }
                }
                self.count_case(&contract, &view);
            }
            self.clocks.remove(&key);
        }
        let old = self.state.clock_wakes.remove(&id);
        self.state.rewake(old, None, Wake::Clocks(id));
    }

    fn count_case(&mut self, contract: &Contract, view: &View) {
        let policy = contract.policy.as_str();
        let sev = view.severity.map_or("none".to_owned(), |s| s.to_string());
        let milli = |seconds: i64| u64::try_from(seconds).unwrap_or(0).saturating_mul(1000);
        for clock in &view.clocks {
            let target = clock.target.word();
            let outcome = match clock.state {
                ClockState::Met => "met",
                ClockState::Breached => "breached",
                ClockState::Void(_) => "void",
                _ => continue,
            };
            self.add_figure(Family::SlaVerdicts, &[policy, target, &sev, outcome], 1);
            if outcome == "void" {
                continue;
            }
            if let Some(length) = clock.length.filter(|length| *length > 0) {
                let used = milli(clock.counted) / u64::try_from(length).unwrap_or(1);
                self.add_figure(Family::SlaUsedRatio, &[policy, target, &sev], used);
            }
            let Some(at) = clock.fulfilled_at else {
                continue;
            };
            let took = milli(at - clock.start);
            match clock.target {
                TargetName::InitialResponse => {
                    self.add_figure(Family::TimeToRespond, &[policy, &sev], took);
                }
                TargetName::Restore => {
                    self.add_figure(Family::TimeToRestore, &[policy, &sev], took);
                }
                _ => {}
            }
        }
        let (on_time, late) = (view.update.on_time, view.update.breaches);
        let counts = [("on_time", on_time), ("late", late)];
        for (outcome, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            let labels = [policy, sev.as_str(), outcome];
            self.add_figure(Family::SlaUpdates, &labels, u64::from(count));
        }
        if view.waited > 0 {
            let waited = u64::try_from(view.waited).unwrap_or(0);
            self.add_figure(Family::CustomerWaitSeconds, &[&sev], waited);
        }
    }

    /// The instant of the input at hand: deadlines that passed are served at their own instants,
    /// but this is when it is known.
    pub(super) fn recorded_at(&self) -> Time {
        self.input_at.max(self.state.now)
    }
}
