//! A Maildir: what a mail server put into `new/` is taken in, and then goes to `cur/` or away.

use super::mailbox::{Content, Ledger, NotTaken, Reading, back_off, mail_source};
use crate::limits;
use serde::Deserialize;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// `[[mailbox]]` with `kind = "maildir"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaildirConfig {
    /// Its name.
    pub name: String,
    /// The folder with `new` and `cur`.
    pub path: PathBuf,
    /// The source that its mails are taken as.
    #[serde(default = "mail_source")]
    pub source: String,
    /// What becomes of a mail that was taken in.
    #[serde(default)]
    pub after: AfterReading,
    /// How often `new` is looked at.
    #[serde(default = "poll_every", with = "crate::model::time::duration")]
    pub poll_every: Duration,
}

/// What becomes of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterReading {
    /// It goes to `cur/`, marked as seen.
    #[default]
    Keep,
    /// It is removed.
    Delete,
}

fn poll_every() -> Duration {
    Duration::from_secs(2)
}

/// Why a Maildir could not be read.
#[derive(Debug, thiserror::Error)]
enum MaildirError {
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error("a mail was not taken in and stays in `new`: {0}")]
    NotTaken(#[from] NotTaken),
}

fn file_error(path: &Path, error: std::io::Error) -> MaildirError {
    MaildirError::File {
        path: path.display().to_string(),
        error,
    }
}

/// Reads a Maildir until told to stop.
pub async fn run(config: MaildirConfig, reading: Arc<Reading>, stop: CancellationToken) {
    let work = work(&config, &reading);
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

async fn work(config: &MaildirConfig, reading: &Arc<Reading>) {
    let mut failures = 0u32;
    let mut ledger: Option<Ledger> = None;
    loop {
        let looked = match &mut ledger {
            Some(ledger) => look(config, ledger).await,
            None => match Ledger::load(reading.clone(), &config.name, &config.source) {
                Ok(loaded) => look(config, ledger.insert(loaded)).await,
                Err(error) => Err(NotTaken::from(error).into()),
            },
        };
        let up = matches!(looked, Ok(None));
        reading.metrics.mailbox_up(&config.name, up);
        // One file that cannot be read must not make those that come after it late.
        let others_wait = looked.is_err();
        match looked {
            Ok(None) => {
                failures = 0;
                let now = reading.intake.clock.now();
                reading.metrics.mailbox_looked(&config.name, now);
            }
            Ok(Some(error)) | Err(error) => {
                if failures == 0 {
                    tracing::warn!(mailbox = config.name, %error, "mailbox_failed");
                }
                failures = failures.saturating_add(1);
            }
        }
        let wait = match others_wait {
            true => back_off(failures, rand::random::<f64>()),
            false => config.poll_every,
        };
        tokio::time::sleep(wait).await;
    }
}

/// Takes in what is in `new`, oldest name first. A file that cannot be read or moved is given back,
/// the first of them, and holds up none behind it; trouble of the store does.
async fn look(
    config: &MaildirConfig,
    ledger: &mut Ledger,
) -> Result<Option<MaildirError>, MaildirError> {
    let folder = config.path.join("new");
    let mut left = None;
    for name in apart(&folder, names).await? {
        match take(config, ledger, &folder.join(&name), &name).await {
            Err(error @ MaildirError::File { .. }) => {
                left.get_or_insert(error);
            }
            other => other?,
        }
    }
    // Removed just before the last stop: there is nothing left to do about them.
    for name in ledger.pending.clone() {
        if !folder.join(&name).exists() {
            ledger.removed(&name).await?;
        }
    }
    Ok(left)
}

/// Takes in one file, and only then moves it or removes it.
async fn take(
    config: &MaildirConfig,
    ledger: &mut Ledger,
    path: &Path,
    name: &OsStr,
) -> Result<(), MaildirError> {
    let known_as = name.to_string_lossy();
    if !ledger.pending.contains(&*known_as) {
        let Some(content) = apart(path, read).await? else {
            return Ok(());
        };
        if matches!(content, Content::Part(..)) {
            // Nobody else has the whole of it: it is kept, whatever becomes of others.
            ledger.take(content, None, None).await?;
            return leave(config, AfterReading::Keep, path, name);
        }
        ledger.take(content, None, Some(&known_as)).await?;
    }
    leave(config, config.after, path, name)?;
    ledger.removed(&known_as).await?;
    Ok(())
}

/// Does what blocks on a thread of its own.
async fn apart<T: Send + 'static>(
    path: &Path,
    work: fn(&Path) -> Result<T, MaildirError>,
) -> Result<T, MaildirError> {
    let owned = path.to_owned();
    let done = tokio::task::spawn_blocking(move || work(&owned)).await;
    done.unwrap_or_else(|error| Err(file_error(path, std::io::Error::other(error))))
}

/// Names of the files, in order; a bounded number at a time.
fn names(folder: &Path) -> Result<Vec<OsString>, MaildirError> {
    let entries = std::fs::read_dir(folder).map_err(|error| file_error(folder, error))?;
    let mut names: Vec<OsString> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name()))
        .filter(|name| !name.as_bytes().starts_with(b"."))
        .take(limits::MAILDIR_FILES_MAX)
        .collect();
    names.sort();
    Ok(names)
}

/// A file's content; `None` if it is gone or no file.
fn read(path: &Path) -> Result<Option<Content>, MaildirError> {
    let is_file = std::fs::symlink_metadata(path).is_ok_and(|about| about.is_file());
    if !is_file {
        return Ok(None);
    }
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error(path, error)),
    };
    let most = limits::MAIL_BYTES_MAX;
    let mut raw = Vec::new();
    file.take(most as u64 + 1)
        .read_to_end(&mut raw)
        .map_err(|error| file_error(path, error))?;
    if raw.len() > most {
        raw.truncate(limits::MAIL_MEMORY_BYTES_MAX);
        let reason = format!("the mail is larger than {most} bytes; its beginning was kept");
        return Ok(Some(Content::Part(raw.into(), reason)));
    }
    Ok(Some(Content::Whole(raw.into())))
}

/// Moves a file to `cur/`, marked as seen, or removes it. Done already is done.
fn leave(
    config: &MaildirConfig,
    after: AfterReading,
    path: &Path,
    name: &OsStr,
) -> Result<(), MaildirError> {
    let left = match after {
        AfterReading::Delete => std::fs::remove_file(path),
        AfterReading::Keep => {
            let base = name.as_bytes().split(|byte| *byte == b':').next();
            let mut seen = OsStr::from_bytes(base.unwrap_or_default()).to_owned();
            seen.push(":2,S");
            std::fs::rename(path, config.path.join("cur").join(seen))
        }
    };
    match left {
        // What is not found is the file itself, or `cur`.
        Err(error) if error.kind() != std::io::ErrorKind::NotFound || path.exists() => {
            Err(file_error(path, error))
        }
        _ => Ok(()),
    }
}
