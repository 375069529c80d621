//! Allocators that move: from shard to shard, out of a dump, under another name, into another database.

use super::{Checker, Crowd, Fence, create, reserve_times, safe, wait_for_electable};
use crate::harness::*;

const RESERVE: &str = "IDBLOCK.RESERVE ids 10";

/// Who owns the slot of the crowd's key, and who else could.
fn owner_and_other(cluster: &Cluster, slot: usize) -> (usize, usize) {
    let owner = cluster.owner_of_slot(slot).expect("an owner");
    (owner, 1 - owner)
}

fn move_by_keys(cluster: &Cluster, slot: usize) {
    let (source, target) = owner_and_other(cluster, slot);
    let (source, target) = (&cluster.nodes()[source], &cluster.nodes()[target]);
    let [from, to] = [source, target].map(|node| node.connect().text("CLUSTER MYID"));
    target.connect().ok(format!("CLUSTER SETSLOT {slot} IMPORTING {from}"));
    source.connect().ok(format!("CLUSTER SETSLOT {slot} MIGRATING {to}"));
    source.connect().ok(args!["MIGRATE", "127.0.0.1", target.port(), "ids", 0, 5000]);
    for node in [target, source] {
        node.connect().ok(format!("CLUSTER SETSLOT {slot} NODE {to}"));
    }
}

/// Valkey 9 moves whole slots by a stream of commands.
fn move_by_slots(cluster: &Cluster, slot: usize) {
    let (source, target) = owner_and_other(cluster, slot);
    let (source, to) = (&cluster.nodes()[source], cluster.nodes()[target].connect().text("CLUSTER MYID"));
    source.connect().ok(format!("CLUSTER MIGRATESLOTS SLOTSRANGE {slot} {slot} NODE {to}"));
    wait_until("the slot has moved", PATIENCE, || owner_and_other(cluster, slot).0 == target);
}

#[track_caller]
fn moves_to_and_fro(travel: fn(&Cluster, usize)) {
    let cluster = Cluster::start(2, 1);
    let slot = cluster.slot("ids");
    let (owner, _) = owner_and_other(&cluster, slot);
    create(&mut cluster.nodes()[owner].connect(), "ids", "FENCE 200");
    let crowd = Crowd::new(&cluster.nodes()[..2], vec![Checker::new("ids")]).with_clients(2, 1);
    crowd.endures(|crowd| {
        for _ in 0..scale(4, 100) {
            let (source, target) = owner_and_other(&cluster, slot);
            crowd.wait_for_node(source, 20);
            travel(&cluster, slot);
            crowd.wait_for_node(target, 20);
        }
    });
}

/// Who waits while its key moves is to come again, and is sent to where the key is now.
#[test]
fn whoever_waits_while_its_slot_moves_is_not_told_that_there_is_no_key() {
    let cluster = Cluster::start_with(2, 0, Server::builder().config("tallybook.fence-wait", 60_000));
    let slot = cluster.slot("ids");
    let (source, _) = owner_and_other(&cluster, slot);
    let mut client = cluster.nodes()[source].connect();
    create(&mut client, "ids", "FENCE 10");
    client.ok("CONFIG SET tallybook.fence-replicas 1");
    let mut waiting = cluster.nodes()[source].connect();
    waiting.send("IDBLOCK.RESERVE ids 500").expect("a connection");
    wait_until("it waits", PATIENCE, || Fence::of(&mut client).waiting == 1);
    move_by_keys(&cluster, slot);
    client.ok("CONFIG SET tallybook.fence-replicas 0");
    let refusal = waiting.receive().expect_err("a refusal");
    assert!(refusal.starts_with("UNFENCED ") && refusal.contains("the node that has the key now"), "{refusal}");
    assert!(client.error("IDBLOCK.RESERVE ids 500").starts_with("MOVED "));
}

#[test]
fn a_slot_that_moves_key_by_key_takes_no_id_along() {
    moves_to_and_fro(move_by_keys);
}

#[test]
fn a_slot_that_moves_as_a_whole_takes_no_id_along() {
    if server_name() == "valkey-9.1" {
        moves_to_and_fro(move_by_slots);
    }
}

