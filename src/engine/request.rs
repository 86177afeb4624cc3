//! What people bring in themselves: a customer's report or question, words by mail.

use super::{Engine, next_period};
use crate::model::incident::{Effect, IncidentState};
use crate::model::reason::Reason;
use crate::model::severity::{Basis, Category, Severity};
use crate::model::{IncidentId, PersonRequest, RequestKind};

impl Engine {
    /// A person's request, with what came of it for people.
    pub(super) fn request(&mut self, author: &str, request: &PersonRequest) -> String {
        let unknown = self.unknown_in(request);
        let done = match self.take_request(author, request, "") {
            (id, true) => format!("joined {id}"),
            (id, false) => format!("opened {id}"),
        };
        done + &unknown
    }

    /// What a person may have mistyped. The request counts all the same: whoever reports may be new.
    fn unknown_in(&self, request: &PersonRequest) -> String {
        let inventory = &self.decisions.inventory;
        if inventory.is_empty() {
            return String::new();
        }
        let mut contracts = self.decisions.sla.contracts.values();
        let known = inventory
            .account_names()
            .any(|name| name == request.account)
            || contracts.any(|contract| contract.accounts.contains(&request.account));
        let mut told = String::new();
        if !known {
            told += &format!(
                "; no account `{}` is known: is it written like that?",
                request.account
            );
        }
        if let Some(service) = &request.service
            && inventory.service(service).is_none()
        {
            told +=
                &format!("; the inventory has no service `{service}`: is it written like that?");
        }
        told
    }

    /// A person's request joins the open incident that hits its service (`true`); else it is one
    /// itself.
    pub(super) fn take_request(
        &mut self,
        author: &str,
        request: &PersonRequest,
        topic: &str,
    ) -> (IncidentId, bool) {
        let oldest = self.state.now.minus(self.decisions.settings.back_dating);
        let reported_at = request.reported_at.max(oldest);
        let hit = request.service.as_ref().and_then(|service| {
            self.state
                .incidents
                .values()
                .find(|i| i.state.is_open() && i.services.contains(service))
                .map(|i| i.id)
        });
        if let Some(id) = hit {
            if let Some(entry) = self.state.incidents.get_mut(&id) {
                entry.reported = true;
                entry.reported_by_account(&request.account);
                if !entry.accounts.contains(&request.account) {
                    entry.accounts.push(request.account.clone());
                }
                entry.opened_at = entry.opened_at.min(reported_at);
            }
            if request.sensitive {
                self.mark_sensitive(id);
            }
            let text = format!("Reported by {}: {}", request.account, request.summary);
            self.decide_by(id, Reason::Reported, text.clone(), author);
            self.state.reported.insert(id);
            // A customer's report ends vote, silence and hold.
            self.review_votes(id);
            if self.incident_state(id) == Some(IncidentState::Held) {
                self.release(id);
            }
            self.note_tickets(id, &text, false);
            self.give_if_urgent(id);
            let now = self.state.now;
            self.follow_cases(id, now);
            return (id, true);
        }
        let source = self.state.intern("request");
        let (category, severity, effect) = match request.kind {
            RequestKind::Outage => (Category::Incident, Some(Severity::S2), Effect::Down),
            RequestKind::Degradation => (Category::Incident, Some(Severity::S3), Effect::Degraded),
            RequestKind::Provisioning => (Category::Provisioning, None, Effect::Unknown),
            RequestKind::Inquiry => (Category::Inquiry, Some(Severity::S3), Effect::Unknown),
        };
        let id = self.new_incident(&request.summary, source, category);
        if let Some(entry) = self.state.incidents.get_mut(&id) {
            entry.severity = severity;
            entry.person_severity = severity;
            entry.person_facts = severity;
            entry.basis = Basis::Person;
            entry.reported = true;
            entry.reported_by_account(&request.account);
            entry.sensitive = request.sensitive;
            topic.clone_into(&mut entry.topic);
            entry.opened_at = entry.opened_at.min(reported_at);
            entry.accounts = vec![request.account.clone()];
            entry.services = request.service.iter().cloned().collect();
            entry.parties_hit = 1;
            entry.reason = format!("Reported by {} ({author}).", request.account);
            entry.reason_word = Reason::Reported;
            if let Some(severity) = severity {
                next_period(&mut entry.periods, effect, severity, entry.opened_at);
            }
        }
        let text = format!("{}: {}", request.account, request.text);
        self.decide_by(id, Reason::Reported, text, author);
        self.state.reported.insert(id);
        self.release(id);
        (id, false)
    }
}
