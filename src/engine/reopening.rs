//! What becomes of a ticket whose problem comes back, or that a person closed while it lasts: by
//! the words of its route, and of `[engine]`. That a tracker did not follow is seen in what was
//! read back; then a new ticket follows the old one.

use super::state::Wake;
use super::ticketing::Wanted;
use super::{ClosedWhileFiring, Engine, Reopen};
use crate::model::incident::{Ended, Incident, IncidentState};
use crate::model::reason::Reason;
use crate::model::ticket::{DeliveryReport, TicketStatus, WantedTicket};
use crate::model::{IncidentId, TicketId, Time};

impl Engine {
    /// The tickets that follow an incident: of each route the newest one.
    pub(super) fn current_tickets(&self, id: IncidentId) -> Vec<TicketId> {
        let all = self.state.tickets_of.get(&id).into_iter().flatten();
        let all: Vec<&WantedTicket> = all.filter_map(|t| self.state.tickets.get(t)).collect();
        let of_same = |one: &WantedTicket, other: &WantedTicket| {
            (&one.route, &one.contract, one.alert) == (&other.route, &other.contract, other.alert)
        };
        all.iter()
            .filter(|one| {
                !all.iter()
                    .any(|other| of_same(one, other) && other.cycle > one.cycle)
            })
            .map(|one| one.id)
            .collect()
    }

    /// An incident with tickets is open: a ticket that was over is opened again or gets a
    /// successor, as its route says.
    pub(super) fn reopen_tickets(&mut self, id: IncidentId) {
        let Some(ended) = self.state.incidents.get(&id).map(last_end) else {
            return;
        };
        let lasted = ended.map(|at| self.state.now.since(at));
        for ticket in self.current_tickets(id) {
            let Some(entry) = self.state.tickets.get(&ticket) else {
                continue;
            };
            // What no tracker has yet is not reopened there.
            // A customer's own case may be over while the incident goes on.
            let wanted = self.state.incidents.get(&id).and_then(|incident| {
                let queue = &entry.wanted.queue;
                self.fields_for(incident, entry.contract.as_deref(), queue)
            });
            if wanted.is_none_or(|fields| fields.status.is_over()) {
                continue;
            }
            let by_person = self.touched_in_tracker == Some(ticket);
            // What stood in for another is over for good, and an acknowledgement follows its alert.
            if entry.alert.is_some() || entry.stands_in_for.is_some() {
                continue;
            }
            if !entry.wanted.status.is_over() || entry.remote.is_none() || by_person {
                continue;
            }
            let again = match self.reopen_of(&entry.route) {
                Reopen::Always => true,
                Reopen::Within(limit) => lasted.is_none_or(|lasted| lasted <= limit),
                Reopen::Never | Reopen::NewAndLink => false,
            };
            if !again {
                self.succeed(ticket);
            }
        }
    }

    fn reopen_of(&self, route: &str) -> Reopen {
        let routes = &self.decisions.routes;
        let route = routes.iter().find(|r| r.name == route);
        route.map_or(Reopen::Always, |route| route.reopen)
    }

    /// A new ticket in place of one that is over and stays so.
    fn succeed(&mut self, old: TicketId) {
        let Some(entry) = self.state.tickets.get(&old).cloned() else {
            return;
        };
        let routes = &self.decisions.routes;
        let Some(route) = routes.iter().find(|r| r.name == entry.route).cloned() else {
            return;
        };
        let id = entry.incident;
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        incident.cycle = incident.cycle.max(entry.cycle + 1);
        let incident = Incident {
            cycle: entry.cycle + 1,
            ..incident.clone()
        };
        let queue = &entry.wanted.queue;
        let Some(fields) = self.fields_for(&incident, entry.contract.as_deref(), queue) else {
            return;
        };
        let tracker = match &entry.contract {
            Some(_) if !route.case_tracker.is_empty() => &route.case_tracker,
            _ => &route.tracker,
        };
        let was = entry.remote.as_ref().map(|remote| {
            let url = if remote.url.is_empty() {
                String::new()
            } else {
                format!(" ({})", remote.url)
            };
            format!("{}{url}", remote.key)
        });
        let was = was.unwrap_or_else(|| old.to_string());
        let text = format!(
            "Ticket {was} in {} stays closed: a new one follows.",
            entry.tracker
        );
        self.decide(id, Reason::NewTicket, text);
        self.want(
            &incident,
            Wanted {
                route: &route,
                tracker,
                contract: entry.contract.clone(),
                alert: None,
                stands_in_for: None,
                language: entry.language.clone(),
                fields,
            },
        );
        // `never` says nothing in either; every other new ticket says what it follows.
        if self.reopen_of(&entry.route) != Reopen::Never
            && let Some(new) = self.current_tickets(id).into_iter().find(|t| {
                let ticket = self.state.tickets.get(t);
                ticket.is_some_and(|t| t.route == entry.route && t.contract == entry.contract)
            })
        {
            self.note_ticket(new, &format!("Follows ticket {was}: it came back."), false);
        }
    }

    /// A ticket that follows another exists: that one says where it goes on.
    pub(super) fn tell_predecessor(&mut self, ticket: &WantedTicket) {
        let Some(remote) = ticket.remote.as_ref() else {
            return;
        };
        if ticket.cycle == 1 || self.reopen_of(&ticket.route) == Reopen::Never {
            return;
        }
        let all = self.state.tickets_of.get(&ticket.incident);
        let before = all
            .into_iter()
            .flatten()
            .filter_map(|t| self.state.tickets.get(t))
            .filter(|t| t.route == ticket.route && t.contract == ticket.contract)
            .filter(|t| t.cycle < ticket.cycle)
            .max_by_key(|t| t.cycle)
            .map(|t| t.id);
        if let Some(before) = before {
            let text = format!("It came back: see ticket {}.", remote.key);
            self.note_ticket(before, &text, false);
        }
    }

