//! What failed elements do to services and accounts, with the arithmetic for people.

use super::health::{Condition, Health};
use super::model::{ElementId, Inventory, Node, NodeKind};
use crate::model::Time;
use crate::model::incident::Effect;
use crate::model::severity::{Category, Severity};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// Most sentences of a reason.
const SENTENCES_MAX: usize = 5;
/// Most groups without redundancy that are looked at for the next failure.
const RISKY_ASKED_MAX: usize = 32;
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
    /// Services that count, with their condition.
    pub hits: Vec<(Condition, u32)>,
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
        let mut services: Vec<(Condition, u32)> = Vec::new();
        let mut sentences = Vec::new();
        let mut risky = Vec::new();
        self.follow(inventory, elements, |number, condition, node| {
            match &node.kind {
                NodeKind::Element | NodeKind::Service { retired: true, .. } => {}
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
        });
        services.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        self.sum_up(inventory, &services, sentences, &risky, lives)
    }

    /// Walks upwards what these elements do, in order of rank: failures of others do not count,
    /// except in the arithmetic of groups that these share with them.
    fn follow<'a>(
        &self,
        inventory: &'a Inventory,
        elements: &[ElementId],
        mut visit: impl FnMut(u32, Condition, &'a Node),
    ) {
        let rank = |number: u32| inventory.node(number).map_or(0, |node| node.rank);
        let mut theirs: FxHashMap<u32, Condition> = FxHashMap::default();
        let own: FxHashSet<u32> = elements.iter().map(|e| e.0).collect();
        let mut left: BinaryHeap<_> = own.iter().map(|n| Reverse((rank(*n), *n))).collect();
        while let Some(Reverse((_, number))) = left.pop() {
            let Some(node) = inventory
                .node(number)
                .filter(|_| !theirs.contains_key(&number))
            else {
                continue;
            };
            let condition = match node.kind {
                // The arithmetic is that of all members, but what is only at risk here takes nothing
                // from the group: that others have failed is theirs to tell.
                NodeKind::Group { .. } => {
                    let members = inventory.needs(number).iter();
                    let worst = members.filter_map(|n| theirs.get(n).copied()).max();
                    self.at(number).min(worst.unwrap_or(Condition::Up))
                }
                NodeKind::Element | NodeKind::Service { .. } => {
                    let needs = inventory.needs(number).iter();
                    let needed = needs.filter_map(|n| theirs.get(n).copied());
                    let own = own.contains(&number).then(|| self.own(number));
                    needed.chain(own).max().unwrap_or(Condition::Up)
                }
            };
            theirs.insert(number, condition);
            if condition != Condition::Up {
                visit(number, condition, node);
                let followers = inventory.followers(number).iter();
                left.extend(followers.map(|n| Reverse((rank(*n), *n))));
            }
        }
    }

    /// The arithmetic of the groups that an element is a member of, directly or further up, as long
    /// as they are not whole.
    pub fn groups_above(&self, inventory: &Inventory, element: ElementId) -> Vec<String> {
        let mut sentences = Vec::new();
        self.follow(inventory, &[element], |number, _, node| {
            let is_group = matches!(node.kind, NodeKind::Group { .. });
            if is_group && sentences.len() < SENTENCES_MAX {
                sentences.push(self.arithmetic(inventory, number));
            }
        });
        sentences
    }

    /// The condition of an element, as a word.
    pub fn word(&self, element: ElementId) -> &'static str {
        match self.at(element.0) {
            Condition::Up => "up",
            Condition::AtRisk => "redundancy lost",
            Condition::Degraded => "degraded",
            Condition::Down => "down",
        }
    }

    /// "psu@core-1: 1 of 2 working, needs 1: redundancy lost."
    pub(super) fn arithmetic(&self, inventory: &Inventory, group: u32) -> String {
        let Some(node) = inventory.node(group) else {
            return String::new();
        };
        let NodeKind::Group { needs } = node.kind else {
            return String::new();
        };
        let members = inventory.needs(group);
        let whole = members.len();
        let working = members
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
        // A group that holds without any service being at risk is proven redundancy, too.
        let held = worst.is_none() && !risky.is_empty();
        let severity = match worst {
            Some(worst) => Some(severity_of(worst, parties)),
            None => held.then_some(Severity::S4),
        };
        if let Some(worst) = worst {
            sentences.push(services_told(inventory, worst, &at_worst, parties));
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
                None if held => Effect::AtRisk,
                Some(Condition::Up) | None => Effect::Unknown,
            },
            category,
            services: counted
                .iter()
                .filter_map(|(_, n)| inventory.node(*n))
                .map(|n| n.id.clone())
                .collect(),
            accounts,
            hits: counted.iter().map(|hit| **hit).collect(),
            parties,
            sentences,
            next_failure: if held || worst == Some(Condition::AtRisk) {
                self.next_failure(inventory, risky)
            } else {
                String::new()
            },
        }
    }
}

