//! Calendars against a slow model that steps through time, and clocks against themselves.
#![allow(clippy::unwrap_used, clippy::panic)]

use alertbridge::model::{Category, Time};
use alertbridge::sla::calendar::{CalendarText, read_all};
use alertbridge::sla::log::{By, CaseDid, CaseEvent, EndedBy, VoidReason};
use alertbridge::sla::policy::TargetName;
use alertbridge::sla::week::WeekText;
use alertbridge::sla::{Calendar, ClockState, SlaSections, Stage, evaluate};
use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Zones whose clocks change by half an hour, one hour and two, at midnight, and over a date.
const ZONES: [&str; 8] = [
    "Europe/Paris",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Africa/Cairo",
    "Antarctica/Troll",
    "Etc/UTC",
];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn calendar(text: &WeekText) -> Option<Arc<Calendar>> {
    let texts = BTreeMap::from([("it".to_owned(), CalendarText::Week(text.clone()))]);
    let read = read_all(&texts, &TimeZoneDatabase::bundled()).ok()?;
    read.get("it").cloned()
}

/// The wall clock at an instant, but one that never runs backwards: date and second of the day.
struct Wall {
    zone: jiff::tz::TimeZone,
    latest: jiff::civil::DateTime,
}

impl Wall {
    fn at(&mut self, instant: i64) -> jiff::civil::DateTime {
        let at = jiff::Timestamp::from_second(instant).unwrap();
        self.latest = self.latest.max(self.zone.to_datetime(at));
        self.latest
    }
}

fn minutes(text: &str) -> u32 {
    let (hours, minutes) = text.split_once(':').unwrap();
    hours.parse::<u32>().unwrap() * 60 + minutes.parse::<u32>().unwrap()
}

/// Open by the written table, asked for one reading of the wall clock.
fn open_at(text: &WeekText, wall: jiff::civil::DateTime) -> bool {
    let date = wall.date();
    if text.holidays.contains(&date.to_string()) {
        return false;
    }
    let now = u32::try_from(i32::from(wall.hour()) * 60 + i32::from(wall.minute())).unwrap();
    let day = usize::try_from(date.weekday().to_monday_zero_offset()).unwrap();
    let of = |day: usize| text.week.get(DAYS[day]).cloned().unwrap_or_default();
    let today = of(day).iter().any(|(from, end)| {
        let (from, end) = (minutes(from), minutes(end));
        from <= now && (now < end || end <= from)
    });
    let tail = of((day + 6) % 7)
        .iter()
        .any(|(from, end)| minutes(end) <= minutes(from) && now < minutes(end));
    today || tail
}

fn interval() -> impl Strategy<Value = (String, String)> {
    (0u32..48, 1u32..20).prop_map(|(from, long)| {
        let end = (from + long) % 48;
        let text = |half: u32| format!("{:02}:{:02}", half / 2, half % 2 * 30);
        (text(from), text(end))
    })
}

fn week() -> impl Strategy<Value = WeekText> {
    let days = prop::collection::btree_map(0usize..7, interval(), 1..7);
    let holidays = prop::collection::vec(0i64..40, 0..3);
    (0..ZONES.len(), days, holidays, 0i64..2).prop_map(|(zone, days, holidays, half)| {
        let first = begin(half);
        WeekText {
            tz: ZONES[zone].to_owned(),
            week: days
                .into_iter()
                .map(|(day, interval)| (DAYS[day].to_owned(), vec![interval]))
                .collect(),
            holidays: holidays
                .into_iter()
                .map(|day| {
                    let at = jiff::Timestamp::from_second(first + day * 86_400).unwrap();
                    at.strftime("%Y-%m-%d").to_string()
                })
                .collect(),
            overrides: BTreeMap::new(),
        }
    })
}

