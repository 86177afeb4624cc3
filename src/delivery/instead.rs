//! What is done instead of what a tracker cannot do. Pure.

use crate::model::text::bounded;
use crate::model::ticket::{TicketFields, TicketStatus, WantedTicket};
use crate::trackers::{Attachment, Capabilities, Change, Draft, Reopens};

/// Fields without those that the tracker has no place for.
pub(super) fn fields(can: &Capabilities, fields: &TicketFields) -> TicketFields {
    TicketFields {
        severity: fields.severity.filter(|_| can.priorities),
        ..fields.clone()
    }
}

/// Whether a field that a tracker names is its place for the severity.
pub(super) fn is_severity(field: &str) -> bool {
    let field = field.to_ascii_lowercase();
    let words = ["priority", "severity", "urgency", "impact"];
    words.iter().any(|word| field.contains(word))
}

/// Leaves out what a tracker has refused by the name of a field, if the ticket can do without it.
pub(super) fn leave_out(field: &str, draft: &mut Draft) -> bool {
    let name = field.to_ascii_lowercase();
    let is = |words: &[&str]| words.iter().any(|word| name.contains(word));
    let custom = draft.custom.iter();
    if let Some(at) = custom.into_iter().position(|(own, _)| own == field) {
        draft.custom.remove(at);
    } else if is_severity(field) && draft.fields.severity.is_some() {
        draft.fields.severity = None;
    } else if is(&["watch", "follower", "observer", "cc"]) && !draft.watchers.is_empty() {
        draft.watchers.clear();
    } else if is(&["type", "tracker"]) && !draft.kind.is_empty() {
        draft.kind.clear();
    } else if is(&["requestor", "requester", "caller", "customer", "reporter"])
        && !draft.requestor.is_empty()
    {
        draft.requestor.clear();
    } else if is(&["attach", "file"]) && !draft.attachments.is_empty() {
        draft.attachments.clear();
    } else {
        return false;
    }
    true
}

/// Leaves out what the tracker has no notion of. `check` refuses a route that asks for it; a shadow
/// route and a route whose tracker is another after a reload come here.
pub(super) fn keep_taken(can: &Capabilities, draft: &mut Draft) {
    if !can.takes.kind {
        draft.kind.clear();
    }
    if !can.takes.requestor {
        draft.requestor.clear();
    }
    if !can.takes.watchers {
        draft.watchers.clear();
    }
    if !can.takes.custom {
        draft.custom.clear();
    }
}

/// The marker of [`note`].
pub(super) fn marker(ticket: &WantedTicket) -> String {
    format!("{}-v{}", ticket.key, ticket.version_wanted)
}

/// The note that says what the fields should be, under the subject that the ticket shows.
pub(super) fn note(
    ticket: &WantedTicket,
    (from, to): (Option<&TicketFields>, &TicketFields),
    subject: &str,
) -> Change {
    Change::Note {
        marker: marker(ticket),
        text: told(from, to),
        about: subject.to_owned(),
        public: false,
    }
}

/// Where fields cannot be changed, a note says what they should be.
fn told(from: Option<&TicketFields>, to: &TicketFields) -> String {
    let differs =
        |part: fn(&TicketFields, &TicketFields) -> bool| from.is_none_or(|from| part(from, to));
    let mut text = String::new();
    if differs(|from, to| from.subject != to.subject) {
        text.push_str(&format!("Subject: {}\n", to.subject));
    }
    if differs(|from, to| from.status != to.status) {
        text.push_str(&format!("Status: {}\n", to.status.word()));
    }
    if let Some(severity) = to.severity
        && differs(|from, to| from.severity != to.severity)
    {
        text.push_str(&format!("Severity: {severity}\n"));
    }
    text
}

