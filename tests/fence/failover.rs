//! FAILOVER: the primary hands over by itself, with its replica caught up, or with force and whatever that has.

use super::{Crowd, address, create, is_primary, reserve, trio, wait_for_electable, wait_for_window};
use crate::harness::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

/// Hands over to another of three servers, and gives the third one its new primary. With force, the other one is
/// frozen, so that it lacks what happened meanwhile.
fn hand_over(servers: &[Server], from: usize, to: usize, force: bool, crowd: &Crowd) {
    let (old, new) = (&servers[from], &servers[to]);
    println!("FAILOVER from {} to {}, force: {force}", address(old), address(new));
    let failover = format!("FAILOVER TO 127.0.0.1 {}", new.port());
    if force {
        new.pause();
        crowd.wait_for(100);
        old.connect().ok(failover + " TIMEOUT 1 FORCE");
        new.resume();
    } else {
        old.connect().ok(failover);
    }
    wait_until("the replica has taken over", PATIENCE, || {
        is_primary(&mut new.connect()) && !is_primary(&mut old.connect())
    });
    for server in servers.iter().filter(|server| !is_primary(&mut server.connect())) {
        server.connect().value(format!("REPLICAOF 127.0.0.1 {}", new.port()));
    }
}

#[test]
fn a_primary_that_hands_over_leaves_no_id_to_be_repeated() {
    let mut chance = StdRng::seed_from_u64(seed());
    let (servers, mut primary) = (trio(), 0);
    let crowd = Crowd::of_all_kinds(&servers).with_clients(3, 1).with_pause(Duration::from_millis(2));
    crowd.endures(|crowd| {
        for round in 0..scale(4, 100) {
            let others: Vec<&Server> =
                servers.iter().filter(|server| server.port() != servers[primary].port()).collect();
            wait_for_electable(&servers[primary], &others);
            wait_for_window(&mut servers[primary].connect(), crowd.checker("window"), primary);
            crowd.wait_for(chance.random_range(100..3_000));
            let next = (primary + chance.random_range(1..3)) % servers.len();
            hand_over(&servers, primary, next, round % 2 == 1, crowd);
            primary = next;
        }
        crowd.wait_for_node(primary, 50);
    });
}

/// A primary that was restarted found its allocator at an older mark in its file, and took that for its successor's.
#[test]
fn a_primary_that_was_restarted_follows_its_successor() {
    let Pair { mut primary, replica } = Pair::start_with(Server::builder().durable(), Server::builder());
    let mut client = primary.connect();
    for options in ["", "CLOCK 10", "CODES 8"] {
        let key = format!("ids{}", options.len());
        create(&mut client, &key, options);
        reserve(&mut client, args!["IDBLOCK.NEXT", key]);
    }
    wait_for_electable(&primary, &[&replica]);
    synced(&primary, &replica);
    primary.stop();
    primary.restart();
    synced(&primary, &replica);
    wait_for_electable(&primary, &[&replica]);
    primary.connect().ok(format!("FAILOVER TO 127.0.0.1 {}", replica.port()));
    wait_for_electable(&replica, &[&primary]);
    assert!(!primary.log().contains("gets no acknowledgement from here"), "{}", primary.log());
}

/// The same server by its name and by its address.
#[test]
fn a_primary_that_is_called_by_another_name_is_the_one_it_told() {
    let Pair { primary, replica } = Pair::start();
    let mut client = primary.connect();
    create(&mut client, "ids", "");
    reserve(&mut client, "IDBLOCK.NEXT ids");
    wait_for_electable(&primary, &[&replica]);
    replica.connect().ok("REPLICAOF NO ONE");
    client.ok(format!("REPLICAOF localhost {}", replica.port()));
    wait_for_electable(&replica, &[&primary]);
}

/// Before there is an allocator nobody knows anything, and nobody has to vouch for that.
#[test]
fn whoever_was_promoted_before_there_was_an_allocator_issues_the_first() {
    for unfenced in [false, true] {
        let Pair { primary, replica } = Pair::start();
        if unfenced {
            create(&mut primary.connect(), "exact", "FENCE OFF");
            synced(&primary, &replica);
        }
        primary.connect().ok(format!("FAILOVER TO 127.0.0.1 {}", replica.port()));
        wait_until("the replica has taken over", PATIENCE, || is_primary(&mut replica.connect()));
        synced(&replica, &primary);
        let mut client = replica.connect();
        create(&mut client, "ids", "");
        reserve(&mut client, "IDBLOCK.NEXT ids");
        wait_for_electable(&replica, &[&primary]);
        reserve(&mut client, "IDBLOCK.RESERVE ids 10000");
    }
}

/// What a former primary has handed out of an allocator that was deleted since is nothing to hold against anybody.
#[test]
fn a_deleted_allocator_is_held_against_nobody() {
    let saving = Server::builder().port().config("save", "3600 1");
    let (primary, mut replica) = (Server::builder().port().start(), saving.start());
    replica.connect().ok(format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    let mut client = primary.connect();
    for key in ["gone", "ids"] {
        create(&mut client, key, "");
        reserve(&mut client, args!["IDBLOCK.NEXT", key]);
    }
    wait_for_electable(&primary, &[&replica]);
    client.ok(format!("FAILOVER TO 127.0.0.1 {}", replica.port()));
    wait_for_electable(&replica, &[&primary]);
    for key in ["gone", "ids"] {
        reserve(&mut replica.connect(), args!["IDBLOCK.RESERVE", key, 1000]);
    }
    assert_eq!(replica.connect().int("DEL gone"), 1);
    // The former primary takes over the dataset as a whole, and then its primary starts again.
    client.ok("REPLICAOF NO ONE");
    client.ok("SET key value");
    client.ok(format!("REPLICAOF 127.0.0.1 {}", replica.port()));
    wait_for_electable(&replica, &[&primary]);
    replica.stop();
    replica.restart();
    wait_for_electable(&replica, &[&primary]);
    reserve(&mut replica.connect(), "IDBLOCK.RESERVE ids 10000");
}
