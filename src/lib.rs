//! alertbridge stands between monitoring and the ticket tracker: every alert in; one ticket per
//! real problem out, with the right severity and the SLA clock running.
//!
//! The modules in the order in which an alert meets them:
//!
//! | room | does | I/O |
//! | --- | --- | --- |
//! | [`model`] | the words: event, alert, incident, case, ticket, input, effect, reason | no |
//! | [`formats`] | bytes → [`formats::Decoded`]; one file a sender | no |
//! | [`intake`] | the doors: HTTP, SMTP, LMTP, pipe; authentication, limits, the decoding fence | yes |
//! | [`store`] | the journal of inputs, the engine's state, the desk's tickets | yes |
//! | [`rules`] | operators' conditions over events | no |
//! | [`inventory`] | accounts, services, elements, groups; who depends on what | loaders only |
//! | [`engine`] | `step(state, input, now) → effects`: identity, hold, correlation, severity | no |
//! | [`sla`] | policies, business calendars, clocks | no |
//! | [`delivery`] | makes each tracker look as wanted; unknown outcomes are looked up | yes |
//! | [`trackers`] | one file a tracker behind one trait | yes |
//! | [`notices`] | who is told what, when, in which language; letters and calls | its workers |
//! | [`text_templates`] | how templates of tickets and letters are read | no |
//! | [`relay`] | how letters leave: one mail server, for trackers and notices | yes |
//! | [`api`] | board, REST, health, metrics | yes |
//! | [`telemetry`] | every metric in one table; logging | no |
//! | [`config`] | TOML files and environment, strict, all problems at once | loader only |
//! | [`replay`] | the journal through another configuration: which tickets would be different | reads |
//! | [`daemon`] | builds the rooms in order and tears them down in reverse | yes |
//! | [`cli`] | one file a verb | yes |
//!
//! `model`, `formats`, `rules`, `engine`, `sla` and the inventory's graph do no I/O, read no clock
//! and draw no random number; `tests/tidy.rs` reads their imports and holds them to it.

pub mod api;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod delivery;
pub mod engine;
pub mod formats;
pub mod intake;
pub mod inventory;
pub mod limits;
pub mod model;
pub mod notices;
pub mod relay;
pub mod replay;
pub mod rules;
pub mod secret;
pub mod sla;
pub mod store;
pub mod telemetry;
pub mod text_templates;
pub mod trackers;
