//! Who must acknowledge, who need not, and how an operator says so.

use super::{Checker, End, Fence, address, create, drain, field, reserve, reserve_times, trio, wait_for_electable};
use crate::harness::*;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

const FORGET: &str = "IDBLOCK.FENCE FORGET";

/// A pair whose allocator has handed out ids, and the ids.
struct Fenced {
    pair: Pair,
    checker: Checker,
}

impl Fenced {
    fn start() -> Self {
        let fenced = Self { pair: Pair::start(), checker: Checker::new("ids") };
        create(&mut fenced.pair.primary.connect(), "ids", "FENCE 500");
        wait_for_electable(&fenced.pair.primary, &[&fenced.pair.replica]);
        fenced.reserve(100);
        fenced.pair.synced();
        fenced
    }

    /// So many reservations of ten.
    fn reserve(&self, count: usize) {
        let mut client = self.pair.primary.connect();
        reserve_times(count, &mut client, "IDBLOCK.RESERVE ids 10", &self.checker, 0);
    }

    /// The refusal that comes once the window is used up.
    fn drain(&self) -> String {
        drain(&mut self.pair.primary.connect(), "IDBLOCK.RESERVE ids 10", &self.checker, 0)
    }
}

/// `redis-cli --replica`, which takes the stream and never acknowledges.
struct Listener(Child);

impl Listener {
    fn attach(server: &Server) -> Self {
        let mut cli = Command::new("redis-cli");
        cli.args(["-p", &server.port().to_string(), "--replica"]);
        let child = cli.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("redis-cli");
        server.connect().wait_for_field("INFO replication", "connected_slaves", "1");
        Self(child)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it may have ended by itself
        let _ = self.0.wait();
    }
}

