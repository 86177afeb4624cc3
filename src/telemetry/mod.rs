//! What can be seen of the daemon from outside: metrics and the log. Names of metrics and their
//! meaning stand in one table each: [`metrics`] for this process, [`crate::model::figure`] for
//! what survives a restart.

pub mod logging;
pub mod metrics;
mod shown;
