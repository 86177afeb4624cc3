//! Policies, contracts and calendars as operators write them: what is taken from where, and
//! everything that is wrong told at once.
#![allow(clippy::unwrap_used, clippy::panic)]

use alertbridge::limits::HOLIDAY_YEARS;
use alertbridge::sla::policy::TargetName;
use alertbridge::sla::section::SlaProblem;
use alertbridge::sla::{Sla, SlaSections};
use jiff::civil::date;
use jiff::tz::TimeZoneDatabase;

const THREE: &str = include_str!("../config/policies/three-level.toml");

fn compiled(text: &str) -> Result<(Sla, Vec<SlaProblem>), Vec<SlaProblem>> {
    let sections: SlaSections = toml::from_str(text).unwrap();
    sections.compile(&TimeZoneDatabase::bundled())
}

#[test]
fn each_target_comes_from_the_contract_else_its_policy_else_the_default() {
    let text = format!(
        "{}\n\
         [calendar.paris-office]\n\
         tz = \"Europe/Paris\"\n\
         week = {{ mon = [[\"08:30\", \"18:00\"]] }}\n\
         [policy.short.category]\n\
         incident = {{ severity = \"set\", targets = [\"initial_response\", \"restore\"] }}\n\
         [policy.short.severity.1]\n\
         initial_response = {{ within = \"5m\" }}\n\
         [policy.short.severity.3]\n\
         initial_response = {{ within = \"20m\" }}\n\
         [contract.acme]\n\
         policy = \"short\"\n\
         severity.1.restore = {{ within = \"4h\" }}\n\
         calendars.provider-local = \"paris-office\"\n",
        THREE.replacen(
            "[policy.three-level]",
            "[policy.three-level]\ndefault = true",
            1
        )
    );
    let (sla, _) = compiled(&text).unwrap();
    let contract = &sla.contracts["acme"];
    let table: Vec<String> = contract
        .table()
        .iter()
        .map(|line| {
            let severity = line.severity.unwrap_or(0);
            format!(
                "{severity} {}: {} ({})",
                line.target, line.said, line.origin
            )
        })
        .collect();
    assert_eq!(
        table,
        [
            "1 initial_response: within 5m (policy)",
            "1 update: every 30m (default policy)",
            "1 restore: within 4h (contract)",
            "3 initial_response: within 20m (policy)",
            "3 update: every 4h (default policy)",
            "3 restore: within 48h, calendar paris-office (default policy)",
        ]
    );
    assert!(contract.severities[&1][&TargetName::Restore].pausable);
    assert!(contract.calendars.contains("paris-office"));
    assert!(!contract.calendars.contains("provider-local"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_key() {
    let text = r#"
        default_contract = "nobody"
        [calendar.broken]
        tz = "Mars/Olympus"
        week = { mon = [["09:00", "09:00"]], someday = [["09:00", "17:00"]] }
        [policy.p]
        clock_start = "yesterday"
        pause_on = ["weather"]
        [policy.p.category]
        incident = { severity = "set", targets = ["triage", "coffee"] }
        provisioning = { severity = "none", priority = "soon" }
        [policy.p.severity.1]
        initial_response = { within = "0s" }
        update = { within = "5m" }
        restore = { within = "6h", calendar = "nowhere", at_risk = 1.5 }
        [policy.p.severity.9]
        restore = { within = "6h" }
        [[policy.p.escalation]]
        level = 2
        contact = "x"
        [contract.c]
        policy = "p"
        locale = "de"
        account = "friend"
        [contract.d]
        policy = "q"
    "#;
    let problems = compiled(text).unwrap_err();
    let told: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.key, problem.what))
        .collect();
    for expected in [
        "default_contract: there is no contract `nobody`",
        "calendar.broken: unknown_tz",
        "calendar.broken, mon: empty_interval",
        "calendar.broken, someday: bad_day",
        "policy.p.clock_start: `yesterday`",
        "policy.p.pause_on: `weather`",
        "policy.p.category.incident.targets: the policy has no target `triage`",
        "policy.p.category.incident.targets: `coffee`",
        "policy.p.category.provisioning.priority: `soon`",
        "policy.p.severity.1.initial_response: `0s` is no time",
        "policy.p.severity.1.update: `every` belongs to update",
        "policy.p.severity.1.restore: there is no calendar `nowhere`",
        "policy.p.severity.1.restore.at_risk: a share",
        "policy.p.severity.9: a severity is 1 to 5",
        "policy.p.escalation: levels are numbered",
        "contract.c.locale: `de`",
        "contract.c.account: `friend`",
        "contract.d.policy: there is no policy `q`",
    ] {
        assert!(
            told.iter().any(|told| told.starts_with(expected)),
            "nobody said {expected:?}:\n{}",
            told.join("\n")
        );
    }
    assert!(toml::from_str::<SlaSections>("[policy.p]\nreopen_windw = \"1h\"").is_err());
}

#[test]
fn what_only_looks_wrong_is_a_warning() {
    let text = THREE.replacen(
        "{ within = \"6h\", pausable = true }",
        "{ within = \"10m\" }",
        1,
    );
    let (_, warnings) = compiled(&text).unwrap();
    let told: Vec<&str> = warnings
        .iter()
        .map(|warning| warning.what.as_str())
        .collect();
    assert_eq!(
        told,
        [
            "the response target is longer than the restore target",
            "the update interval is longer than the restore target"
        ]
    );
    let text = THREE.replacen("every  = \"30m\"", "every  = \"90m\"", 1);
    let (_, warnings) = compiled(&text).unwrap();
    let told: Vec<(&str, &str)> = warnings
        .iter()
        .map(|warning| (warning.key.as_str(), warning.what.as_str()))
        .collect();
    let worse = "update is longer than that of severity 2";
    assert_eq!(told, [("policy.three-level.severity.1", worse)]);
}

#[test]
fn holiday_files_close_dates_and_a_file_that_cannot_be_read_is_told() {
    let ics = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\n\
               DTSTART;VALUE=DATE:20200714\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Fête nationale\r\n\
               END:VEVENT\r\nEND:VCALENDAR\r\n";
    let text = r#"
        [calendar.office]
        tz = "Europe/Paris"
        week = { mon = [["09:00", "17:00"]], tue = [["09:00", "17:00"]] }
        holidays = ["2026-07-13"]
        holiday_files = ["france.ics", "gone.ics"]
        overrides = { "2026-07-20" = [] }
    "#;
    let mut sections: SlaSections = toml::from_str(text).unwrap();
    let problems = sections.take_holidays(&HOLIDAY_YEARS, |name| match name {
        "france.ics" => Ok(ics.to_owned()),
        _ => Err("cannot be read: not there".to_owned()),
    });
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].key, "calendar.office.holiday_files");
    assert!(problems[0].what.starts_with("gone.ics: cannot be read"));
    let (sla, _) = sections.compile(&TimeZoneDatabase::bundled()).unwrap();
    let closed = sla.calendars["office"].closed_between(date(2026, 7, 1), date(2026, 8, 1));
    assert_eq!(
        closed,
        [date(2026, 7, 13), date(2026, 7, 14), date(2026, 7, 20)]
    );
}

