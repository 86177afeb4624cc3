//! What the engine holds between two inputs, and how it is loaded and saved.
//!
//! Maps that are only looked up are hashed; everything that is walked to emit something is
//! ordered, so that a replay emits the same bytes. Every entry has a deadline or an owner that
//! removes it.

use super::early::Early;
use super::occurrences::Occurrence;
use super::overlaps::Overlap;
use super::telling::Telling;
use super::windows::NoticeSeen;
use crate::model::alert::{Alert, AlertText};
use crate::model::figure::Stored;
use crate::model::id::{AlertId, IncidentId, SilenceId, Sym, TicketId, WindowId};
use crate::model::identity::AlertKey;
use crate::model::incident::{Case, Incident, TimelineEntry};
use crate::model::reason::Reason;
use crate::model::ticket::WantedTicket;
use crate::model::time::Time;
use crate::sla::CaseLog;
use crate::sla::report::AlertCounts;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Why the engine has to wake at an instant. The order is the order of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wake {
    /// An incident's hold is over.
    Hold(IncidentId),
    /// An alert has not been repeated in time.
    Stale(AlertId),
    /// A silence or window over an incident ends.
    Quiet(IncidentId),
    /// A flapping incident has been quiet.
    FlapQuiet(IncidentId),
    /// An improvement has held for long enough.
    Lower(IncidentId),
    /// A ticket's tracker has been down for too long.
    Fallback(TicketId),
    /// A storm is over if it was quiet.
    StormQuiet(u64),
    /// A source has been silent for too long.
    SourceSilent(Sym),
    /// A reopen window is over.
    Close(IncidentId),
    /// A silence ends.
    SilenceEnd(SilenceId),
    /// A clock of one of its cases changes by itself.
    Clocks(IncidentId),
    /// A window begins or ends.
    WindowEdge(WindowId),
    /// Nothing has stirred in a storm for long enough: what remains of it may be small.
    StormEnd(IncidentId),
    /// A person closed a ticket while its alert fired.
    ClosedTicket(TicketId),
    /// A call is repeated, or the next level is called.
    Page(IncidentId),
    /// The hour is over in which the cap held tickets back.
    TicketHour,
    /// The list of what waits for a ticket is added to.
    TicketList,
    /// Those who contradict a ticket that opened in doubt may be fresh no longer.
    Doubt(IncidentId),
    /// A window that comes again is planned, begins or ends.
    ToldRecurring,
    /// A month's report goes out.
    Reports,
}

/// What is known of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSeen {
    /// First contact.
    pub first_at: Time,
    /// Last message.
    pub last_at: Time,
    /// Messages accepted.
    pub messages: u64,
    /// Events accepted, without repeats.
    pub events: u64,
    /// Events by outcome, in the order of [`crate::model::Outcome::ALL`].
    pub outcomes: Vec<u64>,
    /// Messages in quarantine, ever.
    pub quarantined: u64,
    /// The incident about its silence.
    pub silent: Option<IncidentId>,
}

/// A silence in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Our number.
    pub id: SilenceId,
    /// Matcher expressions; all must match.
    pub matchers: Vec<String>,
    /// Why.
    pub reason: String,
    /// Who.
    pub author: String,
    /// From when.
    pub from: Time,
    /// Until when.
    pub until: Time,
    /// Whether it also holds back a proven S1.
    pub holds_s1: bool,
}

/// A maintenance window from the CLI, the API or a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Our number.
    pub id: WindowId,
    /// Matcher expressions; all must match.
    pub matchers: Vec<String>,
    /// Elements it explains, for notices of carriers.
    pub elements: Vec<String>,
    /// Why.
    pub reason: String,
    /// Who.
    pub author: String,
    /// From when.
    pub from: Time,
    /// Until when.
    pub until: Time,
    /// Provider and maintenance id, for windows that came from a notice.
    pub notice: Option<(String, String)>,
    /// Sequence of that notice; an older one never wins.
    pub sequence: i64,
}

