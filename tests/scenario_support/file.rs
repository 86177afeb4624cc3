//! A scenario as written: `tests/data/scenarios/NAME.toml`.

use alertbridge::engine::{
    DeadMan, Decisions, RecurringConfig, RecurringWindow, Reopen, Route, Settings,
};
use alertbridge::inventory::{Inventory, InventoryFile};
use alertbridge::model::event::{ComponentKind, SeverityHint, Suppressed};
use alertbridge::model::time::duration;
use alertbridge::rules::{Matcher, Rule, Ruleset};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What happens and what must follow, for people.
    pub story: String,
    /// The wall clock at the start, RFC 3339.
    #[serde(default)]
    pub begins: Option<String>,
    /// Name times in events, as most senders do.
    #[serde(default = "yes")]
    pub times: bool,
    /// Name a sending time in events: order within one identity may then change on the way.
    #[serde(default)]
    pub sent: bool,
    /// Overrides of `[engine]`.
    #[serde(default)]
    pub engine: Settings,
    #[serde(default)]
    pub inventory: InventoryFile,
    /// Inventory text that is repeated with `{n}` from 1 to `count`.
    #[serde(default)]
    pub many: Vec<Many>,
    #[serde(default)]
    pub rule: Vec<Rule>,
    #[serde(default)]
    pub route: Vec<RouteEntry>,
    /// Recurring maintenance windows.
    #[serde(default)]
    pub recurring: Vec<RecurringConfig>,
    /// Sources that are expected to speak, and how often.
    #[serde(default)]
    pub expected: BTreeMap<String, String>,
    /// Alerts whose firing is a sign of life, and the heartbeats that they are.
    #[serde(default)]
    pub dead_man: Vec<DeadManEntry>,
    pub steps: Vec<Step>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Many {
    pub count: usize,
    pub text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeadManEntry {
    pub source: String,
    pub heartbeat: String,
    #[serde(rename = "match")]
    pub matchers: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteEntry {
    pub name: String,
    #[serde(default)]
    pub group_by: Vec<String>,
    #[serde(default)]
    pub reopen: Reopen,
}

/// What happens, or what must be true, at one instant.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// Since the start, like `2m 5s`.
    pub at: String,
    /// An event: `component@host` or `host`.
    pub fire: Option<String>,
    pub clear: Option<String>,
    pub ack: Option<String>,
    pub notice: Option<String>,
    /// Fields of the event.
    pub source: Option<String>,
    pub hint: Option<SeverityHint>,
    pub kind: Option<ComponentKind>,
    pub check: Option<String>,
    pub site: Option<String>,
    pub service: Option<String>,
    pub account: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub suppressed: Option<Suppressed>,
    pub test: bool,
    /// The event's own start or end, since the start; by default `at`.
    pub when: Option<String>,
    /// The sender's clock is off by so many seconds.
    pub skew: i64,
    /// Expires if it is not repeated within this time.
    pub expires: Option<String>,
    /// Repeat with `{n}` from 1.
    pub each: Option<usize>,
    /// The outcome that the event must have, in the run as written.
    pub outcome: Option<String>,
    /// What a person does.
    pub person: Option<Person>,
    pub restart: bool,
    pub clock_step: Option<i64>,
    /// Exactly these tickets are open; order does not matter.
    pub tickets: Option<Vec<Expected>>,
    /// Exactly these incidents have no ticket yet: held or quiet.
    pub held: Option<Vec<Expected>>,
    /// Exactly these incidents ended without a ticket.
    pub untold: Option<Vec<Expected>>,
    /// Exactly these tickets were resolved.
    pub resolved: Option<Vec<Expected>>,
    /// Reasons that stand in timelines by now.
    pub told: Vec<String>,
    /// Reasons that must not.
    pub never: Vec<String>,
    /// Parts of notes that tickets have got by now.
    pub noted: Vec<String>,
    /// Tickets that were asked for so far, merged ones included.
    pub asked: Option<usize>,
    /// No ticket has more notes than this.
    pub notes_max: Option<usize>,
}

/// A command. `on` names an alert of the incident.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Person {
    Silence {
        #[serde(rename = "match")]
        matchers: Vec<String>,
        #[serde(rename = "for")]
        lasts: String,
        #[serde(default)]
        holds_s1: bool,
    },
    EndSilence(u64),
    Window {
        #[serde(rename = "match")]
        matchers: Vec<String>,
        from: String,
        until: String,
    },
    EndWindow(u64),
    Severity {
        on: String,
        to: Option<String>,
    },
    Acknowledge(String),
    Assign {
        on: String,
        owner: String,
    },
    Resolve(String),
    FalseAlarm(String),
    Reopen(String),
    Report {
        account: String,
        #[serde(default)]
        service: Option<String>,
        #[serde(default)]
        degradation: bool,
    },
    CloseAlert(String),
    /// The tracker takes all that waits for it.
    Delivered,
    /// The same, but a ticket that is to be opened again stays closed.
    DeliveredWithoutReopening,
    /// In the tracker, a person closes the newest ticket of the alert's incident.
    ClosedInTracker(String),
    /// In the tracker, a person opens it again.
    ReopenedInTracker(String),
    Notice {
        id: String,
        objects: Vec<String>,
        from: String,
        until: String,
        #[serde(default)]
        sequence: i64,
        #[serde(default)]
        cancelled: bool,
    },
}

