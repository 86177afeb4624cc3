//! Whose name must not reach another customer: accounts, customers, partners and contracts.
//!
//! What staff write for everybody may name one of those who are hit. In what another customer sees
//! the name is masked. Names are known by the inventory and the contracts as they are written
//! there; a spelling that stands in neither cannot be known.

use super::Decisions;
use crate::sla::Contract;
use aho_corasick::{AhoCorasick, MatchKind};
use std::collections::BTreeSet;

/// What stands in place of a name.
const MASK: &str = "[another customer]";
/// Shorter names are parts of too many words.
const NAME_CHARS_MIN: usize = 2;

/// All names, ready to be looked for.
#[derive(Debug)]
pub(super) struct Names {
    all: Vec<String>,
    matcher: Option<AhoCorasick>,
}

impl Names {
    /// The names that decisions know.
    pub(super) fn of(decisions: &Decisions) -> Names {
        let mut all: BTreeSet<String> = BTreeSet::new();
        all.extend(decisions.inventory.account_names().map(str::to_lowercase));
        for contract in decisions.sla.contracts.values() {
            all.extend(names_of(contract).map(str::to_lowercase));
        }
        all.retain(|name| name.chars().count() >= NAME_CHARS_MIN);
        let all: Vec<String> = all.into_iter().collect();
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&all)
            .ok();
        Names { all, matcher }
    }

    /// The text as `own` may see it: every other name is masked. If that cannot be made sure, there
    /// is no text.
    pub(super) fn masked(&self, text: &str, own: &BTreeSet<String>) -> String {
        let Some(matcher) = &self.matcher else {
            return String::new();
        };
        // Lower case may change the length of a letter: places are kept letter by letter.
        let mut lower = String::with_capacity(text.len());
        let mut places = Vec::with_capacity(text.len() + 1);
        for (place, letter) in text.char_indices() {
            for small in letter.to_lowercase() {
                places.extend(std::iter::repeat_n(place, small.len_utf8()));
                lower.push(small);
            }
        }
        places.push(text.len());
        let mut masked = String::with_capacity(text.len());
        let mut kept = 0;
        for found in matcher.find_iter(&lower) {
            let name = self.all.get(found.pattern().as_usize());
            let is_word = !touches(lower.get(..found.start()), char_before)
                && !touches(lower.get(found.end()..), char_after);
            if !is_word || name.is_none_or(|name| own.contains(name)) {
                continue;
            }
            let place = |at: usize| places.get(at).copied().unwrap_or(text.len());
            let (from, to) = (place(found.start()), place(found.end()));
            masked.push_str(text.get(kept..from).unwrap_or_default());
            masked.push_str(MASK);
            kept = to.max(kept);
        }
        masked.push_str(text.get(kept..).unwrap_or_default());
        masked
    }
}

fn char_before(text: &str) -> Option<char> {
    text.chars().next_back()
}

fn char_after(text: &str) -> Option<char> {
    text.chars().next()
}

/// Whether the neighbouring letter makes the name a part of a longer word. Scripts without blanks
/// between words have no such neighbours.
fn touches(beside: Option<&str>, neighbour: fn(&str) -> Option<char>) -> bool {
    beside
        .and_then(neighbour)
        .is_some_and(|letter| letter.is_alphanumeric() && u32::from(letter) < 0x2e80)
}

/// The names under which a contract's party is known.
fn names_of(contract: &Contract) -> impl Iterator<Item = &str> {
    let fixed = [contract.name.as_str(), contract.partner.as_str()];
    let accounts = contract.accounts.iter().map(String::as_str);
    fixed
        .into_iter()
        .chain(accounts)
        .filter(|name| !name.is_empty())
}

/// Names that a contract's people may see: their own, lower case.
pub(super) fn own_names(decisions: &Decisions, contract: &Contract) -> BTreeSet<String> {
    let mut own: BTreeSet<String> = names_of(contract).map(str::to_lowercase).collect();
    for account in &contract.accounts {
        let customer = decisions.inventory.customer_of(account);
        own.extend(customer.map(str::to_lowercase));
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(list: &[&str]) -> Names {
        let all: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&all)
            .ok();
        Names { all, matcher }
    }

    #[test]
    fn only_other_names_are_masked_and_only_as_words() {
        let names = names(&["acme", "globex", "globex-eu", "本田"]);
        let own = BTreeSet::from(["acme".to_owned()]);
        for (text, expected) in [
            (
                "Acme and GLOBEX are down",
                "Acme and [another customer] are down",
            ),
            ("globex-eu: fibre", "[another customer]: fibre"),
            ("globexx and xglobex", "globexx and xglobex"),
            (
                "globex's fibre (Globex)",
                "[another customer]'s fibre ([another customer])",
            ),
            ("本田の回線", "[another customer]の回線"),
            ("İ globex", "İ [another customer]"),
            ("", ""),
        ] {
            assert_eq!(names.masked(text, &own), expected);
        }
    }

    proptest! {
        #[test]
        fn another_name_never_comes_through(before in "[ -~é日]{0,12}", after in "[ -~é日]{0,12}") {
            let names = names(&["acme", "globex"]);
            let text = format!("{before} Globex {after}");
            let masked = names.masked(&text, &BTreeSet::from(["acme".to_owned()]));
            prop_assert!(!masked.to_lowercase().split(|c: char| !c.is_alphanumeric()).any(|w| w == "globex"));
        }
    }
}
