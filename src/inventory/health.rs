//! What works: the conditions of elements, and what follows from them along the graph. A change
//! touches only what depends on it; a test compares with an evaluation from nothing.

use super::model::{ElementId, Inventory, NodeKind};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

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

impl Health {
    /// Everything works.
    pub fn new(inventory: &Inventory) -> Health {
        let up = vec![Condition::Up; inventory.nodes.len()];
        Health {
            own: up.clone(),
            effective: up,
        }
    }

    /// Sets an element's own condition and follows the graph; returns how many nodes changed.
    pub fn set(
        &mut self,
        inventory: &Inventory,
        element: ElementId,
        condition: Condition,
    ) -> usize {
        let Some(own) = self.own.get_mut(element.0 as usize) else {
            return 0;
        };
        if *own == condition {
            return 0;
        }
        *own = condition;
        let mut changed = 0;
        // In order of rank every node is looked at once, after all that it needs.
        let rank = |number: u32| inventory.node(number).map_or(0, |node| node.rank);
        let mut left = BinaryHeap::from([Reverse((rank(element.0), element.0))]);
        let mut last = None;
        while let Some(Reverse((_, number))) = left.pop() {
            if last == Some(number) {
                continue;
            }
            last = Some(number);
            let new = self.evaluate(inventory, number);
            let Some(old) = self.effective.get_mut(number as usize) else {
                continue;
            };
            if *old != new {
                *old = new;
                changed += 1;
                let followers = inventory.followers(number).iter();
                left.extend(followers.map(|n| Reverse((rank(*n), *n))));
            }
        }
        changed
    }

    fn evaluate(&self, inventory: &Inventory, number: u32) -> Condition {
        self.evaluate_by(inventory, number, |needed| self.at(needed))
    }

    /// The condition of a node if some others were as thought.
    pub(super) fn evaluate_with(
        &self,
        inventory: &Inventory,
        number: u32,
        thought: &BTreeMap<u32, Condition>,
    ) -> Condition {
        self.evaluate_by(inventory, number, |needed| {
            thought
                .get(&needed)
                .copied()
                .unwrap_or_else(|| self.at(needed))
        })
    }

    fn evaluate_by(
        &self,
        inventory: &Inventory,
        number: u32,
        at: impl Fn(u32) -> Condition,
    ) -> Condition {
        let Some(node) = inventory.node(number) else {
            return Condition::Up;
        };
        let needed = inventory.needs(number).iter().map(|n| at(*n));
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

    pub(super) fn own(&self, number: u32) -> Condition {
        let own = self.own.get(number as usize);
        own.copied().unwrap_or(Condition::Up)
    }

    pub(super) fn at(&self, number: u32) -> Condition {
        self.effective
            .get(number as usize)
            .copied()
            .unwrap_or(Condition::Up)
    }

    /// Whether the element itself does not work as it should.
    pub fn has_failed(&self, element: ElementId) -> bool {
        let own = self.own.get(element.0 as usize);
        own.is_some_and(|own| *own != Condition::Up)
    }

    /// Whether the element itself is down, not only what it hangs from.
    pub fn is_down(&self, element: ElementId) -> bool {
        self.own.get(element.0 as usize) == Some(&Condition::Down)
    }
}

#[cfg(test)]
mod tests {
    use super::super::impact::Lives;
    use super::super::load::{ElementEntry, GroupEntry, InventoryFile, ServiceEntry};
    use super::*;
    use crate::model::Severity;
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
        let impact = health.impact(&inventory, &[one], &Lives::default());
        assert_eq!(impact.severity, Some(Severity::S4));
        assert_eq!(
            impact.sentences[0],
            "psu@core-1: 1 of 2 working, needs 1: redundancy lost."
        );
        assert_eq!(
            impact.next_failure,
            "then S1: 1 service(s), 2 customer(s): transit; acme, globex"
        );
        health.set(&inventory, two, Condition::Down);
        let impact = health.impact(&inventory, &[one, two], &Lives::default());
        assert_eq!(impact.severity, Some(Severity::S1));
        assert_eq!(impact.accounts, ["acme", "globex"]);
        health.set(&inventory, one, Condition::Up);
        health.set(&inventory, two, Condition::Up);
        assert_eq!(
            health
                .impact(&inventory, &[one], &Lives::default())
                .severity,
            None
        );
    }

    /// A supply of one router fails while another router, which its group cannot do without, is down:
    /// the supply has lost redundancy, the outage is the other's.
    #[test]
    fn what_is_only_at_risk_does_not_take_over_the_outage_of_another() {
        let inventory = InventoryFile::from_toml(
            r#"
            [[element]]
            id = "r1"
            depends_on = ["psu@r1"]
            [[element]]
            id = "psu1@r1"
            [[element]]
            id = "psu2@r1"
            [[element]]
            id = "r2"
            [[group]]
            id = "psu@r1"
            members = ["psu1@r1", "psu2@r1"]
            needs = 1
            [[group]]
            id = "routers"
            members = ["r1", "r2"]
            needs = 2
            [[service]]
            id = "transit"
            depends_on = ["routers"]
            accounts = ["acme", "globex"]
            "#,
        )
        .unwrap();
        let inventory = Inventory::build(inventory).unwrap();
        let mut health = Health::new(&inventory);
        let supply = inventory.element("psu1@r1").unwrap();
        let other = inventory.element("r2").unwrap();
        health.set(&inventory, other, Condition::Down);
        health.set(&inventory, supply, Condition::Down);
        let severity = |elements: &[ElementId]| {
            health
                .impact(&inventory, elements, &Lives::default())
                .severity
        };
        assert_eq!(severity(&[supply]), Some(Severity::S4));
        assert_eq!(severity(&[other]), Some(Severity::S1));
        assert_eq!(severity(&[supply, other]), Some(Severity::S1));
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
                ..ServiceEntry::default()
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
