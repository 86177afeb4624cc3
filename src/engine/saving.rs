//! Loading and saving. What can be derived (indexes, tallies, health, wakes) is not saved but
//! rebuilt; a test compares both.

use super::early::Early;
use super::state::{Scalars, Silence, SourceSeen, StormWatch, Wake, Window};
use super::ticketing::work_order;
use super::{Decisions, Engine};
use crate::model::alert::Alert;
use crate::model::incident::{Case, Incident, IncidentState};
use crate::model::saved::{
    AlertRow, CaseRow, IncidentRow, LoadedState, StateDelta, ThingRow, TicketRow, decode_body,
    encode_body,
};
use crate::model::ticket::WantedTicket;
use crate::model::{AlertState, IncidentId, Sym, TicketId, Time};
use crate::sla::CaseLog;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a saved state cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot load {what}: {reason}. Restore a backup with `alertbridge restore`")]
pub struct LoadError {
    /// Which row.
    pub what: String,
    /// What was found.
    pub reason: String,
}

fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Our types have a binary form; a value without one is written as empty and refused at load.
    encode_body(value).unwrap_or_default()
}

fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, LoadError> {
    decode_body(bytes).map_err(|reason| LoadError {
        what: what.to_owned(),
        reason,
    })
}

impl Engine {
    /// Keeps a row of the rest with the next save.
    pub(super) fn save_thing<T: Serialize>(&mut self, kind: &'static str, key: String, value: &T) {
        self.state.dirty.things.insert((kind, key), encode(value));
    }

    /// Removes a row of the rest with the next save.
    pub(super) fn drop_thing(&mut self, kind: &'static str, key: String) {
        self.state.dirty.things.insert((kind, key), Vec::new());
    }

    /// What changed since the last call, as rows of one transaction.
    pub fn take_delta(&mut self) -> StateDelta {
        let mut dirty = std::mem::take(&mut self.state.dirty);
        let mut delta = StateDelta {
            cursor: self.state.cursor,
            served_until: self.state.now,
            timeline: std::mem::take(&mut dirty.timeline),
            seal: std::mem::take(&mut dirty.seal),
            ..StateDelta::default()
        };
        self.name_sealed(&dirty, &mut delta);
        for id in &dirty.alerts {
            let alert = self
                .state
                .alerts
                .get(id)
                .or_else(|| dirty.forgotten.get(id));
            if let Some(alert) = alert {
                delta.alerts.push(AlertRow {
                    id: *id,
                    incident: alert.incident,
                    active: alert.state.is_active(),
                    body: encode(alert),
                    text: dirty.texts.get(id).map(encode),
                });
            }
        }
        for id in &dirty.incidents {
            if let Some(incident) = self.state.incidents.get(id) {
                delta.incidents.push(IncidentRow {
                    id: *id,
                    open: incident.state.is_open(),
                    live: incident.state != IncidentState::Closed,
                    body: encode(incident),
                });
            }
        }
        for id in &dirty.tickets {
            if let Some(ticket) = self.state.tickets.get(id) {
                delta.tickets.push(TicketRow {
                    id: *id,
                    incident: ticket.incident,
                    tracker: ticket.tracker.clone(),
                    work: work_order(ticket),
                    body: encode(ticket),
                });
            }
        }
        for key in &dirty.cases {
            if let Some(case) = self.state.cases.get(key) {
                delta.cases.push(CaseRow {
                    incident: key.0,
                    contract: key.1.clone(),
                    body: encode(case),
                });
            }
        }
        for source in &dirty.sources {
            if let Some(seen) = self.state.sources.get(source) {
                let key = self.state.symbols.name(*source).to_owned();
                delta.things.push(ThingRow {
                    kind: "source",
                    key,
                    value: encode(seen),
                });
            }
        }
        for key in &dirty.storms {
            let value = self.state.storms.get(key).map(encode).unwrap_or_default();
            delta.things.push(ThingRow {
                kind: "storm",
                key: format!("{key:016x}"),
                value,
            });
        }
        for id in &dirty.storm_ends {
            let due = self.state.storm_ends.get(id);
            delta.things.push(ThingRow {
                kind: "storm_end",
                key: format!("{:010}", id.0),
                value: due.map(encode).unwrap_or_default(),
            });
        }
        for key in dirty.figures {
            let value = self.state.figures.get(&key).map(encode).unwrap_or_default();
            delta.things.push(ThingRow {
                kind: "figure",
                key,
                value,
            });
        }
        if dirty.scalars {
            let value = encode(&self.state.scalars);
            delta.things.push(ThingRow {
                kind: "scalars",
                key: "engine".to_owned(),
                value,
            });
        }
        for ((kind, key), value) in dirty.things {
            delta.things.push(ThingRow { kind, key, value });
        }
        for id in dirty.closed {
            self.let_go(id);
        }
        delta
    }

