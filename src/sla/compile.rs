//! Puts sections together: every target found, every name resolved, everything that is wrong told at
//! once.

mod category;
mod monthly;

use super::agreement;
use super::calendar::{Calendar, read_all};
use super::log::VoidReason;
use super::policy::{
    ClockStart, Contract, Level, Origin, Scale, SeverityChange, Sla, Target, TargetKind,
    TargetName, Targets,
};
use super::section::{
    ContractSection, PolicySection, SeveritySection, SlaProblem, SlaSections, TargetSection,
};
use super::week::read_time;
use crate::model::time::duration;
use jiff::tz::TimeZoneDatabase;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Levels of escalation at most: the metric label has as many.
const LEVELS_MAX: usize = 5;

struct Reader<'a> {
    sections: &'a SlaSections,
    calendars: BTreeMap<String, Arc<Calendar>>,
    /// Calendars that the contract at hand uses.
    used: BTreeSet<String>,
    /// Where the target at hand was found.
    origin: Origin,
    problems: Vec<SlaProblem>,
}

impl SlaSections {
    /// Checks everything and puts it together. Warnings come with the result.
    pub fn compile(
        &self,
        zones: &TimeZoneDatabase,
    ) -> Result<(Sla, Vec<SlaProblem>), Vec<SlaProblem>> {
        let texts = self
            .calendar
            .iter()
            .map(|(name, section)| (name.clone(), section.text()))
            .collect();
        let mut problems = Vec::new();
        let calendars = read_all(&texts, zones).unwrap_or_else(|refused| {
            problems.extend(refused.into_iter().map(|refusal| SlaProblem {
                key: format!("calendar.{}", refusal.place.trim_start_matches("calendar ")),
                what: format!("{}: {}", refusal.code, refusal.what),
                warning: false,
            }));
            BTreeMap::new()
        });
        let mut reader = Reader {
            sections: self,
            calendars,
            used: BTreeSet::new(),
            origin: Origin::Policy,
            problems,
        };
        reader.one_default();
        let mut sla = Sla {
            default_contract: self.default_contract.clone(),
            ..Sla::default()
        };
        for (name, section) in &self.contract {
            if let Some(contract) = reader.contract(name, section) {
                for account in &contract.accounts {
                    let names = sla.by_account.entry(account.clone()).or_default();
                    names.push(name.clone());
                }
                sla.contracts.insert(name.clone(), Arc::new(contract));
            }
        }
        // A policy without a contract is checked as well.
        for name in self.policy.keys() {
            if !self
                .contract
                .values()
                .any(|contract| contract.policy == *name)
            {
                let alone = ContractSection {
                    policy: name.clone(),
                    ..ContractSection::default()
                };
                reader.contract(&format!("(policy {name})"), &alone);
            }
        }
        if let Some(name) = &self.default_contract
            && !self.contract.contains_key(name)
        {
            reader.tell("default_contract", format!("there is no contract `{name}`"));
        }
        let Reader {
            calendars,
            mut problems,
            ..
        } = reader;
        sla.calendars = calendars;
        sla.calendar_texts = agreement::calendar_texts(&self.calendar);
        problems.extend(category::too_many(&sla));
        problems.dedup();
        if problems.iter().any(|problem| !problem.warning) {
            Err(problems)
        } else {
            Ok((sla, problems))
        }
    }
}

/// One contract with calendars that are compiled already; `None` if anything is wrong with it.
pub(super) fn alone(
    name: &str,
    section: &ContractSection,
    sections: &SlaSections,
    calendars: &BTreeMap<String, Arc<Calendar>>,
) -> Option<Contract> {
    let mut reader = Reader {
        sections,
        calendars: calendars.clone(),
        used: BTreeSet::new(),
        origin: Origin::Policy,
        problems: Vec::new(),
    };
    let contract = reader.contract(name, section)?;
    let good = reader.problems.iter().all(|problem| problem.warning);
    good.then_some(contract)
}

