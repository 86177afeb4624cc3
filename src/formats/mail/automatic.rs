//! Mails that are no alert and nobody's words: our own coming back, bounces, receipts, automatic
//! replies, invitations. `Auto-Submitted: auto-generated`, `Precedence: bulk` and list headers
//! prove nothing: alerts carry them too. An empty return path alone is no bounce either.

use super::read::Mail;

/// The header field that our own mails carry, in lower case.
pub const LOOP_HEADER: &str = "x-alertbridge-loop";

/// How our own mails are told from others.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Domains of our Message-IDs, in lower case; empty: any domain.
    pub domains: Vec<String>,
    /// Our own addresses, in lower case.
    pub addresses: Vec<String>,
    /// Tags of mailing lists that stand in brackets before subjects.
    pub lists: Vec<String>,
}

impl Own {
    /// Whether a message id is one of ours: `t40012.3@our.domain`, or that of a notice.
    pub fn is_own_id(&self, id: &str) -> bool {
        let Some((local, domain)) = id.rsplit_once('@') else {
            return false;
        };
        (ticket_of_id(id).is_some() || is_notice(local))
            && (self.domains.is_empty() || self.domains.contains(&domain.to_lowercase()))
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit())
}

/// The ticket number within a message id of ours.
fn ticket_of_id(id: &str) -> Option<&str> {
    let (local, _) = id.split_once('@')?;
    let (ticket, count) = local.strip_prefix('t')?.split_once('.')?;
    (digits(ticket) && (digits(count) || is_notice(count))).then_some(ticket)
}

/// The key of a notice, or of the thread of notices, as message ids have it.
fn is_notice(text: &str) -> bool {
    let key = text.strip_prefix("an-").or(text.strip_prefix("at-"));
    key.is_some_and(|key| key.len() == 32 && key.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The ticket number of a tag such as `[T#40012]`, or the incident of one such as `[INC-12]`, which
/// stands in the subjects of notices.
pub fn ticket_tag(subject: &str) -> Option<String> {
    let ticket = tagged(subject, "[T#").map(str::to_owned);
    ticket.or_else(|| tagged(subject, "[INC-").map(|number| format!("INC-{number}")))
}

/// Whether a subject has a tag that an alert's would not have by chance: other systems number
/// their incidents as we do.
pub fn has_own_tag(subject: &str) -> bool {
    tagged(subject, "[T#").is_some()
}

fn tagged<'a>(subject: &'a str, opening: &str) -> Option<&'a str> {
    let mut rest = subject;
    while let Some((_, after)) = rest.split_once(opening) {
        let (inner, end) = after.split_once(']')?;
        if digits(inner) {
            return Some(inner);
        }
        rest = end;
    }
    None
}

/// Why a mail is to be ignored before anything in it is read as an alert.
pub fn reason(mail: &Mail, own: &Own) -> Option<String> {
    let headers = &mail.headers;
    if let Some(instance) = headers.get(LOOP_HEADER) {
        return Some(format!(
            "our own mail came back (loop header of `{instance}`)"
        ));
    }
    if headers.message_id().is_some_and(|id| own.is_own_id(&id))
        || own.addresses.contains(&headers.author_address())
    {
        return Some("our own mail came back".to_owned());
    }
    bounce(mail)
        .or_else(|| receipt(mail))
        .or_else(|| list_administration(mail))
        .or_else(|| automatic_reply(mail, own))
}

/// What list servers write themselves: welcomes, reminders, requests to moderate. What people and
/// monitors write to a list is no such thing.
fn list_administration(mail: &Mail) -> Option<String> {
    let headers = &mail.headers;
    let marked = headers
        .get("x-list-administrivia")
        .is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    let from = headers.author_address();
    let local = from.split('@').next().unwrap_or("");
    let server = matches!(local, "mailman" | "listserv" | "majordomo" | "sympa")
        || ["-request", "-bounces", "-owner", "mailman-"]
            .iter()
            .any(|part| local.ends_with(part) || (part.ends_with('-') && local.starts_with(part)));
    (marked || server).then(|| "a message of a list server".to_owned())
}

fn bounce(mail: &Mail) -> Option<String> {
    let headers = &mail.headers;
    let status = mail
        .files
        .iter()
        .find(|file| file.content_type == "message/delivery-status");
    let from = headers.author_address();
    let local = from.split('@').next().unwrap_or("");
    let daemon = matches!(local, "mailer-daemon" | "postmaster" | "mail-daemon");
    let null_sender = headers
        .get("return-path")
        .is_some_and(|path| path.trim() == "<>");
    let report = mail.report_type == "delivery-status";
    if !(report || status.is_some() || (daemon && null_sender) || local == "mailer-daemon") {
        return None;
    }
    let field = |name: &str| {
        status.and_then(|file| {
            file.text.lines().find_map(|line| {
                let (label, value) = line.split_once(':')?;
                label
                    .trim()
                    .eq_ignore_ascii_case(name)
                    .then(|| value.trim().to_owned())
            })
        })
    };
    let what = match field("action").map(|action| action.to_ascii_lowercase()) {
        Some(action) if action == "delayed" => "a delivery is delayed",
        _ => "a mail came back undelivered",
    };
    let to = field("final-recipient").map(|r| match r.split_once(';') {
        Some((_, address)) => address.trim().to_owned(),
        None => r,
    });
    let ticket = returned_ticket(mail);
    let mut reason = what.to_owned();
    if let Some(to) = to {
        reason.push_str(&format!(
            ", recipient `{}`",
            crate::model::text::bounded(&to, 100)
        ));
    }
    if let Some(ticket) = ticket {
        reason.push_str(&format!(", ticket {ticket}"));
    }
    Some(reason)
}

