//! The monthly report as the files of a letter, made from the store when the letter goes out.

use crate::api::report::of_store;
use crate::limits;
use crate::model::Time;
use crate::notices::Reports;
use crate::notices::words::Enclosed;
use crate::relay::Sent;
use crate::sla::Sla;
use crate::sla::report::Month;
use crate::store::StateStore;
use jiff::tz::TimeZoneDatabase;
use std::sync::Arc;

/// Reports out of the store, under the agreements in force.
pub(super) struct StoredReports {
    /// The state.
    pub state: Arc<dyn StateStore>,
    /// Agreements.
    pub sla: Arc<Sla>,
}

impl Reports for StoredReports {
    fn files(&self, contract: &str, month: &str, as_of: Time) -> Result<Vec<Enclosed>, Sent> {
        let found = self.sla.contracts.get(contract);
        let found = found.ok_or_else(|| never(format!("there is no contract `{contract}`")))?;
        let zone = TimeZoneDatabase::bundled().get(&found.tz);
        let zone = zone.map_err(|error| never(format!("the zone `{}`: {error}", found.tz)))?;
        let period = Month::read(month, zone).map_err(never)?;
        let report = of_store(self.state.as_ref(), &self.sla, found, period, as_of);
        let report = report.map_err(|error| Sent::Later {
            reason: format!("the report cannot be read from the store: {error}"),
            asked: false,
        })?;
        let mut files = Vec::new();
        for (end, text) in [("html", report.html()), ("csv", report.csv())] {
            let text = text.map_err(|error| never(error.to_string()))?;
            if text.len() > limits::REPORT_FILE_BYTES_MAX {
                return Err(never(format!(
                    "as {end} it has {} bytes, more than a letter may carry; send what \
                     `alertbridge report --contract {contract} --month {month}` prints another way",
                    text.len()
                )));
            }
            files.push(Enclosed {
                name: format!("{contract}-{month}.{end}"),
                text,
            });
        }
        Ok(files)
    }
}

fn never(reason: String) -> Sent {
    Sent::Refused(format!("the report: {reason}"))
}
