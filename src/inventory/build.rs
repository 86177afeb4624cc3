//! From entries to a checked and indexed graph, with every problem named.

use super::load::{ElementEntry, InventoryFile, Life, Problem, ServiceEntry};
use super::model::{Account, Inventory, Node, NodeKind, Pattern, Watch};
use super::names::{normal, without_domain};
use crate::model::Time;
use regex::Regex;
use std::collections::BTreeSet;

impl Inventory {
    /// Builds the graph, or names every problem: dangling names, double ids and aliases, loops,
    /// groups that can never be whole, services that depend on nothing.
    pub fn build(file: InventoryFile) -> Result<Inventory, Vec<Problem>> {
        let mut builder = Builder::default();
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
        for entry in file.account {
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
            };
            builder.inventory.accounts.insert(entry.id, account);
        }
        for entry in &file.element {
            builder.alias(entry);
            builder.watch(entry);
            builder.depend(&entry.id, &entry.depends_on, "depends_on");
        }
        for entry in &file.group {
            builder.depend(&entry.id, &entry.members, "members");
        }
        for entry in &file.service {
            builder.depend(&entry.id, &entry.depends_on, "depends_on");
        }
        for entry in file
            .element
            .iter()
            .filter(|entry| !entry.part_of.is_empty())
        {
            builder.part_of(entry);
        }
        builder.finish()
    }
}

#[derive(Default)]
struct Builder {
    inventory: Inventory,
    problems: Vec<Problem>,
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
        if self.inventory.by_id.insert(id.to_owned(), number).is_some() {
            self.problem(
                &format!("{kind_name} `{id}`"),
                "the id is used twice".to_owned(),
            );
        }
        self.inventory.nodes.push(Node {
            id: id.to_owned(),
            kind,
            needs: Vec::new(),
            followers: Vec::new(),
            part_of: None,
            parts: Vec::new(),
            declared_parent: false,
            rank: 0,
        });
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
        let Some(number) = self.inventory.by_id.get(&entry.id).copied() else {
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
        let Some(number) = self.inventory.by_id.get(&entry.id).copied() else {
            return;
        };
        for alias in entry.aliases.iter().chain([&entry.id]) {
            let old = self.inventory.aliases.insert(normal(alias), number);
            if let Some(old) = old.filter(|old| *old != number) {
                let other = self.inventory.node(old).map_or("", |n| &n.id).to_owned();
                let what = format!("alias `{alias}` is claimed by `{other}` as well");
                self.problem(&format!("element `{}`", entry.id), what);
            }
        }
    }

    fn number(&mut self, id: &str, name: &str, key: &str) -> Option<u32> {
        let found = self.inventory.by_id.get(name).copied();
        if found.is_none() {
            self.problem(
                &format!("`{id}`"),
                format!("{key}: `{name}` does not exist"),
            );
        }
        found
    }

    fn depend(&mut self, id: &str, names: &[String], key: &str) {
        let Some(number) = self.inventory.by_id.get(id).copied() else {
            return;
        };
        for name in names {
            if let Some(needed) = self.number(id, name, key) {
                self.edge(number, needed);
                if key == "depends_on"
                    && let Some(node) = self.inventory.nodes.get_mut(number as usize)
                {
                    node.declared_parent = true;
                }
            }
        }
    }

    fn edge(&mut self, from: u32, to: u32) {
        if let Some(node) = self.inventory.nodes.get_mut(from as usize) {
            node.needs.push(to);
        }
        if let Some(node) = self.inventory.nodes.get_mut(to as usize) {
            node.followers.push(from);
        }
    }

    /// A part follows what it is part of, unless that depends on the part itself.
    fn part_of(&mut self, entry: &ElementEntry) {
        let Some(number) = self.inventory.by_id.get(&entry.id).copied() else {
            return;
        };
        let Some(parent) = self.number(&entry.id, &entry.part_of, "part_of") else {
            return;
        };
        if let Some(node) = self.inventory.nodes.get_mut(number as usize) {
            node.part_of = Some(parent);
        }
        if let Some(node) = self.inventory.nodes.get_mut(parent as usize) {
            node.parts.push(number);
        }
        if !self.reaches(parent, number) {
            self.edge(number, parent);
            if let Some(node) = self.inventory.nodes.get_mut(number as usize) {
                node.declared_parent = true;
            }
        }
    }

    fn reaches(&self, from: u32, to: u32) -> bool {
        let mut seen = BTreeSet::new();
        let mut left = vec![from];
        while let Some(number) = left.pop() {
            if number == to {
                return true;
            }
            if seen.insert(number)
                && let Some(node) = self.inventory.node(number)
            {
                left.extend(node.needs.iter().copied());
            }
        }
        false
    }

    fn finish(mut self) -> Result<Inventory, Vec<Problem>> {
        for path in self.rank() {
            let place = path.first().map_or(String::new(), |id| format!("`{id}`"));
            let what = format!("depends on itself through others: {}", path.join(" → "));
            self.problem(&place, what);
        }
        self.inventory.short_names = without_domain(&self.inventory.aliases);
        if self.problems.is_empty() {
            Ok(self.inventory)
        } else {
            Err(self.problems)
        }
    }

    /// Ranks nodes so that what is needed comes first, and returns a path around each loop found:
    /// what is left after nodes without needs are taken away again and again.
    fn rank(&mut self) -> Vec<Vec<String>> {
        let mut open: Vec<usize> = self.inventory.nodes.iter().map(|n| n.needs.len()).collect();
        let without = open.iter().enumerate().filter(|(_, n)| **n == 0);
        let mut ready: Vec<usize> = without.map(|(i, _)| i).collect();
        let mut rank = 0;
        while let Some(index) = ready.pop() {
            let Some(node) = self.inventory.nodes.get_mut(index) else {
                continue;
            };
            node.rank = rank;
            rank += 1;
            for follower in &node.followers {
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
                let node = self.inventory.node(number);
                next = node.and_then(|n| n.needs.iter().copied().find(|n| left(*n)));
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
