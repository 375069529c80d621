//! What happens to whoever waits for a total: roles change, the cluster goes down, a node lets nobody write.

use super::add_to_all;
use crate::harness::*;
use redis::Value;
use std::time::Instant;

const TOTAL: i64 = 65;

/// `views` with 64 shards of 1, itself of 1, and the index of its owner.
fn counted() -> (Cluster, usize) {
    let cluster = Cluster::start(3, 1);
    cluster.call("SCOUNTER.CREATE views SHARDS 64").expect("a counter");
    add_to_all(&cluster, 64, 1);
    let home = cluster.owner_of_slot(cluster.slot("views")).expect("an owner");
    (cluster, home)
}

fn is_partial(reply: &Reply) -> bool {
    reply.as_ref().is_err_and(|error| error.starts_with("PARTIAL got ") && error.ends_with(" of 64 shards"))
}

/// Waits until the total of a client is under way.
fn under_way(node: &Server) {
    node.connect().wait_for_field("INFO clients", "blocked_clients", "1");
}

#[test]
fn a_primary_that_becomes_a_replica_answers_those_that_wait_in_time() {
    let (cluster, home) = counted();
    let (primary, replica) = (&cluster.nodes()[home], &cluster.nodes()[home + 3]);
    synced(primary, replica);
    cluster.nodes()[(home + 1) % 3].pause();
    let mut waiting = primary.connect();
    waiting.send("SCOUNTER.TOTAL views TIMEOUT 5000").expect("sent");
    under_way(primary);
    replica.connect().ok("CLUSTER FAILOVER TAKEOVER");
    // Valkey 9 leaves it waiting.
    let answer = waiting.receive();
    let is_unblocked = answer.as_ref().is_err_and(|error| error.starts_with("UNBLOCKED "));
    assert!(is_unblocked || is_partial(&answer) || answer == Ok(Value::Int(TOTAL)), "{answer:?}");
    cluster.nodes()[(home + 1) % 3].resume();
    wait_until("the new primary has the total", PATIENCE, || {
        replica.connect().call("SCOUNTER.TOTAL views") == Ok(Value::Int(TOTAL))
    });
}

#[test]
fn a_cluster_that_goes_down_answers_those_that_wait_in_time() {
    let (cluster, home) = counted();
    let others: Vec<&Server> = (0..6).filter(|index| index % 3 != home).map(|index| &cluster.nodes()[index]).collect();
    let mut waiting = cluster.nodes()[home].connect();
    others.iter().for_each(|node| node.pause());
    let began = Instant::now();
    waiting.send("SCOUNTER.TOTAL views TIMEOUT 8000").expect("sent");
    let mut client = cluster.nodes()[home].connect();
    client.wait_for_field("CLUSTER INFO", "cluster_state", "fail");
    assert!(client.error("SCOUNTER.TOTAL views").starts_with("CLUSTERDOWN "));
    let answer = waiting.receive();
    // Valkey 9 leaves it waiting.
    let is_down = answer.as_ref().is_err_and(|error| error.starts_with("CLUSTERDOWN "));
    assert!(is_down || is_partial(&answer), "{answer:?}");
    assert!(began.elapsed().as_secs() < 12, "{:?}", began.elapsed());
    others.iter().for_each(|node| node.resume());
    wait_until("it is whole again", PATIENCE, || client.call("SCOUNTER.TOTAL views") == Ok(Value::Int(TOTAL)));
}

/// It may be about to hand over to its replica.
#[test]
fn a_primary_that_lets_nobody_write_claims_nothing() {
    let (cluster, home) = counted();
    let mut client = cluster.nodes()[home].connect();
    assert_eq!(client.int("SCOUNTER.TOTAL views"), TOTAL);
    let mut other = cluster.nodes()[(home + 1) % 3].connect();
    for paused in [&mut other, &mut cluster.nodes()[home].connect()] {
        paused.ok("CLIENT PAUSE 60000 WRITE");
        assert!(is_partial(&client.call("SCOUNTER.TOTAL views TIMEOUT 100")));
        client.send("SCOUNTER.TOTAL views TIMEOUT 20000").expect("sent");
        paused.ok("CLIENT UNPAUSE");
        assert_eq!(client.receive(), Ok(Value::Int(TOTAL)));
    }
}

#[test]
fn a_replica_tells_what_it_has() {
    let (cluster, home) = counted();
    let (primary, replica) = (&cluster.nodes()[home], &cluster.nodes()[home + 3]);
    synced(primary, replica);
    let mut client = replica.connect();
    assert!(client.error("SCOUNTER.TOTAL views").starts_with("MOVED "));
    client.ok("READONLY");
    assert!(is_partial(&client.call("SCOUNTER.TOTAL views")));
    let owned = (0..64).filter(|shard| cluster.owner_of_slot(cluster.slot(format!("views{{{shard}}}"))) == Some(home));
    let owned = i64::try_from(owned.count()).expect("few");
    assert_eq!(client.int("SCOUNTER.TOTAL views PARTIAL"), owned + 1);
    assert!(is_partial(&client.call("SCOUNTER.TOTAL views MAXAGE 60000")), "it has asked nobody");
    // Shards of the same number have the same slot, whatever they are shards of.
    let shared = cluster.owner_of_slot(cluster.slot("{0}")).expect("an owner");
    let name = (0..).map(|number| format!("c{number}"));
    let local =
        name.into_iter().find(|name| cluster.owner_of_slot(cluster.slot(name)) == Some(shared)).expect("a name");
    let (primary, replica) = (&cluster.nodes()[shared], &cluster.nodes()[shared + 3]);
    let (mut writer, mut client) = (primary.connect(), replica.connect());
    writer.ok(["SCOUNTER.CREATE", &local, "SHARDS", "1", "INITIAL", "5"]);
    writer.int(["SCOUNTER.INCR".to_owned(), format!("{local}{{0}}"), "7".to_owned()]);
    client.ok("READONLY");
    synced(primary, replica);
    assert_eq!(client.int(["SCOUNTER.TOTAL", &local]), 12);
    let replies = writer.pipeline([vec!["MULTI"], vec!["SCOUNTER.TOTAL", &local], vec!["EXEC"]]);
    let (reply, told) = (show(replies[2].as_ref().expect("replies")), ["[12]", "[(error) PARTIAL got 0 of 1 shards]"]);
    assert!(told.contains(&reply.as_str()), "what the command cannot see is not zero: {reply}");
    assert_eq!(server_name() == "redis-7.0", reply == told[0], "older servers let a command see other slots");
}

