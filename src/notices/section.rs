//! `[notices]` as written: the plan's keys, the mail server and own templates.

use super::mail::MailSection;
use super::plan::section::PlanSection;
use crate::model::Severity;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// `[notices]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoticesSection {
    /// The server that takes letters; without it no letter is written.
    pub mail: Option<MailSection>,
    /// A folder with templates in place of the shipped ones: `LOCALE/FILE`.
    pub templates: Option<PathBuf>,
    /// Contacts that are called, level by level.
    pub on_call: Vec<String>,
    /// The calendar of our working hours.
    pub working_hours: String,
    /// The calendar in which warnings go out.
    pub warn_in: String,
    /// How often a call is repeated until somebody answers.
    #[serde(with = "crate::model::time::duration")]
    pub page_every: Duration,
    /// After how long without an answer the next level is called as well.
    #[serde(with = "crate::model::time::duration")]
    pub next_level_after: Duration,
    /// The name that signs letters to customers; the name in `mail.from` unless said.
    pub sender_name: String,
    /// Where customers get help.
    pub support: String,
    /// The least severity of which customers are told.
    pub customers_from: Severity,
    /// Whether people who write to us are told the number that it has.
    pub receipts: bool,
}

impl Default for NoticesSection {
    fn default() -> NoticesSection {
        let plan = PlanSection::default();
        NoticesSection {
            mail: None,
            templates: None,
            on_call: plan.on_call,
            working_hours: plan.working_hours,
            warn_in: plan.warn_in,
            page_every: plan.page_every,
            next_level_after: plan.next_level_after,
            sender_name: plan.sender_name,
            support: plan.support,
            customers_from: plan.customers_from,
            receipts: plan.receipts,
        }
    }
}

impl NoticesSection {
    /// What the plan takes of it.
    pub fn plan(&self) -> PlanSection {
        PlanSection {
            on_call: self.on_call.clone(),
            working_hours: self.working_hours.clone(),
            warn_in: self.warn_in.clone(),
            page_every: self.page_every,
            next_level_after: self.next_level_after,
            sender_name: self.sender_name.clone(),
            support: self.support.clone(),
            customers_from: self.customers_from,
            receipts: self.receipts,
        }
    }
}
