//! Calls: an S1 or S2 that nobody has looked at calls the first level, again and again, and the next
//! level after a while, until somebody answers. Any human act on the incident is an answer, and so is
//! the pager's word. Everything less calls nobody.

use super::Engine;
use super::state::Wake;
use super::telling::Tell;
use crate::model::incident::IncidentState;
use crate::model::outgoing::{NoticeFacts, NoticeKind, Page, Way};
use crate::model::reason::Reason;
use crate::model::{IncidentId, NoticeId, Severity};
use crate::notices::plan::Reader;
use std::collections::BTreeMap;

/// Most calls that are unanswered at once; past it nobody needs a further one to know.
const PAGES_MAX: usize = 10;

impl Engine {
    /// Whether somebody is called is decided once an input is applied.
    pub(super) fn review_pages(&mut self) {
        for id in std::mem::take(&mut self.state.telling.review) {
            self.review_page(id);
        }
    }

    fn review_page(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incidents.get(&id) else {
            return;
        };
        let urgent = matches!(incident.severity, Some(Severity::S1 | Severity::S2));
        let open = incident.state == IncidentState::Open;
        let unseen = incident.acknowledged_at.is_none();
        match self.state.telling.pages.contains_key(&id) {
            true if !open => self.end_page(id, "it is over"),
            true if !urgent => self.end_page(id, "it is no longer urgent"),
            false if open && urgent && unseen => {
                let why = incident.reason.clone();
                let chain = self.chain_of(id);
                self.begin_page(id, chain, 1, why);
            }
            _ => {}
        }
    }

    /// Who is called, level by level: by the policy of the worst case, else whoever is on call.
    fn chain_of(&self, id: IncidentId) -> Vec<String> {
        let plan = &self.decisions.notices;
        let cases = self.case_keys(id, None);
        let worst = cases
            .iter()
            .filter_map(|key| self.state.cases.get(key))
            .min_by_key(|case| case.severity.unwrap_or(u8::MAX));
        let contract = worst.and_then(|case| self.decisions.sla.contracts.get(&case.contract));
        let levels: Vec<String> = contract
            .map_or(&[][..], |contract| contract.levels.as_slice())
            .iter()
            .map(|level| level.contact.clone())
            .collect();
        let known = |name: &String| plan.contacts.contains_key(name);
        if !levels.is_empty() && levels.iter().all(known) {
            levels
        } else {
            plan.on_call.clone()
        }
    }

    fn begin_page(&mut self, id: IncidentId, chain: Vec<String>, level: usize, why: String) {
        let plan = self.decisions.notices.clone();
        if !plan.is_on() || chain.is_empty() {
            return;
        }
        let severity = self.state.incidents.get(&id).and_then(|i| i.severity);
        if self.state.telling.pages.len() >= PAGES_MAX && severity != Some(Severity::S1) {
            let text = format!("{PAGES_MAX} calls are unanswered: no further one for this.");
            self.state.tell(id, Reason::Paged, text);
            return;
        }
        let now = self.state.now;
        let page = Page {
            incident: id,
            number: self.state.cursor,
            level: level.clamp(1, chain.len()),
            chain,
            began_at: now,
            repeat_at: now.plus(plan.page_every),
            next_level_at: now.plus(plan.next_level_after),
            repeats: 0,
            why,
            calls: BTreeMap::new(),
        };
        let text = format!(
            "Calls {}.",
            page.chain.get(..page.level).unwrap_or(&[]).join(", ")
        );
        self.wake(page.repeat_at.min(page.next_level_at), Wake::Page(id));
        self.save_thing("page", format!("{:012}", id.0), &page);
        self.state.telling.pages.insert(id, page);
        self.decide(id, Reason::Paged, text);
        self.call(id);
    }

    /// Calls everybody up to the level in force.
    fn call(&mut self, id: IncidentId) {
        let plan = self.decisions.notices.clone();
        let Some(page) = self.state.telling.pages.get(&id).cloned() else {
            return;
        };
        let Some(incident) = self.state.incidents.get(&id) else {
            return;
        };
        let title = if incident.sensitive {
            String::new()
        } else {
            incident.title.clone()
        };
        let facts = NoticeFacts {
            reference: id.to_string(),
            title,
            severity: incident.severity.map(Severity::number),
            text: if incident.sensitive {
                String::new()
            } else {
                page.why.clone()
            },
            at: self.state.now,
            since: Some(incident.opened_at),
            level: u8::try_from(page.level).unwrap_or(u8::MAX),
            ..NoticeFacts::default()
        };
        let mut anybody = false;
        for (place, name) in page.chain.iter().take(page.level).enumerate() {
            let Some(contact) = plan.contacts.get(name) else {
                continue;
            };
            let readers = crate::notices::plan::readers_of(contact);
            let tell = Tell {
                kind: NoticeKind::Page,
                incident: Some(id),
                thread: format!("{id}/page/{}", page.number),
                stage: format!("{place}/{}", page.repeats),
                facts: facts.clone(),
                readers: &readers,
                send_at: None,
            };
            if contact.pager.is_empty() {
                self.tell(&tell);
                anybody |= plan.mail && !readers.is_empty();
            } else {
                let reader = Reader::staff(&contact.pager, contact);
                if let Some(call) = self.want_notice(&tell, &reader, Way::Pager)
                    && let Some(page) = self.state.telling.pages.get_mut(&id)
                {
                    page.calls.insert(contact.pager.clone(), call);
                }
                anybody = true;
            }
        }
        if let Some(page) = self.state.telling.pages.get(&id).cloned() {
            self.save_thing("page", format!("{:012}", id.0), &page);
        }
        if !anybody {
            let nobody = format!("nobody can be called for {id}");
            self.tell_unaddressed(Some(id), &id.to_string(), &[nobody]);
        }
    }

