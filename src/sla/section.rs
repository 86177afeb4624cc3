//! `[calendar]`, `[policy]` and `[contract]` as written.

use super::calendar::CalendarText;
use super::holidays;
use super::policy::Contacts;
use super::week::WeekText;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// All sections of this room.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlaSections {
    /// `[calendar.NAME]`.
    pub calendar: BTreeMap<String, CalendarSection>,
    /// `[policy.NAME]`.
    pub policy: BTreeMap<String, PolicySection>,
    /// `[contract.NAME]`.
    pub contract: BTreeMap<String, ContractSection>,
    /// The contract of accounts that have none of their own.
    pub default_contract: Option<String>,
}

/// `[calendar.NAME]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CalendarSection {
    /// IANA zone.
    pub tz: Option<String>,
    /// Intervals by day.
    pub week: BTreeMap<String, Vec<(String, String)>>,
    /// Dates that are closed.
    pub holidays: Vec<String>,
    /// iCalendar files whose whole-day events are closed as well.
    pub holiday_files: Vec<String>,
    /// Intervals of single dates.
    pub overrides: BTreeMap<String, Vec<(String, String)>>,
    /// Open when one of these is.
    pub union: Option<Vec<String>>,
    /// Everything.
    pub always: bool,
}

impl CalendarSection {
    /// As the calendar room takes it.
    pub fn text(&self) -> CalendarText {
        match &self.union {
            _ if self.always => CalendarText::Always,
            Some(members) => CalendarText::Union(members.clone()),
            None => CalendarText::Week(WeekText {
                tz: self.tz.clone().unwrap_or_default(),
                week: self.week.clone(),
                holidays: self.holidays.clone(),
                overrides: self.overrides.clone(),
            }),
        }
    }
}

/// `[policy.NAME]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySection {
    /// Its targets are taken where another policy has none.
    pub default: bool,
    /// What the counterparty is called.
    pub counterparty: String,
    /// 3 or 5.
    pub scale: Option<u8>,
    /// `reported`, `ticket_created` or `alert_started`.
    pub clock_start: Option<String>,
    /// What pauses pausable targets: `waiting_customer` (that alone unless said), `maintenance`.
    pub pause_on: Vec<String>,
    /// How long after the resolution a reopening belongs to the same cycle.
    pub reopen_window: Option<String>,
    /// `from_start`, `from_change` or `from_start_with_floor`.
    pub severity_change: Option<String>,
    /// The floor of `from_start_with_floor`.
    pub severity_change_floor: Option<String>,
    /// An acknowledgement is a response.
    pub ack_counts: Option<bool>,
    /// A public note is a response.
    pub public_note_counts: Option<bool>,
    /// A wait counts only after a public question.
    pub wait_needs_question: bool,
    /// Longest wait that counts.
    pub wait_limit: Option<String>,
    /// By category.
    pub category: BTreeMap<String, CategorySection>,
    /// By severity, or `none`.
    pub severity: BTreeMap<String, SeveritySection>,
    /// Levels from 1.
    pub escalation: Vec<EscalationSection>,
}

/// `[policy.NAME.category] incident = { ... }`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CategorySection {
    /// `set`, `none` or a number.
    pub severity: Option<SeverityWord>,
    /// Targets that apply.
    pub targets: Vec<String>,
    /// `high`: its tickets have the priority of an S2 although it has no severity.
    pub priority: Option<String>,
}

/// A number or a word.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub enum SeverityWord {
    /// Always this one.
    Number(u8),
    /// `set` or `none`.
    Word(String),
}

/// `[policy.NAME.severity.N]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeveritySection {
    /// First human act.
    pub triage: Option<TargetSection>,
    /// First public answer.
    pub initial_response: Option<TargetSection>,
    /// An engineer has begun.
    pub engineer: Option<TargetSection>,
    /// Rhythm of updates.
    pub update: Option<TargetSection>,
    /// The service is back.
    pub restore: Option<TargetSection>,
    /// As another severity, where this one says nothing.
    pub same_as: Option<u8>,
    /// How a case of this severity ends: `false_alarm`.
    pub close_as: Option<String>,
}

