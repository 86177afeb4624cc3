//! Decisions about clocks that the public vectors do not reach: each history is a line of minutes.
#![allow(clippy::unwrap_used, clippy::panic)]

use alertbridge::model::{Category, Ended, Time};
use alertbridge::sla::clock::{ClockState, Stage, View};
use alertbridge::sla::log::{By, CaseDid, CaseEvent, EndedBy, VoidReason, unite};
use alertbridge::sla::policy::TargetName;
use alertbridge::sla::{Contract, SlaSections, evaluate};
use jiff::tz::TimeZoneDatabase;
use std::sync::Arc;

const THREE: &str = include_str!("../config/policies/three-level.toml");
const FIVE: &str = include_str!("../config/policies/five-level.toml");

/// Tuesday 2 June 2026, 00:00 UTC, in minutes.
const T0: i64 = 1_780_358_400 / 60;

fn contract_of(text: &str, name: &str, more: &str) -> Arc<Contract> {
    let text = format!("{text}\n[contract.acme]\npolicy = \"{name}\"\n{more}");
    let sections: SlaSections = toml::from_str(&text).unwrap();
    let (sla, _) = sections.compile(&TimeZoneDatabase::bundled()).unwrap();
    sla.contracts["acme"].clone()
}

fn three() -> Arc<Contract> {
    contract_of(THREE, "three-level", "")
}

/// The same policy with one more line in its table.
fn three_with(line: &str) -> Arc<Contract> {
    let text = THREE.replacen(
        "[policy.three-level]",
        &format!("[policy.three-level]\n{line}"),
        1,
    );
    contract_of(&text, "three-level", "")
}

fn log(events: &[(i64, CaseDid)]) -> Vec<CaseEvent> {
    let event = |(minute, what): &(i64, CaseDid)| CaseEvent {
        at: Time::from_seconds((T0 + minute) * 60),
        what: what.clone(),
    };
    events.iter().map(event).collect()
}

fn at(contract: &Contract, events: &[(i64, CaseDid)], minute: i64) -> View {
    evaluate(&log(events), contract, (T0 + minute) * 60).unwrap()
}

fn opened(severity: u8) -> CaseDid {
    CaseDid::Opened {
        category: Category::Incident,
        severity: Some(severity),
        reported_at: None,
    }
}

fn reply() -> CaseDid {
    said(By::Staff, true)
}

fn said(by: By, public: bool) -> CaseDid {
    CaseDid::Reply {
        by,
        public,
        promise: None,
    }
}

fn ended(by: EndedBy) -> CaseDid {
    CaseDid::Resolved { by }
}

fn minute(seconds: Option<i64>) -> Option<i64> {
    seconds.map(|seconds| seconds / 60 - T0)
}

fn state(view: &View, target: TargetName) -> ClockState {
    view.clock(target)
        .map_or(ClockState::None, |clock| clock.state)
}

use TargetName::{Engineer, InitialResponse, Restore, Triage};

#[test]
fn what_monitoring_clears_before_an_answer_was_due_owes_none_however_late_one_looks() {
    let contract = three();
    let events = [(0, opened(1)), (10, ended(EndedBy::Monitoring))];
    for now in [10, 15, 20, 5_000] {
        let view = at(&contract, &events, now);
        let void = ClockState::Void(VoidReason::AutoResolved);
        assert_eq!(state(&view, InitialResponse), void, "at {now}");
        assert_eq!(state(&view, Restore), ClockState::Met);
        assert_eq!(view.ended, Some(Ended::ResolvedByMonitoring));
        assert!(view.moments.is_empty(), "{:?}", view.moments);
        assert_eq!(view.next, None);
    }
    // A word after the end changes nothing.
    let view = at(&contract, &[&events[..], &[(40, reply())]].concat(), 60);
    assert_eq!(
        state(&view, InitialResponse),
        ClockState::Void(VoidReason::AutoResolved)
    );
    // Cleared when it was overdue already: the breach stands.
    let late = [(0, opened(1)), (16, ended(EndedBy::Monitoring))];
    let view = at(&contract, &late, 60);
    assert_eq!(state(&view, InitialResponse), ClockState::Breached);
    assert_eq!(
        minute(view.clock(InitialResponse).unwrap().breached_at),
        Some(15)
    );
}

