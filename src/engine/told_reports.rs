//! When the report of a contract's month goes out: once for each month, on the day and at the local
//! time that the contract names. What it says is made from the store when the letter is sent. A month
//! whose instant passed while nothing ran is told at the next start.

use super::Engine;
use super::state::Wake;
use super::telling::Tell;
use crate::model::Time;
use crate::model::outgoing::{NoticeFacts, NoticeKind};
use crate::notices::plan::Matter;
use crate::sla::Contract;
use crate::sla::report::Month;
use jiff::tz::TimeZoneDatabase;
use std::sync::Arc;

/// Most months that are caught up on at once: as long as cases are kept.
const MONTHS_MAX: usize = 25;

impl Engine {
    /// Agreements came into force. A contract whose report is new to us begins with the next one
    /// that is due; one whose report is no longer wanted is forgotten.
    pub(super) fn review_reports(&mut self) {
        let sla = self.decisions.sla.clone();
        let told = self.state.telling.reports.keys();
        let gone: Vec<String> = told
            .filter(|name| {
                let contract = sla.contracts.get(*name);
                contract.is_none_or(|contract| contract.monthly_report.is_none())
            })
            .cloned()
            .collect();
        for name in gone {
            self.state.telling.reports.remove(&name);
            self.drop_thing("report_told", name);
        }
        let now = self.state.now.seconds();
        for contract in sla.contracts.values() {
            if self.state.telling.reports.contains_key(&contract.name) {
                continue;
            }
            let last = contract.monthly_report.and_then(|day| {
                let zone = TimeZoneDatabase::bundled().get(&contract.tz).ok()?;
                day.last_due(zone, now)
            });
            if let Some(last) = last {
                self.keep_report_told(&contract.name, last.name);
            }
        }
        self.wake_for_reports();
    }

    fn keep_report_told(&mut self, contract: &str, month: String) {
        self.save_thing("report_told", contract.to_owned(), &month);
        let told = &mut self.state.telling.reports;
        told.insert(contract.to_owned(), month);
    }

    /// The month of a contract that is told next, and when.
    fn next_report(&self, contract: &Contract) -> Option<(Month, i64)> {
        let day = contract.monthly_report?;
        let told = self.state.telling.reports.get(&contract.name)?;
        let zone = TimeZoneDatabase::bundled().get(&contract.tz).ok()?;
        let next = Month::read(told, zone).ok()?.next()?;
        let due = day.due(&next)?;
        Some((next, due))
    }

    /// Wakes for the report that is due first.
    pub(super) fn wake_for_reports(&mut self) {
        let contracts = self.decisions.sla.contracts.values();
        let dues = contracts.filter_map(|contract| self.next_report(contract));
        let next = dues.map(|(_, due)| Time::from_seconds(due)).min();
        let old = std::mem::replace(&mut self.state.telling.reports_at, next);
        self.state.rewake(old, next, Wake::Reports);
    }

    /// Reports fell due.
    pub(super) fn reports_due(&mut self) {
        self.state.telling.reports_at = None;
        let now = self.state.now.seconds();
        let sla = self.decisions.sla.clone();
        for contract in sla.contracts.values() {
            for _ in 0..MONTHS_MAX {
                let next = self.next_report(contract);
                let Some((month, due)) = next.filter(|(_, due)| *due <= now) else {
                    break;
                };
                self.tell_report(contract, &month, due);
                self.keep_report_told(&contract.name, month.name);
            }
        }
        self.wake_for_reports();
    }

    fn tell_report(&mut self, contract: &Arc<Contract>, month: &Month, due: i64) {
        let plan = self.decisions.notices.clone();
        let sla = self.decisions.sla.clone();
        let told = plan.readers(&sla, contract, Matter::Report, |_| true);
        let thread = format!("report/{}", contract.name);
        let facts = NoticeFacts {
            reference: month.name.clone(),
            contract: contract.name.clone(),
            at: Time::from_seconds(due),
            since: Some(Time::from_seconds(month.from)),
            until: Some(Time::from_seconds(month.until)),
            ..NoticeFacts::default()
        };
        self.tell(&Tell {
            kind: NoticeKind::Report,
            incident: None,
            thread: thread.clone(),
            stage: month.name.clone(),
            facts,
            readers: &told.readers,
            send_at: None,
        });
        self.tell_unaddressed(None, &thread, &told.nobody);
    }

    /// Loads one row.
    pub(super) fn restore_report_told(&mut self, contract: &str, month: String) {
        self.state
            .telling
            .reports
            .insert(contract.to_owned(), month);
    }
}
