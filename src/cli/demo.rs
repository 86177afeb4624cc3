//! `alertbridge demo`: a bad night in under two minutes.
//!
//! Starts the daemon with the demo's configuration and a fresh data directory, plays recordings of
//! real senders into it over HTTP and SMTP, and prints each ticket as it opens, changes and closes.

use super::client::{Daemon as Connection, text};
use super::{block_on, problems_found, say};
use lettre::Transport;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// Arguments of `demo`.
#[derive(clap::Args)]
pub struct Args {
    /// Serve on free ports instead of the default ones.
    #[arg(long)]
    free_ports: bool,
    /// Go on serving when the night is over, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Holds the demo's data; a fresh folder below the temporary one unless said.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

const CONFIG: &str = include_str!("../../config/demo.toml");
const INVENTORY: &str = include_str!("../../config/demo-inventory.toml");

/// One recording: when it is played (seconds), what a person should know, and the bytes.
struct Scene {
    at: u64,
    story: &'static str,
    what: Play,
}

enum Play {
    Http(&'static str),
    Mail(&'static str),
    /// What the operator does: a false alarm is found to be one.
    FalseAlarm(&'static str),
}

macro_rules! http {
    ($name:literal) => {
        Play::Http(include_str!(concat!("demo/", $name, ".http")))
    };
}

macro_rules! mail {
    ($name:literal) => {
        Play::Mail(include_str!(concat!("demo/", $name, ".eml")))
    };
}

const fn scene(at: u64, story: &'static str, what: Play) -> Scene {
    Scene { at, story, what }
}

/// The night. Empty stories are noise that the monitors make on top.
const NIGHT: &[Scene] = &[
    scene(
        1,
        "Prometheus: power feed B has no voltage",
        http!("01-feed-b-down"),
    ),
    scene(
        2,
        "Nagios mail: PSU 2 of core-sw1 lost its input",
        mail!("02-psu2-failed"),
    ),
    scene(3, "", http!("03-feed-b-repeat")),
    scene(5, "", http!("03-feed-b-repeat")),
    scene(
        9,
        "Prometheus: feed A is down too, both in one message",
        http!("04-feed-a-down"),
    ),
    scene(
        10,
        "Prometheus: core-sw1 and access-sw3 do not answer",
        http!("05-hosts-down"),
    ),
    scene(12, "", http!("06-hosts-repeat")),
    scene(14, "", http!("06-hosts-repeat")),
    scene(
        15,
        "Grafana: storage latency is high",
        http!("09-latency-high"),
    ),
    scene(
        17,
        "Prometheus: carrier link 2 of edge-rtr1 goes down, and comes, and goes",
        http!("07-link-down-1"),
    ),
    scene(18, "", http!("08-link-up-1")),
    scene(19, "", http!("07-link-down-2")),
    scene(20, "", http!("08-link-up-2")),
    scene(21, "", http!("07-link-down-3")),
    scene(22, "", http!("08-link-up-3")),
    scene(23, "", http!("07-link-down-4")),
    scene(24, "", http!("08-link-up-4")),
    scene(
        26,
        "Zabbix: a fan is slow, and a second later it is not",
        http!("12-blip-down"),
    ),
    scene(27, "", http!("12-blip-up")),
    scene(
        29,
        "Prometheus: inlet 7 reports 91 °C, its neighbours 24 °C",
        http!("15-hot"),
    ),
    scene(32, "A mail that no format knows", mail!("17-strange")),
    scene(
        35,
        "Feed A is back, and the switches answer",
        http!("10-feed-a-up"),
    ),
    scene(35, "", http!("11-hosts-up")),
    scene(38, "Grafana: storage is fast again", http!("13-latency-ok")),
    scene(
        40,
        "The operator looks at inlet 7: a broken sensor",
        Play::FalseAlarm("InletTemperatureHigh"),
    ),
    scene(
        50,
        "Feed B is back, and PSU 2 with it",
        http!("14-feed-b-up"),
    ),
    scene(51, "", mail!("16-psu2-ok")),
];

/// Time after the last scene in which tickets may still close.
const AFTERMATH: Duration = Duration::from_secs(14);

/// Plays the night.
pub fn run(args: &Args) -> ExitCode {
    match play(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => problems_found(&[why]),
    }
}

struct Running {
    process: Child,
    addresses: Value,
    folder: PathBuf,
}

impl Drop for Running {
    fn drop(&mut self) {
        let pid = self.process.id().to_string();
        let _ = Command::new("kill").arg(&pid).status();
        let _ = self.process.wait();
    }
}

fn start(args: &Args) -> Result<Running, String> {
    let folder = args.data_dir.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("alertbridge-demo-{}", std::process::id()))
    });
    let cannot = |what: &str, error: std::io::Error| format!("cannot {what}: {error}");
    std::fs::create_dir_all(&folder).map_err(|e| cannot("make the demo's folder", e))?;
    let mut config = CONFIG.to_owned();
    if args.free_ports {
        for door in ["http", "smtp", "lmtp", "operators"] {
            config.push_str(&format!("\n[{door}]\nlisten = \"127.0.0.1:0\"\n"));
        }
    }
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).map_err(|e| cannot("write the demo's files", e))
    };
    write("demo.toml", &config)?;
    write("demo-inventory.toml", INVENTORY)?;
    let log = std::fs::File::create(folder.join("daemon.log"))
        .map_err(|e| cannot("write the daemon's log", e))?;
    let program = std::env::current_exe().map_err(|e| cannot("find this program", e))?;
    let ready = folder.join("ready.json");
    let _ = std::fs::remove_file(&ready);
    let mut process = Command::new(program)
        .arg("serve")
        .args([Path::new("--config"), &folder.join("demo.toml")])
        .args([Path::new("--data-dir"), &folder.join("data")])
        .args([Path::new("--ready-file"), &ready])
        .stdin(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|e| cannot("start the daemon", e))?;
    let began = Instant::now();
    loop {
        if let Ok(text) = std::fs::read_to_string(&ready)
            && let Ok(addresses) = serde_json::from_str(&text)
        {
            return Ok(Running {
                process,
                addresses,
                folder,
            });
        }
        if process.try_wait().is_ok_and(|ended| ended.is_some()) {
            let log = std::fs::read_to_string(folder.join("daemon.log")).unwrap_or_default();
            return Err(format!("the daemon did not start:\n{log}"));
        }
        if began.elapsed() > Duration::from_secs(30) {
            let _ = process.kill();
            return Err("the daemon was not ready within 30 s".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn play(args: &Args) -> Result<(), String> {
    let running = start(args)?;
    let address = |door: &str| text(&running.addresses, door);
    say(&format!("webhooks  http://{}", address("http")));
    say(&format!("mail      smtp://{}", address("smtp")));
    say(&format!("board     http://{}/", address("operators")));
    say(&format!(
        "metrics   http://{}/metrics",
        address("operators")
    ));
    say(&format!(
        "log       {}\n",
        running.folder.join("daemon.log").display()
    ));
    let connection = Connection::at(running.folder.join("data"));
    let began = Instant::now();
    let mut watch = Watch::new(began);
    let mut messages = 0;
    for scene in NIGHT {
        watch.until(&connection, began + Duration::from_secs(scene.at))?;
        if !scene.story.is_empty() {
            say(&format!("{:>4}s        {}", scene.at, scene.story));
        }
        match &scene.what {
            Play::Http(recording) => send_http(&address("http"), recording)?,
            Play::Mail(recording) => send_mail(&address("smtp"), recording)?,
            Play::FalseAlarm(title) => false_alarm(&connection, title)?,
        }
        messages += u32::from(!matches!(scene.what, Play::FalseAlarm(_)));
    }
    let last = NIGHT.last().map_or(0, |scene| scene.at);
    let end = began + Duration::from_secs(last) + AFTERMATH;
    watch.until(&connection, end)?;
    say(&format!(
        "\n{messages} messages, {} tickets, {} of them closed.",
        watch.seen.len(),
        watch.closed()
    ));
    say("Each of them, with its reasons: alertbridge incidents INC-1 --data-dir DIR, with DIR:");
    say(&format!("  {}", running.folder.join("data").display()));
    if args.keep {
        say("The daemon goes on until Ctrl-C.");
        let mut running = running;
        let _ = running.process.wait();
    }
    Ok(())
}

fn filled(recording: &str) -> String {
    let now = jiff::Timestamp::now().to_zoned_datetime(jiff::tz::TimeZone::UTC);
    let began = now.timestamp().to_string();
    recording
        .replace("{{now}}", &began)
        .replace("{{began}}", &began)
        .replace(
            "{{date}}",
            &now.strftime("%a %b %e %H:%M:%S %Z %Y").to_string(),
        )
        .replace(
            "{{mail_date}}",
            &now.strftime("%a, %d %b %Y %H:%M:%S %z").to_string(),
        )
        .replace("{{stamp}}", &now.timestamp().as_nanosecond().to_string())
}

fn send_http(address: &str, recording: &str) -> Result<(), String> {
    let recording = filled(recording);
    let (head, body) = recording
        .split_once("\n\n")
        .ok_or("a recording has no empty line after its head")?;
    let mut lines = head.lines();
    let path = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .ok_or("a recording has no request line")?;
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()
        .map_err(|error| error.to_string())?;
    let mut request = client.post(format!("http://{address}{path}"));
    for line in lines {
        if let Some((name, value)) = line.split_once(": ")
            && !name.eq_ignore_ascii_case("host")
        {
            request = request.header(name, value);
        }
    }
    let sent = block_on(async { request.body(body.to_owned()).send().await })?;
    let status = sent.map_err(|error| error.to_string())?.status();
    if status.is_success() {
        return Ok(());
    }
    Err(format!("the webhook door answered {status}"))
}

fn send_mail(address: &str, recording: &str) -> Result<(), String> {
    let mail = filled(recording).replace('\n', "\r\n");
    let header = |name: &str| {
        mail.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|value| value.trim().parse::<lettre::Address>().ok())
    };
    let to = header("To:").ok_or("a recorded mail has no recipient")?;
    let envelope = lettre::address::Envelope::new(header("From:"), vec![to])
        .map_err(|error| error.to_string())?;
    let (host, port) = address
        .rsplit_once(':')
        .and_then(|(host, port)| Some((host, port.parse().ok()?)))
        .ok_or("the mail door has no address")?;
    lettre::SmtpTransport::builder_dangerous(host)
        .port(port)
        .build()
        .send_raw(&envelope, mail.as_bytes())
        .map(|_| ())
        .map_err(|error| format!("the mail door did not take a mail: {error}"))
}

fn false_alarm(connection: &Connection, title: &str) -> Result<(), String> {
    let open = connection.list("/api/v1/incidents?state=open", "incidents", "before")?;
    let found = open.iter().find(|row| {
        let alerts = row.get("alerts").map(ToString::to_string);
        alerts.unwrap_or_default().contains(title)
    });
    let id = found.map(|row| text(row, "id"));
    let id = id.ok_or_else(|| format!("no incident is about {title}"))?;
    let body = serde_json::json!({ "false_alarm": true, "text": "The sensor is broken." });
    connection
        .post(&format!("/api/v1/incidents/{id}/resolve"), body)
        .map(|_| ())
}

/// What was seen of tickets, to tell what is new.
struct Watch {
    began: Instant,
    seen: BTreeMap<String, (String, String)>,
}

impl Watch {
    fn new(began: Instant) -> Watch {
        Watch {
            began,
            seen: BTreeMap::new(),
        }
    }

    fn closed(&self) -> usize {
        let over = |status: &String| status == "resolved" || status == "closed";
        self.seen
            .values()
            .filter(|(_, status)| over(status))
            .count()
    }

    /// Looks until that instant, and prints what is new.
    fn until(&mut self, connection: &Connection, end: Instant) -> Result<(), String> {
        loop {
            self.look(connection)?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(200)));
        }
    }

    fn look(&mut self, connection: &Connection) -> Result<(), String> {
        let mut rows = connection.list("/api/v1/incidents?state=all", "incidents", "before")?;
        rows.reverse();
        for row in &rows {
            let tickets = row.get("tickets").and_then(Value::as_array);
            for ticket in tickets.into_iter().flatten() {
                let key = text(ticket, "key");
                if !key.is_empty() {
                    self.tell(&key, row, ticket);
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self, key: &str, row: &Value, ticket: &Value) {
        let severity = match (text(row, "ended").as_str(), text(row, "severity")) {
            ("false_alarm", _) => "S5".to_owned(),
            (_, severity) => severity,
        };
        let new = (severity.clone(), text(ticket, "status"));
        let old = self.seen.insert(key.to_owned(), new.clone());
        if old.as_ref() == Some(&new) {
            return;
        }
        let what = match &old {
            None => "OPENS".to_owned(),
            Some(_) if matches!(new.1.as_str(), "resolved" | "closed") => "CLOSES".to_owned(),
            Some((before, _)) if *before != severity => format!("{before} → {severity}"),
            Some(_) => new.1.to_uppercase(),
        };
        let at = self.began.elapsed().as_secs();
        say(&format!(
            "{at:>4}s  ticket {key} {what:8} {severity}  {}\n             {}",
            text(row, "title"),
            text(row, "reason")
        ));
    }
}
