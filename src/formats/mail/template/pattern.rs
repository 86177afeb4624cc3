//! Compiled templates: patterns, formats and what they took from a mail.

use super::Page;
use super::layout::{Each, Layout, Objects, Recognise, TextChoice, Window};
use crate::formats::mail::text as texts;
use crate::formats::{Decoded, Undecodable};
use crate::model::text;
use regex::{Regex, RegexBuilder};
use std::collections::BTreeMap;

/// Largest compiled pattern, bytes.
const PATTERN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest field that a pattern may take, bytes.
const FIELD_BYTES_MAX: usize = 4096;

/// The name under which a macro is kept that the sender did not fill in.
pub(super) const UNRESOLVED: &str = "(unresolved)";

/// A template whose patterns are compiled.
#[derive(Clone, Debug)]
pub struct Template {
    pub(super) layout: Layout,
    recognise: Vec<(String, Regex)>,
    cut: Vec<Regex>,
    take: Vec<(String, Regex)>,
    pub(super) each: EachPatterns,
    pub(super) resolved_needs: Vec<Regex>,
    pub(super) windows: Vec<(Window, Regex)>,
    pub(super) objects: Vec<ObjectPatterns>,
}

/// The patterns of [`Each`].
#[derive(Clone, Debug, Default)]
pub(super) struct EachPatterns {
    pub item: Option<Regex>,
    pub start: Option<Regex>,
    pub section: Vec<Regex>,
    pub labels: Option<Regex>,
    pub labels_until: Option<Regex>,
}

/// The patterns of [`Objects`].
#[derive(Clone, Debug)]
pub(super) struct ObjectPatterns {
    pub layout: Objects,
    pub row: Option<Regex>,
    pub after: Option<Regex>,
}

/// What patterns took, by name.
pub(super) type Fields = BTreeMap<String, String>;

/// A mail with the text that a template chose.
pub(super) struct Sheet<'a> {
    pub page: &'a Page<'a>,
    pub subject: String,
    /// The text up to where free text begins.
    pub body: String,
    /// The whole text, for people.
    pub whole: &'a str,
}

impl Template {
    /// Compiles; an error names the template and the field.
    pub(super) fn compile(layout: Layout) -> Result<Template, String> {
        let name = layout.name.clone();
        let regex = |field: &str, pattern: &str| {
            RegexBuilder::new(pattern)
                .size_limit(PATTERN_BYTES_MAX)
                .build()
                .map_err(|e| format!("template `{name}`, {field}: {e}"))
        };
        let optional = |field: &str, pattern: &Option<String>| {
            pattern.as_deref().map(|p| regex(field, p)).transpose()
        };
        let list = |field: &str, patterns: &[String]| {
            patterns
                .iter()
                .map(|p| regex(field, p))
                .collect::<Result<Vec<_>, _>>()
        };
        let each = layout.each.clone().unwrap_or_default();
        let maintenance = layout.maintenance.clone();
        let (windows, objects) =
            maintenance.map_or_else(Default::default, |m| (m.window, m.object));
        let template = Template {
            recognise: recognise(&layout.recognise, &regex)?,
            cut: list("cut", &layout.cut)?,
            take: layout
                .take
                .iter()
                .map(|t| Ok((t.place.clone(), regex("take", &t.pattern)?)))
                .collect::<Result<_, String>>()?,
            each: each_patterns(&each, &optional, &list)?,
            resolved_needs: layout.state.as_ref().map_or(Ok(Vec::new()), |s| {
                list("state.resolved_needs", &s.resolved_needs)
            })?,
            windows: windows
                .into_iter()
                .map(|w| regex("maintenance.window", &w.pattern).map(|r| (w, r)))
                .collect::<Result<_, String>>()?,
            objects: objects
                .into_iter()
                .map(|o| {
                    Ok(ObjectPatterns {
                        row: optional("maintenance.object.row", &o.row)?,
                        after: optional("maintenance.object.after", &o.after)?,
                        layout: o,
                    })
                })
                .collect::<Result<_, String>>()?,
            layout,
        };
        template.checked()
    }

