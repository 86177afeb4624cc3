//! Security messages: a rule or a person marks an incident, a person releases the message. Until then
//! customers hear nothing of the incident; with the release everybody who is hit reads it, users of
//! managed accounts directly.

use super::Engine;
use super::telling::Tell;
use crate::model::outgoing::{NoticeFacts, NoticeKind};
use crate::model::reason::Reason;
use crate::model::text::bounded;
use crate::model::{IncidentId, SecurityId, Time};
use crate::notices::plan::Matter;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Longest text of a message, bytes.
const TEXT_BYTES_MAX: usize = 8000;

/// A security message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityMessage {
    /// Our number.
    pub id: SecurityId,
    /// The incident.
    pub incident: IncidentId,
    /// What those who are hit should read; empty: a person has to write it.
    pub text: String,
    /// Who marked it: a person, or a rule's name.
    pub marked_by: String,
    /// When.
    pub marked_at: Time,
    /// `waiting`, `released` or `dropped`.
    pub state: String,
    /// Who released or dropped it.
    pub ended_by: String,
    /// When.
    pub ended_at: Option<Time>,
    /// Contracts that were told.
    pub contracts: Vec<String>,
}

impl Engine {
    /// Marks an incident; once while a message of it waits.
    pub(super) fn mark_security(
        &mut self,
        incident: IncidentId,
        text: &str,
        author: &str,
    ) -> Result<String, String> {
        let incident = self.known_incident(incident)?;
        if let Some(known) = self.waiting_security(incident) {
            return Err(format!("{known} of {incident} waits already"));
        }
        let id = self.next_security();
        let message = SecurityMessage {
            id,
            incident,
            text: bounded(text, TEXT_BYTES_MAX),
            marked_by: author.to_owned(),
            marked_at: self.state.now,
            state: "waiting".to_owned(),
            ended_by: String::new(),
            ended_at: None,
            contracts: Vec::new(),
        };
        self.remember_mark(incident);
        self.save_thing("security", key_of(id), &message);
        self.state.telling.security.insert(id, message);
        let say = format!(
            "{id}: marked as security by {author}. Customers hear nothing of {incident} until \
             `alertbridge security release {id}` or `drop`."
        );
        self.decide_by(incident, Reason::SecurityMarked, say.clone(), author);
        self.note_tickets(incident, &say, false);
        Ok(format!("{id} waits for a person to release it"))
    }

    /// The message of an incident that waits.
    pub(super) fn waiting_security(&self, incident: IncidentId) -> Option<SecurityId> {
        let messages = self.state.telling.security.values();
        messages
            .filter(|message| self.state.survivor(message.incident) == incident)
            .map(|message| message.id)
            .next()
    }

    /// A rule marks what it matches, once for each incident; a person writes the text.
    pub(super) fn mark_judged(&mut self, incident: IncidentId, judged: &super::correlate::Judged) {
        let Some(rule) = &judged.security else {
            return;
        };
        let incident = self.state.survivor(incident);
        if self.state.telling.marked.contains(&incident) {
            return;
        }
        // Marked by a person already: that message waits.
        let _ = self.mark_security(incident, "", &format!("rule {rule}"));
    }

    /// A mark is remembered for the incident's life.
    fn remember_mark(&mut self, incident: IncidentId) {
        if self.state.telling.marked.insert(incident) {
            self.save_thing("security_marked", format!("{:012}", incident.0), &incident);
        }
    }

    /// The incident leaves memory, and what is remembered of it.
    pub(super) fn forget_mark(&mut self, incident: IncidentId) {
        if self.state.telling.marked.remove(&incident) {
            self.drop_thing("security_marked", format!("{:012}", incident.0));
        }
    }

