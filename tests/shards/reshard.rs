//! Writers go on through an ordinary cluster client while slots move: what a total says lies between what was
//! acknowledged when it was sent and what was attempted when it came back.

use super::told;
use crate::harness::*;
use redis::Value;
use redis::cluster::ClusterClient;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

const SHARDS: usize = 64;
const WRITERS: usize = 8;

/// What a server gives a replica to take over, and a little.
const ELECTION: Duration = Duration::from_secs(6);

/// What a node says that has not carried a command out.
const REFUSALS: [&str; 4] = ["MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"];

#[derive(Default)]
struct Sums {
    attempted: AtomicI64,
    acknowledged: AtomicI64,
    /// Totals that were told.
    accepted: AtomicUsize,
    is_over: AtomicBool,
}

/// Ends the writers, also where a move has failed: else they would never be joined.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Adds 1 to shard after shard, as any application would.
fn write(addresses: &[String], first: usize, sums: &Sums) {
    let client = ClusterClient::builder(addresses.to_vec()).retries(64).build().expect("a client");
    let mut connection = client.get_connection().expect("a connection");
    for shard in (0..SHARDS).cycle().skip(first) {
        if sums.is_over.load(SeqCst) {
            return;
        }
        sums.attempted.fetch_add(1, SeqCst);
        let key = format!("views{{{shard}}}");
        // The client gives up after so many redirections; a refused increment has not been made.
        wait_until("the slot has an owner", PATIENCE, || {
            match redis::cmd("SCOUNTER.INCR").arg(&key).query::<i64>(&mut connection) {
                Ok(value) => value > 0,
                Err(error) if error.code().is_some_and(|code| REFUSALS.contains(&code)) => false,
                Err(error) => panic!("an increment: {error}"),
            }
        });
        sums.acknowledged.fetch_add(1, SeqCst);
    }
}

/// How a slot gets from node to node.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    /// Key by key, as tools do on every server.
    Keys,
    /// As a whole: `CLUSTER MIGRATESLOTS`, on Valkey 9.
    Whole,
}

/// Moves the slot of a shard from its owner to the next primary.
fn move_slot(cluster: &Cluster, ids: &[String], key: &str, way: Way) {
    let slot = cluster.slot(key);
    let from = cluster.owner_of_slot(slot).expect("an owner");
    let to = (from + 1) % 3;
    match way {
        Way::Keys => move_keys(cluster, ids, slot, from, to),
        Way::Whole => {
            let mut source = cluster.nodes()[from].connect();
            source.ok(format!("CLUSTER MIGRATESLOTS SLOTSRANGE {slot} {slot} NODE {}", ids[to]));
        }
    }
    wait_until("everybody knows of it", PATIENCE, || {
        let told = |node: &Server| holding(&node.connect().text("CLUSTER NODES"), &ids[to], slot);
        let epoch = told(&cluster.nodes()[to]);
        epoch.is_some() && cluster.nodes().iter().all(|node| told(node) == epoch)
    });
}

/// Every slot that has a shard moves on.
fn reshard(cluster: &Cluster, ids: &[String], way: Way) {
    (0..SHARDS).for_each(|shard| move_slot(cluster, ids, &format!("views{{{shard}}}"), way));
}

fn move_keys(cluster: &Cluster, ids: &[String], slot: usize, from: usize, to: usize) {
    let (mut source, mut target) = (cluster.nodes()[from].connect(), cluster.nodes()[to].connect());
    target.ok(format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids[from]));
    source.ok(format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids[to]));
    loop {
        let keys = source.list(format!("CLUSTER GETKEYSINSLOT {slot} 10"));
        if keys.is_empty() {
            break;
        }
        for key in keys {
            let Value::BulkString(key) = key else { panic!("a key must come") };
            let port = cluster.nodes()[to].port();
            source.value(args!["MIGRATE", "127.0.0.1", port, key, 0, 5000]);
        }
    }
    let third = &cluster.nodes()[3 - from - to];
    for client in [&mut target, &mut source, &mut third.connect()] {
        client.ok(format!("CLUSTER SETSLOT {slot} NODE {}", ids[to]));
    }
}

/// The epoch in which the node of that id holds the slot, as a node tells it: `id address flags primary ping pong
/// epoch link slots..`. A node that knows the new owner, but not yet its new epoch, can be talked out of it by an
/// older message; then two nodes send clients to each other for good.
fn holding(table: &str, id: &str, slot: usize) -> Option<u64> {
    let row: Vec<&str> = table.lines().find(|line| line.starts_with(id))?.split(' ').collect();
    let range = |word: &&str| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    let holds = row.get(8..)?.iter().filter_map(range).any(|range| range.contains(&slot));
    holds.then(|| row[6].parse().expect("an epoch"))
}

