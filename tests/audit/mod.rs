//! The audit log, at length. What one entry says and which entries a range holds: `commands/log.rs`.
//!
//! ```text
//!   entry.rs      an entry as a test reads it
//!   model.rs      what a counter and its log come to, in plain code
//!   truth.rs      a random workload of many users: the log holds exactly what was applied
//!   retention.rs  how much of it is kept
//!   memory.rs     what an entry costs
//!   latency.rs    a long log does not block the server
//!   tail.rs       examples/tail.rs: a log copied into a file, over kills and restarts
//! ```

pub mod entry;
mod latency;
mod memory;
mod model;
mod retention;
mod tail;
mod truth;
