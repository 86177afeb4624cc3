//! What people write by mail: an answer to a ticket, a request, a question of their own. The door
//! says who wrote it and believes them; here it is decided for whom they may speak.

use super::Engine;
use super::correlate::group_hash;
use super::people::customer_wrote;
use crate::model::incident::Incident;
use crate::model::input::Message;
use crate::model::notice::{Asked, Author, Reply, Speaker};
use crate::model::reason::Reason;
use crate::model::{IncidentId, PersonRequest};

impl Engine {
    /// Words of a person by mail.
    pub(super) fn apply_reply(&mut self, message: &Message, reply: &Reply) {
        if self.was_heard(reply) {
            return;
        }
        let author = message.author.clone().unwrap_or_default();
        let about = self.incident_of(reply);
        match about.filter(|id| self.may_write(&author, *id)) {
            Some(id) => self.add_words(message, id, &author, reply),
            None => self.own_words(message, &author, reply, about),
        }
    }

    /// The incident that a mail answers: by the message ids it refers to, nearest first, else by
    /// the tag in its subject.
    fn incident_of(&self, reply: &Reply) -> Option<IncidentId> {
        let by_reference = reply.refers_to.iter().find_map(|id| self.by_message_id(id));
        let by_tag = || self.by_tag(reply.ticket_tag.as_deref()?);
        let found = by_reference.or_else(by_tag)?;
        Some(self.state.survivor(found))
    }

    /// Ours are `t` and the incident's number, or a ticket's key, then a dot and what tells the
    /// letter from others.
    fn by_message_id(&self, id: &str) -> Option<IncidentId> {
        let (local, _) = id.split_once('@')?;
        let first = local.split('.').next().unwrap_or(local);
        let number = first.strip_prefix('t').and_then(|n| n.parse().ok());
        number
            .map(|number| self.state.survivor(IncidentId(number)))
            .filter(|id| self.state.incidents.contains_key(id))
            .or_else(|| self.by_ticket_key(first))
    }

    fn by_tag(&self, tag: &str) -> Option<IncidentId> {
        let tag = tag.trim_start_matches('#');
        let id: Option<IncidentId> = tag.parse().ok();
        id.filter(|id| self.state.incidents.contains_key(id))
            .or_else(|| self.by_ticket_key(tag))
    }

    /// The incident of a ticket by its number or key in any tracker.
    fn by_ticket_key(&self, key: &str) -> Option<IncidentId> {
        let mut found = self.state.by_remote.iter();
        let (_, ticket) = found.find(|((_, remote), _)| remote == key)?;
        self.state.tickets.get(ticket).map(|t| t.incident)
    }

    /// Our own people write on every incident, customers on those that hit them. Where the door
    /// believes everybody, a reference to our mail is enough.
    fn may_write(&self, author: &Author, id: IncidentId) -> bool {
        match (author.speaker, &author.account) {
            (Speaker::Engineer | Speaker::Unknown, _) => true,
            (Speaker::Monitor, _) | (Speaker::Customer, None) => false,
            (Speaker::Customer, Some(account)) => self
                .state
                .incidents
                .get(&id)
                .is_some_and(|incident| self.hits(incident, account)),
        }
    }

    /// Whether an incident is a case of an account, or of one that it manages.
    fn hits(&self, incident: &Incident, account: &str) -> bool {
        let inventory = &self.decisions.inventory;
        let mut named = incident.accounts.iter();
        // Both lists are cut at some length; an account may be in one of them only.
        let mut services = incident.services.iter();
        named.any(|hit| inventory.speaks_for(account, hit))
            || services.any(|service| inventory.subscribes(account, service))
    }

    fn add_words(&mut self, message: &Message, id: IncidentId, author: &Author, reply: &Reply) {
        if message.sensitive {
            self.mark_sensitive(id);
        }
        if author.speaker == Speaker::Engineer {
            self.staff_wrote(id, reply);
            return;
        }
        let text = format!("Mail from {}: {}", reply.from, reply.text);
        self.wait(id, false, &reply.from);
        self.log_customer(id, author);
        self.decide_by(id, Reason::Note, text.clone(), &reply.from);
        self.note_tickets(id, &text, false);
    }

