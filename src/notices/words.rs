//! The words of a notice, in the reader's language and zone. Pure.
//!
//! A template's first line is the subject, the rest is the text. What alerts and people wrote is a
//! value, never a template; it is cleaned of controls and stands indented, so that no line of it can
//! be taken for one of ours.

use crate::model::incident::Effect;
use crate::model::outgoing::{Audience, NoticeKind, WantedNotice};
use crate::model::text::{bounded, one_line};
use crate::model::{NoticeId, Time};
use crate::sla::glossary::{Locale, label};
use crate::text_templates;
use jiff::tz::TimeZoneDatabase;
use minijinja::context;
use std::collections::BTreeMap;

/// Longest subject, bytes.
const SUBJECT_BYTES_MAX: usize = 200;
/// Longest text, bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024;
/// What stands before each line that people or alerts wrote.
const INDENT: &str = "    ";

/// The languages of notices.
pub const LOCALES: [&str; 3] = ["en", "ja", "fr"];
/// The templates of one language.
pub const FILES: [&str; 6] = [
    "incident.txt",
    "maintenance.txt",
    "received.txt",
    "report.txt",
    "security.txt",
    "staff.txt",
];

macro_rules! shipped {
    ($($locale:literal),+) => {
        [$(
            (concat!($locale, "/incident.txt"), include_str!(concat!("../../config/templates/notices/", $locale, "/incident.txt"))),
            (concat!($locale, "/maintenance.txt"), include_str!(concat!("../../config/templates/notices/", $locale, "/maintenance.txt"))),
            (concat!($locale, "/received.txt"), include_str!(concat!("../../config/templates/notices/", $locale, "/received.txt"))),
            (concat!($locale, "/report.txt"), include_str!(concat!("../../config/templates/notices/", $locale, "/report.txt"))),
            (concat!($locale, "/security.txt"), include_str!(concat!("../../config/templates/notices/", $locale, "/security.txt"))),
            (concat!($locale, "/staff.txt"), include_str!(concat!("../../config/templates/notices/", $locale, "/staff.txt"))),
        )+]
    };
}

const SHIPPED: [(&str, &str); 18] = shipped!("en", "ja", "fr");

/// A notice in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Worded {
    /// One line.
    pub subject: String,
    /// The text.
    pub body: String,
    /// Files that go with it.
    pub files: Vec<Enclosed>,
}

/// A file that goes with a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enclosed {
    /// Its name; the end says what it is.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Templates of all languages.
#[derive(Clone, Debug)]
pub struct Templates {
    texts: BTreeMap<String, String>,
    sender: String,
}

impl Templates {
    /// The shipped ones, with an operator's own in place of some; `sender` signs where nobody else
    /// is named. Everything that is wrong with the own ones, each with its file.
    pub fn new(
        own: BTreeMap<String, String>,
        sender: &str,
    ) -> Result<Templates, Vec<(String, String)>> {
        let mut texts: BTreeMap<String, String> = SHIPPED
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect();
        let names: Vec<String> = own.keys().cloned().collect();
        texts.extend(own);
        let templates = Templates {
            texts,
            sender: sender.to_owned(),
        };
        let wrong: Vec<(String, String)> = names
            .into_iter()
            .filter_map(|name| templates.try_out(&name).err().map(|what| (name, what)))
            .collect();
        if wrong.is_empty() {
            Ok(templates)
        } else {
            Err(wrong)
        }
    }

    /// Every notice that a template may have to tell, with everything there is to say and with
    /// nothing.
    fn try_out(&self, name: &str) -> Result<(), String> {
        let Some((locale, file)) = name.split_once('/') else {
            return Err("expected LOCALE/FILE".to_owned());
        };
        for kind in NoticeKind::ALL {
            for audience in Audience::ALL {
                if file_of(kind, audience) != file {
                    continue;
                }
                for full in [true, false] {
                    let notice = sample(kind, audience, locale, full);
                    self.word(&notice, full)?;
                }
            }
        }
        Ok(())
    }

