//! Planned works that overlap and together take a group below its need, although none does alone,
//! are told of in advance: a sentence for who plans, and one incident for a person. A notice that is
//! sent again says nothing new; once the works no longer overlap, the incident ends.

use super::Engine;
use super::state::Window;
use crate::inventory::{ElementId, overlap};
use crate::model::reason::Reason;
use crate::model::{IncidentId, Time, WindowId};
use serde::{Deserialize, Serialize};

/// Between the names of works in the name of their overlap.
const AND: char = '\u{1e}';

/// An overlap that was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overlap {
    /// The incident that tells of it.
    pub incident: IncidentId,
    /// What it said.
    pub text: String,
}

/// A window with the elements that it takes.
struct Work {
    window: Window,
    elements: Vec<ElementId>,
}

impl Engine {
    /// Looks at a new window beside all others; a sentence for who planned it, or nothing.
    pub(super) fn warn_of_overlap(&mut self, id: WindowId) -> String {
        let Some(new) = self.work(id) else {
            return String::new();
        };
        let others: Vec<WindowId> = self.state.windows.keys().copied().collect();
        let others: Vec<Work> = others
            .into_iter()
            .filter_map(|other| self.work(other))
            .filter(|other| self.is_beside(&new.window, &other.window))
            .collect();
        let mut told = Vec::new();
        for other in &others {
            if let Some(found) = self.found(&new, &[other]) {
                told.push(self.tell_overlap(&new, &[other], &found));
            }
        }
        if told.is_empty() {
            told.extend(self.warn_of_many(&new, &others));
        }
        if told.is_empty() {
            return String::new();
        }
        format!("; warning: {}", told.join(" "))
    }

    /// No other work is too much together with this one; all that go on at one time may be.
    fn warn_of_many(&mut self, new: &Work, others: &[Work]) -> Option<String> {
        let begins = others.iter().map(|other| other.window.from);
        let begins = begins.chain([new.window.from]);
        for at in begins.filter(|at| is_on(&new.window, *at)) {
            let on: Vec<&Work> = others.iter().filter(|o| is_on(&o.window, at)).collect();
            if on.len() > 1
                && let Some(found) = self.found(new, &on)
            {
                return Some(self.tell_overlap(new, &on, &found));
            }
        }
        None
    }

    fn work(&self, id: WindowId) -> Option<Work> {
        let window = self.state.windows.get(&id)?.clone();
        let elements = self.planned_elements(&window);
        (!elements.is_empty()).then_some(Work { window, elements })
    }

    /// Whether two windows overlap in time and are not parts of the same work.
    fn is_beside(&self, one: &Window, other: &Window) -> bool {
        let overlaps = other.from < one.until && one.from < other.until;
        overlaps && self.work_name(one) != self.work_name(other)
    }

    /// What stays the same while notices replace one another and occurrences follow one another.
    fn work_name(&self, window: &Window) -> String {
        if let Some((provider, number)) = &window.notice {
            return format!("{provider}\u{1f}{number}");
        }
        let mut known = self.state.occurrences.iter();
        match known.find(|(_, occurrence)| occurrence.window == window.id) {
            Some((name, _)) => format!("\u{1f}{name}"),
            None => window.id.to_string(),
        }
    }

    fn found(&self, new: &Work, others: &[&Work]) -> Option<String> {
        let all = others.iter().flat_map(|other| other.elements.iter());
        let all: Vec<ElementId> = all.copied().collect();
        overlap(&self.decisions.inventory, &new.elements, &all)
    }

    /// One incident for each overlap; it is told anew if it changed.
    fn tell_overlap(&mut self, new: &Work, others: &[&Work], found: &str) -> String {
        let windows = || others.iter().map(|o| &o.window).chain([&new.window]);
        let from = windows().map(|w| w.from).max().unwrap_or_default();
        let until = windows().map(|w| w.until).min().unwrap_or_default();
        let mut titles: Vec<String> = windows().map(title).collect();
        titles.sort();
        let all = titles.join(" and ");
        let text = format!("{all} overlap from {from} until {until}: {found}");
        let mut names: Vec<String> = windows().map(|w| self.work_name(w)).collect();
        names.sort();
        let name = names.join(&AND.to_string());
        let known = self.state.overlaps.get(&name).cloned();
        if known.as_ref().is_some_and(|known| known.text == text) {
            return text;
        }
        let known = known.map(|known| self.state.survivor(known.incident));
        let open = known.filter(|id| self.incident_state(*id).is_some_and(|s| s.is_open()));
        let incident = match open {
            Some(incident) => {
                if let Some(entry) = self.state.incidents.get_mut(&incident) {
                    entry.reason.clone_from(&text);
                }
                self.decide(incident, Reason::MaintenanceOverlap, text.clone());
                self.note_tickets(incident, &text, false);
                incident
            }
            None => self.open_overlap(new, &text),
        };
        let told = Overlap {
            incident,
            text: text.clone(),
        };
        self.save_thing("overlap", name.clone(), &told);
        self.state.overlaps.insert(name, told);
        text
    }

    fn open_overlap(&mut self, new: &Work, text: &str) -> IncidentId {
        let source = self.state.intern("maintenance");
        let title = format!("Overlapping maintenances: {}", new.window.reason);
        let incident = self.open_own(&title, text, Reason::MaintenanceOverlap, source);
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.needs_triage = true;
        }
        self.state.touch_incident(incident);
        incident
    }

    /// Windows moved or went: what no longer overlaps is no longer warned of.
    pub(super) fn review_overlaps(&mut self) {
        let told: Vec<(String, IncidentId)> = self
            .state
            .overlaps
            .iter()
            .map(|(name, told)| (name.clone(), told.incident))
            .collect();
        for (name, incident) in told {
            if self.still_overlaps(&name) {
                continue;
            }
            self.state.overlaps.remove(&name);
            self.drop_thing("overlap", name);
            let incident = self.state.survivor(incident);
            let text = "The works no longer overlap.";
            self.resolve_now(incident, Reason::MaintenanceOverlap, text);
        }
    }

    fn still_overlaps(&self, name: &str) -> bool {
        let windows: Vec<WindowId> = self.state.windows.keys().copied().collect();
        let works: Vec<(String, Work)> = windows
            .into_iter()
            .filter_map(|id| self.work(id))
            .map(|work| (self.work_name(&work.window), work))
            .filter(|(work, _)| name.split(AND).any(|name| name == work))
            .collect();
        works.iter().any(|(_, at)| {
            let at = at.window.from;
            let on: Option<Vec<&Work>> = name
                .split(AND)
                .map(|name| {
                    let mut works = works.iter();
                    let on = works.find(|(work, w)| work == name && is_on(&w.window, at));
                    on.map(|(_, work)| work)
                })
                .collect();
            let Some(on) = on else { return false };
            on.split_first()
                .is_some_and(|(first, rest)| self.found(first, rest).is_some())
        })
    }
}

fn is_on(window: &Window, at: Time) -> bool {
    window.from <= at && at < window.until
}

/// How a window is called in a warning: the same however often its notice is sent.
fn title(window: &Window) -> String {
    match &window.notice {
        Some((_, number)) => format!("{number} ({})", window.reason),
        None => format!("{} ({})", window.id, window.reason),
    }
}
