//! Sequences that share a space of ids: regions side by side, and copies.

use super::Run;
use crate::harness::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;

const REGIONS: i64 = 3;

/// Region r of R: START r INCREMENT R, on a server of its own.
#[test]
fn regions_are_disjoint() {
    let mut chance = StdRng::seed_from_u64(seed());
    for layout in ["", "CLOCK 10"] {
        let servers: Vec<Server> = (0..REGIONS).map(|_| Server::start()).collect();
        let mut taken = BTreeSet::new();
        for (region, server) in (1..).zip(&servers) {
            let create = format!("IDBLOCK.CREATE ids START {region} INCREMENT {REGIONS} FENCE OFF {layout}");
            server.connect().ok(create);
        }
        for _ in 0..scale(300, 10_000) {
            let region = chance.random_range(0..REGIONS);
            let mut client = servers[region as usize].connect();
            let run = Run::reserve(&mut client, format!("IDBLOCK.RESERVE ids {}", chance.random_range(1..50)));
            for id in run.ids() {
                assert_eq!(id % REGIONS, (region + 1) % REGIONS, "{id} of region {region}");
                assert!(taken.insert(id), "{id} twice");
            }
        }
    }
}

/// A copy goes its own way, from where the source was, with the tokens of then.
#[test]
fn a_copy_is_another_allocator() {
    let pair = Pair::start();
    let mut client = pair.primary.connect();
    client.ok("IDBLOCK.CREATE ids CODES 7 FENCE OFF");
    let before = client.show("IDBLOCK.RESERVE ids 10 IDMP worker before");
    assert_eq!(client.int("COPY ids copy"), 1);
    assert_ne!(pair.primary.digest_of("ids"), pair.primary.digest_of("copy"), "another identity");
    pair.assert_same_keyspace();

    assert_eq!(client.show("IDBLOCK.RESERVE copy 10 IDMP worker before"), before);
    assert_eq!(client.show("IDBLOCK.RESERVE ids 10 IDMP worker after"), "[11, 20, 1, 10]");
    assert_eq!(client.show("IDBLOCK.RESERVE copy 5 IDMP worker after"), "[11, 15, 1, 5]", "a token of its own");
    assert_eq!(client.show("IDBLOCK.ENCODE copy 1 2 3"), client.show("IDBLOCK.ENCODE ids 1 2 3"));
    assert_eq!(client.list("IDBLOCK.LOG ids - +").len(), 3);
    client.int("DEL ids");
    assert_eq!(client.int("IDBLOCK.NEXT copy"), 16);
    assert_eq!(client.list("IDBLOCK.LOG copy - +").len(), 3);
    pair.assert_same_keyspace();
}
