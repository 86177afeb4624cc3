//! Of each recurring window the occurrence in force, or the next one, is a window like any other: it
//! is listed, begins and ends at its instants, is warned of when it overlaps with other work, and a
//! person may end it early. When it is over the next one follows. A changed configuration replaces
//! it.

use super::Engine;
use super::recurring::RecurringWindow;
use super::state::Window;
use crate::model::{Time, WindowId};
use serde::{Deserialize, Serialize};

/// One occurrence of a recurring window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Occurrence {
    /// The window that stands for it.
    pub window: WindowId,
    /// Its begin, by the configuration.
    pub from: Time,
    /// Its end, by the configuration.
    pub until: Time,
}

impl Engine {
    /// What is decided by is new: each recurring window has its occurrence, and no other has.
    pub(super) fn follow_recurring(&mut self) {
        let recurring = self.decisions.recurring.clone();
        let known = self.state.occurrences.keys();
        let gone = known.filter(|name| !recurring.iter().any(|window| window.name == **name));
        for name in gone.cloned().collect::<Vec<_>>() {
            self.drop_occurrence(&name);
        }
        for window in &recurring {
            self.follow_occurrence(window);
        }
    }

    /// A window is over: if it was an occurrence, the next one follows.
    pub(super) fn next_occurrence(&mut self, id: WindowId) {
        let mut known = self.state.occurrences.iter();
        let name = known.find(|(_, known)| known.window == id);
        let Some(name) = name.map(|(name, _)| name.clone()) else {
            return;
        };
        let mut recurring = self.decisions.recurring.iter();
        if let Some(window) = recurring.find(|window| window.name == name).cloned() {
            self.follow_occurrence(&window);
        }
    }

    fn follow_occurrence(&mut self, recurring: &RecurringWindow) {
        let now = self.state.now;
        let known = self.state.occurrences.get(&recurring.name).copied();
        let known = known.filter(|known| recurring.has(known.from, known.until));
        let stands = known.and_then(|known| self.state.windows.get(&known.window));
        let reason = reason_of(recurring);
        if stands.is_some_and(|w| w.matchers == recurring.matchers && w.reason == reason) {
            return;
        }
        let ended_early = known.filter(|known| stands.is_none() && now < known.until);
        self.drop_occurrence(&recurring.name);
        let next = match ended_early {
            Some(ended) => recurring.next_after(ended.until),
            None => recurring
                .in_force(now)
                .or_else(|| recurring.next_after(now)),
        };
        let Some((from, until)) = next else {
            return;
        };
        let window = Window {
            id: self.next_window(),
            matchers: recurring.matchers.clone(),
            elements: Vec::new(),
            reason,
            author: format!("maintenance `{}`", recurring.name),
            from,
            until,
            notice: None,
            sequence: 0,
        };
        let occurrence = Occurrence {
            window: window.id,
            from,
            until,
        };
        self.save_thing("occurrence", recurring.name.clone(), &occurrence);
        let name = recurring.name.clone();
        self.state.occurrences.insert(name, occurrence);
        self.keep_window(window);
        self.review_maintenance();
        self.warn_of_overlap(occurrence.window);
    }

    /// An occurrence is none any more: it is over, or the configuration says otherwise now.
    fn drop_occurrence(&mut self, name: &str) {
        let Some(occurrence) = self.state.occurrences.remove(name) else {
            return;
        };
        self.drop_thing("occurrence", name.to_owned());
        // One that stands ends now.
        let _ = self.end_window(occurrence.window);
    }
}

/// Why, as tickets show it.
fn reason_of(recurring: &RecurringWindow) -> String {
    if recurring.reason.is_empty() {
        recurring.name.clone()
    } else {
        recurring.reason.clone()
    }
}
