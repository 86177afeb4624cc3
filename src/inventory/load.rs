//! Inventory files as written: TOML text to entries, with every problem named.

use memchr::memmem;
use serde::Deserialize;

/// Text that is parsed at once, about: the parser holds some thirty times the text that it reads.
const PIECE_BYTES: usize = 256 * 1024;
/// How much longer a piece may get when what looked like the head of an entry stands within a text.
const LONGER: [usize; 4] = [2, 4, 8, 16];

/// The first piece of a text, about so long, and the rest: that begins at the head of an entry.
fn cut(text: &str, bytes: usize) -> (&str, &str) {
    let from = text.ceil_char_boundary(bytes.min(text.len()));
    let (_, later) = text.split_at_checked(from).unwrap_or((text, ""));
    let mut at = from;
    for line in later.split_inclusive('\n') {
        // The first line may be the end of one.
        if at > from && is_head(line) {
            break;
        }
        at += line.len();
    }
    text.split_at_checked(at).unwrap_or((text, ""))
}

fn is_head(line: &str) -> bool {
    let heads = ["[[element]]", "[[group]]", "[[service]]", "[[account]]"];
    let line = line.trim_start();
    heads.iter().any(|head| line.starts_with(head))
}

/// A stretch of TOML text that cannot be read.
#[derive(Clone, Debug)]
pub struct Unread<'a> {
    /// The stretch, from the head of an entry.
    pub text: &'a str,
    /// How many lines of the file stand before it.
    pub lines_before: usize,
    /// What the parser says.
    pub error: toml::de::Error,
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
    /// The site it is at, for alerts that name none; its parts are there too.
    pub site: String,
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
    /// Addresses (`noc@example.net`) and domains (`@example.net`) that speak for it by mail.
    pub mail: Vec<String>,
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
    /// Reads TOML text in pieces; the error names the line.
    pub fn from_toml(text: &str) -> Result<InventoryFile, Problem> {
        let mut first = None;
        let file = InventoryFile::read_toml(text, |unread| {
            if first.is_none() {
                let span = unread.error.span().unwrap_or_default();
                let before = unread.text.get(..span.start).unwrap_or_default();
                let line = unread.lines_before + before.matches('\n').count() + 1;
                first = Some(Problem {
                    place: format!("line {line}"),
                    what: unread.error.message().to_owned(),
                });
            }
        });
        first.map_or(Ok(file), Err)
    }

    /// Reads TOML text in pieces; what cannot be read is told, and the rest is read all the same.
    pub fn read_toml<'a>(text: &'a str, mut tell: impl FnMut(Unread<'a>)) -> InventoryFile {
        let mut file = InventoryFile::default();
        // Room at once: a list of a million entries that grows is copied over and over.
        let heads = |head| memmem::find_iter(text.as_bytes(), head).count();
        file.element.reserve_exact(heads("[[element]]"));
        file.group.reserve_exact(heads("[[group]]"));
        file.service.reserve_exact(heads("[[service]]"));
        file.account.reserve_exact(heads("[[account]]"));
        let (mut rest, mut lines_before) = (text, 0);
        while !rest.is_empty() {
            let (mut piece, mut left) = cut(rest, PIECE_BYTES);
            match toml::from_str::<InventoryFile>(piece) {
                Ok(part) => file.extend(part),
                Err(error) => {
                    let longer = LONGER.iter().find_map(|times| {
                        let (piece, left) = cut(rest, PIECE_BYTES * times);
                        Some((toml::from_str(piece).ok()?, piece, left))
                    });
                    match longer {
                        Some((part, longer_piece, longer_left)) => {
                            file.extend(part);
                            (piece, left) = (longer_piece, longer_left);
                        }
                        None => tell(Unread {
                            text: piece,
                            lines_before,
                            error,
                        }),
                    }
                }
            }
            lines_before += piece.matches('\n').count();
            rest = left;
        }
        file
    }

    /// Hands out all that is written, bit by bit and so that different entries give different bits:
    /// for a digest.
    pub fn each_part(&self, mut take: impl FnMut(&[u8])) {
        let mut one = |text: &str| {
            take(&(text.len() as u64).to_be_bytes());
            take(text.as_bytes());
        };
        for entry in &self.element {
            for text in ["element", &entry.id, &entry.part_of, &entry.site] {
                one(text);
            }
            one(&entry.quorum.to_string());
            let names = [&entry.aliases, &entry.patterns, &entry.watchers];
            names.into_iter().for_each(|list| all(&mut one, list));
            all(&mut one, &entry.depends_on);
        }
        for entry in &self.group {
            one("group");
            one(&entry.id);
            one(&entry.needs.to_string());
            all(&mut one, &entry.members);
        }
        for entry in &self.service {
            for text in ["service", &entry.id, &entry.active_from] {
                one(text);
            }
            one(&format!("{:?} {}", entry.life, entry.setting_up));
            all(&mut one, &entry.depends_on);
            all(&mut one, &entry.accounts);
        }
        for entry in &self.account {
            for text in ["account", &entry.id, &entry.customer, &entry.partner] {
                one(text);
            }
            all(&mut one, &entry.mail);
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

/// A list with its length before it.
fn all(one: &mut dyn FnMut(&str), list: &[String]) {
    one(&list.len().to_string());
    list.iter().for_each(|text| one(text));
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
}
