//! Cases: an incident as each affected contract sees it, with severity, waits and clocks of its
//! own. The clocks follow from the case's log (`sla`); here the log is written, and what falls due
//! is told, each thing once.

use super::Engine;
use super::state::Wake;
use crate::inventory::{self, OnAccount};
use crate::model::incident::{Case, Effect, Ended, Incident, IncidentState};
use crate::model::reason::Reason;
use crate::model::{Category, IncidentId, Severity, Time};
use crate::sla::log::{CaseDid, CaseEvent, CaseLog, EndedBy, VoidReason, unite};
use crate::sla::{ClockState, Contract, TargetName, View, evaluate};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most cases of one incident; the rest has the provider's severity and no clocks of its own.
const CASES_MAX: usize = 1000;
/// Most events of one case; past it only what ends it is kept.
const EVENTS_MAX: usize = 2000;

/// A clock as the metrics count it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClockShown {
    pub target: TargetName,
    pub sev: u8,
    pub state: &'static str,
    pub due: Option<i64>,
}

fn second(at: Time) -> i64 {
    at.0.div_euclid(1000)
}

/// The severity of a contract's own services, on the provider's scale.
pub(super) fn own_severity(incident: Severity, effect: Effect) -> Severity {
    match effect {
        // Several customers or one: the incident knows; this contract's outage is an outage.
        Effect::Down => incident.min(Severity::S2),
        Effect::Degraded => Severity::S3,
        Effect::AtRisk => Severity::S4,
        Effect::Unknown => incident,
    }
}

/// What a contract feels of an incident: lost redundancy that comes and goes is an intermittent
/// failure.
fn felt_effect(incident: &Incident, effect: Effect) -> Effect {
    match effect {
        Effect::AtRisk if incident.flapping => Effect::Degraded,
        effect => effect,
    }
}

impl Engine {
    pub(super) fn has_contracts(&self) -> bool {
        !self.decisions.sla.contracts.is_empty()
    }

    /// Contracts that an incident concerns, with what their accounts feel.
    pub(super) fn concerned(&self, id: IncidentId) -> Vec<(Arc<Contract>, OnAccount)> {
        let Some(incident) = self.state.incidents.get(&id) else {
            return Vec::new();
        };
        let nothing_known = || OnAccount {
            effect: Effect::Unknown,
            services: Vec::new(),
        };
        let mut effects: BTreeMap<String, OnAccount> = BTreeMap::new();
        if let Some(impact) = self.impact_of(id) {
            effects = inventory::effects(&self.decisions.inventory, &impact.hits);
        }
        if effects.is_empty() {
            let named = incident.accounts.iter().cloned();
            effects.extend(named.map(|account| (account, nothing_known())));
        }
        for account in &incident.reported_by {
            effects.entry(account.clone()).or_insert_with(nothing_known);
        }
        let sla = &self.decisions.sla;
        let mut concerned: BTreeMap<&str, (Arc<Contract>, OnAccount)> = BTreeMap::new();
        for (account, felt) in &effects {
            for contract in sla.contracts_of(account) {
                let entry = concerned
                    .entry(&contract.name)
                    .or_insert_with(|| (contract.clone(), nothing_known()));
                entry.1.unite(felt);
            }
        }
        if effects.is_empty()
            && let Some(contract) = sla.default_contract.as_ref()
            && let Some(contract) = sla.contracts.get(contract)
        {
            concerned.insert(&contract.name, (contract.clone(), nothing_known()));
        }
        let concerned = concerned.into_values().take(CASES_MAX);
        concerned
            .map(|(contract, mut felt)| {
                felt.effect = felt_effect(incident, felt.effect);
                (contract, felt)
            })
            .collect()
    }

