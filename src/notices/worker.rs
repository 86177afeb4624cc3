//! Sends what the engine wants to be told.
//!
//! An attempt is a mark of the journal before its first byte; what came of it is an input, and in the
//! same transaction the mark goes. A mark that is found at a start means that nobody knows: mail
//! servers cannot be asked, so the letter is sent again with the same Message-ID and says that it may
//! come twice. Better twice than never, and never silently. A pager joins the repeat to the call.

use super::mail::Mailer;
use super::pager::Pager;
use super::words::{Enclosed, Templates};
use crate::delivery::backoff;
use crate::limits;
use crate::model::outgoing::{
    NoticeKind, NoticeOutcome, NoticeReport, NoticeState, Page, WantedNotice, Way,
};
use crate::model::{Input, NoticeId, Time};
use crate::relay::Sent;
use crate::store::{Journal, Mark, NewInput, StateStore, StoreError, codec};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The space of the marks.
const SPACE: &str = "notice";
/// Most notices sent at once.
const PARALLEL_MAX: usize = 4;
/// How long the worker waits when nothing calls it.
const IDLE: Duration = Duration::from_millis(500);
/// How often pagers are asked who answered.
const ASK_EVERY: Duration = Duration::from_secs(15);
/// A notice that was not taken for so long is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(48 * 3600);
/// Time that letters under way have when the worker is stopped.
const DRAIN: Duration = Duration::from_secs(5);

/// How notices get out.
#[derive(Default)]
pub struct Ways {
    /// Letters.
    pub mail: Option<Mailer>,
    /// Calls, by the pager's name.
    pub pagers: BTreeMap<String, Pager>,
    /// Words.
    pub templates: Option<Templates>,
}

/// Makes the report of a contract's month when its letter goes out.
pub trait Reports: Send + Sync {
    /// The report as files, with clocks read as of an instant. Otherwise what came of the letter:
    /// [`Sent::Later`] if the store cannot be read now, [`Sent::Refused`] if it will never be made.
    fn files(&self, contract: &str, month: &str, as_of: Time) -> Result<Vec<Enclosed>, Sent>;
}

/// The worker.
pub struct NoticeWorker {
    /// How they get out.
    pub ways: Arc<Ways>,
    /// What makes reports.
    pub reports: Arc<dyn Reports>,
    /// The inputs: reports and marks go there.
    pub journal: Arc<dyn Journal>,
    /// The wanted notices.
    pub state: Arc<dyn StateStore>,
    /// Rung by the engine.
    pub bell: Arc<Notify>,
    /// The wall clock.
    pub now: fn() -> Time,
    /// What it knows of its work.
    pub ledger: NoticeLedger,
}

/// What a worker knows of its work; nothing of it has to outlive the process.
#[derive(Default)]
pub struct NoticeLedger(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    /// By idempotency key: attempts that were begun.
    attempts: BTreeMap<String, Attempt>,
    /// Threads that are worked on: notices of one thread go in order.
    busy: BTreeSet<String>,
    /// Notice and journal place of its report.
    reported: BTreeMap<NoticeId, u64>,
    /// Not before.
    waits: BTreeMap<NoticeId, Time>,
    /// Calls whose answer was reported.
    answered: BTreeSet<NoticeId>,
}

/// The attempts to send one notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Attempt {
    /// How many were begun.
    count: u32,
    /// One of them may have been taken.
    doubt: bool,
    /// When the first was begun.
    first_at: Time,
}

impl NoticeWorker {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.ledger.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let worker = Arc::new(self);
        // Reports of an earlier process are applied first: what they say was sent is not sent again.
        let written = worker.journal.last_seq();
        loop {
            match worker.begin(written) {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => tracing::error!(%error, "notices_unreadable"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(IDLE) => {}
            }
        }
        let mut turns = JoinSet::new();
        let mut asked = tokio::time::Instant::now();
        loop {
            if let Err(error) = worker.begin_turns(&mut turns) {
                tracing::warn!(%error, "notices_paused");
            }
            if asked.elapsed() >= ASK_EVERY {
                asked = tokio::time::Instant::now();
                if let Err(error) = worker.ask_pagers().await {
                    tracing::warn!(%error, "pagers_not_asked");
                }
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = turns.join_next() => {}
                () = worker.bell.notified() => {}
                () = tokio::time::sleep(IDLE) => {}
            }
        }
        let drained = async { while turns.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, drained).await;
    }

