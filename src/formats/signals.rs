//! Signals: words by which senders without a field for it name the kind of a component, and what
//! the loss of such a component means. They are data: `signals.toml` beside this file.

use crate::model::{ComponentKind, Event, SeverityHint};
use serde::Deserialize;
use std::sync::LazyLock;

/// The shipped rules, `signals.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    degradations: Vec<String>,
    signal: Vec<Signal>,
    spare: Vec<Signal>,
}

/// Words, the kind they name, and what losing one means if the sender does not say more.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signal {
    words: Vec<String>,
    kind: ComponentKind,
    hint: Option<SeverityHint>,
}

/// A file that cannot be read would hold no signal; a test reads it.
static KNOWN: LazyLock<Known> = LazyLock::new(|| read().unwrap_or_default());

fn read() -> Result<Known, toml::de::Error> {
    toml::from_str(include_str!("signals.toml"))
}

/// Whether a text says that something works badly and no more than that.
pub fn says_degraded(text: &str) -> bool {
    let text = text.to_lowercase();
    let starts = word_starts(&text);
    let mut words = KNOWN.degradations.iter();
    words.any(|word| has_word(&starts, word))
}

/// Whether the output of a check says that some, but not all, of several are left: `degraded`,
/// `not redundant`, `3 of 4`.
pub fn says_spare_lost(output: &str) -> bool {
    let output = output.to_lowercase();
    let words: Vec<&str> = output.split_whitespace().collect();
    let some = words.windows(3).any(|three| match three {
        [left, "of", all] => {
            let number = |word: &str| {
                let digits = word.trim_matches(|c: char| !c.is_ascii_digit());
                digits.parse::<u32>().ok()
            };
            matches!((number(left), number(all)), (Some(left), Some(all)) if 0 < left && left < all)
        }
        _ => false,
    });
    some || has_word(&word_starts(&output), "degraded") || output.contains("not redundant")
}

fn row(event: &Event) -> Option<&'static Signal> {
    let mut text = event.summary.to_lowercase();
    for part in [&event.component, &event.check].into_iter().flatten() {
        text.push(' ');
        text.push_str(&part.to_lowercase());
    }
    for name in [Some(&event.summary), event.check.as_ref()]
        .into_iter()
        .flatten()
    {
        if let Some(words) = words_of_name(name) {
            text.push(' ');
            text.push_str(&words);
        }
    }
    // A host may be called `ups-1`; that says nothing about what failed on it.
    if let Some(host) = event.host.as_deref().filter(|host| host.len() > 1) {
        text = text.replace(&host.to_lowercase(), " ");
    }
    by_words(&text)
}

/// The words of a name that is written as one, as rules of Prometheus are: `BgpPeerDown`,
/// `PSUFailed`. `None` for what is several words already, or one.
fn words_of_name(name: &str) -> Option<String> {
    if name.contains(char::is_whitespace) {
        return None;
    }
    let mut words = String::with_capacity(name.len() + 8);
    let mut letters = name.chars().peekable();
    let mut before: Option<char> = None;
    while let Some(letter) = letters.next() {
        let small = |c: Option<char>| c.is_some_and(char::is_lowercase);
        let large = before.is_some_and(|c| c.is_uppercase() || c.is_numeric());
        let begins = small(before) || (large && small(letters.peek().copied()));
        if letter.is_uppercase() && begins {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
        before = Some(letter);
    }
    words.contains(' ').then_some(words)
}

/// The words of all signals, each with the place of its row, by their first letter: each message is
/// looked through for all of them.
static BY_FIRST: LazyLock<Vec<Vec<(&str, usize)>>> = LazyLock::new(|| {
    let mut letters = vec![Vec::new(); 256];
    for (row, signal) in KNOWN.signal.iter().enumerate() {
        for word in &signal.words {
            let first = word
                .bytes()
                .next()
                .and_then(|b| letters.get_mut(usize::from(b)));
            if let Some(letter) = first {
                letter.push((word.as_str(), row));
            }
        }
    }
    letters
});

/// The first row that has a word in the text.
fn by_words(text: &str) -> Option<&'static Signal> {
    let of_letter = |start: &&str| {
        let first = start.bytes().next()?;
        BY_FIRST.get(usize::from(first))
    };
    word_starts(text)
        .iter()
        .filter_map(|start| {
            let found = of_letter(start)?
                .iter()
                .find(|(word, _)| begins(start, word))?;
            Some(found.1)
        })
        .min()
        .and_then(|row| KNOWN.signal.get(row))
}

/// The kind that a text's words name, and what the loss of such a thing means.
pub fn of_text(text: &str) -> Option<(ComponentKind, Option<SeverityHint>)> {
    by_words(&text.to_lowercase()).map(|signal| (signal.kind, signal.hint))
}

