//! What the doors' tests share: a journal that can fail and delay, a decoder of a tiny format, and
//! counters that add up.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

pub mod http_door;
pub mod mail_door;

use alertbridge::formats::{Decoded, Request, Undecodable};
use alertbridge::intake::accept::Intake;
use alertbridge::intake::fence::Fence;
use alertbridge::intake::redact::Redactor;
use alertbridge::intake::repeat::Repeats;
use alertbridge::intake::source::{Source, SourceConfig, Sources};
use alertbridge::intake::{Clock, Decoder, IntakeMetrics, Refused, SystemClock, Tried};
use alertbridge::model::{Event, EventState, Identity, Input, Outcome, Sequenced, Time};
use alertbridge::store::{Journal, Mark, NewInput, StoreError};
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// What the journal does with the next appends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Commit,
    Hold,
    Fail,
    Full,
    /// Fails for one source alone.
    FailFor(&'static str),
}

/// A journal in memory.
pub struct FakeJournal {
    pub rows: Mutex<Vec<NewInput>>,
    marks: Mutex<BTreeMap<String, Vec<u8>>>,
    tried: AtomicUsize,
    mode: watch::Sender<Mode>,
}

impl FakeJournal {
    pub fn new() -> Arc<FakeJournal> {
        Arc::new(FakeJournal {
            rows: Mutex::default(),
            marks: Mutex::default(),
            tried: AtomicUsize::new(0),
            mode: watch::Sender::new(Mode::Commit),
        })
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// How many appends began.
    pub fn tried(&self) -> usize {
        self.tried.load(Ordering::SeqCst)
    }

    pub fn inputs(&self) -> Vec<Input> {
        self.rows
            .lock()
            .unwrap()
            .iter()
            .map(|row| row.input.clone())
            .collect()
    }

    pub fn raws(&self) -> Vec<Vec<u8>> {
        self.rows
            .lock()
            .unwrap()
            .iter()
            .map(|row| row.raw.clone().unwrap_or_default())
            .collect()
    }
}

impl Journal for FakeJournal {
    fn append(
        &self,
        inputs: Vec<NewInput>,
        marks: Vec<Mark>,
    ) -> BoxFuture<'_, Result<Vec<u64>, StoreError>> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        let mut mode = self.mode.subscribe();
        Box::pin(async move {
            let now = *mode.wait_for(|mode| *mode != Mode::Hold).await.unwrap();
            let is_of = |source| inputs.iter().any(|row| row.input.source() == source);
            let now = match now {
                Mode::FailFor(source) if is_of(source) => Mode::Fail,
                other => other,
            };
            match now {
                Mode::Fail => Err(StoreError::Unavailable {
                    what: "journal.db".to_owned(),
                    reason: "no space left on device".to_owned(),
                }),
                Mode::Full => Err(StoreError::Full {
                    source_name: "x".to_owned(),
                    used_bytes: 2,
                    budget_bytes: 1,
                }),
                _ => {
                    let mut rows = self.rows.lock().unwrap();
                    let first = rows.len() as u64 + 1;
                    let count = inputs.len() as u64;
                    rows.extend(inputs);
                    let mut kept = self.marks.lock().unwrap();
                    for mark in marks {
                        match mark.value.is_empty() {
                            true => kept.remove(&mark.key),
                            false => kept.insert(mark.key, mark.value),
                        };
                    }
                    Ok((first..first + count).collect())
                }
            }
        })
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<Sequenced>, StoreError> {
        let rows = self.rows.lock().unwrap();
        let numbered = (1..).zip(rows.iter()).skip(after as usize).take(limit);
        Ok(numbered
            .map(|(seq, row)| Sequenced {
                seq,
                at: row.at,
                input: row.input.clone(),
            })
            .collect())
    }

    fn next(
        &self,
        _after: u64,
        _limit: usize,
        _wait: std::time::Duration,
    ) -> Result<Vec<Sequenced>, StoreError> {
        Ok(Vec::new())
    }

    fn last_seq(&self) -> u64 {
        self.rows.lock().unwrap().len() as u64
    }

    fn raw(&self, _seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(None)
    }

    fn marks(&self, _space: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let marks = self.marks.lock().unwrap().clone();
        Ok(marks.into_iter().collect())
    }
}

/// `{"key", "state", "summary"}`, one or a list; `panic` panics. Mails: the subject is the key.
pub struct TinyDecoder;

fn event_of(value: &serde_json::Value) -> Result<Event, Undecodable> {
    let text = |name: &str| value.get(name).and_then(|v| v.as_str());
    let key =
        text("key").ok_or_else(|| Undecodable::because("`key` is missing; a text was expected"))?;
    assert_ne!(key, "panic", "the decoder's bug");
    let state = match text("state") {
        Some("resolved") => EventState::Resolved,
        _ => EventState::Firing,
    };
    let identity = Identity::key(key).ok_or_else(|| Undecodable::because("`key` is empty"))?;
    let mut event = Event::new(state, identity, text("summary").unwrap_or("x"));
    event.dedup_key = Some(key.to_owned());
    Ok(event)
}

impl Decoder for TinyDecoder {
    fn http(&self, source: &Source, request: &Request) -> Tried {
        let text = if request.method == "GET" {
            format!("{{\"key\":\"{}\"}}", request.query).into_bytes()
        } else {
            request.body.to_vec()
        };
        let decoded = serde_json::from_slice::<serde_json::Value>(&text)
            .map_err(|error| Undecodable::because(format!("not JSON: {error}")))
            .and_then(|value| match value {
                serde_json::Value::Array(list) => list.iter().map(event_of).collect(),
                one => event_of(&one).map(|event| vec![event]),
            })
            .map(|events| Decoded {
                events,
                ..Decoded::default()
            });
        (source.config.kind.clone(), decoded)
    }