    /// What of this save is sensitive.
    fn name_sealed(&self, dirty: &super::state::Dirty, delta: &mut StateDelta) {
        let lines = delta.timeline.iter().map(|line| line.incident);
        let ids = lines.chain(dirty.incidents.iter().copied());
        let sensitive = |id: &IncidentId| {
            let incident = self.state.incidents.get(id);
            incident.is_some_and(|incident| incident.sensitive)
        };
        delta.sealed = ids.filter(sensitive).collect();
        let texts = dirty.texts.iter().filter(|(_, text)| text.sensitive);
        delta.sealed_texts = texts.map(|(id, _)| *id).collect();
    }

    /// A closed incident leaves memory once it is saved.
    fn let_go(&mut self, id: IncidentId) {
        self.state.incidents.remove(&id);
        self.let_cases_go(id);
        for ticket in self.state.tickets_of.remove(&id).unwrap_or_default() {
            if let Some(ticket) = self.state.tickets.remove(&ticket)
                && let Some(remote) = ticket.remote
            {
                self.state.by_remote.remove(&(ticket.tracker, remote.key));
            }
        }
    }

    /// An engine as it was saved.
    pub fn load(decisions: Decisions, loaded: LoadedState) -> Result<Engine, LoadError> {
        let mut engine = Engine::new(decisions);
        let state = &mut engine.state;
        state.cursor = loaded.cursor;
        state.now = loaded.served_until;
        let mut symbols: Vec<(&str, &[u8])> = Vec::new();
        let mut quiet: Vec<String> = Vec::new();
        for (kind, key, value) in &loaded.things {
            match kind.as_str() {
                "symbol" => symbols.push((key, value)),
                "scalars" => state.scalars = decode::<Scalars>("scalars", value)?,
                "figure" => {
                    let stored = decode("a figure", value)?;
                    state.figures.insert(key.clone(), stored);
                }
                "silence" => {
                    let silence: Silence = decode("a silence", value)?;
                    state
                        .wakes
                        .insert((silence.until, Wake::SilenceEnd(silence.id)));
                    quiet.extend(silence.matchers.iter().cloned());
                    state.silences.insert(silence.id, silence);
                }
                "storm" => {
                    let watch: StormWatch = decode("storm control", value)?;
                    let key = u64::from_str_radix(key, 16).unwrap_or_default();
                    let quiet = engine.decisions.settings.storm_quiet;
                    state
                        .wakes
                        .insert((watch.last_at.plus(quiet), Wake::StormQuiet(key)));
                    state.storms.insert(key, watch);
                }
                "storm_end" => {
                    let due: Time = decode("the end of a storm", value)?;
                    let id = IncidentId(key.parse().unwrap_or_default());
                    state.wakes.insert((due, Wake::StormEnd(id)));
                    state.storm_ends.insert(id, due);
                }
                "closed_ticket" => {
                    let at: Time = decode("a closed ticket", value)?;
                    let id = TicketId(key.parse().unwrap_or_default());
                    state.wakes.insert((at, Wake::ClosedTicket(id)));
                    state.closed_tickets.insert(id, at);
                }
                "dead_man" => {
                    let (key, heartbeat) = decode("a dead-man alert", value)?;
                    state.dead_men.insert(key, heartbeat);
                }
                "occurrence" => {
                    let occurrence = decode("an occurrence", value)?;
                    state.occurrences.insert(key.clone(), occurrence);
                }
                "notice_seen" => {
                    if let Some((provider, number)) = key.split_once('\u{1f}') {
                        let name = (provider.to_owned(), number.to_owned());
                        state.notices_seen.insert(name, decode("a notice", value)?);
                    }
                }
                "overlap" => {
                    let told = decode("an overlap", value)?;
                    state.overlaps.insert(key.clone(), told);
                }
                "early" => {
                    let early: Early = decode("an early end", value)?;
                    state.early_at.insert((early.at, early.key));
                    state.early.insert(early.key, early);
                }
                "doubt" => {
                    let at: Time = decode("a doubt", value)?;
                    let id = IncidentId(key.parse().unwrap_or_default());
                    state.wakes.insert((at, Wake::Doubt(id)));
                    state.doubts.insert(id, at);
                }
                "window" => {
                    let window: Window = decode("a window", value)?;
                    state
                        .wakes
                        .insert((window.until, Wake::WindowEdge(window.id)));
                    if window.from > state.now {
                        state
                            .wakes
                            .insert((window.from, Wake::WindowEdge(window.id)));
                    }
                    quiet.extend(window.matchers.iter().cloned());
                    state.windows.insert(window.id, window);
                }
                "terms" => {
                    if let Some((contract, version)) = key.split_once('\u{1f}') {
                        let key = (contract.to_owned(), version.to_owned());
                        state.terms.insert(key, decode("terms", value)?);
                    }
                }
                "agreement" => {
                    let version = decode("an agreement", value)?;
                    state.agreements.insert(key.clone(), version);
                }
                "calendar" => {
                    let text = decode("a calendar", value)?;
                    state.calendars.insert(key.clone(), text);
                }
                "month_alerts" => {
                    if let Some((contract, month)) = key.split_once('\u{1f}') {
                        let key = (contract.to_owned(), month.to_owned());
                        let counts = decode("alerts of a month", value)?;
                        state.month_alerts.insert(key, counts);
                    }
                }
                "held_back" => {
                    state.held_back.extend(key.parse::<IncidentId>());
                }
                "rebuilt" => {
                    state.rebuilt.extend(key.parse::<u64>().map(IncidentId));
                }
                "to_list" => {
                    let due: Time = decode("what is to be listed", value)?;
                    state.wakes.insert((due, Wake::TicketList));
                    state
                        .to_list
                        .extend(key.parse::<IncidentId>().map(|id| (id, due)));
                }
                "unread" => {
                    let unread: Vec<u64> = decode("messages in quarantine", value)?;
                    let id = key.parse::<u64>().map(IncidentId);
                    state.unread.extend(id.map(|id| (id, unread)));
                }
                "healthy" => {
                    state.healthy.insert(key.clone());
                }
                _ => {}
            }
        }
        symbols.sort();
        for (_, name) in symbols {
            state.symbols.restore(&String::from_utf8_lossy(name));
        }
        for (kind, key, value) in &loaded.things {
            if kind == "source" {
                let seen: SourceSeen = decode("a source", value)?;
                let source = state.symbols.get(key).unwrap_or(Sym(0));
                state.sources.insert(source, seen);
            }
        }
        for body in &loaded.incidents {
            let incident: Incident = decode("an incident", body)?;
            state.incidents.insert(incident.id, incident);
        }
        for body in &loaded.cases {
            let case: Case<CaseLog> = decode("a case", body)?;
            let key = (case.incident, case.contract.clone());
            state.cases.insert(key, case);
        }
        for body in &loaded.tickets {
            let ticket: WantedTicket = decode("a ticket", body)?;
            state
                .tickets_of
                .entry(ticket.incident)
                .or_default()
                .push(ticket.id);
            if let Some(remote) = &ticket.remote {
                let name = (ticket.tracker.clone(), remote.key.clone());
                state.by_remote.insert(name, ticket.id);
            }
            state.tickets.insert(ticket.id, ticket);
        }
        for body in &loaded.alerts {
            let alert: Alert = decode("an alert", body)?;
            engine.restore_alert(alert);
        }
        engine.restore_telling(&loaded.things)?;
        engine.compile_matchers(&quiet);
        engine.read_earlier_terms();
        engine.restore_clocks();
        engine.restore_wakes();
        engine.wake_for_reports();
        engine.wake_for_recurring();
        engine.rebuild_health();
        engine.state.dirty = super::state::Dirty::default();
        Ok(engine)
    }

