//! Reading, running and checking scenarios.

pub mod check;
pub mod disk;
pub mod file;
pub mod run;
pub mod script;