    fn mail(&self, _source: &Source, raw: &[u8], _received_at: Time) -> Tried {
        let text = String::from_utf8_lossy(raw);
        let subject = text
            .lines()
            .find_map(|line| line.strip_prefix("Subject: "))
            .unwrap_or("");
        let decoded = match Identity::key(subject) {
            Some(identity) => Ok(Decoded {
                events: vec![Event::new(EventState::Firing, identity, subject)],
                ..Decoded::default()
            }),
            None => Err(Undecodable::because("the mail has no subject")),
        };
        ("tiny".to_owned(), decoded)
    }
}

/// Counters.
#[derive(Default)]
pub struct Counts {
    pub received: Mutex<BTreeMap<String, u64>>,
    pub outcomes: Mutex<BTreeMap<(String, &'static str), u64>>,
    pub refused: Mutex<BTreeMap<&'static str, u64>>,
    pub odd: Mutex<BTreeMap<String, u64>>,
}

impl Counts {
    pub fn received_of(&self, source: &str) -> u64 {
        self.received
            .lock()
            .unwrap()
            .get(source)
            .copied()
            .unwrap_or(0)
    }

    pub fn outcome_of(&self, source: &str, outcome: Outcome) -> u64 {
        let outcomes = self.outcomes.lock().unwrap();
        let key = (source.to_owned(), outcome.word());
        outcomes.get(&key).copied().unwrap_or(0)
    }

    pub fn refused_of(&self, why: Refused) -> u64 {
        self.refused
            .lock()
            .unwrap()
            .get(why.word())
            .copied()
            .unwrap_or(0)
    }
}

impl IntakeMetrics for Counts {
    fn received(&self, source: &str, count: u64) {
        *self
            .received
            .lock()
            .unwrap()
            .entry(source.to_owned())
            .or_default() += count;
    }

    fn outcome(&self, source: &str, outcome: Outcome, count: u64) {
        let key = (source.to_owned(), outcome.word());
        *self.outcomes.lock().unwrap().entry(key).or_default() += count;
    }

    fn odd(&self, source: &str, count: u64) {
        *self
            .odd
            .lock()
            .unwrap()
            .entry(source.to_owned())
            .or_default() += count;
    }

    fn refused(&self, _door: &'static str, why: Refused) {
        *self.refused.lock().unwrap().entry(why.word()).or_default() += 1;
    }
}

/// An intake over fakes.
pub struct Bench {
    pub journal: Arc<FakeJournal>,
    pub counts: Arc<Counts>,
    pub intake: Arc<Intake>,
}

/// The decoders of the product.
pub struct RealDecoder;

impl Decoder for RealDecoder {
    fn http(&self, source: &Source, request: &Request) -> Tried {
        let kind = source.config.kind.clone();
        let outcome = alertbridge::formats::decode_as(&kind, request);
        (kind, outcome)
    }

    fn mail(&self, _source: &Source, raw: &[u8], received_at: Time) -> Tried {
        alertbridge::formats::mail::decode_bytes(raw, received_at)
    }
}

/// A clock that stands still.
pub struct Standing(pub Time);

impl Clock for Standing {
    fn now(&self) -> Time {
        self.0
    }

    fn monotonic(&self) -> std::time::Duration {
        std::time::Duration::from_secs(1)
    }
}

pub fn bench(sources: Vec<SourceConfig>) -> Bench {
    bench_with(
        sources,
        Arc::new(TinyDecoder),
        Arc::new(SystemClock::default()),
    )
}

pub fn bench_with(
    sources: Vec<SourceConfig>,
    decoder: Arc<dyn Decoder>,
    clock: Arc<dyn Clock>,
) -> Bench {
    let journal = FakeJournal::new();
    let counts = Arc::new(Counts::default());
    let defaults = [
        ("native", "native"),
        ("tiny", "tiny"),
        ("mail", "mail"),
        ("prometheus", "alertmanager"),
        ("pagerduty", "pagerduty"),
        ("opsgenie", "opsgenie"),
    ];
    let intake = Arc::new(Intake {
        journal: journal.clone(),
        decoder,
        metrics: counts.clone(),
        clock,
        sources: Arc::new(Sources::new(sources, defaults).unwrap()).into(),
        repeats: Repeats::new(1000),
        fence: Arc::new(Fence::without_marks()),
        redactor: Arc::new(Redactor::new(&[]).unwrap()).into(),
        mail: Default::default(),
        mail_ready: Default::default(),
    });
    Bench {
        journal,
        counts,
        intake,
    }
}

/// Waits until something becomes true.
pub async fn until(what: &str, mut is_true: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if is_true() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    panic!("never happened: {what}");
}
