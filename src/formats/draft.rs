//! From parts to an [`Event`]: optional parts may be absent, texts are cut to their bounds, and
//! what was odd is noted in the event's `problems`. Without an identity there is no event.

use super::fields::Fields;
use super::{Decoded, Undecodable};
use crate::limits::{
    EVENT_AHEAD_SECONDS_MAX, EVENT_LABEL_BYTES_MAX, EVENT_LABELS_MAX, EVENT_SUMMARY_BYTES_MAX,
    EVENT_TEXT_BYTES_MAX,
};
use crate::model::{
    ComponentKind, Event, EventState, Identity, SeverityHint, Suppressed, Time, short_hash, text,
};
use std::collections::BTreeMap;
use std::time::Duration;

/// Most links of one event.
const LINKS_MAX: usize = 16;

/// An event in the making.
#[derive(Clone, Debug)]
pub struct Draft {
    event: Event,
}

/// Setters for optional texts; an absent text leaves the field as it is.
macro_rules! optional_texts {
    ($($(#[$doc:meta])* $name:ident),+) => {
        $($(#[$doc])*
        pub fn $name(mut self, value: Option<String>) -> Draft {
            if value.is_some() {
                self.event.$name = value;
            }
            self
        })+
    };
}

impl Draft {
    /// Starts with what an event cannot do without. `wanted` names the fields that make the
    /// identity, for the error.
    pub fn new(
        state: EventState,
        identity: Option<Identity>,
        wanted: &str,
    ) -> Result<Draft, Undecodable> {
        let identity = identity.ok_or_else(|| {
            Undecodable::because(format!(
                "nothing tells this problem from another: {wanted} is missing or empty"
            ))
        })?;
        let longest = identity.parts().map(str::len).max().unwrap_or(0);
        if longest > EVENT_LABEL_BYTES_MAX {
            return Err(Undecodable::because(format!(
                "a part of the identity ({wanted}) is {longest} bytes long; at most \
                 {EVENT_LABEL_BYTES_MAX} are allowed"
            )));
        }
        let mut event = Event::new(state, identity, "");
        match event.identity.clone() {
            Identity::Key(key) => event.dedup_key = Some(key),
            Identity::Object {
                site,
                host,
                component,
                check,
            } => {
                let some = |part: String| (!part.is_empty()).then_some(part);
                event.site = some(site);
                event.host = some(host);
                event.component = some(component);
                event.check = some(check);
            }
        }
        Ok(Draft { event })
    }

    /// The state so far.
    pub fn state(&self) -> EventState {
        self.event.state
    }

    optional_texts!(
        /// The sender's own id of the problem, if the identity is not that id.
        dedup_key,
        /// Site, data centre, tenant or organisation.
        site,
        /// Host or device.
        host,
        /// Part of the host.
        component,
        /// What is checked.
        check,
        /// A service id of the inventory.
        service
    );

    /// One line for people.
    pub fn summary(mut self, summary: impl Into<Option<String>>) -> Draft {
        if let Some(summary) = summary.into() {
            self.event.summary = summary;
        }
        self
    }

    /// Longer text for people.
    pub fn details(mut self, details: impl Into<Option<String>>) -> Draft {
        if let Some(details) = details.into() {
            self.event.details = details;
        }
        self
    }

    /// The sender's word, and what it means here. [`SeverityHint::Unknown`] leaves an earlier hint.
    pub fn severity(mut self, word: Option<String>, hint: SeverityHint) -> Draft {
        if word.is_some() {
            self.event.severity = word;
        }
        self.hint(hint)
    }

    /// What the signals suggest; [`SeverityHint::Unknown`] leaves an earlier hint.
    pub fn hint(mut self, hint: SeverityHint) -> Draft {
        if hint != SeverityHint::Unknown {
            self.event.severity_hint = hint;
        }
        self
    }

    /// Kind of the component, if known.
    pub fn kind(mut self, kind: impl Into<Option<ComponentKind>>) -> Draft {
        if let Some(kind) = kind.into() {
            self.event.component_kind = Some(kind);
        }
        self
    }

    /// A label, if it has a value.
    pub fn label(mut self, name: &str, value: impl Into<Option<String>>) -> Draft {
        if let Some(value) = value.into() {
            self.event.labels.insert(name.to_owned(), value);
        }
        self
    }

    /// Labels under the names that they have at the sender.
    pub fn labels(mut self, labels: impl IntoIterator<Item = (String, String)>) -> Draft {
        self.event.labels.extend(labels);
        self
    }

    /// The texts at these paths as labels of the same names.
    pub fn label_fields(mut self, fields: Fields, paths: &[&str]) -> Draft {
        for path in paths {
            if let Some(value) = fields.text(path) {
                self.event.labels.insert((*path).to_owned(), value);
            }
        }
        self
    }

    /// A link back to the sender; anything but `http` and `https` is left out.
    pub fn link(mut self, link: Option<String>) -> Draft {
        let links = &mut self.event.links;
        if let Some(link) = link.filter(|link| is_link(link))
            && links.len() < LINKS_MAX
            && link.len() <= EVENT_LABEL_BYTES_MAX
            && !links.contains(&link)
        {
            links.push(link);
        }
        self
    }

    /// When the problem began.
    pub fn starts_at(mut self, time: Option<Time>) -> Draft {
        self.event.starts_at = time.or(self.event.starts_at);
        self
    }

    /// When it ended, or when the event expires.
    pub fn ends_at(mut self, time: Option<Time>) -> Draft {
        self.event.ends_at = time.or(self.event.ends_at);
        self
    }

    /// When the sender made this event.
    pub fn sent_at(mut self, time: Option<Time>) -> Draft {
        self.event.sent_at = time.or(self.event.sent_at);
        self
    }

    /// A notice about monitoring itself; the state becomes [`EventState::Info`].
    pub fn suppressed(mut self, why: impl Into<Option<Suppressed>>) -> Draft {
        if let Some(why) = why.into() {
            self.event.suppressed = Some(why);
            self.event.state = EventState::Info;
        }
        self
    }

    /// The sender's test button.
    pub fn test(mut self, test: bool) -> Draft {
        self.event.test |= test;
        self
    }

    /// Something odd, as a sentence that names the field.
    pub fn problem(mut self, problem: impl Into<Option<String>>) -> Draft {
        if let Some(problem) = problem.into() {
            self.event.problems.push(problem);
        }
        self
    }

    /// The event, within its bounds and with a summary.
    pub fn finish(self) -> Event {
        let mut event = self.event;
        bound(&mut event);
        if event.summary.is_empty() {
            event.summary = text::into_bounded(fallback_summary(&event), EVENT_SUMMARY_BYTES_MAX);
        }
        event
    }

    /// The event, with kind and hint from its words where the sender's fields do not say.
    pub fn finish_with_signals(self) -> Event {
        let mut event = self.finish();
        super::signals::apply(&mut event);
        event
    }

    /// A message with this one event.
    pub fn decoded(self) -> Decoded {
        Decoded {
            events: vec![self.finish()],
            ..Decoded::default()
        }
    }
}

/// A key of several parts, joined so that no two sets of parts share one: `|` between them, and
/// `|` and `\\` within them escaped. `None` if all parts are empty.
pub fn key_of(parts: &[&str]) -> Option<Identity> {
    if parts.iter().all(|part| part.trim().is_empty()) {
        return None;
    }
    let escaped: Vec<String> = parts
        .iter()
        .map(|part| part.trim().replace('\\', "\\\\").replace('|', "\\|"))
        .collect();
    Identity::key(escaped.join("|"))
}

/// A key of labels without those of the given names: sorted, each with its length, as a hash if
/// that is long.
pub fn labels_key(labels: &BTreeMap<String, String>, without: &[&str]) -> Option<Identity> {
    use sha2::{Digest, Sha256};
    /// Longest key that is kept as it is, bytes.
    const PLAIN_BYTES_MAX: usize = 2048;
    let mut key = String::with_capacity(256);
    for (name, value) in labels {
        if !without.contains(&name.as_str()) {
            push_with_length(&mut key, name);
            key.push('=');
            push_with_length(&mut key, value);
            key.push(',');
        }
    }
    if key.len() > PLAIN_BYTES_MAX {
        let digest = Sha256::digest(key.as_bytes());
        key = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    }
    Identity::key(key)
}

fn push_with_length(key: &mut String, text: &str) {
    key.push_str(itoa::Buffer::new().format(text.len()));
    key.push(':');
    key.push_str(text);
}

/// An identity for a problem that its sender gives no id: a hash of what it says about itself, so
/// that a repeat is the same problem. `None` if all parts are empty.
pub fn derived_key(parts: &[&str]) -> Option<Identity> {
    if parts.iter().all(|part| part.trim().is_empty()) {
        return None;
    }
    Identity::key(short_hash(parts.iter().copied()))
}

/// What the event is about, on one line.
fn fallback_summary(event: &Event) -> String {
    let parts = [&event.host, &event.component, &event.check];
    let named: Vec<&str> = parts.into_iter().flatten().map(String::as_str).collect();
    let named = text::into_one_line(named.join(" "));
    if named.is_empty() {
        text::into_one_line(event.identity.to_string())
    } else {
        named
    }
}

/// Whether a text is a link that people may be given.
fn is_link(text: &str) -> bool {
    let known = text.starts_with("http://") || text.starts_with("https://");
    known && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

/// Drops a start and a time that no clock can have: they lie further ahead of the receipt than
/// [`EVENT_AHEAD_SECONDS_MAX`], and all that the sender says later would count as older. The order
/// of receipt counts then. Notices may speak of the future.
pub fn without_times_ahead(event: &mut Event, received_at: Time) {
    let last = received_at.plus(Duration::from_secs(EVENT_AHEAD_SECONDS_MAX));
    if event.state == EventState::Info {
        return;
    }
    for (name, at) in [
        ("start", &mut event.starts_at),
        ("time", &mut event.sent_at),
    ] {
        if at.take_if(|at| *at > last).is_some() {
            event.problems.push(format!(
                "the {name} lies too far ahead of the receipt and is not believed"
            ));
        }
    }
}

/// Cuts texts to their bounds. Idempotent.
pub fn bound(event: &mut Event) {
    let line = |text: String, most| text::into_bounded(text::into_one_line(text), most);
    event.summary = line(std::mem::take(&mut event.summary), EVENT_SUMMARY_BYTES_MAX);
    if event.details.len() > EVENT_TEXT_BYTES_MAX || event.details.trim() != event.details {
        event.details = text::bounded(event.details.trim(), EVENT_TEXT_BYTES_MAX);
    }
    for field in [
        &mut event.dedup_key,
        &mut event.severity,
        &mut event.site,
        &mut event.host,
        &mut event.component,
        &mut event.check,
        &mut event.service,
    ] {
        let text = field.take().map(|value| line(value, EVENT_LABEL_BYTES_MAX));
        *field = text.filter(|text| !text.is_empty());
    }
    if event.labels.len() > EVENT_LABELS_MAX {
        let count = event.labels.len();
        event.labels = std::mem::take(&mut event.labels)
            .into_iter()
            .take(EVENT_LABELS_MAX)
            .collect();
        event.problems.push(format!(
            "{count} labels; the first {EVENT_LABELS_MAX} by name were kept"
        ));
    }
    let too_long = |text: &String| text.len() > EVENT_LABEL_BYTES_MAX;
    if event
        .labels
        .iter()
        .any(|(name, value)| too_long(name) || too_long(value))
    {
        event.labels = std::mem::take(&mut event.labels)
            .into_iter()
            .map(|(name, value)| {
                (
                    text::into_bounded(name, EVENT_LABEL_BYTES_MAX),
                    text::into_bounded(value, EVENT_LABEL_BYTES_MAX),
                )
            })
            .collect();
    }
    event.problems.truncate(32);
    for problem in &mut event.problems {
        *problem = text::bounded(&text::one_line(problem), EVENT_SUMMARY_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_identity_there_is_no_event_and_the_error_names_the_field() {
        let error = Draft::new(EventState::Firing, None, "`event_id`").unwrap_err();
        assert!(error.reason.contains("`event_id`"));
    }

    #[test]
    fn a_summary_of_nothing_to_read_is_replaced_by_what_the_event_is_about() {
        let identity = Identity::object("", "sw1", "", "ping");
        let draft = Draft::new(EventState::Firing, identity, "`host`").unwrap();
        let event = draft
            .host(Some("\u{0}\u{1}".to_owned()))
            .summary("\u{0} \u{7}".to_owned());
        assert_eq!(event.finish().summary, "ping");
        let draft = Draft::new(EventState::Firing, Identity::key("p-1"), "`id`").unwrap();
        assert_eq!(draft.summary("\u{0}".to_owned()).finish().summary, "p-1");
    }

    #[test]
    fn a_text_of_nothing_to_read_is_absent() {
        let mut event = Event::new(EventState::Firing, Identity::Key("k".to_owned()), "s");
        event.host = Some(" \u{0}\n".to_owned());
        event.severity = Some(String::new());
        bound(&mut event);
        assert_eq!((event.host, event.severity), (None, None));
    }

    #[test]
    fn a_time_that_no_clock_can_have_is_dropped_and_told() {
        let received_at = Time::from_seconds(1_787_293_905);
        let day = |days: u64| Some(received_at.plus(Duration::from_secs(days * 24 * 3600)));
        let mut event = Event::new(EventState::Firing, Identity::Key("k".to_owned()), "s");
        (event.starts_at, event.sent_at, event.ends_at) = (day(1), day(3), day(9000));
        without_times_ahead(&mut event, received_at);
        assert_eq!(
            (event.starts_at, event.sent_at, event.ends_at),
            (day(1), None, day(9000))
        );
        assert!(
            event.problems[0].contains("not believed"),
            "{:?}",
            event.problems
        );
    }

    #[test]
    fn a_key_of_parts_keeps_them_apart() {
        assert_eq!(key_of(&["a", "b"]), Identity::key("a|b"));
        assert_ne!(key_of(&["a|b", "c"]), key_of(&["a", "b|c"]));
        assert_ne!(key_of(&["a\\", "b"]), key_of(&["a\\|b", ""]));
        assert_eq!(key_of(&["", " "]), None);
    }

    #[test]
    fn a_derived_key_keeps_parts_apart_and_needs_one() {
        assert_eq!(derived_key(&["", " "]), None);
        assert_eq!(derived_key(&["a", "b"]), derived_key(&["a", "b"]));
        assert_ne!(derived_key(&["ab", ""]), derived_key(&["a", "b"]));
    }

    #[test]
    fn a_suppressed_event_is_information_and_texts_are_bounded() {
        let event = Draft::new(EventState::Firing, Identity::key("k"), "key")
            .unwrap()
            .summary("two\nlines".to_owned())
            .details("x".repeat(EVENT_TEXT_BYTES_MAX * 2))
            .link(Some("javascript:alert(1)".to_owned()))
            .link(Some("https://a.example/\u{1b}[2J".to_owned()))
            .suppressed(Suppressed::Flapping)
            .finish();
        assert_eq!(event.state, EventState::Info);
        assert_eq!(event.summary, "two lines");
        assert!(event.details.len() <= EVENT_TEXT_BYTES_MAX);
        assert!(event.links.is_empty());
    }
}
