//! What is known: nodes with dense numbers, and edges both ways.

use crate::model::Time;
use crate::model::event::ComponentKind;
use hashbrown::HashTable;
use regex::Regex;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;

/// Most wholes above a part that are asked for their site.
const PARTS_DEPTH_MAX: usize = 32;

/// An element's number: its place in the inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementId(pub(super) u32);

/// Elements, groups, services and accounts, checked and indexed.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    pub(super) nodes: Vec<Node>,
    /// Nodes whose state each one follows.
    pub(super) needs: Edges,
    /// Nodes that follow each one.
    pub(super) followers: Edges,
    /// Things that are part of each one.
    pub(super) parts: Edges,
    pub(super) by_id: Ids,
    /// Names of elements in the form in which they are compared, but for those that are the id.
    pub(super) aliases: FxHashMap<Box<str>, u32>,
    /// Names of which only the host's domain is missing.
    pub(super) short_names: FxHashMap<Box<str>, u32>,
    pub(super) accounts: BTreeMap<String, Account>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) watches: BTreeMap<u32, Watch>,
    /// Names of sites; nodes have their places here, from 1.
    pub(super) sites: Vec<String>,
}

/// For each node some others: one list behind the other, so that a million nodes are no million
/// allocations.
#[derive(Clone, Debug, Default)]
pub(super) struct Edges {
    /// Where the list of each node begins, and where the last one ends.
    first: Vec<u32>,
    to: Vec<u32>,
}

impl Edges {
    /// Lists of so many nodes, each in the order of the pairs.
    pub(super) fn of(nodes: usize, pairs: impl Iterator<Item = (u32, u32)> + Clone) -> Edges {
        let mut first = vec![0_u32; nodes + 1];
        for (from, _) in pairs.clone() {
            if let Some(count) = first.get_mut(from as usize + 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        for count in &mut first {
            sum += *count;
            *count = sum;
        }
        let mut next = first.clone();
        let mut to = vec![0; sum as usize];
        for (from, other) in pairs {
            if let Some(place) = next.get_mut(from as usize)
                && let Some(free) = to.get_mut(*place as usize)
            {
                *free = other;
                *place += 1;
            }
        }
        Edges { first, to }
    }

    pub(super) fn from(&self, number: u32) -> &[u32] {
        let number = number as usize;
        let (Some(first), Some(end)) = (self.first.get(number), self.first.get(number + 1)) else {
            return &[];
        };
        let range = *first as usize..*end as usize;
        self.to.get(range).unwrap_or_default()
    }
}

/// Numbers of nodes by their ids. A million ids are not kept twice: the nodes have them.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids(HashTable<u32>);

impl Ids {
    pub(super) fn with_capacity(most: usize) -> Ids {
        Ids(HashTable::with_capacity(most))
    }

    pub(super) fn get(&self, nodes: &[Node], id: &str) -> Option<u32> {
        let is = |number: &u32| id_of(nodes, *number) == id;
        self.0.find(FxBuildHasher.hash_one(id), is).copied()
    }

    /// Adds the number of a node that is there; the one that has its id already stays.
    pub(super) fn insert(&mut self, nodes: &[Node], number: u32) {
        let hash = |number: &u32| FxBuildHasher.hash_one(id_of(nodes, *number));
        self.0.insert_unique(hash(&number), number, hash);
    }
}

fn id_of(nodes: &[Node], number: u32) -> &str {
    let node = nodes.get(number as usize);
    node.map_or("", |node| node.id.as_str())
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
    /// The thing it is part of, for explanations.
    pub part_of: Option<u32>,
    /// The site that it names; 0: none.
    pub site: u32,
    /// It hangs from something that it does not itself carry.
    pub declared_parent: bool,
    /// What a node needs has a lower rank.
    pub rank: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
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
    pub mail: Vec<String>,
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
        self.service(service).unwrap_or_default()
    }

    /// The element of exactly this id.
    pub fn element(&self, id: &str) -> Option<ElementId> {
        let number = self.number_of(id)?;
        matches!(self.node(number)?.kind, NodeKind::Element).then_some(ElementId(number))
    }

    /// An element's id.
    pub fn element_name(&self, element: ElementId) -> &str {
        self.node(element.0).map_or("", |node| node.id.as_str())
    }

    /// The site that an element is at: its own, or that of what it is part of; empty: not known.
    pub fn site_of(&self, element: ElementId) -> &str {
        let mut next = Some(element.0);
        for _ in 0..PARTS_DEPTH_MAX {
            let Some(node) = next.and_then(|number| self.node(number)) else {
                break;
            };
            if let Some(place) = node.site.checked_sub(1) {
                let site = self.sites.get(place as usize);
                return site.map_or("", String::as_str);
            }
            next = node.part_of;
        }
        ""
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
        !self.followers(element.0).is_empty() || !self.parts.from(element.0).is_empty()
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
                NodeKind::Group { needs } => needs as usize == self.needs(number).len(),
            };
            if sole {
                let above = self.needs(number).iter().copied().chain(node.part_of);
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
            let followers = self.followers(number).iter().copied();
            left.extend(followers.filter(|n| seen.insert(*n)));
            if seen.len() > most {
                return (Vec::new(), Vec::new());
            }
        }
        (
            services.into_iter().collect(),
            accounts.into_iter().collect(),
        )
    }

