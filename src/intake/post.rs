//! A whole mail on its way to the journal, by whichever door it came: decode, judge its author,
//! append. What the author may not say waits in quarantine.

use super::Tried;
use super::accept::{Accepted, Delivery, Intake, summary_of};
use super::senders::{Envelope, MailTrust, Standing, may_answer};
use super::source::Source;
use crate::formats::mail::Letter;
use crate::formats::{Decoded, Undecodable};
use crate::limits;
use crate::model::notice::Speaker;
use crate::model::text::prefix;
use crate::store::{Mark, StoreError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::time::timeout;

impl Intake {
    /// Takes in one mail. `marks` move in the transaction of its append. `Ok` only after the
    /// commit.
    pub async fn take_mail(
        &self,
        source: &Arc<Source>,
        raw: bytes::Bytes,
        envelope: &Envelope,
        marks: Vec<Mark>,
    ) -> Result<Accepted, StoreError> {
        // Compiling templates is no fault of the first mail and must not cost it its time.
        let ready = || async {
            let decoder = self.decoder.clone();
            let _ = tokio::task::spawn_blocking(move || decoder.ready()).await;
        };
        self.mail_ready.get_or_init(ready).await;
        let trust = self.mail.load_full();
        let (tried, letter) = self.decode_mail(source, &raw, &trust).await;
        // Without a letter nobody is known, or the reading itself failed: both stand as they are.
        let tried = match &letter {
            None => tried,
            Some(letter) => {
                self.judged(source, &raw, envelope, (&trust, letter), tried)
                    .await
            }
        };
        let (group, summary) = match (&tried.1, letter) {
            (Ok(_), _) => (String::new(), String::new()),
            (Err(_), Some(letter)) => about(&letter),
            (Err(_), None) => {
                let subject = subject_of(&raw);
                (format!("{} {subject}", envelope.sender), subject)
            }
        };
        let delivery = Delivery {
            tried,
            raw: Vec::from(raw),
            group,
            summary,
        };
        self.accept_marked(source, vec![delivery], marks).await
    }

    /// Decodes behind the fence. Where somebody is known, the mail is read as a letter as well,
    /// behind the same fence.
    async fn decode_mail(
        &self,
        source: &Arc<Source>,
        raw: &bytes::Bytes,
        trust: &Arc<MailTrust>,
    ) -> (Tried, Option<Letter>) {
        let (decoder, apart) = (self.decoder.clone(), source.clone());
        let received_at = self.clock.now();
        let letter = Arc::new(OnceLock::new());
        let (shared, trust) = (letter.clone(), trust.clone());
        let decode = move |raw: &[u8]| {
            let read = || {
                let _ = shared.set(Letter::read(raw, &trust.own).unwrap_or_default());
            };
            if !trust.senders.is_open() {
                read();
            }
            let tried = decoder.mail(&apart, raw, received_at);
            if tried.1.as_ref().is_ok_and(|d| !d.replies.is_empty()) {
                read();
            }
            tried
        };
        let kind = &source.config.kind;
        let tried = self.fence.decode_apart(kind, raw.clone(), decode).await;
        // A mail is kept all the same.
        let tried = tried.unwrap_or_else(|busy| {
            let reason = format!("{busy}; replay it");
            (kind.clone(), Err(Undecodable::because(reason)))
        });
        (tried, letter.get().cloned())
    }

    async fn judged(
        &self,
        source: &Source,
        raw: &bytes::Bytes,
        envelope: &Envelope,
        (trust, letter): (&MailTrust, &Letter),
        (sender, outcome): Tried,
    ) -> Tried {
        let checked = match &trust.check {
            Some(check) if trust.senders.needs_check(letter, envelope) => {
                let longest = Duration::from_secs(limits::SENDER_CHECK_SECONDS);
                timeout(longest, check.check(raw.clone(), envelope))
                    .await
                    .ok()
            }
            _ => None,
        };
        let bound_to = source.config.account.as_deref();
        let standing = trust
            .senders
            .judge(letter, envelope, checked.as_ref(), bound_to);
        // A mail without an envelope sender is answered by nobody.
        let returns = envelope.peer.is_none() || !envelope.sender.is_empty();
        let answerable = letter.answerable && returns;
        let (sender, outcome) = apply(&standing, letter, (sender, outcome));
        let outcome = outcome.map(|mut decoded| {
            let believed = decoded.author.is_some() && !decoded.replies.is_empty();
            decoded.answerable = answerable && believed;
            decoded
        });
        let wants_seal = |decoded: &Decoded| {
            let author = decoded.author.as_ref();
            let asked = author.and_then(|author| author.asked.as_ref());
            asked.is_some_and(|asked| asked.sensitive)
        };
        if !trust.can_seal && outcome.as_ref().is_ok_and(wants_seal) {
            let reason = "it is marked as sensitive, and there is no key to seal it with: \
                          configure [[sealing.key]], and look at it with `quarantine show`";
            return (sender, Err(Undecodable::because(reason)));
        }
        (sender, outcome)
    }
}

/// What a mail says once it is known whether its author is believed.
fn apply(standing: &Standing, letter: &Letter, (sender, outcome): Tried) -> Tried {
    // What says nothing needs nobody's trust: bounces, automatic replies, our own coming back.
    if outcome.as_ref().is_ok_and(|d| d.ignored.is_some()) {
        return (sender, outcome);
    }
    if let Standing::NotBelieved(reason) = standing {
        return (sender, Err(Undecodable::because(reason.clone())));
    }
    match outcome {
        Ok(decoded) if !decoded.replies.is_empty() && !may_answer(standing, letter.answers) => {
            let reason = format!(
                "words about a ticket from `{}`, who is not known to speak for it",
                letter.author
            );
            (sender, Err(Undecodable::because(reason)))
        }
        Ok(decoded) => (sender, Ok(authored(standing, decoded))),
        Err(error) => match words(standing, letter) {
            Some(decoded) => ("person".to_owned(), Ok(authored(standing, decoded))),
            None => (sender, Err(error)),
        },
    }
}

/// The words of somebody known whose mail no format reads: a question of their own.
fn words(standing: &Standing, letter: &Letter) -> Option<Decoded> {
    let Standing::Believed(author) = standing else {
        return None;
    };
    let is_person = matches!(author.speaker, Speaker::Customer | Speaker::Engineer);
    let words = letter.words.clone().filter(|_| is_person)?;
    Some(Decoded {
        replies: vec![words],
        ..Decoded::default()
    })
}

fn authored(standing: &Standing, mut decoded: Decoded) -> Decoded {
    if let Standing::Believed(author) = standing {
        decoded.author = Some(author.clone());
    }
    decoded
}

/// Sender and subject, by which triage tickets are told apart, and the subject for people. Numbers
/// in a subject count up; they open no further ticket.
fn about(letter: &Letter) -> (String, String) {
    let subject: String = letter
        .subject
        .chars()
        .filter(|c| !c.is_ascii_digit())
        .collect();
    let sensitive = letter.asked.as_ref().is_some_and(|asked| asked.sensitive);
    let shown = match sensitive {
        true => "a mail marked as sensitive",
        false => &letter.subject,
    };
    let summary = prefix(shown, limits::QUARANTINE_SUMMARY_BYTES_MAX).to_owned();
    (
        format!("{} {}", letter.author, subject.to_lowercase()),
        summary,
    )
}

/// The subject line for people; the first words of a mail that has none.
fn subject_of(raw: &[u8]) -> String {
    let parsed = catch_unwind(AssertUnwindSafe(|| {
        mail_parser::MessageParser::default()
            .parse_headers(raw)
            .and_then(|mail| mail.subject().map(str::to_owned))
    }));
    match parsed {
        Ok(Some(subject)) => summary_of(subject.as_bytes()),
        _ => summary_of(raw),
    }
}