    /// Opens the cases of an incident that somebody has to act on, and follows their severity.
    pub(super) fn follow_cases(&mut self, id: IncidentId, from: Time) {
        if !self.has_contracts() {
            return;
        }
        let Some(incident) = self.state.incidents.get(&id) else {
            return;
        };
        if incident.state != IncidentState::Open {
            return;
        }
        let (severity, category) = (incident.severity, incident.category);
        let person = incident.person_severity.is_some();
        let (opened_at, now) = (incident.opened_at, self.state.now);
        let mut changed = Vec::new();
        for (contract, felt) in self.concerned(id) {
            let own = severity.map(|severity| {
                if person {
                    severity
                } else {
                    own_severity(severity, felt.effect)
                }
            });
            let key = (id, contract.name.clone());
            let known = self.state.cases.get(&key);
            let contract = known
                .and_then(|case| self.contract_of(case))
                .unwrap_or(contract);
            let level = contract.severity_of(category, own.map(|own| contract.scale.of(own)));
            match self.state.cases.get(&key) {
                None => {
                    let mut case = Case {
                        incident: id,
                        contract: contract.name.clone(),
                        policy: contract.policy.clone(),
                        severity: level,
                        periods: Vec::new(),
                        log: CaseLog::new(),
                        wake_at: None,
                        told: Vec::new(),
                        services: felt.services,
                        effect: felt.effect,
                        customers: Vec::new(),
                    };
                    let told = self.clock_began(id, &contract, opened_at);
                    case.log.push(CaseEvent {
                        at: now,
                        what: CaseDid::Opened {
                            category,
                            severity: level,
                            reported_at: (told < now).then_some(told),
                        },
                    });
                    case.log.push(self.agree(&contract));
                    self.state.cases.insert(key.clone(), case);
                    self.state.dirty.cases.insert(key.clone());
                    changed.push(key);
                }
                Some(case) => {
                    if let Some(severity) = level.filter(|_| case.severity != level) {
                        self.log_case(&key, from, CaseDid::Period { severity });
                        changed.push(key.clone());
                    }
                    self.follow_felt(&key, felt);
                }
            }
        }
        for key in changed {
            self.tell_case_changed(&key);
        }
        self.look_at_clocks(id);
        self.want_case_tickets(id);
    }

    /// What the contract's accounts feel now.
    fn follow_felt(&mut self, key: &(IncidentId, String), felt: OnAccount) {
        let Some(case) = self.state.cases.get_mut(key) else {
            return;
        };
        if (case.effect, &case.services) != (felt.effect, &felt.services) {
            case.effect = felt.effect;
            case.services = felt.services;
            self.state.dirty.cases.insert(key.clone());
        }
    }

    pub(super) fn log_case(&mut self, key: &(IncidentId, String), at: Time, what: CaseDid) {
        let Some(case) = self.state.cases.get_mut(key) else {
            return;
        };
        let ends = matches!(
            what,
            CaseDid::Resolved { .. } | CaseDid::Void { .. } | CaseDid::Closed
        );
        if case.log.len() >= EVENTS_MAX && !ends {
            return;
        }
        match &what {
            CaseDid::Severity { to } | CaseDid::Period { severity: to } => {
                case.severity = Some(*to)
            }
            _ => {}
        }
        case.log.push(CaseEvent { at, what });
        self.state.dirty.cases.insert(key.clone());
    }

    pub(super) fn case_keys(
        &self,
        id: IncidentId,
        contract: Option<&str>,
    ) -> Vec<(IncidentId, String)> {
        self.state
            .cases
            .range((id, String::new())..)
            .take_while(|((incident, _), _)| *incident == id)
            .map(|(key, _)| key)
            .filter(|(_, name)| contract.is_none_or(|contract| contract == name))
            .cloned()
            .collect()
    }

    /// When what is applied happened to a case; a tracker's clock that is slow dates nothing before the
    /// case was opened.
    pub(super) fn happened_to(&self, key: &(IncidentId, String)) -> Time {
        let case = self.state.cases.get(key);
        let opened = case.and_then(|case| case.log.first()).map(|first| first.at);
        opened.map_or(self.happened(), |opened| self.happened().max(opened))
    }

    /// Something happened to an incident: it happened to each of its cases, or to one.
    pub(super) fn tell_cases(&mut self, id: IncidentId, contract: Option<&str>, what: &CaseDid) {
        let keys = self.case_keys(id, contract);
        if keys.is_empty() {
            return;
        }
        for key in &keys {
            self.log_case(key, self.happened_to(key), what.clone());
        }
        self.look_at_clocks(id);
    }

