//! What every tracker has to do, whatever stands behind it. A tracker's own test brings the tracker
//! and a way to act as the people who use it; what it declares that it cannot do is not asked of it.
#![allow(dead_code)]

use alertbridge::model::Time;
use alertbridge::model::memory::TicketMemory;
use alertbridge::model::severity::{Basis, Category, Severity};
use alertbridge::model::ticket::{PersonChange, PersonDid, RemoteRef, TicketFields, TicketStatus};
use alertbridge::trackers::{Called, Change, Draft, OpenTicket, RemoteTicket, Reopens, Tracker};
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// What people do in a tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Staff writes to the customer.
    Answer(&'static str),
    /// Staff writes a note for colleagues.
    Note(&'static str),
    /// The customer writes.
    Customer(&'static str),
    /// An agent takes it.
    Take,
    /// It waits for the customer.
    Wait,
    /// It is resolved.
    Resolve,
    /// It is opened again.
    Reopen,
}

/// The people who use a tracker.
pub trait People: Send + Sync {
    /// Does it; false if nobody can do that in this tracker.
    fn act<'a>(&'a self, ticket: &'a RemoteRef, act: Act) -> BoxFuture<'a, bool>;
}

/// Prepares a test: the TLS library must know its algorithms before a client is built.
pub fn ready() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Says why a test does not run, past the test runner's capture.
pub fn cannot_run(test: &str, why: &str) {
    let line = format!("\nCANNOT RUN {test}: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// An environment variable that is set.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Why a test before the real Request Tracker does not run.
pub const NO_RT: &str =
    "ALERTBRIDGE_TEST_RT is not set; `tests/services/rt.sh start` says what to set";

/// Address and token of the real Request Tracker; says so if there is none.
pub fn real_rt(test: &str) -> Option<(String, String)> {
    let found = variable("ALERTBRIDGE_TEST_RT").zip(variable("ALERTBRIDGE_TEST_RT_TOKEN"));
    if found.is_none() {
        cannot_run(test, NO_RT);
    }
    found
}

/// The wall clock.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time(i64::try_from(since.unwrap().as_millis()).unwrap())
}

/// A key that no other test or run has.
pub fn fresh_key() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("ab-{:016x}{:08x}{count:08x}", now().0, std::process::id())
}

pub fn fields(subject: &str) -> TicketFields {
    TicketFields {
        subject: subject.to_owned(),
        status: TicketStatus::New,
        severity: Some(Severity::S3),
        queue: String::new(),
    }
}

pub fn draft(key: &str, subject: &str) -> Draft {
    Draft {
        key: key.to_owned(),
        fields: fields(subject),
        body: format!("{subject}\n\n> as the monitor said\n"),
        kind: String::new(),
        requestor: String::new(),
        watchers: Vec::new(),
        custom: Vec::new(),
        attachments: Vec::new(),
        follows: None,
    }
}

/// The answer of a call that must have been done.
#[track_caller]
pub fn done<T: std::fmt::Debug>(called: Called<T>) -> T {
    match called {
        Called::Done(value) => value,
        other => panic!("not done: {other:?}"),
    }
}

/// All that is asked of every tracker.
pub async fn holds(tracker: &dyn Tracker, people: &dyn People) {
    a_ticket_is_found_by_its_key_and_only_by_it(tracker).await;
    changes_reach_our_fields_and_no_others(tracker).await;
    notes_are_found_by_their_markers(tracker).await;
    twins_are_closed(tracker).await;
    hostile_text_stays_text(tracker).await;
    what_people_do_is_told_once(tracker, people).await;
    open_ones_are_listed_with_their_past(tracker, people).await;
    the_check_finds_nothing_wrong(tracker).await;
}

pub async fn a_ticket_is_found_by_its_key_and_only_by_it(tracker: &dyn Tracker) {
    let (key, other) = (fresh_key(), fresh_key());
    let remote = done(tracker.open(&draft(&key, "web-1 is down")).await);
    done(tracker.open(&draft(&other, "web-2 is down")).await);
    assert!(!remote.key.is_empty());
    if !tracker.capabilities().finds_by_key {
        return;
    }
    let found = done(tracker.find(&key).await);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].remote.key, remote.key);
    assert_eq!(found[0].key, key);
    assert_eq!(found[0].fields.subject, "web-1 is down");
    assert!(!found[0].fields.status.is_over());
    let nobody = done(tracker.find(&fresh_key()).await);
    assert_eq!(nobody, Vec::<RemoteTicket>::new());
    let part = key.get(..key.len() - 1).unwrap();
    assert_eq!(done(tracker.find(part).await), Vec::<RemoteTicket>::new());
}