#[test]
fn a_void_response_stays_void_when_the_case_comes_back_within_the_window() {
    let events = [
        (0, opened(1)),
        (5, ended(EndedBy::Monitoring)),
        (
            30,
            CaseDid::Reopened {
                firing_during_gap: false,
            },
        ),
    ];
    let view = at(&three(), &events, 50);
    assert_eq!(
        state(&view, InitialResponse),
        ClockState::Void(VoidReason::AutoResolved)
    );
    assert_eq!(minute(view.clock(Restore).unwrap().due), Some(360 + 25));
    assert_eq!(minute(view.update.due), Some(60));
}

#[test]
fn a_customer_who_takes_it_back_ends_restore_and_voids_the_answer() {
    let events = [(0, opened(1)), (10, ended(EndedBy::Customer))];
    let view = at(&three(), &events, 600);
    assert_eq!(
        state(&view, InitialResponse),
        ClockState::Void(VoidReason::Withdrawn)
    );
    assert_eq!(state(&view, Restore), ClockState::Met);
    assert_eq!(view.ended, Some(Ended::Withdrawn));
}

#[test]
fn after_a_false_alarm_nothing_runs_on() {
    let reason = VoidReason::FalseAlarm;
    let events = [(0, opened(1)), (5, reply()), (20, CaseDid::Void { reason })];
    let view = at(&three(), &events, 5_000);
    assert_eq!(state(&view, InitialResponse), ClockState::Met);
    assert_eq!(state(&view, Restore), ClockState::Void(reason));
    assert_eq!(view.update.state, Some(ClockState::Void(reason)));
    assert_eq!(view.update.breaches, 0);
    assert_eq!(view.ended, Some(Ended::FalseAlarm));
    let unanswered = [(0, opened(1)), (5, CaseDid::Void { reason })];
    assert_eq!(
        state(&at(&three(), &unanswered, 50), InitialResponse),
        ClockState::Void(reason)
    );
}

#[test]
fn a_merged_duplicate_has_no_verdicts_of_its_own() {
    let reason = VoidReason::Merged;
    let events = [(0, opened(1)), (30, CaseDid::Void { reason })];
    let view = at(&three(), &events, 60);
    assert_eq!(state(&view, InitialResponse), ClockState::Void(reason));
    assert_eq!(state(&view, Restore), ClockState::Void(reason));
}

#[test]
fn a_severity_that_means_false_alarm_voids_at_the_end() {
    let contract = contract_of(FIVE, "five-level", "");
    let events = [
        (0, opened(3)),
        (2, CaseDid::Ack),
        (10, CaseDid::Severity { to: 5 }),
        (12, ended(EndedBy::Staff)),
    ];
    let view = at(&contract, &events, 60);
    assert_eq!(view.ended, Some(Ended::FalseAlarm));
    assert_eq!(state(&view, Triage), ClockState::Met);
}

#[test]
fn recategorising_voids_restore_and_the_way_back_starts_it_at_the_report() {
    let away = [
        (0, opened(1)),
        (5, reply()),
        (
            20,
            CaseDid::Category {
                to: Category::Provisioning,
            },
        ),
    ];
    let view = at(&three(), &away, 600);
    let void = ClockState::Void(VoidReason::Recategorised);
    assert_eq!(state(&view, Restore), void);
    assert_eq!(view.update.state, Some(void));
    assert_eq!(view.update.breaches, 0);
    let back = [
        &away[..],
        &[(
            30,
            CaseDid::Category {
                to: Category::Incident,
            },
        )],
    ]
    .concat();
    let view = at(&three(), &back, 40);
    assert_eq!(state(&view, Restore), ClockState::Running);
    assert_eq!(minute(view.clock(Restore).unwrap().due), Some(360));
}

