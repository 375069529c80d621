//! Everything that touches the server: the only `unsafe` code of the project, and the only use of
//! the raw module API. What it offers upwards is safe.
//!
//! The API is used raw, through the bindings of the `redis-module` crate, not through its wrappers:
//! those panic on functions that an older server lacks, on bytes that are no UTF-8, and abort the
//! server on a panic. One binary has to load on every server from Redis 7.0 to Valkey 9.

#[macro_use]
mod api;
mod alloc;
mod bus;
mod call;
mod commit;
mod config;
mod context;
mod count;
mod defrag;
mod environment;
mod event;
mod eviction;
pub mod fence;
mod guard;
mod info;
mod journal;
mod keyspace;
mod latency;
mod load;
mod news;
mod park;
mod permission;
#[cfg(feature = "planted")]
pub mod planted;
mod register;
mod replication;
mod server_log;
mod value_type;

pub use bus::{Request, gather};
pub use commit::{Step, conclude, conclude_all, execute};
pub use config::{Flag, Number, Text};
pub use context::{Args, Context, Key, Reply, narrow};
pub use environment::{Live, is_obeying, is_replica};
pub use keyspace::{open, read};
pub use load::Loader;
#[doc(hidden)]
pub use load::on_load;
pub use permission::may_read;
pub use register::{Access, Argument, Command, Keys, Value};
pub use value_type::{Handle, ValueType};

pub(crate) use load::entry_point;
