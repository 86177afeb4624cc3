//! From TOML or CSV text to an inventory, with every problem named.

use super::model::{Account, Inventory, Node, NodeKind};
use super::names::normal;
use serde::Deserialize;
use std::collections::BTreeSet;

/// One inventory file as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InventoryFile {
    /// What can fail.
    pub element: Vec<ElementEntry>,
    /// Elements of which some must work.
    pub group: Vec<GroupEntry>,
    /// What accounts subscribe to.
    pub service: Vec<ServiceEntry>,
    /// Customers and managed accounts.
    pub account: Vec<AccountEntry>,
}

/// `[[element]]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ElementEntry {
    /// Unique id, like `psu1@core-1`.
    pub id: String,
    /// Names by which monitors call it.
    pub aliases: Vec<String>,
    /// The thing it is part of.
    pub part_of: String,
    /// Elements and groups without which it does not work.
    pub depends_on: Vec<String>,
}

/// `[[group]]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupEntry {
    /// Unique id.
    pub id: String,
    /// Elements and groups.
    pub members: Vec<String>,
    /// How many must work.
    pub needs: u32,
}

/// `[[service]]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceEntry {
    /// Unique id.
    pub id: String,
    /// Elements, groups and services without which it does not work.
    pub depends_on: Vec<String>,
    /// Accounts that subscribe to it.
    pub accounts: Vec<String>,
    /// It is being set up: trouble with it is provisioning work.
    pub setting_up: bool,
}

/// `[[account]]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountEntry {
    /// Unique id.
    pub id: String,
    /// The customer it belongs to; accounts of one customer count once.
    pub customer: String,
    /// The partner that manages it; a managed account counts as its own.
    pub partner: String,
}

/// Something wrong with the inventory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Problem {
    /// Which entry and key.
    pub place: String,
    /// What is wrong, and what was expected.
    pub what: String,
}

impl InventoryFile {
    /// Reads TOML text; the error names line and key.
    pub fn from_toml(text: &str) -> Result<InventoryFile, Problem> {
        toml::from_str(text).map_err(|error| Problem {
            place: "inventory".to_owned(),
            what: error.to_string(),
        })
    }

