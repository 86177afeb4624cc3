//! What the plan is made of: the plan's part of `[notices]`, and `[contact]` and `[partner]` as
//! written.

use crate::model::Severity;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// Who is told. Nothing is sent without `[notices.mail]` or a `[pager]`.
#[derive(Clone, Debug)]
pub struct PlanSection {
    /// Contacts that are called, level by level, for incidents without a policy's levels.
    pub on_call: Vec<String>,
    /// The calendar of our working hours: S3 to S5 wait for it; without one they wait for nothing.
    pub working_hours: String,
    /// The calendar in which soft notices (warnings) go out; outside of it they wait.
    pub warn_in: String,
    /// How often a call is repeated until somebody answers.
    pub page_every: Duration,
    /// After how long without an answer the next level is called as well.
    pub next_level_after: Duration,
    /// The name that signs letters to customers.
    pub sender_name: String,
    /// Where customers get help.
    pub support: String,
    /// The least severity of which customers are told.
    pub customers_from: Severity,
    /// Whether people who write to us are told the number that it has.
    pub receipts: bool,
}

impl Default for PlanSection {
    fn default() -> PlanSection {
        PlanSection {
            on_call: Vec::new(),
            working_hours: String::new(),
            warn_in: String::new(),
            page_every: Duration::from_secs(5 * 60),
            next_level_after: Duration::from_secs(15 * 60),
            sender_name: String::new(),
            support: String::new(),
            customers_from: Severity::S4,
            receipts: true,
        }
    }
}

/// `[contact.NAME]`: one of our own people or shifts; levels of escalation name them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContactSection {
    /// Addresses.
    pub mail: Vec<String>,
    /// The pager that calls them.
    pub pager: String,
    /// `en`, `ja` or `fr`.
    pub locale: Option<String>,
    /// IANA zone.
    pub tz: Option<String>,
}

/// `[partner.NAME]`, by the partner's account.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PartnerSection {
    /// Whether users of accounts that it manages are told of incidents themselves.
    pub managed_users_get_incidents: bool,
    /// The name that signs letters to these users.
    pub sender_name: String,
    /// Where these users get help.
    pub support: String,
}

/// Everything that the plan is made of.
#[derive(Clone, Debug, Default)]
pub struct PlanText {
    /// `[notices]`.
    pub plan: PlanSection,
    /// `[contact.NAME]`.
    pub contacts: BTreeMap<String, ContactSection>,
    /// `[partner.NAME]`.
    pub partners: BTreeMap<String, PartnerSection>,
    /// Pagers, and of which kind each is.
    pub pagers: BTreeMap<String, String>,
    /// Whether letters can leave.
    pub mail: bool,
}
