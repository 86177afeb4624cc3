//! The monthly report: its totals are the sums of its rows, each verdict is in one month, and it is
//! the same in four formats and three languages.
#![allow(clippy::unwrap_used, clippy::panic)]

use alertbridge::model::{Category, Time};
use alertbridge::sla::log::{By, CaseDid, CaseEvent, EndedBy, VoidReason};
use alertbridge::sla::report::{
    AlertCounts, CalendarShown, CaseFacts, Correction, Month, Report, ReportFacts,
};
use alertbridge::sla::{ClockState, Contract, SlaSections, evaluate};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

fn contract(locale: &str) -> Arc<Contract> {
    let policy = include_str!("../config/policies/three-level.toml");
    let text = format!(
        "{policy}\n[contract.acme]\npolicy = \"three-level\"\nlocale = \"{locale}\"\n\
         tz = \"Europe/Paris\"\n"
    );
    let sections: SlaSections = toml::from_str(&text).unwrap();
    let (sla, _) = sections.compile(&TimeZoneDatabase::bundled()).unwrap();
    sla.contracts["acme"].clone()
}

fn paris() -> TimeZone {
    TimeZoneDatabase::bundled().get("Europe/Paris").unwrap()
}

fn second(text: &str) -> i64 {
    Time::parse_rfc3339(text).unwrap().seconds()
}

/// Numbers that look random and are always the same.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: i64) -> i64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(self.0 >> 40).unwrap() % bound
    }
}

/// A case somewhere from May to July, with a life of its own.
fn case(dice: &mut Dice) -> Vec<CaseEvent> {
    let start = second("2026-04-30T22:00:00Z") + dice.below(75 * 86_400);
    let mut log = Vec::new();
    let mut at = start;
    let mut push = |at: i64, what: CaseDid| {
        log.push(CaseEvent {
            at: Time::from_seconds(at),
            what,
        });
    };
    let severity = u8::try_from(dice.below(3) + 1).unwrap();
    let category = match dice.below(8) {
        0 => Category::Inquiry,
        1 => Category::Provisioning,
        _ => Category::Incident,
    };
    push(
        at,
        CaseDid::Opened {
            category,
            severity: Some(severity),
            reported_at: None,
        },
    );
    for _ in 0..dice.below(12) {
        at += 1 + dice.below(20_000);
        let reply = |promise| CaseDid::Reply {
            by: By::Staff,
            public: true,
            promise,
        };
        let what = match dice.below(8) {
            0 => CaseDid::WaitStart,
            1 => CaseDid::WaitEnd,
            2 => CaseDid::Severity {
                to: u8::try_from(dice.below(3) + 1).unwrap(),
            },
            3 => reply(Some(Time::from_seconds(at + 7200))),
            4 => CaseDid::Ack,
            _ => reply(None),
        };
        push(at, what);
    }
    at += 1 + dice.below(100_000);
    match dice.below(10) {
        0 => {}
        1 => push(
            at,
            CaseDid::Void {
                reason: VoidReason::FalseAlarm,
            },
        ),
        2 => push(
            at,
            CaseDid::Resolved {
                by: EndedBy::Monitoring,
            },
        ),
        3 => {
            push(at, CaseDid::Resolved { by: EndedBy::Staff });
            at += 1 + dice.below(200_000);
            push(
                at,
                CaseDid::Reopened {
                    firing_during_gap: false,
                },
            );
            push(at + 3600, CaseDid::Resolved { by: EndedBy::Staff });
        }
        _ => push(at, CaseDid::Resolved { by: EndedBy::Staff }),
    }
    log
}

fn logs() -> Vec<Vec<CaseEvent>> {
    let mut dice = Dice(7);
    (0..400).map(|_| case(&mut dice)).collect()
}

fn report(logs: &[Vec<CaseEvent>], contract: &Contract, month: &str) -> Report {
    let cases = logs
        .iter()
        .enumerate()
        .map(|(number, log)| CaseFacts {
            id: format!("INC-{number}"),
            link: format!("https://desk.example/{number}"),
            source: "prometheus".to_owned(),
            ticket_created: Some(log[0].at.seconds() + 2),
            contract,
            found_late: BTreeSet::new(),
            log,
        })
        .collect();
    Report::make(&ReportFacts {
        contract,
        month: Month::read(month, paris()).unwrap(),
        zone_data: "2025b".to_owned(),
        calendars: vec![CalendarShown {
            name: "provider-local".to_owned(),
            holidays: vec!["2026-06-08".to_owned()],
        }],
        generated: Time::from_seconds(second("2026-09-01T00:00:00Z")),
        cases,
        alerts: AlertCounts {
            received: 1234,
            deduplicated: 800,
            suppressed: 3,
        },
        corrections: vec![Correction {
            id: "INC-9".to_owned(),
            month: "2026-05".to_owned(),
            target: "restore".to_owned(),
            kind: "found_late".to_owned(),
        }],
    })
}