/// Weeks around the clock changes of spring and of autumn 2026.
fn begin(half: i64) -> i64 {
    let text = if half == 0 {
        "2026-03-01T00:00:00Z"
    } else {
        "2026-10-01T00:00:00Z"
    };
    Time::parse_rfc3339(text).unwrap().0 / 1000
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn due_and_elapsed_agree_with_stepping_through_every_minute(
        text in week(), half in 0i64..2, offset in 0i64..40_000, target in 1i64..3_000,
        pauses in prop::collection::vec((0i64..30_000, 1i64..600), 0..3),
    ) {
        let Some(calendar) = calendar(&text) else { return Ok(()) };
        let start = begin(half) + offset * 60;
        let pauses: Vec<(i64, Option<i64>)> = pauses
            .into_iter()
            .map(|(from, long)| (start + from * 60, Some(start + (from + long) * 60)))
            .collect();
        let zone = TimeZoneDatabase::bundled().get(&text.tz).unwrap();
        let mut wall = Wall { zone, latest: jiff::civil::DateTime::MIN };
        // The wall clock is watched from before the start, so that it knows how late it is.
        for minute in -600..0 {
            wall.at(start + minute * 60);
        }
        let (mut counted, mut due) = (0, None);
        let last = 60_000;
        for minute in 0..last {
            let at = start + minute * 60;
            let paused = pauses.iter().any(|(from, to)| *from <= at && at < to.unwrap());
            if open_at(&text, wall.at(at)) && !paused {
                counted += 1;
                if counted == target {
                    due = Some(at + 60);
                    break;
                }
            }
        }
        let end = due.unwrap_or(start + last * 60);
        prop_assert_eq!(calendar.elapsed(start, end, &pauses), counted * 60);
        if due.is_some() {
            prop_assert_eq!(calendar.due(start, target * 60, &pauses).unwrap(), due);
        }
    }

    #[test]
    fn pausing_never_shortens_and_due_never_lies_before_the_start(
        text in week(), offset in 0i64..40_000, target in 1i64..100_000, from in 0i64..50_000,
        long in 1i64..5_000,
    ) {
        let Some(calendar) = calendar(&text) else { return Ok(()) };
        let start = begin(0) + offset * 60;
        let free = calendar.due(start, target, &[]).unwrap().unwrap();
        let pause = (start + from, Some(start + from + long));
        let paused = calendar.due(start, target, &[pause]).unwrap().unwrap();
        prop_assert!(start <= free && free <= paused);
        prop_assert!(calendar.elapsed(start, free, &[]) == target);
        prop_assert!(calendar.elapsed(start, free - 1, &[]) < target);
    }
}

fn contract() -> Arc<alertbridge::sla::Contract> {
    let path = format!(
        "{}/config/policies/three-level.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let text = format!("{text}\n[contract.acme]\npolicy = \"three-level\"\n");
    let sections: SlaSections = toml::from_str(&text).unwrap();
    let (sla, _) = sections.compile(&TimeZoneDatabase::bundled()).unwrap();
    sla.contracts["acme"].clone()
}

fn did() -> impl Strategy<Value = CaseDid> {
    prop_oneof![
        Just(CaseDid::Ack),
        Just(CaseDid::WaitStart),
        Just(CaseDid::WaitEnd),
        Just(CaseDid::Reply {
            by: By::Staff,
            public: true,
            promise: None
        }),
        Just(CaseDid::Reply {
            by: By::Customer,
            public: true,
            promise: None
        }),
        (1u8..4).prop_map(|to| CaseDid::Severity { to }),
        (1u8..4).prop_map(|severity| CaseDid::Period { severity }),
        (0i64..300).prop_map(|ahead| CaseDid::Reply {
            by: By::Staff,
            public: true,
            promise: Some(Time::from_seconds(begin(0) + ahead * 600)),
        }),
        Just(CaseDid::Assigned),
        Just(CaseDid::Resolved { by: EndedBy::Staff }),
        Just(CaseDid::Resolved {
            by: EndedBy::Monitoring
        }),
        Just(CaseDid::Resolved {
            by: EndedBy::Customer
        }),
        Just(CaseDid::Void {
            reason: VoidReason::FalseAlarm
        }),
        Just(CaseDid::Category {
            to: Category::Inquiry
        }),
        Just(CaseDid::Category {
            to: Category::Incident
        }),
        Just(CaseDid::Reopened {
            firing_during_gap: false
        }),
    ]
}

