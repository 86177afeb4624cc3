//! Who may speak by mail: addresses, whose they are, and how their mails are proven.
//!
//! An address proves nothing by standing in a mail. It is believed when the mail comes from hosts
//! of its own, when a mail server that we trust says that its domain is proven, or when our own
//! check (SPF, DKIM, DMARC, ARC: [`SenderCheck`]) does. Pure but for that trait. Invariant: a mail
//! whose author is not believed opens, closes, acknowledges and suppresses nothing.

use super::auth::in_ranges;
use crate::formats::mail::authentication::{Verdict, Verdicts};
use crate::formats::mail::{Answers, Letter, Own};
use crate::model::notice::{Author, Speaker};
use futures_util::future::BoxFuture;
use ipnet::IpNet;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// `[mail]`: how mails are judged, whichever door they come in by.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MailSection {
    /// Whose mails are believed; `known` as soon as an address is known, else `any`.
    pub senders: Option<Believe>,
    /// Check SPF, DKIM, DMARC and ARC of known addresses here. Needs DNS.
    pub verify: bool,
    /// DNS servers for that; empty: those of the system.
    pub resolvers: Vec<SocketAddr>,
    /// Domains of forwarders (lists) whose seals (ARC) are believed.
    pub arc_sealers: Vec<String>,
    /// Mail servers whose `Authentication-Results` are believed.
    pub trusted_server: Vec<TrustedServer>,
    /// Addresses that may speak, beside the contacts of accounts in the inventory.
    pub sender: Vec<SenderEntry>,
    /// What people write about, each with a route of its own by `topic=NAME`; `billing` and `sales`
    /// by common words unless said.
    pub topic: Vec<Topic>,
    /// Domains of our own Message-IDs; empty: any.
    pub own_domains: Vec<String>,
    /// Our own addresses.
    pub own_addresses: Vec<String>,
    /// Tags of mailing lists that stand in brackets before subjects.
    pub lists: Vec<String>,
}

/// Whose mails are believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Believe {
    /// Everybody's alerts; words of people only from known addresses.
    Any,
    /// Known addresses alone.
    Known,
}

/// `[[mail.trusted_server]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedServer {
    /// The name with which its `Authentication-Results` begin.
    pub authserv_id: String,
    /// The addresses it delivers from; mails from a mailbox or a pipe need none.
    #[serde(default)]
    pub peers: Vec<IpNet>,
}

/// `[[mail.sender]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SenderEntry {
    /// `noc@example.net`, or `@example.net` for a whole domain.
    pub address: String,
    /// The account that it speaks for.
    #[serde(default)]
    pub account: Option<String>,
    /// Who it is; `customer` if there is an account, else `monitor`.
    #[serde(default)]
    pub role: Option<SenderRole>,
    /// Hosts whose mails in this name need no other proof.
    #[serde(default)]
    pub hosts: Vec<IpNet>,
}

/// Who an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderRole {
    /// A monitoring system, a carrier: its mails are never a person's words.
    Monitor,
    /// Somebody of an account.
    Customer,
    /// One of our own people.
    Engineer,
}

/// `[[mail.topic]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// Its name, as routes know it.
    pub name: String,
    /// Words of the subject, whole and in any case.
    pub words: Vec<String>,
}

/// What our own check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// SPF, DKIM and DMARC, and whether the seals hold.
    pub verdicts: Verdicts,
    /// The domain of the last forwarder that sealed the mail.
    pub sealer: Option<String>,
}

/// Where a mail comes from.
#[derive(Clone, Debug, Default)]
pub struct Envelope {
    /// The sender of the envelope; empty: none.
    pub sender: String,
    /// The name with which the client greeted.
    pub helo: String,
    /// The client's address; `None` for pipes and mailboxes.
    pub peer: Option<IpAddr>,
    /// Whether the client may be the author's own server, so that SPF says something.
    pub direct: bool,
}

/// Checks a mail against what its author's domain publishes. Behind it stands the DNS.
pub trait SenderCheck: Send + Sync {
    /// What the check found; all unknown when the DNS does not answer.
    fn check<'a>(&'a self, raw: bytes::Bytes, envelope: &'a Envelope) -> BoxFuture<'a, Checked>;
}

/// Everything by which mails are judged; replaced as a whole at a reload.
#[derive(Clone, Default)]
pub struct MailTrust {
    /// Known addresses.
    pub senders: Senders,
    /// Our own check.
    pub check: Option<Arc<dyn SenderCheck>>,
    /// How our own mails are told from others.
    pub own: Own,
    /// Whether there is a key to seal with what an author marks as sensitive.
    pub can_seal: bool,
}

