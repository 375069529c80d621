//! Three primaries with a replica each. In the first half of the rounds nothing is done by which a server loses what it
//! has acknowledged; in the second half replicas take over by force.

use super::{
    Processes, Stage, Stock, Views, assert_serves, freeze, go_on, kill_clients, pause, pause_those_that_wait, unblock,
};
use crate::fence::{Crowd, SHARDS, Sharded};
use crate::harness::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::time::Instant;

/// Windows that are smaller than many a reservation, so that it has to wait.
const KINDS: [(i64, &str); SHARDS] = [(1, "FENCE 50"), (3, "FENCE 30 START 5 INCREMENT 3"), (1, "FENCE 200")];

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Pause,
    PauseThoseThatWait,
    HandOver,
    /// While nobody may write anyway.
    HandOverInPause,
    HandOverByForce,
    KillClients,
    CutReplica,
    Unblock,
    Freeze,
}

use Event::{
    CutReplica, Freeze, HandOver, HandOverByForce, HandOverInPause, KillClients, Pause, PauseThoseThatWait, Unblock,
};

/// The first half of each is what the quick form has.
const GENTLE: [Event; 10] =
    [HandOver, Pause, KillClients, HandOverInPause, PauseThoseThatWait, CutReplica, HandOver, Unblock, Freeze, Pause];
const FORCEFUL: [Event; 10] = [
    HandOverByForce,
    CutReplica,
    Unblock,
    HandOverByForce,
    Freeze,
    Pause,
    HandOver,
    KillClients,
    HandOverInPause,
    PauseThoseThatWait,
];

struct World<'a> {
    sharded: &'a Sharded,
    crowd: &'a Crowd,
    stage: &'a Stage,
    chance: StdRng,
    /// The shard that hands over next: nobody votes for the same one twice within two timeouts.
    shard: usize,
}

impl World<'_> {
    fn suffer(&mut self, event: Event) {
        self.shard = (self.shard + 1) % SHARDS;
        let (shard, crowd) = (self.shard, self.crowd);
        let (owner, other) = self.sharded.settle(shard, crowd);
        let nodes = self.sharded.cluster.nodes();
        let any = &nodes[self.chance.random_range(0..nodes.len())];
        let began = Instant::now();
        match event {
            Pause => pause(any, crowd, &mut self.chance),
            PauseThoseThatWait => pause_those_that_wait(&nodes[owner], &nodes[other]),
            HandOver => self.sharded.fail_over(shard, other, "CLUSTER FAILOVER"),
            HandOverInPause => {
                nodes[owner].connect().ok("CLIENT PAUSE 300 WRITE");
                self.sharded.fail_over(shard, other, "CLUSTER FAILOVER");
            }
            HandOverByForce => self.sharded.fail_over(shard, other, "CLUSTER FAILOVER FORCE"),
            KillClients => kill_clients(any, "normal"),
            CutReplica => kill_clients(&nodes[owner], "replica"),
            Unblock => unblock(&nodes[owner], &mut self.chance),
            Freeze => freeze(any, crowd, &mut self.chance),
        }
        println!("{event:?} in shard {shard}, owned by node {owner}: {:?}", began.elapsed());
        go_on(crowd, &mut self.chance, scale(100, 500));
        self.sharded.cluster.ready();
        self.stage.assert_whole();
    }

    /// So many rounds, in any order.
    fn suffer_all(&mut self, events: &[Event], rounds: usize) {
        let mut events: Vec<Event> = events.iter().copied().cycle().take(rounds).collect();
        events.shuffle(&mut self.chance);
        events.into_iter().for_each(|event| self.suffer(event));
        (0..SHARDS).for_each(|shard| _ = self.sharded.settle(shard, self.crowd));
    }
}

/// Whether a replica may take over by itself, which costs what it has not heard of.
fn let_replicas_take_over(cluster: &Cluster, may: bool) {
    let never = if may { "no" } else { "yes" };
    for node in cluster.nodes() {
        node.connect().ok(format!("CONFIG SET cluster-replica-no-failover {never}"));
    }
}

#[test]
fn a_cluster_in_turmoil_keeps_its_promises() {
    let sharded = Sharded::start();
    let cluster = &sharded.cluster;
    let nodes: Vec<&Server> = cluster.nodes().iter().collect();
    let (processes, stage) = (Processes::of(&nodes), Stage::of(&nodes));
    let_replicas_take_over(cluster, false);
    let stock = Stock::create(&mut cluster.node_for(Stock::KEY).connect());
    let views = Views::create(&mut cluster.node_for(Views::KEY).connect());
    let crowd = sharded.crowd(KINDS);
    let rounds = scale(10, 200);
    crowd.endures(|crowd| {
        let chance = StdRng::seed_from_u64(stage.seed);
        let mut world = World { sharded: &sharded, crowd, stage: &stage, chance, shard: 0 };
        stage.endures(&stock, Some(&views), || {
            world.suffer_all(&GENTLE, rounds / 2);
            views.assert_true(cluster.node_for(Views::KEY), &stage);
            stock.assert_true(cluster.node_for(Stock::KEY), &stage);
            stage.expect_losses();
            let_replicas_take_over(cluster, true);
            world.suffer_all(&FORCEFUL, rounds - rounds / 2);
        });
    });
    views.assert_true(cluster.node_for(Views::KEY), &stage);
    stock.assert_settles(cluster.node_for(Stock::KEY), &stage);
    for (shard, checker) in crowd.checkers().iter().enumerate() {
        let (owner, other) = sharded.nodes_of(shard).expect("an owner");
        assert_serves(nodes[owner], checker, owner);
        checker.assert_unique();
        synced(nodes[owner], nodes[other]);
        assert_eq!(nodes[owner].digest(), nodes[other].digest(), "owner on the left");
    }
    processes.assert_unharmed(&nodes);
    println!("{rounds} rounds");
}
