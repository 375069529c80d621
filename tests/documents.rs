//! The documents say what the server does, and all that it does.
//!
//! ```text
//!   markdown.rs      headings, fences, tables, links
//!   transcript.rs    what redis-cli shows: its parts, and a server's reply in the same words
//!   replay.rs        every transcript against a server            id_server.rs    the example
//!   syntax.rs        COMMAND DOCS as a syntax line                layouts.rs      the years of CLOCK
//!   reference.rs     docs/COMMANDS.md against a server            refusals.rs     every error
//! ```

mod id_server;
mod layouts;
mod markdown;
mod reference;
mod refusals;
mod replay;
mod syntax;
mod transcript;

pub use markdown::{Document, source, sources};
