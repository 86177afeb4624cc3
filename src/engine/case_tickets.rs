//! What each customer sees of a case: a ticket of its own, where the route gives it one.
//!
//! A staff update on the incident reaches the tickets of all its cases. What is said or done in the
//! ticket of one case stays with that case: a customer answers and closes only their own. Texts of
//! alerts never stand there, and no other customer's name.

use super::names::{Names, own_names};
use super::settings::CaseTickets;
use super::ticketing::Wanted;
use super::{Engine, Route};
use crate::model::incident::{Effect, Incident, IncidentState};
use crate::model::reason::Reason;
use crate::model::severity::Severity;
use crate::model::ticket::{PersonChange, PersonDid, TicketFields, TicketStatus};
use crate::model::{IncidentId, TicketId};
use crate::sla::Contract;
use crate::sla::glossary::Locale;
use crate::sla::log::{By, CaseDid, EndedBy, is_over, is_rebuilt, is_waiting};
use std::sync::Arc;

/// Most services named in a subject.
const SERVICES_NAMED_MAX: usize = 3;
/// Most people remembered as customers of one case.
const CUSTOMERS_MAX: usize = 20;

impl Engine {
    /// Asks for the tickets that the incident's routes give its cases.
    pub(super) fn want_case_tickets(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incidents.get(&id) else {
            return;
        };
        let is_open = incident.state == IncidentState::Open && !self.state.held_back.contains(&id);
        let gives = |route: &Route| route.case_tickets != CaseTickets::Never;
        if !is_open
            || incident.severity == Some(Severity::S5)
            || !self.decisions.routes.iter().any(gives)
        {
            return;
        }
        let incident = incident.clone();
        let routes: Vec<Route> = self
            .routes_of(&incident)
            .into_iter()
            .filter(gives)
            .collect();
        for key in self.case_keys(id, None) {
            let Some(contract) = self.named_contract(&key.1) else {
                continue;
            };
            let case = self.state.cases.get(&key);
            if case.is_some_and(|case| is_rebuilt(&case.log)) {
                // Its ticket was found; if not, it was closed.
                continue;
            }
            let reported = incident
                .reported_by
                .iter()
                .any(|account| contract.accounts.contains(account));
            for route in &routes {
                let wanted = route.case_tickets == CaseTickets::Always || reported;
                if wanted && !self.has_ticket(id, &route.name, Some(&contract.name)) {
                    self.want_case_ticket(&incident, route, &contract);
                }
            }
        }
    }

    /// A contract of known accounts. The contract of those that have none speaks for several
    /// customers: it has no ticket that one of them could see.
    fn named_contract(&self, name: &str) -> Option<Arc<Contract>> {
        let sla = &self.decisions.sla;
        let contract = sla.contracts.get(name)?;
        let is_default = sla.default_contract.as_deref() == Some(name);
        (!is_default && !contract.accounts.is_empty()).then(|| contract.clone())
    }

    fn want_case_ticket(&mut self, incident: &Incident, route: &Route, contract: &Arc<Contract>) {
        let tracker = Some(&route.case_tracker).filter(|name| !name.is_empty());
        let Some(fields) = self.case_fields(incident, &contract.name, &route.case_queue) else {
            return;
        };
        self.want(
            incident,
            Wanted {
                route,
                tracker: tracker.unwrap_or(&route.tracker),
                contract: Some(contract.name.clone()),
                alert: None,
                stands_in_for: None,
                language: contract.locale.clone(),
                fields,
            },
        );
    }

    /// Our fields of a case's ticket.
    pub(super) fn case_fields(
        &self,
        incident: &Incident,
        contract: &str,
        queue: &str,
    ) -> Option<TicketFields> {
        let case = self.state.cases.get(&(incident.id, contract.to_owned()))?;
        let contract = self.decisions.sla.contracts.get(contract)?;
        let over = !incident.state.is_open() || is_over(&case.log);
        let taken = incident.acknowledged_at.is_some() || !incident.owner.is_empty();
        let status = if over {
            TicketStatus::Resolved
        } else if is_waiting(&case.log) {
            TicketStatus::WaitingCustomer
        } else if taken {
            TicketStatus::Open
        } else {
            TicketStatus::New
        };
        let subject = if incident.sensitive {
            incident.id.to_string()
        } else {
            let subject = subject(&contract.locale, case.effect, &case.services, incident.id);
            self.told_to(contract, &subject)
        };
        Some(TicketFields {
            subject,
            status,
            severity: incident.severity.map(|severity| match case.effect {
                Effect::Unknown => severity,
                effect => super::cases::own_severity(severity, effect),
            }),
            queue: queue.to_owned(),
        })
    }