#[test]
fn whoever_only_listens_stops_nobody() {
    let server = Server::builder().port().start();
    let mut client = server.connect();
    create(&mut client, "ids", "FENCE 500");
    let checker = Checker::new("ids");
    let listener = Listener::attach(&server);
    let state = "the listener is online";
    wait_until(state, PATIENCE, || client.text("INFO replication").contains("state=online"));
    reserve_times(300, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    assert_eq!(Fence::of(&mut client).electable, []);
    drop(listener);
    client.wait_for_field("INFO replication", "connected_slaves", "0");
    reserve_times(300, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
}

/// A link that never acknowledges, which is a replica from its first acknowledgement on.
#[test]
fn a_follower_counts_from_its_first_acknowledgement() {
    let server = Server::builder().port().start();
    let mut client = server.connect();
    create(&mut client, "ids", "FENCE 500");
    let checker = Checker::new("ids");
    let mut follower = ReplicationStream::attach(&server);
    reserve_times(300, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    assert_eq!(Fence::of(&mut client).electable, []);
    follower.next_commands();
    follower.acknowledge();
    wait_until("the follower is electable", PATIENCE, || Fence::of(&mut client).electable.len() == 1);
    let refusal = drain(&mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    assert!(refusal.starts_with("UNFENCED "), "{refusal}");
}

#[test]
fn a_replica_that_is_gone_stops_the_allocator_until_it_is_forgotten() {
    let mut fenced = Fenced::start();
    let (gone, mut client) = (address(&fenced.pair.replica), fenced.pair.primary.connect());
    assert!(client.error(format!("{FORGET} {gone}")).starts_with("ERR "), "it is connected");
    fenced.pair.replica.kill();
    let refusal = fenced.drain();
    assert!(refusal.contains(&gone), "{refusal}");
    wait_until("it is gone", PATIENCE, || Fence::of(&mut client).nodes("gone") == [gone.as_str()]);
    let advice = format!("{FORGET} {gone}");
    let waiting_for = field(&mut client, "ids", "fence-waiting-for");
    assert!(waiting_for.contains(&advice), "{waiting_for}");
    wait_until("the log names the command", PATIENCE, || fenced.pair.primary.log().contains(&advice));
    assert!(client.error(format!("{FORGET} 127.0.0.1:1")).starts_with("ERR "), "nobody knows it");
    client.ok(advice);
    assert_eq!(Fence::of(&mut client).electable, []);
    fenced.reserve(200);
    fenced.checker.assert_unique();
}

#[test]
fn a_replica_that_comes_back_releases_the_allocator() {
    let mut fenced = Fenced::start();
    fenced.pair.replica.kill();
    fenced.drain();
    fenced.pair.replica.restart();
    fenced.reserve(200);
    assert_eq!(Fence::of(&mut fenced.pair.primary.connect()).nodes("online"), [address(&fenced.pair.replica)]);
}

#[test]
fn a_replica_that_was_forgotten_and_comes_back_counts_again() {
    let mut fenced = Fenced::start();
    let (gone, mut client) = (address(&fenced.pair.replica), fenced.pair.primary.connect());
    fenced.pair.replica.kill();
    wait_until("it may be forgotten", PATIENCE, || client.call(format!("{FORGET} {gone}")).is_ok());
    fenced.reserve(200);
    fenced.pair.replica.restart();
    wait_for_electable(&fenced.pair.primary, &[&fenced.pair.replica]);
    fenced.reserve(200);
    fenced.pair.replica.pause();
    assert!(fenced.drain().contains(&gone));
    fenced.pair.replica.resume();
    fenced.checker.assert_unique();
}

#[test]
fn as_many_replicas_as_demanded_must_be_there() {
    let primary = Server::builder().port().config("tallybook.fence-replicas", 1).start();
    let mut client = primary.connect();
    create(&mut client, "ids", "");
    assert!(client.error("IDBLOCK.RESERVE ids 10").starts_with("UNFENCED "));
    let _replica = Server::builder().replica_of(&primary).start();
    reserve(&mut client, "IDBLOCK.RESERVE ids 10");
    client.ok("CONFIG SET tallybook.fence-replicas 2");
    let refusal = drain(&mut client, "IDBLOCK.RESERVE ids 10", &Checker::new("ids"), 0);
    assert!(refusal.starts_with("UNFENCED "), "{refusal}");
    client.ok("CONFIG SET tallybook.fence-replicas 0");
    reserve(&mut client, "IDBLOCK.RESERVE ids 10");
}

#[test]
fn a_primary_that_restarts_alone_remembers_its_replica() {
    let mut fenced = Fenced::start();
    let gone = address(&fenced.pair.replica);
    fenced.pair.primary.connect().ok("SAVE");
    fenced.pair.replica.kill();
    fenced.pair.primary.kill();
    fenced.pair.primary.restart();
    let error = fenced.pair.primary.connect().error("IDBLOCK.RESERVE ids 10");
    assert!(error.starts_with("UNFENCED ") && error.contains(&gone), "{error}");
    fenced.pair.replica.restart();
    fenced.reserve(100);
    fenced.checker.assert_unique();
}

#[test]
fn a_promoted_replica_waits_for_its_sibling_alone() {
    let mut servers = trio();
    let checker = Checker::new("ids");
    let mut client = servers[0].connect();
    create(&mut client, "ids", "FENCE 500");
    wait_for_electable(&servers[0], &[&servers[1], &servers[2]]);
    reserve_times(100, &mut client, "IDBLOCK.RESERVE ids 10", &checker, 0);
    servers[0].kill();
    let mut heir = servers[1].connect();
    heir.ok("REPLICAOF NO ONE");
    let error = heir.error("IDBLOCK.RESERVE ids 10");
    assert!(error.starts_with("UNFENCED ") && error.contains(&address(&servers[2])), "{error}");
    assert!([&servers[0], &servers[1]].iter().all(|server| !error.contains(&address(server))), "{error}");
    servers[2].connect().ok(format!("REPLICAOF 127.0.0.1 {}", servers[1].port()));
    reserve_times(100, &mut heir, "IDBLOCK.RESERVE ids 10", &checker, 1);
    servers[0].restart();
    servers[0].connect().ok(format!("REPLICAOF 127.0.0.1 {}", servers[1].port()));
    wait_for_electable(&servers[1], &[&servers[0], &servers[2]]);
    reserve_times(100, &mut heir, "IDBLOCK.RESERVE ids 10", &checker, 1);
    checker.assert_unique();
}

/// In a pause of writes the primary sends its snapshot, but tells nobody who must acknowledge.
#[test]
fn a_replica_that_never_heard_from_its_primary_does_not_take_over_unasked() {
    let mut primary = Server::builder().port().start();
    let checker = Checker::new("ids");
    let mut client = primary.connect();
    create(&mut client, "ids", "FENCE 500");
    checker.note(&reserve(&mut client, "IDBLOCK.RESERVE ids 10"), 0);
    client.ok("CLIENT PAUSE 60000 WRITE");
    let replica = Server::builder().replica_of(&primary).start();
    let mut heir = replica.connect();
    heir.wait_for_field("INFO replication", "master_link_status", "up");
    heir.ok("REPLICAOF NO ONE");
    let error = heir.error("IDBLOCK.RESERVE ids 10");
    assert!(error.starts_with("UNFENCED ") && error.contains(&address(&primary)), "{error}");
    primary.kill(); // what FORGET claims
    heir.ok(format!("{FORGET} {}", address(&primary)));
    let error = heir.error("IDBLOCK.RESERVE ids 10");
    assert!(error.contains("IDBLOCK.ADVANCE"), "{error}");
    let advance = args!["IDBLOCK.ADVANCE", "ids", checker.beyond()];
    wait_until("what FORGET demands is safe", PATIENCE, || heir.call(&advance).is_ok());
    reserve_times(100, &mut heir, "IDBLOCK.RESERVE ids 10", &checker, 1);
    checker.assert_unique();
}

/// Such as a replica that cannot load what it is sent, or one that leaves its primary since its promotion was undone.
#[test]
fn a_follower_that_comes_and_goes_holds_up_nobody() {
    let fenced = Fenced::start();
    let (is_over, visits) = (AtomicBool::new(false), AtomicUsize::new(0));
    let before = offset(&fenced.pair.primary);
    thread::scope(|scope| {
        let _end = End(&is_over);
        scope.spawn(|| {
            while !is_over.load(Relaxed) {
                drop(ReplicationStream::attach(&fenced.pair.primary));
                visits.fetch_add(1, Relaxed);
            }
        });
        for _ in 0..scale(5, 50) {
            let goal = visits.load(Relaxed) + 10;
            wait_until("the visitor has come again", PATIENCE, || visits.load(Relaxed) >= goal);
            fenced.reserve(200);
        }
    });
    let sent = offset(&fenced.pair.primary) - before;
    println!("{visits:?} visits, {sent} bytes sent");
    assert!(sent < scale(500_000, 5_000_000), "{sent} bytes sent to replicas");
    assert_eq!(Fence::of(&mut fenced.pair.primary.connect()).nodes("online"), [address(&fenced.pair.replica)]);
    fenced.checker.assert_unique();
}

/// How much a primary has sent to its replicas so far.
pub fn offset(primary: &Server) -> u64 {
    primary.connect().fields("INFO replication")["master_repl_offset"].parse().expect("an offset")
}

/// Nobody waits for the replica of a replica, so it may not issue.
#[test]
fn a_replica_of_a_replica_does_not_take_over_unasked() {
    let fenced = Fenced::start();
    let third = Server::builder().replica_of(&fenced.pair.replica).start();
    synced(&fenced.pair.replica, &third);
    fenced.reserve(200);
    assert_eq!(Fence::of(&mut fenced.pair.primary.connect()).nodes("online"), [address(&fenced.pair.replica)]);
    let mut heir = third.connect();
    heir.ok("REPLICAOF NO ONE");
    let error = heir.error("IDBLOCK.RESERVE ids 10");
    assert!(error.starts_with("UNFENCED ") && error.contains(&address(&fenced.pair.replica)), "{error}");
    fenced.reserve(200);
    fenced.checker.assert_unique();
}
