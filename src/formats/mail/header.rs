//! Header fields as text: unfolded, encoded words decoded leniently, any character set.

use super::charset;
use super::transfer;
use crate::model::text;

/// Longest value of a header field that is looked at, bytes.
const VALUE_BYTES_MAX: usize = 16 * 1024;
/// Most fields of a header that are looked at.
const FIELDS_MAX: usize = 500;

/// The fields of one header, in order; the first of a name counts.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    fields: Vec<(String, String)>,
}

impl Headers {
    /// Adds a field with its raw value.
    pub fn push(&mut self, name: &str, raw: &[u8]) {
        if self.fields.len() < FIELDS_MAX {
            let raw = raw.get(..raw.len().min(VALUE_BYTES_MAX)).unwrap_or(raw);
            self.fields
                .push((name.trim().to_ascii_lowercase(), decode(raw)));
        }
    }

    /// The first field of that (lower case) name that is not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, value)| n == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// All fields of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether there is no field at all.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The subject; empty if there is none.
    pub fn subject(&self) -> &str {
        self.get("subject").unwrap_or("")
    }

    /// The address of the first author, in lower case; empty if there is none.
    pub fn author_address(&self) -> String {
        self.get("from").map(address).unwrap_or_default()
    }

    /// Message ids that the mail refers to, nearest first.
    pub fn refers_to(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        let parents = self.get("in-reply-to").map(message_ids).unwrap_or_default();
        let mut references: Vec<String> = self.all("references").flat_map(message_ids).collect();
        references.reverse();
        for id in parents.into_iter().chain(references) {
            if ids.len() < 100 && !ids.contains(&id) {
                ids.push(id);
            }
        }
        ids
    }

    /// The mail's own id, without angle brackets.
    pub fn message_id(&self) -> Option<String> {
        message_ids(self.get("message-id")?).into_iter().next()
    }
}

/// Message ids in a value, without angle brackets; brackets may be missing.
fn message_ids(value: &str) -> Vec<String> {
    value
        .split(|c: char| c.is_whitespace() || "<>,".contains(c))
        .filter(|id| id.contains('@') && id.len() <= 512)
        .map(str::to_owned)
        .collect()
}

/// The address within `Name <a@b>`, `a@b (Name)` or `a@b`, in lower case.
pub fn address(value: &str) -> String {
    let bracketed = value
        .rsplit_once('<')
        .and_then(|(_, rest)| rest.split_once('>'))
        .map(|(inner, _)| inner);
    let word = match bracketed {
        Some(inner) => inner.trim(),
        None => value
            .split_whitespace()
            .find(|word| word.contains('@'))
            .unwrap_or(""),
    };
    text::prefix(word.trim_matches(['"', ',', ';']), 320).to_lowercase()
}

/// A raw value as one line of text.
fn decode(raw: &[u8]) -> String {
    let text = charset::decode(raw, None);
    text::one_line(&encoded_words(&text))
}

/// One `=?charset?encoding?text?=` and what follows it.
struct Word<'a> {
    charset: &'a str,
    base64: bool,
    bytes: Vec<u8>,
    rest: &'a str,
}

/// Reads a word at the start of `text`, which begins after `=?`.
fn word(text: &str) -> Option<Word<'_>> {
    let (charset, rest) = text.split_once('?')?;
    let charset = charset.split('*').next().unwrap_or(charset);
    if charset.is_empty() || charset.len() > 40 || charset.contains(char::is_whitespace) {
        return None;
    }
    let (encoding, rest) = rest.split_once('?')?;
    let base64 = match encoding {
        "B" | "b" => true,
        "Q" | "q" => false,
        _ => return None,
    };
    // A word that was cut in transit ends where the text does.
    let (body, rest) = rest.split_once("?=").unwrap_or((rest, ""));
    let bytes = if base64 {
        transfer::base64(body.as_bytes())
    } else {
        transfer::q_word(body.as_bytes())
    };
    Some(Word {
        charset,
        base64,
        bytes,
        rest,
    })
}

/// Decodes encoded words wherever they stand. Bytes of neighbouring words of one set are joined
/// before they are decoded, since a character may be cut between them.
pub fn encoded_words(text: &str) -> String {
    let unfolded = text.replace("\r\n", " ").replace(['\r', '\n'], " ");
    let mut out = String::with_capacity(unfolded.len());
    let mut rest = unfolded.as_str();
    while let Some((before, after)) = rest.split_once("=?") {
        let Some(first) = word(after) else {
            out.push_str(before);
            out.push_str("=?");
            rest = after;
            continue;
        };
        out.push_str(before);
        let (mut bytes, charset, base64) = (first.bytes, first.charset, first.base64);
        rest = first.rest;
        while let Some(next) = rest.trim_start().strip_prefix("=?").and_then(word) {
            if !next.charset.eq_ignore_ascii_case(charset) || next.base64 != base64 {
                rest = rest.trim_start();
                break;
            }
            bytes.extend(next.bytes);
            rest = next.rest;
        }
        out.push_str(&charset::decode(&bytes, Some(charset)));
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_joined_glued_and_unterminated() {
        assert_eq!(encoded_words("=?utf-8?B?w7w=?= =?utf-8?B?eA==?="), "üx");
        assert_eq!(
            encoded_words("=?utf-8?Q?Z=C3?=\r\n =?utf-8?Q?=BCrich?="),
            "Zürich"
        );
        assert_eq!(encoded_words("[SPAM]=?utf-8?Q?a_b?= c"), "[SPAM]a b c");
        assert_eq!(encoded_words("=?utf-8?Q?cut off"), "cut off");
        assert_eq!(encoded_words("a =? b"), "a =? b");
    }

    #[test]
    fn addresses_and_ids() {
        assert_eq!(address("\"A, B\" <A@Example.NET>"), "a@example.net");
        assert_eq!(
            address("nagios@mon1.example.net (nagios)"),
            "nagios@mon1.example.net"
        );
        let mut headers = Headers::default();
        headers.push("References", b"<a@x> <b@x>");
        headers.push("In-Reply-To", b"b@x");
        assert_eq!(headers.refers_to(), ["b@x", "a@x"]);
    }
}
