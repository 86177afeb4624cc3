//! Rows as JSON. The keys are a promise to people who build on them.

use super::door::Caller;
use super::report::Agreements;
use super::{Api, Failure};
use crate::limits;
use crate::model::alert::{Alert, AlertText};
use crate::model::incident::{Case, Incident, WITHHELD};
use crate::model::ticket::WantedTicket;
use crate::model::{IncidentId, Sym, Time, TimelineEntry};
use crate::sla::log::{agreed, is_rebuilt};
use crate::sla::{CaseLog, View, evaluate};
use crate::store::{AlertBytes, StateStore, codec};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Names of symbols, remembered once they were looked up; a name never changes.
#[derive(Default)]
pub struct Names(Mutex<HashMap<u32, String>>);

impl Names {
    pub(super) fn get(&self, state: &dyn StateStore, sym: Sym) -> Result<String, Failure> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = known.get(&sym.0) {
            return Ok(name.clone());
        }
        drop(known);
        let name = state.symbol(sym)?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(sym.0, name.clone());
        Ok(name)
    }
}

impl Api {
    /// An incident with its tickets, cases and first alerts, as the caller may see it.
    pub(super) fn incident_shown(
        &self,
        incident: Incident,
        caller: &Caller,
    ) -> Result<Value, Failure> {
        let incident = &if caller.sees_sensitive {
            incident
        } else {
            incident.for_anybody()
        };
        let state = self.state.as_ref();
        let tickets: Vec<Value> = state
            .tickets_of(incident.id)?
            .iter()
            .map(|body| codec::decode::<WantedTicket>(body))
            .filter(|ticket| !ticket.as_ref().is_ok_and(|ticket| ticket.alert.is_some()))
            .map(|ticket| Ok(ticket_in_incident(&ticket?)))
            .collect::<Result<_, Failure>>()?;
        let shown = limits::INCIDENT_ALERTS_SHOWN_MAX;
        let alerts = state.alerts_of(incident.id, None, shown)?;
        let alerts: Vec<Value> = alerts
            .iter()
            .map(|bytes| self.alert_shown(bytes, false, caller))
            .collect::<Result<_, Failure>>()?;
        let sites: Vec<String> = incident
            .sites
            .iter()
            .map(|site| self.names.get(state, *site))
            .collect::<Result<_, Failure>>()?;
        Ok(json!({
            "id": incident.id.to_string(),
            "state": incident.state.word(),
            "severity": incident.severity.map(|severity| severity.to_string()),
            "basis": incident.basis.word(),
            "needs_triage": incident.needs_triage,
            "category": incident.category.word(),
            "title": incident.title,
            "reason": incident.reason,
            "root": self.names.get(state, incident.root)?,
            "source": self.names.get(state, incident.source)?,
            "sites": sites,
            "accounts": incident.accounts,
            "services": incident.services,
            "tags": incident.tags,
            "services_hit": incident.services_hit,
            "parties_hit": incident.parties_hit,
            "next_failure": incident.next_failure,
            "sensitive": incident.sensitive,
            "storm": incident.storm,
            "flapping": incident.flapping,
            "owner": incident.owner,
            "waiting": incident.waiting,
            "escalation": incident.escalation,
            "merged_into": incident.merged_into.map(|id| id.to_string()),
            "ended": incident.ended,
            "quiet_until": incident.quiet_until,
            "held_until": incident.held_until,
            "members": incident.members,
            "active": incident.active,
            "alerts": alerts,
            "tickets": tickets,
            "cases": self.cases_shown(incident.id)?,
            "periods": incident.periods,
            "acknowledged_at": incident.acknowledged_at,
            "answered_at": incident.answered_at,
            "opened_at": incident.opened_at,
            "resolved_at": incident.resolved_at,
            "changed_at": incident.changed_at,
        }))
    }

    /// Cases with their clocks as they are now.
    fn cases_shown(&self, incident: IncidentId) -> Result<Vec<Value>, Failure> {
        let sla = self.operations.decisions().sla;
        let mut agreements = Agreements::new(self.state.as_ref(), &sla);
        let now = (self.now)().0.div_euclid(1000);
        let mut shown = Vec::new();
        for body in self.state.cases_of(incident)? {
            let case: Case<CaseLog> = codec::decode(&body)?;
            let contract = agreements.of(&case)?;
            let view = contract.and_then(|contract| evaluate(&case.log, &contract, now));
            let clocks = view.as_ref().map(clocks).unwrap_or_default();
            shown.push(json!({
                "contract": case.contract,
                "policy": case.policy,
                "policy_version": agreed(&case.log),
                "approximate": is_rebuilt(&case.log),
                "severity": case.severity,
                "level": view.as_ref().map(|view| view.level()),
                "waited_seconds": view.as_ref().map(|view| view.waited),
                "clocks": clocks,
            }));
        }
        Ok(shown)
    }

