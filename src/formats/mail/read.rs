//! Bytes → [`Mail`]: headers, texts, attached files and nested mails of one message. The MIME
//! structure is mail-parser's; bodies are decoded here from the raw bytes, since wrong labels and
//! encodings are the rule. Whatever cannot be read becomes a note; a mail is never lost for it.

use super::header::Headers;
use super::html;
use super::wrappers;
use super::{charset, text as texts, transfer};
use crate::limits::{MAIL_PARTS_MAX, MAIL_TEXT_BYTES_MAX};
use crate::model::text;
use mail_parser::{Encoding, Message, MessageParser, MessagePart, MimeHeaders, PartType};

/// Deepest nesting of mails within mails that is read.
const NESTED_MAX: usize = 3;
/// Most notes about unreadable parts.
const NOTES_MAX: usize = 20;
/// Most attached files that are kept as text.
const FILES_MAX: usize = 16;

/// A mail as people would read it.
#[derive(Clone, Debug, Default)]
pub struct Mail {
    /// The fields of its header.
    pub headers: Headers,
    /// Plain text, lines ended by `\n`; empty if there is none.
    pub plain: String,
    /// The HTML body as text; empty if there is none.
    pub html: String,
    /// Links of the HTML body.
    pub links: Vec<String>,
    /// Attached texts (calendars, tables, reports) by lower case type or name.
    pub files: Vec<File>,
    /// Mails within this one: forwards, returned originals.
    pub nested: Vec<Mail>,
    /// The type of a multipart or single body, in lower case: `multipart/report`, ...
    pub content_type: String,
    /// The `report-type` of a multipart/report, in lower case.
    pub report_type: String,
    /// Whether (part of) the content is encrypted.
    pub encrypted: bool,
    /// Parts that could not be read, and why.
    pub notes: Vec<String>,
}

