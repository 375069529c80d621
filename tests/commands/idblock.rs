//! `IDBLOCK.*`

use super::scounter::NO_INTEGERS;
use super::witness::Witness;
use crate::harness::*;

const MAX: i64 = i64::MAX;
const MIN: i64 = i64::MIN;
const SYNTAX: &str = "ERR syntax error";
const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

#[test]
fn ids_come_in_runs_on_either_protocol() {
    let server = Server::start();
    for (key, mut client) in [("two", server.connect()), ("three", server.connect_resp3())] {
        client.ok(format!("IDBLOCK.CREATE {key} START 100 INCREMENT 10 FENCE OFF"));
        for (command, reply) in [
            ("IDBLOCK.NEXT", "100"),
            ("IDBLOCK.RESERVE 3", "[110, 130, 10, 3]"),
            ("idblock.reserve 1 note why", "[140, 140, 10, 1]"),
            ("IDBLOCK.RESERVE 5 NOTE why ATLEAST 2", "[150, 190, 10, 5]"),
            ("IDBLOCK.RESERVE 2147483647", "[200, 21474836660, 10, 2147483647]"),
            ("Idblock.Next", "21474836670"),
            ("TYPE", "idblock--"),
        ] {
            let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
            assert_eq!(client.show(format!("{name} {key} {rest}")), reply, "{command}");
        }
    }
}

#[test]
fn an_allocator_begins_at_1_unless_told() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE orders");
    assert_eq!(client.show("IDBLOCK.RESERVE orders 1000"), "[1, 1000, 1, 1000]");
}

/// All ids of short sequences, up to both ends of 64 bits.
#[test]
fn a_sequence_holds_exactly_its_ids() {
    let server = Server::start();
    let mut client = server.connect();
    for (start, increment, max, ids) in [
        (1, 1, 3, vec![1, 2, 3]),
        (-1, 1, 1, vec![-1, 0, 1]),
        (5, 1, 5, vec![5]),
        (1, 3, 9, vec![1, 4, 7]),
        (1, 3, 10, vec![1, 4, 7, 10]),
        (MAX, 1, MAX, vec![MAX]),
        (MAX - 1, MAX, MAX, vec![MAX - 1]),
        (0, MAX, MAX, vec![0, MAX]),
        (1, MAX, MAX, vec![1]),
        (MIN, MAX, MAX, vec![MIN, -1, MAX - 1]),
        (MIN, 1, MIN + 1, vec![MIN, MIN + 1]),
        (MIN, 1, MIN, vec![MIN]),
    ] {
        let case = format!("START {start} INCREMENT {increment} MAX {max}");
        client.ok(format!("IDBLOCK.CREATE one FENCE OFF {case}"));
        let got: Vec<i64> = ids.iter().map(|_| client.int("IDBLOCK.NEXT one")).collect();
        assert_eq!(got, ids, "{case}");
        let exhausted = format!("EXHAUSTED ids left up to {max} must be at least 1, got 0");
        assert_eq!(client.error("IDBLOCK.NEXT one"), exhausted, "{case}");
        assert_eq!(client.error("IDBLOCK.RESERVE one 1"), exhausted, "{case}");

        client.ok(format!("IDBLOCK.CREATE all {case} FENCE OFF LOG OFF"));
        let (first, last, count) = (ids[0], ids[ids.len() - 1], ids.len());
        let run = format!("[{first}, {last}, {increment}, {count}]");
        assert_eq!(client.show("IDBLOCK.RESERVE all 100 ATLEAST 1"), run, "{case}");
        assert_eq!(client.int("DEL one all"), 2);
    }
}

#[test]
fn fewer_ids_come_only_where_fewer_will_do() {
    let mut witness = Witness::after(&["IDBLOCK.CREATE key MAX 10 FENCE OFF", "IDBLOCK.RESERVE key 8"]);
    for (command, error) in [
        ("IDBLOCK.RESERVE key 3", "EXHAUSTED ids left up to 10 must be at least 3, got 2"),
        ("IDBLOCK.RESERVE key 2147483647", "EXHAUSTED ids left up to 10 must be at least 2147483647, got 2"),
        ("IDBLOCK.RESERVE key 5 ATLEAST 3", "EXHAUSTED ids left up to 10 must be at least 3, got 2"),
    ] {
        witness.refuses(command, error);
    }
    assert_eq!(witness.client.show("IDBLOCK.RESERVE key 5 ATLEAST 2"), "[9, 10, 1, 2]");
}