/// Whether a ticket of this status cannot be opened again, so that another has to follow it.
pub(super) fn is_final(can: &Capabilities, status: TicketStatus) -> bool {
    match can.reopens {
        Reopens::Always => false,
        Reopens::UntilClosed => status == TicketStatus::Closed,
        Reopens::Never => status.is_over(),
    }
}

/// The body as it fits, with the line of its memory whole at its end, and the whole text as a file
/// if it had to be cut and the tracker takes files. Where the line would be half of what fits, it is
/// left out.
pub(super) fn body(
    can: &Capabilities,
    key: &str,
    text: String,
    memory: &str,
) -> (String, Vec<Attachment>) {
    let tail = match memory {
        "" => String::new(),
        memory if memory.len() > can.body_bytes_max / 2 => String::new(),
        memory => format!("\n\n{memory}\n"),
    };
    let room = can.body_bytes_max.saturating_sub(tail.len());
    let with_tail = |text: &str| match tail.as_str() {
        "" => text.to_owned(),
        tail => format!("{}{tail}", text.trim_end()),
    };
    if text.len() <= room {
        return (with_tail(&text), Vec::new());
    }
    if can.attachment_bytes_max == 0 {
        return (with_tail(&bounded(&text, room)), Vec::new());
    }
    let name = format!("{key}.txt");
    let hint = format!("\n\nThe whole text is in the file {name}.\n");
    let room = room.saturating_sub(hint.len());
    let file = Attachment::of_text(name, bounded(&text, can.attachment_bytes_max));
    let cut = format!("{}{hint}", bounded(&text, room));
    (with_tail(&cut), vec![file])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::severity::Severity;

    const SMALL: Capabilities = Capabilities {
        body_bytes_max: 100,
        ..Capabilities::TICKETS
    };

    fn wanted() -> TicketFields {
        TicketFields {
            subject: "core-1 is down".to_owned(),
            status: TicketStatus::Resolved,
            severity: Some(Severity::S2),
            queue: String::new(),
        }
    }

    #[test]
    fn a_note_tells_what_changed_and_nothing_else() {
        let whole = "Subject: core-1 is down\nStatus: resolved\nSeverity: S2\n";
        assert_eq!(told(None, &wanted()), whole);
        let before = TicketFields {
            status: TicketStatus::New,
            ..wanted()
        };
        assert_eq!(told(Some(&before), &wanted()), "Status: resolved\n");
        let none = Capabilities {
            priorities: false,
            ..Capabilities::TICKETS
        };
        assert_eq!(fields(&none, &wanted()).severity, None);
        assert_eq!(fields(&Capabilities::TICKETS, &wanted()), wanted());
    }

    #[test]
    fn what_is_cut_is_enclosed_whole() {
        let text = "日本語".repeat(40);
        let (cut, files) = body(&SMALL, "ab-1", text.clone(), "");
        assert!(cut.len() <= 100 && files.is_empty());
        let takes = Capabilities {
            attachment_bytes_max: 1000,
            ..SMALL
        };
        let (cut, files) = body(&takes, "ab-1", text.clone(), "");
        assert!(cut.len() <= 100 && cut.contains("ab-1.txt"), "{cut}");
        assert_eq!(files[0].bytes, text.as_bytes());
        let (whole, files) = body(&takes, "ab-1", "short".to_owned(), "");
        assert_eq!((whole.as_str(), files.len()), ("short", 0));
    }

    #[test]
    fn what_is_final_depends_on_the_tracker() {
        let with = |reopens| Capabilities {
            reopens,
            ..Capabilities::TICKETS
        };
        let (resolved, closed) = (TicketStatus::Resolved, TicketStatus::Closed);
        assert!(!is_final(&with(Reopens::Always), closed));
        assert!(!is_final(&with(Reopens::UntilClosed), resolved));
        assert!(is_final(&with(Reopens::UntilClosed), closed));
        assert!(is_final(&with(Reopens::Never), resolved));
        assert!(!is_final(&with(Reopens::Never), TicketStatus::Open));
    }
}
