//! Templates of tickets: what a route writes into the fields of a new ticket, and its text in each
//! language. What alerts and people wrote is a value, never a template; each value is one line, so
//! that none can be taken for a line of ours.

use crate::model::text::{bounded, one_line};
use crate::sla::glossary::Locale;
use crate::text_templates::environment;
use minijinja::value::Object;
use minijinja::{Environment, Value, context};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest subject out of a template, bytes.
const SUBJECT_BYTES_MAX: usize = 200;
/// Longest value of a field, bytes.
const FIELD_BYTES_MAX: usize = 255;
/// Most watchers and most custom fields of one route.
const LISTED_MAX: usize = 20;

/// The text of tickets whose route has none of its own, by language.
const BODIES: [(Locale, &str); 3] = [
    (
        Locale::En,
        include_str!("../../config/templates/tickets/en.txt"),
    ),
    (
        Locale::Ja,
        include_str!("../../config/templates/tickets/ja.txt"),
    ),
    (
        Locale::Fr,
        include_str!("../../config/templates/tickets/fr.txt"),
    ),
];

/// What a template may name. Text that is absent is empty.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Values {
    /// `INC-7`.
    pub number: String,
    /// One line.
    pub title: String,
    /// `S1` to `S5`; empty: unknown.
    pub severity: String,
    /// `inventory`, `rule` or `person`.
    pub basis: String,
    /// `incident`, `provisioning` or `inquiry`.
    pub category: String,
    /// Why it has its severity.
    pub reason: String,
    /// What the next failure would cause.
    pub next_failure: String,
    /// A person has to look.
    pub needs_triage: bool,
    /// What a request is about.
    pub topic: String,
    /// The account that is hit or reported it, if it is one.
    pub account: String,
    /// All that are hit.
    pub accounts: Vec<String>,
    /// The contract of a customer's ticket.
    pub contract: String,
    /// Services that are hit.
    pub services: Vec<String>,
    /// Tags that rules gave.
    pub tags: Vec<String>,
    /// The first site.
    pub site: String,
    /// All sites.
    pub sites: Vec<String>,
    /// The element that is the root.
    pub element: String,
    /// The source that spoke first.
    pub source: String,
    /// Of the first alert.
    pub host: String,
    /// Of the first alert.
    pub component: String,
    /// Of the first alert.
    pub check: String,
    /// Of the first alert.
    pub summary: String,
    /// Since when, RFC 3339.
    pub since: String,
    /// The incident at the operators' door.
    pub link: String,
    /// Where the first alert can be read as it was received, if the route says so.
    pub original: String,
    /// How many alerts.
    pub members: u32,
    /// The first of them.
    pub alerts: Vec<AlertLine>,
    /// Labels of the first alert; one that it does not have is empty.
    #[serde(skip)]
    pub labels: BTreeMap<String, String>,
}

/// An alert in the text of a ticket.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AlertLine {
    /// `A-7`.
    pub id: String,
    /// `firing`, `acknowledged`, `resolved` or `stale`.
    pub state: String,
    /// One line.
    pub summary: String,
    /// Its host.
    pub host: String,
    /// Who sent it.
    pub source: String,
    /// Since when, RFC 3339.
    pub since: String,
}

/// What a route says of the fields of its tickets; each a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Texts {
    /// The type of ticket.
    pub kind: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub body: String,
    /// Who asked for it.
    pub requestor: String,
    /// Who is told of changes.
    pub watchers: Vec<String>,
    /// Custom fields by name.
    pub custom: BTreeMap<String, String>,
}

/// The templates of one route, read.
#[derive(Clone, Debug)]
pub struct Templates {
    environment: Environment<'static>,
    watchers: usize,
    custom: Vec<String>,
}

/// What a route gives a new ticket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Given {
    pub kind: String,
    pub requestor: String,
    pub watchers: Vec<String>,
    pub custom: Vec<(String, String)>,
}

/// Labels: one that is not there is empty, whatever it is called.
#[derive(Debug)]
struct Labels(BTreeMap<String, String>);

