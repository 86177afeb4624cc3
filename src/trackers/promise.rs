//! The field of a tracker in which staff promise the time of the next update. Pure.

use crate::limits;
use crate::model::text::bounded;
use crate::model::ticket::PersonDid;
use serde::Deserialize;

/// `promise_field = "NextUpdate"`, or `{ name = "NextUpdate", utc = true }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Written")]
pub struct PromiseField {
    name: String,
    utc: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Whole(Whole),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    /// The field, as the tracker names it.
    name: String,
    /// Its values are in UTC, as those of date-and-time fields are in some trackers.
    #[serde(default)]
    utc: bool,
}

impl From<Written> for PromiseField {
    fn from(written: Written) -> PromiseField {
        match written {
            Written::Name(name) => PromiseField { name, utc: false },
            Written::Whole(Whole { name, utc }) => PromiseField { name, utc },
        }
    }
}

impl PromiseField {
    /// Its name; empty: there is none.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a field of this name, or a field without one, is it.
    pub fn is(&self, name: &str) -> bool {
        !name.is_empty() && self.name == name
    }

    /// What it means that somebody gave it this value.
    pub fn set_to(&self, value: &str) -> PersonDid {
        let value = bounded(value.trim(), limits::TRACKER_REASON_BYTES_MAX);
        PersonDid::Promised {
            value: if self.utc && !value.is_empty() {
                format!("{value} UTC")
            } else {
                value
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_a_name_or_with_its_zone() {
        #[derive(Deserialize)]
        struct Section {
            #[serde(default)]
            promise_field: PromiseField,
        }
        let read = |text: &str| toml::from_str::<Section>(text).map(|s| s.promise_field);
        let plain = read("promise_field = \"NextUpdate\"").unwrap();
        assert!(plain.is("NextUpdate") && !plain.is("Other"));
        let value = |field: &PromiseField| field.set_to(" 2026-06-02 18:00 ");
        let said = |value: &str| PersonDid::Promised {
            value: value.to_owned(),
        };
        assert_eq!(value(&plain), said("2026-06-02 18:00"));
        let utc = read("promise_field = { name = \"NextUpdate\", utc = true }").unwrap();
        assert_eq!(value(&utc), said("2026-06-02 18:00 UTC"));
        assert_eq!(utc.set_to(""), said(""));
        let none = read("").unwrap();
        assert!(!none.is(""), "a field without a name is not taken for it");
        assert!(read("promise_field = { name = \"x\", tz = \"UTC\" }").is_err());
    }
}
