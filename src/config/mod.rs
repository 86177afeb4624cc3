//! Configuration: TOML files and the environment, strict. [`read`] tells what is wrong with each
//! file by line and key; [`sections`] holds the types of sections that belong to the daemon
//! itself; here the parts are put together, and what only shows then is told as well. Problems
//! come all at once.

mod doors;
mod files;
mod inventory;
mod notices;
mod pulled;
pub mod read;
mod refused;
mod routes;
mod sealing;
pub mod sections;
mod trackers;
mod watch;

use crate::delivery::templates::Templates;
use crate::engine::{DeadMan, Decisions, RecurringWindow};
use crate::formats::mapped::Mappings;
use crate::intake::redact::Redactor;
use crate::intake::senders::MailTrust;
use crate::intake::source::{Credential, SourceConfig, Sources, heartbeat_source};
use crate::inventory::InventoryFile;
use crate::limits::NAMES_TOLD_MAX;
use crate::model::Time;
use crate::model::input::OWN_SOURCE;
use crate::notices::Ways;
use crate::rules::{Matcher, Ruleset};
use crate::store::sealing::Keyring;
pub use files::MailReading;
pub use inventory::{InventoryFiles, read_inventory};
pub use pulled::{NetboxSection, Pulled, PulledByName, kept_copies};
use read::Lists;
pub use read::Problem;
pub use sections::ConfigFile;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
pub use trackers::ConfiguredTracker;
pub use watch::{Expiring, WatchMail};

/// Environment variables that begin so set single keys: `ALERTBRIDGE__HTTP__LISTEN`.
const ENVIRONMENT: &str = "ALERTBRIDGE";

/// Everything that was read.
#[derive(Clone)]
pub struct Config {
    /// The sections as written.
    pub file: ConfigFile,
    /// What the engine decides by.
    pub decisions: Decisions,
    /// Keys for what is sensitive.
    pub keyring: Arc<Keyring>,
    /// TLS of the doors that have it.
    pub tls: sections::DoorsTls,
    /// Ticket systems beside the built-in desk.
    pub trackers: BTreeMap<String, ConfiguredTracker>,
    /// Templates of tickets by route.
    pub templates: BTreeMap<String, Templates>,
    /// The way out for letters that need no store.
    pub watch_mail: Option<Arc<WatchMail>>,
    /// Certificates and tokens whose end is known.
    pub expiring: Vec<Expiring>,
    /// Operators' own mail templates, and what tells our own mails.
    pub mail: Arc<MailReading>,
    /// By what authors of mails are judged.
    pub trust: Arc<MailTrust>,
    /// What is masked before anything is stored.
    pub redactor: Arc<Redactor>,
    /// How notices get out.
    pub ways: Arc<Ways>,
    /// What is not wrong, and worth a look.
    pub warnings: Vec<Problem>,
    /// When it was read.
    pub read_at: Time,
    /// The texts that it was read from, for the journal: name and content.
    pub texts: Vec<(String, String)>,
    /// Tells these texts from others.
    pub digest: String,
    /// The inventory out of files, to which is added what was pulled.
    inventory_parts: Arc<InventoryFile>,
    /// Tells the inventory in force from another one.
    pub inventory_digest: String,
    /// Inventory files, and when they were written.
    inventory_files: Vec<(String, Time)>,
    /// What was pulled, and when.
    inventory_pulls: Vec<(String, Time)>,
}

/// Reads the file, the `conf.d/*.toml` beside it, and the environment; without a file the
/// defaults and the environment.
pub fn load(path: Option<&Path>) -> Result<Config, Vec<Problem>> {
    load_with(path, std::env::vars().collect())
}