/// While a script is slow, messages come in, and the server looks for keys in the slot of the script.
#[test]
fn a_node_with_a_slow_script_does_not_take_its_keys_for_missing() {
    let (cluster, home) = counted();
    let other = &cluster.nodes()[(home + 1) % 3];
    let mut slow = other.connect();
    slow.ok("CONFIG SET busy-reply-threshold 1");
    let key = (0..64).map(|shard| format!("views{{{shard}}}")).find(|key| cluster.node_for(key).port() == other.port());
    let script =
        "local until_s = tonumber(ARGV[1]) repeat local now = redis.call('TIME') until tonumber(now[1]) > until_s";
    let now = slow.list("TIME");
    let Value::BulkString(now_s) = &now[0] else { panic!("a time must come") };
    let until_s = String::from_utf8_lossy(now_s).parse::<i64>().expect("a time") + 1;
    let mut client = cluster.nodes()[home].connect();
    slow.send(args!["EVAL", script, 1, key.expect("a shard"), until_s]).expect("sent");
    wait_until("the script is slow", PATIENCE, || other.connect().call("PING").is_err_and(|e| e.starts_with("BUSY ")));
    for _ in 0..3 {
        assert!(is_partial(&client.call("SCOUNTER.TOTAL views TIMEOUT 50")));
    }
    slow.receive().expect("an end");
    assert_eq!(client.int("SCOUNTER.TOTAL views TIMEOUT 20000"), TOTAL);
}

#[test]
fn a_total_of_1024_shards_in_a_larger_cluster_is_exact() {
    let cluster = Cluster::start(scale(5, 12), 0);
    cluster.call("SCOUNTER.CREATE views SHARDS 1024").expect("a counter");
    add_to_all(&cluster, 1024, 2);
    let mut client = cluster.node_for("views").connect();
    let began = Instant::now();
    for _ in 0..10 {
        assert_eq!(client.int("SCOUNTER.TOTAL views"), 2 * 1025);
    }
    println!("10 totals of 1024 shards in {:?}", began.elapsed());
    let rows = client.list("SCOUNTER.SHARDS views");
    assert_eq!((rows.len(), rows.iter().filter(|row| show(row).contains(", 2, ")).count()), (1024, 1024));
}

/// Only a node itself can say that it has nothing of a counter: until it does, what looks whole may be old.
#[test]
fn a_total_waits_for_nodes_that_have_no_part_of_it() {
    let cluster = Cluster::start(3, 0);
    let owners = |name: &String| [cluster.node_for(name).port(), cluster.node_for(format!("{name}{{0}}")).port()];
    let name = (0..1000).map(|number| format!("views-{number}")).find(|name| owners(name)[0] == owners(name)[1]);
    let name = name.expect("a counter on one node");
    cluster.call(args!["SCOUNTER.CREATE", &name, "SHARDS", 1]).expect("a counter");
    let home = cluster.node_for(&name);
    let mut client = home.connect();
    assert_eq!(client.int(args!["SCOUNTER.TOTAL", &name, "TIMEOUT", 10_000]), 0);
    let other = cluster.other_than(home);
    other.pause();
    let mut early = home.connect();
    early.send(args!["SCOUNTER.TOTAL", &name, "TIMEOUT", 60_000]).expect("sent");
    home.connect().wait_for_field("INFO clients", "blocked_clients", "1");
    client.int(args!["SCOUNTER.INCR", &name, 5]);
    assert_eq!(client.error(args!["SCOUNTER.TOTAL", &name, "TIMEOUT", 100]), "PARTIAL got 1 of 1 shards");
    other.resume();
    early.receive().expect("a total");
    assert_eq!(client.int(args!["SCOUNTER.TOTAL", &name, "TIMEOUT", 10_000]), 5);
}

/// Those that asked before a counter got more shards, and those that ask after it, get totals of their own.
#[test]
fn a_counter_that_gets_more_shards_meanwhile_answers_everybody() {
    let cluster = Cluster::start(3, 0);
    cluster.call("SCOUNTER.CREATE views SHARDS 64").expect("a counter");
    add_to_all(&cluster, 128, 1);
    let home = cluster.node_for("views");
    let other = cluster.other_than(home);
    let ask = || {
        let mut client = home.connect();
        client.send("SCOUNTER.TOTAL views TIMEOUT 60000 PARTIAL").expect("sent");
        client
    };
    other.pause();
    let mut before = ask();
    home.connect().wait_for_field("INFO clients", "blocked_clients", "1");
    home.connect().ok("SCOUNTER.ALTER views SHARDS 128");
    let mut after = ask();
    home.connect().wait_for_field("INFO clients", "blocked_clients", "2");
    other.resume();
    assert_eq!(
        [before.receive(), after.receive()].map(|total| total.map(|total| show(&total))),
        [Ok("65".into()), Ok("129".into())]
    );
}
