//! The daemon is killed at random instants while clients post, and the real Request Tracker stands
//! behind a proxy that drops, delays or resets answers after the request went through: every
//! problem that was acknowledged has exactly one ticket there, in the state acknowledged last.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod daemon_support;
mod fault_proxy;
mod tracker_contract;

use daemon_support::Daemon;
use fault_proxy::{Dice, Fault, FaultProxy, Faults};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tracker_contract::{fresh_key, now, ready, real_rt, variable};

/// Problems that are posted between two kills.
const PROBLEMS: u64 = 4;

fn config(dir: &Path, proxy: SocketAddr, token: &str) -> String {
    std::fs::write(dir.join("token"), token).unwrap();
    format!(
        "[tracker.rt]\nkind = \"rt\"\nurl = \"http://{proxy}\"\nqueue = \"Monitoring\"\n\
         token = {{ file = \"token\" }}\nsettle_seconds = 10\npoll_seconds = 2\n\
         [tracker.rt.connection]\ntimeout_seconds = 3\n\
         [[route]]\nname = \"rt\"\ntracker = \"rt\"\n[engine]\nstorm_from = 100000\ntickets_per_hour_max = 0\n"
    )
}

fn event(key: &str, state: &str) -> Value {
    json!({
        "dedup_key": key, "state": state, "severity_hint": "outage", "host": key, "check": "ping",
        "summary": format!("{key} is down"), "site": format!("site-{key}"),
    })
}

/// Posts until the daemon dies: what was acknowledged, and what may have been taken in.
fn post(daemon: &Daemon, run: &str, from: u64) -> Vec<(String, &'static str)> {
    let mut done = Vec::new();
    for n in from..from + PROBLEMS {
        let key = format!("{run}-{n}");
        let Ok(202) = daemon.post(&event(&key, "problem")) else {
            break;
        };
        done.push((key.clone(), "new"));
        if n % 3 == 0 {
            let Ok(202) = daemon.post(&event(&key, "recovery")) else {
                done.push((key, "either"));
                break;
            };
            done.push((key, "resolved"));
        }
    }
    done
}

/// Status of each ticket that Request Tracker has of this run, by its subject.
async fn tickets(url: &str, token: &str, run: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let query = format!("Subject LIKE '{run}-'");
    for page in 1.. {
        let page = page.to_string();
        let asked = reqwest::Client::new()
            .get(format!("{url}/REST/2.0/tickets"))
            .query(&[
                ("query", query.as_str()),
                ("fields", "Subject,Status"),
                ("per_page", "100"),
                ("page", &page),
                ("orderby", "id"),
            ])
            .header("Authorization", format!("token {token}"));
        let answer: Value = asked.send().await.unwrap().json().await.unwrap();
        let items = answer["items"].as_array().unwrap();
        for item in items {
            let subject = item["Subject"].as_str().unwrap();
            let status = item["Status"].as_str().unwrap().to_owned();
            found.entry(subject.to_owned()).or_default().push(status);
        }
        if items.len() < 100 {
            break;
        }
    }
    found
}

/// What is wrong with what Request Tracker has; empty: nothing.
fn wrong(
    acknowledged: &BTreeMap<String, &str>,
    found: &BTreeMap<String, Vec<String>>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, state) in acknowledged {
        let own = found
            .iter()
            .filter(|(subject, _)| subject.contains(&format!("{key} is down")))
            .flat_map(|(_, statuses)| statuses)
            .collect::<Vec<_>>();
        let is_right = match own.as_slice() {
            // A problem that came and went before its ticket was asked for opens none.
            [] => *state != "new",
            [one] => *state == "either" || (*one == "resolved") == (*state == "resolved"),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{key}, acknowledged as {state}, has {own:?}"));
        }
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_a_faulty_request_tracker_each_problem_has_one_ticket() {
    ready();
    let Some((url, token)) = real_rt("kills before RT") else {
        return;
    };
    let seed = variable("ALERTBRIDGE_TEST_SEED");
    let seed: u64 = seed.map_or_else(|| now().0.unsigned_abs(), |seed| seed.parse().unwrap());
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    // Five in CI, two hundred by hand: `tests/run long`.
    let kills = variable("ALERTBRIDGE_TEST_KILLS").map_or(5, |kills| kills.parse().unwrap());
    let upstream = url.trim_start_matches("http://").parse().unwrap();
    let faults = Faults {
        percent: 40,
        delay_max: Duration::from_millis(2000),
        kinds: vec![
            Fault::CutAfter,
            Fault::CutWithin,
            Fault::ErrorAfter,
            Fault::Slow,
            Fault::Delay,
            Fault::CutBefore,
            Fault::Refuse,
        ],
        create: "POST /REST/2.0/ticket HTTP",
    };
    let proxy = FaultProxy::start(upstream, seed, faults).await;
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), proxy.address, &token);
    let run = fresh_key().replacen("ab-", "kill-", 1);
    let mut acknowledged: BTreeMap<String, &str> = BTreeMap::new();
    for round in 0..kills {
        let daemon = Daemon::start_with(dir.path(), &config, &[]);
        std::thread::scope(|scope| {
            let posting = scope.spawn(|| post(&daemon, &run, round * PROBLEMS));
            // Not a wait for something: the instant of the kill is what varies.
            std::thread::sleep(Duration::from_millis(20 + dice.below(3000)));
            let pid = daemon.process.id().to_string();
            Command::new("kill").args(["-9", &pid]).status().unwrap();
            acknowledged.extend(posting.join().unwrap());
        });
        daemon.kill();
    }
    println!("faults {:?}", proxy.counts());
    proxy.calm();
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let (began, longest) = (Instant::now(), Duration::from_secs(120 + 3 * kills));
    loop {
        let found = tickets(&url, &token, &run).await;
        let wrong = wrong(&acknowledged, &found);
        // What is still on its way could make a second one.
        let (_, outbox) = daemon
            .ask("operators", "GET", "/api/v1/outbox", "")
            .unwrap();
        let outbox: Value = serde_json::from_str(&outbox).unwrap();
        if wrong.is_empty() && outbox["outbox"].as_array().unwrap().is_empty() {
            break;
        }
        let log = std::fs::read_to_string(daemon.dir.join("log")).unwrap();
        assert!(began.elapsed() < longest, "{wrong:#?}\n{log}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(
        acknowledged.len() as u64 >= kills,
        "too few were acknowledged: {}",
        acknowledged.len()
    );
    println!(
        "{kills} kills, {} problems, one ticket each",
        acknowledged.len()
    );
}
