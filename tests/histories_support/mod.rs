//! What happens in a random history, the engine that it happens to, and what must be true.

pub mod acts;
pub mod always;
pub mod world;
