//! What a new inventory changes, told before it is in force.

use super::model::{Inventory, Node, NodeKind};
use crate::limits::{
    INVENTORY_SERVICES_LOST_PERCENT_MAX, INVENTORY_THINGS_LOST_PERCENT_MAX, NAMES_TOLD_MAX,
};
use std::cmp::Ordering;
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
    /// What is there on both sides with other dependencies, members, accounts, aliases or patterns.
    pub changed: Vec<String>,
    /// How many services were in use before.
    pub services_before: usize,
    /// How many elements and groups there were before.
    pub things_before: usize,
}

impl Difference {
    /// From the inventory in force to the new one.
    pub fn between(old: &Inventory, new: &Inventory) -> Difference {
        let live = |node: &Node| matches!(node.kind, NodeKind::Service { retired: false, .. });
        let things = old.nodes.iter();
        let things = things.filter(|node| !matches!(node.kind, NodeKind::Service { .. }));
        let mut difference = Difference {
            services_before: old.nodes.iter().filter(|node| live(node)).count(),
            things_before: things.count(),
            ..Difference::default()
        };
        let (old_said, new_said) = (Said::of(old), Said::of(new));
        let (old_order, new_order) = (old.in_order(), new.in_order());
        let named = |inventory: &'_ Inventory, number: Option<&u32>| {
            let number = *number?;
            Some((number, inventory.node(number)?.id.clone()))
        };
        let (mut befores, mut afters) = (old_order.iter(), new_order.iter());
        let mut before = named(old, befores.next());
        let mut after = named(new, afters.next());
        loop {
            let order = match (&before, &after) {
                (None, None) => return difference,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((_, old_id)), Some((_, new_id))) => old_id.cmp(new_id),
            };
            let gone = before.take_if(|_| order.is_le());
            let come = after.take_if(|_| order.is_ge());
            if gone.is_some() {
                before = named(old, befores.next());
            }
            if come.is_some() {
                after = named(new, afters.next());
            }
            match (gone, come) {
                (Some((was, id)), come) => {
                    let is_live =
                        |inventory: &Inventory, n: u32| inventory.node(n).is_some_and(live);
                    let lost = is_live(old, was)
                        && !come.as_ref().is_some_and(|(is, _)| is_live(new, *is));
                    match come {
                        _ if lost => difference.orphaned.push(id),
                        None => difference.removed.push(id),
                        Some((is, _)) if old_said.differs(was, &new_said, is) => {
                            difference.changed.push(id);
                        }
                        Some(_) => {}
                    }
                }
                (None, Some((_, id))) => difference.added.push(id),
                (None, None) => return difference,
            }
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

/// What the nodes of an inventory say of themselves beside their ids, so that it can be compared
/// with another inventory, in which they have other numbers.
struct Said<'a> {
    inventory: &'a Inventory,
    /// Aliases and patterns by number, in order.
    names: Vec<(u32, &'a str)>,
}

impl<'a> Said<'a> {
    fn of(inventory: &'a Inventory) -> Said<'a> {
        let aliases = inventory.aliases.iter();
        let aliases = aliases.map(|(alias, number)| (*number, &**alias));
        let patterns = inventory.patterns.iter();
        let patterns = patterns.map(|pattern| (pattern.number, pattern.regex.as_str()));
        let mut names: Vec<(u32, &str)> = aliases.chain(patterns).collect();
        names.sort_unstable();
        Said { inventory, names }
    }

    fn names(&self, number: u32) -> impl Iterator<Item = &'a str> {
        let first = self.names.partition_point(|(of, _)| *of < number);
        let later = self.names.get(first..).unwrap_or_default().iter();
        later
            .take_while(move |(of, _)| *of == number)
            .map(|(_, name)| *name)
    }

    fn id(&self, number: u32) -> &'a str {
        let node = self.inventory.node(number);
        node.map_or("", |node| node.id.as_str())
    }

    fn site(&self, node: &Node) -> Option<&'a String> {
        let place = node.site.checked_sub(1)?;
        self.inventory.sites.get(place as usize)
    }

    fn needs(&self, number: u32) -> Vec<&'a str> {
        let needs = self.inventory.needs(number).iter();
        let mut needs: Vec<&str> = needs.map(|n| self.id(*n)).collect();
        needs.sort_unstable();
        needs
    }

    fn differs(&self, mine: u32, other: &Said, theirs: u32) -> bool {
        let nodes = (self.inventory.node(mine), other.inventory.node(theirs));
        let (Some(one), Some(two)) = nodes else {
            return true;
        };
        one.kind != two.kind
            || self.needs(mine) != other.needs(theirs)
            || one.part_of.map(|n| self.id(n)) != two.part_of.map(|n| other.id(n))
            || self.site(one) != other.site(two)
            || !self.names(mine).eq(other.names(theirs))
            || self.inventory.watches.get(&mine) != other.inventory.watches.get(&theirs)
    }
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
        // Sites, patterns, members and accounts are told as well; the order of a list is not.
        let one = inventory(
            r#"
            element = [{ id = "a", site = "ams" }, { id = "b", patterns = ["b.*"] }, { id = "c" }]
            group = [{ id = "g", members = ["a", "b"], needs = 1 }]
            service = [{ id = "s", depends_on = ["g", "c"], accounts = ["acme"] }]
            "#,
        );
        let other = inventory(
            r#"
            service = [{ id = "s", depends_on = ["c", "g"], accounts = ["acme"] }]
            group = [{ id = "g", members = ["a", "b"], needs = 2 }]
            element = [{ id = "c" }, { id = "a", site = "fra" }, { id = "b", patterns = ["c.*"] }]
            "#,
        );
        let told = Difference::between(&one, &other).to_string();
        assert_eq!(told, "3 changed (a, b, g)");
        let same = Difference::between(&old, &old);
        assert!(same.is_empty() && same.losses().is_empty());
    }
}
