//! Lenient reading of foreign fields: by path, whatever the type, with unresolved macros as
//! absent. Times without an offset are text, not times.

use super::Request;
use crate::limits::EVENT_TEXT_BYTES_MAX;
use crate::model::{Time, text};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};
use std::collections::BTreeMap;

static NULL: Value = Value::Null;

/// A place in a body.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a Value);

impl<'a> Fields<'a> {
    /// The whole of a body.
    pub fn of(value: &'a Value) -> Fields<'a> {
        Fields(value)
    }

    /// The value itself.
    pub fn value(self) -> &'a Value {
        self.0
    }

    /// What stands at a path: a name, or names and positions joined by dots. A name with a dot in
    /// it is tried first. Absent places are null.
    pub fn at(self, path: &str) -> Fields<'a> {
        if let Some(value) = self.0.get(path) {
            return Fields(value);
        }
        let mut place = self.0;
        for name in path.split('.') {
            let next = match place {
                Value::Array(list) => name.parse::<usize>().ok().and_then(|i| list.get(i)),
                other => other.get(name),
            };
            place = next.unwrap_or(&NULL);
        }
        Fields(place)
    }

    /// Whether something other than null stands at the path.
    pub fn has(self, path: &str) -> bool {
        !self.at(path).0.is_null()
    }

    /// The text at a path: strings, numbers and booleans; trimmed; `None` if empty or an
    /// unresolved macro.
    pub fn text(self, path: &str) -> Option<String> {
        self.at(path).as_text()
    }

    /// The first of several paths that holds a text.
    pub fn first(self, paths: &[&str]) -> Option<String> {
        paths.iter().find_map(|path| self.text(path))
    }

    /// The text at a path, or an empty one.
    pub fn word(self, path: &str) -> String {
        self.text(path).unwrap_or_default()
    }

    /// This place as a word: a text, or `true` or `false`.
    pub fn as_word(self) -> Option<String> {
        match self.0 {
            Value::Bool(flag) => Some(flag.to_string()),
            _ => self.as_text(),
        }
    }

    /// This place as text. A truth value is none: it names nothing, and an identity made of it
    /// would be that of every problem.
    pub fn as_text(self) -> Option<String> {
        match self.0 {
            Value::String(text) => said(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Whether the path holds a macro that the sender did not fill in.
    pub fn unresolved(self, path: &str) -> bool {
        self.at(path).0.as_str().is_some_and(is_unresolved)
    }

    /// The number at a path; texts that are numbers count.
    pub fn number(self, path: &str) -> Option<f64> {
        self.text(path)?
            .parse()
            .ok()
            .filter(|n: &f64| n.is_finite())
    }

    /// The whole number at a path; `"2.0"` counts.
    pub fn integer(self, path: &str) -> Option<i64> {
        let text = self.text(path)?;
        text.parse().ok().or_else(|| {
            let number: f64 = text.parse().ok()?;
            (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
        })
    }

    /// The truth value at a path: `true`, `1`, `yes`, `on` and their opposites in any case.
    pub fn flag(self, path: &str) -> Option<bool> {
        match self.at(path).as_word()?.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "y" | "on" | "1.0" => Some(true),
            "false" | "0" | "no" | "n" | "off" | "0.0" => Some(false),
            _ => None,
        }
    }

    /// The instant at a path: RFC 3339, epoch seconds, ms, µs or ns. Without an offset, or before
    /// 1990 (senders write zero for "not set"), there is none.
    pub fn time(self, path: &str) -> Option<Time> {
        time(&self.text(path)?)
    }

    /// The first of several paths that holds an instant.
    pub fn first_time(self, paths: &[&str]) -> Option<Time> {
        paths.iter().find_map(|path| self.time(path))
    }

    /// The elements of the list at a path; a single object or text counts as a list of one.
    pub fn list(self, path: &str) -> Vec<Fields<'a>> {
        self.at(path).elements()
    }

    /// The elements of this list; a single object or text counts as a list of one.
    pub fn elements(self) -> Vec<Fields<'a>> {
        match self.0 {
            Value::Null => Vec::new(),
            Value::Array(list) => list.iter().map(Fields).collect(),
            other => vec![Fields(other)],
        }
    }

    /// The names and texts of the object at a path, of which an identity may be made; truth values
    /// and nested ones are left out.
    pub fn labels(self, path: &str) -> BTreeMap<String, String> {
        let entries = self.at(path).entries().into_iter();
        entries
            .filter_map(|(name, value)| Some((name.to_owned(), value.as_text()?)))
            .collect()
    }

    /// The same with truth values, for people to read.
    pub fn words(self, path: &str) -> BTreeMap<String, String> {
        let entries = self.at(path).entries().into_iter();
        entries
            .filter_map(|(name, value)| Some((name.to_owned(), value.as_word()?)))
            .collect()
    }

    /// Names and values of this object.
    pub fn entries(self) -> Vec<(&'a str, Fields<'a>)> {
        let object = self.0.as_object();
        object
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), Fields(value)))
            .collect()
    }
}

