//! Counters, id blocks, their audit log and the fence as plain Rust: no server in it.
//!
//! A client's request is *decided* on here, against a value and an [`environment::Environment`]; the
//! decision is an [`effect`]; applying effects is the only way a value changes. The crate around this
//! one parses commands, stores values, and carries effects to replicas and files.

pub mod audit;
pub mod bounds;
pub mod counter;
pub mod decision;
pub mod effect;
pub mod environment;
pub mod error;
pub mod fence;
pub mod hold;
pub mod idblock;
pub mod idempotency;
pub mod info;
pub mod ledger;
pub mod limits;
pub mod memory;
pub mod options;
pub mod permutation;
pub mod retry;
pub mod shards;
#[cfg(test)]
mod simulation;
pub mod stored;
pub mod wire;
