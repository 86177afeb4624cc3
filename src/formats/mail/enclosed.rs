//! The files that came with a mail, as they can be handed on: bounded, with names that are no paths
//! and types that nothing runs or shows as a page.

use super::read::{content_type, file_name, without_envelope_line};
use crate::limits::MAIL_PARTS_MAX;
use mail_parser::MessageParser;

/// Types that are handed on as they are named; all others are bytes to be saved.
const PASSED: [&str; 8] = [
    "text/plain",
    "text/csv",
    "text/calendar",
    "application/pdf",
    "application/json",
    "image/png",
    "image/jpeg",
    "image/gif",
];
/// Ends of names that a browser or a desktop would run or show as a page.
const ACTIVE: [&str; 18] = [
    "htm", "html", "xhtml", "xht", "shtml", "mht", "mhtml", "svg", "svgz", "xml", "xsl", "js",
    "mjs", "hta", "exe", "bat", "cmd", "lnk",
];
/// Longest name, characters.
const NAME_CHARS_MAX: usize = 80;

/// A file that came with a mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosed {
    /// Letters, digits, `-`, `_` and `.`; never empty, and unlike those before it.
    pub name: String,
    /// Its media type.
    pub content_type: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// The files of a mail in their order; none if the bytes are no mail.
pub fn enclosed(raw: &[u8]) -> Vec<Enclosed> {
    if !super::is_likely(raw) {
        return Vec::new();
    }
    let Some(message) = MessageParser::default().parse(without_envelope_line(raw)) else {
        return Vec::new();
    };
    let mut files: Vec<Enclosed> = Vec::new();
    for part in message.attachments().take(MAIL_PARTS_MAX) {
        let kind = content_type(part);
        let bytes = part.contents();
        if kind.contains("signature") || bytes.is_empty() {
            continue;
        }
        let number = files.len() + 1;
        let mut name = safe_name(&file_name(part), &kind);
        if name.is_empty() {
            name = format!("file-{number}");
        }
        if files.iter().any(|other| other.name == name) {
            name = format!("{number}-{name}");
        }
        files.push(Enclosed {
            name,
            content_type: safe_type(&kind).to_owned(),
            bytes: bytes.to_vec(),
        });
    }
    files
}

fn safe_type(kind: &str) -> &str {
    let known = PASSED.contains(&kind);
    if known {
        kind
    } else {
        "application/octet-stream"
    }
}

/// A name that is no path, hides nothing and runs nowhere.
fn safe_name(name: &str, kind: &str) -> String {
    let name = if name.is_empty() && kind == "message/rfc822" {
        "forwarded.eml"
    } else {
        name
    };
    let clean: String = name
        .chars()
        .map(|c| match c {
            c if c.is_alphanumeric() || matches!(c, '-' | '_' | '.') => c,
            _ => '_',
        })
        .collect();
    let clean = clean.trim_matches(['.', '_']);
    let count = clean.chars().count();
    // The end says what it is.
    let clean: String = clean
        .chars()
        .skip(count.saturating_sub(NAME_CHARS_MAX))
        .collect();
    let end = clean.rsplit('.').next().unwrap_or_default();
    if ACTIVE.contains(&end.to_ascii_lowercase().as_str()) {
        format!("{clean}.txt")
    } else {
        clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: nagios@example.net\r\nSubject: PROBLEM\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/plain\r\n\r\nlook at the graph\r\n\
        --b\r\nContent-Type: image/png; name=\"../../etc/graph.png\"\r\n\
        Content-Transfer-Encoding: base64\r\n\
        Content-Disposition: attachment; filename=\"../../etc/graph.png\"\r\n\r\niVBORw0KGgo=\r\n\
        --b\r\nContent-Type: text/html\r\n\
        Content-Disposition: attachment; filename=\"report.HTML\"\r\n\r\n<script>1</script>\r\n\
        --b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\
        Content-Disposition: attachment; filename*=UTF-8''%E9%9A%9C%E5%AE%B3.pdf\r\n\r\nJVBERg==\r\n\
        --b--\r\n";

    #[test]
    fn files_of_a_mail_have_safe_names_and_types_and_their_own_bytes() {
        let files = enclosed(MAIL.as_bytes());
        let told: Vec<_> = files
            .iter()
            .map(|f| (f.name.as_str(), f.content_type.as_str(), f.bytes.len()))
            .collect();
        assert_eq!(
            told,
            [
                ("etcgraph.png", "image/png", 8),
                ("report.HTML.txt", "application/octet-stream", 18),
                ("障害.pdf", "application/pdf", 4),
            ]
        );
        assert_eq!(files[0].bytes, b"\x89PNG\r\n\x1a\n");
    }

    #[test]
    fn what_is_no_mail_has_no_files_and_names_are_told_apart() {
        assert_eq!(enclosed(b"POST /hooks/x HTTP/1.1\r\nhost: a\r\n\r\n{}"), []);
        assert_eq!(enclosed(b""), []);
        let twice = MAIL
            .replace("report.HTML", "a b.log")
            .replace("UTF-8''%E9%9A%9C%E5%AE%B3.pdf", "UTF-8''a%20b.log");
        let names: Vec<_> = enclosed(twice.as_bytes())
            .into_iter()
            .map(|f| f.name)
            .collect();
        assert_eq!(names[1..], ["a_b.log", "3-a_b.log"]);
        assert_eq!(safe_name("...", ""), "");
        assert_eq!(safe_name(&format!("{}.png", "x".repeat(300)), "").len(), 80);
    }
}
