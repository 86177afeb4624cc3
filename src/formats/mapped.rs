//! Any other JSON, form or text, by an operator's mapping: one expression a field of the native
//! event. Expressions are minijinja's (`item.host | lower`, `'firing' if item.ok == 0 else
//! 'resolved'`); they are compiled when the configuration is read and see `body`, `item`, `index`,
//! `query`, `headers`, `method`, `path` and `received_at`. What they give becomes a native event,
//! by the same rules as one that was posted. Invariant: pure, and bounded by
//! [`crate::limits::MAPPING_FUEL`] an expression.

mod expressions;

use super::{Decoded, Request, Undecodable, body, native, within_bounds};
use crate::limits::EVENTS_PER_MESSAGE_MAX;
use crate::model::Event;
use expressions::{Expressions, FieldError};
use minijinja::Value;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most problems of one message that are told.
const PROBLEMS_MAX: usize = 100;

/// `[mapping.NAME]`: each value is an expression.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MappingConfig {
    /// The list of things of which each is an event, such as `body.alerts`. Default: the body,
    /// or its elements if it is a list. Each is called `item` in the other expressions.
    pub each: Option<String>,
    /// An item is taken only if this is true.
    pub when: Option<String>,
    /// The sender's id of the problem, equal for problem and recovery.
    pub dedup_key: Option<String>,
    /// `firing`, `acknowledged`, `resolved`, `info`, or a word that means one of them.
    pub state: Option<String>,
    /// The sender's severity word.
    pub severity: Option<String>,
    /// `outage`, `degradation`, `redundancy`, `info` or `unknown`; by default from the word.
    pub severity_hint: Option<String>,
    /// One line for people. Needed.
    pub summary: Option<String>,
    /// Longer text for people.
    pub details: Option<String>,
    /// Site, data centre or tenant.
    pub site: Option<String>,
    /// Host or device.
    pub host: Option<String>,
    /// Part of the host.
    pub component: Option<String>,
    /// What is checked.
    pub check: Option<String>,
    /// A service id of the inventory.
    pub service: Option<String>,
    /// Labels: an expression for each name.
    pub labels: BTreeMap<String, String>,
    /// Links back to the sender.
    pub links: Vec<String>,
    /// When the problem began: RFC 3339, or an epoch; `'...' | in_zone('Europe/Berlin')` helps.
    pub starts_at: Option<String>,
    /// When it ended, or when the event expires.
    pub ends_at: Option<String>,
    /// Whether it is a test.
    pub test: Option<String>,
    /// `flapping`, `downtime` or `unreachable` for notices about monitoring itself.
    pub suppressed: Option<String>,
}

