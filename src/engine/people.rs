//! What operators say, and what people do to tickets in their trackers.

use super::Engine;
use super::cases::own_severity;
use crate::model::figure::Family;
use crate::model::incident::{Ended, IncidentState};
use crate::model::reason::Reason;
use crate::model::severity::{Basis, Severity};
use crate::model::ticket::{PersonChange, PersonDid, TicketStatus};
use crate::model::{Command, IncidentId, TicketId, Time};
use crate::sla::log::{By, CaseDid};

impl Engine {
    /// Does what an operator says; the sentence goes to the audit.
    pub(super) fn obey(&mut self, author: &str, command: &Command) -> Result<String, String> {
        match command {
            Command::Acknowledge { incident } => {
                let id = self.open_incident(*incident)?;
                self.acknowledge(id, author);
                self.tell_cases(id, None, &CaseDid::Ack);
                Ok(format!("{id} acknowledged"))
            }
            Command::Assign { incident, owner } => {
                let id = self.open_incident(*incident)?;
                self.assign(id, owner, author);
                Ok(format!("{id} assigned to `{owner}`"))
            }
            Command::Wait {
                incident,
                waiting,
                contract,
            } => {
                let id = self.open_incident(*incident)?;
                match contract {
                    Some(contract) => {
                        self.wait_of_one(id, contract, *waiting, author)?;
                    }
                    None => self.wait(id, *waiting, author),
                }
                Ok(format!("{id} waiting: {waiting}"))
            }
            Command::Promise { incident, at, text } => {
                let id = self.open_incident(*incident)?;
                if *at <= self.state.now {
                    return Err(format!("{at} is not in the future"));
                }
                let text = format!("Next update promised for {at}. {text}");
                self.answered(id, &text, author, Some(*at));
                self.note_tickets(id, &text, true);
                Ok(text)
            }
            Command::Note {
                incident,
                text,
                public,
            } => {
                let id = self.known_incident(*incident)?;
                if let Some(why) = self.unclear_promise(id, None, text).filter(|_| *public) {
                    return Err(why);
                }
                if *public {
                    self.answered(id, text, author, None);
                } else {
                    self.acknowledge(id, author);
                    self.tell_cases(id, None, &note());
                    self.decide_by(id, Reason::Note, text.clone(), author);
                }
                self.note_tickets(id, text, *public);
                Ok(format!("noted on {id}"))
            }
            Command::Resolve {
                incident,
                false_alarm,
                text,
            } => {
                let id = self.open_incident(*incident)?;
                let (how, reason) = if *false_alarm {
                    self.add_figure(Family::Voids, &["false_alarm"], 1);
                    (Ended::FalseAlarm, Reason::FalseAlarm)
                } else {
                    (Ended::Restored, Reason::PersonResolved)
                };
                let now = self.state.now;
                self.finish(
                    id,
                    how,
                    reason,
                    now,
                    &format!("Resolved by {author}. {text}"),
                );
                Ok(format!("{id} resolved"))
            }
            Command::Reopen { incident } => {
                let id = self.known_incident(*incident)?;
                if self.incident_state(id) != Some(IncidentState::Resolved) {
                    return Err(format!("{id} is not resolved"));
                }
                self.reopen(id, Reason::Reopened, format!("Reopened by {author}."));
                Ok(format!("{id} reopened"))
            }
            Command::SetSeverity {
                incident,
                severity,
                text,
            } => {
                let id = self.open_incident(*incident)?;
                self.set_severity(id, *severity, text, author);
                Ok(format!("{id} severity set"))
            }
            Command::SetCategory { incident, category } => {
                let id = self.open_incident(*incident)?;
                if let Some(entry) = self.state.incidents.get_mut(&id) {
                    entry.category = *category;
                }
                self.recategorise_cases(id, *category);
                let text = format!("Category {} by {author}.", category.word());
                self.decide_by(id, Reason::Recategorised, text, author);
                Ok(format!("{id} is {}", category.word()))
            }
            Command::Escalate { incident, reason } => self.escalate(*incident, reason, author),
            Command::Request(request) => Ok(self.request(author, request)),
            Command::Silence {
                matchers,
                reason,
                until,
                holds_s1,
            } => self.add_silence(author, matchers, reason, *until, *holds_s1),
            Command::EndSilence { silence } => self.end_silence(*silence),
            Command::OpenWindow {
                matchers,
                reason,
                starts_at,
                ends_at,
            } => self.add_window(author, matchers, reason, *starts_at, *ends_at),
            Command::EndWindow { window } => self.end_window(*window),
            Command::Promote { route } => {
                if !self.decisions.routes.iter().any(|r| r.name == *route) {
                    return Err(format!("no route `{route}`"));
                }
                self.state.scalars.promoted.insert(route.clone());
                self.state.dirty.scalars = true;
                Ok(format!("route {route} is live"))
            }
            Command::Adopt {
                incident,
                tracker,
                key,
            } => self.adopt(*incident, tracker, key),
            Command::RetryTicket { ticket } => {
                let entry = self
                    .state
                    .tickets
                    .get_mut(ticket)
                    .ok_or_else(|| format!("no {ticket}"))?;
                entry.trouble = None;
                self.out.work.push(entry.tracker.clone());
                self.state.dirty.tickets.insert(*ticket);
                Ok(format!("{ticket} is tried again"))
            }
            Command::DropTicket { ticket, text } => {
                let now = self.state.now;
                let entry = self
                    .state
                    .tickets
                    .get_mut(ticket)
                    .ok_or_else(|| format!("no {ticket}"))?;
                if entry.trouble.is_none() && !entry.has_work() {
                    return Err(format!(
                        "{ticket} waits for nothing: `outbox show` lists what does"
                    ));
                }
                entry.trouble = Some(crate::model::ticket::Trouble {
                    reason: format!("given up by {author}: {text}"),
                    attempts: 0,
                    since: now,
                    dead: true,
                });
                self.state.dirty.tickets.insert(*ticket);
                Ok(format!("{ticket} given up"))
            }
            Command::CloseAlert { alert } => self.end_alert(*alert),
            Command::DropQuarantined { seq, text } => {
                let why = match text.as_str() {
                    "" => String::new(),
                    text => format!(": {text}"),
                };
                self.quarantine_handled(*seq, &format!("dropped by {author}{why}"));
                Ok(format!("{seq} dropped"))
            }
            Command::RetryNotice { notice } => self.retry_notice(*notice),
            Command::DropNotice { notice, text } => self.drop_notice(*notice, author, text),
            Command::MarkSecurity { incident, text } => self.mark_security(*incident, text, author),
            Command::ReleaseSecurity { security, text } => {
                self.release_security(*security, text, author)
            }
            Command::DropSecurity { security, text } => self.drop_security(*security, text, author),
            Command::Desk { number, text } => Ok(format!("desk ticket {number}: {text}")),
        }
    }

