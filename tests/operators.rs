//! What a server tells its operator: INFO, LATENCY, warnings.

use crate::fence::wait_for_electable;
use crate::harness::*;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// In the end: what a reload replaces, a server may free on another thread.
#[track_caller]
fn assert_numbers(client: &mut Client, expected: &[(&str, u64)]) {
    let fit = |told: &BTreeMap<String, u64>| expected.iter().all(|(name, number)| told.get(*name) == Some(number));
    let is_told = holds_within(PATIENCE, || fit(&client.numbers()));
    assert!(is_told, "{expected:?} of {:?}", client.numbers());
}

/// What lies in the keys, also after it was saved, loaded, copied, overwritten, and freed on another thread.
#[test]
fn info_sums_up_what_lies_in_the_keys() {
    let server = Server::builder().durable().port().start();
    let mut client = server.connect();
    let nothing = [("counters", 0), ("allocators", 0), ("holds", 0), ("tokens", 0), ("log_bytes", 0)];
    assert_numbers(&mut client, &nothing);
    client.ok("SCOUNTER.CREATE stock INITIAL 100 LBOUND 0 LOG MAXLEN 10");
    for number in 0..20 {
        client.int(args!["SCOUNTER.INCR", "stock", 1, "IDMP", "worker", number]);
    }
    client.value("SCOUNTER.HOLD stock -5 EX 1000");
    client.ok("IDBLOCK.CREATE ids FENCE OFF");
    client.list("IDBLOCK.RESERVE ids 5 IDMP worker 1");
    let mut log_bytes = 0;
    for key in ["SCOUNTER.INFO stock", "IDBLOCK.INFO ids"] {
        log_bytes += log_bytes_of(&mut client, key);
    }
    let once = [("counters", 1), ("allocators", 1), ("holds", 1), ("tokens", 21), ("log_bytes", log_bytes)];
    assert_numbers(&mut client, &once);
    client.ok("DEBUG RELOAD");
    assert_numbers(&mut client, &once);
    server.rewrite_aof();
    client.ok("DEBUG LOADAOF");
    assert_numbers(&mut client, &once);
    assert_eq!(client.int("COPY stock other"), 1);
    let payload = client.bytes("DUMP ids");
    client.ok(args!["RESTORE", "ids", 0, payload, "REPLACE"]);
    client.ok("RENAME stock third");
    let per_key = log_bytes_of(&mut client, "SCOUNTER.INFO third");
    let twice = [("counters", 2), ("allocators", 1), ("holds", 2), ("tokens", 41), ("log_bytes", log_bytes + per_key)];
    assert_numbers(&mut client, &twice);
    client.ok("SCOUNTER.ALTER other LOG OFF");
    assert_numbers(&mut client, &[("log_bytes", log_bytes)]);
    assert_eq!(client.int("UNLINK other ids third"), 3);
    assert_numbers(&mut client, &nothing);
}

fn log_bytes_of(client: &mut Client, info: &str) -> u64 {
    client.int(format!("{info} log-bytes")).unsigned_abs()
}

#[test]
fn info_counts_commands_by_outcome() {
    let server = Server::start();
    let mut client = server.connect();
    client.int("SCOUNTER.INCR views");
    client.int("SCOUNTER.GET views");
    client.error("SCOUNTER.INCR views nothing");
    client.error("SCOUNTER.TTL");
    client.ok("SET text 1");
    client.error("SCOUNTER.GET text");
    let told =
        [("commands_done", 2), ("commands_refused", 2), ("panics", 0), ("fence_stalls", 0), ("fence_timeouts", 0)];
    assert_numbers(&mut client, &told);
}

