//! Event codes of senders that give the recovery of a problem another id than the problem: which
//! codes open, change and clear the same problem, what kind of thing it is about and what its
//! loss means. Data, not code: a format looks a code up and builds the identity from the family
//! and the object. A code in no row is never taken for a recovery.

mod bmc;
mod idrac;
mod network;
mod redfish;
mod storage;

use crate::model::{ComponentKind, SeverityHint};

pub(super) use bmc::{ILO, OPENBMC};
pub(super) use idrac::IDRAC;
pub(super) use network::{FORTIGATE, MERAKI, MIST_ALARMS, MIST_EVENTS, TRAPS};
pub(super) use redfish::DMTF;
pub(super) use storage::ONTAP;

/// A problem: the codes that open (or change) it, and those that clear it.
#[derive(Debug)]
pub(super) struct Row {
    /// The name of the problem in identities. Several rows may share one.
    pub family: &'static str,
    /// Codes that say that the problem is there; `*` at an end stands for anything.
    pub opens: &'static [&'static str],
    /// Codes that say that it is gone.
    pub clears: &'static [&'static str],
    /// What it is about.
    pub kind: ComponentKind,
    /// What it means.
    pub hint: SeverityHint,
    /// Whether the object has one such problem as a whole (redundancy lost), not one a part.
    pub whole: bool,
}

/// What a code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    /// The name of the problem in identities.
    pub family: &'static str,
    /// Whether the code clears the problem.
    pub clears: bool,
    /// What it is about.
    pub kind: ComponentKind,
    /// What it means.
    pub hint: SeverityHint,
    /// Whether parts are of no matter.
    pub whole: bool,
}

/// What a code says by the first row that it opens, or by all rows that it clears: the return of
/// a power supply ends the loss of its input too.
pub(super) fn find(rows: &'static [Row], code: &str) -> Vec<Meaning> {
    let meaning = |row: &'static Row, clears| Meaning {
        family: row.family,
        clears,
        kind: row.kind,
        hint: row.hint,
        whole: row.whole,
    };
    let opened = rows
        .iter()
        .find(|row| row.opens.iter().any(|pattern| matches(pattern, code)));
    if let Some(row) = opened {
        return vec![meaning(row, false)];
    }
    let mut cleared: Vec<Meaning> = Vec::new();
    for row in rows {
        let clears = row.clears.iter().any(|pattern| matches(pattern, code));
        if clears && !cleared.iter().any(|seen| seen.family == row.family) {
            cleared.push(meaning(row, true));
        }
    }
    cleared
}

/// The one thing that a code says, for senders whose codes clear one problem at most.
pub(super) fn find_one(rows: &'static [Row], code: &str) -> Option<Meaning> {
    find(rows, code).into_iter().next()
}

/// The sentence for an event about one of several parts that does not name it; it would be taken
/// for another part's.
pub(super) fn unnamed(meaning: Option<Meaning>, part: Option<&str>) -> Option<String> {
    let meaning = meaning.filter(|meaning| !meaning.whole && part.is_none())?;
    Some(format!(
        "nothing names the part ({}): another part's problem would look the same",
        meaning.family
    ))
}

fn matches(pattern: &str, code: &str) -> bool {
    match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(start), _) => code.starts_with(start),
        (None, Some(end)) => code.ends_with(end),
        (None, None) => pattern == code,
    }
}

const fn part(
    family: &'static str,
    opens: &'static [&'static str],
    clears: &'static [&'static str],
    kind: ComponentKind,
    hint: SeverityHint,
) -> Row {
    Row {
        family,
        opens,
        clears,
        kind,
        hint,
        whole: false,
    }
}

const fn whole(
    family: &'static str,
    opens: &'static [&'static str],
    clears: &'static [&'static str],
    kind: ComponentKind,
    hint: SeverityHint,
) -> Row {
    Row {
        family,
        opens,
        clears,
        kind,
        hint,
        whole: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_opens_something_and_no_code_both_opens_and_clears_one_problem() {
        let tables = [
            IDRAC,
            DMTF,
            ILO,
            OPENBMC,
            ONTAP,
            MERAKI,
            MIST_ALARMS,
            MIST_EVENTS,
            FORTIGATE,
            TRAPS,
        ];
        for row in tables.into_iter().flatten() {
            assert!(!row.opens.is_empty(), "{row:?}");
            assert!(
                !row.opens.iter().any(|code| row.clears.contains(code)),
                "{row:?}"
            );
        }
    }

    #[test]
    fn a_code_may_clear_two_problems_and_an_unknown_one_none() {
        let families: Vec<&str> = find(DMTF, "PowerSupplyRestored")
            .iter()
            .map(|meaning| meaning.family)
            .collect();
        assert_eq!(families, ["power_supply", "input_power"]);
        assert!(find(DMTF, "SomethingNew").is_empty());
        let failed = find_one(OPENBMC, "PowerSupplyFailed").unwrap();
        let back = find_one(OPENBMC, "PowerSupplyPowerRestored").unwrap();
        assert_ne!(failed.family, back.family);
    }
}