pub async fn changes_reach_our_fields_and_no_others(tracker: &dyn Tracker) {
    if !tracker.capabilities().reads_back {
        return;
    }
    let key = fresh_key();
    let remote = done(tracker.open(&draft(&key, "psu-1 failed")).await);
    let before = done(tracker.read(&remote).await).fields;
    let mut to = before.clone();
    to.status = TicketStatus::Resolved;
    let change = Change::Fields {
        from: Some(before.clone()),
        to: to.clone(),
    };
    done(tracker.change(&remote, &change).await);
    let after = done(tracker.read(&remote).await).fields;
    assert!(after.status.is_over(), "{after:?}");
    assert_eq!(after.subject, before.subject);
    assert_eq!(after.severity, before.severity);
    if tracker.capabilities().reopens != Reopens::Never {
        let change = Change::Fields {
            from: Some(after.clone()),
            to: TicketFields {
                subject: "psu-1 and psu-2 failed".to_owned(),
                status: TicketStatus::Open,
                severity: Some(Severity::S1),
                ..after
            },
        };
        done(tracker.change(&remote, &change).await);
        let ticket = done(tracker.read(&remote).await);
        assert_eq!(ticket.fields.subject, "psu-1 and psu-2 failed");
        assert!(!ticket.fields.status.is_over());
        assert_eq!(ticket.key, key, "the key is still there");
        if before.severity.is_some() {
            let urgent = TicketFields {
                severity: Some(Severity::S1),
                ..before
            };
            assert_eq!(ticket.fields.severity, tracker.as_kept(&urgent).severity);
        }
    }
}

pub async fn notes_are_found_by_their_markers(tracker: &dyn Tracker) {
    if !tracker.capabilities().reads_back {
        return;
    }
    let key = fresh_key();
    let remote = done(tracker.open(&draft(&key, "link flaps")).await);
    let status = done(tracker.read(&remote).await).fields.status;
    for (n, public) in [(0, false), (1, true), (2, false)] {
        let change = Change::Note {
            marker: format!("{key}-{n}"),
            text: format!("It flapped {n} times.\n> ge-0/0/1 \"down\" & <up>"),
            public,
            about: "link flaps".to_owned(),
        };
        done(tracker.change(&remote, &change).await);
    }
    let ticket = done(tracker.read(&remote).await);
    for n in 0..3 {
        let marker = format!("{key}-{n}");
        let holds = ticket.markers.iter().filter(|m| **m == marker).count();
        assert_eq!(holds, 1, "{marker} in {:?}", ticket.markers);
    }
    assert_eq!(ticket.fields.status, status, "a note moves no status");
}

pub async fn twins_are_closed(tracker: &dyn Tracker) {
    if !tracker.capabilities().finds_by_key || !tracker.capabilities().links {
        return;
    }
    let key = fresh_key();
    let first = done(tracker.open(&draft(&key, "fan failed")).await);
    let second = done(tracker.open(&draft(&key, "fan failed")).await);
    if first == second {
        return;
    }
    assert_eq!(done(tracker.find(&key).await).len(), 2);
    let change = Change::CloseAsDuplicateOf(first.clone());
    done(tracker.change(&second, &change).await);
    let live: Vec<_> = done(tracker.find(&key).await)
        .into_iter()
        .filter(|ticket| !ticket.fields.status.is_over())
        .collect();
    assert_eq!(live.len(), 1, "{live:?}");
    assert_eq!(live[0].remote.key, first.key);
}