    /// A person sees the same facts otherwise: each contract on its own scale, by what it feels.
    pub(super) fn reassess_cases(&mut self, id: IncidentId, severity: impl Fn(Effect) -> Severity) {
        for key in self.case_keys(id, None) {
            let Some(case) = self.state.cases.get(&key) else {
                continue;
            };
            let Some(contract) = self.contract_of(case) else {
                continue;
            };
            let (before, to) = (case.severity, contract.scale.of(severity(case.effect)));
            self.log_case(&key, self.happened_to(&key), CaseDid::Severity { to });
            if before != Some(to) {
                self.tell_case_changed(&key);
            }
        }
        self.look_at_clocks(id);
    }

    /// A person saw one case's facts otherwise.
    pub(super) fn reassess_case(
        &mut self,
        id: IncidentId,
        contract: &str,
        severity: Severity,
        author: &str,
    ) {
        let scale = self.decisions.sla.contracts.get(contract).map(|c| c.scale);
        let Some(scale) = scale else { return };
        let to = scale.of(severity);
        self.tell_cases(id, Some(contract), &CaseDid::Severity { to });
        let text = format!("{contract}: severity {severity} by {author}.");
        self.decide_by(id, Reason::PersonSeverity, text, author);
    }

    /// The category changed.
    pub(super) fn recategorise_cases(&mut self, id: IncidentId, to: Category) {
        self.tell_cases(id, None, &CaseDid::Category { to });
    }

    /// The incident ended, at an instant that may lie before now.
    pub(super) fn end_cases(&mut self, id: IncidentId, how: Ended, at: Time) {
        let what = match how {
            Ended::FalseAlarm => CaseDid::Void {
                reason: VoidReason::FalseAlarm,
            },
            Ended::Merged => CaseDid::Void {
                reason: VoidReason::Merged,
            },
            Ended::Recategorised => CaseDid::Void {
                reason: VoidReason::Recategorised,
            },
            Ended::Withdrawn => CaseDid::Resolved {
                by: EndedBy::Customer,
            },
            Ended::Restored => CaseDid::Resolved { by: EndedBy::Staff },
            Ended::ResolvedByMonitoring | Ended::Transient | Ended::Planned | Ended::Test => {
                CaseDid::Resolved {
                    by: EndedBy::Monitoring,
                }
            }
        };
        let keys = self.case_keys(id, None);
        for key in &keys {
            self.log_case(key, at, what.clone());
        }
        if !keys.is_empty() {
            self.look_at_clocks(id);
        }
    }

    /// A duplicate was merged in: the same contracts' clocks begin at the earliest report.
    pub(super) fn merge_cases(&mut self, from: IncidentId, into: IncidentId) {
        if !self.has_contracts() {
            return;
        }
        let now = self.state.now;
        let gone = self.case_keys(from, None);
        let has_case = |(_, contract): &(IncidentId, String)| {
            let survivor = (into, contract.clone());
            self.state.cases.contains_key(&survivor)
        };
        if !gone.iter().all(has_case) {
            // The whole concerns them as well: their cases go on there.
            self.follow_cases(into, now);
        }
        for key in gone {
            let Some(gone) = self.state.cases.get(&key).cloned() else {
                continue;
            };
            let survivor = (into, key.1);
            let Some(case) = self.state.cases.get_mut(&survivor) else {
                continue;
            };
            unite(&mut case.log, &gone.log, now);
            // A breach that the duplicate had is known; it is not counted again.
            for told in gone.told {
                if !case.told.contains(&told) {
                    case.told.push(told);
                }
            }
            self.state.dirty.cases.insert(survivor);
        }
        self.tell_merged(from, into);
        self.end_cases(from, Ended::Merged, now);
        self.look_at_clocks(into);
    }

    pub(super) fn view_of(&self, key: &(IncidentId, String)) -> Option<(Arc<Contract>, View)> {
        let case = self.state.cases.get(key)?;
        let contract = self.contract_in_force(case)?;
        let view = evaluate(&case.log, &contract, second(self.state.now))?;
        Some((contract, view))
    }

