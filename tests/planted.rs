//! A panic wherever the server calls the module, planted with `CONFIG SET tallybook.plant`: the caller hears of an
//! internal error, the log names the place, the keys stay as they were, and the server goes on.

use crate::defrag;
use crate::documents::{source, sources};
use crate::harness::*;
use std::collections::BTreeSet;

const INTERNAL: &str = "ERR internal error, see the server log";

/// A server with a value of each type, and the digest of all of it.
struct World {
    server: Server,
    client: Client,
    before: String,
}

impl World {
    fn new() -> Self {
        Self::with(Server::builder())
    }

    fn with(builder: Builder) -> Self {
        let server = builder.planted().port().start();
        let mut client = server.connect();
        client.ok("SCOUNTER.CREATE views INITIAL 5 LOG MAXLEN 10");
        client.ok("IDBLOCK.CREATE ids FENCE OFF");
        client.ok("IDBLOCK.CREATE fenced FENCE 100");
        wait_until("the journal is written", PATIENCE, || client.call("IDBLOCK.RESERVE fenced 10").is_ok());
        let before = server.digest();
        World { server, client, before }
    }

    fn plant(&mut self, place: &str) {
        self.client.ok(["CONFIG", "SET", "tallybook.plant", place]);
    }

    /// How often a planted panic is in the log.
    fn strikes(&self, place: &str) -> usize {
        let log = self.server.log();
        log.lines().filter(|line| line.contains("planted at ") && line.contains(place)).count()
    }

    fn wait_for_strike(&self, place: &str) {
        assert!(holds_within(PATIENCE, || self.strikes(place) == 1), "no panic in {place}: {}", self.server.log());
    }

    /// The panic was named once, with its file and line, and nothing else has happened.
    fn assert_untouched(&mut self, place: &str) {
        assert_eq!(self.strikes(place), 1, "{place}: {}", self.server.log());
        assert!(self.server.log().contains("src/host/planted.rs:"), "a file and a line");
        assert_eq!(self.server.digest(), self.before, "{place}");
        assert_eq!(self.client.int("SCOUNTER.GET views"), 5, "{place}");
    }
}

#[test]
fn a_command_that_panics_is_an_internal_error() {
    for command in [
        "SCOUNTER.INCR views",
        "SCOUNTER.INCR new",
        "SCOUNTER.MINCR views 1 new 1",
        "SCOUNTER.GET views",
        "SCOUNTER.EFFECT views payload",
        "IDBLOCK.RESERVE ids 5",
        "IDBLOCK.RESERVE fenced 5",
        "IDBLOCK.CREATE new",
        "IDBLOCK.FENCE",
    ] {
        let mut world = World::new();
        world.plant("register::run<");
        assert_eq!(world.client.error(command), INTERNAL);
        world.assert_untouched("register::run<");
    }
}

#[test]
fn a_client_that_waits_hears_of_a_panic() {
    for (place, wait_ms) in [("register::again<", 60_000), ("register::late", 50)] {
        let mut world = World::new();
        world.client.ok("CONFIG SET tallybook.fence-replicas 1");
        world.client.ok(args!["CONFIG", "SET", "tallybook.fence-wait", wait_ms]);
        world.plant(place);
        let mut waiting = world.server.connect();
        waiting.send("IDBLOCK.RESERVE fenced 1000").expect("sent");
        world.client.wait_for_field("INFO clients", "blocked_clients", "1");
        if wait_ms > PATIENCE.as_millis() {
            world.client.ok("CONFIG SET tallybook.fence-replicas 0");
        }
        assert_eq!(waiting.receive(), Err(INTERNAL.to_owned()), "{place}");
        assert_eq!(world.strikes(place), 1);
    }
    let mut world = World::new();
    world.client.ok("CONFIG SET tallybook.fence-replicas 1");
    world.client.ok("CONFIG SET tallybook.fence-wait 60000");
    world.plant("park::left");
    let mut leaving = world.server.connect();
    leaving.send("IDBLOCK.RESERVE fenced 1000").expect("sent");
    world.client.wait_for_field("INFO clients", "blocked_clients", "1");
    drop(leaving);
    world.wait_for_strike("park::left");
    world.client.wait_for_field("INFO clients", "blocked_clients", "0");
    assert_eq!(world.client.int("SCOUNTER.GET views"), 5);
}

#[test]
fn a_value_that_cannot_be_loaded_or_measured_leaves_the_others_alone() {
    let mut world = World::new();
    let dump = world.client.bytes("DUMP views");
    world.plant("value_type::rdb_load<");
    assert_eq!(world.client.error(args!["RESTORE", "copy", 0, dump]), "ERR Bad data format");
    world.assert_untouched("value_type::rdb_load<");
    for (place, command) in [
        ("value_type::digest<", "DEBUG DIGEST"),
        ("value_type::mem_usage<", "MEMORY USAGE views"),
        ("value_type::copy<", "COPY views spare"),
        ("value_type::free_effort<", "UNLINK spare"),
        ("value_type::free<", "DEL spare"),
    ] {
        if command.ends_with(" spare") && place != "value_type::copy<" {
            world.client.int("SCOUNTER.INCR spare");
        }
        world.plant(place);
        let _ = world.client.call(command); // there is no error to answer with
        world.assert_untouched(place);
    }
}

