//! One counter over three primaries: what writing it costs beside one key on one primary, and what its total costs.

use crate::harness::{Client, Cluster, Server};
use crate::load::Load;
use crate::report::{Table, verdict};
use crate::scope::Scope;
use crate::stage::{cluster, cpu_ns};
use crate::stats::{Spread, percentile};
use redis::{Cmd, Value};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Instant;

const NOTE: &str = "\
A cluster of three primaries on one core, a counter `tally-counter` with 64 shards; bare. `shards`: CPU time of all three\n\
per increment of a random shard, beside that of one key on one of them, pipelines of 64; `spread`: of the busiest,\n\
beside a third of all. `total`: one client asks again and again, milliseconds. `total-age`: CPU time of TOTAL MAXAGE 100\n\
beside that of SCOUNTER.GET; 50 clients, pipelines of 64 or none.";

const COUNTER: &str = "tally-counter";
const SHARDS: usize = 64;
const PIPELINE: usize = 64;

const COST_MAX: f64 = 1.1;
const SHARE_MAX: f64 = 1.5;
const TOTAL_P50_MS_MAX: f64 = 1.0;
const TOTAL_P99_MS_MAX: f64 = 60.0;
const AGE_COST_MAX: f64 = 1.3;

pub fn names() -> Vec<&'static str> {
    vec!["shards", "total", "total-age"]
}

pub fn measure(scope: &Scope) -> Table {
    let mut table = Table::new("Shards", NOTE, ["name", "measured", "result", "goal", "met"]);
    let cluster = cluster();
    cluster.call(["SCOUNTER.CREATE", COUNTER, "SHARDS", "64"]).expect("a counter");
    for shard in 0..SHARDS {
        cluster.call(["SCOUNTER.INCR", &format!("{COUNTER}{{{shard}}}")]).expect("an increment");
    }
    if scope.wants("shards") {
        let (cost, share) = spread(&cluster, scope);
        table.push(row("shards", "cost, sharded by alone", cost.to_string(), COST_MAX, cost.median));
        table.push(row("shards", "spread, the busiest by a third", share.to_string(), SHARE_MAX, share.median));
    }
    if scope.wants("total") {
        let sorted = totals(&cluster, scope.pick(500, 5_000));
        for (label, share, goal) in [("p50", 500_000, TOTAL_P50_MS_MAX), ("p99", 990_000, TOTAL_P99_MS_MAX)] {
            let ms = percentile(&sorted, share) as f64 / 1e6;
            table.push(row("total", label, format!("{ms:.2} ms"), goal, ms));
        }
    }
    if scope.wants("total-age") {
        for (label, pipeline) in [("pipelines of 64", 64), ("no pipeline", 1)] {
            let cost = age(&cluster, pipeline, scope);
            table.push(row("total-age", label, cost.to_string(), AGE_COST_MAX, cost.median));
        }
    }
    table
}

fn row(name: &str, label: &str, result: String, goal: f64, got: f64) -> [String; 5] {
    [name.to_owned(), label.to_owned(), result, format!("{goal:.2}"), verdict(got <= goal)]
}

/// A request, and the primary that it goes to.
struct Request {
    primary: usize,
    bytes: Vec<u8>,
}

/// Cost and spread, round by round.
fn spread(cluster: &Cluster, scope: &Scope) -> (Spread, Spread) {
    let increments = scope.pick(200_000, 1_000_000);
    let owner = |key: &str| cluster.owner_of_slot(cluster.slot(key)).expect("an owner");
    let request = |key: String| {
        let bytes = Cmd::new().arg("SCOUNTER.INCR").arg(&key).arg(1).get_packed_command();
        Request { primary: owner(&key), bytes }
    };
    let sharded: Vec<Request> = (0..SHARDS).map(|shard| request(format!("{COUNTER}{{{shard}}}"))).collect();
    let alone = [request(format!("{COUNTER}{{0}}"))];
    let round = |_| {
        let (sharded, alone) = (cpu(cluster, &sharded, increments), cpu(cluster, &alone, increments));
        let sum: f64 = sharded.iter().sum();
        let busiest = sharded.iter().copied().fold(0.0, f64::max);
        (sum / alone.iter().copied().fold(0.0, f64::max), busiest / (sum / 3.0))
    };
    let (costs, shares): (Vec<_>, Vec<_>) = (0..scope.rounds()).map(round).unzip();
    (Spread::of(costs), Spread::of(shares))
}

/// What each primary has worked for so many requests, drawn at random; each primary gets them in pipelines.
fn cpu(cluster: &Cluster, requests: &[Request], count: usize) -> Vec<f64> {
    let primaries = &cluster.nodes()[..3];
    let mut pipes: Vec<_> = primaries.iter().map(Pipe::to).collect();
    let before: Vec<u64> = primaries.iter().map(cpu_ns).collect();
    for _ in 0..count {
        let request = &requests[rand::random_range(0..requests.len())];
        pipes[request.primary].send(&request.bytes);
    }
    pipes.iter_mut().for_each(Pipe::flush);
    primaries.iter().zip(before).map(|(primary, before)| (cpu_ns(primary) - before) as f64).collect()
}

/// Collects requests, and sends them by the pipeline.
struct Pipe {
    socket: UnixStream,
    unsent: Vec<u8>,
    waiting: usize,
}

impl Pipe {
    fn to(server: &Server) -> Self {
        let socket = UnixStream::connect(server.socket()).expect("a server that listens");
        Self { socket, unsent: Vec::new(), waiting: 0 }
    }

    fn send(&mut self, request: &[u8]) {
        self.unsent.extend_from_slice(request);
        self.waiting += 1;
        if self.waiting == PIPELINE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.socket.write_all(&self.unsent).expect("a server that reads");
        self.unsent.clear();
        let mut buffer = [0; 4096];
        while self.waiting > 0 {
            let read = self.socket.read(&mut buffer).expect("a server that answers");
            let replies = &buffer[..read];
            assert!(read > 0 && !replies.contains(&b'-'), "integers must come: {}", replies.escape_ascii());
            self.waiting -= replies.iter().filter(|byte| **byte == b'\n').count();
        }
    }
}

/// How long each total took, in nanoseconds, sorted.
fn totals(cluster: &Cluster, count: usize) -> Vec<u64> {
    let mut client: Client = cluster.node_for(COUNTER).connect();
    let mut once = || {
        let began = Instant::now();
        assert!(matches!(client.call(["SCOUNTER.TOTAL", COUNTER]), Ok(Value::Int(_))), "a total must come");
        began.elapsed().as_nanos() as u64
    };
    let mut sorted: Vec<u64> = (0..count).map(|_| once()).collect();
    sorted.sort_unstable();
    sorted
}

/// What a total from memory costs, in GETs.
fn age(cluster: &Cluster, pipeline: u64, scope: &Scope) -> Spread {
    let home = cluster.node_for(COUNTER);
    let load = |words: &[&str]| Load { command: words.iter().map(|word| (*word).to_owned()).collect(), pipeline };
    let (total, get) = (load(&["SCOUNTER.TOTAL", COUNTER, "MAXAGE", "100"]), load(&["SCOUNTER.GET", COUNTER]));
    let requests = get.requests_in(scope.seconds(), home);
    Spread::of((0..scope.rounds()).map(|_| total.run(requests, home).cpu_ns / get.run(requests, home).cpu_ns))
}