/// A message in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// Journal position.
    pub seq: u64,
    /// When it was accepted.
    pub at: Time,
    /// The source.
    pub source: String,
    /// The format that tried.
    pub sender: String,
    /// Why.
    pub reason: String,
    /// One line for people.
    pub summary: String,
    /// How it was handled; empty: it waits.
    pub handled: String,
    /// Content that must not leave the bridge.
    pub sensitive: bool,
}

/// One line of the audit: an operator's command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Journal position.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// Who.
    pub author: String,
    /// What, as text.
    pub command: String,
    /// What came of it.
    pub result: String,
}

/// Counters of contracts and of the installation that must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scalars {
    /// Next ids.
    pub next_alert: u64,
    /// Next incident number.
    pub next_incident: u64,
    /// Next ticket id.
    pub next_ticket: u64,
    /// Next silence.
    pub next_silence: u64,
    /// Next window.
    pub next_window: u64,
    /// When the store was made.
    pub created_at: Time,
    /// The installation's generation, part of every idempotency key.
    pub generation: String,
    /// Routes that were promoted out of shadow mode.
    pub promoted: BTreeSet<String>,
    /// New tickets in the hour that began at this time.
    pub tickets_hour: (Time, u32),
    /// Restarts so far.
    pub restarts: u64,
    /// When the daemon started last.
    pub restarted_at: Time,
    /// Tickets of proven severity in the minute that began at this time.
    pub tickets_minute: (Time, u32),
}

/// Recent openings at one site or source, for storm control.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StormWatch {
    /// Openings within the window: when, and which incident.
    pub recent: std::collections::VecDeque<(Time, IncidentId)>,
    /// The storm's incident, while there is a storm.
    pub incident: Option<IncidentId>,
    /// Last opening that counted.
    pub last_at: Time,
}

