//! The expressions of one mapping: compiled once, evaluated with fuel, and what they can see.

use crate::formats::Request;
use crate::formats::fields::is_unresolved;
use crate::limits::{MAPPING_FUEL, MAPPING_PATTERN_BYTES_MAX, MAPPING_PATTERNS_MAX};
use minijinja::value::Serde;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, Value, context};
use regex::Regex;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// What an expression may name.
const VARIABLES: [&str; 8] = [
    "body",
    "item",
    "index",
    "query",
    "headers",
    "method",
    "path",
    "received_at",
];

/// Headers that prove who speaks; no expression sees them.
const SECRET_HEADERS: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "x-auth-token",
];

/// Where the value of an expression is found after its template ran.
const RESULT: &str = "__value";

/// An expression that failed on a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub(super) struct FieldError {
    /// The field that it gives.
    field: String,
    /// What went wrong.
    reason: String,
}

/// Fields that tell one problem from another. In their expressions nothing is made of an absent
/// value: it would give an identity that no message has.
const IDENTITY: [&str; 5] = ["dedup_key", "site", "host", "component", "check"];

/// Compiled expressions by the field that they give.
#[derive(Debug)]
pub(super) struct Expressions {
    /// An absent value is an empty text.
    lenient: Environment<'static>,
    /// An absent value joined to another is an error.
    strict: Environment<'static>,
}

fn environment(absent: UndefinedBehavior) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(absent);
    environment.set_fuel(Some(MAPPING_FUEL));
    environment.set_recursion_limit(64);
    environment.remove_global("debug");
    environment.add_filter("in_zone", in_zone);
    let patterns = Patterns::default();
    environment.add_filter("capture", move |text: &Value, pattern: &str| {
        patterns.capture(text, pattern)
    });
    environment
}

impl Expressions {
    pub(super) fn new() -> Expressions {
        Expressions {
            lenient: environment(UndefinedBehavior::Chainable),
            strict: environment(UndefinedBehavior::SemiStrict),
        }
    }

    fn of(&self, field: &str) -> &Environment<'static> {
        if IDENTITY.contains(&field) {
            &self.strict
        } else {
            &self.lenient
        }
    }

    /// Compiles an expression. A compiled expression borrows its environment; a template that
    /// sets one variable does not, and runs the same code.
    pub(super) fn add(&mut self, field: &str, expression: &str) -> Result<(), String> {
        let told = |error: &Error| format!("{} in `{expression}`", reason_of(error));
        let compiled = self
            .lenient
            .compile_expression_owned(expression.to_owned())
            .map_err(|error| told(&error))?;
        let unknown: Vec<String> = compiled
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| !VARIABLES.contains(&name.as_str()) && !self.is_function(name))
            .collect();
        if let Some(name) = unknown.iter().min() {
            let known = VARIABLES.join("`, `");
            return Err(format!(
                "`{name}` is not known in `{expression}`; there are `{known}`"
            ));
        }
        // Unknown filters and tests only show when they are used.
        if let Err(error) = compiled.eval(context! {}) {
            let kind = error.kind();
            if matches!(
                kind,
                ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction
            ) {
                return Err(told(&error));
            }
        }
        let source = format!("{{% set {RESULT} = ({expression}) %}}");
        let environment = if IDENTITY.contains(&field) {
            &mut self.strict
        } else {
            &mut self.lenient
        };
        environment
            .add_template_owned(field.to_owned(), source)
            .map_err(|error| told(&error))
    }

    fn is_function(&self, name: &str) -> bool {
        self.lenient.globals().any(|(known, _)| known == name)
    }

    /// What a field's expression gives; undefined if there is none.
    pub(super) fn value(&self, field: &str, context: &Value) -> Result<Value, FieldError> {
        let failed = |error: Error| FieldError {
            field: field.to_owned(),
            reason: reason_of(&error),
        };
        let template = self.of(field).get_template(field).map_err(failed)?;
        let captured = template.render_captured(context.clone()).map_err(failed)?;
        Ok(captured.state().lookup(RESULT).unwrap_or(Value::UNDEFINED))
    }

    /// The same as JSON; nothing, and what is no JSON, is null.
    pub(super) fn json(
        &self,
        field: &str,
        context: &Value,
    ) -> Result<serde_json::Value, FieldError> {
        let value = self.value(field, context)?;
        serde_json::to_value(&value).map_err(|error| FieldError {
            field: field.to_owned(),
            reason: format!("gives no usable value: {error}"),
        })
    }
}

