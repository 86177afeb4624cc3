//! Cases and clocks of an incident that was rebuilt from its tickets: opened when the ticket was
//! made, with what people did to it as far as the tracker holds it.

use super::Engine;
use super::cases::own_severity;
use super::rebuild::Lost;
use super::told_cases::promised_by;
use crate::inventory::OnAccount;
use crate::model::figure::Family;
use crate::model::incident::{Case, Effect};
use crate::model::memory::FoundTicket;
use crate::model::reason::Reason;
use crate::model::ticket::{PersonChange, PersonDid, TicketStatus};
use crate::model::{IncidentId, Severity, Time};
use crate::sla::log::{By, CaseDid, CaseEvent, CaseLog, EndedBy, is_over, is_waiting};
use crate::sla::report::CorrectionKind;
use crate::sla::{Contract, Stage, View};
use std::sync::Arc;

impl Engine {
    /// The cases of the contracts that it concerns, by the inventory, by those who reported it, and
    /// by the tickets of customers.
    pub(super) fn rebuild_cases(&mut self, id: IncidentId, lost: &Lost<'_>) {
        if !self.has_contracts() {
            return;
        }
        let mut concerned = self.concerned(id);
        for ticket in &lost.tickets {
            let name = ticket.memory.as_ref().and_then(|m| m.contract.as_ref());
            let named = name.and_then(|name| self.decisions.sla.contracts.get(name));
            if let Some(contract) = named
                && !concerned
                    .iter()
                    .any(|(known, _)| known.name == contract.name)
            {
                let felt = OnAccount {
                    effect: Effect::Unknown,
                    services: Vec::new(),
                };
                concerned.push((contract.clone(), felt));
            }
        }
        for (contract, felt) in concerned {
            self.rebuild_case(id, lost, &contract, felt);
        }
        self.look_at_clocks(id);
    }

    fn rebuild_case(
        &mut self,
        id: IncidentId,
        lost: &Lost<'_>,
        contract: &Arc<Contract>,
        felt: OnAccount,
    ) {
        let key = (id, contract.name.clone());
        let incident = self.state.incidents.get(&id);
        let by_person = incident.is_some_and(|incident| incident.person_severity.is_some());
        let level = |severity: Option<Severity>| {
            let own = severity.map(|severity| match by_person {
                true => severity,
                false => own_severity(severity, felt.effect),
            });
            contract.severity_of(lost.category, own.map(|own| contract.scale.of(own)))
        };
        let acts = acts_on(lost, &contract.name);
        let reassessed = acts
            .iter()
            .any(|act| matches!(act.what, PersonDid::Severity(_)));
        let at_first = lost.lead.memory.as_ref().and_then(|memory| memory.severity);
        let first = if reassessed { at_first } else { None };
        let opened = CaseDid::Opened {
            category: lost.category,
            severity: level(first.or(lost.severity)),
            reported_at: (lost.since < lost.created).then_some(lost.since),
        };
        let log = self.rebuilt_log(lost, contract, opened, &acts);
        let case = Case {
            incident: id,
            contract: contract.name.clone(),
            policy: contract.policy.clone(),
            severity: level(lost.severity),
            periods: Vec::new(),
            log,
            wake_at: None,
            told: Vec::new(),
            services: felt.services,
            effect: felt.effect,
            customers: Vec::new(),
        };
        self.state.cases.insert(key.clone(), case);
        self.state.dirty.cases.insert(key.clone());
        self.note_heard(&key, lost.severity);
        self.correct(&key, CorrectionKind::Rebuilt, "", lost.since);
        if let Some((contract, view)) = self.view_of(&key) {
            self.take_as_told(&key, &contract, &view);
        }
    }

    /// A case's log as far as the tickets hold it.
    fn rebuilt_log(
        &mut self,
        lost: &Lost<'_>,
        contract: &Arc<Contract>,
        opened: CaseDid,
        acts: &[&PersonChange],
    ) -> CaseLog {
        let now = self.state.now;
        let mut log: CaseLog = vec![CaseEvent {
            at: lost.created,
            what: opened,
        }];
        log.push(self.agree(contract));
        log.push(CaseEvent {
            at: lost.created,
            what: CaseDid::Ticketed,
        });
        log.push(CaseEvent {
            at: now,
            what: CaseDid::Rebuilt,
        });
        for act in acts.iter().copied() {
            let at = act.at.max(lost.created).min(now);
            let what = did(act, contract, &log);
            log.extend(what.map(|what| CaseEvent { at, what }));
        }
        let own = lost
            .tickets
            .iter()
            .find(|ticket| is_of(ticket, &contract.name));
        let status = own.unwrap_or(&lost.lead).fields.status;
        let waits = status == TicketStatus::WaitingCustomer;
        if waits != is_waiting(&log) {
            // Since when is not told: it counts from now.
            let what = if waits {
                CaseDid::WaitStart
            } else {
                CaseDid::WaitEnd
            };
            log.push(CaseEvent { at: now, what });
        }
        log
    }

