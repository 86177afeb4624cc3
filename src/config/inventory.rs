//! Inventory files. What they are say their names: `.csv`, `.json` (what NetBox's API answers; the
//! files of one folder are of one NetBox), else TOML. Each problem is told with its file.

use super::hex;
use super::read::{self, Problem};
use crate::inventory::{InventoryFile, Netbox, NetboxList, Problem as Odd};
use crate::limits::INVENTORY_TEXT_KEPT_BYTES_MAX;
use crate::model::Time;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Inventory files as read.
#[derive(Debug, Default)]
pub struct InventoryFiles {
    /// The entries of all of them.
    pub entries: InventoryFile,
    /// The files, and when they were written.
    pub written: Vec<(String, Time)>,
    /// Names and texts, for the journal; of a large file its size and hash.
    pub texts: Vec<(String, String)>,
    /// What is wrong: with any of it the entries are not all there.
    pub wrong: Vec<Problem>,
    /// What NetBox has and an inventory has no use for.
    pub left_out: Vec<Problem>,
}

/// Reads inventory files; the names are relative to the folder.
pub fn read_inventory(names: &[String], folder: &Path) -> InventoryFiles {
    let mut found = InventoryFiles::default();
    let mut netboxes: BTreeMap<PathBuf, Netbox> = BTreeMap::new();
    for name in names {
        let path = folder.join(name);
        let shown = path.display().to_string();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                let what = format!("{shown} cannot be read: {error}");
                found.wrong.push(Problem::of("inventory", what));
                continue;
            }
        };
        match path.extension().and_then(|end| end.to_str()) {
            Some("csv") => match InventoryFile::from_csv(&text) {
                Ok(part) => found.entries.extend(part),
                Err(odd) => odd.iter().for_each(|odd| found.wrong(&shown, odd)),
            },
            Some("json") => {
                let beside = path.parent().unwrap_or(folder).to_owned();
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let taken = netboxes.entry(beside).or_default();
                if let Err(odd) = taken.take_file(&stem, text.as_bytes()) {
                    found.wrong(&shown, odd.what);
                }
            }
            _ => found.toml(&shown, &text, folder),
        }
        let at = std::fs::metadata(&path).and_then(|file| file.modified());
        let at = at.ok().and_then(|at| jiff::Timestamp::try_from(at).ok());
        let at = at.map(|at| (name.clone(), Time::from_timestamp(at)));
        found.written.extend(at);
        found.texts.push((shown, kept(text)));
    }
    for (folder, netbox) in netboxes {
        found.netbox(&folder.display().to_string(), netbox);
    }
    found
}

impl InventoryFiles {
    fn wrong(&mut self, file: &str, what: impl ToString) {
        self.wrong.push(Problem {
            file: file.to_owned(),
            ..Problem::of("", what.to_string())
        });
    }

    /// A piece that cannot be read is looked at again for everything that is wrong with it.
    fn toml(&mut self, file: &str, text: &str, folder: &Path) {
        let mut wrong = Vec::new();
        let part = InventoryFile::read_toml(text, |unread| {
            let (_, mut found) = read::file::<InventoryFile>(file, unread.text, folder);
            if found.is_empty() {
                found.push(Problem {
                    file: file.to_owned(),
                    ..Problem::of("", unread.error.message())
                });
            }
            wrong.extend(found.into_iter().map(|problem| Problem {
                line: problem.line + unread.lines_before,
                ..problem
            }));
        });
        self.entries.extend(part);
        self.wrong.append(&mut wrong);
    }

    fn netbox(&mut self, folder: &str, mut netbox: Netbox) {
        for list in NetboxList::ALL {
            if let Some((there, count)) = netbox.missing(list) {
                let what = format!(
                    "{there} of {count} rows of {} are there: are all pages in the files?",
                    list.path()
                );
                self.wrong(folder, what);
            }
        }
        let (part, left_out) = netbox.entries();
        self.entries.extend(part);
        let odd = left_out.into_iter().map(|Odd { place, what }| Problem {
            file: folder.to_owned(),
            ..Problem::of(place, what)
        });
        self.left_out.extend(odd);
    }
}

/// What the journal keeps of a file.
fn kept(text: String) -> String {
    if text.len() <= INVENTORY_TEXT_KEPT_BYTES_MAX {
        return text;
    }
    let hash = hex(&Sha256::digest(text.as_bytes()));
    format!("# {} bytes, SHA-256 begins with {hash}\n", text.len())
}
