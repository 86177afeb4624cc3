//! The engine decides. `step(input)` moves the state and says what came of it; it is
//! deterministic, does no I/O, reads no clock and draws no random number. Time comes in with the
//! inputs, and the deadlines that have passed are served before each input.
//!
//! | file | decides |
//! | --- | --- |
//! | `step` | which part an input concerns |
//! | `alert` | what an event does to its alert |
//! | `early` | what a recovery that overtakes its firing means |
//! | `correlate` | which incident an alert belongs to |
//! | `incident` | opening and joining |
//! | `hold` | how long before a ticket opens |
//! | `merge` | when two incidents are one |
//! | `flap` | when changing too often is a state |
//! | `ending` | resolving, reopening, closing |
//! | `severity` | how bad it is, from the inventory or from rules |
//! | `storm` | when openings fold into one |
//! | `unfold` | when a storm is over, and what remains of it |
//! | `baseline` | what fires already at a source's first contact |
//! | `cap` | tickets an hour, and the list of what waits |
//! | `quiet` | what silences and windows keep quiet, and when they no longer do |
//! | `windows` | silences and maintenance windows |
//! | `carrier` | which notice of a carrier counts, and the windows that it becomes |
//! | `recurring` | windows that come again |
//! | `occurrences` | the next occurrence of each, as a window |
//! | `overlaps` | when planned works are too much together |
//! | `vote` | when monitors contradict each other |
//! | `maintenance` | when planned work pauses the clocks of an open incident |
//! | `cases` | what each affected contract sees, and its clocks |
//! | `routing` | where tickets go, and what stands in for one that cannot be written |
//! | `reopening` | tickets whose problem comes back, or that are closed while it lasts |
//! | `agreements` | under which terms a case stands, and what a change of them moves |
//! | `monthly` | what a contract's month needs beside its cases |
//! | `ticketing` | what the trackers should look like |
//! | `case_tickets` | what each customer sees of a case, and does to it |
//! | `acknowledge` | which acknowledgements go back to monitors |
//! | `names` | whose name must not reach another customer |
//! | `request` | what people bring in: reports, questions |
//! | `adopt` | tickets that exist already |
//! | `rebuild`, `rebuild_cases` | what comes back out of open tickets when the store was lost |
//! | `words` | what people write by mail: answers to tickets, requests, questions |
//! | `receipt` | that a person's mail is heard once, and who is told its number |
//! | `quarantine` | what could not be read, and when its ticket is over |
//! | `people` | what operators and people in trackers do |
//! | `answers` | what staff say by mail or in a tracker's field beside plain words |
//! | `moments` | what falls due of clocks, told once each |
//! | `telling` | notices: wanted, sent, given up |
//! | `told_cases` | what customers, partners and staff are told of cases |
//! | `told_windows` | what customers are told of planned work |
//! | `told_recurring` | the same for windows that come again |
//! | `told_reports` | when a month's report goes out |
//! | `security` | messages that a person has to release |
//! | `paging` | who is called, again and again, until somebody answers |
//! | `sensitive` | what must not leave the bridge |
//! | `gauges` | how things stand, for the metrics |
//! | `heartbeat` | when a source, a heartbeat or a dead-man alert is silent |
//! | `explain` | nothing: it tells how all this was decided |
//! | `saving` | loading and saving |

mod acknowledge;
mod adopt;
mod agreements;
mod alert;
mod answers;
mod baseline;
mod cap;
mod carrier;
mod case_tickets;
mod cases;
mod correlate;
mod early;
mod ending;
mod explain;
mod flap;
pub mod gauges;
mod heartbeat;
mod hold;
mod incident;
mod maintenance;
mod merge;
mod moments;
mod monthly;
mod moved;
mod names;
mod occurrences;
mod overlaps;
mod paging;
mod people;
mod quarantine;
mod quiet;
mod rebuild;
mod rebuild_cases;
mod receipt;
mod recurring;
mod reopening;
mod request;
mod routing;
mod saving;
pub mod security;
mod sensitive;
mod settings;
mod severity;
pub mod state;
mod step;
mod storm;
mod tally;
pub mod telling;
mod ticketing;
mod told_cases;
mod told_recurring;
mod told_reports;
pub mod told_windows;
mod unfold;
mod vote;
mod windows;
mod words;

