//! Mails → [`super::Decoded`]. Pure.
//!
//! A mail is read ([`read`]), judged ([`automatic`]: our own, bounces, automatic replies), and then
//! given to calendars ([`calendar`]) and templates ([`template`]), first the mail itself, then what
//! it forwards. What refers to our tickets are a person's words ([`reply`]). What no format
//! matches is undecodable and goes to quarantine, where people see it.
//!
//! Invariant: a part that cannot be read becomes a note in `problems`; the mail is never lost.

mod asked;
pub mod authentication;
pub mod automatic;
mod calendar;
mod charset;
mod enclosed;
mod header;
mod html;
mod json;
mod letter;
mod notices;
pub mod read;
mod reply;
pub mod template;
mod text;
mod times;
mod transfer;
mod wrappers;
mod zones;

pub use automatic::Own;
pub use enclosed::{Enclosed, enclosed};
pub use letter::{Answers, Letter};
pub use template::{TemplateError, Templates};

use super::{Decoded, Undecodable};
use crate::model::{EventState, Time, text as bounded_text};
use read::Mail;
use template::Page;

/// How much of a message is looked at to tell whether it is a mail, bytes.
const LIKELY_BYTES: usize = 16 * 1024;

/// Decodes one mail with the shipped templates: the format that read it, and what it says.
pub fn decode_bytes(raw: &[u8], received_at: Time) -> (String, Result<Decoded, Undecodable>) {
    decode_with(raw, received_at, Templates::shipped(), &Own::default())
}

/// Whether bytes begin as a mail does: with the line that a mailbox file puts first, or with header
/// fields among which is one that every mail has.
pub fn is_likely(raw: &[u8]) -> bool {
    let head = raw.get(..raw.len().min(LIKELY_BYTES)).unwrap_or_default();
    let head = String::from_utf8_lossy(head);
    let head = head.trim_start_matches('\u{feff}');
    let mut fields = 0;
    for (number, line) in head.lines().enumerate() {
        if number == 0 && line.starts_with("From ") {
            continue;
        }
        if line.starts_with([' ', '\t']) && fields > 0 {
            continue;
        }
        let name = line.split_once(':').map_or("", |(name, _)| name);
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if name.is_empty() || !name.bytes().all(plain) {
            return false;
        }
        fields += 1;
        let telling = [
            "from",
            "received",
            "return-path",
            "message-id",
            "subject",
            "to",
        ];
        if telling.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            return true;
        }
    }
    false
}

/// Decodes one mail with these templates, `own` telling our own mails from others.
pub fn decode_with(
    raw: &[u8],
    received_at: Time,
    templates: &Templates,
    own: &Own,
) -> (String, Result<Decoded, Undecodable>) {
    let Some(mail) = read::mail(raw) else {
        let reason = "the bytes are no mail: neither a header nor a text could be read";
        return ("mail".to_owned(), Err(Undecodable::because(reason)));
    };
    let reader = Reader {
        received_at,
        templates,
        own,
    };
    let (sender, outcome) = reader.decode(&mail);
    let outcome = outcome.map(|mut decoded| {
        decoded.problems.extend(mail.notes.iter().cloned());
        flag(&mail, &mut decoded);
        super::within_bounds(decoded)
    });
    (sender, outcome)
}

/// A mail with several authors or subjects may be a forgery: it opens, but it closes and silences
/// nothing.
fn flag(mail: &Mail, decoded: &mut Decoded) {
    for name in ["from", "subject"] {
        if mail.headers.all(name).count() < 2 {
            continue;
        }
        decoded.problems.push(format!(
            "the mail has several `{name}` fields; the first was taken"
        ));
        for event in &mut decoded.events {
            if matches!(event.state, EventState::Resolved | EventState::Acknowledged) {
                event.state = EventState::Info;
                event.problems.push(format!(
                    "several `{name}` fields: the recovery is not believed"
                ));
            }
        }
        // What is unclear goes to a person and keeps nothing quiet.
        for notice in &mut decoded.maintenance {
            let why = format!("the mail has several `{name}` fields");
            notice.unclear.push(why);
        }
    }
}

struct Reader<'a> {
    received_at: Time,
    templates: &'a Templates,
    own: &'a Own,
}

type Outcome = (String, Result<Decoded, Undecodable>);

