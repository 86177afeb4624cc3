//! What must be true after every input.

use super::world::World;
use alertbridge::engine::state::State;
use alertbridge::inventory::{Condition, Health, Inventory, Lives};
use alertbridge::model::event::SeverityHint;
use alertbridge::model::{Alert, Incident, IncidentId, IncidentState, Severity, WantedTicket};
use std::collections::BTreeMap;

/// Everything that is not as it must be.
pub fn wrong(world: &World) -> Vec<String> {
    let state = world.state();
    let mut wrong = world.miscounted.clone();
    for incident in state.incidents.values() {
        wrong.extend(tickets(state, incident));
        wrong.extend(members(world, incident));
    }
    for alert in state.alerts.values() {
        wrong.extend(alert_has_its_incident(state, alert));
    }
    wrong.extend(severities(world));
    wrong.extend(names(state));
    let is_past = |wake: &alertbridge::model::Time| *wake < state.now;
    if world.engine.next_wake().as_ref().is_some_and(is_past) {
        wrong.push("a deadline that has passed was not served".to_owned());
    }
    wrong
}

fn own_tickets(state: &State, id: IncidentId) -> Vec<&WantedTicket> {
    let all = state.tickets_of.get(&id).into_iter().flatten();
    let all = all.filter_map(|ticket| state.tickets.get(ticket));
    all.filter(|t| t.contract.is_none() && t.alert.is_none())
        .collect()
}

/// Exactly one open ticket for an open problem, none for one that is held, quiet, over or merged.
fn tickets(state: &State, incident: &Incident) -> Vec<String> {
    let all = own_tickets(state, incident.id);
    let open = all.iter().filter(|t| !t.wanted.status.is_over()).count();
    let wanted = usize::from(
        incident.state == IncidentState::Open && incident.severity != Some(Severity::S5),
    );
    let mut wrong = Vec::new();
    if open != wanted {
        let (id, is) = (incident.id, incident.state);
        wrong.push(format!("{id} is {is:?} and has {open} open tickets"));
    }
    if incident.merged_into.is_some() {
        let cases = state.tickets_of.get(&incident.id).into_iter().flatten();
        let mut cases = cases.filter_map(|ticket| state.tickets.get(ticket));
        if cases.any(|t| t.alert.is_none() && !t.wanted.status.is_over()) {
            wrong.push(format!("{} is merged and has an open ticket", incident.id));
        }
    }
    let mut of_contracts: BTreeMap<&str, usize> = BTreeMap::new();
    let cases = state.tickets_of.get(&incident.id).into_iter().flatten();
    for ticket in cases.filter_map(|ticket| state.tickets.get(ticket)) {
        if let Some(contract) = &ticket.contract
            && !ticket.wanted.status.is_over()
        {
            *of_contracts.entry(contract).or_default() += 1;
        }
    }
    for (contract, count) in of_contracts {
        if count > 1 {
            wrong.push(format!("{}: {count} tickets of {contract}", incident.id));
        }
    }
    wrong
}

/// Counts agree with what there is.
fn members(world: &World, incident: &Incident) -> Vec<String> {
    let state = world.state();
    let members = state.members.get(&incident.id).into_iter().flatten();
    let active = members
        .filter_map(|id| state.alerts.get(id))
        .filter(|alert| alert.state.is_active())
        .count();
    let mut wrong = Vec::new();
    if incident.merged_into.is_none() && incident.active as usize != active {
        let (id, counted) = (incident.id, incident.active);
        wrong.push(format!("{id} counts {counted} active alerts of {active}"));
    }
    // Only people open again what is well.
    let of_alerts = state
        .members
        .get(&incident.id)
        .is_some_and(|m| !m.is_empty());
    let waits = incident.flapping || incident.reported || world.reopened;
    if incident.state.is_open() && active == 0 && of_alerts && !waits {
        wrong.push(format!("{} is open without an active alert", incident.id));
    }
    wrong
}

