//! `[calendar]`, `[policy]` and `[contract]` as written, and everything that is wrong with them.

use super::calendar::{Calendar, CalendarText, read_all};
use super::policy::{
    CategoryRule, ClockStart, Contract, Level, Scale, SeverityChange, Sla, Target, TargetKind,
    TargetName, Targets,
};
use super::week::{WeekText, read_time};
use crate::model::Category;
use crate::model::time::duration;
use jiff::tz::TimeZoneDatabase;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Levels of escalation at most: the metric label has as many.
const LEVELS_MAX: usize = 5;

/// All sections of this room.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlaSections {
    /// `[calendar.NAME]`.
    pub calendar: BTreeMap<String, CalendarSection>,
    /// `[policy.NAME]`.
    pub policy: BTreeMap<String, PolicySection>,
    /// `[contract.NAME]`.
    pub contract: BTreeMap<String, ContractSection>,
    /// The contract of accounts that have none of their own.
    pub default_contract: Option<String>,
}

/// `[calendar.NAME]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CalendarSection {
    /// IANA zone.
    pub tz: Option<String>,
    /// Intervals by day.
    pub week: BTreeMap<String, Vec<(String, String)>>,
    /// Dates that are closed.
    pub holidays: Vec<String>,
    /// Intervals of single dates.
    pub overrides: BTreeMap<String, Vec<(String, String)>>,
    /// Open when one of these is.
    pub union: Option<Vec<String>>,
    /// Everything.
    pub always: bool,
}

impl CalendarSection {
    /// As the calendar room takes it.
    pub fn text(&self) -> CalendarText {
        match &self.union {
            _ if self.always => CalendarText::Always,
            Some(members) => CalendarText::Union(members.clone()),
            None => CalendarText::Week(WeekText {
                tz: self.tz.clone().unwrap_or_default(),
                week: self.week.clone(),
                holidays: self.holidays.clone(),
                overrides: self.overrides.clone(),
            }),
        }
    }
}

/// `[policy.NAME]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicySection {
    /// What the counterparty is called.
    pub counterparty: String,
    /// 3 or 5.
    pub scale: Option<u8>,
    /// `reported`, `ticket_created` or `alert_started`.
    pub clock_start: Option<String>,
    /// What pauses pausable targets: `waiting_customer`.
    pub pause_on: Vec<String>,
    /// How long after the resolution a reopening belongs to the same cycle.
    pub reopen_window: Option<String>,
    /// `from_start`, `from_change` or `from_start_with_floor`.
    pub severity_change: Option<String>,
    /// The floor of `from_start_with_floor`.
    pub severity_change_floor: Option<String>,
    /// An acknowledgement is a response.
    pub ack_counts: Option<bool>,
    /// A public note is a response.
    pub public_note_counts: Option<bool>,
    /// A wait counts only after a public question.
    pub wait_needs_question: bool,
    /// Longest wait that counts.
    pub wait_limit: Option<String>,
    /// By category.
    pub category: BTreeMap<String, CategorySection>,
    /// By severity, or `none`.
    pub severity: BTreeMap<String, SeveritySection>,
    /// Levels from 1.
    pub escalation: Vec<EscalationSection>,
}

/// `[policy.NAME.category] incident = { ... }`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CategorySection {
    /// `set`, `none` or a number.
    pub severity: Option<SeverityWord>,
    /// Targets that apply.
    pub targets: Vec<String>,
    /// The tracker's priority.
    pub priority: Option<String>,
}

/// A number or a word.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum SeverityWord {
    /// Always this one.
    Number(u8),
    /// `set` or `none`.
    Word(String),
}

/// `[policy.NAME.severity.N]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeveritySection {
    /// First human act.
    pub triage: Option<TargetSection>,
    /// First public answer.
    pub initial_response: Option<TargetSection>,
    /// An engineer has begun.
    pub engineer: Option<TargetSection>,
    /// Rhythm of updates.
    pub update: Option<TargetSection>,
    /// The service is back.
    pub restore: Option<TargetSection>,
    /// As another severity, where this one says nothing.
    pub same_as: Option<u8>,
    /// How a case of this severity ends: `false_alarm`.
    pub close_as: Option<String>,
}

/// One target as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TargetSection {
    /// Counted time from the start.
    pub within: Option<String>,
    /// Counted time since the last update.
    pub every: Option<String>,
    /// Its calendar; `always` unless said.
    pub calendar: Option<String>,
    /// If the clock starts in `hours`.
    pub in_hours: Option<String>,
    /// If it does not.
    pub out_of_hours: Option<String>,
    /// The hours.
    pub hours: Option<String>,
    /// Local time of the next working day.
    pub next_business_day_start: Option<String>,
    /// Whether the day of the start counts; it does unless said.
    pub same_day: Option<bool>,
    /// Waiting for the customer does not count.
    pub pausable: Option<bool>,
    /// The share that is aimed at.
    pub objective: Option<f64>,
    /// The share at which it is at risk.
    pub at_risk: Option<f64>,
}

/// `[[policy.NAME.escalation]]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EscalationSection {
    /// From 1.
    pub level: u8,
    /// Who is told.
    pub contact: String,
    /// The share of the restore target at which it is reached.
    pub after_restore: Option<f64>,
}

/// `[contract.NAME]`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContractSection {
    /// Its policy.
    pub policy: String,
    /// Accounts it is for; the contract's name unless said.
    pub accounts: Vec<String>,
    /// `direct`, `partner` or `managed`.
    pub account: Option<String>,
    /// The partner of a managed account.
    pub partner: Option<String>,
    /// `en`, `ja` or `fr`.
    pub locale: Option<String>,
    /// IANA zone for display.
    pub tz: Option<String>,
    /// A cloud contract: engineers are there at all hours.
    pub cloud: bool,
    /// Single targets of its own.
    pub severity: BTreeMap<String, SeveritySection>,
    /// Calendars in place of those that the policy names.
    pub calendars: BTreeMap<String, String>,
}

