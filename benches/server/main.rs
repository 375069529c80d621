//! What is promised about speed and memory, measured beside what a user would run instead.
//!
//! ```text
//!   main.rs         which measurements there are, and the report of a run
//!   scope.rs        how much is measured, as the environment says
//!   stage.rs        servers on one core, whoever loads them on another
//!   load.rs         one run of redis-benchmark
//!   paced.rs        an open loop below saturation, for latencies
//!   fill.rs         a server with much in it
//!   pairs.rs        throughput: our command, its rival and the floor in turn; the table of them is contests.rs
//!   latency.rs      p50, p99, p99.9 of a counter with much in it
//!   memory.rs       bytes per counter, log entry, token
//!   persistence.rs  BGSAVE and loading
//!   curves.rs       what must not grow with the size of a key
//!   shards.rs       one counter over three primaries, beside one key on one of them
//!   stats.rs        medians and spreads
//!   profile.rs      whether the profile of releases fits the module
//!   report.rs       tables
//! ```
//!
//! `benches/floor` is the module that throughput is held against; `benches/PROFILE.md` says what lies between.
//!
//! Every number is a ratio to something measured in the same run, side by side: A B A B, or A B C with the floor. A ratio is the median of the
//! rounds, its spread the least and the greatest of them. A server has a core of its own; the client's core also
//! carries the replica, where there is one.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "what goes wrong here ends the run")]

#[path = "../../tests/harness/mod.rs"]
mod harness;

mod contests;
mod curves;
mod fill;
mod latency;
mod load;
mod memory;
mod paced;
mod pairs;
mod persistence;
mod profile;
mod report;
mod scope;
mod shards;
mod stage;
mod stats;

use report::Table;
use scope::Scope;
use std::process::ExitCode;

type Section = (fn() -> Vec<&'static str>, fn(&Scope) -> Table);

/// The names that BENCH may say, and what measures them.
const SECTIONS: [Section; 6] = [
    (pairs::names, pairs::measure),
    (latency::names, latency::measure),
    (memory::names, memory::measure),
    (persistence::names, persistence::measure),
    (curves::names, curves::measure),
    (shards::names, shards::measure),
];

fn main() -> ExitCode {
    let scope = Scope::from_environment();
    let names: Vec<&str> = SECTIONS.iter().flat_map(|(names, _)| names()).collect();
    if !names.iter().any(|name| scope.wants(name)) {
        eprintln!("bench: BENCH must be one of: {}", names.join(" "));
        return ExitCode::FAILURE;
    }
    profile::warn_of_misfit();
    stage::move_to_clients_core();

    let mut tables = Vec::new();
    for (names, measure) in SECTIONS {
        if names().iter().any(|name| scope.wants(name)) {
            let table = measure(&scope);
            println!("\n{table}");
            tables.push(table);
        }
    }
    if scope.is_whole() {
        report::write(&tables, &scope);
    }
    ExitCode::SUCCESS
}
