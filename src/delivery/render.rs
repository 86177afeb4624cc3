//! What a ticket says, as plain text, from what the store knows when it is sent. Text of alerts
//! stands behind `> `, so that it is never taken for ours.

use super::Presentation;
use super::presentation::Original;
use super::templates::{AlertLine, Given, Values, shipped_body};
use crate::model::AlertId;
use crate::model::alert::{Alert, AlertText};
use crate::model::incident::{Case, Incident};
use crate::model::text::one_line;
use crate::model::ticket::WantedTicket;
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
    let Some(incident) = incident_of(state, ticket)? else {
        return Ok(String::new());
    };
    if let Some(contract) = &ticket.contract {
        return case_body(state, ticket, &incident, contract);
    }
    let locale = Locale::from_word(&ticket.language);
    if incident.sensitive {
        let (number, link) = (incident.id, presentation.link(incident.id));
        return Ok(match locale {
            Locale::En => {
                format!("{number}: the content is sensitive, see the operators' board.\n{link}\n")
            }
            Locale::Ja => format!(
                "{number}：内容は機密です。オペレーターのボードを参照してください。\n{link}\n"
            ),
            Locale::Fr => format!(
                "{number} : le contenu est confidentiel, voir le tableau des opérateurs.\n{link}\n"
            ),
        });
    }
    let values = values_of(state, ticket, &incident, presentation)?;
    let own = presentation.routes.get(&ticket.route);
    if let Some(body) = own.and_then(|manner| manner.templates.body(&values)) {
        return Ok(body);
    }
    Ok(shipped_body(locale, &values).unwrap_or_else(|error| {
        tracing::error!(error, "template_failed");
        format!("{}: {}\n", values.number, values.title)
    }))
}

/// The subject by the route's template; none: the route has none, or what it says must not be told.
pub(super) fn subject(
    state: &dyn StateStore,
    ticket: &WantedTicket,
    presentation: &Presentation,
) -> Result<Option<String>, StoreError> {
    let Some(manner) = presentation.routes.get(&ticket.route) else {
        return Ok(None);
    };
    if !manner.templates.has_subject() || ticket.contract.is_some() || ticket.alert.is_some() {
        return Ok(None);
    }
    let Some(incident) = incident_of(state, ticket)?.filter(|incident| !incident.sensitive) else {
        return Ok(None);
    };
    let values = values_of(state, ticket, &incident, presentation)?;
    let subject = manner.templates.subject(&values);
    Ok(Some(subject).filter(|subject| !subject.is_empty()))
}

fn incident_of(
    state: &dyn StateStore,
    ticket: &WantedTicket,
) -> Result<Option<Incident>, StoreError> {
    let bytes = state.incident(ticket.incident)?;
    bytes.map(|bytes| codec::decode(&bytes)).transpose()
}

/// What templates may name of an incident.
fn values_of(
    state: &dyn StateStore,
    ticket: &WantedTicket,
    incident: &Incident,
    presentation: &Presentation,
) -> Result<Values, StoreError> {
    let mut values = Values {
        number: incident.id.to_string(),
        title: incident.title.clone(),
        severity: incident
            .severity
            .map_or_else(String::new, |s| s.to_string()),
        basis: incident.basis.word().to_owned(),
        category: incident.category.word().to_owned(),
        reason: one_line(&incident.reason),
        next_failure: one_line(&incident.next_failure),
        needs_triage: incident.needs_triage,
        topic: one_line(&incident.topic),
        account: account_of(incident),
        accounts: lines(&incident.accounts),
        services: lines(&incident.services),
        tags: lines(&incident.tags),
        element: one_line(&state.symbol(incident.root)?),
        source: one_line(&state.symbol(incident.source)?),
        since: incident.opened_at.to_string(),
        link: presentation.link(incident.id),
        members: incident.members,
        ..Values::default()
    };
    for site in &incident.sites {
        values.sites.push(one_line(&state.symbol(*site)?));
    }
    values.site = values.sites.first().cloned().unwrap_or_default();
    for (n, (alert, words)) in state
        .alerts_of(incident.id, None, ALERTS_MAX)?
        .into_iter()
        .enumerate()
    {
        let alert: Alert = codec::decode(&alert)?;
        if words.is_empty() {
            continue;
        }
        let words: AlertText = codec::decode(&words)?;
        let of = |text: &Option<String>| one_line(text.as_deref().unwrap_or_default());
        if n == 0 {
            values.host = of(&words.host);
            values.component = of(&words.component);
            values.check = of(&words.check);
            values.summary = one_line(&words.summary);
            let labels = words.labels.iter();
            values.labels = labels.map(|(k, v)| (k.clone(), one_line(v))).collect();
            if presentation.original(&ticket.route) != Original::No && !words.sensitive {
                values.original = presentation.link_to_original(alert.id);
            }
        }
        values.alerts.push(AlertLine {
            id: alert.id.to_string(),
            state: alert.state.word().to_owned(),
            summary: one_line(&words.summary),
            host: of(&words.host),
            source: words.source,
            since: alert.fired_at.to_string(),
        });
    }
    Ok(values)
}

fn lines(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| one_line(text)).collect()
}

/// The account that reported it, else the one that is hit, if it is one.
fn account_of(incident: &Incident) -> String {
    let one = |names: &[String]| match names {
        [only] => only.clone(),
        _ => String::new(),
    };
    match one(&incident.reported_by) {
        reporter if reporter.is_empty() => one(&incident.accounts),
        reporter => reporter,
    }
}

/// Where the first alert of a ticket's incident stands in the journal; none if it, or the incident,
/// is sensitive.
pub(super) fn first_event(
    state: &dyn StateStore,
    ticket: &WantedTicket,
) -> Result<Option<u64>, StoreError> {
    if incident_of(state, ticket)?.is_none_or(|incident| incident.sensitive) {
        return Ok(None);
    }
    let mut alerts = state.alerts_of(ticket.incident, None, 1)?;
    let Some((_, words)) = alerts.pop().filter(|(_, words)| !words.is_empty()) else {
        return Ok(None);
    };
    let words: AlertText = codec::decode(&words)?;
    Ok((!words.sensitive).then_some(words.event.0))
}

/// What the route gives a new ticket besides. A customer's own ticket names nobody but them, and has
/// neither type nor watchers nor fields of the operations ticket.
pub(super) fn given(
    state: &dyn StateStore,
    ticket: &WantedTicket,
    presentation: &Presentation,
) -> Result<Given, StoreError> {
    // Most routes give nothing: the alerts need not be read for that.
    let manner = presentation.routes.get(&ticket.route);
    let manner = manner.filter(|manner| manner.templates.gives_anything());
    let (Some(manner), None) = (manner, ticket.alert) else {
        return Ok(Given::default());
    };
    let Some(incident) = incident_of(state, ticket)? else {
        return Ok(Given::default());
    };
    let Some(contract) = &ticket.contract else {
        let values = values_of(state, ticket, &incident, presentation)?;
        return Ok(manner.templates.given(&values, incident.sensitive));
    };
    let site = incident.sites.first();
    let values = Values {
        account: contract.clone(),
        contract: contract.clone(),
        site: site.map_or(Ok(String::new()), |site| state.symbol(*site))?,
        category: incident.category.word().to_owned(),
        ..Values::default()
    };
    Ok(Given {
        requestor: manner.templates.requestor(&values, incident.sensitive),
        ..Given::default()
    })
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
