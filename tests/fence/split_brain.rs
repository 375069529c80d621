//! Two primaries at once: the replica is promoted while clients go on using the old primary, then roles swap.
//!
//! Jepsen's Redis lost 56 % of its acknowledged writes here (aphyr.com/posts/283), and whatever INCR gave out
//! meanwhile, it gives out again: the control.

use super::{Checker, End, address, create, drain, reserve, try_reserve, wait_for_electable, wait_for_window};
use crate::harness::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// Of the allocator that must last: half of it is always left.
const WINDOW: i64 = 20_000;
/// Ids that the old primary must hand out after the first of the new one.
const OVERLAP: u64 = 100;
/// Increments of the control on either side, in every round.
const CONTROLS: u64 = 50;
/// Clients that go on using the old primary, one id at a time and with this pause between, so that it lasts.
const CLIENTS: usize = 2;
const PAUSE: Duration = Duration::from_millis(2);

/// Two servers, who of them is the primary, and all that they ever gave out.
struct Brain {
    servers: [Server; 2],
    primary: usize,
    window: Checker,
    auto: Checker,
    clock: Checker,
    control: Checker,
}

impl Brain {
    fn start(builder: &Builder) -> Self {
        let Pair { primary, replica } = Pair::start_with(builder.clone(), builder.clone());
        let mut client = primary.connect();
        create(&mut client, "window", &format!("FENCE {WINDOW}"));
        create(&mut client, "auto", "");
        create(&mut client, "clock", "CLOCK 10");
        let [window, auto, clock, control] = ["window", "auto", "clock", "control"].map(Checker::new);
        Self { servers: [primary, replica], primary: 0, window, auto, clock, control }
    }

    /// The window is full and was acknowledged in this term; the control is replicated.
    fn settle(&self) {
        let (primary, replica) = (&self.servers[self.primary], &self.servers[1 - self.primary]);
        let mut client = primary.connect();
        wait_for_electable(primary, &[replica]);
        (0..2).for_each(|_| wait_for_window(&mut client, &self.window, self.primary));
        self.use_others(self.primary);
        synced(primary, replica);
    }

    /// Some ids of the other allocators, as long as there are any.
    fn use_others(&self, node: usize) {
        let mut client = self.servers[node].connect();
        for (checker, block) in [(&self.auto, 1), (&self.clock, 100)] {
            for count in 1..20 {
                if let Ok(run) = try_reserve(&mut client, args!["IDBLOCK.RESERVE", checker.name(), count * block]) {
                    checker.note(&run, node);
                }
            }
        }
    }

    /// One promotion, with clients on the old primary from before it until its window is used up.
    fn split(&mut self, chance: &mut StdRng) {
        let (old, new) = (self.primary, 1 - self.primary);
        let is_over = AtomicBool::new(false);
        let refusal = thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let (socket, checker, is_over) = (self.servers[old].socket(), &self.window, &is_over);
                scope.spawn(move || stay(socket, checker, old, is_over));
            }
            let end = End(&is_over);
            self.promote(new, chance);
            let refusal = self.use_both(old, new);
            drop(end);
            refusal
        });
        let replica = address(&self.servers[new]);
        assert!(refusal.contains(&replica), "an isolated primary waits for {replica}, got {refusal}");
        self.primary = new;
    }

    /// With or without a cut before it: a link that is cut comes back at once.
    fn promote(&self, new: usize, chance: &mut StdRng) {
        if chance.random_bool(0.5) {
            self.servers[1 - new].connect().value("CLIENT KILL TYPE replica");
        }
        self.servers[new].connect().ok("REPLICAOF NO ONE");
    }

    /// The new primary hands out ids, then the old one until it must stop, and they take turns at the rest.
    fn use_both(&self, old: usize, new: usize) -> String {
        let mut clients = [self.servers[old].connect(), self.servers[new].connect()];
        let first = reserve(&mut clients[1], "IDBLOCK.RESERVE window 10");
        self.window.note(&first, new);
        let before = self.window.ids();
        for _ in 0..10 {
            for (client, node) in clients.iter_mut().zip([old, new]) {
                self.window.note(&reserve(client, "IDBLOCK.RESERVE window 100"), node);
            }
        }
        assert!(self.window.ids() - before >= 2 * OVERLAP, "both sides must hand out ids");
        for (client, node) in clients.iter_mut().zip([old, new]) {
            self.use_others(node);
            (0..CONTROLS).for_each(|_| self.control.note_one(client.int("INCR control"), node));
        }
        drain(&mut clients[0], "IDBLOCK.RESERVE window 100", &self.window, old)
    }

    /// The old primary becomes a replica and forgets what only it knew.
    fn heal(&self) {
        let (primary, replica) = (&self.servers[self.primary], &self.servers[1 - self.primary]);
        replica.connect().ok(format!("REPLICAOF 127.0.0.1 {}", primary.port()));
        synced(primary, replica);
    }
}

/// A client that asks one server for one id after the other.
fn stay(socket: PathBuf, checker: &Checker, node: usize, is_over: &AtomicBool) {
    let mut client = Client::connect(&socket).expect("a connection");
    while !is_over.load(Relaxed) {
        if let Ok(run) = try_reserve(&mut client, "IDBLOCK.NEXT window") {
            checker.note(&run, node);
        }
        holds_within(PAUSE, || is_over.load(Relaxed));
    }
}

#[test]
fn two_primaries_at_once_hand_out_no_id_twice() {
    are_two_at_once(&Server::builder(), scale(4, 200), scale(20_000, 1_000_000));
}

/// The other ways of a dataset to a replica, and of ids to the disk.
#[test]
fn two_primaries_that_sync_without_a_disk_hand_out_no_id_twice() {
    let builder = Server::builder().config("repl-diskless-sync", "yes").config("repl-diskless-load", "swapdb");
    are_two_at_once(&builder.config("appendonly", "yes"), scale(2, 50), 10_000);
}

#[track_caller]
fn are_two_at_once(builder: &Builder, rounds: u64, ids: u64) {
    let mut chance = StdRng::seed_from_u64(seed());
    let mut brain = Brain::start(builder);
    for _ in 0..rounds {
        brain.settle();
        brain.split(&mut chance);
        brain.heal();
    }
    for checker in [&brain.window, &brain.auto, &brain.clock, &brain.control] {
        println!("{}: {} ids, {} twice", checker.name(), checker.ids(), checker.repeated());
    }
    for checker in [&brain.window, &brain.auto, &brain.clock] {
        checker.assert_unique();
    }
    assert!(brain.window.ids() >= ids, "{} ids", brain.window.ids());
    assert!(brain.control.repeated() >= rounds * CONTROLS / 2, "INCR must repeat itself where the fence does not");
}
