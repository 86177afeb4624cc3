//! The cap of new tickets an hour. Past it one list says what got no ticket, and people are told once;
//! what is still open when the hour is over gets its ticket then, the worst first. S1 and S2 that the
//! inventory proves or a person says never wait.

use super::Engine;
use super::correlate::group_hash;
use super::state::Wake;
use crate::model::incident::{Incident, IncidentState};
use crate::model::reason::Reason;
use crate::model::severity::{Basis, Severity};
use crate::model::{IncidentId, Time};
use std::time::Duration;

/// What the cap counts in.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

impl Engine {
    /// Whether an incident has to wait for its ticket. Counts the ticket if it need not.
    pub(super) fn over_cap(&mut self, incident: &Incident) -> bool {
        let cap = self.decisions.settings.tickets_per_hour_max;
        let (began, count) = self.ticket_hour();
        let urgent = is_urgent(incident);
        let is_list = incident.group == Some(list_group());
        if cap > 0 && count >= cap && !urgent && !is_list {
            self.hold_back(incident, began, cap);
            return true;
        }
        self.state.scalars.tickets_hour = (began, count.saturating_add(1));
        self.state.dirty.scalars = true;
        false
    }

    /// When the running hour began, and the tickets since.
    fn ticket_hour(&self) -> (Time, u32) {
        let (began, count) = self.state.scalars.tickets_hour;
        if self.state.now.since(began) >= HOUR {
            (self.state.now, 0)
        } else {
            (began, count)
        }
    }

    fn hold_back(&mut self, incident: &Incident, began: Time, cap: u32) {
        let id = incident.id;
        if !self.state.held_back.insert(id) {
            return;
        }
        self.save_thing("held_back", id.to_string(), &id);
        let due = began.plus(HOUR);
        self.wake(due, Wake::TicketHour);
        let list = self.cap_list(cap);
        self.decide(
            id,
            Reason::TicketCap,
            format!(
                "No ticket of its own yet: {cap} were opened since {began}. It stands in {list}, and \
                 gets its ticket at {due} if it is still open then."
            ),
        );
        let severity = incident
            .severity
            .map_or_else(String::new, |s| format!("{s} "));
        let line = format!("{id} {severity}{}", incident.title);
        self.note_tickets(list, &line, false);
    }

    /// The incident that lists what waits.
    fn cap_list(&mut self, cap: u32) -> IncidentId {
        let group = list_group();
        if let Some(list) = self.open_group(group) {
            return list;
        }
        let source = self.state.intern("alertbridge");
        let text = format!(
            "{cap} tickets were opened within an hour (tickets_per_hour_max). Further incidents stand \
             here without a ticket of their own until the hour is over; proven S1 and S2 get theirs at once."
        );
        let title = format!("More than {cap} tickets within an hour");
        self.open_own_of(&title, &text, Reason::TicketCap, (source, Some(group)))
    }

    /// The hour is over: what is still open gets its ticket, the worst first.
    pub(super) fn ticket_hour_over(&mut self) {
        let mut waiting: Vec<(Option<Severity>, IncidentId)> = Vec::new();
        for id in self.state.held_back.clone() {
            let incident = self.state.incidents.get(&id);
            match incident.filter(|incident| incident.state == IncidentState::Open) {
                Some(incident) => waiting.push((incident.severity, id)),
                None => {
                    self.no_longer_held_back(id);
                }
            }
        }
        waiting.sort();
        let cap = self.decisions.settings.tickets_per_hour_max;
        for (_, id) in waiting {
            let (began, count) = self.ticket_hour();
            if cap > 0 && count >= cap {
                self.wake(began.plus(HOUR), Wake::TicketHour);
                return;
            }
            self.give_held_back(id);
        }
        if let Some(list) = self.open_group(list_group()) {
            self.resolve_now(
                list,
                Reason::TicketCap,
                "Nothing waits for a ticket any more.",
            );
        }
    }

    /// An incident that waited got so bad that it must not.
    pub(super) fn give_if_urgent(&mut self, id: IncidentId) {
        if self.state.incidents.get(&id).is_some_and(is_urgent) {
            self.give_held_back(id);
        }
    }

    fn give_held_back(&mut self, id: IncidentId) {
        if self.no_longer_held_back(id) {
            self.want_tickets(id);
            self.want_further(id);
        }
    }

    fn no_longer_held_back(&mut self, id: IncidentId) -> bool {
        let waited = self.state.held_back.remove(&id);
        if waited {
            self.drop_thing("held_back", id.to_string());
        }
        waited
    }
}

fn is_urgent(incident: &Incident) -> bool {
    let outage = matches!(incident.severity, Some(Severity::S1 | Severity::S2));
    outage && incident.basis != Basis::Rule
}

fn list_group() -> u64 {
    group_hash(&["tickets an hour"])
}
