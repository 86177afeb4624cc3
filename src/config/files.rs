//! Files that the configuration names: mail templates, service levels, inventories. Each problem is
//! told with its file.

use super::inventory::read_inventory;
use super::inventory_digest;
use super::read::{self, Problem};
use super::sections::ConfigFile;
use crate::formats::mail::{self, Own, Templates};
use crate::formats::{Decoded, Undecodable};
use crate::intake::senders::{MailTrust, SenderCheck, Senders};
use crate::intake::verify::DnsCheck;
use crate::inventory::{Inventory, InventoryFile};
use crate::limits::{HOLIDAY_FILE_BYTES_MAX, HOLIDAY_YEARS};
use crate::model::Time;
use crate::sla::{Sla, SlaSections};
use crate::store::sealing::Keyring;
use jiff::tz::TimeZoneDatabase;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Most rows of inventory files that are told one by one to be left out.
const WARNINGS_MAX: usize = 20;

/// How mails are read: templates, operators' own ones first.
#[derive(Default)]
pub struct MailReading {
    /// Operators' own templates and then the shipped ones; `None`: only the shipped ones.
    pub templates: Option<Templates>,
    /// How our own mails are told from others.
    pub own: Own,
}

impl MailReading {
    /// What a mail says, and the format that read it.
    pub fn decode(&self, raw: &[u8], received_at: Time) -> (String, Result<Decoded, Undecodable>) {
        let templates = self.templates.as_ref();
        let templates = templates.unwrap_or_else(|| Templates::shipped());
        mail::decode_with(raw, received_at, templates, &self.own)
    }
}

/// Mail templates of the operator, before the shipped ones.
pub(super) fn mail_reading(
    file: &ConfigFile,
    folder: &Path,
    texts: &mut Vec<(String, String)>,
    problems: &mut Vec<Problem>,
) -> MailReading {
    let mut own: Option<Templates> = None;
    for name in &file.mail_templates {
        let path = folder.join(name);
        let shown = path.display().to_string();
        let read = std::fs::read_to_string(&path)
            .map_err(|error| format!("cannot be read: {error}"))
            .and_then(|text| {
                let templates = Templates::parse(&shown, &text).map_err(|error| error.reason)?;
                texts.push((shown.clone(), text));
                Ok(templates)
            });
        match read {
            Ok(templates) => {
                own = Some(match own {
                    Some(before) => before.then(&templates),
                    None => templates,
                });
            }
            Err(what) => problems.push(Problem {
                file: shown,
                ..Problem::of("", what)
            }),
        }
    }
    MailReading {
        templates: own.map(|own| own.then(Templates::shipped())),
        own: own_mails(file),
    }
}

/// How our own mails are told from others.
fn own_mails(file: &ConfigFile) -> Own {
    let section = &file.mail;
    let lower = |words: &[String]| -> Vec<String> {
        words.iter().map(|word| word.to_lowercase()).collect()
    };
    let mut domains = lower(&section.own_domains);
    if let Some(mail) = file.notices.mail.as_ref().filter(|_| !domains.is_empty()) {
        // Answers to notices are answers to us.
        domains.extend(mail.id_domain().map(str::to_lowercase));
    }
    Own {
        domains,
        addresses: lower(&section.own_addresses),
        lists: section.lists.clone(),
    }
}

/// Who may speak by mail: addresses of this file, and contacts of accounts.
pub(super) fn mail_trust(
    file: &ConfigFile,
    inventory: &Inventory,
    keyring: &Keyring,
    problems: &mut Vec<Problem>,
) -> MailTrust {
    let section = &file.mail;
    let senders = Senders::new(section, inventory.mail_contacts()).unwrap_or_else(|found| {
        problems.extend(found.into_iter().map(|what| Problem::of("mail", what)));
        Senders::default()
    });
    let hostname = file.smtp.hostname.as_deref().unwrap_or("alertbridge");
    let check = section
        .verify
        .then(|| DnsCheck::new(&section.resolvers, hostname));
    let check = match check.transpose() {
        Ok(check) => check.map(|check| Arc::new(check) as Arc<dyn SenderCheck>),
        Err(what) => {
            problems.push(Problem::of("mail.verify", what));
            None
        }
    };
    MailTrust {
        senders,
        check,
        own: own_mails(file),
        can_seal: keyring.can_seal(),
    }
}

/// What is wrong with mailboxes beside their keys.
pub(super) fn mailboxes(file: &ConfigFile, problems: &mut Vec<Problem>) {
    let mut names = BTreeSet::new();
    for mailbox in &file.mailbox {
        let key = format!("mailbox `{}`", mailbox.name());
        if !names.insert(mailbox.name()) {
            let what = "two mailboxes have the name; give each its own";
            problems.push(Problem::of(key.clone(), what));
        }
        problems.extend(mailbox.problem().map(|what| Problem::of(key.clone(), what)));
        let source = mailbox.source();
        let mut mails = file.source.iter().filter(|source| source.kind == "mail");
        if source != "mail" && !mails.any(|configured| configured.name == source) {
            let what = format!("source: there is no [[source]] `{source}` of kind `mail`");
            problems.push(Problem::of(key, what));
        }
    }
}

