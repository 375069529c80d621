//! The commands. A handler parses, opens, decides, and concludes; `scounter.rs` and `idblock.rs`
//! hold one function a command, `catalog.rs` what the server is told of each.

pub mod args;
pub mod catalog;
pub mod fence;
pub mod idblock;
mod info;
mod log;
pub mod scounter;
pub mod shards;
mod syntax;
