//! Inventories that change while a daemon runs: by a reload, and pulled from a NetBox.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::{Daemon, configuration, until_within};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

fn until(what: &str, is_true: impl FnMut() -> bool) {
    until_within(60, what, is_true);
}

fn problem(host: &str) -> Value {
    json!({ "state": "problem", "summary": format!("{host} is down"), "host": host,
            "check": "ping", "severity_hint": "outage" })
}

fn shop(more: &str) -> String {
    format!(
        "element = [{{ id = \"web-1\" }}, {{ id = \"web-2\" }}, {{ id = \"web-3\" }}{more}]\n\
         [[service]]\nid = \"shop\"\ndepends_on = [\"web-1\"]\naccounts = [\"acme\"]\n\
         [[service]]\nid = \"mail\"\ndepends_on = [\"web-2\"]\naccounts = [\"acme\"]\n\
         [[account]]\nid = \"acme\"\n"
    )
}

#[test]
fn a_reload_that_takes_away_much_is_refused_until_it_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let inventory = dir.path().join("inventory.toml");
    std::fs::write(&inventory, shop("")).unwrap();
    let daemon = Daemon::start_with(dir.path(), "inventory = [\"inventory.toml\"]\n", &[]);
    daemon.post(&problem("web-1")).unwrap();
    daemon.until("one ticket", |tickets| tickets.len() == 1);
    let (_, told) = daemon.verb(&["explain", "INC-1"]);
    assert!(told.contains("by inventory"), "{told}");
    assert!(told.contains("(inventory: inventory.toml of 2"), "{told}");
    assert!(told.contains("0 min old)"), "{told}");

    // More than there was: taken, and told.
    std::fs::write(&inventory, shop(", { id = \"web-4\", aliases = [\"w4\"] }")).unwrap();
    let (good, told) = daemon.verb(&["reload"]);
    assert!(
        good && told.contains("inventory: 1 added (web-4)"),
        "{told}"
    );

    // Nearly all is gone: refused, by the verb and by the signal, and nothing changes.
    std::fs::write(&inventory, "element = [{ id = \"web-3\" }]\n").unwrap();
    let (good, told) = daemon.verb(&["reload"]);
    assert!(!good);
    for part in [
        "2 of 2 services would be gone: mail, shop",
        "3 of 4 elements and groups would be gone: web-1, web-2, web-4",
        "1 of 1 open incidents would lose their element: INC-1",
        "`alertbridge reload --accept` takes it",
    ] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    let pid = daemon.process.id().to_string();
    Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    until("the signal's refusal stands in the log", || {
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        let mut refused = log.lines().filter(|line| line.contains("reload_refused"));
        let by_signal = refused.rfind(|line| line.contains("SIGHUP"));
        by_signal.is_some_and(|line| line.contains("alertbridge reload --accept"))
    });
    let (_, told) = daemon.verb(&["explain", "INC-1"]);
    assert!(
        told.contains("by inventory") && told.contains("shop"),
        "{told}"
    );

    let (good, told) = daemon.verb(&["reload", "--accept"]);
    assert!(good, "{told}");
    assert!(told.contains("2 services gone (mail, shop)"), "{told}");
    assert!(
        told.contains("1 open incident(s) lose their element (INC-1)"),
        "{told}"
    );
    until("the incident has lost its proof", || {
        daemon.verb(&["explain", "INC-1"]).1.contains("by rule")
    });
}

/// What goes wrong with the next answer.
enum Fault {
    /// Too many requests; come back in a second.
    Busy,
    /// The connection breaks within the body.
    Torn,
    /// The body stops coming.
    Slow,
}

#[derive(Default)]
struct NetBox {
    lists: BTreeMap<&'static str, Vec<Value>>,
    faults: VecDeque<Fault>,
    locked: bool,
    /// Paths that were asked for, with their queries.
    asked: Vec<String>,
    answered: usize,
}

const PAGE: usize = 2;

impl NetBox {
    fn device(&mut self, id: u64, name: &str, tenant: Option<&str>) {
        let tenant = tenant.map(|slug| json!({ "id": 1, "slug": slug }));
        self.lists
            .entry("/api/dcim/devices/")
            .or_default()
            .push(json!({
            "id": id, "name": name, "site": { "id": 1, "slug": "ams" }, "tenant": tenant,
            "status": { "value": "active" } }));
    }