    fn checked(self) -> Result<Template, String> {
        let layout = &self.layout;
        let error = |reason: &str| Err(format!("template `{}`: {reason}", layout.name));
        if self.recognise.is_empty() {
            return error("`recognise` is empty; expected a pattern for subject, body or a header");
        }
        match (&layout.event, &layout.maintenance, &layout.ignored) {
            (Some(event), None, None) => {
                if event.identity.is_empty() && !event.identity_labels {
                    return error(
                        "`event.identity` is empty; nothing would tell two problems apart",
                    );
                }
                if layout.state.is_none() {
                    return error("`state` is missing; expected the words of its states");
                }
            }
            (None, Some(_), None) | (None, None, Some(_)) => {}
            _ => return error("expected one of `event`, `maintenance` and `ignored`"),
        }
        Ok(self)
    }

    /// `None`: not this template's mail.
    pub(super) fn decode(&self, page: &Page) -> Option<Result<Decoded, Undecodable>> {
        let mut refused = None;
        for whole in self.choices(page) {
            if !self.recognises(page, whole) {
                continue;
            }
            let sheet = self.sheet(page, whole);
            match self.decode_sheet(&sheet) {
                Ok(decoded) => return Some(Ok(decoded)),
                Err(error) => refused = refused.or(Some(Err(error))),
            }
        }
        refused
    }

