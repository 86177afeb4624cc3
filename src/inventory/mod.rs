//! The inventory: accounts, services, elements and groups, and who depends on whom.
//!
//! `model` holds what is known, `load` reads it from TOML text and `csv` from CSV, `build` checks and indexes it, `names` finds the element
//! that a monitor means, `health` follows the graph, and `impact` says
//! what that does to services and accounts. All of it is pure; files are read by the
//! configuration room.

mod build;
mod check;
mod csv;
mod difference;
mod health;
mod impact;
mod load;
mod model;
mod names;
mod netbox;
mod overlap;
mod related;

#[cfg(test)]
mod oracle_tests;

pub use check::{Finding, check};
pub use difference::Difference;
pub use health::{Condition, Health};
pub use impact::{Impact, Lives, OnAccount, effects};
pub use load::{
    AccountEntry, ElementEntry, GroupEntry, InventoryFile, Life, Problem, ServiceEntry, Unread,
};
pub use model::{ElementId, Inventory, Query, Resolution, Watch};
pub use netbox::{Netbox, NetboxList};
pub use overlap::{overlap, what_if};
pub use related::beside;
