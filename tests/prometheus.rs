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
