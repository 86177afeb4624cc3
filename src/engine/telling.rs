//! Notices as the engine wants them: each is in the state before its first byte leaves, once for
//! each reader, and leaves memory when it is sent or given up. Workers send them; what came of it is
//! an input.

use super::names::{Names, own_names};
use super::security::SecurityMessage;
use super::told_windows::WindowTold;
use super::{Engine, Figure};
use crate::model::input::OWN_SOURCE;
use crate::model::outgoing::{
    Audience, NoticeFacts, NoticeKind, NoticeOutcome, NoticeReport, NoticeState, Page, WaitsFor,
    WantedNotice, Way,
};
use crate::model::reason::Reason;
use crate::model::text::bounded;
use crate::model::{IncidentId, NoticeId, SecurityId, Severity, Time, short_hash};
use crate::notices::plan::Reader;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The bell of the notices' workers.
pub const BELL: &str = "(notices)";
/// Most notices that wait at once; further ones are told as lost, each in its timeline.
const WAITING_MAX: usize = 20_000;
/// Longest text of staff in a notice, bytes.
const TEXT_BYTES_MAX: usize = 8000;
/// Most services named in a notice.
pub(super) const SERVICES_MAX: usize = 50;

/// What is kept of notices between two inputs.
#[derive(Debug, Default)]
pub struct Telling {
    /// Numbers.
    pub scalars: TellingScalars,
    /// Notices that wait or were given up by their worker.
    pub notices: BTreeMap<NoticeId, WantedNotice>,
    /// Keys of these.
    pub keys: BTreeMap<String, NoticeId>,
    /// Calls that are not answered.
    pub pages: BTreeMap<IncidentId, Page>,
    /// Security messages that wait.
    pub security: BTreeMap<SecurityId, SecurityMessage>,
    /// Incidents that were marked as security.
    pub marked: BTreeSet<IncidentId>,
    /// What customers know of planned work.
    pub windows: BTreeMap<String, WindowTold>,
    /// When a window that comes again is looked at next.
    pub recurring_at: Option<Time>,
    /// The last month whose report was told, by contract.
    pub reports: BTreeMap<String, String>,
    /// When the next report goes out.
    pub reports_at: Option<Time>,
    /// Incidents that this input decided about: is somebody called for them?
    pub review: BTreeSet<IncidentId>,
    /// Mails of people that were heard, by a hash of id and content, and when.
    pub heard: BTreeMap<u64, Time>,
    /// Notices to partners of this input: what is told of several accounts at once is one letter.
    pub of_this_input: BTreeMap<(u64, String), NoticeId>,
}

/// Numbers of notices that must survive a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TellingScalars {
    /// The last notice.
    pub last_notice: u64,
    /// The last security message.
    pub last_security: u64,
}

impl TellingScalars {
    /// The next security message's number.
    pub fn next_security(&mut self) -> SecurityId {
        self.last_security += 1;
        SecurityId(self.last_security)
    }
}

/// Something to be told, and to whom.
pub(super) struct Tell<'a> {
    /// What it tells.
    pub kind: NoticeKind,
    /// The incident it speaks of.
    pub incident: Option<IncidentId>,
    /// What ties it to others, like `INC-12`.
    pub thread: String,
    /// What makes it this notice of its thread and kind and no other.
    pub stage: String,
    /// What it says.
    pub facts: NoticeFacts,
    /// Who reads it.
    pub readers: &'a [Reader],
    /// Not before; now unless said.
    pub send_at: Option<(Time, Option<WaitsFor>)>,
}

impl Engine {
    /// Wants a notice for each reader.
    pub(super) fn tell(&mut self, tell: &Tell) {
        for reader in tell.readers {
            if self.decisions.notices.mail {
                self.want_notice(tell, reader, Way::Mail);
            }
        }
    }

