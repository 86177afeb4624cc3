//! Letters that need no store: what cannot become a ticket because the store or the engine itself
//! is in trouble. Few of them: a queue that holds one letter for each part, and a most an hour.

use super::findings::Word;
use crate::config::WatchMail;
use crate::relay::{Automatic, Letter, Sent};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::time::Duration;

/// Most letters an hour, whatever happens.
const LETTERS_PER_HOUR_MAX: usize = 12;
const HOUR: Duration = Duration::from_secs(3600);

/// Letters on their way, by what they are about and which of the readers gets them.
#[derive(Default)]
pub(super) struct Letters {
    waiting: BTreeMap<(&'static str, usize), Waiting>,
    sent: VecDeque<Duration>,
}

struct Waiting {
    text: Text,
    /// The same when it is sent again.
    id: u64,
}

/// What a letter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
}

/// What a letter about a part says.
pub(super) fn text(part: &str, word: &Word, host: &str, data: &Path, every: Duration) -> Text {
    let (means, todo) = match part {
        "store" => (
            "Doors answer 503 and 451, and senders keep what they have and try again. Nothing \
             that was acknowledged is lost. No ticket opens or changes meanwhile.",
            format!(
                "df -h {0}; ls -l {0}; journalctl -u alertbridge. It goes on by itself once the \
                 store can be written.",
                data.display()
            ),
        ),
        _ => (
            "Alerts are taken in and kept, but nothing is decided: no ticket opens or changes \
             meanwhile.",
            "journalctl -u alertbridge: state_not_committed names the disk's trouble, \
             engine_stuck an input. If neither stands there, restart the daemon: it applies what \
             waits."
                .to_owned(),
        ),
    };
    let what = match part {
        "store" => "the store cannot be written",
        _ => "the engine is stuck",
    };
    let direct = "This letter came straight from the daemon, past the store and the trackers.";
    match word {
        Word::Bad(lasted, why) => Text {
            subject: format!("alertbridge on {host}: {what}"),
            body: format!(
                "For {}: {why}.\n\n{means}\n\nLook at: {todo}\n\n{direct} The next one comes \
                 after {} if it lasts.\n",
                seconds(*lasted),
                seconds(every)
            ),
        },
        Word::Well(lasted, why, _) => Text {
            subject: format!("alertbridge on {host}: over: {what}"),
            body: format!("It lasted {}: {why}.\n\n{direct}\n", seconds(*lasted)),
        },
    }
}

fn seconds(time: Duration) -> String {
    format!("{:?}", Duration::from_secs(time.as_secs()))
}

impl Letters {
    /// A letter about a part to each reader; what waits about the same part is replaced.
    pub fn put(&mut self, part: &'static str, readers: usize, text: &Text) {
        for reader in 0..readers {
            let letter = Waiting {
                text: text.clone(),
                id: rand::random(),
            };
            self.waiting.insert((part, reader), letter);
        }
    }

    /// Sends what waits, as far as the hour's share reaches. What the server does not take now
    /// waits for the next time.
    pub async fn send(&mut self, mail: &WatchMail, now: Duration) {
        while let Some(((part, reader), waiting)) = self.next(now) {
            let Some(to) = mail.to.get(reader) else {
                continue;
            };
            let letter = Letter {
                from: mail.from.clone(),
                to: to.clone(),
                cc: Vec::new(),
                reply_to: None,
                subject: waiting.text.subject.clone(),
                body: waiting.text.body.clone(),
                message_id: format!("<watch-{:016x}@{}>", waiting.id, mail.from.email.domain()),
                thread: None,
                automatic: Some(Automatic::Generated),
            };
            match mail.relay.send(&letter).await {
                Sent::Taken => tracing::warn!(part, %to, "watch_letter_sent"),
                Sent::Later { reason, .. } => {
                    tracing::error!(part, %to, reason, "watch_letter_not_sent");
                    // What was not sent is not counted.
                    self.sent.pop_back();
                    self.waiting.insert((part, reader), waiting);
                    return;
                }
                Sent::Refused(reason) | Sent::Unknown(reason) => {
                    tracing::error!(part, %to, reason, "watch_letter_not_sent");
                }
            }
        }
    }

    /// The next letter that may go, taken out of the queue and counted.
    fn next(&mut self, now: Duration) -> Option<((&'static str, usize), Waiting)> {
        while let Some(at) = self.sent.front()
            && now.saturating_sub(*at) >= HOUR
        {
            self.sent.pop_front();
        }
        if self.sent.len() >= LETTERS_PER_HOUR_MAX {
            return None;
        }
        let next = self.waiting.pop_first()?;
        self.sent.push_back(now);
        Some(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_few_whatever_happens() {
        let mut letters = Letters::default();
        let text = |n: usize| Text {
            subject: n.to_string(),
            body: String::new(),
        };
        let mut sent = 0;
        for n in 0..100 {
            letters.put("store", 1, &text(n));
            sent += usize::from(letters.next(Duration::from_secs(1)).is_some());
        }
        assert_eq!(sent, LETTERS_PER_HOUR_MAX);
        // The newest word waits, and only that.
        let next = letters.next(Duration::from_secs(3601)).unwrap();
        assert_eq!(next.1.text.subject, "99");
        assert!(letters.next(Duration::from_secs(3602)).is_none());
    }

    #[test]
    fn a_letter_says_what_it_is_what_it_means_and_where_to_look() {
        let bad = Word::Bad(Duration::from_millis(31_250), "the disk is full".to_owned());
        let letter = text("store", &bad, "noc-1", Path::new("/data"), HOUR);
        assert_eq!(
            letter.subject,
            "alertbridge on noc-1: the store cannot be written"
        );
        for part in ["For 31s: the disk is full.", "df -h /data", "after 3600s"] {
            assert!(letter.body.contains(part), "{part}: {}", letter.body);
        }
    }
}
