//! The monthly report of one contract out of the logs of its cases. Every figure of the summary is a
//! sum over rows that are in the report as well; a verdict belongs to the month in which it became
//! final, so each one is in exactly one month. Rows carry no text that people wrote.

mod mailing;
mod render;
mod rows;
mod sums;

pub use mailing::ReportDay;
pub use render::RenderError;
pub use rows::{TargetRow, TicketRow, UpdateRow, WaitRow};
pub use sums::{DaySum, EscalationSum, Spread, TargetSum, UpdateSum, UsedSum, VolumeSum, WaitSum};

use super::clock::View;
use super::glossary::Locale;
use super::log::CaseEvent;
use super::policy::Contract;
use crate::model::{IncidentId, Time};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Most waits that are listed by themselves.
const LONGEST_WAITS: usize = 5;

/// A month in a zone: [first 00:00, next first 00:00).
#[derive(Clone, Debug)]
pub struct Month {
    /// `2026-06`.
    pub name: String,
    /// Its zone.
    pub zone: TimeZone,
    /// Its first second.
    pub from: i64,
    /// The first second after it.
    pub until: i64,
}

impl Month {
    /// Reads `YYYY-MM`; the expected form otherwise.
    pub fn read(text: &str, zone: TimeZone) -> Result<Month, String> {
        let wrong = || format!("`{text}` is no month; expected like 2026-06");
        if text.len() != 7 {
            return Err(wrong());
        }
        let first: Date = format!("{text}-01").parse().map_err(|_| wrong())?;
        let next = first.last_of_month().tomorrow().map_err(|_| wrong())?;
        // The first instant of the date, also where a clock change skips midnight.
        let begin = |date: Date| {
            date.to_zoned_datetime(zone.clone())
                .map(|begin| begin.timestamp().as_second())
                .map_err(|_| wrong())
        };
        Ok(Month {
            name: text.to_owned(),
            from: begin(first)?,
            until: begin(next)?,
            zone,
        })
    }

    /// The month after it, in the same zone.
    pub fn next(&self) -> Option<Month> {
        Month::of(self.until, self.zone.clone())
    }

    /// The month before it, in the same zone.
    pub fn previous(&self) -> Option<Month> {
        Month::of(self.from.checked_sub(1)?, self.zone.clone())
    }

    /// Its dates, in order.
    pub fn dates(&self) -> impl Iterator<Item = Date> {
        let first: Option<Date> = format!("{}-01", self.name).parse().ok();
        first.into_iter().flat_map(|first| {
            let last = first.last_of_month();
            first
                .series(jiff::ToSpan::day(1))
                .take_while(move |date| *date <= last)
        })
    }

    /// Whether an instant lies in it.
    pub fn has(&self, at: i64) -> bool {
        (self.from..self.until).contains(&at)
    }

    /// The month that holds an instant.
    pub fn of(at: i64, zone: TimeZone) -> Option<Month> {
        let at = jiff::Timestamp::from_second(at).ok()?;
        let date = zone.to_datetime(at).date();
        Month::read(&format!("{:04}-{:02}", date.year(), date.month()), zone).ok()
    }

    /// An instant for people, in the zone with its offset: `2026-06-02T10:00:00+10:00`.
    pub fn shown(&self, at: i64) -> String {
        jiff::Timestamp::from_second(at).map_or_else(
            |_| String::new(),
            |at| at.display_with_offset(self.zone.to_offset(at)).to_string(),
        )
    }
}

/// A case, with what only its incident and ticket know.
#[derive(Clone, Debug)]
pub struct CaseFacts<'a> {
    /// The ticket's key, or the incident's number.
    pub id: String,
    /// Where to see it; empty: nowhere.
    pub link: String,
    /// The source that opened it.
    pub source: String,
    /// When the tracker had the ticket.
    pub ticket_created: Option<i64>,
    /// The contract under the terms that the case keeps.
    pub contract: &'a Contract,
    /// Breaches that were found late: target, cycle, period.
    pub found_late: BTreeSet<(String, usize, usize)>,
    /// What happened.
    pub log: &'a [CaseEvent],
}

/// A calendar and the holidays that fell in the month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CalendarShown {
    /// Its name.
    pub name: String,
    /// Dates.
    pub holidays: Vec<String>,
}

/// What became of the alerts of the month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertCounts {
    /// All.
    pub received: u64,
    /// Repeats of what was known.
    pub deduplicated: u64,
    /// Kept quiet by maintenance or silence.
    pub suppressed: u64,
}

/// What happened to a verdict late.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionKind {
    /// It was taken back.
    Withdrawn,
    /// It was found long after its due instant.
    FoundLate,
    /// The store was lost: the clocks came out of tickets.
    Rebuilt,
}

