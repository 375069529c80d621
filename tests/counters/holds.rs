//! Reserve, commit, release, and deadlines. limitador#506: a limit that is checked first and counted later lets too
//! much through. TigerBeetle calls it two-phase transfers.

use super::{NO_KEY, WRONG_TYPE, fail_over, field};
use crate::harness::*;
use redis::Value;

/// The state of a counter's holds: value, what is held and what is available.
#[track_caller]
fn state(server: &Server, key: &str) -> [String; 5] {
    let mut client = server.connect();
    ["value", "held-down", "held-up", "available-down", "available-up"].map(|name| field(&mut client, key, name))
}

#[test]
fn a_hold_takes_room_and_a_commit_takes_the_units() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("SCOUNTER.CREATE stock INITIAL 10 LBOUND 0 UBOUND 15 LOG MAXLEN 100");
    let taken = client.int("SCOUNTER.HOLD stock -4 EX 1000");
    let other = client.int("SCOUNTER.HOLD stock -6 EX 1000");
    let added = client.int("SCOUNTER.HOLD stock 5 EX 1000");
    assert_eq!(state(&pair.primary, "stock"), ["10", "10", "5", "0", "0"]);
    assert_eq!(client.int(args!["SCOUNTER.COMMIT", "stock", taken]), 6);
    assert_eq!(state(&pair.primary, "stock"), ["6", "6", "5", "0", "4"]);
    client.ok(args!["SCOUNTER.RELEASE", "stock", other]);
    assert_eq!(state(&pair.primary, "stock"), ["6", "0", "5", "6", "4"]);
    assert_eq!(client.int(args!["SCOUNTER.COMMIT", "stock", added]), 11);
    assert_eq!(state(&pair.primary, "stock"), ["11", "0", "0", "11", "4"]);
    assert_eq!(client.show("SCOUNTER.HOLDS stock"), "[]");
    pair.assert_same_keyspace();
}

/// TigerBeetle: a part may be posted. compressor#1215: what was released was not what had been reserved.
#[test]
fn a_smaller_commit_returns_the_rest() {
    for (amount, part, available) in [(-10, -3, ["47", "53"]), (10, 3, ["53", "47"]), (-10, -10, ["40", "60"])] {
        let pair = Pair::start();
        let mut client = pair.primary.connect();
        client.ok("SCOUNTER.CREATE key INITIAL 50 LBOUND 0 UBOUND 100");
        let id = client.int(args!["SCOUNTER.HOLD", "key", amount, "EX", 1000]);
        assert_eq!(client.int(args!["SCOUNTER.COMMIT", "key", id, part, "NOTE", "why"]), 50 + part);
        assert_eq!(state(&pair.primary, "key")[1..], ["0", "0", available[0], available[1]]);
        pair.assert_same_keyspace();
    }
}

/// How a hold may end.
const ENDS: [(&str, &str); 4] =
    [("COMMIT {id}", "committed"), ("COMMIT {id} -3", "committed"), ("RELEASE {id}", "released"), ("", "expired")];

/// What may come after it, and which end it repeats.
const REPETITIONS: [(&str, &[usize]); 5] = [
    ("COMMIT {id}", &[0]),
    ("COMMIT {id} -5", &[0]),
    ("COMMIT {id} -3", &[1]),
    ("COMMIT {id} -4", &[]),
    ("RELEASE {id}", &[2]),
];