/// The journal knows better than a dump of long ago, be the key there, deleted, or forgotten in a restart.
#[test]
fn an_old_dump_does_not_take_an_allocator_back() {
    let mut server = Server::builder().port().start();
    let mut client = server.connect();
    let checker = Checker::new("ids");
    create(&mut client, "ids", "FENCE 100");
    reserve_times(3, &mut client, RESERVE, &checker, 0);
    let dump = client.bytes("DUMP ids");
    reserve_times(50, &mut client, RESERVE, &checker, 0);
    client.ok(args!["RESTORE", "ids", 0, &dump, "REPLACE"]);
    reserve_times(50, &mut client, RESERVE, &checker, 0);
    client.int("DEL ids");
    client.ok(args!["RESTORE", "ids", 0, &dump]);
    reserve_times(50, &mut client, RESERVE, &checker, 0);
    client.int("DEL ids");
    client.ok("SAVE");
    server.kill();
    server.restart();
    let mut client = server.connect();
    client.ok(args!["RESTORE", "ids", 0, &dump]);
    reserve_times(50, &mut client, RESERVE, &checker, 0);
    checker.assert_unique();
}

/// Whoever restores a dump over and over again makes nobody wait for long, alone or with a replica.
#[test]
fn an_old_dump_that_comes_again_and_again_holds_nobody_up() {
    let pair = Pair::start();
    let alone = Server::builder().port().start();
    for (server, replicas) in [(&alone, vec![]), (&pair.primary, vec![&pair.replica])] {
        let (mut client, mut other, checker) = (server.connect(), server.connect(), Checker::new("ids"));
        client.ok("CONFIG SET tallybook.fence-wait 900");
        create(&mut client, "ids", "FENCE 100");
        create(&mut client, "others", "FENCE 1");
        wait_for_electable(server, &replicas);
        reserve_times(3, &mut client, RESERVE, &checker, 0);
        let dump = client.bytes("DUMP ids");
        for _ in 0..scale(40, 400) {
            client.ok(args!["RESTORE", "ids", 0, &dump, "REPLACE"]);
            checker.note(&super::try_reserve(&mut client, RESERVE).expect("ids in time"), 0);
            other.int("IDBLOCK.NEXT others");
        }
        checker.assert_unique();
    }
}

#[test]
fn a_promoted_replica_knows_better_than_a_dump_too() {
    let pair = Pair::start();
    let checker = Checker::new("ids");
    let mut client = pair.primary.connect();
    create(&mut client, "ids", "FENCE 100");
    wait_for_electable(&pair.primary, &[&pair.replica]);
    let dump = client.bytes("DUMP ids");
    reserve_times(50, &mut client, RESERVE, &checker, 0);
    client.ok(args!["RESTORE", "ids", 0, &dump, "REPLACE"]);
    pair.synced();
    let mut heir = pair.replica.connect();
    heir.ok("REPLICAOF NO ONE");
    reserve_times(50, &mut heir, RESERVE, &checker, 1);
    let old = reserve_what_is_left(&mut client, &checker);
    reserve_times(50, &mut heir, RESERVE, &checker, 1);
    println!("{old} reservations of the old primary");
    checker.assert_unique();
}

/// As many as an isolated primary has.
fn reserve_what_is_left(client: &mut Client, checker: &Checker) -> usize {
    let runs = std::iter::from_fn(|| super::try_reserve(client, RESERVE).ok());
    runs.take(1_000).inspect(|run| checker.note(run, 0)).count()
}

#[test]
fn an_allocator_goes_on_under_another_name_and_in_another_database() {
    let server = Server::builder().port().start();
    let mut client = server.connect();
    let checker = Checker::new("ids");
    create(&mut client, "ids", "FENCE 100");
    for journey in [
        ["RENAME ids other", "RENAME other ids"],
        ["SWAPDB 0 1", "SWAPDB 0 1"],
        ["MOVE ids 1", "SWAPDB 0 1"],
        ["DEBUG RELOAD", "PING"],
        ["SAVE", "DEBUG RELOAD"],
    ] {
        reserve_times(30, &mut client, RESERVE, &checker, 0);
        journey.iter().for_each(|command| drop(client.value(*command)));
    }
    reserve_times(30, &mut client, RESERVE, &checker, 0);
    assert!(safe(&mut client, "ids") > 0);
    checker.assert_unique();
}
