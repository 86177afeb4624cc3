//! Inventory files of every kind, as `check`, `inventory check`, `whatif` and the daemon read them.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::{Daemon, configuration};
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

fn run(words: &[&str], dir: &Path) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alertbridge"));
    let output = command.args(words).current_dir(dir).output().unwrap();
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    (output.status.success(), told)
}

fn page(list: &str, rows: &[Value]) -> Value {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        row["url"] = json!(format!("https://nb.example.net{list}{}/", row["id"]));
    }
    json!({ "count": rows.len(), "next": null, "previous": null, "results": rows })
}

/// What NetBox's API answers for a switch with two supplies on two feeds, a bundle, and a circuit.
fn netbox(dir: &Path) {
    let folder = dir.join("netbox");
    std::fs::create_dir(&folder).unwrap();
    let write = |name: &str, value: &Value| {
        std::fs::write(folder.join(name), value.to_string()).unwrap();
    };
    let site = json!({ "id": 1, "slug": "ams" });
    let acme = json!({ "id": 1, "name": "Acme", "slug": "acme" });
    write(
        "tenants.json",
        &page("/api/tenancy/tenants/", std::slice::from_ref(&acme)),
    );
    let device = |id: u64, name: &str, tenant: &Value| {
        json!({ "id": id, "name": name, "site": site, "tenant": tenant,
                "status": { "value": "active" } })
    };
    // The rows alone, as a list.
    let devices = [device(10, "sw-1", &acme), device(11, "pdu-b", &Value::Null)];
    write("devices.json", &json!(devices));
    let interface = |id: u64, name: &str, kind: &str, lag: Value| {
        json!({ "id": id, "name": name, "device": { "id": 10 }, "type": { "value": kind },
                "lag": lag })
    };
    let bundle = json!({ "id": 100, "name": "ae0" });
    let interfaces = [
        interface(100, "ae0", "lag", Value::Null),
        interface(101, "xe-0/0/1", "10gbase-x-sfpp", bundle.clone()),
        interface(102, "xe-0/0/2", "10gbase-x-sfpp", bundle),
    ];
    // A name that says nothing: the addresses of the rows do.
    write("export-3.json", &page("/api/dcim/interfaces/", &interfaces));
    let port = |id: u64, name: &str| {
        json!({ "object_type": "dcim.powerport", "object_id": id,
                "object": { "id": id, "name": name, "device": { "id": 10, "name": "sw-1" } } })
    };
    let cable = |id: u64, a: Value, b: Value| {
        json!({ "id": id, "label": format!("K-{id}"), "a_terminations": [a],
                "b_terminations": [b] })
    };
    let feed = json!({ "object_type": "dcim.powerfeed", "object_id": 5,
                       "object": { "id": 5, "name": "A1" } });
    let outlet = json!({ "object_type": "dcim.poweroutlet", "object_id": 50,
                         "object": { "id": 50, "name": "1", "device": { "id": 11 } } });
    let of_circuit = json!({ "object_type": "circuits.circuittermination", "object_id": 9,
                             "object": { "id": 9, "circuit": { "id": 3, "cid": "CKT-1" } } });
    let of_interface = json!({ "object_type": "dcim.interface", "object_id": 101 });
    let of_console = json!({ "object_type": "dcim.consoleport", "object_id": 1 });
    let cables = [
        cable(1, port(20, "PSU0"), feed),
        cable(2, outlet, port(21, "PSU1")),
        cable(3, of_interface, of_circuit),
        cable(4, of_console.clone(), of_console),
    ];
    // One row after the other, as `jq` writes them.
    let lines: String = cables.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(folder.join("cables.json"), lines).unwrap();
    let feeds = [json!({ "id": 5, "name": "A1",
                         "power_panel": { "id": 1, "name": "P1", "site": site } })];
    write("power_feeds.json", &page("/api/dcim/power-feeds/", &feeds));
    let circuits =
        [json!({ "id": 3, "cid": "CKT-1", "status": { "value": "active" }, "tenant": acme })];
    write("circuits.json", &page("/api/circuits/circuits/", &circuits));
}