    fn page(&self, path: &str, query: &str) -> String {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let offset = pairs.into_owned().find(|(key, _)| key == "offset");
        let offset: usize = offset.map_or(0, |(_, value)| value.parse().unwrap());
        let rows = self.lists.get(path).map_or(&[][..], Vec::as_slice);
        let results = &rows[offset.min(rows.len())..(offset + PAGE).min(rows.len())];
        // As behind a proxy: the host is NetBox's own.
        let next = (offset + PAGE < rows.len()).then(|| {
            format!(
                "http://10.0.0.1:8001{path}?limit={PAGE}&offset={}",
                offset + PAGE
            )
        });
        json!({ "count": rows.len(), "next": next, "previous": null, "results": results })
            .to_string()
    }
}

fn answer(mut stream: TcpStream, netbox: &Mutex<NetBox>) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    let known = head
        .to_lowercase()
        .contains("authorization: token nb-secret\r\n");
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (status, more, body, fault) = {
        let mut netbox = netbox.lock().unwrap();
        netbox.asked.push(target.clone());
        let fault = netbox.faults.pop_front();
        if netbox.locked || !known {
            let body = json!({ "detail": "Invalid token" }).to_string();
            ("403 Forbidden", "", body, None)
        } else if matches!(fault, Some(Fault::Busy)) {
            let body = json!({ "detail": "slow down" }).to_string();
            ("429 Too Many Requests", "Retry-After: 1\r\n", body, None)
        } else {
            netbox.answered += 1;
            ("200 OK", "", netbox.page(path, query), fault)
        }
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Connection: close\r\n\
         Content-Length: {length}\r\n\r\n"
    )?;
    if fault.is_some() {
        stream.write_all(&body.as_bytes()[..length / 2])?;
        stream.flush()?;
        if matches!(fault, Some(Fault::Slow)) {
            // Until the other side has had enough.
            let _ = stream.read(&mut byte);
        }
        return Ok(());
    }
    stream.write_all(body.as_bytes())
}

fn serve(netbox: &Arc<Mutex<NetBox>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let netbox = netbox.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, netbox) = (stream.unwrap(), netbox.clone());
            std::thread::spawn(move || answer(stream, &netbox));
        }
    });
    url
}

fn pulls(daemon: &Daemon, outcome: &str) -> u64 {
    let name = format!("alertbridge_inventory_pulls_total{{netbox=\"dc\",outcome=\"{outcome}\"}} ");
    let text = daemon.metrics();
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.map_or(0, |count| count.parse().unwrap())
}

fn readiness(daemon: &Daemon) -> (u16, String) {
    daemon.ask("operators", "GET", "/readyz", "").unwrap()
}

fn section(url: &str) -> String {
    format!(
        "[netbox.dc]\nurl = \"{url}\"\ntoken = {{ file = \"nb-token\" }}\nevery = \"1s\"\n\
         connection = {{ timeout_seconds = 2 }}\n"
    )
}