/// One target as written.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetSection {
    /// Counted time from the start.
    pub within: Option<String>,
    /// Counted time since the last update.
    pub every: Option<String>,
    /// Its calendar; `always` unless said.
    pub calendar: Option<String>,
    /// If the clock starts in `hours`.
    pub in_hours: Option<String>,
    /// If it does not.
    pub out_of_hours: Option<String>,
    /// The hours.
    pub hours: Option<String>,
    /// Local time of the next working day.
    pub next_business_day_start: Option<String>,
    /// Whether the day of the start counts; it does unless said.
    pub same_day: Option<bool>,
    /// Waiting for the customer does not count.
    pub pausable: Option<bool>,
    /// The share that is aimed at.
    pub objective: Option<f64>,
    /// The share at which it is at risk.
    pub at_risk: Option<f64>,
}

impl TargetSection {
    /// For people, in one line; `named` gives the calendar that stands for a name.
    pub(super) fn said<'a>(&'a self, named: impl Fn(&'a str) -> &'a str) -> String {
        let calendar = |name: &'a Option<String>| named(name.as_deref().unwrap_or("always"));
        let length = match (&self.within, &self.every, &self.in_hours) {
            (Some(within), ..) => format!("within {within}"),
            (_, Some(every), _) => format!("every {every}"),
            (.., Some(inside)) => {
                let outside = self.out_of_hours.as_deref().unwrap_or("-");
                let hours = calendar(&self.hours);
                return format!("{inside} in hours, {outside} out of hours, calendar {hours}");
            }
            _ => {
                let at = self.next_business_day_start.as_deref().unwrap_or("-");
                format!("{at} on the next working day")
            }
        };
        match calendar(&self.calendar) {
            "always" => length,
            name => format!("{length}, calendar {name}"),
        }
    }
}

/// `[[policy.NAME.escalation]]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EscalationSection {
    /// From 1.
    pub level: u8,
    /// Who is told.
    pub contact: String,
    /// The share of the restore target at which it is reached.
    pub after_restore: Option<f64>,
}

/// `[contract.NAME]`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContractSection {
    /// Its policy.
    pub policy: String,
    /// Accounts it is for; the contract's name unless said.
    pub accounts: Vec<String>,
    /// `direct`, `partner` or `managed`.
    pub account: Option<String>,
    /// The partner of a managed account.
    pub partner: Option<String>,
    /// `en`, `ja` or `fr`.
    pub locale: Option<String>,
    /// IANA zone for display.
    pub tz: Option<String>,
    /// A cloud contract: engineers are there at all hours.
    pub cloud: bool,
    /// Single targets of its own.
    pub severity: BTreeMap<String, SeveritySection>,
    /// Calendars in place of those that the policy names.
    pub calendars: BTreeMap<String, String>,
    /// Who is told of what, by mail; no part of the terms.
    #[serde(skip_serializing)]
    pub contacts: Contacts,
    /// How long before planned work it is told, like `240h`; at once unless said.
    #[serde(skip_serializing)]
    pub maintenance_lead: Option<String>,
    /// When the report of the month before goes out by mail; it does not unless said.
    #[serde(skip_serializing)]
    pub monthly_report: Option<MonthlyReportSection>,
}

/// `monthly_report = { day = 2, at = "08:00" }` of a contract, in its zone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MonthlyReportSection {
    /// The day of the month after, 1 to 31; its last where it is shorter.
    pub day: i8,
    /// Local time.
    pub at: String,
}

impl Default for MonthlyReportSection {
    fn default() -> MonthlyReportSection {
        MonthlyReportSection {
            day: 1,
            at: "08:00".to_owned(),
        }
    }
}

/// Something wrong with these sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlaProblem {
    /// The key.
    pub key: String,
    /// What is wrong and what was expected.
    pub what: String,
    /// Only worth a warning.
    pub warning: bool,
}

impl SlaSections {
    /// Takes over the holidays of all files that calendars name. `read` gives a file's text or why
    /// it cannot; recurring holidays are expanded within `years`.
    pub fn take_holidays(
        &mut self,
        years: &RangeInclusive<i16>,
        mut read: impl FnMut(&str) -> Result<String, String>,
    ) -> Vec<SlaProblem> {
        let mut problems = Vec::new();
        for (name, calendar) in &mut self.calendar {
            for file in &calendar.holiday_files {
                let holidays = read(file).and_then(|text| {
                    holidays::read(&text, years.clone()).map_err(|error| error.to_string())
                });
                match holidays {
                    Ok(found) => {
                        let dates = found.dates.keys().map(jiff::civil::Date::to_string);
                        calendar.holidays.extend(dates);
                    }
                    Err(what) => problems.push(SlaProblem {
                        key: format!("calendar.{name}.holiday_files"),
                        what: format!("{file}: {what}"),
                        warning: false,
                    }),
                }
            }
        }
        problems
    }
}
