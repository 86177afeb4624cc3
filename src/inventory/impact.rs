//! What failed elements do to services and accounts, with the arithmetic for people.

use super::health::{Condition, Health};
use super::model::{ElementId, Inventory, Node, NodeKind};
use crate::model::Time;
use crate::model::incident::Effect;
use crate::model::severity::{Category, Severity};
use std::collections::{BTreeSet, VecDeque};

/// Most sentences of a reason.
const SENTENCES_MAX: usize = 5;
/// Most names in a sentence.
const NAMES_SHOWN_MAX: usize = 3;

/// What some failed elements do to services and accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impact {
    /// Severity; `None`: no service is hit.
    pub severity: Option<Severity>,
    /// The worst effect.
    pub effect: Effect,
    /// Provisioning if only services that are being set up are hit.
    pub category: Category,
    /// Services that are hit, worst first.
    pub services: Vec<String>,
    /// Accounts of the services with the worst effect.
    pub accounts: Vec<String>,
    /// Parties among them, as counted for "several customers".
    pub parties: u32,
    /// The arithmetic of groups, and what is hit.
    pub sentences: Vec<String>,
    /// What the next failure would cause; empty if something is down already.
    pub next_failure: String,
}

/// What decides whether a service was active before: only then is trouble with it an incident.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lives<'a> {
    /// Now; activation dates before it are past.
    pub now: Time,
    /// Services that were seen healthy.
    pub healthy: Option<&'a BTreeSet<String>>,
}

impl Lives<'_> {
    fn is_active(&self, node: &Node) -> bool {
        match &node.kind {
            NodeKind::Service {
                setting_up_until: Some(until),
                ..
            } => *until <= self.now || self.healthy.is_some_and(|seen| seen.contains(&node.id)),
            NodeKind::Service { retired, .. } => !retired,
            NodeKind::Element | NodeKind::Group { .. } => false,
        }
    }
}

impl Health {
    /// What these elements do to services: reached upwards over whatever is not up.
    pub fn impact(&self, inventory: &Inventory, elements: &[ElementId], lives: &Lives) -> Impact {
        let mut seen: BTreeSet<u32> = elements.iter().map(|e| e.0).collect();
        let mut left: VecDeque<u32> = seen.iter().copied().collect();
        let mut services: Vec<(Condition, u32)> = Vec::new();
        let mut sentences = Vec::new();
        let mut risky = Vec::new();
        while let Some(number) = left.pop_front() {
            let condition = self.at(number);
            let Some(node) = inventory
                .node(number)
                .filter(|_| condition != Condition::Up)
            else {
                continue;
            };
            match &node.kind {
                NodeKind::Element => {}
                NodeKind::Service { retired: true, .. } => {}
                NodeKind::Service { .. } => services.push((condition, number)),
                NodeKind::Group { .. } => {
                    if sentences.len() < SENTENCES_MAX {
                        sentences.push(self.arithmetic(inventory, number));
                    }
                    if condition == Condition::AtRisk {
                        risky.push(number);
                    }
                }
            }
            left.extend(node.followers.iter().copied().filter(|n| seen.insert(*n)));
        }
        services.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        self.sum_up(inventory, &services, sentences, &risky, lives)
    }

    /// "psu@core-1: 1 of 2 working, needs 1: redundancy lost."
    pub(super) fn arithmetic(&self, inventory: &Inventory, group: u32) -> String {
        let Some(node) = inventory.node(group) else {
            return String::new();
        };
        let NodeKind::Group { needs } = node.kind else {
            return String::new();
        };
        let whole = node.needs.len();
        let working = node
            .needs
            .iter()
            .filter(|n| self.at(**n) != Condition::Down)
            .count();
        let state = match self.at(group) {
            Condition::Up => "up",
            Condition::AtRisk => "redundancy lost",
            Condition::Degraded => "degraded",
            Condition::Down => "down",
        };
        format!(
            "{}: {working} of {whole} working, needs {needs}: {state}.",
            node.id
        )
    }

