//! Golden files of mails, and what holds for any mail however damaged: no panic, bounded work, and
//! no identity that the mail does not hold. `ALERTBRIDGE_UPDATE_GOLDEN=1` writes the files anew.

#![allow(clippy::unwrap_used)]

mod mail_support;

use alertbridge::formats::mail::read::{self, Mail};
use alertbridge::formats::mail::{Letter, Own, decode_bytes};
use alertbridge::formats::view;
use alertbridge::model::{AlertKey, EventState};
use mail_support::{mails, received_at};
use proptest::prelude::*;
use std::path::PathBuf;
use std::sync::LazyLock;

#[test]
fn every_mail_decodes_as_its_golden_file_says() {
    let update = std::env::var_os("ALERTBRIDGE_UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for file in mails() {
        let raw = std::fs::read(&file).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let (sender, outcome) = decode_bytes(&raw, received_at(&raw));
        let found = view::message(&name, Some(&sender), view::MessageKind::Mail, &outcome);
        let found = serde_json::to_string_pretty(&found).unwrap() + "\n";
        let golden = file.with_extension("expected.json");
        if update {
            std::fs::write(&golden, &found).unwrap();
        } else if std::fs::read_to_string(&golden).ok().as_deref() != Some(&found) {
            wrong.push(file);
        }
    }
    assert!(
        wrong.is_empty(),
        "differ from their golden files: {wrong:#?}"
    );
}

static MAILS: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(|| {
    mails()
        .into_iter()
        .map(|path| {
            let raw = std::fs::read(&path).unwrap();
            (path, raw)
        })
        .filter(|(_, raw)| raw.len() < 8 * 1024)
        .collect()
});

/// Mails that report problems only.
static PROBLEMS: LazyLock<Vec<(PathBuf, Vec<u8>)>> = LazyLock::new(|| {
    let firing = |raw: &[u8]| {
        let outcome = decode_bytes(raw, received_at(raw)).1;
        outcome.is_ok_and(|decoded| {
            !decoded.events.is_empty()
                && decoded.events.iter().all(|e| e.state == EventState::Firing)
        })
    };
    MAILS
        .iter()
        .filter(|(_, raw)| firing(raw))
        .cloned()
        .collect()
});

/// One damage to a mail.
fn damage(raw: &mut Vec<u8>, kind: u8, a: usize, b: usize) {
    let mut lines: Vec<Vec<u8>> = raw
        .split_inclusive(|c| *c == b'\n')
        .map(<[u8]>::to_vec)
        .collect();
    if raw.is_empty() || lines.is_empty() {
        return;
    }
    let (line, other) = (a % lines.len(), b % lines.len());
    match kind % 9 {
        0 => drop(lines.remove(line)),
        1 => lines.swap(line, other),
        2 => {
            let copy = lines[line].clone();
            lines.insert(other, copy);
        }
        3 => lines.truncate(line + 1),
        4 => {
            let at = a % raw.len();
            raw[at] = u8::try_from(b % 256).unwrap();
            return;
        }
        5 => {
            raw.truncate(a % raw.len());
            return;
        }
        6 => lines.insert(line, b"\r\n".to_vec()),
        7 => {
            let half = lines[line].len() / 2;
            lines[line].truncate(half);
        }
        _ => lines.insert(
            line,
            b"> Content-Type: multipart/mixed; boundary=\"\r\n".to_vec(),
        ),
    }
    *raw = lines.concat();
}

/// All text of a mail without blanks, in lower case.
fn haystack(mail: &Mail, out: &mut String) {
    let names = ["from", "subject", "in-reply-to"];
    let netdata = ["x-netdata-host", "x-netdata-chart", "x-netdata-alert-name"];
    for name in names.into_iter().chain(netdata) {
        for value in mail.headers.all(name) {
            out.push_str(value);
            out.push('\n');
        }
    }
    out.push_str(&mail.plain);
    out.push_str(&mail.html);
    for text in mail.links.iter().chain(mail.files.iter().map(|f| &f.text)) {
        out.push_str(text);
        out.push('\n');
    }
    for nested in &mail.nested {
        haystack(nested, out);
    }
}

