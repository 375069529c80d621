//! A key that is gone. Redisson's RIdGenerator restarts at 1 then (gim#32, n8n#33558): ids are handed out twice.

use crate::harness::*;

const NOKEY: &str =
    "NOKEY allocator must exist: IDBLOCK.CREATE it (if lost: as it was, then ADVANCE past every id in use)";

/// Every command but CREATE and LOG.
const COMMANDS: [&str; 12] = [
    "IDBLOCK.RESERVE ids 10",
    "IDBLOCK.RESERVE ids 10 ATLEAST 1",
    "IDBLOCK.RESERVE ids 10 IDMP worker token", // the token is gone with the key
    "IDBLOCK.NEXT ids",
    "IDBLOCK.NEXT ids IDMP worker other",
    "IDBLOCK.CODES ids 10",
    "IDBLOCK.ADVANCE ids 1000",
    "IDBLOCK.WHO ids 1",
    "IDBLOCK.WHEN ids 1",
    "IDBLOCK.INFO ids",
    "IDBLOCK.ENCODE ids 1",
    "IDBLOCK.DECODE ids aaaaaaa",
];

/// An allocator in use is lost in this way; then it is refused everywhere, and nothing creates it.
#[track_caller]
fn lost(server: &Server, lose: impl FnOnce(&mut Client)) {
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids FENCE OFF CODES 7");
    assert_eq!(client.show("IDBLOCK.RESERVE ids 10 IDMP worker token"), "[1, 10, 1, 10]");
    lose(&mut client);
    is_lost(server);
}

#[track_caller]
fn is_lost(server: &Server) {
    let mut client = server.connect();
    for command in COMMANDS {
        assert_eq!(client.error(command), NOKEY, "{command}");
    }
    assert_eq!(client.show("IDBLOCK.LOG ids - +"), "[]");
    assert_eq!(client.int("EXISTS ids"), 0);
}

#[test]
fn a_deleted_allocator_does_not_restart() {
    let server = Server::start();
    for command in ["DEL ids", "UNLINK ids", "FLUSHALL", "RENAME ids elsewhere", "MOVE ids 1"] {
        lost(&server, |client| drop(client.value(command)));
    }
}

#[test]
fn an_expired_allocator_does_not_restart() {
    lost(&Server::start(), |client| {
        assert_eq!(client.int("PEXPIRE ids 1"), 1);
        wait_until("the key has expired", PATIENCE, || client.int("EXISTS ids") == 0);
    });
}

#[test]
fn an_evicted_allocator_does_not_restart() {
    let server = Server::builder().config("maxmemory-policy", "allkeys-random").start();
    lost(&server, |client| {
        client.ok("CONFIG SET maxmemory 1");
        wait_until("the key is evicted", PATIENCE, || client.int("DBSIZE") == 0);
        client.ok("CONFIG SET maxmemory 0");
    });
}

#[test]
fn an_allocator_lost_on_the_primary_is_lost_on_its_heir() {
    let pair = Pair::start();
    lost(&pair.primary, |client| drop(client.value("DEL ids")));
    pair.synced();
    pair.replica.connect().ok("REPLICAOF NO ONE");
    is_lost(&pair.replica);
}

/// The advice followed: the sequence goes on behind what was handed out.
#[test]
fn an_allocator_is_created_anew_above_the_ids_in_use() {
    let server = Server::start();
    lost(&server, |client| drop(client.value("DEL ids")));
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids START 11 FENCE OFF");
    assert_eq!(client.show("IDBLOCK.RESERVE ids 10 IDMP worker token"), "[11, 20, 1, 10]");
}
