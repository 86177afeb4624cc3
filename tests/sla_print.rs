//! The report in a real browser, as it lies on paper: nothing runs over its width, charts have a
//! size and something in them, all three languages have their letters.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use alertbridge::model::{Category, Time};
use alertbridge::sla::SlaSections;
use alertbridge::sla::log::{By, CaseDid, CaseEvent, EndedBy, VoidReason};
use alertbridge::sla::report::{
    AlertCounts, CalendarShown, CaseFacts, Correction, Month, Report, ReportFacts,
};
use jiff::tz::TimeZoneDatabase;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// A4 without its margins of 15 mm, in CSS pixels.
const PAPER_WIDTH: u32 = 680;

fn second(text: &str) -> i64 {
    Time::parse_rfc3339(text).unwrap().seconds()
}

/// Cases of a busy month: met, missed, void, raised, with long waits and many updates.
fn logs() -> Vec<Vec<CaseEvent>> {
    let begin = second("2026-06-01T06:00:00Z");
    (0..48i64)
        .map(|number| {
            let start = begin + number * 51_000;
            let event = |after: i64, what: CaseDid| CaseEvent {
                at: Time::from_seconds(start + after),
                what,
            };
            let reply = || CaseDid::Reply {
                by: By::Staff,
                public: true,
                promise: None,
            };
            let mut log = vec![
                event(
                    0,
                    CaseDid::Opened {
                        category: Category::Incident,
                        severity: Some(u8::try_from(number % 3 + 1).unwrap()),
                        reported_at: None,
                    },
                ),
                event(300 + number * 40, reply()),
                event(2500, CaseDid::WaitStart),
                event(2500 + number * 300, CaseDid::WaitEnd),
                event(2600 + number * 300, reply()),
            ];
            match number % 5 {
                0 => log.push(event(20_000, CaseDid::Severity { to: 1 })),
                1 => log.push(event(
                    20_000,
                    CaseDid::Void {
                        reason: VoidReason::FalseAlarm,
                    },
                )),
                _ => {}
            }
            log.push(event(
                24_000 + number * 900,
                CaseDid::Resolved { by: EndedBy::Staff },
            ));
            log
        })
        .collect()
}

fn page(locale: &str) -> (Report, String) {
    let policy = include_str!("../config/policies/three-level.toml");
    let text = format!(
        "{policy}\n[contract.acme-international-networks]\npolicy = \"three-level\"\n\
         locale = \"{locale}\"\ntz = \"Europe/Paris\"\n"
    );
    let sections: SlaSections = toml::from_str(&text).unwrap();
    let (sla, _) = sections.compile(&TimeZoneDatabase::bundled()).unwrap();
    let contract = &sla.contracts["acme-international-networks"];
    let logs = logs();
    let facts = |(number, log)| {
        let log: &Vec<CaseEvent> = log;
        CaseFacts {
            id: format!("INC-{number}"),
            link: format!("https://desk.example.net/tickets/{number}"),
            source: "prometheus-frankfurt-2".to_owned(),
            ticket_created: Some(log[0].at.seconds() + 2),
            contract,
            found_late: BTreeSet::from([("restore".to_owned(), 1, 1)]),
            log,
        }
    };
    let zone = TimeZoneDatabase::bundled().get("Europe/Paris").unwrap();
    let report = Report::make(&ReportFacts {
        contract,
        month: Month::read("2026-06", zone).unwrap(),
        zone_data: "2025b".to_owned(),
        calendars: vec![CalendarShown {
            name: "provider-local".to_owned(),
            holidays: vec!["2026-06-08".to_owned()],
        }],
        generated: Time::from_seconds(second("2026-07-02T00:00:00Z")),
        cases: logs.iter().enumerate().map(facts).collect(),
        alerts: AlertCounts {
            received: 1234,
            deduplicated: 800,
            suppressed: 3,
        },
        corrections: vec![Correction {
            id: "INC-9".to_owned(),
            month: "2026-05".to_owned(),
            target: "restore".to_owned(),
            kind: "found_late".to_owned(),
        }],
    });
    let html = report.html().unwrap();
    (report, html)
}

/// Runs the browser; what it prints, or nothing if there is none here.
fn browser(dir: &Path, words: &[&str], file: &Path) -> Option<String> {
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-extensions",
        ])
        .arg(format!("--user-data-dir={}", dir.join("browser").display()))
        .args(words)
        .arg(format!("file://{}", file.display()))
        .env("HOME", dir)
        .output()
        .ok()?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What the measuring script found: it stands in an attribute of the page.
fn found(dom: &str) -> Value {
    let after = dom.split("data-found=\"").nth(1).unwrap();
    let text = after.split('"').next().unwrap();
    let text = text
        .replace("&quot;", "\"")
        .replace("&gt;", ">")
        .replace("&lt;", "<");
    serde_json::from_str(&text.replace("&amp;", "&")).unwrap()
}

