use super::*;
use crate::model::{Event, EventState, Identity, Message, SeverityHint, Time};
use crate::store::sqlite::StoreOptions;
use std::path::Path;

fn open(dir: &Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(dir, StoreOptions::default(), "g").unwrap())
}

fn outage(host: &str) -> Input {
    let mut event = Event::new(
        EventState::Firing,
        Identity::key(host).unwrap(),
        format!("{host} is down"),
    );
    event.severity_hint = SeverityHint::Outage;
    Input::Message(Message::new("s", "native", vec![event]))
}

fn append(store: &SqliteStore, runtime: &tokio::runtime::Runtime, inputs: Vec<Input>) {
    let inputs = inputs.into_iter().map(|input| NewInput {
        at: Time(1_700_000_000_000),
        input,
        raw: None,
    });
    runtime
        .block_on(store.journal.append(inputs.collect(), Vec::new()))
        .unwrap();
}

/// A loop that ends once the engine has applied `last`.
fn run_until(
    store: &Arc<SqliteStore>,
    runtime: &tokio::runtime::Runtime,
    step: fn(&mut Engine, &Sequenced),
    last: u64,
) {
    let stop = CancellationToken::new();
    let decisions = Decisions::default();
    let engine = EngineLoop {
        engine: Engine::load(decisions.clone(), store.state.load().unwrap()).unwrap(),
        step,
        decisions,
        pending: Arc::default(),
        store: store.clone(),
        bells: Arc::default(),
        stop: stop.clone(),
        runtime: runtime.handle().clone(),
        metrics: Arc::new(Metrics::new().unwrap()),
        applied: watch::channel(0).0,
        gauges: Arc::new(ArcSwap::from_pointee(Gauges::default())),
        turned: Arc::new(Turned::new()),
        received_before: 0,
        counted_at: Instant::now(),
    };
    let thread = std::thread::spawn(|| engine.run());
    while store.state.cursor().unwrap() < last && !thread.is_finished() {
        std::thread::sleep(Duration::from_millis(5));
    }
    stop.cancel();
    store.journal.wake();
    thread.join().unwrap();
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap()
}

fn titles(store: &SqliteStore) -> Vec<String> {
    titles_of(store, crate::store::IncidentFilter::All)
}

fn titles_of(store: &SqliteStore, which: crate::store::IncidentFilter) -> Vec<String> {
    let bodies = store.state.incidents(which, None, 100).unwrap();
    let mut titles: Vec<String> = bodies
        .iter()
        .map(|body| {
            crate::store::codec::decode::<crate::model::incident::Incident>(body)
                .unwrap()
                .title
        })
        .collect();
    titles.sort();
    titles
}

/// Panics on the third input, in the middle of changing the state.
fn fragile(engine: &mut Engine, input: &Sequenced) {
    engine.step(input);
    if input.seq == 3 && matches!(input.input, Input::Message(_)) {
        panic!("an index lies outside of a list");
    }
}

#[test]
fn an_input_that_panics_is_set_aside_with_an_incident_and_the_others_are_applied() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (open(dir.path()), runtime());
    let hosts = ["a", "b", "c", "d", "e"];
    append(&store, &runtime, hosts.map(outage).into());
    run_until(&store, &runtime, fragile, 5);
    assert_eq!(
        titles(&store),
        [
            "Journal entry 3 could not be applied",
            "a is down",
            "b is down",
            "d is down",
            "e is down"
        ]
    );
    let aside = store.state.things("quarantine", None, 10).unwrap();
    assert_eq!(aside.len(), 1, "it waits in quarantine");
    // A restart applies nothing twice, and what was saved is what stepping gives.
    run_until(&store, &runtime, fragile, 5);
    assert_eq!(titles(&store).len(), 5);
}

/// Not even the note about it can be applied.
fn hopeless(engine: &mut Engine, input: &Sequenced) {
    engine.step(input);
    if input.seq == 3 {
        panic!("hopeless");
    }
}

#[test]
fn nothing_is_stepped_over_when_even_setting_aside_fails() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (open(dir.path()), runtime());
    append(&store, &runtime, ["a", "b", "c", "d"].map(outage).into());
    run_until(&store, &runtime, hopeless, 2);
    assert_eq!(store.state.cursor().unwrap(), 2);
    // A program without the mistake goes on where that one stopped.
    run_until(&store, &runtime, Engine::step, 4);
    assert_eq!(
        titles(&store),
        ["a is down", "b is down", "c is down", "d is down"]
    );
}

#[test]
fn a_commit_that_fails_is_repeated_and_nothing_is_applied_before_it() {
    for fails in 1..6 {
        let dir = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::default();
        let faults = crate::store::sqlite::CommitFaults::default();
        options.state.faults = faults.clone();
        let store = Arc::new(SqliteStore::open(dir.path(), options, "g").unwrap());
        let runtime = runtime();
        append(&store, &runtime, ["a", "b", "c"].map(outage).into());
        // The n-th commit and the one after it.
        faults.fail_after(fails - 1, 2);
        for host in ["d", "e"] {
            run_until(&store, &runtime, Engine::step, store.journal.last_seq());
            append(&store, &runtime, vec![outage(host)]);
        }
        run_until(&store, &runtime, Engine::step, store.journal.last_seq());
        let all = ["a", "b", "c", "d", "e"].map(|host| format!("{host} is down"));
        assert_eq!(titles(&store), all, "with failing commit {fails}");
        let first = crate::model::id::IncidentId(1);
        let lines = store.state.timeline(first, 0, 100).unwrap();
        let opened = lines.iter().filter(|line| line.reason == lines[0].reason);
        assert_eq!(opened.count(), 1, "no line is written twice");
    }
}

#[test]
fn what_remains_of_a_storm_comes_back_with_its_texts() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (open(dir.path()), runtime());
    let hosts: Vec<String> = (10..22).map(|n| format!("host-{n}")).collect();
    let recovered = |host: &String| {
        let Input::Message(mut message) = outage(host) else {
            panic!()
        };
        message.events[0].state = EventState::Resolved;
        Input::Message(message)
    };
    let mut inputs: Vec<Input> = hosts.iter().map(|host| outage(host)).collect();
    inputs.extend(hosts[..10].iter().map(recovered));
    let last = inputs.len() as u64;
    append(&store, &runtime, inputs);
    // The deadline, and what the engine asked for.
    run_until(&store, &runtime, Engine::step, last + 2);
    let open = titles_of(&store, crate::store::IncidentFilter::Open);
    assert_eq!(open, ["host-20 is down", "host-21 is down"]);
}

#[test]
fn a_batch_is_bounded_by_its_events() {
    let input = |seq, events: usize| {
        let Input::Message(mut message) = outage("a") else {
            panic!()
        };
        message.events = vec![message.events[0].clone(); events];
        Sequenced {
            seq,
            at: Time(0),
            input: Input::Message(message),
        }
    };
    let all: Vec<_> = [9000, 1500, 400, 200, 1, 1]
        .into_iter()
        .zip(1..)
        .map(|(events, seq)| input(seq, events))
        .collect();
    let sizes: Vec<usize> = batches(&all).map(<[_]>::len).collect();
    assert_eq!(sizes, [1, 2, 3]);
    assert!(batches(&[]).next().is_none());
}