/// Asks again and again. The counter itself stays where it is; only its shards move.
fn watch(home: &Server, sums: &Sums) {
    let mut client = home.connect();
    while !sums.is_over.load(SeqCst) {
        let least = sums.acknowledged.load(SeqCst);
        match client.call("SCOUNTER.TOTAL views TIMEOUT 5000") {
            Ok(Value::Int(total)) => {
                let most = sums.attempted.load(SeqCst);
                assert!((least..=most).contains(&total), "{least} acknowledged, {total} told, {most} attempted");
                sums.accepted.fetch_add(1, SeqCst);
            }
            other => assert!(other.as_ref().is_err_and(|error| is_no_total(error)), "{other:?}"),
        }
    }
}

/// What a node says instead of a total. A primary that others do not hear for a moment, as when it hands over to its
/// replica, takes the cluster for down.
fn is_no_total(error: &str) -> bool {
    error.starts_with("PARTIAL ") || error.starts_with("CLUSTERDOWN ")
}

/// Writers go on and totals are true while `disturb` is at work.
fn stays_true(disturb: impl Fn(&Cluster, &[String])) {
    let cluster = Cluster::start(3, 1);
    cluster.call("SCOUNTER.CREATE views SHARDS 64").expect("a counter");
    let home = cluster.node_for("views");
    let addresses: Vec<String> =
        cluster.nodes().iter().take(3).map(|node| format!("redis://127.0.0.1:{}", node.port())).collect();
    let ids: Vec<String> = cluster.nodes().iter().take(3).map(|node| node.connect().text("CLUSTER MYID")).collect();
    let sums = Sums::default();
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (addresses, sums) = (&addresses, &sums);
            scope.spawn(move || write(addresses, writer * SHARDS / WRITERS, sums));
        }
        let watcher = scope.spawn(|| watch(home, &sums));
        let over = Over(&sums.is_over);
        for _ in 0..scale(1, 20) {
            disturb(&cluster, &ids);
        }
        wait_until("writers get on", PATIENCE * 2, || sums.acknowledged.load(SeqCst) > 1000);
        wait_until("totals are accepted", PATIENCE * 2, || sums.accepted.load(SeqCst) > 10);
        drop(over);
        watcher.join().expect("a watcher");
    });
    let total = sums.acknowledged.load(SeqCst);
    // A hand-over may leave it down for a moment, more than once.
    let mut client = home.connect();
    wait_until("the last total", PATIENCE, || match client.call("SCOUNTER.TOTAL views TIMEOUT 5000") {
        Ok(last) => {
            assert_eq!(last, Value::Int(total));
            true
        }
        Err(error) => {
            assert!(is_no_total(&error), "{error}");
            false
        }
    });
    println!("{total} increments, {} totals, {} gathers", sums.accepted.load(SeqCst), told(home, "gathers"));
}

#[test]
fn a_total_is_true_while_writers_go_on_and_slots_move() {
    stays_true(|cluster, ids| reshard(cluster, ids, Way::Keys));
}

/// The server does this only with modules that say they can stand it.
#[test]
fn a_total_is_true_while_writers_go_on_and_slots_move_as_a_whole() {
    if server_name() == "valkey-9.1" {
        stays_true(|cluster, ids| reshard(cluster, ids, Way::Whole));
    }
}

/// Nothing is lost then: the primary lets nobody write until its replica has all.
#[test]
fn a_total_is_true_while_writers_go_on_and_a_primary_hands_over_to_its_replica() {
    stays_true(|cluster, _| {
        let away = (0..3).find(|node| cluster.node_for("views").port() != cluster.nodes()[*node].port());
        let pair = away.map(|node| [&cluster.nodes()[node + 3], &cluster.nodes()[node]]).expect("another primary");
        let replication = |node: &Server| node.connect().fields("INFO replication");
        let role = |node: &Server| replication(node)["role"].clone();
        for [replica, primary] in [pair, [pair[1], pair[0]]] {
            let is_ready = || replication(replica).get("master_link_status").is_some_and(|status| status == "up");
            // Nobody votes for two replicas of one primary within two timeouts; and a replica of Redis 7.0 may count the
            // votes of the election before, and then is a primary for a moment.
            wait_until("they have changed places", 2 * PATIENCE, || {
                if is_ready() {
                    replica.connect().ok("CLUSTER FAILOVER");
                }
                holds_within(ELECTION, || role(replica) == "master" && role(primary) == "slave")
            });
            let both = pair.iter().all(|node| node.port() != cluster.node_for("views").port());
            assert!(both, "the counter itself stays");
        }
    });
}
