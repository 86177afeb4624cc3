//! From a decoded message to the journal: mask, take out repeats, append, say what became of each
//! event. Every door ends here.
//!
//! Invariant: [`Intake::accept`] gives `Ok` only after the commit of everything it was given, or,
//! for repeats, of the equal event before them.

use super::fence::Fence;
use super::redact::Redactor;
use super::repeat::{Claim, Repeats, Verdict, Waiting};
use super::senders::MailTrust;
use super::source::{Source, Sources};
use super::{Clock, Decoder, IntakeMetrics, Tried};
use crate::formats::draft;
use crate::limits;
use crate::model::text::{one_line, prefix};
use crate::model::{AlertKey, Event, Input, Message, Outcome, Seen, Time, Undecoded};
use crate::store::{Journal, Mark, NewInput, StoreError};
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::time::Duration;

/// What all doors share.
pub struct Intake {
    /// Where inputs go.
    pub journal: Arc<dyn Journal>,
    /// Turns bytes into our words.
    pub decoder: Arc<dyn Decoder>,
    /// What is counted.
    pub metrics: Arc<dyn IntakeMetrics>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The sources in force; replaced as a whole at a reload.
    pub sources: ArcSwap<Sources>,
    /// The memory of repeats.
    pub repeats: Repeats,
    /// The fence around decoders.
    pub fence: Arc<Fence>,
    /// The masks.
    pub redactor: ArcSwap<Redactor>,
    /// By what authors of mails are judged; replaced as a whole at a reload.
    pub mail: ArcSwap<MailTrust>,
    /// Set once the decoder is ready for mails.
    pub mail_ready: tokio::sync::OnceCell<()>,
}

/// One message on its way to the journal.
pub struct Delivery {
    /// What came of decoding.
    pub tried: Tried,
    /// The bytes as received.
    pub raw: Vec<u8>,
    /// What tells it apart from others of its sort if it goes to quarantine; empty: the source.
    pub group: String,
    /// One line for people if it goes to quarantine.
    pub summary: String,
}

/// What became of one event, or of a message without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// In the journal: its row, and its place in the row.
    Accepted {
        /// The row.
        seq: u64,
        /// The place in the row.
        index: usize,
    },
    /// Changes nothing; an equal one is in the journal.
    Duplicate,
    /// In quarantine, and why.
    Quarantined {
        /// The row.
        seq: u64,
        /// Why.
        reason: String,
    },
    /// Understood and of no interest, and why.
    Ignored {
        /// The row.
        seq: u64,
        /// Why.
        reason: String,
    },
}

/// What became of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// One for each event, in the order of the message; one for a message without events.
    pub fates: Vec<Fate>,
    /// The sender's keys of the events, where they have one, in the same order.
    pub dedup_keys: Vec<Option<String>>,
    /// What was odd about the message.
    pub problems: Vec<String>,
    /// The row of the equal event before the first repeat.
    pub repeat_of: Option<u64>,
}

impl Accepted {
    /// The first row, if a row was written.
    pub fn seq(&self) -> Option<u64> {
        self.fates.iter().find_map(|fate| match fate {
            Fate::Accepted { seq, .. }
            | Fate::Quarantined { seq, .. }
            | Fate::Ignored { seq, .. } => Some(*seq),
            Fate::Duplicate => None,
        })
    }
}

/// One event on its way.
struct Pending {
    event: Event,
    key: AlertKey,
    /// Its place in the list of fates.
    place: usize,
}

/// Claims that are given back as failed if the request is cut off.
struct Claims<'a> {
    repeats: &'a Repeats,
    claims: Vec<Claim>,
}

impl Drop for Claims<'_> {
    fn drop(&mut self) {
        for claim in self.claims.drain(..) {
            self.repeats.failed(claim);
        }
    }
}

/// Counts what was received when it is over, also when the request is cut off: the writer may
/// still commit it. What the store refused was not received.
struct Received<'a> {
    metrics: &'a dyn IntakeMetrics,
    source: &'a str,
    count: u64,
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.metrics.received(self.source, self.count);
        }
    }
}

