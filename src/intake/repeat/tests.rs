use super::*;
use crate::model::Identity;

fn event(state: EventState, summary: &str) -> Event {
    Event::new(state, Identity::key("p1").unwrap(), summary)
}

fn key() -> AlertKey {
    AlertKey::of("s", &Identity::key("p1").unwrap())
}

fn source() -> Arc<str> {
    Arc::from("s")
}

fn ask(repeats: &Repeats, event: &Event, now: Time) -> Verdict {
    repeats.claim(key(), event, &source(), now, true)
}

fn journal(repeats: &Repeats, event: &Event, seq: u64, now: Time) {
    match ask(repeats, event, now) {
        Verdict::Journal(claim) => repeats.committed(claim, seq, now),
        _ => panic!("expected a row"),
    }
}

fn is_repeat(repeats: &Repeats, event: &Event, now: Time) -> bool {
    matches!(ask(repeats, event, now), Verdict::Repeat(_))
}

const NOW: Time = Time(1_700_000_000_000);

#[test]
fn texts_and_expiry_repeat_state_severity_and_labels_do_not() {
    let repeats = Repeats::new(10);
    let mut first = event(EventState::Firing, "disk 91 %");
    journal(&repeats, &first, 1, NOW);
    first.summary = "disk 92 %".into();
    first.details = "other".into();
    first.ends_at = Some(Time(NOW.0 + 60_000));
    assert!(is_repeat(&repeats, &first, NOW));
    let seen = repeats.drain(NOW);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].count, 1);
    assert_eq!(seen[0].summary.as_deref(), Some("disk 92 %"));
    assert_eq!(seen[0].ends_at, first.ends_at);
    for change in [0, 1, 2, 3] {
        let mut other = first.clone();
        match change {
            0 => other.state = EventState::Resolved,
            1 => other.severity = Some("critical".into()),
            2 => drop(other.labels.insert("a".into(), "b".into())),
            _ => other.starts_at = Some(NOW),
        }
        assert!(!is_repeat(&repeats, &other, NOW), "change {change}");
    }
}

#[test]
fn an_entry_is_refreshed_by_a_full_row_and_swept() {
    let repeats = Repeats::new(10);
    let firing = event(EventState::Firing, "x");
    journal(&repeats, &firing, 1, NOW);
    let late = NOW.plus(Duration::from_secs(15 * 60));
    assert!(is_repeat(
        &repeats,
        &firing,
        late.minus(Duration::from_secs(1))
    ));
    assert!(!is_repeat(&repeats, &firing, late));
    assert_eq!(repeats.drain(late).len(), 1);
    assert_eq!(repeats.len(), 0);
}

#[test]
fn the_highest_place_in_the_journal_wins_however_appends_finish() {
    let repeats = Repeats::new(10);
    let (firing, resolved) = (
        event(EventState::Firing, "x"),
        event(EventState::Resolved, "x"),
    );
    let Verdict::Journal(first) = ask(&repeats, &firing, NOW) else {
        panic!()
    };
    let Verdict::Journal(second) = ask(&repeats, &resolved, NOW) else {
        panic!()
    };
    // Different events are under way: an equal one may not wait for the outcome.
    let Verdict::Journal(third) = ask(&repeats, &firing, NOW) else {
        panic!()
    };
    repeats.failed(third);
    repeats.committed(second, 1, NOW);
    repeats.committed(first, 2, NOW);
    assert!(!is_repeat(&repeats, &resolved, NOW));
}

#[test]
fn in_the_highest_place_the_last_of_a_row_wins() {
    let repeats = Repeats::new(10);
    let (firing, resolved) = (
        event(EventState::Firing, "x"),
        event(EventState::Resolved, "x"),
    );
    let Verdict::Journal(first) = ask(&repeats, &firing, NOW) else {
        panic!()
    };
    let Verdict::Journal(second) = ask(&repeats, &resolved, NOW) else {
        panic!()
    };
    repeats.committed(first, 7, NOW);
    repeats.committed(second, 7, NOW);
    assert!(is_repeat(&repeats, &resolved, NOW));
}

#[test]
fn a_failed_append_leaves_nothing_to_repeat() {
    let repeats = Repeats::new(10);
    let firing = event(EventState::Firing, "x");
    let Verdict::Journal(claim) = ask(&repeats, &firing, NOW) else {
        panic!()
    };
    repeats.failed(claim);
    assert!(matches!(ask(&repeats, &firing, NOW), Verdict::Journal(_)));
}

#[tokio::test]
async fn an_equal_event_waits_for_the_first_ones_commit() {
    let repeats = Arc::new(Repeats::new(10));
    let firing = event(EventState::Firing, "x");
    let Verdict::Journal(claim) = ask(&repeats, &firing, NOW) else {
        panic!()
    };
    let Verdict::Wait(waiting) = ask(&repeats, &firing, NOW) else {
        panic!()
    };
    let waiter = tokio::spawn({
        let repeats = repeats.clone();
        async move { repeats.settled(waiting, Duration::from_secs(60)).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiter.is_finished());
    repeats.committed(claim, 1, NOW);
    waiter.await.unwrap();
    assert!(is_repeat(&repeats, &firing, NOW));
}

#[test]
fn when_full_everything_new_is_journaled() {
    let repeats = Repeats::new(0);
    let firing = event(EventState::Firing, "x");
    journal(&repeats, &firing, 1, NOW);
    journal(&repeats, &firing, 2, NOW);
    assert!(repeats.is_empty());
}

#[test]
fn counts_that_could_not_be_appended_come_again() {
    let repeats = Repeats::new(10);
    let firing = event(EventState::Firing, "x");
    journal(&repeats, &firing, 1, NOW);
    assert!(is_repeat(&repeats, &firing, NOW));
    let seen = repeats.drain(NOW);
    assert!(is_repeat(&repeats, &firing, NOW));
    repeats.restore(seen);
    assert_eq!(repeats.drain(NOW)[0].count, 2);
}

#[test]
fn summaries_come_within_a_quarter_of_the_shortest_expiry() {
    let repeats = Repeats::new(10);
    assert_eq!(repeats.interval(), Duration::from_secs(10));
    let mut firing = event(EventState::Firing, "x");
    firing.ends_at = Some(NOW.plus(Duration::from_secs(20)));
    let _ = ask(&repeats, &firing, NOW);
    assert!(repeats.interval() < Duration::from_secs(5));
    assert_eq!(repeats.interval(), Duration::from_secs(10));
}

#[test]
fn an_entry_is_small() {
    assert!(size_of::<(AlertKey, Entry)>() <= 56);
}
