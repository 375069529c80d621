//! Three servers, and whatever can happen to them, in any order, while each has a client that never leaves it.
//!
//! Whoever is told to follow follows the server that became a primary last. That is the one thing that is not left to
//! chance: `rollback.rs` is about the other way.

use super::{Crowd, are_electable, trio};
use crate::harness::*;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::time::{Duration, Instant};

/// Events between two times of peace.
const EVENTS: usize = 12;
/// Between two events: so many ids, or so long.
const IDS_MAX: u64 = 500;
const QUIET: Duration = Duration::from_millis(60);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Promote,
    Follow,
    Freeze,
    Thaw,
    Kill,
    CutReplicas,
    CutPrimary,
    Save,
    Rewrite,
    Reload,
    Pause,
}

use Event::{CutPrimary, CutReplicas, Follow, Freeze, Kill, Pause, Promote, Reload, Rewrite, Save, Thaw};

const ALL: [Event; 14] =
    [Promote, Promote, Follow, Follow, Freeze, Thaw, Thaw, Kill, CutReplicas, CutPrimary, Save, Rewrite, Reload, Pause];

struct World {
    servers: Vec<Server>,
    /// Who became a primary last.
    heir: usize,
    is_replica: [bool; 3],
    chance: StdRng,
    started: Instant,
    story: Vec<String>,
}

impl World {
    fn tell_story(&mut self, what: String) {
        self.story.push(format!("{} ms: {what}", self.started.elapsed().as_millis()));
    }

    fn suffer(&mut self, event: Event) {
        let node = self.chance.random_range(0..self.servers.len());
        self.tell_story(format!("{event:?} {node}"));
        match event {
            Thaw => self.servers[node].resume(),
            Kill => self.kill(node),
            _ if !self.servers[node].is_running() => {}
            Freeze => self.servers[node].pause(),
            Promote => self.promote(node),
            Follow => self.follow(node),
            _ => self.tell(node, event),
        }
    }

    /// Nobody is a replica by configuration, so who restarts is a primary.
    fn kill(&mut self, node: usize) {
        self.servers[node].resume();
        let inherits = self.inherits(node);
        self.servers[node].kill();
        self.servers[node].restart();
        self.becomes_primary(node, inherits);
    }

    fn promote(&mut self, node: usize) {
        let inherits = self.inherits(node);
        if inherits || !self.is_replica[node] {
            self.servers[node].connect().ok("REPLICAOF NO ONE");
            self.becomes_primary(node, inherits);
        }
    }

    /// Whether it has what its primary has. One that was a primary before is no other than it was.
    fn inherits(&self, node: usize) -> bool {
        let fields = self.servers[node].connect().fields("INFO replication");
        fields.get("master_link_status").is_some_and(|status| status == "up")
    }

    fn becomes_primary(&mut self, node: usize, inherits: bool) {
        self.is_replica[node] = false;
        if inherits {
            self.heir = node;
        }
    }

    fn follow(&mut self, node: usize) {
        if node != self.heir {
            let heir = self.servers[self.heir].port();
            self.servers[node].connect().value(format!("REPLICAOF 127.0.0.1 {heir}"));
            self.is_replica[node] = true;
        }
    }

    /// What a server may refuse, because it is busy with something else.
    fn tell(&self, node: usize, event: Event) {
        let command = match event {
            CutReplicas => "CLIENT KILL TYPE replica",
            CutPrimary => "CLIENT KILL TYPE master",
            Save => "BGSAVE",
            Rewrite => "BGREWRITEAOF",
            Reload => "DEBUG RELOAD",
            _ => "CLIENT PAUSE 100 WRITE",
        };
        let _ = self.servers[node].connect().call(command);
    }

    /// Everybody follows the last primary, which hands out ids again; if it never heard who else could be one, an
    /// operator who sees that the others follow says so.
    fn heal(&mut self, crowd: &Crowd) {
        self.tell_story(format!("peace under {}", self.heir));
        self.servers.iter().for_each(Server::resume);
        (0..self.servers.len()).for_each(|node| self.follow(node));
        let heir = self.servers[self.heir].connect();
        let others = self.servers.iter().enumerate().filter(|(node, _)| *node != self.heir);
        let others: Vec<&Server> = others.map(|(_, server)| server).collect();
        let (mut client, before) = (heir, crowd.granted_by(self.heir));
        wait_until("the last primary has two replicas and hands out ids", PATIENCE * 2, || {
            let fence = client.value("IDBLOCK.FENCE");
            if let Some(former) =
                redis::from_redis_value::<Option<String>>(super::fields(&fence)["orphan-of"].clone()).unwrap()
            {
                let _ = client.call(["IDBLOCK.FENCE", "FORGET", former.as_str()]);
            }
            are_electable(&mut client, &others) && crowd.granted_by(self.heir) > before
        });
    }
}

#[test]
fn whatever_happens_no_id_is_handed_out_twice() {
    let mut world = World {
        servers: trio(),
        heir: 0,
        is_replica: [false, true, true],
        chance: StdRng::seed_from_u64(seed()),
        started: Instant::now(),
        story: Vec::new(),
    };
    let crowd = Crowd::of_all_kinds(&world.servers).with_clients(1, 1);
    world.servers[1..].iter().for_each(|replica| synced(&world.servers[0], replica));
    crowd.endures(|crowd| {
        world.heal(crowd);
        for _ in 0..scale(4, 400) {
            for _ in 0..EVENTS {
                let event = *ALL.choose(&mut world.chance).expect("events");
                world.suffer(event);
                let goal = crowd.granted() + world.chance.random_range(0..IDS_MAX);
                holds_within(QUIET, || crowd.granted() >= goal);
            }
            world.heal(crowd);
        }
        println!("{}", world.story.join(", "));
    });
}
