//! A primary and its replica, which hand over to each other, are promoted by hand, and go back.

use super::{
    Processes, Stage, Stock, assert_serves, freeze, go_on, kill_clients, may_write, pause, pause_those_that_wait,
    unblock,
};
use crate::fence::{Checker, Crowd, Operator, address, are_electable, create, is_primary, opens_a_window, safe};
use crate::harness::*;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::time::{Duration, Instant};

/// Windows that are smaller than many a reservation, so that it has to wait.
const KINDS: [(&str, i64, &str); 3] =
    [("narrow", 1, "FENCE 50"), ("strided", 3, "FENCE 30 START 5 INCREMENT 3"), ("clock", 1, "CLOCK 10")];

/// A replica connects again within a second.
const SELF_HELP: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    HandOver,
    HandOverTo,
    HandOverByForce,
    /// The replica is frozen until clients are late, and then the primary keeps its role.
    Abort,
    /// Writes are paused twice at the same time.
    PauseInHandOver,
    Pause,
    PauseThoseThatWait,
    Promote,
    PromoteAndUndo,
    KillClients,
    CutReplica,
    Unblock,
    Freeze,
}

use Event::{
    Abort, CutReplica, Freeze, HandOver, HandOverByForce, HandOverTo, KillClients, Pause, PauseInHandOver,
    PauseThoseThatWait, Promote, PromoteAndUndo, Unblock,
};

const EVENTS: [Event; 20] = [
    HandOver,
    Abort,
    PauseInHandOver,
    PromoteAndUndo,
    HandOverTo,
    Promote,
    Pause,
    HandOverByForce,
    PauseThoseThatWait,
    Unblock,
    KillClients,
    Freeze,
    CutReplica,
    HandOver,
    Abort,
    Pause,
    PauseInHandOver,
    HandOverTo,
    PauseThoseThatWait,
    HandOverByForce,
];

struct World<'a> {
    servers: [&'a Server; 2],
    crowd: &'a Crowd,
    stage: &'a Stage,
    chance: StdRng,
    /// Which of them is the primary.
    primary: usize,
    helped: usize,
}

