//! A lone server, killed in the middle of its work: what it has not on its disk it has forgotten.

use super::{Checker, Crowd, create, reserve};
use crate::harness::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// Kills and restarts the server under load; `persist` may write to its disk before each.
#[track_caller]
fn is_killed(mut server: Server, mut persist: impl FnMut(&Server, &mut StdRng)) {
    let mut chance = StdRng::seed_from_u64(seed());
    let crowd = Crowd::of_all_kinds(std::slice::from_ref(&server)).with_clients(0, 3).with_pause(Duration::ZERO);
    server.connect().ok("SAVE");
    crowd.endures(|crowd| {
        for _ in 0..scale(5, 200) {
            crowd.wait_for(chance.random_range(1..10_000));
            persist(&server, &mut chance);
            crowd.wait_for(chance.random_range(1..1_000));
            server.kill();
            server.restart();
        }
        crowd.wait_for(1_000);
    });
}

fn snapshot_now_and_then(server: &Server, chance: &mut StdRng) {
    match chance.random_range(0..4) {
        0 => server.connect().ok("SAVE"),
        1 => drop(server.connect().value("BGSAVE")),
        _ => {}
    }
}

fn rewrite_now_and_then(server: &Server, chance: &mut StdRng) {
    if chance.random_bool(0.3) {
        server.connect().value("BGREWRITEAOF");
    }
}

fn logging(policy: &str) -> Server {
    Server::builder().port().config("appendonly", "yes").config("appendfsync", policy).start()
}

#[test]
fn a_killed_server_that_saves_now_and_then_hands_out_no_id_twice() {
    is_killed(Server::builder().port().start(), snapshot_now_and_then);
}

#[test]
fn a_killed_server_that_logs_every_second_hands_out_no_id_twice() {
    is_killed(logging("everysec"), rewrite_now_and_then);
}

#[test]
fn a_killed_server_that_logs_always_hands_out_no_id_twice() {
    is_killed(logging("always"), rewrite_now_and_then);
}

/// Nobody loses more than that, however the server ends.
#[test]
fn ids_jump_by_at_most_two_windows() {
    let mut server = Server::builder().port().start();
    let checker = Checker::new("ids");
    create(&mut server.connect(), "ids", "FENCE 1000");
    let mut next = 1;
    let ends: [fn(&mut Server); 3] = [Server::kill, Server::stop, |server| {
        server.connect().ok("SAVE");
        server.kill();
    }];
    server.connect().ok("SAVE");
    for round in 0..scale(6, 60) {
        for count in 1..40 {
            let run = reserve(&mut server.connect(), format!("IDBLOCK.RESERVE ids {count}"));
            checker.note(&run, 0);
            assert!((next..=next + 2_000).contains(&run.first), "from {next} to {}", run.first);
            next = run.last + 1;
        }
        ends[round % ends.len()](&mut server);
        server.restart();
    }
    checker.assert_unique();
}
