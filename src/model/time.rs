//! An instant as the core sees it: milliseconds since the Unix epoch, UTC. The core never asks for
//! "now"; instants come in with inputs.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// Milliseconds since 1970-01-01T00:00:00Z. Serialized as RFC 3339 in human-readable formats and
/// as an integer in binary ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(pub i64);

impl Time {
    /// From whole seconds since the epoch.
    pub const fn from_seconds(seconds: i64) -> Time {
        Time(seconds.saturating_mul(1000))
    }

    /// Whole seconds since the epoch, rounded towards the past.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This instant plus a duration; saturates.
    pub fn plus(self, duration: Duration) -> Time {
        Time(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// This instant minus a duration; saturates.
    pub fn minus(self, duration: Duration) -> Time {
        Time(
            self.0
                .saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// Time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads RFC 3339 with any offset.
    pub fn parse_rfc3339(text: &str) -> Option<Time> {
        text.trim()
            .parse::<jiff::Timestamp>()
            .ok()
            .map(Time::from_timestamp)
    }

    /// From a jiff timestamp, truncated to milliseconds.
    pub fn from_timestamp(timestamp: jiff::Timestamp) -> Time {
        Time(timestamp.as_millisecond())
    }

    /// As a jiff timestamp; clamped to jiff's range.
    pub fn timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.timestamp().fmt(f)
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        if deserializer.is_human_readable() {
            let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
            Time::parse_rfc3339(&text).ok_or_else(|| {
                serde::de::Error::custom(format!("`{text}` is not an RFC 3339 date and time"))
            })
        } else {
            i64::deserialize(deserializer).map(Time)
        }
    }
}

/// Durations in configuration: `90s`, `2m`, `1h 30m`.
pub mod duration {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use std::time::Duration;

    /// Reads `90s`, `2m`, `1h 30m`, `24h`; days are not absolute and are refused.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let signed: jiff::SignedDuration = text
            .trim()
            .parse()
            .map_err(|_| format!("`{text}` is not a duration; expected like `90s`, `2m`, `24h`"))?;
        Duration::try_from(signed).map_err(|_| format!("`{text}` is negative"))
    }

    /// For `#[serde(with = ...)]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text).map_err(de::Error::custom)
    }

    /// For `#[serde(with = ...)]`.
    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}ms", value.as_millis()))
    }
}

/// Durations that may be missing, written like those of [`duration`].
pub mod maybe_duration {
    use serde::Deserializer;
    use std::time::Duration;

    /// For `#[serde(default, with = ...)]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        super::duration::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_rfc3339() {
        let time = Time::parse_rfc3339("2026-11-25T08:00:00.250+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-11-25T07:00:00.25Z");
        assert_eq!(
            serde_json::to_string(&time).unwrap(),
            "\"2026-11-25T07:00:00.25Z\""
        );
        assert_eq!(Time::parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn durations_are_read_and_days_refused() {
        assert_eq!(duration::parse("1h 30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration::parse("2000ms"), Ok(Duration::from_secs(2)));
        assert!(
            duration::parse("2 days")
                .unwrap_err()
                .contains("is not a duration")
        );
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Time(5).since(Time(10)), Duration::ZERO);
        assert_eq!(Time(i64::MAX).plus(Duration::from_secs(1)), Time(i64::MAX));
    }
}
