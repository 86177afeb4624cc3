//! An oracle that evaluates everything from the entries as written, by name, from nothing, must
//! agree with the graph that follows changes, on random graphs and random histories.

use super::health::{Condition, Health};
use super::impact::Lives;
use super::load::{ElementEntry, GroupEntry, InventoryFile, ServiceEntry};
use super::model::{ElementId, Inventory};
use super::overlap::what_if;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const ELEMENTS: usize = 14;
const GROUPS: usize = 7;
const SERVICES: usize = 5;

/// A random inventory: elements depend on earlier elements and groups, are part of any element,
/// groups hold elements and earlier groups, services need elements, groups and earlier services.
#[derive(Clone, Debug)]
struct Plan {
    depends: Vec<(usize, usize)>,
    parts: Vec<(usize, usize)>,
    members: Vec<(usize, usize)>,
    needs: Vec<u32>,
    carried: Vec<(usize, usize)>,
    accounts: Vec<usize>,
}

fn plan() -> impl Strategy<Value = Plan> {
    (
        prop::collection::vec((0..ELEMENTS, 0..ELEMENTS + GROUPS), 0..16),
        prop::collection::vec((0..ELEMENTS, 0..ELEMENTS), 0..10),
        prop::collection::vec((0..GROUPS, 0..ELEMENTS + GROUPS), 4..30),
        prop::collection::vec(1..4_u32, GROUPS),
        prop::collection::vec((0..SERVICES, 0..ELEMENTS + GROUPS + SERVICES), 3..16),
        prop::collection::vec(0..4_usize, SERVICES),
    )
        .prop_map(|(depends, parts, members, needs, carried, accounts)| Plan {
            depends,
            parts,
            members,
            needs,
            carried,
            accounts,
        })
}

/// Nodes in one order without loops: element i, group i and service i only need what has a
/// smaller weight.
fn weight(name: &str) -> usize {
    let number: usize = name.get(1..).unwrap_or("").parse().unwrap_or(0);
    match name.get(..1) {
        Some("e") => number * 2,
        Some("g") => number * 4 + 1,
        _ => 1000 + number,
    }
}

fn node(number: usize) -> String {
    if number < ELEMENTS {
        format!("e{number}")
    } else if number < ELEMENTS + GROUPS {
        format!("g{}", number - ELEMENTS)
    } else {
        format!("s{}", number - ELEMENTS - GROUPS)
    }
}

fn file(plan: &Plan) -> InventoryFile {
    let mut file = InventoryFile::default();
    let pick = |pairs: &[(usize, usize)], of: usize, name: &str| -> Vec<String> {
        let needed = pairs
            .iter()
            .filter(|(from, _)| *from == of)
            .map(|(_, to)| node(*to));
        let needed: BTreeSet<String> = needed.filter(|to| weight(to) < weight(name)).collect();
        needed.into_iter().collect()
    };
    for i in 0..ELEMENTS {
        let id = format!("e{i}");
        let part_of = plan
            .parts
            .iter()
            .find(|(part, whole)| *part == i && whole != part);
        file.element.push(ElementEntry {
            depends_on: pick(&plan.depends, i, &id),
            part_of: part_of.map_or(String::new(), |(_, whole)| format!("e{whole}")),
            id,
            ..ElementEntry::default()
        });
    }
    for i in 0..GROUPS {
        let id = format!("g{i}");
        let mut members = pick(&plan.members, i, &id);
        if members.is_empty() {
            members.push("e0".to_owned());
        }
        let most = u32::try_from(members.len()).unwrap();
        let needs = plan.needs[i].min(most);
        file.group.push(GroupEntry { id, members, needs });
    }
    for i in 0..SERVICES {
        let id = format!("s{i}");
        let mut depends_on = pick(&plan.carried, i, &id);
        if depends_on.is_empty() {
            depends_on.push(format!("e{i}"));
        }
        file.service.push(ServiceEntry {
            id,
            depends_on,
            accounts: vec![format!("a{}", plan.accounts[i])],
            ..ServiceEntry::default()
        });
    }
    file
}

/// The oracle: names and needs only.
struct Oracle {
    needs: BTreeMap<String, Vec<String>>,
    k: BTreeMap<String, usize>,
    down: BTreeMap<String, Condition>,
}

impl Oracle {
    fn new(file: &InventoryFile) -> Oracle {
        let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut k = BTreeMap::new();
        for element in &file.element {
            needs.insert(element.id.clone(), element.depends_on.clone());
        }
        for group in &file.group {
            needs.insert(group.id.clone(), group.members.clone());
            k.insert(group.id.clone(), group.needs as usize);
        }
        for service in &file.service {
            needs.insert(service.id.clone(), service.depends_on.clone());
        }
        // A part follows the whole, unless the whole needs the part.
        for element in file.element.iter().filter(|e| !e.part_of.is_empty()) {
            if !reaches(&needs, &element.part_of, &element.id) {
                let of = needs.get_mut(&element.id).unwrap();
                of.push(element.part_of.clone());
            }
        }
        Oracle {
            needs,
            k,
            down: BTreeMap::new(),
        }
    }

    fn condition(&self, name: &str) -> Condition {
        let needed: Vec<Condition> = self.needs[name].iter().map(|n| self.condition(n)).collect();
        let Some(k) = self.k.get(name) else {
            let own = self.down.get(name).copied().unwrap_or(Condition::Up);
            return needed.into_iter().fold(own, Condition::max);
        };
        let working = needed.iter().filter(|c| **c != Condition::Down).count();
        let good = needed.iter().filter(|c| **c < Condition::Degraded).count();
        if working < *k {
            Condition::Down
        } else if good < *k {
            Condition::Degraded
        } else if good < needed.len() {
            Condition::AtRisk
        } else {
            Condition::Up
        }
    }
}

