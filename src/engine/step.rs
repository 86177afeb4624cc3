//! One input after the other: which part it concerns, and the deadlines that come before it.

use super::Engine;
use super::state::{Audit, Wake};
use crate::model::incident::{Effect, IncidentState};
use crate::model::input::{Generation, GenerationOf, HEARTBEAT, Message, Seen};
use crate::model::reason::{Outcome, Reason};
use crate::model::{AlertId, AlertState, Category, Command, Input, Sequenced, Severity, Time};

/// Most people's changes remembered, to apply each once.
const PERSON_CHANGES_MAX: usize = 10_000;

impl Engine {
    /// Applies one input. Inputs come in journal order; one that was applied is skipped.
    pub fn step(&mut self, sequenced: &Sequenced) {
        if sequenced.seq <= self.state.cursor {
            return;
        }
        self.state.cursor = sequenced.seq;
        self.apply(sequenced.seq, sequenced.at, &sequenced.input);
    }

    /// Applies what has no place in the journal: a replay has to say what trackers do about tickets
    /// that only it asks for.
    pub fn step_beside(&mut self, at: Time, input: &Input) {
        self.apply(self.state.cursor, at, input);
    }

    fn apply(&mut self, seq: u64, at: Time, input: &Input) {
        self.input_at = at;
        self.serve_wakes(at);
        self.state.now = self.state.now.max(at);
        if !std::mem::replace(&mut self.recurring_followed, true) {
            self.follow_recurring();
        }
        match input {
            Input::Message(message) => self.apply_message(seq, message),
            Input::Undecoded(undecoded) => self.apply_undecoded(seq, undecoded),
            Input::Seen(seen) => seen.iter().for_each(|seen| self.apply_seen(seen)),
            Input::Delivery(report) => self.apply_delivery(report),
            Input::Person(change) => {
                let id = (change.tracker.clone(), change.change_id.clone());
                if self.state.person_changes.insert(id) {
                    let oldest = at.minus(self.decisions.settings.back_dating);
                    self.happened_at = Some(change.at.max(oldest).min(self.state.now));
                    self.apply_person(change);
                    self.happened_at = None;
                }
                while self.state.person_changes.len() > PERSON_CHANGES_MAX {
                    self.state.person_changes.pop_first();
                }
            }
            Input::Command { author, command } => self.apply_command(author, command),
            Input::Due => {}
            Input::Generation(generation) => self.apply_generation(generation),
            Input::ClockStep { .. } => self.give_grace(),
            Input::Restart { generation, .. } => self.apply_restart(generation),
            Input::Poisoned { seq, reason } => self.apply_poisoned(*seq, reason),
            Input::Remains(remains) => self.apply_remains(remains),
            Input::Notice(report) => self.apply_notice_report(report),
            Input::Rebuilt(found) => self.apply_rebuilt(found),
        }
        // What was told late may have been due by now.
        self.serve_wakes(self.state.now);
        self.review_pages();
    }

    /// Serves the deadlines that have passed, each at its own instant, in order.
    fn serve_wakes(&mut self, until: Time) {
        while let Some(&(at, wake)) = self.state.wakes.first() {
            if at > until {
                break;
            }
            self.state.wakes.pop_first();
            self.state.now = self.state.now.max(at);
            match wake {
                Wake::Hold(id) => self.hold_passed(id),
                Wake::Stale(id) => self.alert_stale(id),
                Wake::Quiet(id) => self.quiet_ended(id),
                Wake::FlapQuiet(id) => self.flap_quiet(id),
                Wake::Lower(id) => self.lower(id, at),
                Wake::Fallback(id) => self.fall_back(id),
                Wake::StormQuiet(key) => self.storm_quiet(key),
                Wake::SourceSilent(source) => self.source_silent(source),
                Wake::Close(id) => self.close(id),
                Wake::Clocks(id) => {
                    self.state.clock_wakes.remove(&id);
                    self.look_at_clocks(id);
                }
                Wake::SilenceEnd(id) => self.silence_ended(id),
                Wake::WindowEdge(id) => self.window_edge(id),
                Wake::StormEnd(id) => self.storm_may_end(id),
                Wake::ClosedTicket(id) => self.still_closed(id),
                Wake::Page(id) => self.page_due(id),
                Wake::TicketHour => self.ticket_hour_over(),
                Wake::TicketList => self.ticket_list_due(),
                Wake::Doubt(id) => self.doubt_due(id),
                Wake::ToldRecurring => self.tell_recurring(),
                Wake::Reports => self.reports_due(),
            }
        }
    }