#[test]
fn reservations_of_an_exhausted_allocator_show_nowhere() {
    let mut witness = Witness::after(&["IDBLOCK.CREATE key MAX 1 FENCE OFF", "IDBLOCK.NEXT key"]);
    for command in ["IDBLOCK.NEXT key", "IDBLOCK.RESERVE key 1", "IDBLOCK.RESERVE key 9 ATLEAST 1"] {
        witness.refuses(command, "EXHAUSTED ids left up to 1 must be at least 1, got 0");
    }
}

#[test]
fn an_allocator_must_have_been_created() {
    let mut witness = Witness::after(&[]);
    let error = "NOKEY allocator must exist: IDBLOCK.CREATE it (if lost: as it was, then ADVANCE past every id in use)";
    for command in ["IDBLOCK.NEXT key", "IDBLOCK.RESERVE key 1", "IDBLOCK.RESERVE key 9 ATLEAST 1 NOTE why"] {
        witness.refuses(command, error);
    }
    witness.is_unmoved_by("IDBLOCK.LOG key - +", "[]");
}

#[test]
fn an_allocator_is_gone_once_deleted() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE key FENCE OFF");
    client.int("IDBLOCK.NEXT key");
    client.int("DEL key");
    assert!(client.error("IDBLOCK.NEXT key").starts_with("NOKEY "));
}

#[test]
fn the_key_must_hold_an_allocator() {
    let mut witness = Witness::after(&["SET text 1", "SCOUNTER.INCR counter"]);
    for key in ["text", "counter"] {
        for command in ["NEXT", "RESERVE 1", "CREATE", "CREATE NX", "LOG - +"] {
            let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
            witness.refuses(format!("IDBLOCK.{name} {key} {rest}"), WRONG_TYPE);
        }
    }
    witness.client.ok("IDBLOCK.CREATE ids");
    for command in ["GET ids", "LPUSH ids 1", "INCR ids"] {
        assert_eq!(witness.client.error(command), WRONG_TYPE, "{command}");
    }
}

#[test]
fn an_allocator_is_not_created_twice() {
    let mut witness = Witness::after(&["IDBLOCK.CREATE key FENCE OFF"]);
    witness.refuses("IDBLOCK.CREATE key START 7", "BUSYKEY key must not exist, got an allocator");
    witness.is_unmoved_by("IDBLOCK.CREATE key START 7 NX", "nil");
    assert_eq!(witness.client.int("IDBLOCK.NEXT key"), 1);
}

#[test]
fn arguments_must_be_as_many_as_the_command_takes() {
    let mut witness = Witness::after(&["IDBLOCK.CREATE key FENCE OFF"]);
    for command in [
        "IDBLOCK.CREATE",
        "IDBLOCK.RESERVE",
        "IDBLOCK.RESERVE key",
        "IDBLOCK.NEXT",
        "IDBLOCK.LOG key -",
        "IDBLOCK.EFFECT key",
        "IDBLOCK.EFFECT key effect key",
    ] {
        let name = command.split(' ').next().unwrap().to_ascii_lowercase();
        witness.refuses(command, &format!("ERR wrong number of arguments for '{name}' command"));
    }
}

#[test]
fn integers_must_be_integers() {
    let mut witness = Witness::after(&["IDBLOCK.CREATE key FENCE OFF"]);
    let error = |what: &str| format!("ERR {what} must be a signed 64-bit integer");
    for text in NO_INTEGERS {
        witness.refuses(["IDBLOCK.CREATE", "new", "START", text], &error("START"));
        witness.refuses(["IDBLOCK.CREATE", "new", "INCREMENT", text], &error("INCREMENT"));
        witness.refuses(["IDBLOCK.CREATE", "new", "MAX", text], &error("MAX"));
        witness.refuses(["IDBLOCK.RESERVE", "key", text], &error("count"));
        witness.refuses(["IDBLOCK.RESERVE", "key", "5", "ATLEAST", text], &error("ATLEAST"));
    }
}

