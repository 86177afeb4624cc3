//! From entries to a checked and indexed graph, with every problem named.

use super::load::{ElementEntry, InventoryFile, Life, Problem, ServiceEntry};
use super::model::{Account, Edges, Ids, Inventory, Node, NodeKind, Pattern, Watch};
use super::names::{normal, without_domain};
use crate::model::Time;
use regex::Regex;
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

impl Inventory {
    /// Builds the graph, or names every problem: dangling names, double ids and aliases, loops,
    /// groups that can never be whole, services that depend on nothing.
    pub fn build(mut file: InventoryFile) -> Result<Inventory, Vec<Problem>> {
        let most = file.element.len() + file.group.len() + file.service.len();
        let mut builder = Builder::default();
        builder.inventory.nodes.reserve_exact(most);
        builder.inventory.by_id = Ids::with_capacity(most);
        for entry in &file.element {
            builder.add(&entry.id, "element", NodeKind::Element);
        }
        for entry in &file.group {
            builder.add(&entry.id, "group", NodeKind::Group { needs: entry.needs });
            let whole = u32::try_from(entry.members.len()).unwrap_or(u32::MAX);
            if entry.needs == 0 || entry.needs > whole {
                let what = format!("needs {} of {whole} members", entry.needs);
                builder.problem(&format!("group `{}`", entry.id), what);
            }
        }
        for entry in &file.group {
            let mut seen = BTreeSet::new();
            for member in entry.members.iter().filter(|m| !seen.insert(*m)) {
                let what = format!("members: `{member}` is listed twice");
                builder.problem(&format!("group `{}`", entry.id), what);
            }
        }
        for entry in &file.service {
            builder.service(entry);
        }
        for entry in std::mem::take(&mut file.account) {
            let managed = !entry.partner.is_empty();
            let customer = if entry.customer.is_empty() {
                entry.id.clone()
            } else {
                entry.customer
            };
            let account = Account {
                customer,
                partner: entry.partner,
                managed,
                mail: entry.mail,
            };
            builder.inventory.accounts.insert(entry.id, account);
        }
        let mut sites = FxHashMap::default();
        for entry in &file.element {
            builder.alias(entry);
            builder.site(entry, &mut sites);
            builder.watch(entry);
            builder.depend(&entry.id, &entry.depends_on, "depends_on");
        }
        for entry in &file.group {
            builder.depend(&entry.id, &entry.members, "members");
        }
        for entry in &file.service {
            builder.depend(&entry.id, &entry.depends_on, "depends_on");
        }
        builder.parts(&file.element);
        drop(file);
        builder.finish()
    }
}

#[derive(Default)]
struct Builder {
    inventory: Inventory,
    /// Who needs whom.
    edges: Vec<(u32, u32)>,
    problems: Vec<Problem>,
}

/// What a node needs, directly or through others, and the node itself. Kept while parts of the
/// same whole are read: that these follow the whole does not change what the whole needs.
struct Closure {
    /// Without parts that follow their wholes.
    needs: Edges,
    /// The wholes that parts follow.
    wholes: Vec<Option<u32>>,
    of: Option<u32>,
    round: u32,
    /// The last round in which a node was reached.
    reached: Vec<u32>,
}

impl Closure {
    fn of(nodes: usize, edges: &[(u32, u32)]) -> Closure {
        Closure {
            needs: Edges::of(nodes, edges.iter().copied()),
            wholes: vec![None; nodes],
            of: None,
            round: 0,
            reached: vec![0; nodes],
        }
    }

    fn has(&mut self, of: u32, number: u32) -> bool {
        if self.of != Some(of) {
            self.of = Some(of);
            self.round += 1;
            let mut left = vec![of];
            while let Some(next) = left.pop() {
                if let Some(seen) = self.reached.get_mut(next as usize)
                    && *seen != self.round
                {
                    *seen = self.round;
                    left.extend(self.needs.from(next));
                    left.extend(self.wholes.get(next as usize).copied().flatten());
                }
            }
        }
        self.reached.get(number as usize) == Some(&self.round)
    }
}

impl Builder {
    fn problem(&mut self, place: &str, what: String) {
        self.problems.push(Problem {
            place: place.to_owned(),
            what,
        });
    }

    fn add(&mut self, id: &str, kind_name: &str, kind: NodeKind) {
        if id.is_empty() {
            return self.problem(kind_name, "id is missing".to_owned());
        }
        let number = u32::try_from(self.inventory.nodes.len()).unwrap_or(u32::MAX);
        if self.inventory.number_of(id).is_some() {
            let place = format!("{kind_name} `{id}`");
            return self.problem(&place, "the id is used twice".to_owned());
        }
        self.inventory.nodes.push(Node {
            id: id.to_owned(),
            kind,
            part_of: None,
            declared_parent: false,
            rank: 0,
            site: 0,
        });
        let Inventory { nodes, by_id, .. } = &mut self.inventory;
        by_id.insert(nodes, number);
    }

