//! Who is told of a change: watchers, subscribers, replicas. And that nobody is told where nothing changed.

use crate::commands::witness::Witness;
use crate::harness::*;
use redis::Value;

/// A counter at its upper bound, every unit of another one held, and calls with tokens behind it.
const SETUP: [&str; 7] = [
    "SCOUNTER.CREATE full INITIAL 10 UBOUND 10 LOG MAXLEN 100",
    "SCOUNTER.CREATE held UBOUND 5",
    "SCOUNTER.HOLD held 5 EX 1000 IDMP app hold",
    "SCOUNTER.INCR key 5 IDMP app incr",
    "SCOUNTER.DECR key 2 IDMP app decr",
    "SCOUNTER.INCREX key BYINT 4 EX 1000 IDMP app increx",
    "SCOUNTER.CREATE fading INITIAL 5 LBOUND 0",
];

/// redis#15045: a bound that was hit replicated, notified, and broke transactions.
#[test]
fn a_bound_that_is_hit_shows_nowhere() {
    let mut witness = Witness::after(&SETUP);
    for (command, error) in [
        ("SCOUNTER.INCR full", "BOUND value must be at most 10, got 11"),
        ("SCOUNTER.INCR full IDMP app new", "BOUND value must be at most 10, got 11"),
        ("SCOUNTER.MINCR key 1 full 1", "BOUND value must be at most 10, got 11"),
        ("SCOUNTER.SET full 11", "BOUND value must be at most 10, got 11"),
        ("SCOUNTER.ALTER full UBOUND 9", "BOUND value must be at most 9, got 10"),
        ("SCOUNTER.HOLD full 1 EX 10", "BOUND value with all pending holds must be at most 10, got 11"),
        ("SCOUNTER.INCR held", "BOUND value with all pending holds must be at most 5, got 6"),
        ("SCOUNTER.HOLD held 1 EX 10", "BOUND value with all pending holds must be at most 5, got 6"),
    ] {
        witness.refuses(command, error);
    }
    for (command, reply) in [
        ("SCOUNTER.INCREX full", "[10, 0]"),
        ("SCOUNTER.INCREX full SATURATE", "[10, 0]"),
        ("SCOUNTER.INCREX full EX 10", "[10, 0]"),
        ("SCOUNTER.INCREX full IDMP app new", "[10, 0]"),
        ("SCOUNTER.INCREX held", "[0, 0]"),
        ("SCOUNTER.INCREX new LBOUND 5", "[0, 0]"),
        ("SCOUNTER.INCREX new XX", "[nil, 0]"),
        ("SCOUNTER.INCREX key NX", "[7, 0]"),
    ] {
        witness.is_unmoved_by(command, reply);
    }
}

/// redis#15045 again, for retries.
#[test]
fn a_replay_shows_nowhere() {
    let mut witness = Witness::after(&SETUP);
    let id = witness.client.show(SETUP[2]);
    for (command, reply) in [
        ("SCOUNTER.INCR key 5 IDMP app incr", "5"),
        ("SCOUNTER.DECR key 2 IDMP app decr", "3"),
        ("SCOUNTER.INCREX key BYINT 4 EX 1000 IDMP app increx", "[7, 4]"),
        ("SCOUNTER.HOLD held 5 EX 1000 IDMP app hold", &id),
    ] {
        witness.is_unmoved_by(command, reply);
    }
}

#[test]
fn what_stays_the_same_shows_nowhere() {
    let mut witness = Witness::after(&SETUP);
    for (command, reply) in [
        ("SCOUNTER.MINCR key 0 full 0 new 0", "[7, 10, 0]"),
        ("SCOUNTER.SET key 7", "OK"),
        ("SCOUNTER.SET key 7 GET", "7"),
        ("SCOUNTER.SET key 8 NX", "nil"),
        ("SCOUNTER.SET new 8 XX", "nil"),
        ("SCOUNTER.ALTER full UBOUND 10", "OK"),
        ("SCOUNTER.ALTER full LBOUND NONE LOG MAXLEN 100 IDMP-DURATION 300 IDMP-MAXSIZE 100000", "OK"),
        ("SCOUNTER.INCREX key BYINT 0", "[7, 0]"),
        ("SCOUNTER.INCREX full BYINT 0 PERSIST", "[10, 0]"),
        ("SCOUNTER.MGET key full new", "[7, 10, nil]"),
        ("SCOUNTER.HOLDS new", "[]"),
    ] {
        witness.is_unmoved_by(command, reply);
    }
}