    pub(super) fn release_security(
        &mut self,
        id: SecurityId,
        text: &str,
        author: &str,
    ) -> Result<String, String> {
        let mut message = self.security(id)?;
        if !text.trim().is_empty() {
            message.text = bounded(text, TEXT_BYTES_MAX);
        }
        if message.text.trim().is_empty() {
            return Err(format!("{id} has no text yet: give one with the release"));
        }
        let incident = self.state.survivor(message.incident);
        message.contracts = self.tell_security(&message, incident);
        let count = message.contracts.len();
        self.end_security(message, "released", author);
        let say = format!("{id} released by {author} to {count} contracts.");
        if self.state.incidents.contains_key(&incident) {
            self.decide_by(incident, Reason::SecurityReleased, say.clone(), author);
            self.note_tickets(incident, &say, false);
            self.hear_now(incident);
        }
        Ok(say)
    }

    pub(super) fn drop_security(
        &mut self,
        id: SecurityId,
        why: &str,
        author: &str,
    ) -> Result<String, String> {
        let message = self.security(id)?;
        let incident = self.state.survivor(message.incident);
        self.end_security(message, "dropped", author);
        if self.state.incidents.contains_key(&incident) {
            let say = format!("{id} dropped by {author}: {why}");
            self.decide_by(incident, Reason::SecurityReleased, say, author);
            self.hear_now(incident);
        }
        Ok(format!("{id} dropped"))
    }

    fn security(&self, id: SecurityId) -> Result<SecurityMessage, String> {
        let found = self.state.telling.security.get(&id);
        found.cloned().ok_or_else(|| format!("{id} does not wait"))
    }

    fn end_security(&mut self, mut message: SecurityMessage, state: &str, author: &str) {
        state.clone_into(&mut message.state);
        author.clone_into(&mut message.ended_by);
        message.ended_at = Some(self.state.now);
        self.state.telling.security.remove(&message.id);
        self.drop_thing("security", key_of(message.id));
        self.save_thing("security_over", key_of(message.id), &message);
    }

    /// What was withheld while the message waited.
    fn hear_now(&mut self, incident: IncidentId) {
        for key in self.case_keys(incident, None) {
            self.tell_case_changed(&key);
        }
    }

    /// Everybody who is hit; without impact data, all accounts of the affected services. The
    /// contracts that were told.
    fn tell_security(&mut self, message: &SecurityMessage, incident: IncidentId) -> Vec<String> {
        let plan = self.decisions.notices.clone();
        let sla = self.decisions.sla.clone();
        let Some(entry) = self.state.incidents.get(&incident) else {
            return Vec::new();
        };
        let inventory = self.decisions.inventory.clone();
        let mut accounts: BTreeSet<String> = entry.accounts.iter().cloned().collect();
        if accounts.is_empty() {
            let services = entry.services.iter();
            accounts.extend(services.flat_map(|s| inventory.accounts_of(s).iter().cloned()));
        }
        let services = entry.services.clone();
        let mut contracts = BTreeMap::new();
        for account in &accounts {
            for contract in sla.contracts_of(account) {
                contracts.insert(contract.name.clone(), contract.clone());
            }
        }
        let mut nobody = Vec::new();
        if contracts.is_empty() {
            nobody.push(format!("{} concerns no account that is known", message.id));
        }
        for contract in contracts.values() {
            let impacted = |account: &str| accounts.contains(account);
            let told = plan.readers(&sla, contract, Matter::Security, impacted);
            let own = |account: &String| contract.accounts.contains(account);
            let facts = NoticeFacts {
                reference: message.id.to_string(),
                contract: contract.name.clone(),
                services: services
                    .iter()
                    .filter(|s| inventory.accounts_of(s).iter().any(own))
                    .cloned()
                    .collect(),
                text: message.text.clone(),
                at: self.state.now,
                ..NoticeFacts::default()
            };
            self.tell(&Tell {
                kind: NoticeKind::Security,
                incident: Some(incident),
                thread: message.id.to_string(),
                stage: contract.name.clone(),
                facts,
                readers: &told.readers,
                send_at: None,
            });
            nobody.extend(told.nobody);
        }
        self.tell_unaddressed(Some(incident), &message.id.to_string(), &nobody);
        contracts.into_keys().collect()
    }

    /// Loads one row.
    pub(super) fn restore_security(&mut self, message: SecurityMessage) {
        self.state.telling.security.insert(message.id, message);
    }
}

fn key_of(id: SecurityId) -> String {
    format!("{:012}", id.0)
}