    pub(super) fn known_incident(&self, id: IncidentId) -> Result<IncidentId, String> {
        let id = self.state.survivor(id);
        if self.state.incidents.contains_key(&id) {
            Ok(id)
        } else {
            Err(format!("no live incident {id}"))
        }
    }

    fn open_incident(&self, id: IncidentId) -> Result<IncidentId, String> {
        let id = self.known_incident(id)?;
        match self.incident_state(id) {
            Some(state) if state.is_open() => Ok(id),
            _ => Err(format!("{id} is not open")),
        }
    }

    pub(super) fn acknowledge(&mut self, id: IncidentId, author: &str) {
        let now = self.happened();
        let Some(entry) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let first = entry.acknowledged_at.is_none();
        entry.acknowledged_at.get_or_insert(now);
        entry.needs_triage = false;
        self.page_answered(id, author);
        if first {
            self.decide_by(
                id,
                Reason::Acknowledged,
                format!("Acknowledged by {author}."),
                author,
            );
            self.acknowledge_at_monitors(id, author);
        }
        self.sync_tickets(id);
    }

    fn assign(&mut self, id: IncidentId, owner: &str, author: &str) {
        if let Some(entry) = self.state.incidents.get_mut(&id) {
            owner.clone_into(&mut entry.owner);
        }
        self.acknowledge(id, author);
        self.tell_cases(id, None, &CaseDid::Assigned);
        self.decide_by(
            id,
            Reason::Assigned,
            format!("Assigned to `{owner}`."),
            author,
        );
        self.sync_tickets(id);
    }

    pub(super) fn wait(&mut self, id: IncidentId, waiting: bool, author: &str) {
        let Some(entry) = self.state.incidents.get_mut(&id) else {
            return;
        };
        if entry.waiting == waiting {
            return;
        }
        entry.waiting = waiting;
        self.tell_cases(id, None, &wait_event(waiting));
        let (reason, text) = if waiting {
            (Reason::WaitingForCustomer, "Waits for the customer.")
        } else {
            (Reason::WaitEnded, "No longer waits for the customer.")
        };
        self.decide_by(id, reason, text, author);
        self.sync_tickets(id);
    }

