//! Every named decision: the same word in timeline, log, metric, `explain` and tests.

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// Every variant, in the order of the documentation.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The word, the same everywhere.
            pub const fn word(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)+
                }
            }
        }
    };
}

words!(
    /// Exactly one for each event received: the label `outcome` of `alertbridge_alerts_total`.
    Outcome {
        /// Opened an incident.
        Opened = "opened",
        /// A repeat that changes nothing.
        Deduplicated = "deduplicated",
        /// Joined an incident that is open already.
        Grouped = "grouped",
        /// Changed an alert: severity word, texts, expiry.
        Updated = "updated",
        /// Ended an alert.
        Resolved = "resolved",
        /// An alert that had ended fires again within the reopen window.
        Reopened = "reopened",
        /// Waits in its hold.
        Held = "held",
        /// Ended within its hold: a blip.
        Transient = "transient",
        /// Acknowledged at the sender.
        Acknowledged = "acknowledged",
        /// A notice: flapping, downtime, unreachable, information.
        Info = "info",
        /// The sender's test button.
        Test = "test",
        /// A recovery of an alert that was never seen.
        OrphanRecovery = "orphan_recovery",
        /// Older than what is known already.
        Late = "late",
        /// Folded into a storm ticket.
        StormFolded = "storm_folded",
        /// Inside a maintenance window.
        SuppressedMaintenance = "suppressed_maintenance",
        /// Matched by a silence.
        SuppressedSilence = "suppressed_silence",
        /// Dropped by an operator's rule.
        Filtered = "filtered",
        /// Could not be read, or may not be trusted.
        Quarantined = "quarantined",
        /// Wrong credentials.
        Unauthorized = "unauthorized",
        /// Over the source's rate or backlog.
        RateLimited = "rate_limited",
        /// A sign of life.
        Heartbeat = "heartbeat",
        /// The engine could not apply it; set aside for a person.
        Failed = "failed",
    }
);