    /// What fell due before is not told again: what was missed is recorded, late, and nobody is
    /// written to.
    fn take_as_told(&mut self, key: &(IncidentId, String), contract: &Contract, view: &View) {
        for moment in &view.moments {
            let due = Time::from_seconds(moment.at);
            self.note_moment(key, moment);
            if moment.stage != Stage::Breached {
                continue;
            }
            let what = moment.target.word().replace('_', " ");
            let text = format!(
                "{}: {what} was due by {due}: missed, as far as the tickets tell.",
                contract.name
            );
            self.decide(key.0, Reason::SlaBreached, text);
            if !moment.soft {
                let sev = view.severity.unwrap_or(0).to_string();
                let labels = [contract.policy.as_str(), moment.target.word(), &sev];
                self.add_figure(Family::SlaBreaches, &labels, 1);
                self.note_found_late(key, moment);
            }
        }
        for rise in &view.rises {
            self.note_told(key, format!("level/{}/{}", view.cycle, rise.level));
            if let Some(entry) = self.state.incidents.get_mut(&key.0) {
                entry.escalation = entry.escalation.max(rise.level);
            }
        }
    }
}

fn is_of(ticket: &FoundTicket, contract: &str) -> bool {
    let memory = ticket.memory.as_ref();
    memory.is_some_and(|memory| memory.contract.as_deref() == Some(contract))
}

/// What people did that concerns a contract, in order: to the operations tickets, and to its own.
fn acts_on<'a>(lost: &Lost<'a>, contract: &str) -> Vec<&'a PersonChange> {
    let of_all = |ticket: &FoundTicket| {
        let memory = ticket.memory.as_ref();
        memory.is_none_or(|memory| memory.contract.is_none())
    };
    let tickets = lost.tickets.iter();
    let mut acts: Vec<&PersonChange> = tickets
        .filter(|ticket| of_all(ticket) || is_of(ticket, contract))
        .flat_map(|ticket| &ticket.history)
        .collect();
    acts.sort_by_key(|act| act.at);
    acts
}

/// What an act in a tracker is in a case's log.
fn did(act: &PersonChange, contract: &Contract, log: &[CaseEvent]) -> Option<CaseDid> {
    let reply = |by, public, promise| CaseDid::Reply {
        by,
        public,
        promise,
    };
    Some(match &act.what {
        PersonDid::Answered { text, promise } => {
            let promised = promise.or_else(|| promised_by(text, &contract.tz, act.at));
            reply(By::Staff, true, promised)
        }
        PersonDid::Promised { value } => {
            let promised = promised_by(&format!("Next update: {value}"), &contract.tz, act.at)?;
            reply(By::Staff, true, Some(promised))
        }
        PersonDid::Noted { .. } => reply(By::Staff, false, None),
        PersonDid::CustomerWrote { .. } => reply(By::Customer, true, None),
        PersonDid::Owner(_) => CaseDid::Assigned,
        PersonDid::Severity(severity) => CaseDid::Severity {
            to: contract.scale.of(*severity),
        },
        PersonDid::Status(TicketStatus::WaitingCustomer) if !is_waiting(log) => CaseDid::WaitStart,
        PersonDid::Status(status) if status.is_over() && !is_over(log) => {
            CaseDid::Resolved { by: EndedBy::Staff }
        }
        PersonDid::ClosedByCustomer if !is_over(log) => CaseDid::Resolved {
            by: EndedBy::Customer,
        },
        PersonDid::Status(status) if !status.is_over() && is_over(log) => CaseDid::Reopened {
            firing_during_gap: false,
        },
        PersonDid::Status(TicketStatus::New | TicketStatus::Open | TicketStatus::OnHold)
            if is_waiting(log) =>
        {
            CaseDid::WaitEnd
        }
        PersonDid::Status(_)
        | PersonDid::ClosedByCustomer
        | PersonDid::MergedInto(_)
        | PersonDid::MovedTo(_)
        | PersonDid::ConditionEnded => return None,
    })
}