    fn choices<'a>(&self, page: &Page<'a>) -> Vec<&'a str> {
        let (plain, html) = (page.plain, page.html);
        let filled = |text: &str| !text.trim().is_empty();
        let mut choices = match self.layout.text {
            TextChoice::Any => vec![plain, html],
            TextChoice::Plain => vec![plain],
            TextChoice::Html if filled(html) => vec![html],
            TextChoice::Html => vec![plain],
        };
        choices.retain(|text| filled(text));
        if choices.is_empty() {
            choices.push("");
        }
        choices
    }

    fn sheet<'a>(&self, page: &'a Page<'a>, whole: &'a str) -> Sheet<'a> {
        let (subject, body) = if self.layout.narrow {
            (texts::narrow(page.subject), texts::narrow(whole))
        } else {
            (page.subject.to_owned(), whole.to_owned())
        };
        let end = self
            .cut
            .iter()
            .filter_map(|cut| cut.find(&body).map(|found| found.start()))
            .min();
        let body = match end {
            Some(end) => body.get(..end).unwrap_or("").to_owned(),
            None => body,
        };
        Sheet {
            page,
            subject,
            body,
            whole,
        }
    }

    /// Cheap where it fails: no text is copied unless full-width forms have to be folded.
    fn recognises(&self, page: &Page, whole: &str) -> bool {
        let is_match = |regex: &Regex, text: &str| {
            if self.layout.narrow {
                regex.is_match(&texts::narrow(text))
            } else {
                regex.is_match(text)
            }
        };
        let headers = &page.mail.headers;
        let matches = |(place, regex): &(String, Regex)| match place.as_str() {
            "subject" => is_match(regex, page.subject),
            "from" => regex.is_match(&headers.author_address()),
            "body" => is_match(regex, whole),
            other => other
                .strip_prefix("header:")
                .is_some_and(|name| headers.all(name).any(|value| regex.is_match(value))),
        };
        if self.layout.recognise.any {
            self.recognise.iter().any(matches)
        } else {
            self.recognise.iter().all(matches)
        }
    }

    fn decode_sheet(&self, sheet: &Sheet) -> Result<Decoded, Undecodable> {
        if let Some(reason) = &self.layout.ignored {
            return Ok(Decoded::ignored(reason.clone()));
        }
        let fields = self.fields(sheet, &sheet.body);
        if let Some(layout) = &self.layout.maintenance {
            return self.maintenance(sheet, layout, &fields);
        }
        self.events(sheet, fields)
    }

    /// Everything that the patterns take, with `body` as the text.
    pub(super) fn fields(&self, sheet: &Sheet, body: &str) -> Fields {
        self.fields_of_piece(sheet, &self.outside(sheet), body)
    }

    /// What each pattern that looks elsewhere than at the body takes.
    pub(super) fn outside(&self, sheet: &Sheet) -> Vec<Fields> {
        let taken = |(place, regex): &(String, Regex)| {
            let mut fields = Fields::new();
            if place != "body" {
                for text in sheet.texts(place) {
                    take(regex, &text, &mut fields);
                }
            }
            fields
        };
        self.take.iter().map(taken).collect()
    }

    /// The same for one piece of the body; `outside` is looked up once for all pieces.
    pub(super) fn fields_of_piece(&self, sheet: &Sheet, outside: &[Fields], body: &str) -> Fields {
        let mut fields = sheet.standard();
        for ((place, regex), taken) in self.take.iter().zip(outside) {
            if place == "body" {
                take(regex, body, &mut fields);
            }
            for (name, value) in taken {
                fields.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        self.map(&mut fields);
        fields
    }

    /// Adds what mapped words stand for.
    pub(super) fn map(&self, fields: &mut Fields) {
        for (name, mapping) in &self.layout.map {
            if let Some(word) = format(&mapping.of, fields)
                && let Some((_, value)) = mapping.words.iter().find(|(w, _)| same_word(w, &word))
            {
                fields.insert(name.clone(), value.clone());
            }
        }
    }
}

fn recognise(
    layout: &Recognise,
    regex: &impl Fn(&str, &str) -> Result<Regex, String>,
) -> Result<Vec<(String, Regex)>, String> {
    let mut all = Vec::new();
    let mut push = |place: &str, pattern: &Option<String>| {
        if let Some(pattern) = pattern {
            all.push((place.to_owned(), regex("recognise", pattern)?));
        }
        Ok::<(), String>(())
    };
    // The long text last: most mails fail at the subject.
    push("subject", &layout.subject)?;
    push("from", &layout.from)?;
    push("body", &layout.body)?;
    for (name, pattern) in &layout.headers {
        all.push((
            format!("header:{name}"),
            regex("recognise.headers", pattern)?,
        ));
    }
    Ok(all)
}

fn each_patterns(
    each: &Each,
    optional: &impl Fn(&str, &Option<String>) -> Result<Option<Regex>, String>,
    list: &impl Fn(&str, &[String]) -> Result<Vec<Regex>, String>,
) -> Result<EachPatterns, String> {
    Ok(EachPatterns {
        item: optional("each.item", &each.item)?,
        start: optional("each.start", &each.start)?,
        section: list("each.section", &each.section)?,
        labels: optional("each.labels", &each.labels)?,
        labels_until: optional("each.labels_until", &each.labels_until)?,
    })
}

impl Sheet<'_> {
    /// The texts at a place.
    pub(super) fn texts(&self, place: &str) -> Vec<String> {
        match place {
            "body" => vec![self.body.clone()],
            "whole" => vec![self.whole.to_owned()],
            "subject" => vec![self.subject.clone()],
            "links" => self
                .page
                .mail
                .links
                .iter()
                .map(|link| texts::unwrapped_link(link))
                .collect(),
            "from" => vec![self.page.mail.headers.author_address()],
            "files" => self
                .page
                .mail
                .files
                .iter()
                .map(|f| texts::clean(&f.text))
                .collect(),
            other => match other.strip_prefix("header:") {
                Some(name) => self
                    .page
                    .mail
                    .headers
                    .all(name)
                    .map(str::to_owned)
                    .collect(),
                None => Vec::new(),
            },
        }
    }

    fn standard(&self) -> Fields {
        let headers = &self.page.mail.headers;
        let from = headers.author_address();
        let (local, host) = from.split_once('@').unwrap_or((&from, ""));
        let name = headers
            .get("from")
            .and_then(|f| f.split_once('<'))
            .map_or("", |(n, _)| n);
        let first_line = self
            .body
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty());
        let mut fields = Fields::new();
        for (key, value) in [
            ("subject", self.subject.as_str()),
            ("from", &from),
            ("from_local", local),
            ("from_host", host),
            ("from_name", name.trim().trim_matches('"')),
            ("message_id", &headers.message_id().unwrap_or_default()),
            ("summary_line", first_line.unwrap_or("")),
        ] {
            insert(&mut fields, key, value);
        }
        fields
    }
}