    /// An alert as the caller may see it; `whole` adds what its newest event said.
    pub(super) fn alert_shown(
        &self,
        bytes: &AlertBytes,
        whole: bool,
        caller: &Caller,
    ) -> Result<Value, Failure> {
        let (body, text) = bytes;
        let mut alert: Alert = codec::decode(body)?;
        let mut text: Option<AlertText> = match text.is_empty() {
            true => None,
            false => Some(codec::decode(text)?),
        };
        if !caller.sees_sensitive {
            text = text.map(AlertText::for_anybody);
            if alert.sensitive {
                (alert.site, alert.element) = (Sym(0), Sym(0));
            }
        }
        let said = text.as_ref();
        let mut row = json!({
            "id": alert.id.to_string(),
            "source": self.names.get(self.state.as_ref(), alert.source)?,
            "dedup_key": said.and_then(|t| t.dedup_key.clone()),
            "state": alert.state.word(),
            "count": alert.count,
            "first_seen": alert.first_seen,
            "last_seen": alert.last_seen,
            "summary": said.map(|t| t.summary.clone()),
            "host": said.and_then(|t| t.host.clone()),
            "component": said.and_then(|t| t.component.clone()),
            "check": said.and_then(|t| t.check.clone()),
            "site": self.names.get(self.state.as_ref(), alert.site)?,
            "element": self.names.get(self.state.as_ref(), alert.element)?,
            "incident": alert.incident.map(|id| id.to_string()),
        });
        let Some(row_map) = row.as_object_mut().filter(|_| whole) else {
            return Ok(row);
        };
        let kind = alert
            .kind
            .map(|kind| serde_json::to_value(kind).unwrap_or_default());
        let hint = serde_json::to_value(alert.hint).unwrap_or_default();
        row_map.insert("component_kind".to_owned(), json!(kind));
        row_map.insert("severity_hint".to_owned(), hint);
        row_map.insert("fired_at".to_owned(), json!(alert.fired_at));
        row_map.insert("resolved_at".to_owned(), json!(alert.resolved_at));
        row_map.insert("expires_at".to_owned(), json!(alert.expires_at));
        if let Some(said) = said {
            let sensitive = said.sensitive;
            let details = (!sensitive || caller.sees_sensitive).then(|| said.details.clone());
            row_map.insert("severity".to_owned(), json!(said.severity));
            row_map.insert("details".to_owned(), json!(details));
            row_map.insert("service".to_owned(), json!(said.service));
            row_map.insert("labels".to_owned(), json!(said.labels));
            row_map.insert("links".to_owned(), json!(said.links));
            row_map.insert("problems".to_owned(), json!(said.problems));
            row_map.insert("sender".to_owned(), json!(said.sender));
            row_map.insert("sensitive".to_owned(), json!(sensitive));
            let event = format!("{}.{}", said.event.0, said.event.1);
            row_map.insert("event".to_owned(), json!(event));
        }
        Ok(row)
    }
}

fn instant(at: Option<i64>) -> Value {
    json!(at.map(|at| Time(at.saturating_mul(1000))))
}

fn clocks(view: &View) -> Vec<Value> {
    let mut rows: Vec<Value> = view
        .clocks
        .iter()
        .map(|clock| {
            json!({
                "target": clock.target.word(),
                "period": clock.period,
                "cycle": clock.cycle,
                "severity": clock.severity,
                "state": clock.state.word(),
                "at_risk": clock.at_risk,
                "started_at": instant(Some(clock.start)),
                "due": instant(clock.due),
                "fulfilled_at": instant(clock.fulfilled_at),
                "breached_at": instant(clock.breached_at),
                "retroactive": clock.retroactive,
                "counted_seconds": clock.counted,
                "soft": clock.soft,
            })
        })
        .collect();
    if let Some(state) = view.update.state {
        rows.push(json!({
            "target": "update",
            "cycle": view.cycle,
            "severity": view.severity,
            "state": state.word(),
            "due": instant(view.update.due),
            "promise": instant(view.update.promise),
            "breaches": view.update.breaches,
            "on_time": view.update.on_time,
        }));
    }
    rows
}

fn ticket_in_incident(ticket: &WantedTicket) -> Value {
    json!({
        "id": ticket.id.to_string(),
        "tracker": ticket.tracker,
        "route": ticket.route,
        "contract": ticket.contract,
        "key": ticket.remote.as_ref().map(|remote| remote.key.clone()),
        "url": ticket.remote.as_ref().map(|remote| remote.url.clone()),
        "status": ticket.wanted.status.word(),
        "shadow": ticket.shadow,
    })
}

/// A ticket as the outbox shows it.
pub(super) fn ticket(ticket: &WantedTicket) -> Value {
    let notes = ticket.notes.iter().filter(|note| !note.done).count();
    json!({
        "id": ticket.id.to_string(),
        "incident": ticket.incident.to_string(),
        "alert": ticket.alert.map(|alert| alert.to_string()),
        "tracker": ticket.tracker,
        "route": ticket.route,
        "contract": ticket.contract,
        "key": ticket.remote.as_ref().map(|remote| remote.key.clone()),
        "subject": ticket.wanted.subject,
        "severity": ticket.wanted.severity.map(|severity| severity.to_string()),
        "status": ticket.wanted.status.word(),
        "behind": ticket.version_wanted.saturating_sub(ticket.version_done),
        "notes_waiting": notes,
        "asked_at": ticket.asked_at,
        "trouble": ticket.trouble,
    })
}

/// A line of a timeline; `withheld`: without its words.
pub(super) fn line(entry: &TimelineEntry, withheld: bool) -> Value {
    let text = if withheld { WITHHELD } else { &entry.text };
    json!({
        "at": entry.at,
        "reason": entry.reason,
        "text": text,
        "author": entry.author,
        "input": entry.seq,
    })
}