#[test]
fn the_severity_of_an_inquiry_is_fixed() {
    let inquiry = CaseDid::Opened {
        category: Category::Inquiry,
        severity: None,
        reported_at: None,
    };
    let events = [(0, inquiry), (5, CaseDid::Severity { to: 1 })];
    let view = at(&three(), &events, 10);
    assert_eq!(view.severity, Some(3));
    assert_eq!(minute(view.clock(InitialResponse).unwrap().due), Some(30));
    assert_eq!(state(&view, Restore), ClockState::None);
}

#[test]
fn a_wait_ends_by_itself_at_its_limit() {
    let contract = three_with("wait_limit = \"1h\"");
    let events = [(0, opened(1)), (5, reply()), (10, CaseDid::WaitStart)];
    let view = at(&contract, &events, 20);
    assert_eq!(state(&view, Restore), ClockState::Paused);
    let view = at(&contract, &events, 70);
    assert_eq!(state(&view, Restore), ClockState::Running);
    assert_eq!(minute(view.clock(Restore).unwrap().due), Some(420));
    assert_eq!(view.waited, 3600);
}

#[test]
fn a_wait_without_a_question_is_listed_and_not_counted_where_the_contract_says_so() {
    let events = [(0, opened(1)), (10, CaseDid::WaitStart), (40, reply())];
    let loose = at(&three(), &events, 60);
    assert_eq!(loose.waited, 50 * 60);
    assert!(!loose.waits[0].asked);
    let contract = three_with("wait_needs_question = true");
    let strict = at(&contract, &events, 60);
    assert_eq!(strict.waited, 20 * 60, "only since the question");
    assert_eq!(strict.waits.len(), 2);
    // Question and status change in the same second: the status sorts first, the question counts.
    let same = [(0, opened(1)), (10, CaseDid::WaitStart), (10, reply())];
    assert_eq!(at(&contract, &same, 60).waited, 50 * 60);
}

#[test]
fn a_worse_period_owes_its_own_answer_and_a_better_one_leaves_the_first_owed() {
    let worse = [
        (0, opened(3)),
        (5, reply()),
        (60, CaseDid::Period { severity: 1 }),
    ];
    let view = at(&three(), &worse, 70);
    let second = view.clock(InitialResponse).unwrap();
    assert_eq!((second.period, second.state), (2, ClockState::Running));
    assert_eq!(minute(second.due), Some(75));
    assert_eq!(minute(view.clock(Restore).unwrap().due), Some(60 + 360));
    assert_eq!(
        view.clocks
            .iter()
            .filter(|clock| clock.target == Restore)
            .count(),
        2
    );
    let better = [(0, opened(1)), (10, CaseDid::Period { severity: 3 })];
    let view = at(&three(), &better, 12);
    assert_eq!(view.clocks[1].state, ClockState::Met, "the outage is over");
    let answer = view.clock(InitialResponse).unwrap();
    assert_eq!((answer.period, answer.state), (1, ClockState::Running));
    assert_eq!(
        state(&at(&three(), &better, 16), InitialResponse),
        ClockState::Breached
    );
    // The same level again is the same period.
    let same = [(0, opened(1)), (10, CaseDid::Period { severity: 1 })];
    assert_eq!(at(&three(), &same, 12).clocks.len(), 2);
}

#[test]
fn after_the_window_a_new_cycle_begins_with_a_full_restore_target() {
    let events = [
        (0, opened(1)),
        (5, reply()),
        (60, ended(EndedBy::Staff)),
        (
            60 + 1441,
            CaseDid::Reopened {
                firing_during_gap: true,
            },
        ),
    ];
    let view = at(&three(), &events, 1600);
    assert_eq!(view.cycle, 2);
    assert_eq!(minute(view.clock(Restore).unwrap().due), Some(1501 + 360));
    assert_eq!(view.clock(InitialResponse), None);
    // The cycle before is seen at the second before.
    let before = evaluate(&log(&events), &three(), view.cycles[1] - 1).unwrap();
    assert_eq!(state(&before, Restore), ClockState::Met);
}