impl Object for Labels {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let value = key.as_str().and_then(|name| self.0.get(name));
        Some(Value::from(value.cloned().unwrap_or_default()))
    }
}

impl Values {
    fn context(&self) -> Value {
        context! {
            labels => Value::from_object(Labels(self.labels.clone())),
            ..Value::from(minijinja::value::Serde(self.clone()))
        }
    }
}

/// The text of a ticket in a language, by what is shipped.
pub(super) fn shipped_body(locale: Locale, values: &Values) -> Result<String, String> {
    let text = BODIES.iter().find(|(of, _)| *of == locale);
    let text = text.map_or("", |(_, text)| *text);
    environment()
        .render_str(text, values.context())
        .map_err(|error| one_line(&format!("{error:#}")))
}

impl Default for Templates {
    fn default() -> Templates {
        Templates {
            environment: environment(),
            watchers: 0,
            custom: Vec::new(),
        }
    }
}

impl Templates {
    /// Reads the templates of a route and tries each; the errors are sentences that name the key.
    pub fn new(texts: &Texts) -> Result<Templates, Vec<String>> {
        let mut problems = Vec::new();
        let mut templates = Templates {
            watchers: texts.watchers.len(),
            custom: texts.custom.keys().cloned().collect(),
            ..Templates::default()
        };
        if texts.watchers.len() > LISTED_MAX || texts.custom.len() > LISTED_MAX {
            problems.push(format!(
                "at most {LISTED_MAX} watchers and fields are taken"
            ));
        }
        let one = [
            ("type", &texts.kind),
            ("subject", &texts.subject),
            ("body", &texts.body),
            ("requestor", &texts.requestor),
        ];
        let mut all: Vec<(String, &String)> = Vec::new();
        all.extend(one.map(|(key, text)| (key.to_owned(), text)));
        let watchers = texts.watchers.iter().enumerate();
        all.extend(watchers.map(|(n, text)| (watcher(n), text)));
        all.extend(texts.custom.iter().map(|(name, text)| (field(name), text)));
        for (key, text) in all.into_iter().filter(|(_, text)| !text.is_empty()) {
            if let Err(what) = templates.add(&key, text) {
                problems.push(format!("{key}: {what}"));
            }
        }
        if problems.is_empty() {
            Ok(templates)
        } else {
            Err(problems)
        }
    }

    fn add(&mut self, key: &str, text: &str) -> Result<(), String> {
        let told = |error: minijinja::Error| one_line(&format!("{error:#}"));
        self.environment
            .add_template_owned(key.to_owned(), text.to_owned())
            .map_err(told)?;
        let template = self.environment.get_template(key).map_err(told)?;
        let empty = Values::default().context();
        let is_function = |name: &str| self.environment.globals().any(|(known, _)| known == name);
        let mut unknown: Vec<String> = template
            .undeclared_variables(false)
            .into_iter()
            .filter(|name| {
                empty
                    .get_attr(name)
                    .map_or(true, |value| value.is_undefined())
            })
            .filter(|name| !is_function(name))
            .collect();
        unknown.sort();
        if let Some(name) = unknown.first() {
            return Err(format!("a ticket has no `{name}`"));
        }
        // With nothing and with something to say: neither may fail.
        for values in [Values::default(), sample()] {
            template.render(values.context()).map_err(told)?;
        }
        Ok(())
    }

    /// What a template says; none if the route has none, or it names something and must not.
    fn part(&self, key: &str, values: &Values, constant: bool) -> Option<Result<String, String>> {
        let template = self.environment.get_template(key).ok()?;
        if constant && !template.undeclared_variables(false).is_empty() {
            return None;
        }
        let rendered = template.render(values.context());
        Some(rendered.map_err(|error| format!("{key}: {}", one_line(&format!("{error:#}")))))
    }

