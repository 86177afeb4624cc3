//! The report as JSON, CSV, text and HTML. All four show the same rows; words are those of the
//! contract's language.

use super::{Report, TargetRow, TicketRow};
use crate::sla::glossary::{Locale, label};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value, context};

const TEXT: &str = include_str!("../../../config/templates/report.txt");
const HTML: &str = include_str!("../../../config/templates/report.html");

/// The report could not be written down.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// As JSON.
    #[error("the report as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// As CSV.
    #[error("the report as CSV: {0}")]
    Csv(#[from] csv::Error),
    /// By a template.
    #[error("the report by its template: {0}")]
    Template(#[from] minijinja::Error),
}

/// Where the page's content begins, and where it ends.
const BODY: &str = "<body>\n";
const BODY_END: &str = "</body>";

/// The columns of the CSV; English keys in every language.
const COLUMNS: [&str; 35] = [
    "id",
    "link",
    "category",
    "first_severity",
    "final_severity",
    "source",
    "reported",
    "ticket_created",
    "first_answer",
    "restored",
    "closed",
    "ended",
    "outcome",
    "policy_version",
    "reopened",
    "merged",
    "waits",
    "wait_seconds",
    "age_seconds",
    "approximate",
    "target",
    "cycle",
    "period",
    "severity",
    "due",
    "verdict",
    "settled",
    "counted_seconds",
    "wall_seconds",
    "late_seconds",
    "reason",
    "retroactive",
    "found_late",
    "target_seconds",
    "contract",
];

impl Report {
    /// One object, indented.
    pub fn json(&self) -> Result<String, RenderError> {
        Ok(serde_json::to_string_pretty(self)?)
    }

    /// One line a clock; a ticket without clocks has one line as well.
    pub fn csv(&self) -> Result<String, RenderError> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(COLUMNS)?;
        for report in std::iter::once(self).chain(&self.managed) {
            let contract = plain(&report.header.contract);
            let mut write = |ticket, target| {
                let mut cells = line(ticket, target);
                if let Some(last) = cells.last_mut() {
                    last.clone_from(&contract);
                }
                writer.write_record(cells)
            };
            for ticket in &report.tickets {
                if ticket.targets.is_empty() {
                    write(ticket, None)?;
                }
                for target in &ticket.targets {
                    write(ticket, Some(target))?;
                }
            }
        }
        let bytes = writer
            .into_inner()
            .map_err(|error| csv::Error::from(std::io::Error::other(error.to_string())))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// For a terminal or a mail.
    pub fn text(&self) -> Result<String, RenderError> {
        let mut text = self.by_template("report.txt", TEXT)?;
        for section in &self.managed {
            text.push_str("\n\n");
            text.push_str(&section.by_template("report.txt", TEXT)?);
        }
        Ok(text)
    }

    /// A page by itself, for a browser and for paper.
    pub fn html(&self) -> Result<String, RenderError> {
        let page = self.by_template("report.html", HTML)?;
        let Some((before, after)) = page.rsplit_once(BODY_END) else {
            return Ok(page);
        };
        let mut whole = before.to_owned();
        for section in &self.managed {
            let page = section.by_template("report.html", HTML)?;
            let body = page.split_once(BODY).map_or("", |(_, body)| body);
            let body = body.rsplit_once(BODY_END).map_or(body, |(body, _)| body);
            whole.push_str("<article>\n");
            whole.push_str(body);
            whole.push_str("</article>\n");
        }
        Ok(format!("{whole}{BODY_END}{after}"))
    }

    fn by_template(&self, name: &str, template: &str) -> Result<String, RenderError> {
        let locale = Locale::from_word(&self.header.locale);
        let mut environment = Environment::new();
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()?,
        );
        environment.set_auto_escape_callback(|name| {
            if name.ends_with(".html") {
                AutoEscape::Html
            } else {
                AutoEscape::None
            }
        });
        environment.add_filter("t", move |key: String| label(locale, &key).to_owned());
        environment.add_filter("clock", |seconds: i64| clock(seconds));
        environment.add_filter("when", |at: Option<String>| {
            at.map_or_else(|| "-".to_owned(), |at| at.replacen('T', " ", 1))
        });
        environment.add_filter("sev", |severity: Option<u8>| {
            severity.map_or_else(|| "-".to_owned(), |severity| format!("S{severity}"))
        });
        environment.add_filter("pad", |text: Value, width: usize| {
            pad(&text.to_string(), width)
        });
        environment.add_template(name, template)?;
        let report = Value::from(Serde(self));
        // The highest columns of the charts; an empty chart keeps its scale.
        let days = self.days.iter().map(|day| day.opened.max(day.closed));
        let top_day = days.max().unwrap_or(0).max(1);
        let clocks = self.used.iter().map(|used| used.clocks);
        let top_used = clocks.max().unwrap_or(0).max(1);
        Ok(environment
            .get_template(name)?
            .render(context! { r => report, top_day, top_used })?)
    }
}

fn line(ticket: &TicketRow, target: Option<&TargetRow>) -> Vec<String> {
    let number = |value: Option<u8>| value.map_or_else(String::new, |value| value.to_string());
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let mut cells = vec![
        plain(&ticket.id),
        plain(&ticket.link),
        ticket.category.clone(),
        number(ticket.first_severity),
        number(ticket.final_severity),
        plain(&ticket.source),
        ticket.reported.clone(),
        text(&ticket.ticket_created),
        text(&ticket.first_answer),
        text(&ticket.restored),
        text(&ticket.closed),
        text(&ticket.ended),
        text(&ticket.outcome),
        plain(&ticket.policy_version),
        ticket.reopened.to_string(),
        ticket.merged.to_string(),
        ticket.waits.len().to_string(),
        ticket.wait_seconds.to_string(),
        ticket.age_seconds.to_string(),
        ticket.approximate.to_string(),
    ];
    if let Some(row) = target {
        cells.extend([
            row.target.clone(),
            row.cycle.to_string(),
            row.period.to_string(),
            number(row.severity),
            text(&row.due),
            row.verdict.clone(),
            text(&row.settled),
            row.counted_seconds.to_string(),
            row.wall_seconds.to_string(),
            row.late_seconds.to_string(),
            text(&row.reason),
            row.retroactive.to_string(),
            row.found_late.to_string(),
            row.target_seconds
                .map_or_else(String::new, |length| length.to_string()),
        ]);
    }
    cells.resize(COLUMNS.len(), String::new());
    cells
}

/// A spreadsheet takes a cell that begins so for a formula.
fn plain(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

/// `48:00:00`.
fn clock(seconds: i64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    format!("{hours}:{minutes:02}:{:02}", seconds % 60)
}

/// Filled with blanks to a width in columns; Japanese letters take two.
fn pad(text: &str, width: usize) -> String {
    let wide = |c: char| if u32::from(c) >= 0x1100 { 2 } else { 1 };
    let columns: usize = text.chars().map(wide).sum();
    format!("{text}{}", " ".repeat(width.saturating_sub(columns)))
}