#[test]
fn a_month_begins_and_ends_at_midnight_of_its_zone() {
    let month = Month::read("2026-03", paris()).unwrap();
    assert_eq!(month.from, second("2026-02-28T23:00:00Z"));
    assert_eq!(month.until, second("2026-03-31T22:00:00Z"));
    assert_eq!(month.shown(month.until), "2026-04-01T00:00:00+02:00");
    for wrong in ["2026-13", "2026", "june", "2026-6", "2026-06-01"] {
        assert!(Month::read(wrong, paris()).unwrap_err().contains("2026-06"));
    }
}

#[test]
fn the_totals_are_the_sums_of_the_rows_of_the_csv() {
    let report = report(&logs(), &contract("en"), "2026-06");
    let csv = report.csv().unwrap();
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    for sum in &report.targets {
        let severity = sum.severity.map_or_else(String::new, |s| s.to_string());
        let mine = |verdict: &str| {
            rows.iter()
                .filter(|row| row["target"] == sum.target && row["severity"] == severity)
                .filter(|row| row["verdict"] == verdict)
                .count()
        };
        let (met, breached) = (mine("met"), mine("breached") + mine("missed"));
        assert_eq!((sum.met, sum.breached), (met, breached), "{sum:?}");
        assert_eq!(sum.judged, met + breached);
        assert_eq!(sum.void.values().sum::<usize>(), mine("void"));
        assert_eq!(sum.open, mine("open"));
    }
    assert!(report.targets.iter().map(|sum| sum.judged).sum::<usize>() > 100);
    let mut waits: BTreeMap<&str, i64> = BTreeMap::new();
    for row in &rows {
        waits.insert(&row["id"], row["wait_seconds"].parse().unwrap());
    }
    assert_eq!(report.waits.excluded_seconds, waits.values().sum::<i64>());
    assert_eq!(waits.len(), report.tickets.len());
    // The same rows in JSON.
    let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
    let lines = json["tickets"].as_array().unwrap().iter();
    let cells = lines.map(|ticket| ticket["targets"].as_array().unwrap().len().max(1));
    assert_eq!(cells.sum::<usize>(), rows.len());
}

#[test]
fn each_verdict_and_each_update_is_in_exactly_one_month() {
    let (logs, contract) = (logs(), contract("en"));
    let (mut judged, mut void, mut late, mut on_time) = (0, 0, 0, 0);
    for month in ["2026-04", "2026-05", "2026-06", "2026-07", "2026-08"] {
        let report = report(&logs, &contract, month);
        judged += report.targets.iter().map(|sum| sum.judged).sum::<usize>();
        void += report
            .targets
            .iter()
            .flat_map(|sum| sum.void.values())
            .sum::<usize>();
        late += report.updates.late;
        on_time += report.updates.on_time;
    }
    let now = second("2026-09-01T00:00:00Z");
    let mut expected = (0, 0, 0, 0);
    for log in &logs {
        let last = evaluate(log, &contract, now).unwrap();
        let mut ends: Vec<i64> = last.cycles.iter().skip(1).map(|begin| begin - 1).collect();
        ends.push(now);
        for end in ends {
            let view = evaluate(log, &contract, end).unwrap();
            for clock in &view.clocks {
                match clock.state {
                    ClockState::Met | ClockState::Breached => expected.0 += 1,
                    ClockState::Void(_) => expected.1 += 1,
                    _ => {}
                }
            }
            expected.2 += usize::try_from(view.update.breaches).unwrap();
            expected.3 += usize::try_from(view.update.on_time).unwrap();
        }
    }
    assert_eq!((judged, void, late, on_time), expected);
}

#[test]
fn a_ticket_open_over_the_months_end_is_in_both() {
    let opened = CaseDid::Opened {
        category: Category::Incident,
        severity: Some(2),
        reported_at: None,
    };
    let event = |at: &str, what: CaseDid| CaseEvent {
        at: Time::from_seconds(second(at)),
        what,
    };
    let log = vec![
        event("2026-06-30T20:00:00Z", opened),
        event("2026-06-30T20:05:00Z", CaseDid::Ack),
        event(
            "2026-06-30T23:00:00Z",
            CaseDid::Resolved { by: EndedBy::Staff },
        ),
    ];
    let contract = contract("en");
    let june = report(std::slice::from_ref(&log), &contract, "2026-06");
    let july = report(&[log], &contract, "2026-07");
    let verdicts = |report: &Report| -> Vec<(String, String)> {
        let rows = report.tickets[0].targets.iter();
        rows.map(|row| (row.target.clone(), row.verdict.clone()))
            .collect()
    };
    let pair = |target: &str, verdict: &str| (target.to_owned(), verdict.to_owned());
    assert_eq!(
        verdicts(&june),
        [pair("initial_response", "met"), pair("restore", "open")]
    );
    assert_eq!(verdicts(&july), [pair("restore", "met")]);
    assert_eq!(june.volume.carried_over["incident"], 1);
    assert_eq!(july.volume.closed["incident"], 1);
    assert!(july.volume.opened.is_empty());
}