const NETBOX: [&str; 6] = [
    "netbox/cables.json",
    "netbox/circuits.json",
    "netbox/devices.json",
    "netbox/export-3.json",
    "netbox/power_feeds.json",
    "netbox/tenants.json",
];

/// Files of NetBox's answers and a TOML file that names what is in them.
fn prepared(dir: &Path) -> String {
    netbox(dir);
    let more = "[[service]]\nid = \"hosting\"\ndepends_on = [\"sw-1\"]\naccounts = [\"globex\"]\n\
                [[account]]\nid = \"globex\"\n";
    std::fs::write(dir.join("more.toml"), more).unwrap();
    let listed: Vec<String> = NETBOX.iter().map(|name| format!("{name:?}")).collect();
    format!("inventory = [\"more.toml\", {}]\n", listed.join(", "))
}

#[test]
fn answers_of_netbox_are_read_as_files_beside_others() {
    let dir = tempfile::tempdir().unwrap();
    let text = prepared(dir.path());
    std::fs::write(dir.path().join("good.toml"), configuration(&text)).unwrap();
    let (good, told) = run(&["check", "good.toml"], dir.path());
    assert!(good && told.contains("good; 0 sources"), "{told}");
    assert!(
        told.contains("NetBox cable 4: left out: it ends at no known interface or power port"),
        "{told}"
    );
    let mut words = vec!["inventory", "check", "more.toml"];
    words.extend(NETBOX);
    let (good, told) = run(&words, dir.path());
    assert!(good && told.contains("0 wrong"), "{told}");
    assert!(told.contains("odd: NetBox cable 4: left out"), "{told}");

    // A feed, and the unit that the other supply hangs from: redundancy, and then all of it.
    let ask = |elements: &[&str]| {
        let mut words = vec!["whatif", "down"];
        words.extend(elements);
        words.extend(["--config", "good.toml"]);
        let (good, told) = run(&words, dir.path());
        assert!(good, "{told}");
        told
    };
    let told = ask(&["feed/A1"]);
    assert!(told.starts_with("S4"), "{told}");
    let group = "power/sw-1: 1 of 2 working, needs 1: redundancy lost.";
    assert!(told.contains(group), "{told}");
    let told = ask(&["feed/A1", "pdu-b"]);
    assert!(told.starts_with("S1"), "{told}");
    assert!(told.contains("accounts: acme, globex"), "{told}");
    // By the cable's label, and by the circuit behind it.
    assert!(ask(&["K-3"]).contains("lag/ae0@sw-1: 1 of 2 working"));
    let told = ask(&["CKT-1"]);
    assert!(
        told.starts_with("S2") && told.contains("circuit/CKT-1"),
        "{told}"
    );
}

#[test]
fn a_daemon_decides_by_netbox_files_and_says_how_old_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let text = prepared(dir.path());
    let daemon = Daemon::start_with(dir.path(), &text, &[]);
    let event = json!({ "state": "problem", "summary": "PSU0 lost its input", "host": "sw-1",
                        "component": "PSU0", "check": "power", "severity_hint": "redundancy" });
    daemon.post(&event).unwrap();
    let mut second = event.clone();
    second["component"] = json!("PSU1");
    daemon.post(&second).unwrap();
    let tickets = daemon.until("an S1", |tickets| {
        tickets.len() == 1 && tickets[0]["severity"] == "S1"
    });
    let body = tickets[0]["body"].as_str().unwrap();
    assert!(
        body.contains("Reason: power/sw-1: 0 of 2 working, needs 1: down."),
        "{body}"
    );
    let (_, told) = daemon.verb(&["explain", "INC-1"]);
    assert!(told.contains("6 newer part(s)"), "{told}");

    // A page that is missing is no reason to lose half of it.
    let file = dir.path().join("netbox/export-3.json");
    let mut half: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    half["count"] = json!(250);
    std::fs::write(&file, half.to_string()).unwrap();
    let (good, told) = daemon.verb(&["reload"]);
    assert!(!good, "{told}");
    assert!(
        told.contains("3 of 250 rows of /api/dcim/interfaces/ are there"),
        "{told}"
    );
    std::fs::write(&file, "[{\"name\": \"x\"}]").unwrap();
    let (good, told) = daemon.verb(&["reload"]);
    assert!(
        !good && told.contains("is no list of NetBox's API"),
        "{told}"
    );
    std::fs::write(&file, "[{\"id\": 1, \"name\": \"x\"}]").unwrap();
    let (good, told) = daemon.verb(&["reload"]);
    assert!(!good && told.contains("its name is none of"), "{told}");
}

