//! Silences made from a ticket: the conditions follow from what its incident is about.

use super::{Api, Failure, absent, wrong};
use crate::limits;
use crate::model::alert::{Alert, AlertText};
use crate::model::{Incident, IncidentId, TicketId, WantedTicket};
use crate::store::codec;
use regex::escape;
use std::collections::BTreeSet;

/// Most hosts that one silence names.
const HOSTS_MAX: usize = 50;

/// The conditions that cover an incident's alerts.
pub(super) fn matchers_of(api: &Api, id: IncidentId) -> Result<Vec<String>, Failure> {
    let body = api.state.incident(id)?;
    let incident: Incident =
        codec::decode(&body.ok_or_else(|| absent(format!("there is no {id}")))?)?;
    let root = api.state.symbol(incident.root)?;
    let rows = api.state.alerts_of(id, None, limits::PAGE_ROWS_READ_MAX)?;
    let mut texts = Vec::new();
    for (alert, text) in rows.iter().filter(|(_, text)| !text.is_empty()) {
        let alert: Alert = codec::decode(alert)?;
        if alert.state.is_active() || !incident.state.is_open() {
            texts.push(codec::decode::<AlertText>(text)?);
        }
    }
    conditions(&root, &texts).map_err(|why| wrong(format!("{id}: {why}")))
}

/// The conditions for a root element, or else for the hosts of alerts.
fn conditions(root: &str, alerts: &[AlertText]) -> Result<Vec<String>, String> {
    if !root.is_empty() {
        return Ok(vec![format!("element={root}")]);
    }
    let hosts: BTreeSet<&str> = alerts.iter().filter_map(|a| a.host.as_deref()).collect();
    let all_named = alerts.iter().all(|alert| alert.host.is_some());
    if hosts.is_empty() || !all_named || hosts.len() > HOSTS_MAX {
        let why = format!(
            "its alerts name no element, and no host or more than {HOSTS_MAX}: give the \
             conditions yourself"
        );
        return Err(why);
    }
    if let [only] = alerts {
        let fields = [
            ("host", &only.host),
            ("component", &only.component),
            ("check", &only.check),
        ];
        let named = fields.into_iter().filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!("{name}={value}"))
        });
        return Ok(named.collect());
    }
    let names: Vec<String> = hosts.iter().map(|host| escape(host)).collect();
    Ok(match names.as_slice() {
        [_] => hosts.iter().map(|host| format!("host={host}")).collect(),
        _ => vec![format!("host=~{}", names.join("|"))],
    })
}

/// The incident of a ticket, by the tracker's own number; the newest if several trackers have it.
pub(super) fn incident_of(api: &Api, key: &str) -> Result<IncidentId, Failure> {
    let mut before: Option<TicketId> = None;
    loop {
        let bodies = api.state.tickets(before, limits::PAGE_ROWS_READ_MAX)?;
        for body in &bodies {
            let ticket: WantedTicket = codec::decode(body)?;
            before = Some(ticket.id);
            if ticket.remote.is_some_and(|remote| remote.key == key) {
                return Ok(ticket.incident);
            }
        }
        if bodies.len() < limits::PAGE_ROWS_READ_MAX {
            return Err(absent(format!("no tracker has a ticket {key} of ours")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventState, Identity};

    fn alert(host: Option<&str>, component: Option<&str>) -> AlertText {
        AlertText {
            source: "mon".to_owned(),
            scope: "mon".to_owned(),
            identity: Identity::key("x").unwrap(),
            identity_version: 1,
            sender: "native".to_owned(),
            event_state: EventState::Firing,
            dedup_key: None,
            severity: None,
            summary: "down".to_owned(),
            details: String::new(),
            site: None,
            host: host.map(str::to_owned),
            component: component.map(str::to_owned),
            check: None,
            service: None,
            labels: std::collections::BTreeMap::new(),
            links: Vec::new(),
            problems: Vec::new(),
            event: (1, 0),
            sensitive: false,
            account: None,
        }
    }

    #[test]
    fn the_conditions_cover_what_the_ticket_is_about_and_no_more() {
        let one = alert(Some("web-1"), Some("disk"));
        let of = |root: &str, alerts: &[AlertText]| conditions(root, alerts);
        assert_eq!(of("sw1", &[]).unwrap(), ["element=sw1"]);
        let alone = of("", std::slice::from_ref(&one)).unwrap();
        assert_eq!(alone, ["host=web-1", "component=disk"]);
        let same = of("", &[one.clone(), alert(Some("web-1"), None)]).unwrap();
        assert_eq!(same, ["host=web-1"]);
        let two = of("", &[one.clone(), alert(Some("db.1"), None)]).unwrap();
        assert_eq!(two, ["host=~db\\.1|web\\-1"]);
        assert!(crate::rules::Matcher::all(&two).is_ok());
        assert!(of("", &[one, alert(None, None)]).is_err());
        assert!(of("", &[]).is_err());
    }
}
