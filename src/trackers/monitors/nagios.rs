//! Nagios and what descends from it: a line into the external command file. There is no answer; a
//! second line changes nothing. Nagios forgets an acknowledgement with the recovery.

use super::{Condition, Monitor, is_of_host, needed, tracker};
use crate::trackers::registry::Settings;
use crate::trackers::{Called, Tracker, flat};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest line that a pipe takes in one piece, bytes.
const LINE_BYTES_MAX: usize = 4096;

/// `acknowledge = { kind = "nagios", ... }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NagiosConfig {
    /// The external command file, a named pipe, as `/var/lib/nagios4/rw/nagios.cmd`.
    command_file: PathBuf,
}

impl Settings for NagiosConfig {
    const TITLE: &'static str = "Nagios";
    const EXAMPLE: &'static str = r#"command_file = "/var/lib/nagios4/rw/nagios.cmd""#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        let monitor = Nagios {
            file: self.command_file,
        };
        Ok(tracker(name, monitor, false))
    }
}

struct Nagios {
    file: PathBuf,
}

/// The line, and the name of what it is about. Separators in texts become blanks.
fn line(condition: &Condition, comment: &str) -> Result<(String, String), Called<String>> {
    let plain = |text: &str| text.replace([';', '\n', '\r'], " ");
    let host = plain(needed(condition.host.as_ref(), "host")?);
    let check = plain(condition.check.as_deref().unwrap_or_default());
    let comment = plain(comment);
    let at = condition.asked_at.seconds();
    // Sticky until the recovery, no notification, not kept over a restart of Nagios.
    let rest = format!("1;0;0;alertbridge;{comment}\n");
    let host_check = is_of_host(&check);
    let (line, about) = if host_check {
        (
            format!("[{at}] ACKNOWLEDGE_HOST_PROBLEM;{host};{rest}"),
            host,
        )
    } else {
        let about = format!("{host};{check}");
        (
            format!("[{at}] ACKNOWLEDGE_SVC_PROBLEM;{about};{rest}"),
            about,
        )
    };
    if line.len() > LINE_BYTES_MAX {
        return Err(Called::refused("the names are too long for one command"));
    }
    Ok((line, about))
}

/// Writes without waiting: nobody may read at the other end.
fn put(file: &Path, line: &str) -> Result<(), std::io::Error> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut pipe = std::fs::OpenOptions::new()
        .write(true)
        .custom_flags(nonblocking)
        .open(file)?;
    if !pipe.metadata()?.file_type().is_fifo() {
        return Err(std::io::Error::other("it is no named pipe"));
    }
    // Up to a page a pipe takes a line whole or not at all.
    pipe.write_all(line.as_bytes())
}

impl Monitor for Nagios {
    fn acknowledge<'a>(
        &'a self,
        condition: &'a Condition,
        comment: &'a str,
    ) -> BoxFuture<'a, Called<String>> {
        Box::pin(async move {
            let written = line(condition, comment).and_then(|(line, about)| {
                let shown = self.file.display();
                put(&self.file, &line)
                    .map(|()| about)
                    .map_err(|error| Called::later(format!("{shown}: {error}; is Nagios running?")))
            });
            flat(written)
        })
    }

    fn check(&self) -> BoxFuture<'_, Vec<Result<String, String>>> {
        Box::pin(async move {
            let shown = self.file.display();
            vec![match std::fs::metadata(&self.file) {
                Ok(found) if found.file_type().is_fifo() => Ok(format!("{shown} is there")),
                Ok(_) => Err(format!("{shown} is no named pipe")),
                Err(error) => Err(format!("{shown}: {error}")),
            }]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Time;

    #[test]
    fn texts_cannot_add_a_command() {
        let condition = Condition {
            host: Some("db1;x".to_owned()),
            check: Some("load\n[1] SHUTDOWN_PROGRAM".to_owned()),
            asked_at: Time::from_seconds(7),
            ..Condition::default()
        };
        let (line, _) = line(&condition, "by ana;\n[1] DISABLE_NOTIFICATIONS").unwrap();
        assert_eq!(
            line,
            "[7] ACKNOWLEDGE_SVC_PROBLEM;db1 x;load [1] SHUTDOWN_PROGRAM;1;0;0;alertbridge;\
             by ana  [1] DISABLE_NOTIFICATIONS\n"
        );
    }

    #[test]
    fn a_host_itself_has_a_command_of_its_own_and_a_nameless_one_none() {
        let mut condition = Condition {
            host: Some("db1".to_owned()),
            check: Some("HOST".to_owned()),
            ..Condition::default()
        };
        let (told, _) = line(&condition, "c").unwrap();
        assert!(told.starts_with("[0] ACKNOWLEDGE_HOST_PROBLEM;db1;1;0;0;"));
        condition.host = None;
        assert!(line(&condition, "c").is_err());
    }
}
