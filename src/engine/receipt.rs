//! Mails of people are heard once, however often they are delivered, and their authors are told the
//! number of what became of them: once, and no machine.

use super::Engine;
use super::correlate::group_hash;
use super::telling::Tell;
use crate::model::input::Message;
use crate::model::notice::{Author, Reply, Speaker};
use crate::model::outgoing::{NoticeFacts, NoticeKind, Way};
use crate::model::reason::Reason;
use crate::model::{IncidentId, NoticeId, Time};
use std::time::Duration;

/// The kind of rows that remember mails.
pub(super) const HEARD: &str = "heard";
/// How long a mail is remembered: mail servers give up before.
const HEARD_FOR: Duration = Duration::from_secs(7 * 86_400);
/// Most mails that are remembered.
const HEARD_MAX: usize = 10_000;
/// Longest message id that a letter refers to.
const MESSAGE_ID_BYTES_MAX: usize = 250;
/// Most requests of one account within [`RECEIPTS_WITHIN`] that are answered: two machines that
/// answer each other with new subjects would go on for ever.
const RECEIPTS_MAX: usize = 20;
/// See [`RECEIPTS_MAX`].
const RECEIPTS_WITHIN: Duration = Duration::from_secs(3600);

impl Engine {
    /// Whether a mail was delivered before: the same id with the same content. It is remembered
    /// from now on.
    pub(super) fn was_heard(&mut self, reply: &Reply) -> bool {
        let Some(id) = &reply.message_id else {
            return false;
        };
        let hash = group_hash(&["mail", &reply.from, id, &reply.subject, &reply.text]);
        if self.state.telling.heard.contains_key(&hash) {
            return true;
        }
        let now = self.state.now;
        let heard = &mut self.state.telling.heard;
        let mut gone: Vec<u64> = heard
            .iter()
            .filter(|(_, at)| now.since(**at) > HEARD_FOR)
            .map(|(hash, _)| *hash)
            .collect();
        if heard.len() - gone.len() >= HEARD_MAX {
            let oldest = heard.iter().min_by_key(|(_, at)| **at);
            gone.extend(oldest.map(|(hash, _)| *hash));
        }
        for hash in gone {
            self.state.telling.heard.remove(&hash);
            self.drop_thing(HEARD, heard_key(hash));
        }
        self.state.telling.heard.insert(hash, now);
        self.save_thing(HEARD, heard_key(hash), &now);
        false
    }

    /// Loads one row.
    pub(super) fn restore_heard(&mut self, key: &str, at: Time) {
        if let Ok(hash) = u64::from_str_radix(key, 16) {
            self.state.telling.heard.insert(hash, at);
        }
    }

    /// The author of a request is told its number.
    pub(super) fn tell_received(
        &mut self,
        message: &Message,
        author: &Author,
        (reply, account): (&Reply, &str),
        id: IncidentId,
    ) {
        let plan = self.decisions.notices.clone();
        let is_known = matches!(author.speaker, Speaker::Customer | Speaker::Engineer);
        if !message.answerable || !is_known || !plan.mail || !plan.receipts {
            return;
        }
        if self.requests_lately(account) > RECEIPTS_MAX {
            let text = format!(
                "{} is not told the number: more than {RECEIPTS_MAX} requests of {account} within \
                 an hour. Does a machine write them?",
                reply.from
            );
            self.decide(id, Reason::Note, text);
            if let Some(entry) = self.state.incidents.get_mut(&id) {
                entry.needs_triage = true;
            }
            return;
        }
        let sla = self.decisions.sla.clone();
        let reader = plan.writer(&sla, &author.address, author.account.as_deref());
        let tell = Tell {
            kind: NoticeKind::Received,
            incident: Some(id),
            thread: id.to_string(),
            stage: self.state.cursor.to_string(),
            facts: NoticeFacts {
                reference: id.to_string(),
                at: self.state.now,
                ..NoticeFacts::default()
            },
            readers: &[],
            send_at: None,
        };
        let wanted = self.want_notice(&tell, &reader, Way::Mail);
        let answered = reply.message_id.as_deref().filter(|id| is_plain(id));
        if let (Some((notice, _)), Some(mail)) = (wanted, answered) {
            self.answer_mail(notice, mail);
        }
    }

    /// Requests of an account within the last hour.
    fn requests_lately(&self, account: &str) -> usize {
        let now = self.state.now;
        let lately = |at: Time| now.since(at) < RECEIPTS_WITHIN;
        let incidents = self.state.incidents.values();
        incidents
            .filter(|incident| incident.released_at.is_some_and(lately))
            .filter(|incident| incident.reported_by.iter().any(|by| by == account))
            .count()
    }

    /// The notice answers a mail.
    fn answer_mail(&mut self, id: NoticeId, mail: &str) {
        let Some(notice) = self.state.telling.notices.get_mut(&id) else {
            return;
        };
        mail.clone_into(&mut notice.thread);
        let notice = notice.clone();
        self.save_thing("notice_wanted", super::telling::thing_key(id), &notice);
    }
}

fn heard_key(hash: u64) -> String {
    format!("{hash:016x}")
}

/// Whether a message id can stand in a header field as it is.
fn is_plain(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"<>\"\\,;()".contains(&byte);
    id.len() <= MESSAGE_ID_BYTES_MAX && id.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_ids_are_referred_to() {
        assert!(is_plain("CAF+7=x_y.1@mail.acme.example"));
        for odd in ["a b@x", "a\r\nBcc: x@y", "<a@b>", "ä@b", &"x".repeat(251)] {
            assert!(!is_plain(odd), "{odd}");
        }
    }
}
