//! From what a template took to events.

use super::layout::{EventFields, Otherwise, State};
use super::pattern::{Fields, Sheet, Template, UNRESOLVED, format, same_word};
use super::pieces::Piece;
use crate::formats::draft::Draft;
use crate::formats::mail::times::{self, Clock};
use crate::formats::{Decoded, Undecodable, signals, words};
use crate::limits::{
    EVENT_AHEAD_SECONDS_MAX, EVENT_TEXT_BYTES_MAX, MAIL_DETAILS_BYTES_MAX, MAIL_EVENTS_MAX,
};
use crate::model::{
    ComponentKind, Event, EventState, Identity, SeverityHint, Suppressed, Time, text,
};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// How far a live alert's own time may lie behind the time of receipt.
const PAST_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// How far it may lie ahead.
const FUTURE_MAX: Duration = Duration::from_secs(EVENT_AHEAD_SECONDS_MAX);
/// Longest joined identity that is kept in words, bytes; longer ones are hashed.
const IDENTITY_BYTES_MAX: usize = 1024;

/// A time that a live alert may have, given when it was received.
pub fn believable(time: Time, received_at: Time) -> Option<Time> {
    (time >= received_at.minus(PAST_MAX) && time <= received_at.plus(FUTURE_MAX)).then_some(time)
}

/// What a state word means.
struct Meaning {
    state: EventState,
    suppressed: Option<Suppressed>,
    test: bool,
    odd: bool,
}

impl Meaning {
    const fn of(state: EventState) -> Meaning {
        Meaning {
            state,
            suppressed: None,
            test: false,
            odd: false,
        }
    }
}

/// `None`: no event.
fn meaning(state: &State, fields: &Fields) -> Result<Option<Meaning>, Undecodable> {
    let word = state.of.iter().find_map(|of| format(of, fields));
    let stands_in = |list: &[String]| {
        word.as_deref()
            .is_some_and(|word| list.iter().any(|w| same_word(w, word)))
    };
    let info = |suppressed| Meaning {
        suppressed: Some(suppressed),
        ..Meaning::of(EventState::Info)
    };
    let found = if stands_in(&state.skip) {
        return Ok(None);
    } else if stands_in(&state.test) {
        Meaning {
            test: true,
            ..Meaning::of(EventState::Info)
        }
    } else if stands_in(&state.flapping) {
        info(Suppressed::Flapping)
    } else if stands_in(&state.downtime) {
        info(Suppressed::Downtime)
    } else if stands_in(&state.unreachable) {
        info(Suppressed::Unreachable)
    } else if stands_in(&state.resolved) {
        Meaning::of(EventState::Resolved)
    } else if stands_in(&state.acknowledged) {
        Meaning::of(EventState::Acknowledged)
    } else if stands_in(&state.info) {
        Meaning::of(EventState::Info)
    } else if stands_in(&state.firing) {
        Meaning::of(EventState::Firing)
    } else {
        match state.otherwise {
            Otherwise::Firing => Meaning::of(EventState::Firing),
            Otherwise::Info => Meaning::of(EventState::Info),
            Otherwise::Odd => Meaning {
                odd: true,
                ..Meaning::of(EventState::Firing)
            },
            Otherwise::Refuse => {
                return Err(Undecodable::because(format!(
                    "no word for the state was found (`{}`)",
                    word.as_deref().unwrap_or("")
                )));
            }
        }
    };
    Ok(Some(found))
}

impl Template {
    /// One event, or one for each piece.
    pub(super) fn events(&self, sheet: &Sheet, fields: Fields) -> Result<Decoded, Undecodable> {
        let mut pieces = self.pieces(sheet, &fields);
        let optional = self.layout.each.as_ref().is_none_or(|each| each.optional);
        if pieces.is_empty() && !optional {
            return Err(Undecodable::because(format!(
                "a mail of {} in which no single alert was found",
                self.layout.title
            )));
        }
        let too_many = pieces.len() > MAIL_EVENTS_MAX;
        pieces.truncate(MAIL_EVENTS_MAX);
        if pieces.is_empty() {
            pieces.push(Piece::of(fields, sheet.whole));
        }
        let details_max = EVENT_TEXT_BYTES_MAX.min(MAIL_DETAILS_BYTES_MAX / pieces.len().max(1));
        let mut events = Vec::new();
        let mut skipped = false;
        for piece in pieces {
            match self.event(sheet, piece, details_max) {
                Ok(Some(event)) => events.push(Ok(event)),
                Ok(None) => skipped = true,
                Err(error) => events.push(Err(error)),
            }
        }
        if events.is_empty() && skipped {
            return Ok(Decoded::ignored(format!(
                "a mail of {} that reports no change",
                self.layout.title
            )));
        }
        let mut decoded = Decoded::from_members(events)?;
        if too_many {
            decoded.problems.push(format!(
                "more than {MAIL_EVENTS_MAX} events in one mail; the first were taken"
            ));
        }
        Ok(decoded)
    }