/// A stall is counted, and lasts as long as LATENCY says.
#[test]
fn a_stalled_fence_is_told() {
    let pair = Pair::start_with(Server::builder().config("tallybook.fence-wait", 300), Server::builder());
    let mut client = pair.primary.connect();
    client.ok("IDBLOCK.CREATE ids FENCE 100");
    wait_for_electable(&pair.primary, &[&pair.replica]);
    pair.synced();
    pair.replica.pause();
    assert!(client.error("IDBLOCK.RESERVE ids 1000000").starts_with("UNFENCED "));
    assert_eq!(client.show("LATENCY LATEST"), "[]", "nobody wants to hear it");
    client.ok("CONFIG SET latency-monitor-threshold 100");
    let before = client.numbers();
    assert!(client.error("IDBLOCK.RESERVE ids 1000000").starts_with("UNFENCED "));
    let after = client.numbers();
    for name in ["fence_stalls", "fence_timeouts", "commands_refused"] {
        assert_eq!(after[name] - before[name], 1, "{name}");
    }
    assert_eq!(after["fence_waiting"], 0);
    let latest = client.show("LATENCY LATEST");
    assert!(latest.contains(r#"["tallybook-fence","#), "{latest}");
    pair.replica.resume();
}

/// What is amiss is told once it lasts: a replica that is gone, and one whose primary knows it by another name.
#[test]
fn what_stays_amiss_is_logged() {
    let primary = Server::builder().port().start();
    let [mut gone, renamed] = [(); 2].map(|()| Server::builder().port().replica_of(&primary).start());
    wait_until("both follow", PATIENCE, || primary.connect().fields("INFO replication")["connected_slaves"] == "2");
    renamed.connect().ok("CONFIG SET replica-announce-ip 127.0.0.9"); // after its handshake, before it is named
    primary.connect().ok("IDBLOCK.CREATE ids");
    wait_for_electable(&primary, &[&gone, &renamed]);
    gone.kill();
    let told = format!("127.0.0.1:{} is gone", gone.port());
    let uncounted = format!("does not count this server (127.0.0.9:{})", renamed.port());
    assert!(!primary.log().contains(&told) && !renamed.log().contains("does not count"));
    wait_until("both are told", PATIENCE * 2, || primary.log().contains(&told) && renamed.log().contains(&uncounted));
}

/// Ids that a promotion costs are told where they are lost.
#[test]
fn info_tells_of_ids_that_a_takeover_cost() {
    let pair = Pair::start();
    let (mut primary, mut replica) = (pair.primary.connect(), pair.replica.connect());
    primary.ok("IDBLOCK.CREATE ids FENCE 100");
    wait_for_electable(&pair.primary, &[&pair.replica]);
    wait_until("it hands out ids", PATIENCE * 2, || primary.call("IDBLOCK.RESERVE ids 10").is_ok());
    pair.synced();
    assert_numbers(&mut replica, &[("fence_ids_lost", 0)]);
    primary.ok(format!("REPLICAOF 127.0.0.1 {}", pair.replica.port()));
    replica.ok("REPLICAOF NO ONE");
    wait_until("it hands out ids", PATIENCE * 2, || replica.call("IDBLOCK.RESERVE ids 1").is_ok());
    let lost = replica.int("IDBLOCK.INFO ids fence-lost").unsigned_abs();
    assert!(lost > 0, "{lost}");
    assert_numbers(&mut replica, &[("fence_ids_lost", lost)]);
}

#[test]
fn a_slow_gather_is_told() {
    let cluster = Cluster::start(3, 0);
    cluster.call("SCOUNTER.CREATE views SHARDS 64").expect("a counter");
    let home = cluster.node_for("views");
    let other = cluster.other_than(home);
    let mut client = home.connect();
    client.ok("CONFIG SET latency-monitor-threshold 50");
    client.int("SCOUNTER.TOTAL views");
    other.pause();
    assert!(client.error("SCOUNTER.TOTAL views TIMEOUT 200").starts_with("PARTIAL "));
    other.resume();
    let latest = client.show("LATENCY LATEST");
    assert!(latest.contains(r#"["tallybook-gather","#), "{latest}");
    assert_numbers(&mut client, &[("totals_unfinished", 1), ("commands_done", 2), ("commands_refused", 1)]);
}

#[test]
fn whoever_lets_the_server_evict_allocators_is_warned() {
    let server = Server::start();
    let mut client = server.connect();
    let warnings = |server: &Server| server.log().matches("may evict allocators").count();
    assert_eq!(warnings(&server), 0);
    client.ok("CONFIG SET maxmemory-policy volatile-lru");
    client.ok("CONFIG SET maxmemory-policy noeviction");
    assert_eq!(warnings(&server), 0, "a key without a time to live stays");
    client.ok("CONFIG SET maxmemory-policy allkeys-lru");
    assert_eq!(warnings(&server), 1);
    client.ok("CONFIG SET maxmemory 100mb");
    assert_eq!(warnings(&server), 1, "it was said");
    client.ok("CONFIG SET maxmemory-policy allkeys-lfu");
    assert_eq!(warnings(&server), 2);
    let server = Server::builder().config("maxmemory-policy", "allkeys-random").start();
    assert_eq!(warnings(&server), 1, "at load");
}

/// Debian's exporter for Prometheus, ended when dropped.
struct Exporter {
    process: Child,
    address: String,
}

impl Exporter {
    fn start(server: &Server) -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let process = Command::new("prometheus-redis-exporter")
            .args(["--web.listen-address", &address, "--redis.addr", &format!("redis://127.0.0.1:{}", server.port())])
            .args(["--script", concat!(env!("CARGO_MANIFEST_DIR"), "/examples/prometheus.lua")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus-redis-exporter: run scripts/setup test");
        Self { process, address }
    }

    fn metrics(&self) -> Option<String> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        let mut page = String::new();
        stream.read_to_string(&mut page).ok()?;
        Some(page)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended by itself
        self.process.wait().expect("the status of a child");
    }
}

#[test]
fn prometheus_gets_the_same_numbers() {
    let server = Server::builder().port().start();
    let mut client = server.connect();
    client.int("SCOUNTER.INCR views");
    client.ok("IDBLOCK.CREATE ids");
    let exporter = Exporter::start(&server);
    let mut page = None;
    wait_until("the exporter answers", PATIENCE, || {
        page = exporter.metrics();
        page.is_some()
    });
    let page = page.expect("a page");
    for line in ["redis_up 1", "redis_exporter_last_scrape_error{err=\"\"} 0"] {
        assert!(page.lines().any(|told| told == line), "{line}: {page}");
    }
    for (name, number) in client.numbers() {
        let told = format!("redis_script_values{{key=\"tallybook_{name}\"}} {number}");
        assert!(page.lines().any(|line| line == told), "{told}: {page}");
    }
}

/// MEMORY USAGE of a key is what used memory grew by, within 5 %.
#[test]
fn memory_usage_is_what_the_allocator_says() {
    let server = Server::start();
    let mut client = server.connect();
    for (create, traffic, count) in [
        ("SCOUNTER.CREATE key LOG MAXLEN 1000000", "SCOUNTER.INCR key", 800_000),
        ("SCOUNTER.CREATE key LOG MAXLEN 1000000", "SCOUNTER.INCR key 1 NOTE note-{n}", 100_000),
        ("SCOUNTER.CREATE key", "SCOUNTER.INCR key 1 IDMP app-{n} {n}", 30_000),
        ("SCOUNTER.CREATE key UBOUND 1000000", "SCOUNTER.HOLD key 1 EX 1000", 20_000),
        ("IDBLOCK.CREATE key FENCE OFF", "IDBLOCK.RESERVE key 10 IDMP app {n}", 50_000),
    ] {
        let mut before = 0;
        for _ in 0..2 {
            client.ok("FLUSHALL SYNC"); // the second time, what the server itself needs is there already
            before = used(&server);
            client.ok(create);
            for start in (0..count).step_by(1_000) {
                client.pipeline((start..start + 1_000).map(|number| traffic.replace("{n}", &number.to_string())));
            }
        }
        let (usage, mut grown) = (client.int("MEMORY USAGE key").unsigned_abs(), 0);
        let is_told = holds_within(PATIENCE, || {
            grown = used(&server).saturating_sub(before); // buffers of the server, too, until they shrink
            usage.abs_diff(grown) * 20 <= grown
        });
        assert!(is_told, "{create}, {traffic}: {usage} of {grown} bytes");
        println!("{create}, {traffic}: {usage} of {grown} bytes");
    }
}

/// What keys took is given back, also when another thread frees them.
#[test]
fn memory_comes_back_when_keys_go() {
    let server = Server::start();
    fill_and_empty(&server, "FLUSHALL ASYNC"); // buffers of the server grow once
    for way in ["FLUSHALL ASYNC", "UNLINK"] {
        let (before, taken) = fill_and_empty(&server, way);
        let mut left = 0;
        let is_back = holds_within(PATIENCE, || {
            left = used(&server).saturating_sub(before);
            left * 50 <= taken
        });
        assert!(is_back, "{way} leaves {left} of {taken} bytes");
        println!("{way} leaves {left} of {taken} bytes");
    }
}

fn used(server: &Server) -> u64 {
    server.connect().fields("INFO memory")["used_memory"].parse().expect("a number")
}

/// Makes many keys and has the server free them. Returns the bytes in use before, and how many the keys took.
fn fill_and_empty(server: &Server, way: &str) -> (u64, u64) {
    let before = used(server);
    let mut client = server.connect();
    let plain = (0..scale(100_000, 1_000_000)).map(|number| format!("plain-{number}"));
    let logged = (0..100).map(|number| format!("logged-{number}"));
    let names: Vec<String> = plain.chain(logged).collect();
    for chunk in names.chunks(1_000) {
        client.pipeline(chunk.iter().map(|name| format!("SCOUNTER.CREATE {name} LOG MAXLEN 1000")));
    }
    for name in names.iter().filter(|name| name.starts_with("logged")) {
        client.pipeline((0..1_000).map(|_| format!("SCOUNTER.INCR {name} 1 NOTE why")));
    }
    let taken = used(server).saturating_sub(before);
    if way == "UNLINK" {
        for chunk in names.chunks(1_000) {
            client.int([&["UNLINK".to_owned()], chunk].concat());
        }
    } else {
        client.ok(way);
    }
    (before, taken)
}
