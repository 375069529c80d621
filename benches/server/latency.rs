//! Latencies of a counter with much in it, beside those of INCRBY at the same load, in turn.

use crate::fill;
use crate::harness::args;
use crate::paced::latencies;
use crate::report::{Table, verdict};
use crate::scope::Scope;
use crate::stage::{Setting, Stage};
use crate::stats::{Spread, percentile};
use redis::Cmd;
use std::time::Duration;

const NOTE: &str = "\
20,000 requests per second on 10 connections, an open loop: latency counts from when a request was due. Microseconds,\n\
medians of the rounds; `ratio` is that of p99.9, at most 2.";

const GOAL: f64 = 2.0;

/// p50, p99, p99.9, per million.
const PERCENTILES: [usize; 3] = [500_000, 990_000, 999_000];

const KEY: &str = "tally-counter:01";

/// More than one round sends, so that each round has tokens of its own.
const FRESH: u32 = 1_000_000;

/// The request of that number.
type Request = fn(u32) -> Vec<u8>;

struct Case {
    label: &'static str,
    fill: fn(&Stage, &str, usize),
    count: usize,
    request: Request,
}

const CASES: [Case; 3] = [
    Case { label: "INCR, a full log of 100,000", fill: fill::log, count: 100_000, request: incr },
    Case { label: "INCR, 1,000 holds", fill: fill::holds, count: 1_000, request: incr },
    Case { label: "INCR IDMP, 1,000 tokens", fill: fill::tokens, count: 1_000, request: incr_once },
];

fn incr(_: u32) -> Vec<u8> {
    packed(args!["SCOUNTER.INCR", KEY, 1])
}

fn incr_once(number: u32) -> Vec<u8> {
    packed(args!["SCOUNTER.INCR", KEY, 1, "IDMP", "worker-1", format!("{number:016}")])
}

fn incrby(_: u32) -> Vec<u8> {
    packed(args!["INCRBY", "plain-counter:01", 1])
}

fn packed(arguments: Vec<Vec<u8>>) -> Vec<u8> {
    Cmd::new().arg(arguments).get_packed_command()
}

pub fn names() -> Vec<&'static str> {
    vec!["latency"]
}

pub fn measure(scope: &Scope) -> Table {
    let columns = ["measured", "p50", "p99", "p99.9", "INCRBY p50", "p99", "p99.9", "ratio", "met"];
    let mut table = Table::new("Latency", NOTE, columns);
    for case in &CASES {
        let stage = Setting::Bare.stage();
        (case.fill)(&stage, KEY, case.count);
        let run = |request: Request, first: u32| {
            let duration = Duration::from_secs_f64(2.0 * scope.seconds());
            let sorted = latencies(&stage.server, duration, |number| request(first + number));
            PERCENTILES.map(|share| percentile(&sorted, share) as f64 / 1000.0)
        };
        let round = |round| (run(case.request, round * FRESH), run(incrby, 0));
        let (ours, rivals): (Vec<_>, Vec<_>) = (0..).take(scope.rounds()).map(round).unzip();
        table.push(row(case, &ours, &rivals));
    }
    table
}

fn row(case: &Case, ours: &[[f64; 3]], rivals: &[[f64; 3]]) -> [String; 9] {
    let micros = |rounds: &[[f64; 3]], which: usize| {
        format!("{:.0}", Spread::of(rounds.iter().map(|percentiles| percentiles[which])).median)
    };
    let ratio = Spread::of(ours.iter().zip(rivals).map(|(ours, rivals)| ours[2] / rivals[2]));
    let ([p50, p99, p999], [rival_p50, rival_p99, rival_p999]) =
        ([0, 1, 2].map(|which| micros(ours, which)), [0, 1, 2].map(|which| micros(rivals, which)));
    let (label, met) = (case.label.to_owned(), verdict(ratio.median <= GOAL));
    [label, p50, p99, p999, rival_p50, rival_p99, rival_p999, ratio.to_string(), met]
}