    /// Wants one notice; once for each key.
    pub(super) fn want_notice(
        &mut self,
        tell: &Tell,
        reader: &Reader,
        way: Way,
    ) -> Option<(NoticeId, String)> {
        let generation = self.state.scalars.generation.clone();
        let parts = [
            generation.as_str(),
            &tell.thread,
            tell.kind.word(),
            &tell.stage,
            way.word(),
            &reader.address.to_lowercase(),
        ];
        let key = format!("an-{}", short_hash(parts));
        let thread_parts = [generation.as_str(), &tell.thread, &reader.address];
        // A pager joins calls of one incident by this, whoever is called.
        let thread_prefix = match way {
            Way::Mail => "at-",
            Way::Pager => "ap-",
        };
        let thread = format!("{thread_prefix}{}", short_hash(thread_parts));
        if self.state.telling.keys.contains_key(&key) || self.joins(tell, reader) {
            return None;
        }
        if self.state.telling.notices.len() >= WAITING_MAX {
            if let Some(incident) = tell.incident {
                let text = format!("{WAITING_MAX} notices wait: no further one is kept.");
                self.decide(incident, Reason::NoticeFailed, text);
            }
            return None;
        }
        let now = self.state.now;
        let (send_at, waits_for) = tell.send_at.unwrap_or((now, None));
        self.state.telling.scalars.last_notice += 1;
        let id = NoticeId(self.state.telling.scalars.last_notice);
        self.save_telling_scalars();
        let notice = WantedNotice {
            id,
            key: key.clone(),
            thread: thread.clone(),
            kind: tell.kind,
            audience: reader.audience,
            way,
            to: reader.address.clone(),
            incident: tell.incident,
            facts: self.facts_for(reader, tell),
            wanted_at: now,
            send_at,
            waits_for,
            state: NoticeState::Waiting,
            attempts: 0,
            reason: String::new(),
            changed_at: now,
        };
        if reader.audience == Audience::Partner {
            let same = (self.state.cursor, joined_by(tell, reader));
            self.state.telling.of_this_input.insert(same, id);
        }
        self.state.telling.keys.insert(key, id);
        self.save_thing("notice_wanted", thing_key(id), &notice);
        self.state.telling.notices.insert(id, notice);
        self.out.work.push(BELL.to_owned());
        Some((id, thread))
    }

    /// What a partner is told of several accounts at once becomes one letter.
    fn joins(&mut self, tell: &Tell, reader: &Reader) -> bool {
        let cursor = self.state.cursor;
        let telling = &mut self.state.telling;
        telling.of_this_input.retain(|(seq, _), _| *seq == cursor);
        if reader.audience != Audience::Partner {
            return false;
        }
        let same = (cursor, joined_by(tell, reader));
        let Some(id) = telling.of_this_input.get(&same).copied() else {
            return false;
        };
        let more = self.facts_for(reader, tell);
        let Some(notice) = self.state.telling.notices.get_mut(&id) else {
            return false;
        };
        let facts = &mut notice.facts;
        for account in more.accounts {
            if !facts.accounts.contains(&account) {
                facts.accounts.push(account);
            }
        }
        for service in more.services {
            if !facts.services.contains(&service) && facts.services.len() < SERVICES_MAX {
                facts.services.push(service);
            }
        }
        facts.effect = facts.effect.max(more.effect);
        facts.severity = match (facts.severity, more.severity) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let notice = notice.clone();
        self.save_thing("notice_wanted", thing_key(id), &notice);
        true
    }

    /// The facts as a reader may read them: in the reader's language and zone, without a name of
    /// another customer, and without staff's words where only facts may be told.
    fn facts_for(&self, reader: &Reader, tell: &Tell) -> NoticeFacts {
        let facts = &tell.facts;
        let mut facts = NoticeFacts {
            locale: reader.locale.clone(),
            tz: reader.tz.clone(),
            sender_name: reader.sender_name.clone(),
            support: reader.support.clone(),
            ..facts.clone()
        };
        let incident = tell.incident.and_then(|id| self.state.incidents.get(&id));
        if incident.is_some_and(|incident| incident.sensitive) {
            // The number alone leaves the bridge.
            facts.title.clear();
            facts.text.clear();
            facts.services.clear();
            facts.accounts.clear();
            return facts;
        }
        facts.text = bounded(&facts.text, TEXT_BYTES_MAX);
        facts.services.truncate(SERVICES_MAX);
        if reader.audience == Audience::Staff {
            return facts;
        }
        facts.title.clear();
        if !reader.words {
            facts.text.clear();
        }
        let (plan, sla) = (&self.decisions.notices, &self.decisions.sla);
        if let Some(contract) = sla.contracts.get(&reader.contract) {
            let seen = plan.may_see(sla, contract);
            let own = seen
                .flat_map(|contract| own_names(&self.decisions, contract))
                .collect();
            let names = self.names.get_or_init(|| Names::of(&self.decisions));
            let mask = |text: &String| names.masked(text, &own);
            facts.text = mask(&facts.text);
            facts.reason = mask(&facts.reason);
            facts.services = facts.services.iter().map(mask).collect();
            facts.accounts = facts.accounts.iter().map(mask).collect();
        }
        if reader.audience != Audience::Partner {
            facts.accounts.clear();
        }
        facts.contract = reader.contract.clone();
        facts
    }