impl MappingConfig {
    /// The fields that give one value, by their names.
    fn single(&self) -> [(&'static str, &Option<String>); 16] {
        [
            ("dedup_key", &self.dedup_key),
            ("state", &self.state),
            ("severity", &self.severity),
            ("severity_hint", &self.severity_hint),
            ("summary", &self.summary),
            ("details", &self.details),
            ("site", &self.site),
            ("host", &self.host),
            ("component", &self.component),
            ("check", &self.check),
            ("service", &self.service),
            ("starts_at", &self.starts_at),
            ("ends_at", &self.ends_at),
            ("test", &self.test),
            ("suppressed", &self.suppressed),
            ("when", &self.when),
        ]
    }
}

/// What is wrong with a mapping, where, and what was expected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mapping `{mapping}`: {field}: {reason}")]
pub struct MappingError {
    /// The mapping's name.
    pub mapping: String,
    /// The field, such as `host` or `labels.team`.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A compiled mapping.
#[derive(Debug)]
pub struct Mapping {
    name: String,
    expressions: Expressions,
    each: bool,
    when: bool,
    fields: Vec<&'static str>,
    labels: Vec<(String, String)>,
    links: Vec<String>,
}

impl Mapping {
    /// Compiles all expressions, or says everything that is wrong with them.
    pub fn compile(name: &str, config: &MappingConfig) -> Result<Mapping, Vec<MappingError>> {
        let mut expressions = Expressions::new();
        let mut errors = Vec::new();
        let mut add = |field: &str, expression: &str| {
            if let Err(reason) = expressions.add(field, expression) {
                errors.push((field.to_owned(), reason));
            }
        };
        if let Some(each) = &config.each {
            add("each", each);
        }
        let mut fields = Vec::new();
        for (field, expression) in config.single() {
            if let Some(expression) = expression {
                add(field, expression);
                if field != "when" {
                    fields.push(field);
                }
            }
        }
        let mut labels = Vec::new();
        for (label, expression) in &config.labels {
            let field = format!("labels.{label}");
            add(&field, expression);
            labels.push((label.clone(), field));
        }
        let mut links = Vec::new();
        for (number, expression) in config.links.iter().enumerate() {
            let field = format!("links.{number}");
            add(&field, expression);
            links.push(field);
        }
        errors.extend(missing(config));
        if !errors.is_empty() {
            let named = errors.into_iter().map(|(field, reason)| MappingError {
                mapping: name.to_owned(),
                field,
                reason,
            });
            return Err(named.collect());
        }
        Ok(Mapping {
            name: name.to_owned(),
            expressions,
            each: config.each.is_some(),
            when: config.when.is_some(),
            fields,
            labels,
            links,
        })
    }

    /// A message by this mapping, within the bounds of [`crate::limits`].
    pub fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let base = expressions::context(request, &body.value);
        let items = self.items(&base)?;
        let count = items.len();
        let mut skipped = 0;
        let mut decoded = Decoded::default();
        for (index, item) in items
            .into_iter()
            .take(EVENTS_PER_MESSAGE_MAX + 1)
            .enumerate()
        {
            let context = base.with(item, index);
            if self.when && !self.takes(&context, &mut decoded.problems) {
                skipped += 1;
                continue;
            }
            match self.event(&context) {
                Ok(event) => decoded.events.push(event),
                Err(error) if count == 1 => return Err(error),
                Err(error) if decoded.problems.len() < PROBLEMS_MAX => decoded
                    .problems
                    .push(format!("item {index}: {}", error.reason)),
                Err(_) => {}
            }
        }
        if !decoded.events.is_empty() {
            return Ok(within_bounds(decoded));
        }
        match decoded.problems.first() {
            Some(first) => Err(Undecodable::because(first.clone())),
            None if count == 0 => Ok(Decoded::ignored(format!(
                "mapping `{}`: there is no item",
                self.name
            ))),
            None => Ok(Decoded::ignored(format!(
                "mapping `{}`: `when` takes none of {skipped} items",
                self.name
            ))),
        }
    }

    fn items(&self, base: &expressions::Context) -> Result<Vec<Value>, Undecodable> {
        let found = if self.each {
            self.expressions
                .value("each", &base.alone())
                .map_err(|error| self.undecodable(&error))?
        } else {
            base.body()
        };
        if found.is_undefined() || found.is_none() {
            return Err(Undecodable::because(format!(
                "mapping `{}`: each: nothing is there; a list was expected",
                self.name
            )));
        }
        match found.kind() {
            minijinja::value::ValueKind::Seq | minijinja::value::ValueKind::Iterable => found
                .try_iter()
                .map(|items| items.take(EVENTS_PER_MESSAGE_MAX + 1).collect())
                .map_err(|error| Undecodable::because(error.to_string())),
            _ => Ok(vec![found]),
        }
    }

    fn undecodable(&self, error: &FieldError) -> Undecodable {
        Undecodable::because(format!("mapping `{}`: {error}", self.name))
    }

