//! What silences and maintenance windows keep quiet: no ticket while they last, still recorded;
//! still bad at their end: a ticket then. An incident is quiet only while each active alert of it
//! is covered, or explained by one that is: a window explains the planned element, not its
//! neighbour. An S1 that the inventory proves, or a person says, pierces a silence unless the
//! silence says otherwise, and a customer's report ends every quiet. What speaks at the end of a
//! quiet is subject to storm control like what fires then.

use super::Engine;
use super::explain::event_of;
use super::state::{Wake, Window};
use crate::model::alert::{AlertText, Cover};
use crate::model::event::Event;
use crate::model::incident::IncidentState;
use crate::model::reason::Reason;
use crate::model::severity::{Basis, Severity};
use crate::model::{Alert, AlertId, IncidentId, Sym, Time};
use crate::rules::{Facts, Matcher, Several, tagged};

/// Most nodes walked for the services and accounts of an element.
pub(super) const SERVED_WALK_MAX: usize = 10_000;
/// Most held incidents whose texts are asked for when a silence or window begins.
const HELD_ASKED_MAX: usize = 1000;

/// Why and until when an incident is quiet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Quiet {
    until: Time,
    reason: Reason,
    text: String,
}

impl Engine {
    /// Matchers are compiled once.
    pub(super) fn compile_matchers(&mut self, matchers: &[String]) {
        for text in matchers {
            if !self.matchers.contains_key(text)
                && let Ok(matcher) = Matcher::parse(text)
            {
                self.matchers.insert(text.clone(), matcher);
            }
        }
    }

    pub(super) fn all_match(
        &self,
        matchers: &[String],
        facts: &Facts,
        element: Sym,
        tags: &[String],
    ) -> bool {
        let inventory = &self.decisions.inventory;
        let id = inventory.element(self.state.symbols.name(element));
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let tagged = tagged(facts, tags);
        let several = |field: &str| match field {
            "element" => {
                let above = id.map_or(Vec::new(), |id| inventory.hangs_from(id));
                let names = above.iter().map(|e| inventory.element_name(*e)).collect();
                Some(Several::Any(owned(names)))
            }
            "account" => {
                let served = id.map(|id| inventory.served_by(id, SERVED_WALK_MAX));
                Some(Several::All(owned(
                    served.map_or(Vec::new(), |(_, accounts)| accounts),
                )))
            }
            "service" if facts.event.service.is_none() => {
                let served = id.map(|id| inventory.served_by(id, SERVED_WALK_MAX));
                Some(Several::All(owned(
                    served.map_or(Vec::new(), |(services, _)| services),
                )))
            }
            "site" if facts.event.site.is_none() => {
                let site = id.map_or("", |id| inventory.site_of(id));
                Some(Several::Any(vec![site.to_owned()]))
            }
            other => tagged(other),
        };
        let holds = |text: &String| {
            let matcher = self.matchers.get(text);
            matcher.is_some_and(|matcher| matcher.matches_with(facts, &several))
        };
        !matchers.is_empty() && matchers.iter().all(holds)
    }

    /// Silences and windows in force that cover an alert that begins to fire.
    fn covers_of(&self, id: AlertId, event: &Event, tags: &[String]) -> Vec<Cover> {
        let now = self.state.now;
        let Some(alert) = self.state.alerts.get(&id) else {
            return Vec::new();
        };
        let element = alert.element;
        let facts = Facts {
            source: self.state.symbols.name(alert.source),
            sender: "",
            event,
        };
        let mut covers = Vec::new();
        for silence in self.state.silences.values() {
            let in_force = silence.from <= now && now < silence.until;
            if in_force && self.all_match(&silence.matchers, &facts, element, tags) {
                covers.push(Cover::Silence(silence.id));
            }
        }
        for window in self.state.windows.values() {
            let in_force = window.from <= now && now < window.until;
            let covered = in_force
                && (self.lists(window, element)
                    || self.all_match(&window.matchers, &facts, element, tags));
            if covered {
                covers.push(Cover::Window(window.id));
            }
        }
        covers
    }

