//! What clocks cost: due instants on business calendars, and open clocks evaluated again after a
//! change of the policy or of a calendar.
//!
//! `cargo bench --bench sla` prints a table of the growth from 1,000 to 1,000,000 open clocks first:
//! the cost of a clock must not grow with their number. Required on one core: a due instant within a
//! month under 20 µs, 2,000 business hours under 1 ms, 100,000 open clocks in under 1 s.
#![allow(missing_docs)]

use alertbridge::model::{Category, Time};
use alertbridge::sla::log::{By, CaseDid, CaseEvent};
use alertbridge::sla::{Calendar, ClockState, Contract, SlaSections, View, evaluate};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::tz::TimeZoneDatabase;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tuesday 2 June 2026, 00:00 UTC.
const START: i64 = 1_780_358_400;
const HOUR: i64 = 3600;
/// Numbers of open clocks.
const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// When the clocks are looked at: the cases began within the last days.
const NOW: i64 = START + 4 * 24 * HOUR;

fn compiled(policy: &str) -> Option<(Arc<Calendar>, Arc<Contract>)> {
    let text = format!("{policy}\n[contract.acme]\npolicy = \"three-level\"\n");
    let sections: SlaSections = toml::from_str(&text).ok()?;
    let (sla, _) = sections.compile(&TimeZoneDatabase::bundled()).ok()?;
    let calendar = sla.calendars.get("provider-local")?.clone();
    Some((calendar, sla.contracts.get("acme")?.clone()))
}

const POLICY: &str = include_str!("../config/policies/three-level.toml");

/// The policy, and the same with other lengths and another holiday.
fn before_and_after() -> Option<(Arc<Contract>, Arc<Contract>)> {
    let changed = POLICY
        .replace("within = \"48h\"", "within = \"40h\"")
        .replace("\"2026-12-25\"", "\"2026-06-08\", \"2026-12-25\"");
    Some((compiled(POLICY)?.1, compiled(&changed)?.1))
}

fn is_open(state: ClockState) -> bool {
    matches!(state, ClockState::Running | ClockState::Paused)
}

fn open_in(view: &View) -> usize {
    let clocks = view.clocks.iter().filter(|clock| is_open(clock.state));
    clocks.count() + usize::from(view.update.due.is_some())
}

/// Cases with so many open clocks in all.
fn open_cases(clocks: usize, contract: &Contract) -> Vec<Vec<CaseEvent>> {
    let mut cases = Vec::new();
    let (mut open, mut number) = (0, 0);
    while open < clocks {
        let log = case(number);
        number += 1;
        open += evaluate(&log, contract, NOW).map_or(0, |view| open_in(&view));
        cases.push(log);
    }
    cases
}

/// What a change does: each case under the terms before and after, and which due instants moved.
fn changed(cases: &[Vec<CaseEvent>], before: &Contract, after: &Contract) -> usize {
    let moved = |log: &Vec<CaseEvent>| {
        let (then, now) = (evaluate(log, before, NOW)?, evaluate(log, after, NOW)?);
        let both = then.clocks.iter().zip(&now.clocks);
        Some(both.filter(|(then, now)| then.due != now.due).count())
    };
    cases.iter().filter_map(moved).sum()
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The best of three, since the growth is asked for and not the machine's other work.
fn growth() {
    let Some((before, after)) = before_and_after() else {
        return;
    };
    say("open clocks  cases      re-evaluated  a clock    against 1,000");
    let mut first = None;
    for clocks in SIZES {
        let cases = open_cases(clocks, &before);
        let mut best = Duration::MAX;
        for _ in 0..3 {
            let start = Instant::now();
            black_box(changed(&cases, &before, &after));
            best = best.min(start.elapsed());
        }
        let each = best.div_f64(f64::from(u32::try_from(clocks).unwrap_or(u32::MAX)));
        let ratio = each.as_secs_f64() / first.get_or_insert(each).as_secs_f64();
        say(&format!(
            "{clocks:<12} {:<10} {best:<13.2?} {each:<10.2?} {ratio:.2}",
            cases.len()
        ));
    }
}

/// A case with answers, updates and a wait, as they are in the middle of their lives.
fn case(number: i64) -> Vec<CaseEvent> {
    let start = START + number % 5_000 * 60;
    let severity = u8::try_from(number % 3 + 1).unwrap_or(3);
    let event = |after: i64, what: CaseDid| CaseEvent {
        at: Time::from_seconds(start + after),
        what,
    };
    let reply = || CaseDid::Reply {
        by: By::Staff,
        public: true,
        promise: None,
    };
    vec![
        event(
            0,
            CaseDid::Opened {
                category: Category::Incident,
                severity: Some(severity),
                reported_at: None,
            },
        ),
        event(600, reply()),
        event(1800, reply()),
        event(1800, CaseDid::WaitStart),
        event(5400, CaseDid::WaitEnd),
        event(6000, reply()),
    ]
}

fn dues(criterion: &mut Criterion) {
    growth();
    let Some((calendar, _)) = compiled(POLICY) else {
        return;
    };
    let mut group = criterion.benchmark_group("due");
    // Twenty working days of eight hours.
    for (name, hours) in [("within a month", 160), ("2000 business hours", 2000)] {
        group.bench_function(name, |bench| {
            bench.iter(|| calendar.due(black_box(START), hours * HOUR, &[]));
        });
    }
    group.bench_function("elapsed in a year", |bench| {
        bench.iter(|| calendar.elapsed(black_box(START), START + 365 * 24 * HOUR, &[]));
    });
    group.finish();
}

fn open_clocks(criterion: &mut Criterion) {
    let Some((before, after)) = before_and_after() else {
        return;
    };
    let mut group = criterion.benchmark_group("open clocks after a change");
    group.sample_size(10);
    for clocks in SIZES {
        let cases = open_cases(clocks, &before);
        group.throughput(Throughput::Elements(u64::try_from(clocks).unwrap_or(1)));
        let id = BenchmarkId::from_parameter(clocks);
        group.bench_with_input(id, &cases, |bench, cases| {
            bench.iter(|| changed(black_box(cases), &before, &after));
        });
    }
    group.finish();
}

criterion_group!(benches, dues, open_clocks);
criterion_main!(benches);
