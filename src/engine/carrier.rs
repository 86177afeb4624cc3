//! What carriers announce: which of their notices counts, and the windows that it becomes.

use super::Engine;
use super::correlate::{belongs_to, group_hash};
use super::state::{Wake, Window};
use crate::inventory::ElementId;
use crate::model::WindowId;
use crate::model::input::Message;
use crate::model::notice::{
    MaintenanceImpact, MaintenanceNotice, MaintenanceStatus, NO_OBJECT, NO_WINDOW,
};
use crate::model::reason::Reason;
use std::collections::VecDeque;

/// Provider and maintenance id.
type NoticeName = (String, String);

/// What the windows of a maintenance were before a notice.
#[derive(Default)]
struct Before {
    elements: Vec<String>,
    numbers: VecDeque<WindowId>,
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
        let mut announced = self.state.windows.values();
        let moved_on = announced.any(|window| {
            window.notice.as_ref() == Some(&name) && window.sequence > notice.sequence
        });
        if moved_on || !self.is_newest_notice(&name, notice.sequence) {
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
            self.review_overlaps();
        } else {
            self.plan(message, notice, name, before);
        }
        self.review_all_quiet();
        self.review_maintenance();
    }

    /// Takes away the windows of a maintenance.
    fn take_away(&mut self, name: &NoticeName) -> Before {
        let windows = self.state.windows.values();
        let gone: Vec<Window> = windows
            .filter(|window| window.notice.as_ref() == Some(name))
            .cloned()
            .collect();
        let mut before = Before::default();
        for window in gone {
            self.state.windows.remove(&window.id);
            for at in [window.until, window.from] {
                let wake = Wake::WindowEdge(window.id);
                self.state.wakes.remove(&(at, wake));
            }
            self.drop_thing("window", format!("{:010}", window.id.0));
            before.numbers.push_back(window.id);
            before.elements = window.elements;
        }
        before
    }

    /// The windows of a notice. The same work keeps its windows' numbers: what they cover stays
    /// covered. A new date is often told without the elements.
    fn plan(
        &mut self,
        message: &Message,
        notice: &MaintenanceNotice,
        name: NoticeName,
        mut before: Before,
    ) {
        let elements = match notice.objects.is_empty() {
            true => before.elements,
            false => self.planned(message, notice, &name),
        };
        let mut kept = Vec::new();
        for span in &notice.windows {
            let Some(until) = span.ends_at else { continue };
            if until <= self.state.now {
                continue;
            }
            let window = Window {
                id: before
                    .numbers
                    .pop_front()
                    .unwrap_or_else(|| self.next_window()),
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
            kept.push(id);
        }
        self.review_overlaps();
        for id in &kept {
            self.warn_of_overlap(*id);
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
        if let Some(id) = self.open_group(group) {
            self.decide(id, Reason::Note, text.to_owned());
            return;
        }
        let source = self.state.intern(&message.source);
        let found_by = (source, Some(group));
        let id = self.open_own_of(title, text, Reason::Quarantined, found_by);
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.needs_triage = true;
        }
        self.state.touch_incident(id);
    }
}
