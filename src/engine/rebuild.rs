//! A store that was lost: what was open comes back out of the tickets that the trackers hold. A
//! ticket names its incident, and remembers by what its alerts find it; its clocks begin again at the
//! earliest evidence that is left, and what people did to it is read from its history. All this is
//! marked as approximate. What fires on joins its incident, so that no second ticket is asked for.
//!
//! Nobody outside is told again: customers heard of it from the bridge as it was before. What is
//! missed already is recorded as found late, and one call says that somebody has to look.

use super::correlate::group_hash;
use super::{Engine, Route, Tally, next_period};
use crate::model::alert::{Alert, AlertState};
use crate::model::event::SeverityHint;
use crate::model::incident::{Effect, IncidentState};
use crate::model::input::OWN_SOURCE;
use crate::model::memory::{About, FoundTicket, RememberedAlert};
use crate::model::reason::Reason;
use crate::model::severity::{Basis, Category, Severity};
use crate::model::ticket::{PersonDid, TicketStatus, WantedTicket};
use crate::model::{IncidentId, TicketId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Numbers go on so much higher, because those of closed tickets are not known.
const NUMBERS_APART: u64 = 1000;

/// The tickets of one incident.
pub(super) struct Lost<'a> {
    /// The operations ticket, else that of a case.
    pub lead: &'a FoundTicket,
    /// All of them.
    pub tickets: Vec<&'a FoundTicket>,
    /// The earliest evidence that is left.
    pub since: Time,
    /// When the first of them was made.
    pub created: Time,
    /// The category.
    pub category: Category,
    /// As the operations ticket says it.
    pub severity: Option<Severity>,
}

impl<'a> Lost<'a> {
    fn of(tickets: Vec<&'a FoundTicket>, now: Time) -> Option<Lost<'a>> {
        let of_case = |ticket: &FoundTicket| {
            let memory = ticket.memory.as_ref();
            memory.is_some_and(|memory| memory.contract.is_some())
        };
        let order = |ticket: &&&FoundTicket| (of_case(ticket), ticket.created_at);
        let lead = *tickets.iter().min_by_key(order)?;
        let created = tickets.iter().map(|ticket| ticket.created_at).min()?;
        let created = created.min(now);
        let memory = lead.memory.as_ref();
        let told = memory.map_or(created, |memory| memory.opened_at);
        let category = memory.map_or(Category::Incident, |memory| memory.category);
        let severity = match category {
            Category::Incident => {
                let at_first = memory.and_then(|memory| memory.severity);
                lead.fields.severity.or(at_first)
            }
            // A priority is no severity.
            Category::Provisioning => None,
            Category::Inquiry => Some(Severity::S3),
        };
        Some(Lost {
            lead,
            since: told.min(created),
            created,
            category,
            severity,
            tickets,
        })
    }

    fn about(&self) -> Option<&'a About> {
        self.lead.memory.as_ref()?.about.as_ref()
    }

    fn sensitive(&self) -> bool {
        let mut memories = self.tickets.iter().filter_map(|t| t.memory.as_ref());
        memories.any(|memory| memory.sensitive)
    }

    /// When somebody acted on one of its tickets for the first time.
    fn first_act(&self, is: impl Fn(&PersonDid) -> bool) -> Option<Time> {
        let acts = self.tickets.iter().flat_map(|ticket| &ticket.history);
        let of_staff = acts.filter(|act| is(&act.what));
        of_staff.map(|act| act.at).min()
    }
}

fn is_of_staff(what: &PersonDid) -> bool {
    !matches!(
        what,
        PersonDid::CustomerWrote { .. } | PersonDid::ClosedByCustomer | PersonDid::ConditionEnded
    )
}

fn is_answer(what: &PersonDid) -> bool {
    matches!(
        what,
        PersonDid::Answered { .. } | PersonDid::Promised { .. }
    )
}

impl Engine {
    /// Open tickets of a bridge whose store is gone become incidents again.
    pub(super) fn apply_rebuilt(&mut self, found: &[FoundTicket]) {
        let mut by_incident: BTreeMap<(u64, &str, &str), Vec<&FoundTicket>> = BTreeMap::new();
        for ticket in found {
            let name = (ticket.tracker.clone(), ticket.remote.key.clone());
            if self.state.by_remote.contains_key(&name) {
                continue;
            }
            let of = match &ticket.memory {
                Some(memory) => (memory.incident, memory.generation.as_str(), ""),
                None => (u64::MAX, "", ticket.key.as_str()),
            };
            by_incident.entry(of).or_default().push(ticket);
        }
        let highest = self.state.scalars.next_incident;
        let mut rebuilt = 0_usize;
        for ((number, ..), tickets) in by_incident {
            let count = tickets.len();
            if let Some(lost) = Lost::of(tickets, self.state.now) {
                self.rebuild(&lost, number);
                rebuilt += count;
            }
        }
        if rebuilt == 0 {
            return;
        }
        if self.state.scalars.next_incident > highest {
            self.state.scalars.next_incident += NUMBERS_APART;
            self.state.dirty.scalars = true;
        }
        self.tell_rebuilt(rebuilt);
    }

