//! What customers, partners and our own people are told of cases. A customer is told of a case once
//! the inventory or a person says that its account is hit; what rests on the default contract alone
//! concerns nobody outside.

use super::Engine;
use super::telling::{SERVICES_MAX, Tell};
use crate::model::incident::{Effect, Ended, IncidentState};
use crate::model::outgoing::{NoticeFacts, NoticeKind, WaitsFor};
use crate::model::reason::Reason;
use crate::model::{Category, IncidentId, Severity, Time};
use crate::notices::plan::Matter;
use crate::sla::Contract;
use crate::sla::log::{By, CaseDid};
use crate::sla::promise::{self, Promised};
use jiff::tz::TimeZoneDatabase;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What stands in a case's list of told things once its customer knows of it.
const OPENED: &str = "notice/opened";

/// Something that happened to all cases of an incident.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// What staff wrote.
    pub text: String,
    /// Until when, for promises.
    pub until: Option<Time>,
    /// How it ended; why it was escalated; where it goes on.
    pub reason: String,
    /// The level of escalation.
    pub level: u8,
}

/// What a text that was written at an instant promises, on the clock of a zone.
fn promise_at(text: &str, tz: &str, at: Time) -> Promised {
    let zone = TimeZoneDatabase::bundled().get(tz);
    let zone = zone.unwrap_or(jiff::tz::TimeZone::UTC);
    promise::read(text, &zone, at.seconds())
}

/// The time that it promises, if it is clear.
pub(super) fn promised_by(text: &str, tz: &str, at: Time) -> Option<Time> {
    match promise_at(text, tz, at) {
        Promised::At(at) => Some(Time::from_seconds(at)),
        Promised::Nothing | Promised::Unclear(_) => None,
    }
}

impl Engine {
    /// The contract of a case whose customer is to be told; `None`: nobody outside is concerned.
    fn told_contract(&self, key: &(IncidentId, String)) -> Option<Arc<Contract>> {
        if !self.decisions.notices.mail {
            return None;
        }
        let incident = self.state.incidents.get(&key.0)?;
        let sla = &self.decisions.sla;
        let contract = sla.contracts.get(&key.1)?;
        let own = |account: &String| contract.accounts.contains(account);
        let hit = incident.accounts.iter().any(own) || incident.reported_by.iter().any(own);
        let withheld = self.waiting_security(key.0).is_some();
        (hit && !withheld && incident.category == Category::Incident).then(|| contract.clone())
    }

    /// What a case's notice says, but for its own words.
    fn case_facts(&self, key: &(IncidentId, String), contract: &Contract) -> NoticeFacts {
        let incident = self.state.incidents.get(&key.0);
        let case = self.state.cases.get(key);
        NoticeFacts {
            reference: key.0.to_string(),
            contract: contract.name.clone(),
            accounts: contract.accounts.clone(),
            title: incident
                .filter(|incident| !incident.sensitive)
                .map_or_else(String::new, |incident| incident.title.clone()),
            severity: case.and_then(|case| case.severity),
            effect: case
                .map(|case| case.effect)
                .filter(|effect| *effect != Effect::Unknown),
            services: case.map_or_else(Vec::new, |case| {
                case.services.iter().take(SERVICES_MAX).cloned().collect()
            }),
            at: self.state.now,
            since: incident.map(|incident| incident.opened_at),
            ..NoticeFacts::default()
        }
    }

    /// Tells the readers of one case, and whoever is on call if there are none.
    pub(super) fn tell_case(
        &mut self,
        key: &(IncidentId, String),
        kind: NoticeKind,
        stage: String,
        told: &Told,
    ) -> bool {
        let Some(contract) = self.told_contract(key) else {
            return false;
        };
        let plan = self.decisions.notices.clone();
        let sla = self.decisions.sla.clone();
        let sensitive = self
            .state
            .incidents
            .get(&key.0)
            .is_some_and(|i| i.sensitive);
        let matter = match kind {
            NoticeKind::Escalation => Matter::Escalation,
            _ => Matter::Incidents,
        };
        let readers = plan.readers(&sla, &contract, matter, |_| true);
        let mut facts = self.case_facts(key, &contract);
        if !sensitive {
            facts.text.clone_from(&told.text);
        }
        if kind == NoticeKind::Resolved {
            facts.effect = None;
        }
        facts.until = told.until;
        facts.reason.clone_from(&told.reason);
        facts.level = told.level;
        self.tell(&Tell {
            kind,
            incident: Some(key.0),
            thread: key.0.to_string(),
            // Partners read of several accounts in one thread: the contract tells them apart.
            stage: format!("{}/{stage}", contract.name),
            facts,
            readers: &readers.readers,
            send_at: None,
        });
        let nobody = format!("notice/nobody/{}", matter.word());
        if !readers.nobody.is_empty() && !self.was_told(key, &nobody) {
            self.note_told(key, nobody);
            self.tell_unaddressed(Some(key.0), &key.0.to_string(), &readers.nobody);
        }
        true
    }