#[cfg(test)]
mod tests;

pub use baseline::EVERY_SOURCE;
pub use correlate::element_of;
pub use explain::{
    Explained, Recorded, explain, explain_alert, explain_around, explain_event, recap,
};
pub use heartbeat::DeadMan;
pub use recurring::{RecurringConfig, RecurringWindow};
pub use routing::routes_can_ask;
pub use settings::{
    CameAndWent, CaseTickets, ClosedWhileFiring, Decisions, Reopen, Route, Settings,
};
pub use ticketing::{FIRST_CYCLE, ticket_key};

use crate::inventory::Health;
use crate::model::figure::{Family, Stored, series_key};
use crate::model::identity::AlertKey;
use crate::model::incident::{Effect, ImpactPeriod};
use crate::model::outgoing::Audience;
use crate::model::reason::{Outcome, Reason};
use crate::model::{IncidentId, Severity, TicketId, Time};
use crate::rules::Matcher;
use crate::sla::Contract;
use crate::sla::report::Month;
use state::{State, Wake};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The deciding part of the bridge.
pub struct Engine {
    state: State,
    decisions: Decisions,
    health: Health,
    tallies: BTreeMap<IncidentId, Tally>,
    clocks: BTreeMap<(IncidentId, String), Vec<cases::ClockShown>>,
    earlier: BTreeMap<agreements::TermsKey, Arc<Contract>>,
    unreviewed: BTreeMap<agreements::TermsKey, Arc<Contract>>,
    months: BTreeMap<String, Month>,
    input_at: Time,
    matchers: BTreeMap<String, Matcher>,
    health_moved: bool,
    recurring_followed: bool,
    facts_since: Option<Time>,
    touched_in_tracker: Option<TicketId>,
    /// When what is applied happened, if its tracker says so.
    happened_at: Option<Time>,
    names: std::sync::OnceLock<names::Names>,
    out: Said,
}

/// What the engine says beside the state it changes.
#[derive(Debug, Default)]
pub struct Said {
    /// One outcome for each event, by source.
    pub outcomes: Vec<(String, Outcome)>,
    /// Trackers that have something to do.
    pub work: Vec<String>,
    /// Storms that may be over, and what is held while a silence or window begins: the texts of what
    /// still fires of them are asked for, as an input.
    pub remains: BTreeSet<IncidentId>,
    /// Alerts that left memory: the repeat filter forgets them.
    pub forgotten: Vec<AlertKey>,
    /// Decisions for the log.
    pub decided: Vec<Decided>,
    /// Figures for the metrics.
    pub figures: Vec<Figure>,
}

/// A decision for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// The incident.
    pub incident: IncidentId,
    /// Its severity now.
    pub severity: Option<Severity>,
    /// The decision.
    pub reason: Reason,
    /// A sentence for people.
    pub text: String,
}

/// Something that the metrics of this process count; what must survive a restart is kept in the
/// state instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Figure {
    /// A ticket was acknowledged by its tracker after this many milliseconds.
    TicketOpened {
        /// The tracker.
        tracker: String,
        /// Accepted alert to acknowledged ticket.
        after_ms: u64,
    },
    /// The alert's own start to its acceptance, in milliseconds; negative: in the future.
    DetectionDelay(i64),
    /// A breach was recorded so many seconds after its due instant.
    SlaRecorded(i64),
    /// A notice was sent or given up.
    Notified {
        /// How it went: `mail` or the pager's kind.
        channel: String,
        /// Whom it was for.
        audience: Audience,
        /// Whether it was sent.
        sent: bool,
    },
}