#[test]
fn what_has_no_clock_has_an_age() {
    let event = |at: &str, what: CaseDid| CaseEvent {
        at: Time::from_seconds(second(at)),
        what,
    };
    let work = |from: &str, reported: Option<&str>, to: Option<&str>| {
        let opened = CaseDid::Opened {
            category: Category::Provisioning,
            severity: None,
            reported_at: reported.map(|at| Time::from_seconds(second(at))),
        };
        let ended = CaseDid::Resolved { by: EndedBy::Staff };
        let end = to.map(|at| event(at, ended));
        [event(from, opened)].into_iter().chain(end).collect()
    };
    let logs: Vec<Vec<CaseEvent>> = vec![
        // Two days, by the report of the customer.
        work(
            "2026-06-03T08:00:00Z",
            Some("2026-06-02T08:00:00Z"),
            Some("2026-06-04T08:00:00Z"),
        ),
        // Still open at the month's end, 00:00 in Paris.
        work("2026-06-27T22:00:00Z", None, Some("2026-07-09T00:00:00Z")),
    ];
    let report = report(&logs, &contract("en"), "2026-06");
    let ages: Vec<i64> = report.tickets.iter().map(|t| t.age_seconds).collect();
    assert_eq!(ages, [2 * 86_400, 3 * 86_400]);
    let age = report.volume.age["provisioning"];
    assert_eq!(
        (age.p50, age.p90, age.max),
        (2 * 86_400, 3 * 86_400, 3 * 86_400)
    );
    let text = report.text().unwrap();
    assert!(
        text.contains("provisioning p50 48:00:00 / p90 72:00:00 / max 72:00:00"),
        "{text}"
    );
    assert!(report.html().unwrap().contains("max 72:00:00"));
    let csv = report.csv().unwrap();
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let column = rows
        .headers()
        .unwrap()
        .iter()
        .position(|h| h == "age_seconds");
    let column = column.unwrap();
    let cells = rows.records().map(|row| row.unwrap()[column].to_owned());
    assert_eq!(cells.collect::<Vec<_>>(), ["172800", "259200"]);
}

#[test]
fn people_read_it_in_their_language_and_nothing_of_it_is_markup() {
    let mut logs = logs();
    logs.truncate(40);
    for (locale, words) in [
        ("en", ["Service level report", "compliance", "at risk"]),
        ("ja", ["サービスレベル報告書", "達成率", "初期応答"]),
        (
            "fr",
            [
                "Rapport de niveau de service",
                "conformité",
                "réaction initiale",
            ],
        ),
    ] {
        let report = report(&logs, &contract(locale), "2026-06");
        for page in [report.text().unwrap(), report.html().unwrap()] {
            for word in &words[..2] {
                assert!(page.contains(word), "{locale} lacks {word}");
            }
            assert!(page.contains("+02:00") && page.contains("2026-06-08"));
            // A key that no language has would stand there as it is written in storage.
            for key in [
                "initial_response",
                "auto_resolved",
                "false_alarm",
                "carried_over",
            ] {
                assert!(!page.contains(key), "{locale} shows the key {key}");
            }
        }
    }
    let contract = contract("en");
    let mut facts_of = report(&logs, &contract, "2026-06");
    facts_of.tickets[0].id = "<script>alert(1)</script>".to_owned();
    facts_of.tickets[0].link = "javascript:alert(1)".to_owned();
    let page = facts_of.html().unwrap();
    assert!(!page.contains("<script>") && !page.contains("href=\"javascript:"));
    facts_of.tickets[0].id = "=1+1".to_owned();
    assert!(facts_of.csv().unwrap().contains("'=1+1"));
}

#[test]
fn a_month_without_tickets_is_a_report_as_well() {
    let report = report(&[], &contract("en"), "2026-06");
    assert!(report.targets.is_empty());
    assert!(report.text().unwrap().contains("none"));
    assert!(report.html().unwrap().contains("</html>"));
    assert_eq!(report.csv().unwrap().lines().count(), 1);
}

#[test]
fn late_news_in_any_order_gives_the_same_report_to_the_byte() {
    let (mut logs, contract) = (logs(), contract("en"));
    let straight = report(&logs, &contract, "2026-06").json().unwrap();
    let mut dice = Dice(11);
    for log in &mut logs {
        for place in (1..log.len()).rev() {
            let other = usize::try_from(dice.below(i64::try_from(place + 1).unwrap())).unwrap();
            log.swap(place, other);
        }
    }
    let shuffled = report(&logs, &contract, "2026-06").json().unwrap();
    // Only the ticket's creation was taken from the first event that arrived.
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.contains("ticket_created"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(lines(&shuffled), lines(&straight));
}