#[test]
fn a_resolution_comes_before_a_reassessment_of_the_same_second() {
    let events = [
        (0, opened(3)),
        (5, reply()),
        (600, CaseDid::Severity { to: 1 }),
        (600, ended(EndedBy::Staff)),
    ];
    let view = at(&three(), &events, 700);
    assert_eq!(state(&view, Restore), ClockState::Met);
}

#[test]
fn the_level_rises_on_silence_once_in_ten_minutes_and_stops_with_the_case() {
    let events = [(0, opened(1))];
    let rises = |view: &View| -> Vec<(u8, i64)> {
        let of = |rise: &alertbridge::sla::escalation::Rise| (rise.level, rise.at / 60 - T0);
        view.rises.iter().map(of).collect()
    };
    let view = at(&three(), &events, 16);
    assert_eq!(rises(&view), [(2, 15)]);
    assert_eq!(view.level(), 2);
    let view = at(&three(), &events, 400);
    assert_eq!(rises(&view), [(2, 15), (3, 360)]);
    // Two causes at once: the second step waits, and does not come after the end.
    let worse = [
        (0, opened(3)),
        (5, reply()),
        (20, CaseDid::Severity { to: 1 }),
        (
            21,
            CaseDid::Escalated {
                reason: "expectations".to_owned(),
            },
        ),
    ];
    assert_eq!(rises(&at(&three(), &worse, 29)), [(2, 20)]);
    assert_eq!(rises(&at(&three(), &worse, 31)), [(2, 20), (3, 30)]);
    let over = [&worse[..], &[(25, ended(EndedBy::Staff))]].concat();
    assert_eq!(rises(&at(&three(), &over, 600)), [(2, 20)]);
}

fn escalated(reason: &str) -> CaseDid {
    CaseDid::Escalated {
        reason: reason.to_owned(),
    }
}

/// Level, minute and reason of each step.
fn steps(view: &View) -> Vec<(u8, i64, &'static str)> {
    let of =
        |rise: &alertbridge::sla::escalation::Rise| (rise.level, rise.at / 60 - T0, rise.reason);
    view.rises.iter().map(of).collect()
}

#[test]
fn the_level_rises_for_each_of_its_three_reasons_and_for_each_missed_target() {
    let levels = "[[policy.five-level.escalation]]\nlevel = 1\n\
                  [[policy.five-level.escalation]]\nlevel = 2\n\
                  [[policy.five-level.escalation]]\nlevel = 3\n";
    let five = contract_of(&format!("{FIVE}\n{levels}"), "five-level", "");
    // Nobody triaged within five minutes, though that is soft; no engineer came within four hours.
    let silent = at(&five, &[(0, opened(1))], 300);
    assert_eq!(steps(&silent), [(2, 5, "slow"), (3, 240, "slow")]);
    let triaged = at(&five, &[(0, opened(1)), (4, CaseDid::Ack)], 300);
    assert_eq!(steps(&triaged), [(2, 240, "slow")]);
    // An answer that comes too late.
    let late = at(&three(), &[(0, opened(1)), (16, reply())], 20);
    assert_eq!(steps(&late), [(2, 15, "slow")]);
    // A late update raises once another interval has passed without one.
    let answered = [(0, opened(1)), (5, reply())];
    assert_eq!(steps(&at(&three(), &answered, 64)), []);
    assert_eq!(steps(&at(&three(), &answered, 66)), [(2, 65, "slow")]);
    let updated = [&answered[..], &[(64, reply())]].concat();
    assert_eq!(steps(&at(&three(), &updated, 90)), [], "late, but it came");
    // Three quarters of the restore target, of which a wait is no part.
    let kept_up: Vec<(i64, CaseDid)> = (0..40).map(|n| (5 + n * 29, reply())).collect();
    let working = [&[(0, opened(1))], &kept_up[..]].concat();
    assert_eq!(steps(&at(&three(), &working, 271)), [(2, 270, "slow")]);
    let waits = [(100, CaseDid::WaitStart), (160, CaseDid::WaitEnd)];
    let waiting = [&working[..], &waits].concat();
    assert_eq!(steps(&at(&three(), &waiting, 329)), []);
    assert_eq!(steps(&at(&three(), &waiting, 331)), [(2, 330, "slow")]);
    // It got worse: to severity 1 or 2, not to 3.
    let worse = |from: u8, to: u8| {
        let events = [
            (0, opened(from)),
            (5, reply()),
            (7, CaseDid::Severity { to }),
        ];
        steps(&at(&three(), &events, 9))
    };
    assert_eq!(worse(3, 2), [(2, 7, "impact")]);
    assert_eq!(worse(1, 3), []);
    // Somebody says so, with each of the three words; of an inquiry nothing else raises.
    for reason in ["impact", "slow", "expectations"] {
        let said = [(0, opened(3)), (5, reply()), (6, escalated(reason))];
        assert_eq!(steps(&at(&three(), &said, 9)), [(2, 6, reason)]);
    }
    let inquiry = CaseDid::Opened {
        category: Category::Inquiry,
        severity: None,
        reported_at: None,
    };
    let asked = [(0, inquiry), (900, escalated("expectations"))];
    assert_eq!(steps(&at(&three(), &asked[..1], 899)), []);
    assert_eq!(
        steps(&at(&three(), &asked, 901)),
        [(2, 900, "expectations")]
    );
}

