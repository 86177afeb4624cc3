//! How the inventory grows from 1,000 to 1,000,000 elements: loading, one element's change, and a
//! site feed that 100,000 elements hang from.
//!
//! `cargo bench --bench inventory` prints a table of the growth first, with the 99th percentile of
//! single changes, which the statistics of the benchmark library do not show. `benches/run inventory`
//! measures the loading of whole files as well.

use alertbridge::engine::{Decisions, Engine, Route};
use alertbridge::inventory::{
    AccountEntry, Condition, ElementEntry, ElementId, GroupEntry, Health, Inventory, InventoryFile,
    Lives, ServiceEntry,
};
use alertbridge::model::event::{Event, EventState, SeverityHint};
use alertbridge::model::{Identity, Input, Message, Sequenced, Time};
use criterion::{BenchmarkId, Criterion, criterion_group};
use std::fmt::Write;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

const SIZES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Elements that hang from the feed of the largest site.
const BELOW_FEED: usize = 100_000;

/// Racks of ten: switch `i` with two supplies in a group, and hosts that depend on the switch; a
/// pair of hosts carries a service. A fifth as many groups as elements, a tenth as many services,
/// a hundredth as many accounts.
fn entries(elements: usize) -> InventoryFile {
    let mut file = InventoryFile::default();
    let accounts = (elements / 100).max(1);
    for n in 0..accounts {
        file.account.push(AccountEntry {
            id: format!("account-{n}"),
            ..AccountEntry::default()
        });
    }
    for rack in 0..elements / 10 {
        let switch = format!("switch-{rack}");
        let supplies = [format!("psu1@{switch}"), format!("psu2@{switch}")];
        let group = format!("psu@{switch}");
        file.element.push(element(&switch, "", &[&group]));
        for supply in &supplies {
            file.element.push(element(supply, &switch, &[]));
        }
        file.group.push(GroupEntry {
            id: group,
            members: supplies.to_vec(),
            needs: 1,
        });
        let hosts: Vec<String> = (0..7).map(|n| format!("host-{rack}-{n}")).collect();
        for host in &hosts {
            file.element.push(element(host, "", &[&switch]));
        }
        let pair = format!("pair-{rack}");
        file.group.push(GroupEntry {
            id: pair.clone(),
            members: hosts.iter().take(2).cloned().collect(),
            needs: 1,
        });
        file.service.push(ServiceEntry {
            id: format!("service-{rack}"),
            depends_on: vec![pair],
            accounts: vec![format!("account-{}", rack % accounts)],
            ..ServiceEntry::default()
        });
    }
    file
}

fn element(id: &str, part_of: &str, depends_on: &[&str]) -> ElementEntry {
    ElementEntry {
        id: id.to_owned(),
        part_of: part_of.to_owned(),
        depends_on: depends_on.iter().map(ToString::to_string).collect(),
        ..ElementEntry::default()
    }
}

/// The same as TOML text, as operators write it.
fn text(file: &InventoryFile) -> String {
    let mut text = String::new();
    let list = |names: &[String]| format!("{names:?}");
    for entry in &file.element {
        let _ = writeln!(
            text,
            "[[element]]\nid = {:?}\npart_of = {:?}\ndepends_on = {}",
            entry.id,
            entry.part_of,
            list(&entry.depends_on)
        );
    }
    for entry in &file.group {
        let _ = writeln!(
            text,
            "[[group]]\nid = {:?}\nmembers = {}\nneeds = {}",
            entry.id,
            list(&entry.members),
            entry.needs
        );
    }
    for entry in &file.service {
        let _ = writeln!(
            text,
            "[[service]]\nid = {:?}\ndepends_on = {}\naccounts = {}",
            entry.id,
            list(&entry.depends_on),
            list(&entry.accounts)
        );
    }
    for entry in &file.account {
        let _ = writeln!(text, "[[account]]\nid = {:?}", entry.id);
    }
    text
}

/// The same as CSV.
fn rows(file: &InventoryFile) -> String {
    let mut text = String::from("kind,id,parent,members,needs,accounts\n");
    for entry in &file.element {
        let depends_on = entry.depends_on.join(" ");
        let _ = writeln!(
            text,
            "element,{},{},{depends_on},,",
            entry.id, entry.part_of
        );
    }
    for entry in &file.group {
        let members = entry.members.join(" ");
        let _ = writeln!(text, "group,{},,{members},{},", entry.id, entry.needs);
    }
    for entry in &file.service {
        let (on, of) = (entry.depends_on.join(" "), entry.accounts.join(" "));
        let _ = writeln!(text, "service,{},,{on},,{of}", entry.id);
    }
    for entry in &file.account {
        let _ = writeln!(text, "account,{},,,,", entry.id);
    }
    text
}

/// A feed from which many hosts hang, each with a service of its own for every tenth.
fn below_a_feed() -> Inventory {
    let mut file = InventoryFile::default();
    file.element.push(element("feed", "", &[]));
    for n in 0..BELOW_FEED {
        file.element
            .push(element(&format!("host-{n}"), "", &["feed"]));
        if n % 10 == 0 {
            file.service.push(ServiceEntry {
                id: format!("service-{n}"),
                depends_on: vec![format!("host-{n}")],
                accounts: vec![format!("account-{}", n % 1000)],
                ..ServiceEntry::default()
            });
        }
    }
    built(file)
}