    /// Time to call again, or the next level as well.
    pub(super) fn page_due(&mut self, id: IncidentId) {
        let plan = self.decisions.notices.clone();
        let now = self.state.now;
        let Some(page) = self.state.telling.pages.get_mut(&id) else {
            return;
        };
        let mut said = None;
        if page.next_level_at <= now {
            page.next_level_at = now.plus(plan.next_level_after);
            if page.level < page.chain.len() {
                page.level += 1;
                said = page.chain.get(page.level - 1).cloned();
            }
        }
        if page.repeat_at > now && said.is_none() {
            let at = page.repeat_at.min(page.next_level_at);
            self.wake(at, Wake::Page(id));
            return;
        }
        page.repeats += 1;
        page.repeat_at = now.plus(plan.page_every);
        let at = page.repeat_at.min(page.next_level_at);
        let page = page.clone();
        self.wake(at, Wake::Page(id));
        self.save_thing("page", format!("{:012}", id.0), &page);
        if let Some(name) = said {
            let text = format!("No answer: calls {name} as well.");
            self.decide(id, Reason::Paged, text);
        }
        self.drop_waiting_calls(id, "called again");
        self.call(id);
    }

    /// A call that did not get out: nobody waits for its time.
    pub(super) fn call_next_level(&mut self, id: IncidentId) {
        let now = self.state.now;
        let Some(page) = self.state.telling.pages.get_mut(&id) else {
            return;
        };
        let old = page.repeat_at.min(page.next_level_at);
        if page.level < page.chain.len() {
            page.next_level_at = now;
            self.state.rewake(Some(old), Some(now), Wake::Page(id));
        }
    }

    /// An escalation calls its level, also when somebody had answered an earlier call.
    pub(super) fn call_level(&mut self, id: IncidentId, contact: &str) {
        let severity = self.state.incidents.get(&id).and_then(|i| i.severity);
        let urgent = matches!(severity, Some(Severity::S1 | Severity::S2));
        if !urgent || !self.decisions.notices.contacts.contains_key(contact) {
            return;
        }
        let why = self
            .state
            .incidents
            .get(&id)
            .map_or_else(String::new, |i| i.reason.clone());
        match self.state.telling.pages.get_mut(&id) {
            Some(page) => {
                let place = page.chain.iter().position(|name| name == contact);
                let level = place.map_or_else(
                    || {
                        page.chain.push(contact.to_owned());
                        page.chain.len()
                    },
                    |place| place + 1,
                );
                if level > page.level {
                    page.level = level;
                    page.repeats += 1;
                    let page = page.clone();
                    self.save_thing("page", format!("{:012}", id.0), &page);
                    self.call(id);
                }
            }
            None => self.begin_page(id, vec![contact.to_owned()], 1, why),
        }
    }

    /// A person did something about an incident: that answers its call.
    pub(super) fn page_answered(&mut self, id: IncidentId, by: &str) {
        if self.state.telling.pages.contains_key(&id) {
            self.decide_by(id, Reason::PageAnswered, format!("{by} answered."), by);
            self.end_page(id, &format!("{by} answered"));
        }
    }

    /// The pager says that somebody answered: the first human act, and nothing a customer can see.
    pub(super) fn page_answered_at_pager(&mut self, call: NoticeId, by: &str) {
        let pages = self.state.telling.pages.values();
        let mut asked = pages.filter(|page| page.calls.values().any(|(id, _)| *id == call));
        let Some(id) = asked.next().map(|page| page.incident) else {
            return;
        };
        if self.incident_state(id).is_some_and(IncidentState::is_open) {
            self.acknowledge(id, by);
            self.tell_cases(id, None, &super::people::note());
        }
    }

    fn drop_waiting_calls(&mut self, id: IncidentId, why: &str) {
        self.drop_notices(why, |notice| {
            notice.incident == Some(id) && notice.kind == NoticeKind::Page
        });
    }

    fn end_page(&mut self, id: IncidentId, why: &str) {
        let Some(page) = self.state.telling.pages.remove(&id) else {
            return;
        };
        let at = page.repeat_at.min(page.next_level_at);
        self.state.wakes.remove(&(at, Wake::Page(id)));
        self.drop_thing("page", format!("{:012}", id.0));
        self.drop_waiting_calls(id, why);
        let plan = self.decisions.notices.clone();
        let over = self.incident_state(id) != Some(IncidentState::Open);
        let mut ended = Vec::new();
        for name in page.chain.iter().take(page.level) {
            let Some(contact) = plan.contacts.get(name).filter(|c| !c.pager.is_empty()) else {
                continue;
            };
            if ended.contains(&contact.pager) {
                continue;
            }
            ended.push(contact.pager.clone());
            let tell = Tell {
                kind: NoticeKind::PageEnded,
                incident: Some(id),
                thread: format!("{id}/page/{}", page.number),
                stage: if over { "resolved" } else { "acknowledged" }.to_owned(),
                facts: NoticeFacts {
                    reference: id.to_string(),
                    reason: if over { "resolved" } else { "acknowledged" }.to_owned(),
                    text: why.to_owned(),
                    at: self.state.now,
                    ..NoticeFacts::default()
                },
                readers: &[],
                send_at: None,
            };
            let reader = Reader::staff(&contact.pager, contact);
            self.want_notice(&tell, &reader, Way::Pager);
        }
    }

    /// Loads one row.
    pub(super) fn restore_page(&mut self, page: Page) {
        let at = page.repeat_at.min(page.next_level_at);
        self.state.wakes.insert((at, Wake::Page(page.incident)));
        self.state.telling.pages.insert(page.incident, page);
    }
}