/// Commit twice, commit after expiry, release after commit (TigerBeetle, compressor#1215), on the primary, after a
/// reload, and on the promoted replica.
#[test]
fn a_resolution_is_final_and_its_repetition_gets_the_same_reply() {
    for (end, (resolve, how)) in ENDS.into_iter().enumerate() {
        let pair = Pair::start();
        let mut client = pair.primary.connect();
        client.ok("SCOUNTER.CREATE key INITIAL 50 LBOUND 0");
        let deadline = if how == "expired" { "PX 1" } else { "EX 1000" };
        let id = client.int(format!("SCOUNTER.HOLD key -5 {deadline}"));
        let command = |command: &str| {
            let (name, rest) = command.split_once(' ').expect("a command");
            format!("SCOUNTER.{name} key {rest}").replace("{id}", &id.to_string())
        };
        let first = match how {
            "expired" => {
                wait_until("the hold has expired", PATIENCE, || field(&mut client, "key", "holds") == "0");
                None
            }
            _ => Some(client.show(command(resolve))),
        };
        client.int("SCOUNTER.INCR key 100"); // the reply must be the first one, not the present value
        let check = |server: &Server| {
            let before = server.digest();
            for (repetition, same) in REPETITIONS {
                let reply = server.connect().call(command(repetition)).as_ref().map(show).map_err(String::clone);
                let refused = format!("HOLDRESOLVED hold must be pending, got one that is {how}");
                let expected = if same.contains(&end) { Ok(first.clone().unwrap()) } else { Err(refused) };
                assert_eq!(reply, expected, "`{repetition}` after `{resolve}`, {how}");
            }
            assert_eq!(server.digest(), before);
        };
        check(&pair.primary);
        pair.synced();
        pair.primary.reload();
        check(&pair.primary);
        pair.assert_same_keyspace();
        check(&fail_over(pair));
    }
}

#[test]
fn a_resolution_is_forgotten_after_the_time_of_tokens() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key LBOUND -100 IDMP-DURATION 1");
    let unknown = "NOHOLD hold must be pending, got an id that is unknown or forgotten";
    let ids = [1_000_000, 1_000_000, 1].map(|ms| client.int(args!["SCOUNTER.HOLD", "key", -5, "PX", ms]));
    client.int(args!["SCOUNTER.COMMIT", "key", ids[0]]);
    client.ok(args!["SCOUNTER.RELEASE", "key", ids[1]]);
    for id in ids {
        let call = args!["SCOUNTER.RELEASE", "key", id];
        wait_until("the hold is forgotten", PATIENCE, || client.call(&call) == Err(unknown.to_owned()));
    }
    for id in ["0", "1", "9007199254740993", "9223372036854775807"] {
        assert_eq!(client.error(["SCOUNTER.COMMIT", "key", id]), unknown);
    }
}

