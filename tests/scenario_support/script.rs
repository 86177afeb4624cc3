//! From steps to what is played: one act an input, in order of arrival; shuffled; doubled.

use super::file::{Scenario, Step, offset};
use std::collections::BTreeMap;
use std::time::Duration;

/// One step with its instant of arrival.
#[derive(Clone, Debug)]
pub struct Act {
    /// Arrival, since the start.
    pub at: Duration,
    /// When it happened, by the sender.
    pub when: Duration,
    pub step: Step,
}

impl Act {
    /// What the event speaks of: source and target. `None`: not an event.
    pub fn identity(&self) -> Option<(String, String)> {
        let step = &self.step;
        let target = [&step.fire, &step.clear, &step.ack, &step.notice];
        let target = target.into_iter().flatten().next()?;
        let source = step.source.clone().unwrap_or_else(|| "mon".to_owned());
        let check = step.check.as_deref().unwrap_or("");
        Some((source, format!("{target}/{check}")))
    }
}

/// The acts of a scenario in the order of the file; `each` is unrolled.
pub fn script(scenario: &Scenario) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    for step in &scenario.steps {
        for n in 1..=step.each.unwrap_or(1) {
            let mut step = step.clone();
            let fill = |text: &mut Option<String>| {
                if let Some(text) = text {
                    *text = text.replace("{n}", &n.to_string());
                }
            };
            fill(&mut step.fire);
            fill(&mut step.clear);
            let at = offset(&step.at);
            let when = step.when.as_deref().map_or(at, offset);
            assert!(
                acts.last().is_none_or(|last| last.at <= at),
                "steps are not in order at {}",
                step.at
            );
            acts.push(Act { at, when, step });
        }
    }
    acts
}

/// Every event a second time, at once.
pub fn doubled(acts: &[Act]) -> Vec<Act> {
    let twice = |act: &Act| if act.identity().is_some() { 2 } else { 1 };
    acts.iter()
        .flat_map(|act| std::iter::repeat_n(act.clone(), twice(act)))
        .collect()
}

/// The longest time by which an arrival may move: the larger of hold and root wait.
fn reach(scenario: &Scenario) -> Duration {
    let engine = &scenario.engine;
    [
        engine.hold_outage,
        engine.hold_degradation,
        engine.hold_redundancy,
        engine.hold_link,
        engine.hold_unknown,
        engine.root_wait,
    ]
    .into_iter()
    .max()
    .unwrap_or_default()
}

/// Arrivals change places within the reach. What people do and what is looked at stays where it
/// is; the order within one identity is kept unless the sender names sending times. No event
/// arrives before it happened.
pub fn shuffled(scenario: &Scenario, acts: &[Act], seed: u64) -> Vec<Act> {
    let reach = reach(scenario);
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let mut shuffled = Vec::new();
    let mut window: Vec<Act> = Vec::new();
    // Looking changes nothing: only acts of people and of the bridge divide the events.
    let moving: Vec<&Act> = acts
        .iter()
        .filter(|act| {
            act.identity().is_some()
                || act.step.person.is_some()
                || act.step.restart
                || act.step.clock_step.is_some()
        })
        .collect();
    for act in moving {
        let event = act.identity().is_some();
        let full = window
            .first()
            .is_some_and(|first| act.at.saturating_sub(first.at) >= reach);
        if !event || full {
            flush(scenario, &mut window, &mut random, &mut shuffled);
        }
        if event {
            window.push(act.clone());
        } else {
            shuffled.push(act.clone());
        }
    }
    flush(scenario, &mut window, &mut random, &mut shuffled);
    shuffled
}

fn flush(scenario: &Scenario, window: &mut Vec<Act>, random: &mut Random, out: &mut Vec<Act>) {
    let mut order: Vec<usize> = (0..window.len()).collect();
    for i in (1..order.len()).rev() {
        order.swap(i, random.below(i + 1));
    }
    if !scenario.sent {
        // Within one identity, in the order of the file.
        let mut places: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
        for (place, index) in order.iter().enumerate() {
            places
                .entry(window[*index].identity().unwrap())
                .or_default()
                .push(place);
        }
        for places in places.values() {
            let mut indexes: Vec<usize> = places.iter().map(|place| order[*place]).collect();
            indexes.sort_unstable();
            for (place, index) in places.iter().zip(indexes) {
                order[*place] = index;
            }
        }
    }
    let mut at = Duration::ZERO;
    for index in order {
        let mut act = window[index].clone();
        at = at.max(act.at);
        act.at = at;
        out.push(act);
    }
    window.clear();
}

/// SplitMix64: small, seeded, the same everywhere.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}
