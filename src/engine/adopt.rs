//! A ticket that exists already becomes an incident's ticket: what was open in the tracker before the
//! bridge came, or what a person wrote while the tracker could not be reached.

use super::{Engine, Route};
use crate::model::reason::Reason;
use crate::model::ticket::{RemoteRef, WantedTicket};
use crate::model::{IncidentId, TicketId};

impl Engine {
    /// Ticket `key` in `tracker` is the incident's from now on. Nothing in it is overwritten before
    /// the incident changes; a note says whose ticket it is.
    pub(super) fn adopt(
        &mut self,
        id: IncidentId,
        tracker: &str,
        key: &str,
    ) -> Result<String, String> {
        let id = self.known_incident(id)?;
        let taken = (tracker.to_owned(), key.to_owned());
        if let Some(ticket) = self.state.by_remote.get(&taken)
            && let Some(other) = self.state.tickets.get(ticket)
        {
            return Err(format!(
                "{key} in {tracker} is the ticket of {} already",
                other.incident
            ));
        }
        let there = |ticket: &&WantedTicket| {
            ticket.tracker == tracker && ticket.contract.is_none() && !ticket.shadow
        };
        let found = self.tickets(id).find(there);
        let found = found.map(|ticket| (ticket.id, ticket.remote.clone()));
        let ticket = match found {
            Some((_, Some(remote))) => {
                return Err(format!(
                    "{id} has ticket {} in {tracker}; close {key} there as a duplicate of it",
                    remote.key
                ));
            }
            Some((waiting, None)) => waiting,
            None => self.want_in(id, tracker)?,
        };
        if let Some(entry) = self.state.tickets.get_mut(&ticket) {
            entry.remote = Some(RemoteRef {
                key: key.to_owned(),
                url: String::new(),
            });
            entry.trouble = None;
            // What a person wrote there stays until the incident says something else.
            entry.last_written = Some(entry.wanted.clone());
            entry.version_done = entry.version_wanted;
            self.out.work.push(entry.tracker.clone());
        }
        self.state.by_remote.insert(taken, ticket);
        self.state.dirty.tickets.insert(ticket);
        self.decide(
            id,
            Reason::TicketAdopted,
            format!("Ticket {key} in {tracker} was adopted."),
        );
        let reason = self.state.incidents.get(&id);
        let reason = reason.map_or_else(String::new, |incident| incident.reason.clone());
        self.note_ticket(
            ticket,
            &format!("This is the ticket of {id} now. {reason}"),
            false,
        );
        Ok(format!("{id} adopted {tracker} {key}"))
    }

    /// Asks for a ticket by the route that writes to the tracker, also one in shadow mode.
    fn want_in(&mut self, id: IncidentId, tracker: &str) -> Result<TicketId, String> {
        let incident = self.state.incidents.get(&id).cloned();
        let incident = incident.ok_or_else(|| format!("no live incident {id}"))?;
        let matching = self.routes_for(&incident);
        let route = matching
            .iter()
            .chain(&self.decisions.routes)
            .find(|route| route.tracker == tracker)
            .ok_or_else(|| {
                format!("no route writes to `{tracker}`: name one of its routes first")
            })?;
        let route = Route {
            shadow: false,
            ..route.clone()
        };
        Ok(self.want_ticket(&incident, &route))
    }
}