/// Everything the engine holds.
#[derive(Debug, Default)]
pub struct State {
    /// Counters and ids.
    pub scalars: Scalars,
    /// Interned names.
    pub symbols: Symbols,
    /// Alerts by id. Boxed: ids come in order, which leaves the map's nodes half empty.
    pub alerts: BTreeMap<AlertId, Box<Alert>>,
    /// Alerts by identity.
    pub by_key: FxHashMap<AlertKey, AlertId>,
    /// The newest alert of a condition whose sender numbers its problems anew.
    pub by_condition: FxHashMap<u64, AlertId>,
    /// Live incidents.
    pub incidents: BTreeMap<IncidentId, Incident>,
    /// Members of live incidents.
    pub members: BTreeMap<IncidentId, BTreeSet<AlertId>>,
    /// Tickets of live incidents.
    pub tickets: BTreeMap<TicketId, WantedTicket>,
    /// Tickets of an incident.
    pub tickets_of: BTreeMap<IncidentId, Vec<TicketId>>,
    /// Tickets by tracker and number there.
    pub by_remote: BTreeMap<(String, String), TicketId>,
    /// Active alerts of an element.
    pub by_element: BTreeMap<Sym, BTreeSet<AlertId>>,
    /// Live incidents with alerts about parts of a host, without an inventory.
    pub by_host: BTreeMap<u64, BTreeSet<IncidentId>>,
    /// Live incidents by what they are grouped by.
    pub by_group: BTreeMap<u64, IncidentId>,
    /// Sources.
    pub sources: BTreeMap<Sym, SourceSeen>,
    /// Silences in force.
    pub silences: BTreeMap<SilenceId, Silence>,
    /// Windows that are planned or in force.
    pub windows: BTreeMap<WindowId, Window>,
    /// Storm control by site or source.
    pub storms: BTreeMap<u64, StormWatch>,
    /// When it is looked at next whether a storm is over.
    pub storm_ends: BTreeMap<IncidentId, Time>,
    /// Tickets that a person closed while their alerts fired: when they are looked at next.
    pub closed_tickets: BTreeMap<TicketId, Time>,
    /// Dead-man alerts that were heard, and the heartbeats that they are.
    pub dead_men: BTreeMap<AlertKey, Sym>,
    /// The occurrence of each recurring window that is in force or next, by its name.
    pub occurrences: BTreeMap<String, Occurrence>,
    /// The newest notice of each announced work.
    pub notices_seen: BTreeMap<(String, String), NoticeSeen>,
    /// Overlaps of planned works that were told.
    pub overlaps: BTreeMap<String, Overlap>,
    /// Recoveries of alerts that are not known yet.
    pub early: BTreeMap<AlertKey, Early>,
    /// The same by when they were told.
    pub early_at: BTreeSet<(Time, AlertKey)>,
    /// Incidents that opened in doubt, and when nobody fresh contradicts them any more.
    pub doubts: BTreeMap<IncidentId, Time>,
    /// Figures that survive a restart, by series.
    pub figures: BTreeMap<String, Stored>,
    /// Cases of live incidents, by contract.
    pub cases: BTreeMap<(IncidentId, String), Case<CaseLog>>,
    /// When the clocks of an incident are looked at next.
    pub clock_wakes: BTreeMap<IncidentId, Time>,
    /// When to wake for what.
    pub wakes: BTreeSet<(Time, Wake)>,
    /// Terms of contracts as written, by contract and version, for cases that keep them.
    pub terms: BTreeMap<(String, String), String>,
    /// The version of each contract's terms at the last generation.
    pub agreements: BTreeMap<String, String>,
    /// Calendars as written at the last generation, and those that are gone since.
    pub calendars: BTreeMap<String, String>,
    /// What became of the alerts of a contract's month.
    pub month_alerts: BTreeMap<(String, String), AlertCounts>,
    /// Services that were being set up and were seen healthy.
    pub healthy: BTreeSet<String>,
    /// Incidents whose tickets the cap holds back.
    pub held_back: BTreeSet<IncidentId>,
    /// Those of them that the list does not name yet, and when it will.
    pub to_list: BTreeMap<IncidentId, Time>,
    /// Messages in quarantine that nobody handled, by the incident that tells of them.
    pub unread: BTreeMap<IncidentId, Vec<u64>>,
    /// Incidents that came out of their tickets, whose severity stands as it was found there.
    pub rebuilt: BTreeSet<IncidentId>,
    /// Open incidents that a person reported.
    pub reported: BTreeSet<IncidentId>,
    /// Recently applied change ids of people, to apply each once.
    pub person_changes: BTreeSet<(String, String)>,
    /// What people are told.
    pub telling: Telling,
    /// The journal is applied up to here.
    pub cursor: u64,
    /// The time of the last input applied.
    pub now: Time,
    /// What changed since the last save.
    pub dirty: Dirty,
}

/// What changed since the last save.
#[derive(Debug, Default)]
pub struct Dirty {
    /// Alerts.
    pub alerts: BTreeSet<AlertId>,
    /// Alerts that left memory with this save, as they were.
    pub forgotten: BTreeMap<AlertId, Box<Alert>>,
    /// New texts of alerts.
    pub texts: BTreeMap<AlertId, AlertText>,
    /// Incidents.
    pub incidents: BTreeSet<IncidentId>,
    /// Tickets.
    pub tickets: BTreeSet<TicketId>,
    /// Timeline lines.
    pub timeline: Vec<TimelineEntry>,
    /// Other rows: kind, key, encoded value.
    pub things: BTreeMap<(&'static str, String), Vec<u8>>,
    /// Sources.
    pub sources: BTreeSet<Sym>,
    /// Storm control.
    pub storms: BTreeSet<u64>,
    /// When storms may be over.
    pub storm_ends: BTreeSet<IncidentId>,
    /// Stored figures.
    pub figures: BTreeSet<String>,
    /// Cases.
    pub cases: BTreeSet<(IncidentId, String)>,
    /// Whether scalars changed.
    pub scalars: bool,
    /// Incidents that leave memory with this save.
    pub closed: Vec<IncidentId>,
    /// Incidents that turned out to be sensitive after something of them was stored.
    pub seal: BTreeSet<IncidentId>,
}

/// Interned names; `Sym(0)` is the empty name.
#[derive(Debug, Default)]
pub struct Symbols {
    names: Vec<String>,
    numbers: FxHashMap<String, Sym>,
}

impl Symbols {
    /// The name of a symbol; empty for one that is not known.
    pub fn name(&self, sym: Sym) -> &str {
        usize::try_from(sym.0)
            .ok()
            .and_then(|i| i.checked_sub(1))
            .and_then(|i| self.names.get(i))
            .map_or("", String::as_str)
    }

