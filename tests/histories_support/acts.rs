//! What may happen.

use alertbridge::model::event::SeverityHint;
use alertbridge::model::{Severity, TicketStatus};
use proptest::prelude::*;

/// Hosts and elements that events speak of; the last ones are not in the inventory.
pub const TARGETS: [&str; 14] = [
    "feed",
    "sw-1",
    "sw-2",
    "psu1@sw-1",
    "psu2@sw-1",
    "web-1",
    "web-2",
    "db-1",
    "leg-a",
    "leg-b",
    "www",
    "x-1",
    "x-2",
    "x-3",
];
/// Sources.
pub const SOURCES: [&str; 3] = ["mon-a", "mon-b", "mon-c"];

/// One thing that happens. Numbers choose among what there is at that time.
#[derive(Clone, Debug)]
pub enum Act {
    Fire(usize, usize, SeverityHint),
    Clear(usize, usize),
    Acknowledged(usize, usize),
    /// As many hosts without an element as make a storm.
    Burst(usize),
    ClearBurst,
    Wait(u64),
    Silence(usize, u64, bool),
    EndSilence(u64),
    Window(usize, u64, u64),
    EndWindow(u64),
    Notice(usize, i64, u64, bool),
    Severity(usize, Option<Severity>),
    Acknowledge(usize),
    Assign(usize),
    Resolve(usize, bool),
    Reopen(usize),
    Report(usize),
    CloseAlert(usize),
    Delivered,
    InTracker(usize, TicketStatus),
    Answered(usize),
    Alive(usize),
    ClockStep,
}

fn hint() -> impl Strategy<Value = SeverityHint> {
    prop_oneof![
        4 => Just(SeverityHint::Outage),
        2 => Just(SeverityHint::Degradation),
        2 => Just(SeverityHint::Redundancy),
        1 => Just(SeverityHint::Unknown),
        1 => Just(SeverityHint::Info),
    ]
}

fn severity() -> impl Strategy<Value = Option<Severity>> {
    prop_oneof![
        Just(None),
        Just(Some(Severity::S1)),
        Just(Some(Severity::S2)),
        Just(Some(Severity::S3)),
        Just(Some(Severity::S4)),
    ]
}

/// Times that matter: within holds, over them, over quiet times, over the reopen window.
fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0..15_u64,
        4 => 60..400_u64,
        3 => 600..4_000_u64,
        1 => 80_000..100_000_u64,
    ]
}

pub fn acts() -> impl Strategy<Value = Act> {
    let source = || 0..SOURCES.len();
    let target = || 0..TARGETS.len();
    let some = || 0..8_usize;
    let status = prop_oneof![
        Just(TicketStatus::Resolved),
        Just(TicketStatus::Open),
        Just(TicketStatus::WaitingCustomer),
    ];
    prop_oneof![
        12 => (source(), target(), hint()).prop_map(|(s, t, h)| Act::Fire(s, t, h)),
        8 => (source(), target()).prop_map(|(s, t)| Act::Clear(s, t)),
        1 => (source(), target()).prop_map(|(s, t)| Act::Acknowledged(s, t)),
        1 => (5..14_usize).prop_map(Act::Burst),
        1 => Just(Act::ClearBurst),
        10 => seconds().prop_map(Act::Wait),
        1 => (target(), seconds(), any::<bool>()).prop_map(|(t, s, h)| Act::Silence(t, s, h)),
        1 => (1..4_u64).prop_map(Act::EndSilence),
        1 => (target(), seconds(), seconds()).prop_map(|(t, a, b)| Act::Window(t, a, b)),
        1 => (1..5_u64).prop_map(Act::EndWindow),
        1 => (target(), 0..4_i64, seconds(), any::<bool>())
            .prop_map(|(t, n, s, c)| Act::Notice(t, n, s, c)),
        1 => (some(), severity()).prop_map(|(i, s)| Act::Severity(i, s)),
        1 => some().prop_map(Act::Acknowledge),
        1 => some().prop_map(Act::Assign),
        1 => (some(), any::<bool>()).prop_map(|(i, f)| Act::Resolve(i, f)),
        1 => some().prop_map(Act::Reopen),
        1 => (0..2_usize).prop_map(Act::Report),
        1 => some().prop_map(Act::CloseAlert),
        3 => Just(Act::Delivered),
        1 => (some(), status).prop_map(|(i, s)| Act::InTracker(i, s)),
        1 => some().prop_map(Act::Answered),
        2 => source().prop_map(Act::Alive),
        1 => Just(Act::ClockStep),
    ]
}
