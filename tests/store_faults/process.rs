//! The same faults as a sender sees them, on a daemon as a process: refused with a code that makes
//! it try again, and taken once there is room, without a restart.

use crate::support::{Mount, daemon::Daemon, noise};
use alertbridge::store::sqlite::{backup, verify};

#[test]
fn on_a_full_disk_both_doors_ask_to_try_again_and_nothing_acknowledged_is_lost() {
    let Some(disk) = Mount::tmpfs("full disk under a daemon", "24m") else {
        return;
    };
    let config = disk.dir.path();
    let data = disk.path.join("data");
    let daemon = Daemon::start(config, &data);
    let ballast = disk.path.join("ballast");
    let mut acknowledged = Vec::new();
    assert_eq!(daemon.post("host-0", "first"), 202);
    acknowledged.push("host-0".to_owned());
    daemon.until("a ticket", |daemon| daemon.subjects().len() == 1);
    // Someone else fills the disk: all but the last megabyte, so that it is the bridge that hits
    // the end.
    fill(&ballast, &disk.path, 1 << 20);
    let (mut refused, mut n) = (0, 0);
    while refused < 5 {
        n += 1;
        assert!(n < 500, "the disk does not get full");
        let key = format!("host-{n}");
        match daemon.post(&key, &noise(40_000)) {
            202 => acknowledged.push(key),
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    let mail = |n: u32| {
        let subject = format!("** PROBLEM Host Alert: mail-{n} is DOWN **");
        let body = format!(
            "Notification Type: PROBLEM\r\nHost: mail-{n}\r\nState: DOWN\r\n{}",
            noise(900)
        );
        daemon.mail(&subject, &body)
    };
    // A small mail may still find room; soon none does.
    let refusals = (0..2000).map(mail).find(|reply| !reply.starts_with("250"));
    let reply = refusals.expect("no mail was refused");
    assert!(
        reply.starts_with("451") || reply.starts_with("452"),
        "{reply}"
    );
    assert_eq!(daemon.ask("http", "GET", "/healthz", "").0, 200);
    assert_eq!(daemon.ask("operators", "GET", "/readyz", "").0, 503);

    std::fs::remove_file(&ballast).unwrap();
    daemon.until("it takes alerts again", |daemon| {
        daemon.post("host-after", "small") == 202
    });
    acknowledged.push("host-after".to_owned());
    assert_eq!(daemon.ask("operators", "GET", "/readyz", "").0, 200);
    let has_all = |daemon: &Daemon| {
        let subjects = daemon.subjects();
        acknowledged.iter().all(|key| {
            let subject = format!("{key} is down");
            subjects.iter().filter(|s| **s == subject).count() == 1
        })
    };
    daemon.until("a ticket for each", has_all);
    daemon.kill();
    let daemon = Daemon::start(config, &data);
    daemon.until("a ticket for each after a restart", has_all);
    daemon.kill();
    assert_eq!(verify(&data).unwrap().problems, Vec::<String>::new());
}

/// Fills a disk but for so many bytes.
fn fill(ballast: &std::path::Path, disk: &std::path::Path, leave: u64) {
    let free = rustix::fs::statvfs(disk).unwrap();
    let free = free.f_bavail * free.f_frsize;
    let bytes = usize::try_from(free.saturating_sub(leave)).unwrap();
    std::fs::write(ballast, vec![1; bytes]).unwrap();
}

#[test]
fn a_database_locked_by_someone_else_delays_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let daemon = Daemon::start(dir.path(), &data);
    assert_eq!(daemon.post("before", ""), 202);
    let other = rusqlite::Connection::open(data.join("journal.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Longer than the writer waits.
    assert_eq!(daemon.post("meanwhile", ""), 503);
    other.execute_batch("ROLLBACK").unwrap();
    daemon.until("taken", |daemon| daemon.post("meanwhile", "") == 202);
    daemon.until("two tickets", |daemon| daemon.subjects().len() == 2);
}

/// What makes files read-only under a process; without a compiler, says so and gives nothing.
fn read_only_shim(dir: &std::path::Path) -> Option<String> {
    let shim = dir.join("read_only.so");
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/store_faults/read_only.c"
    );
    let built = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&shim)
        .args([source, "-ldl"])
        .output();
    match built {
        Ok(output) if output.status.success() => Some(shim.display().to_string()),
        other => {
            eprintln!("NOT RUN: a disk that turns read-only: no C compiler: {other:?}");
            None
        }
    }
}

#[test]
fn a_disk_that_turns_read_only_under_the_daemon_is_waited_for_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let Some(shim) = read_only_shim(dir.path()) else {
        return;
    };
    let data = dir.path().join("data");
    let flag = dir.path().join("read-only");
    let variables = [
        format!("LD_PRELOAD={shim}"),
        format!("READ_ONLY_WHILE={}", flag.display()),
        format!("READ_ONLY_BELOW={}", data.display()),
    ];
    let [preload, while_, below] = variables.each_ref().map(String::as_str);
    let daemon = Daemon::start_by(&["env", preload, while_, below], dir.path(), &data);
    assert_eq!(daemon.post("before", ""), 202);
    daemon.until("a ticket", |daemon| daemon.subjects().len() == 1);

    std::fs::write(&flag, "").unwrap();
    assert_eq!(daemon.post("meanwhile", ""), 503);
    let reply = daemon.mail(
        "** PROBLEM Host Alert: mail-1 is DOWN **",
        "Notification Type: PROBLEM\r\nHost: mail-1\r\nState: DOWN\r\n",
    );
    assert!(reply.starts_with("451"), "{reply}");
    assert_eq!(daemon.ask("http", "GET", "/healthz", "").0, 200);
    assert_eq!(daemon.ask("operators", "GET", "/readyz", "").0, 503);

    std::fs::remove_file(&flag).unwrap();
    daemon.until("it takes alerts again", |daemon| {
        daemon.post("meanwhile", "") == 202
    });
    daemon.until("ready again", |daemon| {
        daemon.ask("operators", "GET", "/readyz", "").0 == 200
    });
    let has_all = |daemon: &Daemon| {
        let subjects = daemon.subjects();
        ["before is down", "meanwhile is down"]
            .iter()
            .all(|own| subjects.iter().filter(|subject| subject == own).count() == 1)
    };
    daemon.until("a ticket for each", has_all);
    daemon.kill();
    assert_eq!(verify(&data).unwrap().problems, Vec::<String>::new());
}

