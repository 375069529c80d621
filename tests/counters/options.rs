//! `SCOUNTER.CREATE`, `SCOUNTER.ALTER`, `SCOUNTER.INFO`

use super::{NO_KEY, WRONG_TYPE, field};
use crate::commands::witness::Witness;
use crate::harness::*;

/// The fields of INFO before `memory`, of a plain counter that was made in passing.
const PLAIN: [(&str, &str); 20] = [
    ("value", "5"),
    ("lbound", "nil"),
    ("ubound", "nil"),
    ("held-down", "0"),
    ("held-up", "0"),
    ("available-down", "nil"),
    ("available-up", "nil"),
    ("holds", "0"),
    ("shards", "nil"),
    ("idmp-duration", "300"),
    ("idmp-maxsize", "100000"),
    ("tokens-tracked", "0"),
    ("tokens-dropped-early", "0"),
    ("log-length", "nil"),
    ("log-bytes", "nil"),
    ("log-maxlen", "nil"),
    ("log-maxage", "nil"),
    ("log-maxbytes", "nil"),
    ("created", "nil"),
    ("changed", "nil"),
];

#[test]
fn info_is_a_map_on_resp3_and_flat_on_resp2() {
    let server = Server::start();
    server.connect().int("SCOUNTER.INCR key 5");
    let memory = server.connect().int("SCOUNTER.INFO key memory");
    let shown = |between: &str| {
        let fields = PLAIN.map(|(name, value)| format!("\"{name}\"{between}{value}")).join(", ");
        format!("{fields}, \"memory\"{between}{memory}")
    };
    assert_eq!(server.connect_resp3().show("SCOUNTER.INFO key"), format!("{{{}}}", shown(": ")));
    assert_eq!(server.connect().show("SCOUNTER.INFO key"), format!("[{}]", shown(", ")));
}

#[test]
fn info_gives_one_field() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key INITIAL 5 LBOUND -10 UBOUND 20 LOG MAXLEN 8 LOG MAXAGE 90000");
    client.ok("SCOUNTER.ALTER key IDMP-DURATION 60 IDMP-MAXSIZE 70");
    client.int("SCOUNTER.INCR key IDMP app 1");
    client.int("SCOUNTER.HOLD key -4 EX 1000");
    client.int("SCOUNTER.HOLD key 3 EX 1000");
    for (name, value) in [
        ("value", "6"),
        ("VALUE", "6"),
        ("lbound", "-10"),
        ("ubound", "20"),
        ("held-down", "4"),
        ("held-up", "3"),
        ("available-down", "12"),
        ("available-up", "11"),
        ("holds", "2"),
        ("idmp-duration", "60"),
        ("idmp-maxsize", "70"),
        ("tokens-tracked", "1"),
        ("tokens-dropped-early", "0"),
        ("log-length", "5"),
        ("log-maxlen", "8"),
        ("log-maxage", "90000"),
        ("log-maxbytes", "nil"),
    ] {
        assert_eq!(field(&mut client, "key", name), value, "{name}");
    }
    let entries = client.show("SCOUNTER.LOG key - +");
    let [created, changed] = ["created", "changed"].map(|name| field(&mut client, "key", name));
    assert!(entries.starts_with(&format!("[[\"{created}-")), "{created}: {entries}");
    assert!(entries.contains(&format!("\"{changed}-")), "{changed}: {entries}");
}

#[test]
fn info_refuses_what_it_does_not_know() {
    let mut witness = Witness::after(&["SCOUNTER.INCR key", "SET text 1"]);
    for (command, error) in [
        ("INFO key bogus", "ERR field must be one of those that INFO lists"),
        ("INFO missing", NO_KEY),
        ("INFO missing value", NO_KEY),
        ("INFO text", WRONG_TYPE),
        ("INFO", "ERR wrong number of arguments for 'scounter.info' command"),
        ("INFO key value value", "ERR wrong number of arguments for 'scounter.info' command"),
    ] {
        witness.refuses(format!("SCOUNTER.{command}"), error);
    }
}

/// Beside the value MEMORY USAGE counts the key and its entry in the keyspace. RedisTimeSeries#2067, redis#15462: the
/// two said different things.
#[test]
fn info_and_memory_usage_agree() {
    const OVERHEAD: std::ops::Range<i64> = 16..200;
    let server = Server::start();
    let mut client = server.connect();
    for (create, traffic) in [
        ("SCOUNTER.INCR key", "SCOUNTER.INCR key {n}"),
        ("SCOUNTER.CREATE key", "SCOUNTER.INCR key 1 IDMP app {n}"),
        ("SCOUNTER.CREATE key LOG MAXLEN 1000", "SCOUNTER.INCR key 1 NOTE note-{n}"),
        ("SCOUNTER.CREATE key UBOUND 5000", "SCOUNTER.HOLD key 1 EX 1000"),
    ] {
        client.value(create);
        client.pipeline((0..2000).map(|number| traffic.replace("{n}", &number.to_string())));
        let (told, used) = (client.int("SCOUNTER.INFO key memory"), client.int("MEMORY USAGE key"));
        assert!(OVERHEAD.contains(&(used - told)), "{create}: INFO {told}, MEMORY USAGE {used}");
        client.int("DEL key");
    }
}

