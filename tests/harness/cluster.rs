//! A real cluster: nodes, slots, replicas.

use super::builder::Builder;
use super::client::{Client, Reply};
use super::command::Command;
use super::pair::synced;
use super::reply;
use super::server::Server;
use super::wait::{PATIENCE, wait_until};

const SLOTS: usize = 16_384;

/// Short, so that failovers are quick, and long enough for a busy machine.
const NODE_TIMEOUT_MS: u32 = 2_000;

/// The primaries come first, then their replicas in rounds: node `primaries + i` replicates node `i % primaries`.
pub struct Cluster {
    nodes: Vec<Server>,
    primaries: usize,
}

impl Cluster {
    /// A cluster with the module and nothing persisted, ready for commands.
    #[track_caller]
    pub fn start(primaries: usize, replicas_each: usize) -> Self {
        Self::start_with(primaries, replicas_each, Server::builder())
    }

    /// A cluster whose nodes all have the given configuration.
    #[track_caller]
    pub fn start_with(primaries: usize, replicas_each: usize, builder: Builder) -> Self {
        let builder = builder.port().config("cluster-enabled", "yes").config("cluster-node-timeout", NODE_TIMEOUT_MS);
        let nodes = (0..primaries * (1 + replicas_each)).map(|_| builder.clone().start()).collect();
        let cluster = Self { nodes, primaries };
        cluster.assign_slots();
        cluster.meet();
        cluster.attach_replicas();
        cluster.ready();
        cluster
    }

    /// All nodes, dead and paused ones included.
    pub fn nodes(&self) -> &[Server] {
        &self.nodes
    }

    /// One node, to be killed, restarted or paused.
    pub fn node_mut(&mut self, index: usize) -> &mut Server {
        &mut self.nodes[index]
    }

    /// The index of the running node that owns the slot by its own account; None while there is none. Of two that
    /// claim it, as after a failover that one has missed, the later epoch wins.
    pub fn owner_of_slot(&self, slot: usize) -> Option<usize> {
        let claims = self.running().filter_map(|index| Some((claim(&mut self.nodes[index].connect(), slot)?, index)));
        claims.max().map(|(_, index)| index)
    }

    /// The running node that owns the slot.
    #[track_caller]
    pub fn node_for_slot(&self, slot: usize) -> &Server {
        &self.nodes[self.owner_of_slot(slot).unwrap_or_else(|| panic!("no running node owns slot {slot}"))]
    }

    /// The slot of a key.
    #[track_caller]
    pub fn slot(&self, key: impl AsRef<[u8]>) -> usize {
        let node = self.running().next().expect("a running node");
        let slot = self.nodes[node].connect().int([b"CLUSTER", b"KEYSLOT".as_slice(), key.as_ref()]);
        usize::try_from(slot).expect("a slot")
    }

    /// The running node that owns the key.
    #[track_caller]
    pub fn node_for(&self, key: impl AsRef<[u8]>) -> &Server {
        self.node_for_slot(self.slot(key))
    }

    /// A primary that is not this one.
    pub fn other_than(&self, node: &Server) -> &Server {
        self.nodes.iter().find(|other| other.port() != node.port()).expect("another one")
    }

    /// Sends a command whose first argument is its key to the owner of that key.
    #[track_caller]
    pub fn call(&self, command: impl Command) -> Reply {
        let arguments = command.into_arguments();
        self.node_for(&arguments[1]).connect().call(arguments)
    }

    /// Waits until every running node calls the cluster whole.
    #[track_caller]
    pub fn ready(&self) {
        for index in self.running() {
            self.nodes[index].connect().wait_for_field("CLUSTER INFO", "cluster_state", "ok");
        }
    }

    fn running(&self) -> impl Iterator<Item = usize> {
        (0..self.nodes.len()).filter(|&index| self.nodes[index].is_running())
    }

    /// Equal ranges; epochs of their own, so that no election has to find them.
    fn assign_slots(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let mut client = node.connect();
            client.ok(format!("CLUSTER SET-CONFIG-EPOCH {}", index + 1));
            if index < self.primaries {
                let first = SLOTS * index / self.primaries;
                let last = SLOTS * (index + 1) / self.primaries - 1;
                client.ok(format!("CLUSTER ADDSLOTSRANGE {first} {last}"));
            }
        }
    }

    /// Everybody meets everybody at once, which is quicker than gossip.
    fn meet(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            let mut client = node.connect();
            for other in &self.nodes[index + 1..] {
                client.ok(format!("CLUSTER MEET 127.0.0.1 {}", other.port()));
            }
        }
        let count = self.nodes.len();
        for node in &self.nodes {
            let mut client = node.connect();
            wait_until("all nodes know each other", PATIENCE * 2, || {
                let table = client.text("CLUSTER NODES");
                table.lines().filter(|line| line.contains(" connected") && !line.contains("handshake")).count() == count
            });
        }
    }

    fn attach_replicas(&self) {
        for (index, replica) in self.nodes.iter().enumerate().skip(self.primaries) {
            let primary = &self.nodes[index % self.primaries];
            let id = primary.connect().text("CLUSTER MYID");
            replica.connect().ok(format!("CLUSTER REPLICATE {id}"));
            synced(primary, replica);
        }
        let replicas = self.nodes.len() - self.primaries;
        for node in &self.nodes {
            let mut client = node.connect();
            wait_until("all nodes know the replicas", PATIENCE * 2, || {
                let table = client.text("CLUSTER NODES");
                table.lines().filter(|line| line.contains("slave")).count() == replicas
            });
        }
    }
}

/// The epoch in which the node holds the slot, by its own row of CLUSTER NODES:
/// `id address myself,master - ping pong epoch connected 0-5461`.
fn claim(client: &mut Client, slot: usize) -> Option<u64> {
    let table = reply::text(&client.call("CLUSTER NODES").ok()?)?;
    let row: Vec<&str> = table.lines().find(|line| line.contains("myself,master"))?.split(' ').collect();
    let (epoch, slots) = (row.get(6)?, row.get(8..)?);
    let holds = slots.iter().filter_map(|text| range(text)).any(|(first, last)| (first..=last).contains(&slot));
    holds.then(|| epoch.parse().expect("an epoch"))
}

/// `0-5461` or `7`; slots on the move, `[7->-...]`, are named once more among the others.
fn range(text: &str) -> Option<(usize, usize)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some((first.parse().ok()?, last.parse().ok()?))
}