/// limitador#515, litellm#27001: whoever fails between reserve and commit must not keep the units for ever, and they
/// must come back once.
#[test]
fn units_return_once_at_the_deadline() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("SCOUNTER.CREATE stock INITIAL 10 LBOUND 0 LOG MAXLEN 100");
    let replies = client.pipeline(["SCOUNTER.HOLD stock -4 PX 100", "SCOUNTER.HOLD stock -7 EX 1000"]);
    let refused = "BOUND value with all pending holds must be at least 0, got -1";
    assert_eq!((replies[0].is_ok(), &replies[1]), (true, &Err(refused.to_owned())));
    wait_until("the units are back", PATIENCE, || client.call("SCOUNTER.HOLD stock -7 EX 1000").is_ok());
    assert_eq!(state(&pair.primary, "stock"), ["10", "7", "0", "3", "nil"]);
    assert_eq!(client.int("SCOUNTER.DECR stock 3"), 7);
    assert!(client.error("SCOUNTER.DECR stock").starts_with("BOUND "));
    pair.assert_same_keyspace();
    let entries = client.show("SCOUNTER.LOG stock - +");
    assert_eq!(entries.matches(r#""op", "hold-expired""#).count(), 1, "{entries}");
    let promoted = fail_over(pair);
    assert_eq!(state(&promoted, "stock"), ["7", "7", "0", "0", "nil"]);
    assert!(promoted.connect().error("SCOUNTER.HOLD stock -1 EX 1000").starts_with("BOUND "));
}

/// The same when the primary dies before the deadline: the replica has only the deadline, and applies it.
#[test]
fn units_return_once_at_the_deadline_on_a_promoted_replica() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("SCOUNTER.CREATE stock INITIAL 10 LBOUND 0 LOG MAXLEN 100");
    let committed = client.int("SCOUNTER.HOLD stock -2 PX 1000");
    let expiring = client.int("SCOUNTER.HOLD stock -4 PX 1000");
    assert_eq!(client.int(args!["SCOUNTER.COMMIT", "stock", committed]), 8);
    pair.synced();
    let promoted = fail_over(pair);
    let replica = Server::builder().replica_of(&promoted).start();
    let pair = Pair { primary: promoted, replica };
    let mut client = pair.primary.connect();
    wait_until("the units are back", PATIENCE, || client.call("SCOUNTER.HOLD stock -8 EX 1000").is_ok());
    assert_eq!(state(&pair.primary, "stock"), ["8", "8", "0", "0", "nil"]);
    assert_eq!(client.int(args!["SCOUNTER.COMMIT", "stock", committed]), 8);
    assert!(client.error(args!["SCOUNTER.COMMIT", "stock", expiring]).ends_with("expired"));
    pair.assert_same_keyspace();
    let entries = pair.replica.connect().show("SCOUNTER.LOG stock - +");
    assert_eq!(entries.matches(r#""op", "hold-expired""#).count(), 1, "{entries}");
}

/// A replica shows a hold until its primary has said that it expired, however late that is.
#[test]
fn a_replica_does_not_judge_deadlines() {
    let pair = Pair::start();
    let (mut client, mut reader) = (pair.primary.connect(), pair.replica.connect());
    client.ok("SCOUNTER.CREATE stock INITIAL 10 LBOUND 0");
    client.int("SCOUNTER.HOLD stock -4 PX 1");
    wait_until("the hold has expired", PATIENCE, || field(&mut client, "stock", "holds") == "0");
    pair.synced();
    assert_eq!(state(&pair.replica, "stock"), ["10", "4", "0", "6", "nil"]);
    assert_eq!(reader.list("SCOUNTER.HOLDS stock").len(), 1);
    client.int("SCOUNTER.INCR stock");
    pair.synced();
    assert_eq!(state(&pair.replica, "stock"), ["11", "0", "0", "11", "nil"]);
    assert_eq!(reader.list("SCOUNTER.HOLDS stock").len(), 0);
    pair.assert_same_keyspace();
}

/// What is held can always be committed: no writer may take its room.
#[test]
fn pending_holds_bind_every_writer() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key LBOUND -10 UBOUND 10");
    let [up, down] = [4, -3].map(|amount| client.int(args!["SCOUNTER.HOLD", "key", amount, "EX", 1000]));
    let refused = |got: i64| {
        let (side, bound) = if got > 0 { ("at most", 10) } else { ("at least", -10) };
        format!("BOUND value with all pending holds must be {side} {bound}, got {got}")
    };
    for (command, got) in [
        ("INCR key 7", 11),
        ("INCR key -8", -11),
        ("DECR key 8", -11),
        ("MINCR key 3 other 1 key 4", 11),
        ("SET key 7", 11),
        ("SET key -8", -11),
        ("HOLD key 7 EX 1", 11),
        ("HOLD key -8 EX 1", -11),
    ] {
        assert_eq!(client.error(format!("SCOUNTER.{command}")), refused(got), "{command}");
    }
    let altered = "BOUND value with all pending holds must be at most 3, got 4";
    assert_eq!(client.error("SCOUNTER.ALTER key UBOUND 3"), altered);
    client.ok("SCOUNTER.ALTER key UBOUND 4 LBOUND -3"); // exactly what is needed
    client.ok("SCOUNTER.ALTER key UBOUND 10 LBOUND -10");
    assert_eq!(client.show("SCOUNTER.INCREX key BYINT 7"), "[0, 0]");
    assert_eq!(client.show("SCOUNTER.INCREX key BYINT 7 SATURATE"), "[6, 6]");
    assert_eq!(client.show("SCOUNTER.INCREX key BYINT -100 SATURATE"), "[-7, -13]");
    client.ok("SCOUNTER.SET key 0");
    assert_eq!(client.int(args!["SCOUNTER.COMMIT", "key", up]), 4);
    assert_eq!(client.int(args!["SCOUNTER.COMMIT", "key", down]), 1);
}

#[test]
fn pending_holds_count_towards_64_bits() {
    let server = Server::start();
    let mut client = server.connect();
    for (key, bounds, amount, wide) in [
        ("top", "UBOUND 9223372036854775807", "9223372036854775807", "9223372036854775808"),
        ("bottom", "LBOUND -9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    ] {
        client.ok(format!("SCOUNTER.CREATE {key} {bounds}"));
        let id = client.int(format!("SCOUNTER.HOLD {key} {amount} EX 1000"));
        let one = if amount.starts_with('-') { -1 } else { 1 };
        let refused = format!("OVERFLOW value with all pending holds must fit 64 bits, got {wide}");
        assert_eq!(client.error(args!["SCOUNTER.HOLD", key, one, "EX", 1000]), refused);
        assert_eq!(client.error(args!["SCOUNTER.INCR", key, one]), refused);
        assert_eq!(client.show(args!["SCOUNTER.INCREX", key, "BYINT", one]), "[0, 0]");
        assert_eq!(client.show(args!["SCOUNTER.COMMIT", key, id]), amount);
    }
}

#[test]
fn a_hold_must_make_sense() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE stock INITIAL 5 LBOUND 0");
    client.ok("SCOUNTER.CREATE quota UBOUND 5");
    client.ok("SET text 1");
    let id = client.int("SCOUNTER.HOLD stock -5 EX 1000").to_string();
    let before = server.digest();
    for (command, error) in [
        ("HOLD missing -1 EX 1", NO_KEY),
        ("COMMIT missing 1", NO_KEY),
        ("RELEASE missing 1", NO_KEY),
        ("HOLD text -1 EX 1", WRONG_TYPE),
        ("HOLDS text", WRONG_TYPE),
        ("HOLD stock 1 EX 1", "ERR upper bound must be set to hold a positive amount"),
        ("HOLD quota -1 EX 1", "ERR lower bound must be set to hold a negative amount"),
        ("HOLD stock 0 EX 1", "ERR amount must not be 0"),
        ("HOLD stock x EX 1", "ERR amount must be a signed 64-bit integer"),
        ("HOLD stock -1", "ERR syntax error"),
        ("HOLD stock -1 NOTE why", "ERR syntax error"),
        ("HOLD stock -1 EX", "ERR syntax error"),
        ("HOLD stock -1 EX 10 NOTE", "ERR syntax error"),
        ("HOLD stock -1 EX 1 PX 1", "ERR syntax error"),
        ("HOLD stock -1 EX 1 BOGUS", "ERR syntax error"),
        ("HOLD stock -1 PERSIST NOTE why", "ERR syntax error"),
        ("HOLD stock -1 EX 0", "ERR EX must be from 1 to 4611686018427387, got 0"),
        ("HOLD stock -1 PX -1", "ERR PX must be from 1 to 4611686018427387903, got -1"),
        ("HOLD stock -1 EXAT 1", "ERR deadline must lie in the future"),
        ("HOLD stock -1 PXAT 1", "ERR deadline must lie in the future"),
        ("COMMIT stock x", "ERR hold id must be a signed 64-bit integer"),
        ("COMMIT stock -1", "ERR hold id must be from 0 to 9223372036854775807, got -1"),
        ("COMMIT stock {id} x", "ERR amount must be a signed 64-bit integer"),
        ("COMMIT stock {id} 0", "ERR amount must be a part of the -5 held, of the same sign, got 0"),
        ("COMMIT stock {id} 1", "ERR amount must be a part of the -5 held, of the same sign, got 1"),
        ("COMMIT stock {id} -6", "ERR amount must be a part of the -5 held, of the same sign, got -6"),
        ("COMMIT stock {id} -1 2", "ERR syntax error"),
        ("COMMIT stock {id} NOTE", "ERR syntax error"),
        ("HOLDS stock 5", "ERR syntax error"),
        ("HOLDS stock COUNT", "ERR syntax error"),
        ("HOLDS stock COUNT x", "ERR COUNT must be a signed 64-bit integer"),
        ("HOLD stock", "ERR wrong number of arguments for 'scounter.hold' command"),
        ("COMMIT stock", "ERR wrong number of arguments for 'scounter.commit' command"),
        ("RELEASE stock {id} -1", "ERR wrong number of arguments for 'scounter.release' command"),
        ("RELEASE stock", "ERR wrong number of arguments for 'scounter.release' command"),
        ("HOLDS", "ERR wrong number of arguments for 'scounter.holds' command"),
    ] {
        assert_eq!(client.error(format!("SCOUNTER.{command}").replace("{id}", &id)), error, "{command}");
    }
    assert_eq!(server.digest(), before);
}

#[test]
fn holds_are_listed_by_deadline() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("SCOUNTER.CREATE key LBOUND -100 UBOUND 100");
    let ids = [(3, "9999999999999"), (-1, "9999999999997"), (2, "9999999999998")]
        .map(|(amount, at)| client.int(args!["SCOUNTER.HOLD", "key", amount, "PXAT", at]));
    let row = |index: usize, rest: &str| format!("[{}, {rest}]", ids[index]);
    let rows = [row(1, "-1, 9999999999997"), row(2, "2, 9999999999998"), row(0, "3, 9999999999999")];
    pair.synced();
    for server in [&pair.primary, &pair.replica] {
        for count in [0, 1, 2, 3] {
            let shown = server.connect().show(args!["SCOUNTER.HOLDS", "key", "COUNT", count]);
            assert_eq!(shown, format!("[{}]", rows[..count].join(", ")));
        }
        assert_eq!(server.connect().show("SCOUNTER.HOLDS key"), format!("[{}]", rows.join(", ")));
    }
}