fn has_letters(language: &str) -> bool {
    let listed = Command::new("fc-list")
        .arg(format!(":lang={language}"))
        .output();
    listed.is_ok_and(|listed| !listed.stdout.is_empty())
}

/// Where pictures are kept for people who want to look: `ALERTBRIDGE_TEST_PICTURES`.
fn keep(dir: &Path, name: &str) {
    if let Some(to) = std::env::var_os("ALERTBRIDGE_TEST_PICTURES") {
        std::fs::copy(dir.join(name), Path::new(&to).join(name)).unwrap();
    }
}

#[test]
fn the_report_fits_its_paper_in_all_three_languages() {
    let script = include_str!("data/report_measure.js");
    for (locale, title) in [
        ("en", "Service level report"),
        ("fr", "Rapport de niveau de service"),
        ("ja", "サービスレベル報告書"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let (report, html) = page(locale);
        let plain = dir.path().join("report.html");
        std::fs::write(&plain, &html).unwrap();
        // The rules for paper, on a screen as wide as the paper, so that a script can measure.
        let paper = html
            .replace("@media print {", "@media all {")
            .replace("</body>", &format!("<script>{script}</script></body>"));
        assert_ne!(paper, html);
        let measured = dir.path().join("measured.html");
        std::fs::write(&measured, paper).unwrap();
        let size = format!("--window-size={PAPER_WIDTH},2000");
        let Some(dom) = browser(dir.path(), &[&size, "--dump-dom"], &measured) else {
            println!("NOT RUN: the report in a browser: chromium is not installed");
            return;
        };
        let found = found(&dom);
        let mut problems: Vec<&str> = found["problems"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        if locale == "ja" && !has_letters("ja") {
            println!(
                "NOT RUN: Japanese letters: no font has them (Debian package fonts-ipafont-gothic)"
            );
            problems.retain(|problem| !problem.starts_with("no font has"));
        }
        assert!(problems.is_empty(), "{locale}: {problems:#?}");
        assert!(found["glyphs"].as_u64().unwrap() > 40, "{locale}: {found}");
        let charts = found["charts"].as_array().unwrap();
        let judged = report.targets.iter().filter(|sum| sum.judged > 0).count();
        assert_eq!(
            charts.len(),
            judged + 2,
            "{locale}: a bar a target, and two charts"
        );
        for chart in charts {
            let of = |key: &str| chart[key].as_f64().unwrap();
            let wide = if chart["kind"] == "chart" {
                150.0
            } else {
                30.0
            };
            assert!(
                of("width") >= wide && of("height") >= 5.0,
                "{locale}: {chart}"
            );
            assert!(of("drawn") >= 1.0, "{locale}: an empty chart: {chart}");
        }
        on_paper(dir.path(), &plain, locale, title);
    }
}

/// As a file for a printer: A4, its own fonts inside, its text to be found; and a picture.
fn on_paper(dir: &Path, page: &Path, locale: &str, title: &str) {
    let file = format!("report-{locale}.pdf");
    let pdf = dir.join(&file);
    let print = format!("--print-to-pdf={}", pdf.display());
    browser(dir, &[&print, "--no-pdf-header-footer"], page).unwrap();
    keep(dir, &file);
    let picture = format!("report-{locale}.png");
    let screenshot = format!("--screenshot={}", dir.join(&picture).display());
    browser(dir, &[&screenshot, "--window-size=1100,1800"], page).unwrap();
    assert!(std::fs::metadata(dir.join(&picture)).unwrap().len() > 20_000);
    keep(dir, &picture);
    let tool = |words: &[&str]| {
        let output = Command::new(words[0])
            .args(&words[1..])
            .arg(&pdf)
            .output()
            .ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (Some(info), Some(fonts)) = (tool(&["pdfinfo"]), tool(&["pdffonts"])) else {
        println!(
            "NOT RUN: the printed report: pdfinfo is not installed (Debian package poppler-utils)"
        );
        return;
    };
    assert!(info.contains("(A4)"), "{info}");
    let named: Vec<&str> = fonts.lines().skip(2).collect();
    assert!(!named.is_empty(), "{fonts}");
    for font in named {
        let columns: Vec<&str> = font.split_whitespace().rev().collect();
        // From the right: object, generation, unicode, subset, embedded.
        assert_eq!(columns.get(4), Some(&"yes"), "not inside: {font}");
    }
    let text = Command::new("pdftotext")
        .arg(&pdf)
        .arg("-")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    if locale != "ja" || has_letters("ja") {
        assert!(text.contains(title), "{locale}: {text}");
    }
    for ticket in ["INC-0", "INC-47"] {
        assert!(text.contains(ticket), "{locale}: {ticket} is not on paper");
    }
}
