//! What the trackers should look like. A ticket is asked for once for each incident and route;
//! later changes move what is wanted, and workers make the tracker follow.

use super::state::Wake;
use super::{CameAndWent, Engine, Figure, Route};
use crate::model::figure::Family;
use crate::model::incident::{Incident, IncidentState};
use crate::model::reason::Reason;
use crate::model::severity::Severity;
use crate::model::text::bounded;
use crate::model::ticket::{
    DeliveryReport, KEY_BEGINS, Origin, TicketFields, TicketNote, TicketStatus, WantedTicket,
};
use crate::model::{AlertId, IncidentId, Sym, TicketId, Time, short_hash};

/// Most notes that wait for one ticket; further ones are counted, not kept.
const NOTES_WAITING_MAX: usize = 50;
/// The cycle of an incident that was not opened again.
pub const FIRST_CYCLE: u32 = 1;
/// Longest note, bytes.
const NOTE_BYTES_MAX: usize = 4000;

impl Engine {
    /// Asks for the tickets of an incident that is open.
    pub(super) fn want_tickets(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incidents.get(&id) else {
            return;
        };
        if incident.state != IncidentState::Open || incident.severity == Some(Severity::S5) {
            return;
        }
        self.mark_by_route(id);
        let Some(incident) = self.state.incidents.get(&id).cloned() else {
            return;
        };
        if self.tickets(id).any(|ticket| ticket.contract.is_none()) {
            self.reopen_tickets(id);
            self.sync_tickets(id);
            return;
        }
        let routes = self.routes_for(&incident);
        if self.over_cap(&incident, routes.len()) {
            return;
        }
        for route in routes {
            self.want_ticket(&incident, &route);
        }
    }

    /// The tickets of an incident.
    pub(super) fn tickets(&self, id: IncidentId) -> impl Iterator<Item = &WantedTicket> {
        let ids = self.state.tickets_of.get(&id).into_iter().flatten();
        ids.filter_map(|ticket| self.state.tickets.get(ticket))
            .filter(|ticket| ticket.alert.is_none())
    }

    /// Whether the route has opened a ticket: of the incident, or of one contract's case.
    pub(super) fn has_ticket(&self, id: IncidentId, route: &str, contract: Option<&str>) -> bool {
        self.tickets(id)
            .any(|ticket| ticket.route == route && ticket.contract.as_deref() == contract)
    }

    /// Asks for the operations ticket of an incident by a route.
    pub(super) fn want_ticket(&mut self, incident: &Incident, route: &Route) -> TicketId {
        let wanted = Wanted {
            route,
            tracker: &route.tracker,
            contract: None,
            alert: None,
            stands_in_for: None,
            language: route.language.clone(),
            fields: self.operations_fields(incident, &route.queue),
        };
        self.want(incident, wanted)
    }

    /// Asks for a ticket that does not exist yet.
    pub(super) fn want(&mut self, incident: &Incident, wanted: Wanted<'_>) -> TicketId {
        let route = wanted.route;
        self.state.scalars.next_ticket += 1;
        self.state.dirty.scalars = true;
        let id = TicketId(self.state.scalars.next_ticket);
        let shadow = route.shadow && !self.state.scalars.promoted.contains(&route.name);
        let key = ticket_key(
            &self.state.scalars.generation,
            incident.id,
            incident.cycle,
            &route.name,
            wanted.part().as_deref(),
        );
        let of = wanted
            .contract
            .as_ref()
            .map_or_else(String::new, |contract| format!(" for {contract}"));
        let text = if let Some(alert) = wanted.alert {
            format!("{alert} is to be acknowledged at its monitor.")
        } else if shadow {
            format!(
                "Shadow: a ticket{of} in {} would open by route {}.",
                wanted.tracker, route.name
            )
        } else {
            format!(
                "A ticket{of} in {} by route {}.",
                wanted.tracker, route.name
            )
        };
        let ticket = WantedTicket {
            id,
            incident: incident.id,
            contract: wanted.contract,
            route: route.name.clone(),
            tracker: if shadow { "desk" } else { wanted.tracker }.to_owned(),
            cycle: incident.cycle,
            key,
            wanted: wanted.fields,
            version_wanted: 1,
            version_done: 0,
            last_written: None,
            last_read: None,
            remote: None,
            notes: Vec::new(),
            trouble: None,
            asked_at: self.state.now,
            shadow,
            language: wanted.language,
            alert: wanted.alert,
            stands_in_for: wanted.stands_in_for,
            also_when_over: route.came_and_went == CameAndWent::ClosedTicket,
        };
        let ticket_is_ack = ticket.alert.is_some();
        self.out.work.push(ticket.tracker.clone());
        self.state.tickets.insert(id, ticket);
        self.state
            .tickets_of
            .entry(incident.id)
            .or_default()
            .push(id);
        self.state.dirty.tickets.insert(id);
        let reason = if ticket_is_ack {
            Reason::AcknowledgementSent
        } else if shadow {
            Reason::Shadow
        } else {
            Reason::TicketWanted
        };
        self.decide(incident.id, reason, text);
        id
    }

