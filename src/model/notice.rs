//! What messages say besides events: planned work, and the words of people.

use super::time::Time;
use serde::{Deserialize, Serialize};

/// Planned work, as a carrier or provider announces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceNotice {
    /// Who announces it.
    pub provider: String,
    /// The provider's id of the maintenance, equal over all its notices.
    pub maintenance_id: String,
    /// The provider's name for our account, if given.
    pub account: Option<String>,
    /// What the notice says about the work.
    pub status: MaintenanceStatus,
    /// Circuits, devices or services and how they are hit.
    pub objects: Vec<MaintenanceObject>,
    /// The windows, in order.
    pub windows: Vec<MaintenanceWindow>,
    /// Order of the notices of one maintenance; an older sequence never wins.
    pub sequence: i64,
    /// One line for people.
    pub summary: String,
    /// Why a person has to look at it: unclear zone, missing window, unknown layout.
    pub unclear: Vec<String>,
}

/// State of planned work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaintenanceStatus {
    /// Announced, not yet confirmed.
    Tentative,
    /// Will take place as announced.
    Confirmed,
    /// Takes place on other dates than first announced.
    Rescheduled,
    /// Will not take place.
    Cancelled,
    /// Has begun.
    InProcess,
    /// Is over.
    Completed,
    /// The notice does not say, or says a word that is not known.
    Unknown,
}

/// One thing that planned work touches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceObject {
    /// The provider's id of the circuit, device or service.
    pub id: String,
    /// How it is hit.
    pub impact: MaintenanceImpact,
}

/// How planned work hits an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaintenanceImpact {
    /// No impact expected.
    NoImpact,
    /// Protection is lost.
    ReducedRedundancy,
    /// Works badly or is interrupted for moments.
    Degraded,
    /// Does not work.
    Outage,
    /// Not said.
    Unknown,
}

/// From a start to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceWindow {
    /// First instant.
    pub starts_at: Time,
    /// First instant after it; `None` if the notice names no end.
    pub ends_at: Option<Time>,
}

/// Words of a person: a reply to a ticket, or a question of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The author's address or login.
    pub from: String,
    /// The subject line.
    pub subject: String,
    /// The new text, without the quoted part.
    pub text: String,
    /// Message ids that the message refers to, nearest first, without angle brackets.
    pub refers_to: Vec<String>,
    /// A ticket number or tag found in the subject.
    pub ticket_tag: Option<String>,
    /// The message's own id, without angle brackets.
    pub message_id: Option<String>,
}