fn log() -> impl Strategy<Value = Vec<CaseEvent>> {
    prop::collection::vec((0i64..100_000, did()), 0..20).prop_map(|rest| {
        let start = begin(0);
        let opened = CaseDid::Opened {
            category: Category::Incident,
            severity: Some(2),
            reported_at: None,
        };
        let mut log = vec![CaseEvent {
            at: Time(start * 1000),
            what: opened,
        }];
        let mut taken = std::collections::BTreeSet::from([start]);
        // Different instants: order within one is the business of the vectors.
        for (after, what) in rest {
            let at = start + after;
            if taken.insert(at) {
                log.push(CaseEvent {
                    at: Time(at * 1000),
                    what,
                });
            }
        }
        log
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_arrival_makes_no_difference(log in log(), seed in 0u64..1_000) {
        let contract = contract();
        let now = begin(0) + 150_000;
        let straight = evaluate(&log, &contract, now).unwrap();
        let mut shuffled = log;
        let count = shuffled.len();
        for place in 0..count {
            let other = (place as u64 * 7 + seed) as usize % count;
            shuffled.swap(place, other);
        }
        prop_assert_eq!(evaluate(&shuffled, &contract, now).unwrap(), straight);
    }

    #[test]
    fn what_was_told_is_told_once_and_a_breach_stays(log in log()) {
        let contract = contract();
        let mut sorted = log;
        sorted.sort_by_key(|event| event.at);
        let mut told = std::collections::BTreeSet::new();
        let mut verdicts: BTreeMap<_, (ClockState, Option<i64>, Option<i64>)> = BTreeMap::new();
        // Step by step: what is known then, at each event and at each instant it asks for.
        let mut now = begin(0);
        for _ in 0..400 {
            let known: Vec<CaseEvent> =
                sorted.iter().filter(|event| event.at.0 / 1000 <= now).cloned().collect();
            let view = evaluate(&known, &contract, now).unwrap();
            if let Some(next) = view.next {
                prop_assert!(next > now, "asked to wake at {} when it is {}", next, now);
            }
            told.extend(view.moments.iter().map(|moment| moment.key()));
            for clock in &view.clocks {
                let key = (clock.cycle, clock.period, clock.target);
                if let Some(before) = verdicts.get(&key) {
                    // Only what was no incident after all takes a restore verdict out of the count;
                    // one that was restored and fails again soon runs on.
                    let restored = clock.target == TargetName::Restore;
                    let void = restored
                        && (matches!(clock.state, ClockState::Void(_))
                            || before.0 == ClockState::Met);
                    let after = (clock.state, clock.due, clock.settled_at);
                    prop_assert!(void || after == *before, "{before:?} became {clock:?}");
                }
                if matches!(clock.state, ClockState::Met | ClockState::Breached) {
                    verdicts.insert(key, (clock.state, clock.due, clock.settled_at));
                }
            }
            let event = sorted.iter().map(|e| e.at.0 / 1000).find(|at| *at > now);
            match view.next.into_iter().chain(event).min() {
                Some(next) => now = next,
                None => break,
            }
        }
        // Looked at once, at the end: the same breaches, none missed and none more.
        let end = evaluate(&sorted, &contract, now).unwrap();
        for moment in &end.moments {
            prop_assert!(told.contains(&moment.key()), "{} was never told", moment.key());
        }
        // And the same verdicts, cycle by cycle.
        let ends = end.cycles.iter().skip(1).map(|begin| begin - 1).chain([now]);
        for at in ends {
            for clock in evaluate(&sorted, &contract, at).unwrap().clocks {
                let stepped = verdicts.get(&(clock.cycle, clock.period, clock.target));
                if matches!(clock.state, ClockState::Met | ClockState::Breached) {
                    let whole = (clock.state, clock.due, clock.settled_at);
                    prop_assert_eq!(stepped, Some(&whole));
                }
            }
        }
    }

    #[test]
    fn no_clock_is_due_before_it_began_nor_warns_after_it_is_due(log in log()) {
        let contract = contract();
        for after in [1_000, 20_000, 150_000] {
            let view = evaluate(&log, &contract, begin(0) + after).unwrap();
            for clock in &view.clocks {
                prop_assert!(clock.due.is_none_or(|due| due >= clock.start), "{:?}", clock);
            }
            if let Some(due) = view.update.due {
                prop_assert!(due >= begin(0));
                prop_assert!(view.update.risk_at.is_none_or(|risk| risk <= due));
            }
            for moment in view.moments.iter().filter(|m| m.stage == Stage::AtRisk) {
                let clock = view.clocks.iter().find(|clock| {
                    (clock.target, clock.period) == (moment.target, moment.period)
                });
                let due = clock.and_then(|clock| clock.due);
                prop_assert!(due.is_none_or(|due| moment.at <= due), "{:?}", moment);
            }
        }
    }

    #[test]
    fn a_wait_never_brings_a_due_instant_forward(
        log in log(), from in 1i64..90_000, long in 1i64..40_000,
    ) {
        let contract = contract();
        let now = begin(0) + 150_000;
        let waits = |what: &CaseDid| matches!(what, CaseDid::WaitStart | CaseDid::WaitEnd);
        let free: Vec<CaseEvent> = log.into_iter().filter(|event| !waits(&event.what)).collect();
        let mut waiting = free.clone();
        for (at, what) in [(from, CaseDid::WaitStart), (from + long, CaseDid::WaitEnd)] {
            waiting.push(CaseEvent { at: Time((begin(0) + at) * 1000), what });
        }
        let (before, after) = (
            evaluate(&free, &contract, now).unwrap(),
            evaluate(&waiting, &contract, now).unwrap(),
        );
        for (free, paused) in before.clocks.iter().zip(&after.clocks) {
            prop_assert_eq!((free.target, free.period), (paused.target, paused.period));
            // A clock that the wait kept open may meet a severity that the settled one never saw:
            // its due instant is another target's then, its breach still comes no sooner.
            if let (Some(due), Some(later)) = (free.due, paused.due)
                && free.severity == paused.severity
            {
                prop_assert!(due <= later, "{:?} {:?}", free, paused);
                prop_assert!(free.target == TargetName::Restore || due == later);
            }
            if let (Some(breach), Some(later)) = (free.breached_at, paused.breached_at) {
                prop_assert!(breach <= later, "{:?} {:?}", free, paused);
            }
            let met = |state| state == ClockState::Met;
            prop_assert!(!met(free.state) || met(paused.state), "{:?} {:?}", free, paused);
        }
    }
}
