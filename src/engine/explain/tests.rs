//! The explanation of the main job, word by word.

use super::*;
use crate::engine::{Engine, Route};
use crate::inventory::{Inventory, InventoryFile};
use crate::model::event::{EventState, SeverityHint};
use crate::model::input::{Input, Message, Sequenced};
use crate::model::{IncidentId, Time};
use crate::rules::{Rule, Ruleset};
use std::sync::Arc;

fn decisions() -> Decisions {
    let file = InventoryFile::from_toml(
        r#"
        [[element]]
        id = "core-1"
        depends_on = ["psu@core-1"]
        [[element]]
        id = "psu1@core-1"
        part_of = "core-1"
        [[element]]
        id = "psu2@core-1"
        part_of = "core-1"
        [[group]]
        id = "psu@core-1"
        members = ["psu1@core-1", "psu2@core-1"]
        needs = 1
        [[service]]
        id = "transit"
        depends_on = ["core-1"]
        accounts = ["acme", "globex"]
        "#,
    )
    .unwrap();
    let rule = |name: &str, matchers: &[&str], hint| Rule {
        name: name.into(),
        matchers: matchers.iter().map(ToString::to_string).collect(),
        hint: Some(hint),
        ..Rule::default()
    };
    let rules = vec![
        rule(
            "fans",
            &["host=core-1", "component=~fan.*"],
            SeverityHint::Degradation,
        ),
        rule("supplies", &["component=~psu.*"], SeverityHint::Redundancy),
    ];
    Decisions {
        inventory: Arc::new(Inventory::build(file).unwrap()),
        rules: Arc::new(Ruleset::compile(rules).unwrap()),
        routes: vec![Route::desk()],
        ..Decisions::default()
    }
}

fn fail(engine: &mut Engine, seq: u64, at: i64, part: &str) {
    let identity = Identity::key(part).unwrap();
    let mut event = Event::new(EventState::Firing, identity, format!("{part} failed"));
    event.host = Some("core-1".into());
    event.component = Some(part.into());
    event.severity = Some("major".into());
    let message = Message::new("snmp", "native", vec![event]);
    engine.step(&Sequenced {
        seq,
        at: Time::from_seconds(at),
        input: Input::Message(message),
    });
}

#[test]
fn the_chain_is_told_from_event_to_severity() {
    let mut engine = Engine::new(decisions());
    fail(&mut engine, 1, 1_000_000, "psu1");
    fail(&mut engine, 2, 1_000_600, "psu2");
    let state = engine.state();
    let alerts: Vec<(Alert, AlertText)> = state
        .alerts
        .values()
        .map(|alert| (Alert::clone(alert), state.dirty.texts[&alert.id].clone()))
        .collect();
    let explained = explain(&Recorded {
        incident: &state.incidents[&IncidentId(1)],
        alerts: &alerts,
        timeline: &state.dirty.timeline,
        decisions: &engine.decisions,
        inventory_age: "generation 1, 2 h old",
    });
    let expected = include_str!("../../../tests/data/explain/second-supply.txt");
    let told = explained.to_text();
    assert_eq!(told, expected, "\n{told}");
}
