//! What operators can tell the bridge. Every command is journaled with its author.

use super::id::{AlertId, IncidentId, NoticeId, SecurityId, SilenceId, TicketId, WindowId};
use super::severity::{Category, Severity};
use super::time::Time;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a person at the operators' door may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Read.
    View,
    /// Read, and act on incidents, tickets, silences and windows.
    Operate,
    /// Everything: reload, promote, backup, erase.
    Admin,
}

/// An operator's command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// "I have seen it": the first human act.
    Acknowledge {
        /// Which incident.
        incident: IncidentId,
    },
    /// Somebody takes it; an empty owner gives it back.
    Assign {
        /// Which incident.
        incident: IncidentId,
        /// Login or name.
        owner: String,
    },
    /// Waits for the customer from now on, or no longer.
    Wait {
        /// Which incident.
        incident: IncidentId,
        /// One contract's case; `None`: all cases.
        contract: Option<String>,
        /// Begin or end the wait.
        waiting: bool,
    },
    /// A time for the next update was promised.
    Promise {
        /// Which incident.
        incident: IncidentId,
        /// The promised time.
        at: Time,
        /// What to tell the customer.
        text: String,
    },
    /// A note; a public one counts as an answer.
    Note {
        /// Which incident.
        incident: IncidentId,
        /// The text.
        text: String,
        /// Whether customers may see it.
        public: bool,
    },
    /// It is over.
    Resolve {
        /// Which incident.
        incident: IncidentId,
        /// Nothing was wrong after all.
        false_alarm: bool,
        /// Why, for the ticket.
        text: String,
    },
    /// It is not over after all.
    Reopen {
        /// Which incident.
        incident: IncidentId,
    },
    /// A person's severity; stands until lifted (`None`) or the facts get worse.
    SetSeverity {
        /// Which incident.
        incident: IncidentId,
        /// The severity; `None` lifts it.
        severity: Option<Severity>,
        /// Why.
        text: String,
    },
    /// Changes the category.
    SetCategory {
        /// Which incident.
        incident: IncidentId,
        /// The category.
        category: Category,
    },
    /// A person escalates.
    Escalate {
        /// Which incident.
        incident: IncidentId,
        /// `impact`, `slow` or `expectations`.
        reason: String,
    },
    /// A person opens a request: a customer's report or question.
    Request(PersonRequest),
    /// Silences matching alerts.
    Silence {
        /// Matcher expressions, `name=value`, all must match.
        matchers: Vec<String>,
        /// Why; required.
        reason: String,
        /// Until when.
        until: Time,
        /// Whether it also holds back a proven S1.
        holds_s1: bool,
    },
    /// Ends a silence now.
    EndSilence {
        /// Which silence.
        silence: SilenceId,
    },
    /// Declares a maintenance window.
    OpenWindow {
        /// Matcher expressions, `name=value`, all must match.
        matchers: Vec<String>,
        /// Why; shown in tickets.
        reason: String,
        /// From when.
        starts_at: Time,
        /// Until when.
        ends_at: Time,
    },
    /// Cancels a maintenance window or ends it now.
    EndWindow {
        /// Which window.
        window: WindowId,
    },
    /// A shadow route goes live.
    Promote {
        /// Which route.
        route: String,
    },
    /// An existing ticket of a tracker becomes the incident's ticket.
    Adopt {
        /// Which incident.
        incident: IncidentId,
        /// Which tracker.
        tracker: String,
        /// The ticket there.
        key: String,
    },
    /// Tries a dead ticket again.
    RetryTicket {
        /// Which ticket.
        ticket: TicketId,
    },
    /// Gives a dead ticket up.
    DropTicket {
        /// Which ticket.
        ticket: TicketId,
        /// Why.
        text: String,
    },
    /// An alert ended although the sender never said so.
    CloseAlert {
        /// Which alert.
        alert: AlertId,
    },
    /// A quarantined message was handled or is of no interest.
    DropQuarantined {
        /// Journal position of the message.
        seq: u64,
        /// Why.
        text: String,
    },
    /// A change at the built-in desk.
    Desk {
        /// The desk's ticket number.
        number: u64,
        /// What was done, for the audit.
        text: String,
    },
    /// Tries a dead notice again.
    RetryNotice {
        /// Which notice.
        notice: NoticeId,
    },
    /// Gives a notice up.
    DropNotice {
        /// Which notice.
        notice: NoticeId,
        /// Why.
        text: String,
    },
    /// What is known of an incident concerns security: a message that a person has to release.
    MarkSecurity {
        /// Which incident.
        incident: IncidentId,
        /// What those who are hit should read.
        text: String,
    },
    /// A security message goes out.
    ReleaseSecurity {
        /// Which message.
        security: SecurityId,
        /// Its text; empty: as it was marked.
        text: String,
    },
    /// A security message does not go out.
    DropSecurity {
        /// Which message.
        security: SecurityId,
        /// Why.
        text: String,
    },
}

