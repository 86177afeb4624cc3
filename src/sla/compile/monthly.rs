//! When a contract's report goes out.

use super::Reader;
use crate::sla::report::ReportDay;
use crate::sla::section::ContractSection;
use crate::sla::week::read_time;

impl Reader<'_> {
    /// A managed account's report is a section of its partner's.
    pub(super) fn monthly_report(
        &mut self,
        key: &str,
        section: &ContractSection,
    ) -> Option<ReportDay> {
        let written = section.monthly_report.as_ref()?;
        let key = format!("{key}.monthly_report");
        if section.account.as_deref() == Some("managed") {
            let what = "the partner's report has a section for this account: say when at the \
                        partner's contract";
            self.tell(key, what);
            return None;
        }
        if !(1..=31).contains(&written.day) {
            let what = format!("{}: a day from 1 to 31 was expected", written.day);
            self.tell(format!("{key}.day"), what);
            return None;
        }
        match read_time(&written.at).filter(|wall| *wall < 24 * 3600) {
            Some(wall) => Some(ReportDay {
                day: written.day,
                wall,
            }),
            None => {
                let what = format!("`{}` is no time; expected HH:MM", written.at);
                self.tell(format!("{key}.at"), what);
                None
            }
        }
    }
}