    /// The symbol of a name, if it has one.
    pub fn get(&self, name: &str) -> Option<Sym> {
        if name.is_empty() {
            Some(Sym(0))
        } else {
            self.numbers.get(name).copied()
        }
    }

    /// Adds a name at the next free number; used by [`State::intern`] and when loading.
    fn add(&mut self, name: &str) -> Sym {
        self.names.push(name.to_owned());
        let sym = Sym(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.numbers.insert(name.to_owned(), sym);
        sym
    }

    /// Restores a symbol from the store; symbols come in order of their numbers.
    pub fn restore(&mut self, name: &str) {
        self.add(name);
    }
}

impl State {
    /// The symbol of a name, made if it has none.
    pub fn intern(&mut self, name: &str) -> Sym {
        if let Some(sym) = self.symbols.get(name) {
            return sym;
        }
        let sym = self.symbols.add(name);
        self.dirty.things.insert(
            ("symbol", format!("{:010}", sym.0)),
            name.as_bytes().to_vec(),
        );
        sym
    }

    /// Adds a line to an incident's timeline.
    pub fn tell(&mut self, incident: IncidentId, reason: Reason, text: impl Into<String>) {
        self.tell_by(incident, reason, text, String::new());
    }

    /// Adds a line to an incident's timeline, with the person who caused it.
    pub fn tell_by(
        &mut self,
        incident: IncidentId,
        reason: Reason,
        text: impl Into<String>,
        author: String,
    ) {
        let entry = TimelineEntry {
            incident,
            seq: self.cursor,
            at: self.now,
            reason,
            text: text.into(),
            author,
        };
        self.dirty.timeline.push(entry);
    }

    /// Marks an incident as changed.
    pub fn touch_incident(&mut self, id: IncidentId) {
        self.dirty.incidents.insert(id);
        let now = self.now;
        if let Some(incident) = self.incidents.get_mut(&id) {
            incident.changed_at = now;
        }
    }

    /// Follows merges to the incident that stands for `id` now.
    pub fn survivor(&self, mut id: IncidentId) -> IncidentId {
        for _ in 0..64 {
            match self.incidents.get(&id).and_then(|i| i.merged_into) {
                Some(next) => id = next,
                None => break,
            }
        }
        id
    }

    /// Sets the wake of an alert's expiry in place of an earlier one.
    pub fn rewake(&mut self, old: Option<Time>, new: Option<Time>, wake: Wake) {
        if old == new {
            return;
        }
        if let Some(at) = old {
            self.wakes.remove(&(at, wake));
        }
        if let Some(at) = new {
            self.wakes.insert((at, wake));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_stable_and_the_empty_name_is_zero() {
        let mut state = State::default();
        assert_eq!(state.intern(""), Sym(0));
        let a = state.intern("zabbix");
        assert_eq!(state.intern("zabbix"), a);
        assert_eq!(state.symbols.name(a), "zabbix");
        assert_eq!(state.symbols.name(Sym(99)), "");
    }
}