    fn rebuild(&mut self, lost: &Lost<'_>, number: u64) {
        // The number that people know it by, if it is free.
        if number > self.state.scalars.next_incident && number < u64::MAX {
            self.state.scalars.next_incident = number - 1;
        }
        let about = lost.about();
        let source = about.map_or("", |about| about.source.as_str());
        let source = self.state.intern(source);
        let id = self.new_incident(&lost.lead.fields.subject, source, lost.category);
        self.restore_facts(id, lost);
        self.state.rebuilt.insert(id);
        self.save_thing("rebuilt", format!("{:010}", id.0), &true);
        let mut others = BTreeSet::new();
        for remembered in about.into_iter().flat_map(|about| &about.alerts) {
            others.extend(self.remember_alert(id, remembered, lost));
        }
        for ticket in &lost.tickets {
            self.take_ticket(id, ticket);
        }
        let (ticket, tracker) = (&lost.lead.remote.key, &lost.lead.tracker);
        let text = format!(
            "Rebuilt from ticket {ticket} in {tracker}, because the store was lost. Clocks begin \
             {} and are approximate.",
            lost.since
        );
        self.decide(id, Reason::Rebuilt, text.clone());
        self.rebuild_cases(id, lost);
        self.evaluate_facts(id);
        self.note_tickets(id, &format!("This is {id}. {text}"), false);
        for other in others {
            // What opened since the store was lost is the same problem.
            self.merge(other, id, Reason::Rebuilt);
        }
        if !self.tickets(id).any(|ticket| ticket.contract.is_none()) {
            self.want_tickets(id);
        }
        self.sync_tickets(id);
    }

    /// The incident as far as its tickets hold it.
    fn restore_facts(&mut self, id: IncidentId, lost: &Lost<'_>) {
        let about = lost.about();
        let root = self
            .state
            .intern(about.map_or("", |about| about.root.as_str()));
        let now = self.state.now;
        let acts = &lost.lead.history;
        let by_person = acts.iter().rev().find_map(|act| match act.what {
            PersonDid::Severity(severity) => Some(severity),
            _ => None,
        });
        let owner = acts.iter().rev().find_map(|act| match &act.what {
            PersonDid::Owner(owner) => Some(owner.clone()),
            _ => None,
        });
        let seen = lost.first_act(is_of_staff);
        let status = lost.lead.fields.status;
        let seen = seen.or((status != TicketStatus::New).then_some(lost.created));
        let Some(entry) = self.state.incidents.get_mut(&id) else {
            return;
        };
        entry.state = IncidentState::Open;
        entry.severity = lost.severity;
        entry.needs_triage = lost.lead.memory.is_none();
        let memory = lost.lead.memory.as_ref();
        entry.basis = memory.map_or(Basis::Rule, |memory| memory.basis);
        if by_person.is_some() && by_person == lost.severity {
            entry.basis = Basis::Person;
        }
        if entry.basis == Basis::Person {
            (entry.person_severity, entry.person_facts) = (lost.severity, lost.severity);
        }
        entry.reason = format!("As ticket {} says.", lost.lead.remote.key);
        entry.reason_word = Reason::Rebuilt;
        entry.root = root;
        entry.opened_at = lost.since;
        entry.released_at = Some(lost.created);
        entry.acknowledged_at = seen.map(|at| at.min(now));
        entry.answered_at = lost.first_act(is_answer).map(|at| at.min(now));
        entry.owner = owner.unwrap_or_default();
        entry.waiting = status == TicketStatus::WaitingCustomer;
        entry.sensitive = lost.sensitive();
        if let Some(severity) = lost.severity {
            let effect = effect_of(severity);
            next_period(&mut entry.periods, effect, severity, lost.since);
        }
        if let Some(about) = about {
            entry.group = about.group;
            entry.hosts.clone_from(&about.hosts);
            entry.reported = !about.reported_by.is_empty();
            entry.reported_by.clone_from(&about.reported_by);
            entry.accounts.clone_from(&about.reported_by);
            entry.services.clone_from(&about.services);
            if entry.reported {
                self.state.reported.insert(id);
            }
            if let Some(group) = about.group {
                self.state.by_group.insert(group, id);
            }
            for host in &about.hosts {
                self.state.by_host.entry(*host).or_default().insert(id);
            }
        }
        self.state.touch_incident(id);
    }

