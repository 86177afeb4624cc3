//! What clocks cost: due instants on business calendars, and whole cases evaluated again.
//!
//! `cargo bench --bench sla`. Expected on one core: a due instant within a month under 20 µs, 2,000
//! business hours under 1 ms, 100,000 cases in under 1 s. The cost of a case does not grow with the
//! number of cases: 1,000 to 1,000,000 are measured to show it.
#![allow(missing_docs)]

use alertbridge::model::{Category, Time};
use alertbridge::sla::log::{By, CaseDid, CaseEvent};
use alertbridge::sla::{Calendar, Contract, SlaSections, evaluate};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use jiff::tz::TimeZoneDatabase;
use std::hint::black_box;
use std::sync::Arc;

/// Tuesday 2 June 2026, 00:00 UTC.
const START: i64 = 1_780_358_400;
const HOUR: i64 = 3600;

fn compiled() -> Option<(Arc<Calendar>, Arc<Contract>)> {
    let policy = include_str!("../config/policies/three-level.toml");
    let text = format!("{policy}\n[contract.acme]\npolicy = \"three-level\"\n");
    let sections: SlaSections = toml::from_str(&text).ok()?;
    let (sla, _) = sections.compile(&TimeZoneDatabase::bundled()).ok()?;
    let calendar = sla.calendars.get("provider-local")?.clone();
    Some((calendar, sla.contracts.get("acme")?.clone()))
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
    let Some((calendar, _)) = compiled() else {
        return;
    };
    let mut group = criterion.benchmark_group("due");
    for (name, hours) in [("within a month", 48), ("2000 business hours", 2000)] {
        group.bench_function(name, |bench| {
            bench.iter(|| calendar.due(black_box(START), hours * HOUR, &[]));
        });
    }
    group.bench_function("elapsed in a year", |bench| {
        bench.iter(|| calendar.elapsed(black_box(START), START + 365 * 24 * HOUR, &[]));
    });
    group.finish();
}

fn cases(criterion: &mut Criterion) {
    let Some((_, contract)) = compiled() else {
        return;
    };
    let mut group = criterion.benchmark_group("evaluate");
    group.sample_size(10);
    for count in [1_000, 10_000, 100_000, 1_000_000] {
        let logs: Vec<Vec<CaseEvent>> = (0..count).map(case).collect();
        let now = START + 4 * 24 * HOUR;
        group.throughput(Throughput::Elements(logs.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(count), &logs, |bench, logs| {
            bench.iter(|| {
                logs.iter()
                    .filter_map(|log| evaluate(log, &contract, black_box(now)))
                    .filter_map(|view| view.next)
                    .count()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, dues, cases);
criterion_main!(benches);