/// A foreign string as text: trimmed, bounded; `None` if empty or an unresolved macro.
fn said(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty() && !is_unresolved(text))
        .then(|| text::into_bounded(text.to_owned(), EVENT_TEXT_BYTES_MAX))
}

/// What [`Fields::text`] reads at a place, read without a tree in between: for the senders whose
/// messages are many and large.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said(pub Option<String>);

/// What [`Fields::labels`] reads at a place, read without a tree in between.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, String>);

/// Takes any value, and keeps what is text.
struct SaidVisitor;

/// Takes any value, and keeps the texts of an object.
struct LabelsVisitor;

impl<'de> Visitor<'de> for SaidVisitor {
    type Value = Said;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Said, E> {
        Ok(Said(said(text)))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Said, E> {
        Ok(Said(None))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Said, E> {
        Ok(Said(Some(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Said, E> {
        Ok(Said(Some(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Said, E> {
        Ok(Said(Number::from_f64(number).map(|n| n.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Said, E> {
        Ok(Said(None))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Said, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| Said(None))
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Said, A::Error> {
        IgnoredAny.visit_map(object).map(|_| Said(None))
    }
}

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_str<E>(self, _: &str) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_unit<E>(self) -> Result<Labels, E> {
        Ok(Labels::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Labels, A::Error> {
        IgnoredAny.visit_seq(list).map(|_| Labels::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Labels, A::Error> {
        let mut labels = BTreeMap::new();
        while let Some((name, Said(value))) = object.next_entry::<String, Said>()? {
            // Of two of one name the last one counts, also if it holds no text.
            match value {
                Some(value) => labels.insert(name, value),
                None => labels.remove(&name),
            };
        }
        Ok(Labels(labels))
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Said, D::Error> {
        deserializer.deserialize_any(SaidVisitor)
    }
}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Labels, D::Error> {
        deserializer.deserialize_any(LabelsVisitor)
    }
}

/// Whether a whole value is a placeholder that the sender's template engine left as it was.
pub fn is_unresolved(text: &str) -> bool {
    let text = text.trim();
    let only = |inner: &str, more: &str| {
        !inner.is_empty()
            && inner
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    let inside = |start: &str, end: &str| {
        text.strip_prefix(start)
            .and_then(|rest| rest.strip_suffix(end))
    };
    if matches!(text, "*UNKNOWN*" | "*NOT AVAILABLE*") {
        return true;
    }
    for (start, end) in [("{{", "}}"), ("%%", "%%"), ("@@", "@@"), ("##", "##")] {
        if inside(start, end).is_some_and(|inner| !inner.is_empty() && inner.len() < 200) {
            return true;
        }
    }
    if inside("${", "}").is_some_and(|inner| !inner.contains('}')) {
        return true;
    }
    let zabbix = inside("{", "}").or_else(|| inside("{", ">"));
    if zabbix.is_some_and(|inner| {
        inner.starts_with(|c: char| c.is_ascii_uppercase() || c == '$' || c == '#')
            && only(inner, "_.$#:\"")
            && !inner.chars().any(|c| c.is_ascii_lowercase())
    }) {
        return true;
    }
    if inside("$", "$").is_some_and(|inner| only(inner, "_.:")) {
        return true;
    }
    let letters = |rest: &str, more: &str| {
        rest.len() > 1
            && rest
                .chars()
                .all(|c| c.is_ascii_alphabetic() || more.contains(c))
    };
    text.strip_prefix('%')
        .is_some_and(|rest| letters(rest, "."))
        || text
            .strip_prefix('$')
            .is_some_and(|rest| letters(rest, "_-"))
}

/// Reads RFC 3339 (also with `+0000`), or an epoch in seconds, ms, µs or ns.
pub fn time(text: &str) -> Option<Time> {
    /// 1990-01-01; earlier instants stand for "not set".
    const EARLIEST: i64 = 631_152_000_000;
    let text = text.trim();
    let instant = match text.parse::<f64>() {
        Ok(number) => {
            let ms = match number.abs() {
                n if n < 1.0e11 => number * 1e3,
                n if n < 1.0e14 => number,
                n if n < 1.0e17 => number / 1e3,
                _ => number / 1e6,
            };
            (ms.abs() < 1.0e14).then_some(Time(ms.round() as i64))
        }
        Err(_) => Time::parse_rfc3339(text),
    };
    instant.filter(|t| t.0 >= EARLIEST)
}

/// Whether the body, as text, holds all of these markers. The means of cheap detection.
pub fn mentions(request: &Request, markers: &[&str]) -> bool {
    let text = request.text();
    markers.iter().all(|marker| text.contains(marker))
}

/// Whether the body, as text, holds one of these markers.
pub fn mentions_any(request: &Request, markers: &[&str]) -> bool {
    let text = request.text();
    markers.iter().any(|marker| text.contains(marker))
}

/// Whether the body has a field `source` of that value, as our own templates and `notify` write
/// it; in JSON or a form.
pub fn names_source(request: &Request, name: &str) -> bool {
    let text = request.text();
    let json = text.match_indices("\"source\"").any(|(at, key)| {
        let rest = text.get(at + key.len()..).unwrap_or("").trim_start();
        rest.strip_prefix(':')
            .and_then(|rest| rest.trim_start().strip_prefix('"'))
            .and_then(|rest| rest.strip_prefix(name))
            .is_some_and(|rest| rest.starts_with('"'))
    });
    json || text
        .split('&')
        .any(|pair| pair.strip_prefix("source=") == Some(name))
}

/// The tree with all names of its objects in lower case, for senders whose spelling varies.
pub fn lower_names(value: Value) -> Value {
    match value {
        Value::Object(map) => map
            .into_iter()
            .map(|(name, value)| (name.to_lowercase(), lower_names(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) => list.into_iter().map(lower_names).collect(),
        other => other,
    }
}

/// The host in a URL, without port and brackets.
pub fn host_of_url(text: &str) -> Option<String> {
    let url = url::Url::parse(text.trim()).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    (!host.is_empty()).then(|| host.to_owned())
}

/// A host without the port behind it and the brackets around it.
pub fn bare_host(text: &str) -> String {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => {
            host.to_owned()
        }
        Some((host, port)) if host.ends_with(']') && port.bytes().all(|b| b.is_ascii_digit()) => {
            host.trim_matches(['[', ']']).to_owned()
        }
        _ => text.trim_matches(['[', ']']).to_owned(),
    }
}

/// Whether something other than null stands at each of these paths of the body, or of its first
/// element if it is a list.
pub fn holds(request: &Request, paths: &[&str]) -> bool {
    let Ok(body) = super::body::read(request) else {
        return false;
    };
    let first = match &body.value {
        Value::Array(list) => list.first().unwrap_or(&NULL),
        one => one,
    };
    paths.iter().all(|path| Fields::of(first).has(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_any_type_as_the_wanted_one() {
        let value = json!({"a": {"b": [1, "x"]}, "f": "True", "n": "2.0", "c.d": 7});
        let fields = Fields::of(&value);
        assert_eq!(fields.text("a.b.0").as_deref(), Some("1"));
        assert_eq!(fields.text("a.b.1").as_deref(), Some("x"));
        assert_eq!(fields.flag("f"), Some(true));
        assert_eq!(fields.integer("n"), Some(2));
        assert_eq!(fields.integer("c.d"), Some(7));
        assert_eq!(fields.text("a"), None);
        assert!(!fields.has("a.x.y"));
    }

    #[test]
    fn placeholders_are_absent() {
        for text in [
            "{EVENT.ID}",
            "{$ZABBIX.URL}",
            "$SERVICEACKAUTHOR$",
            "$service.output$",
            "%status",
            "%Device.Address",
            "${N=Alerting;M=AlertID}",
            "##ALERTSTATUS##",
            "{{ title }}",
            "%%log.intf%%",
            "$receive_time",
            "@@TEXT@@",
            "*UNKNOWN*",
        ] {
            assert!(is_unresolved(text), "{text}");
        }
        for text in [
            "100%",
            "{}",
            "$",
            "5 % used",
            "{\"a\":1}",
            "US$ 5",
            "##",
            "%",
            "{a}",
        ] {
            assert!(!is_unresolved(text), "{text}");
        }
    }

    #[test]
    fn the_host_of_a_url_stands_alone() {
        assert_eq!(
            host_of_url("https://a.example.net:8443/x").as_deref(),
            Some("a.example.net")
        );
        assert_eq!(
            host_of_url("http://[2001:db8::1]/").as_deref(),
            Some("2001:db8::1")
        );
        assert_eq!(bare_host("[2001:db8::1]:9100"), "2001:db8::1");
        assert_eq!(bare_host("a.example.net:9100"), "a.example.net");
        assert_eq!(bare_host("2001:db8::1"), "2001:db8::1");
        assert_eq!(host_of_url("https://"), None);
        assert_eq!(host_of_url("a.example.net"), None);
    }

    #[test]
    fn times_need_an_offset() {
        let at = Some(Time(1_778_555_647_000));
        assert_eq!(time("2026-05-12T03:14:07Z"), at);
        assert_eq!(time("2026-05-12T03:14:07+0000"), at);
        assert_eq!(time("1778555647"), at);
        assert_eq!(time("1778555647000"), at);
        assert_eq!(time("1778555647000000000"), at);
        assert_eq!(time("2026-05-12 03:14:07"), None);
        assert_eq!(time("0001-01-01T00:00:00Z"), None);
        assert_eq!(time("0"), None);
    }
}
