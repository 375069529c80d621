//! The same token before and after everything that can happen to a server, a connection or a key.
//!
//! jedis#3187: a retry after a timeout adds twice. redis#14794, #14858, #14869, #14897, #14908: the ways on which the
//! tokens of streams were lost after their release.

use super::fail_over;
use crate::harness::*;

/// Calls that depend on each other: whatever of them counts twice, or is forgotten, shows in a later reply.
const CALLS: [&str; 5] = [
    "SCOUNTER.INCR {key} 5 IDMP app 1",
    "SCOUNTER.DECR {key} 2 IDMP app 2",
    "SCOUNTER.INCREX {key} BYINT 100 UBOUND 90 SATURATE EX 1000 IDMP app 3",
    "SCOUNTER.HOLD {key} 7 EX 1000 IDMP app 4",
    "SCOUNTER.INCR {key} IDMP other 1",
];

/// Makes the calls, for the first time or again.
#[track_caller]
fn call(client: &mut Client, key: &str) -> Vec<String> {
    CALLS.iter().map(|call| client.show(call.replace("{key}", key))).collect()
}

/// Creates `key` and makes the calls for the first time.
#[track_caller]
fn call_first(client: &mut Client) -> Vec<String> {
    client.ok("SCOUNTER.CREATE key UBOUND 100");
    let replies = call(client, "key");
    assert_eq!((&replies[..3], replies[4].as_str()), (&["5", "3", "[90, 87]"].map(String::from)[..], "91"));
    replies
}

/// The calls get their first replies, and change nothing.
#[track_caller]
fn assert_known(server: &Server, client: &mut Client, key: &str, replies: &[String]) {
    let before = server.digest();
    assert_eq!(call(client, key), replies);
    assert_eq!(client.int(["SCOUNTER.GET", key]), 91);
    assert_eq!(client.int(["SCOUNTER.INFO", key, "tokens-tracked"]), 5);
    assert_eq!(server.digest(), before);
}

#[test]
fn a_retry_after_a_reconnect_gets_the_first_reply() {
    let server = Server::start();
    let replies = call_first(&mut server.connect());
    assert_known(&server, &mut server.connect(), "key", &replies);
    assert_known(&server, &mut server.connect_resp3(), "key", &replies);
}

/// redis#14794: a rewrite without preamble lost the tokens of streams.
#[test]
fn a_retry_after_an_aof_rewrite_gets_the_first_reply() {
    for preamble in ["yes", "no"] {
        let mut server = Server::builder().durable().config("aof-use-rdb-preamble", preamble).start();
        let replies = call_first(&mut server.connect());
        server.load_aof();
        assert_known(&server, &mut server.connect(), "key", &replies);
        server.rewrite_aof();
        server.kill();
        server.restart();
        assert_known(&server, &mut server.connect(), "key", &replies);
    }
}

/// redis#14794 with a store of many segments, each token with a reply of its own.
#[test]
fn every_one_of_many_tokens_survives_an_aof_rewrite_without_preamble() {
    const COUNT: i64 = 20_000;
    let server = Server::builder().config("appendonly", "yes").config("aof-use-rdb-preamble", "no").start();
    let mut client = server.connect();
    let mut replies = || client.pipeline((0..COUNT).map(|n| format!("SCOUNTER.INCR key {n} IDMP app-{} {n}", n % 7)));
    let first = replies();
    assert_eq!(first.last(), Some(&Ok(redis::Value::Int(COUNT * (COUNT - 1) / 2))));
    server.rewrite_aof();
    server.load_aof();
    assert_eq!(replies()[1..], first[1..], "adding 0 is no change, and not remembered");
}

/// redis#14869: after loading an RDB tokens did not expire any more; here they must still be known, too.
#[test]
fn a_retry_after_a_restart_from_rdb_gets_the_first_reply() {
    let mut server = Server::start();
    let replies = call_first(&mut server.connect());
    server.reload();
    assert_known(&server, &mut server.connect(), "key", &replies);
    server.save_in_background();
    server.kill();
    server.restart();
    assert_known(&server, &mut server.connect(), "key", &replies);
}

/// redis#14858: the tokens that a replica was not told of were unknown after a failover.
#[test]
fn a_retry_after_a_failover_gets_the_first_reply() {
    let pair = Pair::start();
    let replies = call_first(&mut pair.primary.connect());
    pair.assert_same_keyspace();
    let promoted = fail_over(pair);
    assert_known(&promoted, &mut promoted.connect(), "key", &replies);
}