/// The same as [`apply`] for a check of a host: its name counts before its output, and names of
/// spares count too.
pub fn apply_check(event: &mut Event) {
    let check = event.check.as_deref().unwrap_or("").to_lowercase();
    let starts = word_starts(&check);
    let mut spares = KNOWN.spare.iter();
    let spare = spares.find(|spare| spare.words.iter().any(|word| has_word(&starts, word)));
    match (by_words(&check), spare) {
        (Some(signal), _) => set(event, signal.kind, signal.hint),
        (None, Some(spare)) => set(event, spare.kind, Some(SeverityHint::Redundancy)),
        (None, None) => apply(event),
    }
}

fn set(event: &mut Event, kind: ComponentKind, hint: Option<SeverityHint>) {
    event.component_kind.get_or_insert(kind);
    // A failed spare part is a loss of redundancy, whatever the monitor's word for it.
    if let Some(hint) = hint
        && event.severity_hint != SeverityHint::Info
    {
        event.severity_hint = hint;
    }
}

/// What follows each place where a word may begin. Looked for once: there are many signals.
fn word_starts(text: &str) -> Vec<&str> {
    let mut in_word = false;
    let mut starts = Vec::with_capacity(16);
    for (at, c) in text.char_indices() {
        let letter = c.is_alphabetic();
        if letter && !in_word {
            starts.extend(text.get(at..));
        }
        in_word = letter;
    }
    starts
}

/// Whether a word stands in a text by itself: `psu1` holds `psu`, `capsule` does not.
fn has_word(starts: &[&str], word: &str) -> bool {
    starts.iter().any(|text| begins(text, word))
}

fn begins(text: &str, word: &str) -> bool {
    text.strip_prefix(word)
        .is_some_and(|rest| !rest.chars().next().is_some_and(char::is_alphabetic))
}

/// Sets kind and hint from an event's words, where the sender's own fields do not say.
pub fn apply(event: &mut Event) {
    if let Some(signal) = row(event) {
        set(event, signal.kind, signal.hint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventState, Identity};

    #[test]
    fn the_shipped_file_is_read_and_its_words_are_in_small_letters() {
        let known = read().unwrap();
        assert!(known.signal.len() > 10 && known.spare.len() > 2);
        let words = known
            .signal
            .iter()
            .chain(&known.spare)
            .flat_map(|signal| &signal.words);
        for word in words.chain(&known.degradations) {
            assert_eq!(*word, word.to_lowercase());
            assert!(
                word.chars().next().is_some_and(char::is_alphabetic),
                "{word}"
            );
        }
    }

    fn event(summary: &str) -> Event {
        let mut event = Event::new(EventState::Firing, Identity::key("k").unwrap(), summary);
        event.severity_hint = SeverityHint::Outage;
        apply(&mut event);
        event
    }

    #[test]
    fn a_name_written_as_one_is_read_word_by_word() {
        let words = |name| words_of_name(name).unwrap_or_default();
        assert_eq!(words("BgpPeerDown"), "bgp peer down");
        assert_eq!(words("PSUFailed"), "psu failed");
        assert_eq!(words("DiskOnMD0Failed"), "disk on md0 failed");
        for plain in ["Bgp Peer", "ALLCAPS", "small", ""] {
            assert_eq!(words_of_name(plain), None, "{plain}");
        }
        let bgp = event("BgpPeerDown");
        assert_eq!(bgp.component_kind, Some(ComponentKind::Session));
        assert_eq!(bgp.severity_hint, SeverityHint::Redundancy);
        for late in ["KafkaConsumerLag", "pg replica lag"] {
            let late = event(late);
            assert_eq!(late.component_kind, Some(ComponentKind::Application));
            assert_eq!(late.severity_hint, SeverityHint::Outage);
        }
        assert_eq!(event("CapsuleFailed").component_kind, None);
    }

    #[test]
    fn some_of_several_is_a_loss_of_redundancy_and_all_of_them_is_not() {
        assert!(says_spare_lost("WARNING - 2 of 4 members are up"));
        assert!(says_spare_lost("RAID 6 is degraded(!)"));
        assert!(!says_spare_lost("3 of 3 nodes are down"));
        assert!(!says_spare_lost("0 of 3 nodes are up"));
        assert!(!says_spare_lost("out of memory"));
    }

    #[test]
    fn a_failed_supply_is_a_loss_of_redundancy_and_words_stand_alone() {
        let psu = event("PSU 2 failed");
        assert_eq!(psu.severity_hint, SeverityHint::Redundancy);
        assert_eq!(psu.component_kind, Some(ComponentKind::PowerSupply));
        assert_eq!(event("Capsule failed").component_kind, None);
        assert_eq!(event("Fantastic site").severity_hint, SeverityHint::Outage);
        assert_eq!(
            event("psu1@core-1 lost").severity_hint,
            SeverityHint::Redundancy
        );
    }
}
