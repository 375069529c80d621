//! Three servers, and whatever can happen to them, in any order, while each has a client that never leaves it: also what
//! no operator would do, such as to make a primary the replica of a server that knows less.

use super::{Checker, Crowd, Operator, are_electable, opens_a_window, safe, trio};
use crate::harness::*;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
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
    chance: StdRng,
    /// How often an operator had to say something.
    helped: usize,
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
            Reload if has_newcomers(&self.servers[node]) => {}
            Freeze => self.servers[node].pause(),
            Promote => self.servers[node].connect().ok("REPLICAOF NO ONE"),
            Follow => self.follow(node),
            _ => self.tell(node, event),
        }
    }

    /// Nobody is a replica by configuration, so who restarts is a primary.
    fn kill(&mut self, node: usize) {
        self.servers[node].kill();
        self.servers[node].restart();
    }

    fn follow(&mut self, node: usize) {
        let primary = (node + self.chance.random_range(1..3)) % self.servers.len();
        self.tell_story(format!("{primary} is to lead {node}"));
        follow(&self.servers[node], &self.servers[primary]);
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

    /// What each server says of its fence.
    fn fences(&self) -> String {
        let fence = |server: &Server| format!("{} {}", super::address(server), server.connect().show("IDBLOCK.FENCE"));
        self.servers.iter().map(fence).collect::<Vec<_>>().join("\n")
    }

    /// Everybody follows one of them, which hands out ids again; where it does not, an operator helps.
    fn heal(&mut self, crowd: &Crowd) {
        let node = self.chance.random_range(0..self.servers.len());
        self.tell_story(format!("peace under {node}"));
        self.servers.iter().for_each(Server::resume);
        let primary = &self.servers[node];
        let mut client = primary.connect();
        client.ok("REPLICAOF NO ONE");
        let others: Vec<&Server> = self.servers.iter().filter(|server| server.port() != primary.port()).collect();
        others.iter().for_each(|replica| follow(replica, primary));
        let operator = Operator::new(&self.servers, crowd);
        let furthest = |checker: &Checker| {
            let ends = self.servers.iter().map(|server| safe(&mut server.connect(), checker.name()));
            (checker.name().to_owned(), ends.max().expect("servers"))
        };
        let before: BTreeMap<String, i64> = crowd.checkers().iter().map(furthest).collect();
        let is_well = || {
            are_electable(&mut client, &others)
                && crowd
                    .checkers()
                    .iter()
                    .all(|allocator| opens_a_window(&mut client, before[allocator.name()], allocator, node))
        };
        let Some(helped) = operator.sees_to(PATIENCE * 2, || Some(primary), is_well) else {
            panic!("no peace under {node}: {}\n{}", self.story.join(", "), self.fences());
        };
        self.helped += helped;
        // While the logs of the servers still tell of it.
        if crowd.has_repeated() {
            println!("{}", self.story.join(", "));
            crowd.assert_unique();
        }
    }
}

/// Whether a follower waits for the dataset. It comes as the file that `DEBUG RELOAD` writes anew: whoever gets that one
/// executes what came in between a second time. A plain server loses count like this, with INCR.
fn has_newcomers(primary: &Server) -> bool {
    let info = primary.connect().text("INFO replication");
    info.lines().any(|line| line.starts_with("slave") && line.contains("state=") && !line.contains("state=online"))
}

fn follow(replica: &Server, primary: &Server) {
    replica.connect().value(format!("REPLICAOF 127.0.0.1 {}", primary.port()));
}

#[test]
fn whatever_happens_no_id_is_handed_out_twice() {
    let mut world = World {
        servers: trio(),
        helped: 0,
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
        println!("{}; an operator helped {} times", world.story.join(", "), world.helped);
    });
}