    /// A text as a contract's people may see it.
    pub(super) fn told_to(&self, contract: &Contract, text: &str) -> String {
        let names = self.names.get_or_init(|| Names::of(&self.decisions));
        names.masked(text, &own_names(&self.decisions, contract))
    }

    /// A note as the ticket of a case gets it; none if it is not for the customer.
    pub(super) fn note_for_case(
        &self,
        id: IncidentId,
        contract: &str,
        text: &str,
        public: bool,
    ) -> Option<String> {
        let case = self.state.cases.get(&(id, contract.to_owned()))?;
        let contract = self.decisions.sla.contracts.get(contract)?;
        let sensitive = self.state.incidents.get(&id).is_some_and(|i| i.sensitive);
        // Who closed their ticket is not written to any more: it would open it again.
        (public && !sensitive && !is_over(&case.log)).then(|| self.told_to(contract, text))
    }

    /// What a person did to the ticket of one case: it happened to that case alone.
    pub(super) fn apply_person_to_case(
        &mut self,
        id: IncidentId,
        ticket: TicketId,
        contract: &str,
        change: &PersonChange,
    ) {
        let author = change.author.as_str();
        let one = Some(contract);
        match &change.what {
            PersonDid::Answered { text, promise } => {
                self.acknowledge(id, author);
                if let Some(entry) = self.state.incidents.get_mut(&id) {
                    entry.answered_at.get_or_insert(self.state.now);
                }
                self.log_answer(id, one, (text, author), *promise);
                let text = format!("To {contract}: {text}");
                self.decide_by(id, Reason::Answered, text.clone(), author);
                self.note_operations(id, &text);
            }
            PersonDid::Noted { text } => {
                self.acknowledge(id, author);
                self.tell_cases(id, one, &super::people::note());
                self.decide_by(id, Reason::Note, format!("{contract}: {text}"), author);
            }
            PersonDid::CustomerWrote { text } => {
                self.remember_customer(id, contract, author);
                self.tell_cases(id, one, &super::people::customer_wrote());
                let text = format!("Customer {contract}: {text}");
                self.decide_by(id, Reason::Note, text.clone(), author);
                self.note_operations(id, &text);
            }
            PersonDid::Owner(owner) => {
                self.acknowledge(id, author);
                self.tell_cases(id, one, &CaseDid::Assigned);
                let text = format!("The ticket of {contract} is assigned to `{owner}`.");
                self.decide_by(id, Reason::Assigned, text, author);
            }
            PersonDid::Severity(severity) => self.reassess_case(id, contract, *severity, author),
            PersonDid::Status(status) => {
                let customers = self.customers_of(id, contract);
                let by = if customers.iter().any(|known| known == author) {
                    By::Customer
                } else {
                    By::Staff
                };
                self.case_status(id, contract, *status, (by, author));
            }
            PersonDid::ClosedByCustomer => {
                self.case_status(id, contract, TicketStatus::Closed, (By::Customer, author));
            }
            PersonDid::MergedInto(other) | PersonDid::MovedTo(other) => {
                self.ticket_lives_in(id, ticket, change, other);
            }
            PersonDid::Promised { value } => {
                self.promised_alone(id, (Some(ticket), one), value, author);
            }
            PersonDid::ConditionEnded => {}
        }
        self.sync_tickets(id);
    }

    fn customers_of(&self, id: IncidentId, contract: &str) -> &[String] {
        let case = self.state.cases.get(&(id, contract.to_owned()));
        case.map_or(&[], |case| &case.customers)
    }

    fn remember_customer(&mut self, id: IncidentId, contract: &str, author: &str) {
        let key = (id, contract.to_owned());
        if let Some(case) = self.state.cases.get_mut(&key)
            && case.customers.len() < CUSTOMERS_MAX
            && !case.customers.iter().any(|known| known == author)
        {
            case.customers.push(author.to_owned());
            self.state.dirty.cases.insert(key);
        }
    }