    /// Addresses that speak for accounts by mail, each with its account.
    pub fn mail_contacts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.accounts.iter().flat_map(|(id, account)| {
            let addresses = account.mail.iter();
            addresses.map(move |address| (address.as_str(), id.as_str()))
        })
    }

    /// Whether an account may speak for another: for itself, and a partner for those it manages.
    pub fn speaks_for(&self, account: &str, other: &str) -> bool {
        let managed_by = || {
            let other = self.accounts.get(other)?;
            (!other.partner.is_empty()).then_some(other.partner.as_str())
        };
        account == other || managed_by() == Some(account)
    }

    /// Whether a service of that id is known.
    pub fn has_service(&self, id: &str) -> bool {
        self.service(id).is_some()
    }

    /// Whether an account subscribes to the service of that id.
    pub fn subscribes(&self, account: &str, service: &str) -> bool {
        self.service(service)
            .is_some_and(|accounts| accounts.iter().any(|of| of == account))
    }

    /// The accounts that subscribe to a service; `None`: there is no such service.
    pub fn service(&self, id: &str) -> Option<&[String]> {
        match &self.node(self.number_of(id)?)?.kind {
            NodeKind::Service { accounts, .. } => Some(accounts),
            NodeKind::Element | NodeKind::Group { .. } => None,
        }
    }

    fn groups_of(&self, number: u32) -> impl Iterator<Item = u32> + '_ {
        let followers = self.followers(number).iter().copied();
        followers.filter(|follower| {
            self.node(*follower)
                .is_some_and(|node| matches!(node.kind, NodeKind::Group { .. }))
        })
    }

    /// The number of the element, group or service of exactly this id.
    pub(super) fn number_of(&self, id: &str) -> Option<u32> {
        self.by_id.get(&self.nodes, id)
    }

    /// The numbers of all elements, groups and services, in the order of their ids.
    pub(super) fn in_order(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = (0_u32..).zip(&self.nodes).map(|(n, _)| n).collect();
        numbers.sort_by(|a, b| id_of(&self.nodes, *a).cmp(id_of(&self.nodes, *b)));
        numbers
    }

    /// Nodes whose state a node follows.
    pub(super) fn needs(&self, number: u32) -> &[u32] {
        self.needs.from(number)
    }

    /// Nodes that follow a node.
    pub(super) fn followers(&self, number: u32) -> &[u32] {
        self.followers.from(number)
    }

    pub(super) fn node(&self, number: u32) -> Option<&Node> {
        self.nodes.get(number as usize)
    }
}