    /// A part in one line; one that fails is told in the log and left out.
    fn line(&self, key: &str, values: &Values, constant: bool) -> String {
        match self.part(key, values, constant) {
            None => String::new(),
            Some(Ok(text)) => bounded(&one_line(&text), FIELD_BYTES_MAX),
            Some(Err(error)) => {
                tracing::warn!(error, "template_failed");
                String::new()
            }
        }
    }

    fn has(&self, key: &str) -> bool {
        self.environment.get_template(key).is_ok()
    }

    /// Whether the route has a subject of its own.
    pub(super) fn has_subject(&self) -> bool {
        self.has("subject")
    }

    /// Whether the route puts anything into the fields of a ticket.
    pub(super) fn gives_anything(&self) -> bool {
        self.watchers > 0 || !self.custom.is_empty() || self.has("type") || self.has("requestor")
    }

    /// The subject; empty: it says nothing.
    pub(super) fn subject(&self, values: &Values) -> String {
        bounded(&self.line("subject", values, false), SUBJECT_BYTES_MAX)
    }

    /// The text; none: the route has none of its own, or it fails.
    pub(super) fn body(&self, values: &Values) -> Option<String> {
        match self.part("body", values, false)? {
            Ok(text) => Some(text),
            Err(error) => {
                tracing::warn!(error, "template_failed");
                None
            }
        }
    }

    /// The requestor, as far as it is one name or address.
    pub(super) fn requestor(&self, values: &Values, constant: bool) -> String {
        one_reader(self.line("requestor", values, constant)).unwrap_or_default()
    }

    /// All that goes into the fields of a ticket. What must not leave the bridge is in none of them:
    /// with `constant` only templates count that name nothing of the incident.
    pub(super) fn given(&self, values: &Values, constant: bool) -> Given {
        let watchers = (0..self.watchers).map(|n| self.line(&watcher(n), values, constant));
        let mut readers: Vec<String> = Vec::new();
        for reader in watchers.filter_map(one_reader) {
            if !readers.contains(&reader) {
                readers.push(reader);
            }
        }
        let custom = self.custom.iter().map(|name| {
            let value = self.line(&field(name), values, constant);
            (name.clone(), value)
        });
        Given {
            kind: self.line("type", values, constant),
            requestor: self.requestor(values, constant),
            watchers: readers,
            custom: custom.filter(|(_, value)| !value.is_empty()).collect(),
        }
    }

    /// The type, if it is the same for each ticket.
    pub fn constant_kind(&self) -> Option<String> {
        let kind = self.line("type", &Values::default(), true);
        Some(kind).filter(|kind| !kind.is_empty())
    }
}

fn watcher(n: usize) -> String {
    format!("watchers.{}", n + 1)
}

fn field(name: &str) -> String {
    format!("fields.{name}")
}

/// One name or address and nothing that a tracker would read as two, or as a header.
fn one_reader(text: String) -> Option<String> {
    let odd = |c: char| c.is_control() || matches!(c, ',' | ';' | '<' | '>' | '"' | '\\');
    let address = text.contains('@');
    let one = !text.contains(odd)
        && (!address || (text.matches('@').count() == 1 && !text.contains(char::is_whitespace)));
    if !one {
        tracing::warn!(text, "reader_left_out");
    }
    (one && !text.is_empty()).then_some(text)
}

