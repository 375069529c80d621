//! Everything at once, in rounds: writes are paused, primaries hand over, links are cut, clients are sent away, servers
//! freeze for a moment, while clients hold, gather and reserve all the time. The servers go on, and what was promised
//! stays true.
//!
//! ```text
//!   caller.rs     a client that finds its way, and sums of what it has done
//!   holds.rs      holds that are committed, released, or left to expire
//!   totals.rs     increments of shards, and what they come to
//!   cluster.rs    three primaries, a replica each
//!   pair.rs       a primary and its replica
//! ```
//!
//! Left out is what a plain server does not survive: Redis 7.0 ends itself at CLIENT UNBLOCK of a client that waits for
//! the end of CLIENT PAUSE (`Unknown btype in replyToBlockedClientTimedOut()`), so nobody is unblocked in a pause.

mod caller;
mod cluster;
mod holds;
mod pair;
mod totals;

use crate::fence::{Checker, Crowd, End, Run};
use crate::harness::*;
use caller::Address;
use holds::Stock;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;
use std::time::Duration;
use totals::Views;

/// The longest pause of a server, which is shorter than the time after which it counts as failed.
const PAUSE_MAX_MS: u64 = 600;

/// Longer than any reservation waits.
const LONG_PAUSE: &str = "CLIENT PAUSE 60000 WRITE";

/// As many ids as no window has.
const MORE_THAN_A_WINDOW: &str = "100000";

/// What must never be in the log of a server.
const ALARMS: [&str; 3] = ["ASSERTION FAILED", "crashed by signal", "panicked"];

/// What the threads of a test share.
struct Stage {
    seed: u64,
    addresses: Vec<Address>,
    is_over: AtomicBool,
    /// Whether anything was done by which a server may lose what it has acknowledged.
    is_lossy: AtomicBool,
    /// Whether a client has met what it must not.
    is_broken: AtomicBool,
}

impl Stage {
    fn of(servers: &[&Server]) -> Self {
        let addresses = servers.iter().map(|server| Address::of(server)).collect();
        Self {
            seed: seed(),
            addresses,
            is_over: AtomicBool::new(false),
            is_lossy: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
        }
    }

    /// The chance of one client.
    fn chance(&self, number: usize) -> StdRng {
        StdRng::seed_from_u64(self.seed.wrapping_add(u64::try_from(number).expect("a number")))
    }

    fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }

    fn is_lossy(&self) -> bool {
        self.is_lossy.load(SeqCst)
    }

    /// From now on what was acknowledged may be lost.
    fn expect_losses(&self) {
        self.is_lossy.store(true, SeqCst);
    }

    /// Runs the clients for as long as `rounds` runs.
    fn endures<T>(&self, stock: &Stock, views: Option<&Views>, rounds: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            let end = End(&self.is_over);
            for number in 0..holds::HOLDERS {
                scope.spawn(move || self.watched(|| stock.hold(self, number)));
            }
            if let Some(views) = views {
                for number in 0..totals::WRITERS {
                    scope.spawn(move || self.watched(|| views.write(self, number)));
                }
                for number in 0..totals::WATCHERS {
                    scope.spawn(move || self.watched(|| views.watch(self, number)));
                }
            }
            let result = rounds();
            drop(end);
            result
        })
    }

    /// Does the work of a client; whoever leads the rounds learns that it failed.
    fn watched(&self, work: impl FnOnce()) {
        let alarm = Alarm(&self.is_broken);
        work();
        drop(alarm);
    }

    /// Fails when a client has failed.
    #[track_caller]
    fn assert_whole(&self) {
        assert!(!self.is_broken.load(SeqCst), "a client has met what it must not, see above");
    }
}

/// Tells of a panic.
struct Alarm<'a>(&'a AtomicBool);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, SeqCst);
        }
    }
}

/// The servers, with the processes that they were in the beginning.
struct Processes(Vec<String>);

impl Processes {
    #[track_caller]
    fn of(servers: &[&Server]) -> Self {
        Self(servers.iter().map(|server| process(server)).collect())
    }