    /// A notice in words. `again`: an earlier attempt may have reached the reader.
    pub fn word(&self, notice: &WantedNotice, again: bool) -> Result<Worded, String> {
        let facts = &notice.facts;
        let locale = Locale::from_word(&facts.locale);
        let name = format!(
            "{}/{}",
            locale.word(),
            file_of(notice.kind, notice.audience)
        );
        let template = self
            .texts
            .get(&name)
            .ok_or_else(|| format!("there is no template {name}"))?;
        let mut environment = text_templates::environment();
        environment.add_filter("t", move |key: String| label(locale, &key).to_owned());
        let when = |at: Option<Time>| at.map(|at| shown(at, &facts.tz)).unwrap_or_default();
        let lines = |all: &[String]| all.iter().map(|one| one_line(one)).collect::<Vec<_>>();
        let values = context! {
            kind => notice.kind.word(),
            audience => notice.audience.word(),
            reference => one_line(&facts.reference),
            contract => one_line(&facts.contract),
            accounts => lines(&facts.accounts),
            title => one_line(&facts.title),
            severity => facts.severity,
            effect => facts.effect.map_or("", |effect| effect_label(locale, effect)),
            services => lines(&facts.services),
            text => indented(&facts.text),
            at => when(Some(facts.at)),
            since => when(facts.since),
            until => when(facts.until),
            target => label(locale, &facts.target),
            level => facts.level,
            reason => one_line(&facts.reason),
            reason_label => label(locale, &facts.reason),
            continued_as => if facts.reason.starts_with("INC-") { facts.reason.as_str() } else { "" },
            short_notice => facts.short_notice,
            sender => if facts.sender_name.is_empty() { &self.sender } else { &facts.sender_name },
            support => one_line(&facts.support),
            again => again,
        };
        let rendered = environment
            .render_named_str(&name, template, values)
            .map_err(|error| one_line(&format!("{error:#}")))?;
        let (subject, body) = rendered.split_once('\n').unwrap_or((&rendered, ""));
        let body = folded(body);
        Ok(Worded {
            subject: bounded(&one_line(subject), SUBJECT_BYTES_MAX),
            body: bounded(&body, TEXT_BYTES_MAX),
            files: Vec::new(),
        })
    }
}

fn file_of(kind: NoticeKind, audience: Audience) -> &'static str {
    match (audience, kind) {
        (_, NoticeKind::Received) => "received.txt",
        (Audience::Staff, _) => "staff.txt",
        (_, NoticeKind::Security) => "security.txt",
        (_, NoticeKind::Report) => "report.txt",
        (
            _,
            NoticeKind::MaintenancePlanned
            | NoticeKind::MaintenanceChanged
            | NoticeKind::MaintenanceCancelled
            | NoticeKind::MaintenanceStarted
            | NoticeKind::MaintenanceEnded
            | NoticeKind::MaintenanceOverrun,
        ) => "maintenance.txt",
        _ => "incident.txt",
    }
}

fn effect_label(locale: Locale, effect: Effect) -> &'static str {
    match effect {
        Effect::Down => label(locale, "service_loss"),
        Effect::Degraded => label(locale, "degraded"),
        Effect::AtRisk => label(locale, "redundancy_lost"),
        Effect::Unknown => "",
    }
}

/// `2026-06-02 10:00 +10:00 (Australia/Brisbane)`.
fn shown(at: Time, tz: &str) -> String {
    let zone = TimeZoneDatabase::bundled().get(tz);
    let (zone, name) = match zone {
        Ok(zone) => (zone, tz),
        Err(_) => (jiff::tz::TimeZone::UTC, "UTC"),
    };
    let offset = zone.to_offset(at.timestamp());
    let text = at.timestamp().display_with_offset(offset).to_string();
    // `2026-06-02T10:00:00+10:00`: people read minutes.
    let date = text.get(..10).unwrap_or("");
    let time = text.get(11..16).unwrap_or("");
    let offset = text.get(text.len().saturating_sub(6)..).unwrap_or("");
    format!("{date} {time} {offset} ({name})")
}

/// What people wrote, each line behind a blank margin.
fn indented(text: &str) -> String {
    let plain: String = text
        .chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect();
    let lines: Vec<String> = plain
        .trim()
        .lines()
        .map(|line| match line.trim_end() {
            "" => String::new(),
            line => format!("{INDENT}{line}"),
        })
        .collect();
    lines.join("\n")
}

/// Without blank lines at its ends, and never two in a row.
fn folded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut blank = true;
    for line in text.lines() {
        let line = if line == "--" { "-- " } else { line.trim_end() };
        if line.is_empty() {
            if !blank {
                out.push('\n');
            }
            blank = true;
            continue;
        }
        out.push_str(line);
        out.push('\n');
        blank = false;
    }
    out.truncate(out.trim_end_matches('\n').len());
    out.push('\n');
    out
}

