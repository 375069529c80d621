//! `SCOUNTER.*`

use super::witness::Witness;
use crate::harness::*;

const MAX: i64 = i64::MAX;
const MIN: i64 = i64::MIN;
const SYNTAX: &str = "ERR syntax error";
const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";

/// Spellings that are no signed 64-bit integer.
pub const NO_INTEGERS: [&str; 14] = [
    "",
    "-",
    "abc",
    "1.0",
    "1e3",
    "0x10",
    "+1",
    "-0",
    "01",
    " 1",
    "1 ",
    "9223372036854775808",
    "-9223372036854775809",
    "100000000000000000000000000000000000000000000000000",
];

#[test]
fn a_counter_counts_on_either_protocol() {
    let server = Server::start();
    for (key, mut client) in [("two", server.connect()), ("three", server.connect_resp3())] {
        for (command, reply) in [
            ("SCOUNTER.GET", "nil"),
            ("SCOUNTER.INCR", "1"),
            ("SCOUNTER.INCR 5", "6"),
            ("scounter.incr -2", "4"),
            ("SCOUNTER.DECR", "3"),
            ("Scounter.Decr 10", "-7"),
            ("SCOUNTER.DECR -1", "-6"),
            ("SCOUNTER.INCR 1 note why", "-5"),
            ("SCOUNTER.INCR NOTE why", "-4"),
            ("SCOUNTER.DECR NOTE why", "-5"),
            ("SCOUNTER.INCR 0", "-5"),
            ("SCOUNTER.GET", "-5"),
            ("TYPE", "scounter-"),
        ] {
            let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
            assert_eq!(client.show(format!("{name} {key} {rest}")), reply, "{command}");
        }
    }
}

#[test]
fn a_counter_reaches_both_ends_of_64_bits() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.int(args!["SCOUNTER.INCR", "up", MAX]), MAX);
    assert_eq!(client.int(args!["SCOUNTER.INCR", "down", MIN]), MIN);
    assert_eq!(client.int(args!["SCOUNTER.DECR", "negated", MAX]), -MAX);
    assert_eq!(client.int(args!["SCOUNTER.INCR", "up", MIN]), -1);
    assert_eq!(client.int("SCOUNTER.GET down"), MIN);
}

#[test]
fn a_counter_is_created_as_asked() {
    let server = Server::start();
    let mut client = server.connect();
    for (options, value) in [
        ("", "0"),
        ("INITIAL 7", "7"),
        ("initial -7 lbound -7", "-7"),
        ("UBOUND 7 INITIAL 7", "7"),
        ("LBOUND 3 UBOUND 3 INITIAL 3", "3"),
        ("Log MaxLen 10 INITIAL 1", "1"),
        ("LOG MAXLEN 10 NX LOG MAXAGE 1000 UBOUND 9 LOG MAXBYTES 100 LBOUND -9", "0"),
        ("LOG OFF", "0"),
        ("INITIAL -9223372036854775808 LBOUND -9223372036854775808 UBOUND 9223372036854775807", "-9223372036854775808"),
    ] {
        client.ok(format!("SCOUNTER.CREATE key {options}"));
        assert_eq!(client.show("SCOUNTER.GET key"), value, "{options}");
        assert_eq!(client.int("DEL key"), 1);
    }
}

#[test]
fn keys_and_notes_may_be_spelt_like_options() {
    let server = Server::start();
    let mut client = server.connect();
    for word in ["IDMP", "NOTE", "LOG", "NX", "REV", "COUNT", "0", "-1", "", "\r\n", "key with spaces"] {
        client.ok(["SCOUNTER.CREATE", word, "LOG", "MAXLEN", "9"]);
        assert_eq!(client.int(["SCOUNTER.INCR", word, "NOTE", word]), 1, "{word:?}");
        assert_eq!(client.int(["SCOUNTER.DECR", word, "2", "NOTE", word]), -1, "{word:?}");
        assert_eq!(client.int(["SCOUNTER.GET", word]), -1, "{word:?}");
        assert_eq!(client.list(["SCOUNTER.LOG", word, "-", "+"]).len(), 3, "{word:?}");
        client.ok(["IDBLOCK.CREATE", &format!("{word} ids"), "FENCE", "OFF"]);
        assert_eq!(client.list(["IDBLOCK.RESERVE", &format!("{word} ids"), "5", "NOTE", word]).len(), 4, "{word:?}");
    }
}

#[test]
fn the_key_must_hold_a_counter() {
    let mut witness = Witness::after(&["SET text 1", "IDBLOCK.CREATE ids FENCE OFF"]);
    for key in ["text", "ids"] {
        for command in ["INCR", "DECR", "GET", "CREATE", "CREATE NX", "LOG - +"] {
            let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
            witness.refuses(format!("SCOUNTER.{name} {key} {rest}"), WRONG_TYPE);
        }
    }
    witness.client.value("SCOUNTER.INCR counter");
    for command in ["GET counter", "LPUSH counter 1", "INCR counter", "HGETALL counter"] {
        assert_eq!(witness.client.error(command), WRONG_TYPE, "{command}");
    }
}