#[test]
fn inventory_check_finds_what_the_issue_of_an_inventory_is() {
    let dir = tempfile::tempdir().unwrap();
    let toml = r#"
        [[element]]
        id = "a"
        depends_on = ["b"]
        [[element]]
        id = "b"
        depends_on = ["a"]
        [[element]]
        id = "c"
        aliases = ["core"]
        part_of = "nobody"
        [[group]]
        id = "never"
        members = ["a", "b"]
        needs = 3
        [[service]]
        id = "floating"
        "#;
    std::fs::write(dir.path().join("one.toml"), toml).unwrap();
    let csv = "kind,id,aliases,members,accounts\nelement,d,CORE,,\nservice,s,,c,acme\n";
    std::fs::write(dir.path().join("two.csv"), csv).unwrap();
    let (good, told) = run(&["inventory", "check", "one.toml", "two.csv"], dir.path());
    assert!(!good);
    for part in [
        "wrong: `a`: depends on itself through others: a → b → a",
        "wrong: `c`: part_of: `nobody` does not exist",
        "wrong: group `never`: needs 3 of 2 members",
        "wrong: element `d`: alias `CORE` is claimed by `c` as well",
        "wrong: service `floating`: depends_on is empty: nothing can hit it",
        "4 elements, 1 groups, 2 services, 0 accounts: 5 wrong",
    ] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    std::fs::write(dir.path().join("three.csv"), "kind,ident\nelement,x\n").unwrap();
    let (good, told) = run(&["inventory", "check", "three.csv"], dir.path());
    assert!(!good);
    assert!(
        told.contains("three.csv: row 1: unknown column `ident`; known here: kind, id"),
        "{told}"
    );
}

/// A file of many pieces: each mistake is told with its line, wherever it stands.
#[test]
fn mistakes_in_a_large_file_are_told_with_their_lines() {
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::new();
    let mut wrong = Vec::new();
    for n in 0..40_000_u32 {
        let _ = write!(text, "[[element]]\nid = \"host-{n}\"\n");
        if n % 15_000 == 14_999 {
            wrong.push(n * 2 + 3 + u32::try_from(wrong.len()).unwrap());
            text.push_str("aliasses = [\"x\"]\n");
        }
    }
    assert!(text.len() > 1024 * 1024 && wrong.len() == 2);
    std::fs::write(dir.path().join("large.toml"), text).unwrap();
    let config = configuration("inventory = [\"large.toml\"]\n");
    std::fs::write(dir.path().join("main.toml"), config).unwrap();
    for words in [
        &["check", "main.toml"][..],
        &["inventory", "check", "large.toml"],
    ] {
        let (good, told) = run(words, dir.path());
        assert!(!good);
        for line in &wrong {
            let part = format!(
                "large.toml:{line}: element.aliasses: unknown key `aliasses`; did you mean `aliases`?"
            );
            assert!(told.contains(&part), "{part} is missing in {told}");
        }
    }
}
