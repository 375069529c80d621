//! A replica is killed after it has acknowledged, restarts from an RDB of before, and is promoted: to Sentinel it is as
//! good as any (its INFO says that the link has been down for -1 seconds). Its journal has to remember.

use super::{Checker, Fence, create, drain, reserve_times, try_reserve, wait_for_electable, wait_for_window};
use crate::harness::*;
use std::fs;
use std::path::PathBuf;

const CREATE: &str = "FENCE 500";

/// Where a server keeps its RDB.
fn rdb_of(server: &Server) -> PathBuf {
    server.dir().join("dump.rdb")
}

/// The replica saves, acknowledges further marks, dies, and wakes up with what it had saved, its primary silent.
fn forget(pair: &mut Pair, checker: &Checker) {
    pair.replica.connect().ok("SAVE");
    let old = fs::read(rdb_of(&pair.replica)).expect("an RDB");
    (0..3).for_each(|_| wait_for_window(&mut pair.primary.connect(), checker, 0));
    pair.replica.kill();
    fs::write(rdb_of(&pair.replica), old).expect("an RDB");
    pair.primary.pause();
    pair.replica.restart();
}

#[test]
fn a_replica_that_has_forgotten_what_it_acknowledged_repeats_nothing() {
    for _ in 0..scale(2, 50) {
        let mut pair = Pair::start();
        let checker = Checker::new("ids");
        let mut client = pair.primary.connect();
        create(&mut client, "ids", CREATE);
        wait_for_electable(&pair.primary, &[&pair.replica]);
        wait_for_window(&mut client, &checker, 0);
        forget(&mut pair, &checker);
        let mut heir = pair.replica.connect();
        heir.ok("REPLICAOF NO ONE");
        reserve_times(20, &mut heir, "IDBLOCK.RESERVE ids 100", &checker, 1);
        pair.primary.resume();
        drain(&mut client, "IDBLOCK.RESERVE ids 50", &checker, 0);
        reserve_times(20, &mut heir, "IDBLOCK.RESERVE ids 100", &checker, 1);
        println!("{} ids", checker.ids());
        checker.assert_unique();
    }
}

/// By a channel of its own, where the server has that: the dataset is loaded, while what the primary sends meanwhile is
/// kept, and executed afterwards, loading or not.
#[test]
fn what_a_primary_sends_while_its_dataset_is_loaded_is_journalled_like_the_rest() {
    let channel = match server_name().as_str() {
        "redis-7.0" => return,
        "redis-8.2" => "repl-rdb-channel",
        _ => "dual-channel-replication-enabled",
    };
    let builder = || Server::builder().config(channel, "yes").config("repl-diskless-load", "swapdb");
    let primary = builder().port().config("repl-diskless-sync", "yes").config("repl-diskless-sync-delay", 0).start();
    let (mut client, checker) = (primary.connect(), Checker::new("ids"));
    create(&mut client, "ids", "FENCE 1000 LOG OFF");
    let dump = client.bytes("DUMP ids");
    client.pipeline((0..2_000).map(|number| format!("SET filler:{number} x")));
    let mut replica = builder().config("key-load-delay", 500).replica_of(&primary).start();
    wait_until("the replica counts", PATIENCE * 2, || {
        for _ in 0..10 {
            let _ = try_reserve(&mut client, "IDBLOCK.RESERVE ids 900").map(|run| checker.note(&run, 0));
        }
        Fence::of(&mut client).electable.len() == 1
    });
    synced(&primary, &replica);
    drop(primary);
    replica.kill();
    replica.restart();
    let mut heir = replica.connect();
    heir.ok("REPLICAOF NO ONE");
    heir.ok(args!["RESTORE", "ids", 0, &dump]);
    reserve_times(20, &mut heir, "IDBLOCK.RESERVE ids 100", &checker, 1);
    println!("{} ids", checker.ids());
    checker.assert_unique();
}