fn insert(fields: &mut Fields, name: &str, value: &str) {
    let value = text::one_line(text::prefix(value, FIELD_BYTES_MAX));
    if value.is_empty() {
        return;
    }
    let name = if unresolved(&value) { UNRESOLVED } else { name };
    fields.entry(name.to_owned()).or_insert(value);
}

/// A macro that the sender did not fill in.
fn unresolved(value: &str) -> bool {
    (value.starts_with('{') && value.ends_with('}') && value.to_uppercase() == value)
        || (value.starts_with("${") && value.ends_with('}'))
        || (value.len() > 2 && value.starts_with('$') && value.ends_with('$'))
        || value == "*UNKNOWN*"
}

/// Takes the named groups of the first match; names that are known stay.
pub(super) fn take(regex: &Regex, text: &str, fields: &mut Fields) {
    if let Some(captures) = regex.captures(text) {
        groups(regex, &captures, fields);
    }
}

/// Takes the named groups of one match; names that are known stay.
pub(super) fn groups(regex: &Regex, captures: &regex::Captures, fields: &mut Fields) {
    for name in regex.capture_names().flatten() {
        if let Some(found) = captures.name(name) {
            insert(fields, name, found.as_str());
        }
    }
}

/// Takes the named groups of one match over what was known.
pub(super) fn override_groups(regex: &Regex, captures: &regex::Captures, fields: &mut Fields) {
    for name in regex.capture_names().flatten() {
        if let Some(found) = captures.name(name) {
            fields.remove(name);
            insert(fields, name, found.as_str());
        }
    }
}

/// Whether two words are the same but for case and blanks at their ends.
pub(super) fn same_word(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// A format with its placeholders filled in; `None` if one was not taken. Formats joined by ` ?? `
/// are tried in turn.
pub(super) fn format(formats: &str, fields: &Fields) -> Option<String> {
    formats
        .split(" ?? ")
        .find_map(|format| filled(format, fields))
}

fn filled(format: &str, fields: &Fields) -> Option<String> {
    let mut out = String::new();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let (inner, after) = after.split_once('}')?;
        out.push_str(&placeholder(inner, fields)?);
        rest = after;
    }
    out.push_str(rest);
    let out = text::one_line(&out);
    (!out.is_empty()).then_some(out)
}

fn placeholder(inner: &str, fields: &Fields) -> Option<String> {
    let (inner, optional) = match inner.strip_suffix('?') {
        Some(inner) => (inner, true),
        None => (inner, false),
    };
    for choice in inner.split('|') {
        if let Some(literal) = choice.strip_prefix('=') {
            return Some(literal.to_owned());
        }
        let (name, filter) = choice.split_once(':').unwrap_or((choice, ""));
        if let Some(value) = fields.get(name) {
            return Some(filtered(value, filter));
        }
    }
    optional.then(String::new)
}

fn filtered(value: &str, filter: &str) -> String {
    match filter {
        "lower" => value.to_lowercase(),
        "upper" => value.to_uppercase(),
        "set" => "set".to_owned(),
        "nodigits" => value.chars().filter(|c| !c.is_ascii_digit()).collect(),
        "noport" => match value.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
                host.trim_matches(['[', ']']).to_owned()
            }
            _ => value.to_owned(),
        },
        "first" => value.split_whitespace().next().unwrap_or("").to_owned(),
        _ => value.to_owned(),
    }
}