    /// What was read back after a ticket should have been opened again. One that stays closed, is
    /// gone, or that its tracker will not reopen has a successor.
    pub(super) fn verify_reopened(&mut self, before: &WantedTicket, report: &DeliveryReport) {
        let (id, incident) = (before.id, before.incident);
        let open = self.incident_state(incident) == Some(IncidentState::Open);
        let was_over = before.last_written.as_ref();
        let asked_again = was_over == Some(&before.wanted);
        let reopening = !before.wanted.status.is_over()
            && (asked_again || was_over.is_some_and(|fields| fields.status.is_over()));
        let behind = before.version_wanted > before.version_done;
        if !open || !behind || !reopening || !self.current_tickets(incident).contains(&id) {
            return;
        }
        let done = report.version_done >= before.version_wanted;
        let stays = done && report.read.as_ref().is_some_and(|r| r.status.is_over());
        let refused = !done && report.trouble.as_ref().is_some_and(|t| t.dead);
        if !stays && !refused {
            return;
        }
        let why = match &report.trouble {
            Some(trouble) if refused => trouble.reason.clone(),
            _ => "it was written, and read back as closed".to_owned(),
        };
        let text = format!("{} did not reopen the ticket: {why}.", before.tracker);
        self.decide(incident, Reason::NotReopened, text);
        if let Some(entry) = self.state.tickets.get_mut(&id) {
            // Nothing more is wanted of it.
            entry.version_done = entry.version_wanted;
            entry.trouble = None;
            self.state.dirty.tickets.insert(id);
        }
        self.succeed(id);
    }

    /// A person closed a ticket while its alert fires.
    pub(super) fn closed_while_firing(
        &mut self,
        id: IncidentId,
        ticket: TicketId,
        (status, author): (TicketStatus, &str),
    ) {
        let settings = &self.decisions.settings;
        match settings.closed_while_firing {
            // Nobody reads a reminder in a ticket that is not there: another one follows it.
            ClosedWhileFiring::Remind if status == TicketStatus::Gone => {
                self.open_again(id, ticket, author);
            }
            ClosedWhileFiring::Leave => {
                let now = self.state.now;
                let text = format!("Resolved by {author} in the tracker.");
                self.finish(id, Ended::Restored, Reason::PersonResolved, now, &text);
            }
            ClosedWhileFiring::Reopen if settings.reopen_closed_after.is_zero() => {
                self.open_again(id, ticket, author);
            }
            ClosedWhileFiring::Reopen => {
                let at = self.state.now.plus(settings.reopen_closed_after);
                let text = format!(
                    "Closed by {author} while the alert still fires: opened again if it still does \
                     at {at}."
                );
                self.decide_by(id, Reason::ClosedWhileFiring, text, author);
                self.look_at_closed(ticket, Some(at));
            }
            ClosedWhileFiring::Remind => {
                let at = self.state.now.plus(settings.remind_every);
                let text = "Closed while its alert still fires; the incident stays open.";
                self.decide_by(id, Reason::ClosedWhileFiring, text, author);
                self.note_ticket(ticket, text, false);
                self.look_at_closed(ticket, Some(at));
            }
        }
    }

    fn open_again(&mut self, id: IncidentId, ticket: TicketId, author: &str) {
        if let Some(entry) = self.state.tickets.get_mut(&ticket) {
            entry.version_wanted += 1;
            self.out.work.push(entry.tracker.clone());
        }
        self.state.dirty.tickets.insert(ticket);
        let text = "Closed while the alert still fires: it is opened again.";
        self.decide_by(id, Reason::Reopened, text, author);
        self.note_ticket(ticket, text, false);
    }

    /// When a ticket that a person closed is looked at next; `None`: no more.
    pub(super) fn look_at_closed(&mut self, ticket: TicketId, at: Option<Time>) {
        let old = match at {
            Some(at) => self.state.closed_tickets.insert(ticket, at),
            None => self.state.closed_tickets.remove(&ticket),
        };
        if old == at {
            return;
        }
        self.state.rewake(old, at, Wake::ClosedTicket(ticket));
        let key = format!("{:010}", ticket.0);
        match at {
            Some(at) => self.save_thing("closed_ticket", key, &at),
            None => self.drop_thing("closed_ticket", key),
        }
    }

    /// A ticket that a person closed: does its alert still fire?
    pub(super) fn still_closed(&mut self, ticket: TicketId) {
        self.look_at_closed(ticket, None);
        let Some(id) = self.state.tickets.get(&ticket).map(|t| t.incident) else {
            return;
        };
        let id = self.state.survivor(id);
        let fires = self
            .state
            .incidents
            .get(&id)
            .is_some_and(|i| i.state == IncidentState::Open && i.active > 0);
        let settings = &self.decisions.settings;
        if !fires || !self.current_tickets(id).contains(&ticket) {
            return;
        }
        match settings.closed_while_firing {
            ClosedWhileFiring::Leave => {}
            ClosedWhileFiring::Reopen => self.open_again(id, ticket, ""),
            ClosedWhileFiring::Remind => {
                let at = self.state.now.plus(settings.remind_every);
                let text = "Reminder: the alert of this closed ticket still fires.";
                self.decide(id, Reason::ClosedWhileFiring, text);
                self.note_ticket(ticket, text, false);
                self.look_at_closed(ticket, Some(at));
            }
        }
    }
}

/// When an incident ended last, by its impact periods.
fn last_end(incident: &Incident) -> Option<Time> {
    let ends = incident.periods.iter().filter_map(|period| period.until);
    ends.max()
}