/// A hold that expires is carried by the next write; to look at it is none.
#[test]
fn a_deadline_that_passes_shows_nowhere() {
    let hold = "SCOUNTER.HOLD fading -5 PX 1 IDMP app fading";
    let mut witness = Witness::after(&[&SETUP[..], &[hold]].concat());
    let id = witness.client.int(hold);
    wait_until("the hold has expired", PATIENCE, || witness.client.show("SCOUNTER.HOLDS fading") == "[]");
    for (command, reply) in [
        ("SCOUNTER.HOLDS fading", "[]"),
        ("SCOUNTER.INFO fading holds", "0"),
        ("SCOUNTER.INFO fading available-down", "5"),
        ("SCOUNTER.INCR fading 0", "5"),
    ] {
        witness.is_unmoved_by(command, reply);
    }
    for name in ["COMMIT", "RELEASE"] {
        let refused = "HOLDRESOLVED hold must be pending, got one that is expired";
        witness.refuses(format!("SCOUNTER.{name} fading {id}"), refused);
    }
    witness.refuses("SCOUNTER.INCR fading -6", "BOUND value must be at least 0, got -1");
}

/// redis#15045 inside of a transaction, beside a client-side cache.
#[test]
fn a_transaction_of_refusals_and_replays_shows_nowhere() {
    let server = Server::builder().config("hz", 500).start();
    let (mut client, mut watcher, mut cache) = (server.connect(), server.connect(), server.connect_resp3());
    SETUP.iter().for_each(|command| drop(client.value(*command)));
    let mut events = Events::listen(&server);
    let mut stream = ReplicationStream::attach(&server);
    cache.ok("CLIENT TRACKING ON");
    cache.value("SCOUNTER.MGET key full held");
    watcher.ok("WATCH key full held");

    client.ok("WATCH key full held");
    let calls = ["SCOUNTER.INCR key 5 IDMP app incr", "SCOUNTER.INCR full", "SCOUNTER.INCREX held BYINT 6 EX 9"];
    client.pipeline([&["MULTI"], &calls[..], &["EXEC"]].concat());
    client.ok("WATCH key full held");
    let replies = client.pipeline([&["MULTI"], &calls[..], &["EXEC"]].concat());
    let error = "(error) BOUND value must be at most 10, got 11";
    assert_eq!(replies.last().unwrap().as_ref().map(show), Ok(format!("[5, {error}, [0, 0]]")));

    assert_eq!(stream.next_lines(), [""; 0]);
    assert_eq!(events.drain(), []);
    cache.value("PING");
    assert_eq!(cache.take_pushes(), []);
    assert_eq!(watcher.pipeline(["MULTI", "EXEC"]).pop(), Some(Ok(Value::Array(vec![]))));

    watcher.ok("WATCH key");
    client.value("SCOUNTER.INCR key 5 IDMP app second"); // this one counts, and everybody knows
    assert_eq!(watcher.pipeline(["MULTI", "EXEC"]).pop(), Some(Ok(Value::Nil)));
    cache.value("PING");
    assert_eq!(cache.take_pushes().len(), 1);
    assert_eq!(events.drain(), [("scounter.incr".to_owned(), "key".to_owned())]);
}

