//! What must not leave the bridge: which incidents are sensitive, and what is said of them instead.
//!
//! A source or a request says so at the door, before anything is stored. A rule or a route says so
//! here, once the journal has it: then what is stored is sealed again. Trackers and the log get the
//! number alone.

use super::{Engine, Route};
use crate::model::identity::AlertKey;
use crate::model::input::Message;
use crate::model::saved::TO_SEAL;
use crate::model::{Command, IncidentId};

pub(super) use crate::model::incident::WITHHELD;

impl Engine {
    /// What is sensitive is sealed: the texts, the incident, and the journal's row if it was written
    /// before anybody could know.
    pub(super) fn keep_secret(&mut self, seq: u64, message: &Message, key: AlertKey) {
        let Some(alert) = self.state.by_key.get(&key) else {
            return;
        };
        let Some(alert) = self.state.alerts.get(alert) else {
            return;
        };
        let (id, own) = (alert.id, alert.sensitive);
        let incident = alert.incident.map(|incident| self.state.survivor(incident));
        let entry = incident.and_then(|id| self.state.incidents.get(&id));
        let whole = entry.is_some_and(|incident| incident.sensitive);
        if !own && !whole {
            return;
        }
        if let Some(alert) = self.state.alerts.get_mut(&id) {
            alert.sensitive = true;
        }
        if let Some(text) = self.state.dirty.texts.get_mut(&id) {
            text.sensitive = true;
        }
        if !message.sensitive {
            self.save_thing(TO_SEAL, format!("{seq:020}"), &true);
        }
        if let Some(incident) = incident.filter(|_| !whole) {
            if message.sensitive {
                self.mark_sensitive(incident);
            } else {
                self.turn_sensitive(incident);
            }
        }
    }

    /// Sensitive from now on; nothing of it was stored in the clear.
    pub(super) fn mark_sensitive(&mut self, id: IncidentId) {
        if let Some(entry) = self.state.incidents.get_mut(&id).filter(|i| !i.sensitive) {
            entry.sensitive = true;
            self.state.touch_incident(id);
            self.sync_tickets(id);
        }
    }

    /// Sensitive after all: what is stored of it is sealed again.
    pub(super) fn turn_sensitive(&mut self, id: IncidentId) {
        if self.state.incidents.get(&id).is_some_and(|i| !i.sensitive) {
            self.state.dirty.seal.insert(id);
            self.mark_sensitive(id);
        }
    }

    /// A route may say that what goes through it is sensitive.
    pub(super) fn mark_by_route(&mut self, id: IncidentId) {
        let sensitive = |route: &Route| route.sensitive;
        if !self.decisions.routes.iter().any(sensitive) {
            return;
        }
        let Some(incident) = self.state.incidents.get(&id).cloned() else {
            return;
        };
        if self.routes_of(&incident).iter().any(sensitive) {
            self.turn_sensitive(id);
        }
    }

    /// A sentence of an incident for outside: trackers, the log.
    pub(super) fn outside(&self, id: IncidentId, text: &str) -> String {
        if self.state.incidents.get(&id).is_some_and(|i| i.sensitive) {
            WITHHELD.to_owned()
        } else {
            text.to_owned()
        }
    }

    /// A command for the audit: words about something sensitive are left out.
    pub(super) fn audited(&self, command: &Command) -> String {
        let mut told = command.clone();
        let (about, words) = match &mut told {
            Command::Request(request) if request.sensitive => {
                WITHHELD.clone_into(&mut request.summary);
                return told.to_string();
            }
            Command::Promise { incident, text, .. }
            | Command::Note { incident, text, .. }
            | Command::Resolve { incident, text, .. }
            | Command::SetSeverity { incident, text, .. }
            | Command::MarkSecurity { incident, text } => (*incident, text),
            _ => return told.to_string(),
        };
        let about = self.state.survivor(about);
        let incident = self.state.incidents.get(&about);
        if incident.is_some_and(|incident| incident.sensitive) {
            WITHHELD.clone_into(words);
        }
        told.to_string()
    }
}