#[test]
fn a_read_only_disk_ends_the_start_with_the_reason() {
    let Some(disk) = Mount::tmpfs("read-only disk under a daemon", "8m") else {
        return;
    };
    let data = disk.path.join("data");
    Daemon::start(disk.dir.path(), &data).kill();
    assert!(disk.remount("ro"));
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .args(["serve", "--data-dir"])
        .arg(&data)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("ead-only"), "{said}");
    assert!(disk.remount("rw"));
    Daemon::start(disk.dir.path(), &data);
}

#[test]
fn a_backup_under_a_running_daemon_is_whole_and_comes_back_with_delivery_held() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let daemon = Daemon::start(dir.path(), &data);
    for n in 0..20 {
        assert_eq!(daemon.post(&format!("host-{n}"), ""), 202);
    }
    daemon.until("all tickets", |daemon| daemon.subjects().len() == 20);
    let copy = dir.path().join("copy");
    std::thread::scope(|scope| {
        let posting = scope.spawn(|| {
            for n in 20..80 {
                assert_eq!(daemon.post(&format!("host-{n}"), ""), 202);
            }
        });
        backup(&data, &copy).unwrap();
        posting.join().unwrap();
    });
    daemon.kill();
    let restored = dir.path().join("restored");
    let verb = |arguments: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_alertbridge"))
            .args(arguments)
            .arg("--data-dir")
            .arg(&restored)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
    };
    verb(&["restore", copy.to_str().unwrap()]);
    verb(&["verify"]);
    let daemon = Daemon::start(dir.path(), &restored);
    let before = daemon.subjects().len();
    assert!((20..=80).contains(&before), "{before} tickets");
    assert_eq!(daemon.post("new", ""), 202);
    // The bridge goes on deciding, and writes to no tracker.
    daemon.until("the incident", |daemon| {
        daemon
            .ask("operators", "GET", "/api/v1/incidents", "")
            .1
            .contains("new is down")
    });
    assert!(!daemon.subjects().contains(&"new is down".to_owned()));
    verb(&["restore", "--release"]);
    daemon.until("delivery goes on", |daemon| {
        daemon.subjects().contains(&"new is down".to_owned())
    });
}