#[test]
fn a_value_that_cannot_be_moved_stays_where_it_is() {
    if !defrag::is_possible() {
        return;
    }
    let mut world = World::new();
    defrag::defragment(&mut world.client, 20_000);
    world.plant("defrag::defrag<");
    world.wait_for_strike("defrag::defrag<");
    assert_eq!(world.client.int("SCOUNTER.GET views"), 5);
}

#[test]
fn a_snapshot_that_cannot_be_written_fails() {
    for (place, command, busy, status) in [
        ("value_type::rdb_save<", "BGSAVE", "rdb_bgsave_in_progress", "rdb_last_bgsave_status"),
        ("value_type::aof_rewrite<", "BGREWRITEAOF", "aof_rewrite_in_progress", "aof_last_bgrewrite_status"),
    ] {
        let mut world = World::with(Server::builder().config("aof-use-rdb-preamble", "no"));
        for (planted, outcome) in [(place, "err"), ("", "ok")] {
            world.plant(planted); // for the child, too
            world.client.value(command);
            world.client.wait_for_field("INFO persistence", busy, "0");
            world.client.wait_for_field("INFO persistence", status, outcome);
        }
        world.assert_untouched(place);
        world.server.reload();
        world.assert_untouched(place);
    }
}

#[test]
fn a_setting_that_panics_keeps_its_value() {
    for (place, command, kept) in [
        ("config::get_number::", "CONFIG GET tallybook.fence-wait", ""),
        ("config::set_number::", "CONFIG SET tallybook.fence-wait 7", "CONFIG GET tallybook.fence-wait"),
        ("config::get_flag::", "CONFIG GET tallybook.fence-replica-sync", ""),
        ("config::set_flag::", "CONFIG SET tallybook.fence-replica-sync no", "CONFIG GET tallybook.fence-replica-sync"),
        ("config::get::", "CONFIG GET tallybook.log-default", ""),
        ("config::set::", "CONFIG SET tallybook.log-default MAXLEN", "CONFIG GET tallybook.log-default"),
    ] {
        let mut world = World::new();
        let before = if kept.is_empty() { String::new() } else { world.client.show(kept) };
        world.plant(place);
        let _ = world.client.call(command);
        world.assert_untouched(place);
        if !kept.is_empty() {
            assert_eq!(world.client.show(kept), before);
        }
    }
}

/// What makes a server tell its module of something; the other one may lead or follow it.
type Happening = fn(&mut World, &Server);

/// The places, what strikes there, and how a follower loads.
fn events() -> Vec<(&'static str, Happening, &'static str)> {
    fn follow(world: &mut World, other: &Server) {
        world.client.ok(format!("REPLICAOF 127.0.0.1 {}", other.port()));
        world.client.wait_for_field("INFO replication", "master_link_status", "up");
        world.client.ok("REPLICAOF NO ONE");
    }
    vec![
        ("event::role_changed::", follow, "disabled"),
        ("event::link_changed::", follow, "disabled"),
        ("event::loading::", follow, "disabled"),
        ("event::loading::", |world, _| world.server.reload(), "disabled"),
        (
            "event::loading::",
            |world, other| {
                // A follower that has lost touch loads beside its own dataset.
                world.server.pause();
                other.connect().value("CLIENT KILL TYPE replica");
                other.connect().pipeline((0..100).map(|_| args!["SET", "filler", "x".repeat(1000)]));
                world.server.resume();
            },
            "swapdb",
        ),
        (
            "event::replica_changed::",
            |world, other| other.connect().ok(format!("REPLICAOF 127.0.0.1 {}", world.server.port())),
            "disabled",
        ),
        ("event::cron::", |_, _| {}, "disabled"),
        ("event::event_loop::", |_, _| {}, "disabled"),
    ]
}

/// Not an id without knowing what happened: until a restart, the fence stays shut.
#[test]
fn a_fence_that_missed_something_stays_shut() {
    for (place, happen, load) in events() {
        let other =
            Server::builder().port().config("repl-diskless-sync", "yes").config("repl-backlog-size", "16kb").start();
        other.connect().ok("IDBLOCK.CREATE fenced FENCE 100");
        let mut world = World::with(Server::builder().durable().config("repl-diskless-load", load));
        if load == "swapdb" {
            world.client.ok(format!("REPLICAOF 127.0.0.1 {}", other.port()));
            world.client.wait_for_field("INFO replication", "master_link_status", "up");
        }
        world.plant(place);
        happen(&mut world, &other);
        world.wait_for_strike(place);
        world.client.ok("REPLICAOF NO ONE");
        let error = world.client.error("IDBLOCK.NEXT fenced");
        assert!(error.starts_with("UNFENCED "), "{place}: {error}");
        assert!(error.contains("a restart of this server, after the internal error in its log"), "{place}: {error}");
        assert!(world.server.log().contains("no fenced allocator hands out ids here"), "{place}");
        world.client.int("SCOUNTER.INCR views");
    }
    let mut world = World::with(Server::builder().durable());
    world.plant("event::cron::");
    world.wait_for_strike("event::cron::");
    world.server.stop();
    world.server.restart();
    assert_eq!(world.server.connect().list("IDBLOCK.RESERVE fenced 1").len(), 4);
}