#[test]
fn a_missed_soft_target_is_missed_and_the_engineers_answer_by_hours() {
    let contract = contract_of(FIVE, "five-level", "");
    // 00:00 UTC is 20:00 in New York: out of hours.
    let view = at(&contract, &[(0, opened(1))], 10);
    assert_eq!(view.clock(Triage).unwrap().shown(), "missed");
    assert!(view.moments.iter().all(|moment| moment.soft));
    assert_eq!(minute(view.clock(Engineer).unwrap().due), Some(240));
    let noon = [(16 * 60, opened(1))];
    assert_eq!(
        minute(at(&contract, &noon, 961).clock(Engineer).unwrap().due),
        Some(18 * 60)
    );
    let later = [(0, opened(3))];
    assert_eq!(
        minute(at(&contract, &later, 1).clock(Engineer).unwrap().due),
        Some(12 * 60)
    );
}

#[test]
fn a_cloud_contract_has_engineers_around_the_clock() {
    let usual = contract_of(FIVE, "five-level", "");
    let cloud = contract_of(FIVE, "five-level", "cloud = true\n");
    let due = |contract: &Contract, start: i64, severity: u8| {
        let view = at(contract, &[(start, opened(severity))], start + 1);
        minute(view.clock(Engineer).unwrap().due).map(|due| due - start)
    };
    // 20:00 in New York: out of hours, but for the cloud.
    assert_eq!(due(&usual, 0, 1), Some(240));
    assert_eq!(due(&cloud, 0, 1), Some(120));
    // Friday evening there: the next working day is Saturday where every day is one.
    let friday = 4 * 24 * 60;
    assert_eq!(due(&cloud, friday, 3), Some(12 * 60));
    assert_eq!(due(&usual, friday, 3), Some(60 * 60));
}

#[test]
fn a_late_fact_takes_a_breach_back() {
    let contract = three();
    let events = [(0, opened(1))];
    let told: Vec<String> = at(&contract, &events, 20)
        .moments
        .iter()
        .map(|m| m.key())
        .collect();
    let answered = [&events[..], &[(12, reply())]].concat();
    let view = at(&contract, &answered, 25);
    let back = view.withdrawn(told.iter().map(String::as_str));
    assert_eq!(back, ["initial_response/1/1/0/breached"]);
    // That it was taken back is no breach that could be taken back again.
    let known = "withdrawn/initial_response/1/1/0/breached";
    assert!(view.withdrawn([known]).is_empty());
    assert!(
        view.moments
            .iter()
            .all(|moment| moment.stage != Stage::Breached)
    );
}