    fn service(&mut self, entry: &ServiceEntry) {
        let place = format!("service `{}`", entry.id);
        let life = match (entry.life, entry.setting_up) {
            (Some(life), _) => life,
            (None, true) => Life::SettingUp,
            (None, false) => Life::Active,
        };
        let text = entry.active_from.trim();
        let active_from =
            Time::parse_rfc3339(text).or_else(|| Time::parse_rfc3339(&format!("{text}T00:00:00Z")));
        if !text.is_empty() && active_from.is_none() {
            let what = format!("active_from: `{text}` is no date; expected like 2026-03-01");
            self.problem(&place, what);
        }
        let setting_up_until = match (life, active_from) {
            (Life::SettingUp, None) => Some(Time(i64::MAX)),
            (Life::SettingUp | Life::Active, until) => until,
            (Life::Retired, _) => None,
        };
        let kind = NodeKind::Service {
            accounts: entry.accounts.clone(),
            setting_up_until,
            retired: life == Life::Retired,
        };
        self.add(&entry.id, "service", kind);
        if entry.depends_on.is_empty() && life != Life::Retired {
            self.problem(&place, "depends_on is empty: nothing can hit it".to_owned());
        }
    }

    fn watch(&mut self, entry: &ElementEntry) {
        let Some(number) = self.inventory.number_of(&entry.id) else {
            return;
        };
        let place = format!("element `{}`", entry.id);
        for pattern in &entry.patterns {
            match Regex::new(&format!("^(?i:{pattern})$")) {
                Ok(regex) => self.inventory.patterns.push(Pattern { regex, number }),
                Err(error) => {
                    let what = format!("patterns: `{pattern}` is no regular expression: {error}");
                    self.problem(&place, what);
                }
            }
        }
        let watchers = u32::try_from(entry.watchers.len()).unwrap_or(u32::MAX);
        if entry.quorum > watchers {
            let what = format!("quorum {} of {watchers} watchers", entry.quorum);
            self.problem(&place, what);
        }
        if entry.quorum > 1 {
            let watch = Watch {
                watchers: entry.watchers.clone(),
                quorum: entry.quorum,
            };
            self.inventory.watches.insert(number, watch);
        }
    }

    fn alias(&mut self, entry: &ElementEntry) {
        let Some(number) = self.inventory.number_of(&entry.id) else {
            return;
        };
        for alias in entry.aliases.iter().chain([&entry.id]) {
            let name = normal(alias);
            // An id in its compared form needs no second entry.
            let other = match self.inventory.element(&name) {
                Some(element) => Some(element.0),
                None => {
                    let aliases = &mut self.inventory.aliases;
                    Some(*aliases.entry(name.into_boxed_str()).or_insert(number))
                }
            };
            if let Some(other) = other.filter(|other| *other != number) {
                let other = self.inventory.node(other).map_or("", |n| &n.id).to_owned();
                let what = format!("alias `{alias}` is claimed by `{other}` as well");
                self.problem(&format!("element `{}`", entry.id), what);
            }
        }
    }

