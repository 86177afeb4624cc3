//! Who is told what, when, and in which language. Pure: contracts, contacts and instants come in.
//!
//! | file | holds |
//! | --- | --- |
//! | `section` | `[notices]`, `[contact]`, `[partner]` as written |
//! | `compile` | puts them together; says which audiences resolve to nobody |

mod compile;
pub mod section;

pub use compile::PlanProblem;

use crate::model::outgoing::{Audience, NoticeKind, WaitsFor, Way};
use crate::model::{Severity, Time};
use crate::sla::Calendar;
use crate::sla::policy::{Contacts, Contract, Sla};
use section::PartnerSection;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What customers are told about; each has contacts of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Matter {
    /// Incidents: opened, updates, restored.
    Incidents,
    /// Planned work.
    Maintenance,
    /// Security messages.
    Security,
    /// Levels of escalation from the second on.
    Escalation,
    /// The monthly report.
    Report,
}

impl Matter {
    /// Every matter.
    pub const ALL: [Matter; 5] = [
        Matter::Incidents,
        Matter::Maintenance,
        Matter::Security,
        Matter::Escalation,
        Matter::Report,
    ];

    /// The key in `contacts`.
    pub const fn word(self) -> &'static str {
        match self {
            Matter::Incidents => "incidents",
            Matter::Maintenance => "maintenance",
            Matter::Security => "security",
            Matter::Escalation => "escalation",
            Matter::Report => "report",
        }
    }

    /// The addresses of a contract; those for incidents where it names no others.
    pub fn of(self, contacts: &Contacts) -> &[String] {
        let own = match self {
            Matter::Incidents => &contacts.incidents,
            Matter::Maintenance => &contacts.maintenance,
            Matter::Security => &contacts.security,
            Matter::Escalation => &contacts.escalation,
            Matter::Report => &contacts.report,
        };
        if own.is_empty() {
            &contacts.incidents
        } else {
            own
        }
    }
}

/// One who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The mail address.
    pub address: String,
    /// The contract by which it reads: what it may see follows from it; empty for our own people,
    /// who may see all.
    pub contract: String,
    /// What kind of reader it is.
    pub audience: Audience,
    /// `en`, `ja` or `fr`.
    pub locale: String,
    /// IANA zone.
    pub tz: String,
    /// The name that signs; empty: the configured sender.
    pub sender_name: String,
    /// Where the reader gets help.
    pub support: String,
    /// What staff wrote may be told: not to users of managed accounts, who get no prices, no
    /// billing and no chat links but the facts.
    pub words: bool,
}

impl Reader {
    /// One of our own people, behind a contact.
    pub fn staff(address: &str, contact: &Contact) -> Reader {
        Reader {
            address: address.to_owned(),
            contract: String::new(),
            audience: Audience::Staff,
            locale: contact.locale.clone(),
            tz: contact.tz.clone(),
            sender_name: String::new(),
            support: String::new(),
            words: true,
        }
    }
}

/// Who is told, and which audience should be and has no address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readers {
    /// In order, nobody twice.
    pub readers: Vec<Reader>,
    /// Audiences that resolve to nobody, for people.
    pub nobody: Vec<String>,
}

/// One of our own contacts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contact {
    /// Addresses.
    pub mail: Vec<String>,
    /// The pager; empty: none.
    pub pager: String,
    /// `en`, `ja` or `fr`.
    pub locale: String,
    /// IANA zone.
    pub tz: String,
}

/// Who is told what.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Letters can leave.
    pub mail: bool,
    /// Our own people.
    pub contacts: BTreeMap<String, Contact>,
    /// What partners want.
    pub partners: BTreeMap<String, PartnerSection>,
    /// Who is called, level by level.
    pub on_call: Vec<String>,
    /// Our working hours; none: always.
    pub working_hours: Option<Arc<Calendar>>,
    /// When soft notices go out; none: always.
    pub warn_in: Option<Arc<Calendar>>,
    /// How often a call is repeated.
    pub page_every: Duration,
    /// After how long the next level is called.
    pub next_level_after: Duration,
    /// The name that signs.
    pub sender_name: String,
    /// Where customers get help.
    pub support: String,
    /// The least severity of which customers are told.
    pub customers_from: Severity,
    /// Whether people who write to us are told the number that it has.
    pub receipts: bool,
    /// Pagers, and of which kind each is.
    pub pagers: BTreeMap<String, String>,
}

