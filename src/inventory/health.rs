//! What works: the conditions of elements, and what follows from them along the graph. A change
//! touches only what depends on it; a test compares with an evaluation from nothing.

use super::model::{ElementId, Inventory, NodeKind};
use crate::model::incident::Effect;
use crate::model::severity::{Category, Severity};
use std::collections::{BTreeSet, VecDeque};

/// Most nodes walked for one question.
const WALK_MAX: usize = 2_000_000;
/// Most sentences of a reason.
const SENTENCES_MAX: usize = 5;

/// How well something works; the order is from good to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// Works.
    Up,
    /// Works; redundancy is lost.
    AtRisk,
    /// Works badly.
    Degraded,
    /// Does not work.
    Down,
}

/// The conditions of everything in an inventory.
#[derive(Clone, Debug, Default)]
pub struct Health {
    own: Vec<Condition>,
    effective: Vec<Condition>,
}

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

impl Health {
    /// Everything works.
    pub fn new(inventory: &Inventory) -> Health {
        let up = vec![Condition::Up; inventory.nodes.len()];
        Health {
            own: up.clone(),
            effective: up,
        }
    }

    /// Sets an element's own condition and follows the graph.
    pub fn set(&mut self, inventory: &Inventory, element: ElementId, condition: Condition) {
        let Some(own) = self.own.get_mut(element.0 as usize) else {
            return;
        };
        if *own == condition {
            return;
        }
        *own = condition;
        let mut left = VecDeque::from([element.0]);
        while let Some(number) = left.pop_front() {
            let new = self.evaluate(inventory, number);
            let Some(old) = self.effective.get_mut(number as usize) else {
                continue;
            };
            if *old != new {
                *old = new;
                left.extend(
                    inventory
                        .node(number)
                        .into_iter()
                        .flat_map(|n| n.followers.iter()),
                );
            }
        }
    }

    fn evaluate(&self, inventory: &Inventory, number: u32) -> Condition {
        let Some(node) = inventory.node(number) else {
            return Condition::Up;
        };
        let needed = node.needs.iter().map(|n| self.at(*n));
        match &node.kind {
            NodeKind::Element => {
                let own = self
                    .own
                    .get(number as usize)
                    .copied()
                    .unwrap_or(Condition::Up);
                needed.fold(own, Condition::max)
            }
            NodeKind::Service { .. } => needed.fold(Condition::Up, Condition::max),
            NodeKind::Group { needs } => {
                let (mut working, mut whole, mut good) = (0, 0, 0);
                for condition in needed {
                    whole += 1;
                    working += u32::from(condition != Condition::Down);
                    good += u32::from(condition < Condition::Degraded);
                }
                if working < *needs {
                    Condition::Down
                } else if good < *needs {
                    Condition::Degraded
                } else if good < whole {
                    Condition::AtRisk
                } else {
                    Condition::Up
                }
            }
        }
    }

    fn at(&self, number: u32) -> Condition {
        self.effective
            .get(number as usize)
            .copied()
            .unwrap_or(Condition::Up)
    }

    /// Whether the element itself is down, not only what it hangs from.
    pub fn is_down(&self, element: ElementId) -> bool {
        self.own.get(element.0 as usize) == Some(&Condition::Down)
    }

