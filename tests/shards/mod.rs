//! One hot counter over a whole cluster.
//!
//! ```text
//!   alone.rs      a server by itself: SHARDS, TOTAL, permissions
//!   gather.rs     three primaries with replicas: exact totals, shared rounds, memory, stopped nodes
//!   reshard.rs    writers go on while slots move
//!   faults.rs     roles change, the cluster goes down, writes are paused; replicas; 1024 shards
//!   forged.rs     messages that no module sent
//! ```

mod alone;
mod faults;
mod forged;
mod gather;
mod reshard;

use crate::harness::*;

/// Adds `delta` to each of the shards of `views`, and to the counter itself.
fn add_to_all(cluster: &Cluster, count: u32, delta: i64) {
    for shard in 0..count {
        let key = format!("views{{{shard}}}");
        cluster.call(args!["SCOUNTER.INCR", key, delta]).expect("an increment");
    }
    cluster.call(args!["SCOUNTER.INCR", "views", delta]).expect("an increment");
}

/// A number of INFO tallybook.
fn told(server: &Server, name: &str) -> u64 {
    server.connect().numbers()[name]
}
