//! The body of a ticket, as plain text, from what the store knows when it is sent. Text of alerts
//! stands behind `> `, so that it is never taken for ours.

use super::Presentation;
use super::presentation::{Original, Requested};
use crate::model::alert::{Alert, AlertText};
use crate::model::incident::{Case, Incident};
use crate::model::text::one_line;
use crate::model::ticket::WantedTicket;
use crate::model::{AlertId, IncidentId};
use crate::sla::CaseLog;
use crate::sla::glossary::{Locale, label};
use crate::store::{StateStore, StoreError, codec};
use crate::trackers::monitors::Condition;

/// Most alerts listed in a ticket.
const ALERTS_MAX: usize = 50;

/// The body, of any length.
pub(super) fn body(
    state: &dyn StateStore,
    ticket: &WantedTicket,
    presentation: &Presentation,
) -> Result<String, StoreError> {
    let Some(bytes) = state.incident(ticket.incident)? else {
        return Ok(String::new());
    };
    let incident: Incident = codec::decode(&bytes)?;
    if let Some(contract) = &ticket.contract {
        return case_body(state, ticket, &incident, contract);
    }
    let link = presentation.link(incident.id);
    if incident.sensitive {
        let number = incident.id;
        return Ok(format!(
            "{number}: the content is sensitive, see the operators' board.\n{link}\n"
        ));
    }
    let mut text = format!("{}: {}\n\n", incident.id, incident.title);
    let severity = incident
        .severity
        .map_or_else(|| "unknown".to_owned(), |s| s.to_string());
    text.push_str(&format!(
        "Severity: {severity} ({})\n",
        incident.basis.word()
    ));
    text.push_str(&format!("Reason: {}\n", incident.reason));
    if !incident.next_failure.is_empty() {
        text.push_str(&format!("Next failure: {}\n", incident.next_failure));
    }
    if incident.needs_triage {
        text.push_str("The impact is unknown: please look, and confirm, assign or acknowledge.\n");
    }
    for (name, list) in [
        ("Services", &incident.services),
        ("Accounts", &incident.accounts),
        ("Tags", &incident.tags),
    ] {
        if !list.is_empty() {
            let shown: Vec<&str> = list.iter().take(20).map(String::as_str).collect();
            let more = list.len().saturating_sub(shown.len());
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            text.push_str(&format!("{name}: {}{more}\n", shown.join(", ")));
        }
    }
    if !link.is_empty() {
        text.push_str(&format!("Board: {link}\n"));
    }
    if presentation.original(&ticket.route) != Original::No
        && let Some(alert) = first_alert(state, incident.id)?
    {
        let original = presentation.link_to_original(alert.0);
        if !original.is_empty() {
            text.push_str(&format!("As received: {original}\n"));
        }
    }
    text.push_str(&format!(
        "Since: {}\n\nAlerts ({}):\n",
        incident.opened_at, incident.members
    ));
    for (alert, words) in state.alerts_of(incident.id, None, ALERTS_MAX)? {
        let alert: Alert = codec::decode(&alert)?;
        let words: AlertText = codec::decode(&words)?;
        let host = words.host.unwrap_or_default();
        text.push_str(&format!(
            "> {} {} {host} {} (source {}, since {})\n",
            alert.id,
            alert.state.word(),
            one_line(&words.summary),
            words.source,
            alert.fired_at
        ));
    }
    if incident.members as usize > ALERTS_MAX {
        text.push_str(&format!(
            "and {} more\n",
            incident.members as usize - ALERTS_MAX
        ));
    }
    Ok(text)
}

/// The first alert of an incident, and the journal position of its newest event.
fn first_alert(
    state: &dyn StateStore,
    incident: IncidentId,
) -> Result<Option<(AlertId, u64)>, StoreError> {
    let mut alerts = state.alerts_of(incident, None, 1)?;
    let Some((alert, words)) = alerts.pop().filter(|(_, words)| !words.is_empty()) else {
        return Ok(None);
    };
    let alert: Alert = codec::decode(&alert)?;
    let words: AlertText = codec::decode(&words)?;
    Ok((!words.sensitive).then_some((alert.id, words.event.0)))
}

