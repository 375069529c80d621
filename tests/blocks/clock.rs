//! Time-sortable ids: START + INCREMENT * (milliseconds since EPOCH << bits | counter).

use super::Run;
use crate::harness::*;

const EPOCH_DEFAULT_MS: i64 = 1_704_067_200_000;
/// A server may take its time from the start of the command, or from a clock of its own.
const SLACK_MS: i64 = 5;

/// The server's clock.
#[track_caller]
fn now_ms(client: &mut Client) -> i64 {
    let time: Vec<i64> = client.list("TIME").iter().map(|part| redis::from_redis_value_ref(part).unwrap()).collect();
    time[0] * 1000 + time[1] / 1000
}

/// A single id, taken between two looks at the clock.
#[track_caller]
fn next_and_when(client: &mut Client, key: &str) -> (i64, i64, [i64; 2]) {
    let before = now_ms(client);
    let id = client.int(["IDBLOCK.NEXT", key]);
    let after = now_ms(client);
    (id, client.int(args!["IDBLOCK.WHEN", key, id]), [before - SLACK_MS, after + SLACK_MS])
}

#[test]
fn an_id_tells_its_millisecond() {
    let server = Server::start();
    let mut client = server.connect();
    for (options, start, increment, bits, epoch) in [
        ("CLOCK 0", 1, 1, 0, EPOCH_DEFAULT_MS),
        ("CLOCK 12", 1, 1, 12, EPOCH_DEFAULT_MS),
        ("CLOCK 22", 1, 1, 22, EPOCH_DEFAULT_MS),
        ("CLOCK 10 EPOCH 0", 1, 1, 10, 0),
        ("CLOCK 10 EPOCH 1600000000000 START -5", -5, 1, 10, 1_600_000_000_000),
        ("START 7 INCREMENT 64 CLOCK 12", 7, 64, 12, EPOCH_DEFAULT_MS), // node 7 of 64
    ] {
        client.ok(format!("IDBLOCK.CREATE ids FENCE OFF {options}"));
        let (id, when, [from, to]) = next_and_when(&mut client, "ids");
        assert!((from..=to).contains(&when), "{options}: {when} must lie between {from} and {to}");
        assert_eq!((id - start) % increment, 0, "{options}: {id}");
        assert_eq!((((id - start) / increment) >> bits) + epoch, when, "{options}: {id}");
        client.int("DEL ids");
    }
}

#[test]
fn node_numbers_keep_ids_of_a_millisecond_apart() {
    let server = Server::start();
    let mut client = server.connect();
    let mut ids = Vec::new();
    for node in 0..8 {
        client.ok(format!("IDBLOCK.CREATE node-{node} START {node} INCREMENT 8 CLOCK 9 FENCE OFF"));
        let replies = client.pipeline((0..50).map(|_| format!("IDBLOCK.NEXT node-{node}")));
        for reply in replies {
            let id: i64 = redis::from_redis_value(reply.unwrap()).unwrap();
            assert_eq!(id & 7, node, "the node number is in the lowest bits of {id}");
            ids.push(id);
        }
    }
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 400);
}

/// More ids than a millisecond holds: the carry runs into the next ones, nobody waits.
#[test]
fn a_used_up_millisecond_carries() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids CLOCK 4 FENCE OFF");
    let before = now_ms(&mut client);
    let run = Run::reserve(&mut client, "IDBLOCK.RESERVE ids 16000");
    assert_eq!(run.ids().len(), 16_000, "one run without a gap");
    let whens = [run.first, run.last].map(|id| client.int(args!["IDBLOCK.WHEN", "ids", id]));
    assert_eq!(whens[1] - whens[0], 999, "16 ids a millisecond");
    assert!(whens[0] >= before - SLACK_MS);
    let next = client.int("IDBLOCK.NEXT ids");
    assert_eq!(next, run.last + 1, "ahead of the clock it counts on");
}

/// Ids of several connections, through every way of ending and going on.
#[test]
fn ids_increase_over_restart_and_failover() {
    let mut primary = Server::builder().durable().port().start();
    let replica = Server::builder().replica_of(&primary).start();
    primary.connect().ok("IDBLOCK.CREATE ids CLOCK 3 START 5 INCREMENT 8 FENCE OFF");
    let mut newest = i64::MIN;
    for end in [Server::kill, Server::stop, Server::kill] {
        newest = increasing(&primary, newest);
        end(&mut primary);
        primary.restart();
    }
    newest = increasing(&primary, newest);
    synced(&primary, &replica);
    primary.kill();
    replica.connect().ok("REPLICAOF NO ONE");
    newest = increasing(&replica, newest);
    replica.reload();
    increasing(&replica, newest);
}