/// Long, many-byte, quoting, tag-like and header-like text: the ticket is made and found, and its
/// subject is one bounded line.
pub async fn hostile_text_stays_text(tracker: &dyn Tracker) {
    let max = tracker.capabilities().subject_chars_max;
    for subject in [
        "日本語のホスト名が長い🔥".repeat(60),
        "a'b\"c\\d%e_f{g}h|i;j--k<script>alert(1)</script>&amp;@all *bold* #7".to_owned(),
        "[web pool #1] Ticket#12 is\r\nBcc: everyone@example.com\u{0}".to_owned(),
        "${jndi:ldap://x} {{ 7 * 7 }} <%= x %> !image! h1. title /close".to_owned(),
    ] {
        let key = fresh_key();
        let mut draft = draft(&key, &subject);
        draft.body = format!("{subject}\n```\n</pre></p>\n/close\n@everyone");
        let remote = done(tracker.open(&draft).await);
        if !tracker.capabilities().reads_back {
            continue;
        }
        let read = done(tracker.read(&remote).await);
        assert!(read.fields.subject.chars().count() <= max);
        assert!(!read.fields.subject.contains(['\n', '\r', '\u{0}']));
        assert!(
            !read.fields.subject.contains("#1]"),
            "{}",
            read.fields.subject
        );
        assert!(!read.fields.status.is_over());
        if tracker.capabilities().finds_by_key {
            assert_eq!(done(tracker.find(&key).await).len(), 1);
        }
    }
}

pub async fn what_people_do_is_told_once(tracker: &dyn Tracker, people: &dyn People) {
    if !tracker.capabilities().reads_changes {
        return;
    }
    let (key, foreign) = (fresh_key(), fresh_key());
    let ticket = done(tracker.open(&draft(&key, "core-1 is down")).await);
    let other = done(tracker.open(&draft(&foreign, "not the bridge's")).await);
    let known = ticket.key.clone();
    let known = move |key: &str| key == known;
    let (_, cursor) = done(tracker.changes("", &known).await);
    let own = Change::Note {
        marker: format!("{key}-9"),
        text: "The bridge's own note.".to_owned(),
        public: false,
        about: "link flaps".to_owned(),
    };
    done(tracker.change(&ticket, &own).await);
    let mut expected = Vec::new();
    for act in [
        Act::Take,
        Act::Answer("We are on it."),
        Act::Note("Spare part ordered."),
        Act::Wait,
        Act::Customer("It works again."),
        Act::Resolve,
        Act::Reopen,
    ] {
        if people.act(&ticket, act).await {
            expected.push(act);
        }
    }
    people
        .act(&other, Act::Note("Nobody asked for this."))
        .await;
    let (told, next) = until(tracker, &cursor, &known, &expected).await;
    for change in &told {
        assert_eq!(
            change.remote, ticket.key,
            "only tickets that are known: {change:?}"
        );
        assert!(
            !format!("{change:?}").contains("own note"),
            "the bridge is nobody: {change:?}"
        );
    }
    let ids: BTreeSet<_> = told.iter().map(|change| &change.change_id).collect();
    assert_eq!(ids.len(), told.len(), "each change has its own id");
    let (again, _) = done(tracker.changes(&next, &known).await);
    assert_eq!(again, Vec::new(), "nothing is told twice");
}

