//! `alertbridge check`: everything that is wrong with a configuration, at once.

use super::{load_config, say};
use crate::sla::Sla;
use jiff::civil::Date;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `check`.
#[derive(clap::Args)]
pub struct Args {
    /// Configuration file; `conf.d/*.toml` beside it are read as well.
    file: PathBuf,
}

/// Checks a configuration.
pub fn run(args: &Args) -> ExitCode {
    match load_config(Some(&args.file)) {
        Ok(config) => {
            for warning in &config.warnings {
                say(&format!("warning: {warning}"));
            }
            say(&format!(
                "{}: good; {} sources, {} rules, {} routes, {} inventory entries",
                args.file.display(),
                config.file.source.len(),
                config.file.rule.len(),
                config.file.route.len(),
                config.decisions.inventory.len(),
            ));
            for name in config.file.netbox.keys() {
                say(&format!(
                    "netbox.{name}: not asked; what files name of it is checked when it is pulled"
                ));
            }
            for line in closed_dates(&config.decisions.sla, config.read_at.seconds()) {
                say(&line);
            }
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

/// How many years of closed dates are printed: this one and the next.
const YEARS: i16 = 2;

/// The dates on which a holiday or an override closes a calendar, from this year on. A clock stands
/// still on them, so a person looks whether they are the right ones.
fn closed_dates(sla: &Sla, now: i64) -> Vec<String> {
    let year = jiff::Timestamp::from_second(now)
        .map(|now| jiff::tz::TimeZone::UTC.to_datetime(now).year())
        .unwrap_or_default();
    let first = |year: i16| Date::new(year, 1, 1).unwrap_or(Date::MAX);
    let (from, until) = (first(year), first(year.saturating_add(YEARS)));
    let shown = |(name, calendar): (&String, &std::sync::Arc<crate::sla::Calendar>)| {
        let closed = calendar.closed_between(from, until);
        let dates: Vec<String> = closed.iter().map(ToString::to_string).collect();
        let dates = match dates.is_empty() {
            true => "none".to_owned(),
            false => dates.join(", "),
        };
        let last = year.saturating_add(YEARS - 1);
        format!("calendar {name}: closed in {year} and {last} on {dates}")
    };
    let named = sla
        .calendars
        .iter()
        .filter(|(name, _)| name.as_str() != "always");
    named.map(shown).collect()
}