impl Intake {
    /// Takes in deliveries of one source in one transaction: either all of them or none.
    pub async fn accept(
        &self,
        source: &Arc<Source>,
        deliveries: Vec<Delivery>,
    ) -> Result<Accepted, StoreError> {
        self.accept_marked(source, deliveries, Vec::new()).await
    }

    /// The same, with marks that move in that transaction.
    pub async fn accept_marked(
        &self,
        source: &Arc<Source>,
        deliveries: Vec<Delivery>,
        marks: Vec<Mark>,
    ) -> Result<Accepted, StoreError> {
        let at = self.clock.now();
        let mut accepted = Accepted::default();
        let mut rows = Rows::new(source, at);
        let mut pending: Vec<Pending> = Vec::new();
        let mut odd = 0;
        let redactor = self.redactor.load();
        for delivery in deliveries {
            let clean = redactor.is_clean(&delivery.raw);
            let raw = if clean {
                delivery.raw
            } else {
                redactor.raw(delivery.raw)
            };
            let (sender, tried) = delivery.tried;
            match tried {
                Ok(mut decoded) => {
                    if !clean {
                        redactor.decoded(&mut decoded);
                    }
                    let scope = source.scope_of(decoded.author.as_ref());
                    let events = std::mem::take(&mut decoded.events);
                    accepted.problems.extend(decoded.problems.iter().cloned());
                    let says_more = !decoded.maintenance.is_empty() || !decoded.replies.is_empty();
                    if events.is_empty() || says_more {
                        let place = accepted.push(None);
                        rows.message_alone(sender.clone(), decoded, raw.clone(), place);
                    } else {
                        rows.head(sender.clone(), decoded, raw);
                    }
                    pending.reserve_exact(events.len());
                    accepted.reserve(events.len());
                    for mut event in events {
                        draft::without_times_ahead(&mut event, at);
                        odd += u64::from(!event.problems.is_empty());
                        let key = AlertKey::of(&scope, &event.identity);
                        let place = accepted.push(event.dedup_key.clone());
                        pending.push(Pending { event, key, place });
                    }
                }
                Err(undecodable) => {
                    let place = accepted.push(None);
                    let group = some_or(delivery.group, &source.config.name);
                    let undecoded = Undecoded {
                        source: source.config.name.clone(),
                        sender,
                        reason: redactor.text(&undecodable.reason).into_owned(),
                        group: redactor.text(&group).into_owned(),
                        summary: redactor.text(&delivery.summary).into_owned(),
                        sensitive: source.config.sensitive,
                    };
                    rows.undecoded(undecoded, raw, place);
                }
            }
        }
        drop(redactor);
        let mut received = Received {
            metrics: &*self.metrics,
            source: &source.name,
            count: accepted.fates.len() as u64,
        };
        let appended = self
            .append_all(source, (rows, marks), pending, &mut accepted)
            .await;
        if appended.is_err() {
            received.count = 0;
        }
        drop(received);
        appended?;
        self.count_outcomes(source, &accepted);
        if odd > 0 {
            self.metrics.odd(&source.name, odd);
        }
        Ok(accepted)
    }