/// Where the first alert of an incident stands in the journal; none if it is sensitive.
pub(super) fn first_event(
    state: &dyn StateStore,
    incident: IncidentId,
) -> Result<Option<u64>, StoreError> {
    Ok(first_alert(state, incident)?.map(|(_, seq)| seq))
}

/// Who is named as the one who asked for the ticket; empty: the tracker's default.
pub(super) fn requestor(
    state: &dyn StateStore,
    ticket: &WantedTicket,
    presentation: &Presentation,
) -> Result<String, StoreError> {
    let manner = presentation.routes.get(&ticket.route);
    let template = manner.map_or("", |manner| manner.requestor.as_str());
    if template.is_empty() || ticket.alert.is_some() {
        return Ok(String::new());
    }
    let Some(bytes) = state.incident(ticket.incident)? else {
        return Ok(String::new());
    };
    let incident: Incident = codec::decode(&bytes)?;
    let one = |names: &[String]| match names {
        [only] => only.clone(),
        _ => String::new(),
    };
    let account = match one(&incident.reported_by) {
        reporter if reporter.is_empty() => one(&incident.accounts),
        reporter => reporter,
    };
    let site = incident.sites.first();
    let requested = Requested {
        // A customer's own ticket names nobody but them.
        account: match &ticket.contract {
            Some(contract) => contract.clone(),
            None => account,
        },
        contract: ticket.contract.clone().unwrap_or_default(),
        site: site.map_or(Ok(String::new()), |site| state.symbol(*site))?,
        category: incident.category.word().to_owned(),
    };
    Ok(
        super::presentation::requestor(template, &requested).unwrap_or_else(|error| {
            tracing::warn!(error, route = ticket.route, "requestor_not_made");
            String::new()
        }),
    )
}

/// The condition that is acknowledged at its monitor, as JSON; empty: its words are not kept.
pub(super) fn condition(
    state: &dyn StateStore,
    ticket: &WantedTicket,
    alert: AlertId,
) -> Result<String, StoreError> {
    let Some((_, words)) = state.alert(alert)?.filter(|(_, words)| !words.is_empty()) else {
        return Ok(String::new());
    };
    let words: AlertText = codec::decode(&words)?;
    let condition = Condition {
        labels: words.labels,
        host: words.host,
        check: words.check,
        dedup_key: words.dedup_key,
        asked_at: ticket.asked_at,
    };
    Ok(serde_json::to_string(&condition).unwrap_or_default())
}

/// What a customer reads: their own services and the state of things, in their language. Neither
/// texts of alerts nor other customers stand there.
fn case_body(
    state: &dyn StateStore,
    ticket: &WantedTicket,
    incident: &Incident,
    contract: &str,
) -> Result<String, StoreError> {
    let locale = Locale::from_word(&ticket.language);
    let number = incident.id;
    let mut text = match locale {
        Locale::En => format!("We are working on incident {number}. Updates follow here.\n"),
        Locale::Ja => format!(
            "インシデント {number} に対応しています。続報はこのチケットでお知らせします。\n"
        ),
        Locale::Fr => {
            format!("Nous traitons l'incident {number}. La suite vous est donnée ici.\n")
        }
    };
    if incident.sensitive {
        return Ok(text);
    }
    let mut services = Vec::new();
    for body in state.cases_of(number)? {
        let case: Case<CaseLog> = codec::decode(&body)?;
        if case.contract == contract {
            services = case.services;
        }
    }
    let [services_word, since_word] = match locale {
        Locale::En => ["Services", "Since"],
        Locale::Ja => ["サービス", "発生"],
        Locale::Fr => ["Services", "Depuis"],
    };
    text.push('\n');
    if !services.is_empty() {
        text.push_str(&format!("{services_word}: {}\n", services.join(", ")));
    }
    if let Some(severity) = ticket.wanted.severity {
        let word = label(locale, "severity");
        text.push_str(&format!("{word}: {severity}\n"));
    }
    text.push_str(&format!("{since_word}: {}\n", incident.opened_at));
    Ok(text)
}