/// Known addresses and how they are proven.
#[derive(Clone, Debug, Default)]
pub struct Senders {
    believe_known_only: bool,
    by_address: BTreeMap<String, Known>,
    trusted: Vec<TrustedServer>,
    arc_sealers: Vec<String>,
    topics: Vec<(String, Vec<String>)>,
}

#[derive(Clone, Debug)]
struct Known {
    account: Option<String>,
    speaker: Speaker,
    hosts: Vec<IpNet>,
}

/// Whether the author of a mail is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Yes, and this is who it is.
    Believed(Author),
    /// Nobody known, at a door that believes everybody.
    Anybody,
    /// No, and why: a sentence for people.
    NotBelieved(String),
}

impl Senders {
    /// The known addresses of a configuration; `contacts` are addresses and accounts of the
    /// inventory. The errors are sentences that name the entry.
    pub fn new<'a>(
        section: &MailSection,
        contacts: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Senders, Vec<String>> {
        let mut problems = Vec::new();
        let mut senders = Senders {
            trusted: section.trusted_server.clone(),
            arc_sealers: lower(&section.arc_sealers),
            topics: topics(&section.topic),
            ..Senders::default()
        };
        for (address, account) in contacts {
            let known = Known {
                account: Some(account.to_owned()),
                speaker: Speaker::Customer,
                hosts: Vec::new(),
            };
            senders.add(address, known, &mut problems);
        }
        for entry in &section.sender {
            let speaker = match (entry.role, &entry.account) {
                (Some(SenderRole::Engineer), Some(_)) => {
                    problems.push(format!(
                        "sender `{}`: an engineer speaks for no account; leave `account` out",
                        entry.address
                    ));
                    continue;
                }
                (Some(SenderRole::Customer), None) => {
                    problems.push(format!(
                        "sender `{}`: a customer needs an `account`",
                        entry.address
                    ));
                    continue;
                }
                (Some(SenderRole::Engineer), None) => Speaker::Engineer,
                (Some(SenderRole::Customer), _) | (None, Some(_)) => Speaker::Customer,
                (Some(SenderRole::Monitor), _) | (None, None) => Speaker::Monitor,
            };
            let known = Known {
                account: entry.account.clone(),
                speaker,
                hosts: entry.hosts.clone(),
            };
            senders.add(&entry.address, known, &mut problems);
        }
        let any = matches!(section.senders, Some(Believe::Any));
        senders.believe_known_only =
            !any && (section.senders.is_some() || !senders.by_address.is_empty());
        if problems.is_empty() {
            Ok(senders)
        } else {
            Err(problems)
        }
    }

    fn add(&mut self, address: &str, known: Known, problems: &mut Vec<String>) {
        let address = address.trim().to_lowercase();
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        if domain.is_empty() || address.contains([' ', '<', '>', ',']) {
            problems.push(format!(
                "sender `{address}`: `name@domain` or `@domain` was expected"
            ));
            return;
        }
        let account = known.account.clone();
        if let Some(before) = self.by_address.insert(address.clone(), known)
            && before.account != account
        {
            problems.push(format!(
                "sender `{address}` belongs to two accounts; an address speaks for one"
            ));
        }
    }

    /// Whether there is nothing to judge: everybody is believed and nobody is known.
    pub fn is_open(&self) -> bool {
        !self.believe_known_only && self.by_address.is_empty()
    }

    fn known(&self, address: &str) -> Option<&Known> {
        self.by_address.get(address).or_else(|| {
            let at = address.rfind('@')?;
            self.by_address.get(address.get(at..)?)
        })
    }

    /// Whether our own check is worth its DNS queries: the author is known, and not proven by
    /// anything else.
    pub fn needs_check(&self, letter: &Letter, envelope: &Envelope) -> bool {
        letter.authors == 1
            && self
                .known(&letter.author)
                .is_some_and(|known| !self.proven(known, letter, envelope, None))
    }