    /// Appends in rounds: what is news goes at once; what equals an append under way waits for it
    /// and is asked again. Nothing is held while waiting, so that two requests never wait for each
    /// other. With marks there is one round only, so that they move with all of it.
    async fn append_all(
        &self,
        source: &Arc<Source>,
        (mut rows, mut marks): (Rows<'_>, Vec<Mark>),
        mut pending: Vec<Pending>,
        accepted: &mut Accepted,
    ) -> Result<(), StoreError> {
        let first_round = if marks.is_empty() { 0 } else { 2 };
        for round in first_round..3 {
            let mut claims = Claims {
                repeats: &self.repeats,
                claims: Vec::new(),
            };
            let mut waiting: Vec<(Waiting, Pending)> = Vec::new();
            let now = self.clock.now();
            // Collected in the place of what was pending.
            let news: Vec<Pending> = pending
                .into_iter()
                .filter_map(|next| {
                    let (key, event) = (next.key, &next.event);
                    let may_wait = round < 2;
                    match self.repeats.claim(key, event, &source.name, now, may_wait) {
                        Verdict::Journal(claim) => {
                            claims.claims.push(claim);
                            return Some(next);
                        }
                        Verdict::Repeat(of) => {
                            accepted.repeat_of.get_or_insert(of);
                            accepted.set(next.place, Fate::Duplicate);
                        }
                        Verdict::Wait(wait) => waiting.push((wait, next)),
                    }
                    None
                })
                .collect();
            let (inputs, places) = rows.inputs(news);
            let marks = std::mem::take(&mut marks);
            if !inputs.is_empty() || !marks.is_empty() {
                let seqs = self.journal.append(inputs, marks).await?;
                let done = self.clock.now();
                let mut claims = std::mem::take(&mut claims.claims).into_iter();
                for (seq, row) in seqs.into_iter().zip(places) {
                    for (place, fate) in row {
                        if matches!(fate, Fate::Accepted { .. })
                            && let Some(claim) = claims.next()
                        {
                            self.repeats.committed(claim, seq, done);
                        }
                        accepted.set(place, at_row(fate, seq));
                    }
                }
            }
            if waiting.is_empty() {
                return Ok(());
            }
            pending = Vec::with_capacity(waiting.len());
            let longest = Duration::from_secs(limits::REPEAT_WAIT_SECONDS);
            for (wait, next) in waiting {
                self.repeats.settled(wait, longest).await;
                pending.push(next);
            }
        }
        Ok(())
    }

    fn count_outcomes(&self, source: &Source, accepted: &Accepted) {
        let (mut repeats, mut quarantined) = (0, 0);
        for fate in &accepted.fates {
            match fate {
                Fate::Duplicate => repeats += 1,
                Fate::Quarantined { .. } => quarantined += 1,
                Fate::Accepted { .. } | Fate::Ignored { .. } => {}
            }
        }
        for (outcome, count) in [
            (Outcome::Deduplicated, repeats),
            (Outcome::Quarantined, quarantined),
        ] {
            if count > 0 {
                self.metrics.outcome(&source.name, outcome, count);
            }
        }
    }

    /// Appends the counts of the interval. Counts that cannot be appended come with the next.
    pub async fn append_repeats(&self) -> Result<(), StoreError> {
        let at = self.clock.now();
        let mut left = self.repeats.drain(at);
        while !left.is_empty() {
            let rest = left.split_off(left.len().min(limits::REPEAT_SUMMARY_ROWS_MAX));
            let input = NewInput {
                at,
                input: Input::Seen(left.clone()),
                raw: None,
            };
            if let Err(error) = self.journal.append(vec![input], Vec::new()).await {
                let all: Vec<Seen> = left.into_iter().chain(rest).collect();
                self.repeats.restore(all);
                return Err(error);
            }
            left = rest;
        }
        Ok(())
    }

    /// Appends summaries of repeats at their interval until `stop`, and once more at the end.
    pub async fn run_repeats(&self, stop: tokio_util::sync::CancellationToken) {
        loop {
            let stopped = tokio::time::timeout(self.repeats.interval(), stop.cancelled())
                .await
                .is_ok();
            if let Err(error) = self.append_repeats().await {
                tracing::warn!(%error, "repeats_not_journaled");
            }
            if stopped {
                return;
            }
        }
    }
}

impl Accepted {
    fn reserve(&mut self, events: usize) {
        self.fates.reserve_exact(events);
        self.dedup_keys.reserve_exact(events);
    }

    fn push(&mut self, dedup_key: Option<String>) -> usize {
        self.fates.push(Fate::Duplicate);
        self.dedup_keys.push(dedup_key);
        self.fates.len() - 1
    }