/// An alert about a problem belongs to an incident that knows it.
fn alert_has_its_incident(state: &State, alert: &Alert) -> Option<String> {
    let informs = alert.hint == SeverityHint::Info;
    let Some(incident) = alert.incident else {
        let lost = alert.state.is_active() && !informs;
        return lost.then(|| format!("{} fires and belongs to nothing", alert.id));
    };
    let incident = state.survivor(incident);
    let known = state.members.get(&incident);
    let lost = state.incidents.contains_key(&incident)
        && known.is_none_or(|members| !members.contains(&alert.id));
    lost.then(|| format!("{incident} does not know its {}", alert.id))
}

/// An evaluation from nothing proves nothing worse than what incidents say.
fn severities(world: &World) -> Vec<String> {
    let inventory: &Inventory = &world.decisions.inventory;
    let state = world.state();
    let mut health = Health::new(inventory);
    let mut worst = BTreeMap::new();
    for alert in state.alerts.values().filter(|a| a.state.is_active()) {
        let name = state.symbols.name(alert.element);
        if let Some(element) = inventory.element(name) {
            let condition = condition(inventory, alert, element);
            let known = worst.entry(element).or_insert(condition);
            *known = (*known).max(condition);
        }
    }
    for (element, condition) in &worst {
        health.set(inventory, *element, *condition);
    }
    let lives = Lives {
        now: state.now,
        healthy: Some(&state.healthy),
    };
    let elements: Vec<_> = worst.keys().copied().collect();
    let impact = health.impact(inventory, &elements, &lives);
    // A person may see it otherwise, or may have ended what still fires.
    let mut seen = state.incidents.values().filter(|i| !i.storm);
    if seen.any(|i| i.person_severity.is_some() || i.active > 0 && !i.state.is_open()) {
        return Vec::new();
    }
    let mut alerts = state.alerts.values().filter(|a| a.state.is_active());
    let is_gone = |id: IncidentId| !state.incidents.contains_key(&state.survivor(id));
    if alerts.any(|alert| alert.incident.is_some_and(is_gone)) {
        return Vec::new();
    }
    let hit = impact.hits.iter().zip(&impact.services);
    hit.filter_map(|((condition, _), service)| {
        let proven = match condition {
            Condition::Down => Severity::S2,
            Condition::Degraded => Severity::S3,
            Condition::AtRisk | Condition::Up => Severity::S4,
        };
        let open = state.incidents.values().filter(|i| i.state.is_open());
        let said = open.filter(|i| i.services.contains(service));
        let said = said.filter_map(|incident| incident.severity).min();
        let milder = said.is_none_or(|said| proven.is_worse_than(said));
        milder.then(|| format!("{service}: {proven} is proven, the worst said is {said:?}"))
    })
    .collect()
}

fn condition(
    inventory: &Inventory,
    alert: &Alert,
    element: alertbridge::inventory::ElementId,
) -> Condition {
    let condition = match alert.hint {
        SeverityHint::Outage => Condition::Down,
        SeverityHint::Redundancy if inventory.is_group_member(element) => Condition::Down,
        SeverityHint::Redundancy => Condition::AtRisk,
        SeverityHint::Degradation | SeverityHint::Unknown => Condition::Degraded,
        SeverityHint::Info => Condition::Up,
    };
    match condition {
        Condition::Down if alert.doubted => Condition::Degraded,
        condition => condition,
    }
}

/// No ticket of one customer names another's service.
fn names(state: &State) -> Vec<String> {
    let theirs = [("acme", "acmeshop"), ("globex", "globexmail")];
    let mut wrong = Vec::new();
    for ticket in state.tickets.values() {
        let Some(contract) = &ticket.contract else {
            continue;
        };
        let notes = ticket.notes.iter().map(|note| note.text.as_str());
        let texts: Vec<&str> = notes.chain([ticket.wanted.subject.as_str()]).collect();
        for (account, service) in theirs.iter().filter(|(account, _)| account != contract) {
            let named = |text: &&str| text.contains(account) || text.contains(service);
            if let Some(text) = texts.iter().find(|text| named(text)) {
                wrong.push(format!("{}: {contract} reads {text:?}", ticket.id));
            }
        }
    }
    wrong
}
