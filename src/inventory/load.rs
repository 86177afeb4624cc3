//! Inventory files as written: TOML and CSV text to entries, with every problem named.

use serde::Deserialize;

/// Text that is parsed at once, about.
const PIECE_BYTES: usize = 256 * 1024;

/// Text in pieces of entries: each begins at the head of one.
fn pieces(mut rest: &str) -> impl Iterator<Item = &str> {
    let heads = [
        "\n[[element]]",
        "\n[[group]]",
        "\n[[service]]",
        "\n[[account]]",
    ];
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let from = rest.ceil_char_boundary(PIECE_BYTES.min(rest.len()));
        let (_, later) = rest.split_at_checked(from)?;
        let next = heads.iter().filter_map(|head| later.find(head)).min();
        let end = next.map_or(rest.len(), |next| from + next + 1);
        let (piece, left) = rest.split_at_checked(end)?;
        rest = left;
        Some(piece)
    })
}

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
    /// Regular expressions over the whole name (`host`, or `component@host`) by which monitors
    /// call it; asked after all exact names.
    pub patterns: Vec<String>,
    /// Sources that watch it from different places and vote on whether it is down.
    pub watchers: Vec<String>,
    /// How many watchers must say that it is down; 0: one is enough.
    pub quorum: u32,
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
    /// `setting_up`, `active` or `retired`.
    pub life: Option<Life>,
    /// Being set up until this date or instant, active from then on (RFC 3339).
    pub active_from: String,
}

/// Where a service stands in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Life {
    /// Trouble with it is provisioning work.
    SettingUp,
    /// In use.
    #[default]
    Active,
    /// No longer in use: nothing can hit it.
    Retired,
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
    /// Reads TOML text; the error names line and key. Large text is read in pieces: the parser
    /// holds some thirty times the text that it reads at once.
    pub fn from_toml(text: &str) -> Result<InventoryFile, Problem> {
        if text.len() > PIECE_BYTES {
            let mut file = InventoryFile::default();
            let read = pieces(text).try_for_each(|piece| {
                toml::from_str(piece).map(|piece: InventoryFile| file.extend(piece))
            });
            // What looked like the head of an entry may stand within a text, and an error of a
            // piece names no line of the file: then all is read at once.
            if read.is_ok() {
                return Ok(file);
            }
        }
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
                    ..ElementEntry::default()
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
                    ..ServiceEntry::default()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Inventory;

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
                "`a`: depends on itself through others: a → b → a",
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
