//! The store under faults: a full, read-only or locked disk, a torn tail, damaged pages, commits
//! that fail. What was acknowledged is there, or the store says that it is damaged and which verb
//! helps; it never goes on with less.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

#[path = "store_faults/commits.rs"]
mod commits;
#[path = "store_faults/damage.rs"]
mod damage;
#[path = "store_faults/disk.rs"]
mod disk;
#[path = "store_faults/process.rs"]
mod process;
#[path = "store_support/mod.rs"]
mod support;
#[path = "store_faults/tail.rs"]
mod tail;
