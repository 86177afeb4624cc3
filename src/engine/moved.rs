//! What becomes of a ticket that people merged, moved or deleted in its tracker.

use super::Engine;
use crate::model::incident::IncidentState;
use crate::model::reason::Reason;
use crate::model::ticket::{
    DeliveryReport, PersonChange, PersonDid, RemoteRef, SOMEBODY, TicketStatus, WantedTicket,
};
use crate::model::{IncidentId, TicketId};

/// Whether it is an incident's own ticket, and not one of a case or an acknowledgement.
fn of_operations(ticket: &WantedTicket) -> bool {
    ticket.contract.is_none() && ticket.alert.is_none()
}

impl Engine {
    /// A person merged the ticket into another one, which stands for it from now on, or moved it to
    /// where it has another name.
    pub(super) fn ticket_lives_in(
        &mut self,
        id: IncidentId,
        ticket: TicketId,
        change: &PersonChange,
        other: &str,
    ) {
        let name = |key: &str| (change.tracker.clone(), key.to_owned());
        let taken = self.state.by_remote.get(&name(other)).copied();
        match taken {
            Some(own) if own == ticket => return,
            Some(target) => return self.tickets_became_one(id, (ticket, target), change, other),
            None => {}
        }
        let Some(entry) = self.state.tickets.get_mut(&ticket) else {
            return;
        };
        let before = entry.remote.take();
        let url = before.as_ref().and_then(|remote| {
            let place = remote.url.strip_suffix(remote.key.as_str())?;
            Some(format!("{place}{other}"))
        });
        entry.remote = Some(RemoteRef {
            key: other.to_owned(),
            url: url.unwrap_or_default(),
        });
        // What is still told of the old name is the ticket's past.
        if let Some(before) = before {
            self.state.by_remote.remove(&name(&before.key));
        }
        self.state.by_remote.insert(name(other), ticket);
        self.state.dirty.tickets.insert(ticket);
        let did = match change.what {
            PersonDid::MovedTo(_) => "is now named",
            _ => "was merged into",
        };
        let text = format!("Ticket {} {did} {other}.", change.remote);
        self.decide_by(id, Reason::Merged, text, &change.author);
    }

    /// A person merged two tickets of ours: who does that says that it is one problem.
    fn tickets_became_one(
        &mut self,
        id: IncidentId,
        (ticket, target): (TicketId, TicketId),
        change: &PersonChange,
        other: &str,
    ) {
        let both = [ticket, target].map(|one| self.state.tickets.get(&one).cloned());
        let [Some(ticket), Some(target)] = both else {
            return;
        };
        let into = self.state.survivor(target.incident);
        let text = format!("Ticket {} was merged into {other}.", change.remote);
        self.decide_by(id, Reason::Merged, text, &change.author);
        let open = |id| self.incident_state(id).is_some_and(IncidentState::is_open);
        let whole = of_operations(&ticket) && of_operations(&target);
        if id != into && whole && !(open(id) && open(into)) {
            // What it was merged into is over: nobody works on this one any more.
            self.person_status(id, ticket.id, TicketStatus::Gone, &change.author);
            return;
        }
        if id != into && whole {
            self.merge(id, into, Reason::Merged);
        }
        // Whatever was still to be written would be written to the other one.
        let name = (change.tracker.clone(), change.remote.clone());
        self.state.by_remote.remove(&name);
        if let Some(entry) = self.state.tickets.get_mut(&ticket.id) {
            entry.version_done = entry.version_wanted;
            entry.notes.iter_mut().for_each(|note| note.done = true);
            entry.trouble = None;
            self.state.dirty.tickets.insert(ticket.id);
        }
    }

    /// A ticket that was read and is not there any more: a person deleted it, or moved it out of the
    /// bridge's reach. For an incident that goes on that is as good as closed.
    pub(super) fn found_gone(&mut self, before: &WantedTicket, report: &DeliveryReport) {
        let gone = |status| status == TicketStatus::Gone;
        let now = report.read.as_ref().is_some_and(|read| gone(read.status));
        let known = before.last_read.as_ref().is_some_and(|r| gone(r.status));
        let Some(remote) = before.remote.as_ref().filter(|_| now && !known) else {
            return;
        };
        self.apply_person(&PersonChange {
            tracker: before.tracker.clone(),
            remote: remote.key.clone(),
            change_id: String::new(),
            at: self.state.now,
            author: SOMEBODY.to_owned(),
            what: PersonDid::Status(TicketStatus::Gone),
        });
    }
}
