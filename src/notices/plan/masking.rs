//! Keeps the names of other customers out of what one customer reads.
//!
//! Names are account ids, customers' names and contract names. A name in a text is found as a word,
//! whatever its case; a text in a script without blanks has no words, so there every occurrence
//! counts. What is found and does not belong to the reader becomes [`MASK`].

use crate::inventory::Inventory;
use crate::sla::policy::Sla;
use aho_corasick::{AhoCorasick, MatchKind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What stands where another customer's name stood.
pub const MASK: &str = "[…]";
/// A name shorter than this says nothing about anybody.
const NAME_CHARS_MIN: usize = 2;

/// All customers' names.
#[derive(Clone, Debug, Default)]
pub struct Names {
    found: Option<Arc<AhoCorasick>>,
    /// For each name whose it is: accounts and contracts.
    owners: Vec<BTreeSet<String>>,
}

impl Names {
    /// The names of all contracts and of all accounts of an inventory.
    pub fn of(sla: &Sla, inventory: &Inventory) -> Names {
        let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut add = |name: &str, owner: &str| {
            if name.chars().count() >= NAME_CHARS_MIN {
                let key = name.to_lowercase();
                owners.entry(key).or_default().insert(owner.to_owned());
            }
        };
        for contract in sla.contracts.values() {
            add(&contract.name, &contract.name);
            for account in &contract.accounts {
                add(account, account);
                add(&contract.name, account);
            }
        }
        for (account, customer) in inventory.accounts() {
            add(account, account);
            add(customer, account);
        }
        Names::new(owners)
    }

    fn new(owners: BTreeMap<String, BTreeSet<String>>) -> Names {
        let found = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostLongest)
            .build(owners.keys());
        Names {
            // Too many names for an automaton is no state in which anything may be told.
            found: found.ok().map(Arc::new),
            owners: owners.into_values().collect(),
        }
    }

    /// A text as one who may see these accounts and contracts reads it.
    pub fn masked(&self, text: &str, may_see: &BTreeSet<String>) -> String {
        let Some(found) = &self.found else {
            return if self.owners.is_empty() {
                text.to_owned()
            } else {
                MASK.to_owned()
            };
        };
        // Letters beyond ASCII have cases as well; a text whose lengths change with them is read
        // in small letters.
        let lower = text.to_lowercase();
        let (read, shown) = if lower.len() == text.len() {
            (lower.as_str(), text)
        } else {
            (lower.as_str(), lower.as_str())
        };
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        let mut from = 0;
        // Each search begins behind the last word boundary that failed, so that a name inside of a
        // longer word does not hide one that follows.
        while let Some(name) = found.find(aho_corasick::Input::new(read).range(from..)) {
            let own = self
                .owners
                .get(name.pattern().as_usize())
                .is_some_and(|owners| owners.iter().any(|owner| may_see.contains(owner)));
            let whole = is_whole(read, name.start(), name.end());
            if whole && !own {
                out.push_str(shown.get(at..name.start()).unwrap_or(""));
                out.push_str(MASK);
                at = name.end();
                from = name.end();
            } else if whole {
                from = name.end();
            } else {
                let next = read
                    .get(name.start()..)
                    .and_then(|rest| rest.chars().next());
                from = name.start() + next.map_or(1, char::len_utf8);
            }
        }
        out.push_str(shown.get(at..).unwrap_or(""));
        out
    }
}

/// Whether what lies between is a word by itself. Letters of scripts without blanks are no reason
/// for it not to be.
fn is_whole(text: &str, start: usize, end: usize) -> bool {
    let joins = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() && u32::from(c) < 0x3000);
    let before = text.get(..start).and_then(|text| text.chars().next_back());
    let after = text.get(end..).and_then(|text| text.chars().next());
    let inside = text.get(start..end).unwrap_or("");
    let first = joins(inside.chars().next());
    let last = joins(inside.chars().next_back());
    !(first && joins(before) || last && joins(after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(all: &[(&str, &str)]) -> Names {
        let mut owners: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (name, owner) in all {
            let entry = owners.entry(name.to_lowercase()).or_default();
            entry.insert((*owner).to_owned());
        }
        Names::new(owners)
    }

    fn seen(by: &[&str]) -> BTreeSet<String> {
        by.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn other_names_are_masked_as_words_and_own_ones_stay() {
        let names = names(&[
            ("acme", "acme"),
            ("globex", "globex"),
            ("acme-west", "acme-west"),
            ("日本電機", "nichiden"),
            ("élan", "elan"),
        ]);
        let by = seen(&["acme"]);
        for (text, read) in [
            ("Globex and ACME are down", "[…] and ACME are down"),
            ("globexology is a word", "globexology is a word"),
            ("host globex-core-1, globex", "host […]-core-1, […]"),
            ("acme-west is another", "[…] is another"),
            ("日本電機の回線", "[…]の回線"),
            ("Globex社の回線", "[…]社の回線"),
            ("ÉLAN", "[…]"),
            ("globexxglobex globex", "globexxglobex […]"),
        ] {
            assert_eq!(names.masked(text, &by), read, "{text}");
        }
    }

    proptest! {
        /// Whatever stands around it: a name of four letters or more that is somebody else's is
        /// not there as a word.
        #[test]
        fn no_other_name_is_left(
            mine in "[a-z]{4,8}",
            other in "[a-zA-Zéüö]{4,8}",
            parts in prop::collection::vec("\\PC{0,12}", 0..6),
            upper in any::<bool>(),
        ) {
            prop_assume!(mine != other.to_lowercase());
            let names = names(&[(&mine, &mine), (&other, "other")]);
            let written = if upper { other.to_uppercase() } else { other.clone() };
            let text = parts.join(&format!(" {written} "));
            let read = names.masked(&text, &seen(&[&mine])).to_lowercase();
            let wanted = other.to_lowercase();
            let words = read.split(|c: char| !c.is_alphanumeric());
            prop_assert!(words.into_iter().all(|word| word != wanted), "{read}");
        }
    }
}