/// A notice to try templates with.
pub fn sample(kind: NoticeKind, audience: Audience, locale: &str, full: bool) -> WantedNotice {
    use crate::model::outgoing::{NoticeFacts, NoticeState, Way};
    let at = Time::from_seconds(1_780_387_200);
    let filled = NoticeFacts {
        accounts: if audience == Audience::Partner {
            vec!["acme".to_owned()]
        } else {
            Vec::new()
        },
        contract: "acme".to_owned(),
        title: "core-1 is down".to_owned(),
        severity: Some(1),
        effect: Some(Effect::Down),
        services: vec!["transit".to_owned(), "vpn".to_owned()],
        text: "The second power supply failed.\nA technician is on the way.".to_owned(),
        since: Some(at),
        until: Some(at.plus(std::time::Duration::from_secs(5400))),
        target: "restore".to_owned(),
        level: 2,
        reason: "slow".to_owned(),
        sender_name: "Example NOC".to_owned(),
        support: "noc@example.net".to_owned(),
        short_notice: true,
        ..NoticeFacts::default()
    };
    let empty = NoticeFacts {
        since: kind.word().starts_with("maintenance").then_some(at),
        until: Some(at),
        ..NoticeFacts::default()
    };
    WantedNotice {
        id: NoticeId(1),
        key: String::new(),
        thread: String::new(),
        kind,
        audience,
        way: Way::Mail,
        to: String::new(),
        incident: None,
        facts: NoticeFacts {
            locale: locale.to_owned(),
            tz: match locale {
                "ja" => "Asia/Tokyo",
                "fr" => "Europe/Paris",
                _ => "Australia/Brisbane",
            }
            .to_owned(),
            reference: match kind {
                NoticeKind::Security => "SEC-1",
                NoticeKind::Report => "2026-06",
                _ if kind.word().starts_with("maintenance") => "MW-3",
                _ => "INC-12",
            }
            .to_owned(),
            at,
            ..if full { filled } else { empty }
        },
        wanted_at: at,
        send_at: at,
        waits_for: None,
        state: NoticeState::Waiting,
        attempts: 0,
        reason: String::new(),
        changed_at: at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Templates {
        Templates::new(BTreeMap::new(), "Example").unwrap()
    }

    #[test]
    fn every_shipped_template_has_words_for_everything() {
        let templates = shipped();
        for locale in LOCALES {
            for file in FILES {
                templates.try_out(&format!("{locale}/{file}")).unwrap();
            }
        }
    }

    #[test]
    fn what_people_wrote_is_no_template_no_header_and_no_line_of_ours() {
        let mut notice = sample(NoticeKind::Updated, Audience::Customer, "en", true);
        notice.facts.text = "{{ 7 * 6 }}\nSeverity: 5\r\nBcc: x@example.net\u{0}".to_owned();
        notice.facts.reference = "INC-1\r\nBcc: x@example.net".to_owned();
        let worded = shipped().word(&notice, false).unwrap();
        assert!(!worded.subject.contains('\n'), "{worded:?}");
        assert!(
            worded
                .body
                .contains("    {{ 7 * 6 }}\n    Severity: 5\n    Bcc:")
        );
        assert!(!worded.body.contains("\nSeverity: 5"));
        assert!(!worded.body.contains('\u{0}'));
    }

    #[test]
    fn an_own_template_is_tried_before_it_is_needed() {
        let own = |text: &str| BTreeMap::from([("en/staff.txt".to_owned(), text.to_owned())]);
        let wrong = Templates::new(own("{{ nothing_of_that_name }}"), "x").unwrap_err();
        assert_eq!(wrong[0].0, "en/staff.txt");
        assert!(wrong[0].1.contains("undefined"), "{wrong:?}");
        let endless =
            "{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}";
        assert!(Templates::new(own(endless), "x").is_err());
        let good = Templates::new(own("{{ reference }}: {{ kind }}\n{{ title }}"), "x").unwrap();
        let notice = sample(NoticeKind::Breach, Audience::Staff, "en", true);
        let worded = good.word(&notice, false).unwrap();
        assert_eq!(worded.subject, "INC-12: breach");
        assert_eq!(worded.body, "core-1 is down\n");
    }
}
