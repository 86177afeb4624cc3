//! What a new inventory changes, told before it is in force.

use super::model::{Inventory, Node, NodeKind};
use crate::limits::{
    INVENTORY_SERVICES_LOST_PERCENT_MAX, INVENTORY_THINGS_LOST_PERCENT_MAX, NAMES_TOLD_MAX,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The difference between two inventories, by ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Elements, groups and services that are new.
    pub added: Vec<String>,
    /// Elements and groups that are gone: open alerts about them lose their proof.
    pub removed: Vec<String>,
    /// Services that are gone or retired: nothing can hit them any more.
    pub orphaned: Vec<String>,
    /// What is there on both sides with other dependencies, members, accounts or aliases.
    pub changed: Vec<String>,
    /// How many services were in use before.
    pub services_before: usize,
    /// How many elements and groups there were before.
    pub things_before: usize,
}

impl Difference {
    /// From the inventory in force to the new one.
    pub fn between(old: &Inventory, new: &Inventory) -> Difference {
        let ids = |inventory: &Inventory| -> BTreeSet<String> {
            inventory.by_id.keys().cloned().collect()
        };
        let live = |inventory: &Inventory| -> BTreeSet<String> {
            let nodes = inventory.nodes.iter();
            let live = |kind: &NodeKind| matches!(kind, NodeKind::Service { retired: false, .. });
            nodes
                .filter(|n| live(&n.kind))
                .map(|n| n.id.clone())
                .collect()
        };
        let (before, after) = (ids(old), ids(new));
        let services_before = live(old).len();
        let orphaned: BTreeSet<String> = live(old).difference(&live(new)).cloned().collect();
        let (old_words, new_words) = (words(old), words(new));
        let changed = old_words.iter().filter(|(id, words)| {
            let there = new_words.get(*id);
            there.is_some_and(|there| there != *words) && !orphaned.contains(**id)
        });
        let services = |node: &&Node| matches!(node.kind, NodeKind::Service { .. });
        Difference {
            services_before,
            things_before: old.nodes.len() - old.nodes.iter().filter(services).count(),
            changed: changed.map(|(id, _)| (*id).to_owned()).collect(),
            added: after.difference(&before).cloned().collect(),
            removed: before
                .difference(&after)
                .filter(|id| !orphaned.contains(*id))
                .cloned()
                .collect(),
            orphaned: orphaned.into_iter().collect(),
        }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.orphaned.is_empty()
            && self.changed.is_empty()
    }

    /// What is lost, if that is so much that a person should say that it is meant.
    pub fn losses(&self) -> Vec<String> {
        let mut losses = Vec::new();
        for (what, lost, before, percent) in [
            (
                "services",
                &self.orphaned,
                self.services_before,
                INVENTORY_SERVICES_LOST_PERCENT_MAX,
            ),
            (
                "elements and groups",
                &self.removed,
                self.things_before,
                INVENTORY_THINGS_LOST_PERCENT_MAX,
            ),
        ] {
            if lost.len() * 100 > before * percent {
                let count = lost.len();
                losses.push(format!(
                    "{count} of {before} {what} would be gone: {}",
                    told(lost)
                ));
            }
        }
        losses
    }
}

/// What each node says of itself beside its id, in words that do not depend on its number.
fn words(inventory: &Inventory) -> BTreeMap<&str, String> {
    let mut names: BTreeMap<u32, Vec<&str>> = BTreeMap::new();
    for (alias, number) in &inventory.aliases {
        names.entry(*number).or_default().push(alias);
    }
    let id = |number: &u32| inventory.node(*number).map_or("", |node| node.id.as_str());
    let mut words = BTreeMap::new();
    for (number, node) in (0_u32..).zip(&inventory.nodes) {
        let mut needs: Vec<&str> = node.needs.iter().map(id).collect();
        needs.sort_unstable();
        let part_of = node.part_of.as_ref().map(id);
        let watch = inventory.watches.get(&number);
        let said = format!(
            "{:?}",
            (&node.kind, needs, part_of, names.get(&number), watch)
        );
        words.insert(node.id.as_str(), said);
    }
    words
}

/// A few names, and how many more.
fn told(names: &[String]) -> String {
    let shown: Vec<&str> = names
        .iter()
        .take(NAMES_TOLD_MAX)
        .map(String::as_str)
        .collect();
    match names.len().saturating_sub(NAMES_TOLD_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (word, names) in [
            ("added", &self.added),
            ("removed", &self.removed),
            ("services gone", &self.orphaned),
            ("changed", &self.changed),
        ] {
            if !names.is_empty() {
                parts.push(format!("{} {word} ({})", names.len(), told(names)));
            }
        }
        if parts.is_empty() {
            f.write_str("nothing changed")
        } else {
            f.write_str(&parts.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::load::InventoryFile;
    use super::*;

    fn inventory(text: &str) -> Inventory {
        Inventory::build(InventoryFile::from_toml(text).unwrap()).unwrap()
    }

    #[test]
    fn what_is_gone_and_what_is_orphaned_is_told() {
        let old = inventory(
            r#"
            element = [{ id = "a" }, { id = "b" }]
            service = [{ id = "s", depends_on = ["a"] }, { id = "t", depends_on = ["b"] }]
            "#,
        );
        let new = inventory(
            r#"
            element = [{ id = "a", aliases = ["core"] }, { id = "c" }]
            service = [{ id = "s", depends_on = ["a"], life = "retired" }]
            "#,
        );
        let difference = Difference::between(&old, &new);
        assert_eq!(
            difference.to_string(),
            "1 added (c); 1 removed (b); 2 services gone (s, t); 1 changed (a)"
        );
        assert_eq!(
            difference.losses(),
            [
                "2 of 2 services would be gone: s, t",
                "1 of 2 elements and groups would be gone: b"
            ]
        );
        let same = Difference::between(&old, &old);
        assert!(same.is_empty() && same.losses().is_empty());
    }
}