/// Calendars, policies and contracts, of this file and of those it names.
pub(super) fn sla(
    file: &ConfigFile,
    folder: &Path,
    texts: &mut Vec<(String, String)>,
    problems: &mut Vec<Problem>,
) -> Sla {
    let mut sections = SlaSections {
        calendar: file.calendar.clone(),
        policy: file.policy.clone(),
        contract: file.contract.clone(),
        default_contract: file.default_contract.clone(),
    };
    for name in &file.sla {
        let path = folder.join(name);
        let shown = path.display().to_string();
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let (content, found) = read::file::<SlaSections>(&shown, &text, folder);
                let table = content.table;
                let good = found.is_empty();
                problems.extend(found);
                if let Some(more) = SlaSections::deserialize(table).ok().filter(|_| good) {
                    sections.calendar.extend(more.calendar);
                    sections.policy.extend(more.policy);
                    sections.contract.extend(more.contract);
                    sections.default_contract = sections.default_contract.or(more.default_contract);
                }
                texts.push((shown, text));
            }
            Err(error) => problems.push(Problem {
                file: shown,
                ..Problem::of("", format!("cannot be read: {error}"))
            }),
        }
    }
    let lost = sections.take_holidays(&HOLIDAY_YEARS, |name| {
        let path = folder.join(name);
        let text = bounded_text(&path, HOLIDAY_FILE_BYTES_MAX)?;
        texts.push((path.display().to_string(), text.clone()));
        Ok(text)
    });
    problems.extend(
        lost.into_iter()
            .map(|found| Problem::of(found.key, found.what)),
    );
    match sections.compile(&TimeZoneDatabase::bundled()) {
        Ok((sla, warnings)) => {
            for warning in warnings {
                tracing::warn!(key = warning.key, what = warning.what, "sla_looks_wrong");
            }
            sla
        }
        Err(found) => {
            let wrong = found.into_iter().filter(|problem| !problem.warning);
            problems.extend(wrong.map(|problem| {
                let mut problem = Problem::of(problem.key, problem.what);
                read::locate(&mut problem, texts);
                problem
            }));
            Sla::default()
        }
    }
}

/// A text file, if it is not larger than that.
pub(super) fn bounded_text(path: &Path, bytes_max: u64) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut text = String::new();
    let read = file
        .take(bytes_max + 1)
        .read_to_string(&mut text)
        .map_err(cannot)?;
    if u64::try_from(read).is_ok_and(|read| read > bytes_max) {
        return Err(format!("is larger than {bytes_max} bytes"));
    }
    Ok(text)
}

/// The inventory out of its files.
#[derive(Default)]
pub(super) struct InventoryRead {
    /// As graph.
    pub(super) built: Inventory,
    /// As entries, if what is pulled is to be added.
    pub(super) parts: InventoryFile,
    /// Tells these entries from others.
    pub(super) digest: String,
    /// The files, and when they were written.
    pub(super) files: Vec<(String, Time)>,
    /// What was left out.
    pub(super) warnings: Vec<Problem>,
}

/// The inventory out of its files.
pub(super) fn inventory(
    file: &ConfigFile,
    folder: &Path,
    texts: &mut Vec<(String, String)>,
    problems: &mut Vec<Problem>,
) -> InventoryRead {
    let found = read_inventory(&file.inventory, folder);
    texts.extend(found.texts);
    if !found.wrong.is_empty() {
        problems.extend(found.wrong);
        return InventoryRead::default();
    }
    let pulled = !file.netbox.is_empty();
    let digest = inventory_digest(&found.entries);
    let parts = match pulled {
        true => found.entries.clone(),
        false => InventoryFile::default(),
    };
    let built = Inventory::build(found.entries).unwrap_or_else(|found| {
        // What a file names may be in what is pulled: it is told once both are together.
        let found = found.iter().filter(|_| !pulled);
        problems.extend(found.map(|problem| Problem::of("inventory", problem.to_string())));
        Inventory::default()
    });
    InventoryRead {
        built,
        parts,
        digest,
        files: found.written,
        warnings: few(found.left_out),
    }
}

/// The first of many warnings, and how many more there are.
fn few(mut warnings: Vec<Problem>) -> Vec<Problem> {
    let more = warnings.len().saturating_sub(WARNINGS_MAX);
    warnings.truncate(WARNINGS_MAX);
    if more > 0 {
        let what =
            format!("{more} more rows were left out; `alertbridge inventory check` lists all");
        warnings.push(Problem::of("inventory", what));
    }
    warnings
}
