//! What a door has to know of a mail before it believes it: its author, what mail servers say of
//! it, and the words if a person wrote it. Pure; who may speak is decided in `intake`.

use super::asked;
use super::authentication::{self, Verdicts};
use super::automatic::{self, Own};
use super::read::{self, Mail};
use super::{reply, text};
use crate::model::notice::{Asked, Reply};

/// A mail as a door judges it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letter {
    /// The author's address, in lower case; empty if there is none.
    pub author: String,
    /// How many authors the mail names; anything but one is odd.
    pub authors: usize,
    /// The subject without prefixes, for people.
    pub subject: String,
    /// The author's words, if a person wrote the mail as far as it tells.
    pub words: Option<Reply>,
    /// Whether a machine may answer it.
    pub answerable: bool,
    /// Whether it answers one of our mails: by its references, or by a tag in its subject.
    pub answers: Answers,
    /// The request that the first lines ask for.
    pub asked: Option<Asked>,
    results: Vec<String>,
    sealed_results: Vec<String>,
}

/// By what a mail says that it answers one of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// It does not.
    #[default]
    Nothing,
    /// By a tag in its subject alone, which everybody can write.
    Tag,
    /// By a message id of ours.
    Reference,
}

impl Letter {
    /// Reads a mail; `None` if the bytes are no mail.
    pub fn read(raw: &[u8], own: &Own) -> Option<Letter> {
        let mail = read::mail(raw)?;
        let subject = text::subject(mail.headers.subject(), &own.lists);
        let words = reply::by_person(&mail, own).then(|| reply::of(&mail, &subject));
        let by_reference = mail.headers.refers_to().iter().any(|id| own.is_own_id(id));
        let answers = if by_reference {
            Answers::Reference
        } else if automatic::ticket_tag(mail.headers.subject()).is_some() {
            Answers::Tag
        } else {
            Answers::Nothing
        };
        let fields = |name: &str| mail.headers.all(name).map(str::to_owned).collect();
        Some(Letter {
            author: mail.headers.author_address(),
            authors: authors(&mail),
            subject: subject.text,
            asked: words.as_ref().and_then(|words| asked::read(&words.text)),
            words,
            answerable: reply::may_be_answered(&mail, own),
            answers,
            results: fields("authentication-results"),
            sealed_results: fields("arc-authentication-results"),
        })
    }

    /// The domain of the author's address.
    pub fn domain(&self) -> &str {
        self.author
            .rsplit_once('@')
            .map_or("", |(_, domain)| domain)
    }

    /// What the server of that name says of the mail; `None` if it says nothing.
    pub fn verdicts(&self, authserv_id: &str) -> Option<Verdicts> {
        self.results
            .iter()
            .find_map(|value| authentication::parse(value, authserv_id))
    }

    /// What the last forwarder that sealed the mail says of it. Worth something only if the seals
    /// hold and the forwarder is trusted.
    pub fn sealed_verdicts(&self) -> Option<Verdicts> {
        let instance = |value: &String| {
            let (first, rest) = value.split_once(';')?;
            let (name, number) = first.split_once('=')?;
            let number: u32 = number.trim().parse().ok()?;
            (name.trim() == "i").then(|| (number, rest.trim().to_owned()))
        };
        let (_, said) = self
            .sealed_results
            .iter()
            .filter_map(instance)
            .max_by_key(|(number, _)| *number)?;
        let server = said.split([';', ' ']).next().unwrap_or("").trim();
        authentication::parse(&said, server)
    }
}

/// How many authors there are, by the `From` fields and the addresses in them.
fn authors(mail: &Mail) -> usize {
    mail.headers
        .all("from")
        .map(|value| {
            let addresses = value.split(',').filter(|part| part.contains('@')).count();
            addresses.max(1)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(text: &str) -> Letter {
        Letter::read(text.as_bytes(), &Own::default()).unwrap()
    }

    #[test]
    fn several_authors_are_counted() {
        let count = |from: &str| letter(&format!("{from}Subject: x\r\n\r\nx\r\n")).authors;
        assert_eq!(count("From: \"Doe, J\" <j@example.net>\r\n"), 1);
        assert_eq!(count("From: j@example.net, k@example.net\r\n"), 2);
        assert_eq!(count("From: j@example.net\r\nFrom: k@example.net\r\n"), 2);
        assert_eq!(count(""), 0);
    }

    #[test]
    fn the_newest_seal_is_what_a_forwarder_says() {
        let found = letter(
            "ARC-Authentication-Results: i=2; lists.example.org; dmarc=pass header.from=a.example\r\n\
             ARC-Authentication-Results: i=1; mx.example.org; dmarc=fail header.from=a.example\r\n\
             From: noc@a.example\r\nSubject: x\r\n\r\nx\r\n",
        );
        assert!(found.sealed_verdicts().unwrap().prove("a.example"));
        assert!(found.verdicts("lists.example.org").is_none());
    }

    #[test]
    fn machines_lists_and_addresses_that_nobody_reads_get_no_answer() {
        let answerable = |from: &str, more: &str| {
            letter(&format!(
                "From: {from}\r\n{more}Subject: x\r\n\r\nhello\r\n"
            ))
            .answerable
        };
        let person = "J <j@acme.example>";
        assert!(answerable(person, ""));
        assert!(answerable(person, "X-Auto-Response-Suppress: DR, OOF\r\n"));
        for more in [
            "Auto-Submitted: auto-generated\r\n",
            "Auto-Submitted: auto-replied\r\n",
            "Precedence: bulk\r\n",
            "List-Id: <noc.lists.example>\r\n",
            "List-Unsubscribe: <mailto:x@lists.example>\r\n",
            "Return-Path: <>\r\n",
            "X-Auto-Response-Suppress: OOF, AutoReply\r\n",
            "X-Autoreply: yes\r\n",
            "X-Alertbridge-Loop: other\r\n",
            "Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n",
        ] {
            assert!(!answerable(person, more), "{more}");
        }
        for from in [
            "no-reply@x.example",
            "MAILER-DAEMON@x.example",
            "noreply-7@x.example",
        ] {
            assert!(!answerable(from, ""), "{from}");
        }
    }

    #[test]
    fn a_tag_is_less_than_a_reference() {
        let found =
            |more: &str| letter(&format!("From: a@example.net\r\n{more}\r\nhello\r\n")).answers;
        assert_eq!(found("Subject: Re: [T#7] x\r\n"), Answers::Tag);
        assert_eq!(
            found("Subject: x\r\nIn-Reply-To: <t7.1@noc.example.net>\r\n"),
            Answers::Reference
        );
        assert_eq!(found("Subject: x\r\n"), Answers::Nothing);
    }
}
