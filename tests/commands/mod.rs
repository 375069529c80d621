//! What each command answers, and what it leaves behind.
//!
//! ```text
//!   witness.rs    a server watched from all sides: a refusal must show on none of them
//!   scounter.rs   counters                         idblock.rs    allocators
//!   log.rs        both logs, against XRANGE        callers.rs    MULTI, Lua, ACL, memory
//!   settings.rs   tallybook.*                      catalog.rs    COMMAND INFO, DOCS, GETKEYS
//!   generated.rs  calls made from COMMAND DOCS
//! ```

mod callers;
mod catalog;
mod generated;
mod idblock;
mod log;
mod scounter;
mod settings;
pub mod witness;
