//! One run of redis-benchmark: 50 clients send one command over and over.

use crate::harness::Server;
use crate::stage::cpu_ns;
use std::process::Command;

const CLIENTS: u64 = 50;

/// Enough to see how fast a command is about.
const TRIAL_REQUESTS: u64 = 20_000;

/// redis-benchmark puts twelve random digits in the place of this.
const RANDOM: &str = "__rand_int__";

/// It takes them from a range that fits its `int`.
const RANDOM_RANGE: &str = "2147483647";

/// A command to be sent over and over.
pub struct Load {
    pub command: Vec<String>,
    pub pipeline: u64,
}

/// What a run came to.
pub struct Run {
    /// Requests per second.
    pub rate: f64,
    /// Nanoseconds of the server's main thread per request.
    pub cpu_ns: f64,
}

impl Run {
    /// The share of its time that the server worked. Well below 1, the client or the transport was the limit.
    pub fn busy(&self) -> f64 {
        self.cpu_ns * self.rate / 1e9
    }
}

impl Load {
    /// How many requests take about so long.
    pub fn requests_in(&self, seconds: f64, server: &Server) -> u64 {
        let trial = self.run(TRIAL_REQUESTS, server);
        let requests = (trial.rate * seconds) as u64;
        requests.max(TRIAL_REQUESTS)
    }

    /// Sends so many requests.
    pub fn run(&self, requests: u64, server: &Server) -> Run {
        let before = cpu_ns(server);
        let output = self.benchmark(requests, server).output().expect("redis-benchmark of redis-tools");
        let cpu_ns = (cpu_ns(server) - before) as f64 / requests as f64;
        let text = String::from_utf8_lossy(&output.stdout);
        let rate = rate(&text).unwrap_or_else(|| panic!("no rate in what redis-benchmark wrote:\n{text}"));
        Run { rate, cpu_ns }
    }

    fn benchmark(&self, requests: u64, server: &Server) -> Command {
        let mut benchmark = Command::new("redis-benchmark");
        benchmark.arg("-s").arg(server.socket()).arg("--csv");
        for (option, value) in [("-c", CLIENTS), ("-P", self.pipeline), ("-n", requests)] {
            benchmark.arg(option).arg(value.to_string());
        }
        if self.command.iter().any(|word| word.contains(RANDOM)) {
            benchmark.args(["-r", RANDOM_RANGE]);
        }
        benchmark.args(&self.command);
        benchmark
    }
}

/// `"the command","rate","avg","min","p50","p95","p99","max"`
fn rate(csv: &str) -> Option<f64> {
    csv.lines().last()?.trim_matches('"').rsplit("\",\"").nth(6)?.parse().ok()
}