fn reason_of(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, None) => "a value in it is absent".to_owned(),
        (ErrorKind::OutOfFuel, _) => format!("takes more than {MAPPING_FUEL} steps"),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    }
}

/// The tree without members that say nothing: null, empty text, or a placeholder that the sender
/// left as it was. To an expression they are absent.
fn present(value: &serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(map) => map
            .iter()
            .filter(|(_, value)| match value {
                serde_json::Value::Null => false,
                serde_json::Value::String(text) => !text.trim().is_empty() && !is_unresolved(text),
                _ => true,
            })
            .map(|(name, value)| (name.clone(), present(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        serde_json::Value::Array(list) => list.iter().map(present).collect(),
        other => other.clone(),
    }
}

/// What all expressions of one message see.
pub(super) struct Context {
    shared: Vec<(&'static str, Value)>,
    body: Value,
}

/// The context of a message without an item.
pub(super) fn context(request: &Request, body: &serde_json::Value) -> Context {
    let body = Value::from(Serde(&present(body)));
    let headers: BTreeMap<&str, &str> = request
        .headers
        .iter()
        .filter(|(name, _)| !SECRET_HEADERS.contains(&name.as_str()))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    let query = present(&crate::formats::body::form(request.query));
    let shared = vec![
        ("body", body.clone()),
        ("query", Value::from(Serde(&query))),
        ("headers", Value::from(Serde(&headers))),
        ("method", Value::from(request.method)),
        ("path", Value::from(request.path)),
        ("received_at", Value::from(request.received_at.to_string())),
    ];
    Context { shared, body }
}

impl Context {
    /// The body itself.
    pub(super) fn body(&self) -> Value {
        self.body.clone()
    }

    /// Without an item.
    pub(super) fn alone(&self) -> Value {
        Value::from_pairs(self.shared.iter().cloned())
    }

    /// With an item and its position.
    pub(super) fn with(&self, item: Value, index: usize) -> Value {
        let own = [("item", item), ("index", Value::from(index))];
        Value::from_pairs(self.shared.iter().cloned().chain(own))
    }
}

/// A date and time without an offset, as RFC 3339 by the clocks of a zone; nothing of nothing. Of an hour that a zone
/// repeats, the first one counts.
fn in_zone(value: &Value, zone: &str) -> Result<Value, Error> {
    let Some(text) = value.as_str() else {
        return Ok(Value::UNDEFINED);
    };
    let refused = |what: String| Error::new(ErrorKind::InvalidOperation, what);
    let civil: jiff::civil::DateTime = text
        .trim()
        .parse()
        .map_err(|_| refused(format!("in_zone: `{text}` is no date and time")))?;
    let zone = jiff::tz::TimeZone::get(zone)
        .map_err(|_| refused(format!("in_zone: `{zone}` is no time zone")))?;
    let zoned = civil
        .to_zoned_datetime(zone)
        .map_err(|error| refused(format!("in_zone: {error}")))?;
    Ok(Value::from(zoned.timestamp().to_string()))
}

/// Regular expressions of a mapping, compiled at their first use.
#[derive(Default)]
struct Patterns {
    known: Mutex<BTreeMap<String, Regex>>,
}

impl Patterns {
    /// The first group of a match, or the whole match; nothing if there is none.
    fn capture(&self, value: &Value, pattern: &str) -> Result<Value, Error> {
        let regex = self.compiled(pattern)?;
        let Some(text) = value.as_str() else {
            return Ok(Value::UNDEFINED);
        };
        let found = regex.captures(text).and_then(|groups| {
            let found = groups.get(1).or_else(|| groups.get(0))?;
            Some(Value::from(found.as_str()))
        });
        Ok(found.unwrap_or(Value::UNDEFINED))
    }

    fn compiled(&self, pattern: &str) -> Result<Regex, Error> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(regex) = known.get(pattern) {
            return Ok(regex.clone());
        }
        let regex = regex::RegexBuilder::new(pattern)
            .size_limit(MAPPING_PATTERN_BYTES_MAX)
            .build()
            .map_err(|error| {
                let what = format!("capture: `{pattern}` is no regular expression: {error}");
                Error::new(ErrorKind::InvalidOperation, what)
            })?;
        if known.len() < MAPPING_PATTERNS_MAX {
            known.insert(pattern.to_owned(), regex.clone());
        }
        Ok(regex)
    }
}