    fn sum_up(
        &self,
        inventory: &Inventory,
        services: &[(Condition, u32)],
        mut sentences: Vec<String>,
        risky: &[u32],
        lives: &Lives,
    ) -> Impact {
        let active = |number: u32| {
            inventory
                .node(number)
                .is_some_and(|node| lives.is_active(node))
        };
        let any_active = services.iter().any(|(_, number)| active(*number));
        let counted: Vec<_> = services
            .iter()
            .filter(|(_, number)| !any_active || active(*number))
            .collect();
        let worst = counted.first().map(|(condition, _)| *condition);
        let at_worst: Vec<u32> = counted
            .iter()
            .filter(|(condition, _)| Some(*condition) == worst)
            .map(|(_, number)| *number)
            .collect();
        let (accounts, parties) = parties(inventory, &at_worst);
        let severity = worst.map(|worst| severity_of(worst, parties));
        if let Some(worst) = worst {
            let word = match worst {
                Condition::Down => "down",
                Condition::Degraded => "degraded",
                Condition::AtRisk | Condition::Up => "at risk",
            };
            let names = at_worst.iter().filter_map(|n| inventory.node(*n));
            let names: Vec<&str> = names.map(|node| node.id.as_str()).collect();
            sentences.push(format!(
                "{} service(s) {word} ({}), {parties} customer(s).",
                at_worst.len(),
                few(&names)
            ));
        }
        let category = if any_active || services.is_empty() {
            Category::Incident
        } else {
            Category::Provisioning
        };
        Impact {
            severity,
            effect: match worst {
                Some(Condition::Down) => Effect::Down,
                Some(Condition::Degraded) => Effect::Degraded,
                Some(Condition::AtRisk) => Effect::AtRisk,
                Some(Condition::Up) | None => Effect::Unknown,
            },
            category,
            services: counted
                .iter()
                .filter_map(|(_, n)| inventory.node(*n))
                .map(|n| n.id.clone())
                .collect(),
            accounts,
            parties,
            sentences,
            next_failure: if worst == Some(Condition::AtRisk) {
                next_failure(inventory, risky)
            } else {
                String::new()
            },
        }
    }
}

/// The services that hang from groups without redundancy, and what their loss would mean.
fn next_failure(inventory: &Inventory, risky: &[u32]) -> String {
    let mut seen: BTreeSet<u32> = risky.iter().copied().collect();
    let mut left: Vec<u32> = risky.to_vec();
    let mut services = Vec::new();
    while let Some(number) = left.pop() {
        let Some(node) = inventory.node(number) else {
            continue;
        };
        if matches!(node.kind, NodeKind::Service { .. }) {
            services.push(number);
        }
        for follower in &node.followers {
            // A further group may hold what one of its members loses.
            let holds = inventory.node(*follower).is_some_and(
                |f| matches!(f.kind, NodeKind::Group { needs } if (needs as usize) < f.needs.len()),
            );
            if !holds && seen.insert(*follower) {
                left.push(*follower);
            }
        }
    }
    let (accounts, parties) = parties(inventory, &services);
    if services.is_empty() {
        return String::new();
    }
    services.sort_unstable();
    let severity = severity_of(Condition::Down, parties);
    let names = services.iter().filter_map(|n| inventory.node(*n));
    let names: Vec<&str> = names.map(|node| node.id.as_str()).collect();
    let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
    let hit = few(&names);
    let customers = few(&accounts);
    format!(
        "then {severity}: {} service(s), {parties} customer(s): {hit}; {customers}",
        services.len()
    )
}

/// The first names, and how many more there are.
fn few(names: &[&str]) -> String {
    let shown = names.get(..NAMES_SHOWN_MAX).unwrap_or(names).join(", ");
    match names.len().saturating_sub(NAMES_SHOWN_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn severity_of(condition: Condition, parties: u32) -> Severity {
    match condition {
        Condition::Down if parties >= 2 => Severity::S1,
        Condition::Down => Severity::S2,
        Condition::Degraded => Severity::S3,
        Condition::AtRisk | Condition::Up => Severity::S4,
    }
}

/// Accounts of services, and how many parties they are: all accounts of one customer once, each
/// managed account as its own.
fn parties(inventory: &Inventory, services: &[u32]) -> (Vec<String>, u32) {
    let mut accounts = BTreeSet::new();
    let mut parties = BTreeSet::new();
    for number in services {
        let Some(NodeKind::Service {
            accounts: names, ..
        }) = inventory.node(*number).map(|node| &node.kind)
        else {
            continue;
        };
        for name in names {
            accounts.insert(name.clone());
            let party = match inventory.accounts.get(name) {
                Some(account) if account.managed => name.clone(),
                Some(account) => account.customer.clone(),
                None => name.clone(),
            };
            parties.insert(party);
        }
    }
    (
        accounts.into_iter().collect(),
        u32::try_from(parties.len()).unwrap_or(u32::MAX),
    )
}
