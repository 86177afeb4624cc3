//! Figures that are kept elsewhere (in the store, in the engine) in the form of the registry.

use super::metrics::{Standing, seconds};
use crate::model::figure::{Family, Stored, series_of};
use crate::model::{Category, Time};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};
use std::collections::{BTreeMap, BTreeSet};

fn pairs(names: &[&str], values: &[&str]) -> Vec<LabelPair> {
    let mut pairs: Vec<LabelPair> = names
        .iter()
        .zip(values)
        .map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        })
        .collect();
    pairs.sort_by(|a, b| a.name().cmp(b.name()));
    pairs
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn gauge(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

#[allow(clippy::cast_precision_loss)]
fn number(count: u64) -> f64 {
    count as f64
}

/// All families that the registry does not hold.
pub(super) fn families(standing: &Standing, sources: &BTreeSet<String>) -> Vec<MetricFamily> {
    let mut families = stored(standing, sources);
    families.extend(standing_gauges(standing, sources));
    families
}

fn stored(standing: &Standing, sources: &BTreeSet<String>) -> Vec<MetricFamily> {
    let mut series: BTreeMap<Family, BTreeMap<Vec<String>, Stored>> = BTreeMap::new();
    let of_contracts = of_contracts(standing);
    for (family, labels) in known_from_the_start(sources)
        .into_iter()
        .chain(of_contracts)
    {
        let zero = Stored::zero(family);
        series.entry(family).or_default().insert(labels, zero);
    }
    for (key, value) in &standing.figures {
        let Some((family, labels)) = series_of(key) else {
            continue;
        };
        let mut labels: Vec<String> = labels.into_iter().map(str::to_owned).collect();
        if family == Family::TicketsCreated
            && let Some(source) = labels.first_mut()
            && !sources.contains(source)
        {
            "other".clone_into(source);
        }
        let entry = series.entry(family).or_default().entry(labels);
        add(entry.or_insert_with(|| Stored::zero(family)), value);
    }
    series
        .into_iter()
        .map(|(kind, rows)| {
            let spec = kind.spec();
            let metrics = rows
                .iter()
                .map(|(labels, value)| {
                    let values: Vec<&str> = labels.iter().map(String::as_str).collect();
                    metric(pairs(spec.labels, &values), spec.bounds, value)
                })
                .collect();
            let shape = if spec.bounds.is_empty() {
                MetricType::COUNTER
            } else {
                MetricType::HISTOGRAM
            };
            family(spec.name, spec.help, shape, metrics)
        })
        .collect()
}

fn add(sum: &mut Stored, other: &Stored) {
    match (sum, other) {
        (Stored::Count(a), Stored::Count(b)) => *a += b,
        (
            Stored::Spread { counts, sum },
            Stored::Spread {
                counts: more,
                sum: s,
            },
        ) => {
            counts.iter_mut().zip(more).for_each(|(a, b)| *a += b);
            *sum += s;
        }
        _ => {}
    }
}

fn metric(labels: Vec<LabelPair>, bounds: &[u64], value: &Stored) -> Metric {
    let mut metric = Metric::from_label(labels);
    match value {
        Stored::Count(count) => {
            let mut counter = Counter::default();
            counter.set_value(number(*count));
            metric.set_counter(counter);
        }
        Stored::Spread { counts, sum } => {
            let mut histogram = Histogram::default();
            let mut below = 0;
            let buckets = bounds.iter().zip(counts).map(|(bound, count)| {
                below += count;
                let mut bucket = Bucket::default();
                bucket.set_upper_bound(number(*bound) / 1000.0);
                bucket.set_cumulative_count(below);
                bucket
            });
            let buckets = buckets.collect();
            histogram.set_bucket(buckets);
            histogram.set_sample_count(counts.iter().sum());
            histogram.set_sample_sum(number(*sum) / 1000.0);
            metric.set_histogram(histogram);
        }
    }
    metric
}

/// Series of the policies in force: a counter that appears at 1 is not seen by a rate.
fn of_contracts(standing: &Standing) -> Vec<(Family, Vec<String>)> {
    let mut known = Vec::new();
    for (policy, target, sev) in &standing.targets {
        let sev = sev_word(*sev);
        let three = vec![policy.clone(), (*target).to_owned(), sev.clone()];
        if *target == "update" {
            for outcome in ["on_time", "late"] {
                let labels = vec![policy.clone(), sev.clone(), outcome.to_owned()];
                known.push((Family::SlaUpdates, labels));
            }
            known.push((Family::SlaBreaches, three));
            continue;
        }
        for outcome in ["met", "breached", "void"] {
            let mut labels = three.clone();
            labels.push(outcome.to_owned());
            known.push((Family::SlaVerdicts, labels));
        }
        let two = vec![policy.clone(), sev.clone()];
        match *target {
            "initial_response" => known.push((Family::TimeToRespond, two)),
            "restore" => known.push((Family::TimeToRestore, two)),
            _ => {}
        }
        known.push((Family::SlaBreaches, three.clone()));
        known.push((Family::SlaUsedRatio, three));
    }
    known
}

/// Series whose labels are known without a configuration.
fn known_from_the_start(sources: &BTreeSet<String>) -> Vec<(Family, Vec<String>)> {
    let mut known = vec![
        (Family::Reopens, vec![]),
        (Family::Merges, vec![]),
        (Family::Flaps, vec![]),
    ];
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    for direction in ["up", "down"] {
        for by in ["human", "alert"] {
            known.push((Family::SeverityChanges, words(&[direction, by])));
        }
    }
    for reason in [
        "false_alarm",
        "transient",
        "merged",
        "recategorised",
        "auto_resolved",
        "withdrawn",
    ] {
        known.push((Family::Voids, words(&[reason])));
    }
    for level in ["1", "2", "3", "4", "5"] {
        for reason in ["impact", "slow", "expectations"] {
            known.push((Family::Escalations, words(&[level, reason])));
        }
        known.push((Family::CustomerWaitSeconds, words(&[level])));
    }
    for kind in ["withdrawn", "found_late", "rebuilt"] {
        known.push((Family::SlaCorrections, words(&[kind])));
    }
    for source in sources.iter().map(String::as_str).chain(["other"]) {
        for sev in ["1", "2", "3", "4", "5", "none"] {
            known.push((Family::TicketsCreated, words(&[source, sev])));
        }
    }
    known
}

fn sev_word(sev: u8) -> String {
    match sev {
        0 => "none".to_owned(),
        sev => sev.to_string(),
    }
}

/// Seconds since 1970; exact for all times that a double can tell apart.
#[allow(clippy::cast_precision_loss)]
fn signed(seconds: i64) -> f64 {
    seconds as f64
}

fn clocks(standing: &Standing) -> Vec<Metric> {
    let mut rows = Vec::new();
    for (policy, target, sev) in &standing.targets {
        for state in ["running", "at_risk", "breached", "paused"] {
            let key = (policy.clone(), *target, *sev, state);
            let count = standing.gauges.clocks.get(&key).copied().unwrap_or(0);
            let names = ["policy", "target", "sev", "state"];
            let labels = pairs(&names, &[policy, target, &sev_word(*sev), state]);
            rows.push(gauge(labels, number(count)));
        }
    }
    rows
}

fn next_due(standing: &Standing) -> Vec<Metric> {
    standing
        .gauges
        .next_due
        .iter()
        .map(|((target, sev), at)| {
            let labels = pairs(&["target", "sev"], &[target, &sev_word(*sev)]);
            gauge(labels, signed(*at))
        })
        .collect()
}

fn soonest(standing: &Standing) -> Vec<Metric> {
    let shown = standing.gauges.soonest.iter().take(standing.soonest_clocks);
    shown
        .map(|(due, incident, target)| {
            let labels = pairs(&["ticket", "target"], &[&incident.to_string(), target]);
            gauge(labels, signed(*due))
        })
        .collect()
}

fn standing_gauges(standing: &Standing, sources: &BTreeSet<String>) -> Vec<MetricFamily> {
    let gauges = &standing.gauges;
    let one = |name: &str, help: &str, value: f64| {
        family(
            name,
            help,
            MetricType::GAUGE,
            vec![gauge(Vec::new(), value)],
        )
    };
    let (mut incidents, mut oldest_open) = (Vec::new(), Vec::new());
    for category in [
        Category::Incident,
        Category::Provisioning,
        Category::Inquiry,
    ] {
        let since = gauges.oldest.get(&category).copied();
        let labels = pairs(&["category"], &[category.word()]);
        oldest_open.push(gauge(labels, since.map_or(0.0, seconds)));
        for sev in ["1", "2", "3", "4", "5", "none"] {
            for state in ["new", "in_progress", "waiting_customer", "resolved"] {
                let count = gauges.incidents.get(&(category, sev, state));
                let labels = pairs(
                    &["category", "sev", "state"],
                    &[category.word(), sev, state],
                );
                incidents.push(gauge(labels, number(count.copied().unwrap_or(0))));
            }
        }
    }
    let mut last_event = Vec::new();
    for source in sources {
        let at = gauges.sources.get(source).copied().unwrap_or(Time(0));
        last_event.push(gauge(pairs(&["source"], &[source]), seconds(at)));
    }
    let (mut waiting, mut oldest) = (0, None::<Time>);
    for (count, since) in gauges.outbox.values() {
        waiting += count;
        oldest = Some(oldest.map_or(*since, |at| at.min(*since)));
    }
    let queue = |name: &str, value: f64| gauge(pairs(&["queue"], &[name]), value);
    let age = |at: Option<Time>| at.map_or(0.0, seconds);
    let dead = gauges.dead.values().sum::<u64>();
    vec![
        family(
            "alertbridge_incidents_open",
            "Incidents that are not closed; resolved: within the reopen window.",
            MetricType::GAUGE,
            incidents,
        ),
        family(
            "alertbridge_incidents_oldest_timestamp_seconds",
            "When the oldest open one was opened; 0: there is none.",
            MetricType::GAUGE,
            oldest_open,
        ),
        family(
            "alertbridge_source_last_event_timestamp_seconds",
            "When a source last spoke; 0: never.",
            MetricType::GAUGE,
            last_event,
        ),
        family(
            "alertbridge_queue_depth",
            "Inputs that the engine has not applied; tickets and notices with something to do.",
            MetricType::GAUGE,
            vec![
                queue("intake", number(standing.backlog)),
                queue("tracker", number(waiting)),
                queue("notify", number(gauges.notices.0)),
            ],
        ),
        family(
            "alertbridge_queue_oldest_timestamp_seconds",
            "Since when the oldest of them waits; 0: none waits.",
            MetricType::GAUGE,
            vec![
                queue("intake", age(standing.backlog_oldest)),
                queue("tracker", age(oldest)),
                queue("notify", age(gauges.notices.1)),
            ],
        ),
        family(
            "alertbridge_sla_clocks",
            "Open clocks.",
            MetricType::GAUGE,
            clocks(standing),
        ),
        family(
            "alertbridge_sla_next_due_timestamp_seconds",
            "The earliest due instant of running clocks.",
            MetricType::GAUGE,
            next_due(standing),
        ),
        family(
            "alertbridge_sla_clock_due_timestamp_seconds",
            "The clocks that are due soonest; none unless `operators.soonest_clocks` says how many.",
            MetricType::GAUGE,
            soonest(standing),
        ),
        family(
            "alertbridge_calendar_last_holiday_timestamp_seconds",
            "The last dated holiday that a calendar knows.",
            MetricType::GAUGE,
            gauges
                .last_holidays
                .iter()
                .map(|(name, at)| gauge(pairs(&["calendar"], &[name]), signed(*at)))
                .collect(),
        ),
        one(
            "alertbridge_tickets_dead",
            "Tickets that were given up and wait for a person.",
            number(dead),
        ),
        one(
            "alertbridge_notices_dead",
            "Notices that were given up and wait for a person.",
            number(gauges.notices_dead),
        ),
        one(
            "alertbridge_calls_unanswered",
            "Calls that nobody has answered.",
            number(gauges.calls),
        ),
        one(
            "alertbridge_alerts_active",
            "Alerts whose condition holds, as far as is known.",
            number(gauges.alerts_active),
        ),
        one(
            "alertbridge_triage_waiting",
            "Open incidents of unknown impact that nobody has looked at.",
            number(gauges.needs_triage),
        ),
        one(
            "alertbridge_triage_oldest_timestamp_seconds",
            "When the oldest of them was opened; 0: there is none.",
            age(gauges.oldest_triage),
        ),
        one(
            "alertbridge_silences_active",
            "Silences in force.",
            number(gauges.silences),
        ),
        one(
            "alertbridge_maintenance_windows",
            "Maintenance windows planned or in force.",
            number(gauges.windows),
        ),
        one(
            "alertbridge_store_created_timestamp_seconds",
            "When the stored totals began.",
            seconds(gauges.created_at),
        ),
    ]
}