    /// Looks at the clocks of an incident, tells what fell due, and sets the next look.
    pub(super) fn look_at_clocks(&mut self, id: IncidentId) {
        self.follow_maintenance(id);
        let mut next: Option<i64> = None;
        for key in self.case_keys(id, None) {
            let Some((contract, view)) = self.view_of(&key) else {
                continue;
            };
            self.tell_moments(&key, &contract, &view);
            self.tell_withdrawn(&key, &view);
            self.tell_rises(&key, &contract, &view);
            let open = view.resolved_at.is_none() && view.void.is_none();
            if let Some(at) = view.next.filter(|_| open) {
                next = Some(next.map_or(at, |next: i64| next.min(at)));
            }
            self.show_clocks(key, &view);
        }
        let old = self.state.clock_wakes.remove(&id);
        let new = next.map(|at| Time(at.saturating_mul(1000)));
        if let Some(at) = new {
            self.state.clock_wakes.insert(id, at);
        }
        self.state.rewake(old, new, Wake::Clocks(id));
    }

    /// Keeps what the metrics show of a case.
    fn show_clocks(&mut self, key: (IncidentId, String), view: &View) {
        let open = view.resolved_at.is_none() && view.void.is_none();
        if !open {
            self.clocks.remove(&key);
            return;
        }
        let mut shown: Vec<ClockShown> = view
            .clocks
            .iter()
            .filter_map(|clock| {
                let state = match clock.state {
                    ClockState::Running if clock.at_risk => "at_risk",
                    ClockState::Running => "running",
                    ClockState::Paused => "paused",
                    ClockState::Breached if clock.fulfilled_at.is_none() && !clock.soft => {
                        "breached"
                    }
                    _ => return None,
                };
                Some(ClockShown {
                    target: clock.target,
                    sev: clock.severity.unwrap_or(0),
                    state,
                    due: clock.due.filter(|_| state != "breached"),
                })
            })
            .collect();
        let update = match view.update.state {
            Some(ClockState::Running)
                if view
                    .update
                    .risk_at
                    .is_some_and(|at| at <= second(self.state.now)) =>
            {
                Some("at_risk")
            }
            Some(ClockState::Running) => Some("running"),
            Some(ClockState::Late) => Some("breached"),
            _ => None,
        };
        if let Some(state) = update {
            shown.push(ClockShown {
                target: TargetName::Update,
                sev: view.severity.unwrap_or(0),
                state,
                due: view.update.due.filter(|_| state != "breached"),
            });
        }
        self.clocks.insert(key, shown);
    }

    pub(super) fn was_told(&self, key: &(IncidentId, String), what: &str) -> bool {
        self.state
            .cases
            .get(key)
            .is_some_and(|case| case.told.iter().any(|told| told == what))
    }

    pub(super) fn note_told(&mut self, key: &(IncidentId, String), what: String) {
        if let Some(case) = self.state.cases.get_mut(key) {
            case.told.push(what);
            self.state.dirty.cases.insert(key.clone());
        }
    }

    /// Cases of an incident that is let go leave memory with it.
    pub(super) fn let_cases_go(&mut self, id: IncidentId) {
        for key in self.case_keys(id, None) {
            self.state.cases.remove(&key);
        }
    }

    /// Clocks of all cases, after loading.
    pub(super) fn restore_clocks(&mut self) {
        let keys: Vec<_> = self.state.cases.keys().cloned().collect();
        for key in keys {
            let Some((_, view)) = self.view_of(&key) else {
                continue;
            };
            let open = view.resolved_at.is_none() && view.void.is_none();
            if let Some(at) = view.next.filter(|_| open) {
                let at = Time(at.saturating_mul(1000));
                let earlier = self.state.clock_wakes.get(&key.0).copied();
                if earlier.is_none_or(|earlier| at < earlier) {
                    self.state.clock_wakes.insert(key.0, at);
                    self.state.rewake(earlier, Some(at), Wake::Clocks(key.0));
                }
            }
            self.show_clocks(key, &view);
        }
    }
}
