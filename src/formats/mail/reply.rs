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

/// Beginnings of addresses that nobody reads, or that a machine must not answer.
const UNREAD: &[&str] = &[
    "no-reply",
    "noreply",
    "no_reply",
    "do-not-reply",
    "do_not_reply",
    "donotreply",
    "mailer-daemon",
    "postmaster",
    "bounce",
];

/// Whether a machine may answer a mail (RFC 3834): a person wrote it, to no list, from an address
/// that takes answers.
pub(super) fn may_be_answered(mail: &Mail, own: &automatic::Own) -> bool {
    let headers = &mail.headers;
    let author = headers.author_address();
    let returns_nowhere = headers
        .get("return-path")
        .is_some_and(|path| path.trim() == "<>");
    let declines = |value: &str| {
        let word = value.trim().to_ascii_lowercase();
        matches!(word.as_str(), "all" | "autoreply")
    };
    let declined = headers
        .get("x-auto-response-suppress")
        .is_some_and(|value| value.split(',').any(declines));
    by_person(mail, own)
        && !returns_nowhere
        && !declined
        && !UNREAD.iter().any(|start| author.starts_with(start))
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