/// Values to try templates with.
fn sample() -> Values {
    let word = |text: &str| text.to_owned();
    Values {
        number: word("INC-1"),
        title: word("core-1: power supply failed"),
        severity: word("S4"),
        basis: word("inventory"),
        category: word("incident"),
        reason: word("one of two power supplies has failed"),
        account: word("acme"),
        accounts: vec![word("acme")],
        services: vec![word("transit"), word("vpn")],
        site: word("ams-1"),
        sites: vec![word("ams-1")],
        host: word("core-1"),
        source: word("zabbix"),
        since: word("2026-11-25T03:13:00Z"),
        members: 2,
        alerts: vec![AlertLine {
            id: word("A-1"),
            state: word("firing"),
            ..AlertLine::default()
        }],
        ..Values::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(key: &str, text: &str) -> Texts {
        let mut texts = Texts::default();
        match key {
            "type" => texts.kind = text.to_owned(),
            "subject" => texts.subject = text.to_owned(),
            "body" => texts.body = text.to_owned(),
            "watchers" => texts.watchers = vec![text.to_owned()],
            "requestor" => texts.requestor = text.to_owned(),
            name => {
                texts.custom.insert(name.to_owned(), text.to_owned());
            }
        }
        texts
    }

    #[test]
    fn what_is_shipped_has_words_for_everything_and_for_nothing() {
        for locale in [Locale::En, Locale::Ja, Locale::Fr] {
            shipped_body(locale, &Values::default()).unwrap();
            let body = shipped_body(locale, &sample()).unwrap();
            assert!(body.starts_with("INC-1"), "{body}");
            assert!(
                body.contains("transit") && body.contains("\n> A-1 "),
                "{body}"
            );
            assert!(!body.contains("\n\n\n"), "{body}");
        }
        let body = shipped_body(Locale::Ja, &sample()).unwrap();
        assert!(
            body.contains("アラート（2件）") && body.contains("発生中"),
            "{body}"
        );
        let body = shipped_body(Locale::Fr, &sample()).unwrap();
        assert!(body.contains("et 1 autres"), "{body}");
    }

    #[test]
    fn unknown_names_and_broken_templates_are_refused_with_their_key() {
        for (key, text, why) in [
            (
                "requestor",
                "{{ acount }}",
                "requestor: a ticket has no `acount`",
            ),
            ("type", "{{ severity", "type: "),
            ("subject", "{{ title|nonsense }}", "subject: "),
            (
                "Customer",
                "{% if x %}{{ account }}{% endif %}",
                "fields.Customer: a ticket has no `x`",
            ),
            ("watchers", "{{ title.x.y }}", "watchers.1: "),
            (
                "body",
                "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}",
                "body: ",
            ),
        ] {
            let problems = Templates::new(&texts(key, text)).unwrap_err();
            assert!(problems[0].starts_with(why), "{problems:?}");
        }
        assert!(
            Templates::new(&texts(
                "body",
                "{{ labels.rack }} {{ alerts[0].host if alerts }}"
            ))
            .is_ok()
        );
    }

    #[test]
    fn values_are_never_templates_nor_further_readers() {
        let mut all = texts("requestor", "noc+{{ account }}@example.net");
        all.watchers = vec![
            "{{ account }}@example.net".to_owned(),
            "duty@example.net".to_owned(),
            "duty@example.net".to_owned(),
        ];
        all.subject = "[{{ severity }}] {{ title }}".to_owned();
        all.custom
            .insert("Rack".to_owned(), "{{ labels.rack }}".to_owned());
        all.custom
            .insert("Room".to_owned(), "{{ labels.room }}".to_owned());
        let templates = Templates::new(&all).unwrap();
        let mut values = Values {
            account: "acme".to_owned(),
            title: "{{ 7 * 7 }}\r\nBcc: x".to_owned(),
            severity: "S1".to_owned(),
            labels: [("rack".to_owned(), "r\n7".to_owned())].into(),
            ..Values::default()
        };
        let given = templates.given(&values, false);
        assert_eq!(given.requestor, "noc+acme@example.net");
        assert_eq!(given.watchers, ["acme@example.net", "duty@example.net"]);
        assert_eq!(given.custom, [("Rack".to_owned(), "r 7".to_owned())]);
        assert_eq!(templates.subject(&values), "[S1] {{ 7 * 7 }} Bcc: x");
        for odd in ["a,b", "a\nb c", "a@b", "a;b", "<a>"] {
            values.account = odd.to_owned();
            let given = templates.given(&values, false);
            assert_eq!(
                (given.requestor.as_str(), given.watchers.len()),
                ("", 1),
                "{odd}"
            );
        }
        let closed = templates.given(&values, true);
        assert_eq!((closed.watchers.len(), closed.custom.len()), (1, 0));
    }
}