    /// One contract's customer is waited for, or no longer.
    pub(super) fn wait_of_one(
        &mut self,
        id: IncidentId,
        contract: &str,
        waiting: bool,
        author: &str,
    ) -> Result<(), String> {
        if !self.state.cases.contains_key(&(id, contract.to_owned())) {
            return Err(format!("{id} has no case of contract `{contract}`"));
        }
        self.tell_cases(id, Some(contract), &wait_event(waiting));
        let (reason, text) = if waiting {
            (Reason::WaitingForCustomer, "waits for the customer")
        } else {
            (Reason::WaitEnded, "no longer waits for the customer")
        };
        self.decide_by(id, reason, format!("{contract}: {text}."), author);
        self.sync_tickets(id);
        Ok(())
    }

    pub(super) fn answered(
        &mut self,
        id: IncidentId,
        text: &str,
        author: &str,
        promise: Option<Time>,
    ) {
        let now = self.happened();
        if let Some(entry) = self.state.incidents.get_mut(&id) {
            entry.answered_at.get_or_insert(now);
        }
        self.acknowledge(id, author);
        self.decide_by(id, Reason::Answered, text, author);
        self.log_answer(id, None, (text, author), promise);
    }

    fn set_severity(
        &mut self,
        id: IncidentId,
        severity: Option<Severity>,
        text: &str,
        author: &str,
    ) {
        self.found_no_longer(id);
        let Some(entry) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let before = entry.severity;
        match severity {
            Some(severity) => {
                if entry.person_severity.is_none() {
                    entry.person_facts = entry.severity;
                }
                entry.person_severity = Some(severity);
                entry.severity = Some(severity);
                entry.basis = Basis::Person;
                entry.needs_triage = false;
                // The same facts, seen otherwise: the running period changes, no new one begins.
                if let Some(period) = entry.periods.last_mut() {
                    period.severity = severity;
                }
            }
            None => {
                entry.severity = entry.person_facts.take();
                entry.person_severity = None;
                entry.basis = Basis::Rule;
                if let (Some(period), Some(facts)) = (entry.periods.last_mut(), entry.severity) {
                    period.severity = facts;
                }
            }
        }
        let after = entry.severity;
        let up = matches!((before, after), (Some(b), Some(a)) if a.is_worse_than(b));
        self.count_severity_change(up, true);
        self.acknowledge(id, author);
        let shown = after.map_or_else(|| "none".to_owned(), |s| s.to_string());
        let text = format!("Severity {shown} by {author}. {text}");
        self.decide_by(id, Reason::PersonSeverity, text.clone(), author);
        self.note_tickets(id, &text, false);
        if up {
            self.give_if_urgent(id);
            self.want_further(id);
        }
        match (severity, after) {
            (Some(severity), _) => self.reassess_cases(id, |_| severity),
            // Lifted: what each contract feels counts again, from the start.
            (None, Some(facts)) => self.reassess_cases(id, |felt| own_severity(facts, felt)),
            (None, None) => {}
        }
        self.evaluate(id);
        if let Some(alert) = self.active_member(id) {
            self.review_quiet(id, Some(alert));
        }
    }

    fn escalate(&mut self, id: IncidentId, reason: &str, author: &str) -> Result<String, String> {
        let id = self.open_incident(id)?;
        let reason = match reason {
            "impact" => "impact",
            "slow" => "slow",
            "expectations" => "expectations",
            other => {
                return Err(format!(
                    "`{other}` is no reason; expected impact, slow or expectations"
                ));
            }
        };
        let has_cases = self.state.cases.keys().any(|(incident, _)| *incident == id);
        if has_cases {
            let reason = reason.to_owned();
            self.tell_cases(id, None, &CaseDid::Escalated { reason });
            let level = self.state.incidents.get(&id).map_or(1, |i| i.escalation);
            return Ok(format!("{id} is at level {level}"));
        }
        let level = self
            .state
            .incidents
            .get(&id)
            .map_or(1, |i| i.escalation.saturating_add(1));
        let level = level.min(5);
        if let Some(entry) = self.state.incidents.get_mut(&id) {
            entry.escalation = level;
        }
        self.add_figure(Family::Escalations, &[&level.to_string(), reason], 1);
        let text = format!("Escalated to level {level} by {author}: {reason}.");
        self.decide_by(id, Reason::Escalated, text.clone(), author);
        self.note_tickets(id, &text, false);
        Ok(text)
    }

