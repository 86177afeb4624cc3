//! What carriers announce: which of their notices counts, and the windows that it becomes.

use super::Engine;
use super::correlate::{belongs_to, group_hash};
use super::state::{Wake, Window};
use crate::inventory::ElementId;
use crate::model::input::Message;
use crate::model::notice::{
    MaintenanceImpact, MaintenanceNotice, MaintenanceStatus, NO_OBJECT, NO_WINDOW,
};
use crate::model::reason::Reason;
use crate::model::{IncidentId, Time};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The kind of rows that remember the order of notices.
pub(super) const NOTICE_SEEN: &str = "carrier_notice";
/// How long the order of a maintenance's notices is remembered after the last of them.
const REMEMBERED: Duration = Duration::from_secs(120 * 86_400);
/// Most maintenances whose order is remembered.
const REMEMBERED_MAX: usize = 20_000;

/// Provider and maintenance id.
pub type NoticeName = (String, String);

/// The last notice of a maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeSeen {
    /// Its sequence.
    pub sequence: i64,
    /// When it came.
    pub at: Time,
}

impl Engine {
    /// A carrier's notice becomes windows on the inventory's circuits; an older sequence never
    /// wins, and what is unclear goes to a person.
    pub(super) fn apply_notice(&mut self, message: &Message, notice: &MaintenanceNotice) {
        // What one account announces neither moves nor ends what another does.
        let provider = match &message.account {
            Some(account) => format!("{account}/{}", notice.provider),
            None => notice.provider.clone(),
        };
        let name = (provider, notice.maintenance_id.clone());
        if !self.is_newest(&name, notice.sequence) {
            return;
        }
        let over = matches!(
            notice.status,
            MaintenanceStatus::Cancelled | MaintenanceStatus::Completed
        );
        let moved = notice.status == MaintenanceStatus::Rescheduled;
        // A reminder, a beginning: what was announced stands.
        let keeps = notice.windows.is_empty() && !over && !moved;
        let mut announced = self.state.windows.values();
        let known = announced.any(|window| window.notice.as_ref() == Some(&name));
        let is_known = |why: &str| known && (why == NO_OBJECT || (why == NO_WINDOW && keeps));
        let unclear: Vec<&str> = notice
            .unclear
            .iter()
            .map(String::as_str)
            .filter(|why| !is_known(why))
            .collect();
        if !unclear.is_empty() {
            let title = format!("Unclear maintenance notice from {}", notice.provider);
            let text = format!("{}: {}", notice.summary, unclear.join("; "));
            self.ask_person(message, ("unclear notice", &name), &title, &text);
        }
        if keeps {
            return;
        }
        let before = self.take_away(&name);
        if over {
            let done = notice.status == MaintenanceStatus::Completed;
            self.tell_replanned(&name, &[], Some(done));
        } else {
            self.plan(message, notice, name, before);
        }
        self.review_all_quiet();
        self.review_maintenance();
    }

    /// Whether no later notice of a maintenance came before, be its windows still there or not.
    fn is_newest(&mut self, name: &NoticeName, sequence: i64) -> bool {
        let announced = self.state.windows.values();
        let mut announced = announced.filter(|w| w.notice.as_ref() == Some(name));
        let seen = self.state.carrier_notices.get(name);
        if seen.is_some_and(|seen| seen.sequence > sequence)
            || announced.any(|window| window.sequence > sequence)
        {
            return false;
        }
        let now = self.state.now;
        let known = &self.state.carrier_notices;
        let mut gone: Vec<NoticeName> = known
            .iter()
            .filter(|(_, seen)| now.since(seen.at) > REMEMBERED)
            .map(|(name, _)| name.clone())
            .collect();
        if known.len() - gone.len() >= REMEMBERED_MAX {
            let oldest = known.iter().min_by_key(|(_, seen)| seen.at);
            gone.extend(oldest.map(|(name, _)| name.clone()));
        }
        for name in gone {
            self.state.carrier_notices.remove(&name);
            self.drop_thing(NOTICE_SEEN, notice_key(&name));
        }
        let seen = NoticeSeen { sequence, at: now };
        self.save_thing(NOTICE_SEEN, notice_key(name), &seen);
        self.state.carrier_notices.insert(name.clone(), seen);
        true
    }