    /// An alert whose words are gone: it is taken to fire until its sender says otherwise. If it was
    /// heard of since, it has an incident of its own, which is told.
    fn remember_alert(
        &mut self,
        incident: IncidentId,
        remembered: &RememberedAlert,
        lost: &Lost<'_>,
    ) -> Option<IncidentId> {
        if let Some(known) = self.state.by_key.get(&remembered.key) {
            let alert = self.state.alerts.get(known)?;
            let other = self.state.survivor(alert.incident?);
            let entry = self.state.incidents.get(&other)?;
            let same = other != incident && entry.state.is_open() && !entry.storm;
            return same.then_some(other);
        }
        let (source, element) = (&remembered.source, &remembered.element);
        let (source, element) = (self.state.intern(source), self.state.intern(element));
        let id = self.add_alert(remembered.key, |id| Alert {
            source,
            element,
            state: AlertState::Stale,
            hint: remembered.hint,
            kind: remembered.kind,
            sensitive: lost.sensitive(),
            severity: remembered.severity,
            ..Alert::unknown(id, remembered.key, lost.since)
        });
        self.join_element(id);
        self.enter(id, incident);
        None
    }

    /// The ticket is the incident's again; nothing in it is overwritten before the incident changes.
    fn take_ticket(&mut self, incident: IncidentId, found: &FoundTicket) {
        self.state.scalars.next_ticket += 1;
        self.state.dirty.scalars = true;
        let id = TicketId(self.state.scalars.next_ticket);
        let memory = found.memory.as_ref();
        let contract = memory.and_then(|memory| memory.contract.clone());
        let route = memory.map(|memory| memory.route.clone());
        let route = route.unwrap_or_else(|| self.route_to(&found.tracker));
        let ticket = WantedTicket {
            id,
            incident,
            language: self.language_of(&route, contract.as_deref()),
            contract,
            route,
            tracker: found.tracker.clone(),
            cycle: memory.map_or(1, |memory| memory.cycle),
            key: found.key.clone(),
            wanted: found.fields.clone(),
            version_wanted: 1,
            version_done: 1,
            last_written: Some(found.fields.clone()),
            last_read: Some(found.fields.clone()),
            remote: Some(found.remote.clone()),
            notes: Vec::new(),
            trouble: None,
            asked_at: found.created_at,
            shadow: false,
            alert: None,
            stands_in_for: None,
            also_when_over: false,
        };
        let remote = (found.tracker.clone(), found.remote.key.clone());
        self.state.by_remote.insert(remote, id);
        self.state.tickets.insert(id, ticket);
        let of = self.state.tickets_of.entry(incident).or_default();
        of.push(id);
        self.state.dirty.tickets.insert(id);
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.cycle = entry.cycle.max(memory.map_or(1, |memory| memory.cycle));
        }
        for act in &found.history {
            // A poll brings it again.
            let change = (found.tracker.clone(), act.change_id.clone());
            self.state.person_changes.insert(change);
        }
    }

    /// The first route that writes to a tracker.
    fn route_to(&self, tracker: &str) -> String {
        let mut routes = self.decisions.routes.iter();
        let route = routes.find(|route| route.tracker == tracker);
        route.map_or_else(|| Route::desk().name, |route| route.name.clone())
    }

    fn language_of(&self, route: &str, contract: Option<&str>) -> String {
        let contract = contract.and_then(|name| self.decisions.sla.contracts.get(name));
        let mut routes = self.decisions.routes.iter();
        match contract {
            Some(contract) => contract.locale.clone(),
            None => routes
                .find(|known| known.name == route)
                .map_or_else(|| Route::desk().language, |route| route.language.clone()),
        }
    }

    /// Whether the severity is the ticket's, and no recovery was heard of since: what is known of the
    /// alerts is less than what was.
    pub(super) fn stands_as_found(&self, id: IncidentId) -> bool {
        self.state.rebuilt.contains(&id)
    }

    /// From now on the severity follows what is known.
    pub(super) fn found_no_longer(&mut self, id: IncidentId) {
        if self.state.rebuilt.remove(&id) {
            self.drop_thing("rebuilt", format!("{:010}", id.0));
        }
    }

    /// Somebody is called, and a ticket says what has to be looked at.
    fn tell_rebuilt(&mut self, tickets: usize) {
        let text = format!(
            "The store was lost. {tickets} open tickets were taken over from the trackers; their \
             clocks are approximate, stored totals begin anew, and what was told to whom is not \
             known. Look at the open incidents; close those whose alerts ended meanwhile."
        );
        let group = group_hash(&["alertbridge", "rebuilt"]);
        if let Some(id) = self.open_group(group) {
            self.decide(id, Reason::Rebuilt, text.clone());
            self.note_tickets(id, &text, false);
            return;
        }
        let source = self.state.intern(OWN_SOURCE);
        let title = "The store was lost and rebuilt from open tickets";
        // Urgent: somebody is called until it was seen.
        let why = (Reason::Rebuilt, Severity::S2);
        let id = self.new_own(title, &text, why, (source, Some(group)));
        if let Some(entry) = self.state.incidents.get_mut(&id) {
            entry.needs_triage = true;
        }
        self.release(id);
    }
}

/// What a severity says of the effect, as long as nothing else does.
fn effect_of(severity: Severity) -> Effect {
    match severity {
        Severity::S1 | Severity::S2 => Tally::effect(SeverityHint::Outage),
        Severity::S3 => Effect::Degraded,
        Severity::S4 => Effect::AtRisk,
        Severity::S5 => Effect::Unknown,
    }
}
