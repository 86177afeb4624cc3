//! Silences and maintenance windows: no ticket while they last, still recorded; still bad at
//! their end: a ticket then. A proven S1 pierces a silence unless the silence says otherwise.

use super::Engine;
use super::correlate::Judged;
use super::state::{Silence, Wake, Window};
use crate::model::event::Event;
use crate::model::incident::IncidentState;
use crate::model::input::Message;
use crate::model::notice::{MaintenanceNotice, MaintenanceStatus};
use crate::model::reason::Reason;
use crate::model::severity::{Basis, Severity};
use crate::model::{AlertId, IncidentId, SilenceId, Time, WindowId};
use crate::rules::{Facts, Matcher};

impl Engine {
    /// Until when an alert is quiet, with the reason, if a window or silence covers it.
    pub(super) fn quiet_for(
        &self,
        id: AlertId,
        event: &Event,
        judged: &Judged,
        incident: IncidentId,
    ) -> Option<(Time, Reason, String)> {
        let now = self.state.now;
        let alert = self.state.alerts.get(&id)?;
        let source = self.state.symbols.name(alert.source);
        let facts = Facts {
            source,
            sender: "",
            event,
        };
        let window = self
            .state
            .windows
            .values()
            .filter(|w| w.from <= now && now < w.until)
            .filter(|w| w.elements.contains(&judged.element) || all_match(&w.matchers, &facts))
            .max_by_key(|w| w.until);
        if let Some(window) = window {
            let text = format!(
                "Inside {}: {} (until {}).",
                window.id, window.reason, window.until
            );
            return Some((window.until, Reason::Maintenance, text));
        }
        let silence = self
            .state
            .silences
            .values()
            .filter(|s| s.from <= now && now < s.until && all_match(&s.matchers, &facts))
            .max_by_key(|s| s.until)?;
        let proven_s1 = self
            .state
            .incidents
            .get(&incident)
            .is_some_and(|i| i.severity == Some(Severity::S1) && i.basis == Basis::Inventory);
        if proven_s1 && !silence.holds_s1 {
            return None;
        }
        let text = format!(
            "{} by {}: {} (until {}).",
            silence.id, silence.author, silence.reason, silence.until
        );
        Some((silence.until, Reason::Silenced, text))
    }

    pub(super) fn hold_quiet(
        &mut self,
        incident: IncidentId,
        until: Time,
        reason: Reason,
        text: String,
    ) {
        if let Some(entry) = self.state.incidents.get_mut(&incident) {
            entry.quiet_until = Some(until);
            entry.quiet_reason = Some(reason);
        }
        self.wake(until, Wake::Quiet(incident));
        self.decide(incident, reason, text);
    }