/// The ticket whose notification came back.
fn returned_ticket(mail: &Mail) -> Option<String> {
    let inner = mail.nested.iter().find_map(|n| {
        ticket_tag(n.headers.subject())
            .or_else(|| ticket_of_id(&n.headers.message_id()?).map(str::to_owned))
    });
    inner.or_else(|| ticket_tag(mail.text()))
}

fn receipt(mail: &Mail) -> Option<String> {
    match mail.report_type.as_str() {
        "disposition-notification" => Some("a receipt: the mail was read".to_owned()),
        "feedback-report" => Some("an abuse report".to_owned()),
        _ => None,
    }
}

/// Beginnings of the subjects of automatic replies, in lower case.
const AUTOMATIC_SUBJECTS: &[&str] = &[
    "automatic reply",
    "auto:",
    "auto-reply",
    "autoreply",
    "auto reply",
    "autoresponse",
    "out of office",
    "out-of-office",
    "ooo:",
    "automatische antwort",
    "abwesenheit",
    "abwesenheitsnotiz",
    "réponse automatique",
    "absence :",
    "absence:",
    "respuesta automática",
    "risposta automatica",
    "resposta automática",
    "automatisch antwoord",
    "autosvar",
    "automaattinen vastaus",
    "odpowiedź automatyczna",
    "автоответ",
    "自動応答",
    "自動返信",
    "自动回复",
    "自动答复",
    "不在",
];

/// By a header field that says so, or by its subject where it answers one of our mails: the words
/// alone prove nothing.
fn automatic_reply(mail: &Mail, own: &Own) -> Option<String> {
    let headers = &mail.headers;
    let is = |name: &str, start: &str| {
        headers
            .get(name)
            .is_some_and(|value| value.to_ascii_lowercase().starts_with(start))
    };
    let marked = is("auto-submitted", "auto-replied")
        || is("precedence", "auto_reply")
        || ["x-autoreply", "x-autorespond", "x-autoresponse"]
            .iter()
            .any(|name| headers.get(name).is_some());
    let subject = headers.subject().trim().to_lowercase();
    let named = AUTOMATIC_SUBJECTS
        .iter()
        .any(|start| subject.starts_with(start));
    let answers = || {
        ticket_tag(headers.subject()).is_some()
            || headers.refers_to().iter().any(|id| own.is_own_id(id))
    };
    (marked || (named && answers())).then(|| "an automatic reply".to_owned())
}

/// A calendar that is no maintenance notice.
pub fn is_invitation(mail: &Mail) -> bool {
    let calendars = mail
        .files
        .iter()
        .filter(|file| super::calendar::is_calendar(&file.text))
        .count();
    calendars > 0 && mail.files.len() == calendars
}

/// Whether an answer to one of our mails was made by a machine, a desk for example.
pub fn machine_answer(mail: &Mail, own: &Own) -> bool {
    let headers = &mail.headers;
    let suppressed = headers
        .get("x-auto-response-suppress")
        .is_some_and(|v| !v.eq_ignore_ascii_case("none"));
    let generated = headers
        .get("auto-submitted")
        .is_some_and(|v| !v.eq_ignore_ascii_case("no"));
    (suppressed || generated) && headers.refers_to().iter().any(|id| own.is_own_id(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_ids() {
        assert_eq!(
            ticket_tag("Re: [REQ 1] [T#40012] x").as_deref(),
            Some("40012")
        );
        assert_eq!(ticket_tag("[T#x] [T#7]").as_deref(), Some("7"));
        assert_eq!(ticket_tag("T#7"), None);
        assert_eq!(
            ticket_tag("Re: [INC-12] Restored").as_deref(),
            Some("INC-12")
        );
        assert_eq!(ticket_tag("[INC-12] [T#7]").as_deref(), Some("7"));
        assert_eq!(ticket_tag("[INC-x] INC-7"), None);
        let own = Own {
            domains: vec!["noc.example.net".to_owned()],
            ..Own::default()
        };
        assert!(own.is_own_id("t40012.1@noc.example.net"));
        assert!(!own.is_own_id("t40012.1@other.example.net"));
        assert!(!own.is_own_id("tuesday.1@noc.example.net"));
        let key = "an-0123456789abcdef0123456789abcdef";
        assert!(own.is_own_id(&format!("t12.{key}@noc.example.net")));
        assert!(own.is_own_id(&format!("{key}@noc.example.net")));
        assert!(!own.is_own_id(&format!("{key}@other.example.net")));
        assert!(!own.is_own_id("an-other@noc.example.net"));
    }
}