    /// Our fields of the ticket of an incident, or of one contract's case.
    pub(super) fn fields_for(
        &self,
        incident: &Incident,
        contract: Option<&str>,
        queue: &str,
    ) -> Option<TicketFields> {
        match contract {
            None => Some(self.operations_fields(incident, queue)),
            Some(contract) => self.case_fields(incident, contract, queue),
        }
    }

    /// Our fields of an incident's operations ticket. What has no severity by its category may have a
    /// high priority all the same, by its contract: that of an S2.
    pub(super) fn operations_fields(&self, incident: &Incident, queue: &str) -> TicketFields {
        let sla = &self.decisions.sla;
        let mut contracts = incident
            .accounts
            .iter()
            .flat_map(|account| sla.contracts_of(account));
        let high = incident.severity.is_none()
            && contracts.any(|contract| contract.is_high_priority(incident.category));
        let fields = fields_of(incident, queue);
        TicketFields {
            severity: fields.severity.or(high.then_some(Severity::S2)),
            ..fields
        }
    }

    /// Moves what is wanted of the tickets that exist.
    pub(super) fn sync_tickets(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incidents.get(&id).cloned() else {
            return;
        };
        for ticket in self.current_tickets(id) {
            let Some(ticket) = self.state.tickets.get(&ticket) else {
                continue;
            };
            let (number, queue) = (ticket.id, &ticket.wanted.queue);
            let wanted = match ticket.alert {
                Some(alert) => Some(self.acknowledgement_fields(ticket, alert)),
                None => self.fields_for(&incident, ticket.contract.as_deref(), queue),
            };
            let replaced = self.is_replaced(ticket);
            let wanted = wanted.map(|fields| TicketFields {
                status: if replaced {
                    TicketStatus::Resolved
                } else {
                    fields.status
                },
                ..fields
            });
            let (Some(wanted), Some(ticket)) = (wanted, self.state.tickets.get_mut(&number)) else {
                continue;
            };
            if wanted != ticket.wanted {
                ticket.wanted = wanted;
                ticket.version_wanted += 1;
                self.out.work.push(ticket.tracker.clone());
                self.state.dirty.tickets.insert(ticket.id);
            }
        }
    }

    /// Adds a note to the tickets of an incident; a public one also to those of its cases.
    pub(super) fn note_tickets(&mut self, id: IncidentId, text: &str, public: bool) {
        self.note_tickets_but(id, None, text, public);
    }

    /// The same, but for the ticket in which it stands already.
    pub(super) fn note_tickets_but(
        &mut self,
        id: IncidentId,
        but: Option<TicketId>,
        text: &str,
        public: bool,
    ) {
        for ticket in self.current_tickets(id) {
            let entry = self.state.tickets.get(&ticket);
            let takes = |t: &WantedTicket| t.alert.is_none() && !self.is_replaced(t);
            if but != Some(ticket) && entry.is_some_and(takes) {
                self.note_ticket(ticket, text, public);
            }
        }
    }

    /// Adds a note to one ticket, as those who see it may read it.
    pub(super) fn note_ticket(&mut self, id: TicketId, text: &str, public: bool) {
        let Some(ticket) = self.state.tickets.get(&id) else {
            return;
        };
        let text = match &ticket.contract {
            Some(contract) => self.note_for_case(ticket.incident, contract, text, public),
            None => Some(text.to_owned()),
        };
        if let Some(text) = text {
            self.add_note(id, &text, public);
        }
    }