#[test]
fn a_retry_after_a_full_resync_and_a_failover_gets_the_first_reply() {
    for diskless in ["no", "yes"] {
        let primary = Server::builder().port().config("repl-diskless-sync", diskless).start();
        let replies = call_first(&mut primary.connect());
        let replica = Server::builder().replica_of(&primary).start();
        let pair = Pair { primary, replica };
        pair.assert_same_keyspace();
        let promoted = fail_over(pair);
        assert_known(&promoted, &mut promoted.connect(), "key", &replies);
    }
}

/// redis#14897: COPY, MOVE and SWAPDB left the tokens of streams behind. What comes after `->` is where the key is
/// then, and in which database.
const JOURNEYS: [&str; 6] = [
    "COPY key copy -> copy 0",
    "COPY key copy DB 1 -> copy 1",
    "MOVE key 1 -> key 1",
    "SWAPDB 0 1 -> key 1",
    "RENAME key renamed -> renamed 0",
    "RESTORE restored 0 {dump} -> restored 0",
];

#[test]
fn tokens_go_where_the_value_goes() {
    for journey in JOURNEYS {
        let (command, place) = journey.split_once(" -> ").unwrap();
        let (key, database) = place.split_once(' ').unwrap();
        let pair = Pair::start();
        let mut client = pair.primary.connect();
        let replies = call_first(&mut client);
        let dump = client.bytes("DUMP key");
        client.value(words(command, &dump));
        pair.assert_same_keyspace();
        for server in [&pair.primary, &pair.replica] {
            server.connect().call("REPLICAOF NO ONE").expect(journey);
            let mut client = server.connect();
            client.ok(["SELECT", database]);
            assert_known(server, &mut client, key, &replies);
        }
    }
}

/// The words of a command, `{dump}` being any bytes.
fn words(command: &str, dump: &[u8]) -> Vec<Vec<u8>> {
    let word = |word: &str| if word == "{dump}" { dump.to_vec() } else { word.into() };
    command.split(' ').map(word).collect()
}

/// A copy has tokens of its own from then on.
#[test]
fn a_copy_learns_nothing_of_later_tokens() {
    let server = Server::start();
    let mut client = server.connect();
    client.int("SCOUNTER.INCR key 5 IDMP app 1");
    client.int("COPY key copy");
    assert_eq!(client.int("SCOUNTER.INCR key 5 IDMP app 2"), 10);
    assert_eq!(client.int("SCOUNTER.INCR copy 7 IDMP app 2"), 12);
    assert_eq!(client.int("SCOUNTER.INCR key 5 IDMP app 2"), 10);
    assert_eq!(client.int("SCOUNTER.INCR copy 7 IDMP app 2"), 12);
}

/// scylladb#4781: a counter that was deleted and created again must not be confused with the former one; redis#14908:
/// XADD IDMP answered with the id of an entry that was deleted. Here tokens die with the key.
#[test]
fn a_late_retry_counts_on_the_counter_that_came_after() {
    for end in ["DEL key", "UNLINK key", "FLUSHDB", "FLUSHALL ASYNC", "RENAME key elsewhere", "PEXPIREAT key 1"] {
        let pair = Pair::start();
        let mut client = pair.primary.connect();
        assert_eq!(client.int("SCOUNTER.INCR key 5 IDMP app 1"), 5);
        client.value(end);
        client.ok("SCOUNTER.CREATE key INITIAL 100");
        assert_eq!(client.int("SCOUNTER.INCR key 5 IDMP app 1"), 105, "{end}");
        assert_eq!(client.int("SCOUNTER.INCR key 5 IDMP app 1"), 105, "{end}");
        pair.assert_same("key");
        assert_eq!(fail_over(pair).connect().int("SCOUNTER.INCR key 5 IDMP app 1"), 105, "{end}");
    }
}

/// MIGRATE between servers that know nothing of each other.
#[test]
fn a_retry_after_a_migration_gets_the_first_reply() {
    let (source, target) = (Server::builder().port().start(), Server::builder().port().start());
    let replies = call_first(&mut source.connect());
    source.connect().ok(["MIGRATE", "127.0.0.1", &target.port().to_string(), "key", "0", "5000"]);
    assert_eq!(source.connect().int("EXISTS key"), 0);
    assert_known(&target, &mut target.connect(), "key", &replies);
}