impl CorrectionKind {
    /// The word in API and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            CorrectionKind::Withdrawn => "withdrawn",
            CorrectionKind::FoundLate => "found_late",
            CorrectionKind::Rebuilt => "rebuilt",
        }
    }
}

/// A correction as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCorrection {
    /// The incident.
    pub incident: IncidentId,
    /// The contract.
    pub contract: String,
    /// The target.
    pub target: String,
    /// The cycle, from 1.
    pub cycle: usize,
    /// The impact period, from 1.
    pub period: usize,
    /// What happened.
    pub kind: CorrectionKind,
    /// When the breach was due.
    pub due: Time,
    /// When this was learned.
    pub at: Time,
}

/// A verdict of an earlier month that changed after its report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Correction {
    /// The ticket.
    pub id: String,
    /// The month it belongs to.
    pub month: String,
    /// The target.
    pub target: String,
    /// `withdrawn`, `found_late` or `rebuilt`.
    pub kind: String,
}

/// Everything that a report is made of.
#[derive(Clone, Debug)]
pub struct ReportFacts<'a> {
    /// The contract.
    pub contract: &'a Contract,
    /// The month.
    pub month: Month,
    /// The version of the zone data.
    pub zone_data: String,
    /// Calendars of the contract.
    pub calendars: Vec<CalendarShown>,
    /// When it is made; clocks are read as of then.
    pub generated: Time,
    /// All cases of the contract that were open in the month, or may have been.
    pub cases: Vec<CaseFacts<'a>>,
    /// Alerts of the month.
    pub alerts: AlertCounts,
    /// Corrections of earlier months.
    pub corrections: Vec<Correction>,
}

/// What the report is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Header {
    /// The contract.
    pub contract: String,
    /// Its policy.
    pub policy: String,
    /// The policy's version.
    pub policy_version: String,
    /// `en`, `ja` or `fr`.
    pub locale: String,
    /// The zone of all instants.
    pub tz: String,
    /// `2026-06`.
    pub month: String,
    /// Its first second.
    pub from: String,
    /// The first second after it.
    pub until: String,
    /// The version of the zone data.
    pub zone_data: String,
    /// Calendars and the holidays that fell in the month.
    pub calendars: Vec<CalendarShown>,
    /// When it was made.
    pub generated: String,
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What it is about.
    pub header: Header,
    /// By severity and target.
    pub targets: Vec<TargetSum>,
    /// Judged clocks by how much of their target they used.
    pub used: Vec<UsedSum>,
    /// Opened and ended, day by day.
    pub days: Vec<DaySum>,
    /// Updates.
    pub updates: UpdateSum,
    /// How many.
    pub volume: VolumeSum,
    /// Waiting for the customer.
    pub waits: WaitSum,
    /// By level and reason.
    pub escalations: Vec<EscalationSum>,
    /// Ticket by ticket.
    pub tickets: Vec<TicketRow>,
    /// Corrections of earlier months.
    pub corrections: Vec<Correction>,
    /// For a partner: a section for each account that it manages, in the partner's language and zone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub managed: Vec<Report>,
}

impl Report {
    /// Makes the report.
    pub fn make(facts: &ReportFacts) -> Report {
        let month = &facts.month;
        let mut tickets: Vec<TicketRow> = facts
            .cases
            .iter()
            .filter_map(|case| rows::ticket(case, facts))
            .collect();
        tickets.sort_by(|a, b| (&a.reported, &a.id).cmp(&(&b.reported, &b.id)));
        let header = Header {
            contract: facts.contract.name.clone(),
            policy: facts.contract.policy.clone(),
            policy_version: facts.contract.version.clone(),
            locale: Locale::from_word(&facts.contract.locale).word().to_owned(),
            tz: facts.contract.tz.clone(),
            month: month.name.clone(),
            from: month.shown(month.from),
            until: month.shown(month.until),
            zone_data: facts.zone_data.clone(),
            calendars: facts.calendars.clone(),
            generated: month.shown(facts.generated.seconds()),
        };
        Report {
            header,
            targets: sums::targets(&tickets),
            used: sums::used(&tickets),
            days: sums::days(&tickets, month),
            updates: sums::updates(&tickets),
            volume: sums::volume(&tickets, facts.alerts),
            waits: sums::waits(&tickets),
            escalations: sums::escalations(&tickets),
            corrections: facts.corrections.clone(),
            tickets,
            managed: Vec::new(),
        }
    }
}

/// The views of all cycles of a case, oldest first: each as it was in the second before the next.
fn cycles(case: &CaseFacts, now: i64) -> Vec<View> {
    let contract = case.contract;
    let Some(last) = super::evaluate(case.log, contract, now) else {
        return Vec::new();
    };
    let mut views: Vec<View> = last
        .cycles
        .iter()
        .skip(1)
        .filter_map(|begin| super::evaluate(case.log, contract, begin - 1))
        .collect();
    views.push(last);
    views
}
