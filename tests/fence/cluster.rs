//! A cluster of three primaries with a replica each, which are killed, frozen and replaced under load.

use super::{Checker, Crowd, Operator, are_electable, create, opens_a_window, safe};
use crate::harness::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::time::Duration;

pub const SHARDS: usize = 3;
/// Shorter than that of other tests: two failovers of four wait for it.
const NODE_TIMEOUT_MS: u32 = 1_000;

/// How long clients may have to wait for ids in a cluster that is well.
const CALM: Duration = Duration::from_secs(8);

#[derive(Clone, Copy, Debug)]
enum Fault {
    Kill,
    Freeze,
    FailOver,
    Force,
}

/// What the allocator of each shard is: its increment and its options.
const KINDS: [(i64, &str); SHARDS] = [(1, "FENCE 1000"), (3, "FENCE 1000 START 5 INCREMENT 3"), (1, "")];

/// The cluster, and a key in each shard.
pub struct Sharded {
    pub cluster: Cluster,
    keys: Vec<String>,
}

impl Sharded {
    /// Three primaries with a replica each; allocators come with the crowd.
    pub fn start() -> Self {
        let builder = Server::builder().config("appendonly", "yes").config("cluster-replica-validity-factor", 0);
        let cluster = Cluster::start_with(SHARDS, 1, builder);
        for node in cluster.nodes() {
            node.connect().ok(format!("CONFIG SET cluster-node-timeout {NODE_TIMEOUT_MS}"));
        }
        let keys = (0..SHARDS).map(|shard| key_of(&cluster, shard)).collect();
        Self { cluster, keys }
    }

    /// An allocator in each shard, of these kinds, and clients for them.
    pub fn crowd(&self, kinds: [(i64, &str); SHARDS]) -> Crowd {
        let mut checkers = Vec::new();
        for (shard, (key, (increment, options))) in self.keys.iter().zip(kinds).enumerate() {
            let (owner, replica) = (&self.cluster.nodes()[shard], &self.cluster.nodes()[shard + SHARDS]);
            create(&mut owner.connect(), key, options);
            synced(owner, replica);
            checkers.push(Checker::new(key).of_increment(increment));
        }
        Crowd::new(self.cluster.nodes(), checkers).with_clients(3, 1).with_pause(Duration::from_millis(2))
    }

    /// The nodes of a shard: its owner, and the other one.
    pub fn nodes_of(&self, shard: usize) -> Option<(usize, usize)> {
        let owner = self.cluster.owner_of_slot(self.cluster.slot(&self.keys[shard]))?;
        Some((owner, (owner + SHARDS) % (2 * SHARDS)))
    }

    /// Waits until the shard has an owner whose window its replica has acknowledged; returns both. A cluster may undo a
    /// promotion too, and then an operator does what the log says.
    pub fn settle(&self, shard: usize, crowd: &Crowd) -> (usize, usize) {
        let (mut nodes, key) = (None, &self.keys[shard]);
        let ends = self.cluster.nodes().iter().map(|node| safe(&mut node.connect(), key));
        let before = ends.max().expect("nodes");
        let operator = Operator::new([shard, shard + SHARDS].map(|node| &self.cluster.nodes()[node]), crowd);
        let owner = || self.nodes_of(shard).map(|(owner, _)| &self.cluster.nodes()[owner]);
        let helped = operator.sees_to(PATIENCE * 3, owner, || {
            nodes = self.nodes_of(shard);
            nodes.is_some_and(|(owner, other)| {
                let mut client = self.cluster.nodes()[owner].connect();
                are_electable(&mut client, &[&self.cluster.nodes()[other]])
                    && opens_a_window(&mut client, before, crowd.checker(key), owner)
            })
        });
        assert!(helped.is_some(), "no window is opened in shard {shard}");
        nodes.expect("an owner")
    }

    /// Waits until the clients have got so many more ids. A promotion may be undone in any shard, long after it.
    fn wait_for_ids(&self, ids: u64, crowd: &Crowd) {
        let goal = crowd.granted() + ids;
        wait_until("the clients have got more ids", PATIENCE * 3, || {
            holds_within(CALM, || crowd.granted() >= goal) || {
                (0..SHARDS).for_each(|shard| _ = self.settle(shard, crowd));
                false
            }
        });
    }

    fn suffer(&mut self, fault: Fault, chance: &mut StdRng, crowd: &Crowd) {
        let shard = chance.random_range(0..SHARDS);
        let (owner, other) = self.settle(shard, crowd);
        self.wait_for_ids(chance.random_range(100..3_000), crowd);
        println!("{fault:?} of node {owner}");
        match fault {
            Fault::Kill => {
                self.cluster.node_mut(owner).kill();
                self.wait_for_owner(shard, other);
                self.cluster.node_mut(owner).restart();
            }
            Fault::Freeze => {
                self.cluster.nodes()[owner].pause();
                self.wait_for_owner(shard, other);
                self.cluster.nodes()[owner].resume();
            }
            Fault::FailOver => self.fail_over(shard, other, "CLUSTER FAILOVER"),
            Fault::Force => self.fail_over(shard, other, "CLUSTER FAILOVER FORCE"),
        }
        self.settle(shard, crowd);
    }

    /// Elections can come to nothing, and then the command is given again.
    pub fn fail_over(&self, shard: usize, replica: usize, command: &str) {
        let mut client = self.cluster.nodes()[replica].connect();
        wait_until("the replica has taken over", PATIENCE * 2, || {
            let _ = client.call(command); // refused where it is the owner already
            holds_within(Duration::from_secs(5), || self.owns(shard, replica))
        });
    }

    fn wait_for_owner(&self, shard: usize, replica: usize) {
        wait_until("the replica has taken over", PATIENCE * 2, || self.owns(shard, replica));
    }

    fn owns(&self, shard: usize, node: usize) -> bool {
        self.nodes_of(shard).is_some_and(|(owner, _)| owner == node)
    }
}

/// A key that lives in this shard.
fn key_of(cluster: &Cluster, shard: usize) -> String {
    let mut keys = (0..).map(|number| format!("ids-{number}"));
    keys.find(|key| cluster.owner_of_slot(cluster.slot(key)) == Some(shard)).expect("a key in every shard")
}

#[test]
fn a_cluster_of_failing_primaries_hands_out_no_id_twice() {
    let mut chance = StdRng::seed_from_u64(seed());
    let mut faults = [Fault::Kill, Fault::Freeze, Fault::FailOver, Fault::Force].repeat(scale(1, 50));
    faults.shuffle(&mut chance);
    let mut sharded = Sharded::start();
    let crowd = sharded.crowd(KINDS);
    crowd.endures(|crowd| {
        for fault in faults {
            sharded.suffer(fault, &mut chance, crowd);
        }
        for shard in 0..SHARDS {
            sharded.settle(shard, crowd);
        }
    });
}
