//! The shipped Prometheus rules, by Prometheus' own tool.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::path::Path;
use std::process::Command;

fn promtool(words: &[&str], dir: &Path) -> Option<()> {
    let Ok(output) = Command::new("promtool")
        .args(words)
        .current_dir(dir)
        .output()
    else {
        println!("NOT RUN: promtool is not installed (Debian package prometheus)");
        return None;
    };
    let told = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&told)
    );
    Some(())
}

#[test]
fn rules_are_good_and_fire_when_they_should() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = tempfile::tempdir().unwrap();
    let rules = "alertbridge.rules.yml";
    std::fs::copy(
        root.join("config/prometheus").join(rules),
        dir.path().join(rules),
    )
    .unwrap();
    std::fs::copy(
        root.join("tests/data/rules_test.yml"),
        dir.path().join("test.yml"),
    )
    .unwrap();
    if promtool(&["check", "rules", rules], dir.path()).is_some() {
        promtool(&["test", "rules", "test.yml"], dir.path());
    }
}

/// Every metric that a rule names is one that the daemon exports.
#[test]
fn rules_name_only_metrics_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rules = root.join("config/prometheus/alertbridge.rules.yml");
    let rules = std::fs::read_to_string(rules).unwrap();
    let metrics = alertbridge::telemetry::metrics::Metrics::new().unwrap();
    metrics.configured([("a", Some(std::time::Duration::from_secs(60)))], ["desk"]);
    metrics.mailboxes(["box"]);
    metrics.pull_configured("dc", None);
    let mut standing = alertbridge::telemetry::metrics::Standing::default();
    for target in ["initial_response", "update", "restore"] {
        standing.targets.push(("p".to_owned(), target, 1));
    }
    standing.gauges.next_due.insert(("restore", 1), 1);
    standing.gauges.last_holidays.insert("c".to_owned(), 1);
    let text = String::from_utf8(metrics.text(&standing).unwrap()).unwrap();
    let name = regex::Regex::new("alertbridge_[a-z_]+").unwrap();
    for line in rules
        .lines()
        .filter(|line| !line.trim_start().starts_with("- record"))
    {
        for found in name.find_iter(line) {
            let base = found.as_str();
            let recorded = line.contains(&format!(":{base}"));
            assert!(recorded || text.contains(base), "{base} in: {line}");
        }
    }
}

/// The fixed names and labels that people build on: each is there, with exactly these labels, from the
/// start where a configuration can produce it.
#[test]
fn the_fixed_metrics_are_there_with_their_labels() {
    let metrics = alertbridge::telemetry::metrics::Metrics::new().unwrap();
    metrics.configured([("a", Some(std::time::Duration::from_secs(60)))], ["desk"]);
    let mut standing = alertbridge::telemetry::metrics::Standing::default();
    for target in ["initial_response", "update", "restore"] {
        standing.targets.push(("p".to_owned(), target, 1));
    }
    standing.gauges.next_due.insert(("restore", 1), 1);
    standing.gauges.last_holidays.insert("c".to_owned(), 1);
    let incident = alertbridge::model::IncidentId(7);
    standing.gauges.soonest.push((9, incident, "restore"));
    let text = |standing: &alertbridge::telemetry::metrics::Standing| {
        String::from_utf8(metrics.text(standing).unwrap()).unwrap()
    };
    let by_ticket = "alertbridge_sla_clock_due_timestamp_seconds";
    assert!(!text(&standing).contains(by_ticket), "off unless asked for");
    standing.soonest_clocks = 20;
    let text = text(&standing);
    let labels_of = |name: &str| -> Option<std::collections::BTreeSet<String>> {
        let line = text.lines().find(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
        })?;
        let labels = line
            .split_once('{')
            .map_or("", |(_, rest)| rest.split('}').next().unwrap());
        let names = labels.split(',').filter_map(|label| label.split_once('='));
        Some(
            names
                .map(|(name, _)| name.to_owned())
                .filter(|name| name != "le")
                .collect(),
        )
    };
    for (name, labels) in [
        ("incidents_open", "category sev state"),
        ("sla_clocks", "policy sev state target"),
        ("sla_next_due_timestamp_seconds", "sev target"),
        ("sla_clock_due_timestamp_seconds", "target ticket"),
        ("sla_breaches_total", "policy sev target"),
        ("sla_verdicts_total", "outcome policy sev target"),
        ("sla_updates_total", "outcome policy sev"),
        ("sla_used_ratio_bucket", "policy sev target"),
        ("time_to_respond_seconds_bucket", "policy sev"),
        ("time_to_restore_seconds_bucket", "policy sev"),
        ("customer_wait_seconds_total", "sev"),
        ("sla_corrections_total", "kind"),
        ("escalations_total", "level reason"),
        ("severity_changes_total", "by direction"),
        ("reopens_total", ""),
        ("merges_total", ""),
        ("voids_total", "reason"),
        ("alerts_total", "outcome source"),
        ("tickets_created_total", "sev source"),
        ("alert_to_ticket_seconds_bucket", "tracker"),
        ("detection_delay_seconds_bucket", ""),
        ("queue_depth", "queue"),
        ("queue_oldest_timestamp_seconds", "queue"),
        ("tracker_requests_total", "operation result tracker"),
        ("tracker_request_duration_seconds_bucket", "tracker"),
        ("tracker_last_success_timestamp_seconds", "tracker"),
        ("source_last_event_timestamp_seconds", "source"),
        ("source_heartbeat_interval_seconds", "source"),
        ("notifications_total", "audience channel outcome"),
        ("sla_record_delay_seconds_bucket", ""),
        ("calendar_last_holiday_timestamp_seconds", "calendar"),
        ("build_info", "version"),
        ("tzdata_info", "version"),
        ("config_last_reload_successful", ""),
        ("config_last_reload_timestamp_seconds", ""),
    ] {
        let found = labels_of(&format!("alertbridge_{name}"));
        let wanted = labels.split_whitespace().map(str::to_owned).collect();
        assert_eq!(found, Some(wanted), "{name}");
    }
    assert!(text.contains(
        "alertbridge_sla_clock_due_timestamp_seconds{target=\"restore\",ticket=\"INC-7\"} 9"
    ));
}