    fn case_status(
        &mut self,
        id: IncidentId,
        contract: &str,
        status: TicketStatus,
        (by, author): (By, &str),
    ) {
        let key = (id, contract.to_owned());
        let Some(log) = self.state.cases.get(&key).map(|case| &case.log) else {
            return;
        };
        let (over, waiting) = (is_over(log), is_waiting(log));
        let one = Some(contract);
        match status {
            TicketStatus::Resolved | TicketStatus::Closed | TicketStatus::Gone if !over => {
                let (ended, who) = match by {
                    By::Customer => (EndedBy::Customer, "the customer"),
                    By::Staff | By::Bot => (EndedBy::Staff, author),
                };
                self.tell_cases(id, one, &CaseDid::Resolved { by: ended });
                let text = format!("{contract}: closed by {who}. The incident goes on.");
                self.decide_by(id, Reason::CaseClosed, text.clone(), author);
                self.note_operations(id, &text);
            }
            TicketStatus::Resolved | TicketStatus::Closed | TicketStatus::Gone => {}
            TicketStatus::WaitingCustomer => {
                if !waiting && !over {
                    self.acknowledge(id, author);
                    let _ = self.wait_of_one(id, contract, true, author);
                }
            }
            TicketStatus::New | TicketStatus::Open | TicketStatus::OnHold if over => {
                self.case_reopened(id, contract, author);
            }
            TicketStatus::New | TicketStatus::Open | TicketStatus::OnHold => {
                if waiting {
                    let _ = self.wait_of_one(id, contract, false, author);
                }
                if by == By::Staff {
                    self.acknowledge(id, author);
                }
            }
        }
    }

    /// It is not over for this customer. If the incident is, it is open again: somebody has to look.
    /// The cases of others stay closed.
    fn case_reopened(&mut self, id: IncidentId, contract: &str, author: &str) {
        let text = format!("{contract}: not over, says {author}.");
        match self.incident_state(id) {
            Some(IncidentState::Resolved) => {
                self.reopen_for(id, Reason::Reopened, text.clone(), Some(contract));
            }
            Some(IncidentState::Held | IncidentState::Open) => {
                let again = CaseDid::Reopened {
                    firing_during_gap: false,
                };
                self.tell_cases(id, Some(contract), &again);
                self.decide_by(id, Reason::Reopened, text.clone(), author);
            }
            Some(IncidentState::Closed) | None => return,
        }
        self.note_operations(id, &text);
    }

    /// A note for the staff who wrote in the ticket of a case just now; the customer does not read it
    /// where the tracker keeps internal notes apart.
    pub(super) fn note_in_case_ticket(&mut self, text: &str) {
        let ticket = self.touched_in_tracker;
        let Some(ticket) = ticket.and_then(|id| self.state.tickets.get(&id)) else {
            return;
        };
        let sla = &self.decisions.sla;
        let contract = ticket.contract.as_ref().map(|name| sla.contracts.get(name));
        if let Some(Some(contract)) = contract {
            let text = self.told_to(contract, text);
            self.add_note(ticket.id, &text, false);
        }
    }

    /// A note for the staff: operations tickets alone get it.
    pub(super) fn note_operations(&mut self, id: IncidentId, text: &str) {
        self.note_tickets(id, text, false);
    }
}

/// One line in the contract's language: what is wrong with which services.
fn subject(locale: &str, effect: Effect, services: &[String], id: IncidentId) -> String {
    let words = match Locale::from_word(locale) {
        Locale::En => ["Outage", "Degraded service", "Redundancy lost", "Incident"],
        Locale::Ja => [
            "サービス停止",
            "サービス低下",
            "冗長性の喪失",
            "インシデント",
        ],
        Locale::Fr => ["Panne", "Service dégradé", "Redondance perdue", "Incident"],
    };
    let [outage, degraded, at_risk, unknown] = words;
    let what = match effect {
        Effect::Down => outage,
        Effect::Degraded => degraded,
        Effect::AtRisk => at_risk,
        Effect::Unknown => unknown,
    };
    let named: Vec<&str> = services
        .iter()
        .take(SERVICES_NAMED_MAX)
        .map(String::as_str)
        .collect();
    let more = services.len().saturating_sub(named.len());
    let named = named.join(", ");
    match (named.is_empty(), more) {
        (true, _) => format!("{what} ({id})"),
        (false, 0) => format!("{what}: {named} ({id})"),
        (false, more) => format!("{what}: {named} +{more} ({id})"),
    }
}