/// Nothing depends on a warning. The setting that plants it is the change.
#[test]
fn a_change_of_settings_outlives_a_panic() {
    let mut world = World::new();
    world.plant("event::config_changed");
    world.assert_untouched("event::config_changed");
    assert_eq!(world.client.numbers()["panics"], 1);
}

/// Whoever looks for faults of memory must see some: `make sanitize` runs all tests under a checker.
#[test]
fn a_checker_of_memory_sees_what_is_planted() {
    if !is_sanitized() {
        return;
    }
    for (fault, name) in [("overflow", "heap-buffer-overflow"), ("use-after-free", "heap-use-after-free")] {
        let mut server = Server::builder().planted().expect_in_log("ERROR: AddressSanitizer").start();
        let lost = server.connect().call(["CONFIG", "SET", "tallybook.plant", fault]);
        assert!(lost.is_err_and(|error| error.starts_with("DISCONNECTED ")), "it goes on after {fault}");
        assert!(!server.exit().success(), "{fault}");
        assert!(server.log().contains(&format!("AddressSanitizer: {name}")), "{fault}: {}", server.log());
    }
}

/// A node in which a panic is planted.
fn plant(node: &Server, place: &str) {
    node.connect().ok(["CONFIG", "SET", "tallybook.plant", place]);
}

#[track_caller]
fn assert_struck(node: &Server, place: &str) {
    let is_struck = || node.log().lines().any(|line| line.contains("planted at ") && line.contains(place));
    assert!(holds_within(PATIENCE, is_struck), "no panic in {place}: {}", node.log());
}

#[test]
fn a_total_outlives_a_panic() {
    let cluster = Cluster::start_with(3, 0, Server::builder().planted());
    cluster.call("SCOUNTER.CREATE views SHARDS 64").expect("a counter");
    let home = cluster.node_for("views");
    let other = cluster.other_than(home);
    let total = |timeout_ms: u64| home.connect().call(args!["SCOUNTER.TOTAL", "views", "TIMEOUT", timeout_ms]);
    let zero = Ok(redis::Value::Int(0));

    plant(other, "bus::received"); // it is asked again
    assert_eq!(total(10_000), zero);
    assert_struck(other, "bus::received");
    plant(home, "bus::answered");
    assert_eq!(total(10_000), Err(INTERNAL.to_owned()));
    plant(home, "bus::forget");
    assert_eq!(total(10_000), zero);
    other.pause();
    let sent = || {
        home.connect().fields("CLUSTER INFO")["cluster_stats_messages_module_sent"].parse::<u64>().expect("a number")
    };
    let sent_before = sent();
    plant(home, "bus::rang"); // when it is time to ask again
    assert!(total(1_000).is_err_and(|error| error.starts_with("PARTIAL ")));
    assert_struck(home, "bus::rang");
    let asked = sent() - sent_before;
    assert!(asked > 3, "both others once, and the one that says nothing again and again, got {asked} messages");
    plant(home, "bus::late");
    assert_eq!(total(50), Err(INTERNAL.to_owned()));
    plant(home, "bus::left");
    let mut leaving = home.connect();
    leaving.send("SCOUNTER.TOTAL views TIMEOUT 60000").expect("sent");
    home.connect().wait_for_field("INFO clients", "blocked_clients", "1");
    drop(leaving);
    for place in ["bus::answered", "bus::forget", "bus::late", "bus::left"] {
        assert_struck(home, place);
    }
    other.resume();
    assert_eq!(total(10_000), zero);
    for node in cluster.nodes() {
        plant(node, "info::tell");
        node.connect().text("INFO tallybook");
        assert_struck(node, "info::tell");
    }
}

/// Where the server calls the module, by file and function.
fn entries() -> BTreeSet<(String, String)> {
    let functions = |path: &String| {
        let (text, stem) = (source(path), path.rsplit('/').next().expect("a name").replace(".rs", ""));
        let bodies: Vec<String> = text.split("extern \"C\" fn ").skip(1).map(str::to_owned).collect();
        bodies.into_iter().map(move |body| (stem.clone(), body)).collect::<Vec<_>>()
    };
    sources("src/host", "rs").iter().flat_map(functions).collect()
}

#[test]
fn no_entry_is_without_a_guard_and_a_planted_panic() {
    let here = source("tests/planted.rs");
    // The one wakes the loop and does nothing; the other is there before a panic can be planted.
    let exempt = ["nothing", "RedisModule_OnLoad"];
    let mut count = 0;
    for (stem, body) in entries() {
        let name = body.split(['(', '<']).next().expect("a name");
        if exempt.contains(&name) {
            continue;
        }
        count += 1;
        assert!(body.contains("guard("), "{stem}::{name} has no guard");
        assert!(here.contains(&format!("\"{stem}::{name}")), "{stem}::{name} has no planted panic");
    }
    assert!(count > 20, "{count}");
}