    fn cycle_of(&self, id: IncidentId) -> u32 {
        self.state.incidents.get(&id).map_or(0, |i| i.cycle)
    }

    pub(super) fn heard(&self, key: &(IncidentId, String)) -> bool {
        self.was_told(key, OPENED)
    }

    /// Its customer is taken to know of it, if customers hear of such.
    pub(super) fn note_heard(&mut self, key: &(IncidentId, String), severity: Option<Severity>) {
        if self.customers_hear_of(severity) && self.told_contract(key).is_some() {
            self.note_told(key, OPENED.to_owned());
        }
    }

    /// A case was opened, or its severity changed: its customer hears of it, for the first time or
    /// again.
    pub(super) fn tell_case_changed(&mut self, key: &(IncidentId, String)) {
        let Some(incident) = self.state.incidents.get(&key.0) else {
            return;
        };
        if incident.state != IncidentState::Open {
            return;
        }
        if self.heard(key) {
            let stage = format!("severity/{}", self.state.cursor);
            self.tell_case(key, NoticeKind::Updated, stage, &Told::default());
            return;
        }
        if !self.customers_hear_of(incident.severity) {
            return;
        }
        let stage = self.cycle_of(key.0).to_string();
        if self.tell_case(key, NoticeKind::Opened, stage, &Told::default()) {
            self.note_told(key, OPENED.to_owned());
        }
    }

    /// Staff wrote: every customer that knows of the incident reads it. A promised time is the same
    /// instant for all, unless it was written as a wall time: then it is each contract's own.
    pub(super) fn tell_answer(
        &mut self,
        id: IncidentId,
        contract: Option<&str>,
        text: &str,
        promise: Option<Time>,
    ) {
        for key in self.case_keys(id, contract) {
            if !self.heard(&key) {
                continue;
            }
            let until = promise.or_else(|| self.promised_to(&key, text));
            let kind = match until {
                Some(_) => NoticeKind::Promised,
                None => NoticeKind::Updated,
            };
            let told = Told {
                text: text.to_owned(),
                until,
                ..Told::default()
            };
            let stage = self.state.cursor.to_string();
            self.tell_case(&key, kind, stage, &told);
        }
    }

    /// It is over: whoever heard of it hears that.
    pub(super) fn tell_ended(&mut self, id: IncidentId, how: Ended, at: Time) {
        self.drop_notices("it is over", |notice| {
            notice.incident == Some(id)
                && matches!(
                    notice.waits_for,
                    Some(WaitsFor::NextWorkingDay | WaitsFor::QuietHours)
                )
        });
        if how == Ended::Merged {
            return;
        }
        for key in self.case_keys(id, None) {
            if !self.heard(&key) {
                continue;
            }
            let told = Told {
                until: Some(at),
                reason: match how {
                    Ended::FalseAlarm => "false_alarm",
                    Ended::Withdrawn => "withdrawn",
                    Ended::Recategorised => "recategorised",
                    _ => "restored",
                }
                .to_owned(),
                ..Told::default()
            };
            let stage = self.state.cursor.to_string();
            self.tell_case(&key, NoticeKind::Resolved, stage, &told);
        }
    }

    /// It is not over after all.
    pub(super) fn tell_reopened(&mut self, id: IncidentId, contract: Option<&str>) {
        for key in self.case_keys(id, contract) {
            if self.heard(&key) {
                let stage = self.state.cursor.to_string();
                self.tell_case(&key, NoticeKind::Reopened, stage, &Told::default());
            } else {
                self.tell_case_changed(&key);
            }
        }
    }