    /// Elements that are down themselves and explain this one, nearest first.
    pub fn roots_of(&self, inventory: &Inventory, element: ElementId) -> Vec<ElementId> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([element.0]);
        let mut left = VecDeque::from([element.0]);
        while let Some(number) = left.pop_front() {
            let Some(node) = inventory.node(number) else {
                continue;
            };
            for next in node.needs.iter().copied().chain(node.part_of) {
                if !seen.insert(next) || seen.len() > WALK_MAX {
                    continue;
                }
                // What works explains nothing.
                if self.at(next) != Condition::Down {
                    continue;
                }
                if self.own.get(next as usize) == Some(&Condition::Down) {
                    found.push(ElementId(next));
                }
                left.push_back(next);
            }
        }
        found
    }

    /// What these elements do to services: reached upwards over whatever is not up.
    pub fn impact(&self, inventory: &Inventory, elements: &[ElementId]) -> Impact {
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
                NodeKind::Service { .. } => services.push((condition, number)),
                NodeKind::Group { needs } => {
                    if sentences.len() < SENTENCES_MAX {
                        sentences.push(self.arithmetic(inventory, number, *needs));
                    }
                    if condition == Condition::AtRisk {
                        risky.push(number);
                    }
                }
            }
            left.extend(node.followers.iter().copied().filter(|n| seen.insert(*n)));
        }
        services.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        self.sum_up(inventory, &services, sentences, &risky)
    }

    fn arithmetic(&self, inventory: &Inventory, group: u32, needs: u32) -> String {
        let Some(node) = inventory.node(group) else {
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
    ) -> Impact {
        let active = |number: u32| {
            inventory.node(number).is_some_and(|node| {
                matches!(
                    node.kind,
                    NodeKind::Service {
                        setting_up: false,
                        ..
                    }
                )
            })
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
            let names: Vec<&str> = at_worst
                .iter()
                .take(3)
                .filter_map(|n| inventory.node(*n))
                .map(|n| n.id.as_str())
                .collect();
            let more = at_worst.len().saturating_sub(names.len());
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            sentences.push(format!(
                "{} service(s) {word} ({}{more}), {parties} customer(s).",
                at_worst.len(),
                names.join(", ")
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
    let (_, parties) = parties(inventory, &services);
    if services.is_empty() {
        return String::new();
    }
    let severity = severity_of(Condition::Down, parties);
    format!(
        "then {severity}: {} service(s), {parties} customer(s)",
        services.len()
    )
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

#[cfg(test)]
mod tests {
    use super::super::load::{ElementEntry, GroupEntry, InventoryFile, ServiceEntry};
    use super::*;
    use proptest::prelude::*;

    fn two_psus() -> Inventory {
        let file = InventoryFile::from_toml(
            r#"
            [[element]]
            id = "core-1"
            depends_on = ["psu@core-1"]
            [[element]]
            id = "psu1@core-1"
            part_of = "core-1"
            [[element]]
            id = "psu2@core-1"
            part_of = "core-1"
            [[group]]
            id = "psu@core-1"
            members = ["psu1@core-1", "psu2@core-1"]
            needs = 1
            [[service]]
            id = "transit"
            depends_on = ["core-1"]
            accounts = ["acme", "globex"]
            "#,
        )
        .unwrap();
        Inventory::build(file).unwrap()
    }

    #[test]
    fn the_second_supply_turns_the_s4_into_an_s1() {
        let inventory = two_psus();
        let mut health = Health::new(&inventory);
        let one = inventory.element("psu1@core-1").unwrap();
        let two = inventory.element("psu2@core-1").unwrap();
        health.set(&inventory, one, Condition::Down);
        let impact = health.impact(&inventory, &[one]);
        assert_eq!(impact.severity, Some(Severity::S4));
        assert_eq!(
            impact.sentences[0],
            "psu@core-1: 1 of 2 working, needs 1: redundancy lost."
        );
        assert_eq!(impact.next_failure, "then S1: 1 service(s), 2 customer(s)");
        health.set(&inventory, two, Condition::Down);
        let impact = health.impact(&inventory, &[one, two]);
        assert_eq!(impact.severity, Some(Severity::S1));
        assert_eq!(impact.accounts, ["acme", "globex"]);
        health.set(&inventory, one, Condition::Up);
        health.set(&inventory, two, Condition::Up);
        assert_eq!(health.impact(&inventory, &[one]).severity, None);
    }

    #[test]
    fn a_failed_parent_explains_its_parts() {
        let file = InventoryFile {
            element: vec![
                ElementEntry {
                    id: "sw".into(),
                    ..ElementEntry::default()
                },
                ElementEntry {
                    id: "gi0/1@sw".into(),
                    part_of: "sw".into(),
                    ..ElementEntry::default()
                },
            ],
            ..InventoryFile::default()
        };
        let inventory = Inventory::build(file).unwrap();
        let (sw, port) = (
            inventory.element("sw").unwrap(),
            inventory.element("gi0/1@sw").unwrap(),
        );
        let mut health = Health::new(&inventory);
        health.set(&inventory, port, Condition::Down);
        assert!(health.roots_of(&inventory, port).is_empty());
        health.set(&inventory, sw, Condition::Down);
        assert_eq!(health.roots_of(&inventory, port), [sw]);
    }

    fn random_inventory(edges: &[(usize, usize)], needs: u32) -> Inventory {
        // Twelve elements, six groups over earlier nodes, four services: a graph without loops.
        let mut file = InventoryFile::default();
        for i in 0..12 {
            file.element.push(ElementEntry {
                id: format!("e{i}"),
                ..ElementEntry::default()
            });
        }
        for g in 0..6_usize {
            let mut members: Vec<String> = edges
                .iter()
                .filter(|(group, _)| *group == g)
                .map(|(_, m)| {
                    if *m < 12 {
                        format!("e{m}")
                    } else {
                        format!("g{}", (m - 12) % (g + 1))
                    }
                })
                .filter(|m| *m != format!("g{g}"))
                .collect();
            members.push(format!("e{g}"));
            members.sort();
            members.dedup();
            let needs = needs.min(members.len() as u32).max(1);
            file.group.push(GroupEntry {
                id: format!("g{g}"),
                members,
                needs,
            });
        }
        for s in 0..4 {
            file.service.push(ServiceEntry {
                id: format!("s{s}"),
                depends_on: vec![format!("g{s}"), format!("g{}", s + 2)],
                accounts: vec![format!("a{s}")],
                setting_up: false,
            });
        }
        Inventory::build(file).unwrap()
    }

    proptest! {
        #[test]
        fn incremental_agrees_with_an_evaluation_from_nothing(
            edges in prop::collection::vec((0..6_usize, 0..18_usize), 0..30),
            needs in 1..4_u32,
            history in prop::collection::vec((0..12_u32, 0..4_u8), 1..60),
        ) {
            let inventory = random_inventory(&edges, needs);
            let mut health = Health::new(&inventory);
            for (element, condition) in history {
                let condition = match condition {
                    0 => Condition::Up,
                    1 => Condition::AtRisk,
                    2 => Condition::Degraded,
                    _ => Condition::Down,
                };
                health.set(&inventory, ElementId(element), condition);
                // Nodes stand in an order in which needs come first: one pass is an evaluation
                // from nothing.
                let mut oracle = Health { own: health.own.clone(), effective: vec![Condition::Up; inventory.nodes.len()] };
                for number in 0..inventory.nodes.len() {
                    oracle.effective[number] = oracle.evaluate(&inventory, number as u32);
                }
                prop_assert_eq!(&health.effective, &oracle.effective);
            }
        }
    }
}
