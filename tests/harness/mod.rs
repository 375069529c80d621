//! Real servers for tests: one server, a pair, a cluster, sentinels, and what they send to replicas and subscribers.
//!
//! ```text
//! let server = Server::start();
//! let mut client = server.connect();
//! assert_eq!(client.int("SCOUNTER.INCR views 5"), 5);
//! assert_eq!(client.error("SCOUNTER.INCR views abc"), "ERR delta must be an integer");
//! ```
//!
//! A test owns its servers: they run in directories of their own, are ended by their own handles, and their logs are
//! searched for panics and failed assertions when they are dropped. Tests never sleep: `wait_until` is the only clock.

#![allow(dead_code, unused_imports)] // one test binary; a piece may be used by no test yet
#![allow(clippy::expect_used, clippy::unwrap_used)] // what goes wrong here is the verdict of a test

mod builder;
mod client;
mod cluster;
mod command;
mod digest;
mod directory;
mod environment;
mod events;
mod log;
mod pair;
mod persistence;
mod port;
mod proxy;
mod reply;
mod sentinel;
mod server;
mod stream;
mod wait;

pub use builder::Builder;
pub use client::{Client, Reply};
pub use cluster::Cluster;
pub(crate) use command::args;
pub use command::{Argument, Command};
pub use digest::{Digests, assert_same_digests};
pub use directory::Directory;
pub use environment::{is_sanitized, module_path, scale, seed, server_name};
pub use events::Events;
pub use pair::{Pair, synced};
pub use port::free as free_port;
pub use proxy::{Loss, Proxy};
pub use reply::{NOT_NOW, show};
pub use sentinel::Sentinels;
pub use server::Server;
pub use stream::ReplicationStream;
pub use wait::{PATIENCE, holds_within, wait_until};
