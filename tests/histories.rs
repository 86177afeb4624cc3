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

fn played(acts: &[Act], restarts: bool) -> World {
    let mut world = World::new(restarts);
    for act in acts {
        world.play(act);
        let wrong = wrong(&world);
        let shown = || world.shown().join("\n");
        assert!(
            wrong.is_empty(),
            "after {act:?}:\n{}\n{}",
            wrong.join("\n"),
            shown()
        );
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// One open ticket a problem, one outcome an event, no severity below what the inventory
    /// proves, nobody's name in another's ticket; and a replay gives the same bytes.
    #[test]
    fn what_must_always_be_true_is(acts in prop::collection::vec(acts(), 1..60)) {
        let plain = played(&acts, false);
        let again = played(&acts, false);
        prop_assert_eq!(&plain.disk.log, &again.disk.log);
        let restarted = played(&acts, true);
        // `SCENARIO=x` shows the rows in words.
        for (one, other) in plain.disk.log.iter().zip(&restarted.disk.log) {
            prop_assert_eq!(one, other, "a restart changes what follows");
        }
        prop_assert_eq!(plain.disk.log.len(), restarted.disk.log.len());
    }
}