/// An id in sequence would be handed out again after a failover, to another client.
#[test]
fn ids_of_holds_are_random() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key UBOUND 1000");
    let replies = client.pipeline((0..1000).map(|_| "SCOUNTER.HOLD key 1 EX 1000"));
    let mut ids: Vec<i64> = replies
        .into_iter()
        .map(|reply| if let Ok(Value::Int(id)) = reply { id } else { panic!("{reply:?}") })
        .collect();
    assert!(!ids.is_sorted());
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1000);
    assert!(ids[0] > 0 && ids[999] < 1 << 53 && ids[999] > 1 << 52, "{} to {}", ids[0], ids[999]);
    assert!(ids[499] > 1 << 51, "half of them below {}", ids[499]);
}

#[test]
fn a_counter_has_at_most_100_000_holds() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key UBOUND 1000000");
    let replies = client.pipeline((0..100_000).map(|_| "SCOUNTER.HOLD key 1 EX 1000"));
    assert!(replies.iter().all(Reply::is_ok));
    assert_eq!(client.error("SCOUNTER.HOLD key 1 EX 1000"), "ERR pending holds must be at most 100000 a key");
    let Ok(Value::Int(id)) = replies[5] else { panic!("{:?}", replies[5]) };
    client.ok(args!["SCOUNTER.RELEASE", "key", id]);
    client.int("SCOUNTER.HOLD key 1 EX 1000");
    let digest = server.digest();
    server.reload();
    assert_eq!(server.digest(), digest);
}

/// A full server must be able to let go of what was reserved.
#[test]
fn holds_can_be_resolved_when_memory_is_full() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("SCOUNTER.CREATE key UBOUND 100 LOG MAXLEN 100");
    let [whole, part, released] = [5, 6, 7].map(|amount| client.int(args!["SCOUNTER.HOLD", "key", amount, "EX", 1000]));
    client.ok("CONFIG SET maxmemory 1");
    for command in
        ["INCR key", "DECR key", "INCREX key", "MINCR key 1", "SET key 1", "HOLD key 1 EX 1000", "CREATE new"]
    {
        assert!(client.error(format!("SCOUNTER.{command}")).starts_with("OOM "), "{command}");
    }
    assert_eq!(client.int(args!["SCOUNTER.COMMIT", "key", whole]), 5);
    assert_eq!(client.int(args!["SCOUNTER.COMMIT", "key", part, 1]), 6);
    client.ok(args!["SCOUNTER.RELEASE", "key", released]);
    client.ok("SCOUNTER.ALTER key LOG OFF");
    assert_eq!(client.int("SCOUNTER.GET key"), 6);
    assert_eq!(client.show("SCOUNTER.HOLDS key"), "[]");
    assert_eq!(field(&mut client, "key", "log-length"), "nil");
}
