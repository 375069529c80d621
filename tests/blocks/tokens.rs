//! Retries: a lost reply burns no ids, whatever happens to the server in between (redis#14794 #14858 #14869 #14897).

use crate::harness::*;

/// One request of each kind.
const REQUESTS: [&str; 5] = [
    "IDBLOCK.RESERVE ids 100 IDMP worker reserve",
    "IDBLOCK.NEXT ids IDMP worker next",
    "IDBLOCK.RESERVE ids 100 ATLEAST 5 NOTE why IDMP worker shortened",
    "IDBLOCK.CODES codes 3 IDMP worker codes",
    "IDBLOCK.NEXT clock IDMP worker next",
];

/// Allocators that have been used before.
fn create(server: &Server) {
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids MAX 130 FENCE OFF");
    client.ok("IDBLOCK.CREATE codes CODES 7 FENCE OFF");
    client.ok("IDBLOCK.CREATE clock CLOCK 8 FENCE OFF");
    client.value("IDBLOCK.RESERVE ids 5");
}

/// The replies to all requests, each sent from a connection of its own.
#[track_caller]
fn replies(server: &Server) -> Vec<String> {
    REQUESTS.iter().map(|request| server.connect().show(*request)).collect()
}

#[test]
fn a_retry_gets_the_same_ids_wherever_the_value_went() {
    let mut server = Server::builder().durable().start();
    create(&server);
    let (first, digest) = (replies(&server), server.digest());
    assert_eq!(first[..3], ["[6, 105, 1, 100]", "106", "[107, 130, 1, 24]"]);

    type Travel = fn(&mut Server);
    let journeys: [(&str, Travel); 10] = [
        ("nowhere", |_| {}),
        ("RENAME", |server| {
            server.connect().ok("RENAME ids other");
            server.connect().ok("RENAME other ids");
        }),
        ("SWAPDB", |server| {
            server.connect().ok("SWAPDB 0 1");
            server.connect().ok("SWAPDB 1 0");
        }),
        ("DUMP", |server| {
            let dump = server.connect().bytes("DUMP ids");
            server.connect().ok(args!["RESTORE", "ids", 0, dump, "REPLACE"]);
        }),
        ("an RDB", |server| server.reload()),
        ("the AOF", |server| server.load_aof()),
        ("a kill", |server| restart(server, Server::kill)),
        ("a stop", |server| restart(server, Server::stop)),
        ("a rewritten AOF", |server| rewrite(server, "yes")),
        ("a rewritten AOF of commands", |server| rewrite(server, "no")),
    ];
    for (journey, travel) in journeys {
        travel(&mut server);
        assert_eq!(replies(&server), first, "after {journey}");
        assert_eq!(server.digest(), digest, "after {journey}");
    }
}

fn restart(server: &mut Server, end: fn(&mut Server)) {
    end(server);
    server.restart();
}

fn rewrite(server: &mut Server, preamble: &str) {
    server.connect().ok(["CONFIG", "SET", "aof-use-rdb-preamble", preamble]);
    server.rewrite_aof();
    restart(server, Server::kill);
}

#[test]
fn a_retry_gets_the_same_ids_from_a_promoted_replica() {
    let mut pair = Pair::start();
    create(&pair.primary);
    let first = replies(&pair.primary);
    pair.synced();
    pair.primary.kill();
    pair.replica.connect().ok("REPLICAOF NO ONE");
    let digest = pair.replica.digest();
    assert_eq!(replies(&pair.replica), first);
    assert_eq!(pair.replica.digest(), digest, "nothing is burnt");
}

#[test]
fn a_token_stands_for_one_request() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids CODES 7 FENCE OFF");
    let run = client.show("IDBLOCK.RESERVE ids 100 IDMP worker token NOTE one");
    let digest = server.digest();
    for other in [
        "IDBLOCK.RESERVE ids 99 IDMP worker token",
        "IDBLOCK.RESERVE ids 100 ATLEAST 99 IDMP worker token",
        "IDBLOCK.CODES ids 100 IDMP worker token",
        "IDBLOCK.NEXT ids IDMP worker token",
    ] {
        let mismatch = "IDMPMISMATCH token must come with the command and arguments of its first use";
        assert_eq!(client.error(other), mismatch, "{other}");
    }
    assert_eq!(client.show("IDBLOCK.RESERVE ids 100 NOTE another IDMP worker token"), run, "the note is no part of it");
    assert_eq!(server.digest(), digest);
    assert_eq!(client.show("IDBLOCK.RESERVE ids 100 IDMP other token"), "[101, 200, 1, 100]", "another producer");
}

/// A refused attempt is not remembered, and a replay finds what was granted although nothing is left.
#[test]
fn a_token_outlives_the_sequence() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids MAX 10 FENCE OFF");
    assert!(client.error("IDBLOCK.RESERVE ids 11 IDMP worker token").starts_with("EXHAUSTED "));
    assert_eq!(client.int("IDBLOCK.INFO ids tokens-tracked"), 0);
    for _ in 0..3 {
        assert_eq!(client.show("IDBLOCK.RESERVE ids 10 IDMP worker token"), "[1, 10, 1, 10]");
        assert!(client.error("IDBLOCK.NEXT ids IDMP worker other").starts_with("EXHAUSTED "));
    }
    assert_eq!(client.int("IDBLOCK.INFO ids tokens-tracked"), 1);
}

/// What goes to a replica is announced there by the name that it has on the primary, and nothing else is.
#[test]
fn a_replica_announces_what_it_is_told() {
    for listens_to_replica in [false, true] {
        let pair = Pair::start();
        let mut client = pair.primary.connect();
        for (key, options) in [("plain", ""), ("coded", "CODES 6")] {
            client.ok(format!("IDBLOCK.CREATE {key} LOG OFF FENCE 300 {options}"));
            client.value(format!("IDBLOCK.RESERVE {key} 1"));
        }
        pair.synced();
        let mut events = Events::listen_to(if listens_to_replica { &pair.replica } else { &pair.primary }, "Ed");
        for (command, event, is_told) in [
            ("IDBLOCK.RESERVE plain 5 IDMP p 1", "reserve", true),
            ("IDBLOCK.NEXT plain IDMP p 2", "next", true),
            ("IDBLOCK.CODES coded 5 IDMP p 3", "codes", true),
            ("IDBLOCK.RESERVE plain 5", "reserve", false),
            ("IDBLOCK.NEXT plain", "next", false),
            ("IDBLOCK.CODES coded 5", "codes", false),
            ("IDBLOCK.CODES coded 290", "codes", false),
        ] {
            client.value(command);
            pair.synced();
            let names: Vec<_> = events.drain().into_iter().map(|(name, _)| name).collect();
            let expected = if is_told || !listens_to_replica { vec![format!("idblock.{event}")] } else { vec![] };
            assert_eq!(names, expected, "{command}, on the replica: {listens_to_replica}");
        }
    }
}