    /// Reads CSV rows `kind,id,parent,members,needs,accounts,aliases`; lists are separated by
    /// blanks. `parent` is `part_of` of an element and the customer of an account.
    pub fn from_csv(text: &str) -> Result<InventoryFile, Vec<Problem>> {
        let mut file = InventoryFile::default();
        let mut problems = Vec::new();
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        for (index, row) in reader.records().enumerate() {
            let place = format!("row {}", index + 2);
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    problems.push(Problem {
                        place,
                        what: error.to_string(),
                    });
                    continue;
                }
            };
            let cell = |column: usize| row.get(column).unwrap_or("").to_owned();
            let list = |column: usize| -> Vec<String> {
                cell(column).split_whitespace().map(str::to_owned).collect()
            };
            match cell(0).as_str() {
                "element" => file.element.push(ElementEntry {
                    id: cell(1),
                    part_of: cell(2),
                    depends_on: list(3),
                    aliases: list(6),
                }),
                "group" => match cell(4).parse() {
                    Ok(needs) => {
                        file.group.push(GroupEntry {
                            id: cell(1),
                            members: list(3),
                            needs,
                        });
                    }
                    Err(_) => problems.push(Problem {
                        place,
                        what: format!("needs: `{}` is not a number", cell(4)),
                    }),
                },
                "service" => file.service.push(ServiceEntry {
                    id: cell(1),
                    depends_on: list(3),
                    accounts: list(5),
                    setting_up: false,
                }),
                "account" => file.account.push(AccountEntry {
                    id: cell(1),
                    customer: cell(2),
                    partner: String::new(),
                }),
                other => problems.push(Problem {
                    place,
                    what: format!("kind `{other}`; expected element, group, service or account"),
                }),
            }
        }
        if problems.is_empty() {
            Ok(file)
        } else {
            Err(problems)
        }
    }

    /// Adds the entries of another file.
    pub fn extend(&mut self, other: InventoryFile) {
        self.element.extend(other.element);
        self.group.extend(other.group);
        self.service.extend(other.service);
        self.account.extend(other.account);
    }
}

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
        for entry in &file.service {
            let kind = NodeKind::Service {
                accounts: entry.accounts.clone(),
                setting_up: entry.setting_up,
            };
            builder.add(&entry.id, "service", kind);
            if entry.depends_on.is_empty() {
                let place = format!("service `{}`", entry.id);
                builder.problem(&place, "depends_on is empty: nothing can hit it".to_owned());
            }
        }
        for entry in file.account {
            let managed = !entry.partner.is_empty();
            let customer = if entry.customer.is_empty() {
                entry.id.clone()
            } else {
                entry.customer
            };
            builder
                .inventory
                .accounts
                .insert(entry.id, Account { customer, managed });
        }
        for entry in &file.element {
            builder.alias(entry);
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
            declared_parent: false,
        });
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
        if let Some(id) = self.find_loop() {
            self.problem(
                &format!("`{id}`"),
                "depends on itself through others".to_owned(),
            );
        }
        if self.problems.is_empty() {
            Ok(self.inventory)
        } else {
            Err(self.problems)
        }
    }

    /// A node on a loop: what is left after nodes without needs are taken away again and again.
    fn find_loop(&self) -> Option<String> {
        let nodes = &self.inventory.nodes;
        let mut open: Vec<usize> = nodes.iter().map(|node| node.needs.len()).collect();
        let mut ready: Vec<usize> = open
            .iter()
            .enumerate()
            .filter(|(_, n)| **n == 0)
            .map(|(i, _)| i)
            .collect();
        let mut done = 0;
        while let Some(index) = ready.pop() {
            done += 1;
            for follower in nodes
                .get(index)
                .into_iter()
                .flat_map(|node| &node.followers)
            {
                let follower = *follower as usize;
                if let Some(count) = open.get_mut(follower) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(follower);
                    }
                }
            }
        }
        if done == nodes.len() {
            return None;
        }
        open.iter()
            .position(|count| *count > 0)
            .and_then(|i| nodes.get(i))
            .map(|n| n.id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let file = InventoryFile::from_toml(text).unwrap();
        Inventory::build(file)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn every_problem_is_named() {
        let found = problems(
            r#"
            [[element]]
            id = "a"
            depends_on = ["b"]
            [[element]]
            id = "b"
            depends_on = ["a"]
            aliases = ["A"]
            [[group]]
            id = "g"
            members = ["a", "nobody"]
            needs = 3
            [[service]]
            id = "s"
            "#,
        );
        assert_eq!(
            found,
            [
                "group `g`: needs 3 of 2 members",
                "service `s`: depends_on is empty: nothing can hit it",
                "element `b`: alias `A` is claimed by `a` as well",
                "`g`: members: `nobody` does not exist",
                "`a`: depends on itself through others",
            ]
        );
    }

    #[test]
    fn csv_rows_are_read_and_wrong_ones_named() {
        let text = "kind,id,parent,members,needs,accounts,aliases\n\
                    element,sw1,,,,,core-1 10.0.0.1\n\
                    group,g,,sw1,1,,\n\
                    service,s,,g,,acme,\n\
                    account,acme,,,,,\n";
        let inventory = Inventory::build(InventoryFile::from_csv(text).unwrap()).unwrap();
        assert!(inventory.resolve_name("10.0.0.1").element.is_some());
        let wrong = InventoryFile::from_csv("kind,id\nrouter,x\n").unwrap_err();
        assert!(
            wrong[0]
                .to_string()
                .starts_with("row 2: kind `router`; expected element")
        );
    }
}