fn reaches(needs: &BTreeMap<String, Vec<String>>, from: &str, to: &str) -> bool {
    from == to || needs[from].iter().any(|next| reaches(needs, next, to))
}

fn condition(number: u8) -> Condition {
    match number % 4 {
        0 => Condition::Up,
        1 => Condition::AtRisk,
        2 => Condition::Degraded,
        _ => Condition::Down,
    }
}

fn all_names(inventory: &Inventory) -> impl Iterator<Item = (&str, u32)> {
    let numbers = (0_u32..).zip(&inventory.nodes);
    numbers.map(|(number, node)| (node.id.as_str(), number))
}

proptest! {
    #![proptest_config(ProptestConfig::default())]

    #[test]
    fn following_changes_agrees_with_an_evaluation_from_nothing(
        plan in plan(),
        history in prop::collection::vec((0..ELEMENTS, any::<u8>()), 1..40),
    ) {
        let file = file(&plan);
        let mut oracle = Oracle::new(&file);
        let inventory = Inventory::build(file).map_err(|p| TestCaseError::fail(format!("{p:?}")))?;
        let mut health = Health::new(&inventory);
        for (element, to) in history {
            let name = format!("e{element}");
            let id = inventory.element(&name).unwrap();
            let before: Vec<Condition> = all_names(&inventory).map(|(_, n)| health.at(n)).collect();
            let changed = health.set(&inventory, id, condition(to));
            oracle.down.insert(name, condition(to));
            let mut differ = 0;
            for ((name, number), before) in all_names(&inventory).zip(before) {
                prop_assert_eq!(health.at(number), oracle.condition(name), "{}", name);
                differ += usize::from(health.at(number) != before);
            }
            prop_assert_eq!(changed, differ);
        }
    }

    #[test]
    fn what_explains_and_what_is_explained_are_the_same_relation(
        plan in plan(),
        down in prop::collection::btree_set(0..ELEMENTS, 1..8),
    ) {
        let inventory = Inventory::build(file(&plan)).unwrap();
        let mut health = Health::new(&inventory);
        for element in &down {
            let id = inventory.element(&format!("e{element}")).unwrap();
            health.set(&inventory, id, Condition::Down);
        }
        for root in &down {
            let root = inventory.element(&format!("e{root}")).unwrap();
            let explained: BTreeSet<ElementId> =
                health.explained_by(&inventory, root).into_iter().collect();
            for effect in 0..ELEMENTS {
                let effect = inventory.element(&format!("e{effect}")).unwrap();
                let roots = health.roots_of(&inventory, effect);
                prop_assert_eq!(
                    roots.contains(&root), explained.contains(&effect),
                    "{} explains {}", inventory.element_name(root), inventory.element_name(effect)
                );
            }
        }
    }

    #[test]
    fn an_incident_of_all_failures_has_the_impact_that_the_oracle_sees(
        plan in plan(),
        failed in prop::collection::btree_map(0..ELEMENTS, any::<u8>(), 1..8),
    ) {
        let file = file(&plan);
        let mut oracle = Oracle::new(&file);
        let inventory = Inventory::build(file.clone()).unwrap();
        let mut health = Health::new(&inventory);
        let mut elements = Vec::new();
        for (element, to) in &failed {
            let name = format!("e{element}");
            let id = inventory.element(&name).unwrap();
            health.set(&inventory, id, condition(*to));
            oracle.down.insert(name, condition(*to));
            elements.push(id);
        }
        let impact = health.impact(&inventory, &elements, &Lives::default());
        let hit: BTreeSet<String> = impact.services.iter().cloned().collect();
        let wanted: BTreeSet<String> = file
            .service
            .iter()
            .filter(|s| oracle.condition(&s.id) != Condition::Up)
            .map(|s| s.id.clone())
            .collect();
        prop_assert_eq!(&hit, &wanted);
        let worst = wanted.iter().map(|s| oracle.condition(s)).max();
        let parties: BTreeSet<&String> = file
            .service
            .iter()
            .filter(|s| Some(oracle.condition(&s.id)) == worst)
            .flat_map(|s| &s.accounts)
            .collect();
        let number = match worst {
            Some(Condition::Down) if parties.len() >= 2 => Some(1),
            Some(Condition::Down) => Some(2),
            Some(Condition::Degraded) => Some(3),
            Some(_) => Some(4),
            None => impact.severity.map(|_| 4),
        };
        prop_assert_eq!(impact.severity.map(crate::model::Severity::number), number);
    }

    #[test]
    fn what_if_agrees_with_what_then_happens(
        plan in plan(),
        first in 0..ELEMENTS,
        then in 0..ELEMENTS,
    ) {
        let inventory = Inventory::build(file(&plan)).unwrap();
        let mut health = Health::new(&inventory);
        let id = |n: usize| inventory.element(&format!("e{n}")).unwrap();
        health.set(&inventory, id(first), Condition::Down);
        let both = [id(first), id(then)];
        let thought = what_if(&inventory, &health, &both, &Lives::default());
        health.set(&inventory, id(then), Condition::Down);
        prop_assert_eq!(thought, health.impact(&inventory, &both, &Lives::default()));
    }
}
