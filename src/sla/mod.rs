//! Service levels: policies, business calendars, clocks. Pure: no I/O, no clock, no process zone.
//!
//! | file | holds |
//! | --- | --- |
//! | `calendar` | when time counts; due and elapsed |
//! | `holidays` | closed dates out of iCalendar files |
//! | `week` | the table of a calendar and its refusals |
//! | `policy` | targets by severity, contracts, how one target is found |
//! | `section` | `[calendar]`, `[policy]`, `[contract]` as written |
//! | `agreement` | terms as they were, for cases that keep them |
//! | `compile` | puts them together and tells everything that is wrong at once |
//! | `log` | what happened to a case |
//! | `history` | what a log says: cycles, severities, waits, gaps, the end |
//! | `clock` | response, restore and other clocks out of a log |
//! | `update` | the rhythm of updates and promises |
//! | `escalation` | levels and when they rise |
//! | `promise` | a promised time in what staff write |
//! | `report` | the month of a contract out of the logs of its cases |
//! | `glossary` | the words of this room in English, Japanese and French |
//!
//! A clock is a function of the case's log and the policy: no remaining seconds are stored. Times
//! are whole seconds since 1970, UTC.

pub mod agreement;
pub mod calendar;
pub mod clock;
mod compile;
pub mod escalation;
pub mod glossary;
pub mod history;
pub mod holidays;
pub mod log;
pub mod policy;
pub mod promise;
pub mod report;
pub mod section;
pub mod update;
pub mod week;

pub use calendar::Calendar;
pub use clock::{ClockState, ClockView, Moment, Stage, View, evaluate};
pub use log::{CaseDid, CaseEvent, CaseLog};
pub use policy::{Contract, Sla, Target, TargetKind, TargetName, Targets};
pub use section::SlaSections;