    /// They are the same ones still, nothing in them has gone wrong, and nobody waits.
    #[track_caller]
    fn assert_unharmed(&self, servers: &[&Server]) {
        for (server, before) in servers.iter().zip(&self.0) {
            assert_eq!(process(server), *before, "the process that was started");
            let mut client = server.connect();
            assert_eq!(client.numbers()["panics"], 0, "panics of the module");
            let log = server.log();
            assert_eq!(log.lines().find(|line| ALARMS.iter().any(|alarm| line.contains(alarm))), None);
            wait_until("nobody waits", PATIENCE, || {
                client.numbers()["fence_waiting"] == 0 && client.fields("INFO clients")["blocked_clients"] == "0"
            });
        }
    }
}

/// The number of the process that answers, which is the one that was started.
#[track_caller]
fn process(server: &Server) -> String {
    let id = server.connect().fields("INFO server")["process_id"].clone();
    assert_eq!(id, server.pid().to_string());
    id
}

/// Lets the clients get on for a while, or until they have got so many ids.
fn go_on(crowd: &Crowd, chance: &mut StdRng, longest_ms: u64) {
    let goal = crowd.granted() + chance.random_range(1..500);
    holds_within(Duration::from_millis(chance.random_range(1..=longest_ms)), || crowd.granted() >= goal);
}

/// Nobody may write, or nobody may do anything, for so long or until it is taken back.
fn pause(server: &Server, crowd: &Crowd, chance: &mut StdRng) {
    let (ms, mut client) = (chance.random_range(10..=PAUSE_MAX_MS), server.connect());
    if chance.random_bool(0.5) {
        client.ok(format!("CLIENT PAUSE {ms} ALL"));
        client.text("PING"); // whoever is paused is answered when it has run out
    } else {
        client.ok(format!("CLIENT PAUSE {ms} WRITE"));
        if chance.random_bool(0.5) {
            go_on(crowd, chance, ms);
            client.ok("CLIENT UNPAUSE");
        }
        may_write(&mut client);
    }
}

/// Waits until the server lets clients write. Whoever publishes must be let to write, and any node publishes.
fn may_write(client: &mut Client) {
    client.int("PUBLISH turmoil over");
}

/// Reservations wait for a replica that is frozen, nobody may write, and they are answered for being late.
fn pause_those_that_wait(primary: &Server, replica: &Server) {
    replica.pause();
    let mut client = primary.connect();
    wait_until("reservations wait", PATIENCE, || client.numbers()["fence_waiting"] > 0);
    client.ok(LONG_PAUSE);
    wait_until("they have been answered", PATIENCE, || client.numbers()["fence_waiting"] == 0);
    replica.resume();
    client.ok("CLIENT UNPAUSE");
}

/// Ends the wait of everybody who waits in a command of ours, in one way or another.
fn unblock(server: &Server, chance: &mut StdRng) {
    let mut client = server.connect();
    holds_within(Duration::from_millis(PAUSE_MAX_MS), || client.fields("INFO clients")["blocked_clients"] != "0");
    may_write(&mut client); // nobody waits for the end of a pause
    for line in client.text("CLIENT LIST").lines() {
        let field = |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name));
        if field("flags=").is_some_and(|flags| flags.contains('b')) {
            let way = if chance.random_bool(0.5) { "TIMEOUT" } else { "ERROR" };
            client.int(format!("CLIENT UNBLOCK {} {way}", field("id=").expect("an id")));
        }
    }
}

/// Whoever has to wait for ids gets them, once there is peace and nobody else takes them.
#[track_caller]
fn assert_serves(server: &Server, checker: &Checker, node: usize) {
    let mut client = server.connect();
    client.ok(format!("CONFIG SET tallybook.fence-wait {}", PATIENCE.as_millis()));
    let reply = client.value(["IDBLOCK.RESERVE", checker.name(), MORE_THAN_A_WINDOW]);
    checker.note(&Run::read(&reply), node);
}

/// A server that is silent for a moment.
fn freeze(server: &Server, crowd: &Crowd, chance: &mut StdRng) {
    server.pause();
    go_on(crowd, chance, PAUSE_MAX_MS);
    server.resume();
}

/// Sends clients away: `normal` ones, or replicas.
fn kill_clients(server: &Server, kind: &str) {
    server.connect().int(format!("CLIENT KILL TYPE {kind}"));
}