    /// Adds a note whose words its readers may read.
    pub(super) fn add_note(&mut self, id: TicketId, text: &str, public: bool) {
        let (now, seq) = (self.state.now, self.state.cursor);
        let Some(incident) = self.state.tickets.get(&id).map(|ticket| ticket.incident) else {
            return;
        };
        let text = self.outside(incident, text);
        let Some(ticket) = self.state.tickets.get_mut(&id) else {
            return;
        };
        let mut waiting = ticket.notes.iter().filter(|note| !note.done);
        if text == super::sensitive::WITHHELD && waiting.any(|note| note.text == text) {
            // That there is news is said already.
            return;
        }
        let waiting = ticket.notes.iter().filter(|n| !n.done).count();
        if waiting >= NOTES_WAITING_MAX {
            return;
        }
        let number = ticket.notes.len();
        // A ticket may outlive the journal, whose numbers then begin anew.
        let of = short_hash([self.state.scalars.generation.as_str(), &ticket.key]);
        let marker = format!("{KEY_BEGINS}{}-{seq}-{number}", of.get(..9).unwrap_or(&of));
        ticket.notes.push(TicketNote {
            marker,
            at: now,
            text: bounded(&text, NOTE_BYTES_MAX),
            public,
            done: false,
        });
        self.out.work.push(ticket.tracker.clone());
        self.state.dirty.tickets.insert(ticket.id);
    }

    /// What came of working on a ticket.
    pub(super) fn apply_delivery(&mut self, report: &DeliveryReport) {
        let Some(ticket) = self.state.tickets.get_mut(&report.ticket) else {
            return;
        };
        let incident = ticket.incident;
        let before = ticket.clone();
        ticket.version_done = ticket.version_done.max(report.version_done);
        if report.written.is_some() {
            ticket.last_written.clone_from(&report.written);
        }
        if report.read.is_some() {
            ticket.last_read.clone_from(&report.read);
        }
        for note in &mut ticket.notes {
            note.done = note.done || report.notes_done.contains(&note.marker);
        }
        let done = ticket.notes.iter().take_while(|n| n.done).count();
        ticket.notes.drain(..done.saturating_sub(1));
        let was_trouble = ticket.trouble.clone();
        ticket.trouble.clone_from(&report.trouble);
        let follows = report.origin == Some(Origin::Followed);
        let new_remote = report.remote.is_some() && (ticket.remote.is_none() || follows);
        if new_remote {
            let before = std::mem::replace(&mut ticket.remote, report.remote.clone());
            if let Some(before) = before {
                let name = (ticket.tracker.clone(), before.key);
                self.state.by_remote.remove(&name);
            }
        }
        let ticket = ticket.clone();
        self.state.dirty.tickets.insert(ticket.id);
        if ticket.has_work() {
            self.out.work.push(ticket.tracker.clone());
        }
        if let (true, Some(remote)) = (new_remote, &ticket.remote) {
            let name = (ticket.tracker.clone(), remote.key.clone());
            self.state.by_remote.insert(name, ticket.id);
        }
        if let (true, None, Some(remote)) = (new_remote, ticket.alert, &ticket.remote) {
            let after_ms = u64::try_from(self.state.now.0 - ticket.asked_at.0).unwrap_or(0);
            let tracker = ticket.tracker.clone();
            self.out
                .figures
                .push(Figure::TicketOpened { tracker, after_ms });
            if ticket.contract.is_none() {
                self.count_ticket(incident, &ticket);
            }
            self.tell_ticketed(incident, ticket.contract.as_deref());
            let (reason, how) = match report.origin {
                Some(Origin::Found | Origin::Adopted) => {
                    (Reason::TicketAdopted, "found by its key")
                }
                Some(Origin::Followed) => (
                    Reason::TicketOpened,
                    "opened: the one before it is closed for good",
                ),
                _ => (Reason::TicketOpened, "opened"),
            };
            let text = format!("Ticket {} in {} {how}.", remote.key, ticket.tracker);
            self.decide(incident, reason, text);
            self.tell_predecessor(&ticket);
        }
        for twin in &report.twins_closed {
            let text = format!("Ticket {} was a duplicate and is closed.", twin.key);
            self.decide(incident, Reason::TwinClosed, text);
        }
        if new_remote {
            self.take_over(&ticket);
        }
        self.follow_trouble(&ticket, was_trouble.is_some());
        self.verify_reopened(&before, report);
        self.found_gone(&before, report);
    }

