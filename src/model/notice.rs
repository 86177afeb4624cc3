//! What messages say besides events: planned work, and the words of people.

use super::command::RequestKind;
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

impl MaintenanceNotice {
    /// Whether a text can be the id of a maintenance: marks alone tell nothing apart.
    pub fn is_id(text: &str) -> bool {
        text.contains(char::is_alphanumeric)
    }

    /// Leaves out windows that end before they begin: a person has to say what was meant.
    pub fn leave_out_backward_windows(&mut self) {
        let unclear = &mut self.unclear;
        self.windows.retain(|window| {
            let end = window.ends_at.filter(|end| *end < window.starts_at);
            if let Some(end) = end {
                let from = window.starts_at;
                unclear.push(format!(
                    "a window ends at {end}, before it begins at {from}"
                ));
            }
            end.is_none()
        });
    }
}

/// Why a notice is unclear: it names no window. A later notice of the same maintenance need not.
pub const NO_WINDOW: &str = "no window was found";
/// Why a notice is unclear: it names nothing that is hit. A later notice need not either.
pub const NO_OBJECT: &str = "no circuit, device or service was found";

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

/// Who wrote a message, as far as a door could prove it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// The address, in lower case.
    pub address: String,
    /// Who it is to us.
    pub speaker: Speaker,
    /// The account that the address belongs to.
    pub account: Option<String>,
    /// What the words are about, by the operator's list: `billing`, `sales`; empty: nothing of it.
    pub topic: String,
    /// The request that the words ask for in so many words.
    pub asked: Option<Asked>,
}

/// Who an author is to us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// Not known; the door believes everybody.
    #[default]
    Unknown,
    /// A monitoring system or a provider: no person's words.
    Monitor,
    /// Somebody of an account.
    Customer,
    /// One of our own people.
    Engineer,
}

/// A request as a mail asks for it in its first lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The account that reports, if it is not the author's own.
    pub account: Option<String>,
    /// The service it is about.
    pub service: Option<String>,
    /// What is wrong.
    pub kind: RequestKind,
    /// When it was noticed.
    pub reported_at: Option<Time>,
    /// Content that must not leave the bridge.
    pub sensitive: bool,
    /// Lines that were not understood.
    pub problems: Vec<String>,
}

impl Asked {
    /// What is asked where no line says more.
    pub fn inquiry() -> Asked {
        Asked {
            account: None,
            service: None,
            kind: RequestKind::Inquiry,
            reported_at: None,
            sensitive: false,
            problems: Vec::new(),
        }
    }
}
