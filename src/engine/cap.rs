//! The cap of new tickets an hour. Past it one list says what got no ticket, and people are told once;
//! what is still open when the hour is over gets its ticket then, the worst first. S1 and S2 that the
//! inventory proves or a person says never wait, nor does what a customer reported, nor what the
//! bridge has to say of itself. Whoever is called for an S1 or S2 is called whether it waits or not.

use super::Engine;
use super::correlate::group_hash;
use super::state::Wake;
use crate::model::incident::{Incident, IncidentState};
use crate::model::input::OWN_SOURCE;
use crate::model::reason::Reason;
use crate::model::severity::{Basis, Severity};
use crate::model::text::bounded;
use crate::model::{IncidentId, Time};
use std::time::Duration;

/// What the cap counts in.
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// How often the list is added to: trackers may send a mail for each note.
const LIST_EVERY: Duration = Duration::from_secs(300);
/// Most bytes of incidents in one note of the list.
const LIST_BYTES_MAX: usize = 3500;
/// Longest title in the list, bytes.
const TITLE_BYTES_MAX: usize = 160;

impl Engine {
    /// Whether an incident has to wait for its tickets. Counts them if it need not.
    pub(super) fn over_cap(&mut self, incident: &Incident, tickets: usize) -> bool {
        let cap = self.decisions.settings.tickets_per_hour_max;
        let (began, count) = self.ticket_hour();
        if cap > 0 && count >= cap && !self.never_waits(incident) {
            self.hold_back(incident, began, cap);
            return true;
        }
        self.count_tickets(tickets);
        false
    }

    /// Tickets that open whatever the cap is count as well.
    pub(super) fn count_tickets(&mut self, tickets: usize) {
        let (began, count) = self.ticket_hour();
        let tickets = u32::try_from(tickets).unwrap_or(u32::MAX);
        self.state.scalars.tickets_hour = (began, count.saturating_add(tickets));
        self.state.dirty.scalars = true;
    }

    fn never_waits(&self, incident: &Incident) -> bool {
        let outage = matches!(incident.severity, Some(Severity::S1 | Severity::S2));
        let source = self.state.symbols.name(incident.source);
        (outage && incident.basis != Basis::Rule) || incident.reported || source == OWN_SOURCE
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
        let slots = self.state.now.since(began).as_secs() / LIST_EVERY.as_secs() + 1;
        let told = began.plus(LIST_EVERY.saturating_mul(u32::try_from(slots).unwrap_or(u32::MAX)));
        self.state.to_list.insert(id, told);
        self.save_thing("to_list", id.to_string(), &told);
        self.wake(told, Wake::TicketList);
        self.decide(
            id,
            Reason::TicketCap,
            format!(
                "No ticket of its own yet: {cap} were opened since {began}. It stands in {list}, and \
                 gets its ticket at {due} if it is still open then."
            ),
        );
    }

    /// The list gets what has waited since it was last added to, the worst first.
    pub(super) fn ticket_list_due(&mut self) {
        let mut waiting: Vec<(Option<Severity>, IncidentId)> = Vec::new();
        let due: Vec<IncidentId> = self.state.to_list.keys().copied().collect();
        for id in due {
            self.state.to_list.remove(&id);
            self.drop_thing("to_list", id.to_string());
            if let Some(incident) = self.state.incidents.get(&id)
                && incident.state == IncidentState::Open
            {
                waiting.push((incident.severity, id));
            }
        }
        waiting.sort();
        let Some(list) = self
            .open_group(list_group())
            .filter(|_| !waiting.is_empty())
        else {
            return;
        };
        let mut text = "Without a ticket of their own:".to_owned();
        for (place, (severity, id)) in waiting.iter().enumerate() {
            let title = self
                .state
                .incidents
                .get(id)
                .map_or("", |i| i.title.as_str());
            let severity = severity.map_or_else(String::new, |s| format!(" {s}"));
            let line = format!("\n{id}{severity} {}", bounded(title, TITLE_BYTES_MAX));
            if text.len() + line.len() > LIST_BYTES_MAX {
                let more = waiting.len() - place;
                text.push_str(&format!("\nand {more} more: see `alertbridge incidents`."));
                break;
            }
            text.push_str(&line);
        }
        self.note_tickets(list, &text, false);
    }

    /// The incident that lists what waits.
    fn cap_list(&mut self, cap: u32) -> IncidentId {
        let group = list_group();
        if let Some(list) = self.open_group(group) {
            return list;
        }
        let source = self.state.intern(OWN_SOURCE);
        let text = format!(
            "{cap} tickets were opened within an hour (tickets_per_hour_max). Further incidents stand \
             here without a ticket of their own until the hour is over; proven S1 and S2 and what \
             customers report get theirs at once."
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

    /// An incident that waited got so bad that it must not, or a customer reported it.
    pub(super) fn give_if_urgent(&mut self, id: IncidentId) {
        let entry = self.state.incidents.get(&id);
        if entry.is_some_and(|incident| self.never_waits(incident)) {
            self.give_held_back(id);
        }
    }

    fn give_held_back(&mut self, id: IncidentId) {
        if self.no_longer_held_back(id) {
            self.want_tickets(id);
            self.want_further(id);
            self.want_case_tickets(id);
            self.tell_staff_opened(id);
        }
    }

    fn no_longer_held_back(&mut self, id: IncidentId) -> bool {
        let waited = self.state.held_back.remove(&id);
        if waited {
            self.drop_thing("held_back", id.to_string());
        }
        if self.state.to_list.remove(&id).is_some() {
            self.drop_thing("to_list", id.to_string());
        }
        waited
    }
}

fn list_group() -> u64 {
    group_hash(&["tickets an hour"])
}