/// Polls until everything expected was told; the tracker may show it late.
async fn until(
    tracker: &dyn Tracker,
    cursor: &str,
    known: &(dyn Fn(&str) -> bool + Send + Sync),
    expected: &[Act],
) -> (Vec<PersonChange>, String) {
    let mut told = Vec::new();
    let mut cursor = cursor.to_owned();
    for _ in 0..40 {
        let (more, next) = done(tracker.changes(&cursor, known).await);
        told.extend(more);
        cursor = next;
        let mut rest = told.iter();
        // In order: each expected one stands after the one before it.
        if expected.iter().all(|act| rest.any(|c| is(*act, &c.what))) {
            return (told, cursor);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("not all of {expected:?} was told: {told:#?}");
}

fn is(act: Act, what: &PersonDid) -> bool {
    match (act, what) {
        (Act::Answer(words), PersonDid::Answered { text, .. })
        | (Act::Note(words), PersonDid::Noted { text })
        | (Act::Customer(words), PersonDid::CustomerWrote { text }) => text.contains(words),
        (Act::Take, PersonDid::Owner(owner)) => !owner.is_empty(),
        (Act::Wait, PersonDid::Status(status)) => *status == TicketStatus::WaitingCustomer,
        (Act::Resolve, PersonDid::Status(status)) => status.is_over(),
        (Act::Reopen, PersonDid::Status(status)) => !status.is_over(),
        _ => false,
    }
}

/// What is left when the bridge has lost its store: whoever else's ticket is not listed, and what
/// people did has the ids that a poll tells.
pub async fn open_ones_are_listed_with_their_past(tracker: &dyn Tracker, people: &dyn People) {
    if !tracker.capabilities().lists_open {
        return;
    }
    let cursor = cursor_now(tracker).await;
    let line = memory().line();
    let with_memory = |key: &str| Draft {
        body: format!("psu-1 failed\n\n> it_is *said*\n\n{line}\n"),
        ..draft(key, "psu-1 failed")
    };
    let (key, over) = (fresh_key(), fresh_key());
    let ticket = done(tracker.open(&with_memory(&key)).await);
    let ended = done(tracker.open(&with_memory(&over)).await);
    let none = done(tracker.open(&draft("", "nobody's")).await);
    assert!(people.act(&ended, Act::Resolve).await);
    assert!(people.act(&ticket, Act::Answer("We look at it.")).await);
    assert!(people.act(&ticket, Act::Wait).await);
    let began = SystemTime::now();
    let (mine, all) = loop {
        let all = done(tracker.open_tickets().await);
        let mine = all.iter().find(|open| open.ticket.remote.key == ticket.key);
        let waits = |open: &&OpenTicket| open.ticket.fields.status == TicketStatus::WaitingCustomer;
        if let Some(mine) = mine.filter(waits) {
            break (mine.clone(), all);
        }
        assert!(
            began.elapsed().unwrap() < Duration::from_secs(60),
            "{mine:?}"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    };
    assert!(all.iter().all(|open| open.ticket.remote.key != ended.key));
    assert!(all.iter().all(|open| open.ticket.remote.key != none.key));
    assert!(all.iter().all(|open| open.ticket.key.starts_with("ab-")));
    assert_eq!(mine.ticket.key, key);
    assert_eq!(mine.ticket.fields.severity, Some(Severity::S3));
    assert!(mine.ticket.created_at.is_some());
    assert_eq!(
        TicketMemory::read(&mine.text),
        Some(memory()),
        "{}",
        mine.text
    );
    let answered = |what: &PersonDid| matches!(what, PersonDid::Answered { .. });
    let waits = |what: &PersonDid| *what == PersonDid::Status(TicketStatus::WaitingCustomer);
    let at = |is: &dyn Fn(&PersonDid) -> bool| mine.history.iter().position(|c| is(&c.what));
    let (answer, wait) = (at(&answered).unwrap(), at(&waits).unwrap());
    assert!(answer < wait, "{:?}", mine.history);
    let known = |remote: &str| remote == ticket.key;
    let mut polled: Vec<PersonChange> = Vec::new();
    let mut cursor = cursor;
    let began = SystemTime::now();
    while polled.len() < mine.history.len() {
        let (changes, next) = done(tracker.changes(&cursor, &known).await);
        polled.extend(changes);
        cursor = next;
        assert!(
            began.elapsed().unwrap() < Duration::from_secs(60),
            "{polled:?}"
        );
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    for change in &mine.history {
        assert!(polled.contains(change), "{change:?} is none of {polled:?}");
    }
}

fn memory() -> TicketMemory {
    TicketMemory {
        generation: "0123abcd".to_owned(),
        incident: 12,
        route: "operations_1".to_owned(),
        cycle: 1,
        contract: Some("acme".to_owned()),
        category: Category::Incident,
        severity: Some(Severity::S3),
        basis: Basis::Rule,
        opened_at: Time::from_seconds(1_780_000_000),
        sensitive: false,
        about: None,
    }
}

pub async fn the_check_finds_nothing_wrong(tracker: &dyn Tracker) {
    let said = tracker.check(now()).await;
    assert!(!said.is_empty());
    let wrong: Vec<_> = said.iter().filter_map(|line| line.as_ref().err()).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Where to follow a ticket from now on.
pub async fn cursor_now(tracker: &dyn Tracker) -> String {
    done(tracker.changes("", &|_| false).await).1
}

/// Values that people gave the field of promises since then: as many as are waited for.
pub async fn promises(
    tracker: &dyn Tracker,
    cursor: &str,
    ticket: &RemoteRef,
    count: usize,
) -> Vec<String> {
    let known = |key: &str| key == ticket.key;
    let mut cursor = cursor.to_owned();
    let mut values = Vec::new();
    for _ in 0..40 {
        let (told, next) = done(tracker.changes(&cursor, &known).await);
        cursor = next;
        values.extend(told.into_iter().filter_map(|change| match change.what {
            PersonDid::Promised { value } => Some(value),
            _ => None,
        }));
        if values.len() >= count {
            return values;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    panic!("only {values:?} was told");
}
