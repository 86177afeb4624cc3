//! What staff say beside plain words: the first lines of a mail, and the field of a tracker that holds
//! the time promised for the next update.
//!
//! A mail of staff is an internal note, unless its first lines say otherwise:
//!
//! ```text
//! Public: yes
//! Status: waiting
//! Next update: 2026-06-02 18:00
//! ```
//!
//! `Public` makes the text an answer to the customers; `Status` is `open`, `waiting` or `resolved`. A
//! promised time is for the customers in any case; in an internal mail they read the time alone.

use super::Engine;
use super::people::note;
use super::told_cases::Told;
use crate::model::incident::{Ended, IncidentState};
use crate::model::notice::Reply;
use crate::model::outgoing::NoticeKind;
use crate::model::reason::Reason;
use crate::model::text::one_line;
use crate::model::{IncidentId, TicketId};
use crate::sla::log::{By, CaseDid};
use crate::sla::promise;

/// What a mail of staff says.
#[derive(Debug, Default, PartialEq, Eq)]
struct StaffMail<'a> {
    public: bool,
    status: Option<Status>,
    /// A line that was not understood.
    unclear: Option<String>,
    /// The text below these lines.
    text: &'a str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Open,
    Waiting,
    Resolved,
}

impl StaffMail<'_> {
    fn read(text: &str) -> StaffMail<'_> {
        let mut mail = StaffMail {
            text: text.trim(),
            ..StaffMail::default()
        };
        loop {
            let (line, below) = mail.text.split_once('\n').unwrap_or((mail.text, ""));
            let Some((name, value)) = line.split_once([':', '：']) else {
                break;
            };
            let value = value.trim().to_lowercase();
            match name.trim().to_lowercase().as_str() {
                "public" => mail.public = matches!(value.as_str(), "yes" | "true" | "1"),
                "status" => {
                    mail.status = status(&value);
                    if mail.status.is_none() {
                        let what = format!("`Status: {value}`: expected open, waiting or resolved");
                        mail.unclear = Some(what);
                    }
                }
                _ => break,
            }
            mail.text = below.trim_start();
        }
        mail
    }
}

fn status(value: &str) -> Option<Status> {
    Some(match value {
        "open" => Status::Open,
        "waiting" => Status::Waiting,
        "resolved" => Status::Resolved,
        _ => return None,
    })
}

impl Engine {
    /// A mail of staff about an incident.
    pub(super) fn staff_wrote(&mut self, id: IncidentId, reply: &Reply) {
        let author = reply.from.as_str();
        let mail = StaffMail::read(&reply.text);
        if mail.public && !mail.text.is_empty() {
            self.answered(id, mail.text, author, None);
            self.note_tickets(id, mail.text, true);
        } else {
            let text = format!("Mail from {author}: {}", reply.text);
            self.acknowledge(id, author);
            self.tell_cases(id, None, &note());
            self.decide_by(id, Reason::Note, text.clone(), author);
            self.note_tickets(id, &text, false);
            if let Some(value) = promise::line_in(mail.text) {
                self.promised_alone(id, (None, None), &value, author);
            }
        }
        if let Some(what) = mail.unclear {
            let text = format!("Not understood in the mail from {author}: {what}.");
            self.decide_by(id, Reason::Note, text.clone(), author);
            self.note_tickets(id, &text, false);
        }
        let state = self.incident_state(id);
        match mail.status {
            Some(Status::Waiting) if state.is_some_and(IncidentState::is_open) => {
                self.wait(id, true, author);
            }
            Some(Status::Open) if state.is_some_and(IncidentState::is_open) => {
                self.wait(id, false, author);
            }
            Some(Status::Resolved) if state.is_some_and(IncidentState::is_open) => {
                let text = format!("Resolved by {author}, by mail.");
                let now = self.state.now;
                self.finish(id, Ended::Restored, Reason::PersonResolved, now, &text);
            }
            _ => {}
        }
    }

    /// Staff promised a time and said nothing else to the customers: in the field of a ticket, which
    /// may be that of one contract's case, or in an internal mail.
    pub(super) fn promised_alone(
        &mut self,
        id: IncidentId,
        (ticket, contract): (Option<TicketId>, Option<&str>),
        value: &str,
        author: &str,
    ) {
        let value = one_line(value);
        if value.is_empty() {
            // The field was emptied: what was promised stands.
            return;
        }
        self.acknowledge(id, author);
        let line = format!("Next update: {value}");
        if let Some(why) = self.unclear_promise(id, contract, &line) {
            self.return_promise(id, author, &why);
            return;
        }
        let now = self.happened();
        if let Some(entry) = self.state.incidents.get_mut(&id) {
            entry.answered_at.get_or_insert(now);
        }
        self.decide_by(id, Reason::Promised, line.clone(), author);
        let keys = self.case_keys(id, contract);
        let mut furthest = None;
        for key in &keys {
            let promise = self.promised_to(key, &line);
            furthest = furthest.max(promise);
            let answer = CaseDid::Reply {
                by: By::Staff,
                public: true,
                promise,
            };
            self.log_case(key, self.happened_to(key), answer);
        }
        self.look_at_clocks(id);
        for key in keys
            .iter()
            .filter(|key| self.heard(key))
            .cloned()
            .collect::<Vec<_>>()
        {
            let told = Told {
                until: self.promised_to(&key, &line),
                ..Told::default()
            };
            let stage = self.state.cursor.to_string();
            self.tell_case(&key, NoticeKind::Promised, stage, &told);
        }
        self.warn_of_far(id, furthest);
        match contract {
            Some(contract) => self.note_operations(id, &format!("To {contract}: {line}")),
            None => self.note_tickets_but(id, ticket, &line, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_lines_say_what_the_mail_is() {
        let mail = StaffMail::read("\nPublic: yes\nStatus: Waiting\n\nWhich port?\nStatus: open");
        assert!(mail.public);
        assert_eq!(mail.status, Some(Status::Waiting));
        assert_eq!(mail.text, "Which port?\nStatus: open");
        let plain = StaffMail::read("I look at it.\nPublic: yes");
        assert_eq!((plain.public, plain.status), (false, None));
        assert_eq!(plain.text, "I look at it.\nPublic: yes");
        let odd = StaffMail::read("status: done\nx");
        assert_eq!(odd.status, None);
        assert!(odd.unclear.unwrap().contains("`Status: done`"));
        assert!(!StaffMail::read("Public: no").public);
    }
}
