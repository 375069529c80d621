//! A replica is killed after it has acknowledged, restarts from an RDB of before, and is promoted: to Sentinel it is as
//! good as any (its INFO says that the link has been down for -1 seconds). Its journal has to remember.

use super::{Checker, create, drain, reserve_times, wait_for_electable, wait_for_window};
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
