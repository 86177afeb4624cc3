//! What is known: nodes with dense numbers, and edges both ways.

use crate::model::event::ComponentKind;
use std::collections::BTreeMap;

/// An element's number: its place in the inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ElementId(pub(super) u32);

/// Elements, groups, services and accounts, checked and indexed.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    pub(super) nodes: Vec<Node>,
    pub(super) by_id: BTreeMap<String, u32>,
    pub(super) aliases: BTreeMap<String, u32>,
    pub(super) accounts: BTreeMap<String, Account>,
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
    /// Part of `needs`: the parent it hangs from, if it does not itself carry that parent.
    pub declared_parent: bool,
}

#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    Element,
    Group {
        needs: u32,
    },
    Service {
        accounts: Vec<String>,
        setting_up: bool,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    pub customer: String,
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
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many elements, groups and services are known.
    pub fn len(&self) -> usize {
        self.nodes.len()
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

    /// Members of the element's groups, without itself.
    pub fn co_members(&self, element: ElementId) -> impl Iterator<Item = ElementId> + '_ {
        self.groups_of(element.0)
            .filter_map(|group| self.node(group))
            .flat_map(|group| group.needs.iter().copied())
            .filter(move |member| *member != element.0)
            .filter(|member| {
                self.node(*member)
                    .is_some_and(|node| matches!(node.kind, NodeKind::Element))
            })
            .map(ElementId)
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