    /// Reads the attempts of earlier runs once their reports are applied.
    fn begin(&self, written: u64) -> Result<bool, StoreError> {
        if self.state.cursor()? < written {
            return Ok(false);
        }
        let mut inner = self.lock();
        for (key, value) in self.journal.marks(SPACE)? {
            match postcard::from_bytes::<Attempt>(&value) {
                Ok(attempt) => {
                    inner.attempts.insert(key, attempt);
                }
                Err(error) => tracing::error!(%error, key, "attempt_unreadable"),
            }
        }
        Ok(true)
    }

    /// Everything that waits, in the order in which it was wanted.
    fn waiting(&self) -> Result<Vec<WantedNotice>, StoreError> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = limits::PAGE_ROWS_READ_MAX;
            let rows = self.state.things("notice_wanted", after.as_deref(), page)?;
            let full = rows.len() == page;
            for (key, bytes) in rows {
                let notice: WantedNotice = codec::decode(&bytes)?;
                after = Some(key);
                if notice.state == NoticeState::Waiting {
                    found.push(notice);
                }
            }
            if !full {
                return Ok(found);
            }
        }
    }

    fn begin_turns(self: &Arc<NoticeWorker>, turns: &mut JoinSet<()>) -> Result<(), StoreError> {
        if turns.len() >= PARALLEL_MAX {
            return Ok(());
        }
        let cursor = self.state.cursor()?;
        self.lock().reported.retain(|_, seq| *seq > cursor);
        let now = (self.now)();
        let mut passed: BTreeSet<String> = BTreeSet::new();
        for notice in self.waiting()? {
            if notice.send_at > now || !passed.insert(notice.thread.clone()) {
                continue;
            }
            {
                let mut inner = self.lock();
                let waits = inner.waits.get(&notice.id).is_some_and(|at| now < *at);
                if waits
                    || inner.reported.contains_key(&notice.id)
                    || !inner.busy.insert(notice.thread.clone())
                {
                    continue;
                }
            }
            let worker = self.clone();
            turns.spawn(async move {
                if let Err(error) = worker.turn(&notice).await {
                    tracing::warn!(%error, notice = %notice.id, "notice_not_kept");
                }
                worker.lock().busy.remove(&notice.thread);
                worker.bell.notify_one();
            });
            if turns.len() >= PARALLEL_MAX {
                break;
            }
        }
        Ok(())
    }

    /// One notice's turn.
    async fn turn(&self, listed: &WantedNotice) -> Result<(), StoreError> {
        // What was listed may be older than the claim.
        let key = format!("{:012}", listed.id.0);
        let Some(bytes) = self.state.thing("notice_wanted", &key)? else {
            return Ok(());
        };
        let notice: WantedNotice = codec::decode(&bytes)?;
        if notice.state != NoticeState::Waiting {
            return Ok(());
        }
        let now = (self.now)();
        let earlier = self.lock().attempts.get(&notice.key).cloned();
        let doubted = earlier.as_ref().is_some_and(|attempt| attempt.doubt);
        let attempt = Attempt {
            count: earlier.as_ref().map_or(0, |attempt| attempt.count) + 1,
            doubt: true,
            first_at: earlier.map_or(now, |attempt| attempt.first_at),
        };
        self.journal
            .append(Vec::new(), vec![mark(&notice.key, Some(&attempt))?])
            .await?;
        self.remember(&notice.key, Some(attempt.clone()));
        let (sent, by) = self.send(&notice, doubted).await;
        self.end_turn(&notice, attempt, doubted, sent, by).await
    }

    fn remember(&self, key: &str, attempt: Option<Attempt>) {
        let mut inner = self.lock();
        match attempt {
            Some(attempt) => {
                inner.attempts.insert(key.to_owned(), attempt);
            }
            None => {
                inner.attempts.remove(key);
            }
        }
    }

    async fn send(&self, notice: &WantedNotice, doubted: bool) -> (Sent, Option<String>) {
        let Some(templates) = &self.ways.templates else {
            return (not_now("notices are not configured any more"), None);
        };
        let mut worded = match templates.word(notice, doubted) {
            Ok(worded) => worded,
            Err(reason) => return (Sent::Refused(format!("its words: {reason}")), None),
        };
        if notice.kind == NoticeKind::Report {
            match self.report(notice).await {
                Ok(files) => worded.files = files,
                Err(sent) => return (sent, None),
            }
        }
        match notice.way {
            Way::Mail => match &self.ways.mail {
                Some(mail) => (mail.send(notice, worded).await, None),
                None => (not_now("[notices.mail] is not configured any more"), None),
            },
            Way::Pager => match self.ways.pagers.get(&notice.to) {
                Some(pager) => pager.call(notice, &worded).await,
                None => {
                    let reason = format!("there is no pager `{}` any more", notice.to);
                    (Sent::Refused(reason), None)
                }
            },
        }
    }

    /// The files of a report; many rows are read for it.
    async fn report(&self, notice: &WantedNotice) -> Result<Vec<Enclosed>, Sent> {
        let reports = self.reports.clone();
        let facts = &notice.facts;
        let (contract, month, at) = (facts.contract.clone(), facts.reference.clone(), facts.at);
        let made = tokio::task::spawn_blocking(move || reports.files(&contract, &month, at));
        made.await
            .unwrap_or_else(|error| Err(not_now(&format!("the report was not made: {error}"))))
    }

    async fn end_turn(
        &self,
        notice: &WantedNotice,
        mut attempt: Attempt,
        doubted: bool,
        sent: Sent,
        by: Option<String>,
    ) -> Result<(), StoreError> {
        let now = (self.now)();
        let tired = now.since(attempt.first_at) > GIVEN_UP_AFTER;
        let (outcome, reason) = match sent {
            Sent::Taken => {
                let maybe_twice = doubted && notice.way == Way::Mail;
                (NoticeOutcome::Sent { maybe_twice }, String::new())
            }
            Sent::Refused(reason) => (NoticeOutcome::Dead, format!("refused: {reason}")),
            Sent::Later { reason, .. } | Sent::Unknown(reason) if tired => {
                let hours = GIVEN_UP_AFTER.as_secs() / 3600;
                (
                    NoticeOutcome::Dead,
                    format!("not taken for {hours} hours: {reason}"),
                )
            }
            Sent::Later { reason, .. } => {
                attempt.doubt = doubted;
                (NoticeOutcome::Failing, reason)
            }
            Sent::Unknown(reason) => (NoticeOutcome::Failing, format!("outcome unknown: {reason}")),
        };
        let over = outcome != NoticeOutcome::Failing;
        let kept = (!over).then_some(&attempt);
        let marks = vec![mark(&notice.key, kept)?];
        self.remember(&notice.key, kept.cloned());
        if !over {
            let wait = backoff::wait(attempt.count, rand::random::<f64>());
            self.lock().waits.insert(notice.id, now.plus(wait));
            if notice.reason == reason {
                // Nothing new to tell; the mark is kept all the same.
                self.journal.append(Vec::new(), marks).await?;
                return Ok(());
            }
        }
        let mut reports = vec![NoticeReport {
            notice: notice.id,
            attempts: attempt.count,
            outcome,
            reason,
        }];
        reports.extend(by.map(|by| answer(notice.id, by)));
        let places = self.journal.append(inputs(now, reports), marks).await?;
        if let Some(place) = places.first() {
            let mut inner = self.lock();
            inner.reported.insert(notice.id, *place);
            if over {
                inner.waits.remove(&notice.id);
            }
        }
        Ok(())
    }

    /// Asks the pagers of all calls that go on who answered.
    async fn ask_pagers(&self) -> Result<(), StoreError> {
        let rows = self.state.things("page", None, limits::PAGE_ROWS_MAX)?;
        for (_, bytes) in rows {
            let page: Page = codec::decode(&bytes)?;
            for (name, (notice, thread)) in &page.calls {
                let known = self.lock().answered.contains(notice);
                let Some(pager) = self.ways.pagers.get(name).filter(|_| !known) else {
                    continue;
                };
                if let Some(by) = pager.answered(thread).await {
                    let report = vec![answer(*notice, by)];
                    let input = inputs((self.now)(), report);
                    self.journal.append(input, Vec::new()).await?;
                    self.lock().answered.insert(*notice);
                }
            }
        }
        Ok(())
    }
}

fn not_now(reason: &str) -> Sent {
    Sent::Later {
        reason: reason.to_owned(),
        asked: false,
    }
}

fn answer(notice: NoticeId, by: String) -> NoticeReport {
    NoticeReport {
        notice,
        attempts: 0,
        outcome: NoticeOutcome::Acknowledged { by },
        reason: String::new(),
    }
}

fn inputs(at: Time, reports: Vec<NoticeReport>) -> Vec<NewInput> {
    let input = |report| NewInput {
        at,
        input: Input::Notice(report),
        raw: None,
    };
    reports.into_iter().map(input).collect()
}

/// The mark that stores an attempt, or removes it.
fn mark(key: &str, attempt: Option<&Attempt>) -> Result<Mark, StoreError> {
    let value = attempt.map_or(Ok(Vec::new()), postcard::to_stdvec);
    Ok(Mark {
        space: SPACE,
        key: key.to_owned(),
        value: value.map_err(|error| StoreError::Unreadable {
            what: "an attempt to send a notice".to_owned(),
            reason: error.to_string(),
        })?,
    })
}
