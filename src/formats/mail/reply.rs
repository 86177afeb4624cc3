//! A person's mail as their words: the new text without quotes, and what it refers to. Which
//! ticket it belongs to, and whether its author may speak there, is decided elsewhere: a tag in
//! the subject alone proves nothing.

use super::automatic;
use super::read::Mail;
use super::text::{self, Subject};
use crate::limits::EVENT_TEXT_BYTES_MAX;
use crate::model::notice::Reply;
use crate::model::text as bounded_text;

/// Whether a person wrote a mail, as far as it tells.
pub(super) fn by_person(mail: &Mail, own: &automatic::Own) -> bool {
    let headers = &mail.headers;
    let automatic = automatic::reason(mail, own).is_some()
        || headers
            .get("auto-submitted")
            .is_some_and(|value| !value.eq_ignore_ascii_case("no"))
        || ["list-id", "list-unsubscribe", "precedence", "feedback-id"]
            .iter()
            .any(|name| headers.get(name).is_some());
    !automatic && !mail.encrypted && !headers.author_address().is_empty()
}

/// A mail as its author's words.
pub(super) fn of(mail: &Mail, subject: &Subject) -> Reply {
    let whole = text::without_banners(mail.text());
    let mut words = text::without_quotes(whole);
    if words.is_empty() {
        words = whole.trim().to_owned();
    }
    Reply {
        from: mail.headers.author_address(),
        subject: subject.text.clone(),
        text: bounded_text::bounded(&words, EVENT_TEXT_BYTES_MAX),
        refers_to: mail.headers.refers_to(),
        ticket_tag: automatic::ticket_tag(mail.headers.subject()),
        message_id: mail.headers.message_id(),
    }
}