impl Default for Plan {
    fn default() -> Plan {
        let section = section::PlanSection::default();
        Plan {
            mail: false,
            contacts: BTreeMap::new(),
            partners: BTreeMap::new(),
            on_call: Vec::new(),
            working_hours: None,
            warn_in: None,
            page_every: section.page_every,
            next_level_after: section.next_level_after,
            sender_name: String::new(),
            support: String::new(),
            customers_from: section.customers_from,
            receipts: section.receipts,
            pagers: BTreeMap::new(),
        }
    }
}

impl Plan {
    /// Whether anything is told at all.
    pub fn is_on(&self) -> bool {
        self.mail || !self.pagers.is_empty()
    }

    /// What the metrics call the way to a reader.
    pub fn channel(&self, way: Way, to: &str) -> &str {
        match way {
            Way::Mail => "mail",
            Way::Pager => self.pagers.get(to).map_or("pager", String::as_str),
        }
    }

    /// The contract of a managed account's partner.
    pub fn partner_of<'a>(&self, sla: &'a Sla, contract: &Contract) -> Option<&'a Arc<Contract>> {
        sla.contracts
            .values()
            .find(|other| other.account == "partner" && other.accounts.contains(&contract.partner))
    }

    /// Who outside is told of a matter of a contract. `impacted` says whether an account is hit,
    /// for security messages.
    pub fn readers(
        &self,
        sla: &Sla,
        contract: &Contract,
        matter: Matter,
        impacted: impl Fn(&str) -> bool,
    ) -> Readers {
        let mut told = Readers::default();
        if contract.account != "managed" {
            let audience = match matter {
                Matter::Security => Audience::Security,
                _ => Audience::Customer,
            };
            self.add(&mut told, contract, matter, audience, true);
            return told;
        }
        let settings = self.partners.get(&contract.partner);
        let users = match matter {
            Matter::Incidents => settings.is_some_and(|p| p.managed_users_get_incidents),
            // Nobody but those who are hit can act on it: they are told directly.
            Matter::Security => true,
            Matter::Maintenance | Matter::Escalation | Matter::Report => false,
        };
        let partner = self.partner_of(sla, contract);
        let partner_too = match matter {
            Matter::Security => {
                partner.is_some_and(|p| p.accounts.iter().any(|account| impacted(account)))
            }
            _ => true,
        };
        match partner {
            Some(partner) if partner_too => {
                let audience = match matter {
                    Matter::Security => Audience::Security,
                    _ => Audience::Partner,
                };
                self.add(&mut told, partner, matter, audience, true);
            }
            Some(_) => {}
            None => told.nobody.push(format!(
                "{} has the partner `{}`, which has no contract",
                contract.name, contract.partner
            )),
        }
        if users {
            let audience = match matter {
                Matter::Security => Audience::Security,
                _ => Audience::Customer,
            };
            self.add(&mut told, contract, matter, audience, false);
        }
        told
    }

    fn add(
        &self,
        told: &mut Readers,
        contract: &Contract,
        matter: Matter,
        audience: Audience,
        words: bool,
    ) {
        let addresses = matter.of(&contract.contacts);
        if addresses.is_empty() {
            told.nobody.push(format!(
                "contract {} has no contacts for {}",
                contract.name,
                matter.word()
            ));
        }
        for address in addresses {
            let known = |reader: &Reader| reader.address.eq_ignore_ascii_case(address);
            if told.readers.iter().any(known) {
                continue;
            }
            told.readers.push(Reader {
                audience,
                words: words || matter == Matter::Security,
                ..self.reader_of(address, contract)
            });
        }
    }

    /// Somebody of a contract's accounts, who reads facts.
    fn reader_of(&self, address: &str, contract: &Contract) -> Reader {
        // A managed account's users know the partner's name, not ours.
        let partner = (contract.account == "managed")
            .then(|| self.partners.get(&contract.partner))
            .flatten();
        let or = |own: &str, ours: &str| if own.is_empty() { ours } else { own }.to_owned();
        let sender_name = partner.map_or("", |p| p.sender_name.as_str());
        let support = partner.map_or("", |p| p.support.as_str());
        Reader {
            address: address.to_owned(),
            contract: contract.name.clone(),
            audience: Audience::Customer,
            locale: contract.locale.clone(),
            tz: contract.tz.clone(),
            sender_name: or(sender_name, &self.sender_name),
            support: or(support, &self.support),
            words: false,
        }
    }

    /// Who wrote to us, as a reader: by the contract of the account, else by our own contact of
    /// that address, else in English.
    pub fn writer(&self, sla: &Sla, address: &str, account: Option<&str>) -> Reader {
        let contracts = account.map_or_else(Vec::new, |account| sla.contracts_of(account));
        if let Some(contract) = contracts.first() {
            return self.reader_of(address, contract);
        }
        let has = |own: &String| own.eq_ignore_ascii_case(address);
        let contact = self.contacts.values().find(|c| c.mail.iter().any(has));
        let ours = contact.map(|contact| Reader::staff(address, contact));
        ours.unwrap_or_else(|| Reader {
            address: address.to_owned(),
            contract: String::new(),
            audience: Audience::Customer,
            locale: "en".to_owned(),
            tz: "UTC".to_owned(),
            sender_name: self.sender_name.clone(),
            support: self.support.clone(),
            words: false,
        })
    }

    /// Our own people behind a contact's name.
    pub fn staff(&self, name: &str) -> Vec<Reader> {
        self.contacts.get(name).map_or_else(Vec::new, readers_of)
    }

    /// Contracts whose parties' names a reader of a contract may see: its own, and for a partner
    /// those of the accounts that it manages.
    pub fn may_see<'a>(
        &self,
        sla: &'a Sla,
        contract: &'a Arc<Contract>,
    ) -> impl Iterator<Item = &'a Arc<Contract>> {
        let partner = contract.account == "partner";
        let managed = sla.contracts.values().filter(move |other| {
            partner && other.account == "managed" && contract.accounts.contains(&other.partner)
        });
        std::iter::once(contract).chain(managed)
    }

    /// When a notice to our own people goes out, and why not at once. S1 and S2 never wait; the
    /// rest waits for working hours; warnings wait for the hours in which they may go out.
    pub fn staff_time(
        &self,
        kind: NoticeKind,
        severity: Option<Severity>,
        now: Time,
    ) -> (Time, Option<WaitsFor>) {
        if kind == NoticeKind::Warning {
            return wait(self.warn_in.as_deref(), now, WaitsFor::QuietHours);
        }
        if matches!(severity, Some(Severity::S1 | Severity::S2))
            || matches!(
                kind,
                NoticeKind::Unaddressed | NoticeKind::PromiseUnclear | NoticeKind::Page
            )
        {
            return (now, None);
        }
        wait(self.working_hours.as_deref(), now, WaitsFor::NextWorkingDay)
    }

    /// When planned work is told: so long before it as the contract says, at once if it says
    /// nothing or it is later than that; and whether it is too late.
    pub fn lead_time(
        &self,
        contract: &Contract,
        from: Time,
        now: Time,
    ) -> (Time, Option<WaitsFor>, bool) {
        let Some(lead) = contract.maintenance_lead else {
            return (now, None, false);
        };
        let at = Time::from_seconds(from.seconds().saturating_sub(lead));
        if at > now {
            (at, Some(WaitsFor::LeadTime), false)
        } else {
            // A minute of working on it is no broken promise.
            (now, None, now.since(at) > Duration::from_secs(60))
        }
    }
}

/// The people behind a contact.
pub fn readers_of(contact: &Contact) -> Vec<Reader> {
    let addresses = contact.mail.iter();
    addresses.map(|to| Reader::staff(to, contact)).collect()
}

fn wait(calendar: Option<&Calendar>, now: Time, why: WaitsFor) -> (Time, Option<WaitsFor>) {
    let Some(calendar) = calendar else {
        return (now, None);
    };
    match calendar.next_open(now.seconds()) {
        Ok(open) if open > now.seconds() => (Time::from_seconds(open), Some(why)),
        // A calendar that never opens again is no reason to keep silent.
        _ => (now, None),
    }
}

#[cfg(test)]
mod tests;
