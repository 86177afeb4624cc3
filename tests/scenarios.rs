//! Situations of a network operations centre, as data: what arrives when, what people do, and
//! which tickets must follow with which severity, members and reason.
//!
//! Every file below `tests/data/scenarios` is run as written; with its arrivals shuffled within
//! the larger of hold and root wait; with every event delivered twice; without a wake at
//! deadlines; with a restart after every input; and replayed from a journal on disk. The tickets
//! that are not merged must be the same in the end, and a replay must give the same bytes.

#![allow(clippy::unwrap_used, clippy::panic)]

mod scenario_support;

use alertbridge::model::Time;
use alertbridge::replay::{Asked, replay};
use scenario_support::check::check;
use scenario_support::file::Scenario;
use scenario_support::run::{Mode, Run};
use scenario_support::script::{doubled, script, shuffled};
use std::path::{Path, PathBuf};

const SHUFFLES: u64 = 6;

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        .collect();
    files.sort();
    let only = std::env::var("SCENARIO").unwrap_or_default();
    files.retain(|path| path.to_string_lossy().contains(&only));
    files
}

fn read(path: &Path) -> Scenario {
    let text = std::fs::read_to_string(path).unwrap();
    toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs `test` on every file and tells all that is wrong at once.
fn every(test: impl Fn(&Scenario) -> Vec<String>) {
    let mut wrong = Vec::new();
    for path in files() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let found = test(&read(&path));
        wrong.extend(found.into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_scenario_goes_as_written() {
    every(|scenario| {
        let mut run = Run::new(scenario, Mode::Plain);
        let mut wrong = Vec::new();
        if scenario.story.is_empty() {
            wrong.push("tells no story".to_owned());
        }
        for act in script(scenario) {
            run.play(&act);
            wrong.extend(check(&run, &act));
        }
        wrong
    });
}

#[test]
fn shuffled_arrivals_end_in_the_same_tickets() {
    every(|scenario| {
        let acts = script(scenario);
        let wanted = Run::finished(scenario, Mode::Plain, &acts).tickets();
        let mut wrong = Vec::new();
        // The largest stories take long in a debug build.
        let seeds = if acts.len() > 1000 { 1 } else { SHUFFLES };
        for seed in 0..seeds {
            let shuffled = shuffled(scenario, &acts, seed);
            let found = Run::finished(scenario, Mode::Plain, &shuffled).tickets();
            if found != wanted {
                wrong.push(format!(
                    "shuffled {seed}:\n  wanted {wanted:#?}\n  found {found:#?}"
                ));
                break;
            }
        }
        wrong
    });
}

#[test]
fn events_delivered_twice_end_in_the_same_tickets() {
    every(|scenario| {
        let acts = script(scenario);
        let wanted = Run::finished(scenario, Mode::Plain, &acts).tickets();
        let found = Run::finished(scenario, Mode::Plain, &doubled(&acts)).tickets();
        if found == wanted {
            Vec::new()
        } else {
            vec![format!(
                "doubled:\n  wanted {wanted:#?}\n  found {found:#?}"
            )]
        }
    });
}

#[test]
fn deadlines_served_late_end_in_the_same_tickets() {
    every(|scenario| {
        let acts = script(scenario);
        let wanted = Run::finished(scenario, Mode::Plain, &acts).tickets();
        let found = Run::finished(scenario, Mode::Sleepy, &acts).tickets();
        if found == wanted {
            Vec::new()
        } else {
            vec![format!("sleepy:\n  wanted {wanted:#?}\n  found {found:#?}")]
        }
    });
}

/// What a daemon writes into its journal on disk and reads back gives the same bytes; and `replay`
/// of that store through the configuration it was made by finds nothing that would be different.
#[test]
fn a_replay_from_the_journal_gives_the_same_bytes_and_the_same_tickets() {
    every(|scenario| {
        let run = Run::finished(scenario, Mode::Plain, &script(scenario));
        let dir = tempfile::tempdir().unwrap();
        let mut wrong = Vec::new();
        if run.stored(scenario, dir.path()) != run.bytes() {
            wrong.push("the replay differs".to_owned());
        }
        let replayed = replay(&Asked {
            data_dir: dir.path(),
            keys: &Default::default(),
            decisions: &scenario.decisions(),
            from: None,
            to: None,
            now: Time(0),
        });
        let replayed = replayed.unwrap();
        let ticketed = run.incidents().filter(|i| run.has_ticket(i.id)).count();
        if replayed.same < ticketed as u64 {
            wrong.push(format!("{} of {ticketed} compared", replayed.same));
        }
        let different = replayed.differences.iter();
        wrong.extend(
            different.map(|different| format!("would have been different: {different:#?}")),
        );
        wrong.extend(
            replayed
                .left_out
                .iter()
                .map(|left| format!("left out: {}", left.what)),
        );
        wrong
    });
}

#[test]
fn a_restart_after_every_input_changes_nothing() {
    every(|scenario| {
        let acts = script(scenario);
        // Each restart reads the whole state: the largest stories would take minutes.
        if acts.len() > 300 {
            return Vec::new();
        }
        let plain = Run::finished(scenario, Mode::Plain, &acts);
        let broken = Run::finished(scenario, Mode::Restarted, &acts);
        if plain.bytes() == broken.bytes() {
            Vec::new()
        } else {
            vec![format!("restarted: {}", plain.first_difference(&broken))]
        }
    });
}

#[test]
fn the_catalogue_is_as_large_as_promised() {
    if std::env::var("SCENARIO").is_err() {
        assert!(files().len() >= 60, "{} scenarios", files().len());
    }
}
