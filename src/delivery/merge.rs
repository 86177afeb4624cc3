//! What to write to a ticket that people write to as well. Pure. What a person has changed since
//! our last write stays; the status moves when there is news of the incident.

use crate::model::ticket::{TicketFields, TicketStatus};

/// The fields a ticket should have now: `wanted` by the engine, `last` as we wrote it and the
/// tracker keeps it, `current` as read.
pub(super) fn target(
    wanted: &TicketFields,
    last: Option<&TicketFields>,
    current: &TicketFields,
    asked_again: bool,
) -> TicketFields {
    let theirs = |changed: fn(&TicketFields, &TicketFields) -> bool| {
        last.is_some_and(|last| changed(last, current))
    };
    let subject = if theirs(|last, now| last.subject != now.subject) {
        &current.subject
    } else {
        &wanted.subject
    };
    let severity_is_theirs =
        theirs(|last, now| now.severity.is_some() && last.severity != now.severity);
    let severity = if severity_is_theirs {
        current.severity
    } else {
        wanted.severity.or(current.severity)
    };
    TicketFields {
        subject: subject.clone(),
        status: status(
            wanted.status,
            last.map(|l| l.status),
            current.status,
            asked_again,
        ),
        severity,
        queue: current.queue.clone(),
    }
}

/// The status to write. `asked_again`: the engine wants the same fields anew, because a person
/// closed a ticket whose alert still fires.
fn status(
    wanted: TicketStatus,
    last: Option<TicketStatus>,
    current: TicketStatus,
    asked_again: bool,
) -> TicketStatus {
    let working = |status| {
        matches!(
            status,
            TicketStatus::New | TicketStatus::Open | TicketStatus::OnHold
        )
    };
    if current == wanted
        || (working(current) && working(wanted))
        || (current.is_over() && wanted.is_over())
    {
        return current;
    }
    let Some(last) = last else { return wanted };
    let reopened = last.is_over() && !wanted.is_over();
    if current.is_over() && !reopened && !asked_again {
        // A person closed it, and nobody said that it should be open again.
        return current;
    }
    if last == wanted && !asked_again {
        return current;
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::severity::Severity;
    use TicketStatus::{New, OnHold, Open, Resolved, WaitingCustomer};

    fn fields(subject: &str, status: TicketStatus, severity: Option<Severity>) -> TicketFields {
        TicketFields {
            subject: subject.to_owned(),
            status,
            severity,
            queue: String::new(),
        }
    }

    #[test]
    fn what_people_changed_stays() {
        let last = fields("web-1 is down", New, Some(Severity::S3));
        let current = fields("web-1: call Bob", Open, Some(Severity::S2));
        let wanted = fields("web-1 and web-2 are down", Resolved, Some(Severity::S4));
        let target = target(&wanted, Some(&last), &current, false);
        assert_eq!(
            target,
            fields("web-1: call Bob", Resolved, Some(Severity::S2))
        );
    }

    #[test]
    fn what_nobody_changed_follows() {
        let last = fields("a", New, Some(Severity::S3));
        let wanted = fields("b", Resolved, Some(Severity::S1));
        assert_eq!(target(&wanted, Some(&last), &last, false), wanted);
        assert_eq!(target(&wanted, None, &last, false), wanted);
        let unreadable = fields("a", New, None);
        assert_eq!(target(&wanted, Some(&last), &unreadable, false), wanted);
    }

    #[test]
    fn the_status_moves_with_news_only() {
        let cases = [
            // wanted, last, current, asked again, expected
            (Resolved, Some(New), Open, false, Resolved),
            (New, Some(New), Open, false, Open),
            (Open, Some(New), New, false, New),
            (New, Some(New), WaitingCustomer, false, WaitingCustomer),
            (Open, Some(WaitingCustomer), WaitingCustomer, false, Open),
            (WaitingCustomer, Some(Open), OnHold, false, WaitingCustomer),
            // A person closed it, and it was not seen yet.
            (Open, Some(New), Resolved, false, Resolved),
            // The policy opens it again.
            (New, Some(New), Resolved, true, New),
            // The problem came back.
            (New, Some(Resolved), Resolved, false, New),
            // Found by its key after an unknown outcome.
            (Resolved, None, New, false, Resolved),
        ];
        for (wanted, last, current, again, expected) in cases {
            let got = status(wanted, last, current, again);
            assert_eq!(got, expected, "{wanted:?} {last:?} {current:?} {again}");
        }
    }
}