fn squeezed(text: &str) -> String {
    let kept = text.chars().filter(|c| !c.is_whitespace() && *c != '>');
    kept.collect::<String>().to_lowercase()
}

/// Words that templates put into identities.
const CONSTANTS: &[&str] = &[
    "host",
    "event",
    "sensor",
    "netobject",
    "cert",
    "instance",
    "vzdump",
    "replication",
    "all",
    "pool",
    "test",
    "subscription",
    "psu",
    "existence",
    "connection",
    "resource",
    "timeout",
    "power",
    "communications",
    "battery",
    "nodedown",
    "interfacedown",
    "nodelostservice",
];

/// A word of an identity that stands nowhere in the mail.
fn invented(identity: &str, mail: &Mail) -> Option<String> {
    let mut text = String::new();
    haystack(mail, &mut text);
    let text = squeezed(&text);
    let digitless: String = text.chars().filter(|c| !c.is_ascii_digit()).collect();
    let (_, parts) = identity.split_once('|')?;
    parts
        .replace("\\|", "|")
        .replace("\\\\", "\\")
        .split(['|', ' ', '='])
        .map(squeezed)
        .find(|word| {
            !word.is_empty()
                && !text.contains(word.as_str())
                && !digitless.contains(word.as_str())
                && !CONSTANTS.contains(&word.as_str())
                && !word.starts_with("aat:")
        })
}

proptest! {
    #![proptest_config(ProptestConfig::default())]
    #[test]
    fn damaged_mails_never_panic_and_invent_no_identity(
        which in any::<prop::sample::Index>(),
        damages in prop::collection::vec((any::<u8>(), any::<usize>(), any::<usize>()), 1..8),
    ) {
        let (path, raw) = which.get(&MAILS);
        let mut raw = raw.clone();
        for (kind, a, b) in damages {
            damage(&mut raw, kind, a, b);
        }
        let received_at = received_at(&raw);
        drop(Letter::read(&raw, &Own::default()));
        let (sender, outcome) = decode_bytes(&raw, received_at);
        let Ok(decoded) = outcome else {
            return Ok(());
        };
        prop_assert!(
            decoded.ignored.is_some()
                || !decoded.events.is_empty()
                || !decoded.maintenance.is_empty()
                || !decoded.replies.is_empty(),
            "{}: nothing was said", path.display()
        );
        let mail = read::mail(&raw).unwrap();
        for event in &decoded.events {
            prop_assert!(!event.summary.is_empty());
            let again = decode_bytes(&raw, received_at).1.unwrap();
            prop_assert_eq!(
                AlertKey::of("s", &event.identity),
                AlertKey::of("s", &again.events[decoded.events.iter().position(|e| e == event).unwrap()].identity)
            );
            let word = invented(&event.identity.to_string(), &mail);
            prop_assert!(word.is_none(), "{} ({sender}): `{word:?}` of {} is invented",
                path.display(), event.identity);
        }
        for notice in &decoded.maintenance {
            for window in &notice.windows {
                prop_assert!(window.ends_at.is_none_or(|end| end > window.starts_at));
            }
        }
    }

    /// Lines that are lost and a mail that is cut turn no problem into a recovery.
    #[test]
    fn what_is_lost_of_a_problem_closes_nothing(
        which in any::<prop::sample::Index>(),
        damages in prop::collection::vec((prop::sample::select(vec![0_u8, 3, 5]), any::<usize>()), 1..4),
    ) {
        let (path, raw) = which.get(&PROBLEMS);
        let mut raw = raw.clone();
        for (kind, at) in damages {
            damage(&mut raw, kind, at, 0);
        }
        if let Ok(decoded) = decode_bytes(&raw, received_at(&raw)).1 {
            for event in &decoded.events {
                prop_assert!(event.state != EventState::Resolved, "{}: {event:?}", path.display());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(raw in prop::collection::vec(any::<u8>(), 0..600)) {
        drop(decode_bytes(&raw, received_at(b"")));
    }
}
