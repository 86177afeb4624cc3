//! The inventory: accounts, services, elements and groups, and who depends on whom.
//!
//! `model` holds what is known, `load` reads it from TOML and CSV text, `names` finds the element
//! that a monitor means, `health` follows the graph. All of it is pure; files are read by the
//! configuration room.

mod health;
mod load;
mod model;
mod names;

pub use health::{Condition, Health, Impact};
pub use load::{InventoryFile, Problem};
pub use model::{ElementId, Inventory, Query, Resolution};