impl Reader<'_> {
    fn tell(&mut self, key: impl Into<String>, what: impl Into<String>) {
        self.problems.push(SlaProblem {
            key: key.into(),
            what: what.into(),
            warning: false,
        });
    }

    fn warn(&mut self, key: &str, what: &str) {
        self.problems.push(SlaProblem {
            key: key.to_owned(),
            what: what.to_owned(),
            warning: true,
        });
    }

    fn seconds(&mut self, key: &str, text: &str) -> i64 {
        match duration::parse(text) {
            Ok(length) if length.as_secs() > 0 => {
                i64::try_from(length.as_secs()).unwrap_or(i64::MAX)
            }
            Ok(_) => {
                self.tell(key, format!("`{text}` is no time; it must be above zero"));
                1
            }
            Err(what) => {
                self.tell(key, what);
                1
            }
        }
    }

    fn calendar(&mut self, key: &str, name: &str, contract: &ContractSection) -> Arc<Calendar> {
        let name = contract.calendars.get(name).map_or(name, String::as_str);
        match self.calendars.get(name) {
            Some(calendar) => {
                self.used.insert(name.to_owned());
                calendar.clone()
            }
            None => {
                let known: Vec<&str> = self.sections.calendar.keys().map(String::as_str).collect();
                let listed = known.join(", ");
                // A calendar that was refused has its own words already.
                if !self.sections.calendar.contains_key(name) {
                    let what =
                        format!("there is no calendar `{name}`; there are: always, {listed}");
                    self.tell(key, what);
                }
                Arc::new(Calendar::Always)
            }
        }
    }

    fn contract(&mut self, name: &str, section: &ContractSection) -> Option<Contract> {
        let key = format!("contract.{name}");
        let Some(policy) = self.sections.policy.get(&section.policy) else {
            let known: Vec<&str> = self.sections.policy.keys().map(String::as_str).collect();
            let listed = known.join(", ");
            let what = format!(
                "there is no policy `{}`; there are: {listed}",
                section.policy
            );
            self.tell(format!("{key}.policy"), what);
            return None;
        };
        let policy_key = format!("policy.{}", section.policy);
        self.used.clear();
        let severities = self.severities(name, section, policy);
        let categories = self.categories(&policy_key, policy, &severities);
        self.check_order(&policy_key, &severities);
        let scale = match policy.scale {
            Some(3) => Scale::Three,
            None if !policy.severity.contains_key("4") => Scale::Three,
            None | Some(5) => Scale::Five,
            Some(other) => {
                self.tell(
                    format!("{policy_key}.scale"),
                    format!("`{other}`: expected 3 or 5"),
                );
                Scale::Five
            }
        };
        let kind = section
            .account
            .clone()
            .unwrap_or_else(|| "direct".to_owned());
        if !["direct", "partner", "managed"].contains(&kind.as_str()) {
            let what = format!("`{kind}`: expected direct, partner or managed");
            self.tell(format!("{key}.account"), what);
        }
        let locale = section.locale.clone().unwrap_or_else(|| "en".to_owned());
        if !["en", "ja", "fr"].contains(&locale.as_str()) {
            self.tell(
                format!("{key}.locale"),
                format!("`{locale}`: expected en, ja or fr"),
            );
        }
        let accounts = match section.accounts.is_empty() {
            true => vec![name.to_owned()],
            false => section.accounts.clone(),
        };
        if let Some(other) = policy
            .pause_on
            .iter()
            .find(|word| !["waiting_customer", "maintenance"].contains(&word.as_str()))
        {
            let what = format!("`{other}`: expected waiting_customer or maintenance");
            self.tell(format!("{policy_key}.pause_on"), what);
        }
        let pauses_on = |word: &str| policy.pause_on.iter().any(|named| named == word);
        let window = policy.reopen_window.as_deref().unwrap_or("24h");
        let reopen_window = self.seconds(&format!("{policy_key}.reopen_window"), window);
        let wait_limit = policy
            .wait_limit
            .as_ref()
            .map(|text| self.seconds(&format!("{policy_key}.wait_limit"), text));
        let (terms, version) = agreement::terms(self.sections, section);
        Some(Contract {
            name: name.to_owned(),
            policy: section.policy.clone(),
            version,
            terms,
            accounts,
            account: kind,
            partner: section.partner.clone().unwrap_or_default(),
            locale,
            tz: section.tz.clone().unwrap_or_else(|| "UTC".to_owned()),
            scale,
            severities,
            categories,
            clock_start: self.clock_start(&policy_key, policy),
            severity_change: self.severity_change(&policy_key, policy),
            reopen_window,
            ack_counts: policy.ack_counts.unwrap_or(true),
            public_note_counts: policy.public_note_counts.unwrap_or(true),
            wait_needs_question: policy.wait_needs_question,
            pause_waiting: policy.pause_on.is_empty() || pauses_on("waiting_customer"),
            pause_maintenance: pauses_on("maintenance"),
            wait_limit,
            calendars: std::mem::take(&mut self.used),
            close_as: self.close_as(&policy_key, policy),
            levels: self.levels(&policy_key, policy),
            contacts: section.contacts.clone(),
            maintenance_lead: section
                .maintenance_lead
                .as_ref()
                .map(|text| self.seconds(&format!("{key}.maintenance_lead"), text)),
            monthly_report: self.monthly_report(&key, section),
        })
    }

    /// One default policy is enough.
    fn one_default(&mut self) {
        let defaults = self
            .sections
            .policy
            .iter()
            .filter(|(_, policy)| policy.default);
        let names: Vec<String> = defaults.map(|(name, _)| format!("`{name}`")).collect();
        if names.len() > 1 {
            let what = format!("{} are all the default; expected one", names.join(", "));
            self.tell("policy", what);
        }
    }

    /// For each target by itself: the default policy, over it the policy, over it the contract.
    fn severities(
        &mut self,
        name: &str,
        section: &ContractSection,
        policy: &PolicySection,
    ) -> BTreeMap<u8, Targets> {
        let sections = self.sections;
        let mut severities: BTreeMap<u8, Targets> = BTreeMap::new();
        let fallback = sections.policy.iter().find(|(_, policy)| policy.default);
        if let Some((other, fallback)) = fallback.filter(|(other, _)| **other != section.policy) {
            let at = format!("policy.{other}");
            let tables = &fallback.severity;
            self.layer(
                &at,
                Origin::Default,
                fallback,
                tables,
                section,
                &mut severities,
            );
            // A default is no reason for a severity that the policy does not have.
            let has = |number: &u8| {
                policy
                    .severity
                    .keys()
                    .any(|w| severity_number(w) == Some(*number))
            };
            severities.retain(|number, _| has(number));
        }
        let at = format!("policy.{}", section.policy);
        let tables = &policy.severity;
        self.layer(
            &at,
            Origin::Policy,
            policy,
            tables,
            section,
            &mut severities,
        );
        let at = format!("contract.{name}");
        let tables = &section.severity;
        self.layer(
            &at,
            Origin::Contract,
            policy,
            tables,
            section,
            &mut severities,
        );
        severities
    }

    fn layer(
        &mut self,
        key: &str,
        origin: Origin,
        policy: &PolicySection,
        tables: &BTreeMap<String, SeveritySection>,
        contract: &ContractSection,
        severities: &mut BTreeMap<u8, Targets>,
    ) {
        self.origin = origin;
        for (word, table) in tables {
            let at = format!("{key}.severity.{word}");
            let Some(number) = severity_number(word) else {
                self.tell(at, "a severity is 1 to 5, or none");
                continue;
            };
            let own = self.targets(&at, policy, table, contract);
            severities.entry(number).or_default().extend(own);
        }
    }

    fn targets(
        &mut self,
        key: &str,
        policy: &PolicySection,
        table: &SeveritySection,
        contract: &ContractSection,
    ) -> Targets {
        let mut targets = Targets::new();
        if let Some(other) = table.same_as {
            match policy.severity.get(&other.to_string()) {
                Some(other) if other.same_as.is_none() => {
                    targets.extend(self.targets(key, policy, other, contract));
                }
                _ => self.tell(
                    format!("{key}.same_as"),
                    format!("severity {other} is not there, or is itself like another"),
                ),
            }
        }
        for (name, section) in [
            (TargetName::Triage, &table.triage),
            (TargetName::InitialResponse, &table.initial_response),
            (TargetName::Engineer, &table.engineer),
            (TargetName::Update, &table.update),
            (TargetName::Restore, &table.restore),
        ] {
            if let Some(section) = section {
                let key = format!("{key}.{}", name.word());
                if let Some(target) = self.target(&key, name, section, contract) {
                    targets.insert(name, target);
                }
            }
        }
        targets
    }

    fn kind(
        &mut self,
        key: &str,
        section: &TargetSection,
        contract: &ContractSection,
    ) -> Option<TargetKind> {
        let calendar = section.calendar.as_deref().unwrap_or("always");
        Some(match section {
            TargetSection {
                within: Some(text),
                every: None,
                in_hours: None,
                next_business_day_start: None,
                ..
            } => TargetKind::Within(
                self.seconds(key, text),
                self.calendar(key, calendar, contract),
            ),
            TargetSection {
                every: Some(text),
                within: None,
                in_hours: None,
                next_business_day_start: None,
                ..
            } => TargetKind::Every(
                self.seconds(key, text),
                self.calendar(key, calendar, contract),
            ),
            TargetSection {
                in_hours: Some(inside),
                out_of_hours: Some(outside),
                hours: Some(hours),
                within: None,
                every: None,
                next_business_day_start: None,
                ..
            } => TargetKind::ByHours {
                inside: self.seconds(key, inside),
                outside: self.seconds(key, outside),
                hours: if contract.cloud {
                    Arc::new(Calendar::Always)
                } else {
                    self.calendar(key, hours, contract)
                },
            },
            TargetSection {
                next_business_day_start: Some(text),
                within: None,
                every: None,
                in_hours: None,
                ..
            } => {
                let Some(wall) = read_time(text) else {
                    self.tell(key, format!("`{text}` is no time; expected HH:MM"));
                    return None;
                };
                TargetKind::NextDay {
                    wall,
                    same_day: section.same_day.unwrap_or(true),
                    calendar: match (self.calendar(key, calendar, contract), contract.cloud) {
                        (hours, true) => Arc::new(hours.every_day()),
                        (hours, false) => hours,
                    },
                }
            }
            _ => {
                self.tell(
                    key,
                    "one of within, every, in_hours with out_of_hours and hours, or \
                     next_business_day_start is needed",
                );
                return None;
            }
        })
    }

    fn target(
        &mut self,
        key: &str,
        name: TargetName,
        section: &TargetSection,
        contract: &ContractSection,
    ) -> Option<Target> {
        let kind = self.kind(key, section, contract)?;
        if matches!(kind, TargetKind::Every(..)) != (name == TargetName::Update) {
            self.tell(key, "`every` belongs to update, and update to `every`");
        }
        for (word, share) in [
            ("objective", section.objective),
            ("at_risk", section.at_risk),
        ] {
            if share.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
                self.tell(
                    format!("{key}.{word}"),
                    "a share between 0 and 1 was expected",
                );
            }
        }
        Some(Target {
            kind,
            said: section.said(|name| match contract.calendars.get(name) {
                _ if contract.cloud && section.in_hours.is_some() => "always",
                Some(own) => own,
                None => name,
            }),
            origin: self.origin,
            pausable: section.pausable.unwrap_or(name == TargetName::Restore),
            objective: section.objective,
            at_risk: section.at_risk.unwrap_or(0.75),
        })
    }

    fn clock_start(&mut self, key: &str, policy: &PolicySection) -> ClockStart {
        match policy.clock_start.as_deref() {
            None | Some("reported") => ClockStart::Reported,
            Some("ticket_created") => ClockStart::TicketCreated,
            Some("alert_started") => ClockStart::AlertStarted,
            Some(other) => {
                let what = format!("`{other}`: expected reported, ticket_created or alert_started");
                self.tell(format!("{key}.clock_start"), what);
                ClockStart::Reported
            }
        }
    }

    fn severity_change(&mut self, key: &str, policy: &PolicySection) -> SeverityChange {
        match policy.severity_change.as_deref() {
            None | Some("from_start") => SeverityChange::FromStart,
            Some("from_change") => SeverityChange::FromChange,
            Some("from_start_with_floor") => {
                let floor = policy.severity_change_floor.as_deref().unwrap_or("15m");
                let floor = self.seconds(&format!("{key}.severity_change_floor"), floor);
                SeverityChange::FromStartWithFloor(floor)
            }
            Some(other) => {
                let what =
                    format!("`{other}`: expected from_start, from_change or from_start_with_floor");
                self.tell(format!("{key}.severity_change"), what);
                SeverityChange::FromStart
            }
        }
    }

    fn close_as(&mut self, key: &str, policy: &PolicySection) -> BTreeMap<u8, VoidReason> {
        let mut reasons = BTreeMap::new();
        for (word, table) in &policy.severity {
            match (severity_number(word), table.close_as.as_deref()) {
                (Some(number), Some("false_alarm")) => {
                    reasons.insert(number, VoidReason::FalseAlarm);
                }
                (_, Some(other)) => self.tell(
                    format!("{key}.severity.{word}.close_as"),
                    format!("`{other}`: expected false_alarm"),
                ),
                _ => {}
            }
        }
        reasons
    }

    fn levels(&mut self, key: &str, policy: &PolicySection) -> Vec<Level> {
        let at = format!("{key}.escalation");
        if policy.escalation.len() > LEVELS_MAX {
            self.tell(at.clone(), format!("at most {LEVELS_MAX} levels"));
        }
        let mut levels = Vec::new();
        for (place, section) in policy.escalation.iter().enumerate() {
            if usize::from(section.level) != place + 1 {
                self.tell(at.clone(), "levels are numbered from 1, in order");
            }
            levels.push(Level {
                level: section.level,
                contact: section.contact.clone(),
                after_restore: section.after_restore,
            });
        }
        levels
    }
}

fn severity_number(word: &str) -> Option<u8> {
    match word {
        "none" => Some(0),
        _ => word.parse().ok().filter(|number| (1..=5).contains(number)),
    }
}
