//! The fence: no id twice, whatever fails. A checker collects every id that any client ever got.
//!
//! ```text
//!   checker.rs      every id, and how many were handed out twice
//!   crowd.rs        clients that go on reserving while servers fail around them
//!   operator.rs     one who does what the servers say must be done
//!   split_brain.rs  two primaries at once, with INCR as the control
//!   rollback.rs     a promotion that is taken back   chaos.rs      anything, in any order
//!   sentinel.rs     three sentinels                  cluster.rs    three primaries, a replica each
//!   failover.rs     FAILOVER, with and without force snapshot.rs   a replica that has forgotten what it acknowledged
//!   kills.rs        a lone server, killed            journal.rs    a journal torn, lost, full, or taken
//!   moves.rs        slots on the move, old dumps     parking.rs    reservations that wait
//!   electable.rs    who must acknowledge, and who need not
//!   steady.rs       a healthy pair under load        undone.rs     what others do not know
//!   lost.rs         effects that a replica could not execute
//! ```

mod chaos;
mod checker;
mod cluster;
mod crowd;
mod electable;
mod failover;
mod journal;
mod kills;
mod lost;
mod moves;
mod operator;
mod parking;
mod rollback;
mod sentinel;
mod snapshot;
mod split_brain;
mod steady;
mod undone;

use crate::harness::*;
pub use checker::Checker;
pub use cluster::{SHARDS, Sharded};
pub use crowd::Crowd;
pub use operator::Operator;
use redis::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Reservations between two looks at the clock.
const BURST: usize = 100;

/// Creates an allocator; without a word of FENCE in its options it is fenced by AUTO.
#[track_caller]
pub fn create(client: &mut Client, key: &str, options: &str) {
    client.ok(format!("IDBLOCK.CREATE {key} {options}"));
}

/// How a node is named: by the address that it gives its primary.
pub fn address(server: &Server) -> String {
    format!("127.0.0.1:{}", server.port())
}