#[test]
fn arguments_must_be_as_many_as_the_command_takes() {
    let mut witness = Witness::after(&[]);
    for command in [
        "SCOUNTER.INCR",
        "SCOUNTER.DECR",
        "SCOUNTER.GET",
        "SCOUNTER.GET key key",
        "SCOUNTER.CREATE",
        "SCOUNTER.LOG key",
        "SCOUNTER.LOG key -",
        "SCOUNTER.EFFECT",
        "SCOUNTER.EFFECT key",
        "SCOUNTER.EFFECT key effect key",
    ] {
        let name = command.split(' ').next().unwrap().to_ascii_lowercase();
        witness.refuses(command, &format!("ERR wrong number of arguments for '{name}' command"));
    }
}

#[test]
fn integers_must_be_integers() {
    let mut witness = Witness::after(&[]);
    let error = |what: &str| format!("ERR {what} must be a signed 64-bit integer");
    for text in NO_INTEGERS {
        witness.refuses(["SCOUNTER.INCR", "key", text], &error("delta"));
        witness.refuses(["SCOUNTER.DECR", "key", text, "NOTE", "why"], &error("delta"));
        witness.refuses(["SCOUNTER.CREATE", "key", "INITIAL", text], &error("initial value"));
        witness.refuses(["SCOUNTER.CREATE", "key", "LBOUND", text], &error("lower bound"));
        witness.refuses(["SCOUNTER.CREATE", "key", "UBOUND", text], &error("upper bound"));
        witness.refuses(["SCOUNTER.CREATE", "key", "LOG", "MAXLEN", text], &error("MAXLEN"));
    }
}

#[test]
fn options_must_be_known_complete_and_single() {
    let mut witness = Witness::after(&[]);
    for command in [
        "SCOUNTER.INCR key 1 BOGUS",
        "SCOUNTER.INCR key 1 2",
        "SCOUNTER.INCR key NOTE",
        "SCOUNTER.INCR key 1 NOTE",
        "SCOUNTER.INCR key 1 NOTE a NOTE a",
        "SCOUNTER.INCR key NOTE a 1",
        "SCOUNTER.DECR key 1 NOTE",
        "SCOUNTER.CREATE key BOGUS",
        "SCOUNTER.CREATE key 5",
        "SCOUNTER.CREATE key NX NX",
        "SCOUNTER.CREATE key INITIAL",
        "SCOUNTER.CREATE key LBOUND",
        "SCOUNTER.CREATE key NX UBOUND",
        "SCOUNTER.CREATE key INITIAL 1 INITIAL 1",
        "SCOUNTER.CREATE key LBOUND 1 LBOUND 1",
        "SCOUNTER.CREATE key UBOUND 1 ubound 1",
        "SCOUNTER.CREATE key LOG",
        "SCOUNTER.CREATE key LOG MAXLEN",
        "SCOUNTER.CREATE key LOG MAXWEIGHT 1",
        "SCOUNTER.CREATE key LOG 5",
        "SCOUNTER.CREATE key LOG MAXLEN 1 LOG MAXLEN 1",
        "SCOUNTER.CREATE key LOG OFF LOG OFF",
        "SCOUNTER.CREATE key LOG OFF LOG MAXLEN 1",
        "SCOUNTER.CREATE key LOG MAXLEN 1 LOG OFF",
    ] {
        witness.refuses(command, SYNTAX);
    }
    witness.refuses(["SCOUNTER.INCR", "key", "NOTE", "", "NOTE", "a"], SYNTAX);
}

#[test]
fn numbers_must_lie_in_their_limits() {
    let mut witness = Witness::after(&[]);
    for (command, error) in [
        ("SCOUNTER.CREATE key LOG MAXLEN 0", "ERR MAXLEN must be from 1 to 9223372036854775807, got 0"),
        ("SCOUNTER.CREATE key LOG MAXAGE -1", "ERR MAXAGE must be from 1 to 9223372036854775807, got -1"),
        ("SCOUNTER.CREATE key LBOUND 2 UBOUND 1", "ERR lower bound must not lie above the upper bound 1, got 2"),
        (
            "SCOUNTER.DECR key -9223372036854775808",
            "ERR delta must be from -9223372036854775807 to 9223372036854775807, got -9223372036854775808",
        ),
    ] {
        witness.refuses(command, error);
    }
    let note = "n".repeat(256);
    witness.refuses(["SCOUNTER.INCR", "key", "NOTE", &note], "ERR note must be at most 255 bytes, got 256");
}