words!(
    /// Why an incident, a case or a ticket changed.
    Reason {
        /// First alert of a new problem.
        FirstAlert = "first_alert",
        /// Waits for its hold to pass.
        Hold = "hold",
        /// Still bad at the end of its hold.
        HoldPassed = "hold_passed",
        /// Cleared within its hold.
        ClearedInHold = "cleared_in_hold",
        /// An alert joined: same element.
        SameElement = "same_element",
        /// An alert joined: it is explained by a failed element that it needs or is part of.
        ExplainedByRoot = "explained_by_root",
        /// An alert joined: member of the same group.
        SameGroup = "same_group",
        /// An alert joined: the route's `group_by`.
        GroupBy = "group_by",
        /// The cause spoke later than its effects: two incidents are one.
        RootSpokeLater = "root_spoke_later",
        /// Merged into another incident.
        Merged = "merged",
        /// Severity follows from the inventory's graph.
        Impact = "impact",
        /// Severity follows from rules and the sender's word.
        RuleSeverity = "rule_severity",
        /// Facts got worse.
        Worsened = "worsened",
        /// Facts got better.
        Improved = "improved",
        /// A person set the severity.
        PersonSeverity = "person_severity",
        /// Folded into a storm.
        Storm = "storm",
        /// An alert ended.
        AlertResolved = "alert_resolved",
        /// An alert fires again.
        AlertRefired = "alert_refired",
        /// All alerts ended.
        AllResolved = "all_resolved",
        /// A person resolved it.
        PersonResolved = "person_resolved",
        /// Fires again within the reopen window.
        Reopened = "reopened",
        /// The reopen window is over.
        ReopenWindowOver = "reopen_window_over",
        /// Changes state too often.
        Flapping = "flapping",
        /// Quiet again after flapping.
        FlappingEnded = "flapping_ended",
        /// No word from the sender for longer than promised.
        Stale = "stale",
        /// The sender speaks again.
        NoLongerStale = "no_longer_stale",
        /// Inside a maintenance window.
        Maintenance = "maintenance",
        /// Still bad at the end of the window.
        MaintenanceOverrun = "maintenance_overrun",
        /// Matched by a silence.
        Silenced = "silenced",
        /// Still bad at the end of the silence.
        SilenceEnded = "silence_ended",
        /// A proven outage of several customers pierces a silence.
        SilencePierced = "silence_pierced",
        /// Nothing was wrong after all.
        FalseAlarm = "false_alarm",
        /// Acknowledged, by a person or at the sender.
        Acknowledged = "acknowledged",
        /// An acknowledgement goes back to the alert's monitor.
        AcknowledgementSent = "acknowledgement_sent",
        /// A person took it.
        Assigned = "assigned",
        /// A person answered.
        Answered = "answered",
        /// Waits for the customer.
        WaitingForCustomer = "waiting_for_customer",
        /// No longer waits for the customer.
        WaitEnded = "wait_ended",
        /// A time for the next update was promised.
        Promised = "promised",
        /// A person's note.
        Note = "note",
        /// A person reported it.
        Reported = "reported",
        /// A person changed the category.
        Recategorised = "recategorised",
        /// Escalated.
        Escalated = "escalated",
        /// A ticket was asked for.
        TicketWanted = "ticket_wanted",
        /// A ticket exists in the tracker.
        TicketOpened = "ticket_opened",
        /// A ticket was found by its key after an unknown outcome.
        TicketAdopted = "ticket_adopted",
        /// A ticket was resolved or closed in the tracker.
        TicketClosed = "ticket_closed",
        /// One case's ticket was closed; the incident goes on.
        CaseClosed = "case_closed",
        /// A ticket could not be written; a person has to look.
        TicketFailed = "ticket_failed",
        /// A second ticket for the same problem was closed as a duplicate.
        TwinClosed = "twin_closed",
        /// A route is in shadow mode: written to the desk only.
        Shadow = "shadow",
        /// The cap of new tickets an hour is reached.
        TicketCap = "ticket_cap",
        /// The tracker is down; the fallback route takes it.
        Fallback = "fallback",
        /// Part of the baseline at a source's first contact.
        Baseline = "baseline",
        /// A target is about to be missed.
        SlaAtRisk = "sla_at_risk",
        /// A target was missed.
        SlaBreached = "sla_breached",
        /// A message that could not be read waits in quarantine.
        Quarantined = "quarantined",
        /// An input that the engine could not apply was set aside.
        Poisoned = "poisoned",
        /// A lone word that fresh watchers contradict.
        Unconfirmed = "unconfirmed",
        /// Enough watchers say so.
        Confirmed = "confirmed",
        /// A neighbour of planned or silenced work failed as well.
        NotCovered = "not_covered",
        /// Two maintenances together would take a group below its need.
        MaintenanceOverlap = "maintenance_overlap",
        /// The cause ended, its effects remain.
        CauseEnded = "cause_ended",
        /// The bridge's own trouble.
        SelfMonitoring = "self_monitoring",
        /// An edited calendar moved the due instant of a running clock.
        DueMoved = "due_moved",
        /// The storm is over: what still fires has incidents of its own.
        Unfolded = "unfolded",
        /// The problem came back; its ticket stays closed and a new one follows it.
        NewTicket = "new_ticket",
        /// A tracker did not reopen a ticket.
        NotReopened = "not_reopened",
        /// A person closed a ticket while its alert still fires.
        ClosedWhileFiring = "closed_while_firing",
        /// Somebody was told.
        Notified = "notified",
        /// Somebody could not be told; a person has to look.
        NoticeFailed = "notice_failed",
        /// Somebody is called.
        Paged = "paged",
        /// Somebody answered the call.
        PageAnswered = "page_answered",
        /// An audience resolves to nobody.
        Unaddressed = "unaddressed",
        /// A promised time cannot be read.
        PromiseUnclear = "promise_unclear",
        /// A security message waits for a person.
        SecurityMarked = "security_marked",
        /// A person released a security message.
        SecurityReleased = "security_released",
        /// The store was lost; this comes out of open tickets.
        Rebuilt = "rebuilt",
    }
);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_unique_snake_case_and_few_outcomes_stay_bounded() {
        for words in [
            Outcome::ALL.iter().map(|o| o.word()).collect::<Vec<_>>(),
            Reason::ALL.iter().map(|r| r.word()).collect(),
        ] {
            let unique: BTreeSet<_> = words.iter().collect();
            assert_eq!(unique.len(), words.len());
            assert!(
                words
                    .iter()
                    .all(|w| w.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
            );
        }
    }
}
