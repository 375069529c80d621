//! What a server knows of marks and of others, and its dataset or its primary does not.

use super::electable::offset;
use super::{Checker, address, advice, create, drain, fields, reserve, reserve_times, wait_for_electable};
use crate::harness::*;
use std::fs;
use std::time::Duration;

/// Waits until a replica was told who could take over, itself among them.
#[track_caller]
fn wait_until_named(replica: &Server) {
    let mut client = replica.connect();
    wait_until("the replica knows the set", PATIENCE, || {
        fields(&client.value("IDBLOCK.FENCE"))["orphan-of"] == redis::Value::Nil
    });
}

/// The promoted server handed out nothing, but another one learned from it that it may issue; then it went back. Its
/// acknowledgement would let the old primary issue beside the other one.
#[test]
fn whoever_was_told_that_it_may_issue_is_not_forgotten() {
    let Pair { primary, replica } = Pair::start();
    let third = Server::builder().port().start();
    let (checker, mut client) = (Checker::new("ids"), primary.connect());
    create(&mut client, "ids", "FENCE 100");
    wait_for_electable(&primary, &[&replica]);
    reserve_times(3, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    synced(&primary, &replica);

    replica.connect().ok("REPLICAOF NO ONE");
    third.connect().ok(format!("REPLICAOF 127.0.0.1 {}", replica.port()));
    wait_for_electable(&replica, &[&third]);
    wait_until_named(&third);
    third.connect().ok("REPLICAOF NO ONE");
    replica.connect().ok(format!("REPLICAOF 127.0.0.1 {}", primary.port()));

    let refusal = drain(&mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    assert!(refusal.contains(&address(&replica)), "{refusal}");
    reserve_times(100, &mut third.connect(), "IDBLOCK.RESERVE ids 10", &checker, 2);
    checker.assert_unique();

    // Once the third is gone for good an operator may say so, where the log says it.
    drop(third);
    let forget = format!("IDBLOCK.FENCE FORGET {}", address(&primary));
    wait_until("the replica says what to do", PATIENCE, || replica.log().contains(&forget));
    replica.connect().ok(&*forget);
    reserve(&mut client, "IDBLOCK.RESERVE ids 10");
}

/// The dump of a deleted key was restored at its old mark, and whoever synced then was promoted at that mark.
#[test]
fn a_dump_that_is_older_than_the_journal_takes_nobody_back() {
    let mut server = Server::builder().port().start();
    let (checker, mut client) = (Checker::new("ids"), server.connect());
    create(&mut client, "ids", "FENCE 100");
    let dump = client.bytes("DUMP ids");
    reserve_times(60, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    assert_eq!(client.int("DEL ids"), 1);
    client.ok(args!["RESTORE", "ids", 0, dump]);
    let replica = Server::builder().replica_of(&server).start();
    synced(&server, &replica);
    wait_until_named(&replica);
    server.kill();
    replica.connect().ok("REPLICAOF NO ONE");
    reserve_times(60, &mut replica.connect(), "IDBLOCK.RESERVE ids 10", &checker, 1);
    checker.assert_unique();
}

/// Allocators that came by COPY and RESTORE were in no journal, and waited for ADVANCE after the next restart.
#[test]
fn what_came_by_copy_or_restore_is_in_the_journal() {
    let mut server = Server::builder().port().durable().start();
    let mut client = server.connect();
    create(&mut client, "ids", "FENCE 100");
    reserve(&mut client, "IDBLOCK.RESERVE ids 10");
    let dump = client.bytes("DUMP ids");
    assert_eq!(client.int("COPY ids copied"), 1);
    client.ok(args!["RESTORE", "restored", 0, dump]);
    server.kill();
    server.restart();
    let mut client = server.connect();
    for key in ["ids", "copied", "restored"] {
        reserve(&mut client, &*format!("IDBLOCK.RESERVE {key} 10"));
    }
}

/// Whoever refuses is connected all the time, and asked for acknowledgements; the stream stays small all the same.
#[test]
fn a_follower_that_refuses_makes_no_storm() {
    let Pair { primary, replica } = Pair::start();
    let (checker, mut client) = (Checker::new("ids"), primary.connect());
    create(&mut client, "ids", "FENCE 100");
    wait_for_electable(&primary, &[&replica]);
    reserve_times(3, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    synced(&primary, &replica);
    let mut other = replica.connect();
    other.ok("REPLICAOF NO ONE");
    wait_until("the other one waits for nobody", PATIENCE, || {
        let _ = other.call(["IDBLOCK.FENCE", "FORGET", &address(&primary)]);
        fields(&other.value("IDBLOCK.FENCE"))["electable"] == redis::Value::Array(Vec::new())
    });
    reserve_times(100, &mut other, "IDBLOCK.RESERVE ids 10", &checker, 1);
    other.ok(format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    other.wait_for_field("INFO replication", "master_sync_in_progress", "0");
    let _ = other.call("DEBUG RELOAD"); // it remembers the names of what it handed out
    let refusal = drain(&mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    wait_until("the primary knows of it", PATIENCE, || {
        client.error("IDBLOCK.RESERVE ids 10").contains("left instead of acknowledging: its log may say why")
    });
    wait_until("its log says why", PATIENCE, || advice(&replica, "ids").is_some());
    let before = offset(&primary);
    let _ = holds_within(Duration::from_secs(5), || client.call("IDBLOCK.RESERVE ids 10").is_ok());
    let sent = offset(&primary) - before;
    assert!(sent < 20_000, "{sent} bytes in 5 s, after {refusal}");
    let advance = advice(&replica, "ids").expect("an advice");
    wait_until("it is advanced", PATIENCE, || client.call(&*advance).is_ok());
    reserve_times(30, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    checker.assert_unique();
}

/// The servers between may have counted others that this one has never heard of.
#[test]
fn after_the_former_primary_of_an_orphan_is_forgotten_every_allocator_is_advanced() {
    let start = || Server::builder().port().durable().start();
    let (first, second, mut third) = (start(), start(), start());
    let (checker, mut client) = (Checker::new("ids"), first.connect());
    second.connect().ok(format!("REPLICAOF 127.0.0.1 {}", first.port()));
    create(&mut client, "ids", "FENCE 100");
    wait_for_electable(&first, &[&second]);
    third.connect().ok(format!("REPLICAOF 127.0.0.1 {}", second.port()));
    synced(&second, &third);
    third.pause();
    reserve_times(30, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    drop(first);
    let former = address(&second);
    drop(second);
    third.resume();

    let mut heir = third.connect();
    heir.ok("REPLICAOF NO ONE");
    let refusal = heir.error("IDBLOCK.RESERVE ids 10");
    assert!(refusal.contains(&format!("IDBLOCK.FENCE FORGET {former}")), "{refusal}");
    heir.ok(["IDBLOCK.FENCE", "FORGET", &former]);
    let replica = Server::builder().replica_of(&third).start();
    synced(&third, &replica);
    wait_until_named(&replica);
    third.kill();
    third.restart();
    replica.connect().ok("REPLICAOF NO ONE");
    for server in [&third, &replica] {
        let mut client = server.connect();
        let refusal = client.error("IDBLOCK.RESERVE ids 10");
        assert!(refusal.contains("IDBLOCK.ADVANCE past them"), "{refusal}");
        assert!(client.show("IDBLOCK.INFO ids fence-waiting-for").contains("IDBLOCK.ADVANCE"));
        wait_until("the log says it too", PATIENCE, || server.log().contains("until IDBLOCK.ADVANCE has said it"));
    }
    replica.connect().ok(format!("REPLICAOF 127.0.0.1 {}", third.port()));
    let mut heir = third.connect();
    wait_until("it is advanced", PATIENCE, || heir.call(args!["IDBLOCK.ADVANCE", "ids", checker.beyond()]).is_ok());
    reserve_times(30, &mut heir, "IDBLOCK.RESERVE ids 10", &checker, 2);
    checker.assert_unique();
}

/// The server tells of such a load in events of its own besides. One that has lost its journal must not take the
/// dataset of its primary for a file of its own.
#[test]
fn a_dataset_that_is_loaded_beside_the_present_one_is_that_of_the_primary() {
    let builder = || Server::builder().config("repl-diskless-sync", "yes").config("repl-diskless-sync-delay", 0);
    let small = builder().config("repl-backlog-size", "16kb");
    let Pair { primary, mut replica } = Pair::start_with(small, builder().config("repl-diskless-load", "swapdb"));
    let mut client = primary.connect();
    create(&mut client, "lost", "");
    wait_for_electable(&primary, &[&replica]);
    replica.connect().ok("SAVE");
    replica.kill();
    fs::remove_file(replica.dir().join(format!("tallybook-{}.fence", replica.port()))).expect("a journal");
    let name = address(&replica);
    wait_until("it is forgotten", PATIENCE, || client.call(["IDBLOCK.FENCE", "FORGET", &name]).is_ok());
    create(&mut client, "ids", "");
    client.pipeline((0..100).map(|_| args!["SET", "filler", "x".repeat(1000)]));
    client.ok("CLIENT PAUSE 60000 WRITE"); // nothing is announced
    replica.restart();
    let mut heir = replica.connect();
    heir.wait_for_field("INFO replication", "master_link_status", "up");
    heir.ok("REPLICAOF NO ONE");
    client.ok("CLIENT UNPAUSE");
    let checker = Checker::new("ids");
    reserve_times(100, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    let former = address(&primary);
    drop(primary);
    let refusal = heir.error("IDBLOCK.RESERVE ids 10");
    assert!(refusal.contains(&format!("IDBLOCK.FENCE FORGET {former}")), "{refusal}");
    heir.ok(["IDBLOCK.FENCE", "FORGET", &former]);
    let refusal = heir.error("IDBLOCK.RESERVE ids 10");
    assert!(refusal.contains("IDBLOCK.ADVANCE past them"), "{refusal}");
}

/// The forgotten one's doubts do not end with the acknowledgement of whoever has them.
#[test]
fn whoever_has_doubts_vouches_for_nobody() {
    let start = || Server::builder().port().start();
    let (mut first, second, third) = (start(), start(), start());
    let (checker, mut client) = (Checker::new("ids"), first.connect());
    create(&mut client, "ids", "");
    let follow_quietly = |replica: &Server, primary: &Server| {
        primary.connect().ok("CLIENT PAUSE 60000 WRITE"); // nobody is told anything meanwhile
        replica.connect().ok(format!("REPLICAOF 127.0.0.1 {}", primary.port()));
        replica.connect().wait_for_field("INFO replication", "master_link_status", "up");
        replica.connect().ok("REPLICAOF NO ONE");
        primary.connect().ok("CLIENT UNPAUSE");
    };
    follow_quietly(&second, &first);
    reserve_times(100, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    first.kill(); // what FORGET claims
    second.connect().ok(["IDBLOCK.FENCE", "FORGET", &address(&first)]);
    follow_quietly(&third, &second);
    second.connect().ok(format!("REPLICAOF 127.0.0.1 {}", third.port()));
    let mut heir = third.connect();
    let _ = holds_within(Duration::from_secs(3), || heir.call("IDBLOCK.RESERVE ids 10").is_ok());
    let refusal = heir.error("IDBLOCK.RESERVE ids 10");
    assert!(refusal.contains(&format!("IDBLOCK.FENCE FORGET {}", address(&second))), "{refusal}");
    heir.ok(["IDBLOCK.FENCE", "FORGET", &address(&second)]);
    let refusal = heir.error("IDBLOCK.RESERVE ids 10");
    assert!(refusal.contains("IDBLOCK.ADVANCE past them"), "{refusal}");
    wait_until("it is advanced", PATIENCE, || heir.call(args!["IDBLOCK.ADVANCE", "ids", checker.beyond()]).is_ok());
    reserve_times(30, &mut heir, "IDBLOCK.RESERVE ids 10", &checker, 2);
    checker.assert_unique();
}

/// The address that a replica announces is that of its handshake.
#[test]
fn a_replica_that_is_told_another_address_goes_on_under_the_old_one() {
    let Pair { primary, replica } = Pair::start();
    let mut client = primary.connect();
    create(&mut client, "ids", "FENCE 100");
    wait_for_electable(&primary, &[&replica]);
    wait_until_named(&replica);
    replica.connect().ok("CONFIG SET replica-announce-ip 127.0.0.9");
    let third = Server::builder().replica_of(&primary).start();
    wait_for_electable(&primary, &[&replica, &third]);
    synced(&primary, &replica);
    assert_eq!(fields(&replica.connect().value("IDBLOCK.FENCE"))["orphan-of"], redis::Value::Nil);
}