impl Reader<'_> {
    fn decode(&self, mail: &Mail) -> Outcome {
        if let Some(reason) = automatic::reason(mail, self.own) {
            return ("-".to_owned(), Ok(Decoded::ignored(reason)));
        }
        let subject = text::subject(mail.headers.subject(), &self.own.lists);
        let refers = mail.headers.refers_to();
        let by_reference = refers.iter().any(|id| self.own.is_own_id(id));
        let has_tag = automatic::ticket_tag(mail.headers.subject()).is_some();
        let to_us = by_reference || has_tag;
        let is_answer = by_reference
            || automatic::has_own_tag(mail.headers.subject())
            || (has_tag && subject.reply);
        // An answer in one of our threads is not searched for alerts, unless it forwards one.
        if is_answer && !subject.forward {
            return self.answer(mail, &subject);
        }
        if let Some(outcome) = self.formats(mail, 0) {
            return outcome;
        }
        if to_us {
            return self.answer(mail, &subject);
        }
        if mail.encrypted {
            let reason = "the mail is encrypted: a person has to open it";
            return ("mail".to_owned(), Err(Undecodable::because(reason)));
        }
        if automatic::is_invitation(mail) {
            let reason = "a calendar invitation that is no maintenance notice";
            return ("-".to_owned(), Ok(Decoded::ignored(reason)));
        }
        let reason = format!(
            "no mail format matches the mail `{}`",
            bounded_text::bounded(mail.headers.subject(), 120)
        );
        ("mail".to_owned(), Err(Undecodable::because(reason)))
    }

    /// Calendars, templates and forwarded mails.
    fn formats(&self, mail: &Mail, depth: usize) -> Option<Outcome> {
        if let Some(outcome) = self.calendars(mail) {
            return Some(outcome);
        }
        let subject = text::subject(mail.headers.subject(), &self.lists(mail));
        let (plain, html) = self.bodies(mail, &subject);
        let sent_at = mail
            .headers
            .get("date")
            .and_then(|date| times::read(date, times::Clock::default()))
            .and_then(|date| template::believable(date, self.received_at));
        let page = |subject, plain, html| Page {
            mail,
            subject,
            plain,
            html,
            sent_at,
            received_at: self.received_at,
        };
        if let Some(outcome) = json::decode(
            mail,
            &plain,
            sent_at.unwrap_or(self.received_at),
            self.received_at,
        ) {
            return Some(outcome);
        }
        let own = self.templates.decode(&page(&subject.text, &plain, &html));
        if matches!(own, Some((_, Ok(_)))) {
            return own;
        }
        let whole = text::without_banners(mail.text());
        if let Some(inner) = text::forwarded(whole).filter(|_| depth == 0) {
            let named = text::forwarded_subject(whole).unwrap_or_default();
            let named = text::subject(&named, &self.own.lists);
            let outcome = self.templates.decode(&page(&named.text, &inner, ""));
            if matches!(outcome, Some((_, Ok(_)))) {
                return outcome;
            }
        }
        let nested = mail
            .nested
            .iter()
            .filter_map(|nested| self.formats(nested, depth + 1))
            .find(|(_, outcome)| outcome.is_ok());
        nested.or(own)
    }

    /// Texts without banners; those of an answer without what it quotes.
    fn bodies(&self, mail: &Mail, subject: &text::Subject) -> (String, String) {
        let answer = subject.reply && !subject.forward;
        let body = |whole: &str| {
            let whole = text::without_banners(whole);
            if answer {
                text::without_quotes(whole)
            } else {
                whole.to_owned()
            }
        };
        (body(&mail.plain), body(&mail.html))
    }

    /// Tags of lists: those that are configured, and the mail's own.
    fn lists(&self, mail: &Mail) -> Vec<String> {
        let mut lists = self.own.lists.clone();
        let id = mail
            .headers
            .get("list-id")
            .and_then(|id| id.rsplit_once('<'));
        if let Some((_, id)) = id {
            lists.extend(id.split('.').next().map(str::to_owned));
        }
        lists
    }

    fn calendars(&self, mail: &Mail) -> Option<Outcome> {
        let mut decoded = Decoded::default();
        let texts = mail
            .files
            .iter()
            .map(|f| f.text.as_str())
            .chain([mail.plain.as_str()]);
        for text in texts.filter(|text| calendar::is_maintnote(text)) {
            decoded
                .maintenance
                .extend(calendar::notices(text, self.received_at));
        }
        if decoded.maintenance.is_empty() {
            return None;
        }
        // Ids of two carriers must not meet where neither is named; a person looks at it anyway.
        let author = mail.headers.author_address();
        let domain = author.rsplit_once('@').map_or("", |(_, domain)| domain);
        for notice in &mut decoded.maintenance {
            if notice.provider.is_empty() {
                domain.clone_into(&mut notice.provider);
            }
        }
        Some(("maintnote".to_owned(), Ok(decoded)))
    }

    fn answer(&self, mail: &Mail, subject: &text::Subject) -> Outcome {
        if automatic::machine_answer(mail, self.own) {
            let reason = "an automatic answer of another ticket system";
            return ("-".to_owned(), Ok(Decoded::ignored(reason)));
        }
        let reply = reply::of(mail, subject);
        let known = reply.refers_to.iter().any(|id| self.own.is_own_id(id));
        let sender = if known { "person" } else { "unknown" };
        let decoded = Decoded {
            replies: vec![reply],
            ..Decoded::default()
        };
        (sender.to_owned(), Ok(decoded))
    }
}

#[cfg(test)]
mod tests;
