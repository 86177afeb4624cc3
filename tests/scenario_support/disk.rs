//! What the store keeps of an engine, in memory.

use alertbridge::model::input::Remains;
use alertbridge::model::saved::{LoadedState, StateDelta, decode_body};
use alertbridge::model::{Alert, IncidentId};
use std::collections::{BTreeMap, BTreeSet};

/// Every byte of a delta, as a digest; in words if one scenario is looked at.
pub fn printed(delta: &StateDelta) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    if std::env::var("SCENARIO").is_ok() {
        return format!("{delta:?}");
    }
    let mut digest = DefaultHasher::new();
    (delta.cursor, delta.served_until).hash(&mut digest);
    for row in &delta.alerts {
        (row.id, row.incident, row.active, &row.body, &row.text).hash(&mut digest);
    }
    for row in &delta.incidents {
        (row.id, row.open, row.live, &row.body).hash(&mut digest);
    }
    for row in &delta.tickets {
        (row.id, row.incident, &row.tracker, row.work, &row.body).hash(&mut digest);
    }
    for row in &delta.cases {
        (row.incident, &row.contract, &row.body).hash(&mut digest);
    }
    for line in &delta.timeline {
        format!("{line:?}").hash(&mut digest);
    }
    for thing in &delta.things {
        (thing.kind, &thing.key, &thing.value).hash(&mut digest);
    }
    digest.finish().to_string()
}

/// What the store keeps.
#[derive(Default)]
pub struct Disk {
    state: LoadedState,
    alerts: BTreeMap<u64, Vec<u8>>,
    incidents: BTreeMap<u64, Option<Vec<u8>>>,
    tickets: BTreeMap<u64, (u64, Vec<u8>)>,
    cases: BTreeMap<(u64, String), Vec<u8>>,
    things: BTreeMap<(String, String), Vec<u8>>,
    /// Active alerts and the texts of all.
    active: BTreeSet<u64>,
    texts: BTreeMap<u64, Vec<u8>>,
    /// Everything that was saved, in order.
    pub log: Vec<String>,
}

impl Disk {
    pub fn keep(&mut self, delta: &StateDelta) {
        self.log.push(printed(delta));
        self.state.cursor = delta.cursor;
        self.state.served_until = delta.served_until;
        for row in &delta.alerts {
            self.alerts.insert(row.id.0, row.body.clone());
            if row.active {
                self.active.insert(row.id.0);
            } else {
                self.active.remove(&row.id.0);
            }
            if let Some(text) = &row.text {
                self.texts.insert(row.id.0, text.clone());
            }
        }
        for row in &delta.incidents {
            let body = row.live.then(|| row.body.clone());
            self.incidents.insert(row.id.0, body);
        }
        for row in &delta.tickets {
            let of_incident = (row.incident.0, row.body.clone());
            self.tickets.insert(row.id.0, of_incident);
        }
        for row in &delta.cases {
            let key = (row.incident.0, row.contract.clone());
            self.cases.insert(key, row.body.clone());
        }
        for thing in &delta.things {
            let name = (thing.kind.to_owned(), thing.key.clone());
            if thing.value.is_empty() {
                self.things.remove(&name);
            } else {
                self.things.insert(name, thing.value.clone());
            }
        }
    }

    pub fn remains_of(&self, storm: IncidentId) -> Remains {
        let of_storm = |id: &u64| {
            let alert: Alert = decode_body(&self.alerts[id]).unwrap();
            let text = decode_body(&self.texts[id]).unwrap();
            (alert.incident == Some(storm)).then_some((alert, text))
        };
        let alerts = self.active.iter().filter_map(of_storm).collect();
        Remains { storm, alerts }
    }

    fn is_live(&self, incident: u64) -> bool {
        self.incidents.get(&incident).is_some_and(Option::is_some)
    }

    pub fn loaded(&self) -> LoadedState {
        LoadedState {
            alerts: self.alerts.values().cloned().collect(),
            incidents: self.incidents.values().flatten().cloned().collect(),
            tickets: self
                .tickets
                .values()
                .filter(|(id, _)| self.is_live(*id))
                .map(|(_, body)| body.clone())
                .collect(),
            cases: self
                .cases
                .iter()
                .filter(|((id, _), _)| self.is_live(*id))
                .map(|(_, body)| body.clone())
                .collect(),
            things: self
                .things
                .iter()
                .map(|((kind, key), value)| (kind.clone(), key.clone(), value.clone()))
                .collect(),
            ..self.state.clone()
        }
    }
}