    fn event(
        &self,
        sheet: &Sheet,
        piece: Piece,
        details_max: usize,
    ) -> Result<Option<Event>, Undecodable> {
        let Piece {
            fields,
            labels,
            text: about,
        } = piece;
        let fields = &fields;
        let (Some(layout), Some(state)) = (&self.layout.event, &self.layout.state) else {
            return Ok(None);
        };
        let Some(mut meaning) = meaning(state, fields)? else {
            return Ok(None);
        };
        let needs = &self.resolved_needs;
        if meaning.state == EventState::Resolved && !needs.iter().all(|n| n.is_match(&sheet.body)) {
            meaning = Meaning::of(EventState::Info);
        }
        let get = |of: &Option<String>| of.as_deref().and_then(|of| format(of, fields));
        let identity = self.identity(layout, fields, &labels, &meaning);
        let kind = get(&layout.kind).and_then(|word| {
            ComponentKind::ALL
                .into_iter()
                .find(|kind| kind.word() == word)
        });
        let (word, hint) = self.severity(fields);
        let mut draft = Draft::new(meaning.state, identity, &layout.identity.join(", "))?
            .severity(word, hint)
            .kind(kind)
            .site(get(&layout.site))
            .host(get(&layout.host).map(|host| host.trim_end_matches('.').to_owned()))
            .component(get(&layout.component))
            .check(get(&layout.check))
            .summary(get(&layout.summary).or_else(|| Some(summary(sheet))))
            .details(text::bounded(about.trim(), details_max))
            .labels(labels)
            .suppressed(meaning.suppressed)
            .test(meaning.test)
            .problem(
                meaning
                    .odd
                    .then(|| "the state word is not known: taken as a problem".into()),
            );
        if let Some(macro_text) = fields.get(UNRESOLVED) {
            let problem = format!("the sender did not fill in `{macro_text}`");
            draft = draft.problem(problem);
        }
        for (name, of) in &layout.labels {
            draft = draft.label(name, format(of, fields));
        }
        for link in &layout.links {
            let link = format(link, fields).map(|l| super::super::text::unwrapped_link(&l));
            draft = draft.link(link);
        }
        draft = self.times(sheet, fields, draft, meaning.state);
        let mut event = draft.finish();
        event.dedup_key = get(&layout.dedup_key);
        if kind.is_none() {
            signals::apply(&mut event);
        }
        Ok(Some(event))
    }

    fn identity(
        &self,
        layout: &EventFields,
        fields: &Fields,
        labels: &[(String, String)],
        meaning: &Meaning,
    ) -> Option<Identity> {
        let mut parts = vec![escaped(&self.layout.name)];
        if meaning.test {
            parts.push("test".to_owned());
        }
        for of in &layout.identity {
            match format(of, fields) {
                Some(part) => parts.push(escaped(&part)),
                // A part all of whose placeholders may be empty.
                None if of.contains("?}") && !of.contains('|') => parts.push(String::new()),
                None => return None,
            }
        }
        if layout.identity_labels {
            if labels.is_empty() {
                return None;
            }
            let mut sorted: Vec<String> = labels
                .iter()
                .map(|(n, v)| escaped(&format!("{n}={v}")))
                .collect();
            sorted.sort();
            parts.extend(sorted);
        }
        let joined = parts.join("|");
        if joined.len() > IDENTITY_BYTES_MAX {
            let digest = Sha256::digest(joined.as_bytes());
            let hex: String = digest.iter().take(16).map(|b| format!("{b:02x}")).collect();
            return Identity::key(format!("{}|{hex}", text::prefix(&joined, 200)));
        }
        Identity::key(joined)
    }

    fn severity(&self, fields: &Fields) -> (Option<String>, SeverityHint) {
        let layout = &self.layout.severity;
        let get = |of: &Option<String>| of.as_deref().and_then(|of| format(of, fields));
        let word = get(&layout.word);
        let decisive = get(&layout.of).or_else(|| word.clone());
        let stands_in = |list: &[String]| {
            decisive
                .as_deref()
                .is_some_and(|word| list.iter().any(|w| same_word(w, word)))
        };
        let hint = if stands_in(&layout.outage) {
            SeverityHint::Outage
        } else if stands_in(&layout.degradation) {
            SeverityHint::Degradation
        } else if stands_in(&layout.redundancy) {
            SeverityHint::Redundancy
        } else if stands_in(&layout.info) {
            SeverityHint::Info
        } else if stands_in(&layout.unknown) {
            SeverityHint::Unknown
        } else {
            match (layout.otherwise, decisive) {
                (Some(hint), _) => hint,
                (None, Some(word)) => words::hint(&word),
                (None, None) => SeverityHint::Unknown,
            }
        };
        (word, hint)
    }

    fn times(&self, sheet: &Sheet, fields: &Fields, draft: Draft, state: EventState) -> Draft {
        let layout = &self.layout.time;
        let zone = layout.zone.as_deref().and_then(|of| format(of, fields));
        let year = layout.year.as_deref().and_then(|of| format(of, fields));
        let clock = Clock {
            order: layout.order,
            zone: zone.as_deref(),
            year: year.and_then(|year| year.parse().ok()),
            ..sheet.page.clock()
        };
        let received_at = sheet.page.received_at;
        let mut odd = None;
        let mut read = |of: &Option<String>, name: &str| {
            let text = of.as_deref().and_then(|of| format(of, fields))?;
            let time = times::read(&text, clock)?;
            let kept = believable(time, received_at);
            if kept.is_none() {
                odd = Some(format!(
                    "{name} `{text}` is too far from the time of receipt"
                ));
            }
            kept
        };
        let sent = read(&layout.sent, "the event's time");
        let start = read(&layout.start, "the start");
        let end = read(&layout.end, "the end");
        let draft = draft
            .sent_at(sent.or(sheet.page.sent_at))
            .starts_at(start)
            .problem(odd);
        if state == EventState::Resolved {
            draft.ends_at(end.or(sent))
        } else {
            draft
        }
    }
}

/// A part of an identity, so that no two lists of parts join to the same text.
fn escaped(part: &str) -> String {
    part.replace('\\', "\\\\").replace('|', "\\|")
}

fn summary(sheet: &Sheet) -> String {
    let subject = sheet.page.subject.trim_matches(['*', ' ']);
    if subject.is_empty() {
        let line = sheet
            .body
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty());
        line.unwrap_or("").to_owned()
    } else {
        subject.to_owned()
    }
}