#[test]
fn a_value_past_64_bits_is_refused() {
    let mut witness = Witness::after(&[
        "SCOUNTER.INCR top 9223372036854775807",
        "SCOUNTER.INCR bottom -9223372036854775808",
        "SCOUNTER.CREATE bounded INITIAL 5 UBOUND 10",
    ]);
    for (command, error) in [
        ("SCOUNTER.INCR top", "OVERFLOW value must fit 64 bits, got 9223372036854775808"),
        ("SCOUNTER.INCR top 9223372036854775807", "OVERFLOW value must fit 64 bits, got 18446744073709551614"),
        ("SCOUNTER.DECR top -1", "OVERFLOW value must fit 64 bits, got 9223372036854775808"),
        ("SCOUNTER.DECR bottom", "OVERFLOW value must fit 64 bits, got -9223372036854775809"),
        ("SCOUNTER.INCR bottom -9223372036854775808", "OVERFLOW value must fit 64 bits, got -18446744073709551616"),
        // The bound is broken too.
        ("SCOUNTER.INCR bounded 9223372036854775807", "OVERFLOW value must fit 64 bits, got 9223372036854775812"),
    ] {
        witness.refuses(command, error);
    }
}

#[test]
fn a_value_past_a_bound_is_refused() {
    let mut witness = Witness::after(&["SCOUNTER.CREATE key INITIAL 5 LBOUND 0 UBOUND 10 LOG MAXLEN 5"]);
    for (command, error) in [
        ("SCOUNTER.INCR key 6", "BOUND value must be at most 10, got 11"),
        ("SCOUNTER.DECR key 6", "BOUND value must be at least 0, got -1"),
        ("SCOUNTER.INCR key -9223372036854775808", "BOUND value must be at least 0, got -9223372036854775803"),
        ("SCOUNTER.CREATE new INITIAL 5 UBOUND 4", "BOUND value must be at most 4, got 5"),
        ("SCOUNTER.CREATE new LBOUND 1", "BOUND value must be at least 1, got 0"),
    ] {
        witness.refuses(command, error);
    }
    assert_eq!(witness.client.int("SCOUNTER.INCR key 5"), 10);
    assert_eq!(witness.client.int("SCOUNTER.DECR key 10"), 0);
}

#[test]
fn a_counter_is_not_created_twice() {
    let mut witness = Witness::after(&["SCOUNTER.INCR key 5"]);
    witness.refuses("SCOUNTER.CREATE key INITIAL 7", "BUSYKEY key must not exist, got a counter");
    witness.is_unmoved_by("SCOUNTER.CREATE key INITIAL 7 NX", "nil");
}

#[test]
fn what_changes_nothing_shows_nowhere() {
    let mut witness = Witness::after(&["SCOUNTER.INCR plain 5", "SCOUNTER.CREATE logged LOG MAXLEN 5"]);
    for (command, reply) in [
        ("SCOUNTER.INCR plain 0", "5"),
        ("SCOUNTER.DECR plain 0 NOTE why", "5"),
        ("SCOUNTER.INCR logged 0", "0"),
        ("SCOUNTER.INCR missing 0", "0"),
        ("SCOUNTER.GET plain", "5"),
        ("SCOUNTER.GET missing", "nil"),
        ("SCOUNTER.LOG missing - +", "[]"),
        ("SCOUNTER.LOG plain - +", "[]"),
        ("MEMORY USAGE missing", "nil"),
    ] {
        witness.is_unmoved_by(command, reply);
    }
}

#[test]
fn a_change_is_announced_once() {
    let mut witness = Witness::after(&[]);
    for (command, reply, event) in [
        ("SCOUNTER.CREATE logged LOG MAXLEN 5", "OK", "scounter.create"),
        ("SCOUNTER.INCR logged", "1", "scounter.incr"),
        ("SCOUNTER.INCR plain", "1", "scounter.incr"),
        ("SCOUNTER.INCR plain 5", "6", "scounter.incr"),
        ("SCOUNTER.DECR plain 5", "1", "scounter.incr"),
    ] {
        witness.announces(command, reply, event);
    }
}

#[test]
fn a_counter_keeps_its_expiry() {
    let server = Server::start();
    let mut client = server.connect();
    client.value("SCOUNTER.INCR key");
    assert_eq!(client.int("PEXPIREAT key 9999999999999"), 1);
    client.value("SCOUNTER.INCR key");
    assert_eq!(client.int("PEXPIRETIME key"), 9_999_999_999_999);
}

#[test]
fn a_counter_that_expired_starts_anew() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key INITIAL 7 UBOUND 9");
    client.value("PEXPIRE key 1");
    wait_until("the key has expired", PATIENCE, || client.show("SCOUNTER.GET key") == "nil");
    assert_eq!(client.int("SCOUNTER.INCR key 100"), 100);
    assert_eq!(client.int("TTL key"), -1);
}

#[test]
fn a_log_takes_memory_and_a_counter_little() {
    let server = Server::start();
    let mut client = server.connect();
    client.value("SCOUNTER.INCR plain");
    client.ok("SCOUNTER.CREATE logged LOG MAXLEN 1000");
    let small = client.int("MEMORY USAGE logged");
    client.pipeline((0..1000).map(|number| format!("SCOUNTER.INCR logged 1 NOTE note-{number}")));
    assert!(client.int("MEMORY USAGE plain") < 150);
    assert!(client.int("MEMORY USAGE logged") > small + 8000);
    assert_eq!(client.int("UNLINK plain logged"), 2);
}