/// Both shipped policies, and a contract with a target and a calendar of its own.
#[test]
fn sla_explain_prints_what_a_contract_resolves_to() {
    let dir = tempfile::tempdir().unwrap();
    let policies = concat!(env!("CARGO_MANIFEST_DIR"), "/config/policies");
    let config = dir.path().join("config.toml");
    let text = format!(
        "sla = [\"{policies}/three-level.toml\", \"{policies}/five-level.toml\"]\n\
         [calendar.paris-office]\ntz = \"Europe/Paris\"\n\
         week = {{ mon = [[\"08:30\", \"18:00\"]] }}\n\
         [contract.acme]\npolicy = \"three-level\"\naccount = \"managed\"\npartner = \"northwind\"\n\
         locale = \"fr\"\ntz = \"Europe/Paris\"\n\
         severity.1.restore = {{ within = \"4h\", pausable = true }}\n\
         calendars.provider-local = \"paris-office\"\n\
         [contract.cloudy]\npolicy = \"five-level\"\ncloud = true\n"
    );
    std::fs::write(&config, text).unwrap();
    let explain = |contract: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_alertbridge"))
            .args(["sla", "explain", contract, "--config"])
            .arg(&config)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, said) = explain("acme");
    assert_eq!(code, Some(0), "{said}");
    let lines: Vec<Vec<&str>> = said
        .lines()
        .map(|l| l.split_whitespace().collect())
        .collect();
    let line = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(lines.contains(&words), "no line `{text}` in\n{said}");
    };
    assert!(
        said.starts_with("contract acme: policy three-level, version "),
        "{said}"
    );
    assert!(
        said.contains("managed account, for acme, in fr and Europe/Paris"),
        "{said}"
    );
    let pauses = "waiting for the customer does not count";
    line("1 initial_response within 15m from policy");
    line("1 update every 30m from policy");
    line(&format!("1 restore within 4h from contract; {pauses}"));
    line(&format!("2 restore within 24h from policy; {pauses}"));
    line(&format!(
        "3 restore within 48h, calendar paris-office from policy; {pauses}"
    ));
    let (_, said) = explain("cloudy");
    for part in [
        "within 5m",
        "soft: 0.9 of them",
        // Engineers of cloud contracts are there at all hours.
        "2h in hours, 4h out of hours, calendar always",
        "08:00 on the next working day",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = explain("nobody");
    assert_eq!(code, Some(1));
    assert!(
        said.contains("there is no contract `nobody`; there are: acme, cloudy"),
        "{said}"
    );
}

#[test]
fn more_targets_than_the_metrics_may_have_are_refused() {
    let policies = |count: usize| -> String {
        let policy = |n: usize| {
            let renamed = THREE.replace("three-level", &format!("p{n}"));
            let (_, policy) = renamed.split_once("[policy.").unwrap();
            format!("[policy.{policy}\n[contract.c{n}]\npolicy = \"p{n}\"\n")
        };
        let calendar = THREE.split_once("[policy.").unwrap().0;
        format!("{calendar}\n{}", (0..count).map(policy).collect::<String>())
    };
    // Nine targets each.
    assert!(compiled(&policies(11)).is_ok());
    let problems = compiled(&policies(12)).unwrap_err();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].what.contains("have 108 targets"),
        "{problems:?}"
    );
}
