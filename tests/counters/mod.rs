//! Counters in use: retried, held, bounded, moved, lost and promoted. Many a test is somebody's bug; it says whose.
//!
//! ```text
//!   retries.rs    a retried call counts once, whatever became of the server or the key in between
//!   tokens.rs     what a token stands for: mismatches, refusals, limits, memory
//!   failover.rs   8 clients, a lossy proxy, killed primaries: the total is exact
//!   cluster.rs    slots on the move
//!   holds.rs      reserve, commit, release, deadlines
//!   increx.rs     the native INCREX, on servers without it
//!   several.rs    MINCR, MGET, SET
//!   options.rs    CREATE, ALTER, INFO
//!   quiet.rs      who is told of a change, and that nobody is told of none
//! ```

mod cluster;
mod failover;
mod holds;
mod increx;
mod options;
mod quiet;
mod retries;
mod several;
mod tokens;

use crate::harness::*;

const NO_KEY: &str = "NOKEY counter must exist";
const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// One field of SCOUNTER.INFO, see `show`.
#[track_caller]
fn field(client: &mut Client, key: &str, name: &str) -> String {
    client.show(["SCOUNTER.INFO", key, name])
}

/// Ends the primary at once and promotes its replica.
#[track_caller]
fn fail_over(pair: Pair) -> Server {
    let Pair { mut primary, replica } = pair;
    primary.kill();
    replica.connect().ok("REPLICAOF NO ONE");
    replica
}