    /// One incident became part of another: who heard of the first learns under which number it
    /// goes on.
    pub(super) fn tell_merged(&mut self, from: IncidentId, into: IncidentId) {
        for key in self.case_keys(from, None) {
            let survivor = (into, key.1.clone());
            if !self.heard(&key) || !self.state.cases.contains_key(&survivor) {
                continue;
            }
            let told = Told {
                reason: into.to_string(),
                ..Told::default()
            };
            let stage = format!("merged/{into}");
            self.tell_case(&key, NoticeKind::Updated, stage, &told);
            if !self.heard(&survivor) {
                self.note_told(&survivor, OPENED.to_owned());
            }
        }
    }

    /// A warning, a breach or a level of escalation for our own people.
    pub(super) fn tell_staff_of_case(
        &mut self,
        key: &(IncidentId, String),
        kind: NoticeKind,
        stage: &str,
        contact: &str,
        more: impl FnOnce(&mut NoticeFacts),
    ) {
        let plan = self.decisions.notices.clone();
        let Some(contract) = self.decisions.sla.contracts.get(&key.1).cloned() else {
            return;
        };
        if !plan.is_on() {
            return;
        }
        let known = plan.contacts.contains_key(contact);
        let first = plan.on_call.first().map_or("", String::as_str);
        let contact = if known { contact } else { first };
        let readers = plan.staff(contact);
        let mut facts = self.case_facts(key, &contract);
        more(&mut facts);
        let severity = self.state.incidents.get(&key.0).and_then(|i| i.severity);
        let send_at = plan.staff_time(kind, severity, self.state.now);
        self.tell(&Tell {
            kind,
            incident: Some(key.0),
            thread: key.0.to_string(),
            stage: format!("{}/{stage}", contract.name),
            facts,
            readers: &readers,
            send_at: Some(send_at),
        });
    }

    /// A level of escalation: customers' and partners' contacts hear of it from the second on.
    pub(super) fn tell_rise(
        &mut self,
        key: &(IncidentId, String),
        contact: &str,
        level: u8,
        reason: &str,
    ) {
        let stage = format!("{}/{level}", self.cycle_of(key.0));
        self.tell_staff_of_case(key, NoticeKind::Escalation, &stage, contact, |facts| {
            facts.level = level;
            reason.clone_into(&mut facts.reason);
        });
        if self.heard(key) {
            let told = Told {
                reason: reason.to_owned(),
                level,
                ..Told::default()
            };
            self.tell_case(key, NoticeKind::Escalation, stage, &told);
        }
        self.call_level(key.0, contact);
    }

    /// Somebody has to look at a new incident that nobody is called for: in working hours, else it
    /// stands in the list for the next working day.
    pub(super) fn tell_staff_opened(&mut self, id: IncidentId) {
        let plan = self.decisions.notices.clone();
        let Some(incident) = self.state.incidents.get(&id) else {
            return;
        };
        let urgent = matches!(incident.severity, Some(Severity::S1 | Severity::S2));
        // What waits for its ticket stands in one list, which is told.
        let listed = self.state.held_back.contains(&id);
        let Some(contact) = plan
            .on_call
            .first()
            .filter(|_| plan.mail && !urgent && !listed)
        else {
            return;
        };
        let facts = NoticeFacts {
            reference: id.to_string(),
            title: incident.title.clone(),
            severity: incident.severity.map(Severity::number),
            text: incident.reason.clone(),
            services: incident
                .services
                .iter()
                .take(SERVICES_MAX)
                .cloned()
                .collect(),
            at: self.state.now,
            since: Some(incident.opened_at),
            ..NoticeFacts::default()
        };
        let facts = match incident.sensitive {
            true => NoticeFacts {
                title: String::new(),
                text: String::new(),
                ..facts
            },
            false => facts,
        };
        let kind = NoticeKind::Opened;
        let send_at = plan.staff_time(kind, incident.severity, self.state.now);
        let stage = incident.cycle.to_string();
        self.tell(&Tell {
            kind,
            incident: Some(id),
            thread: id.to_string(),
            stage,
            facts,
            readers: &plan.staff(contact),
            send_at: Some(send_at),
        });
    }

