//! `[notices]`, `[pager]`, `[contact]`, `[partner]`: who is told, and how it gets out.

use super::read::Problem;
use super::sections::ConfigFile;
use crate::notices::Ways;
use crate::notices::mail::{Mailer, is_address};
use crate::notices::pager::Pager;
use crate::notices::plan::Plan;
use crate::notices::plan::section::PlanText;
use crate::notices::words::{FILES, LOCALES, Templates};
use crate::sla::Sla;
use jiff::tz::TimeZoneDatabase;
use std::collections::BTreeMap;
use std::path::Path;

/// Longest template, bytes.
const TEMPLATE_BYTES_MAX: u64 = 256 * 1024;

/// What was put together, and what is worth a warning.
pub(super) struct Told {
    /// Who is told what.
    pub plan: Plan,
    /// How it gets out.
    pub ways: Ways,
    /// Warnings: audiences that resolve to nobody.
    pub warnings: Vec<Problem>,
}

/// Puts everything together.
pub(super) fn build(
    file: &ConfigFile,
    folder: &Path,
    sla: &Sla,
    texts: &mut Vec<(String, String)>,
    problems: &mut Vec<Problem>,
) -> Told {
    let mut ways = Ways::default();
    if let Some(mail) = &file.notices.mail {
        match Mailer::new(mail) {
            Ok(mailer) => ways.mail = Some(mailer),
            Err(what) => problems.push(Problem::of("notices.mail", what)),
        }
    }
    for (name, section) in &file.pager {
        match Pager::new(section) {
            Ok(pager) => {
                ways.pagers.insert(name.clone(), pager);
            }
            Err(what) => problems.push(Problem::of(format!("pager.{name}"), what)),
        }
    }
    ways.templates = templates(file, folder, &ways, texts, problems);
    let text = PlanText {
        plan: file.notices.plan(),
        contacts: file.contact.clone(),
        partners: file.partner.clone(),
        pagers: file
            .pager
            .iter()
            .map(|(name, section)| (name.clone(), section.word().to_owned()))
            .collect(),
        mail: file.notices.mail.is_some(),
    };
    let (plan, found) = text.compile(sla, &TimeZoneDatabase::bundled(), &is_address);
    let mut warnings = Vec::new();
    for problem in found {
        let warning = problem.warning;
        let problem = Problem::of(problem.key, problem.what);
        if warning {
            warnings.push(problem);
        } else {
            problems.push(problem);
        }
    }
    Told {
        plan,
        ways,
        warnings,
    }
}

/// The shipped templates, and the operator's own in place of some.
fn templates(
    file: &ConfigFile,
    folder: &Path,
    ways: &Ways,
    texts: &mut Vec<(String, String)>,
    problems: &mut Vec<Problem>,
) -> Option<Templates> {
    let mut own = BTreeMap::new();
    if let Some(place) = &file.notices.templates {
        let place = folder.join(place);
        for (locale, name) in LOCALES.iter().flat_map(|l| FILES.map(|name| (*l, name))) {
            let path = place.join(locale).join(name);
            if !path.exists() {
                continue;
            }
            let shown = path.display().to_string();
            match super::files::bounded_text(&path, TEMPLATE_BYTES_MAX) {
                Ok(text) => {
                    texts.push((shown, text.clone()));
                    own.insert(format!("{locale}/{name}"), text);
                }
                Err(what) => problems.push(Problem {
                    file: shown,
                    ..Problem::of("", what)
                }),
            }
        }
        if own.is_empty() {
            let what = format!(
                "{} holds no template; expected like en/incident.txt",
                place.display()
            );
            problems.push(Problem::of("notices.templates", what));
        }
    }
    let sender = match &ways.mail {
        _ if !file.notices.sender_name.is_empty() => file.notices.sender_name.clone(),
        Some(mail) => mail.sender(),
        None => String::new(),
    };
    match Templates::new(own, &sender) {
        Ok(templates) => Some(templates),
        Err(found) => {
            problems.extend(found.into_iter().map(|(name, what)| Problem {
                file: name,
                ..Problem::of("notices.templates", what)
            }));
            None
        }
    }
}
