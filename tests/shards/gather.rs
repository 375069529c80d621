//! Three primaries, each with a replica: what they say together.

use super::{add_to_all, told};
use crate::harness::*;
use redis::Value;
use std::time::{Duration, Instant};

/// `views` with 64 shards of 3, and itself of 3.
fn counted() -> (Cluster, i64) {
    let cluster = Cluster::start(3, 1);
    cluster.call("SCOUNTER.CREATE views SHARDS 64").expect("a counter");
    add_to_all(&cluster, 64, 3);
    (cluster, 65 * 3)
}

#[test]
fn a_total_is_exact_and_says_where_each_shard_lives() {
    let (cluster, total) = counted();
    let home = cluster.node_for("views");
    let mut client = home.connect();
    for _ in 0..20 {
        assert_eq!(client.int("SCOUNTER.TOTAL views"), total);
    }
    let ids = [0, 1, 2].map(|node| cluster.nodes()[node].connect().text("CLUSTER MYID"));
    for (shard, row) in client.list("SCOUNTER.SHARDS views").iter().enumerate() {
        let key = format!("views{{{shard}}}");
        let (slot, owner) = (cluster.slot(&key), cluster.owner_of_slot(cluster.slot(&key)).expect("an owner"));
        assert_eq!(show(row), format!(r#"["{key}", 3, {slot}, "{}"]"#, ids[owner]));
    }
    let other = cluster.other_than(home);
    assert!(other.connect().error("SCOUNTER.TOTAL views").starts_with("MOVED "), "routed by its key");
    // Nobody waits in a transaction or a script.
    client.ok("MULTI");
    client.text("SCOUNTER.TOTAL views");
    let replies = client.show("EXEC");
    assert!(replies.starts_with("[(error) PARTIAL got ") && replies.ends_with(" of 64 shards]"), "{replies}");
    client.int("SCOUNTER.TOTAL views");
    let script = ["EVAL", "return redis.call('SCOUNTER.TOTAL', KEYS[1], 'MAXAGE', 60000)", "1", "views"];
    assert_eq!(client.int(script), total, "from memory");
}

#[test]
fn totals_at_the_same_time_share_a_round_and_ages_need_none() {
    let (cluster, total) = counted();
    let home = cluster.node_for("views");
    let mut client = home.connect();
    let before = told(home, "gathers");
    let replies = client.pipeline(vec!["SCOUNTER.TOTAL views MAXAGE 60000"; 1000]);
    assert!(replies.iter().all(|reply| *reply == Ok(Value::Int(total))));
    assert_eq!(told(home, "gathers"), before + 1);
    let mut clients: Vec<Client> = (0..50).map(|_| home.connect()).collect();
    clients.iter_mut().for_each(|client| client.send("SCOUNTER.TOTAL views").expect("sent"));
    assert!(clients.iter_mut().all(|client| client.receive() == Ok(Value::Int(total))));
    assert!(told(home, "gathers") < before + 50);

    let (before, began) = (told(home, "gathers"), Instant::now());
    let batches = scale(100, 1000);
    for _ in 0..batches {
        client.pipeline(vec!["SCOUNTER.TOTAL views MAXAGE 100"; 1000]);
    }
    let ages = u64::try_from(began.elapsed().as_millis() / 100).expect("a short test");
    let gathers = told(home, "gathers") - before;
    println!("{} totals in {:?}: {gathers} gathers", batches * 1000, began.elapsed());
    assert!(gathers <= ages + 1, "{gathers} gathers in {ages} ages");
    for node in &cluster.nodes()[..3] {
        assert_eq!(told(node, "messages_dropped"), 0);
    }
}

#[test]
fn a_stopped_node_makes_a_total_partial_until_its_replica_has_taken_over() {
    let (cluster, total) = counted();
    let home = cluster.owner_of_slot(cluster.slot("views")).expect("an owner");
    let stopped = (home + 1) % 3;
    let mut client = cluster.nodes()[home].connect();
    assert_eq!(client.int("SCOUNTER.TOTAL views"), total);
    synced(&cluster.nodes()[stopped], &cluster.nodes()[stopped + 3]);
    cluster.nodes()[stopped].pause();
    let began = Instant::now();
    let error = client.error("SCOUNTER.TOTAL views TIMEOUT 200");
    assert!(error.starts_with("PARTIAL got ") && error.ends_with(" of 64 shards"), "{error}");
    let some = client.int("SCOUNTER.TOTAL views TIMEOUT 200 PARTIAL");
    assert!(0 < some && some < total, "{some}");
    assert!(began.elapsed() < Duration::from_millis(1000), "{:?}", began.elapsed());
    // CLIENT UNBLOCK and a client that leaves.
    let mut waiting = cluster.nodes()[home].connect();
    let id = waiting.int("CLIENT ID");
    waiting.send("SCOUNTER.TOTAL views TIMEOUT 60000").expect("sent");
    wait_until("it waits", PATIENCE, || client.int(args!["CLIENT", "UNBLOCK", id]) == 1);
    assert!(waiting.receive().is_err_and(|error| error.starts_with("PARTIAL ")));
    waiting.send("SCOUNTER.TOTAL views TIMEOUT 60000").expect("sent");
    wait_until("it waits", PATIENCE, || client.int(args!["CLIENT", "UNBLOCK", id, "ERROR"]) == 1);
    assert!(waiting.receive().is_err_and(|error| error.starts_with("UNBLOCKED ")));
    waiting.send("SCOUNTER.TOTAL views TIMEOUT 60000").expect("sent");
    drop(waiting);

    let slot = (0..64).map(|shard| cluster.slot(format!("views{{{shard}}}"))).collect::<Vec<_>>();
    let replica = &cluster.nodes()[stopped + 3];
    replica.connect().wait_for_field("INFO replication", "role", "master");
    let promoted = Instant::now();
    wait_until("the total is whole again", PATIENCE, || {
        client.call("SCOUNTER.TOTAL views TIMEOUT 100") == Ok(Value::Int(total))
    });
    println!("{} slots; whole again {:?} after the promotion", slot.len(), promoted.elapsed());
    assert!(promoted.elapsed() < Duration::from_secs(2), "{:?}", promoted.elapsed());
    cluster.nodes()[stopped].resume();
    wait_until("and stays so", PATIENCE, || client.call("SCOUNTER.TOTAL views") == Ok(Value::Int(total)));
}

/// The slot was handed over, and its former owner was stopped before it heard of that. What it still has is stale.
#[test]
fn a_source_that_was_stopped_before_it_heard_of_a_move_does_not_make_a_total_stale() {
    let (cluster, total) = counted();
    let home = cluster.owner_of_slot(cluster.slot("views")).expect("an owner");
    let (source, target) = (&cluster.nodes()[(home + 1) % 3], &cluster.nodes()[(home + 2) % 3]);
    let shard = (0..64).map(|shard| format!("views{{{shard}}}"));
    let shard = shard.into_iter().find(|key| cluster.node_for(key).port() == source.port()).expect("a shard");
    let (slot, source_id) = (cluster.slot(&shard), source.connect().text("CLUSTER MYID"));
    let mut arriving = target.connect();
    arriving.ok(format!("CLUSTER SETSLOT {slot} IMPORTING {source_id}"));
    let dump = source.connect().bytes(["DUMP", &shard]);
    arriving.ok("ASKING");
    arriving.ok(args!["RESTORE", &shard, 0, dump]);
    let mut client = cluster.nodes()[home].connect();
    assert_eq!(client.int("SCOUNTER.TOTAL views"), total, "two copies, one owner");
    source.pause();
    let target_id = arriving.text("CLUSTER MYID");
    arriving.ok(format!("CLUSTER SETSLOT {slot} NODE {target_id}"));
    assert_eq!(arriving.int(["SCOUNTER.INCR", &shard, "100"]), 103);
    for _ in 0..3 {
        assert!(client.error("SCOUNTER.TOTAL views TIMEOUT 50").starts_with("PARTIAL "));
    }
    client.send("SCOUNTER.TOTAL views TIMEOUT 20000").expect("sent");
    source.resume();
    assert_eq!(client.receive(), Ok(Value::Int(total + 100)));
}
