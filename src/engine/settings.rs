//! What the engine decides by: settings with their defaults, and routes. Built by the daemon from
//! the configuration; a change is a generation in the journal.

use super::heartbeat::DeadMan;
use super::recurring::RecurringWindow;
use crate::inventory::Inventory;
use crate::model::severity::Severity;
use crate::notices::plan::Plan;
use crate::rules::{Matcher, Ruleset};
use crate::sla::Sla;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Everything that the engine decides by.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    /// Numbers.
    pub settings: Settings,
    /// Who depends on what.
    pub inventory: Arc<Inventory>,
    /// Operators' ordered rules.
    pub rules: Arc<Ruleset>,
    /// Where tickets go, in order.
    pub routes: Vec<Route>,
    /// Sources that are expected to speak, and how often.
    pub expected: Vec<(String, Duration)>,
    /// Alerts whose firing is a sign of life.
    pub dead_men: Vec<DeadMan>,
    /// Sources whose first words are one list.
    pub baseline: BTreeSet<String>,
    /// Agreements.
    pub sla: Arc<Sla>,
    /// Maintenance windows that come again.
    pub recurring: Vec<RecurringWindow>,
    /// Sources whose monitors take acknowledgements, and the name that delivery knows them by.
    pub acknowledges: BTreeMap<String, String>,
    /// Who is told what.
    pub notices: Arc<Plan>,
}

/// `[engine]`: how long things are held and what counts as too much.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long an outage must last before a ticket opens.
    #[serde(with = "crate::model::time::duration")]
    pub hold_outage: Duration,
    /// How long a degradation must last before a ticket opens.
    #[serde(with = "crate::model::time::duration")]
    pub hold_degradation: Duration,
    /// How long a loss of redundancy must last before a ticket opens.
    #[serde(with = "crate::model::time::duration")]
    pub hold_redundancy: Duration,
    /// How long a link must be down before a ticket opens.
    #[serde(with = "crate::model::time::duration")]
    pub hold_link: Duration,
    /// How long an alert without a known meaning must last before a ticket opens.
    #[serde(with = "crate::model::time::duration")]
    pub hold_unknown: Duration,
    /// How long an element with a declared parent waits for its parent to speak.
    #[serde(with = "crate::model::time::duration")]
    pub root_wait: Duration,
    /// How long after its end an incident may be reopened.
    #[serde(with = "crate::model::time::duration")]
    pub reopen_window: Duration,
    /// How long an improvement must hold before the severity falls.
    #[serde(with = "crate::model::time::duration")]
    pub lower_after: Duration,
    /// This many firings of one incident within `flap_window` are flapping.
    pub flap_firings: u32,
    /// The time in which firings are counted for flapping.
    #[serde(with = "crate::model::time::duration")]
    pub flap_window: Duration,
    /// How long a flapping incident must be quiet before it is resolved.
    #[serde(with = "crate::model::time::duration")]
    pub flap_quiet: Duration,
    /// This many openings of one site or source within `storm_window` are a storm.
    pub storm_from: u32,
    /// The time in which openings are counted for storms.
    #[serde(with = "crate::model::time::duration")]
    pub storm_window: Duration,
    /// How long a storm must be quiet before new alerts get tickets of their own again.
    #[serde(with = "crate::model::time::duration")]
    pub storm_quiet: Duration,
    /// Most tickets of proven severity below S1 opened in a minute; further ones wait. 0: no cap.
    pub storm_tickets_per_minute: u32,
    /// How long a word that fresh watchers contradict is held; at most 5 minutes.
    #[serde(with = "crate::model::time::duration")]
    pub vote_wait: Duration,
    /// A watcher that spoke within this time and does not complain says that all is well.
    #[serde(with = "crate::model::time::duration")]
    pub vote_fresh: Duration,
    /// Most tickets opened in an hour; past it one ticket lists what waits. Proven S1 and S2 and what
    /// customers report never wait. 0: no cap.
    pub tickets_per_hour_max: u32,
    /// How long a tracker may be down before an S1 or S2 goes to the fallback route.
    #[serde(with = "crate::model::time::duration")]
    pub fallback_after: Duration,
    /// What to do when a person closes a ticket while its alert still fires: `leave`, `reopen` or
    /// `remind`.
    pub closed_while_firing: ClosedWhileFiring,
    /// How long such a ticket stays closed before `reopen` opens it again.
    #[serde(with = "crate::model::time::duration")]
    pub reopen_closed_after: Duration,
    /// How often `remind` notes on such a ticket that its alert still fires.
    #[serde(with = "crate::model::time::duration")]
    pub remind_every: Duration,
}