#[test]
fn a_duplicate_brings_its_report_its_answers_and_its_waits() {
    let contract = three();
    let mut survivor = log(&[(30, opened(1))]);
    let duplicate = log(&[
        (0, opened(1)),
        (10, reply()),
        (12, CaseDid::WaitStart),
        (22, CaseDid::WaitEnd),
        (25, CaseDid::Severity { to: 3 }),
    ]);
    unite(
        &mut survivor,
        &duplicate,
        Time::from_seconds((T0 + 40) * 60),
    );
    let view = evaluate(&survivor, &contract, (T0 + 41) * 60).unwrap();
    assert_eq!(state(&view, InitialResponse), ClockState::Met);
    assert_eq!(minute(view.clock(Restore).unwrap().due), Some(370));
    assert_eq!(view.severity, Some(1), "the survivor's severity stands");
}

#[test]
fn planned_work_pauses_where_the_contract_says_so() {
    let text = THREE.replacen(
        "pause_on = [\"waiting_customer\"]",
        "pause_on = [\"waiting_customer\", \"maintenance\"]",
        1,
    );
    let contract = contract_of(&text, "three-level", "");
    let events = [
        (0, opened(1)),
        (60, CaseDid::MaintenanceStart),
        // A wait within it does not count twice.
        (90, CaseDid::WaitStart),
        (100, CaseDid::WaitEnd),
        (180, CaseDid::MaintenanceEnd),
    ];
    let restore = |contract: &Contract, minute| {
        let view = at(contract, &events, minute);
        view.clock(TargetName::Restore).unwrap().clone()
    };
    let within = restore(&contract, 120);
    assert_eq!((within.state, within.due), (ClockState::Paused, None));
    assert_eq!(within.counted, 3600);
    let after = restore(&contract, 200);
    assert_eq!(after.state, ClockState::Running);
    assert_eq!(after.due, Some((T0 + 6 * 60 + 120) * 60));
    assert_eq!(after.counted, 80 * 60);
    // Initial response is not pausable: it was missed.
    let view = at(&contract, &events, 200);
    let response = view.clock(TargetName::InitialResponse).unwrap();
    assert_eq!(response.state, ClockState::Breached);
    // Without the word it counts on.
    let plain = restore(&three(), 200);
    assert_eq!(plain.due, Some((T0 + 6 * 60 + 10) * 60));
    // And with that word alone, waiting counts on.
    let only = THREE.replacen(
        "pause_on = [\"waiting_customer\"]",
        "pause_on = [\"maintenance\"]",
        1,
    );
    let only = contract_of(&only, "three-level", "");
    let waits = [(0, opened(1)), (10, CaseDid::WaitStart)];
    let view = at(&only, &waits, 60);
    let running = view.clock(TargetName::Restore).unwrap();
    assert_eq!(running.state, ClockState::Running);
    assert_eq!(view.waited, 0);
}

#[test]
fn planned_work_that_goes_on_ends_with_the_case() {
    let text = THREE.replacen(
        "pause_on = [\"waiting_customer\"]",
        "pause_on = [\"maintenance\"]",
        1,
    );
    let contract = contract_of(&text, "three-level", "");
    let resolved = CaseDid::Resolved { by: EndedBy::Staff };
    let reopened = CaseDid::Reopened {
        firing_during_gap: false,
    };
    let events = [
        (0, opened(1)),
        (60, CaseDid::MaintenanceStart),
        (120, resolved),
        (180, reopened),
    ];
    let view = at(&contract, &events, 240);
    let restore = view.clock(TargetName::Restore).unwrap();
    assert_eq!(restore.state, ClockState::Running);
    assert_eq!(
        restore.counted,
        2 * 3600,
        "before the work and after the gap"
    );
}
