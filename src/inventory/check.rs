//! Everything that is wrong or odd about inventory files, found before they are in force.

use super::load::{InventoryFile, Life, Problem};
use super::model::Inventory;
use regex::Regex;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Something wrong, or something odd.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// It is refused; otherwise it is only odd.
    pub wrong: bool,
    /// Which entry and key.
    pub place: String,
    /// What, and what to do.
    pub what: String,
}

/// Checks the entries of all files together: first what is refused, then what is odd.
pub fn check(file: InventoryFile) -> Vec<Finding> {
    let odd = odd(&file);
    let wrong = Inventory::build(file).err().unwrap_or_default();
    let wrong = wrong.into_iter().map(|Problem { place, what }| Finding {
        wrong: true,
        place,
        what,
    });
    wrong.chain(odd).collect()
}

fn odd(file: &InventoryFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut odd = |place: String, what: &str| {
        findings.push(Finding {
            wrong: false,
            place,
            what: what.to_owned(),
        });
    };
    let used = names_used(file);
    for element in &file.element {
        if !used.contains(element.id.as_str()) && element.part_of.is_empty() {
            let what = "nothing depends on it: its failure proves nothing";
            odd(format!("element `{}`", element.id), what);
        }
    }
    for group in &file.group {
        let place = format!("group `{}`", group.id);
        if !used.contains(group.id.as_str()) {
            odd(place.clone(), "nothing depends on it");
        }
        if group.needs as usize == group.members.len() && group.members.len() > 1 {
            odd(
                place,
                "needs all of its members: it has no redundancy to lose",
            );
        }
    }
    for service in &file.service {
        if service.accounts.is_empty() && service.life != Some(Life::Retired) {
            let what = "no account subscribes to it: its outage hits nobody";
            odd(format!("service `{}`", service.id), what);
        }
    }
    for (place, what) in accounts(file).into_iter().chain(patterns(file)) {
        odd(place, &what);
    }
    findings
}

fn names_used(file: &InventoryFile) -> BTreeSet<&str> {
    let elements = file
        .element
        .iter()
        .flat_map(|e| e.depends_on.iter().chain([&e.part_of]));
    let groups = file.group.iter().flat_map(|g| &g.members);
    let services = file.service.iter().flat_map(|s| &s.depends_on);
    elements
        .chain(groups)
        .chain(services)
        .map(String::as_str)
        .collect()
}

/// Accounts that services name but no file declares: each counts as a customer of its own.
fn accounts(file: &InventoryFile) -> Vec<(String, String)> {
    if file.account.is_empty() {
        return Vec::new();
    }
    let declared: BTreeSet<&str> = file.account.iter().map(|a| a.id.as_str()).collect();
    let named: BTreeSet<&str> = file
        .service
        .iter()
        .flat_map(|s| s.accounts.iter().map(String::as_str))
        .collect();
    named
        .difference(&declared)
        .map(|id| {
            let what = "is not declared: it counts as a customer of its own".to_owned();
            (format!("account `{id}`"), what)
        })
        .collect()
}

/// Patterns that match names of other elements, and patterns of two elements that are equal.
fn patterns(file: &InventoryFile) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    for element in &file.element {
        for pattern in &element.patterns {
            let place = format!("element `{}`", element.id);
            if let Some(other) = owners.insert(pattern, &element.id)
                && other != element.id
            {
                let what = format!("patterns: `{pattern}` is claimed by `{other}` as well");
                found.push((place.clone(), what));
            }
            let Ok(regex) = Regex::new(&format!("^(?i:{pattern})$")) else {
                continue;
            };
            let other = file
                .element
                .iter()
                .find(|other| other.id != element.id && regex.is_match(&other.id));
            if let Some(other) = other {
                let what = format!(
                    "patterns: `{pattern}` matches the element `{}`, which goes first",
                    other.id
                );
                found.push((place, what));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_and_odd_are_told_apart() {
        let file = InventoryFile::from_toml(
            r#"
            [[element]]
            id = "a"
            patterns = ["b.*"]
            [[element]]
            id = "b1"
            depends_on = ["c"]
            [[element]]
            id = "c"
            depends_on = ["b1"]
            watchers = ["m1"]
            quorum = 2
            [[group]]
            id = "g"
            members = ["a", "a"]
            needs = 2
            [[service]]
            id = "s"
            depends_on = ["g"]
            [[service]]
            id = "t"
            depends_on = ["b1"]
            accounts = ["acme"]
            active_from = "soon"
            [[account]]
            id = "globex"
            "#,
        )
        .unwrap();
        let told: Vec<String> = check(file)
            .iter()
            .map(|f| {
                format!(
                    "{} {}: {}",
                    if f.wrong { "wrong" } else { "odd" },
                    f.place,
                    f.what
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                "wrong group `g`: members: `a` is listed twice",
                "wrong service `t`: active_from: `soon` is no date; expected like 2026-03-01",
                "wrong element `c`: quorum 2 of 1 watchers",
                "wrong `b1`: depends on itself through others: b1 → c → b1",
                "odd group `g`: needs all of its members: it has no redundancy to lose",
                "odd service `s`: no account subscribes to it: its outage hits nobody",
                "odd account `acme`: is not declared: it counts as a customer of its own",
                "odd element `a`: patterns: `b.*` matches the element `b1`, which goes first",
            ]
        );
    }
}
