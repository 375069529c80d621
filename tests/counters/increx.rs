//! `SCOUNTER.INCREX`: the native INCREX of Redis 8.8 and Valkey 9.2, to the letter.

use super::WRONG_TYPE;
use crate::commands::witness::Witness;
use crate::harness::*;
use crate::payload::Payload;

#[test]
fn values_and_bounds_are_those_of_the_native_command() {
    let server = Server::start();
    let mut client = server.connect();
    for (before, options, reply) in [
        ("-", "", "[1, 1]"),
        ("10", "", "[11, 1]"),
        ("100", "BYINT 5", "[105, 5]"),
        ("100", "BYINT -10", "[90, -10]"),
        ("100", "BYINT 0", "[100, 0]"),
        // a bound, both ends included
        ("5", "BYINT 5 UBOUND 10", "[10, 5]"),
        ("10", "BYINT -10 LBOUND 0", "[0, -10]"),
        ("10", "BYINT 10 UBOUND 15", "[10, 0]"),
        ("10", "BYINT -10 LBOUND 5", "[10, 0]"),
        ("7", "BYINT 10 LBOUND 0 UBOUND 10", "[7, 0]"),
        ("10", "BYINT 10 UBOUND 15 SATURATE", "[15, 5]"),
        ("10", "BYINT -10 LBOUND 5 SATURATE", "[5, -5]"),
        ("10", "BYINT 3 UBOUND 20 SATURATE", "[13, 3]"),
        ("5", "LBOUND 0 BYINT 100 UBOUND 10 SATURATE", "[10, 5]"),
        // already outside
        ("50", "BYINT 5 UBOUND 30", "[50, 0]"),
        ("50", "BYINT -5 UBOUND 30", "[50, 0]"),
        ("50", "BYINT -25 UBOUND 30", "[25, -25]"),
        ("50", "BYINT 5 UBOUND 30 SATURATE", "[30, -20]"),
        ("-50", "BYINT -5 LBOUND -30 SATURATE", "[-30, 20]"),
        // past 64 bits
        ("9223372036854775800", "BYINT 9223372036854775800", "[9223372036854775800, 0]"),
        ("9223372036854775800", "BYINT 9223372036854775800 SATURATE", "[9223372036854775807, 7]"),
        ("9223372036854775800", "BYINT 9223372036854775800 UBOUND 9223372036854775807", "[9223372036854775800, 0]"),
        (
            "9223372036854775800",
            "BYINT 9223372036854775800 UBOUND 9223372036854775805 SATURATE",
            "[9223372036854775805, 5]",
        ),
        ("-9223372036854775800", "BYINT -9223372036854775808", "[-9223372036854775800, 0]"),
        ("-9223372036854775800", "BYINT -9223372036854775808 SATURATE", "[-9223372036854775808, -8]"),
        // a missing key is 0, and is not created by a refusal
        ("-", "BYINT 5 UBOUND 10", "[5, 5]"),
        ("-", "BYINT 15 UBOUND 10", "[0, 0]"),
        ("-", "BYINT 5 LBOUND 10", "[0, 0]"),
        ("-", "BYINT 5 LBOUND 10 SATURATE", "[10, 10]"),
        ("-", "NX", "[1, 1]"),
        ("-", "XX", "[nil, 0]"),
        ("5", "NX", "[5, 0]"),
        ("5", "XX byint 2", "[7, 2]"),
    ] {
        client.value("DEL key");
        if before != "-" {
            client.ok(["SCOUNTER.SET", "key", before]);
        }
        assert_eq!(client.show(format!("SCOUNTER.INCREX key {options}")), reply, "{before} {options}");
        let value = reply[1..].split(',').next().unwrap();
        let expected = if before == "-" && reply.ends_with(", 0]") { "nil" } else { value };
        assert_eq!(client.show("SCOUNTER.GET key"), expected, "{before} {options}");
    }
}