/// An attached text.
#[derive(Clone, Debug, Default)]
pub struct File {
    /// `text/csv`, `message/delivery-status`, ...; lower case.
    pub content_type: String,
    /// Its name as sent, for people; never a path.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Reads a mail; `None` if there is neither a header nor a text.
pub fn mail(raw: &[u8]) -> Option<Mail> {
    read(raw, 0)
}

fn read(raw: &[u8], depth: usize) -> Option<Mail> {
    let lead = without_envelope_line(raw);
    let message = MessageParser::default().parse(lead)?;
    let mut mail = Mail::default();
    take_message(&message, depth, &mut mail);
    if mail.headers.is_empty() && mail.plain.trim().is_empty() && mail.html.trim().is_empty() {
        return None;
    }
    Some(mail)
}

/// The mbox `From ` line that pipes put first.
pub(super) fn without_envelope_line(raw: &[u8]) -> &[u8] {
    let line_end = || raw.iter().position(|b| *b == b'\n').map(|at| at + 1);
    if raw.starts_with(b"From ") {
        line_end().and_then(|at| raw.get(at..)).unwrap_or(raw)
    } else {
        raw
    }
}

fn slice(raw: &[u8], from: u32, to: u32) -> &[u8] {
    let bound = |offset: u32| usize::try_from(offset).unwrap_or(usize::MAX).min(raw.len());
    raw.get(bound(from)..bound(to).max(bound(from)))
        .unwrap_or(&[])
}

fn take_message(message: &Message, depth: usize, mail: &mut Mail) {
    let raw: &[u8] = &message.raw_message;
    if let Some(root) = message.parts.first() {
        for header in &root.headers {
            let value = slice(raw, header.offset_start, header.offset_end);
            mail.headers.push(header.name.as_str(), value);
        }
        mail.content_type = content_type(root);
        mail.report_type = root
            .content_type()
            .and_then(|c| c.attribute("report-type"))
            .unwrap_or("")
            .to_ascii_lowercase();
    }
    if message.parts.len() > MAIL_PARTS_MAX {
        mail.note(format!(
            "{} parts; the first {MAIL_PARTS_MAX} were looked at",
            message.parts.len()
        ));
    }
    for part in message.parts.iter().take(MAIL_PARTS_MAX) {
        take_part(part, raw, depth, mail);
    }
    finish_texts(mail);
}

/// Type and subtype in lower case.
pub(super) fn content_type(part: &MessagePart) -> String {
    part.content_type().map_or_else(String::new, |c| {
        let kind = c.ctype();
        c.subtype().map_or_else(
            || kind.to_ascii_lowercase(),
            |sub| format!("{kind}/{sub}").to_ascii_lowercase(),
        )
    })
}

fn take_part(part: &MessagePart, raw: &[u8], depth: usize, mail: &mut Mail) {
    let kind = content_type(part);
    match &part.body {
        PartType::Multipart(_) => {
            mail.encrypted |= kind == "multipart/encrypted";
        }
        PartType::Message(nested) => take_nested(nested, depth, mail),
        PartType::Text(_) | PartType::Html(_) => take_text(part, &kind, raw, mail),
        PartType::Binary(_) | PartType::InlineBinary(_) => {
            take_binary(part, &kind, raw, depth, mail);
        }
    }
}

fn take_nested(nested: &Message, depth: usize, mail: &mut Mail) {
    if depth >= NESTED_MAX {
        mail.note("mails nested too deeply were left out".to_owned());
        return;
    }
    let mut inner = Mail::default();
    take_message(nested, depth + 1, &mut inner);
    mail.nested.push(inner);
}

/// The bytes of a part after its transfer encoding.
fn body_bytes(part: &MessagePart, raw: &[u8]) -> Vec<u8> {
    let bytes = slice(raw, part.offset_body, part.offset_end);
    // Decoding shrinks at most to three quarters; more than this is cut later anyway.
    let bytes = bytes
        .get(..bytes.len().min(MAIL_TEXT_BYTES_MAX * 4))
        .unwrap_or(bytes);
    match part.encoding {
        Encoding::Base64 => transfer::decode(bytes, "base64"),
        Encoding::QuotedPrintable => transfer::decode(bytes, "quoted-printable"),
        Encoding::None => {
            let named = part.content_transfer_encoding().unwrap_or("");
            let known = named.trim().to_ascii_lowercase();
            if part.is_encoding_problem && (known == "base64" || known == "quoted-printable") {
                transfer::decode(bytes, &known)
            } else {
                bytes.to_vec()
            }
        }
    }
}

/// The name as sent, one line and no path.
pub(super) fn file_name(part: &MessagePart) -> String {
    let name = part.attachment_name().unwrap_or("");
    let shown: String = text::one_line(name)
        .chars()
        .filter(|c| !c.is_control() && !matches!(c, '/' | '\\' | '\u{202a}'..='\u{202e}'))
        .collect();
    text::bounded(&shown, 200)
}

fn take_text(part: &MessagePart, kind: &str, raw: &[u8], mail: &mut Mail) {
    let bytes = body_bytes(part, raw);
    let attribute = |name: &str| part.content_type().and_then(|c| c.attribute(name));
    let html = matches!(part.body, PartType::Html(_)) || kind == "text/html";
    let label = match attribute("charset") {
        Some(label) => Some(label.to_owned()),
        None if html => charset::of_html(&bytes),
        None => None,
    };
    let text = charset::decode(&bytes, label.as_deref());
    let attached = part
        .content_disposition()
        .is_some_and(|d| d.is_attachment());
    let plain_kind = kind.is_empty() || kind == "text/plain" || !kind.contains('/');
    let multipart_text = kind.starts_with("multipart/");
    if html || (plain_kind && html::looks_like_html(&text)) {
        if !attached {
            let shown = html::shown(&text);
            mail.html.push_str(&texts::clean(&shown.text));
            mail.links.extend(shown.links);
        }
    } else if (plain_kind || multipart_text) && !attached {
        let flowed = attribute("format").is_some_and(|f| f.eq_ignore_ascii_case("flowed"));
        let text = texts::clean(&text);
        let text = if flowed {
            let joined = attribute("delsp").is_some_and(|d| d.eq_ignore_ascii_case("yes"));
            texts::reflow(&text, joined)
        } else {
            text
        };
        if mail.plain.len() < MAIL_TEXT_BYTES_MAX {
            mail.plain.push_str(&text);
            if !text.ends_with('\n') {
                mail.plain.push('\n');
            }
        }
    } else {
        mail.keep(kind, file_name(part), &text);
    }
}

fn take_binary(part: &MessagePart, kind: &str, raw: &[u8], depth: usize, mail: &mut Mail) {
    let name = file_name(part);
    let lower = name.to_ascii_lowercase();
    if kind == "application/ms-tnef" || kind == "application/vnd.ms-tnef" || lower == "winmail.dat"
    {
        match wrappers::tnef_text(&body_bytes(part, raw)) {
            Some(bytes) => mail
                .plain
                .push_str(&texts::clean(&charset::decode(&bytes, None))),
            None => mail.note(
                "the text is in a TNEF part (winmail.dat) that has no plain body: only the \
                 subject was read"
                    .to_owned(),
            ),
        }
    } else if kind.contains("pkcs7-mime") || lower.ends_with(".p7m") {
        unwrap_signed(part, raw, depth, mail);
    } else if kind.starts_with("multipart/") {
        // No boundary that could be found: the body is what there is.
        let text = charset::decode(&body_bytes(part, raw), None);
        mail.plain.push_str(&texts::clean(&text));
    } else if kind == "message/rfc822" || lower.ends_with(".eml") {
        if depth < NESTED_MAX
            && let Some(inner) = read(&body_bytes(part, raw), depth + 1)
        {
            mail.nested.push(inner);
        }
    } else if kind.starts_with("message/")
        || kind.starts_with("text/")
        || lower.ends_with(".ics")
        || lower.ends_with(".csv")
        || kind == "application/ics"
    {
        let label = part.content_type().and_then(|c| c.attribute("charset"));
        let text = charset::decode(&body_bytes(part, raw), label);
        mail.keep(kind, name, &text);
    } else if kind == "application/pgp-encrypted" {
        mail.encrypted = true;
    } else if !is_decoration(kind) {
        mail.note(format!("the attachment `{name}` ({kind}) was not read"));
    }
}

/// Parts that carry no text by nature: no note is due.
fn is_decoration(kind: &str) -> bool {
    kind.starts_with("image/") || kind.contains("signature")
}

fn unwrap_signed(part: &MessagePart, raw: &[u8], depth: usize, mail: &mut Mail) {
    let enveloped = part
        .content_type()
        .and_then(|c| c.attribute("smime-type"))
        .is_some_and(|t| t.to_ascii_lowercase().contains("enveloped"));
    let content = wrappers::signed_content(&body_bytes(part, raw)).filter(|_| !enveloped);
    let inner = content
        .filter(|_| depth < NESTED_MAX)
        .and_then(|c| read(&c, depth + 1));
    match inner {
        Some(inner) => {
            mail.plain.push_str(&inner.plain);
            mail.html.push_str(&inner.html);
            mail.links.extend(inner.links);
            mail.files.extend(inner.files);
            mail.nested.extend(inner.nested);
            mail.encrypted |= inner.encrypted;
            inner.notes.into_iter().for_each(|note| mail.note(note));
        }
        None => {
            mail.encrypted = true;
            mail.note("the S/MIME content could not be opened".to_owned());
        }
    }
}

fn finish_texts(mail: &mut Mail) {
    if mail.plain.contains("-----BEGIN PGP MESSAGE-----") {
        mail.encrypted = true;
    }
    if let Some(inner) = wrappers::without_pgp_armour(&mail.plain) {
        mail.plain = inner;
    }
    for text in [&mut mail.plain, &mut mail.html] {
        if text.len() > MAIL_TEXT_BYTES_MAX {
            *text = text::bounded(text, MAIL_TEXT_BYTES_MAX);
        }
    }
}

impl Mail {
    fn note(&mut self, note: String) {
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        }
    }

    fn keep(&mut self, kind: &str, name: String, text: &str) {
        if self.files.len() < FILES_MAX {
            self.files.push(File {
                content_type: kind.to_owned(),
                name,
                text: text::prefix(text, MAIL_TEXT_BYTES_MAX).to_owned(),
            });
        }
    }

    /// The plain text, or the text of the HTML body where there is no plain one.
    pub fn text(&self) -> &str {
        if self.plain.trim().is_empty() {
            &self.html
        } else {
            &self.plain
        }
    }
}
