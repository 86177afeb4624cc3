//! The mailboxes that the bridge reads: one task each, started anew at a reload.

use super::operations::Daemon;
use crate::config::Config;
use crate::intake::mailbox::{MailboxConfig, Reading};
use crate::intake::{imap, maildir};
use crate::telemetry::metrics::Metrics;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The readers of all mailboxes.
pub(super) struct Mailboxes {
    reading: Arc<Reading>,
    metrics: Arc<Metrics>,
    running: Mutex<(CancellationToken, Vec<JoinHandle<()>>)>,
}

impl Mailboxes {
    /// Nothing is read yet.
    pub fn new(reading: Reading, metrics: Arc<Metrics>) -> Mailboxes {
        Mailboxes {
            reading: Arc::new(reading),
            metrics,
            running: Mutex::default(),
        }
    }

    /// Reads these mailboxes and no others. A mail in hand is given up; it is taken again by
    /// whoever reads its mailbox next, since the ledger moves with the journal's commit.
    pub async fn start(&self, configs: &[MailboxConfig]) {
        let mut running = self.running.lock().await;
        stop(&mut running).await;
        self.metrics
            .mailboxes(configs.iter().map(MailboxConfig::name));
        for config in configs {
            let (reading, stop) = (self.reading.clone(), running.0.clone());
            running.1.push(match config.clone() {
                MailboxConfig::Imap(config) => tokio::spawn(imap::run(config, reading, stop)),
                MailboxConfig::Maildir(config) => tokio::spawn(maildir::run(config, reading, stop)),
            });
        }
    }

    /// Reads nothing any more.
    pub async fn end(&self) {
        stop(&mut *self.running.lock().await).await;
    }
}

impl Daemon {
    /// Mails are read, judged and fetched by a new configuration from now on.
    pub(super) async fn read_mail_by(&self, new: &Config) {
        self.mail.store(new.mail.clone());
        self.intake.mail.store(new.trust.clone());
        self.intake.redactor.store(new.redactor.clone());
        self.mailboxes.start(&new.file.mailbox).await;
    }
}

async fn stop(running: &mut (CancellationToken, Vec<JoinHandle<()>>)) {
    running.0.cancel();
    for task in running.1.drain(..) {
        if let Err(error) = task.await {
            tracing::error!(%error, "mailbox_reader_failed");
        }
    }
    running.0 = CancellationToken::new();
}
