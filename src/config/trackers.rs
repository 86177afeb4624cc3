//! `[tracker.NAME]`: each kind has its own keys; secrets are read here.

use super::read::Problem;
use crate::intake::source::SourceConfig;
use crate::trackers::{Tracker, hooks, monitors, registry};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Trackers by name, built and not spoken to yet.
pub(super) fn build(
    sections: &BTreeMap<String, toml::Table>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, ConfiguredTracker> {
    let mut trackers = BTreeMap::new();
    for (name, section) in sections {
        if name == "desk" {
            let what = "the built-in desk is always there and has no section";
            problems.push(Problem::of("tracker.desk", what));
            continue;
        }
        match one(name, section.clone()) {
            Ok(tracker) => {
                trackers.insert(name.clone(), tracker);
            }
            Err(what) => problems.push(Problem::of(format!("tracker.{name}"), what)),
        }
    }
    trackers
}

/// Monitors that take acknowledgements, by the name that delivery knows them by.
pub(super) fn monitors(
    sources: &[SourceConfig],
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, ConfiguredTracker> {
    let mut found = BTreeMap::new();
    for source in sources {
        let Some(section) = source.acknowledge.clone() else {
            continue;
        };
        let name = monitors::name_of(&source.name);
        match of_kind(&name, section, monitors::find) {
            Ok(monitor) => {
                found.insert(name, monitor);
            }
            Err(what) => {
                let key = format!("source `{}`", source.name);
                problems.push(Problem::of(key, format!("acknowledge: {what}")));
            }
        }
    }
    found
}

/// A tracker, and how fast it may be spoken to.
#[derive(Clone)]
pub struct ConfiguredTracker {
    /// The tracker.
    pub tracker: Arc<dyn Tracker>,
    /// Most calls a minute; 0: no limit.
    pub calls_per_minute: u32,
    /// Its kind.
    pub kind: &'static str,
    /// The secret of its webhooks, if it may send them.
    pub hook_secret: Option<SecretString>,
}

fn one(name: &str, section: toml::Table) -> Result<ConfiguredTracker, String> {
    if name.starts_with(monitors::PREFIX) {
        return Err(format!(
            "names with `{}` are those of monitors",
            monitors::PREFIX
        ));
    }
    of_kind(name, section, registry::find)
}

fn of_kind(
    name: &str,
    mut section: toml::Table,
    find: fn(&str) -> Result<&'static registry::Kind, String>,
) -> Result<ConfiguredTracker, String> {
    let calls_per_minute = match section.remove("calls_per_minute") {
        None => None,
        Some(value) => Some(
            value
                .as_integer()
                .and_then(|calls| u32::try_from(calls).ok())
                .ok_or("calls_per_minute: a number from 0 was expected")?,
        ),
    };
    let kind = match section.remove("kind") {
        Some(toml::Value::String(kind)) => kind,
        _ => return Err("`kind` is needed, like kind = \"rt\"".to_owned()),
    };
    let kind = find(&kind)?;
    let hook_secret = secret(&mut section, "hook_secret")?;
    if hook_secret.is_some() && hooks::of(kind.name).is_none() {
        let known: Vec<&str> = hooks::ALL.iter().map(|hook| hook.kind).collect();
        return Err(format!(
            "hook_secret: `{}` sends no hooks; these do: {}",
            kind.name,
            known.join(", ")
        ));
    }
    for key in kind.secrets {
        if let Some(secret) = secret(&mut section, key)? {
            let secret = secret.expose_secret().to_owned();
            section.insert((*key).to_owned(), toml::Value::String(secret));
        }
    }
    let tracker = (kind.build)(name, section)?;
    Ok(ConfiguredTracker {
        // What is known of the tracker holds where nothing is said.
        calls_per_minute: calls_per_minute.unwrap_or(tracker.capabilities().calls_per_minute),
        tracker,
        kind: kind.name,
        hook_secret,
    })
}

/// Takes a secret out of a section, read from its place.
fn secret(section: &mut toml::Table, key: &str) -> Result<Option<SecretString>, String> {
    let Some(value) = section.remove(key) else {
        return Ok(None);
    };
    #[derive(Deserialize)]
    struct Holder {
        #[serde(deserialize_with = "crate::secret::one")]
        secret: SecretString,
    }
    let holder = toml::Table::from_iter([("secret".to_owned(), value)]);
    let read =
        Holder::deserialize(holder).map_err(|error| format!("{key}: {}", error.message()))?;
    Ok(Some(read.secret))
}