#[test]
fn options_must_be_known_complete_and_single() {
    let mut witness = Witness::after(&["IDBLOCK.CREATE key FENCE OFF"]);
    for command in [
        "IDBLOCK.CREATE new BOGUS",
        "IDBLOCK.CREATE new START",
        "IDBLOCK.CREATE new NX INCREMENT",
        "IDBLOCK.CREATE new MAX",
        "IDBLOCK.CREATE new FENCE",
        "IDBLOCK.CREATE new LOG",
        "IDBLOCK.CREATE new LOG MAXLEN",
        "IDBLOCK.CREATE new NX NX",
        "IDBLOCK.CREATE new START 1 START 1",
        "IDBLOCK.CREATE new INCREMENT 1 INCREMENT 1",
        "IDBLOCK.CREATE new MAX 1 MAX 1",
        "IDBLOCK.CREATE new FENCE OFF FENCE OFF",
        "IDBLOCK.CREATE new LOG OFF LOG OFF",
        "IDBLOCK.RESERVE key 5 BOGUS",
        "IDBLOCK.RESERVE key 5 ATLEAST",
        "IDBLOCK.RESERVE key 5 NOTE",
        "IDBLOCK.RESERVE key 5 ATLEAST 1 ATLEAST 1",
        "IDBLOCK.RESERVE key 5 NOTE a NOTE a",
    ] {
        witness.refuses(command, SYNTAX);
    }
}

#[test]
fn numbers_must_lie_in_their_limits() {
    let mut witness = Witness::after(&["IDBLOCK.CREATE key FENCE OFF"]);
    for (command, error) in [
        ("IDBLOCK.RESERVE key 0", "ERR count must be from 1 to 2147483647, got 0"),
        ("IDBLOCK.RESERVE key -1", "ERR count must be from 1 to 2147483647, got -1"),
        ("IDBLOCK.RESERVE key 2147483648", "ERR count must be from 1 to 2147483647, got 2147483648"),
        ("IDBLOCK.RESERVE key 5 ATLEAST 0", "ERR ATLEAST must be from 1 to 5, got 0"),
        ("IDBLOCK.RESERVE key 5 ATLEAST 6", "ERR ATLEAST must be from 1 to 5, got 6"),
        ("IDBLOCK.CREATE new INCREMENT 0", "ERR INCREMENT must be from 1 to 9223372036854775807, got 0"),
        ("IDBLOCK.CREATE new INCREMENT -1", "ERR INCREMENT must be from 1 to 9223372036854775807, got -1"),
        ("IDBLOCK.CREATE new START 2 MAX 1", "ERR START must not lie above MAX 1, got 2"),
        ("IDBLOCK.CREATE new LOG MAXLEN 0", "ERR MAXLEN must be from 1 to 9223372036854775807, got 0"),
        (
            "IDBLOCK.CREATE new START -9223372036854775808",
            "ERR range from START to MAX must hold at most 18446744073709551615 ids, got 18446744073709551616",
        ),
    ] {
        witness.refuses(command, error);
    }
    let note = "n".repeat(256);
    witness.refuses(["IDBLOCK.RESERVE", "key", "1", "NOTE", &note], "ERR note must be at most 255 bytes, got 256");
}

#[test]
fn a_change_is_announced_once() {
    let mut witness = Witness::after(&[]);
    for (command, reply, event) in [
        ("IDBLOCK.CREATE key FENCE OFF", "OK", "idblock.create"),
        ("IDBLOCK.RESERVE key 5", "[1, 5, 1, 5]", "idblock.reserve"),
        ("IDBLOCK.NEXT key", "6", "idblock.next"),
        ("IDBLOCK.CREATE quiet FENCE OFF LOG OFF", "OK", "idblock.create"),
        ("IDBLOCK.RESERVE quiet 5", "[1, 5, 1, 5]", "idblock.reserve"),
    ] {
        witness.announces(command, reply, event);
    }
}
