//! `SCOUNTER.MINCR`, `SCOUNTER.MGET`, `SCOUNTER.SET`

use super::{WRONG_TYPE, field};
use crate::commands::witness::Witness;
use crate::harness::*;
use crate::payload::Payload;

const SETUP: [&str; 6] = [
    "SCOUNTER.INCR a 1",
    "SCOUNTER.INCR b 2",
    "SCOUNTER.CREATE full INITIAL 10 UBOUND 10",
    "SCOUNTER.INCR top 9223372036854775807",
    "SET text 1",
    "IDBLOCK.CREATE ids FENCE OFF",
];

#[test]
fn several_counters_change_together_or_not_at_all() {
    let mut witness = Witness::after(&SETUP);
    for (pairs, error) in [
        ("a 1 full 1 b 1", "BOUND value must be at most 10, got 11"),
        ("new 1 full 1", "BOUND value must be at most 10, got 11"),
        ("full -5 a 1 full 6", "BOUND value must be at most 10, got 11"),
        ("full 1 full -1", "BOUND value must be at most 10, got 11"), // each in its order
        ("a 1 top 1", "OVERFLOW value must fit 64 bits, got 9223372036854775808"),
        ("a 9223372036854775806 a 1", "OVERFLOW value must fit 64 bits, got 9223372036854775808"),
        ("a 1 text 1", WRONG_TYPE),
        ("a 1 ids 1", WRONG_TYPE),
        ("text 0", WRONG_TYPE),
        ("a 1 b x", "ERR delta must be a signed 64-bit integer"),
        ("a x text 1", "ERR delta must be a signed 64-bit integer"),
    ] {
        witness.refuses(format!("SCOUNTER.MINCR {pairs}"), error);
    }
    for arguments in ["", "a", "a 1 b", "a 1 b 1 c"] {
        let error = "ERR wrong number of arguments for 'scounter.mincr' command";
        witness.refuses(format!("SCOUNTER.MINCR {arguments}"), error);
    }
}

#[test]
fn the_same_counter_twice_is_increased_in_order() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    SETUP.iter().for_each(|command| drop(client.value(*command)));
    for (pairs, reply) in [
        ("a 1 b 1 a 10", "[2, 3, 12]"),
        ("new 1 new 2 other 5 new -4", "[1, 3, 5, -1]"),
        ("full -5 full 5", "[5, 10]"),
        ("zero 0 zero 7 zero 0", "[0, 7, 7]"),
        ("top -1 top 1", "[9223372036854775806, 9223372036854775807]"),
        ("a 0 full -1 nothing 0", "[12, 9, 0]"),
    ] {
        assert_eq!(client.show(format!("SCOUNTER.MINCR {pairs}")), reply, "{pairs}");
    }
    assert_eq!(client.int("EXISTS nothing"), 0);
    assert_eq!(client.show("SCOUNTER.MGET a b new other zero nothing"), "[12, 3, -1, 5, 7, nil]");
    pair.assert_same_keyspace();
}

#[test]
fn several_increments_replicate_as_one_command() {
    let server = Server::start();
    let mut client = server.connect();
    SETUP.iter().for_each(|command| drop(client.value(*command)));
    let mut stream = ReplicationStream::attach(&server);
    for plain in ["SCOUNTER.MINCR a 1 b 2", "SCOUNTER.MINCR a 1 a 2 b 0"] {
        client.value(plain);
        assert_eq!(stream.next_lines(), [plain], "all are plain");
    }
    client.value("SCOUNTER.MINCR a 1 full -5 new 7 new 1 b 0");
    let commands = stream.next_commands();
    let effect = |index: usize, fill: fn(Payload) -> Payload| {
        let bytes = &commands[0][index];
        assert_eq!(*bytes, fill(Payload::at(Payload::time_of(bytes))).into_bytes(), "argument {index}");
    };
    assert_eq!((commands.len(), commands[0].len(), commands[0][0].as_slice()), (1, 9, &b"scounter.effect"[..]));
    let names: Vec<&[u8]> = commands[0][1..].iter().step_by(2).map(Vec::as_slice).collect();
    assert_eq!(names, [&b"a"[..], b"full", b"new", b"new"]);
    effect(2, |payload| payload.added(1));
    effect(4, |payload| payload.added(-5));
    effect(6, |payload| payload.counter(0, false).added(7));
    effect(8, |payload| payload.added(1));
}

