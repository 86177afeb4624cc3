//! Silences and maintenance windows themselves: made and ended. What carriers announce is in
//! `carrier`, what they keep quiet is decided in `quiet`, and in `overlaps` what is too much together.

use super::Engine;
use super::state::{Silence, Wake, Window};
use crate::inventory::{ElementId, Inventory};
use crate::model::{SilenceId, Time, WindowId};
use crate::rules::Matcher;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the newest notice of a work is remembered.
const NOTICES_REMEMBERED: Duration = Duration::from_secs(400 * 24 * 3600);

/// The newest notice of a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeSeen {
    /// Its number in the order of the sender.
    pub sequence: i64,
    /// When it came.
    pub at: Time,
}

impl Engine {
    pub(super) fn add_silence(
        &mut self,
        author: &str,
        matchers: &[String],
        reason: &str,
        until: Time,
        holds_s1: bool,
    ) -> Result<String, String> {
        check_matchers(matchers)?;
        if reason.trim().is_empty() {
            return Err("a silence needs a reason".to_owned());
        }
        if until <= self.state.now {
            return Err(format!("{until} is in the past"));
        }
        self.state.scalars.next_silence += 1;
        self.state.dirty.scalars = true;
        let silence = Silence {
            id: SilenceId(self.state.scalars.next_silence),
            matchers: matchers.to_vec(),
            reason: reason.to_owned(),
            author: author.to_owned(),
            from: self.state.now,
            until,
            holds_s1,
        };
        let id = silence.id;
        self.save_thing("silence", format!("{:010}", id.0), &silence);
        self.compile_matchers(matchers);
        self.state.silences.insert(id, silence);
        self.wake(until, Wake::SilenceEnd(id));
        self.ask_held();
        Ok(format!("{id} until {until}"))
    }

    pub(super) fn silence_ended(&mut self, id: SilenceId) {
        if let Some(silence) = self.state.silences.get(&id)
            && silence.until <= self.state.now
        {
            self.state.silences.remove(&id);
            self.drop_thing("silence", format!("{:010}", id.0));
            self.review_all_quiet();
        }
    }

    pub(super) fn end_silence(&mut self, id: SilenceId) -> Result<String, String> {
        let silence = self
            .state
            .silences
            .get_mut(&id)
            .ok_or_else(|| format!("no silence {id}"))?;
        let until = std::mem::replace(&mut silence.until, self.state.now);
        self.state.wakes.remove(&(until, Wake::SilenceEnd(id)));
        self.silence_ended(id);
        Ok(format!("{id} ended"))
    }

    pub(super) fn add_window(
        &mut self,
        author: &str,
        matchers: &[String],
        reason: &str,
        from: Time,
        until: Time,
    ) -> Result<String, String> {
        check_matchers(matchers)?;
        if until <= from {
            return Err(format!(
                "the window ends at {until}, before it begins at {from}"
            ));
        }
        let window = Window {
            id: self.next_window(),
            matchers: matchers.to_vec(),
            elements: Vec::new(),
            reason: reason.to_owned(),
            author: author.to_owned(),
            from,
            until,
            notice: None,
            sequence: 0,
        };
        let id = window.id;
        self.keep_window(window);
        self.review_maintenance();
        let warning = self.warn_of_overlap(id);
        let late = self.tell_planned(id);
        Ok(format!("{id} from {from} until {until}{warning}{late}"))
    }

    pub(super) fn next_window(&mut self) -> WindowId {
        self.state.scalars.next_window += 1;
        self.state.dirty.scalars = true;
        WindowId(self.state.scalars.next_window)
    }

    pub(super) fn keep_window(&mut self, window: Window) {
        let id = window.id;
        self.wake(window.until, Wake::WindowEdge(id));
        if window.from > self.state.now {
            self.wake(window.from, Wake::WindowEdge(id));
        }
        self.compile_matchers(&window.matchers);
        self.save_thing("window", format!("{:010}", id.0), &window);
        self.state.windows.insert(id, window);
        self.ask_held();
    }

    pub(super) fn window_edge(&mut self, id: WindowId) {
        let now = self.state.now;
        let Some(window) = self.state.windows.get(&id) else {
            return;
        };
        if window.until <= now {
            self.state.windows.remove(&id);
            self.drop_thing("window", format!("{:010}", id.0));
            self.review_all_quiet();
            self.tell_window_over(id);
            self.review_overlaps();
            self.next_occurrence(id);
        } else if window.from <= now {
            self.tell_started(id);
            self.review_held();
        }
        self.review_maintenance();
    }

    pub(super) fn end_window(&mut self, id: WindowId) -> Result<String, String> {
        let window = self
            .state
            .windows
            .get_mut(&id)
            .ok_or_else(|| format!("no window {id}"))?;
        let until = std::mem::replace(&mut window.until, self.state.now);
        let from = window.from;
        self.state.wakes.remove(&(until, Wake::WindowEdge(id)));
        self.state.wakes.remove(&(from, Wake::WindowEdge(id)));
        self.window_edge(id);
        Ok(format!("{id} ended"))
    }

    /// Whether no newer notice of the same work was seen, also of work that is cancelled or over.
    pub(super) fn is_newest_notice(&mut self, name: &(String, String), sequence: i64) -> bool {
        let known = self.state.notices_seen.get(name);
        if known.is_some_and(|known| known.sequence > sequence) {
            return false;
        }
        let now = self.state.now;
        let since = now.minus(NOTICES_REMEMBERED);
        let seen = &self.state.notices_seen;
        let old = seen.iter().filter(|(_, seen)| seen.at < since);
        for name in old.map(|(name, _)| name.clone()).collect::<Vec<_>>() {
            self.state.notices_seen.remove(&name);
            self.drop_thing("notice_seen", notice_key(&name));
        }
        let newest = NoticeSeen { sequence, at: now };
        self.save_thing("notice_seen", notice_key(name), &newest);
        self.state.notices_seen.insert(name.clone(), newest);
        true
    }

    /// Elements that a window names: in its list, or by exact `element=` and `host=` matchers.
    pub(super) fn planned_elements(&self, window: &Window) -> Vec<ElementId> {
        let inventory = &self.decisions.inventory;
        let listed = window.elements.iter();
        let listed = listed.filter_map(|name| inventory.resolve_name(name).element);
        let matchers = window.matchers.iter();
        listed
            .chain(matchers.filter_map(|text| named_by(inventory, text)))
            .collect()
    }
}

fn notice_key(name: &(String, String)) -> String {
    format!("{}\u{1f}{}", name.0, name.1)
}

/// The element that an exact `element=` or `host=` matcher names.
pub(super) fn named_by(inventory: &Inventory, matcher: &str) -> Option<ElementId> {
    let (field, name) = matcher.split_once('=')?;
    let plain = matches!(field.trim(), "element" | "host") && !name.starts_with('~');
    let name = plain.then(|| name.trim().trim_matches('"'))?;
    inventory.resolve_name(name).element
}

fn check_matchers(matchers: &[String]) -> Result<(), String> {
    if matchers.is_empty() {
        return Err("at least one matcher is needed, like `host=core-1`".to_owned());
    }
    matchers
        .iter()
        .try_for_each(|text| Matcher::parse(text).map(|_| ()))
}