    /// A customer wrote: that happened to the cases of those for whom it speaks. Where the door
    /// believes everybody, nobody knows whose they are, and it happened to all.
    fn log_customer(&mut self, id: IncidentId, author: &Author) {
        let Some(account) = author.account.as_deref() else {
            self.tell_cases(id, None, &customer_wrote());
            return;
        };
        for (_, name) in self.case_keys(id, None) {
            if self.is_contract_of(account, &name) {
                self.tell_cases(id, Some(&name), &customer_wrote());
            }
        }
    }

    /// Whether an account, or one that it manages, has a part in a contract.
    fn is_contract_of(&self, account: &str, contract: &str) -> bool {
        let sla = &self.decisions.sla;
        let own = sla.contracts_of(account);
        own.iter().any(|own| own.name == contract)
            || sla.contracts.get(contract).is_some_and(|contract| {
                let inventory = &self.decisions.inventory;
                let mut accounts = contract.accounts.iter();
                accounts.any(|other| inventory.speaks_for(account, other))
            })
    }

    /// A request or question of its own. `refused` is the incident it names and may not write on.
    fn own_words(
        &mut self,
        message: &Message,
        author: &Author,
        reply: &Reply,
        refused: Option<IncidentId>,
    ) {
        let group = group_hash(&["words", &reply.from, &without_digits(&reply.subject)]);
        if author.asked.is_none()
            && let Some(id) = self.state.by_group.get(&group).copied()
            && self.incident_state(id).is_some_and(|state| state.is_open())
        {
            self.add_words(message, id, author, reply);
            return;
        }
        let (request, doubts) = self.request_of(message, author, reply, refused);
        let (id, joined) = self.take_request(&reply.from, &request, &author.topic);
        if let Some(entry) = self.state.incidents.get_mut(&id) {
            entry.needs_triage |= !doubts.is_empty();
            if !joined {
                entry.group = Some(group);
            }
        }
        if !joined {
            self.state.by_group.insert(group, id);
        }
        self.state.touch_incident(id);
        for doubt in doubts {
            self.decide(id, Reason::Note, doubt);
        }
        self.tell_received(message, author, (reply, &request.account), id);
    }

    /// The request in our words, and what a person has to look at.
    fn request_of(
        &self,
        message: &Message,
        author: &Author,
        reply: &Reply,
        refused: Option<IncidentId>,
    ) -> (PersonRequest, Vec<String>) {
        let mut doubts = Vec::new();
        if let Some(id) = refused {
            doubts.push(format!(
                "The mail names {id}, which is not {}'s: it was not added there.",
                reply.from
            ));
        }
        let own = message
            .account
            .clone()
            .unwrap_or_else(|| reply.from.clone());
        let asked = author.asked.clone().unwrap_or_else(Asked::inquiry);
        doubts.extend(asked.problems);
        let account = match asked.account {
            Some(other) if !self.may_report_for(author, &own, &other) => {
                doubts.push(format!("{} may not report for `{other}`.", reply.from));
                own
            }
            Some(other) => other,
            None => own,
        };
        let service = asked.service.filter(|service| {
            let inventory = &self.decisions.inventory;
            let is_theirs = author.speaker == Speaker::Engineer && inventory.has_service(service)
                || inventory.subscribes(&account, service);
            if !is_theirs {
                doubts.push(format!("`{service}` is no service of `{account}`."));
            }
            is_theirs
        });
        let now = self.state.now;
        let request = PersonRequest {
            account,
            service,
            kind: asked.kind,
            reported_at: asked.reported_at.unwrap_or(now).min(now),
            summary: reply.subject.clone(),
            text: reply.text.clone(),
            sensitive: message.sensitive || asked.sensitive,
        };
        (request, doubts)
    }

    fn may_report_for(&self, author: &Author, own: &str, other: &str) -> bool {
        author.speaker == Speaker::Engineer || self.decisions.inventory.speaks_for(own, other)
    }
}

/// A subject without its numbers: a desk that answers with a new number each time writes about
/// the same matter.
fn without_digits(subject: &str) -> String {
    subject
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .collect::<String>()
        .to_lowercase()
}