    /// Whether an author is believed. `bound_to` is the account that the source is bound to.
    pub fn judge(
        &self,
        letter: &Letter,
        envelope: &Envelope,
        checked: Option<&Checked>,
        bound_to: Option<&str>,
    ) -> Standing {
        let nobody = |reason: String| {
            if self.believe_known_only {
                Standing::NotBelieved(reason)
            } else {
                Standing::Anybody
            }
        };
        let shown = match letter.author.as_str() {
            "" => "without an address",
            address => address,
        };
        if letter.authors > 1 {
            return nobody(format!(
                "the mail names {} authors; one was expected",
                letter.authors
            ));
        }
        let Some(known) = self.known(&letter.author) else {
            return nobody(format!(
                "the author `{shown}` is not known: no [[mail.sender]] and no account has the \
                 address"
            ));
        };
        if !self.proven(known, letter, envelope, checked) {
            return nobody(format!(
                "the author `{shown}` is known, but nothing proves that the mail is theirs: not \
                 its host, no trusted server's result, no check of ours"
            ));
        }
        if let (Some(bound), Some(account)) = (bound_to, &known.account)
            && bound != account
        {
            return Standing::NotBelieved(format!(
                "the author `{shown}` speaks for account `{account}`, and this source for `{bound}`"
            ));
        }
        Standing::Believed(Author {
            address: letter.author.clone(),
            speaker: known.speaker,
            account: known.account.clone().or(bound_to.map(str::to_owned)),
            topic: self.topic(&letter.subject),
            asked: letter.asked.clone(),
        })
    }

    fn proven(
        &self,
        known: &Known,
        letter: &Letter,
        envelope: &Envelope,
        checked: Option<&Checked>,
    ) -> bool {
        let domain = letter.domain();
        let from_own_host = envelope
            .peer
            .is_some_and(|peer| !known.hosts.is_empty() && in_ranges(&known.hosts, peer));
        let by_server = || {
            self.trusted
                .iter()
                .filter(|server| match envelope.peer {
                    Some(peer) => in_ranges(&server.peers, peer),
                    None => true,
                })
                .filter_map(|server| letter.verdicts(&server.authserv_id))
                .any(|verdicts| verdicts.prove(domain))
        };
        let by_check = || checked.is_some_and(|checked| checked.verdicts.prove(domain));
        from_own_host || by_server() || by_check() || self.sealed(letter, checked)
    }

    /// A forwarder that we trust sealed what it saw, and the seals hold.
    fn sealed(&self, letter: &Letter, checked: Option<&Checked>) -> bool {
        let Some(checked) = checked else { return false };
        checked.verdicts.arc == Verdict::Pass
            && checked
                .sealer
                .as_ref()
                .is_some_and(|sealer| self.arc_sealers.contains(sealer))
            && letter
                .sealed_verdicts()
                .is_some_and(|verdicts| verdicts.prove(letter.domain()))
    }

    /// The first topic of which a word stands in the subject.
    fn topic(&self, subject: &str) -> String {
        let subject = subject.to_lowercase();
        let has = |word: &String| {
            subject.match_indices(word.as_str()).any(|(at, found)| {
                let before = subject.get(..at).and_then(|s| s.chars().next_back());
                let after = subject
                    .get(at + found.len()..)
                    .and_then(|s| s.chars().next());
                // Scripts without blanks between words have no word ends to look for.
                let ends = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric());
                !word.is_ascii() || (ends(before) && ends(after))
            })
        };
        self.topics
            .iter()
            .find(|(_, words)| words.iter().any(has))
            .map_or_else(String::new, |(name, _)| name.clone())
    }
}

/// Whether what a mail says of a ticket is somebody's whom we know: its references may be enough
/// where everybody is believed, a tag in the subject never is.
pub fn may_answer(standing: &Standing, answers: Answers) -> bool {
    match standing {
        Standing::Believed(author) => author.speaker != Speaker::Monitor,
        Standing::Anybody => answers == Answers::Reference,
        Standing::NotBelieved(_) => false,
    }
}

/// Topics that are there unless others are configured, and their words in the languages of notices.
const TOPICS: [(&str, &[&str]); 2] = [
    (
        "billing",
        &[
            "invoice",
            "invoices",
            "billing",
            "billed",
            "payment",
            "credit note",
            "refund",
            "facture",
            "factures",
            "facturation",
            "paiement",
            "remboursement",
            "rechnung",
            "請求",
            "支払",
            "入金",
        ],
    ),
    (
        "sales",
        &[
            "quote",
            "quotation",
            "pricing",
            "price list",
            "sales",
            "devis",
            "tarif",
            "tarifs",
            "angebot",
            "見積",
            "料金",
        ],
    ),
];

fn topics(configured: &[Topic]) -> Vec<(String, Vec<String>)> {
    if configured.is_empty() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let shipped = TOPICS.iter();
        return shipped
            .map(|(name, known)| ((*name).to_owned(), words(known)))
            .collect();
    }
    configured
        .iter()
        .map(|topic| (topic.name.clone(), lower(&topic.words)))
        .collect()
}

fn lower(words: &[String]) -> Vec<String> {
    words.iter().map(|word| word.to_lowercase()).collect()
}

#[cfg(test)]
mod tests;