fn built(file: InventoryFile) -> Inventory {
    match Inventory::build(file) {
        Ok(inventory) => inventory,
        Err(problems) => {
            let told: Vec<String> = problems.iter().take(3).map(ToString::to_string).collect();
            say(&told.join("; "));
            Inventory::default()
        }
    }
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// One change and the look at what it does, as the engine asks it.
fn change(health: &mut Health, inventory: &Inventory, element: ElementId, down: bool) {
    let condition = if down { Condition::Down } else { Condition::Up };
    health.set(inventory, element, condition);
    black_box(health.impact(inventory, &[element], &Lives::default()));
}

/// Resident memory of this process in MiB, where the system tells.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib = line
        .and_then(|l| l.split_whitespace().nth(1))
        .and_then(|n| n.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn growth() {
    say("elements   read TOML   build      resident   change p50   p99        worst");
    for elements in SIZES {
        let text = text(&entries(elements));
        let start = Instant::now();
        let file = InventoryFile::from_toml(&text).unwrap_or_default();
        let read = start.elapsed();
        drop(text);
        let start = Instant::now();
        let inventory = built(file);
        let build = start.elapsed();
        let mut health = Health::new(&inventory);
        let memory = resident_mib();
        let mut times: Vec<Duration> = Vec::new();
        for n in 0..20_000_usize {
            let rack = n.wrapping_mul(7919) % (elements / 10);
            let name = match n % 3 {
                0 => format!("psu1@switch-{rack}"),
                1 => format!("host-{rack}-0"),
                _ => format!("switch-{rack}"),
            };
            let Some(id) = inventory.element(&name) else {
                continue;
            };
            for down in [true, false] {
                let start = Instant::now();
                change(&mut health, &inventory, id, down);
                times.push(start.elapsed());
            }
        }
        times.sort();
        let at = |percent: usize| {
            times
                .get(times.len() * percent / 100)
                .copied()
                .unwrap_or_default()
        };
        say(&format!(
            "{elements:<10} {read:<11.2?} {build:<10.2?} {memory:>5} MiB  {:<12.2?} {:<10.2?} {:.2?}",
            at(50),
            at(99),
            times.last().copied().unwrap_or_default()
        ));
    }
    let inventory = below_a_feed();
    let Some(feed) = inventory.element("feed") else {
        return;
    };
    let mut health = Health::new(&inventory);
    for down in [true, false] {
        let start = Instant::now();
        change(&mut health, &inventory, feed, down);
        say(&format!(
            "a feed with {BELOW_FEED} below, down {down}: {:.2?}",
            start.elapsed()
        ));
    }
    engine_on_a_feed();
}

/// The same as an alert to the engine, which asks for causes, effects, services and accounts too.
fn engine_on_a_feed() {
    let decisions = Decisions {
        inventory: Arc::new(below_a_feed()),
        routes: vec![Route::desk()],
        ..Decisions::default()
    };
    let mut engine = Engine::new(decisions);
    for (seq, state) in (1..).zip([EventState::Firing, EventState::Resolved]) {
        let Some(identity) = Identity::key("feed") else {
            return;
        };
        let mut event = Event::new(state, identity, "the feed is down");
        event.host = Some("feed".to_owned());
        event.severity_hint = SeverityHint::Outage;
        let input = Sequenced {
            seq,
            at: Time::from_seconds(i64::try_from(seq).unwrap_or_default()),
            input: Input::Message(Message::new("bench", "native", vec![event])),
        };
        let start = Instant::now();
        engine.step(&input);
        black_box(engine.take_delta());
        say(&format!(
            "the engine, that feed {}: {:.2?}",
            state.word(),
            start.elapsed()
        ));
    }
}

fn changes(criterion: &mut Criterion) {
    growth();
    let mut group = criterion.benchmark_group("inventory/change");
    for elements in SIZES {
        let inventory = built(entries(elements));
        let mut health = Health::new(&inventory);
        let Some(id) = inventory.element("switch-1") else {
            continue;
        };
        let mut down = false;
        group.bench_function(BenchmarkId::from_parameter(elements), |bencher| {
            bencher.iter(|| {
                down = !down;
                change(&mut health, &inventory, id, down);
            });
        });
    }
    group.finish();
}

fn feed(criterion: &mut Criterion) {
    let inventory = below_a_feed();
    let Some(feed) = inventory.element("feed") else {
        return;
    };
    let mut health = Health::new(&inventory);
    let mut down = false;
    let mut group = criterion.benchmark_group("inventory/feed");
    group.sample_size(10);
    group.bench_function(BenchmarkId::from_parameter(BELOW_FEED), |bencher| {
        bencher.iter(|| {
            down = !down;
            change(&mut health, &inventory, feed, down);
        });
    });
    group.finish();
}

criterion_group!(inventory, changes, feed);

/// With `INVENTORY_FILES` the largest inventory is written there as TOML and as CSV, and nothing is
/// measured.
fn main() -> std::io::Result<()> {
    if let Some(folder) = std::env::var_os("INVENTORY_FILES") {
        let folder = std::path::PathBuf::from(folder);
        let file = entries(SIZES.into_iter().max().unwrap_or_default());
        std::fs::write(folder.join("inventory.toml"), text(&file))?;
        return std::fs::write(folder.join("inventory.csv"), rows(&file));
    }
    inventory();
    Criterion::default().configure_from_args().final_summary();
    Ok(())
}
