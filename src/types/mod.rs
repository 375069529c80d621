//! The two key types, as the server's callbacks see them.

mod idblock;
mod scounter;
