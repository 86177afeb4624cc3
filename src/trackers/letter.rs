//! Letters to a tracker that reads mail, and what each such tracker does with them.
//!
//! Each letter has a Message-ID of its own that stays the same when it is sent again. Later letters
//! refer to the first by References and In-Reply-To and carry the key in the subject. Words of
//! alerts become neither a header nor the tag of a stranger's ticket.

use super::{Attachment, text};
use crate::model::text::bounded;
use crate::model::ticket::TicketFields;
use crate::relay;
use lettre::message::Mailbox;
use serde::Deserialize;

/// Longest subject of a letter, characters.
pub(super) const SUBJECT_CHARS_MAX: usize = 200;
/// Longest body, bytes.
pub(super) const BODY_BYTES_MAX: usize = 200 * 1024;

/// What reads the letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reader {
    /// Anything that threads by References.
    #[default]
    Other,
    /// FreeScout.
    Freescout,
    /// Freshdesk.
    Freshdesk,
    /// Freshservice.
    Freshservice,
    /// Jira.
    Jira,
    /// osTicket.
    Osticket,
    /// Redmine.
    Redmine,
    /// Request Tracker.
    Rt,
    /// Zammad.
    Zammad,
    /// Zendesk.
    Zendesk,
    /// Znuny, OTOBO, OTRS.
    Znuny,
}

impl Reader {
    /// Whether a letter that refers to the first one is filed under its ticket. Where only the
    /// tracker's own tag or Message-ID counts, which the bridge never sees, each letter would be a
    /// ticket of its own: nothing is sent after the first.
    pub fn threads(self) -> bool {
        !matches!(self, Reader::Rt | Reader::Redmine | Reader::Zendesk)
    }

    /// Whether a Message-ID that it has seen makes no second ticket.
    pub fn drops_seen(self) -> bool {
        matches!(self, Reader::Osticket | Reader::Freescout)
    }

    /// Whether it takes letters that say `Auto-Submitted`. The others drop or suspend them.
    pub fn takes_auto_submitted(self) -> bool {
        !matches!(self, Reader::Redmine | Reader::Jira | Reader::Zendesk)
    }
}

/// One letter.
pub(super) struct Letter<'a> {
    /// The key of the ticket.
    pub key: &'a str,
    /// What tells this letter from the others of its ticket; empty for the first.
    pub id: &'a str,
    /// The ticket's subject.
    pub about: &'a str,
    /// The queue of the ticket, for a prefix that names it.
    pub queue: &'a str,
    /// The text.
    pub body: String,
    /// Who gets it as well.
    pub cc: Vec<Mailbox>,
    /// What is enclosed.
    pub files: &'a [Attachment],
}

/// How letters are put together.
pub(super) struct Letters {
    pub from: Mailbox,
    pub to: Mailbox,
    /// The name in Message-IDs.
    pub domain: String,
    pub reader: Reader,
    pub auto_submitted: bool,
    /// What every subject begins with, `{queue}` for the queue.
    pub prefix: String,
}

/// An address of the configuration.
pub(super) fn mailbox(key: &str, text: &str) -> Result<Mailbox, String> {
    text.parse()
        .map_err(|error| format!("{key}: `{text}` is no mail address: {error}"))
}

/// `OPS-7` becomes `OPS- 7`: Jira files a letter under the issue that its subject names.
fn without_issue_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = 0;
    let mut before = ' ';
    for c in text.chars() {
        if c.is_ascii_digit() && before == '-' && letters >= 2 {
            out.push(' ');
        }
        letters = match c {
            c if c.is_ascii_alphabetic() => letters + 1,
            '-' => letters,
            _ => 0,
        };
        out.push(c);
        before = c;
    }
    out
}

impl Letters {
    fn subject(&self, letter: &Letter<'_>) -> String {
        let prefix = self.prefix.replace("{queue}", letter.queue);
        let about = if self.reader == Reader::Jira {
            without_issue_keys(letter.about)
        } else {
            letter.about.to_owned()
        };
        let about = format!("{prefix} {about}");
        let subject = text::subject(&about, &format!("[{}]", letter.key), SUBJECT_CHARS_MAX);
        if letter.id.is_empty() {
            subject
        } else {
            format!("Re: {subject}")
        }
    }

    /// The letter as it goes out.
    pub fn letter(&self, letter: &Letter<'_>) -> relay::Letter {
        let first = format!("<{}@{}>", letter.key, self.domain);
        let (message_id, thread) = match letter.id {
            "" => (first, None),
            id => {
                let own = format!("<{}.{id}@{}>", letter.key, self.domain);
                (own, Some(first))
            }
        };
        let body = text::without_ticket_tags(&text::plain(&letter.body));
        relay::Letter {
            from: self.from.clone(),
            to: self.to.clone(),
            cc: letter.cc.clone(),
            reply_to: None,
            subject: self.subject(letter),
            body: bounded(&body, BODY_BYTES_MAX),
            message_id,
            thread,
            automatic: self.auto_submitted.then_some(relay::Automatic::Generated),
        }
    }
}

/// What is enclosed, as the relay takes it.
pub(super) fn enclosed(files: &[Attachment]) -> Vec<relay::Enclosed<'_>> {
    files
        .iter()
        .map(|file| relay::Enclosed {
            name: &file.name,
            content_type: &file.content_type,
            bytes: &file.bytes,
        })
        .collect()
}

/// Watchers as readers of a letter; one that is no address is left out.
pub(super) fn readers(watchers: &[String]) -> Vec<Mailbox> {
    let read = watchers.iter().filter_map(|one| one.parse().ok());
    read.collect()
}

/// Status and severity, for people and for filters of the tracker.
pub(super) fn state(fields: &TicketFields) -> String {
    let severity = fields
        .severity
        .map_or_else(|| "unknown".to_owned(), |severity| severity.to_string());
    format!("Status: {}\nSeverity: {severity}\n", fields.status.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_issues_in_alerts_name_no_issue() {
        assert_eq!(
            without_issue_keys("OPS-7 on ge-0/0/1, x-1, OPS-x"),
            "OPS- 7 on ge- 0/0/1, x-1, OPS-x"
        );
    }
}
