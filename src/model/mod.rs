//! The words of alertbridge. This room imports nothing of ours and does nothing: no I/O, no clock.

pub mod event;
pub mod identity;
pub mod severity;
pub mod text;
pub mod time;

pub use event::{ComponentKind, Event, EventState, SeverityHint, Suppressed};
pub use identity::{AlertKey, Identity};
pub use severity::{Basis, Category, Severity};
pub use time::Time;
