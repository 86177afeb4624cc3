//! The units: what `systemd-analyze` says of them. That the daemon speaks to a service manager and
//! reads its credentials stands in `operators.rs`.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::process::Command;

fn unit(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join("systemd").join(name)
}

/// Whether a unit's exposure is at most so many tenths; none if it cannot be asked here.
fn exposed_at_most(name: &str, tenths: u32) -> Option<(bool, String)> {
    let asked = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(format!("--threshold={tenths}"))
        .arg(unit(name))
        .output();
    let Ok(output) = asked else {
        println!("NOT RUN: systemd-analyze is not installed (Debian package systemd)");
        return None;
    };
    let told = [output.stdout, output.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    Some((output.status.success(), told))
}

#[test]
fn the_units_expose_little() {
    for (name, tenths) in [
        ("alertbridge.service", 20),
        ("alertbridge-notify.service", 20),
    ] {
        let Some((good, told)) = exposed_at_most(name, tenths) else {
            return;
        };
        assert!(told.contains("Overall exposure level"), "{told}");
        assert!(good, "{name}: more than {tenths} tenths\n{told}");
        // The threshold is what is asked: a stricter one is refused.
        let (good, _) = exposed_at_most(name, 1).unwrap();
        assert!(!good, "{name}");
    }
}

#[test]
fn the_units_say_what_the_daemon_relies_on() {
    let text = std::fs::read_to_string(unit("alertbridge.service")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for line in [
        "Type=notify",
        "WatchdogSec=60",
        "DynamicUser=yes",
        "StateDirectory=alertbridge",
        "Restart=always",
    ] {
        assert!(lines.contains(&line), "{line}");
    }
    assert!(text.contains("LoadCredential="), "{text}");
    assert!(text.contains("\nExecReload="), "{text}");
}