    fn apply_message(&mut self, seq: u64, message: &Message) {
        let source = self.state.intern(&message.source);
        self.source_spoke(source);
        self.forget_early();
        for (index, event) in message.events.iter().enumerate() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let counted = self.counted_key(message, event);
            let before = counted.and_then(|key| self.state.by_key.get(&key).copied());
            let outcome = self.apply_event(message, (seq, index), event);
            self.count(source, &message.source, outcome);
            if let Some(key) = counted {
                self.count_for_contracts(key, before, outcome);
            }
        }
        if message.events.is_empty() {
            let outcome = if message.sender == HEARTBEAT {
                Outcome::Heartbeat
            } else {
                Outcome::Info
            };
            self.count(source, &message.source, outcome);
        }
        for notice in &message.maintenance {
            self.apply_notice(message, notice);
        }
        for reply in &message.replies {
            self.apply_reply(message, reply);
        }
        if let Some(old) = message.replay_of {
            self.quarantine_handled(old, "replayed");
        }
    }

    fn count(&mut self, source: crate::model::Sym, name: &str, outcome: Outcome) {
        let seen = self.state.sources.entry(source).or_default();
        seen.outcomes.resize(Outcome::ALL.len(), 0);
        let slot = Outcome::ALL.iter().position(|o| *o == outcome).unwrap_or(0);
        if let Some(count) = seen.outcomes.get_mut(slot) {
            *count += 1;
        }
        seen.events += 1;
        self.state.dirty.sources.insert(source);
        self.out.outcomes.push((name.to_owned(), outcome));
    }

    fn apply_seen(&mut self, seen: &Seen) {
        if let Some(heartbeat) = self.state.dead_men.get(&seen.key).copied() {
            self.source_spoke(heartbeat);
        }
        let Some(id) = self.state.by_key.get(&seen.key).copied() else {
            return;
        };
        let source = self.state.intern(&seen.source);
        self.source_spoke(source);
        let Some(alert) = self.state.alerts.get_mut(&id) else {
            return;
        };
        alert.count += u64::from(seen.count);
        alert.last_seen = alert.last_seen.max(seen.last_seen);
        let old = alert.expires_at;
        if seen.ends_at.is_some() && alert.state.is_active() {
            alert.expires_at = alert.expires_at.max(seen.ends_at);
        }
        let new = alert.expires_at;
        let was_stale = alert.state == AlertState::Stale;
        self.state.rewake(old, new, Wake::Stale(id));
        self.state.dirty.alerts.insert(id);
        if was_stale {
            self.no_longer_stale(id);
        }
        self.count_repeats(id, u64::from(seen.count));
    }

    /// An alert has not been repeated for longer than promised. It is marked, not resolved: the
    /// sender may have died while the condition holds.
    pub(super) fn alert_stale(&mut self, id: AlertId) {
        let Some(alert) = self.state.alerts.get_mut(&id) else {
            return;
        };
        if !alert.state.is_active() || alert.state == AlertState::Stale {
            return;
        }
        alert.state = AlertState::Stale;
        let (incident, last_seen) = (alert.incident, alert.last_seen);
        self.state.dirty.alerts.insert(id);
        if let Some(incident) = incident {
            let text = format!(
                "{id} is stale: no word since {last_seen}. The condition may still hold; it is \
                 not treated as a recovery."
            );
            self.decide(incident, Reason::Stale, text);
        }
    }

    pub(super) fn no_longer_stale(&mut self, id: AlertId) {
        let Some(alert) = self.state.alerts.get_mut(&id) else {
            return;
        };
        alert.state = AlertState::Firing;
        let incident = alert.incident;
        self.state.dirty.alerts.insert(id);
        if let Some(incident) = incident {
            self.decide(
                incident,
                Reason::NoLongerStale,
                format!("{id} is repeated again."),
            );
        }
    }

    fn apply_generation(&mut self, generation: &Generation) {
        let kind = match generation.of {
            GenerationOf::Configuration => "configuration",
            GenerationOf::Inventory => "inventory",
            GenerationOf::ZoneData => "zone_data",
        };
        self.save_thing("generation", kind.to_owned(), generation);
        self.review_agreements(generation);
        self.review_reports();
        self.tell_recurring();
        for (alert, element) in &generation.elements {
            self.change_element(AlertId(*alert), element);
        }
        self.expect_from_now();
        let open: Vec<_> = self
            .state
            .incidents
            .values()
            .filter(|i| i.state.is_open())
            .map(|i| i.id)
            .collect();
        for id in open {
            self.evaluate(id);
        }
    }

    fn apply_restart(&mut self, generation: &str) {
        if self.state.scalars.created_at == Time(0) {
            self.state.scalars.created_at = self.state.now;
        }
        self.state.scalars.generation = generation.to_owned();
        self.save_thing("installation", "generation".to_owned(), &generation);
        self.state.scalars.restarts += 1;
        self.state.dirty.scalars = true;
        let now = self.state.now;
        let expected = self.decisions.expected.clone();
        for (name, every) in expected {
            let source = self.state.intern(&name);
            self.wake_at_silence(source, every, false);
        }
        self.state.scalars.restarted_at = now;
        let expected = self.decisions.expected.clone();
        for (name, every) in expected {
            let source = self.state.intern(&name);
            self.wake_at_silence(source, every, true);
        }
        self.give_grace();
    }

    /// Durations get a full period after a restart or a clock step; SLA instants do not.
    fn give_grace(&mut self) {
        let now = self.state.now;
        let expiring: Vec<_> = self
            .state
            .alerts
            .values()
            .filter(|a| a.state.is_active() && a.state != AlertState::Stale)
            .filter_map(|a| a.expires_at.map(|at| (a.id, at, at.since(a.last_seen))))
            .collect();
        for (id, old, period) in expiring {
            let new = old.max(now.plus(period));
            if let Some(alert) = self.state.alerts.get_mut(&id) {
                alert.expires_at = Some(new);
            }
            self.state.rewake(Some(old), Some(new), Wake::Stale(id));
            self.state.dirty.alerts.insert(id);
        }
        let wait = self.decisions.settings.root_wait;
        let held: Vec<_> = self
            .state
            .incidents
            .values()
            .filter(|i| i.state == IncidentState::Held && i.quiet_until.is_none())
            .filter_map(|i| i.held_until.map(|at| (i.id, at)))
            .collect();
        for (id, old) in held {
            let new = old.max(now.plus(wait));
            if let Some(incident) = self.state.incidents.get_mut(&id) {
                incident.held_until = Some(new);
            }
            self.state.rewake(Some(old), Some(new), Wake::Hold(id));
            self.state.touch_incident(id);
        }
    }

    fn apply_command(&mut self, author: &str, command: &Command) {
        let result = match self.obey(author, command) {
            Ok(done) => done,
            Err(refused) => format!("refused: {refused}"),
        };
        let audit = Audit {
            seq: self.state.cursor,
            at: self.state.now,
            author: author.to_owned(),
            command: self.audited(command),
            result,
        };
        let key = format!("{:020}", audit.seq);
        self.save_thing("audit", key, &audit);
    }

    /// Opens an incident about the bridge or its sources, without an alert.
    pub(super) fn open_own(
        &mut self,
        title: &str,
        text: &str,
        reason: Reason,
        source: crate::model::Sym,
    ) -> crate::model::IncidentId {
        self.open_own_of(title, text, reason, (source, None))
    }

    /// The same with what it is found by again, which it has before its ticket is asked for.
    pub(super) fn open_own_of(
        &mut self,
        title: &str,
        text: &str,
        reason: Reason,
        found_by: (crate::model::Sym, Option<u64>),
    ) -> crate::model::IncidentId {
        let id = self.new_own(title, text, (reason, Severity::S3), found_by);
        self.release(id);
        id
    }

    /// The same without its ticket.
    pub(super) fn new_own(
        &mut self,
        title: &str,
        text: &str,
        (reason, severity): (Reason, Severity),
        (source, group): (crate::model::Sym, Option<u64>),
    ) -> crate::model::IncidentId {
        let id = self.new_incident(title, source, Category::Incident);
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.severity = Some(severity);
            incident.reason = text.to_owned();
            incident.reason_word = reason;
            incident.group = group;
            let (effect, from) = (Effect::Unknown, incident.opened_at);
            super::next_period(&mut incident.periods, effect, severity, from);
        }
        if let Some(group) = group {
            self.state.by_group.insert(group, id);
        }
        self.decide(id, reason, text);
        id
    }
}