#[test]
fn the_tighter_of_stored_and_given_bounds_wins() {
    let server = Server::start();
    let mut client = server.connect();
    for (options, reply) in [
        ("BYINT 20 UBOUND 30", "[0, 0]"),
        ("BYINT 20 UBOUND 30 SATURATE", "[10, 10]"),
        ("BYINT 20 UBOUND 5 SATURATE", "[5, 5]"),
        ("BYINT -20 LBOUND -30 SATURATE", "[-10, -10]"),
        ("BYINT -20 LBOUND -5 SATURATE", "[-5, -5]"),
        ("LBOUND 20 UBOUND 30 SATURATE", "[0, 0]"), // nothing is inside of both
    ] {
        client.ok("SCOUNTER.CREATE key LBOUND -10 UBOUND 10");
        assert_eq!(client.show(format!("SCOUNTER.INCREX key {options}")), reply, "{options}");
        client.int("DEL key");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let mut witness = Witness::after(&["SCOUNTER.INCR key 9223372036854775800", "SET text 1"]);
    let integer = |what: &str| format!("ERR {what} must be a signed 64-bit integer");
    for (options, error) in [
        ("BYFLOAT 1.5", "ERR increment must be given by BYINT: counters hold integers, not floats"),
        ("BYFLOAT 1", "ERR increment must be given by BYINT: counters hold integers, not floats"),
        ("BYINT 1.5", &integer("increment")),
        ("BYINT abc", &integer("increment")),
        ("LBOUND x", &integer("lower bound")),
        ("UBOUND 9223372036854775808", &integer("upper bound")),
        ("EX x", &integer("EX")),
        ("LBOUND 10 UBOUND 5", "ERR lower bound must not lie above the upper bound 5, got 10"),
        ("EX 0", "ERR EX must be from 1 to 4611686018427387, got 0"),
        ("PX 0", "ERR PX must be from 1 to 4611686018427387903, got 0"),
        ("EX -1", "ERR EX must be from 1 to 4611686018427387, got -1"),
        ("EX 9223372036854775807", "ERR EX must be from 1 to 4611686018427387, got 9223372036854775807"),
        ("ENX", "ERR ENX flag requires an expiration"),
        ("BYINT 1 ENX", "ERR ENX flag requires an expiration"),
        (
            "BYINT 1 SATURATE UBOUND -9223372036854775808",
            "OVERFLOW applied increment must fit 64 bits, got -18446744073709551608",
        ),
    ] {
        witness.refuses(format!("SCOUNTER.INCREX key {options}"), error);
    }
    for options in [
        "FOO",
        "5",
        "BYINT",
        "BYINT 1 FOO",
        "BYINT 1 BYINT 1",
        "LBOUND",
        "LBOUND 0 LBOUND 0",
        "UBOUND 9 UBOUND 9",
        "SATURATE SATURATE",
        "ENX ENX EX 10",
        "ENX PERSIST",
        "PERSIST ENX",
        "PERSIST PERSIST",
        "EX",
        "EX 10 EX 10",
        "EX 10 PX 10",
        "EX 10 EXAT 9999999999",
        "PX 10 PXAT 9999999999999",
        "EX 10 PERSIST",
        "PERSIST EX 10",
        "NX XX",
        "NX NX",
        "NOTE",
        "NOTE a NOTE b",
        "IDMP p",
    ] {
        witness.refuses(format!("SCOUNTER.INCREX key {options}"), "ERR syntax error");
    }
    witness.refuses("SCOUNTER.INCREX", "ERR wrong number of arguments for 'scounter.increx' command");
    witness.refuses("SCOUNTER.INCREX text", WRONG_TYPE);
}

/// What an expiry becomes: the range that PTTL must be in, in seconds, or -1.
#[test]
fn expiry_follows_the_native_command() {
    let server = Server::start();
    let mut client = server.connect();
    let now: i64 = show(&client.list("TIME")[0]).replace('"', "").parse().expect("a time");
    let (seconds, ms) = (now + 100, (now + 100) * 1000);
    for (before, options, left) in [
        ("", "EX 100", 90..=100),
        ("", "PX 100000", 90..=100),
        ("", &format!("EXAT {seconds}"), 90..=100),
        ("", &format!("PXAT {ms}"), 90..=100),
        ("", "EX 100 ENX", 90..=100),
        ("", "PERSIST", -1..=-1),
        ("", "", -1..=-1),
        ("EX 500", "", 490..=500),
        ("EX 500", "EX 100", 90..=100),
        ("EX 500", "EX 100 ENX", 490..=500),
        ("EX 500", "EXAT 1 ENX", 490..=500),
        ("EX 500", "PERSIST", -1..=-1),
        ("EX 500", "BYINT 0 PERSIST", -1..=-1),
        // refused: the expiry stays
        ("EX 500", "UBOUND 0 EX 100", 490..=500),
        ("EX 500", "UBOUND 0 PERSIST", 490..=500),
        ("EX 500", "NX EX 100", 490..=500),
        // at the bound already, and not refused
        ("EX 500", "UBOUND 1 SATURATE EX 100", 90..=100),
    ] {
        client.value("DEL key");
        client.value(format!("SCOUNTER.INCREX key {before}"));
        client.value(format!("SCOUNTER.INCREX key {options}"));
        let got = client.int("TTL key");
        assert!(left.contains(&got), "`{before}`, then `{options}`: {got}");
    }
}

#[test]
fn an_expiry_in_the_past_deletes_the_key() {
    for (options, reply) in [("EXAT 1", "[11, 1]"), ("PXAT 1 BYINT 5", "[15, 5]")] {
        let pair = Pair::start();
        let mut client = pair.primary.connect();
        client.ok("SCOUNTER.SET key 10");
        assert_eq!(client.show(format!("SCOUNTER.INCREX key {options}")), reply);
        assert_eq!(client.int("EXISTS key"), 0);
        client.nil("SCOUNTER.GET key");
        client.value(format!("SCOUNTER.INCREX new {options}"));
        assert_eq!(client.int("EXISTS new"), 0);
        wait_until("the replica has deleted it, too", PATIENCE, || pair.replica.connect().int("DBSIZE") == 0);
        pair.assert_same_keyspace();
        assert_eq!(client.int("SCOUNTER.INCR key"), 1);
    }
}

/// redis-cell#31 and others replicated the time that was left.
#[test]
fn an_expiry_replicates_as_a_moment() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.int("SCOUNTER.INCR key");
    let mut stream = ReplicationStream::attach(&pair.primary);
    pair.replica.pause();
    for (options, delta) in [("EX 1000", 1), ("BYINT 0 PX 2000000", 0), ("BYINT 7 PXAT 9999999999999", 7)] {
        client.value(format!("SCOUNTER.INCREX key {options}"));
        let at = u64::try_from(client.int("PEXPIRETIME key")).expect("a time");
        let commands = stream.next_commands();
        assert_eq!(commands.len(), 1, "{options}");
        assert_eq!(commands[0][..2], args!["scounter.effect", "key"], "{options}");
        let mut effect = Payload::at(Payload::time_of(&commands[0][2])).added(delta).byte(26).into_bytes();
        effect.extend(&Payload::at(at).into_bytes()[2..]); // without version and kind
        assert_eq!(commands[0][2], effect, "{options}");
    }
    client.value("SCOUNTER.INCREX key EX 1000 ENX"); // keeps what it has
    client.value("SCOUNTER.INCREX new EX 1000 IDMP app 1");
    client.ok("DEBUG SLEEP 0.02");
    pair.replica.resume();
    pair.assert_same_keyspace();
    client.value("SCOUNTER.INCREX key PERSIST");
    pair.assert_same_keyspace();
    assert_eq!(pair.replica.connect().int("PTTL key"), -1);
}