    /// The silence or window over an incident has ended.
    pub(super) fn quiet_ended(&mut self, id: IncidentId) {
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let reason = incident.quiet_reason.take();
        incident.quiet_until = None;
        if incident.state != IncidentState::Held {
            return;
        }
        match reason {
            Some(Reason::Maintenance) => {
                self.decide(
                    id,
                    Reason::MaintenanceOverrun,
                    "Still bad at the end of the window.",
                );
            }
            _ => self.decide(
                id,
                Reason::SilenceEnded,
                "Still bad at the end of the silence.",
            ),
        }
        self.release(id);
    }

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
        self.state.silences.insert(id, silence);
        self.wake(until, Wake::SilenceEnd(id));
        Ok(format!("{id} until {until}"))
    }

    pub(super) fn silence_ended(&mut self, id: SilenceId) {
        if let Some(silence) = self.state.silences.get(&id)
            && silence.until <= self.state.now
        {
            self.state.silences.remove(&id);
            self.drop_thing("silence", format!("{:010}", id.0));
        }
    }

    pub(super) fn end_silence(&mut self, id: SilenceId) -> Result<String, String> {
        let silence = self
            .state
            .silences
            .get_mut(&id)
            .ok_or_else(|| format!("no silence {id}"))?;
        silence.until = self.state.now;
        self.silence_ended(id);
        self.end_quiet(Reason::Silenced);
        Ok(format!("{id} ended"))
    }

    /// Incidents that were quiet for this reason speak now.
    fn end_quiet(&mut self, reason: Reason) {
        let quiet: Vec<_> = self
            .state
            .incidents
            .values()
            .filter(|i| i.quiet_reason == Some(reason))
            .filter_map(|i| i.quiet_until.map(|at| (i.id, at)))
            .collect();
        for (id, at) in quiet {
            self.state.wakes.remove(&(at, Wake::Quiet(id)));
            self.quiet_ended(id);
        }
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
        Ok(format!("{id} from {from} until {until}"))
    }

    fn next_window(&mut self) -> WindowId {
        self.state.scalars.next_window += 1;
        self.state.dirty.scalars = true;
        WindowId(self.state.scalars.next_window)
    }

    fn keep_window(&mut self, window: Window) {
        let id = window.id;
        self.wake(window.until, Wake::WindowEdge(id));
        self.save_thing("window", format!("{:010}", id.0), &window);
        self.state.windows.insert(id, window);
    }

    pub(super) fn window_edge(&mut self, id: WindowId) {
        if self
            .state
            .windows
            .get(&id)
            .is_some_and(|w| w.until <= self.state.now)
        {
            self.state.windows.remove(&id);
            self.drop_thing("window", format!("{:010}", id.0));
        }
    }

    pub(super) fn end_window(&mut self, id: WindowId) -> Result<String, String> {
        let window = self
            .state
            .windows
            .get_mut(&id)
            .ok_or_else(|| format!("no window {id}"))?;
        window.until = self.state.now;
        self.window_edge(id);
        self.end_quiet(Reason::Maintenance);
        Ok(format!("{id} ended"))
    }

    /// A carrier's notice becomes windows on the inventory's circuits; an older sequence never
    /// wins, and what is unclear goes to a person.
    pub(super) fn apply_notice(&mut self, message: &Message, notice: &MaintenanceNotice) {
        let name = (notice.provider.clone(), notice.maintenance_id.clone());
        let old: Vec<_> = self
            .state
            .windows
            .values()
            .filter(|w| w.notice.as_ref() == Some(&name))
            .map(|w| (w.id, w.sequence))
            .collect();
        if old.iter().any(|(_, sequence)| *sequence > notice.sequence) {
            return;
        }
        for (id, _) in old {
            self.state.windows.remove(&id);
            self.drop_thing("window", format!("{:010}", id.0));
        }
        let source = self.state.intern(&message.source);
        if !notice.unclear.is_empty() {
            let title = format!("Unclear maintenance notice from {}", notice.provider);
            let text = format!("{}: {}", notice.summary, notice.unclear.join("; "));
            let id = self.open_own(&title, &text, Reason::Quarantined, source);
            if let Some(incident) = self.state.incidents.get_mut(&id) {
                incident.needs_triage = true;
            }
        }
        let over = matches!(
            notice.status,
            MaintenanceStatus::Cancelled | MaintenanceStatus::Completed
        );
        if over {
            return;
        }
        let inventory = self.decisions.inventory.clone();
        let elements: Vec<String> = notice
            .objects
            .iter()
            .filter_map(|object| inventory.resolve_name(&object.id).element)
            .map(|id| inventory.element_name(id).to_owned())
            .collect();
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
            self.keep_window(window);
        }
    }
}

fn check_matchers(matchers: &[String]) -> Result<(), String> {
    if matchers.is_empty() {
        return Err("at least one matcher is needed, like `host=core-1`".to_owned());
    }
    matchers
        .iter()
        .try_for_each(|text| Matcher::parse(text).map(|_| ()))
}

fn all_match(matchers: &[String], facts: &Facts) -> bool {
    !matchers.is_empty()
        && matchers
            .iter()
            .all(|text| Matcher::parse(text).is_ok_and(|m| m.matches(facts)))
}