    /// Keeps what covers an alert that begins to fire.
    pub(super) fn cover(&mut self, id: AlertId, event: &Event, tags: &[String]) {
        let covers = self.covers_of(id, event, tags);
        if let Some(alert) = self.state.alerts.get_mut(&id) {
            alert.covers = covers;
            self.state.dirty.alerts.insert(id);
        }
    }

    /// Whether a window lists the element, or what it hangs from.
    pub(super) fn lists(&self, window: &Window, element: Sym) -> bool {
        let inventory = &self.decisions.inventory;
        let id = inventory.element(self.state.symbols.name(element));
        !window.elements.is_empty()
            && id.is_some_and(|id| {
                let above = inventory.hangs_from(id);
                let mut names = above.iter().map(|e| inventory.element_name(*e));
                names.any(|name| window.elements.iter().any(|listed| listed == name))
            })
    }

    /// Until when a cover lasts, whether it is planned work, and its words; `None`: it is over,
    /// or does not hold back what is proven.
    fn cover_now(&self, cover: &Cover, proven_s1: bool) -> Option<(Time, bool, String)> {
        let now = self.state.now;
        match cover {
            Cover::Silence(id) => {
                let silence = self.state.silences.get(id)?;
                let holds = now < silence.until && (silence.holds_s1 || !proven_s1);
                holds.then(|| {
                    let text = format!(
                        "{id} by {}: {} (until {}).",
                        silence.author, silence.reason, silence.until
                    );
                    (silence.until, false, text)
                })
            }
            Cover::Window(id) => {
                let window = self.state.windows.get(id)?;
                let text = format!("Inside {id}: {} (until {}).", window.reason, window.until);
                let on = window.from <= now && now < window.until;
                on.then_some((window.until, true, text))
            }
            Cover::Recurring { name, until } => {
                let name = self.state.symbols.name(*name);
                let text = format!("Inside the window `{name}` (until {until}).");
                (now < *until).then_some((*until, true, text))
            }
        }
    }

    /// A notice that was replaced may name other elements now.
    fn still_named(&self, cover: &Cover, element: Sym) -> bool {
        let Cover::Window(id) = cover else {
            return true;
        };
        let window = self.state.windows.get(id);
        window.is_some_and(|w| !w.matchers.is_empty() || self.lists(w, element))
    }

    fn covered(&self, alert: &Alert, proven_s1: bool) -> Option<(Time, bool, String)> {
        let covers = alert.covers.iter();
        covers
            .filter(|cover| self.still_named(cover, alert.element))
            .filter_map(|cover| self.cover_now(cover, proven_s1))
            .max_by_key(|(until, planned, _)| (*planned, *until))
    }

    /// A silence or window begins: does it cover what is held now? The texts of that are asked for.
    pub(super) fn ask_held(&mut self) {
        let incidents = self.state.incidents.values();
        let held = incidents.filter(|i| {
            i.state == IncidentState::Held && i.quiet_until.is_none() && i.active > 0 && !i.storm
        });
        let held = held.map(|i| i.id).take(HELD_ASKED_MAX);
        self.out.remains.extend(held);
    }

    /// The texts of what is held: what covers it now keeps it quiet.
    pub(super) fn cover_held(&mut self, id: IncidentId, alerts: &[(Alert, AlertText)]) {
        let held = self
            .state
            .incidents
            .get(&id)
            .is_some_and(|i| i.state == IncidentState::Held && i.quiet_until.is_none());
        let incident = self.state.incidents.get(&id);
        let tags = incident.map_or_else(Vec::new, |incident| incident.tags.clone());
        for (alert, text) in alerts.iter().filter(|_| held) {
            let known = self.state.alerts.get(&alert.id);
            let belongs = known.is_some_and(|alert| {
                let incident = alert.incident.map(|i| self.state.survivor(i));
                alert.state.is_active() && incident == Some(id)
            });
            if belongs {
                self.cover(alert.id, &event_of(alert, text), &tags);
            }
        }
        if held {
            self.begin_quiet(id);
        }
    }