#[test]
fn netbox_is_pulled_page_by_page_and_what_goes_wrong_leaves_the_last_good_copy() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("nb-token"), "nb-secret\n").unwrap();
    let netbox = Arc::new(Mutex::new(NetBox::default()));
    {
        let mut netbox = netbox.lock().unwrap();
        let tenants = [json!({ "id": 1, "name": "Acme", "slug": "acme" })];
        netbox.lists.insert("/api/tenancy/tenants/", tenants.into());
        for id in 1..=5 {
            netbox.device(id, &format!("sw-{id}"), (id <= 3).then_some("acme"));
        }
    }
    let url = serve(&netbox);
    let daemon = Daemon::start_with(dir.path(), &section(&url), &[]);
    until("the first pull is in force", || {
        pulls(&daemon, "taken") == 1
    });
    // The last device stands on the third page.
    daemon.post(&problem("sw-5")).unwrap();
    daemon.post(&problem("sw-1")).unwrap();
    daemon.until("two tickets", |tickets| tickets.len() == 2);
    let (_, told) = daemon.verb(&["explain", "INC-1"]);
    assert!(
        told.contains("1 element(s) have failed now (inventory: netbox.dc of 2"),
        "{told}"
    );
    let (_, told) = daemon.verb(&["explain", "INC-2"]);
    assert!(
        told.contains("S2 (impact)") && told.contains("device/sw-1"),
        "{told}"
    );
    assert!(
        netbox
            .lock()
            .unwrap()
            .asked
            .iter()
            .any(|path| path.ends_with("offset=4"))
    );

    // Too many requests, a torn answer, a body that stops: asked again, and the pull is good.
    for fault in [Fault::Busy, Fault::Torn, Fault::Slow] {
        let before = pulls(&daemon, "unchanged");
        netbox.lock().unwrap().faults.push_back(fault);
        until("the fault was met", || {
            netbox.lock().unwrap().faults.is_empty()
        });
        until("the pull was good all the same", || {
            pulls(&daemon, "unchanged") > before + 1
        });
    }
    assert_eq!((pulls(&daemon, "failed"), pulls(&daemon, "taken")), (0, 1));
    assert_eq!(readiness(&daemon), (200, "ready\n".to_owned()));

    // An answer that has shrunk is held and shown; the old one stays.
    let all = netbox.lock().unwrap().lists["/api/dcim/devices/"].clone();
    let few = all.iter().take(1).cloned().collect();
    netbox
        .lock()
        .unwrap()
        .lists
        .insert("/api/dcim/devices/", few);
    until("the pull is held", || pulls(&daemon, "held") > 0);
    assert!(
        daemon
            .metrics()
            .contains("alertbridge_inventory_pull_held{netbox=\"dc\"} 1")
    );
    let (status, told) = readiness(&daemon);
    assert_eq!(status, 200);
    assert!(told.contains("netbox.dc: a pull is held since"), "{told}");
    assert!(
        told.contains("2 of 3 services would be gone: device/sw-2, device/sw-3"),
        "{told}"
    );
    assert!(told.contains("alertbridge reload --accept"), "{told}");
    let (good, _) = daemon.verb(&["reload"]);
    assert!(good, "a plain reload keeps it held");
    assert!(daemon.verb(&["explain", "INC-1"]).1.contains("sw-5"));
    assert_eq!(pulls(&daemon, "taken"), 1);

    // Once it is whole again nothing is held; a person can also take it as it is.
    netbox
        .lock()
        .unwrap()
        .lists
        .insert("/api/dcim/devices/", all);
    until("nothing is held", || readiness(&daemon).1 == "ready\n");
    netbox
        .lock()
        .unwrap()
        .lists
        .get_mut("/api/dcim/devices/")
        .unwrap()
        .truncate(1);
    until("it is held again", || {
        readiness(&daemon).1.contains("is held")
    });
    let (good, told) = daemon.verb(&["reload", "--accept"]);
    assert!(
        good && told.contains("2 services gone (device/sw-2, device/sw-3)"),
        "{told}"
    );
    until("it is taken", || {
        pulls(&daemon, "taken") == 2 && readiness(&daemon).1 == "ready\n"
    });

    // A token that is refused: told, the inventory stays, and the token is in no log.
    netbox.lock().unwrap().locked = true;
    until("the refusal is told", || {
        readiness(&daemon)
            .1
            .contains("not pulled: HTTP 403 Invalid token; is the token right")
    });
    daemon.kill();

    // NetBox is not there at a start: the copy is.
    let dead = "http://127.0.0.1:9";
    let daemon = Daemon::start_with(dir.path(), &section(dead), &[]);
    until("the pull fails", || pulls(&daemon, "failed") > 0);
    let (_, told) = daemon.verb(&["explain", "INC-2"]);
    assert!(
        told.contains("sw-1: down") && told.contains("netbox.dc of 2"),
        "{told}"
    );
    let config = dir.path().join("config.toml");
    let words = [
        "whatif",
        "down",
        "sw-1",
        "--config",
        config.to_str().unwrap(),
    ];
    let (good, told) = daemon.verb(&words);
    assert!(good && told.contains("device/sw-1"), "{told}");
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains("nb-secret"));
    let copy = dir.path().join("data/netbox-dc.json");
    assert!(!std::fs::read_to_string(copy).unwrap().contains("nb-secret"));
}

