//! What a token stands for, for how long, and what it costs.

use super::field;
use crate::commands::witness::Witness;
use crate::harness::*;

const MISMATCH: &str = "IDMPMISMATCH token must come with the command and arguments of its first use";

/// Stripe and TigerBeetle tell a reused token from a retry.
#[test]
fn a_token_stands_for_one_command_with_its_arguments() {
    let mut witness = Witness::after(&[
        "SCOUNTER.CREATE key LBOUND -100 UBOUND 100 LOG MAXLEN 100",
        "SCOUNTER.INCR key 5 IDMP app incr",
        "SCOUNTER.INCREX key BYINT 5 UBOUND 50 EX 1000 IDMP app increx",
        "SCOUNTER.HOLD key 5 EX 1000 IDMP app hold",
    ]);
    for command in [
        "SCOUNTER.INCR key 6 IDMP app incr",
        "SCOUNTER.INCR key -5 IDMP app incr",
        "SCOUNTER.INCR key IDMP app incr",
        "SCOUNTER.INCR key 0 IDMP app incr",
        "SCOUNTER.INCR key 1000 IDMP app incr", // its bound is not even looked at
        "SCOUNTER.DECR key -5 IDMP app incr",
        "SCOUNTER.INCREX key BYINT 5 IDMP app incr",
        "SCOUNTER.HOLD key 5 EX 1000 IDMP app incr",
        "SCOUNTER.INCR key 5 IDMP app increx",
        "SCOUNTER.INCREX key BYINT 6 UBOUND 50 EX 1000 IDMP app increx",
        "SCOUNTER.INCREX key BYINT 5 UBOUND 51 EX 1000 IDMP app increx",
        "SCOUNTER.INCREX key BYINT 5 UBOUND 50 LBOUND 0 EX 1000 IDMP app increx",
        "SCOUNTER.INCREX key BYINT 5 UBOUND 50 EX 1001 IDMP app increx",
        "SCOUNTER.INCREX key BYINT 5 UBOUND 50 EX 1000 ENX IDMP app increx",
        "SCOUNTER.INCREX key BYINT 5 UBOUND 50 EX 1000 XX IDMP app increx",
        "SCOUNTER.INCREX key BYINT 5 UBOUND 50 EX 1000 SATURATE IDMP app increx",
        "SCOUNTER.HOLD key 6 EX 1000 IDMP app hold",
        "SCOUNTER.HOLD key -5 EX 1000 IDMP app hold",
        "SCOUNTER.HOLD key 5 EX 1001 IDMP app hold",
    ] {
        witness.refuses(command, MISMATCH);
    }
}

#[test]
fn a_retry_may_be_spelt_otherwise() {
    let hold = "SCOUNTER.HOLD key 5 EX 1000 IDMP app hold";
    let mut witness = Witness::after(&["SCOUNTER.CREATE key UBOUND 100", "SCOUNTER.INCR key IDMP app incr", hold]);
    let id = witness.client.show(hold);
    for (command, reply) in [
        ("SCOUNTER.INCR key IDMP app incr", "1"),
        ("scounter.incr key 1 idmp app incr", "1"),
        ("SCOUNTER.INCR key NOTE again IDMP app incr", "1"),
        ("SCOUNTER.INCR key 1 IDMP app incr NOTE again", "1"),
        (hold, &id),
        ("SCOUNTER.HOLD key 5 IDMP app hold NOTE again PX 1000000", &id),
    ] {
        witness.is_unmoved_by(command, reply);
    }
}

#[test]
fn producer_and_token_are_any_bytes() {
    let mut witness = Witness::after(&[]);
    let long = vec![0xff; 255];
    let names: [&[u8]; 8] = [b"a", b"A", b"IDMP", b"NOTE", b"\r\n", b"\0", b"a\0", &long];
    for (number, producer) in names.iter().enumerate() {
        for (other, token) in names.iter().enumerate() {
            let call = args!["SCOUNTER.INCR", "key", "IDMP", *producer, *token];
            let reply = (number * names.len() + other + 1).to_string();
            witness.announces(&call, &reply, "scounter.incr");
            witness.is_unmoved_by(call, &reply);
        }
    }
    let too_long = [b'n'; 256];
    for (producer, token, what, got) in
        [(&b""[..], &b"t"[..], "producer", 0), (b"p", b"", "token", 0), (&too_long, b"t", "producer", 256)]
    {
        let error = format!("ERR {what} must be 1 to 255 bytes, got {got}");
        witness.refuses(args!["SCOUNTER.INCR", "key", 1, "IDMP", producer, token], &error);
        witness.refuses(args!["SCOUNTER.INCREX", "key", "IDMP", producer, token], &error);
    }
    for command in ["SCOUNTER.INCR key IDMP", "SCOUNTER.INCR key 1 IDMP p", "SCOUNTER.INCR key IDMP p t IDMP p t"] {
        witness.refuses(command, "ERR syntax error");
    }
}