/// The same with the environment given.
pub fn load_with(
    path: Option<&Path>,
    environment: Vec<(String, String)>,
) -> Result<Config, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut whole = toml::Table::new();
    let mut sound = Some(toml::Table::new());
    let mut refused = Vec::new();
    let mut texts = Vec::new();
    let folder = path
        .and_then(Path::parent)
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    for file in files(path, &mut problems) {
        let shown = file.display().to_string();
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                let beside = file.parent().unwrap_or(Path::new("."));
                let (content, found) = read::file::<ConfigFile>(&shown, &text, beside);
                problems.extend(found);
                read::merge(&mut whole, content.table, Lists::Continued);
                refused.extend(content.refused);
                sound = sound.zip(content.sound).map(|(mut all, more)| {
                    read::merge(&mut all, more, Lists::Continued);
                    all
                });
                texts.push((shown, text));
            }
            Err(error) => problems.push(Problem {
                file: shown,
                ..Problem::of("", format!("cannot be read: {error}"))
            }),
        }
    }
    match from_environment(environment) {
        Ok(table) => {
            if let Some(sound) = &mut sound {
                read::merge(sound, table.clone(), Lists::Replaced);
            }
            read::merge(&mut whole, table, Lists::Replaced);
        }
        Err(error) => problems.push(Problem::of("environment", error)),
    }
    let together = |table: toml::Table| {
        let file = ConfigFile::deserialize_from(table)
            .map_err(|error| vec![Problem::of("", error.to_string())])?;
        put_together(file, &folder).map_err(|mut problems| {
            for problem in problems.iter_mut().filter(|found| found.file.is_empty()) {
                read::locate(problem, &texts);
            }
            problems
        })
    };
    if !problems.is_empty() {
        // One mistake does not hide what is wrong elsewhere.
        let further = sound.map(together).and_then(Result::err);
        let of_its_own = |problem: &Problem| !refused::may_follow(problem, &refused);
        problems.extend(further.into_iter().flatten().filter(of_its_own));
        return Err(problems);
    }
    let mut config = together(whole)?;
    config.texts.extend(texts);
    config.digest = digest(&config.texts);
    Ok(config)
}

impl Config {
    /// With `every`, the first words of every source are one list.
    pub fn list_first_contacts(&mut self, every: bool) {
        if every {
            let all = crate::engine::EVERY_SOURCE.to_owned();
            self.decisions.baseline.insert(all);
        }
    }
}

