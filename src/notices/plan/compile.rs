//! Puts the sections together and tells everything that is wrong at once; audiences that resolve to
//! nobody are told as well.

use super::section::PlanText;
use super::{Contact, Matter, Plan};
use crate::sla::Calendar;
use crate::sla::policy::Sla;
use jiff::tz::TimeZoneDatabase;
use std::sync::Arc;

/// Most addresses of one audience.
const ADDRESSES_MAX: usize = 20;

/// Something wrong with the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanProblem {
    /// The key.
    pub key: String,
    /// What is wrong and what was expected.
    pub what: String,
    /// Only worth a warning.
    pub warning: bool,
}

struct Reader<'a> {
    sla: &'a Sla,
    zones: &'a TimeZoneDatabase,
    problems: Vec<PlanProblem>,
}

impl PlanText {
    /// Checks everything and puts it together. `is_address` says what is wrong with an address.
    pub fn compile(
        &self,
        sla: &Sla,
        zones: &TimeZoneDatabase,
        is_address: &dyn Fn(&str) -> Result<(), String>,
    ) -> (Plan, Vec<PlanProblem>) {
        let mut reader = Reader {
            sla,
            zones,
            problems: Vec::new(),
        };
        let section = &self.plan;
        let mut plan = Plan {
            mail: self.mail,
            on_call: section.on_call.clone(),
            working_hours: reader.calendar("notices.working_hours", &section.working_hours),
            warn_in: reader.calendar("notices.warn_in", &section.warn_in),
            page_every: section.page_every,
            next_level_after: section.next_level_after,
            sender_name: section.sender_name.clone(),
            support: section.support.clone(),
            customers_from: section.customers_from,
            receipts: section.receipts,
            pagers: self.pagers.clone(),
            partners: self.partners.clone(),
            ..Plan::default()
        };
        for (key, length) in [
            ("notices.page_every", section.page_every),
            ("notices.next_level_after", section.next_level_after),
        ] {
            if length.as_secs() < 30 && !cfg!(debug_assertions) || length.is_zero() {
                reader.tell(key, "at least 30s was expected", false);
            }
        }
        for (name, contact) in &self.contacts {
            let key = format!("contact.{name}");
            reader.addresses(&format!("{key}.mail"), &contact.mail, is_address);
            let pager = &contact.pager;
            if !pager.is_empty() && !self.pagers.contains_key(pager) {
                let known: Vec<&str> = self.pagers.keys().map(String::as_str).collect();
                let known = known.join(", ");
                let what = format!("there is no pager `{pager}`; there are: {known}");
                reader.tell(&format!("{key}.pager"), what, false);
            }
            if contact.mail.is_empty() && pager.is_empty() {
                reader.tell(&key, "`mail` or `pager` is needed: it is nobody", false);
            }
            let locale = contact.locale.clone().unwrap_or_else(|| "en".to_owned());
            if !["en", "ja", "fr"].contains(&locale.as_str()) {
                let what = format!("`{locale}`: expected en, ja or fr");
                reader.tell(&format!("{key}.locale"), what, false);
            }
            let tz = contact.tz.clone().unwrap_or_else(|| "UTC".to_owned());
            reader.zone(&format!("{key}.tz"), &tz);
            plan.contacts.insert(
                name.clone(),
                Contact {
                    mail: contact.mail.clone(),
                    pager: pager.clone(),
                    locale,
                    tz,
                },
            );
        }
        for name in &section.on_call {
            if !plan.contacts.contains_key(name) {
                let what = format!("there is no contact `{name}`");
                reader.tell("notices.on_call", what, false);
            }
        }
        reader.contracts(&plan, is_address);
        if plan.is_on() {
            reader.nobody(&plan);
        }
        (plan, reader.problems)
    }
}

impl Reader<'_> {
    fn tell(&mut self, key: &str, what: impl Into<String>, warning: bool) {
        self.problems.push(PlanProblem {
            key: key.to_owned(),
            what: what.into(),
            warning,
        });
    }

    fn calendar(&mut self, key: &str, name: &str) -> Option<Arc<Calendar>> {
        if name.is_empty() || name == "always" {
            return None;
        }
        let found = self.sla.calendars.get(name).cloned();
        if found.is_none() {
            self.tell(key, format!("there is no calendar `{name}`"), false);
        }
        found
    }

    fn zone(&mut self, key: &str, name: &str) {
        if self.zones.get(name).is_err() {
            let what = format!("`{name}` is no zone; expected like Europe/Paris");
            self.tell(key, what, false);
        }
    }

    fn addresses(
        &mut self,
        key: &str,
        addresses: &[String],
        is_address: &dyn Fn(&str) -> Result<(), String>,
    ) {
        if addresses.len() > ADDRESSES_MAX {
            self.tell(key, format!("at most {ADDRESSES_MAX} addresses"), false);
        }
        for address in addresses {
            if let Err(what) = is_address(address) {
                self.tell(key, format!("`{address}`: {what}"), false);
            }
        }
    }

    fn contracts(&mut self, plan: &Plan, is_address: &dyn Fn(&str) -> Result<(), String>) {
        let sla = self.sla;
        for contract in sla.contracts.values() {
            let key = format!("contract.{}", contract.name);
            self.zone(&format!("{key}.tz"), &contract.tz);
            let contacts = &contract.contacts;
            for (word, list) in [
                ("incidents", &contacts.incidents),
                ("maintenance", &contacts.maintenance),
                ("security", &contacts.security),
                ("escalation", &contacts.escalation),
                ("report", &contacts.report),
            ] {
                self.addresses(&format!("{key}.contacts.{word}"), list, is_address);
            }
            if contract.monthly_report.is_some() && !plan.mail {
                let what = "no letter can leave: [notices.mail] is needed";
                self.tell(&format!("{key}.monthly_report"), what, false);
            }
            if contract.account == "managed" && contract.partner.is_empty() {
                let what = "a managed account needs the name of its partner";
                self.tell(&format!("{key}.partner"), what, false);
            }
        }
        for name in plan.partners.keys() {
            let known = sla
                .contracts
                .values()
                .any(|contract| contract.account == "partner" && contract.accounts.contains(name));
            if !known {
                let what = "there is no contract with account = \"partner\" of this account";
                self.tell(&format!("partner.{name}"), what, false);
            }
        }
    }

    /// Audiences without an address: not wrong in themselves, and each would call somebody.
    fn nobody(&mut self, plan: &Plan) {
        let sla = self.sla;
        let matters = [
            Matter::Incidents,
            Matter::Maintenance,
            Matter::Security,
            Matter::Escalation,
        ];
        let mut told: Vec<String> = Vec::new();
        for contract in sla.contracts.values() {
            if !plan.mail {
                break;
            }
            for matter in matters {
                told.extend(plan.readers(sla, contract, matter, |_| true).nobody);
            }
            if contract.monthly_report.is_some() {
                let readers = plan.readers(sla, contract, Matter::Report, |_| true);
                told.extend(readers.nobody);
            }
            for level in &contract.levels {
                if !level.contact.is_empty() && !plan.contacts.contains_key(&level.contact) {
                    told.push(format!(
                        "level {} of policy {} is `{}`, and there is no such contact",
                        level.level, contract.policy, level.contact
                    ));
                }
            }
        }
        if plan.on_call.is_empty() {
            told.push("nobody is on call: `notices.on_call` is empty".to_owned());
        }
        told.sort();
        told.dedup();
        for what in told {
            self.tell("notices", format!("an audience is nobody: {what}"), true);
        }
    }
}