impl<'a> World<'a> {
    fn primary(&self) -> &'a Server {
        self.servers[self.primary]
    }

    fn replica(&self) -> &'a Server {
        self.servers[1 - self.primary]
    }

    fn suffer(&mut self, event: Event) {
        let (primary, replica, crowd) = (self.primary(), self.replica(), self.crowd);
        let any = self.servers[self.chance.random_range(0..2)];
        let began = Instant::now();
        match event {
            HandOver => self.hand_over("FAILOVER"),
            HandOverTo => self.hand_over(&format!("FAILOVER TO 127.0.0.1 {}", replica.port())),
            HandOverByForce => self.hand_over_by_force(),
            Abort => self.abort(),
            PauseInHandOver => self.pause_in_hand_over(),
            Pause => pause(any, crowd, &mut self.chance),
            PauseThoseThatWait => pause_those_that_wait(primary, replica),
            Promote => self.promote(),
            PromoteAndUndo => self.promote_and_undo(),
            KillClients => kill_clients(any, "normal"),
            CutReplica => kill_clients(primary, "replica"),
            Unblock => unblock(primary, &mut self.chance),
            Freeze => freeze(any, crowd, &mut self.chance),
        }
        let took = began.elapsed();
        go_on(crowd, &mut self.chance, scale(100, 500));
        self.settle();
        println!("{event:?} under {}: {took:?}, well after {:?}", address(primary), began.elapsed());
        self.stage.assert_whole();
    }

    fn hand_over(&mut self, command: &str) {
        self.primary().connect().ok(command);
        self.wait_for_roles();
    }

    /// The replica is frozen, so that it lacks what happened meanwhile.
    fn hand_over_by_force(&mut self) {
        self.replica().pause();
        go_on(self.crowd, &mut self.chance, 100);
        let failover = format!("FAILOVER TO 127.0.0.1 {} TIMEOUT 1 FORCE", self.replica().port());
        self.primary().connect().ok(failover);
        self.replica().resume();
        self.wait_for_roles();
    }

    /// Begins to hand over to a replica that is frozen, with clients that wait.
    fn begin_to_hand_over(&mut self) -> Client {
        let mut client = self.primary().connect();
        self.replica().pause();
        wait_until("reservations wait", PATIENCE, || client.numbers()["fence_waiting"] > 0);
        client.ok(format!("FAILOVER TO 127.0.0.1 {}", self.replica().port()));
        client
    }

    fn abort(&mut self) {
        let mut client = self.begin_to_hand_over();
        wait_until("they have been answered", PATIENCE, || client.numbers()["fence_waiting"] == 0);
        client.ok("FAILOVER ABORT");
        may_write(&mut client);
        self.replica().resume();
    }

    fn pause_in_hand_over(&mut self) {
        let mut client = self.begin_to_hand_over();
        client.ok("CLIENT PAUSE 200 WRITE");
        go_on(self.crowd, &mut self.chance, 300);
        if self.chance.random_bool(0.5) {
            client.ok("CLIENT UNPAUSE");
        }
        self.replica().resume();
        self.wait_for_roles();
    }

    /// Waits until the replica has taken over.
    fn wait_for_roles(&mut self) {
        let (old, new) = (self.primary(), self.replica());
        wait_until("the replica has taken over", PATIENCE, || {
            is_primary(&mut new.connect()) && !is_primary(&mut old.connect())
        });
        self.primary = 1 - self.primary;
    }

    fn promote(&mut self) {
        self.replica().connect().ok("REPLICAOF NO ONE");
        go_on(self.crowd, &mut self.chance, 300);
        follow(self.primary(), self.replica());
        self.primary = 1 - self.primary;
    }

    fn promote_and_undo(&mut self) {
        self.replica().connect().ok("REPLICAOF NO ONE");
        go_on(self.crowd, &mut self.chance, 300);
        follow(self.replica(), self.primary());
    }

    /// Waits until the replica follows and ids are handed out again; an operator does what the logs say.
    fn settle(&mut self) {
        let (primary, replica, node) = (self.primary(), self.replica(), self.primary);
        let mut client = primary.connect();
        let crowd = self.crowd;
        let operator = Operator::new(self.servers, crowd).after(SELF_HELP);
        // The mark of a clock is raised by the time, not by what is reserved.
        let furthest = |checker: &Checker| match checker.name() {
            "clock" => 0,
            name => self.servers.iter().map(|server| safe(&mut server.connect(), name)).max().expect("servers"),
        };
        let before: Vec<i64> = crowd.checkers().iter().map(furthest).collect();
        let helped = operator.sees_to(
            PATIENCE * 2,
            || Some(primary),
            || {
                are_electable(&mut client, &[replica])
                    && crowd
                        .checkers()
                        .iter()
                        .zip(&before)
                        .all(|(checker, before)| opens_a_window(&mut client, *before, checker, node))
            },
        );
        self.helped += helped.unwrap_or_else(|| panic!("no window is opened: {}", client.show("IDBLOCK.FENCE")));
    }
}

fn follow(replica: &Server, primary: &Server) {
    replica.connect().value(format!("REPLICAOF 127.0.0.1 {}", primary.port()));
}

#[test]
fn a_pair_in_turmoil_keeps_its_promises() {
    let builder = || Server::builder().port().config("appendonly", "yes");
    let pair = [builder().start(), builder().start()];
    let servers = [&pair[0], &pair[1]];
    follow(servers[1], servers[0]);
    let (processes, stage) = (Processes::of(&servers), Stage::of(&servers));
    let mut client = servers[0].connect();
    let stock = Stock::create(&mut client);
    KINDS.iter().for_each(|(key, _, options)| create(&mut client, key, options));
    synced(servers[0], servers[1]);
    let checkers = KINDS.map(|(key, increment, _)| Checker::new(key).of_increment(increment));
    let crowd = Crowd::new(servers, checkers.into()).with_clients(3, 1).with_pause(Duration::from_millis(2));
    let mut chance = StdRng::seed_from_u64(stage.seed);
    let mut events: Vec<Event> = EVENTS.iter().copied().cycle().take(scale(10, 200)).collect();
    events.shuffle(&mut chance);
    stage.expect_losses();
    let world = crowd.endures(|_| {
        let mut world = World { servers, crowd: &crowd, stage: &stage, chance, primary: 0, helped: 0 };
        stage.endures(&stock, None, || {
            world.settle();
            events.iter().for_each(|event| world.suffer(*event));
        });
        world
    });
    stock.assert_settles(world.primary(), &stage);
    let checker = crowd.checker("narrow");
    assert_serves(world.primary(), checker, world.primary);
    checker.assert_unique();
    synced(world.primary(), world.replica());
    assert_same_digests(&world.primary().digests(), &world.replica().digests());
    processes.assert_unharmed(&servers);
    println!("{} rounds, an operator helped {} times", events.len(), world.helped);
}