/// In plain words, as the audit tells it.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Request(request) => request.fmt(f),
            Command::Silence { .. }
            | Command::EndSilence { .. }
            | Command::OpenWindow { .. }
            | Command::EndWindow { .. } => self.tell_quiet(f),
            Command::Promote { route } => write!(f, "promote route `{route}`"),
            Command::Adopt {
                incident,
                tracker,
                key,
            } => write!(f, "adopt ticket {key} of `{tracker}` for {incident}"),
            Command::RetryTicket { ticket } => write!(f, "retry {ticket}"),
            Command::DropTicket { ticket, text } => told(f, &format!("drop {ticket}"), text),
            Command::CloseAlert { alert } => write!(f, "end {alert}"),
            Command::DropQuarantined { seq, text } => {
                told(f, &format!("drop message {seq} from quarantine"), text)
            }
            Command::Desk { number, text } => told(f, &format!("desk ticket {number}"), text),
            Command::RetryNotice { notice } => write!(f, "retry {notice}"),
            Command::DropNotice { notice, text } => told(f, &format!("drop {notice}"), text),
            Command::MarkSecurity { incident, text } => {
                told(f, &format!("mark {incident} as a matter of security"), text)
            }
            Command::ReleaseSecurity { security, text } => {
                told(f, &format!("release {security}"), text)
            }
            Command::DropSecurity { security, text } => told(f, &format!("drop {security}"), text),
            Command::Acknowledge { .. }
            | Command::Assign { .. }
            | Command::Wait { .. }
            | Command::Promise { .. }
            | Command::Note { .. }
            | Command::Resolve { .. }
            | Command::Reopen { .. }
            | Command::SetSeverity { .. }
            | Command::SetCategory { .. }
            | Command::Escalate { .. } => self.tell_incident(f),
        }
    }
}

impl Command {
    fn tell_incident(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Acknowledge { incident } => write!(f, "acknowledge {incident}"),
            Command::Assign { incident, owner } if owner.is_empty() => {
                write!(f, "give {incident} back")
            }
            Command::Assign { incident, owner } => write!(f, "assign {incident} to `{owner}`"),
            Command::Wait {
                incident,
                contract,
                waiting,
            } => {
                let wait = if *waiting { "wait" } else { "wait no longer" };
                write!(f, "{wait} for the customer of {incident}")?;
                match contract {
                    Some(contract) => write!(f, ", contract `{contract}` alone"),
                    None => Ok(()),
                }
            }
            Command::Promise { incident, at, text } => {
                let what = format!("promise the next update of {incident} for {at}");
                told(f, &what, text)
            }
            Command::Note {
                incident,
                text,
                public,
            } => {
                let note = if *public { "public note" } else { "note" };
                told(f, &format!("{note} on {incident}"), text)
            }
            Command::Resolve {
                incident,
                false_alarm,
                text,
            } => {
                let how = if *false_alarm {
                    " as a false alarm"
                } else {
                    ""
                };
                told(f, &format!("resolve {incident}{how}"), text)
            }
            Command::Reopen { incident } => write!(f, "reopen {incident}"),
            Command::SetSeverity {
                incident,
                severity: Some(severity),
                text,
            } => told(f, &format!("set {incident} to {severity}"), text),
            Command::SetSeverity { incident, text, .. } => {
                told(f, &format!("lift the severity set on {incident}"), text)
            }
            Command::SetCategory { incident, category } => {
                write!(f, "set the category of {incident} to {}", category.word())
            }
            Command::Escalate { incident, reason } => {
                told(f, &format!("escalate {incident}"), reason)
            }
            // All others are told where the command is.
            _ => Ok(()),
        }
    }

    fn tell_quiet(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Silence {
                matchers,
                reason,
                until,
                holds_s1,
            } => {
                let all = if *holds_s1 { ", also a proven S1," } else { "" };
                let what = format!("silence {}{all} until {until}", matchers.join(" "));
                told(f, &what, reason)
            }
            Command::EndSilence { silence } => write!(f, "end {silence}"),
            Command::OpenWindow {
                matchers,
                reason,
                starts_at,
                ends_at,
            } => {
                let on = matchers.join(" ");
                told(
                    f,
                    &format!("window on {on} from {starts_at} until {ends_at}"),
                    reason,
                )
            }
            Command::EndWindow { window } => write!(f, "end {window}"),
            // All others are told where the command is.
            _ => Ok(()),
        }
    }
}

/// What was said, and the words that came with it.
fn told(f: &mut fmt::Formatter<'_>, what: &str, words: &str) -> fmt::Result {
    match words {
        "" => f.write_str(what),
        words => write!(f, "{what}: {words}"),
    }
}

impl fmt::Display for PersonRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of `{}`", self.kind.word(), self.account)?;
        if let Some(service) = &self.service {
            write!(f, " about `{service}`")?;
        }
        write!(f, ", reported at {}: {}", self.reported_at, self.summary)
    }
}

/// A request that a person opens by the CLI, the desk's API or a mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonRequest {
    /// The account that reports.
    pub account: String,
    /// The service it is about, if known.
    pub service: Option<String>,
    /// Outage, degradation or a question, in our words.
    pub kind: RequestKind,
    /// When it was reported; the clock's start.
    pub reported_at: Time,
    /// One line.
    pub summary: String,
    /// The whole text.
    pub text: String,
    /// Content that must not leave the bridge.
    pub sensitive: bool,
}

/// What a person's request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// A service does not work.
    Outage,
    /// A service works badly.
    Degradation,
    /// A service is being set up.
    Provisioning,
    /// A question.
    Inquiry,
}

impl RequestKind {
    /// The word used in the API, by the CLI and in the audit.
    pub const fn word(self) -> &'static str {
        match self {
            RequestKind::Outage => "outage",
            RequestKind::Degradation => "degradation",
            RequestKind::Provisioning => "provisioning",
            RequestKind::Inquiry => "inquiry",
        }
    }
}