    fn save_telling_scalars(&mut self) {
        let scalars = self.state.telling.scalars.clone();
        self.save_thing("notice_scalars", "engine".to_owned(), &scalars);
    }

    /// The next security message's number.
    pub(super) fn next_security(&mut self) -> SecurityId {
        let id = self.state.telling.scalars.next_security();
        self.save_telling_scalars();
        id
    }

    /// What came of sending a notice.
    pub(super) fn apply_notice_report(&mut self, report: &NoticeReport) {
        let now = self.state.now;
        if let NoticeOutcome::Acknowledged { by } = &report.outcome {
            self.page_answered_at_pager(report.notice, by);
            return;
        }
        let Some(notice) = self.state.telling.notices.get_mut(&report.notice) else {
            return;
        };
        notice.attempts = notice.attempts.max(report.attempts);
        notice.reason.clone_from(&report.reason);
        notice.changed_at = now;
        match &report.outcome {
            NoticeOutcome::Sent { maybe_twice } => {
                let state = if *maybe_twice {
                    NoticeState::SentMaybeTwice
                } else {
                    NoticeState::Sent
                };
                self.end_notice(report.notice, state, "");
            }
            NoticeOutcome::Failing => {
                let notice = notice.clone();
                self.save_thing("notice_wanted", thing_key(notice.id), &notice);
            }
            NoticeOutcome::Dead => {
                notice.state = NoticeState::Dead;
                let notice = notice.clone();
                self.save_thing("notice_wanted", thing_key(notice.id), &notice);
                self.count_notice(&notice, false);
                if let Some(incident) = notice.incident {
                    let text = format!(
                        "{} ({}, for {}) could not be sent: {}. See `alertbridge outbox show`.",
                        notice.id,
                        notice.kind.word(),
                        notice.audience.word(),
                        notice.reason
                    );
                    self.tell_timeline(incident, Reason::NoticeFailed, text);
                    if notice.kind == NoticeKind::Page {
                        self.call_next_level(incident);
                    }
                }
            }
            NoticeOutcome::Acknowledged { .. } => {}
        }
    }

    /// A line in an incident's timeline; one that left memory has no further lines.
    fn tell_timeline(&mut self, incident: IncidentId, reason: Reason, text: String) {
        let incident = self.state.survivor(incident);
        if self.state.incidents.contains_key(&incident) {
            self.decide(incident, reason, text);
        }
    }

    fn count_notice(&mut self, notice: &WantedNotice, sent: bool) {
        let channel = self.decisions.notices.channel(notice.way, &notice.to);
        self.out.figures.push(Figure::Notified {
            channel: channel.to_owned(),
            audience: notice.audience,
            sent,
        });
    }

    /// A notice is over: it is kept in the list of what was told.
    pub(super) fn end_notice(&mut self, id: NoticeId, state: NoticeState, why: &str) {
        let now = self.state.now;
        let Some(mut notice) = self.state.telling.notices.remove(&id) else {
            return;
        };
        self.state.telling.keys.remove(&notice.key);
        notice.state = state;
        notice.changed_at = now;
        if !why.is_empty() {
            why.clone_into(&mut notice.reason);
        }
        self.drop_thing("notice_wanted", thing_key(id));
        self.save_thing("notice", thing_key(id), &notice);
        let sent = matches!(state, NoticeState::Sent | NoticeState::SentMaybeTwice);
        if !sent {
            return;
        }
        self.count_notice(&notice, true);
        if let Some(incident) = notice.incident {
            let twice = if state == NoticeState::SentMaybeTwice {
                ", perhaps twice"
            } else {
                ""
            };
            let text = format!(
                "{id}: {} told to {}{twice}.",
                notice.kind.word(),
                match notice.facts.contract.as_str() {
                    "" => notice.audience.word().to_owned(),
                    contract => format!("{} of {contract}", notice.audience.word()),
                }
            );
            self.tell_timeline(incident, Reason::Notified, text);
        }
    }

