//! What is known: nodes with dense numbers, and edges both ways.

use crate::model::Time;
use crate::model::event::ComponentKind;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// An element's number: its place in the inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementId(pub(super) u32);

/// Elements, groups, services and accounts, checked and indexed.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    pub(super) nodes: Vec<Node>,
    pub(super) by_id: BTreeMap<String, u32>,
    pub(super) aliases: BTreeMap<String, u32>,
    /// Names of which only the host's domain is missing.
    pub(super) short_names: BTreeMap<String, u32>,
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) watches: BTreeMap<u32, Watch>,
}

/// A regular expression over whole names, and whose name it is.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub regex: Regex,
    pub number: u32,
}

/// Sources that watch one element from different places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The sources.
    pub watchers: Vec<String>,
    /// So many of them must say that it is down.
    pub quorum: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub id: String,
    pub kind: NodeKind,
    /// Nodes whose state this one follows.
    pub needs: Vec<u32>,
    /// Nodes that follow this one.
    pub followers: Vec<u32>,
    /// The thing it is part of, for explanations.
    pub part_of: Option<u32>,
    /// Things that are part of this one.
    pub parts: Vec<u32>,
    /// Part of `needs`: the parent it hangs from, if it does not itself carry that parent.
    pub declared_parent: bool,
    /// What a node needs has a lower rank.
    pub rank: u32,
}

#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    Element,
    Group {
        needs: u32,
    },
    Service {
        accounts: Vec<String>,
        /// Trouble before this instant is provisioning work.
        setting_up_until: Option<Time>,
        retired: bool,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub customer: String,
    pub partner: String,
    pub managed: bool,
}

/// What a monitor says about the thing that has a problem.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// Site.
    pub site: Option<&'a str>,
    /// Host or device.
    pub host: Option<&'a str>,
    /// Part of the host.
    pub component: Option<&'a str>,
    /// Kind of the part.
    pub component_kind: Option<ComponentKind>,
    /// What is checked.
    pub check: Option<&'a str>,
    /// An inventory service.
    pub service: Option<&'a str>,
    /// Everything else.
    pub labels: &'a BTreeMap<String, String>,
}

/// The element that a monitor means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// The element; `None`: not in the inventory.
    pub element: Option<ElementId>,
    /// How it was found, for people; empty if there is no inventory.
    pub how: String,
    /// The host is known, the part is not.
    pub part_unknown: bool,
}

impl Inventory {
    /// Names of all accounts, their customers and partners, and of those that services name.
    pub fn account_names(&self) -> impl Iterator<Item = &str> {
        let declared = self.accounts.iter().flat_map(|(id, account)| {
            [
                id.as_str(),
                account.customer.as_str(),
                account.partner.as_str(),
            ]
        });
        let named = self.nodes.iter().flat_map(|node| match &node.kind {
            NodeKind::Service { accounts, .. } => accounts.as_slice(),
            NodeKind::Element | NodeKind::Group { .. } => &[],
        });
        declared.chain(named.map(String::as_str))
    }

    /// The customer that an account belongs to.
    pub fn customer_of(&self, account: &str) -> Option<&str> {
        let account = self.accounts.get(account)?;
        Some(account.customer.as_str()).filter(|name| !name.is_empty())
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many elements, groups and services are known.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The accounts that subscribe to a service; none if it is not known.
    pub fn accounts_of(&self, service: &str) -> &[String] {
        let node = self
            .by_id
            .get(service)
            .and_then(|number| self.node(*number));
        match node.map(|node| &node.kind) {
            Some(NodeKind::Service { accounts, .. }) => accounts,
            _ => &[],
        }
    }

    /// The element of exactly this id.
    pub fn element(&self, id: &str) -> Option<ElementId> {
        let number = *self.by_id.get(id)?;
        matches!(self.node(number)?.kind, NodeKind::Element).then_some(ElementId(number))
    }

    /// An element's id.
    pub fn element_name(&self, element: ElementId) -> &str {
        self.node(element.0).map_or("", |node| node.id.as_str())
    }

    /// Whether the element hangs from something that may explain its failure.
    pub fn has_declared_parent(&self, element: ElementId) -> bool {
        self.node(element.0)
            .is_some_and(|node| node.declared_parent)
    }

    /// Whether the element is a member of a group.
    pub fn is_group_member(&self, element: ElementId) -> bool {
        self.groups_of(element.0).next().is_some()
    }

    /// Whether anything hangs from the element or is part of it.
    pub fn has_effects(&self, element: ElementId) -> bool {
        let node = self.node(element.0);
        node.is_some_and(|node| !node.followers.is_empty() || !node.parts.is_empty())
    }

    /// Whether any element is watched by voters.
    pub fn has_watches(&self) -> bool {
        !self.watches.is_empty()
    }

    /// Who watches the element, if they vote.
    pub fn watch(&self, element: ElementId) -> Option<&Watch> {
        self.watches.get(&element.0)
    }

    /// The element itself and what it hangs from without an alternative: what it is part of, what
    /// it depends on, and members of groups that need them all.
    pub fn hangs_from(&self, element: ElementId) -> Vec<ElementId> {
        let mut seen = BTreeSet::from([element.0]);
        let mut found = Vec::new();
        let mut left = vec![element.0];
        while let Some(number) = left.pop() {
            let Some(node) = self.node(number) else {
                continue;
            };
            let sole = match node.kind {
                NodeKind::Element => {
                    found.push(ElementId(number));
                    true
                }
                NodeKind::Service { .. } => true,
                NodeKind::Group { needs } => needs as usize == node.needs.len(),
            };
            if sole {
                let above = node.needs.iter().copied().chain(node.part_of);
                left.extend(above.filter(|next| seen.insert(*next)));
            }
        }
        found
    }

    /// Services that follow the element, and their accounts, in order of their ids; at most
    /// `most` nodes are walked, else nothing is known.
    pub fn served_by(&self, element: ElementId, most: usize) -> (Vec<&str>, Vec<&str>) {
        let mut seen = BTreeSet::from([element.0]);
        let mut left = vec![element.0];
        let (mut services, mut accounts) = (BTreeSet::new(), BTreeSet::new());
        while let Some(number) = left.pop() {
            let Some(node) = self.node(number) else {
                continue;
            };
            if let NodeKind::Service {
                accounts: of,
                retired: false,
                ..
            } = &node.kind
            {
                services.insert(node.id.as_str());
                accounts.extend(of.iter().map(String::as_str));
            }
            left.extend(node.followers.iter().copied().filter(|n| seen.insert(*n)));
            if seen.len() > most {
                return (Vec::new(), Vec::new());
            }
        }
        (
            services.into_iter().collect(),
            accounts.into_iter().collect(),
        )
    }

    fn groups_of(&self, number: u32) -> impl Iterator<Item = u32> + '_ {
        self.node(number)
            .into_iter()
            .flat_map(|node| node.followers.iter().copied())
            .filter(|follower| {
                self.node(*follower)
                    .is_some_and(|node| matches!(node.kind, NodeKind::Group { .. }))
            })
    }

    pub(super) fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(number as usize)
    }
}