pub fn is_primary(client: &mut Client) -> bool {
    client.call("ROLE").is_ok_and(|role| show(&role).starts_with(r#"["master""#))
}

/// A reservation as the server answers it; a single id is one of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    first: i64,
    last: i64,
    increment: i64,
    count: i64,
}

impl Run {
    #[track_caller]
    pub fn read(reply: &Value) -> Self {
        let numbers: Vec<i64> = match reply {
            Value::Int(id) => vec![*id, *id, 1, 1],
            Value::Array(items) => items.iter().filter_map(|item| redis::from_redis_value_ref(item).ok()).collect(),
            _ => Vec::new(),
        };
        match numbers.as_slice() {
            &[first, last, increment, count] => Self { first, last, increment, count },
            _ => panic!("first, last, increment and count must come, got {}", show(reply)),
        }
    }
}

/// Reserves at once; the error is that of a fence that is closed.
#[track_caller]
fn try_reserve(client: &mut Client, command: impl Command) -> Result<Run, String> {
    let reply = client.call(command).map(|reply| Run::read(&reply));
    reply.inspect_err(|error| assert!(error.starts_with("UNFENCED "), "{error}"))
}

/// Reserves, and tries again as long as the fence is closed.
#[track_caller]
fn reserve(client: &mut Client, command: impl Command) -> Run {
    let (arguments, mut run) = (command.into_arguments(), None);
    wait_until("the fence is open", PATIENCE * 2, || {
        run = try_reserve(client, &arguments).ok();
        run.is_some()
    });
    run.expect("a run")
}

/// Reserves so many times.
#[track_caller]
fn reserve_times(count: usize, client: &mut Client, command: &str, checker: &Checker, node: usize) {
    (0..count).for_each(|_| checker.note(&reserve(client, command), node));
}

/// Reserves block after block until the fence closes; returns what it says.
#[track_caller]
fn drain(client: &mut Client, command: impl Command, checker: &Checker, node: usize) -> String {
    let (arguments, mut error) = (command.into_arguments(), None);
    wait_until("the window is used up", PATIENCE * 2, || {
        (0..BURST).any(|_| match try_reserve(client, &arguments) {
            Ok(run) => {
                checker.note(&run, node);
                false
            }
            Err(refusal) => {
                error = Some(refusal);
                true
            }
        })
    });
    error.expect("a refusal")
}

/// The `IDBLOCK.ADVANCE` of an allocator that the log of a server asked for last.
fn advice(server: &Server, key: &str) -> Option<String> {
    let command = format!("IDBLOCK.ADVANCE {key} ");
    let log = server.log();
    let id = log.rsplit_once(&format!("tallybook: {command}"))?.1.lines().next()?;
    Some(command + id)
}

/// Ends the clients that look at this, be it that the test fails: threads are waited for either way.
pub struct End<'a>(pub &'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// One field of IDBLOCK.INFO, see `show`.
#[track_caller]
fn field(client: &mut Client, key: &str, name: &str) -> String {
    client.show(["IDBLOCK.INFO", key, name])
}

/// The end of the ids that may be handed out; 0 where none may.
pub fn safe(client: &mut Client, key: &str) -> i64 {
    match client.call(["IDBLOCK.INFO", key, "fence-safe"]) {
        Ok(Value::Int(safe)) => safe,
        _ => 0,
    }
}

/// What IDBLOCK.FENCE says.
#[derive(Debug)]
struct Fence {
    role: String,
    electable: Vec<Electable>,
    waiting: i64,
    journal: String,
}

/// A node that must acknowledge.
#[derive(Debug, PartialEq, Eq)]
struct Electable {
    node: String,
    state: String,
}

impl Fence {
    #[track_caller]
    fn of(client: &mut Client) -> Self {
        let reply = client.value("IDBLOCK.FENCE");
        let mut fields = fields(&reply);
        let mut take = |name: &str| fields.remove(name).unwrap_or_else(|| panic!("{name} in {}", show(&reply)));
        let text = |value: Value| redis::from_redis_value(value).expect("a text");
        let Value::Array(nodes) = take("electable") else { panic!("electable nodes in {}", show(&reply)) };
        Self {
            role: text(take("role")),
            electable: nodes.iter().map(Electable::read).collect(),
            waiting: redis::from_redis_value(take("waiting")).expect("a number"),
            journal: text(take("journal")),
        }
    }

    /// The nodes in this state.
    fn nodes(&self, state: &str) -> Vec<&str> {
        let nodes = self.electable.iter().filter(|electable| electable.state == state);
        nodes.map(|electable| electable.node.as_str()).collect()
    }
}

impl Electable {
    #[track_caller]
    fn read(value: &Value) -> Self {
        let fields = fields(value);
        let text = |name: &str| redis::from_redis_value_ref(&fields[name]).expect("a text");
        let offset: Option<u64> = redis::from_redis_value_ref(&fields["offset"]).expect("an offset, or nil");
        let electable = Self { node: text("node"), state: text("state") };
        assert_eq!(offset.is_some(), electable.state == "online", "{}", show(value));
        electable
    }
}

/// A map, flat on RESP2.
#[track_caller]
fn fields(value: &Value) -> BTreeMap<String, Value> {
    let pairs: Vec<(Value, Value)> = match value {
        Value::Map(pairs) => pairs.clone(),
        Value::Array(items) => items.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect(),
        other => panic!("a map must come, got {}", show(other)),
    };
    pairs.into_iter().map(|(name, value)| (redis::from_redis_value(name).expect("a name"), value)).collect()
}

/// Whether exactly these nodes must acknowledge what this one hands out, and all are connected.
pub fn are_electable(client: &mut Client, replicas: &[&Server]) -> bool {
    let mut expected: Vec<String> = replicas.iter().map(|replica| address(replica)).collect();
    expected.sort();
    let fence = Fence::of(client);
    let mut online = fence.nodes("online");
    online.sort_unstable();
    online == expected && fence.electable.len() == expected.len()
}

#[track_caller]
pub fn wait_for_electable(primary: &Server, replicas: &[&Server]) {
    let mut client = primary.connect();
    wait_until("all replicas are electable and online", PATIENCE * 2, || are_electable(&mut client, replicas));
}

/// Reserves until the allocator has opened a window beyond `before`, or for a while; whoever must acknowledge it has
/// done so then.
pub fn opens_a_window(client: &mut Client, before: i64, checker: &Checker, node: usize) -> bool {
    (0..BURST).any(|_| {
        if let Ok(reply) = client.call(["IDBLOCK.RESERVE", checker.name(), "100"]) {
            checker.note(&Run::read(&reply), node);
        }
        safe(client, checker.name()) > before
    })
}

#[track_caller]
fn wait_for_window(client: &mut Client, checker: &Checker, node: usize) {
    let before = safe(client, checker.name());
    let what = format!("a window beyond {before} is acknowledged and open");
    wait_until(&what, PATIENCE * 2, || opens_a_window(client, before, checker, node));
}

/// A primary and two replicas, none of them a replica by configuration, with an AOF that may lose a second.
#[track_caller]
fn trio() -> Vec<Server> {
    let builder = Server::builder().port().config("appendonly", "yes");
    let servers: Vec<Server> = (0..3).map(|_| builder.clone().start()).collect();
    for replica in &servers[1..] {
        replica.connect().ok(format!("REPLICAOF 127.0.0.1 {}", servers[0].port()));
        synced(&servers[0], replica);
    }
    servers
}
