//! The audit log inside a key: who changed it, when, by how much and why.
//!
//! ```text
//!   entry.rs      ids, entries, and what a kind of change must be able to do
//!   counter.rs    the changes of a counter
//!   block.rs      the changes of an id block, and whose reservation an ordinal belongs to
//!   chunk.rs      the bytes of up to 256 entries
//!   names.rs      a chunk's dictionary while it is being written
//!   retention.rs  how much of a log is kept
//!   log.rs        chunks in a row: append, range, trim; log/stored.rs its stored form
//! ```
//!
//! Nothing in here asks for the time or for a name: ids, users and clients are the primary's and
//! come in with the entry, so a log is the same wherever the same entries were appended.

mod block;
mod chunk;
mod counter;
mod entry;
mod log;
mod names;
mod retention;

#[cfg(test)]
mod properties;

pub use block::BlockChange;
pub use counter::{CounterChange, CounterOp};
pub use entry::{Change, Entry, EntryId};
pub use log::Log;
pub use retention::Retention;