#[test]
fn alter_changes_what_it_names() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("SCOUNTER.CREATE key INITIAL 5 UBOUND 10");
    for (options, name, value) in [
        ("UBOUND 5", "ubound", "5"),
        ("lbound 5", "lbound", "5"),
        ("UBOUND 7 LBOUND -7", "ubound", "7"),
        ("UBOUND NONE", "ubound", "nil"),
        ("LOG MAXAGE 5000", "lbound", "-7"),
        ("LBOUND none", "lbound", "nil"),
        ("IDMP-DURATION 60", "log-maxage", "5000"),
        ("IDMP-MAXSIZE 70", "idmp-duration", "60"),
        ("LOG MAXLEN 6 LOG MAXBYTES 1000", "log-maxage", "nil"),
        ("LOG MAXLEN 6", "idmp-maxsize", "70"),
        ("LOG OFF", "log-length", "nil"),
        ("LOG MAXLEN 3", "log-length", "1"),
    ] {
        client.ok(format!("SCOUNTER.ALTER key {options}"));
        assert_eq!(field(&mut client, "key", name), value, "{options}");
    }
    assert_eq!(client.int("SCOUNTER.GET key"), 5);
    pair.assert_same_keyspace();
}

#[test]
fn alter_never_leaves_a_value_outside_of_its_bounds() {
    let mut witness = Witness::after(&["SCOUNTER.CREATE key INITIAL 5 LBOUND 0 UBOUND 10", "SET text 1"]);
    let integer = |what: &str| format!("ERR {what} must be a signed 64-bit integer");
    for (arguments, error) in [
        ("key UBOUND 4", "BOUND value must be at most 4, got 5"),
        ("key LBOUND 6", "BOUND value must be at least 6, got 5"),
        ("key LBOUND 11", "ERR lower bound must not lie above the upper bound 10, got 11"),
        ("key LBOUND 7 UBOUND 6", "ERR lower bound must not lie above the upper bound 6, got 7"),
        ("key UBOUND x", &integer("upper bound")),
        ("key IDMP-DURATION 0", "ERR IDMP-DURATION must be from 1 to 315360000, got 0"),
        ("key IDMP-MAXSIZE 0", "ERR IDMP-MAXSIZE must be from 1 to 5000000, got 0"),
        ("key IDMP-MAXSIZE 5000001", "ERR IDMP-MAXSIZE must be from 1 to 5000000, got 5000001"),
        ("key LOG MAXLEN 0", "ERR MAXLEN must be from 1 to 9223372036854775807, got 0"),
        ("key UBOUND", "ERR syntax error"),
        ("key UBOUND 10 UBOUND 10", "ERR syntax error"),
        ("key INITIAL 5", "ERR syntax error"),
        ("key NX", "ERR syntax error"),
        ("key LOG", "ERR syntax error"),
        ("key LOG OFF LOG MAXLEN 5", "ERR syntax error"),
        ("key IDMP app 1", "ERR syntax error"),
        ("key NOTE why", "ERR syntax error"),
        ("key", "ERR wrong number of arguments for 'scounter.alter' command"),
        ("missing UBOUND 5", NO_KEY),
        ("text UBOUND 5", WRONG_TYPE),
    ] {
        witness.refuses(format!("SCOUNTER.ALTER {arguments}"), error);
    }
}

#[test]
fn a_replica_answers_readers_and_refuses_writers() {
    let pair = Pair::start();
    let (mut client, mut reader) = (pair.primary.connect(), pair.replica.connect());
    client.ok("SCOUNTER.CREATE key UBOUND 10 LOG MAXLEN 10");
    client.int("SCOUNTER.INCR key 5 IDMP app 1");
    client.int("SCOUNTER.HOLD key 5 EX 1000");
    pair.synced();
    for read in ["GET key", "MGET key missing", "INFO key", "INFO key tokens-tracked", "HOLDS key", "LOG key - +"] {
        let command = format!("SCOUNTER.{read}");
        assert_eq!(reader.show(command.as_str()), client.show(command.as_str()), "{read}");
    }
    for write in
        ["INCR key", "INCREX key", "MINCR key 1", "SET key 1", "HOLD key 1 EX 9", "COMMIT key 1", "ALTER key LOG OFF"]
    {
        assert!(reader.error(format!("SCOUNTER.{write}")).starts_with("READONLY "), "{write}");
    }
}