    fn set(&mut self, place: usize, fate: Fate) {
        if let Some(slot) = self.fates.get_mut(place) {
            *slot = fate;
        }
    }
}

fn at_row(fate: Fate, at: u64) -> Fate {
    match fate {
        Fate::Accepted { index, .. } => Fate::Accepted { seq: at, index },
        Fate::Quarantined { reason, .. } => Fate::Quarantined { seq: at, reason },
        Fate::Ignored { reason, .. } => Fate::Ignored { seq: at, reason },
        Fate::Duplicate => Fate::Duplicate,
    }
}

fn some_or(text: String, other: &str) -> String {
    if text.is_empty() {
        other.to_owned()
    } else {
        text
    }
}

/// The one line that people see of a message in quarantine.
pub fn summary_of(bytes: &[u8]) -> String {
    let start = bytes
        .get(..bytes.len().min(4 * limits::QUARANTINE_SUMMARY_BYTES_MAX))
        .unwrap_or_default();
    let line = one_line(&String::from_utf8_lossy(start));
    prefix(&line, limits::QUARANTINE_SUMMARY_BYTES_MAX).to_owned()
}

/// The fates of one row's events by their places in the message.
type RowFates = Vec<(usize, Fate)>;

/// Rows in the making.
struct Rows<'a> {
    source: &'a Source,
    at: Time,
    ready: Vec<(NewInput, RowFates)>,
    head: Option<(Message, Option<Vec<u8>>)>,
}

impl<'a> Rows<'a> {
    fn new(source: &'a Source, at: Time) -> Rows<'a> {
        Rows {
            source,
            at,
            ready: Vec::new(),
            head: None,
        }
    }

    /// A row for what a message says besides events.
    fn message_alone(
        &mut self,
        sender: String,
        decoded: crate::formats::Decoded,
        raw: Vec<u8>,
        place: usize,
    ) {
        let fate = match &decoded.ignored {
            Some(reason) => Fate::Ignored {
                seq: 0,
                reason: reason.clone(),
            },
            None => Fate::Ignored {
                seq: 0,
                reason: "it holds no event".to_owned(),
            },
        };
        let author = decoded.author.clone();
        let message = self.source.message(sender.clone(), decoded);
        let rest = crate::formats::Decoded {
            author,
            ..Default::default()
        };
        self.head = Some((self.source.message(sender, rest), None));
        self.push(Input::Message(message), Some(raw), vec![(place, fate)]);
    }

    /// What the rows of the following events are made from.
    fn head(&mut self, sender: String, decoded: crate::formats::Decoded, raw: Vec<u8>) {
        match &mut self.head {
            // A list of native events: their problems and words come together, the raw bytes are
            // those of the whole request and given once.
            Some((message, kept)) => {
                message.problems.extend(decoded.problems);
                kept.get_or_insert(raw);
            }
            None => self.head = Some((self.source.message(sender, decoded), Some(raw))),
        }
    }

    fn undecoded(&mut self, undecoded: Undecoded, raw: Vec<u8>, place: usize) {
        let fate = Fate::Quarantined {
            seq: 0,
            reason: undecoded.reason.clone(),
        };
        self.push(Input::Undecoded(undecoded), Some(raw), vec![(place, fate)]);
    }

    fn push(&mut self, input: Input, raw: Option<Vec<u8>>, fates: RowFates) {
        let at = self.at;
        self.ready.reserve_exact(1);
        self.ready.push((NewInput { at, input, raw }, fates));
    }

    /// The inputs of this round, with what each row's events become.
    fn inputs(&mut self, news: Vec<Pending>) -> (Vec<NewInput>, Vec<RowFates>) {
        let mut news = news.into_iter().peekable();
        while news.peek().is_some() {
            let Some((head, raw)) = &mut self.head else {
                break;
            };
            let mut message = Message {
                problems: std::mem::take(&mut head.problems),
                ..head.clone()
            };
            let raw = raw.take();
            let count = news.len().min(limits::EVENTS_PER_MESSAGE_MAX);
            message.events.reserve_exact(count);
            let mut fates = Vec::with_capacity(count);
            for (index, next) in news
                .by_ref()
                .take(limits::EVENTS_PER_MESSAGE_MAX)
                .enumerate()
            {
                message.events.push(next.event);
                fates.push((next.place, Fate::Accepted { seq: 0, index }));
            }
            self.push(Input::Message(message), raw, fates);
        }
        // `unzip` would make room for four rows of each where one is needed.
        let ready = std::mem::take(&mut self.ready);
        let mut inputs = Vec::with_capacity(ready.len());
        let mut fates = Vec::with_capacity(ready.len());
        for (input, row) in ready {
            inputs.push(input);
            fates.push(row);
        }
        (inputs, fates)
    }
}