    /// What a person did to a ticket in its tracker. One that is opened again goes on, whatever its
    /// route says.
    pub(super) fn apply_person(&mut self, change: &PersonChange) {
        let name = (change.tracker.clone(), change.remote.clone());
        let Some(ticket) = self.state.by_remote.get(&name).copied() else {
            return;
        };
        self.touched_in_tracker = Some(ticket);
        self.apply_person_to(ticket, change);
        self.touched_in_tracker = None;
    }

    fn apply_person_to(&mut self, ticket: TicketId, change: &PersonChange) {
        let Some(entry) = self.state.tickets.get(&ticket) else {
            return;
        };
        let (contract, alert) = (entry.contract.clone(), entry.alert);
        let id = self.state.survivor(entry.incident);
        if let Some(alert) = alert {
            if change.what == PersonDid::ConditionEnded {
                self.condition_ended(id, alert);
            }
            return;
        }
        if let Some(contract) = contract {
            self.apply_person_to_case(id, ticket, &contract, change);
            return;
        }
        let author = change.author.as_str();
        match &change.what {
            PersonDid::Answered { text, promise } => {
                self.answered(id, text, author, *promise);
                self.note_tickets_but(id, Some(ticket), text, true);
            }
            PersonDid::Noted { text } => {
                self.acknowledge(id, author);
                self.tell_cases(id, None, &note());
                self.decide_by(id, Reason::Note, text.clone(), author);
            }
            PersonDid::CustomerWrote { text } => {
                self.wait(id, false, author);
                self.tell_cases(id, None, &customer_wrote());
                self.decide_by(id, Reason::Note, format!("Customer: {text}"), author);
            }
            PersonDid::Owner(owner) => {
                if let Some(entry) = self.state.incidents.get_mut(&id) {
                    entry.owner.clone_from(owner);
                }
                self.acknowledge(id, author);
                self.tell_cases(id, None, &CaseDid::Assigned);
                self.decide_by(
                    id,
                    Reason::Assigned,
                    format!("Assigned to `{owner}`."),
                    author,
                );
            }
            PersonDid::Severity(severity) => {
                self.set_severity(id, Some(*severity), "In the tracker.", author);
            }
            PersonDid::Status(status) => self.person_status(id, ticket, *status, author),
            PersonDid::ClosedByCustomer => {
                self.person_status(id, ticket, TicketStatus::Closed, author);
            }
            PersonDid::MergedInto(other) | PersonDid::MovedTo(other) => {
                self.ticket_lives_in(id, ticket, change, other);
            }
            PersonDid::Promised { value } => {
                self.promised_alone(id, (Some(ticket), None), value, author);
            }
            PersonDid::ConditionEnded => {}
        }
    }

    pub(super) fn person_status(
        &mut self,
        id: IncidentId,
        ticket: TicketId,
        status: TicketStatus,
        author: &str,
    ) {
        let state = self.incident_state(id);
        let open = state.is_some_and(IncidentState::is_open);
        match status {
            TicketStatus::New | TicketStatus::Open | TicketStatus::OnHold => {
                self.wait(id, false, author);
                self.look_at_closed(ticket, None);
                if state == Some(IncidentState::Resolved) {
                    self.reopen(id, Reason::Reopened, format!("Reopened by {author}."));
                } else if open {
                    self.acknowledge(id, author);
                }
            }
            TicketStatus::WaitingCustomer => {
                self.acknowledge(id, author);
                self.wait(id, true, author);
            }
            TicketStatus::Resolved | TicketStatus::Closed | TicketStatus::Gone if open => {
                if !self.current_tickets(id).contains(&ticket) {
                    // Another one has taken its place.
                    return;
                }
                if self.state.incidents.get(&id).is_some_and(|i| i.active > 0) {
                    self.closed_while_firing(id, ticket, (status, author));
                    return;
                }
                let now = self.happened();
                let text = format!("Resolved by {author} in the tracker.");
                self.finish(id, Ended::Restored, Reason::PersonResolved, now, &text);
            }
            TicketStatus::Resolved | TicketStatus::Closed | TicketStatus::Gone => {}
        }
    }
}

pub(super) fn note() -> CaseDid {
    CaseDid::Reply {
        by: By::Staff,
        public: false,
        promise: None,
    }
}

pub(super) fn customer_wrote() -> CaseDid {
    CaseDid::Reply {
        by: By::Customer,
        public: true,
        promise: None,
    }
}

fn wait_event(waiting: bool) -> CaseDid {
    if waiting {
        CaseDid::WaitStart
    } else {
        CaseDid::WaitEnd
    }
}