/// Something wrong with these sections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlaProblem {
    /// The key.
    pub key: String,
    /// What is wrong and what was expected.
    pub what: String,
    /// Only worth a warning.
    pub warning: bool,
}

struct Reader<'a> {
    sections: &'a SlaSections,
    calendars: BTreeMap<String, Arc<Calendar>>,
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
            problems,
        };
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
        problems.dedup();
        if problems.iter().any(|problem| !problem.warning) {
            Err(problems)
        } else {
            Ok((sla, problems))
        }
    }
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
            Some(calendar) => calendar.clone(),
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
        let mut severities: BTreeMap<u8, Targets> = BTreeMap::new();
        for (word, table) in &policy.severity {
            let at = format!("{policy_key}.severity.{word}");
            let Some(number) = severity_number(word) else {
                self.tell(at, "a severity is 1 to 5, or none");
                continue;
            };
            let targets = self.targets(&at, policy, table, section);
            severities.insert(number, targets);
        }
        for (word, table) in &section.severity {
            let at = format!("{key}.severity.{word}");
            let Some(number) = severity_number(word) else {
                self.tell(at, "a severity is 1 to 5, or none");
                continue;
            };
            let own = self.targets(&at, policy, table, section);
            severities.entry(number).or_default().extend(own);
        }
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
            .find(|word| *word != "waiting_customer")
        {
            let what = format!("`{other}`: expected waiting_customer");
            self.tell(format!("{policy_key}.pause_on"), what);
        }
        let window = policy.reopen_window.as_deref().unwrap_or("24h");
        let reopen_window = self.seconds(&format!("{policy_key}.reopen_window"), window);
        let wait_limit = policy
            .wait_limit
            .as_ref()
            .map(|text| self.seconds(&format!("{policy_key}.wait_limit"), text));
        Some(Contract {
            name: name.to_owned(),
            policy: section.policy.clone(),
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
            wait_limit,
            levels: self.levels(&policy_key, policy),
        })
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

    fn target(
        &mut self,
        key: &str,
        name: TargetName,
        section: &TargetSection,
        contract: &ContractSection,
    ) -> Option<Target> {
        let calendar = section.calendar.as_deref().unwrap_or("always");
        let kind = match section {
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
                    calendar: self.calendar(key, calendar, contract),
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
        };
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
            pausable: section.pausable.unwrap_or(name == TargetName::Restore),
            objective: section.objective,
            at_risk: section.at_risk.unwrap_or(0.75),
        })
    }

    fn categories(
        &mut self,
        key: &str,
        policy: &PolicySection,
        severities: &BTreeMap<u8, Targets>,
    ) -> BTreeMap<Category, CategoryRule> {
        let mut categories = BTreeMap::new();
        for (word, section) in &policy.category {
            let at = format!("{key}.category.{word}");
            let category = match word.as_str() {
                "incident" => Category::Incident,
                "inquiry" => Category::Inquiry,
                "provisioning" => Category::Provisioning,
                _ => {
                    self.tell(at, "expected incident, inquiry or provisioning");
                    continue;
                }
            };
            let severity = match &section.severity {
                None => None,
                Some(SeverityWord::Word(word)) if word == "set" => None,
                Some(SeverityWord::Word(word)) if word == "none" => Some(None),
                Some(SeverityWord::Number(number)) if (1..=5).contains(number) => {
                    Some(Some(*number))
                }
                Some(_) => {
                    self.tell(format!("{at}.severity"), "expected set, none or 1 to 5");
                    None
                }
            };
            let mut targets = Vec::new();
            for name in &section.targets {
                match TargetName::from_word(name) {
                    Some(target) => {
                        if !severities.values().any(|table| table.contains_key(&target)) {
                            let what = format!("the policy has no target `{name}`");
                            self.tell(format!("{at}.targets"), what);
                        }
                        targets.push(target);
                    }
                    None => self.tell(
                        format!("{at}.targets"),
                        format!(
                            "`{name}`: expected triage, initial_response, engineer, update or \
                             restore"
                        ),
                    ),
                }
            }
            categories.insert(category, CategoryRule { severity, targets });
        }
        categories
    }

    /// What is allowed and still looks wrong.
    fn check_order(&mut self, key: &str, severities: &BTreeMap<u8, Targets>) {
        let within = |targets: &Targets, name| match targets.get(&name).map(|t| &t.kind) {
            Some(TargetKind::Within(seconds, _) | TargetKind::Every(seconds, _)) => Some(*seconds),
            _ => None,
        };
        for (severity, targets) in severities {
            let at = format!("{key}.severity.{severity}");
            let response = within(targets, TargetName::InitialResponse);
            let restore = within(targets, TargetName::Restore);
            let update = within(targets, TargetName::Update);
            if matches!((response, restore), (Some(a), Some(b)) if a > b) {
                self.warn(&at, "the response target is longer than the restore target");
            }
            if matches!((update, restore), (Some(a), Some(b)) if a > b) {
                self.warn(&at, "the update interval is longer than the restore target");
            }
            let next = severities.get(&(severity + 1)).filter(|_| *severity > 0);
            for name in TargetName::ALL {
                let pair = (
                    within(targets, name),
                    next.and_then(|next| within(next, name)),
                );
                if matches!(pair, (Some(a), Some(b)) if a > b) {
                    let what = format!(
                        "{} is longer than that of severity {}",
                        name.word(),
                        severity + 1
                    );
                    self.warn(&at, &what);
                }
            }
        }
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