    /// Few sites have many elements: their names are kept once.
    fn site<'a>(&mut self, entry: &'a ElementEntry, known: &mut FxHashMap<&'a str, u32>) {
        if entry.site.is_empty() {
            return;
        }
        let Some(number) = self.inventory.number_of(&entry.id) else {
            return;
        };
        let names = &mut self.inventory.sites;
        let place = *known.entry(&entry.site).or_insert_with(|| {
            names.push(entry.site.clone());
            u32::try_from(names.len()).unwrap_or(u32::MAX)
        });
        if let Some(node) = self.inventory.nodes.get_mut(number as usize) {
            node.site = place;
        }
    }

    fn number(&mut self, id: &str, name: &str, key: &str) -> Option<u32> {
        let found = self.inventory.number_of(name);
        if found.is_none() {
            self.problem(
                &format!("`{id}`"),
                format!("{key}: `{name}` does not exist"),
            );
        }
        found
    }

    fn depend(&mut self, id: &str, names: &[String], key: &str) {
        let Some(number) = self.inventory.number_of(id) else {
            return;
        };
        for name in names {
            if let Some(needed) = self.number(id, name, key) {
                self.edges.push((number, needed));
                if key == "depends_on"
                    && let Some(node) = self.inventory.nodes.get_mut(number as usize)
                {
                    node.declared_parent = true;
                }
            }
        }
    }

    /// A part follows what it is part of, unless that depends on the part itself.
    fn parts(&mut self, entries: &[ElementEntry]) {
        let mut closure = Closure::of(self.inventory.nodes.len(), &self.edges);
        for entry in entries.iter().filter(|entry| !entry.part_of.is_empty()) {
            let Some(number) = self.inventory.number_of(&entry.id) else {
                continue;
            };
            let Some(whole) = self.number(&entry.id, &entry.part_of, "part_of") else {
                continue;
            };
            let follows = !closure.has(whole, number);
            if let Some(node) = self.inventory.nodes.get_mut(number as usize) {
                node.part_of = Some(whole);
                node.declared_parent |= follows;
            }
            if follows {
                self.edges.push((number, whole));
                if let Some(followed) = closure.wholes.get_mut(number as usize) {
                    *followed = Some(whole);
                }
            }
        }
    }

    /// All edges are known: they are kept both ways.
    fn connect(&mut self) {
        let nodes = self.inventory.nodes.len();
        let edges = std::mem::take(&mut self.edges);
        self.inventory.needs = Edges::of(nodes, edges.iter().copied());
        self.inventory.followers = Edges::of(nodes, edges.iter().map(|(from, to)| (*to, *from)));
        let parts = (0_u32..).zip(&self.inventory.nodes);
        let parts = parts.filter_map(|(number, node)| Some((node.part_of?, number)));
        self.inventory.parts = Edges::of(nodes, parts);
    }

    fn finish(mut self) -> Result<Inventory, Vec<Problem>> {
        self.connect();
        for path in self.rank() {
            let place = path.first().map_or(String::new(), |id| format!("`{id}`"));
            let what = format!("depends on itself through others: {}", path.join(" → "));
            self.problem(&place, what);
        }
        let elements = (0_u32..).zip(&self.inventory.nodes);
        let elements = elements.filter(|(_, node)| matches!(node.kind, NodeKind::Element));
        // Ids that are compared in another form are among the aliases.
        let dotted =
            elements.filter(|(_, node)| node.id.contains('.') && normal(&node.id) == node.id);
        let ids = dotted.map(|(number, node)| (node.id.as_str(), number));
        let aliases = self.inventory.aliases.iter();
        let aliases = aliases.map(|(name, number)| (&**name, *number));
        self.inventory.short_names = without_domain(ids.chain(aliases));
        if self.problems.is_empty() {
            Ok(self.inventory)
        } else {
            Err(self.problems)
        }
    }

    /// Ranks nodes so that what is needed comes first, and returns a path around each loop found:
    /// what is left after nodes without needs are taken away again and again.
    fn rank(&mut self) -> Vec<Vec<String>> {
        let all = 0..u32::try_from(self.inventory.nodes.len()).unwrap_or(u32::MAX);
        let mut open: Vec<usize> = all.map(|n| self.inventory.needs(n).len()).collect();
        let without = open.iter().enumerate().filter(|(_, n)| **n == 0);
        let mut ready: Vec<usize> = without.map(|(i, _)| i).collect();
        let mut rank = 0;
        while let Some(index) = ready.pop() {
            let Inventory {
                nodes, followers, ..
            } = &mut self.inventory;
            let (Some(node), Ok(number)) = (nodes.get_mut(index), u32::try_from(index)) else {
                continue;
            };
            node.rank = rank;
            rank += 1;
            for follower in followers.from(number) {
                if let Some(count) = open.get_mut(*follower as usize) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(*follower as usize);
                    }
                }
            }
        }
        self.loops(&open)
    }

    /// From each node that is left, along a need that is left, until a node comes again.
    fn loops(&self, open: &[usize]) -> Vec<Vec<String>> {
        let left = |n: u32| open.get(n as usize).is_some_and(|count| *count > 0);
        let mut told: BTreeSet<u32> = BTreeSet::new();
        let mut loops = Vec::new();
        let all = 0..u32::try_from(open.len()).unwrap_or(u32::MAX);
        for start in all.filter(|n| left(*n)) {
            let mut path: Vec<u32> = Vec::new();
            let mut next = Some(start);
            while let Some(number) = next.filter(|n| !told.contains(n)) {
                told.insert(number);
                path.push(number);
                let needs = self.inventory.needs(number).iter();
                next = needs.copied().find(|n| left(*n));
            }
            if let Some(at) = next.and_then(|n| path.iter().position(|p| *p == n)) {
                let around = path.iter().skip(at).chain(next.iter());
                let names = around.filter_map(|n| self.inventory.node(*n));
                loops.push(names.map(|n| n.id.clone()).collect());
            }
        }
        loops
    }
}