    /// Whether a silence or window in force covers an alert that begins to fire.
    pub(super) fn is_covered(&self, id: AlertId) -> bool {
        let alert = self.state.alerts.get(&id);
        alert.is_some_and(|alert| self.covered(alert, false).is_some())
    }

    /// The cover of an alert, or of a failed element that explains it.
    fn covered_or_explained(&self, alert: &Alert, proven_s1: bool) -> Option<(Time, bool, String)> {
        if let Some(own) = self.covered(alert, proven_s1) {
            return Some(own);
        }
        let inventory = &self.decisions.inventory;
        let element = inventory.element(self.state.symbols.name(alert.element))?;
        let roots = self.health.roots_of(inventory, element);
        roots.into_iter().find_map(|root| {
            let sym = self.state.symbols.get(inventory.element_name(root))?;
            let alerts = self.state.by_element.get(&sym)?;
            let mut alerts = alerts.iter().filter_map(|id| self.state.alerts.get(id));
            alerts.find_map(|alert| self.covered(alert, proven_s1))
        })
    }

    /// Whether an incident is quiet now: each active alert of it is covered.
    pub(super) fn quiet_of(&self, id: IncidentId) -> Option<Quiet> {
        let entry = self.state.incidents.get(&id)?;
        if entry.reported || entry.active == 0 {
            return None;
        }
        let proven_s1 = entry.severity == Some(Severity::S1) && entry.basis != Basis::Rule;
        let members = self.state.members.get(&id)?;
        let mut quiet: Option<Quiet> = None;
        for alert in members.iter().filter_map(|id| self.state.alerts.get(id)) {
            if !alert.state.is_active() {
                continue;
            }
            let (until, planned, text) = self.covered_or_explained(alert, proven_s1)?;
            let reason = if planned {
                Reason::Maintenance
            } else {
                Reason::Silenced
            };
            quiet = Some(match quiet {
                Some(other) if other.until <= until => other,
                _ => Quiet {
                    until,
                    reason,
                    text,
                },
            });
        }
        quiet
    }

    /// Makes a held incident quiet, if it is; `None`: it is not.
    pub(super) fn begin_quiet(&mut self, id: IncidentId) -> Option<Reason> {
        let quiet = self.quiet_of(id)?;
        let reason = quiet.reason;
        self.keep_quiet(id, quiet, true);
        Some(reason)
    }

    fn keep_quiet(&mut self, id: IncidentId, quiet: Quiet, tell: bool) {
        let Some(entry) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let held = entry.held_until.take();
        let old = entry.quiet_until.replace(quiet.until);
        entry.quiet_reason = Some(quiet.reason);
        self.state.rewake(held, None, Wake::Hold(id));
        self.state.rewake(old, Some(quiet.until), Wake::Quiet(id));
        self.state.touch_incident(id);
        if tell {
            self.decide(id, quiet.reason, quiet.text);
        }
    }

    /// Something about a held incident changed: is it still quiet, or quiet now? `because` is the
    /// alert that changed; without one, time passed or a silence or window was ended.
    pub(super) fn review_quiet(&mut self, id: IncidentId, because: Option<AlertId>) {
        let Some(entry) = self.state.incidents.get(&id) else {
            return;
        };
        if entry.state != IncidentState::Held || entry.active == 0 {
            return;
        }
        let (was, was_reason) = (entry.quiet_until, entry.quiet_reason);
        match (was, self.quiet_of(id)) {
            (None, None) => {}
            (None, Some(quiet)) => self.keep_quiet(id, quiet, true),
            (Some(_), Some(quiet)) => {
                let tell = was_reason != Some(quiet.reason);
                self.keep_quiet(id, quiet, tell);
            }
            (Some(until), None) => self.quiet_is_over(id, until, was_reason, because),
        }
    }

