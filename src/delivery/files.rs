//! The files that go with a new ticket: what the alert came as, and what its mail enclosed. Bounded
//! in number and bytes; what is left out is told.

use super::presentation::Original;
use super::{Worker, render};
use crate::limits::{TICKET_FILES_BYTES_MAX, TICKET_FILES_MAX};
use crate::model::ticket::WantedTicket;
use crate::sla::glossary::Locale;
use crate::store::StoreError;
use crate::trackers::Attachment;

/// Files for a ticket.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// Those that go with it.
    pub attachments: Vec<Attachment>,
    /// Those that do not, or not whole: name and bytes.
    pub left_out: Vec<(String, usize)>,
}

impl Files {
    /// What is told of files that were left out; empty: none was.
    pub(super) fn told(&self, language: &str) -> String {
        if self.left_out.is_empty() {
            return String::new();
        }
        let list = self.left_out.iter();
        let list: Vec<String> = list
            .map(|(name, bytes)| format!("{name} ({bytes})"))
            .collect();
        let list = list.join(", ");
        match Locale::from_word(language) {
            Locale::En => format!("\nLeft out or cut, with their bytes: {list}\n"),
            Locale::Ja => format!("\n省略または切り詰めたファイル（バイト数）：{list}\n"),
            Locale::Fr => format!("\nOmis ou tronqués, avec leurs octets : {list}\n"),
        }
    }
}

/// The original under the name of its journal row, and what it enclosed; each at most `most` bytes.
fn gather(raw: &[u8], enclosed: Vec<Attachment>, seq: u64, most: usize) -> Files {
    let mut files = Files::default();
    let mut room = TICKET_FILES_BYTES_MAX;
    let name = format!("original-{seq}.txt");
    let whole = raw.len() <= most.min(room);
    let kept = raw.get(..raw.len().min(most).min(room)).unwrap_or_default();
    if !whole {
        files.left_out.push((name.clone(), raw.len()));
    }
    room -= kept.len();
    files.attachments.push(Attachment {
        name,
        content_type: "text/plain".to_owned(),
        bytes: kept.to_vec(),
    });
    for file in enclosed {
        let bytes = file.bytes.len();
        if bytes > most || bytes > room || files.attachments.len() > TICKET_FILES_MAX {
            files.left_out.push((file.name, bytes));
            continue;
        }
        room -= bytes;
        files.attachments.push(file);
    }
    files
}

impl Worker {
    /// What the first alert of an incident came as, for a route that says so and a tracker that
    /// takes files.
    pub(super) fn files(&self, ticket: &WantedTicket) -> Result<Files, StoreError> {
        let most = self.tracker.capabilities().attachment_bytes_max;
        let wanted = self.presentation.original(&ticket.route) == Original::Attach;
        let of_incident = ticket.contract.is_none() && ticket.alert.is_none();
        if most == 0 || !wanted || !of_incident {
            return Ok(Files::default());
        }
        let Some(seq) = render::first_event(self.state.as_ref(), ticket)? else {
            return Ok(Files::default());
        };
        let raw = self.journal.raw(seq)?;
        Ok(raw.map_or_else(Files::default, |raw| {
            let enclosed = (self.presentation.enclosed)(&raw);
            gather(&raw, enclosed, seq, most)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enclosed(files: usize, bytes: usize) -> Vec<Attachment> {
        let one = |n| Attachment::of_text(format!("{n}.pdf"), "x".repeat(bytes));
        (0..files).map(one).collect()
    }

    #[test]
    fn files_are_bounded_in_number_and_bytes_and_what_is_left_out_is_told() {
        let raw = b"x".repeat(2000);
        let files = gather(&raw, enclosed(14, 100), 7, 10_000);
        assert_eq!(files.attachments[0].name, "original-7.txt");
        assert_eq!(files.attachments[0].bytes, raw);
        assert_eq!(files.attachments.len(), 1 + TICKET_FILES_MAX);
        assert_eq!(files.left_out.len(), 4);
        assert!(files.told("en").contains("13.pdf (100)"), "{files:?}");
        let files = gather(&raw, enclosed(14, 100), 7, 99);
        assert_eq!((files.attachments.len(), files.left_out.len()), (1, 15));
        assert_eq!(files.attachments[0].bytes.len(), 99);
        assert!(files.told("ja").contains("original-7.txt"));
        let files = gather(&raw, enclosed(9, 1_000_000), 7, 1_048_576);
        let sum: usize = files.attachments.iter().map(|file| file.bytes.len()).sum();
        assert!(
            sum <= TICKET_FILES_BYTES_MAX && files.left_out.len() == 5,
            "{sum}"
        );
    }

    #[test]
    fn bytes_that_are_no_text_go_as_they_came() {
        let raw = b"POST /hooks/x HTTP/1.1\r\nhost: a\r\n\r\n\xff{}";
        let files = gather(raw, Vec::new(), 3, 1000);
        assert_eq!(files.attachments.len(), 1);
        assert_eq!(files.attachments[0].bytes, raw);
        assert_eq!(files.told("fr"), "");
    }
}