/// "1 service(s) down (transit), 2 customer(s)."
fn services_told(inventory: &Inventory, worst: Condition, hit: &[u32], parties: u32) -> String {
    let word = match worst {
        Condition::Down => "down",
        Condition::Degraded => "degraded",
        Condition::AtRisk | Condition::Up => "at risk",
    };
    let names = hit.iter().filter_map(|n| inventory.node(*n));
    let names: Vec<&str> = names.map(|node| node.id.as_str()).collect();
    let (count, names) = (hit.len(), few(&names));
    format!("{count} service(s) {word} ({names}), {parties} customer(s).")
}

impl Health {
    /// The worst that one more failure in a group without a spare would mean.
    fn next_failure(&self, inventory: &Inventory, risky: &[u32]) -> String {
        let worst = risky
            .iter()
            .take(RISKY_ASKED_MAX)
            .filter(|group| !self.has_spare(inventory, **group))
            .filter_map(|group| {
                let services = self.lost_with(inventory, *group);
                let (accounts, parties) = parties(inventory, &services);
                let severity = severity_of(Condition::Down, parties);
                (!services.is_empty()).then_some((severity, parties, services, accounts))
            })
            .min_by_key(|(severity, parties, ..)| (*severity, std::cmp::Reverse(*parties)));
        let Some((severity, parties, services, accounts)) = worst else {
            return String::new();
        };
        let names = services.iter().filter_map(|n| inventory.node(*n));
        let names: Vec<&str> = names.map(|node| node.id.as_str()).collect();
        let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
        format!(
            "then {severity}: {} service(s), {parties} customer(s): {}; {}",
            services.len(),
            few(&names),
            few(&accounts)
        )
    }

    fn has_spare(&self, inventory: &Inventory, group: u32) -> bool {
        let Some(node) = inventory.node(group) else {
            return false;
        };
        let NodeKind::Group { needs } = node.kind else {
            return false;
        };
        let members = inventory.needs(group).iter();
        let working = members.filter(|n| self.at(**n) != Condition::Down);
        working.count() > needs as usize
    }

    /// Services that would be down if this group were, in the order of their numbers.
    fn lost_with(&self, inventory: &Inventory, group: u32) -> Vec<u32> {
        let mut thought: BTreeMap<u32, Condition> = BTreeMap::from([(group, Condition::Down)]);
        let rank = |number: u32| inventory.node(number).map_or(0, |node| node.rank);
        let mut left = BTreeSet::from([(rank(group), group)]);
        let mut lost = Vec::new();
        while let Some((_, number)) = left.pop_first() {
            let Some(node) = inventory.node(number) else {
                continue;
            };
            if number != group {
                let new = self.evaluate_with(inventory, number, &thought);
                if new != Condition::Down {
                    continue;
                }
                thought.insert(number, new);
            }
            if matches!(node.kind, NodeKind::Service { retired: false, .. }) {
                lost.push(number);
            }
            let followers = inventory.followers(number).iter();
            left.extend(followers.map(|n| (rank(*n), *n)));
        }
        lost.sort_unstable();
        lost
    }
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

/// What an account feels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnAccount {
    /// The worst effect.
    pub effect: Effect,
    /// Its services that are hit, worst first, at most 100.
    pub services: Vec<String>,
}

impl OnAccount {
    /// Several accounts of one contract feel the worst of it.
    pub fn unite(&mut self, other: &OnAccount) {
        if other.effect > self.effect {
            self.effect = other.effect;
            self.services.splice(0..0, other.services.iter().cloned());
        } else {
            self.services.extend(other.services.iter().cloned());
        }
        let mut seen = BTreeSet::new();
        self.services.retain(|service| seen.insert(service.clone()));
        self.services.truncate(SERVICES_OF_ACCOUNT_MAX);
    }
}

/// Most services named for one account.
const SERVICES_OF_ACCOUNT_MAX: usize = 100;

/// What these services' trouble means for each account, lesser effects included.
pub fn effects(
    inventory: &Inventory,
    services: &[(Condition, u32)],
) -> BTreeMap<String, OnAccount> {
    let mut worst_first: Vec<&(Condition, u32)> = services.iter().collect();
    worst_first.sort_by_key(|(condition, number)| (std::cmp::Reverse(*condition), *number));
    let mut effects: BTreeMap<String, OnAccount> = BTreeMap::new();
    for (condition, number) in worst_first {
        let effect = match condition {
            Condition::Down => Effect::Down,
            Condition::Degraded => Effect::Degraded,
            Condition::AtRisk => Effect::AtRisk,
            Condition::Up => continue,
        };
        let Some(node) = inventory.node(*number) else {
            continue;
        };
        if let NodeKind::Service { accounts, .. } = &node.kind {
            for account in accounts {
                let entry = effects.entry(account.clone()).or_insert(OnAccount {
                    effect,
                    services: Vec::new(),
                });
                if entry.services.len() < SERVICES_OF_ACCOUNT_MAX {
                    entry.services.push(node.id.clone());
                }
            }
        }
    }
    effects
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