/// TigerBeetle pins a refusal (id_already_failed). Here the retry is decided anew, and still counts at most once.
#[test]
fn a_refused_call_is_decided_anew() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("SCOUNTER.CREATE key UBOUND 10");
    let incr = "SCOUNTER.INCR key 11 IDMP app incr";
    let increx = "SCOUNTER.INCREX key BYINT 12 IDMP app increx";
    let hold = "SCOUNTER.HOLD key 13 EX 1000 IDMP app hold";
    assert_eq!(client.error(incr), "BOUND value must be at most 10, got 11");
    assert_eq!(client.show(increx), "[0, 0]");
    assert!(client.error(hold).starts_with("BOUND "));
    assert_eq!(field(&mut client, "key", "tokens-tracked"), "0");

    client.ok("SCOUNTER.ALTER key UBOUND 100");
    let id = client.show(hold);
    for _ in 0..2 {
        assert_eq!(client.int(incr), 11);
        assert_eq!(client.show(increx), "[23, 12]");
        assert_eq!(client.show(hold), id);
    }
    client.ok("SCOUNTER.SET key 87"); // no room is left, and still the first reply comes
    assert_eq!((client.int(incr), client.show(increx), client.show(hold)), (11, "[23, 12]".to_owned(), id));
    assert_eq!(client.int("SCOUNTER.GET key"), 87);
    assert_eq!(field(&mut client, "key", "held-up"), "13");
    pair.assert_same_keyspace();
}

/// A token of a refused call is free for another one.
#[test]
fn a_refused_call_leaves_its_token_unused() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key UBOUND 10");
    client.error("SCOUNTER.INCR key 11 IDMP app 1");
    assert_eq!(client.int("SCOUNTER.INCR key 10 IDMP app 1"), 10);
    assert_eq!(client.error("SCOUNTER.INCR key 11 IDMP app 1"), MISMATCH);
}

#[test]
fn a_token_is_forgotten_after_its_time() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("SCOUNTER.CREATE key IDMP-DURATION 1");
    assert_eq!(client.int("SCOUNTER.INCR key IDMP app 1"), 1);
    wait_until("the token is gone", PATIENCE, || field(&mut client, "key", "tokens-tracked") == "0");
    assert_eq!(client.int("SCOUNTER.INCR key IDMP app 1"), 2);
    assert_eq!(field(&mut client, "key", "tokens-dropped-early"), "0");
    pair.assert_same_keyspace();
}

/// redis#14869: after an RDB was loaded, tokens did not expire any more.
#[test]
fn a_token_is_forgotten_after_its_time_also_when_it_was_loaded() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key IDMP-DURATION 1");
    client.int("SCOUNTER.INCR key IDMP app 1");
    server.reload();
    wait_until("the token is gone", PATIENCE, || field(&mut client, "key", "tokens-tracked") == "0");
    assert_eq!(client.int("SCOUNTER.INCR key IDMP app 1"), 2);
}

#[test]
fn the_oldest_token_over_all_producers_makes_room() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("SCOUNTER.CREATE key IDMP-MAXSIZE 3");
    for (number, producer) in ["a", "b", "a", "c", "a"].iter().enumerate() {
        client.value(format!("SCOUNTER.INCR key IDMP {producer} {number}"));
    }
    assert_eq!(field(&mut client, "key", "tokens-tracked"), "3");
    assert_eq!(field(&mut client, "key", "tokens-dropped-early"), "2");
    pair.assert_same_keyspace();
    for (call, reply) in [("a 2", 3), ("c 3", 4), ("a 4", 5), ("b 1", 6), ("a 0", 7)] {
        assert_eq!(client.int(format!("SCOUNTER.INCR key IDMP {call}")), reply, "{call}");
    }
}

#[test]
fn a_smaller_store_drops_the_oldest_at_once() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.pipeline((0..10).map(|number| format!("SCOUNTER.INCR key IDMP app {number}")));
    client.ok("SCOUNTER.ALTER key IDMP-MAXSIZE 2");
    assert_eq!(field(&mut client, "key", "tokens-tracked"), "2");
    assert_eq!(field(&mut client, "key", "tokens-dropped-early"), "8");
    assert_eq!(client.int("SCOUNTER.INCR key IDMP app 9"), 10);
    assert_eq!(client.int("SCOUNTER.INCR key IDMP app 7"), 11);
    pair.assert_same_keyspace();
}

#[test]
fn a_token_costs_at_most_40_bytes() {
    const COUNT: i64 = 100_000;
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE plain");
    client.ok("SCOUNTER.CREATE tokens");
    let replies = client.pipeline((0..COUNT).map(|number| format!("SCOUNTER.INCR tokens 1 IDMP app {number:016x}")));
    assert!(replies.iter().all(Reply::is_ok));
    client.int(args!["SCOUNTER.INCR", "plain", COUNT]);
    let [without, with] = ["plain", "tokens"].map(|key| client.int(["MEMORY", "USAGE", key]));
    let each = (with - without) as f64 / COUNT as f64;
    println!("{each:.1} bytes for a token of 16");
    assert!((20.0..=40.0).contains(&each), "{each} bytes");
    assert_eq!(field(&mut client, "tokens", "tokens-tracked"), COUNT.to_string());
}