#[test]
fn each_of_several_increments_is_announced_and_logged() {
    let server = Server::builder().config("tallybook.log-default", "\"MAXLEN 10\"").start();
    let mut client = server.connect();
    client.int("SCOUNTER.INCR a");
    let mut events = Events::listen_to(&server, "Ed");
    client.value("SCOUNTER.MINCR a 1 new 5 a 2 b 0 new 6");
    let announced: Vec<_> = events.drain().into_iter().map(|(name, key)| format!("{name} {key}")).collect();
    assert_eq!(announced, ["scounter.incr a", "scounter.incr new", "scounter.incr a", "scounter.incr new"]);
    assert_eq!(client.list("SCOUNTER.LOG a - +").len(), 3);
    let entries = client.show("SCOUNTER.LOG new - +");
    assert!(entries.contains(r#""delta", "5", "value", "5""#) && entries.contains(r#""delta", "6", "value", "11""#));
}

#[test]
fn several_counters_are_read_as_the_native_mget_reads() {
    let server = Server::start();
    let mut client = server.connect();
    SETUP.iter().for_each(|command| drop(client.value(*command)));
    assert_eq!(client.show("SCOUNTER.MGET a missing b text ids a"), "[1, nil, 2, nil, nil, 1]");
    assert_eq!(client.error("SCOUNTER.MGET"), "ERR wrong number of arguments for 'scounter.mget' command");
}

#[test]
fn set_changes_the_value_and_nothing_else() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("SCOUNTER.CREATE key INITIAL 5 LBOUND 0 UBOUND 100 LOG MAXLEN 10 IDMP-MAXSIZE 7");
    client.int("PEXPIREAT key 9999999999999");
    client.int("SCOUNTER.INCR key 5 IDMP app 1");
    let id = client.int("SCOUNTER.HOLD key -5 EX 1000");
    let others = |client: &mut Client| {
        let fields = ["lbound", "ubound", "held-down", "tokens-tracked", "idmp-maxsize", "log-maxlen", "created"];
        fields.map(|name| field(client, "key", name))
    };
    let before = others(&mut client);
    for (command, reply) in [
        ("SCOUNTER.SET key 50", "OK"),
        ("SCOUNTER.SET key 51 GET", "50"),
        ("SCOUNTER.SET key 52 XX NOTE why", "OK"),
        ("SCOUNTER.SET key 53 NX", "nil"),
        ("SCOUNTER.SET key 53 NX GET", "52"),
        ("SCOUNTER.SET key 5 get xx", "52"),
    ] {
        assert_eq!(client.show(command), reply, "{command}");
    }
    assert_eq!(others(&mut client), before);
    assert_eq!(client.int("PEXPIRETIME key"), 9_999_999_999_999);
    assert_eq!(client.int("SCOUNTER.INCR key 5 IDMP app 1"), 10);
    let entries = client.show("SCOUNTER.LOG key + - REV COUNT 1");
    assert!(entries.contains(r#""op", "set", "delta", "-47", "value", "5""#), "{entries}");
    assert_eq!(client.int(args!["SCOUNTER.COMMIT", "key", id]), 0);
    pair.assert_same_keyspace();
}

/// Take and reset.
#[test]
fn set_takes_what_was_there() {
    let server = Server::start();
    let mut client = server.connect();
    client.int("SCOUNTER.INCR key 5");
    assert_eq!(client.show("SCOUNTER.SET key 0 GET"), "5");
    assert_eq!(client.show("SCOUNTER.SET key 0 GET"), "0");
    assert_eq!(client.show("SCOUNTER.SET new 7 GET"), "nil");
    assert_eq!(client.show("SCOUNTER.MGET key new"), "[0, 7]");
}

#[test]
fn set_refuses_what_makes_no_sense() {
    let mut witness = Witness::after(&SETUP);
    for (rest, error) in [
        ("full 11", "BOUND value must be at most 10, got 11"),
        ("full 11 GET", "BOUND value must be at most 10, got 11"),
        ("text 1", WRONG_TYPE),
        ("text 1 GET", WRONG_TYPE),
        ("ids 1 NX", WRONG_TYPE),
        ("a x", "ERR value must be a signed 64-bit integer"),
        ("a 9223372036854775808", "ERR value must be a signed 64-bit integer"),
        ("a 1 NX XX", "ERR syntax error"),
        ("a 1 GET GET", "ERR syntax error"),
        ("a 1 EX 10", "ERR syntax error"),
        ("a 1 KEEPTTL", "ERR syntax error"),
        ("a 1 NOTE", "ERR syntax error"),
        ("a 1 IDMP app 1", "ERR syntax error"),
        ("a", "ERR wrong number of arguments for 'scounter.set' command"),
    ] {
        witness.refuses(format!("SCOUNTER.SET {rest}"), error);
    }
}