    /// Takes away the windows of a maintenance; the elements that they named.
    fn take_away(&mut self, name: &NoticeName) -> Vec<String> {
        let windows = self.state.windows.values();
        let gone: Vec<Window> = windows
            .filter(|window| window.notice.as_ref() == Some(name))
            .cloned()
            .collect();
        let mut elements = Vec::new();
        for window in gone {
            self.state.windows.remove(&window.id);
            for at in [window.until, window.from] {
                let wake = Wake::WindowEdge(window.id);
                self.state.wakes.remove(&(at, wake));
            }
            self.drop_thing("window", format!("{:010}", window.id.0));
            elements = window.elements;
        }
        elements
    }

    /// The windows of a notice. `before` are the elements that its last one named: a new date is
    /// often told without them.
    fn plan(
        &mut self,
        message: &Message,
        notice: &MaintenanceNotice,
        name: NoticeName,
        before: Vec<String>,
    ) {
        let elements = match notice.objects.is_empty() {
            true => before,
            false => self.planned(message, notice, &name),
        };
        let mut kept = Vec::new();
        for span in &notice.windows {
            let Some(until) = span.ends_at else { continue };
            if until <= self.state.now {
                continue;
            }
            let window = Window {
                id: self.next_window(),
                matchers: Vec::new(),
                elements: elements.clone(),
                reason: format!("{} {}", notice.provider, notice.summary),
                author: message.source.clone(),
                from: span.starts_at,
                until,
                notice: Some(name.clone()),
                sequence: notice.sequence,
            };
            let id = window.id;
            self.keep_window(window);
            self.warn_of_overlap(id);
            kept.push(id);
        }
        self.tell_replanned(&name, &kept, None);
    }

    /// The elements that a notice hits. What it says will not be hit is nothing that it explains.
    fn planned(
        &mut self,
        message: &Message,
        notice: &MaintenanceNotice,
        name: &NoticeName,
    ) -> Vec<String> {
        let inventory = self.decisions.inventory.clone();
        let named = notice
            .objects
            .iter()
            .filter(|object| object.impact != MaintenanceImpact::NoImpact)
            .filter_map(|object| inventory.resolve_name(&object.id).element);
        let (own, others): (Vec<_>, Vec<_>) = named.partition(|id| {
            let account = message.account.as_deref();
            account.is_none_or(|account| belongs_to(&inventory, *id, account))
        });
        let names = |ids: &[ElementId]| -> Vec<String> {
            let names = ids.iter().map(|id| inventory.element_name(*id));
            names.map(str::to_owned).collect()
        };
        if !others.is_empty() {
            let account = message.account.as_deref().unwrap_or_default();
            let title = format!("Maintenance notice of {account} about what is not theirs");
            let text = format!(
                "{}: {} is not {account}'s alone; nothing is kept quiet there.",
                notice.summary,
                names(&others).join(", ")
            );
            self.ask_person(message, ("others' notice", name), &title, &text);
        }
        names(&own)
    }

    /// A person looks; once for each maintenance as long as it is open.
    fn ask_person(
        &mut self,
        message: &Message,
        (what, name): (&str, &NoticeName),
        title: &str,
        text: &str,
    ) {
        let group = group_hash(&[what, &name.0, &name.1]);
        let known: Option<IncidentId> = self.state.by_group.get(&group).copied();
        let is_open = |id: &IncidentId| self.incident_state(*id).is_some_and(|s| s.is_open());
        if let Some(id) = known.filter(is_open) {
            self.decide(id, Reason::Note, text.to_owned());
            return;
        }
        let source = self.state.intern(&message.source);
        let id = self.open_own(title, text, Reason::Quarantined, source);
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.needs_triage = true;
            incident.group = Some(group);
        }
        self.state.by_group.insert(group, id);
        self.state.touch_incident(id);
    }

    /// Loads one row.
    pub(super) fn restore_notice_seen(&mut self, key: &str, seen: NoticeSeen) {
        if let Some((provider, id)) = key.split_once('\u{1f}') {
            let name = (provider.to_owned(), id.to_owned());
            self.state.carrier_notices.insert(name, seen);
        }
    }
}

fn notice_key((provider, id): &NoticeName) -> String {
    format!("{provider}\u{1f}{id}")
}
