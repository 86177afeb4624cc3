//! Random histories: monitors, people, works and time do anything in any order, and what must
//! always be true is looked at after every input. The same history gives the same bytes, also with
//! restarts in between.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "scenario_support/disk.rs"]
mod disk;
#[path = "histories_support/mod.rs"]
mod histories_support;

use histories_support::acts::{Act, acts};
use histories_support::always::wrong;
use histories_support::world::World;
use proptest::prelude::*;

/// Plays to one that runs through and one that restarts after every input; what they saved.
fn played(acts: &[Act]) -> Vec<String> {
    let (mut plain, mut restarted) = (World::new(false), World::new(true));
    for act in acts {
        plain.play(act);
        restarted.play(act);
        let wrong = wrong(&plain);
        let shown = || plain.shown().join("\n");
        assert!(
            wrong.is_empty(),
            "after {act:?}:\n{}\n{}",
            wrong.join("\n"),
            shown()
        );
        // `SCENARIO=x` shows the rows in words.
        for (one, other) in plain.disk.log.iter().zip(&restarted.disk.log) {
            assert_eq!(one, other, "after {act:?} a restart changes what follows");
        }
        let (one, other) = (&plain.state().wakes, &restarted.state().wakes);
        assert_eq!(one, other, "after {act:?} a restart changes deadlines");
    }
    assert_eq!(plain.disk.log.len(), restarted.disk.log.len());
    plain.disk.log
}

/// How many histories are played; `tests/run long` plays more.
fn histories() -> u32 {
    let asked = std::env::var("ALERTBRIDGE_TEST_HISTORIES").ok();
    asked.and_then(|count| count.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: histories(), ..ProptestConfig::default() })]

    /// One open ticket a problem, one outcome an event, no severity below what the inventory
    /// proves, nobody's name in another's ticket; and a replay gives the same bytes.
    #[test]
    fn what_must_always_be_true_is(acts in prop::collection::vec(acts(), 1..60)) {
        prop_assert_eq!(played(&acts), played(&acts));
    }
}