#[test]
fn contacts_of_tenants_speak_by_mail_as_those_of_files_do() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("nb-token"), "nb-secret\n").unwrap();
    let tenant = |id: u64, slug: &str, mail: &str| json!({ "id": id, "name": slug, "slug": slug, "custom_fields": { "mail": mail } });
    let netbox = Arc::new(Mutex::new(NetBox::default()));
    {
        let mut netbox = netbox.lock().unwrap();
        let tenants = vec![
            tenant(1, "acme", "noc@acme.example, ops@acme.example"),
            // What speaks for another already, and what is no address, is left out.
            tenant(2, "globex", "@globex.example NOC@acme.example nobody"),
        ];
        netbox.lists.insert("/api/tenancy/tenants/", tenants);
        netbox.device(1, "sw-1", Some("acme"));
        netbox.device(2, "sw-2", Some("globex"));
    }
    let url = serve(&netbox);
    let trusted = "[[mail.trusted_server]]\nauthserv_id = \"mx.noc.example\"\n\
                   peers = [\"127.0.0.1/32\"]\n[engine]\nhold_outage = \"0s\"\n";
    let daemon = Daemon::start_with(dir.path(), &(section(&url) + trusted), &[]);
    until("the first pull is in force", || {
        pulls(&daemon, "taken") == 1
    });
    let send = |from: &str, host: &str, word: &str, state: &str| {
        let domain = from.rsplit_once('@').unwrap().1;
        let mail = format!(
            "Authentication-Results: mx.noc.example; dmarc=pass header.from={domain}\r\n\
             From: {from}\r\nSubject: ** {word} Host Alert: {host} is {state} **\r\n\r\n\
             Notification Type: {word}\r\nHost: {host}\r\nState: {state}\r\n"
        );
        daemon.mail("alerts@noc.example", from, &mail);
    };
    let shown = |id: &str| {
        let path = format!("/api/v1/incidents/{id}");
        let (_, body) = daemon.ask("operators", "GET", &path, "").unwrap();
        serde_json::from_str::<Value>(&body).unwrap()
    };
    send("noc@acme.example", "sw-1", "PROBLEM", "DOWN");
    daemon.until("a ticket", |tickets| tickets.len() == 1);
    assert_eq!(shown("INC-1")["basis"], "inventory");
    // Others close nothing of it: neither another account's contact nor a stranger.
    send("x@globex.example", "sw-1", "RECOVERY", "UP");
    send("x@evil.example", "sw-1", "RECOVERY", "UP");
    until("the stranger waits", || {
        let (_, body) = daemon
            .ask("operators", "GET", "/api/v1/quarantine", "")
            .unwrap();
        body.contains("x@evil.example")
    });
    assert_eq!(shown("INC-1")["state"], "open");

    // A contact that NetBox takes away speaks no longer, and a new one does.
    netbox.lock().unwrap().lists.insert(
        "/api/tenancy/tenants/",
        vec![
            tenant(1, "acme", "ops@acme.example"),
            tenant(2, "globex", "@globex.example"),
        ],
    );
    until("the second pull is in force", || {
        pulls(&daemon, "taken") == 2
    });
    send("noc@acme.example", "sw-1", "RECOVERY", "UP");
    until("it waits too", || {
        let (_, body) = daemon
            .ask("operators", "GET", "/api/v1/quarantine", "")
            .unwrap();
        body.contains("`noc@acme.example` is not known")
    });
    assert_eq!(shown("INC-1")["state"], "open");
    send("ops@acme.example", "sw-1", "RECOVERY", "UP");
    until("it is over", || shown("INC-1")["state"] == "resolved");
    daemon.kill();

    // The copy that is kept counts before NetBox answers again.
    netbox.lock().unwrap().locked = true;
    let daemon = Daemon::start_with(dir.path(), &(section(&url) + trusted), &[]);
    let stranger = "From: y@evil.example\r\nSubject: ** PROBLEM Host Alert: sw-2 is DOWN **\r\n\r\n\
                    Notification Type: PROBLEM\r\nHost: sw-2\r\nState: DOWN\r\n";
    daemon.mail("alerts@noc.example", "y@evil.example", stranger);
    until("the stranger waits again", || {
        let (_, body) = daemon
            .ask("operators", "GET", "/api/v1/quarantine", "")
            .unwrap();
        body.contains("y@evil.example")
    });
}

#[test]
fn a_netbox_section_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("nb-token"), "nb-secret\n").unwrap();
    let config = dir.path().join("bad.toml");
    let check = |more: &str| {
        let text = format!(
            "[netbox.dc]\nurl = \"http://netbox.example.net/\"\ntoken = {{ file = \"nb-token\" }}\n{more}"
        );
        std::fs::write(&config, configuration(&text)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
            .arg("check")
            .arg(&config)
            .output()
            .unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let told = check("");
    assert!(
        told.contains("netbox.dc.url: the token would go without TLS"),
        "{told}"
    );
    let told = check("plaintext = true\nevry = \"1h\"\n");
    assert!(told.contains("did you mean `every`?"), "{told}");
    let told = check("plaintext = true\nevery = \"1h\"\n");
    assert!(
        told.contains("good;") && told.contains("netbox.dc: not asked"),
        "{told}"
    );
}
