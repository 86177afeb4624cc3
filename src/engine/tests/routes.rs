//! The route of a ticket.

use super::*;

/// Outages go to the pager's tracker, everything else to the desk.
fn by_severity() -> Decisions {
    let mut urgent = Route::desk();
    urgent.name = "urgent".to_owned();
    urgent.tracker = "pager".to_owned();
    urgent.severities = vec![Severity::S1, Severity::S2];
    Decisions {
        routes: vec![urgent, Route::desk()],
        ..Decisions::default()
    }
}

/// The tracker, the severity and whether it is over, of each ticket.
fn written(story: &Story) -> Vec<(&str, Option<Severity>, bool)> {
    let tickets = story.engine.state.tickets.values();
    tickets
        .map(|ticket| {
            let wanted = &ticket.wanted;
            let over = wanted.status.is_over();
            (ticket.tracker.as_str(), wanted.severity, over)
        })
        .collect()
}

#[test]
fn the_route_that_a_ticket_was_opened_by_is_kept_for_its_life() {
    let mut story = Story::new(by_severity());
    story.event(firing("a", "a", Hint::Unknown));
    story.after(600);
    assert_eq!(written(&story), [("desk", Some(Severity::S3), false)]);
    // The other route would take it by now.
    let id = story.open()[0].id;
    story.command(Command::SetSeverity {
        incident: id,
        severity: Some(Severity::S1),
        text: "customers call".into(),
    });
    assert_eq!(written(&story), [("desk", Some(Severity::S1), false)]);
    story.event(resolved("a", "a"));
    story.after(600);
    assert_eq!(written(&story), [("desk", Some(Severity::S1), true)]);
    // It comes back as what the other route takes.
    story.event(firing("a", "a", Hint::Outage));
    story.after(600);
    assert_eq!(written(&story), [("desk", Some(Severity::S1), false)]);
    // A new outage has a route of its own.
    story.event(firing("b", "b", Hint::Outage));
    story.after(600);
    assert_eq!(written(&story).len(), 2);
    assert_eq!(written(&story)[1].0, "pager");
}
