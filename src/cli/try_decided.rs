//! What would be decided about a decoded message if it were the first that the bridge ever heard:
//! the rules that match, the element, the severity. The real engine decides, on an empty state.

use crate::config::Config;
use crate::engine::Engine;
use crate::formats::Decoded;
use crate::model::{Event, Input, Message, Sequenced, Time};
use crate::rules::Facts;
use serde_json::{Value, json};

/// One object an event: `rules` (name and what it sets, in order), `outcome`, and, if an incident
/// came of it, `element`, `state`, `severity`, `basis`, `reason` and `held_until`.
pub(super) fn decided(
    config: &Config,
    of: (&str, &str),
    decoded: &Decoded,
    at: Time,
) -> Vec<Value> {
    let events = decoded.events.iter();
    events.map(|event| one(config, of, event, at)).collect()
}

fn one(config: &Config, (source, sender): (&str, &str), event: &Event, at: Time) -> Value {
    let facts = Facts {
        source,
        sender,
        event,
    };
    let traced = config.decisions.rules.trace(&facts);
    let rules: Vec<Value> = traced
        .into_iter()
        .filter_map(|rule| Some(json!({ "name": rule.name, "sets": rule.how.ok()? })))
        .collect();
    let configured = config.file.source.iter().find(|one| one.name == source);
    let message = Message {
        scope: configured
            .and_then(|one| one.identity_scope.clone())
            .unwrap_or_else(|| source.to_owned()),
        account: configured.and_then(|one| one.account.clone()),
        ..Message::new(source, sender, vec![event.clone()])
    };
    let mut decisions = config.decisions.clone();
    // A source's first words are no list here: the question is what one event does.
    decisions.baseline.clear();
    let mut engine = Engine::new(decisions);
    engine.step(&Sequenced {
        seq: 1,
        at,
        input: Input::Message(message),
    });
    let said = engine.take_said();
    let outcome = said.outcomes.first().map(|(_, outcome)| outcome.word());
    let mut shown = json!({ "rules": rules, "outcome": outcome });
    let state = engine.state();
    if let Some(incident) = state.incidents.values().next() {
        shown["element"] = json!(state.symbols.name(incident.root));
        shown["state"] = json!(incident.state.word());
        shown["severity"] = json!(incident.severity.map(|severity| severity.to_string()));
        shown["basis"] = json!(incident.basis.word());
        shown["reason"] = json!(incident.reason);
        shown["held_until"] = json!(incident.held_until);
    }
    shown
}