/// What is said of one ticket or incident; what is absent is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expected {
    pub severity: Option<String>,
    pub members: Option<Vec<String>>,
    pub count: Option<usize>,
    /// The named decision behind the severity.
    pub reason: Option<String>,
    /// Part of the sentence behind the severity.
    pub says: Option<String>,
    pub basis: Option<String>,
    pub triage: Option<bool>,
    pub category: Option<String>,
    pub services: Option<Vec<String>>,
    pub accounts: Option<Vec<String>>,
    pub next: Option<String>,
    pub flapping: Option<bool>,
    pub storm: Option<bool>,
    pub ended: Option<String>,
    pub periods: Option<Vec<String>>,
    pub owner: Option<String>,
    pub acknowledged: Option<bool>,
    pub root: Option<String>,
}

/// A duration since the start.
pub fn offset(text: &str) -> Duration {
    duration::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

impl Scenario {
    pub fn decisions(&self) -> Decisions {
        let mut file = self.inventory.clone();
        for many in &self.many {
            let text: String = (1..=many.count)
                .map(|n| many.text.replace("{n}", &n.to_string()))
                .collect::<Vec<_>>()
                .join("\n");
            file.extend(InventoryFile::from_toml(&text).unwrap());
        }
        let inventory = Inventory::build(file).unwrap();
        let mut routes: Vec<Route> = self
            .route
            .iter()
            .map(|entry| Route {
                name: entry.name.clone(),
                group_by: entry.group_by.clone(),
                reopen: entry.reopen,
                ..Route::desk()
            })
            .collect();
        routes.push(Route::desk());
        let expected = self.expected.iter();
        Decisions {
            settings: self.engine.clone(),
            inventory: Arc::new(inventory),
            rules: Arc::new(Ruleset::compile(self.rule.clone()).unwrap()),
            routes,
            expected: expected.map(|(n, e)| (n.clone(), offset(e))).collect(),
            dead_men: self
                .dead_man
                .iter()
                .map(|entry| DeadMan {
                    source: entry.source.clone(),
                    heartbeat: entry.heartbeat.clone(),
                    matcher: Matcher::all(&entry.matchers).unwrap(),
                })
                .collect(),
            recurring: self
                .recurring
                .iter()
                .map(|config| RecurringWindow::compile(config.clone()).unwrap())
                .collect(),
            ..Decisions::default()
        }
    }
}
