//! The README's first command does what it says.
#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn a_bad_night_ends_in_few_tickets_with_the_right_severities() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .args(["demo", "--free-ports", "--data-dir"])
        .arg(dir.path().join("demo"))
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{told}");
    // The second supply turns the S4 into an S1 on the same ticket, and back.
    for line in [
        "ticket 1 OPENS    S4",
        "ticket 1 S4 → S1",
        "ticket 1 S1 → S4",
        "ticket 1 CLOSES   S4",
        "OPENS    S3  storage1",
        "CLOSES   S5  env-7",
        "OPENS    S3  edge-rtr1",
        "In quarantine from mail",
        "26 messages, 5 tickets, 4 of them closed.",
    ] {
        assert!(told.contains(line), "{line} is missing in\n{told}");
    }
}