/// Takes ids, singly and in runs; returns the newest.
#[track_caller]
fn increasing(server: &Server, mut newest: i64) -> i64 {
    let mut clients = [server.connect(), server.connect()];
    for number in 0..200 {
        let client = &mut clients[number % 2];
        let ids = match number % 5 {
            0 => Run::reserve(client, "IDBLOCK.RESERVE ids 20").ids(),
            _ => vec![client.int("IDBLOCK.NEXT ids")],
        };
        for id in ids {
            assert!(id > newest, "{id} after {newest}");
            newest = id;
        }
    }
    newest
}

/// To an allocator that is an hour ahead, the clock has stepped back an hour.
#[test]
fn ids_increase_when_the_clock_steps_back() {
    let mut server = Server::builder().durable().start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids CLOCK 10 START 0 FENCE OFF");
    let ahead = (now_ms(&mut client) + 3_600_000 - EPOCH_DEFAULT_MS) << 10;
    client.ok(args!["IDBLOCK.ADVANCE", "ids", ahead]);
    let newest = increasing(&server, ahead);
    assert_eq!(newest, ahead + 40 * 20 + 160, "not one is skipped");
    server.kill();
    server.restart();
    assert_eq!(server.connect().int("IDBLOCK.NEXT ids"), newest + 1);
}

#[test]
fn a_layout_must_be_one() {
    let server = Server::start();
    let mut client = server.connect();
    for (options, error) in [
        ("CLOCK -1", "ERR CLOCK must be from 0 to 22, got -1"),
        ("CLOCK 23", "ERR CLOCK must be from 0 to 22, got 23"),
        ("CLOCK 10 EPOCH -1", "ERR EPOCH must be from 0 to 4611686018427387903, got -1"),
        ("CLOCK x", "ERR CLOCK must be a signed 64-bit integer"),
        ("CLOCK 10 EPOCH x", "ERR EPOCH must be a signed 64-bit integer"),
        ("CLOCK", "ERR syntax error"),
        ("CLOCK 10 EPOCH", "ERR syntax error"),
        ("CLOCK 10 CLOCK 10", "ERR syntax error"),
        ("EPOCH 0", "ERR syntax error"),
        ("CLOCK 10 MAX 5", "ERR CLOCK must come without MAX"),
        ("MAX 5 CLOCK 10", "ERR CLOCK must come without MAX"),
        ("CLOCK 10 CODES 7", "ERR CLOCK must come without CODES"),
        ("CODES 7 CLOCK 10", "ERR CLOCK must come without CODES"),
    ] {
        assert_eq!(client.error(format!("IDBLOCK.CREATE ids {options}")), error, "{options}");
        assert_eq!(client.int("EXISTS ids"), 0, "{options}");
    }
}

#[test]
fn only_an_id_of_a_clock_has_a_time() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE plain FENCE OFF");
    assert_eq!(client.error("IDBLOCK.WHEN plain 1"), "ERR allocator must have been created with CLOCK");
    client.ok("IDBLOCK.CREATE ids CLOCK 10 START 5 INCREMENT 10 FENCE OFF");
    assert_eq!(client.int("IDBLOCK.WHEN ids 5"), EPOCH_DEFAULT_MS);
    assert_eq!(client.int("IDBLOCK.WHEN ids 10245"), EPOCH_DEFAULT_MS + 1);
    for id in ["4", "6", "-5", "-9223372036854775808"] {
        client.nil(["IDBLOCK.WHEN", "ids", id]);
    }
    assert_eq!(client.error("IDBLOCK.WHEN ids x"), "ERR id must be a signed 64-bit integer");
}

#[test]
fn a_replica_tells_the_same_time() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("IDBLOCK.CREATE ids CLOCK 10 FENCE OFF");
    let (id, when, _) = next_and_when(&mut client, "ids");
    pair.assert_same("ids");
    assert_eq!(pair.replica.connect().int(args!["IDBLOCK.WHEN", "ids", id]), when);
}