fn digest(texts: &[(String, String)]) -> String {
    let mut hash = Sha256::new();
    for (name, text) in texts {
        for part in [name, text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
    }
    hex(&hash.finalize())
}

/// The first half of a hash in hexadecimal digits.
fn hex(hash: &[u8]) -> String {
    use std::fmt::Write;
    let half = hash.iter().take(16);
    half.fold(String::with_capacity(32), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Tells the entries of an inventory from others.
fn inventory_digest(entries: &InventoryFile) -> String {
    let mut hash = Sha256::new();
    entries.each_part(|bytes| hash.update(bytes));
    hex(&hash.finalize())
}

fn files(path: Option<&Path>, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let Some(path) = path else { return Vec::new() };
    let mut files = vec![path.to_path_buf()];
    let folder = path.parent().unwrap_or(Path::new(".")).join("conf.d");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return files,
        Err(error) => {
            let what = format!("{} cannot be read: {error}", folder.display());
            problems.push(Problem::of("", what));
            return files;
        }
    };
    let mut more: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    more.sort();
    files.extend(more);
    files
}

fn from_environment(environment: Vec<(String, String)>) -> Result<toml::Table, String> {
    let source = config::Environment::with_prefix(ENVIRONMENT)
        .prefix_separator("__")
        .separator("__")
        .try_parsing(true)
        .source(Some(environment.into_iter().collect()));
    let read = config::Config::builder().add_source(source).build();
    read.and_then(config::Config::try_deserialize)
        .map_err(|error| error.to_string())
}

fn put_together(mut file: ConfigFile, folder: &Path) -> Result<Config, Vec<Problem>> {
    let mut problems = Vec::new();
    doors::check(&file, &mut problems);
    map_sources(&mut file, &mut problems);
    check_sources(&file, &mut problems);
    let keyring = sealing::keyring(&file, &mut problems);
    let tls = sections::DoorsTls::read(&file, folder, &mut problems);
    let rules = Ruleset::compile(file.rule.clone()).unwrap_or_else(|found| {
        problems.extend(found.into_iter().map(|what| Problem::of("rule", what)));
        Ruleset::default()
    });
    let mut texts = Vec::new();
    let mut trackers = trackers::build(&file.tracker, &mut problems);
    let routes = routes::build(&file, (folder, &trackers), &mut texts, &mut problems);
    let monitors = trackers::monitors(&file.source, &mut problems);
    let watch_mail = watch::mail(&file, folder, &mut problems);
    let mut expiring = watch::certificates(&file, folder);
    expiring.extend(trackers::tokens(&trackers));
    let mut recurring = Vec::new();
    for section in &file.maintenance {
        match RecurringWindow::compile(section.clone()) {
            Ok(window)
                if recurring
                    .iter()
                    .any(|w: &RecurringWindow| w.name == window.name) =>
            {
                let what = format!("two windows are called `{}`", window.name);
                problems.push(Problem::of("maintenance", what));
            }
            Ok(window) => recurring.push(window),
            Err(what) => problems.push(Problem::of("maintenance", what)),
        }
    }
    let sla = files::sla(&file, folder, &mut texts, &mut problems);
    let mail = files::mail_reading(&file, folder, &mut texts, &mut problems);
    for (name, section) in &file.netbox {
        NetboxSection::check(name, section, &mut problems);
    }
    let inventory = files::inventory(&file, folder, &mut texts, &mut problems);
    let trust = files::mail_trust(&file, &inventory.built, &keyring, &mut problems);
    let redactor = Redactor::new(&file.redact)
        .map_err(|found| {
            problems.extend(found.into_iter().map(|what| Problem::of("redact", what)));
        })
        .ok();
    let told = notices::build(&file, folder, &sla, &mut texts, &mut problems);
    let Some(redactor) = redactor.filter(|_| problems.is_empty()) else {
        return Err(problems);
    };
    for warning in &told.warnings {
        tracing::warn!(key = warning.key, what = warning.what, "notices_look_wrong");
    }
    for odd in inventory.warnings.iter().take(NAMES_TOLD_MAX) {
        tracing::warn!(%odd, "netbox_left_out");
    }
    let mut warnings = told.warnings;
    warnings.extend(inventory.warnings);
    let expected = file.source.iter().flat_map(expectations).collect();
    let acknowledges = file
        .source
        .iter()
        .filter(|source| source.acknowledge.is_some())
        .map(|source| {
            let name = crate::trackers::monitors::name_of(&source.name);
            (source.name.clone(), name)
        })
        .collect();
    trackers.extend(monitors);
    let baseline = file
        .source
        .iter()
        .filter(|source| source.baseline)
        .map(|source| source.name.clone())
        .collect();
    let dead_men = file.source.iter().flat_map(dead_men).collect();
    let decisions = Decisions {
        settings: file.engine.clone(),
        inventory: Arc::new(inventory.built),
        rules: Arc::new(rules),
        routes: routes.routes,
        expected,
        dead_men,
        baseline,
        recurring,
        acknowledges,
        sla: Arc::new(sla),
        notices: Arc::new(told.plan),
    };
    Ok(Config {
        file,
        decisions,
        keyring: Arc::new(keyring),
        tls,
        trackers,
        templates: routes.templates,
        watch_mail,
        expiring,
        mail: Arc::new(mail),
        trust: Arc::new(trust),
        redactor: Arc::new(redactor),
        ways: Arc::new(told.ways),
        warnings,
        read_at: Time::from_timestamp(jiff::Timestamp::now()),
        texts,
        digest: String::new(),
        inventory_digest: inventory.digest,
        inventory_parts: Arc::new(inventory.parts),
        inventory_files: inventory.files,
        inventory_pulls: Vec::new(),
    })
}

/// A source that is expected to speak, and its heartbeats.
fn expectations(source: &SourceConfig) -> Vec<(String, Duration)> {
    let own = source
        .expect_every
        .map(|every| (source.name.clone(), every));
    let beats = source.heartbeats.iter().map(|heartbeat| {
        let name = heartbeat_source(&source.name, &heartbeat.name);
        (name, heartbeat.every)
    });
    own.into_iter().chain(beats).collect()
}

/// The dead-man alerts of a source; conditions that cannot be read were told.
fn dead_men(source: &SourceConfig) -> Vec<DeadMan> {
    let beats = source.heartbeats.iter();
    let beats = beats.filter(|heartbeat| !heartbeat.matchers.is_empty());
    beats
        .filter_map(|heartbeat| {
            Some(DeadMan {
                source: source.name.clone(),
                heartbeat: heartbeat_source(&source.name, &heartbeat.name),
                matcher: Matcher::all(&heartbeat.matchers).ok()?,
            })
        })
        .collect()
}

/// Gives each source whose kind is a mapping that mapping, compiled.
fn map_sources(file: &mut ConfigFile, problems: &mut Vec<Problem>) {
    let mappings = match Mappings::compile(&file.mapping) {
        Ok(mappings) => mappings,
        Err(errors) => {
            problems.extend(errors.into_iter().map(|error| {
                let key = format!("mapping.{}.{}", error.mapping, error.field);
                Problem::of(key, error.reason)
            }));
            Mappings::default()
        }
    };
    for source in &mut file.source {
        source.mapping = mappings.get(&source.kind).cloned();
    }
}

fn check_sources(file: &ConfigFile, problems: &mut Vec<Problem>) {
    for source in &file.source {
        let key = format!("source `{}`", source.name);
        let known = source.kind == "mail"
            || file.mapping.contains_key(&source.kind)
            || crate::formats::by_name(&source.kind).is_some();
        if !known {
            let mut names: Vec<&str> = crate::formats::ALL.iter().map(|f| f.name()).collect();
            names.extend(file.mapping.keys().map(String::as_str));
            let nearest = read::nearest(&source.kind, &names, 0.7)
                .map(|name| format!("; did you mean `{name}`?"))
                .unwrap_or_default();
            let what = format!(
                "kind: `{}` is not known{nearest} See docs/senders.md for the list",
                source.kind
            );
            problems.push(Problem::of(key.clone(), what));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if source.name == OWN_SOURCE {
            let what = "`alertbridge` is the bridge itself; give the source another name";
            problems.push(Problem::of(key.clone(), what));
        }
        if source.name.is_empty() || !source.name.chars().all(plain) {
            problems.push(Problem::of(
                key.clone(),
                "a source's name is made of letters, digits, `-`, `_` and `.`",
            ));
        }
        let odd = |name: &str| name.is_empty() || !name.chars().all(plain);
        for heartbeat in source.heartbeats.iter().filter(|one| odd(&one.name)) {
            let what = format!(
                "heartbeats: `{}` is no name; it is made of letters, digits, `-`, `_` and `.`",
                heartbeat.name
            );
            problems.push(Problem::of(key.clone(), what));
        }
        for heartbeat in &source.heartbeats {
            if let Err(error) = Matcher::all(&heartbeat.matchers) {
                let what = format!("heartbeat `{}`: match: {error}", heartbeat.name);
                problems.push(Problem::of(key.clone(), what));
            }
        }
        for what in source.credentials.iter().filter_map(proves_nothing) {
            problems.push(Problem::of(key.clone(), what));
        }
    }
    files::mailboxes(file, problems);
    if file.source.iter().any(|source| source.name == "trackers") {
        let what = "no source can have this name: /hooks/trackers/ takes the hooks of trackers";
        problems.push(Problem::of("source `trackers`", what));
    }
    if let Err(clash) = Sources::new(file.source.clone(), []) {
        problems.push(Problem::of("source", clash.to_string()));
    }
}

/// What a credential wants for before anybody can show it.
fn proves_nothing(credential: &Credential) -> Option<&'static str> {
    match credential {
        Credential::Sns(expected) if expected.topics.is_empty() => {
            Some("credentials: `sns` needs the ARNs of the `topics` that may speak")
        }
        Credential::ClientCertificate {
            sha256: None,
            name: None,
        } => Some("credentials: `client_certificate` needs `sha256` or `name`"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("main.toml");
        std::fs::write(&path, text).unwrap();
        let environment = environment
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        load_with(Some(&path), environment)
            .map_err(|found| found.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_shows_only_together_is_told_at_once() {
        let found = load_text(
            "[http]\nlisten = \"192.0.2.1:8480\"\n[[rule]]\nname = \"x\"\nmatch = [\"nothing\"]\n\
             [[source]]\nname = \"z\"\nkind = \"zabix\"\n\
             [[source]]\nname = \"alertbridge\"\nkind = \"zabbix\"\n\
             [[source.credentials]]\ntype = \"client_certificate\"\n\
             [[route]]\nname = \"a\"\ntracker = \"rt\"\nfallback = \"b\"\n\
             reopen = { within = \"30h\" }\n",
            &[],
        );
        let all = found.err().unwrap().join("\n");
        for part in [
            "http.listen: a door off loopback needs `tls`",
            "rule: rule 1 `x`: match",
            "`alertbridge` is the bridge itself",
            "`client_certificate` needs `sha256` or `name`",
            "kind: `zabix` is not known; did you mean `zabbix`?",
            "route `a`: tracker `rt` is not configured; there are: desk",
            "route `a`: fallback: there is no route `b`",
            "route `a`: reopen: within 108000s is longer than `[engine] reopen_window` (86400s)",
        ] {
            assert!(all.contains(part), "{part} is missing in\n{all}");
        }
    }

    #[test]
    fn a_source_takes_a_mapping_as_its_kind() {
        let text = "[[source]]\nname = \"night\"\nkind = \"backups\"\n[mapping.backups]\n\
                    dedup_key = \"item.id\"\nsummary = \"item.text\"\n";
        let config = load_text(text, &[]).unwrap_or_else(|found| panic!("{found:?}"));
        assert!(config.file.source[0].mapping.is_some());
        let wrong = text.replace("item.text", "item.");
        let found = load_text(&wrong, &[]).err().unwrap();
        assert!(found[0].contains("mapping.backups.summary"), "{found:?}");
        assert!(found[0].contains("syntax error"), "{found:?}");
    }

    #[test]
    fn the_environment_has_the_last_word() {
        let config = load_text(
            "[http]\nlisten = \"127.0.0.1:1\"\n[engine]\nstorm_from = 3\n",
            &[
                ("ALERTBRIDGE__HTTP__LISTEN", "127.0.0.1:2"),
                ("ALERTBRIDGE__ENGINE__STORM_FROM", "7"),
                ("ALERTBRIDGE_LOG", "debug"),
            ],
        )
        .unwrap_or_else(|found| panic!("{found:?}"));
        assert_eq!(config.file.http.listen.unwrap().port(), 2);
        assert_eq!(config.file.engine.storm_from, 7);
    }

    #[test]
    fn conf_d_continues_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("conf.d")).unwrap();
        let main = dir.path().join("main.toml");
        std::fs::write(&main, "[[source]]\nname = \"a\"\nkind = \"zabbix\"\n").unwrap();
        let more = dir.path().join("conf.d/10-more.toml");
        std::fs::write(
            &more,
            "[[source]]\nname = \"b\"\nkind = \"zabbix\"\nnme = 1\n",
        )
        .unwrap();
        let found = load_with(Some(&main), Vec::new()).err().unwrap();
        assert_eq!(found.len(), 1);
        let told = found[0].to_string();
        assert!(
            told.contains("10-more.toml:4: source.nme: unknown key `nme`"),
            "{told}"
        );
        std::fs::write(&more, "[[source]]\nname = \"b\"\nkind = \"zabbix\"\n").unwrap();
        let config = load_with(Some(&main), Vec::new()).unwrap_or_else(|f| panic!("{f:?}"));
        assert_eq!(config.file.source.len(), 2);
    }

    #[test]
    fn relative_secrets_stand_beside_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("main.toml");
        std::fs::write(dir.path().join("token"), "hush\n").unwrap();
        let text = "[[operators.token]]\nname = \"noc\"\nrole = \"operate\"\n\
                    token = { file = \"token\" }\n";
        std::fs::write(&main, text).unwrap();
        load_with(Some(&main), Vec::new()).unwrap_or_else(|f| panic!("{f:?}"));
        std::fs::write(&main, text.replace("\"token\" }", "\"tokens\" }")).unwrap();
        let found = load_with(Some(&main), Vec::new()).err().unwrap();
        let told = found[0].to_string();
        assert!(
            told.contains("main.toml:4: operators.token.token: the secret"),
            "{told}"
        );
    }
}
