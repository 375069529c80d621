//! Counters in a cluster: slots on the move, and commands that name several keys.

use crate::harness::*;

/// A command to a node, whatever its slots are.
#[track_caller]
fn tell(node: &Server, command: String) {
    node.connect().ok(command);
}

/// The owner of the slot, and the other one of two primaries.
fn owner_and_other(cluster: &Cluster, slot: usize) -> (&Server, &Server) {
    let owner = cluster.owner_of_slot(slot).expect("an owner");
    (&cluster.nodes()[owner], &cluster.nodes()[1 - owner])
}

fn id_of(node: &Server) -> String {
    node.connect().text("CLUSTER MYID")
}

/// Calls whose replies tell whether they were made before.
#[track_caller]
fn calls(client: &mut Client, ask: bool) -> Vec<String> {
    [
        "INCR {k}a 5 IDMP app 1",
        "INCREX {k}a BYINT 7 IDMP app 2",
        "HOLD {k}b 3 EX 1000 IDMP app 1",
        "INCR {k}b IDMP app 2",
    ]
    .map(|call| {
        if ask {
            client.ok("ASKING");
        }
        client.show(format!("SCOUNTER.{call}"))
    })
    .to_vec()
}

#[track_caller]
fn first_calls(owner: &Server) -> Vec<String> {
    let mut client = owner.connect();
    client.ok("SCOUNTER.CREATE {k}a");
    client.ok("SCOUNTER.CREATE {k}b UBOUND 10");
    let replies = calls(&mut client, false);
    assert_eq!((replies[0].as_str(), replies[1].as_str(), replies[3].as_str()), ("5", "[12, 7]", "1"));
    replies
}

#[test]
fn a_retry_during_and_after_the_move_of_its_slot_gets_the_first_reply() {
    let cluster = Cluster::start(2, 0);
    let slot = cluster.slot("{k}a");
    let (source, target) = owner_and_other(&cluster, slot);
    let replies = first_calls(source);
    tell(target, format!("CLUSTER SETSLOT {slot} IMPORTING {}", id_of(source)));
    tell(source, format!("CLUSTER SETSLOT {slot} MIGRATING {}", id_of(target)));
    assert_eq!(calls(&mut source.connect(), false), replies, "not moved yet");
    let (host, port) = ("127.0.0.1", target.port());
    source.connect().ok(args!["MIGRATE", host, port, "", 0, 5000, "KEYS", "{k}a", "{k}b"]);
    assert_eq!(calls(&mut target.connect(), true), replies, "moved, and asked for");
    for node in [target, source] {
        tell(node, format!("CLUSTER SETSLOT {slot} NODE {}", id_of(target)));
    }
    assert_eq!(calls(&mut target.connect(), false), replies, "moved for good");
    assert_eq!(target.connect().show("SCOUNTER.MGET {k}a {k}b"), "[12, 1]");
    assert!(source.connect().error("SCOUNTER.INCR {k}a").starts_with("MOVED "));
}

/// Valkey 9 moves whole slots by a stream of commands.
#[test]
fn a_retry_after_an_atomic_slot_migration_gets_the_first_reply() {
    if server_name() != "valkey-9.1" {
        return;
    }
    let cluster = Cluster::start(2, 0);
    let slot = cluster.slot("{k}a");
    let (source, target) = owner_and_other(&cluster, slot);
    let replies = first_calls(source);
    let many = (0..20_000).map(|number| format!("SCOUNTER.INCR {{k}}many 1 IDMP app {number}"));
    assert!(source.connect().pipeline(many.clone()).iter().all(Reply::is_ok));
    tell(source, format!("CLUSTER MIGRATESLOTS SLOTSRANGE {slot} {slot} NODE {}", id_of(target)));
    let moved = || owner_and_other(&cluster, slot).0.port() == target.port();
    wait_until("the slot has moved", PATIENCE, moved);
    assert_eq!(calls(&mut target.connect(), false), replies);
    assert!(target.connect().pipeline(many).iter().all(Reply::is_ok));
    assert_eq!(target.connect().int("SCOUNTER.GET {k}many"), 20_000);
}

#[test]
fn several_counters_must_live_in_one_slot() {
    let cluster = Cluster::start(1, 0);
    let mut client = cluster.nodes()[0].connect();
    assert_eq!(client.show("SCOUNTER.MINCR {k}a 1 {k}b 2"), "[1, 2]");
    assert_eq!(client.show("SCOUNTER.MGET {k}a {k}b"), "[1, 2]");
    for command in ["SCOUNTER.MINCR a 1 b 2", "SCOUNTER.MGET a b"] {
        assert!(client.error(command).starts_with("CROSSSLOT "), "{command}");
    }
    assert_eq!(client.int("DBSIZE"), 2);
}