    /// What a text promises one contract's customer.
    pub(super) fn promised_to(&self, key: &(IncidentId, String), text: &str) -> Option<Time> {
        let contract = self.decisions.sla.contracts.get(&key.1)?;
        promised_by(text, &contract.tz, self.happened())
    }

    fn promise_in(&self, text: &str, tz: &str) -> Promised {
        promise_at(text, tz, self.happened())
    }

    /// Staff answered everybody, or one contract's customer: clocks, customers and the author of an
    /// unclear promise hear of it.
    pub(super) fn log_answer(
        &mut self,
        id: IncidentId,
        contract: Option<&str>,
        (text, author): (&str, &str),
        promise: Option<Time>,
    ) {
        let answer = |promise| CaseDid::Reply {
            by: By::Staff,
            public: true,
            promise,
        };
        let unclear = match promise {
            Some(_) => None,
            None => self.unclear_promise(id, contract, text),
        };
        let mut furthest = promise;
        for key in self.case_keys(id, contract) {
            // A wall time is each contract's own.
            let read = || self.promised_to(&key, text);
            let own = promise.or_else(|| read().filter(|_| unclear.is_none()));
            furthest = furthest.max(own);
            self.log_case(&key, self.happened_to(&key), answer(own));
        }
        self.look_at_clocks(id);
        self.tell_answer(id, contract, text, promise);
        self.warn_of_far(id, furthest);
        if let Some(why) = unclear {
            self.return_promise(id, author, &why);
        }
    }

    /// A time that is far off counts, and staff are told how far: it may be a slip of the pen.
    pub(super) fn warn_of_far(&mut self, id: IncidentId, promise: Option<Time>) {
        let since = self.happened().seconds();
        let Some(at) = promise.filter(|at| at.seconds() - since > promise::FAR_SECONDS) else {
            return;
        };
        let text = format!("The next update is promised for {at}: more than 7 days ahead.");
        self.decide(id, Reason::Promised, text.clone());
        self.note_tickets(id, &text, false);
        self.note_in_case_ticket(&text);
    }

    /// Why a promise in a text cannot be read, if there is one, in the zones of all contracts that
    /// the incident has cases of.
    pub(super) fn unclear_promise(
        &self,
        id: IncidentId,
        contract: Option<&str>,
        text: &str,
    ) -> Option<String> {
        let keys = self.case_keys(id, contract);
        let contracts = keys
            .iter()
            .filter_map(|key| self.decisions.sla.contracts.get(&key.1));
        let mut zones: BTreeSet<&str> = contracts.map(|contract| contract.tz.as_str()).collect();
        if zones.is_empty() {
            zones.insert("UTC");
        }
        zones
            .into_iter()
            .find_map(|tz| match self.promise_in(text, tz) {
                Promised::Unclear(why) => Some(format!("{why} ({tz})")),
                Promised::At(_) | Promised::Nothing => None,
            })
    }

    /// An unclear promise goes back to its author: by mail if the author has an address, and as an
    /// internal note where it was written, which may be the ticket of one contract's case, and on the
    /// operations ticket.
    pub(super) fn return_promise(&mut self, id: IncidentId, author: &str, why: &str) {
        let text = format!(
            "The next update that {author} promised is not counted: {why}. Write it again, like \
             `Next update: 2026-06-02 18:00`."
        );
        self.decide_by(id, Reason::PromiseUnclear, text.clone(), author);
        self.note_tickets(id, &text, false);
        self.note_in_case_ticket(&text);
        let plan = self.decisions.notices.clone();
        let mut readers = plan.staff(author);
        if readers.is_empty() && author.contains('@') {
            let contact = crate::notices::plan::Contact {
                mail: vec![author.to_owned()],
                locale: "en".to_owned(),
                tz: "UTC".to_owned(),
                ..Default::default()
            };
            readers = crate::notices::plan::readers_of(&contact);
        }
        self.tell(&Tell {
            kind: NoticeKind::PromiseUnclear,
            incident: Some(id),
            thread: id.to_string(),
            stage: self.state.cursor.to_string(),
            facts: NoticeFacts {
                reference: id.to_string(),
                reason: why.to_owned(),
                at: self.state.now,
                ..NoticeFacts::default()
            },
            readers: &readers,
            send_at: None,
        });
    }
}