    /// Notices, calls, security messages and what is known of planned work.
    fn restore_telling(&mut self, things: &[(String, String, Vec<u8>)]) -> Result<(), LoadError> {
        for (kind, key, value) in things {
            match kind.as_str() {
                "notice_scalars" => {
                    self.state.telling.scalars = decode("numbers of notices", value)?;
                }
                "notice_wanted" => self.restore_notice(decode("a notice", value)?),
                "page" => self.restore_page(decode("a call", value)?),
                "security" => self.restore_security(decode("a security message", value)?),
                "security_marked" => {
                    let incident: IncidentId = decode("a mark", value)?;
                    self.state.telling.marked.insert(incident);
                }
                super::receipt::HEARD => {
                    let at = decode("a mail that was heard", value)?;
                    self.restore_heard(key, at);
                }
                "window_told" => self.restore_window_told(key, decode("a told window", value)?),
                "report_told" => self.restore_report_told(key, decode("a told month", value)?),
                _ => {}
            }
        }
        Ok(())
    }

    fn restore_alert(&mut self, alert: Alert) {
        let incident = alert.incident.map(|id| self.state.survivor(id));
        let live = incident.is_some_and(|id| self.state.incidents.contains_key(&id));
        if !live && !alert.state.is_active() {
            return;
        }
        if let Some(incident) = incident.filter(|_| live) {
            self.state
                .members
                .entry(incident)
                .or_default()
                .insert(alert.id);
            if alert.state.is_active() {
                let tally = self.tallies.entry(incident).or_default();
                tally.add(alert.weight());
                tally.add_element(alert.element);
            }
        }
        if alert.state != AlertState::Stale
            && let Some(at) = alert.expires_at
        {
            self.state.wakes.insert((at, Wake::Stale(alert.id)));
        }
        self.state.by_key.insert(alert.key, alert.id);
        if alert.condition != 0 {
            let newest = self.state.by_condition.entry(alert.condition);
            let newest = newest.or_insert(alert.id);
            *newest = (*newest).max(alert.id);
        }
        self.state.alerts.insert(alert.id, Box::new(alert));
    }

