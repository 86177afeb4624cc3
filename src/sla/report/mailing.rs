//! When a contract's report goes out by mail: a day of the month after, at a local time. Pure.

use super::Month;
use crate::sla::week::first_instant;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A day of the month and a local time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportDay {
    /// The day of the month after the reported one, from 1; its last where it is shorter.
    pub day: i8,
    /// Seconds of the day.
    pub wall: u32,
}

impl ReportDay {
    /// When the report of a month goes out, seconds since 1970.
    pub fn due(self, month: &Month) -> Option<i64> {
        let first: Date = format!("{}-01", month.name).parse().ok()?;
        let next = first.last_of_month().tomorrow().ok()?;
        let day = self.day.clamp(1, next.days_in_month());
        let date = Date::new(next.year(), next.month(), day).ok()?;
        Some(first_instant(&month.zone, date, self.wall))
    }

    /// The last month whose report is due at `now` or before.
    pub fn last_due(self, zone: TimeZone, now: i64) -> Option<Month> {
        let running = Month::of(now, zone)?;
        let before = running.previous()?;
        if self.due(&before)? <= now {
            return Some(before);
        }
        before.previous()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZoneDatabase;

    fn second(text: &str) -> i64 {
        text.parse::<jiff::Timestamp>().unwrap().as_second()
    }

    #[test]
    fn a_report_is_due_by_the_contracts_clock_and_names_the_month_before() {
        let zone = |name: &str| TimeZoneDatabase::bundled().get(name).unwrap();
        let on = |day: i8, hour: u32| ReportDay {
            day,
            wall: hour * 3600,
        };
        let last = |day: ReportDay, tz: &str, now: &str| {
            let month = day.last_due(zone(tz), second(now)).unwrap();
            month.name
        };
        let month = |name: &str, tz: &str| Month::read(name, zone(tz)).unwrap();
        let due = on(2, 8).due(&month("2026-05", "Asia/Tokyo"));
        assert_eq!(due, Some(second("2026-06-01T23:00:00Z")));
        let may = "2026-06-01T22:59:59Z";
        assert_eq!(last(on(2, 8), "Asia/Tokyo", may), "2026-04");
        assert_eq!(
            last(on(2, 8), "Asia/Tokyo", "2026-06-01T23:00:00Z"),
            "2026-05"
        );
        // The year ends, and the clock of the winter rules.
        assert_eq!(
            last(on(1, 0), "America/New_York", "2027-01-01T05:00:00Z"),
            "2026-12"
        );
        assert_eq!(
            last(on(1, 0), "America/New_York", "2027-01-01T04:59:59Z"),
            "2026-11"
        );
        // 28 March 2027 at 02:30 does not exist in Paris: at the change.
        let skipped = ReportDay {
            day: 28,
            wall: 2 * 3600 + 1800,
        };
        let due = skipped.due(&month("2027-02", "Europe/Paris"));
        assert_eq!(due, Some(second("2027-03-28T01:00:00Z")));
        // February has no 31st: its last day.
        let due = on(31, 8).due(&month("2027-01", "UTC"));
        assert_eq!(due, Some(second("2027-02-28T08:00:00Z")));
    }
}