/// What to do when a person closes a ticket while its alert still fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedWhileFiring {
    /// The person is right; the incident ends.
    Leave,
    /// The ticket is opened again, after `reopen_closed_after`.
    Reopen,
    /// The ticket stays closed, the incident open; a note says so every `remind_every`.
    Remind,
}

/// `reopen` of a route: what becomes of a ticket whose problem comes back while the bridge
/// remembers it (`reopen_window`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reopen {
    /// It stays closed; a new ticket opens.
    Never,
    /// It is opened again.
    #[default]
    Always,
    /// It stays closed; a new ticket opens, and each names the other.
    NewAndLink,
    /// It is opened again if it ended no longer ago than this, else as with `new_and_link`.
    #[serde(with = "crate::model::time::duration")]
    Within(Duration),
}

/// `came_and_went` of a route: what becomes of a problem that ended before its tracker took the
/// ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CameAndWent {
    /// No ticket.
    #[default]
    Nothing,
    /// One ticket, closed.
    ClosedTicket,
}

impl Default for Settings {
    fn default() -> Settings {
        let minutes = |n: u64| Duration::from_secs(n * 60);
        Settings {
            hold_outage: Duration::ZERO,
            hold_degradation: minutes(2),
            hold_redundancy: minutes(2),
            hold_link: minutes(2),
            hold_unknown: Duration::ZERO,
            root_wait: Duration::from_secs(10),
            reopen_window: minutes(24 * 60),
            lower_after: minutes(15),
            flap_firings: 6,
            flap_window: minutes(30),
            flap_quiet: minutes(15),
            storm_from: 10,
            storm_window: minutes(1),
            storm_quiet: minutes(5),
            storm_tickets_per_minute: 30,
            vote_wait: minutes(5),
            vote_fresh: minutes(5),
            tickets_per_hour_max: 300,
            fallback_after: minutes(10),
            closed_while_firing: ClosedWhileFiring::Leave,
            reopen_closed_after: Duration::ZERO,
            remind_every: minutes(4 * 60),
        }
    }
}

/// `[route.NAME]`: where the tickets of matching incidents go.
#[derive(Clone, Debug)]
pub struct Route {
    /// The route's name.
    pub name: String,
    /// Which incidents; empty: all.
    pub matcher: Option<Matcher>,
    /// The tracker's name.
    pub tracker: String,
    /// Where inside the tracker; empty: its default.
    pub queue: String,
    /// Decide, explain, write only to the desk.
    pub shadow: bool,
    /// Also try the routes that follow.
    pub further: bool,
    /// Label or field names by which alerts without a known element are grouped.
    pub group_by: Vec<String>,
    /// The route that takes an S1 or S2 while the tracker is down; empty: none.
    pub fallback: String,
    /// Severities that it takes; empty: all.
    pub severities: Vec<Severity>,
    /// What becomes of a ticket whose problem comes back.
    pub reopen: Reopen,
    /// What becomes of a problem that ended before its tracker took the ticket.
    pub came_and_went: CameAndWent,
    /// Which cases get a ticket of their own that the customer sees.
    pub case_tickets: CaseTickets,
    /// The tracker of those tickets; empty: the route's.
    pub case_tracker: String,
    /// Where inside that tracker; empty: its default.
    pub case_queue: String,
    /// What goes through it must not leave the bridge.
    pub sensitive: bool,
    /// The language of its tickets: `en`, `ja` or `fr`.
    pub language: String,
}

/// Which cases get a ticket of their own that the customer sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CaseTickets {
    /// None.
    #[default]
    Never,
    /// Those whose customer reported the trouble.
    OnReport,
    /// All.
    Always,
}

impl Route {
    /// The route that is there without configuration: everything to the built-in desk.
    pub fn desk() -> Route {
        Route {
            name: "default".to_owned(),
            matcher: None,
            tracker: "desk".to_owned(),
            queue: String::new(),
            shadow: false,
            further: false,
            group_by: Vec::new(),
            fallback: String::new(),
            severities: Vec::new(),
            reopen: Reopen::Always,
            came_and_went: CameAndWent::Nothing,
            case_tickets: CaseTickets::Never,
            case_tracker: String::new(),
            case_queue: String::new(),
            sensitive: false,
            language: "en".to_owned(),
        }
    }
}