    fn restore_wakes(&mut self) {
        let lower_after = self.decisions.settings.lower_after;
        let flap_quiet = self.decisions.settings.flap_quiet;
        let mut wakes: Vec<(Time, Wake)> = Vec::new();
        for incident in self.state.incidents.values() {
            let id = incident.id;
            wakes.extend(incident.held_until.map(|at| (at, Wake::Hold(id))));
            wakes.extend(incident.quiet_until.map(|at| (at, Wake::Quiet(id))));
            if let Some(group) = incident.group {
                self.state.by_group.insert(group, id);
            }
            if incident.merged_into.is_none() {
                for host in &incident.hosts {
                    self.state.by_host.entry(*host).or_default().insert(id);
                }
            }
            if incident.reported && incident.state.is_open() {
                self.state.reported.insert(id);
            }
            if incident.state == IncidentState::Resolved {
                let at = incident
                    .reopen_until
                    .or(incident.resolved_at)
                    .unwrap_or_default();
                wakes.push((at, Wake::Close(id)));
            }
            if let Some(since) = incident.improving_since {
                wakes.push((since.plus(lower_after), Wake::Lower(id)));
            }
            if incident.flapping {
                let last = incident.firings.last().copied().unwrap_or_default();
                wakes.push((last.plus(flap_quiet), Wake::FlapQuiet(id)));
            }
        }
        for ticket in self.state.tickets.values() {
            if let Some(trouble) = &ticket.trouble {
                let at = trouble.since.plus(self.decisions.settings.fallback_after);
                wakes.push((at, Wake::Fallback(ticket.id)));
            }
        }
        if !self.state.held_back.is_empty() {
            let (began, _) = self.state.scalars.tickets_hour;
            wakes.push((began.plus(super::cap::HOUR), Wake::TicketHour));
        }
        self.state.wakes.extend(wakes);
        for (name, every) in self.decisions.expected.clone() {
            if let Some(source) = self.state.symbols.get(&name) {
                self.wake_at_silence(source, every, true);
            }
        }
    }
}
