//! Ids that come from elsewhere. In TiDB they collide with later blocks (tidb#52622, #38724).

use super::Run;
use crate::audit::entry::Entry;
use crate::harness::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;

#[test]
fn blocks_lie_beyond_imported_ids() {
    let server = Server::start();
    let mut client = server.connect();
    for (options, id, next) in [
        ("", 5000, 5001),
        ("START 5 INCREMENT 10", 15, 25),
        ("START 5 INCREMENT 10", 17, 25),
        ("START 5 INCREMENT 10", 24, 25),
        ("START 5 INCREMENT 10", 25, 35),
        ("START -100", -50, -49),
        ("START 100", 99, 100),
        ("START 100", i64::MIN, 100),
    ] {
        client.ok(format!("IDBLOCK.CREATE ids FENCE OFF {options}"));
        client.ok(format!("IDBLOCK.ADVANCE ids {id}"));
        assert_eq!(client.int("IDBLOCK.NEXT ids"), next, "{options} behind {id}");
        client.int("DEL ids");
    }
}

#[test]
fn nothing_lies_beyond_the_last_id() {
    let server = Server::start();
    let mut client = server.connect();
    for id in [100, 101, i64::MAX] {
        client.ok("IDBLOCK.CREATE ids MAX 100 FENCE OFF");
        client.ok(format!("IDBLOCK.ADVANCE ids {id}"));
        assert_eq!(client.error("IDBLOCK.NEXT ids"), "EXHAUSTED ids left up to 100 must be at least 1, got 0");
        client.int("DEL ids");
    }
}

#[test]
fn an_allocator_never_goes_back() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids FENCE OFF");
    client.value("IDBLOCK.RESERVE ids 1000");
    let before = server.digest();
    for id in [1000, 999, 1, 0, i64::MIN] {
        client.ok(format!("IDBLOCK.ADVANCE ids {id}"));
    }
    assert_eq!(server.digest(), before);
    assert_eq!(client.int("IDBLOCK.NEXT ids"), 1001);
}

/// An advance has an entry of its own; ids that it passed over belong to nobody.
#[test]
fn imported_ids_are_nobodys_reservation() {
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids FENCE OFF");
    client.value("IDBLOCK.RESERVE ids 10");
    client.ok("IDBLOCK.ADVANCE ids 50");
    client.value("IDBLOCK.RESERVE ids 10");
    let log = Entry::all(&mut client, "IDBLOCK.LOG ids - +");
    let ranges: Vec<_> = log.iter().map(|entry| (entry.get("op"), entry.get("first"), entry.get("last"))).collect();
    assert_eq!(ranges, [("create", "", ""), ("reserve", "1", "10"), ("advance", "11", "50"), ("reserve", "51", "60")]);
    for (id, entry) in [(0, None), (1, Some(1)), (10, Some(1)), (11, None), (50, None), (51, Some(3)), (61, None)] {
        let who = client.value(format!("IDBLOCK.WHO ids {id}"));
        match entry {
            None => assert_eq!(show(&who), "nil", "{id}"),
            Some(index) => assert_eq!(Entry::read(&who), log[index], "{id}"),
        }
    }
}

/// Imports above the position, now and then, beside reservations of all sizes, over reloads.
#[test]
fn imported_and_reserved_ids_never_meet() {
    let mut chance = StdRng::seed_from_u64(seed());
    let server = Server::start();
    let mut client = server.connect();
    client.ok("IDBLOCK.CREATE ids START 7 INCREMENT 3 FENCE OFF");
    let (mut taken, mut newest) = (BTreeSet::new(), 0);
    for step in 0..scale(2000, 50_000) {
        let ids = match chance.random_range(0..10) {
            0..5 => Run::reserve(&mut client, format!("IDBLOCK.RESERVE ids {}", chance.random_range(1..20))).ids(),
            5..8 => vec![client.int("IDBLOCK.NEXT ids")],
            _ => {
                let imported = newest + chance.random_range(1..200);
                client.ok(format!("IDBLOCK.ADVANCE ids {imported}"));
                vec![imported]
            }
        };
        for id in ids {
            assert!(taken.insert(id), "{id} twice, at step {step}");
            newest = newest.max(id);
        }
        if chance.random_ratio(1, 500) {
            server.reload();
        }
    }
}
