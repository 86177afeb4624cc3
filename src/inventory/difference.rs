//! What a new inventory changes, told before it is in force.

use super::model::{Inventory, NodeKind};
use std::collections::BTreeSet;
use std::fmt;

/// Most names told of each kind.
const NAMES_TOLD_MAX: usize = 5;

/// The difference between two inventories, by ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Elements, groups and services that are new.
    pub added: Vec<String>,
    /// Elements and groups that are gone: open alerts about them lose their proof.
    pub removed: Vec<String>,
    /// Services that are gone or retired: nothing can hit them any more.
    pub orphaned: Vec<String>,
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
        let orphaned: BTreeSet<String> = live(old).difference(&live(new)).cloned().collect();
        Difference {
            added: after.difference(&before).cloned().collect(),
            removed: before
                .difference(&after)
                .filter(|id| !orphaned.contains(*id))
                .cloned()
                .collect(),
            orphaned: orphaned.into_iter().collect(),
        }
    }

    /// Whether nothing changed by name.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.orphaned.is_empty()
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |names: &[String]| {
            let shown: Vec<&str> = names
                .iter()
                .take(NAMES_TOLD_MAX)
                .map(String::as_str)
                .collect();
            match names.len().saturating_sub(NAMES_TOLD_MAX) {
                0 => shown.join(", "),
                more => format!("{} and {more} more", shown.join(", ")),
            }
        };
        let mut parts = Vec::new();
        for (word, names) in [
            ("added", &self.added),
            ("removed", &self.removed),
            ("services gone", &self.orphaned),
        ] {
            if !names.is_empty() {
                parts.push(format!("{} {word} ({})", names.len(), told(names)));
            }
        }
        if parts.is_empty() {
            f.write_str("no names changed")
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
            element = [{ id = "a" }, { id = "c" }]
            service = [{ id = "s", depends_on = ["a"], life = "retired" }]
            "#,
        );
        let difference = Difference::between(&old, &new);
        assert_eq!(
            difference.to_string(),
            "1 added (c); 1 removed (b); 2 services gone (s, t)"
        );
        assert!(Difference::between(&old, &old).is_empty());
    }
}
