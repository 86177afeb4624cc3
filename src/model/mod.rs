//! The words of alertbridge. This room imports nothing of ours and does nothing: no I/O, no clock.

pub mod alert;
pub mod command;
pub mod event;
pub mod figure;
pub mod id;
pub mod identity;
pub mod incident;
pub mod input;
pub mod memory;
pub mod notice;
pub mod outgoing;
pub mod reason;
pub mod review;
pub mod saved;
pub mod severity;
pub mod text;
pub mod ticket;
pub mod time;

pub use alert::{Alert, AlertState, AlertText};
pub use command::{Command, PersonRequest, RequestKind};
pub use event::{ComponentKind, Event, EventState, SeverityHint, Suppressed};
pub use id::{AlertId, IncidentId, NoticeId, SecurityId, SilenceId, Sym, TicketId, WindowId};
pub use identity::{AlertKey, Identity, hash_of_parts, short_hash};
pub use incident::{Effect, Ended, ImpactPeriod, Incident, IncidentState, TimelineEntry};
pub use input::{Input, Message, Seen, Sequenced, Undecoded};
pub use reason::{Outcome, Reason};
pub use severity::{Basis, Category, Severity};
pub use ticket::{
    DeliveryReport, PersonChange, PersonDid, TicketFields, TicketStatus, WantedTicket,
};
pub use time::Time;