    /// Waiting notices that say nothing any more.
    pub(super) fn drop_notices(&mut self, why: &str, moot: impl Fn(&WantedNotice) -> bool) {
        let ids: Vec<NoticeId> = self
            .state
            .telling
            .notices
            .values()
            .filter(|notice| notice.state == NoticeState::Waiting && moot(notice))
            .map(|notice| notice.id)
            .collect();
        for id in ids {
            self.end_notice(id, NoticeState::Dropped, why);
        }
    }

    pub(super) fn retry_notice(&mut self, id: NoticeId) -> Result<String, String> {
        let notice = self
            .state
            .telling
            .notices
            .get_mut(&id)
            .ok_or_else(|| format!("{id} does not wait"))?;
        notice.state = NoticeState::Waiting;
        notice.send_at = self.state.now;
        notice.waits_for = None;
        notice.reason.clear();
        let notice = notice.clone();
        self.save_thing("notice_wanted", thing_key(id), &notice);
        self.out.work.push(BELL.to_owned());
        Ok(format!("{id} is tried again"))
    }

    pub(super) fn drop_notice(
        &mut self,
        id: NoticeId,
        author: &str,
        text: &str,
    ) -> Result<String, String> {
        if !self.state.telling.notices.contains_key(&id) {
            return Err(format!("{id} does not wait"));
        }
        let why = format!("given up by {author}: {text}");
        self.end_notice(id, NoticeState::Dropped, &why);
        Ok(format!("{id} given up"))
    }

    /// An audience resolves to nobody: that is told to whoever is on call, once for each stage.
    pub(super) fn tell_unaddressed(
        &mut self,
        incident: Option<IncidentId>,
        thread: &str,
        nobody: &[String],
    ) {
        let plan = self.decisions.notices.clone();
        if nobody.is_empty() || !plan.is_on() {
            return;
        }
        let what = nobody.join("; ");
        if let Some(incident) = incident {
            self.decide(incident, Reason::Unaddressed, format!("Nobody: {what}."));
        }
        let called = plan
            .on_call
            .first()
            .is_some_and(|contact| self.call_once(contact, incident, thread, &what));
        if !called {
            self.open_unaddressed(&what);
        }
    }

    /// One call that is not repeated; whether there is anybody to be called.
    fn call_once(
        &mut self,
        contact: &str,
        incident: Option<IncidentId>,
        thread: &str,
        what: &str,
    ) -> bool {
        let plan = self.decisions.notices.clone();
        let facts = NoticeFacts {
            reference: thread.to_owned(),
            reason: what.to_owned(),
            at: self.state.now,
            ..NoticeFacts::default()
        };
        let readers = plan.staff(contact);
        let tell = Tell {
            kind: NoticeKind::Unaddressed,
            incident,
            thread: thread.to_owned(),
            stage: what.to_owned(),
            facts,
            readers: &readers,
            send_at: None,
        };
        match plan.contacts.get(contact) {
            Some(found) if !found.pager.is_empty() => {
                let reader = Reader::staff(&found.pager, found);
                self.want_notice(&tell, &reader, Way::Pager);
                true
            }
            _ => {
                self.tell(&tell);
                plan.mail && !readers.is_empty()
            }
        }
    }

    /// The last resort: a ticket.
    fn open_unaddressed(&mut self, what: &str) {
        let group = super::correlate::group_hash(&["unaddressed", what]);
        if self.state.by_group.contains_key(&group) {
            return;
        }
        let source = self.state.intern(OWN_SOURCE);
        let text = format!("{what}, and nobody is on call. Set `notices.on_call`.");
        self.open_own_of(
            "Nobody can be told",
            &text,
            Reason::SelfMonitoring,
            (source, Some(group)),
        );
    }

    /// Whether customers are told of incidents of this severity.
    pub(super) fn customers_hear_of(&self, severity: Option<Severity>) -> bool {
        let from = self.decisions.notices.customers_from;
        severity.is_some_and(|severity| severity <= from && severity != Severity::S5)
    }

    /// Loads one row.
    pub(super) fn restore_notice(&mut self, notice: WantedNotice) {
        let telling = &mut self.state.telling;
        telling.keys.insert(notice.key.clone(), notice.id);
        telling.notices.insert(notice.id, notice);
    }
}

fn joined_by(tell: &Tell, reader: &Reader) -> String {
    let at = tell.send_at.map_or(0, |(at, _)| at.0);
    format!(
        "{}|{}|{at}|{}",
        tell.thread,
        tell.kind.word(),
        reader.address
    )
}

/// Rows of notices in order of their numbers.
pub(super) fn thing_key(id: NoticeId) -> String {
    format!("{:012}", id.0)
}