    fn quiet_is_over(
        &mut self,
        id: IncidentId,
        until: Time,
        was: Option<Reason>,
        because: Option<AlertId>,
    ) {
        let Some(entry) = self.state.incidents.get_mut(&id) else {
            return;
        };
        entry.quiet_until = None;
        entry.quiet_reason = None;
        let s1 = entry.severity == Some(Severity::S1);
        self.state.wakes.remove(&(until, Wake::Quiet(id)));
        let Some(alert) = because else {
            let (reason, text) = if was == Some(Reason::Maintenance) {
                (
                    Reason::MaintenanceOverrun,
                    "Still bad at the end of the window.",
                )
            } else {
                (Reason::SilenceEnded, "Still bad at the end of the silence.")
            };
            self.decide(id, reason, text);
            self.speak(id);
            return;
        };
        let silenced = self.state.alerts.get(&alert).is_some_and(|alert| {
            let covered = self.covered_or_explained(alert, false);
            covered.is_some() && self.covered_or_explained(alert, true).is_none()
        });
        if was == Some(Reason::Silenced) && s1 && silenced {
            let text = "An outage of several customers pierces the silence.";
            self.decide(id, Reason::SilencePierced, text);
        } else {
            let text = format!("{alert} is not part of what is planned or silenced.");
            self.decide(id, Reason::NotCovered, text);
        }
        self.hold_anew(id, alert);
    }

    /// An incident is quiet no longer, and still bad. Many at one site or source are a storm.
    fn speak(&mut self, id: IncidentId) {
        let member = self.active_member(id).filter(|alert| {
            let entry = self.state.incidents.get(&id);
            entry.is_some_and(|i| i.basis == Basis::Rule) && !self.is_proven(*alert)
        });
        let storm = member.and_then(|alert| self.storm_of(alert));
        if let Some(storm) = storm.filter(|storm| *storm != id) {
            self.merge(id, storm, Reason::Storm);
            return;
        }
        self.release(id);
        if let Some(alert) = member {
            self.watch_storm(alert, id);
        }
    }

    /// The first alert of an incident that still fires.
    pub(super) fn active_member(&self, id: IncidentId) -> Option<AlertId> {
        let members = self.state.members.get(&id)?;
        let active = |id: &&AlertId| {
            let alert = self.state.alerts.get(id);
            alert.is_some_and(|alert| alert.state.is_active())
        };
        members.iter().find(active).copied()
    }

    /// The time of an incident's quiet has passed.
    pub(super) fn quiet_ended(&mut self, id: IncidentId) {
        self.review_quiet(id, None);
    }

    /// A silence or window is gone: what it kept quiet speaks, if nothing else covers it.
    pub(super) fn review_all_quiet(&mut self) {
        let incidents = self.state.incidents.values();
        let quiet: Vec<IncidentId> = incidents
            .filter(|i| i.quiet_until.is_some())
            .map(|i| i.id)
            .collect();
        for id in quiet {
            self.review_quiet(id, None);
        }
    }

    /// At the end of a hold: a window may have begun that lists the elements meanwhile.
    pub(super) fn quiet_by_element(&mut self, id: IncidentId) -> bool {
        let now = self.state.now;
        let windows: Vec<Window> = self
            .state
            .windows
            .values()
            .filter(|w| w.from <= now && now < w.until && !w.elements.is_empty())
            .cloned()
            .collect();
        if windows.is_empty() {
            return false;
        }
        let members = self.state.members.get(&id).cloned().unwrap_or_default();
        for member in members {
            let Some(alert) = self.state.alerts.get(&member) else {
                continue;
            };
            let element = alert.element;
            for window in &windows {
                let cover = Cover::Window(window.id);
                if self.lists(window, element)
                    && let Some(alert) = self.state.alerts.get_mut(&member)
                    && !alert.covers.contains(&cover)
                {
                    alert.covers.push(cover);
                    self.state.dirty.alerts.insert(member);
                }
            }
        }
        self.begin_quiet(id).is_some()
    }
}
