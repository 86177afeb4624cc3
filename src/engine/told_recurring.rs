//! What customers are told of windows that come again: each occurrence is planned, changed, cancelled,
//! started, ended or overrun like work that a person plans. An occurrence is known so long before it
//! as the longest lead time of all contracts, at least a week.

use super::Engine;
use super::recurring::RecurringWindow;
use super::state::Wake;
use super::told_windows::WindowTold;
use super::windows::named_by;
use crate::model::outgoing::NoticeKind;
use crate::model::{Time, WindowId};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long before it an occurrence is known where no contract names a longer lead time.
const AHEAD: Duration = Duration::from_secs(7 * 24 * 3600);
/// The furthest that occurrences are known.
const AHEAD_MAX: Duration = Duration::from_secs(92 * 24 * 3600);
/// Most occurrences of one window that are known at once.
const KNOWN_MAX: usize = 100;
/// What the keys of told occurrences begin with.
const AGAIN: &str = "again\u{1f}";

/// One occurrence as it is configured now.
struct Occurrence {
    from: Time,
    until: Time,
    elements: Vec<String>,
    reason: String,
}

impl Engine {
    /// Time passed, or the configuration or the inventory changed: customers are told what that
    /// means for each occurrence.
    pub(super) fn tell_recurring(&mut self) {
        self.state.telling.recurring_at = None;
        let now = self.state.now;
        for (key, mut told) in self.told_again(AGAIN) {
            if told.until <= now {
                self.end_told(&key, true);
            } else if !told.started && told.from <= now {
                told.started = true;
                self.tell_window(&told, NoticeKind::MaintenanceStarted);
                self.keep_told(key, told);
            }
        }
        let mut wanted = self.occurrences();
        let told: BTreeSet<String> = self
            .told_again(AGAIN)
            .into_iter()
            .filter_map(|(key, _)| key.rsplit_once('\u{1f}').map(|(of, _)| of.to_owned()))
            .collect();
        for of in told {
            wanted.entry(of).or_default();
        }
        for (of, occurrences) in wanted {
            self.replan(&of, occurrences);
        }
        self.wake_for_recurring();
    }

    /// What is told of occurrences, in the order of their begin.
    fn told_again(&self, prefix: &str) -> Vec<(String, WindowTold)> {
        let windows = self.state.telling.windows.iter();
        let mut found: Vec<(String, WindowTold)> = windows
            .filter(|(key, _)| key.starts_with(prefix))
            .map(|(key, told)| (key.clone(), told.clone()))
            .collect();
        found.sort_by_key(|(_, told)| (told.from, told.window));
        found
    }

    fn ahead(&self) -> Duration {
        let contracts = self.decisions.sla.contracts.values();
        let leads = contracts.filter_map(|contract| contract.maintenance_lead);
        let longest = leads.filter_map(|lead| u64::try_from(lead).ok()).max();
        let longest = longest.map_or(AHEAD, Duration::from_secs);
        longest.clamp(AHEAD, AHEAD_MAX)
    }

    /// The windows that somebody is told of, each with what its keys begin with.
    fn telling_windows(&self) -> Vec<(String, RecurringWindow)> {
        if !self.decisions.notices.mail {
            return Vec::new();
        }
        // Windows may share a name.
        let mut places: BTreeMap<String, u32> = BTreeMap::new();
        let mut windows = Vec::new();
        for window in &self.decisions.recurring {
            let place = places.entry(window.name.clone()).or_default();
            *place += 1;
            if window.tell {
                let of = format!("{AGAIN}{}\u{1f}{place}", window.name);
                windows.push((of, window.clone()));
            }
        }
        windows
    }

    /// Occurrences that customers should know of now, by their windows.
    fn occurrences(&self) -> BTreeMap<String, Vec<Occurrence>> {
        let now = self.state.now;
        let known_until = now.plus(self.ahead());
        let mut wanted = BTreeMap::new();
        for (of, window) in self.telling_windows() {
            let elements = self.elements_of(&window);
            if self.touched(&elements).is_empty() {
                continue;
            }
            let spans = window.between(now, known_until).into_iter();
            let occurrences = spans.take(KNOWN_MAX).map(|(from, until)| Occurrence {
                from,
                until,
                elements: elements.clone(),
                reason: window.reason.clone(),
            });
            wanted.insert(of, occurrences.collect());
        }
        wanted
    }

    fn elements_of(&self, window: &RecurringWindow) -> Vec<String> {
        let inventory = &self.decisions.inventory;
        let named = window.matchers.iter();
        let named = named.filter_map(|text| named_by(inventory, text));
        named
            .map(|id| inventory.element_name(id).to_owned())
            .collect()
    }

    /// What is told of one window's occurrences becomes what is configured: the same ones stay,
    /// those that moved are told as changed, in order, and the rest is off or new.
    fn replan(&mut self, of: &str, mut wanted: Vec<Occurrence>) {
        let mut moved = Vec::new();
        for (key, told) in self.told_again(&format!("{of}\u{1f}")) {
            let same = |new: &Occurrence| {
                (new.from, new.until) == (told.from, told.until) && new.elements == told.elements
            };
            match wanted.iter().position(same) {
                Some(place) => drop(wanted.remove(place)),
                None => moved.push((key, told)),
            }
        }
        // While nothing ran, what nobody was told of came and went.
        wanted.retain(|new| new.until > self.recorded_at());
        let mut wanted = wanted.into_iter();
        for (key, mut told) in moved {
            let Some(new) = wanted.next() else {
                self.end_told(&key, told.started);
                continue;
            };
            told.from = new.from;
            told.until = new.until;
            told.elements = new.elements;
            told.reason = new.reason;
            told.started = new.from <= self.state.now;
            self.tell_changed(&told);
            self.keep_told(key, told);
        }
        for new in wanted {
            let window = self.next_window();
            let told = WindowTold {
                window,
                reference: window.to_string(),
                from: new.from,
                until: new.until,
                elements: new.elements,
                reason: new.reason,
                started: new.from <= self.state.now,
            };
            let kind = if told.started {
                NoticeKind::MaintenanceStarted
            } else {
                NoticeKind::MaintenancePlanned
            };
            self.tell_window(&told, kind);
            self.keep_told(key_of(of, window), told);
        }
    }

    /// Wakes when an occurrence begins, ends, or is to be known.
    pub(super) fn wake_for_recurring(&mut self) {
        if self.state.now == Time(0) {
            // Nothing has happened yet: the first input says what time it is.
            return;
        }
        let ahead = self.ahead();
        let known_until = self.state.now.plus(ahead);
        let told = self.told_again(AGAIN).into_iter();
        let edges = told.map(|(_, told)| if told.started { told.until } else { told.from });
        let windows = self.telling_windows();
        let further = windows.iter().filter_map(|(_, window)| {
            let (from, _) = window.next_after(Time(known_until.0 + 1))?;
            Some(from.minus(ahead))
        });
        let next = edges.chain(further).min();
        let old = std::mem::replace(&mut self.state.telling.recurring_at, next);
        self.state.rewake(old, next, Wake::ToldRecurring);
    }
}

fn key_of(of: &str, window: WindowId) -> String {
    format!("{of}\u{1f}{:010}", window.0)
}

/// Whether the key is that of an occurrence.
pub(super) fn is_recurring(key: &str) -> bool {
    key.starts_with(AGAIN)
}