/// What the members of an incident add up to. Derived; rebuilt when loading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    /// Active members by hint: outage, degradation, redundancy, info, unknown.
    hints: [u32; 5],
    /// The same without those that a rule gave a severity.
    plain: [u32; 5],
    /// Active members by the severity that a rule gave them, S1 to S5.
    ruled: [u32; 5],
    /// Active members by element.
    elements: BTreeMap<crate::model::Sym, u32>,
}

impl Engine {
    /// An engine without a past.
    pub fn new(decisions: Decisions) -> Engine {
        let health = Health::new(&decisions.inventory);
        Engine {
            state: State::default(),
            decisions,
            health,
            tallies: BTreeMap::new(),
            clocks: BTreeMap::new(),
            earlier: BTreeMap::new(),
            unreviewed: BTreeMap::new(),
            months: BTreeMap::new(),
            input_at: Time::default(),
            matchers: BTreeMap::new(),
            health_moved: false,
            recurring_followed: false,
            facts_since: None,
            touched_in_tracker: None,
            happened_at: None,
            names: std::sync::OnceLock::new(),
            out: Said::default(),
        }
    }

    /// The journal is applied up to here.
    pub fn cursor(&self) -> u64 {
        self.state.cursor
    }

    /// Decides by something else from now on. The input that follows says what changed.
    pub fn replace_decisions(&mut self, decisions: Decisions) {
        self.decisions = decisions;
        self.recurring_followed = false;
        self.months.clear();
        self.read_earlier_terms();
        self.names = std::sync::OnceLock::new();
        self.rebuild_health();
    }

    /// What the engine holds, to read.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The next instant at which something happens by itself.
    pub fn next_wake(&self) -> Option<Time> {
        self.state.wakes.first().map(|(at, _)| *at)
    }

    /// What was said since the last call.
    pub fn take_said(&mut self) -> Said {
        std::mem::take(&mut self.out)
    }

    /// Adds to a stored figure: to a counter, or one observation in thousandths.
    fn add_figure(&mut self, family: Family, labels: &[&str], amount: u64) {
        let key = series_key(family, labels);
        self.state
            .figures
            .entry(key.clone())
            .or_insert_with(|| Stored::zero(family))
            .add(family, amount);
        self.state.dirty.figures.insert(key);
    }

    fn count_severity_change(&mut self, up: bool, human: bool) {
        let direction = if up { "up" } else { "down" };
        let by = if human { "human" } else { "alert" };
        self.add_figure(Family::SeverityChanges, &[direction, by], 1);
    }

    /// When what is applied happened: by the tracker, for what people did there, else now.
    fn happened(&self) -> Time {
        self.happened_at.unwrap_or(self.state.now)
    }

    fn wake(&mut self, at: Time, wake: Wake) {
        self.state.wakes.insert((at, wake));
    }

    /// A timeline line and a log line for one decision.
    fn decide(&mut self, incident: IncidentId, reason: Reason, text: impl Into<String>) {
        self.decide_by(incident, reason, text, "");
    }

    fn decide_by(
        &mut self,
        incident: IncidentId,
        reason: Reason,
        text: impl Into<String>,
        author: &str,
    ) {
        let text = text.into();
        if self.decisions.notices.is_on() {
            self.state.telling.review.insert(incident);
        }
        let severity = self.state.incidents.get(&incident).and_then(|i| i.severity);
        self.state
            .tell_by(incident, reason, text.clone(), author.to_owned());
        self.state.touch_incident(incident);
        let text = self.outside(incident, &text);
        self.out.decided.push(Decided {
            incident,
            severity,
            reason,
            text,
        });
    }
}

/// Ends the running impact period and begins the next one, if it differs.
fn next_period(periods: &mut Vec<ImpactPeriod>, effect: Effect, severity: Severity, from: Time) {
    if let Some(last) = periods.last_mut() {
        if last.until.is_none() && last.effect == effect && last.severity == severity {
            return;
        }
        if last.until.is_none() {
            last.until = Some(from.max(last.from));
        }
    }
    periods.push(ImpactPeriod {
        effect,
        severity,
        from,
        until: None,
    });
}
