//! Configuration: one TOML file, strict. Unknown keys and wrong types are refused with line and
//! key; what only shows when the parts are put together is collected and told at once.

use crate::engine::{Decisions, Route, Settings};
use crate::intake::source::SourceConfig;
use crate::inventory::{Inventory, InventoryFile};
use crate::rules::{Matcher, Rule, Ruleset};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// The file as written.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    /// The webhook door.
    pub http: Door,
    /// The operators' door.
    pub operators: Door,
    /// The mail door.
    pub smtp: Door,
    /// How long things are held and what counts as too much.
    pub engine: Settings,
    /// Who may speak.
    pub source: Vec<SourceConfig>,
    /// Ordered rules.
    pub rule: Vec<Rule>,
    /// Where tickets go.
    pub route: Vec<RouteConfig>,
    /// Inventory files (`.toml` or `.csv`), relative to this file.
    pub inventory: Vec<String>,
}

/// `[http]`, `[operators]`, `[smtp]`.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Door {
    /// Address and port; port 0 takes a free one. Only loopback addresses.
    pub listen: Option<SocketAddr>,
}

/// `[[route]]`.
#[derive(Clone, Debug, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct RouteConfig {
    /// Its name.
    pub name: String,
    /// Conditions, of which all must hold.
    #[serde(rename = "match")]
    pub matchers: Vec<String>,
    /// Where inside the desk.
    pub queue: String,
    /// Label or field names by which alerts without a known element are grouped.
    pub group_by: Vec<String>,
}

/// Everything that was read.
pub struct Config {
    /// The file.
    pub file: ConfigFile,
    /// What the engine decides by.
    pub decisions: Decisions,
}

/// Reads a file, or the defaults if there is none. The error lists every problem found.
pub fn load(path: Option<&Path>) -> Result<Config, Vec<String>> {
    let (file, folder) = match path {
        None => (ConfigFile::default(), Path::new(".")),
        Some(path) => {
            let shown = path.display();
            let text = std::fs::read_to_string(path)
                .map_err(|error| vec![format!("{shown}: cannot be read: {error}")])?;
            let file = toml::from_str(&text).map_err(|error| vec![format!("{shown}: {error}")])?;
            (file, path.parent().unwrap_or(Path::new(".")))
        }
    };
    put_together(file, folder)
}

fn put_together(file: ConfigFile, folder: &Path) -> Result<Config, Vec<String>> {
    let mut problems = Vec::new();
    for (name, door) in [
        ("http", &file.http),
        ("operators", &file.operators),
        ("smtp", &file.smtp),
    ] {
        if door
            .listen
            .is_some_and(|address| !address.ip().is_loopback())
        {
            problems.push(format!(
                "[{name}] listen: only loopback addresses are served"
            ));
        }
    }
    let rules = Ruleset::compile(file.rule.clone());
    let mut routes = Vec::new();
    for route in &file.route {
        match Matcher::all(&route.matchers) {
            Ok(matcher) => routes.push(Route {
                name: route.name.clone(),
                matcher: (!route.matchers.is_empty()).then_some(matcher),
                queue: route.queue.clone(),
                group_by: route.group_by.clone(),
                ..Route::desk()
            }),
            Err(error) => problems.push(format!("route `{}`: match: {error}", route.name)),
        }
    }
    routes.push(Route::desk());
    let mut parts = InventoryFile::default();
    for name in &file.inventory {
        let path = folder.join(name);
        let read = std::fs::read_to_string(&path).map_err(|error| vec![error.to_string()]);
        let read = read.and_then(|text| {
            if name.ends_with(".csv") {
                InventoryFile::from_csv(&text)
                    .map_err(|found| found.iter().map(ToString::to_string).collect())
            } else {
                InventoryFile::from_toml(&text).map_err(|found| vec![found.to_string()])
            }
        });
        match read {
            Ok(part) => parts.extend(part),
            Err(found) => {
                problems.extend(
                    found
                        .iter()
                        .map(|what| format!("{}: {what}", path.display())),
                );
            }
        }
    }
    let inventory = Inventory::build(parts);
    match (rules, inventory) {
        (Ok(rules), Ok(inventory)) if problems.is_empty() => {
            let decisions = Decisions {
                settings: file.engine.clone(),
                inventory: Arc::new(inventory),
                rules: Arc::new(rules),
                routes,
                ..Decisions::default()
            };
            Ok(Config { file, decisions })
        }
        (rules, inventory) => {
            problems.extend(rules.err().unwrap_or_default());
            let found = inventory.err().unwrap_or_default();
            problems.extend(found.iter().map(|problem| format!("inventory: {problem}")));
            Err(problems)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let file = toml::from_str(text).unwrap();
        put_together(file, Path::new(".")).err().unwrap()
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let found = problems(
            "[http]\nlisten = \"192.0.2.1:8480\"\n[[rule]]\nname = \"x\"\nmatch = [\"nothing\"]\n",
        );
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("[http] listen: only loopback"));
        assert!(found[1].contains("rule 1 `x`: match"));
    }

    #[test]
    fn unknown_keys_are_refused_with_their_line() {
        let error = toml::from_str::<ConfigFile>("[http]\nlistn = 1\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("line 2") && error.contains("listn"));
    }
}