    /// An item is left out only by a `when` that says so; one that fails is a problem.
    fn takes(&self, context: &Value, problems: &mut Vec<String>) -> bool {
        match self.expressions.value("when", context) {
            Ok(value) => value.is_true(),
            Err(error) => {
                let problem = format!("mapping `{}`: {error}", self.name);
                if !problems.contains(&problem) && problems.len() < PROBLEMS_MAX {
                    problems.push(problem);
                }
                true
            }
        }
    }

    fn event(&self, context: &Value) -> Result<Event, Undecodable> {
        let mut problems = Vec::new();
        let mut native_event = serde_json::Map::new();
        let mut take = |field: &str| match self.expressions.json(field, context) {
            Ok(value) => Some(value).filter(|value| !value.is_null()),
            Err(error) => {
                problems.push(format!("mapping `{}`: {error}", self.name));
                None
            }
        };
        for field in &self.fields {
            if let Some(value) = take(field) {
                native_event.insert((*field).to_owned(), value);
            }
        }
        let labels: serde_json::Map<_, _> = self
            .labels
            .iter()
            .filter_map(|(label, field)| Some((label.clone(), take(field)?)))
            .collect();
        let links: Vec<_> = self.links.iter().filter_map(|field| take(field)).collect();
        native_event.insert("labels".to_owned(), labels.into());
        native_event.insert("links".to_owned(), links.into());
        if self.fields.contains(&"state") && !native_event.contains_key("state") {
            problems.push(format!(
                "mapping `{}`: state: gives nothing: taken as firing",
                self.name
            ));
        }
        match native::event(&native_event.into()) {
            Ok(mut event) => {
                event.problems.extend(problems);
                Ok(event)
            }
            Err(mut error) => {
                problems.insert(0, format!("mapping `{}`: {}", self.name, error.reason));
                error.reason = problems.join("; ");
                Err(error)
            }
        }
    }
}

/// Fields without which no message could ever become an event.
fn missing(config: &MappingConfig) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if config.summary.is_none() {
        let reason = "is missing; one line for people is needed".to_owned();
        found.push(("summary".to_owned(), reason));
    }
    let object = config.host.is_some() && (config.component.is_some() || config.check.is_some());
    if config.dedup_key.is_none() && !object {
        let reason =
            "is missing; `dedup_key`, or `host` with `component` or `check`, is needed to tell one \
             problem from another"
                .to_owned();
        found.push(("dedup_key".to_owned(), reason));
    }
    found
}

/// All mappings of a configuration, by name. A source's `kind` names one.
#[derive(Debug, Default)]
pub struct Mappings {
    by_name: BTreeMap<String, Arc<Mapping>>,
}

impl Mappings {
    /// Compiles all, or says everything that is wrong with any of them. A mapping must not have
    /// the name of a known sender.
    pub fn compile(
        configs: &BTreeMap<String, MappingConfig>,
    ) -> Result<Mappings, Vec<MappingError>> {
        let mut mappings = Mappings::default();
        let mut errors = Vec::new();
        for (name, config) in configs {
            if super::by_name(name).is_some() || name == "mail" {
                errors.push(MappingError {
                    mapping: name.clone(),
                    field: "name".to_owned(),
                    reason: "is the name of a known sender; give the mapping another".to_owned(),
                });
            }
            match Mapping::compile(name, config) {
                Ok(mapping) => drop(mappings.by_name.insert(name.clone(), Arc::new(mapping))),
                Err(found) => errors.extend(found),
            }
        }
        if errors.is_empty() {
            Ok(mappings)
        } else {
            Err(errors)
        }
    }

    /// The mapping of that name.
    pub fn get(&self, name: &str) -> Option<&Arc<Mapping>> {
        self.by_name.get(name)
    }

    /// Decodes by the mapping of that name, or as the known sender of that name.
    pub fn decode_as(&self, name: &str, request: &Request) -> Result<Decoded, Undecodable> {
        match self.get(name) {
            Some(mapping) => mapping.decode(request),
            None => super::decode_as(name, request),
        }
    }
}

#[cfg(test)]
mod tests;
