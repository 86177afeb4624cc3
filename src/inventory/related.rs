//! Which failures are one problem: what explains an element, what it explains, and who shares its
//! redundancy.

use super::health::{Condition, Health};
use super::model::{ElementId, Inventory, NodeKind};
use std::collections::{BTreeSet, VecDeque};

/// Most nodes walked for one question.
const WALK_MAX: usize = 2_000_000;
/// Most members of a group that are looked at for failed ones.
const MEMBERS_ASKED_MAX: usize = 256;

impl Health {
    /// Elements that are down themselves and explain this one, nearest first.
    pub fn roots_of(&self, inventory: &Inventory, element: ElementId) -> Vec<ElementId> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([element.0]);
        let mut left = VecDeque::from([element.0]);
        while let Some(number) = left.pop_front() {
            let Some(node) = inventory.node(number) else {
                continue;
            };
            for next in inventory.needs(number).iter().copied() {
                if !seen.insert(next) || seen.len() > WALK_MAX {
                    continue;
                }
                // What works explains nothing.
                if self.at(next) != Condition::Down {
                    continue;
                }
                if self.is_down(ElementId(next)) {
                    found.push(ElementId(next));
                }
                left.push_back(next);
            }
            // The whole explains its part if it is down itself, not if it is down because of
            // its parts.
            if number == element.0
                && let Some(whole) = node.part_of.map(ElementId)
                && self.is_down(whole)
                && seen.insert(whole.0)
            {
                found.push(whole);
            }
        }
        found
    }

    /// Whether a service that is in use is not up because of this element.
    pub fn hits_a_service(&self, inventory: &Inventory, element: ElementId) -> bool {
        let mut seen = BTreeSet::from([element.0]);
        let mut left = vec![element.0];
        while let Some(number) = left.pop() {
            let Some(node) = inventory.node(number) else {
                continue;
            };
            if self.at(number) == Condition::Up {
                continue;
            }
            if matches!(node.kind, NodeKind::Service { retired: false, .. }) {
                return true;
            }
            let followers = inventory.followers(number).iter().copied();
            left.extend(followers.filter(|n| seen.insert(*n)));
        }
        false
    }

    /// Elements that hang from this one, or are part of it, while it is down: the other way round
    /// than [`Health::roots_of`].
    pub fn explained_by(&self, inventory: &Inventory, root: ElementId) -> Vec<ElementId> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::from([root.0]);
        let mut left = VecDeque::from([root.0]);
        while let Some(number) = left.pop_front() {
            let parts = inventory.parts.from(number).iter();
            let parts = parts.filter(|_| number == root.0);
            for next in inventory.followers(number).iter().chain(parts).copied() {
                if seen.len() > WALK_MAX || !seen.insert(next) {
                    continue;
                }
                if inventory
                    .node(next)
                    .is_some_and(|n| matches!(n.kind, NodeKind::Element))
                {
                    found.push(ElementId(next));
                }
                // What works explains nothing further, and a part explains the whole only where
                // the whole follows it.
                let follows = inventory.needs(next).contains(&number);
                if follows && self.at(next) == Condition::Down {
                    left.push_back(next);
                }
            }
        }
        found
    }

    /// Failed elements that share a group with this one, directly or further up: their losses add
    /// up in the group's arithmetic.
    pub fn mates_of(&self, inventory: &Inventory, element: ElementId) -> Vec<ElementId> {
        let mut seen = BTreeSet::from([element.0]);
        let mut left = VecDeque::from([element.0]);
        let mut found = Vec::new();
        while let Some(number) = left.pop_front() {
            for next in inventory.followers(number).iter().copied() {
                if self.at(next) == Condition::Up || !seen.insert(next) || seen.len() > WALK_MAX {
                    continue;
                }
                left.push_back(next);
                let Some(group) = inventory.node(next) else {
                    continue;
                };
                if !matches!(group.kind, NodeKind::Group { .. }) {
                    continue;
                }
                let failed = inventory
                    .needs(next)
                    .iter()
                    .copied()
                    .filter(|member| *member != number && self.at(*member) != Condition::Up);
                for member in failed.take(MEMBERS_ASKED_MAX) {
                    found.extend(self.failed_beneath(inventory, ElementId(member)));
                }
            }
        }
        found.retain(|mate| *mate != element);
        found
    }

    /// A node itself, if it has failed, and what it fails from.
    fn failed_beneath(&self, inventory: &Inventory, node: ElementId) -> Vec<ElementId> {
        let mut seen = BTreeSet::from([node.0]);
        let mut left = VecDeque::from([node.0]);
        let mut found = Vec::new();
        while let Some(number) = left.pop_front() {
            if self.has_failed(ElementId(number)) {
                found.push(ElementId(number));
            }
            let needs = inventory.needs(number).iter();
            for next in needs.copied().take(MEMBERS_ASKED_MAX) {
                if self.at(next) != Condition::Up && seen.insert(next) {
                    left.push_back(next);
                }
            }
        }
        found
    }

    /// Failed members of the groups that an element needs directly: what an alert about its lost
    /// redundancy (`of_redundancy`) speaks of, or about the worse work of what stands beside its
    /// parts in the same whole.
    pub fn members_behind(
        &self,
        inventory: &Inventory,
        element: ElementId,
        of_redundancy: bool,
    ) -> Vec<ElementId> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut left: VecDeque<u32> = inventory.needs(element.0).iter().copied().collect();
        while let Some(number) = left.pop_front() {
            let Some(group) = inventory.node(number).filter(|_| seen.insert(number)) else {
                continue;
            };
            if !matches!(group.kind, NodeKind::Group { .. }) || self.at(number) == Condition::Up {
                continue;
            }
            for member in inventory
                .needs(number)
                .iter()
                .copied()
                .take(MEMBERS_ASKED_MAX)
            {
                left.push_back(member);
                if self.is_down(ElementId(member))
                    && (of_redundancy || beside(inventory, ElementId(member), element))
                {
                    found.push(ElementId(member));
                }
            }
        }
        found
    }

    /// The other way round than [`Health::members_behind`]: elements that need a group of this
    /// failed member directly.
    pub fn heads_of(&self, inventory: &Inventory, member: ElementId) -> Vec<ElementId> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        let mut left = VecDeque::from([member.0]);
        while let Some(number) = left.pop_front() {
            for next in inventory.followers(number).iter().copied() {
                match inventory.node(next).map(|n| &n.kind) {
                    Some(NodeKind::Group { .. })
                        if self.at(next) != Condition::Up && seen.insert(next) =>
                    {
                        left.push_back(next);
                    }
                    Some(NodeKind::Element) if number != member.0 => found.push(ElementId(next)),
                    _ => {}
                }
            }
        }
        found
    }
}

/// Whether two elements are parts of the same whole.
pub fn beside(inventory: &Inventory, one: ElementId, other: ElementId) -> bool {
    let whole = |element: ElementId| inventory.node(element.0).and_then(|n| n.part_of);
    whole(one).is_some() && whole(one) == whole(other)
}