    /// Counts a ticket that exists, by the source that asked and its severity.
    fn count_ticket(&mut self, incident: IncidentId, ticket: &WantedTicket) {
        let incident = self.state.incidents.get(&incident);
        let source = incident.map_or(Sym(0), |incident| incident.source);
        let source = self.state.symbols.name(source).to_owned();
        // A priority is no severity.
        let has_one = incident.is_none_or(|incident| incident.severity.is_some());
        let sev = ticket.wanted.severity.filter(|_| has_one);
        let sev = sev.map_or("none", |s| s.digit());
        self.add_figure(Family::TicketsCreated, &[&source, sev], 1);
    }

    fn follow_trouble(&mut self, ticket: &WantedTicket, before: bool) {
        let Some(trouble) = &ticket.trouble else {
            return;
        };
        if trouble.dead {
            let text = format!(
                "{} could not be written to {}: {}. See `alertbridge outbox`.",
                ticket.id, ticket.tracker, trouble.reason
            );
            self.decide(ticket.incident, Reason::TicketFailed, text);
        }
        if !before || trouble.dead {
            let after = self.decisions.settings.fallback_after;
            let at = if trouble.dead {
                self.state.now
            } else {
                trouble.since.plus(after)
            };
            self.wake(at, Wake::Fallback(ticket.id));
        }
    }
}

/// A ticket to be asked for.
pub(super) struct Wanted<'a> {
    /// The route that asks.
    pub route: &'a Route,
    /// The tracker it goes to.
    pub tracker: &'a str,
    /// The contract, for the ticket of a case.
    pub contract: Option<String>,
    /// The alert, for an acknowledgement at its monitor.
    pub alert: Option<AlertId>,
    /// The ticket in whose place it is asked for.
    pub stands_in_for: Option<TicketId>,
    /// The language it is written in.
    pub language: String,
    /// Our fields.
    pub fields: TicketFields,
}

impl Wanted<'_> {
    /// The part of the incident that it is for, if not the whole.
    fn part(&self) -> Option<String> {
        let alert = self.alert.map(|alert| alert.to_string());
        self.contract.clone().or(alert)
    }
}

/// Our fields of an incident's ticket.
fn fields_of(incident: &Incident, queue: &str) -> TicketFields {
    let status = match incident.state {
        IncidentState::Resolved | IncidentState::Closed => TicketStatus::Resolved,
        // Quiet again after it was resolved: the ticket stays as it is until then.
        IncidentState::Held if incident.released_at.is_some() => TicketStatus::Resolved,
        IncidentState::Held | IncidentState::Open if incident.waiting => {
            TicketStatus::WaitingCustomer
        }
        IncidentState::Held | IncidentState::Open
            if incident.acknowledged_at.is_some() || !incident.owner.is_empty() =>
        {
            TicketStatus::Open
        }
        IncidentState::Held | IncidentState::Open => TicketStatus::New,
    };
    let subject = if incident.sensitive {
        format!("{} {}", incident.id, super::sensitive::WITHHELD)
    } else {
        incident.title.clone()
    };
    TicketFields {
        subject,
        status,
        severity: incident.severity,
        queue: queue.to_owned(),
    }
}

/// The idempotency key: a short hash of generation, incident, cycle and route, and of the contract
/// for the ticket of a case.
pub fn ticket_key(
    generation: &str,
    incident: IncidentId,
    cycle: u32,
    route: &str,
    contract: Option<&str>,
) -> String {
    let (incident, cycle) = (incident.0.to_string(), cycle.to_string());
    let parts = [generation, &incident, &cycle, route];
    let hash = short_hash(parts.into_iter().chain(contract));
    format!("{KEY_BEGINS}{hash}")
}

/// The order of work of a ticket: creates before updates, S1 before S5, the incident's before those
/// of its cases, older first.
pub(super) fn work_order(ticket: &WantedTicket) -> Option<i64> {
    if !ticket.has_work() {
        return None;
    }
    let update = i64::from(ticket.remote.is_some());
    let severity = ticket.wanted.severity.map_or(3, |s| i64::from(s.number()));
    let of_case = i64::from(ticket.contract.is_some());
    let age = ticket.asked_at.max(Time(0)).seconds();
    Some((update * 20 + severity * 2 + of_case) * 100_000_000_000 + age)
}