/// redis#14826, redis-cell#52, redis-cell#53: what changes only what a module keeps must count as a change, or neither
/// replica nor disk gets it.
#[test]
fn the_first_change_after_a_load_is_propagated() {
    let server = Server::start();
    let mut client = server.connect();
    SETUP.iter().for_each(|command| drop(client.value(*command)));
    let id = client.int("SCOUNTER.HOLD fading -2 EX 1000");
    let other = client.int("SCOUNTER.HOLD fading -2 EX 1000");
    for command in [
        "SCOUNTER.INCR key".to_owned(),
        "SCOUNTER.INCR new".to_owned(),
        "SCOUNTER.INCR key IDMP app after".to_owned(),
        "SCOUNTER.INCREX key BYINT 0 PERSIST".to_owned(),
        "SCOUNTER.INCREX key UBOUND 50 PX 100000".to_owned(),
        "SCOUNTER.MINCR key 1 new 1".to_owned(),
        "SCOUNTER.SET key 1".to_owned(),
        "SCOUNTER.ALTER full UBOUND 11".to_owned(),
        "SCOUNTER.ALTER key IDMP-MAXSIZE 5".to_owned(),
        "SCOUNTER.HOLD fading -1 EX 1000".to_owned(),
        format!("SCOUNTER.COMMIT fading {id}"),
        format!("SCOUNTER.RELEASE fading {other}"),
    ] {
        server.reload();
        let mut stream = ReplicationStream::attach(&server);
        let changes = |client: &mut Client| client.fields("INFO persistence")["rdb_changes_since_last_save"].clone();
        assert_eq!(changes(&mut client), "0", "before `{command}`");
        client.value(command.as_str());
        assert_ne!(changes(&mut client), "0", "after `{command}`");
        assert_eq!(stream.next_commands().len(), 1, "`{command}`");
    }
}

#[test]
fn every_command_announces_itself() {
    let mut witness = Witness::after(&[]);
    for (command, reply, event) in [
        ("SCOUNTER.CREATE key LBOUND -100 UBOUND 100 LOG MAXLEN 9", "OK", "scounter.create"),
        ("SCOUNTER.INCR key 5 IDMP app incr", "5", "scounter.incr"),
        ("SCOUNTER.DECR key 1 IDMP app decr", "4", "scounter.incr"),
        ("SCOUNTER.INCREX key BYINT 100 SATURATE", "[100, 96]", "scounter.incr"),
        ("SCOUNTER.INCREX key BYINT 0 EX 1000", "[100, 0]", "scounter.incr"),
        ("SCOUNTER.MINCR key -90", "[10]", "scounter.incr"),
        ("SCOUNTER.SET key 0 GET", "10", "scounter.set"),
        ("SCOUNTER.SET new 7", "OK", "scounter.set"),
        ("SCOUNTER.ALTER key UBOUND NONE", "OK", "scounter.alter"),
        ("SCOUNTER.ALTER key LOG OFF", "OK", "scounter.alter"),
    ] {
        witness.announces(command, reply, event);
    }
}

/// On the replica as on the primary, which are listened to in turn: a listener replicates its own marker.
#[test]
fn holds_are_announced_and_their_expiry_when_a_write_carries_it() {
    for listens_to_replica in [false, true] {
        let pair = Pair::start();
        let mut client = pair.primary.connect();
        client.ok("SCOUNTER.CREATE key UBOUND 100");
        pair.synced();
        let mut events = Events::listen_to(if listens_to_replica { &pair.replica } else { &pair.primary }, "Ed");
        let mut announced = |names: &[&str]| {
            pair.synced();
            let expected: Vec<_> = names.iter().map(|name| (format!("scounter.{name}"), "key".to_owned())).collect();
            assert_eq!(events.drain(), expected);
        };
        let ids = [10, 20, 30].map(|amount| client.int(args!["SCOUNTER.HOLD", "key", amount, "EX", 1000]));
        announced(&["hold", "hold", "hold"]);
        client.int(args!["SCOUNTER.COMMIT", "key", ids[0]]);
        announced(&["commit"]);
        client.ok(args!["SCOUNTER.RELEASE", "key", ids[1]]);
        announced(&["release"]);
        let carriers: [(&str, &[&str]); 3] = [
            ("SCOUNTER.INCR key", &["hold-expired", "incr"]),
            ("SCOUNTER.MINCR key 1 key 1", &["hold-expired", "incr", "incr"]),
            ("SCOUNTER.HOLD key 1 EX 1000", &["hold-expired", "hold"]),
        ];
        for (carrier, events) in carriers {
            client.int("SCOUNTER.HOLD key 1 PX 1");
            announced(&["hold"]);
            wait_until("the hold has expired", PATIENCE, || client.int("SCOUNTER.INFO key holds") == 1);
            announced(&[]);
            client.value(carrier);
            announced(events);
        }
    }
}
