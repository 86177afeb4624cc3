//! Who is told what, in which language, and how it gets there.
//!
//! | file | holds |
//! | --- | --- |
//! | `plan` | who is told what and when; pure, the engine decides by it |
//! | `words` | templates, languages, zones; pure |
//! | `mail` | letters |
//! | `pager` | calls |
//! | `worker` | sends what is wanted, and tells what came of it |
//! | `section` | `[notices]` and `[pager]` as written |
//!
//! The engine wants notices, a worker sends them, and what came of it is an input again.

pub mod mail;
pub mod pager;
pub mod plan;
mod section;
pub mod words;
mod worker;

pub use section::NoticesSection;
pub use worker::{NoticeLedger, NoticeWorker, Reports, Ways};
